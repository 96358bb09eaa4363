package uplink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/mqtt"
)

const (
	// receiveMaximum is how many messages the broker gives us before the first is acknowledged.
	// All others are its to keep.
	receiveMaximum = 256

	// mostUnacknowledged is how many wait here before no more are read off the connection: mosquitto
	// gives us more than that maximum, the longer it drains a queue.
	mostUnacknowledged = 2 * receiveMaximum

	// sessionExpiry is how long the broker keeps messages for an uplink that is away.
	sessionExpiry = 7 * 24 * time.Hour

	largestPacket = 1 << 20
	localPatience = 10 * time.Second
)

// A bridgeMessage is a message of a bridge that the cloud does not have yet.
type bridgeMessage struct {
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
	links   []*mqtt.Link                    // of data and calls
	dataUp  atomic.Pointer[mqtt.Connection] // nil: it is not there
	callsUp atomic.Pointer[mqtt.Connection]

	mu      sync.Mutex
	inbox   []bridgeMessage
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

// connect starts both connections; each comes back by itself whenever it is lost.
func (l *local) connect(ctx context.Context) error {
	var data, calls []mqtt.Subscription
	for _, root := range l.config.Roots {
		// Retained states come with a new session only, or each connection would repeat them all.
		data = append(data,
			mqtt.Subscription{Topic: root + "/meter/+/state", QoS: 1, RetainHandling: 1},
			mqtt.Subscription{Topic: root + "/meter/+/event", QoS: 1, RetainHandling: 1})
		calls = append(calls,
			mqtt.Subscription{Topic: root + "/meter/+/availability", QoS: 1},
			mqtt.Subscription{Topic: root + "/bridge/status", QoS: 1},
			mqtt.Subscription{Topic: root + "/reply/" + l.account() + "/#", QoS: 1})
	}
	first, err := l.open(ctx, l.config.Local.ClientID, sessionExpiry, mostUnacknowledged, data, l.receiveData, &l.dataUp, l.purge)
	if err != nil {
		return err
	}
	second, err := l.open(ctx, l.config.Local.ClientID+"-calls", 0, 0, calls, l.receiveCall, &l.callsUp, nil)
	l.links = []*mqtt.Link{first, second}
	return err
}

// open starts one connection. attempt is called when a new one is tried, before any message of it.
func (l *local) open(ctx context.Context, clientID string, session time.Duration, most int, subscriptions []mqtt.Subscription,
	receive func(mqtt.Message, func()), up *atomic.Pointer[mqtt.Connection], attempt func(),
) (*mqtt.Link, error) {
	broker := l.config.Local
	broker.ClientID = clientID
	log := l.log.With("client_id", clientID)
	return mqtt.Connect(ctx, mqtt.Config{
		Broker: broker, Log: limit.New(log), Session: session, ReceiveMaximum: receiveMaximum, MostUnacknowledged: most, Largest: largestPacket,
		Subscriptions: subscriptions, Retry: localPatience,
		Access:  "the account must be allowed to read meter/#, bridge/status and reply/" + l.account() + "/# under each of DLT645_UPLINK_ROOTS",
		Apart:   "is a second uplink running with this client id? give each its own DLT645_MQTT_CLIENT_ID",
		Receive: receive,
		Attempt: attempt,
		Ready: func(_ context.Context, c *mqtt.Connection) {
			up.Store(c)
			log.Info("the local broker has granted the subscriptions", "broker", broker.String())
		},
		Down: func() { up.Store(nil) },
	})
}

func (l *local) disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, link := range l.links {
		_ = link.Disconnect(ctx, true)
	}
}

// purge drops what waits of an earlier connection: the broker sends it again.
func (l *local) purge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = nil
}

func (l *local) receiveData(m mqtt.Message, ack func()) {
	root, rest, ok := l.root(m.Topic)
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 || parts[0] != "meter" || parts[2] != "state" && parts[2] != "event" {
		ack()
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inbox = append(l.inbox, bridgeMessage{root, parts[1], parts[2], m.Payload, ack})
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

// collect returns all that waits.
func (l *local) collect() []bridgeMessage {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.inbox
	l.inbox = nil
	return all
}

func (l *local) receiveCall(m mqtt.Message, ack func()) {
	defer ack()
	root, rest, ok := l.root(m.Topic)
	if !ok {
		return
	}
	parts := strings.Split(rest, "/")
	switch {
	case rest == "bridge/status":
		l.presence.bridge(root, string(m.Payload) == "online")
	case len(parts) == 3 && parts[0] == "meter" && parts[2] == "availability":
		l.presence.meter(meterID{root, parts[1]}, string(m.Payload))
	case parts[0] == "reply":
		l.mu.Lock()
		waiting := l.replies[m.Topic]
		l.mu.Unlock()
		select {
		case waiting <- m.Payload: // never on a nil channel: nobody waits for it
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
	connection := l.callsUp.Load()
	if connection == nil {
		return nil, errAway
	}
	sending, cancel := context.WithTimeout(ctx, localPatience)
	defer cancel()
	var properties mqtt.UserProperties
	properties.Add("via", "uplink")
	properties.Add("cloud", cloud)
	request := mqtt.Outgoing{Topic: root + "/request/" + tail, Payload: payload, ContentType: mqtt.JSON}
	switch err := connection.Send(sending, request, topic, validity, properties); {
	case errors.Is(err, mqtt.ErrDown):
		return nil, errAway
	case errors.Is(err, mqtt.ErrNotTaken):
		return nil, fmt.Errorf("the local broker does not take the request: %w: %w", err, errNotSent)
	case errors.Is(err, mqtt.ErrNobody):
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
