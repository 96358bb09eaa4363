package bridge

import (
	"sync"
	"time"
)

const (
	// clockMemory is how long it counts how far a meter's clock was off.
	clockMemory = 24 * time.Hour

	// mostClocks bounds the memory for the clocks of meters.
	mostClocks = 4096
)

// clocks remembers how far the clocks of meters are ahead of ours. The zero value knows none.
type clocks struct {
	mu    sync.Mutex
	known map[string]clock // by address
}

type clock struct {
	offset time.Duration
	read   time.Time
}

// learn takes note of a clock if one was read.
func (c *clocks) learn(o *outcome) {
	if o.cached || o.Err != nil || o.Result.Clock.IsZero() || o.Came.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= mostClocks {
		c.known = map[string]clock{}
	}
	c.known[o.Result.Address] = clock{o.Result.Clock.Sub(o.Came), o.Came}
}

// offset returns how far a meter's clock is ahead of ours, if it was read within a day.
func (c *clocks) offset(address string) (ahead time.Duration, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[address]
	if !ok || time.Since(known.read) > clockMemory {
		return 0, false
	}
	return known.offset, true
}
