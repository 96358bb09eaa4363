package bridge

import (
	"sync"

	"dlt645-mqtt/protocol"
)

// A Meter is a configured meter.
type Meter struct {
	Name     string
	Address  string // as the protocol spells it
	Wildcard bool   // the address is a wildcard: the only meter on the wire
	Protocol protocol.Protocol
}

// A meter is a configured meter, and the address that was found behind a wildcard.
type meter struct {
	Meter
	mu       sync.Mutex
	resolved string
}

// current is the address to speak to: the one found, if it was.
func (m *meter) current() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.resolved != "" {
		return m.resolved
	}
	return m.Address
}

// learn takes note of who answered to a wildcard; silence forgets it, for then the meter may
// have been exchanged.
func (m *meter) learn(address string, answered bool) {
	if !m.Wildcard {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !answered:
		m.resolved = ""
	case !isShared(m.Protocol, address):
		m.resolved = address
	}
}

// isShared reports whether more than one meter may answer to an address, by the word of the
// protocol that is spoken to it. The same text may be a wildcard in one and a meter in another.
// What is no address at all, such as none, is nobody's own.
func isShared(p protocol.Protocol, address string) bool {
	_, shared, err := p.ParseAddress(address)
	return shared || err != nil
}

// A directory finds meters by what a topic calls them.
type directory struct {
	byName    map[string]*meter
	byAddress map[string]*meter
	meters    []*meter
	fallback  protocol.Protocol // of meters that are not configured
}

func newDirectory(meters []Meter, fallback protocol.Protocol) *directory {
	d := &directory{byName: map[string]*meter{}, byAddress: map[string]*meter{}, fallback: fallback}
	for _, configured := range meters {
		m := &meter{Meter: configured}
		d.meters = append(d.meters, m)
		d.byName[m.Name] = m
		d.byAddress[m.Address] = m
	}
	return d
}

// find looks a request's target up. m is nil for an address that is not configured.
func (d *directory) find(target string) (m *meter, address string, p protocol.Protocol, err error) {
	if m = d.byName[target]; m != nil {
		return m, m.current(), m.Protocol, nil
	}
	if target == "" {
		return nil, "", nil, problemf(CodeUnknownMeter, "the request topic ends without a meter; add its name or its address of 12 digits, as in read/000000000001")
	}
	if len(target) != 12 {
		hint := ""
		if full, _, err := d.fallback.ParseAddress(target); err == nil {
			hint = "; the address is " + full + " in full"
		}
		return nil, "", nil, problemf(CodeUnknownMeter, "%s is neither the name of a meter of this bridge nor an address of 12 digits%s", quote(target), hint)
	}
	address, _, err = d.fallback.ParseAddress(target)
	if err != nil {
		return nil, "", nil, problemf(CodeUnknownMeter, "%q is neither the name of a meter of this bridge nor an address: %v", target, err)
	}
	if m = d.at(address); m != nil {
		return m, address, m.Protocol, nil
	}
	return nil, address, d.fallback, nil
}

// locate finds the meter that the topic of a request names. It returns nil for one that is not
// configured.
func (b *Bridge) locate(r *request) (*meter, error) {
	m, address, spoken, err := b.directory.find(r.target)
	if err != nil {
		return nil, err
	}
	r.protocol, r.address, r.meter = spoken, address, address
	if m != nil {
		r.meter = m.Name
	}
	return m, nil
}

// at returns the configured meter at a full address, or nil.
func (d *directory) at(address string) *meter {
	if m := d.byAddress[address]; m != nil && !m.Wildcard {
		return m
	}
	for _, m := range d.meters {
		if m.Wildcard && m.current() == address {
			return m
		}
	}
	return nil
}
