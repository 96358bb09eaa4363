package dlt645

import (
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// Meters plans conversations with meters of one edition of the standard. It implements
// [protocol.Protocol]; nothing in it changes after [New].
type Meters struct {
	version Version
	zone    *time.Location
	items   *Dictionary
}

var _ protocol.Recogniser = (*Meters)(nil)

// New returns the protocol of version v, V2007 or V1997, for meters whose clocks show the
// time of zone.
func New(v Version, zone *time.Location) *Meters {
	return &Meters{version: v, zone: zone, items: Items(v)}
}

// Name returns "2007" or "1997".
func (m *Meters) Name() string { return m.version.String() }

// Title returns "DL/T 645-2007" or "DL/T 645-1997".
func (m *Meters) Title() string { return "DL/T 645-" + m.version.String() }

// familyName is that of both editions, whose meters have the same frames and addresses.
const familyName = "645"

// Family returns "645".
func (m *Meters) Family() string { return familyName }

// lineOf returns what meters of an edition need of the wire. Clauses 5.2.1, 5.3 and 6 of DL/T 645-2007: one to
// four bytes FE before a frame, an answer that begins 20 to 500 ms after the request, and no silence
// of more than 500 ms within it; the rest is for drivers that hand over bytes in lots. That two bytes may do
// is the experience with meters; they are also the gap in which the one that spoke last lets go of the line.
func lineOf(v Version) *protocol.Line {
	line := &protocol.Line{
		WakeUp: wakeUp, WakeUps: 4, Fewest: 2, Leading: 4,
		Soonest: 20 * time.Millisecond, Latest: 500 * time.Millisecond, ByteGap: 550 * time.Millisecond,
		Longest: 256,
		Advice:  "an older meter may speak DL/T 645-1997, which is @1997 behind its address; other usual speeds are 1200, 2400 and 9600",
	}
	if v == V1997 {
		line.Advice = "a newer meter may speak DL/T 645-2007, which is @2007 behind its address; other usual speeds are 1200, 2400 and 9600"
	}
	return line
}

var lines = map[Version]*protocol.Line{V2007: lineOf(V2007), V1997: lineOf(V1997)}

// key returns the key of the meter at an address.
func (m *Meters) key(a Address) protocol.MeterKey {
	return protocol.MeterKey{Family: familyName, Text: a.String()}
}

// named returns an address as package protocol has it.
func (m *Meters) named(a Address) protocol.Address {
	return protocol.Address{MeterKey: m.key(a), Shared: m.isShared(a)}
}

// AddressForm says what an address is.
func (m *Meters) AddressForm() (words, example string) { return "12 digits", "000000000001" }

// Recognises reports whether frame is a frame of DL/T 645, of either edition.
func (m *Meters) Recognises(frame []byte) bool {
	_, err := ParseFrame(frame)
	return err == nil
}

// ParseAddress returns the 12 characters of an address: see the function [ParseAddress].
// In the 2007 edition any AA makes it a wildcard. In 1997 AA above digits fills up a short
// address and belongs to it; only AAAAAAAAAAAA, and 999999999999, which meters of 1997
// answer too, mean more than one meter.
func (m *Meters) ParseAddress(text string) (protocol.Address, error) {
	a, err := ParseAddress(text, m.version)
	if err != nil {
		return protocol.Address{}, badRequest("%w", err)
	}
	return m.named(a), nil
}

// isShared reports whether more than one meter may answer to a.
func (m *Meters) isShared(a Address) bool {
	return a.IsBroadcast() || a == Anyone || m.version == V2007 && a.IsWildcard()
}

// Plan turns a request into steps. What a command does is in the file of that name: relay.go,
// write.go and so on. Its plan ends with a [protocol.Report] where anything is known of the
// command beyond its answer.
func (m *Meters) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	switch request.Verb {
	case protocol.VerbRead:
		return m.planRead(request, known)
	case protocol.VerbRaw:
		return m.planRaw(request)
	case protocol.VerbWrite, protocol.VerbRelay, protocol.VerbMaintenance, protocol.VerbBroadcast:
		return m.planCommand(request)
	case protocol.VerbClock:
		return m.planClock(request)
	}
	return protocol.Plan{}, fmt.Errorf("%w: DL/T 645-%s has no verb %q", protocol.ErrUnsupported, m.version, request.Verb)
}

// Redact returns frame as upper-case hex with passwords masked: see the function [Redact].
func (m *Meters) Redact(frame []byte) string { return Redact(frame) }
