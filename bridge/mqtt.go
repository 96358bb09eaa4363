package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// The connection to the broker.
const (
	keepAlive        = 30 // seconds
	receiveMaximum   = 1024
	subscribeTimeout = 10 * time.Second
	subscribeRetry   = 30 * time.Second
	reconnectMax     = 30 * time.Second
	stayAwayTakeover = 30 * time.Second

	// acksInterval is how long our acknowledgements gather. Brokers that send no more than 32
	// requests without them, as some do, still get 1600 through in a second.
	acksInterval = 20 * time.Millisecond

	// ackPatience is how long the broker may take to acknowledge a message. One that is frozen
	// or gone is found out by the keep-alive within twice its time.
	ackPatience = 3 * keepAlive * time.Second

	// So many connections in a row that last no longer than that are no accident.
	shortLife  = 10 * time.Second
	shortLives = 3
)

// A Broker says how to reach the MQTT broker.
type Broker struct {
	URLs     []*url.URL // mqtt, mqtts, ws or wss, with a port; tried in order
	Username string
	Password string
	TLS      *tls.Config // for mqtts and wss
	ClientID string
}

// String returns the addresses for people, without secrets.
func (b *Broker) String() string {
	var all []string
	for _, u := range b.URLs {
		all = append(all, u.Redacted())
	}
	return strings.Join(all, ",")
}

// A link is the connection to the broker, over all its losses and returns.
type link struct {
	*Bridge
	ctx         context.Context
	stayAway    moment                  // until when not to connect
	connected   atomic.Int64            // connections so far
	patience    time.Duration           // how long the broker may take to acknowledge a message
	stream      atomic.Pointer[stream]  // the way to the broker, the latest
	toldOffline atomic.Bool             // the broker has acknowledged that we are offline
	trying      atomic.Pointer[url.URL] // the address that was tried last, or is connected
	short       atomic.Int64            // how many of the last in a row were short

	mu     sync.Mutex // makes up and down of the outbox one with the state of the connection
	since  time.Time  // when the connection came up
	hangUp context.CancelFunc
}

func (b *Bridge) newLink(ctx context.Context) *link {
	return &link{Bridge: b, ctx: ctx, hangUp: func() {}, patience: ackPatience}
}

// connect starts to connect and returns at once; it goes on trying for ever.
func (l *link) connect() (*autopaho.ConnectionManager, error) {
	b := l.Bridge
	status := b.topics.join(topicStatus)
	var delivered deliveries
	maximum, quota := uint32(maxConfigPayload), uint16(receiveMaximum)
	debug := slog.NewLogLogger(b.log.With("from", "paho").Handler(), slog.LevelDebug)
	return autopaho.NewConnection(l.ctx, autopaho.ClientConfig{
		ServerUrls:        b.config.Broker.URLs,
		TlsCfg:            b.config.Broker.TLS,
		KeepAlive:         keepAlive,
		ConnectUsername:   b.config.Broker.Username,
		ConnectPassword:   []byte(b.config.Broker.Password),
		ReconnectBackoff:  l.backoff,
		AttemptConnection: l.dialBroker,
		WillMessage:       &paho.WillMessage{Topic: status, Payload: []byte(statusOffline), QoS: 1, Retain: true},
		OnConnectionUp:    l.up,
		OnConnectionDown:  l.down,
		OnConnectError:    l.failed,
		Errors:            debug,
		PahoErrors:        debug,
		ConnectPacketBuilder: func(c *paho.Connect, u *url.URL) (*paho.Connect, error) {
			l.wait()
			l.trying.Store(u)
			// A session would bring requests back that are hours old.
			c.CleanStart = true
			c.Properties = &paho.ConnectProperties{MaximumPacketSize: &maximum, ReceiveMaximum: &quota}
			return c, nil
		},
		// With this reason the broker publishes the will on a clean stop as well, if it did not hear from us
		// that we go.
		DisconnectPacketBuilder: func() *paho.Disconnect {
			if l.toldOffline.Load() {
				return &paho.Disconnect{ReasonCode: packets.DisconnectNormalDisconnection}
			}
			return &paho.Disconnect{ReasonCode: packets.DisconnectDisconnectWithWillMessage}
		},
		ClientConfig: paho.ClientConfig{
			ClientID:      b.config.Broker.ClientID,
			PacketTimeout: time.Hour, // each call has a deadline of its own
			// While too many replies wait for the broker, its requests are not acknowledged. It sends
			// no more of them than the receive maximum then, and our memory stays bounded.
			EnableManualAcknowledgment: true,
			SendAcksInterval:           acksInterval,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(p paho.PublishReceived) (bool, error) {
					if !delivered.again(p.Client, p.Packet) {
						if m := messageOf(p.Packet); !b.announcer.hear(m) {
							b.receive(m)
						}
					}
					if p.Packet.QoS > 0 {
						b.outbox.whenRoom(func() { _ = p.Client.Ack(p.Packet) }) // it fails if the connection has ended
					}
					b.outbox.brake()
					l.stream.Load().handled()
					return true, nil
				},
			},
			OnServerDisconnect: l.thrownOut,
		},
	})
}

// address returns where the broker is that was tried last.
func (l *link) address() string {
	if u := l.trying.Load(); u != nil {
		return u.Redacted()
	}
	return l.config.Broker.String()
}

func messageOf(p *paho.Publish) message {
	m := message{topic: p.Topic, payload: p.Payload, retain: p.Retain, atMostOnce: p.QoS == 0, received: time.Now()}
	if properties := p.Properties; properties != nil {
		m.responseTopic = properties.ResponseTopic
		m.correlation = properties.CorrelationData
		if properties.ContentType == contentBytes { // no other matters
			m.contentType = contentBytes
		}
		for _, property := range properties.User[:min(len(properties.User), mostUserProperties)] {
			m.userProperties = append(m.userProperties, userProperty{cropped(property.Key), cropped(property.Value)})
		}
		if properties.MessageExpiry != nil {
			expiry := time.Duration(*properties.MessageExpiry) * time.Second
			m.expiry = &expiry
		}
	}
	return m
}

// backoff is the pause before an attempt: the first of all comes at once, the others after a
// random pause whose bound doubles.
func (l *link) backoff(attempt int) time.Duration {
	if attempt == 0 && l.connected.Load() == 0 {
		return 0
	}
	bound := min(time.Second<<min(attempt+int(l.short.Load()), 10), reconnectMax)
	return bound/4 + rand.N(bound*3/4)
}

// wait keeps us away from a broker that has thrown us out for another client of our name.
func (l *link) wait() {
	pause := time.Until(l.stayAway.load())
	if pause <= 0 {
		return
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.ctx.Done():
	}
}

func (l *link) thrownOut(d *paho.Disconnect) {
	if d.ReasonCode == packets.DisconnectSessionTakenOver {
		pause := l.keepAway()
		l.limited.at(slog.LevelError, "takeover", "another client has taken our client id, so the broker threw us out; is a second bridge running with this root? give each its own DLT645_TOPIC or DLT645_MQTT_CLIENT_ID",
			"client_id", l.config.Broker.ClientID, "retry_in", pause.Round(time.Second))
		return
	}
	l.limited.log("disconnect", "the broker ended the connection", "reason", fmt.Sprintf("%02XH", d.ReasonCode))
}

// keepAway makes the next attempt wait.
func (l *link) keepAway() time.Duration {
	pause := stayAwayTakeover + rand.N(stayAwayTakeover/2)
	l.stayAway.store(time.Now().Add(pause))
	return pause
}

func (l *link) failed(err error) {
	var refused *autopaho.ConnackError
	if errors.As(err, &refused) {
		advice := "see the broker's log"
		switch refused.ReasonCode {
		case packets.ConnackBadUsernameOrPassword, packets.ConnackNotAuthorized:
			advice = "check DLT645_MQTT_USERNAME and DLT645_MQTT_PASSWORD, and that the broker lets this client id in"
		case packets.ConnackUnsupportedProtocolVersion:
			advice = "the broker must speak MQTT 5"
		}
		l.limited.log("connack", "the broker refuses the connection; trying again", "reason", strings.TrimSpace(fmt.Sprintf("%02XH %s", refused.ReasonCode, refused.Reason)), "advice", advice)
		return
	}
	arguments := []any{"broker", l.address(), "err", err}
	if advice := adviceFor(err, l.stream.Swap(nil) != nil); advice != "" {
		arguments = append(arguments, "advice", advice)
	}
	l.limited.log("connect", "cannot reach the broker; trying again", arguments...)
}

// isEnd reports whether an error is the end of a connection by the other side.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// adviceFor says what to do about a broker that cannot be reached; empty: nothing is known. open says that
// there was a connection to it, which it then did not use as it should.
func adviceFor(err error, open bool) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var plain tls.RecordHeaderError
	var old oldBrokerError
	switch {
	case errors.As(err, &old):
		return "the broker must speak MQTT 5, which this one does not: use mosquitto 1.6 or newer, EMQX, HiveMQ, NanoMQ or RabbitMQ 4"
	case errors.As(err, &plain), errors.Is(err, errHandshake) && isEnd(err):
		return "nobody speaks TLS on this port: write mqtt:// for it, or the port of mqtts://, usually 8883"
	case open && (errors.Is(err, context.DeadlineExceeded) || isEnd(err)):
		return "something takes the connection and does not answer in MQTT 5: a broker may speak 3.1.1 only, the port may want mqtts://, or it is no broker"
	case errors.As(err, &authority):
		return "set DLT645_MQTT_CA_FILE to the certificate of the authority that signed the broker's"
	case errors.As(err, &name):
		return "write the broker's name into DLT645_MQTT_URL as it stands in the broker's certificate"
	}
	return ""
}

// up runs on each new connection: subscribe first, then say that we are there.
func (l *link) up(m *autopaho.ConnectionManager, c *paho.Connack) {
	ctx, cancel := context.WithCancel(l.ctx)
	l.mu.Lock()
	l.since, l.hangUp = time.Now(), cancel
	l.mu.Unlock()
	l.connected.Add(1)
	qos := byte(1)
	if c.Properties != nil && c.Properties.MaximumQoS != nil {
		qos = min(qos, *c.Properties.MaximumQoS)
	}
	largest := uint32(0)
	if c.Properties != nil && c.Properties.MaximumPacketSize != nil {
		largest = *c.Properties.MaximumPacketSize
	}
	l.limited.at(slog.LevelInfo, "connected", "connected to the broker", "broker", l.address())
	go l.subscribe(ctx, m, qos, largest)
}

// subscribe asks for the requests until the broker grants them, then opens the outbox.
// largest is the size of packet that the broker takes; 0: any.
func (l *link) subscribe(ctx context.Context, m *autopaho.ConnectionManager, qos byte, largest uint32) {
	for {
		asking, cancel := context.WithTimeout(ctx, subscribeTimeout)
		granted, err := m.Subscribe(asking, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{
			Topic: l.topics.requests(), QoS: qos, NoLocal: true,
			RetainHandling:    2, // none of the retained messages there are
			RetainAsPublished: true,
		}}})
		cancel()
		if err == nil {
			break
		}
		if ctx.Err() != nil || errors.Is(err, autopaho.ConnectionDownError) {
			return
		}
		if granted == nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, paho.ErrInvalidArguments) {
			<-ctx.Done() // the connection has broken, and its end is on the way
			return
		}
		l.limited.at(slog.LevelError, "subscribe", "the broker does not grant the subscription; trying again", "filter", l.topics.requests(), "err", err, "retry_in", subscribeRetry,
			"advice", "the bridge's account must be allowed to read it")
		timer := time.NewTimer(subscribeRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
	if !l.restored.Load() {
		go l.askForTable(ctx, m)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return // the connection went while the broker answered
	}
	l.listening.Store(true)
	l.refreshStale() // first, or what the broker has kept would seem to be of now
	l.outbox.put(outgoing{topic: l.topics.join(topicStatus), payload: []byte(statusOnline), contentType: contentText, retain: true, follows: true})
	l.forceInfo()
	l.publishDescription(l.table())
	l.outbox.up(ctx, func(ctx context.Context, message outgoing) (final bool, err error) {
		if largest > 0 && message.packet() > int(largest) {
			return true, fmt.Errorf("%w: %d bytes, of %d", errTooLarge, message.packet(), largest)
		}
		return l.publish(ctx, m, qos, message)
	})
	go l.askForList(ctx, m)
	go l.subscribeDiscovery(ctx, m)
	l.limited.at(slog.LevelInfo, "ready", "ready for requests", "filter", l.topics.requests())
}

// keptPatience is how long a retained message may take to come after its subscription.
const keptPatience = 5 * time.Second

// askForTable has the broker send, once, the point table that it has kept of an earlier run. Where
// the class config is not allowed that is only for the log, and nobody waits for it.
func (l *link) askForTable(ctx context.Context, m *autopaho.ConnectionManager) {
	allowed := l.config.Allow[verbConfig]
	if !allowed {
		if l.restored.Swap(true) {
			return
		}
		defer l.outbox.put(l.keptTable(nil, "")) // also if the bridge's account cannot read it
	}
	topic := l.topics.join(topicConfig)
	if _, err := m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}}); err != nil {
		if allowed {
			l.limited.log("kept table", "the broker does not tell which point table it has kept; that of DLT645_POINTS holds", "topic", topic, "err", err)
			l.settled()
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
	l.configuring.Lock()   // what came is in force
	l.restored.Store(true) // there is none, or it has been read
	l.settled()
	l.configuring.Unlock()
	if _, err := m.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{topic}}); err != nil {
		l.log.Debug("unsubscribe", "topic", topic, "err", err)
	}
}

// askForList has the broker send, once, the list of what an earlier run has published.
func (l *link) askForList(ctx context.Context, m *autopaho.ConnectionManager) {
	if l.announcer.isListed() {
		return
	}
	topic := l.topics.join(topicPublished)
	if _, err := m.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}}); err != nil {
		if ctx.Err() == nil {
			l.limited.log("kept list", "the broker does not tell what an earlier run has published: what is retained of meters that are gone stays", "topic", topic, "err", err,
				"advice", "the bridge's account must be allowed to read it")
			l.announcer.giveUpList()
		}
		return
	}
	timer := time.NewTimer(keptPatience)
	defer timer.Stop()
	select {
	case <-ctx.Done(): // the next connection asks again
		return
	case <-l.announcer.listHeard:
	case <-timer.C:
		l.announcer.giveUpList()
	}
	if _, err := m.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{topic}}); err != nil {
		l.log.Debug("unsubscribe", "topic", topic, "err", err)
	}
}

// subscribeDiscovery asks for what must be heard of Home Assistant. Without it Home Assistant is
// told of the meters all the same.
func (l *link) subscribeDiscovery(ctx context.Context, m *autopaho.ConnectionManager) {
	defer l.announcer.subscribed()
	subscriptions := l.announcer.subscriptions()
	if subscriptions == nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, subscribeTimeout)
	defer cancel()
	if _, err := m.Subscribe(asking, &paho.Subscribe{Subscriptions: subscriptions}); err != nil && ctx.Err() == nil {
		l.limited.log("subscribe discovery", "the broker does not grant the subscription for Home Assistant: its restart goes unnoticed", "err", err,
			"advice", "the bridge's account must be allowed to read "+l.config.Discovery+"/status; DLT645_DISCOVERY=off does without Home Assistant")
	}
}

func (l *link) down() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangUp()
	l.listening.Store(false)
	l.outbox.down()
	if l.ctx.Err() != nil {
		return true
	}
	l.limited.log("lost", "lost the connection to the broker; reconnecting")
	if time.Since(l.since) > shortLife {
		l.short.Store(0)
		return true
	}
	// Not every broker says why. Two bridges of one name would throw each other out for ever.
	if l.short.Add(1) >= shortLives {
		l.limited.at(slog.LevelError, "short", "the broker ends each connection at once; perhaps another client has our client id: give each bridge its own DLT645_TOPIC or DLT645_MQTT_CLIENT_ID",
			"client_id", l.config.Broker.ClientID, "retry_in", l.keepAway().Round(time.Second))
	}
	return true
}

// publish sends one message and waits for the broker's acknowledgement. A connection on which
// that does not come is ended, so that the message can be sent again over another one.
func (l *link) publish(connection context.Context, m *autopaho.ConnectionManager, qos byte, message outgoing) (final bool, err error) {
	properties := &paho.PublishProperties{ContentType: message.contentType, CorrelationData: message.correlation}
	if message.contentType != contentBytes {
		text := byte(1)
		properties.PayloadFormat = &text
	}
	if message.transient {
		qos = 0
	}
	ctx, cancel := context.WithTimeout(connection, l.patience)
	defer cancel()
	response, err := m.Publish(ctx, &paho.Publish{
		Topic: message.topic, Payload: message.payload, QoS: qos, Retain: message.retain, Properties: properties,
	})
	switch {
	case err != nil && response != nil && response.ReasonCode >= 0x80:
		const quotaExceeded = 0x97
		err = fmt.Errorf("%w (%02XH)", err, response.ReasonCode)
		if response.ReasonCode != quotaExceeded {
			return true, err
		}
		return false, fmt.Errorf("%w: %w", errNotNow, err)
	case ctx.Err() != nil && connection.Err() == nil && qos > 0:
		l.limited.at(slog.LevelError, "not acknowledged", "the broker does not acknowledge a message; connecting anew", "topic", shortened(message.topic), "waited", l.patience)
		m.TerminateConnectionForTest() // nothing else closes a connection that is to come back
	}
	return errors.Is(err, paho.ErrInvalidArguments), err
}
