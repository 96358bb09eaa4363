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

	subscribeTimeout = 10 * time.Second
	subscribeRetry   = 30 * time.Second

	// keptPatience is how long a retained message may take to come after its subscription.
	keptPatience = 5 * time.Second
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
		if m := messageOf(came); !b.announcer.hear(m) {
			b.receive(m)
		}
	}
	b.outbox.WhenRoom(ack)
	b.outbox.Brake()
}

// ready says on each new connection that we are there, now that requests reach us.
func (b *Bridge) ready(ctx context.Context, c *mqtt.Connection) {
	if !b.restored.Load() {
		go b.askForTable(ctx, c)
	}
	b.listening.Store(true)
	b.refreshStale() // first, or what the broker has kept would seem to be of now
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.Following, Topic: b.topics.join(topicStatus), Payload: []byte(statusOnline), ContentType: mqtt.Text})
	b.forceInfo()
	b.publishDescription(b.table())
	b.outbox.Up(ctx, c.Publish)
	go b.askForList(ctx, c)
	go b.subscribeDiscovery(ctx, c)
	b.limited.Log(slog.LevelInfo, "ready", "ready for requests", "filter", b.topics.requests())
}

// down stops publishing until the next connection.
func (b *Bridge) down() {
	b.listening.Store(false)
	b.outbox.Down()
}

// askForTable has the broker send, once, the point table that it has kept of an earlier run. Where
// the class config is not allowed that is only for the log, and nobody waits for it.
func (b *Bridge) askForTable(ctx context.Context, c *mqtt.Connection) {
	allowed := b.config.Allow[verbConfig]
	if !allowed {
		if b.restored.Swap(true) {
			return
		}
		defer b.outbox.Put(b.keptTable(nil, "")) // also if the bridge's account cannot read it
	}
	topic := b.topics.join(topicConfig)
	if err := c.Subscribe(ctx, mqtt.Subscription{Topic: topic, QoS: 1}); err != nil {
		if allowed {
			b.limited.Warn("kept table", "the broker does not tell which point table it has kept; that of DLT645_POINTS holds", "topic", topic, "err", err)
			b.settled()
		}
		return
	}
	timer := time.NewTimer(keptPatience)
	defer timer.Stop()
	select {
	case <-ctx.Done(): // the next connection asks again
		return
	case <-timer.C:
	}
	b.configuring.Lock()   // what came is in force
	b.restored.Store(true) // there is none, or it has been read
	b.settled()
	b.configuring.Unlock()
	if err := c.Unsubscribe(ctx, topic); err != nil {
		b.log.Debug("unsubscribe", "topic", topic, "err", err)
	}
}

// askForList has the broker send, once, the list of what an earlier run has published.
func (b *Bridge) askForList(ctx context.Context, c *mqtt.Connection) {
	if b.announcer.isListed() {
		return
	}
	topic := b.topics.join(topicPublished)
	if err := c.Subscribe(ctx, mqtt.Subscription{Topic: topic, QoS: 1}); err != nil {
		if ctx.Err() == nil {
			b.limited.Warn("kept list", "the broker does not tell what an earlier run has published: what is retained of meters that are gone stays", "topic", topic, "err", err,
				"advice", "the bridge's account must be allowed to read it")
			b.announcer.giveUpList()
		}
		return
	}
	timer := time.NewTimer(keptPatience)
	defer timer.Stop()
	select {
	case <-ctx.Done(): // the next connection asks again
		return
	case <-b.announcer.listHeard:
	case <-timer.C:
		b.announcer.giveUpList()
	}
	if err := c.Unsubscribe(ctx, topic); err != nil {
		b.log.Debug("unsubscribe", "topic", topic, "err", err)
	}
}

// subscribeDiscovery asks for what must be heard of Home Assistant. Without it Home Assistant is
// told of the meters all the same.
func (b *Bridge) subscribeDiscovery(ctx context.Context, c *mqtt.Connection) {
	defer b.announcer.subscribed()
	subscriptions := b.announcer.subscriptions()
	if subscriptions == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	if err := c.Subscribe(asking, subscriptions...); err != nil && ctx.Err() == nil {
		b.limited.Warn("subscribe discovery", "the broker does not grant the subscription for Home Assistant: its restart goes unnoticed", "err", err,
			"advice", "the bridge's account must be allowed to read "+b.config.Discovery+"/status; DLT645_DISCOVERY=off does without Home Assistant")
	}
}
