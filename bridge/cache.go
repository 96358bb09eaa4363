package bridge

import (
	"sync"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// cacheSize bounds the results that are kept: some 60 items of each of 100 meters.
const cacheSize = 6000

// A cache keeps the last result of each read, so that a client may say that a value of some
// age will do. The zero value is empty and ready.
type cache struct {
	mu      sync.Mutex
	results map[cacheKey]*cachedResult
	changed map[protocol.MeterKey]time.Time // when a command to a meter was last over
	all     time.Time                       // when one that may have reached all was
}

// A cacheKey is what a step asks of a meter: its Key.
type cacheKey struct {
	meter protocol.MeterKey
	key   string
}

type cachedResult struct {
	result protocol.Result
	time   time.Time
}

// put keeps a result that was asked for at the time asked and came at the time came, unless a
// newer one is there. What was asked for before a command to the meter was over may be older
// than what the command did.
func (c *cache) put(step *protocol.Step, result protocol.Result, asked, came time.Time) {
	key := cacheKey{step.Meter, step.Key}
	if key.key == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = map[cacheKey]*cachedResult{}
	}
	if asked.Before(c.all) || asked.Before(c.changed[result.Address.MeterKey]) {
		return
	}
	if r := c.results[key]; r != nil && r.time.After(came) {
		return
	}
	if len(c.results) >= cacheSize && c.results[key] == nil {
		var oldest cacheKey
		for k, r := range c.results {
			if oldest.key == "" || r.time.Before(c.results[oldest].time) {
				oldest = k
			}
		}
		delete(c.results, oldest)
	}
	c.results[key] = &cachedResult{result, came}
}

// get returns a result that is at most maxAge old, and when it was read.
func (c *cache) get(step *protocol.Step, maxAge time.Duration) (protocol.Result, time.Time, bool) {
	if maxAge <= 0 {
		return protocol.Result{}, time.Time{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.results[cacheKey{step.Meter, step.Key}]
	if r == nil || bus.Age(r.time, time.Now()) > maxAge {
		return protocol.Result{}, time.Time{}, false
	}
	return r.result, r.time, true
}

// forget drops what is known of a meter: a command, over now, may have changed it. An address
// that several meters share drops everything.
func (c *cache) forget(address protocol.Address, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if address.Shared || len(c.changed) >= cacheSize {
		c.results, c.changed, c.all = nil, nil, now
		return
	}
	if c.changed == nil {
		c.changed = map[protocol.MeterKey]time.Time{}
	}
	c.changed[address.MeterKey] = now
	for key, r := range c.results {
		if r.result.Address.MeterKey == address.MeterKey {
			delete(c.results, key)
		}
	}
}
