package cjt188

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"dlt645-mqtt/protocol"
)

// Name is the word that chooses the protocol, and the name of its family.
const Name = "188"

// Meters plans what is asked of meters that speak CJ/T 188.
type Meters struct {
	zone    *time.Location
	options options
	own     map[DI]protocol.OwnItem // of a user; they are not changed

	// counter is shared by all that are configured from one: it numbers the requests, so that no two
	// in a row have the same SER.
	counter *atomic.Uint32
}

var (
	_ protocol.Catalogue  = (*Meters)(nil)
	_ protocol.Finder     = (*Meters)(nil)
	_ protocol.Recogniser = (*Meters)(nil)
	_ protocol.Configurer = (*Meters)(nil)
)

// options is what is configured of one meter.
type options struct {
	of       Type // AnyType: to be found out
	order    Order
	ordered  bool  // the order of the identifiers in reads is configured
	commands Order // of the identifiers in commands
	anySer   bool
	known
}

// New returns the protocol for meters whose clocks show the time of zone.
func New(zone *time.Location) *Meters {
	return &Meters{zone: zone, options: options{of: AnyType}, counter: new(atomic.Uint32)}
}

// Name returns "188".
func (m *Meters) Name() string { return Name }

// Title returns "CJ/T 188".
func (m *Meters) Title() string { return "CJ/T 188" }

// Family returns "188".
func (m *Meters) Family() string { return Name }

// line is what meters need of the wire. Clause 5 of CJ/T 188: 2 to 4 bytes FE before a frame. Those
// with a battery take long to wake; the rest is for drivers that hand over bytes in lots.
var line = protocol.Line{
	WakeUp: wakeUp, WakeUps: 4, Leading: 4,
	Soonest: 20 * time.Millisecond, ByteGap: 550 * time.Millisecond,
	// A meter that the first question of a scan has only woken answers one of the others.
	LatestSignal: 500 * time.Millisecond,
	Longest:      4 + minimumSize + 100,
}

// key returns the key of the meter at an address, as it is configured.
func (m *Meters) key(a Address) protocol.MeterKey {
	key := protocol.MeterKey{Family: Name, Text: a.String()}
	if m.options.of != AnyType {
		key.Variant = "type=" + m.options.of.String()
	}
	return key
}

// named returns an address as package protocol has it.
func (m *Meters) named(a Address) protocol.Address {
	return protocol.Address{MeterKey: m.key(a), Shared: a == Anyone}
}

// AddressForm says what an address is.
func (m *Meters) AddressForm() (words, example string) { return "14 digits", "00000000000001" }

// ParseAddress returns the 14 characters of an address: see the function [ParseAddress].
func (m *Meters) ParseAddress(text string) (protocol.Address, error) {
	a, err := ParseAddress(text)
	if err != nil {
		return protocol.Address{}, badRequest("%w", err)
	}
	return m.named(a), nil
}

// Recognises reports whether frame is a frame of CJ/T 188.
func (m *Meters) Recognises(frame []byte) bool { return IsFrame(frame) }

// Redact masks keys: see the function [Redact].
func (m *Meters) Redact(frame []byte) string { return Redact(frame) }

// The options of a meter.
var optionWords = map[string]string{
	"type":     "the type of the meter, two hex digits: 10 to 19 water, 20 to 29 heat, 30 to 39 gas, 40 to 49 others",
	"di":       "the order of identifiers in reads: written (90 1F) or low (1F 90)",
	"commands": "the order of identifiers in commands: written (A0 17) or low (17 A0)",
	"ser":      "check or ignore the number that answers repeat",
	"unit":     "the place of the unit code: behind the number, or before it",
	"status":   "the bits of ST counted from the bottom, or from the top",
}

// Configure returns the protocol for a meter with options, as in water=00001234567890@188?type=10.
func (m *Meters) Configure(given map[string]string) (protocol.Protocol, error) {
	configured := *m
	o := &configured.options
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		words, known := optionWords[name]
		if !known {
			return nil, fmt.Errorf("a meter of CJ/T 188 has no option %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(optionWords)), ", "))
		}
		ok := true
		switch name {
		case "type":
			var n uint64
			n, err := strconv.ParseUint(value, 16, 8)
			o.of = Type(n)
			ok = err == nil && len(value) == 2 && o.of.IsValid()
		case "di":
			o.ordered = true
			o.order, ok = orderOf(value)
		case "commands":
			o.commands, ok = orderOf(value)
		case "ser":
			o.anySer = value == "ignore"
			ok = o.anySer || value == "check"
		case "unit":
			o.unit = map[string]position{"behind": unitBehind, "before": unitBefore}[value]
			ok = o.unit != 0
		case "status":
			o.fromTop = value == "top"
			ok = o.fromTop || value == "bottom"
		}
		if !ok {
			return nil, fmt.Errorf("option %s=%s: write %s", name, value, words)
		}
	}
	return &configured, nil
}

func orderOf(text string) (Order, bool) {
	switch text {
	case "written":
		return AsWritten, true
	case "low":
		return LowFirst, true
	}
	return 0, false
}

// Plan turns a request into steps.
func (m *Meters) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	switch request.Verb {
	case protocol.VerbRead:
		return m.planRead(request, known)
	case protocol.VerbClock:
		return m.planClock(request, known)
	case protocol.VerbRaw:
		return m.planRaw(request)
	case protocol.VerbRelay, protocol.VerbWrite, protocol.VerbMaintenance:
		return m.planCommand(request, known)
	}
	return protocol.Plan{}, fmt.Errorf("%w: CJ/T 188 has nothing for %s", protocol.ErrUnsupported, request.Verb)
}

// Actions returns what commands of a verb can do. No command of the protocol takes a password.
func (m *Meters) Actions(verb protocol.Verb) []protocol.Action {
	switch verb {
	case protocol.VerbWrite:
		return []protocol.Action{{Keys: []protocol.Key{
			{Name: protocol.ArgumentItem, Want: "the name of an item, or its identifier as a string"},
			{Name: protocol.ArgumentValue, Type: protocol.KeyJSON, Want: "the value to write"},
		}}}
	case protocol.VerbRelay:
		return []protocol.Action{{Name: valveCommands[openValve], Watched: true}, {Name: valveCommands[closeValve], Watched: true}}
	case protocol.VerbMaintenance:
		return []protocol.Action{{Name: actionSyncClock}}
	}
	return nil
}

// ser returns the number of the next request.
func (m *Meters) ser() byte { return byte(m.counter.Add(1) - 1) }
