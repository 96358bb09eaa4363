// Package fleet sees the bridges of one or many sites at a broker, and asks many of them the same. It speaks with them
// over MQTT as any client does, may do what the broker lets its account do, and keeps nothing.
package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/mqtt"
)

const (
	largest          = 1 << 20 // bytes of a message, for us and for a bridge: a point table may be as long
	receiveMaximum   = 1024
	subscribeRetry   = 10 * time.Second
	goodbyePatience  = 2 * time.Second
	filtersAtOnce    = 200 // in one packet: some brokers take no long ones
	subscribeTimeout = 30 * time.Second

	// The broker does not say when all that is retained has come: so long nothing more does.
	quiet = time.Second
)

// ErrNoAnswer says that a bridge has not answered in time. Whether it has got the request is not known.
var ErrNoAnswer = errors.New("no answer")

// A Config says where the bridges are.
type Config struct {
	Broker  mqtt.Broker
	Account string   // replies come under this name, {root}/reply/{account}/…
	Roots   []string // roots of bridges, or filters such as + and +/+
	Log     *slog.Logger

	// Listen is how long at most to listen to what bridges say themselves, besides what the broker keeps of them: nodes of
	// a cluster need not keep the same.
	Listen time.Duration
}

// A Bridge is what one bridge says of itself.
type Bridge struct {
	Root   string
	Online bool            // by bridge/status, or by a bridge/info that has just been published
	Info   *Info           // nil: bridge/info has not come
	Raw    json.RawMessage // bridge/info as it came
}

// Info is what is used of bridge/info.
type Info struct {
	Version  string    `json:"version"`
	Started  time.Time `json:"started"`
	Host     string    `json:"host"`
	Site     string    `json:"site"`
	Table    string    `json:"table"` // hash of the point table in force
	Counters struct {
		Replies, Commands, Errors uint64
	} `json:"counters"`
	Bus struct {
		URL, State string
	} `json:"bus"`
	Meters []MeterInfo `json:"meters"`
}

// A MeterInfo is one of bridge/info.
type MeterInfo struct {
	Name   string `json:"name"`
	Online bool   `json:"online"`
}

// OnlineMeters returns how many of the meters are there.
func (i *Info) OnlineMeters() (n int) {
	for _, m := range i.Meters {
		if m.Online {
			n++
		}
	}
	return n
}

// A Fleet is the connection to the broker of all.
type Fleet struct {
	config Config
	token  string // no other client has the same replies
	link   *mqtt.Link
	cancel context.CancelFunc
	ready  chan struct{} // closed once all is subscribed
	once   sync.Once

	mu         sync.Mutex
	connection *mqtt.Connection // nil: there is none
	ctx        context.Context  // of the connection
	refused    error            // what the broker does not let us see
	bridges    map[string]*Bridge
	heard      chan struct{}            // has something if a bridge has said something
	waiting    map[string]chan<- []byte // for replies, by their correlation
	asked      int
}

// Open connects and subscribes. It returns once the broker has granted that, or an error once ctx ends.
func Open(ctx context.Context, config Config) (*Fleet, error) {
	f := &Fleet{
		config: config, token: "fleet-" + strings.ToLower(rand.Text()[:8]), ready: make(chan struct{}),
		bridges: map[string]*Bridge{}, heard: make(chan struct{}, 1), waiting: map[string]chan<- []byte{},
	}
	config.Broker.ClientID = "dlt645-mqtt-" + f.token
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel = cancel
	var err error
	f.link, err = mqtt.Connect(running, mqtt.Config{
		Broker: config.Broker, Log: limit.New(config.Log), ReceiveMaximum: receiveMaximum, Largest: largest,
		Subscriptions: []mqtt.Subscription{f.replies(config.Roots[0])},
		Retry:         subscribeRetry,
		Access:        "the account must be allowed to read {root}/reply/" + config.Account + "/#",
		Apart:         "try again",
		Receive:       f.receive,
		Ready:         func(ctx context.Context, c *mqtt.Connection) { go f.subscribe(ctx, c) },
		Down:          f.down,
	})
	if err != nil {
		cancel()
		return nil, err
	}
	select {
	case <-f.ready:
	case <-ctx.Done():
		f.Close() // it waits, so that nothing is logged any more
		return nil, fmt.Errorf("the broker %s cannot be used: %w", config.Broker.String(), ctx.Err())
	}
	f.mu.Lock()
	refused := f.refused
	f.mu.Unlock()
	if refused != nil {
		f.Close()
		return nil, refused
	}
	return f, nil
}

// Close ends the connection.
func (f *Fleet) Close() {
	defer f.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), goodbyePatience)
	defer cancel()
	_ = f.link.Disconnect(ctx, true)
}

// replies is what to subscribe to for the replies of bridges.
func (f *Fleet) replies(root string) mqtt.Subscription {
	return mqtt.Subscription{Topic: root + "/reply/" + f.config.Account + "/" + f.token, QoS: 1}
}

// subscribe asks for all there is of the bridges.
func (f *Fleet) subscribe(ctx context.Context, c *mqtt.Connection) {
	var all []mqtt.Subscription
	for _, root := range f.config.Roots {
		all = append(all, f.replies(root),
			mqtt.Subscription{Topic: root + "/bridge/status", QoS: 1}, mqtt.Subscription{Topic: root + "/bridge/info", QoS: 1})
	}
	var err error
	for some := range slices.Chunk(all, filtersAtOnce) {
		asking, cancel := context.WithTimeout(ctx, subscribeTimeout)
		err = c.Subscribe(asking, some...)
		cancel()
		if err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return // the next connection asks again
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.refused = fmt.Errorf("the broker does not let this account see the bridges: it must be allowed to read bridge/status, bridge/info and reply/%s/# under each root; brokers that judge filters by themselves, as RabbitMQ does, want the roots by name: %w", f.config.Account, err)
	}
	f.connection, f.ctx = c, ctx
	f.once.Do(func() { close(f.ready) })
}

func (f *Fleet) down() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connection = nil
}

// receive takes what bridges say, and their replies.
func (f *Fleet) receive(m mqtt.Message, ack func()) {
	defer ack()
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.ContainsFunc(m.Topic, unicode.IsControl) {
		return // no bridge has such a root, and it would be shown
	}
	if root, ok := strings.CutSuffix(m.Topic, "/bridge/status"); ok {
		f.bridge(root).Online = string(m.Payload) == "online"
	} else if root, ok := strings.CutSuffix(m.Topic, "/bridge/info"); ok {
		var info Info
		if err := json.Unmarshal(m.Payload, &info); err != nil {
			f.config.Log.Warn("what a bridge says of itself cannot be read", "topic", m.Topic, "err", err)
			return
		}
		b := f.bridge(root)
		if !m.Retain {
			b.Online = true
		}
		b.Info, b.Raw = &info, slices.Clone(m.Payload)
	} else {
		if reply := f.waiting[string(m.Correlation)]; reply != nil {
			delete(f.waiting, string(m.Correlation))
			reply <- slices.Clone(m.Payload)
		}
		return
	}
	select {
	case f.heard <- struct{}{}:
	default:
	}
}

// bridge returns what is known of a bridge. The caller holds the lock.
func (f *Fleet) bridge(root string) *Bridge {
	b := f.bridges[root]
	if b == nil {
		b = &Bridge{Root: root}
		f.bridges[root] = b
	}
	return b
}

// Bridges waits until no more bridges say what they are, at most until ctx ends, and returns them by their roots. A root
// that is no filter has a bridge even if none has said anything.
func (f *Fleet) Bridges(ctx context.Context) []Bridge {
	listen := time.NewTimer(f.config.Listen)
	defer listen.Stop()
	for more := true; more && !f.complete(); {
		timer := time.NewTimer(quiet)
		silent := timer.C
		if f.config.Listen > 0 {
			silent = listen.C
		}
		select {
		case <-f.heard:
		case <-silent:
			more = false
		case <-ctx.Done():
			more = false
		}
		timer.Stop()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, root := range f.config.Roots {
		if !isFilter(root) {
			f.bridge(root)
		}
	}
	var all []Bridge
	for _, b := range f.bridges {
		all = append(all, *b)
	}
	slices.SortFunc(all, func(a, b Bridge) int { return cmp.Compare(a.Root, b.Root) })
	return all
}

// complete reports whether every bridge has said what it is; where there are filters nobody knows.
func (f *Fleet) complete() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, root := range f.config.Roots {
		if b := f.bridges[root]; isFilter(root) || b == nil || b.Info == nil || !b.Online {
			return false
		}
	}
	return true
}

// isFilter reports whether a root stands for several.
func isFilter(root string) bool { return strings.ContainsAny(root, "+#") }

// Ask sends a request, {root}/request/{tail}, and returns the reply. The request is worth nothing after ctx, and the
// broker and the bridge are told so. The error is [ErrNoAnswer], or says why the request was not sent.
func (f *Fleet) Ask(ctx context.Context, root, tail string, payload []byte) ([]byte, error) {
	reply := make(chan []byte, 1)
	f.mu.Lock()
	c, connection := f.connection, f.ctx
	f.asked++
	correlation := f.token + "-" + strconv.Itoa(f.asked)
	f.waiting[correlation] = reply
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.waiting, correlation)
	}()
	if c == nil {
		return nil, errors.New("there is no connection to the broker")
	}
	m := mqtt.Outgoing{
		Topic: root + "/request/" + tail, Payload: payload, ContentType: mqtt.JSON, Correlation: []byte(correlation),
		ResponseTopic: f.replies(root).Topic,
	}
	if size := m.Size(); size > largest {
		return nil, fmt.Errorf("the request has %d bytes, and a bridge takes no more than %d", size, largest)
	}
	if deadline, ok := ctx.Deadline(); ok {
		m.Expiry = time.Until(deadline)
	}
	sending, cancel := context.WithCancel(connection)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	if _, err := c.Publish(sending, m); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: the broker has not taken the request", ErrNoAnswer)
		}
		if connection.Err() != nil {
			return nil, fmt.Errorf("%w: the connection to the broker was lost before it had taken the request", ErrNoAnswer)
		}
		return nil, fmt.Errorf("the broker does not take the request: %w", err)
	}
	select {
	case payload := <-reply:
		return payload, nil
	case <-ctx.Done():
		return nil, ErrNoAnswer
	}
}

// Each calls f for each of some, at most so many at a time, and returns when all are done.
func Each[T any](some []T, most int, f func(i int, one T)) {
	turns := make(chan struct{}, most)
	var all sync.WaitGroup
	for i, one := range some {
		turns <- struct{}{}
		all.Go(func() {
			defer func() { <-turns }()
			f(i, one)
		})
	}
	all.Wait()
}
