package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// mostBreaks is how often a step may break the port before it is given up.
const mostBreaks = 3

// mostDubious is how many more tries than the usual two a read gets if their answers prove nothing.
const mostDubious = 2

// mostPause is the longest pause between two tries in which an answer to the first still counts for the second.
const mostPause = 5 * time.Second

// serve does the step whose turn it is in t, and gives its reply to all who wait for it.
// nested marks a step that goes between the frames of a conversation.
func (b *Bus) serve(ctx context.Context, t *task, nested bool) {
	if !b.isQuietFor(t) {
		return
	}
	b.mu.Lock()
	index, step := t.next, t.step()
	if err := b.offlineError(t, time.Now()); err != nil && !t.trial {
		b.queue.fail(t, step.Meter, err)
		b.mu.Unlock()
		return
	}
	if ask := b.proof(t); ask != nil {
		b.mu.Unlock()
		(&conversation{bus: b, step: ask, nested: nested}).run(ctx)
		return // the task is still first in its lane, if its time is not over
	}
	if may := t.job.May; may != nil && step.IsCommand() {
		if err := may(); err != nil {
			b.queue.fail(t, step.Meter, err)
			b.mu.Unlock()
			return
		}
	}
	// Probes while nobody waits cost nobody anything.
	probe := b.queue.len() > 1 && b.meters[step.Meter] != nil && b.meters[step.Meter].offline && step.Repeatable && !t.beginsCommand()
	riders := b.queue.riders(t)
	late := step.Class == protocol.ClassScan
	if t.trial && time.Now().Before(b.heldUntil(step)) {
		late, riders = true, nil // a late answer tells that the meter is there, but its value is old
	}
	setRunning(t, riders, true)
	b.mu.Unlock()

	c := &conversation{bus: b, step: step, nested: nested, late: late, stranger: t.job.Stranger}
	c.run(ctx)

	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probes.use(time.Now(), c.wire)
	}
	setRunning(t, riders, false)
	if c.broke && t.trial {
		// Nobody waits for it. If it stayed in the queue, each that breaks the port would leave
		// one more there; if it were due at once, nobody else would have a turn.
		m := b.meter(step.Meter)
		m.putOff(time.Now(), 2*m.pause)
		b.queue.fail(t, protocol.MeterKey{}, c.reply.Err)
		return
	}
	if t.keep(c) {
		return // it is still first in its lane, and goes again when the port is back
	}
	b.queue.rotate(t)
	b.conclude(t, index, c, riders)
}

// setRunning marks a task, and the steps that share its exchange, as being on the wire.
func setRunning(t *task, riders []rider, running bool) {
	t.running = running
	for _, r := range riders {
		r.task.running = running
	}
}

// keep adds what earlier conversations of the step have sent and heard, before the port broke, to that
// of the last, and reports whether it is to be done once more.
func (t *task) keep(c *conversation) (again bool) {
	c.reply.Frames = append(t.frames, c.reply.Frames...)
	if c.broke {
		t.began = t.began || c.reply.Started
		t.breaks++
		t.frames = c.reply.Frames
		if t.breaks < mostBreaks && (c.step.Repeatable || !c.reply.Started) {
			return true
		}
	}
	c.reply.Started = c.reply.Started || t.began
	return false
}

// conclude learns from a conversation, and gives its reply to all who wait for it.
func (b *Bus) conclude(t *task, index int, c *conversation, riders []rider) {
	c.reply.Unreadable = !c.silent && errors.Is(c.reply.Err, protocol.ErrGarbled) && !c.reply.Result.Address.IsZero()
	b.learnBlock(c.step, &c.reply)
	b.learn(c.step, &c.reply.Result)
	b.pace += (c.wire/time.Duration(1+len(riders)) - b.pace) / 8
	b.queue.answerFrom(t, index, c.reply, c.wire, c.silent)
	for _, r := range riders {
		wire := c.wire
		if r.task == t {
			wire = 0 // counted already
		}
		b.queue.answerFrom(r.task, r.step, c.reply, wire, c.silent)
	}
}

// isQuietFor reads what has come before a command goes out, and reports whether it may: not if that was an acknowledgement
// of an earlier one, which may come once more.
func (b *Bus) isQuietFor(t *task) bool {
	b.mu.Lock()
	step := t.step()
	b.mu.Unlock()
	if !step.IsCommand() {
		return true
	}
	if err := b.line.discard(); err != nil {
		b.fail(err)
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return !time.Now().Before(b.heldUntil(step))
}

// answerFrom gives a step the reply of a conversation. If that ended because the meter was
// silent, the meter is not asked for the rest of the task.
func (q *queue) answerFrom(t *task, index int, reply Reply, wire time.Duration, silent bool) {
	if t.answered[index] {
		return // by the silence that another step of the same task met
	}
	t.steps++
	t.wire += wire
	q.answer(t, index, reply)
	if silent && t.open > 0 {
		q.fail(t, t.job.Steps[index].Meter, reply.Err)
	}
}

// A conversation is one step on the wire.
type conversation struct {
	bus      *Bus
	step     *protocol.Step
	nested   bool
	stranger bool // as in Job

	reply   Reply
	wire    time.Duration
	tries   int
	late    bool   // a late answer to an earlier request will do
	early   bool   // it came sooner than an answer can
	hasty   bool   // so it was in the last try, and nothing better came
	broke   bool   // the port failed
	short   bool   // the last try had fewer wake-up bytes, and was not answered
	silent  bool   // the meter did not answer, or nothing that could be cut out
	doubts  int    // tries in which only an answer came that proves nothing
	dubious string // why the frame that was cut last proves nothing
	absent  bool   // it is offline

	begins  *protocol.Exchange // the first of this try
	ended   time.Time          // when the last exchange was over
	open    time.Time          // until when an answer to an earlier try may still come; zero: all have come
	overdue time.Time          // when the first request was out that was not answered in time
}

// run holds the conversation. Of one that may be repeated a second try is made, from its
// first frame on: a meter that keeps the read position itself would go on
// after the block whose frame was lost. Not in a scan, where most questions are to nobody: who
// asks them knows best which are worth repeating, unless the port is not sure that they have reached the line.
func (c *conversation) run(ctx context.Context) {
	next := c.begin()
	for next != nil {
		if c.reply.Started && !c.pause(ctx, next) {
			return
		}
		next = c.exchange(next)
		if next == nil && c.again(ctx) {
			next = c.begin()
		}
	}
}

// begin returns the exchange that a try begins with: where there are several ways to ask, the one whose turn it is.
func (c *conversation) begin() *protocol.Exchange {
	c.begins = &c.step.First
	if ways := c.step.Ways; len(ways) > 0 {
		if turn := c.bus.turnOfWay(c.step) % (1 + len(ways)); turn > 0 {
			c.begins = &ways[turn-1]
		}
	}
	return c.begins
}

// asked is the step as it was asked in this try, in one way.
func (c *conversation) asked() *protocol.Step {
	if len(c.step.Ways) == 0 {
		return c.step
	}
	step := *c.step
	step.First, step.Ways = *c.begins, nil
	return &step
}

// pause lets the line rest and other meters' relay steps go before the next frame, but not so
// many that they would keep the meter waiting without end. It returns false if that ended the
// conversation.
func (c *conversation) pause(ctx context.Context, next *protocol.Exchange) bool {
	b := c.bus
	for range backgroundShare - 1 {
		b.silence(ctx)
		if b.line.port == nil {
			c.breakOff(ErrDown)
			return false
		}
		if c.nested || ctx.Err() != nil {
			break
		}
		b.turn(time.Now())
		t := b.choose(c.step.Meter)
		if t == nil {
			break
		}
		b.serve(ctx, t, true)
		if b.line.port == nil {
			c.breakOff(ErrDown)
			return false
		}
	}
	b.silence(ctx)
	if b.line.port == nil {
		c.breakOff(ErrDown)
		return false
	}
	b.rest(ctx, b.manner.heldUntil(next, time.Now()))
	if ctx.Err() != nil {
		c.reply.Err = ErrStopping
		return false
	}
	return true
}

// again reports whether a conversation that has ended without a result is to be tried again.
func (c *conversation) again(ctx context.Context) bool {
	once := c.step.Class == protocol.ClassScan && !c.bus.unsure()
	most := 2 + min(c.doubts, mostDubious)
	if ways := len(c.step.Ways); ways > 0 && errors.Is(c.reply.Err, protocol.ErrSilent) {
		most = max(most, 1+ways+1) // the first once more, in case it was disturbed
	}
	if c.broke || c.absent || c.tries >= most || once || errors.Is(c.reply.Err, protocol.ErrEndless) || !c.step.Repeatable || ctx.Err() != nil {
		return false
	}
	return errors.Is(c.reply.Err, protocol.ErrSilent) || errors.Is(c.reply.Err, protocol.ErrGarbled)
}

// exchange sends one frame, hears the answer, and returns the exchange that follows. Nil is
// the end of the conversation, or of this try of it.
func (c *conversation) exchange(e *protocol.Exchange) *protocol.Exchange {
	b := c.bus
	first := e == c.begins
	if first {
		c.tries++
	}
	c.silent, c.reply.Answer = false, protocol.Answer{}
	patience := b.patience(c.step, c.tries)
	begin := time.Now()
	if first && c.tries > 1 && Age(c.ended, begin) > mostPause {
		b.doubts.outdate(c.step)
	}
	b.manner.judge(begin)
	if !c.tune() {
		return nil
	}
	needs := needsOf(c.step)
	b.rest(context.Background(), b.line.active.Add(needs.quiet(b.line.mode)))
	preamble := b.preamble(c.step, c.tries)
	if e.Stamp != nil {
		stamped := *e
		stamped.Request = e.Stamp(time.Now().Add(b.line.mode.Duration(preamble + len(e.Request))))
		e = &stamped
	}
	since := time.Duration(0)
	if first && !c.overdue.IsZero() {
		since = max(0, begin.Sub(c.overdue))
	}
	wait := b.wait(e, needs, patience, c.tries == 1 && c.step.Repeatable && c.step.Class != protocol.ClassScan, since)
	if first {
		wait = b.probeWait(c.step, wait)
	}
	c.dubious, c.early = "", false
	h, err := b.line.exchange(e, needs, preamble, wait, func(h *hearing, answer []byte) verdict { return c.judge(e, h, answer) })
	if e.Answer == nil && err == nil {
		b.rest(context.Background(), h.end) // it is sent when its last bit is
	}
	c.note(e, &h)
	c.ended = time.Now()
	c.account(begin, c.ended)
	c.listened(e, &h)

	switch {
	case err != nil:
		if !h.sent.IsZero() {
			c.doubt(e, &h)
		}
		b.fail(err)
		c.breakOff(err)
		return nil
	case e.Answer == nil:
		c.doubt(e, &h)
		return nil
	case h.answer == nil && c.dubious != "":
		c.unproven(e, &h)
		return nil
	case h.answer == nil:
		c.short = preamble < b.config.wakeUps(needs)
		c.unanswered(e, &h, first, min(wait, patience+b.config.Latency))
		return nil
	}
	b.opens = 0
	b.present(c.asked(), c.tries, c.turnaround(&h), c.short)
	c.overdue, c.short = time.Time{}, false
	if h.came.Before(c.open) {
		// The meter may have answered both tries, and one answer is still under way.
		c.doubt(e, &h)
	}
	if e.Take == nil {
		return nil
	}
	next, result, err := e.Take(h.answer)
	// Beside an error the result tells who answered.
	c.reply.Answer = protocol.Answer{Result: result, Err: err, Came: h.came}
	if err != nil {
		return nil
	}
	return next
}

// judge finds out whether a cut frame is the answer to an exchange, and when that came. It is not if
// it may be an earlier one: late, held back on the way, or heard once more. Where a late one is as
// good as one in time, so is any.
func (c *conversation) judge(e *protocol.Exchange, h *hearing, answer []byte) verdict {
	b := c.bus
	now := time.Now()
	if c.late {
		return verdict{}
	}
	if !h.ours && b.line.mirror.isFeared() && bytes.Equal(answer, e.Request) {
		return verdict{ours: true}
	}
	if !h.stale.IsZero() {
		if c.step.Repeatable {
			c.dubious = fmt.Sprintf("this program or its machine was stopped meanwhile, and when the answer came is not known better than that it was after %s", h.stale.Format(time.RFC3339))
			return verdict{doubtful: true}
		}
		if !c.step.IsCommand() {
			h.came = h.stale // it is not newer than it says
		}
	}
	if until := b.doubts.about(c.step, e, answer); !until.IsZero() {
		if over := h.end.Add(2 * b.ceiling()); c.step.Repeatable && until.After(h.end.Add(b.ceiling())) && over.After(until) {
			until = over // a little longer, and no answer to this request can be under way when it is made again
		}
		return verdict{doubtful: true, until: until}
	}
	full := h.full + b.line.mode.Duration(len(answer))
	early := b.manner.isEarly(h.took, full)
	held := 0
	if b.config.Packed || isShort(h.took, full) { // a line of our own holds little back
		held = b.doubts.heldBack(c.step, e, answer)
	}
	why := ""
	switch {
	case held > h.distinct() || slices.ContainsFunc(h.doubted, func(old []byte) bool { return held > 0 && bytes.Equal(old, answer) }):
		why = "it may be the answer to an earlier request, held back on its way"
	case held > 0: // all that were held back have come
	case c.doubts > 0: // nothing old was left after the last try
	case early && b.manner.isOld(answer, now):
		c.early = true
		why = fmt.Sprintf("it came before a line of %d baud can have carried request and answer", b.line.mode.Baud)
	case b.manner.isCopy(answer, now):
		why = "the line brings answers twice, and it is the same as the last"
	}
	if why == "" {
		return verdict{}
	}
	c.dubious = why
	return verdict{doubtful: true, until: now.Add(settling)}
}

// listened takes in what an exchange has shown of the line: the answer, which the next one may be
// mistaken for, and what came besides. An answer that was beyond doubt shows that nothing is held
// back any more, and how fast the line is.
func (c *conversation) listened(e *protocol.Exchange, h *hearing) {
	b, m := c.bus, &c.bus.manner
	if h.answer != nil {
		m.learn(h.took, h.full, !c.hasty && (m.isOld(h.answer, h.came) || b.doubts.areOpen()))
		if !c.late {
			b.doubts.markSettled()
		}
		for _, frame := range h.doubted { // they were none, since the right one came as well
			b.hear(frame)
		}
		m.note(c.step, e, h.answer, h.came)
	}
	b.hear(needsOf(c.step).remainder(h.strays, e.Request))
	if h.answer != nil && m.awaitsCopy() {
		b.line.free = h.came.Add(max(settling, b.config.Gap))
	}
}

// unproven ends a try in which an answer came that proves nothing. A read is tried again: what was
// held back or came twice has passed by then.
func (c *conversation) unproven(e *protocol.Exchange, h *hearing) {
	b := c.bus
	c.reply.Err = fmt.Errorf("%w: something came after the request to %s that would answer it, but %s", protocol.ErrGarbled, c.step.Meter, c.dubious)
	c.doubts++
	c.hasty = c.early
	if h.stopped {
		c.open = c.endOfLateAnswers(h)
		return // it was the answer, of a time that is not known
	}
	b.manner.suspect(h.doubted[len(h.doubted)-1], c.early)
	b.doubts.markSettled()
	c.leaveOpen(e, h)
}

// turnaround returns how long the meter took to begin the answer. An answer in a second try
// may be that to the first, which then took longer than was thought.
func (c *conversation) turnaround(h *hearing) time.Duration {
	end := h.end
	if !c.overdue.IsZero() {
		end = c.overdue
	}
	took := h.came.Sub(end) - c.bus.line.mode.Duration(len(h.answer))
	return min(max(0, took), c.bus.config.Timeout)
}

// unanswered ends a try to which no answer came. first reports whether it was the frame that begins a
// conversation, waited is how long the meter had for it.
func (c *conversation) unanswered(e *protocol.Exchange, h *hearing, first bool, waited time.Duration) {
	b := c.bus
	waited = waited.Round(time.Millisecond) // for people
	c.silent = true
	heard := ""
	if h.garbled && e.Explain != nil {
		heard = e.Explain(h.ignored)
	}
	switch {
	case !h.garbled && !first: // a long answer that breaks off is no silence
		c.reply.Err = fmt.Errorf("%w: the answer of %s breaks off: it said that more follows, and nothing came within %s of the request for that",
			protocol.ErrGarbled, c.step.Meter, waited)
	case h.garbled && b.doubts.explain(c.step, h.ignored):
		c.reply.Err = fmt.Errorf("%w: instead of one from %s the answer to an earlier request came, too late: raise timeout in the bus URL (%s) if a meter is slow, or latency (%s) if the way to it is",
			protocol.ErrGarbled, c.step.Meter, b.config.Timeout, b.config.Latency)
	case heard != "":
		c.reply.Err = fmt.Errorf("%w: what came after the request to %s is no answer to it: %s; speed, parity and wiring are right, for the frame is sound; check that only one meter has this address, and that no second master is on the bus",
			protocol.ErrGarbled, c.step.Meter, heard)
	case h.garbled:
		c.reply.Err = fmt.Errorf("%w: bytes came after the request to %s, but no frame that answers it; check baud rate (%d), parity (%s) and wiring, that only one meter answers to this address, and that no second master is on the bus",
			protocol.ErrGarbled, c.step.Meter, b.line.mode.Baud, b.line.mode.Parity)
	case c.step.Repeatable && b.Meter(c.step.Meter).Answered():
		c.reply.Err = fmt.Errorf("%w: nothing came from %s within %s, though it has answered before: it has lost its power or its line, or says nothing to what it does not have%s",
			protocol.ErrSilent, c.step.Meter, waited, b.portAdvice())
	default:
		c.reply.Err = fmt.Errorf("%w: nothing came from %s within %s; check its address, baud rate (%d), parity (%s) and wiring%s%s",
			protocol.ErrSilent, c.step.Meter, waited, b.line.mode.Baud, b.line.mode.Parity, b.advice(c.step), b.portAdvice())
	}
	c.absent = b.noteUnanswered(c.step, c.tries, h.garbled, c.stranger)
	if c.overdue.IsZero() {
		c.overdue = h.end
	}
	c.leaveOpen(e, h)
}

// leaveOpen notes that the answer to a try may still come. It cannot if something came that may have been it, and the
// line was listened to for so long that nothing is late any more: the next answer would be in doubt for it, and the one
// after that for the next.
func (c *conversation) leaveOpen(e *protocol.Exchange, h *hearing) {
	if c.step.Repeatable && len(h.doubted) > 0 && !h.stopped && !time.Now().Before(h.end.Add(2*c.bus.ceiling())) {
		return
	}
	c.doubt(e, h)
	c.open = c.endOfLateAnswers(h)
}

// advice is what the protocol of a step says of a meter that has never answered.
func (b *Bus) advice(step *protocol.Step) string {
	if step.Line == nil || step.Line.Advice == "" || b.Meter(step.Meter).Answered() {
		return ""
	}
	return "; " + step.Line.Advice
}

// portAdvice is what the port says of itself if no answer comes.
func (b *Bus) portAdvice() string {
	if port, ok := b.line.port.(interface{ advice() string }); ok {
		if advice := port.advice(); advice != "" {
			return "; " + advice
		}
	}
	return ""
}

// unsure reports whether the port may have sent the last request in a form that does not reach the line, and
// sends the next in another.
func (b *Bus) unsure() bool {
	port, ok := b.line.port.(interface{ unsure() bool })
	return ok && port.unsure()
}

// doubt notes that an answer to an exchange may still come, or another one. Until it cannot any
// more, its meter gets no command after a command.
func (c *conversation) doubt(e *protocol.Exchange, h *hearing) {
	split := e.Answer
	if split == nil {
		split = e.Stray
	}
	if split == nil {
		return // nobody answers
	}
	over := c.endOfLateAnswers(h)
	late := doubt{of: c.step, request: e.Request, stopped: h.stopped, until: over}
	c.bus.doubts.add(late, split, h.answer != nil || len(h.doubted) > 0)
	if c.step.IsCommand() {
		c.bus.holdCommands(c.step.Meter, over)
	}
}

// endOfLateAnswers returns when no late answer to an exchange can come any more: two of the longest waits
// for an answer after the request, and at least one from now.
func (c *conversation) endOfLateAnswers(h *hearing) time.Time {
	ceiling := c.bus.ceiling()
	over := h.end.Add(2 * ceiling)
	if fromNow := time.Now().Add(ceiling); fromNow.After(over) {
		return fromNow
	}
	return over
}

// breakOff ends a conversation because the port failed. A command of which something may
// have gone out has an unknown outcome, like one that was not answered.
func (c *conversation) breakOff(err error) {
	c.broke = true
	c.reply.Result = protocol.Result{}
	if c.reply.Started && !c.step.Repeatable {
		c.reply.Err = fmt.Errorf("%w: the port failed before %s could answer: %w", protocol.ErrSilent, c.step.Meter, err)
		return
	}
	c.reply.Err = fmt.Errorf("%w: %w", ErrDown, err)
}

// note keeps what went and came.
func (c *conversation) note(e *protocol.Exchange, h *hearing) {
	if h.sent.IsZero() {
		return
	}
	c.reply.Started = true
	c.frame(Transfer{Sent: true, Time: h.sent, Bytes: e.Request})
	if len(h.ignored) > 0 && !needsOf(c.step).isWakeUp(h.ignored) { // which are no news before an answer
		c.frame(Transfer{Ignored: true, Time: h.came, Bytes: h.ignored})
	}
	if h.answer != nil {
		c.frame(Transfer{Time: h.came, Bytes: h.answer})
	}
}

func (c *conversation) frame(f Transfer) {
	c.reply.Frames = append(c.reply.Frames, f)
	if c.bus.config.OnFrame != nil {
		c.bus.config.OnFrame(FrameEvent{Meter: c.step.Meter, Transfer: f})
	}
}

// account adds the time of an exchange to what the wire was in use, and tells of the line
// what it showed.
func (c *conversation) account(begin, end time.Time) {
	c.wire += end.Sub(begin)
	c.bus.mu.Lock()
	defer c.bus.mu.Unlock()
	c.bus.usage.note(begin, end)
	c.bus.state.Echo = c.bus.line.echo
}
