package bridge

import (
	"sync"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// cacheSize bounds the results that are kept: some 60 items of each of 100 meters.
const cacheSize = 6000

// A cache keeps the last result of each read, for clients that accept a value of some age. The zero value is empty
// and ready.
type cache struct {
	mu      sync.Mutex
	results map[protocol.MeterKey]map[string]*cachedResult // by the meter that was asked and the Key of the step
	kept    int                                            // results in all
	changed map[protocol.MeterKey]time.Time                // when a command to a meter was last over
	all     time.Time                                      // when one that may have reached all was
}

// A cachedResult is what a step has brought: mostly just values, and there may be thousands.
type cachedResult struct {
	values []protocol.Value
	rest   *protocol.Result // all of it, if there is more, or if another meter answered than was asked
	time   time.Time
}

// newCachedResult keeps a result of a step.
func newCachedResult(step *protocol.Step, result protocol.Result, came time.Time) *cachedResult {
	r := &cachedResult{values: result.Values, time: came}
	plain := result.Clock.IsZero() && result.Frame == nil && result.Samples == nil && result.Errors == nil && result.Learned == nil
	if !plain || result.Address != (protocol.Address{MeterKey: step.Meter}) {
		whole := result
		r.rest = &whole
	}
	return r
}

// result returns what was kept of a step that asked a meter.
func (r *cachedResult) result(asked protocol.MeterKey) protocol.Result {
	if r.rest != nil {
		return *r.rest
	}
	return protocol.Result{Address: protocol.Address{MeterKey: asked}, Values: r.values}
}

// put keeps a result that was asked for at the time asked and came at the time came, unless a
// newer one is there. What was asked for before a command to the meter was over may be older
// than what the command did.
func (c *cache) put(step *protocol.Step, result protocol.Result, asked, came time.Time) {
	if step.Key == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if asked.Before(c.all) || asked.Before(c.changed[result.Address.MeterKey]) {
		return
	}
	of := c.results[step.Meter]
	switch r := of[step.Key]; {
	case r == nil:
		if c.kept >= cacheSize {
			c.dropOldest()
		}
		c.kept++
	case r.time.After(came):
		return
	}
	if of = c.results[step.Meter]; of == nil {
		if c.results == nil {
			c.results = map[protocol.MeterKey]map[string]*cachedResult{}
		}
		of = map[string]*cachedResult{}
		c.results[step.Meter] = of
	}
	of[step.Key] = newCachedResult(step, result, came)
}

// dropOldest drops the result that has been kept longest. The lock is held.
func (c *cache) dropOldest() {
	var meter protocol.MeterKey
	var key string
	var oldest *cachedResult
	for m, of := range c.results {
		for k, r := range of {
			if oldest == nil || r.time.Before(oldest.time) {
				meter, key, oldest = m, k, r
			}
		}
	}
	c.drop(meter, key)
}

// drop drops one result. The lock is held.
func (c *cache) drop(meter protocol.MeterKey, key string) {
	delete(c.results[meter], key)
	c.kept--
	if len(c.results[meter]) == 0 {
		delete(c.results, meter)
	}
}

// get returns a result that is at most maxAge old, and when it was read.
func (c *cache) get(step *protocol.Step, maxAge time.Duration) (protocol.Result, time.Time, bool) {
	if maxAge <= 0 {
		return protocol.Result{}, time.Time{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.results[step.Meter][step.Key]
	if r == nil || bus.Age(r.time, time.Now()) > maxAge {
		return protocol.Result{}, time.Time{}, false
	}
	return r.result(step.Meter), r.time, true
}

// forget drops what is known of a meter: a command, over now, may have changed it. An address
// that several meters share drops everything.
func (c *cache) forget(address protocol.Address, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if address.Shared || len(c.changed) >= cacheSize {
		c.results, c.kept, c.changed, c.all = nil, 0, nil, now
		return
	}
	if c.changed == nil {
		c.changed = map[protocol.MeterKey]time.Time{}
	}
	c.changed[address.MeterKey] = now
	for meter, of := range c.results {
		for key, r := range of {
			if r.result(meter).Address.MeterKey == address.MeterKey {
				c.drop(meter, key)
			}
		}
	}
}
