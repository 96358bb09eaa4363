package bus

import (
	"context"
	"time"
)

const (
	// The port is opened anew after pauses that double, of these lengths and some less.
	shortestBackOff = 250 * time.Millisecond
	longestBackOff  = 5 * time.Second

	// logEvery is how often the log may say that the port is missing.
	logEvery = time.Minute
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
	b.sleep(ctx, next)
}

// connected takes over the port that was opened, or sees when to try again.
func (b *Bus) connected(ctx context.Context, o opened) {
	if o.err != nil {
		if ctx.Err() == nil {
			b.opens = max(b.opens, 1) // not at once, for nothing has changed
			b.fail(o.err)
		}
		return
	}
	b.line.port, b.line.mode, b.line.mirror = o.port, b.config.mode(), mirror{}
	if b.config.Successor && b.since.IsZero() {
		b.quiet = time.Now().Add(2 * b.ceiling()) // as conversation.over, for a request of just before
	}
	b.since = time.Now()
	b.line.free = time.Time{}
	b.mu.Lock()
	b.down, b.hopeless = time.Time{}, false
	b.mu.Unlock()
	if !b.toldUp {
		b.toldUp = true
		b.config.Log.Info("bus is up", "bus", b.config.URL, "baud", b.config.Baud)
	}
}

// fail gives up the port, if there is one, and sees when to open it again: at once if it has
// worked, later and later if it does not.
func (b *Bus) fail(err error) {
	now := time.Now()
	if b.line.port != nil {
		b.line.port.Close()
		b.line.port = nil
		if now.Sub(b.since) >= longestBackOff {
			b.opens = 0
		}
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
	b.hopeless = b.config.Impatient && lasts(err)
	b.queue.sweep = now // how long a job may wait depends on the port
	b.mu.Unlock()
	if b.toldDown.IsZero() || now.Sub(b.toldDown) >= logEvery { // however often it comes and goes
		b.toldUp, b.toldDown = false, now
		b.config.Log.Error("bus is down", "bus", b.config.URL, "err", err)
	}
}

// suspectPort opens the port anew if all meters have fallen silent at once: an adapter or a
// server may have gone deaf.
func (b *Bus) suspectPort() {
	b.mu.Lock()
	suspect := b.suspect
	b.suspect = false
	why := errNeverAnswers
	for _, m := range b.meters {
		if !m.heard.IsZero() {
			why = errAllSilent
		}
	}
	b.mu.Unlock()
	if suspect && b.line.port != nil {
		b.fail(why)
	}
}
