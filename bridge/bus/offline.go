package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// timeoutsToOffline in a row make a meter count as offline.
	timeoutsToOffline = 3

	shortestProbePause = time.Second
	longestProbePause  = time.Minute

	// probeShare is one part in so many of the wire's time that probes may take while others
	// wait, probeReserve what they may have saved up: little, or a meter that has just died
	// would take much at first.
	probeShare   = 50
	probeReserve = 100 * time.Millisecond
)

// vouching is how long a meter that was heard proves that the line works. Those with points are asked
// each hour, whatever their interval.
const vouching = 2 * time.Hour

// Why the port is opened anew.
var (
	errAllSilent    = errors.New("every meter that used to answer is silent: opening the line anew")
	errNeverAnswers = errors.New("no meter has answered yet: opening the line anew, in case the port is at fault; check addresses, speed, parity and wiring")
)

// presence is whether a meter answers.
type presence struct {
	timeouts int // in a row
	offline  bool
	pause    time.Duration // between the last two probes
	probe    time.Time     // when the next is due
	probes   int           // so far
	checked  bool          // it was asked for its trial before the last of the timeouts that make it offline

	wanted *protocol.Step // the last read that was not tried; every second probe is one
	turn   bool           // of wanted
}

// putOff makes the next probe due after a pause, or after the longest that there is.
func (p *presence) putOff(now time.Time, pause time.Duration) {
	p.pause = min(pause, longestProbePause)
	p.probe = now.Add(p.pause)
}

// A reserve is the wire time that probes may take while others wait.
type reserve struct {
	left time.Duration
	at   time.Time // when left was right
}

// use uses up some of the reserve, which may become negative.
func (r *reserve) use(now time.Time, used time.Duration) {
	r.left = min(r.left+now.Sub(r.at)/probeShare, probeReserve) - used
	r.at = now
}

// enough returns when the reserve is positive again.
func (r *reserve) enough() time.Time {
	return r.at.Add(max(0, -r.left) * probeShare)
}

// due returns when an offline meter may be asked again. With no others waiting that harms
// nobody.
func (b *Bus) due(m *meter, others bool) time.Time {
	due := m.probe
	if enough := b.probes.enough(); others && enough.After(due) {
		due = enough
	}
	return due
}

// offlineError returns the error for a task in the queue whose step is not tried because its meter is
// offline, or nil. Commands are always tried, those too that look at the meter before they change
// something, and a scan looks for meters that nobody knows to be there.
func (b *Bus) offlineError(t *task, now time.Time) error {
	step := t.step()
	m := b.meters[step.Meter]
	if m == nil || !m.offline || !step.Repeatable || step.Class == protocol.ClassScan || t.beginsCommand() {
		return nil
	}
	if wait := b.due(m, b.queue.len() > 1).Sub(now); wait > 0 {
		wanted := *step
		m.wanted = &wanted
		return &OfflineError{Meter: step.Meter, RetryAfter: wait}
	}
	return nil
}

// nextTrial returns the offline meter that is to be probed next and when; nil if none is.
// Commands that wait go first.
func (b *Bus) nextTrial() (next *meter, at time.Time) {
	if b.queue.commands > 0 {
		return nil, at
	}
	for _, m := range b.meters {
		if !m.offline || m.trial == nil {
			continue
		}
		if due := b.due(m, b.queue.len() > 0); next == nil || due.Before(at) {
			next, at = m, due
		}
	}
	return next, at
}

// trial returns a task that probes an offline meter, if one is due. What it has answered before is
// no sure sign: it may have been exchanged for one that is silent to just that. So each second
// probe is what somebody asks for.
func (b *Bus) trial(now time.Time) *task {
	b.mu.Lock()
	defer b.mu.Unlock()
	m, at := b.nextTrial()
	if m == nil || now.Before(at) {
		return nil
	}
	step := m.trial
	if m.turn && m.wanted != nil {
		step = m.wanted
	}
	m.turn = !m.turn
	t := newTask(Job{Steps: []protocol.Step{*step}})
	t.trial = true
	b.queue.add(t, time.Time{})
	return t
}

// proof returns what is to be read before the step of a task, or nil: to learn whether the line has an echo that looks like
// the answer to come, whether answers are held back, or whether the meter is there though it is silent to other things.
func (b *Bus) proof(t *task) *protocol.Step {
	step := t.step()
	m := b.meters[step.Meter]
	if step.IsCommand() && repeatsRequest(&step.First) && b.line.mirror.mustBeProven() {
		switch {
		case step.Proof != nil:
			ask := *step.Proof
			ask.Mode = step.Mode
			return &ask
		case m != nil && m.trial != nil:
			ask := *m.trial
			return &ask
		}
	}
	if m == nil || !m.proven || !b.unproven(step) && !m.mustBeChecked(t) {
		return nil
	}
	ask := *m.trial
	return &ask
}

// unproven reports whether the acknowledgement of a command would prove nothing, for that of one before may
// have been held back on its way. An answer to what comes later proves that nothing is held back.
func (b *Bus) unproven(step *protocol.Step) bool {
	return step.IsCommand() && b.config.Packed && b.doubts.probeUnproven(step.Meter)
}

// mustBeChecked reports whether a meter is to be asked for what it has answered before, once, as the next timeout
// would make it offline. It may be there, and be silent to what it was asked of late and to the step of this task.
func (m *meter) mustBeChecked(t *task) bool {
	step := t.step()
	if m.offline || m.checked || m.timeouts < timeoutsToOffline-1 || !step.Repeatable || t.beginsCommand() ||
		step.Class == protocol.ClassScan || step.Class == protocol.ClassRelay || bytes.Equal(step.First.Request, m.trial.First.Request) {
		return false
	}
	m.checked = true
	return true
}

// present notes that a meter has answered, in which try, and how long it took to begin. short
// tells that it did not answer to fewer wake-up bytes before. A scan teaches nothing: it asks
// patterns of addresses, maybe at another speed.
func (b *Bus) present(step *protocol.Step, tries int, took time.Duration, short bool) {
	if step.Class == protocol.ClassScan {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.meter(step.Meter)
	if m.offline {
		m.blocks, m.learned, m.preamble = nil, nil, preamble{} // it may have been exchanged, or have got a new program
		b.config.Log.Info("meter is online again", "meter", step.Meter.Text)
	}
	m.heard, b.suspected = time.Now(), false
	returned := m.offline
	m.presence = presence{}
	if step.Repeatable && (!m.proven || returned) { // what it answered before it was away, it may be silent to now
		trial := *step
		m.trial, m.proven = &trial, true
	}
	m.turnaround[kind(step)].learn(took)
	m.preamble.answered(tries, short)
}

// noteUnanswered notes that a meter has left a try unanswered, the first or the second, and reports whether it is offline now.
// Noise that is no answer does not make it so, but does not bring it back either. A stranger is
// not probed, or an idle line would always be busy with meters that never were. A probe avoids the
// request that the meter ignored last if a better one is known: the meter may be there, and ignore
// that request alone.
func (b *Bus) noteUnanswered(step *protocol.Step, tries int, garbled, stranger bool) bool {
	if step.Class == protocol.ClassScan {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	m := b.meter(step.Meter)
	if len(step.Ways) > 0 && !garbled {
		m.way++
	}
	if tries > 1 {
		m.turnaround[kind(step)].wary = waryAnswers
	}
	if step.Repeatable && !stranger && m.trial == nil {
		trial := *step
		m.trial = &trial
	}
	switch {
	case m.offline && step.Repeatable:
		m.putOff(now, 2*m.pause)
		b.doubtPort(now)
	case m.offline || garbled:
		return m.offline
	default:
		m.timeouts++
		if m.timeouts < max(timeoutsToOffline, 1+len(step.Ways)) {
			return false
		}
		m.offline = true
		m.putOff(now, shortestProbePause)
		b.doubtPort(now)
		level := slog.LevelWarn
		if stranger { // or whoever asks for many fills the log
			level = slog.LevelDebug
		}
		say := "meter is offline: it has not answered three times in a row; check its address, power and wiring"
		if m.heard.IsZero() && step.Line != nil && step.Line.Advice != "" {
			say += fmt.Sprintf(", and the speed (%d baud)", step.Mode.Or(b.config.mode()).Baud) + "; " + step.Line.Advice
		}
		b.config.Log.Log(context.Background(), level, say, "meter", step.Meter.Text)
	}
	// Who waits for it is not kept waiting.
	for _, t := range b.queue.all() {
		if t.running || t.step().Meter != step.Meter {
			continue
		}
		if err := b.offlineError(t, now); err != nil {
			b.queue.fail(t, step.Meter, err)
		}
	}
	return true
}

// turnOfWay returns how often a meter was silent to steps that can be asked in several ways, so that each has its turn.
func (b *Bus) turnOfWay(step *protocol.Step) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m := b.meters[step.Meter]; m != nil {
		return m.way
	}
	return 0
}

// doubtPort has the port opened anew, once, if no meter speaks any more: none is online that has
// answered of late. One that nobody has asked for long may count as online forever.
func (b *Bus) doubtPort(now time.Time) {
	for _, m := range b.meters {
		if !m.offline && now.Sub(m.heard) < vouching {
			return
		}
	}
	b.suspect, b.suspected = b.suspect || !b.suspected, true
}
