package bridge

import (
	"strings"
	"sync"

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

// A meter is a configured meter, and the address that was found behind a wildcard.
type meter struct {
	Meter
	mu       sync.Mutex
	resolved protocol.Address
}

// current is the address to speak to: the one found, if it was.
func (m *meter) current() protocol.Address {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.resolved.IsZero() {
		return m.resolved
	}
	return m.Address
}

// learn takes note of who answered to a wildcard; silence forgets it, for then the meter may
// have been exchanged.
func (m *meter) learn(address protocol.Address, answered bool) {
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

// A directory finds meters by what a topic calls them.
type directory struct {
	byName   map[string]*meter
	byKey    map[protocol.MeterKey]*meter
	meters   []*meter
	fallback protocol.Protocol // of meters that are not configured
}

func newDirectory(meters []Meter, fallback protocol.Protocol) *directory {
	d := &directory{byName: map[string]*meter{}, byKey: map[protocol.MeterKey]*meter{}, fallback: fallback}
	for _, configured := range meters {
		m := &meter{Meter: configured}
		d.meters = append(d.meters, m)
		d.byName[m.Name] = m
		d.byKey[m.Address.MeterKey] = m
	}
	return d
}

// find looks a request's target up. m is nil for an address that is not configured.
func (d *directory) find(target string) (m *meter, address protocol.Address, p protocol.Protocol, err error) {
	if m = d.byName[target]; m != nil {
		return m, m.current(), m.Protocol, nil
	}
	words, example := d.fallback.AddressForm()
	if target == "" {
		return nil, address, nil, problemf(CodeUnknownMeter, "the request topic ends without a meter; add its name or its address of %s, as in read/%s", words, example)
	}
	address, err = d.fallback.ParseAddress(target)
	whole := err == nil && strings.EqualFold(address.Text, target)
	if whole {
		if m = d.at(address.MeterKey); m != nil {
			return m, address, m.Protocol, nil
		}
	}
	// An address of another protocol means the one meter that is configured with it, first of all without options.
	for _, other := range d.meters {
		a := other.current()
		switch {
		case a.Text != target || a.Family == d.fallback.Family():
		case m == nil || a.Variant == "" && m.current().Variant != "":
			m = other
		case a.Variant == "" || m.current().Variant != "":
			return nil, address, nil, problemf(CodeUnknownMeter, "%s and %s both have the address %s; name one of them", m.Name, other.Name, quote(target))
		}
	}
	switch {
	case m != nil:
		return m, m.current(), m.Protocol, nil
	case whole:
		return nil, address, d.fallback, nil
	case err == nil:
		return nil, address, nil, problemf(CodeUnknownMeter, "%s is neither the name of a meter of this bridge nor an address of %s; the address is %s in full", quote(target), words, address.Text)
	case len(target) == len(example):
		return nil, address, nil, problemf(CodeUnknownMeter, "%q is neither the name of a meter of this bridge nor an address: %v", target, err)
	}
	return nil, address, nil, problemf(CodeUnknownMeter, "%s is neither the name of a meter of this bridge nor an address of %s%s", quote(target), words, d.hint(target))
}

// hint asks whether another name was meant.
func (d *directory) hint(target string) string {
	return protocol.Hint(target, func(yield func(string) bool) {
		for _, m := range d.meters {
			if !yield(m.Name) {
				return
			}
		}
	})
}

// locate finds the meter that the topic of a request names. It returns nil for one that is not
// configured.
func (b *Bridge) locate(r *request) (*meter, error) {
	m, address, spoken, err := b.directory.find(r.target)
	if err != nil {
		return nil, err
	}
	r.protocol, r.address, r.meter = spoken, address, address.Text
	if m != nil {
		r.meter, r.mode = m.Name, m.Mode
	}
	return m, nil
}

// at returns the configured meter with that key, or nil.
func (d *directory) at(key protocol.MeterKey) *meter {
	if m := d.byKey[key]; m != nil && !m.Address.Shared {
		return m
	}
	for _, m := range d.meters {
		if m.Address.Shared && m.current().MeterKey == key {
			return m
		}
	}
	return nil
}

// of returns the configured meter with that key, or, of a frame that does not tell one variant from another, the
// only one with its address; else nil.
func (d *directory) of(key protocol.MeterKey) *meter {
	found := d.at(key)
	if found != nil || key.Variant != "" {
		return found
	}
	for _, m := range d.meters {
		if a := m.current(); a.Family != key.Family || a.Text != key.Text || a.Shared {
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
func (d *directory) unnamed(text string) protocol.Address {
	address, _ := d.fallback.ParseAddress(text)
	return address
}

// setMode makes steps go at a mode.
func setMode(steps []protocol.Step, mode protocol.Mode) {
	if mode == (protocol.Mode{}) {
		return
	}
	for i := range steps {
		steps[i].Mode = mode
	}
}

// protocolNames lists the names of all protocols.
func (b *Bridge) protocolNames() []string {
	names := make([]string, len(b.config.Protocols))
	for i, p := range b.config.Protocols {
		names[i] = p.Name()
	}
	return names
}
