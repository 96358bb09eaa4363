package mqtt

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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	memory "github.com/eclipse/paho.golang/paho/session/state"

	"dlt645-mqtt/bridge/limit"
)

const (
	keepAlive        = 30 // seconds
	subscribeTimeout = 10 * time.Second
	stayAwayTakeover = 30 * time.Second

	// The pauses between attempts are random, up to a bound that grows by half each time: so many bridges that
	// lost one broker come back spread over some seconds, half of them within 3 s. A broker that is
	// not there costs nobody anything, so it is asked often. One that is there and does not let us in may be busy
	// with all the others.
	firstBound      = time.Second
	boundAway       = 8 * time.Second
	boundTurnedAway = 30 * time.Second

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

// A Subscription is what is asked for: a filter, and how it is to be kept. Its quality of service is at most
// what the broker has.
type Subscription = paho.SubscribeOptions

// Config is what a Link must know. The functions must not wait, but Began.
type Config struct {
	Broker         Broker
	Log            *limit.Logger
	Will           *Will         // nil: the broker says nothing once we are gone
	Session        time.Duration // how long the broker keeps messages for us while we are away; 0: it keeps none
	ReceiveMaximum uint16        // messages that the broker sends before the first of them is acknowledged, at most 1024
	Largest        uint32        // bytes of a packet that may come

	// MostUnacknowledged is how many messages may be unacknowledged before no more is read off the connection,
	// since mosquitto 2.0 does not keep to the receive maximum while it drains a queue. It is for connections
	// over which nothing is awaited but messages; 0: all that comes is read.
	MostUnacknowledged int

	Subscriptions []Subscription
	Retry         time.Duration // pause before the broker is asked again that does not grant them
	Access        string        // what the account must be allowed, for the log
	Apart         string        // how two clients of one id are told apart, for the log

	// Receive takes a message. ack acknowledges it to the broker, which sends no more than the receive
	// maximum without: what is not acknowledged bounds what comes. It may be called later, and from anywhere.
	Receive func(m Message, ack func())
	Attempt func()                                   // a connection is tried; nil: nobody need know
	Ready   func(ctx context.Context, c *Connection) // the subscriptions are granted; ctx ends with the connection
	Down    func()                                   // the connection has ended, be it that it was never ready
}

// A Will is what the broker publishes, retained, when it loses us.
type Will struct{ Topic, Payload string }

// A Link is the connection to the broker, over all its losses and returns.
//
// Lock order: Link.mu before Outbox.mu, for Ready and Down are called with the first held.
type Link struct {
	config    Config
	ctx       context.Context
	manager   *autopaho.ConnectionManager
	connected atomic.Int64           // connections so far
	patience  time.Duration          // how long the broker may take to acknowledge a message
	stream    atomic.Pointer[stream] // the way to the broker, the latest
	open      atomic.Bool            // the attempt under way has got as far as that
	pinger    *paho.DefaultPinger
	goodbye   atomic.Bool             // the broker knows that we go: it need not publish the will
	trying    atomic.Pointer[url.URL] // the address that was tried last, or is connected
	short     atomic.Int64            // how many of the last in a row were short
	turned    atomic.Bool             // something was there at the last attempt, and did not let us in

	mu       sync.Mutex // makes Ready and Down one with the state of the connection
	since    time.Time  // when the connection came up
	stayAway time.Time  // until when not to connect
	hangUp   context.CancelFunc
}

// Connect starts to connect and returns at once; the link goes on trying until ctx ends. An error means that
// it could not begin.
func Connect(ctx context.Context, config Config) (*Link, error) {
	l := newLink(ctx, config)
	return l, l.connect()
}

func newLink(ctx context.Context, config Config) *Link {
	return &Link{config: config, ctx: ctx, hangUp: func() {}, patience: ackPatience, pinger: paho.NewDefaultPinger()}
}

func (l *Link) connect() (err error) {
	var delivered deliveries
	debug := slog.NewLogLogger(l.config.Log.To().With("from", "paho").Handler(), slog.LevelDebug)
	config := autopaho.ClientConfig{
		ServerUrls:        l.config.Broker.URLs,
		TlsCfg:            l.config.Broker.TLS,
		KeepAlive:         keepAlive,
		ConnectUsername:   l.config.Broker.Username,
		ConnectPassword:   []byte(l.config.Broker.Password),
		ReconnectBackoff:  l.backoff,
		AttemptConnection: l.dialBroker,
		OnConnectionUp:    l.up,
		OnConnectionDown:  l.down,
		OnConnectError:    l.failed,
		Errors:            debug,
		PahoErrors:        debug,
		ConnectPacketBuilder: func(c *paho.Connect, u *url.URL) (*paho.Connect, error) {
			l.keepAway()
			l.trying.Store(u)
			if l.config.Attempt != nil {
				l.config.Attempt()
			}
			c.CleanStart = l.config.Session == 0
			c.Properties = &paho.ConnectProperties{MaximumPacketSize: &l.config.Largest, ReceiveMaximum: &l.config.ReceiveMaximum}
			if !c.CleanStart {
				seconds := uint32(l.config.Session / time.Second)
				c.Properties.SessionExpiryInterval = &seconds
			}
			return c, nil
		},
		// With this reason the broker publishes the will on a clean stop as well, if it did not hear from us
		// that we go.
		DisconnectPacketBuilder: func() *paho.Disconnect {
			if l.goodbye.Load() || l.config.Will == nil {
				return &paho.Disconnect{ReasonCode: packets.DisconnectNormalDisconnection}
			}
			return &paho.Disconnect{ReasonCode: packets.DisconnectDisconnectWithWillMessage}
		},
		ClientConfig: paho.ClientConfig{
			ClientID:      l.config.Broker.ClientID,
			PacketTimeout: time.Hour, // each call has a deadline of its own
			Session:       session{memory.NewInMemory()},
			PingHandler:   l.pinger,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){
				func(p paho.PublishReceived) (bool, error) {
					m := messageOf(p.Packet)
					m.Again = delivered.again(p.Client, p.Packet)
					connection := l.stream.Load()
					ack := func() {}
					if p.Packet.QoS == 1 {
						ack = connection.owe(p.Packet.PacketID)
					}
					l.config.Receive(m, ack)
					connection.handled()
					return true, nil
				},
			},
			OnServerDisconnect: l.thrownOut,
		},
	}
	if will := l.config.Will; will != nil {
		config.WillMessage = &paho.WillMessage{Topic: will.Topic, Payload: []byte(will.Payload), QoS: 1, Retain: true}
	}
	l.manager, err = autopaho.NewConnection(l.ctx, config)
	return err
}

// A session is package paho's, but for the acknowledgement of a message of QoS 1, which the stream sends. Paho's own way
// to send it later looks many times a second whether there is any.
type session struct{ *memory.State }

// Ack acknowledges what the stream does not.
func (s session) Ack(p *packets.Publish) error {
	if p.QoS == 1 {
		return nil
	}
	return s.State.Ack(p)
}

// Disconnect ends the link. goodbye says that everybody knows that we go, so that the broker does not publish
// the will.
func (l *Link) Disconnect(ctx context.Context, goodbye bool) error {
	l.goodbye.Store(goodbye)
	return l.manager.Disconnect(ctx)
}

// address returns where the broker is that was tried last.
func (l *Link) address() string {
	if u := l.trying.Load(); u != nil {
		return u.Redacted()
	}
	return l.config.Broker.String()
}

// backoff is the pause before an attempt: the first of all comes at once, the others after a
// random pause whose bound grows.
func (l *Link) backoff(attempt int) time.Duration {
	short := int(l.short.Load())
	if attempt == 0 && l.connected.Load() == 0 {
		return 0
	}
	most := boundAway
	if short > 0 || l.turned.Load() {
		most = boundTurnedAway
	}
	bound := firstBound
	for i := 0; i < attempt+short && bound < most; i++ {
		bound += bound / 2
	}
	bound = min(bound, most)
	return bound/4 + rand.N(bound*3/4)
}

// keepAway waits, where the broker has thrown us out for another client of our name.
func (l *Link) keepAway() {
	l.mu.Lock()
	pause := time.Until(l.stayAway)
	l.mu.Unlock()
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

func (l *Link) thrownOut(d *paho.Disconnect) {
	if d.ReasonCode == packets.DisconnectSessionTakenOver {
		l.mu.Lock()
		pause := l.postpone()
		l.mu.Unlock()
		l.config.Log.Log(slog.LevelError, "takeover", "another client has taken our client id, so the broker threw us out; "+l.config.Apart,
			"client_id", l.config.Broker.ClientID, "retry_in", pause.Round(time.Second))
		return
	}
	l.config.Log.Warn("disconnect", "the broker ended the connection", "reason", fmt.Sprintf("%02XH", d.ReasonCode))
}

// postpone makes the next attempt wait. The caller holds the lock.
func (l *Link) postpone() time.Duration {
	pause := stayAwayTakeover + rand.N(stayAwayTakeover/2)
	l.stayAway = time.Now().Add(pause)
	return pause
}

func (l *Link) failed(err error) {
	var refused *autopaho.ConnackError
	if errors.As(err, &refused) {
		l.turned.Store(true)
		reason, advice := refusalOf(refused.ReasonCode, refused.Reason)
		l.config.Log.Warn("connack "+l.address(), "the broker refuses the connection; trying again", "broker", l.address(), "reason", reason, "advice", advice)
		return
	}
	arguments := []any{"broker", l.address(), "err", err}
	open := l.open.Load()
	l.turned.Store(open || isHandshake(err))
	if advice := adviceFor(err, open); advice != "" {
		arguments = append(arguments, "advice", advice)
	}
	l.config.Log.Warn("connect "+l.address(), "cannot reach the broker; trying again", arguments...)
}

// refusalOf says why a broker does not let us in, by its reason code and its words, and what to do about it.
func refusalOf(code byte, words string) (reason, advice string) {
	advice = "see the broker's log"
	switch code {
	case packets.ConnackBadUsernameOrPassword, packets.ConnackNotAuthorized:
		advice = "check DLT645_MQTT_USERNAME and DLT645_MQTT_PASSWORD, and that the broker lets this client id in"
	case packets.ConnackUnsupportedProtocolVersion:
		advice = "the broker must speak MQTT 5"
	}
	return strings.TrimSpace(fmt.Sprintf("%02XH %s", code, words)), advice
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
	case open:
		return "something takes the connection and does not answer in MQTT 5: a broker may speak 3.1.1 only, the port may want mqtts://, or it is no broker"
	case errors.As(err, &authority):
		return "set DLT645_MQTT_CA_FILE to the certificate of the authority that signed the broker's"
	case errors.As(err, &name):
		return "write the broker's name into DLT645_MQTT_URL as it stands in the broker's certificate"
	}
	return ""
}

// up runs on each new connection: subscribe first, then say that we are there.
func (l *Link) up(m *autopaho.ConnectionManager, c *paho.Connack) {
	ctx, cancel := context.WithCancel(l.ctx)
	l.mu.Lock()
	l.since, l.hangUp = time.Now(), cancel
	l.mu.Unlock()
	l.connected.Add(1)
	l.turned.Store(false)
	connection := &Connection{link: l, manager: m, qos: 1}
	if p := c.Properties; p != nil && p.MaximumQoS != nil {
		connection.qos = min(connection.qos, *p.MaximumQoS)
	}
	if p := c.Properties; p != nil && p.MaximumPacketSize != nil {
		connection.largest = int(*p.MaximumPacketSize)
	}
	l.config.Log.Log(slog.LevelInfo, "connected", "connected to the broker", "broker", l.address())
	go l.subscribe(ctx, connection)
}

// subscribe asks for the subscriptions until the broker grants them.
func (l *Link) subscribe(ctx context.Context, c *Connection) {
	filter := l.config.Subscriptions[0].Topic
	for {
		asking, cancel := context.WithTimeout(ctx, subscribeTimeout)
		granted, err := c.subscribe(asking, l.config.Subscriptions)
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
		l.config.Log.Log(slog.LevelError, "subscribe", "the broker does not grant the subscription; trying again", "filter", filter, "err", err, "retry_in", l.config.Retry,
			"advice", l.config.Access)
		timer := time.NewTimer(l.config.Retry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() != nil {
		return // the connection went while the broker answered
	}
	l.config.Ready(ctx, c)
}

func (l *Link) down() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangUp()
	l.config.Down()
	if l.ctx.Err() != nil {
		return true
	}
	l.config.Log.Warn("lost", "lost the connection to the broker; reconnecting")
	if time.Since(l.since) > shortLife {
		l.short.Store(0)
		return true
	}
	// Not every broker says why. Two bridges of one name would throw each other out again and again.
	if l.short.Add(1) >= shortLives {
		l.config.Log.Log(slog.LevelError, "short", "the broker ends each connection at once; perhaps another client has our client id; "+l.config.Apart,
			"client_id", l.config.Broker.ClientID, "retry_in", l.postpone().Round(time.Second))
	}
	return true
}

// A Connection is one connection of a link. It is used until the context ends that came with it.
type Connection struct {
	link    *Link
	manager *autopaho.ConnectionManager
	qos     byte // the best that the broker has, at most 1
	largest int  // bytes of a packet that the broker takes; 0: any
}

// Subscribe asks for more; an error says what the broker does not grant, or that it has not answered.
func (c *Connection) Subscribe(ctx context.Context, subscriptions ...Subscription) error {
	_, err := c.subscribe(ctx, subscriptions)
	return err
}

func (c *Connection) subscribe(ctx context.Context, subscriptions []Subscription) (*paho.Suback, error) {
	asked := slices.Clone(subscriptions)
	for i := range asked {
		asked[i].QoS = min(asked[i].QoS, c.qos)
	}
	return c.manager.Subscribe(ctx, &paho.Subscribe{Subscriptions: asked})
}

// Unsubscribe asks for no more of what comes to a filter.
func (c *Connection) Unsubscribe(ctx context.Context, filter string) error {
	_, err := c.manager.Unsubscribe(ctx, &paho.Unsubscribe{Topics: []string{filter}})
	return err
}

// Publish sends one message and waits for the broker's acknowledgement, as a [Publisher]. A connection on which
// that does not come is ended, so that the message can be sent again over another one.
func (c *Connection) Publish(connection context.Context, m Outgoing) (final bool, err error) {
	if size := m.Size(); c.largest > 0 && size > c.largest {
		return true, fmt.Errorf("%w: %d bytes, of %d", ErrTooLarge, size, c.largest)
	}
	properties := &paho.PublishProperties{ContentType: m.ContentType, CorrelationData: m.Correlation, ResponseTopic: m.ResponseTopic}
	if m.Expiry > 0 {
		seconds := uint32((m.Expiry + time.Second - 1) / time.Second)
		properties.MessageExpiry = &seconds
	}
	if m.ContentType != Bytes {
		text := byte(1)
		properties.PayloadFormat = &text
	}
	qos := c.qos
	if m.Kind == Fleeting {
		qos = 0
	}
	ctx, cancel := context.WithTimeout(connection, c.link.patience)
	defer cancel()
	response, err := c.manager.Publish(ctx, &paho.Publish{
		Topic: m.Topic, Payload: m.Payload, QoS: qos, Retain: m.Kind.Retained(), Properties: properties,
	})
	switch {
	case err != nil && response != nil && response.ReasonCode >= leastError:
		const quotaExceeded = 0x97
		err = fmt.Errorf("%w (%02XH)", err, response.ReasonCode)
		if response.ReasonCode != quotaExceeded {
			return true, err
		}
		return false, fmt.Errorf("%w: %w", ErrNotNow, err)
	case ctx.Err() != nil && connection.Err() == nil && qos > 0:
		c.link.config.Log.Log(slog.LevelError, "not acknowledged", "the broker does not acknowledge a message; connecting anew", "topic", limit.Cut(m.Topic, mostLogged), "waited", c.link.patience)
		c.manager.TerminateConnectionForTest() // nothing else closes a connection that is to come back
	}
	return errors.Is(err, paho.ErrInvalidArguments), err
}

// leastError is the least reason code that is an error.
const leastError = 0x80

// The errors of [Connection.Send] after which nobody has the message.
var (
	ErrDown     = errors.New("there is no connection to the broker")
	ErrNotTaken = errors.New("the broker does not take the message")
	ErrNobody   = errors.New("nobody listens to the topic")
)

// Send publishes a message once, which is of use for as long as validity, and has its answer sent to a topic.
// After any other error than those above nobody knows whether the message has arrived.
func (c *Connection) Send(ctx context.Context, m Outgoing, answer string, validity time.Duration, properties UserProperties) error {
	seconds := uint32(max(1, (validity+time.Second-1)/time.Second))
	response, err := c.manager.Publish(ctx, &paho.Publish{Topic: m.Topic, QoS: c.qos, Payload: m.Payload, Properties: &paho.PublishProperties{
		ContentType: m.ContentType, ResponseTopic: answer, MessageExpiry: &seconds, User: properties,
	}})
	const nobodySubscribed = 0x10
	switch {
	case errors.Is(err, autopaho.ConnectionDownError):
		return ErrDown
	case response != nil && response.ReasonCode >= leastError:
		return fmt.Errorf("%w (%02XH)", ErrNotTaken, response.ReasonCode)
	case response != nil && response.ReasonCode == nobodySubscribed:
		return ErrNobody
	}
	return err
}
