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
	cuts    func(answer []byte) bool // tells whether the exchange would have taken an answer for its own
	until   time.Time
}

// explainable is how long after a doubt is over an answer that comes all the same is known for what it is.
const explainable = 10 * time.Second

// doubts are those of all meters: which of them a late answer may belong to is told by the
// split functions, also where a request went to a wildcard address.
type doubts []doubt

// add notes that the answer to a request, sent for a step, may come until then; split cuts it.
func (d *doubts) add(of *protocol.Step, request []byte, split bufio.SplitFunc, until time.Time) {
	now := time.Now()
	*d = slices.DeleteFunc(*d, func(old doubt) bool {
		return !now.Before(old.until.Add(explainable)) || old.of == of && bytes.Equal(old.request, request)
	})
	*d = append(*d, doubt{of: of, request: request, until: until, cuts: func(answer []byte) bool {
		token, _, _ := cut(answer, split, true)
		return token != nil
	}})
}

// about returns until when an answer to e proves nothing for a step, because it may be the late
// answer to another request; the zero time if it does prove something.
func (d doubts) about(of *protocol.Step, e *protocol.Exchange, answer []byte) time.Time {
	now := time.Now()
	vague := e.Vague != nil && e.Vague(answer)
	var until time.Time
	for _, old := range d {
		again := old.of == of && (!vague || bytes.Equal(old.request, e.Request))
		if now.Before(old.until) && old.until.After(until) && !again && old.cuts(answer) {
			until = old.until
		}
	}
	return until
}

// explain tells whether what was heard has the late answer to a request of another step in it.
func (d doubts) explain(of *protocol.Step, heard []byte) bool {
	return slices.ContainsFunc(d, func(old doubt) bool { return old.of != of && old.cuts(heard) })
}

// held returns until when a step is better not begun, since the answer to its request would
// prove nothing; the zero time if it may go.
func (d doubts) held(step *protocol.Step) time.Time {
	now := time.Now()
	var until time.Time
	for _, old := range d {
		if now.Before(old.until) && old.of != step && old.until.After(until) && bytes.Equal(old.request, step.First.Request) {
			until = old.until
		}
	}
	return until
}
