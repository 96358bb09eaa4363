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

var _ protocol.Protocol = (*Meters)(nil)

// New returns the protocol of version v, V2007 or V1997, for meters whose clocks show the
// time of zone.
func New(v Version, zone *time.Location) *Meters {
	return &Meters{version: v, zone: zone, items: Items(v)}
}

// Name returns "2007" or "1997".
func (m *Meters) Name() string { return m.version.String() }

// ParseAddress returns the 12 characters of an address: see the function [ParseAddress].
// In the 2007 edition any AA makes it a wildcard. In 1997 AA above digits fills up a short
// address and belongs to it; only AAAAAAAAAAAA, and 999999999999, which meters of 1997
// answer too, mean more than one meter.
func (m *Meters) ParseAddress(text string) (address string, wildcard bool, err error) {
	a, err := ParseAddress(text, m.version)
	if err != nil {
		return "", false, badRequest("%w", err)
	}
	return a.String(), m.isShared(a), nil
}

// isShared tells whether more than one meter may answer to a.
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
