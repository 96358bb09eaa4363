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
	results map[string]*cachedResult // by Step.Key
	changed map[string]time.Time     // when a command to a meter was last over
	all     time.Time                // when one that may have reached all was
}

type cachedResult struct {
	result protocol.Result
	time   time.Time
}

// put keeps a result that was asked for at the time asked and came at the time came, unless a
// newer one is there. What was asked for before a command to the meter was over may be older
// than what the command did.
func (c *cache) put(key string, result protocol.Result, asked, came time.Time) {
	if key == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.results == nil {
		c.results = map[string]*cachedResult{}
	}
	if asked.Before(c.all) || asked.Before(c.changed[result.Address]) {
		return
	}
	if r := c.results[key]; r != nil && r.time.After(came) {
		return
	}
	if len(c.results) >= cacheSize && c.results[key] == nil {
		oldest := ""
		for k, r := range c.results {
			if oldest == "" || r.time.Before(c.results[oldest].time) {
				oldest = k
			}
		}
		delete(c.results, oldest)
	}
	c.results[key] = &cachedResult{result, came}
}

// get returns a result that is at most maxAge old, and when it was read.
func (c *cache) get(key string, maxAge time.Duration) (protocol.Result, time.Time, bool) {
	if maxAge <= 0 {
		return protocol.Result{}, time.Time{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.results[key]
	if r == nil || bus.Age(r.time, time.Now()) > maxAge {
		return protocol.Result{}, time.Time{}, false
	}
	return r.result, r.time, true
}

// forget drops what is known of a meter: a command, over now, may have changed it. An address
// that several meters share drops everything.
func (c *cache) forget(address string, shared bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if shared || len(c.changed) >= cacheSize {
		c.results, c.changed, c.all = nil, nil, now
		return
	}
	if c.changed == nil {
		c.changed = map[string]time.Time{}
	}
	c.changed[address] = now
	for key, r := range c.results {
		if r.result.Address == address {
			delete(c.results, key)
		}
	}
}
