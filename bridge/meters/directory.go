package meters

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/protocol"
)

// A Meter is a configured meter.
type Meter struct {
	Name        string
	DisplayName string           // what people call it; empty: its name
	Address     protocol.Address // Shared: that of the only meter on the wire
	Protocol    protocol.Protocol
	Mode        protocol.Mode // of the line while it is spoken to
	Close       string        // the action that Home Assistant's switch sends to close the relay; empty: the usual one
}

// An Entry is a configured meter, and the address that was found behind a wildcard.
type Entry struct {
	Meter
	mu       sync.Mutex
	resolved protocol.Address
}

// Current is the address to speak to: the one found, if it was.
func (m *Entry) Current() protocol.Address {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.resolved.IsZero() {
		return m.resolved
	}
	return m.Address
}

// Learn takes note of who answered to a wildcard; silence forgets it, for then the meter may
// have been exchanged.
func (m *Entry) Learn(address protocol.Address, answered bool) {
	if !m.Address.Shared {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !answered:
		m.resolved = protocol.Address{}
	case !address.Shared && !address.IsZero():
		m.resolved = address
	}
}

// ErrUnknown says that a name or an address is that of no meter.
var ErrUnknown = errors.New("unknown meter")

func unknown(format string, arguments ...any) error {
	return fmt.Errorf("%w: %w", ErrUnknown, fmt.Errorf(format, arguments...))
}

// mostQuoted is how much of what somebody sent is shown in an error, in bytes.
const mostQuoted = 80

// A Directory finds meters by what a topic calls them.
type Directory struct {
	byName   map[string]*Entry
	byKey    map[protocol.MeterKey]*Entry
	meters   []*Entry
	fallback protocol.Protocol // of meters that are not configured
}

// NewDirectory returns the directory of these meters; fallback is the protocol of all others.
func NewDirectory(meters []Meter, fallback protocol.Protocol) *Directory {
	d := &Directory{byName: map[string]*Entry{}, byKey: map[protocol.MeterKey]*Entry{}, fallback: fallback}
	for _, configured := range meters {
		m := &Entry{Meter: configured}
		d.meters = append(d.meters, m)
		d.byName[m.Name] = m
		d.byKey[m.Address.MeterKey] = m
	}
	return d
}

// Find looks a request's target up. m is nil for an address that is not configured.
func (d *Directory) Find(target string) (m *Entry, address protocol.Address, p protocol.Protocol, err error) {
	if m = d.byName[target]; m != nil {
		return m, m.Current(), m.Protocol, nil
	}
	words, example := d.fallback.AddressForm()
	if target == "" {
		return nil, address, nil, unknown("the request topic ends without a meter; add its name or its address of %s, as in read/%s", words, example)
	}
	address, err = d.fallback.ParseAddress(target)
	whole := err == nil && strings.EqualFold(address.Text, target)
	if whole {
		if m = d.At(address.MeterKey); m != nil {
			return m, address, m.Protocol, nil
		}
	}
	// An address of another protocol means the one meter that is configured with it, first of all without options.
	for _, other := range d.meters {
		a := other.Current()
		switch {
		case a.Text != target || a.Family == d.fallback.Family():
		case m == nil || a.Variant == "" && m.Current().Variant != "":
			m = other
		case a.Variant == "" || m.Current().Variant != "":
			return nil, address, nil, unknown("%s and %s both have the address %s; name one of them", m.Name, other.Name, limit.Quote(target, mostQuoted))
		}
	}
	switch {
	case m != nil:
		return m, m.Current(), m.Protocol, nil
	case whole:
		return nil, address, d.fallback, nil
	case err == nil:
		return nil, address, nil, unknown("%s is neither the name of a meter of this bridge nor an address of %s; the address is %s in full", limit.Quote(target, mostQuoted), words, address.Text)
	case len(target) == len(example):
		return nil, address, nil, unknown("%q is neither the name of a meter of this bridge nor an address: %v", target, err)
	}
	return nil, address, nil, unknown("%s is neither the name of a meter of this bridge nor an address of %s%s", limit.Quote(target, mostQuoted), words, d.hint(target))
}

// hint asks whether another name was meant.
func (d *Directory) hint(target string) string {
	return protocol.Hint(target, func(yield func(string) bool) {
		for _, m := range d.meters {
			if !yield(m.Name) {
				return
			}
		}
	})
}

// All returns the configured meters, in the order of the configuration.
func (d *Directory) All() []*Entry { return d.meters }

// Named returns the configured meter of that name, or nil.
func (d *Directory) Named(name string) *Entry { return d.byName[name] }

// At returns the configured meter with that key, or nil.
func (d *Directory) At(key protocol.MeterKey) *Entry {
	if m := d.byKey[key]; m != nil && !m.Address.Shared {
		return m
	}
	for _, m := range d.meters {
		if m.Address.Shared && m.Current().MeterKey == key {
			return m
		}
	}
	return nil
}

// Of returns the configured meter with that key, or, of a frame that does not tell one variant from another, the
// only one with its address; else nil.
func (d *Directory) Of(key protocol.MeterKey) *Entry {
	found := d.At(key)
	if found != nil || key.Variant != "" {
		return found
	}
	for _, m := range d.meters {
		if a := m.Current(); a.Family != key.Family || a.Text != key.Text || a.Shared {
			continue
		}
		if found != nil {
			return nil
		}
		found = m
	}
	return found
}

// unnamed returns the address of a meter that has no name. The point table has been checked: it is one.
func (d *Directory) unnamed(text string) protocol.Address {
	address, _ := d.fallback.ParseAddress(text)
	return address
}

// SetMode makes steps go at a mode.
func SetMode(steps []protocol.Step, mode protocol.Mode) {
	if mode == (protocol.Mode{}) {
		return
	}
	for i := range steps {
		steps[i].Mode = mode
	}
}
