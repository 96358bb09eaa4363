package line

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/simulator"
)

// TestLoad has a hundred clients ask ten thousand things a second, in virtual time. Nearly all
// are turned away, each with a reply; relay commands wait for one step at most; and as soon as
// the flood is over the bridge serves as before. With a real broker: make load.
func TestLoad(t *testing.T) {
	const clients, requests, pause, ttl = 100, 100, 10 * time.Millisecond, 5 * time.Second
	synctest.Test(t, func(t *testing.T) {
		addresses := []string{"000000000001", "000000000002", "000000000003", "000000000004"}
		site := NewSite(t, simulator.BusOptions{Meters: Simulated(t, addresses...), Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4}, nil)
		site.Stop()
		site.Config.Queue = 1000
		site.Start(t)
		// A request and its answer for four bytes of energy, a command and its acknowledgement.
		wire := func(bytes int) time.Duration { return time.Duration(bytes) * 11 * time.Second / 2400 }
		step := max(wire(4+16)+20*time.Millisecond+wire(4+20), wire(4+28)+20*time.Millisecond+wire(4+12))
		goroutines := runtime.NumGoroutine()

		var all sync.WaitGroup
		var mu sync.Mutex
		outcomes := map[string]int{}
		flood := func(random *rand.Rand) {
			item := fmt.Sprintf("forward_active_energy_t%d_h%d", 1+random.IntN(4), 1+random.IntN(12))
			payload := fmt.Appendf(nil, `{"items":[%q],"ttl_ms":%d}`, item, ttl.Milliseconds())
			tail := "read/" + addresses[random.IntN(len(addresses))]
			all.Go(func() {
				r := loadReply(t, site.Ask(tail, payload))
				outcome := "ok"
				switch {
				case r.Error != nil:
					outcome = r.Error.Code
				case !r.OK:
					outcome = "failed"
				}
				if outcome == "busy" && r.Error.RetryAfterMS <= 0 {
					t.Errorf("busy without advice when to try again")
				}
				mu.Lock()
				defer mu.Unlock()
				outcomes[outcome]++
			})
		}
		for n := range uint64(clients) {
			all.Go(func() {
				random := rand.New(rand.NewPCG(n, 10_000))
				for range requests {
					flood(random)
					time.Sleep(pause) // virtual
				}
			})
		}
		for n := range 3 {
			time.Sleep(requests / 4 * pause)
			r := loadReply(t, site.Ask("relay/"+addresses[n], []byte(`{"action":"alarm","verify_ms":0}`)))
			if r.Error != nil || r.Result != "acknowledged" || r.Bus == nil || time.Duration(r.Bus.QueuedMS)*time.Millisecond > step {
				t.Errorf("a relay command in the flood: %+v; a step takes %s", r, step)
			}
		}
		all.Wait()
		if sum := outcomes["ok"] + outcomes["busy"] + outcomes["expired"]; sum != clients*requests || outcomes["busy"] < sum/2 || outcomes["ok"] == 0 {
			t.Errorf("%v of %d requests", outcomes, clients*requests)
		}

		if n := site.Bus.State().Queue; n != 0 {
			t.Errorf("%d requests wait after the flood", n)
		}
		if r := loadReply(t, site.Ask("read/"+addresses[0], []byte("forward_active_energy"))); !r.OK || r.Bus.QueuedMS > 1 {
			t.Errorf("a read after the flood: %+v", r)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines after the flood, %d before", n, goroutines)
		}
	})
}

// A loadedReply is what TestLoad looks at in a reply.
type loadedReply struct {
	OK     bool
	Result string
	Error  *struct {
		Code         string
		RetryAfterMS int64 `json:"retry_after_ms"`
	}
	Bus *struct {
		QueuedMS int64 `json:"queued_ms"`
	}
}

func loadReply(t *testing.T, payload []byte) (r loadedReply) {
	t.Helper()
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Errorf("reply %s: %v", payload, err)
	}
	return r
}
