package bus

import (
	"bytes"
	"context"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// settling is how long the line is kept silent for a copy of an answer if it is known to bring copies: a
	// repeater, a radio or a server sends an answer again, or another meter has the same address.
	settling = 500 * time.Millisecond

	// unknownSettling is the same for a line that nothing is known of, where a copy that comes later shows by its time.
	unknownSettling = 250 * time.Millisecond

	// commandSettling is the same for commands, since somebody waits for them, on a line that brings no copies of reads.
	commandSettling = 150 * time.Millisecond

	// A line counts as free of copies after trusted answers without one, each watched until none could come any
	// more, and after trustedReads reads in all.
	trusted      = 2
	trustedReads = 6

	// trustedVague is trusted for answers that name nothing: a copy would pass for a refusal of whatever the meter is
	// asked next.
	trustedVague = 20

	// repaired is trusted for a line that has brought copies before.
	repaired = 50

	// memorable is how long an answer is remembered, since its copy may be mistaken for the answer to the next request.
	memorable      = 10 * time.Second
	mostUtterances = 16

	// punctual is the part of the time that request and answer take on the line before which no answer can be
	// complete. The rest allows for clocks that differ.
	punctual = 0.85

	// leastHaste is how early an answer must be at least to count as early: on a fast line nothing can be told.
	leastHaste = 20 * time.Millisecond

	// timed is how many answers in a row must take as long as the speed of the line says until that speed is believed.
	timed = 2

	// unhurried is how many such answers in a row disprove that the line is faster than it says.
	unhurried = 64
)

// An utterance is an answer that was heard.
type utterance struct {
	of      *protocol.Step
	answer  []byte
	cuts    cutter
	command bool
	vague   bool // it names nothing of what was asked
	came    time.Time
	copies  int // heard since
}

// A manner is how a line brings answers. The zero manner is of a line that nothing is known of.
// Only the goroutine of Bus.Run uses it.
type manner struct {
	latest []utterance // oldest first
	stray  []byte      // the latest bytes that belong to no answer
	heard  time.Time   // when the last of them came

	// copies is how many copies of an answer come at most; 0: none have, as far as is known. There
	// may be one more until the time for it is over, after the answer that came at recounted.
	copies    int
	recounted time.Time
	ever      bool // some have come
	// clean counts the times in a row that an answer was not followed by a copy for so long that
	// none could come any more: an answer to a read, one to a command. Copies of the one say
	// nothing of the other. followed is when the answer came that is being watched.
	clean    [2]int
	followed [2]time.Time
	reads    int // that were answered since the last copy

	// hasty tells that answers were complete before the line can have carried them: its speed is not
	// what it is said to be, or nothing carries the bytes one by one. calm counts the answers in a
	// row that were not.
	hasty bool
	calm  int

	late time.Time // when something was heard that may be an answer that was given up; it may come once more
}

func kindOfAnswer(command bool) int {
	if command {
		return 1
	}
	return 0
}

// note remembers an answer that was heard.
func (m *manner) note(of *protocol.Step, e *protocol.Exchange, answer []byte, came time.Time) {
	m.latest = slices.DeleteFunc(m.latest, func(u utterance) bool { return came.Sub(u.came) > memorable })
	if len(m.latest) >= mostUtterances {
		m.latest = slices.Delete(m.latest, 0, 1)
	}
	u := utterance{of: of, answer: answer, cuts: newCutter(e.Answer), command: of.IsCommand(), vague: e.Vague != nil && e.Vague(answer), came: came}
	m.latest = append(m.latest, u)
	if !u.command {
		m.reads++
	}
	if since := &m.followed[kindOfAnswer(u.command)]; since.IsZero() {
		*since = came
	}
}

// judge counts the answers after which no copy came in time. What has not been looked at yet counts
// against the line when it is.
func (m *manner) judge(now time.Time) {
	if !m.recounted.IsZero() && now.Sub(m.recounted) >= settling {
		m.recounted = time.Time{}
	}
	for kind, since := range m.followed {
		if since.IsZero() || now.Sub(since) < settling {
			continue
		}
		m.followed[kind] = time.Time{}
		if m.clean[kind]++; m.clean[kind] >= repaired {
			m.copies = 0
		}
	}
}

// overhear takes in bytes that belong to no answer and looks for copies of answers in them. What is
// late only, as takeLate tells, is no copy.
func (m *manner) overhear(data []byte, now time.Time, takeLate func([]byte) bool) {
	if len(data) == 0 {
		return
	}
	if now.Sub(m.heard) > settling {
		m.stray = m.stray[:0]
	}
	m.stray, m.heard = append(m.stray, data...), now
	for u := m.copyIn(m.stray); u != nil; u = m.copyIn(m.stray) {
		before, after, _ := bytes.Cut(m.stray, u.answer)
		m.stray = append(bytes.Clone(before), after...)
		if !takeLate(u.answer) {
			m.copied(u)
		}
	}
	// An answer more than was asked for, and yet not the same: there is another meter.
	for i := range slices.Backward(m.latest) {
		u := &m.latest[i]
		if now.Sub(u.came) >= memorable || !u.cuts(m.stray) {
			continue
		}
		if !takeLate(m.stray) {
			m.copied(u)
		}
		m.stray = m.stray[:0]
		break
	}
	if over := len(m.stray) - mostIgnored; over > 0 {
		m.stray = slices.Delete(m.stray, 0, over)
	}
}

// copyIn returns the answer that stands in data once more: of those that are the same the latest
// that has had the fewest copies. Nil: none does.
func (m *manner) copyIn(data []byte) (found *utterance) {
	for i := range slices.Backward(m.latest) {
		if u := &m.latest[i]; (found == nil || u.copies < found.copies && bytes.Equal(u.answer, found.answer)) && bytes.Contains(data, u.answer) {
			found = u
		}
	}
	return found
}

// copied counts a copy of an answer.
func (m *manner) copied(u *utterance) {
	m.ever = true
	if u.copies++; u.copies > m.copies {
		m.copies, m.recounted = u.copies, u.came
	}
	m.clean, m.followed, m.reads = [2]int{}, [2]time.Time{}, 0
}

// expected returns how many copies of an answer must be expected.
func (m *manner) expected() int {
	if m.recounted.IsZero() {
		return m.copies
	}
	return m.copies + 1
}

// settling returns how long after an answer a copy of it is feared that would pass for that to the
// next request: where the line is not known to bring none, one that comes late enough cannot be told
// from it.
func (m *manner) settling(u *utterance) time.Duration {
	reads := m.clean[kindOfAnswer(false)] >= trusted && m.reads >= trustedReads
	commands := m.clean[kindOfAnswer(true)] >= trusted
	switch {
	case u.copies < m.expected():
		return settling
	case m.copies > 0:
		return 0
	case m.ever: // and may come again
		return settling
	case u.command && commands, !u.command && reads && (!u.vague || m.clean[kindOfAnswer(false)] >= trustedVague):
		return 0
	case u.command && reads:
		return commandSettling
	case !u.vague && m.isTimed():
		return unknownSettling
	}
	return settling
}

// lateUntil returns until when commands wait for a copy of an acknowledgement that came late, unless the line is known to
// bring none.
func (m *manner) lateUntil() time.Time {
	if m.late.IsZero() || !m.ever && m.clean[kindOfAnswer(true)] >= trusted {
		return time.Time{}
	}
	return m.late.Add(settling)
}

// heldUntil returns until when a step must wait for copies of answers that would pass for its own.
func (m *manner) heldUntil(e *protocol.Exchange, now time.Time) (until time.Time) {
	if e.Answer == nil {
		return until
	}
	for i := range m.latest {
		u := &m.latest[i]
		if over := u.came.Add(m.settling(u)); now.Before(over) && over.After(until) && newCutter(e.Answer)(u.answer) {
			until = over
		}
	}
	return until
}

// isOld reports whether an answer can be one that was heard before, or that of another meter to the
// same request.
func (m *manner) isOld(answer []byte, now time.Time) bool {
	return slices.ContainsFunc(m.latest, func(u utterance) bool { return now.Sub(u.came) < memorable && u.cuts(answer) })
}

// isCopy reports whether an answer is the same as one of late, of which fewer copies have come than
// must be expected.
func (m *manner) isCopy(answer []byte, now time.Time) bool {
	return slices.ContainsFunc(m.latest, func(u utterance) bool {
		return now.Sub(u.came) < 2*settling && u.copies < m.expected() && bytes.Equal(u.answer, answer)
	})
}

// suspect takes in an answer that proved nothing, and that nothing better came after. If it was early
// it is a copy; else it may be what it seems.
func (m *manner) suspect(answer []byte, early bool) {
	m.followed = [2]time.Time{}
	if u := m.copyIn(answer); u != nil && early {
		m.copied(u)
	}
}

// isTimed reports whether the line is known to take its time.
func (m *manner) isTimed() bool { return !m.hasty && m.calm >= timed }

// isShort reports whether an answer was there before the line can have carried it, and the request
// before it. full is how long that takes, took how long it took.
func isShort(took, full time.Duration) bool {
	return took.Seconds() < punctual*full.Seconds() && full-took >= leastHaste
}

// isEarly reports whether an answer came too early for a line that takes its time.
func (m *manner) isEarly(took, full time.Duration) bool { return m.isTimed() && isShort(took, full) }

// learn takes in how long an answer took. One that is old shows nothing by being early.
func (m *manner) learn(took, full time.Duration, old bool) {
	switch {
	case !isShort(took, full):
		if m.calm++; m.calm >= unhurried {
			m.hasty = false
		}
	case !old || !m.isTimed():
		m.hasty, m.calm = true, 0
	}
}

// hear gives bytes that nobody waited for to who looks for copies.
func (b *Bus) hear(data []byte) {
	before, now := b.manner.copies, time.Now()
	late := len(data) > 0 && b.doubts.areIn(data)
	b.manner.overhear(data, now, b.doubts.takeLate)
	if late || len(data) > 0 && b.doubts.areIn(b.manner.stray) { // it may have come in pieces
		b.manner.late = now
	}
	b.tellCopies(before)
}

// tellCopies says in the log when a line turns out to bring answers more than once.
func (b *Bus) tellCopies(before int) {
	if before == 0 && b.manner.copies > 0 {
		b.config.Log.Warn("an answer came twice: a repeater, a radio or a serial server sends it again, or two meters have the same address; from now on requests wait until the copy has passed",
			"bus", b.config.URL)
	}
}

// awaitsCopy reports whether the last answer is likely to come once more.
func (m *manner) awaitsCopy() bool {
	n := len(m.latest)
	return n > 0 && m.latest[n-1].copies < m.expected()
}

// silence keeps the line silent until the next request may go. Where answers come more than once,
// it first waits for the copies of the last.
func (b *Bus) silence(ctx context.Context) {
	for b.manner.awaitsCopy() && ctx.Err() == nil {
		now := time.Now()
		left := b.line.free.Sub(now)
		if left <= 0 {
			return
		}
		b.turn(now)
		n, err := b.line.port.Read(b.line.buffer[:], min(left, listenTurn))
		if err != nil {
			b.fail(err)
			return
		}
		if b.hear(b.line.buffer[:n]); !b.manner.awaitsCopy() {
			b.line.free = time.Now().Add(b.config.Gap)
		}
	}
	b.rest(ctx, b.line.free)
}
