package bridge

import (
	"context"
	"log/slog"
	"time"

	"dlt645-mqtt/bridge/mqtt"
)

const (
	// receiveMaximum is how many requests the broker sends before the first is acknowledged.
	receiveMaximum = 1024

	subscribeRetry = 30 * time.Second
)

// connect starts to connect to the broker and returns at once.
func (b *Bridge) connect(ctx context.Context) (*mqtt.Link, error) {
	return mqtt.Connect(ctx, mqtt.Config{
		Broker: b.config.Broker, Log: b.limited, ReceiveMaximum: receiveMaximum, Largest: maxConfigPayload,
		// Without a session: it would bring requests back that are hours old.
		Will: &mqtt.Will{Topic: b.topics.join(topicStatus), Payload: statusOffline},
		Subscriptions: []mqtt.Subscription{{
			Topic: b.topics.requests(), QoS: 1, NoLocal: true,
			RetainHandling:    2, // none of the retained messages there are
			RetainAsPublished: true,
		}},
		Retry:   subscribeRetry,
		Access:  "the bridge's account must be allowed to read it",
		Apart:   "is a second bridge running with this root? give each its own DLT645_TOPIC or DLT645_MQTT_CLIENT_ID",
		Receive: b.hear,
		Ready:   b.ready,
		Down:    b.down,
	})
}

// hear takes what comes from the broker. While too many replies wait for the broker, its requests are not
// acknowledged. It sends no more of them than the receive maximum then, and our memory stays bounded.
func (b *Bridge) hear(came mqtt.Message, ack func()) {
	if !came.Again {
		if m := messageOf(came); m.topic == b.topics.join(topicStatus) {
			b.hearStatus(string(m.payload))
		} else if !b.keeper.Hear(m.topic, m.payload, m.retain) {
			b.receive(m)
		}
	}
	b.outbox.WhenRoom(ack)
	b.outbox.Brake()
}

// ready says on each new connection that we are there, now that requests reach us.
func (b *Bridge) ready(ctx context.Context, c *mqtt.Connection) {
	if !b.keeper.Restored.Load() {
		go b.askForTable(ctx, c)
	}
	b.listening.Store(true)
	b.keeper.Up()
	b.sayOnline()
	b.outbox.Up(ctx, c.Publish)
	go b.watchStatus(ctx, c)
	b.keeper.Listen(ctx, c)
	b.limited.Log(slog.LevelInfo, "ready", "ready for requests", "filter", b.topics.requests())
}

// sayOnline publishes that we are there, and what we are.
func (b *Bridge) sayOnline() {
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.Following, Topic: b.topics.join(topicStatus), Payload: []byte(statusOnline), ContentType: mqtt.Text})
	b.forceInfo()
}

// watchStatus subscribes to what is said of us. An account that may not read it does without.
func (b *Bridge) watchStatus(ctx context.Context, c *mqtt.Connection) {
	topic := b.topics.join(topicStatus)
	if err := c.Subscribe(ctx, mqtt.Subscription{Topic: topic, QoS: 1, RetainHandling: 2}); err != nil && ctx.Err() == nil {
		b.log.Debug("subscribe", "topic", topic, "err", err)
	}
}

// hearStatus contradicts whoever says that we are offline. The will of an earlier connection may come long after we are
// back by way of another node, once the node of that connection is woken up; and so may that of another process of our root.
func (b *Bridge) hearStatus(status string) {
	select {
	case <-b.stopping: // we have said so ourselves
	default:
		if status == statusOffline {
			b.sayOnline()
		}
	}
}

// down stops publishing until the next connection.
func (b *Bridge) down() {
	b.listening.Store(false)
	b.keeper.Down()
	b.outbox.Down()
}

// askForTable has the broker send, once, the point table that it has kept of an earlier run. Where
// the class config is not allowed that is only for the log, and nobody waits for it.
func (b *Bridge) askForTable(ctx context.Context, c *mqtt.Connection) {
	allowed := b.config.Allow[verbConfig]
	if !allowed {
		if b.keeper.Restored.Swap(true) {
			return
		}
		defer b.outbox.Put(b.keptTable(nil, "")) // also if the bridge's account cannot read it
	}
	topic := b.topics.join(topicConfig)
	err := mqtt.AskForKept(ctx, c, topic, nil, func(bool) {
		b.keeper.Configuring.Lock() // what came is in force
		defer b.keeper.Configuring.Unlock()
		b.keeper.Restored.Store(true) // there is none, or it has been read
		b.keeper.Begin()
	}, func(err error) { b.log.Debug("unsubscribe", "topic", topic, "err", err) })
	if err != nil && allowed {
		b.limited.Warn("kept table", "the broker does not tell which point table it has kept; that of DLT645_POINTS holds", "topic", topic, "err", err)
		b.keeper.Begin()
	}
}
