package bus

import (
	"context"
	"time"
)

// opened is what an attempt to open the port brought.
type opened struct {
	port Port
	err  error
}

// connect sees to it that the port is being opened, and waits. Opening may take seconds, so
// it goes on beside Run, which meanwhile answers what expires; the port is Run's alone as
// soon as it is open.
func (b *Bus) connect(ctx context.Context, now time.Time) {
	next := b.nextTurn(now)
	switch {
	case b.opening != nil:
	case !now.Before(b.retry):
		result := make(chan opened, 1)
		b.opening = result
		go func() {
			port, err := b.config.Open(ctx)
			result <- opened{port, err}
		}()
	case b.retry.Before(next):
		next = b.retry
	}
	b.wait(ctx, next)
}

// connected takes over the port that was opened, or sees when to try again.
func (b *Bus) connected(ctx context.Context, o opened) {
	if o.err != nil {
		if ctx.Err() == nil {
			b.fail("open", o.err)
		}
		return
	}
	b.line.port = o.port
	if b.config.Successor && b.since.IsZero() {
		b.quiet = time.Now().Add(b.config.Timeout + b.config.Latency)
	}
	b.since = time.Now()
	b.line.free = time.Time{}
	b.mu.Lock()
	b.down = time.Time{}
	b.mu.Unlock()
	if b.told != "up" {
		b.told = "up"
		b.config.Log.Info("bus is up", "bus", b.config.URL, "baud", b.config.Baud)
	}
}

// fail gives up the port, if there is one, and sees when to open it again: at once if it has
// worked, later and later if it does not.
func (b *Bus) fail(kind string, err error) {
	now := time.Now()
	if b.line.port != nil {
		b.line.port.Close()
		b.line.port = nil
		if now.Sub(b.since) >= longestBackOff {
			b.opens = 0
		}
	}
	if kind == "open" {
		b.opens = max(b.opens, 1)
	}
	b.retry = now
	if b.opens > 0 {
		b.retry = now.Add(b.jitter(min(shortestBackOff<<min(b.opens-1, 8), longestBackOff)))
	}
	b.opens++

	b.mu.Lock()
	if b.down.IsZero() {
		b.down = now
	}
	b.state.LastError = err.Error()
	b.queue.sweep = now // how long a job may wait depends on the port
	b.mu.Unlock()
	if b.mayLogDown(now) {
		b.told = "down"
		b.config.Log.Error("bus is down", "bus", b.config.URL, "err", err)
	}
}

// suspectPort opens the port anew if all meters have fallen silent at once: an adapter or a
// server may have gone deaf.
func (b *Bus) suspectPort() {
	b.mu.Lock()
	suspect := b.suspect
	b.suspect = false
	b.mu.Unlock()
	if suspect && b.line.port != nil {
		b.fail("silence", errAllSilent)
	}
}

// mayLogDown tells whether to log that the port is missing, and why: once a minute, however
// often it comes and goes.
func (b *Bus) mayLogDown(now time.Time) bool {
	if !b.toldDown.IsZero() && now.Sub(b.toldDown) < logEvery {
		return false
	}
	b.toldDown = now
	return true
}
