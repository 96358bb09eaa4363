package bridge

import (
	"errors"
	"sync"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

const (
	// clockMemory is how long the measured offset of a meter's clock stays usable.
	clockMemory = 24 * time.Hour

	// mostClocks bounds the memory for the clocks of meters.
	mostClocks = 4096
)

// clocks remembers how far the clocks of meters are ahead of ours. The zero value knows none.
type clocks struct {
	mu    sync.Mutex
	known map[protocol.MeterKey]clock
	all   time.Time // when a command that may have set all of them was last over
}

type clock struct {
	offset time.Duration
	read   time.Time // or when a command that may have set it was over
	shown  time.Time // our wall clock then, monotonic reading stripped; zero: the meter's clock was not read
}

// learn takes note of a clock if one was read. A request is over when its last step is: a command
// may have set the clock since, or somebody else have read it.
func (c *clocks) learn(o *meters.Outcome) {
	if o.Cached || o.Err != nil || o.Result.Clock.IsZero() || o.Came.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Came.Before(c.all) || o.Came.Before(c.known[o.Result.Address.MeterKey].read) {
		return
	}
	c.put(o.Result.Address.MeterKey, clock{o.Result.Clock.Sub(o.Came), o.Came, o.Came.Round(0)})
}

func (c *clocks) put(meter protocol.MeterKey, known clock) {
	if c.known == nil || len(c.known) >= mostClocks {
		c.known = map[protocol.MeterKey]clock{}
	}
	c.known[meter] = known
}

// forget drops what is known of a clock that a command, over now, may have set. An address that
// several meters share drops everything.
func (c *clocks) forget(address protocol.Address, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if address.Shared {
		c.known, c.all = nil, now
	} else {
		c.put(address.MeterKey, clock{read: now})
	}
}

// offset returns how far a meter's clock is ahead of ours, if it was read within a day. Ours may have
// been set since: many a host has no clock of its own, and learns the time only after its start.
func (c *clocks) offset(meter protocol.MeterKey) (ahead time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[meter]
	now := time.Now()
	passed := now.Sub(known.read)
	if !ok || known.shown.IsZero() || passed > clockMemory {
		return 0, false
	}
	set := now.Round(0).Sub(known.shown) - passed
	return known.offset - set.Round(time.Second), true
}

// errClockUnknown is the error for a meter that answers and does not tell the time.
var errClockUnknown = errors.New("it does not tell the time")

// lookAtClock returns how far a meter's clock is ahead of ours. It reads the clock if it was not
// read within a day, as part of a request.
func (b *Bridge) lookAtClock(r *request, m *meters.Entry) (ahead time.Duration, err error) {
	there := false
	if m.Current().Shared {
		if err := b.findOnly(r, m); err != nil {
			return 0, err
		}
		there = true
	}
	ahead, ok := b.clocks.offset(m.Current().MeterKey)
	if !ok {
		switch err := b.readClock(r, m); {
		case there && errors.Is(err, protocol.ErrSilent):
			return 0, errClockUnknown
		case err != nil:
			return 0, err
		}
		ahead, ok = b.clocks.offset(m.Current().MeterKey)
	}
	if !ok {
		return 0, errClockUnknown
	}
	return ahead, nil
}

// readClock asks a meter for its clock, as part of a request.
func (b *Bridge) readClock(r *request, m *meters.Entry) error {
	plan, err := m.Protocol.Plan(protocol.Request{Verb: protocol.VerbClock, Class: protocol.ClassCommand, Address: m.Current()}, b.bus.Meter(m.Current().MeterKey))
	if err != nil {
		return err
	}
	p, err := b.begin(&r.turn, plan, true)
	if err != nil {
		return err
	}
	c := b.seeThrough(&r.turn, p)
	if c.err == nil && len(c.outcomes) > 0 {
		return c.outcomes[len(c.outcomes)-1].Err
	}
	return c.err
}

// findOnly reads something of a meter whose address is not known yet, as part of a request: then it
// is, if the meter answers.
func (b *Bridge) findOnly(r *request, m *meters.Entry) error {
	plan, err := m.Protocol.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassCommand, Address: m.Current(), Items: b.keeper.Trial(m.Name)}, b.bus.Meter(m.Current().MeterKey))
	if err != nil {
		return err
	}
	p, err := b.begin(&r.turn, plan, true)
	if err != nil {
		return err
	}
	c := b.seeThrough(&r.turn, p)
	m.Learn(c.address, !c.silent())
	if c.silent() {
		return protocol.ErrSilent
	}
	return c.err
}

// compareClocks refuses a broadcast of the time if the clock of a named meter of its protocol is too far off to
// take it, by reach or more, or cannot be told. Clocks that were not read within a day are read; a meter that is
// offline, or has never answered, does not count. One that has, and is silent just now, may still hear the broadcast.
func (b *Bridge) compareClocks(r *request, reach time.Duration) error {
	for _, m := range b.directory.All() {
		if m.Protocol.Family() != r.protocol.Family() || !b.bus.Meter(m.Current().MeterKey).Online() {
			continue
		}
		ahead, err := b.lookAtClock(r, m)
		if r.patient { // to read the clocks of many meters may take longer than a command waits for its turn
			r.deadline = time.Now().Add(commandTTL)
		}
		known := b.bus.Meter(m.Current().MeterKey)
		switch {
		case err == nil:
		case errors.Is(err, protocol.ErrUnsupported): // a protocol need not know clocks
			continue
		case errors.Is(err, protocol.ErrSilent) && !(known.Online() && known.Answered()):
			continue
		case errors.Is(err, bus.ErrBusy), errors.Is(err, bus.ErrExpired), errors.Is(err, bus.ErrDown), errors.Is(err, bus.ErrStopping):
			return err
		default:
			return problemf(CodeRefused, "nothing was sent: a broadcast sets only clocks that are less than %s off, and how far that of meter %s is off could not be found out: %v; set the clocks one by one with sync_clock", reach, m.Name, err)
		}
		if ahead.Abs() > reach {
			return problemf(CodeRefused, "nothing was sent: the clock of meter %s is %s off, and a broadcast sets only clocks that are less than %s off; set it with sync_clock first", m.Name, ahead.Round(time.Second), reach)
		}
	}
	return nil
}
