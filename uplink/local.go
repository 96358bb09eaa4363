package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

const (
	// receiveMaximum is how many messages the broker gives us before the first is acknowledged.
	// All others are its to keep.
	receiveMaximum = 256

	// sessionExpiry is how long the broker keeps messages for an uplink that is away.
	sessionExpiry = 7 * 24 * 3600

	acksInterval     = 100 * time.Millisecond
	localKeepAlive   = 30
	localPatience    = 10 * time.Second
	localBackoffMost = 30 * time.Second
)

// A letter is a message of a bridge that the cloud does not have yet.
type letter struct {
	root  string
	meter string
	kind  string // state or event
	data  []byte
	ack   func() // tells the broker that it is done with
}

// local is the side of the local broker: a connection whose session the broker keeps, for data,
// and one without, for what must never be old: availability, calls and their replies.
type local struct {
	*Uplink
	data, calls *autopaho.ConnectionManager
	dataUp      atomic.Bool
	callsUp     atomic.Bool

	mu      sync.Mutex
	inbox   []letter
	arrived chan struct{} // has one in it when the inbox is not empty
	replies map[string]chan []byte
	number  uint64
}

func newLocal(u *Uplink) *local {
	return &local{Uplink: u, arrived: make(chan struct{}, 1), replies: map[string]chan []byte{}}
}

// account is the level under which replies come that nobody else may read.
func (l *local) account() string {
	if l.config.Local.Username != "" {
		return l.config.Local.Username
	}
	return "uplink"
}

// connect starts both connections; they come back for ever by themselves.
func (l *local) connect(ctx context.Context) (err error) {
	var data, calls []paho.SubscribeOptions
	for _, root := range l.config.Roots {
		// Retained states come with a new session only, or each connection would repeat them all.
		data = append(data,
			paho.SubscribeOptions{Topic: root + "/meter/+/state", QoS: 1, RetainHandling: 1},
			paho.SubscribeOptions{Topic: root + "/meter/+/event", QoS: 1, RetainHandling: 1})
		calls = append(calls,
			paho.SubscribeOptions{Topic: root + "/meter/+/availability", QoS: 1},
			paho.SubscribeOptions{Topic: root + "/bridge/status", QoS: 1},
			paho.SubscribeOptions{Topic: root + "/reply/" + l.account() + "/#", QoS: 1})
	}
	if l.data, err = l.open(ctx, l.config.Local.ClientID, sessionExpiry, data, l.receiveData, &l.dataUp, l.purge); err != nil {
		return err
	}
	l.calls, err = l.open(ctx, l.config.Local.ClientID+"-calls", 0, calls, l.receiveCall, &l.callsUp, func() {})
	return err
}

// open starts one connection. began is called when a new one is there, before any message of it.
func (l *local) open(ctx context.Context, clientID string, expiry uint32, subscriptions []paho.SubscribeOptions,
	receive func(paho.PublishReceived), up *atomic.Bool, began func(),
) (*autopaho.ConnectionManager, error) {
	largest, quota := uint32(1<<20), uint16(receiveMaximum)
	debug := slog.NewLogLogger(l.log.With("from", "paho").Handler(), slog.LevelDebug)
	return autopaho.NewConnection(ctx, autopaho.ClientConfig{
		ServerUrls: l.config.Local.URLs, TlsCfg: l.config.Local.TLS, KeepAlive: localKeepAlive,
		ConnectUsername: l.config.Local.Username, ConnectPassword: []byte(l.config.Local.Password),
		CleanStartOnInitialConnection: false, SessionExpiryInterval: expiry,
		ReconnectBackoff: func(attempt int) time.Duration {
			if attempt == 0 {
				return 0
			}
			bound := min(time.Second<<min(attempt, 10), localBackoffMost)
			return bound/4 + rand.N(bound*3/4)
		},
		ConnectPacketBuilder: func(c *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			began()
			c.CleanStart = expiry == 0
			c.Properties = &paho.ConnectProperties{MaximumPacketSize: &largest, ReceiveMaximum: &quota, SessionExpiryInterval: &expiry}
			return c, nil
		},
		OnConnectionUp: func(m *autopaho.ConnectionManager, _ *paho.Connack) {
			go l.subscribe(ctx, m, clientID, subscriptions, up)
		},
		OnConnectionDown: func() bool {
			up.Store(false)
			if ctx.Err() == nil {
				l.log.Warn("lost the connection to the local broker; reconnecting", "client_id", clientID)
			}
			return true
		},
		OnConnectError: func(err error) {
			l.metrics.limited(l.log, "connect "+clientID, "cannot reach the local broker; trying again", "broker", l.config.Local.String(), "err", err)
		},
		Errors: debug, PahoErrors: debug,
		ClientConfig: paho.ClientConfig{
			ClientID: clientID, PacketTimeout: localPatience, EnableManualAcknowledgment: true, SendAcksInterval: acksInterval,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				receive(p)
				return true, nil
			}},
		},
	})
}

// subscribe asks until the broker grants it, for an account may be given its rights later.
func (l *local) subscribe(ctx context.Context, m *autopaho.ConnectionManager, clientID string, subscriptions []paho.SubscribeOptions, up *atomic.Bool) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, localPatience)
		_, err := m.Subscribe(asking, &paho.Subscribe{Subscriptions: subscriptions})
		cancel()
		if err == nil {
			up.Store(true)
			l.log.Info("connected to the local broker", "broker", l.config.Local.String(), "client_id", clientID)
			return
		}
		if errors.Is(err, autopaho.ConnectionDownError) {
			return
		}
		l.metrics.limited(l.log, "subscribe "+clientID, "the local broker does not grant the subscriptions; trying again", "err", err,
			"advice", "the account must be allowed to read meter/#, bridge/status and reply/"+l.account()+"/# under each of DLT645_UPLINK_ROOTS")
		timer := time.NewTimer(localPatience)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (l *local) disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, m := range []*autopaho.ConnectionManager{l.data, l.calls} {
		_ = m.Disconnect(ctx)
	}
}

// purge drops what waits of an earlier connection: the broker sends it again.
func (l *local) purge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = nil
}

func (l *local) receiveData(p paho.PublishReceived) {
	ack := func() { _ = p.Client.Ack(p.Packet) } // it fails if the connection has ended
	root, rest, ok := l.root(p.Packet.Topic)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || parts[0] != "meter" || parts[2] != "state" && parts[2] != "event" {
		ack()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.inbox) >= receiveMaximum { // beyond the quota only what has QoS 0
		l.metrics.dropped.Inc()
		ack()
		return
	}
	l.inbox = append(l.inbox, letter{root, parts[1], parts[2], p.Packet.Payload, ack})
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// collect returns all that waits.
func (l *local) collect() []letter {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.inbox
	l.inbox = nil
	return all
}

func (l *local) receiveCall(p paho.PublishReceived) {
	defer func() { _ = p.Client.Ack(p.Packet) }()
	root, rest, ok := l.root(p.Packet.Topic)
	if !ok {
		return
	}
	parts := strings.Split(rest, "/")
	switch {
	case rest == "bridge/status":
		l.presence.bridge(root, string(p.Packet.Payload) == "online")
	case len(parts) == 3 && parts[0] == "meter" && parts[2] == "availability":
		l.presence.meter(meterID{root, parts[1]}, string(p.Packet.Payload))
	case parts[0] == "reply":
		l.mu.Lock()
		waiting := l.replies[p.Packet.Topic]
		l.mu.Unlock()
		select {
		case waiting <- p.Packet.Payload: // never on a nil channel: nobody waits for it
		default:
		}
	}
}

var errAway = errors.New("the local broker is away; nothing was sent")

// errSilent means that a request went out and nobody answered: it may have been carried out.
var errSilent = errors.New("the bridge has not answered")

// ask sends a request to a bridge, once, and waits for its reply. validity is how long it may be
// on its way.
func (l *local) ask(ctx context.Context, root, tail string, body any, validity time.Duration, cloud string) ([]byte, error) {
	payload, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	reply := make(chan []byte, 1)
	l.mu.Lock()
	l.number++
	topic := root + "/reply/" + l.account() + "/" + strconv.FormatUint(l.number, 10)
	l.replies[topic] = reply
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.replies, topic)
		l.mu.Unlock()
	}()
	if !l.callsUp.Load() {
		return nil, errAway
	}
	seconds := uint32(max(1, (validity+time.Second-1)/time.Second))
	sending, cancel := context.WithTimeout(ctx, localPatience)
	defer cancel()
	properties := &paho.PublishProperties{ResponseTopic: topic, MessageExpiry: &seconds, ContentType: "application/json"}
	properties.User.Add("via", "uplink")
	properties.User.Add("cloud", cloud)
	response, err := l.calls.Publish(sending, &paho.Publish{Topic: root + "/request/" + tail, QoS: 1, Payload: payload, Properties: properties})
	switch {
	case errors.Is(err, autopaho.ConnectionDownError):
		return nil, errAway
	case response != nil && response.ReasonCode >= 0x80:
		return nil, fmt.Errorf("the local broker does not take the request (%02XH): %w", response.ReasonCode, errNotSent)
	case response != nil && response.ReasonCode == 0x10: // nobody subscribes
		return nil, fmt.Errorf("no bridge listens under %s: %w", root, errNotSent)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errSilent, err)
	}
	select {
	case answer := <-reply:
		return answer, nil
	case <-ctx.Done():
		return nil, errSilent
	}
}

// errNotSent marks errors after which it is sure that nothing was done.
var errNotSent = errors.New("nothing was sent")
