package dlt698

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// mostParts bounds the fragments, and the blocks, of one answer: the longest that meters say they have, 8,000 bytes, in
	// parts of 64.
	mostParts = 127

	// mostJoined bounds an answer that came in fragments.
	mostJoined = 1 << 16

	// randomSize is how many bytes a client's random number has.
	randomSize = 16
)

// longestConfirmation is more than the answer to a command has: results, and the report of an event that a meter
// appends.
const longestConfirmation = 320

// A talk is one APDU that goes to a meter, and its answer, which may come in fragments. It holds
// nothing that changes: what came so far lives in the exchanges, so that it can be begun anew.
type talk struct {
	address Address
	apdu    APDU
	oads    []OAD // one of them begins the answer
	sealed  bool  // it goes as plain text with a random number
	command bool

	// stamped returns the APDU for the moment at which it will have been sent; nil: that plays no role.
	stamped func(sent time.Time) APDU

	// take goes on with the answer.
	take func(r reply) (*protocol.Exchange, protocol.Result, error)

	who protocol.Address // the address as package protocol has it
}

// A reply is the APDU that answered a talk.
type reply struct {
	APDU
	from   Address
	denied DAR // why the meter did not take it in its envelope; else 0
	parts  int // fragments that it came in
}

// isFault reports whether the meter did not understand what it was sent.
func (r *reply) isFault() bool { return r.Service == Fault|Answered }

// faultService is the type of an ERROR that says that a service is not supported.
const faultService = 2

// numbered gives a request its number: out of what it asks, so that the same request has always the
// same, and others mostly another. Meters repeat it.
func numbered(a APDU) APDU {
	a.PIID = 0
	a.PIID = byte(checksum(a.Append(nil))) & piidNumber
	return a
}

// random returns the random number of a request. It only has to be one: what a meter makes of it
// is checked by key holders alone.
func random(apdu []byte) []byte {
	sum := sha256.Sum256(apdu)
	return sum[:randomSize]
}

// frame returns the frame of an APDU.
func (t *talk) frame(a APDU) []byte {
	data := a.Append(nil)
	if t.sealed {
		envelope := APDU{Service: Security, Sealed: &Sealed{APDU: data, Check: CheckRN, RN: random(data)}}
		data = envelope.Append(nil)
	}
	return mustAppend(Frame{Control: request, Address: t.address, Client: client, Data: data})
}

func (t *talk) awaited() *awaited {
	return &awaited{
		from: t.address, client: client, service: t.apdu.Service | Answered, choice: t.apdu.Choice, piid: t.apdu.PIID,
		oads: t.oads, sealed: t.sealed,
	}
}

// exchange sends the APDU.
func (t *talk) exchange() *protocol.Exchange {
	t.who = Meters{}.named(t.address)
	a := t.awaited()
	e := &protocol.Exchange{
		Request: t.frame(t.apdu), Answer: a.split, Vague: isVague,
		Take: func(b []byte) (*protocol.Exchange, protocol.Result, error) { return t.received(b, 0, nil) },
	}
	e.Explain = a.explainer(e.Request)
	if t.command {
		e.Longest = longestConfirmation
	}
	if t.sealed { // what comes without an envelope may be the answer to the request that was sent without one
		e.Vague = func(b []byte) bool { return isVague(b) || !isSealed(b) }
	}
	if t.command {
		e.Vague = func([]byte) bool { return true } // it names what was done, but not how
	}
	if t.stamped != nil {
		e.Stamp = func(sent time.Time) []byte { return t.frame(t.stamped(sent)) }
		e.Request = e.Stamp(time.Time{})
	}
	return e
}

// isVague reports of an answer whether it names nothing that was asked for.
func isVague(b []byte) bool {
	f := frameIn(b)
	if f.Control.Fragmented() || len(f.Data) < 2 {
		return false
	}
	service := Service(f.Data[0])
	return service == Fault|Answered || service == Security|Answered && f.Data[1] == 2
}

// isSealed reports of a frame whether its APDU is in an envelope.
func isSealed(b []byte) bool {
	f := frameIn(b)
	if f.Control.Fragmented() {
		fragment, err := ParseFragment(f.Data)
		if err != nil || fragment.Number > 0 {
			return true // the first fragment was looked at
		}
		f.Data = fragment.Data
	}
	return len(f.Data) > 0 && Service(f.Data[0]) == Security|Answered
}

// received takes in an answer, or the fragment of one that has the number part. Each but the last is
// acknowledged, which has the meter send the next.
func (t *talk) received(b []byte, part int, sofar []byte) (*protocol.Exchange, protocol.Result, error) {
	f, err := ParseFrame(b)
	if err != nil {
		return nil, protocol.Result{}, garbled("%w", err)
	}
	result := protocol.Result{Address: t.named(f.Address)}
	if !f.Control.Fragmented() {
		return t.finish(f.Address, f.Data, part)
	}
	fragment, err := ParseFragment(f.Data)
	if err != nil {
		return nil, result, t.unreadable(f.Address, f.Data, err)
	}
	first := fragment.Kind == FirstFragment
	switch {
	case fragment.Number != part, first != (part == 0) && (part > 0 || fragment.Kind != LastFragment):
		return nil, result, t.unreadable(f.Address, f.Data, garbled("the %s fragment %d came where fragment %d is due", fragment.Kind, fragment.Number, part))
	case part == mostParts, len(sofar)+len(fragment.Data) > mostJoined:
		return nil, result, t.unreadable(f.Address, f.Data, garbled("%w, not even in %d fragments", protocol.ErrEndless, part+1))
	}
	joined := slices.Concat(sofar, fragment.Data)
	if fragment.Kind == LastFragment {
		if t.awaited().fitsAPDU(joined) != fitsWell { // its first fragment may not have said all
			return nil, result, t.unreadable(f.Address, joined, garbled("what came in %d fragments answers another request", part+1))
		}
		return t.finish(f.Address, joined, part+1)
	}
	return t.acknowledge(f.Address, part, joined), result, nil
}

// acknowledge has the meter send the fragment behind the one of that number.
func (t *talk) acknowledge(from Address, part int, sofar []byte) *protocol.Exchange {
	a := t.awaited()
	a.from, a.part = from, part+1
	acknowledgement := Fragment{Kind: Acknowledgment, Number: part}
	e := &protocol.Exchange{
		Request: mustAppend(Frame{Control: request | fragmented, Address: from, Client: client, Data: acknowledgement.Append(nil)}),
		Answer:  a.split,
		Take: func(b []byte) (*protocol.Exchange, protocol.Result, error) {
			return t.received(b, part+1, sofar)
		},
	}
	e.Explain = a.explainer(e.Request)
	return e
}

// entriesPool holds room for the entries of answers; nothing refers to them when they have been read.
var entriesPool = sync.Pool{New: func() any { entries := make([]Entry, 16); return &entries }}

// finish opens the envelope of a whole answer, if it has one.
func (t *talk) finish(from Address, data []byte, parts int) (*protocol.Exchange, protocol.Result, error) {
	result := protocol.Result{Address: t.named(from)}
	spare := entriesPool.Get().(*[]Entry)
	defer entriesPool.Put(spare)
	a, err := parseAPDU(data, *spare)
	if err != nil {
		return nil, result, t.unreadable(from, data, err)
	}
	r := reply{APDU: a, from: from, parts: parts}
	if a.Service == Security|Answered {
		switch s := a.Sealed; {
		case a.DAR != darSuccess || s.APDU == nil && !s.Cipher:
			r.denied = max(a.DAR, 1)
		case s.Cipher:
			return nil, result, t.unreadable(from, data, garbled("it is ciphertext, which takes the key of the meter"))
		default:
			if r.APDU, err = parseAPDU(s.APDU, *spare); err != nil {
				return nil, result, t.unreadable(from, data, err)
			}
		}
	}
	next, taken, err := t.take(r)
	if taken.Address.IsZero() {
		taken.Address = result.Address
	}
	return next, taken, err
}

// named returns who answered. A meter that sends the wildcard back says nothing about itself.
func (t *talk) named(from Address) protocol.Address {
	switch {
	case from.IsShared():
		return protocol.Address{}
	case from == t.address:
		return t.who
	}
	return Meters{}.named(from)
}

// mostShown bounds the bytes that an error shows.
const mostShown = 64

// An unreadableError is that of a sound frame whose content is not what it should be: it would be the
// same the next time.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

// unreadable makes the error for a sound frame that cannot be read as the answer. It shows the data that came.
func (t *talk) unreadable(from Address, data []byte, err error) error {
	shown := fmt.Sprintf("% X", data[:min(len(data), mostShown)])
	if len(data) > mostShown {
		shown += fmt.Sprintf(" and %d bytes more", len(data)-mostShown)
	}
	what := t.apdu.Service.String()
	if len(t.oads) > 0 {
		what += " " + t.oads[0].String()
	}
	return &unreadableError{fmt.Errorf("%s to %s: %w; the data, first byte first: %s", what, from, err, shown)}
}
