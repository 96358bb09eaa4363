package simulator

import (
	"fmt"
	"os"
	"time"

	"dlt645-mqtt/protocol"
)

// A Port is a master's end of a simulated line, as a serial adapter would be. What a port
// writes is heard by the meters; what meters send is heard by every port.
type Port struct {
	bus  *Bus
	wake chan struct{}

	// Guarded by the lock of the bus.
	next         int           // the byte to read next, counted from the first ever on the wire
	broken       error         // why it can be used no more
	mode         protocol.Mode // zero: that of the line
	stalledUntil time.Time
	wrote        bool      // it is a master's, not that of somebody who listens only
	held         bool      // what comes stays here until the next write after heldUntil
	heldUntil    time.Time // see held
}

// Port opens a port. It hears what comes over the wire from now on. While the bus is
// unplugged the port fails at once.
func (b *Bus) Port() *Port {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &Port{bus: b, wake: make(chan struct{}, 1)}
	now := time.Now()
	if now.Before(b.unpluggedUntil) {
		p.broken = errUnplugged
		return p
	}
	p.next = b.dropped
	for _, c := range b.wire {
		if !c.to.After(now) {
			p.next++
		}
	}
	b.ports[p] = struct{}{}
	return p
}

// Read waits at most wait for a byte and returns all that have arrived; a byte arrives with
// its stop bit. 0 and no error mean that nothing came. Read fails after Close.
func (p *Port) Read(b []byte, wait time.Duration) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	deadline := time.Now().Add(wait)
	for {
		n, arrival, err := p.copyArrived(b)
		if n > 0 || err != nil {
			return n, err
		}
		now := time.Now()
		if !now.Before(deadline) {
			return 0, nil
		}
		until := deadline
		if !arrival.IsZero() && arrival.Before(deadline) {
			until = arrival
		}
		timer := time.NewTimer(until.Sub(now))
		select {
		case <-timer.C:
		case <-p.wake:
			timer.Stop()
		}
	}
}

// copyArrived copies the bytes that have arrived. If there are none it tells when one will, zero if
// none is on its way.
func (p *Port) copyArrived(b []byte) (n int, arrival time.Time, err error) {
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	if p.broken != nil {
		return 0, time.Time{}, fmt.Errorf("read from the simulated line: %w", p.broken)
	}
	if p.held {
		return 0, time.Time{}, nil
	}
	now := time.Now()
	p.next = max(p.next, p.bus.dropped)
	for _, c := range p.bus.wire[p.next-p.bus.dropped:] {
		switch {
		case c.to.After(now) && !c.request:
			return n, c.to, nil
		case c.to.After(now):
		case c.request, c.to.Before(p.stalledUntil): // nobody is to hear it, or it is lost
			p.next++
		case n == len(b):
			return n, time.Time{}, nil
		default:
			p.next++
			b[n] = c.b
			if c.mode != p.mode {
				b[n] ^= 0x5A // what a byte looks like that came at another speed
			}
			n++
		}
	}
	return n, time.Time{}, nil
}

// Write sends bytes, after those that this or another port still sends. It does not wait for
// the line, just as a serial driver does not.
func (p *Port) Write(b []byte) (int, error) {
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	if p.broken != nil {
		return 0, fmt.Errorf("write to the simulated line: %w", p.broken)
	}
	now := time.Now()
	p.wrote = true
	if p.held && !now.Before(p.heldUntil) {
		p.held = false
	}
	if !now.Before(p.stalledUntil) {
		p.bus.transmit(b, p.mode, now)
	}
	return len(b), nil
}

// Tune sets the port to another mode. It hears only what comes at that.
func (p *Port) Tune(mode protocol.Mode) error {
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	if p.broken != nil {
		return fmt.Errorf("tune the port of the simulated line: %w", p.broken)
	}
	p.mode = p.bus.named(mode)
	return nil
}

// follow sets the port to the speed at which devices of the line listen, and to that of the line if none does: who has
// opened a terminal without a thought for its speed is heard all the same.
func (p *Port) follow(baud int) {
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	p.mode = protocol.Mode{}
	for _, d := range p.bus.devices {
		if mode := d.listensAt(); mode.Baud == baud && baud != 0 {
			p.mode = p.bus.named(mode)
		}
	}
}

// Close closes the port; a Read under way returns.
func (p *Port) Close() error {
	p.bus.mu.Lock()
	defer p.bus.mu.Unlock()
	p.fail(os.ErrClosed)
	return nil
}

// fail ends a port; a Read under way returns. The caller holds the lock.
func (p *Port) fail(err error) {
	if p.broken == nil {
		p.broken = err
	}
	delete(p.bus.ports, p)
	p.notify()
}

func (p *Port) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
