package bus

import (
	"bytes"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// A doubt is an exchange whose answer may still come, though nobody waits for it any more.
type doubt struct {
	request []byte
	cuts    func(answer []byte) bool // tells whether the exchange would have taken an answer for its own
	until   time.Time
}

// doubts are those of all meters: which of them a late answer may belong to is told by the
// split functions, also where a request went to a wildcard address.
type doubts []doubt

// add notes that the answer of e may come until then.
func (d *doubts) add(e *protocol.Exchange, until time.Time) {
	now := time.Now()
	*d = slices.DeleteFunc(*d, func(old doubt) bool {
		return !now.Before(old.until) || bytes.Equal(old.request, e.Request)
	})
	split := e.Answer
	*d = append(*d, doubt{request: e.Request, until: until, cuts: func(answer []byte) bool {
		token, _, _ := cut(answer, split, true)
		return token != nil
	}})
}

// about returns until when an answer to e proves nothing, because it may be the late answer
// to another request; the zero time if it does prove something.
func (d doubts) about(e *protocol.Exchange, answer []byte) time.Time {
	var until time.Time
	if e.Vague == nil || !e.Vague(answer) {
		return until
	}
	now := time.Now()
	for _, old := range d {
		if now.Before(old.until) && old.until.After(until) && !bytes.Equal(old.request, e.Request) && old.cuts(answer) {
			until = old.until
		}
	}
	return until
}
