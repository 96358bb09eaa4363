package simulator

import (
	"sort"
	"time"
)

// The commands of function 1CH, the byte N1.
const (
	commandTrip         = 0x1A
	commandPermitClose  = 0x1B // the contacts close when somebody presses the button
	commandClose        = 0x1C
	commandAlarm        = 0x2A
	commandAlarmOff     = 0x2B
	commandKeepPower    = 0x3A // no trip until keepPowerOff
	commandKeepPowerOff = 0x3B
)

// A relay is the load switch of a meter, with what status word 3 shows of it.
type relay struct {
	delay     time.Duration
	open      bool      // what the contacts do from moves on; before it the opposite
	moves     time.Time // when they last moved, or will
	tripped   bool      // the last command: trip, not close or permit to close
	alarm     bool
	keepPower bool

	outages []outage // in order of time; the last one is under way while the contacts are open
}

// An outage is a time without load.
type outage struct {
	from, to instant // to is forever while it lasts
	before   work    // what the load would have drawn in all outages before this one
}

const forever instant = 1<<63 - 1

// isOpen tells what the contacts do at a time.
func (r *relay) isOpen(at time.Time) bool { return r.open != at.Before(r.moves) }

// move opens or closes the contacts; if they are to move already, once they have.
func (r *relay) move(h *household, open bool, at time.Time) {
	if open == r.open {
		return
	}
	if at.Before(r.moves) {
		at = r.moves
	}
	r.open, r.moves = open, at
	last := len(r.outages) - 1
	if !open {
		r.outages[last].to = instantOf(at)
		return
	}
	next := outage{from: instantOf(at), to: forever}
	if last >= 0 {
		o := r.outages[last]
		next.before = o.before.plus(1, h.work(o.to)).plus(-1, h.work(o.from))
	}
	r.outages = append(r.outages, next)
}

// undrawn returns the energy that was not drawn up to an instant.
func (r *relay) undrawn(h *household, at instant) work {
	i := sort.Search(len(r.outages), func(i int) bool { return r.outages[i].from >= at }) - 1
	if i < 0 {
		return work{}
	}
	o := r.outages[i]
	return o.before.plus(1, h.work(min(at, o.to))).plus(-1, h.work(o.from))
}

// interrupted reports whether there was an outage between two instants.
func (r *relay) interrupted(from, to instant) bool {
	i := sort.Search(len(r.outages), func(i int) bool { return r.outages[i].to > from })
	return i < len(r.outages) && r.outages[i].from < to
}

// RelayOpen reports whether the contacts of the relay are open at a time.
func (m *Meter) RelayOpen(at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.relay.isOpen(at)
}

// PressButton is what the user does at the meter: it closes the relay if a command has
// permitted that, and reports whether it did.
func (m *Meter) PressButton(at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.relay.open || m.relay.tripped {
		return false
	}
	m.relay.move(m.household, false, at)
	return true
}

// command carries out the command N1. It reports whether the meter knows it and may do it.
func (r *relay) command(h *household, code byte, at time.Time) bool {
	moves := at.Add(r.delay)
	switch code {
	case commandTrip:
		if r.keepPower {
			return false
		}
		r.tripped = true
		r.move(h, true, moves)
	case commandPermitClose:
		r.tripped = false
	case commandClose:
		r.tripped = false
		r.move(h, false, moves)
	case commandAlarm:
		r.alarm = true
	case commandAlarmOff:
		r.alarm = false
	case commandKeepPower:
		r.keepPower = true
	case commandKeepPowerOff:
		r.keepPower = false
	default:
		return false
	}
	return true
}
