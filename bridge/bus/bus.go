package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	defaultQueue    = 1000
	stepsPerJob     = 20  // steps that may wait for each job that may
	commandQueue    = 100 // jobs of commands, which have places of their own
	commandsOfMeter = 20  // how many of them one meter may take
	fairPart        = 10  // one place in so many is there besides, for meters that have few

	idleTurn       = 2 * time.Second        // how long Run waits for anything at a time
	firstStepGuess = 200 * time.Millisecond // what a step takes, until one has shown it
)

// A Config is what a bus needs. [ParseURL] fills the first seven fields.
type Config struct {
	Settings
	URL       string // for people: holds no secrets
	Open      Opener
	Tunable   bool       // the port is a Tuner with a real line behind it, at which a scan may try modes
	Modes     bool       // the port is a Tuner, so that meters may have modes of their own
	Strangers func() int // connections that a listening port has turned away; nil: it does not listen
	Topics    *Topics    // of a DTU in a broker; nil: it is another port

	// Successor says that another process may have asked something just before, such as this
	// program before it was started again. The line is only listened to at first, until no answer
	// to that can come any more.
	Successor bool

	// Impatient has what waits answered at once if the port does not open for a reason that somebody must
	// do something about, such as a missing permission.
	Impatient bool

	Queue   int              // jobs of class read and below that may wait; 0: 1000
	Log     *slog.Logger     // nil: none
	OnFrame func(FrameEvent) // called for each frame by the goroutine that owns the port; must not wait
}

// A State is what there is to know of a bus at a moment.
type State struct {
	Up          bool      // the port is open
	LastError   string    // why it is, or was last, not open
	Baud        int       // bits per second
	Queue       int       // jobs that wait or are being done
	Utilisation float64   // share of the last minute in which the wire was in use, 0 to 1
	Echo        bool      // the line sends back what we send
	Strangers   int       // connections to a listening port that were turned away
	Turned      time.Time // when Run last had its turn; at least every few seconds while all is well
}

// A Bus is the arbiter of one line. Its methods may be called from any goroutine.
//
// Lock order: mu, and the locks of ports and listeners, are each taken alone. mu is held to keep the books, never while
// the port is used or OnFrame is called. Only the May of a job is called with it held, so what that locks comes after.
type Bus struct {
	config Config
	wake   chan struct{} // tells Run that there is a new task

	mu        sync.Mutex
	queue     queue
	meters    map[protocol.MeterKey]*meter
	state     State
	usage     usage
	stopped   bool          // Run has ended or is about to
	pace      time.Duration // what a step takes on the wire, on average; one that is shared takes little
	down      time.Time     // since when the port is missing; zero if it is there
	probes    reserve
	suspect   bool // every meter has fallen silent, which may be the port's fault
	hopeless  bool // the port does not open until somebody does something, and nobody is to wait for that
	suspected bool // it was held for that, and no meter has answered since

	// Of the goroutine of Run only.
	line        line
	doubts      doubts
	manner      manner
	opening     chan opened                 // gets the port that is being opened; nil: none is
	retry       time.Time                   // when to open the port again
	opens       int                         // how often it was opened since an answer came
	since       time.Time                   // when it was opened last
	quiet       time.Time                   // until when nobody is asked anything
	toldUp      bool                        // the last that the log says of the port is that it is up
	toldDown    time.Time                   // when the log said last that it is down
	toldRefused map[protocol.Mode]time.Time // when it said last that the line cannot be set so
	jitter      func(time.Duration) time.Duration
}

// New returns a bus that accepts jobs; they are done once Run is called.
func New(config Config) *Bus {
	config.Settings = config.Settings.defaults()
	if config.Queue == 0 {
		config.Queue = defaultQueue
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	now := time.Now()
	b := &Bus{
		config: config,
		wake:   make(chan struct{}, 1),
		meters: make(map[protocol.MeterKey]*meter),
		state:  State{Baud: config.Baud, Turned: now},
		usage:  usage{zero: now},
		pace:   firstStepGuess,
		down:   now,
		probes: reserve{left: probeReserve, at: now},
		jitter: func(d time.Duration) time.Duration { return d/2 + rand.N(d/2) },
	}
	b.line = line{settings: config.Settings, turn: b.turn, heed: b.hear}
	return b
}

// Mode returns the mode that the line is configured for, and whether a scan may try others.
func (b *Bus) Mode() (mode protocol.Mode, tunable bool) { return b.config.mode(), b.config.Tunable }

// Submit queues a job. It never waits: exactly one report comes on the channel. The error is a
// *BusyError, which is an ErrBusy, or ErrStopping; then nothing of the job is done.
func (b *Bus) Submit(job Job) (<-chan Report, error) {
	t := newTask(job)
	if len(job.Steps) == 0 {
		t.report <- Report{}
		return t.report, nil
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stopped {
		return nil, ErrStopping
	}
	if !job.Continued && !b.room(t) {
		return nil, &BusyError{Waiting: b.queue.len(), RetryAfter: b.retryAfter()}
	}
	b.queue.add(t, t.expires(b.down))
	if err := b.offlineError(t, t.queued); err != nil {
		b.queue.fail(t, t.step().Meter, err)
	}
	select {
	case b.wake <- struct{}{}:
	default: // Run has not noticed the last one yet
	}
	return t.report, nil
}

// room reports whether one more task may wait.
func (b *Bus) room(t *task) bool {
	q := &b.queue
	if t.command {
		return q.commands < commandQueue && q.commandsOf(t.step().Meter) < commandsOfMeter
	}
	places := b.config.Queue
	part := places / fairPart
	switch waiting := q.tasksOf(t.meter()); {
	case q.jobs == 0:
		return true
	case t.job.Stranger && waiting >= max(1, part):
		return false
	case waiting <= part/2:
		places += part // so that nobody is kept out by those who ask another meter
	}
	return q.jobs < places && q.steps+t.open <= stepsPerJob*places
}

// retryAfter guesses when a tenth of what waits will be done.
func (b *Bus) retryAfter() time.Duration {
	wait := time.Duration(b.queue.steps+b.queue.commands) * b.pace / 10
	return min(max(wait, 100*time.Millisecond), time.Minute).Round(time.Millisecond)
}

// State tells how the bus is. It costs next to nothing.
func (b *Bus) State() State {
	strangers := 0
	if b.config.Strangers != nil {
		strangers = b.config.Strangers()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	state := b.state
	state.Strangers = strangers
	state.Up = b.down.IsZero()
	state.Queue = b.queue.len()
	state.Utilisation = b.usage.share(time.Now())
	return state
}

// Run owns the port until ctx ends: it opens it, again and again if need be, and does the
// jobs. When ctx ends it finishes the exchange in hand, so that no meter is cut off in its
// answer, gives ErrStopping to everything that waits, closes the port and returns nil. It is
// called once.
func (b *Bus) Run(ctx context.Context) error {
	if b.config.Open == nil {
		return errors.New("the bus has no port to open: set its URL")
	}
	defer b.stop()
	for ctx.Err() == nil {
		now := time.Now()
		b.turn(now)
		switch {
		case b.line.port == nil:
			b.connect(ctx, now)
		case now.Before(b.quiet):
			until := b.nextTurn(now)
			if b.quiet.Before(until) {
				until = b.quiet
			}
			b.sleep(ctx, until)
		case now.Before(b.line.free):
			b.silence(ctx)
		default:
			t := b.trial(now)
			if t == nil {
				t = b.choose(protocol.MeterKey{})
			}
			if t == nil {
				b.idle(ctx, now)
				break
			}
			b.serve(ctx, t, false)
			b.suspectPort()
		}
	}
	return nil
}

// turn notes that Run goes round, or that the line listens, and answers what has expired.
func (b *Bus) turn(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state.Turned = now
	err := ErrExpired
	if !b.down.IsZero() {
		err = ErrDown
		if b.state.LastError != "" {
			err = fmt.Errorf("%w: %s", ErrDown, b.state.LastError)
		}
	}
	b.queue.expire(now, b.down, err)
	if b.hopeless {
		for _, t := range b.queue.all() {
			b.queue.fail(t, protocol.MeterKey{}, err)
		}
	}
}

// choose returns the task whose turn it is, or nil. While a conversation with the meter
// busy goes on, only relay steps of other meters have a turn.
func (b *Bus) choose(busy protocol.MeterKey) *task {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	may := func(t *task) bool {
		step := t.step()
		expired := !t.job.Deadline.IsZero() && Over(t.job.Deadline, now) // since the queue was looked through
		return !t.running && !expired && step.Meter != busy && !now.Before(b.heldUntil(step))
	}
	if busy != (protocol.MeterKey{}) {
		return b.queue.rings[protocol.ClassRelay].choose(may, nil)
	}
	own := b.config.mode()
	return b.queue.choose(may, func(t *task) bool { return t.step().Mode.Or(own) == b.line.mode })
}

// idle waits for a task, or until one that waits may go or expires. An open port is looked
// after now and then, so that it is open when it is needed.
func (b *Bus) idle(ctx context.Context, now time.Time) {
	if err := b.line.discard(); err != nil {
		b.fail(err)
		return
	}
	b.sleep(ctx, b.nextTurn(now))
}

// nextTurn returns when Run must go round again at the latest.
func (b *Bus) nextTurn(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := now.Add(idleTurn)
	if sweep := b.queue.sweep; !sweep.IsZero() && sweep.Before(next) {
		next = sweep
	}
	for _, m := range b.meters {
		if m.hold.After(now) && m.hold.Before(next) {
			next = m.hold
		}
	}
	for _, d := range b.doubts {
		if d.until.After(now) && d.until.Before(next) {
			next = d.until
		}
	}
	for i := range b.manner.latest {
		u := &b.manner.latest[i]
		if over := u.came.Add(b.manner.settling(u)); over.After(now) && over.Before(next) {
			next = over
		}
	}
	if over := b.manner.lateUntil(); over.After(now) && over.Before(next) {
		next = over
	}
	if m, at := b.nextTrial(); m != nil && b.down.IsZero() && at.Before(next) {
		next = at
	}
	return next
}

// sleep waits until then, or for a new task, or for the port that is being opened.
func (b *Bus) sleep(ctx context.Context, until time.Time) {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-b.wake:
	case <-timer.C:
	case o := <-b.opening:
		b.opening = nil
		b.connected(ctx, o)
	}
}

// rest keeps the line silent until then.
func (b *Bus) rest(ctx context.Context, until time.Time) {
	left := time.Until(until)
	if left <= 0 {
		return
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// stop answers all that waits and closes the port.
func (b *Bus) stop() {
	b.mu.Lock()
	b.stopped = true
	b.down = time.Now()
	for _, t := range b.queue.all() {
		b.queue.fail(t, protocol.MeterKey{}, ErrStopping)
	}
	b.mu.Unlock()

	if b.opening != nil {
		if o := <-b.opening; o.err == nil {
			b.line.port = o.port
		}
	}
	if b.line.port != nil {
		b.line.port.Close()
		b.line.port = nil
	}
}
