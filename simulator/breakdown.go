package simulator

import (
	"context"
	"errors"
	"time"
)

// Why a port can be used no more, besides os.ErrClosed.
var (
	errReset     = errors.New("the connection was reset")
	errUnplugged = errors.New("the port is unplugged")
)

// broken reports whether a port has failed and was not just closed.
func broken(err error) bool { return errors.Is(err, errReset) || errors.Is(err, errUnplugged) }

// Reset breaks off all connections, as a serial server does that restarts: ports fail, TCP
// connections are reset, a pseudo terminal is replaced. New ones can be had at once.
func (b *Bus) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failPorts(errReset)
}

// Stall makes all ports that are open now carry nothing until a time, in neither direction
// and without an error, as a connection does whose other end has gone without a word. Ports
// that are opened later work.
func (b *Bus) Stall(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for port := range b.ports {
		port.stalledUntil = until
	}
}

// HoldBack makes all ports through which a master speaks now keep back what comes until a time, as a serial server does
// that has too much to do. All of it is let go at once when the master writes next.
func (b *Bus) HoldBack(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.holdBack(until)
}

func (b *Bus) holdBack(until time.Time) {
	for port := range b.ports {
		if port.wrote {
			port.held, port.heldUntil = true, until
		}
	}
}

// Unplug takes the port away until a time: ports fail, ServeTCP does not listen, the pseudo
// terminal of ServePTY does not exist. A time that has been plugs it in again.
func (b *Bus) Unplug(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unplug(until, time.Now())
}

func (b *Bus) unplug(until, now time.Time) {
	b.unpluggedUntil = until
	close(b.replug)
	b.replug = make(chan struct{})
	if until.After(now) {
		b.failPorts(errUnplugged)
	}
}

func (b *Bus) failPorts(err error) {
	for port := range b.ports {
		port.fail(err)
	}
}

// breakPorts lets the faults of ports strike. The caller holds the lock.
func (b *Bus) breakPorts(now time.Time) {
	g := &b.gremlin
	if g.strikes(FaultHalfOpen) {
		until := now.Add(g.between(5*time.Second, time.Minute))
		for port := range b.ports {
			port.stalledUntil = until
		}
	}
	if g.strikes(FaultHeld) {
		b.holdBack(now.Add(g.between(time.Second, 15*time.Second)))
	}
	if g.strikes(FaultReset) {
		b.failPorts(errReset)
	}
	if g.strikes(FaultGone) {
		b.unplug(now.Add(g.between(time.Second, 30*time.Second)), now)
	}
}

// awaitPlug waits until the bus is plugged in (or, for false, unplugged). It returns false if
// the context ends first.
func (b *Bus) awaitPlug(ctx context.Context, in bool) bool {
	for ctx.Err() == nil {
		b.mu.Lock()
		left, replug := time.Until(b.unpluggedUntil), b.replug
		b.mu.Unlock()
		if in == (left <= 0) {
			return true
		}
		var back <-chan time.Time
		if in {
			back = time.After(left)
		}
		select {
		case <-ctx.Done():
		case <-replug:
		case <-back:
		}
	}
	return false
}
