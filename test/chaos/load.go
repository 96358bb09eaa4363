//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/simulator"
)

const (
	loadRoot = "load"
	loadBaud = 2400

	// brokerDropped is where mosquitto tells how many messages it has given up.
	brokerDropped = "$SYS/broker/publish/messages/dropped"

	// loadTTL is how long a request of the flood may wait: what the bus cannot carry by then has
	// expired.
	loadTTL = 20 * time.Second

	// mostResident is the memory that a bridge may take under any load: its queues are bounded.
	mostResident = 128 << 20
)

// A load asks more of a bridge than its bus can carry, from many clients at once, and looks at
// what becomes of the requests, of the bridge's memory, and of those who have something urgent
// to do. Nothing else goes wrong.
type load struct {
	options
	account *account
	line    *simulator.Bus
	broker  *broker
	bridge  *process
	http    string
	mu      sync.Mutex
	most    sample
	dropped atomic.Int64 // messages that the broker gave up, since too many waited for a client
}

// An account tells which requests have had their reply. Its methods may be called from many
// goroutines.
type account struct {
	mu       sync.Mutex
	asked    map[string]question // without reply yet, by correlation data
	strange  []string            // replies to nobody, second ones, and what cannot be
	outcomes map[string][]time.Duration
	queued   []time.Duration // of relay commands, as their replies say
	advice   []time.Duration // when to try again, told to those who were turned away
}

// A question is a request that has no reply yet.
type question struct {
	at      time.Time
	outcome chan string // gets what became of it
}

func (a *account) ask(key string) question {
	q := question{time.Now(), make(chan string, 1)}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked[key] = q
	return q
}

func (a *account) arrive(p *paho.Publish) {
	key := string(p.Properties.CorrelationData)
	var more struct {
		Error struct {
			RetryAfterMS int64 `json:"retry_after_ms"`
		}
		Bus struct {
			QueuedMS int64 `json:"queued_ms"`
		}
	}
	r, err := parseReply(p.Payload)
	if err == nil {
		err = json.Unmarshal(p.Payload, &more)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	asked, ok := a.asked[key]
	delete(a.asked, key)
	if !ok && err == nil {
		err = errors.New("nobody waits for this reply")
	}
	if err != nil {
		a.strange = append(a.strange, fmt.Sprintf("%v: %s", err, p.Payload))
		return
	}
	outcome := r.verb() + " " + r.outcome()
	asked.outcome <- outcome
	a.outcomes[outcome] = append(a.outcomes[outcome], time.Since(asked.at))
	if r.Request == "relay" && r.Error == nil {
		a.queued = append(a.queued, time.Duration(more.Bus.QueuedMS)*time.Millisecond)
	}
	if r.outcome() == "busy" {
		a.advice = append(a.advice, time.Duration(more.Error.RetryAfterMS)*time.Millisecond)
	}
}

// open returns how many requests have no reply yet.
func (a *account) open() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// total returns the replies so far.
func (a *account) total() (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, waits := range a.outcomes {
		n += len(waits)
	}
	return n
}

// run puts the load on and reports whether the bridge bore it.
func (l *load) run(ctx context.Context, out io.Writer) (ok bool, err error) {
	l.account = &account{asked: map[string]question{}, outcomes: map[string][]time.Duration{}}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer l.cleanUp()
	if err := l.setUp(ctx); err != nil {
		return false, err
	}
	var clients []*loader
	for n := range l.clients {
		c, err := l.newLoader(ctx, fmt.Sprint(n), l.seed+uint64(n))
		if err != nil {
			return false, err
		}
		clients = append(clients, c)
	}
	urgent, err := l.newLoader(ctx, "urgent", l.seed)
	if err != nil {
		return false, err
	}
	late, err := l.newLoader(ctx, "late", l.seed)
	if err != nil {
		return false, err
	}
	select {
	case <-late.online:
	case <-time.After(patience):
		return false, fmt.Errorf("the bridge does not come to the broker; its last words are %s", l.bridge.lastWords())
	}
	if _, _, err := late.getIn(ctx); err != nil { // the bridge listens before it asks anybody
		return false, err
	}
	idle, err := measure(ctx, l.http)
	if err != nil {
		return false, err
	}

	flooding, over := context.WithTimeout(ctx, l.duration)
	var all sync.WaitGroup
	for _, c := range clients {
		all.Go(func() { c.flood(flooding, l.rate/float64(l.clients)) })
	}
	all.Go(func() { urgent.switchNow(flooding) })
	watching, enough := context.WithCancel(ctx)
	defer enough()
	go l.watch(watching)
	begin := time.Now()
	<-flooding.Done()
	over()
	all.Wait()
	took, loaded := time.Since(begin), l.account.total()
	published := 0
	for _, c := range clients {
		published += c.sent
	}
	busy, err := measure(ctx, l.http)
	if err != nil {
		return false, err
	}

	taken, answered, err := late.getIn(ctx)
	if err != nil {
		return false, err
	}
	lost := l.awaitReplies(ctx)
	after, err := measure(ctx, l.http)
	if err != nil {
		return false, err
	}
	enough()
	stopped := l.bridge.stop(patience)

	l.mu.Lock()
	defer l.mu.Unlock()
	row := func(what string, value any) { fmt.Fprintf(out, "| %s | %v |\n", what, value) }
	fmt.Fprint(out, "\n| what | |\n| --- | --- |\n")
	row("clients, requests a second asked for, duration", fmt.Sprintf("%d, %.0f, %s", l.clients, l.rate, l.duration))
	row("requests published", fmt.Sprintf("%d, %.0f a second", published, float64(published)/took.Seconds()))
	row("replies while the load lasted", fmt.Sprintf("%d, %.0f a second", loaded, float64(loaded)/took.Seconds()))
	row("given up by the broker, whose queues were full", l.dropped.Load())
	row("replies lost", lost)
	row("replies doubled or wrong", len(l.account.strange))
	for _, outcome := range slices.Sorted(maps.Keys(l.account.outcomes)) {
		row(outcome, spread(l.account.outcomes[outcome]))
	}
	row("relay commands, in the bridge's queue", spread(l.account.queued))
	row("what the busy were told to wait", spread(l.account.advice))
	row("after the load, until a read was not turned away, and until it was answered", fmt.Sprintf("%s, %s", taken.Round(time.Millisecond), answered.Round(time.Millisecond)))
	row("goroutines: idle, most, after", fmt.Sprintf("%d, %d, %d", idle.goroutines, l.most.goroutines, after.goroutines))
	row("resident memory: idle, most, after", fmt.Sprintf("%s, %s, %s", mebibytes(idle.resident), mebibytes(l.most.resident), mebibytes(after.resident)))
	row("requests waiting for the bus, most", l.most.queue)
	row("replies waiting for the broker, most", l.most.outbox)
	row("processor time of the bridge, of the time that the load lasted", fmt.Sprintf("%.0f %%", 100*(busy.processor-idle.processor).Seconds()/took.Seconds()))
	logged, err := os.Stat(l.bridge.log.Name())
	if err != nil {
		return false, err
	}
	row("log of the bridge", fmt.Sprintf("%d bytes", logged.Size()))
	for _, text := range l.account.strange[:min(len(l.account.strange), mostShown)] {
		fmt.Fprintln(out, "\nwrong:", text)
	}
	if !stopped {
		fmt.Fprintf(out, "\nthe bridge did not stop within %s of SIGTERM\n", patience)
	}
	return stopped && lost <= 0 && len(l.account.strange) == 0 && l.most.resident < mostResident && after.goroutines <= idle.goroutines+10, nil
}

// setUp starts broker, meters and bridge.
func (l *load) setUp(ctx context.Context) (err error) {
	died := func(err error) { fmt.Fprintln(os.Stderr, "chaos:", err) }
	if l.broker, err = newBroker(l.folder, died, "sys_interval 1"); err != nil {
		return err
	}
	if err := l.broker.start(); err != nil {
		return err
	}
	if l.line, err = simulator.Open(map[string][]string{"meters": {"4"}, "baud": {fmt.Sprint(loadBaud)}}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = l.line.ServeTCP(ctx, listener) }()
	if l.http, err = freeAddress("127.0.0.1"); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(l.folder, "bridge.log"))
	if err != nil {
		return err
	}
	l.bridge = &process{name: "the bridge", arguments: []string{l.options.bridge}, log: log, died: died, environment: []string{
		"DLT645_MQTT_URL=mqtt://" + l.broker.address, "DLT645_TOPIC=" + loadRoot,
		fmt.Sprintf("DLT645_BUS_URL=tcp://%s?baud=%d", listener.Addr(), loadBaud),
		"DLT645_METERS=m1=1,m2=2,m3=3,m4=4", "DLT645_POINTS=off",
		"DLT645_ALLOW=read,relay", "DLT645_METER_PASSWORD=02000000,04000000", "DLT645_HTTP=" + l.http,
	}}
	return l.bridge.start()
}

func (l *load) cleanUp() {
	if l.bridge != nil {
		l.bridge.cleanUp()
	}
	if l.broker != nil {
		l.broker.cleanUp()
	}
}

// watch notes the most that the bridge needs.
func (l *load) watch(ctx context.Context) {
	for pause(ctx, 200*time.Millisecond) {
		now, err := measure(ctx, l.http)
		if err != nil {
			continue // the end of ctx came between
		}
		l.mu.Lock()
		l.most.goroutines = max(l.most.goroutines, now.goroutines)
		l.most.resident = max(l.most.resident, now.resident)
		l.most.queue = max(l.most.queue, now.queue)
		l.most.outbox = max(l.most.outbox, now.outbox)
		l.mu.Unlock()
	}
}

// awaitReplies waits for the replies that are due and returns how many do not come. What the broker
// has given up, because more waited than it was told to keep, never reached the bridge or its
// client.
func (l *load) awaitReplies(ctx context.Context) int {
	missing := func() int { return l.account.open() - int(l.dropped.Load()) }
	for deadline := time.Now().Add(loadTTL + time.Minute); missing() > 0 && time.Now().Before(deadline); {
		pause(ctx, 100*time.Millisecond)
	}
	return missing()
}

// A loader is a client that asks a lot.
type loader struct {
	*paho.Client
	account *account
	name    string
	random  *rand.Rand
	sent    int
	online  chan struct{} // closed when the bridge says that it is there
}

func (l *load) newLoader(ctx context.Context, name string, seed uint64) (*loader, error) {
	connection, err := dial(l.broker.address)
	if err != nil {
		return nil, err
	}
	c := &loader{account: l.account, name: name, random: rand.New(rand.NewPCG(seed, 10_000)), online: make(chan struct{})}
	const status = loadRoot + "/bridge/status"
	online := sync.OnceFunc(func() { close(c.online) }) // the bridge says it again after each connection
	c.Client = paho.NewClient(paho.ClientConfig{Conn: connection, PacketTimeout: time.Minute, OnPublishReceived: []func(paho.PublishReceived) (bool, error){
		func(p paho.PublishReceived) (bool, error) {
			switch p.Packet.Topic {
			case status:
				if string(p.Packet.Payload) == "online" {
					online()
				}
			case brokerDropped:
				n, err := strconv.ParseInt(string(p.Packet.Payload), 10, 64)
				l.dropped.Store(n)
				return true, err
			default:
				l.account.arrive(p.Packet)
			}
			return true, nil
		},
	}})
	if _, err := c.Connect(ctx, &paho.Connect{CleanStart: true, KeepAlive: 60, ClientID: "load-" + name}); err != nil {
		return nil, err
	}
	_, err = c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: loadRoot + "/reply/" + name + "/#", QoS: 1}, {Topic: status, QoS: 1}, {Topic: brokerDropped}}})
	return c, err
}

// ask publishes a request and does not wait for the broker's acknowledgement, unless too many
// are missing.
func (c *loader) ask(ctx context.Context, tail string, body []byte) (question, error) {
	c.sent++
	key := fmt.Sprintf("%s %d", c.name, c.sent)
	q := c.account.ask(key)
	_, err := c.PublishWithOptions(ctx, &paho.Publish{
		Topic: loadRoot + "/request/" + tail, QoS: 1, Payload: body,
		Properties: &paho.PublishProperties{CorrelationData: []byte(key), ResponseTopic: loadRoot + "/reply/" + c.name + "/1"},
	}, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
	return q, err
}

// flood asks so many times a second, as well as it can, for one of some hundred registers.
func (c *loader) flood(ctx context.Context, rate float64) {
	begin := time.Now()
	for {
		due := begin.Add(time.Duration(float64(c.sent) / rate * float64(time.Second)))
		if !pause(ctx, time.Until(due)) {
			return
		}
		item := fmt.Sprintf("forward_active_energy_t%d_h%d", 1+c.random.IntN(4), 1+c.random.IntN(12))
		request := body(map[string]any{"items": []string{item}, "id": fmt.Sprint(c.sent), "ttl_ms": loadTTL.Milliseconds()})
		// What is being published when the time is up is published still, so that it counts.
		if _, err := c.ask(context.WithoutCancel(ctx), fmt.Sprintf("read/m%d", 1+c.random.IntN(4)), request); err != nil {
			return
		}
	}
}

// switchNow gives one relay command after another, now and then.
func (c *loader) switchNow(ctx context.Context) {
	for pause(ctx, 300*time.Millisecond) {
		request := body(map[string]any{"action": "alarm", "id": fmt.Sprint(c.sent), "verify_ms": 0})
		q, err := c.ask(context.WithoutCancel(ctx), fmt.Sprintf("relay/m%d", 1+c.sent%4), request)
		if err != nil {
			return
		}
		select {
		case <-q.outcome:
		case <-time.After(loadTTL): // the broker has given it up
		}
	}
}

// getIn reads until a read is not turned away, and returns how long it was, and how long it took
// until that had its answer.
func (c *loader) getIn(ctx context.Context) (taken, answered time.Duration, err error) {
	for begin := time.Now(); ; {
		taken = time.Since(begin)
		q, err := c.ask(ctx, "read/m1", body(map[string]any{"items": []string{"voltage_a"}, "ttl_ms": 120_000}))
		if err != nil {
			return 0, 0, err
		}
		select {
		case outcome := <-q.outcome:
			if outcome != "read busy" {
				return taken, time.Since(begin), nil
			}
		case <-time.After(2 * loadTTL): // the broker has given it up
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// spread says how many durations there are, and how long they are.
func spread(list []time.Duration) string {
	if len(list) == 0 {
		return "none"
	}
	slices.Sort(list)
	at := func(share float64) time.Duration {
		return list[int(share*float64(len(list)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%d; median %s, 99 of 100 within %s, longest %s", len(list), at(0.5), at(0.99), at(1))
}
