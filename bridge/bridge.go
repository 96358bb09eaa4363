package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// The time that a request may wait for its turn if it does not say how long.
const (
	readTTL    = 60 * time.Second
	commandTTL = 10 * time.Second
)

// Config is what a Bridge must know.
type Config struct {
	Root       string // of the topic tree
	Broker     Broker
	Bus        *bus.Bus
	BusURL     string // for people, without secrets
	Meters     []Meter
	Protocols  []string                     // names of all protocols there are
	Protocol   protocol.Protocol            // of meters that are not configured
	Finders    []protocol.Finder            // protocols that can look for meters, the likeliest first
	Allow      map[string]bool              // classes of requests: the permissions of package protocol, raw, config
	Passwords  map[string]map[string]string // level to digits, of each meter by its address; under "" of all
	Operator   string                       // operator code for commands, 8 digits
	RelayValid time.Duration                // how long a relay's command is valid
	Clock      func() error                 // tells why our clock is none to set meters by; nil: it is
	Points     *points.Table                // what to poll, by the configuration; nil: nothing
	Discovery  string                       // prefix of the topics by which Home Assistant is told of the meters; empty: it is not
	Language   string                       // of names that people read: "en" or "zh"
	Zone       *time.Location               // for the times in replies
	HTTP       string                       // address to serve health and metrics on; empty: not
	Version    string
	Log        *slog.Logger
}

// A Bridge answers requests that come by MQTT with what meters on a bus say.
type Bridge struct {
	config    Config
	log       *slog.Logger
	bus       *bus.Bus
	topics    tree
	directory *directory
	points    tableInForce
	poller    poller

	configuring sync.Mutex   // held while one point table takes the place of another
	configs     atomic.Int32 // point tables that clients have sent, in hand
	restored    atomic.Bool  // what the broker kept of the point table does not matter any more

	announcer *announcer
	cache     cache
	repeats   repeats
	guard     guard
	clocks    clocks
	stopping  chan struct{} // closed when the bridge stops
	limited   limiter
	metrics   *metrics.Set
	infoState infoState
	outbox    *outbox
	frames    chan bus.Frame // to be published, if frames are traced
	admission admission
	started   chan struct{} // closed once Run serves
	turned    atomic.Int64  // when the bridge's own loop last turned, Unix nanoseconds
	listening atomic.Bool   // connected and subscribed
	scanning  atomic.Int64  // when the scan under way is expected to end, Unix nanoseconds; 0: none is
}

// New returns a bridge that does nothing until Run.
func New(config Config) *Bridge {
	b := &Bridge{
		config:    config,
		log:       config.Log,
		bus:       config.Bus,
		topics:    tree(config.Root),
		directory: newDirectory(config.Meters, config.Protocol),
		limited:   limiter{logger: config.Log},
		frames:    make(chan bus.Frame, framesWaiting),
		stopping:  make(chan struct{}),
		started:   make(chan struct{}),
	}
	b.outbox = newOutbox(&b.limited)
	b.metrics = b.newMetrics()
	b.setTable(config.Points)
	b.announcer = newAnnouncer(b)
	return b
}

// A message is one MQTT message as it reached us.
type message struct {
	topic         string
	payload       []byte
	retain        bool
	responseTopic string
	correlation   []byte
	contentType   string
	expiry        *time.Duration // nil: none
	received      time.Time

	userProperties []userProperty
}

// A userProperty is what an MQTT 5 client has put on its message for whom it may concern.
type userProperty struct{ name, value string }

// A request is a message on a request topic, on its way to a reply.
type request struct {
	message
	verb, target string
	replyTopic   string
	refused      error          // why the reply does not go where the client wants it
	deliver      func(outgoing) // takes the reply
	command      bool           // it may change something: it is audited, and its result the last to be given up

	id       json.RawMessage
	deadline time.Time // for the start of each step; zero: none yet
	trace    bool
	items    []string
	maxAge   time.Duration // of values that need not be read again
	from, to time.Time     // of history; from is zero if none is asked for
	patient  bool          // it does not say how long it may wait
	stranger bool          // as in bus.Job

	watch func(ScanProgress) bool // told how a scan goes, and whether to go on; nil: it is published

	meter, address string
	protocol       protocol.Protocol

	// Of a command only.
	action, item  string
	value         json.RawMessage
	retryPassword bool
	remembered    *remembered // where its answer is kept
	frames        []bus.Frame // of what was to change something
	answered      time.Time
}

// bound moves the deadline forward.
func (r *request) bound(deadline time.Time) {
	if r.deadline.IsZero() || deadline.Before(r.deadline) {
		r.deadline = deadline
	}
}

func (r *request) expired() bool { return !r.deadline.IsZero() && !time.Now().Before(r.deadline) }

// receive takes one message from the broker. It never waits: what takes time is queued, and
// the reply comes later. Every message on a request topic gets exactly one.
func (b *Bridge) receive(m message) {
	verb, target, ok := b.topics.request(m.topic)
	if m.topic == b.topics.join(topicConfig) {
		if m.retain { // else it is our own
			go b.restore(m.payload)
		}
		return
	}
	if !ok {
		b.limited.log("foreign topic", "the broker sent a message that was not asked for", "topic", m.topic)
		return
	}
	r := &request{message: m, verb: verb, target: target, replyTopic: b.topics.reply(m.topic), deliver: b.outbox.put, command: isCommandVerb(verb)}
	if m.responseTopic != "" {
		if reason := b.topics.mayReply(m.responseTopic); reason != "" {
			r.refused = problemf(CodeBadRequest, "the response topic %s %s", quote(m.responseTopic), reason)
		} else {
			r.replyTopic = m.responseTopic
		}
	}
	b.carryOut(r)
}

// carryOut makes sure that a request gets its one reply: here and now if it cannot be queued.
// What every reply repeats of its request is found out first, so that errors have it too.
func (b *Bridge) carryOut(r *request) {
	in, err := b.open(r)
	if !b.admission.enter() {
		b.fail(r, bus.ErrStopping)
		return
	}
	if err == nil && r.refused != nil {
		err = r.refused
	}
	if err == nil {
		err = b.handle(r, &in)
	}
	if err != nil {
		b.fail(r, err)
		b.admission.leave()
	}
}

// open takes the payload apart and finds the id and the meter that the request is about.
func (b *Bridge) open(r *request) (in body, err error) {
	if m, address, _, err := b.directory.find(r.target); err == nil {
		r.address, r.meter = address, address
		if m != nil {
			r.meter = m.Name
		}
	}
	limit := maxPayload
	if r.verb == verbConfig {
		limit = maxConfigPayload
	}
	if len(r.payload) > limit {
		return in, problemf(CodeBadRequest, "the payload has %d bytes; at most %d are allowed", len(r.payload), limit)
	}
	if r.contentType == contentBytes && r.verb == verbRaw {
		return in, nil
	}
	if r.verb == verbConfig {
		if text, err := points.Decode(r.payload); err == nil { // else it is said below
			r.payload = []byte(text)
		}
	}
	in, err = parseBody(r.payload)
	var idErr error
	if r.id, idErr = in.takeID(); err == nil {
		err = idErr
	}
	return in, err
}

// later runs the part of a request that waits; the request is over when it returns.
func (b *Bridge) later(finish func()) {
	go func() {
		defer b.admission.leave()
		finish()
	}()
}

// An admission lets requests in until the bridge stops. The zero value is open.
type admission struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

func (a *admission) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.inside.Add(1)
	return true
}

func (a *admission) leave() { a.inside.Done() }

// close lets nobody in any more.
func (a *admission) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
}

func (a *admission) isClosed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.closed
}

// Ask carries a request out without a broker and returns its reply. tail is what a request
// topic has behind the branch, such as "read/main"; payload is the body. The bus must be running.
func (b *Bridge) Ask(tail string, payload []byte) []byte {
	answer := make(chan []byte, 1)
	verb, target, _ := strings.Cut(tail, "/")
	r := &request{
		message: message{topic: tail, payload: payload, received: time.Now()},
		verb:    verb, target: target, command: isCommandVerb(verb),
		deliver: func(m outgoing) { answer <- m.payload },
	}
	b.carryOut(r)
	return <-answer
}

// handle either queues the request, whose reply is then on its way, or returns why it cannot.
func (b *Bridge) handle(r *request, in *body) error {
	if r.retain {
		return problemf(CodeBadRequest, "the request has the retain flag: a retained request would be carried out again at each connection; publish it without")
	}
	if !slices.Contains(Verbs, r.verb) {
		return problemf(CodeBadRequest, "%s is no verb of a request topic; there are %s", quote(r.verb), strings.Join(Verbs, ", "))
	}
	if r.expiry != nil {
		r.bound(r.received.Add(*r.expiry))
	}
	if err := in.common(r); err != nil {
		return err
	}
	switch r.verb {
	case verbRaw:
		return b.raw(r, in) // how long it may wait depends on the frame
	case verbScan:
		return b.scan(r, in) // as long as it takes, if it does not say how long
	case verbConfig:
		return b.configure(r, in)
	}
	if r.deadline.IsZero() {
		r.patient = true
		r.deadline = r.received.Add(b.ttl(r))
	}
	if r.verb == verbRead {
		return b.read(r, in)
	}
	return b.command(r, in)
}

// ttl is how long a request may wait for its turn if it does not say so itself.
func (b *Bridge) ttl(r *request) time.Duration {
	if r.verb == verbRead || r.verb == verbRaw && !r.command {
		return readTTL
	}
	return commandTTL
}

// permit refuses what the operator has not allowed.
func (b *Bridge) permit(p protocol.Permission) error {
	if !b.config.Allow[string(p)] {
		return notAllowed(string(p))
	}
	return nil
}

func notAllowed(class string) error {
	return problemf(CodeNotAllowed, "requests of class %s are not allowed on this bridge; its operator allows them with DLT645_ALLOW", class)
}

// Run connects to the broker and serves requests until ctx ends. Then it takes no more,
// lets the bus finish what is on the wire, sees the replies out and says goodbye. The bus
// must be running and must be stopped by its own context, after Run has called stopBus.
func (b *Bridge) Run(ctx context.Context, stopBus func()) error {
	stopHealth, err := b.serveHealth(ctx)
	if err != nil {
		return err
	}
	defer stopHealth()
	// The connection outlives ctx, so that the last replies still get out.
	connection, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	defer hangUp()
	broker, err := b.newLink(connection).connect()
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	go b.publishFrames(ctx)
	go b.poll(ctx)
	close(b.started)
	b.loop(ctx)

	b.admission.close()
	close(b.stopping)
	stopBus()
	b.admission.inside.Wait()
	b.outbox.drain(2 * time.Second)
	goodbye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	context.AfterFunc(goodbye, hangUp) // also ends a pause between two attempts to connect
	if err := broker.Disconnect(goodbye); err != nil {
		b.log.Warn("the broker did not hear our goodbye", "err", err)
	}
	return nil
}

// Started is closed once Run has begun to serve, whether or not broker and bus are there yet.
func (b *Bridge) Started() <-chan struct{} { return b.started }

// loop does what is due from time to time, until ctx ends.
func (b *Bridge) loop(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var port portWatch
	for {
		b.turned.Store(time.Now().UnixNano())
		b.refreshInfo()
		b.refreshPresence(&port)
		b.announcer.refresh()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
