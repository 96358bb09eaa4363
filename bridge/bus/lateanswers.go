package bus

import (
	"bufio"
	"bytes"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// A doubt is an exchange whose answer may still come, though nobody waits for it any more. If
// it comes after an equal request of a later step, it is an old value under a new time; within
// one step the answer to the first try is as good as that to the second.
type doubt struct {
	of      *protocol.Step
	request []byte
	cuts    cutter
	stopped bool // the process was, while it waited: the answer may be old by now
	until   time.Time
	open    int  // answers that have not come
	probed  bool // something was asked to settle it
	settled bool // what a server may have held back of it has come, or been lost
}

// A cutter reports whether an exchange would have taken an answer for its own.
type cutter func(answer []byte) bool

func newCutter(split bufio.SplitFunc) cutter {
	return func(answer []byte) bool {
		token, _, _ := cut(answer, split, true)
		return token != nil
	}
}

const (
	// explainable is how long after a doubt is over its late answer is still recognised.
	explainable = 10 * time.Second

	// heldBack is how long after that a server may hold an answer back.
	heldBack = 5 * time.Minute
)

// doubts are those of all meters: which of them a late answer may belong to is told by the
// split functions, also where a request went to a wildcard address.
type doubts []doubt

// mostDoubts bounds what is remembered of a line where nobody answers.
const mostDoubts = 256

// add notes that an answer may come late; split cuts it. If the request was answered, it is one to an
// earlier try that may come.
func (d *doubts) add(next doubt, split bufio.SplitFunc, answered bool) {
	now := time.Now()
	next.cuts = newCutter(split)
	if !answered {
		next.open = 1
	}
	*d = slices.DeleteFunc(*d, func(old doubt) bool {
		if old.of == next.of && bytes.Equal(old.request, next.request) {
			next.open += old.open
			return true
		}
		return !now.Before(old.until.Add(explainable)) && (old.settled || !now.Before(old.until.Add(heldBack)))
	})
	*d = append(*d, next)
	if len(*d) > mostDoubts {
		*d = slices.Delete(*d, 0, len(*d)-mostDoubts)
	}
}

// isAgain reports whether an exchange of a step is another try of what is in doubt, whose answer is as
// good as its own, unless the process was stopped in between.
func (old *doubt) isAgain(of *protocol.Step, e *protocol.Exchange, answer []byte) bool {
	vague := e.Vague != nil && e.Vague(answer)
	return old.of == of && !old.stopped && (!vague || bytes.Equal(old.request, e.Request))
}

// about returns until when an answer to e proves nothing for a step, because it may be the late
// answer to another request; the zero time if it does prove something.
func (d doubts) about(of *protocol.Step, e *protocol.Exchange, answer []byte) time.Time {
	now := time.Now()
	var until time.Time
	for i := range d {
		old := &d[i]
		if now.Before(old.until) && old.until.After(until) && !old.isAgain(of, e, answer) && old.cuts(answer) {
			until = old.until
		}
	}
	return until
}

// heldBack returns how many answers to requests before may have been held back on their way, and be
// taken for one to e, though the time for them is long over.
func (d doubts) heldBack(of *protocol.Step, e *protocol.Exchange, answer []byte) (times int) {
	now := time.Now()
	for i := range d {
		old := &d[i]
		if !old.settled && now.Before(old.until.Add(heldBack)) && !old.isAgain(of, e, answer) && old.cuts(answer) {
			times += old.open
		}
	}
	return times
}

// outdate notes that an answer to an earlier try of a step is too old by now.
func (d doubts) outdate(step *protocol.Step) {
	for i := range d {
		if d[i].of == step {
			d[i].stopped = true
		}
	}
}

// areOpen reports whether anything may be held back.
func (d doubts) areOpen() bool {
	now := time.Now()
	return slices.ContainsFunc(d, func(old doubt) bool {
		return !old.settled && old.open > 0 && now.Before(old.until.Add(heldBack))
	})
}

// markSettled notes that nothing is held back any more of what was asked until now: what is held back
// comes before the answer to a later request, or not at all.
func (d doubts) markSettled() {
	for i := range d {
		d[i].settled = true
	}
}

// probeUnproven reports whether the acknowledgement of a command to a meter may have been held back, and
// nothing was asked yet to find out.
func (d doubts) probeUnproven(meter protocol.MeterKey) (found bool) {
	now := time.Now()
	for i := range d {
		old := &d[i]
		if !old.settled && !old.probed && old.open > 0 && old.of.IsCommand() && old.of.Meter == meter && now.Before(old.until.Add(heldBack)) {
			old.probed, found = true, true
		}
	}
	return found
}

// takeLate reports whether what was heard is an answer that was given up, and expects one less.
func (d doubts) takeLate(heard []byte) bool {
	now := time.Now()
	for i := range d {
		old := &d[i]
		if old.open > 0 && (now.Before(old.until.Add(explainable)) || !old.settled) && old.cuts(heard) {
			old.open--
			return true
		}
	}
	return false
}

// areIn reports whether what was heard has an answer to a command in it that has not come yet.
func (d doubts) areIn(heard []byte) bool {
	now := time.Now()
	return slices.ContainsFunc(d, func(old doubt) bool {
		return old.of.IsCommand() && old.open > 0 && now.Before(old.until.Add(explainable)) && old.cuts(heard)
	})
}

// explain reports whether what was heard has the late answer to a request of another step in it.
func (d doubts) explain(of *protocol.Step, heard []byte) bool {
	return slices.ContainsFunc(d, func(old doubt) bool { return old.of != of && old.cuts(heard) })
}

// heldUntil returns until when a step is better not begun, since the answer to its request would
// prove nothing; the zero time if it may go.
func (d doubts) heldUntil(step *protocol.Step) time.Time {
	now := time.Now()
	var until time.Time
	for _, old := range d {
		if now.Before(old.until) && old.of != step && old.until.After(until) && bytes.Equal(old.request, step.First.Request) {
			until = old.until
		}
	}
	return until
}
