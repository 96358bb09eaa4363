package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// statusWord reads status word 1 to 7, with the bits of the amendments.
func (m *Meter) statusWord(n int, at time.Time) (word uint16) {
	set := func(bit int, on bool) {
		if on {
			word |= 1 << bit
		}
	}
	l := m.load(at)
	total := l.total()
	switch n {
	case 1:
		set(4, total.active() < 0)
		set(5, total.reactive() < 0)
	case 2:
		for p := range l {
			set(p, l[p].active() < 0)
			set(4+p, l[p].reactive() < 0)
		}
	case 3:
		set(4, m.relay.isOpen(at))
		set(6, m.relay.tripped)
		set(7, m.relay.alarm)
		set(12, m.relay.keepPower)
	case 4, 5, 6:
		if phase := n - 4; phase < m.phases {
			u := m.household.voltage(phase, instantOf(at))
			set(1, u < m.stored(diLowerVoltage))
			set(2, u > m.stored(diUpperVoltage))
			set(6, l[phase].active() < 0)
		}
	}
	return word
}

// statusWord1997 reads the status word of the meter or that of the grid.
func (m *Meter) statusWord1997(di dlt645.DI, at time.Time) (word byte) {
	if di == diGridStatus1997 {
		return 0 // no phase fails, no voltage is too high
	}
	total := m.load(at).total()
	if total.active() < 0 {
		word |= 1 << 4
	}
	if total.reactive() < 0 {
		word |= 1 << 5
	}
	return word
}

func appendWord(b []byte, word uint16) []byte { return append(b, byte(word), byte(word>>8)) }
