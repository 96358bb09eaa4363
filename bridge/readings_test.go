package bridge

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestReadings publishes each reading as it comes: also unchanged, numbers only, with one time for what came
// together, and nothing that was withheld, refused or is text.
func TestReadings(t *testing.T) {
	say := func(_, item string) string {
		switch item {
		case "voltage_a":
			return "220.10"
		case "gone":
			return "null"
		}
		return "refused"
	}
	for _, wanted := range []bool{true, false} {
		pollAs(t, func(c *Config) { c.Readings = wanted }, "meter,item,interval\nmain,voltage_a,10s\nmain,gone,10s\nmain,missing,10s\n", 0, say, func(p *post) {
			time.Sleep(31 * time.Second)
			got := p.heard("main/readings")
			if !wanted {
				if len(got) > 0 {
					t.Errorf("published %q, though it was not wanted", got)
				}
				return
			}
			if len(got) < 3 || len(got) > 4 {
				t.Fatalf("published %q, want one each 10 s", got)
			}
			for _, payload := range got {
				if values, _, _ := strings.Cut(payload, `"time":`); values != `{"voltage_a":220.10,` {
					t.Errorf("published %s", payload)
				}
			}
		})
	}
}

// TestOutboxKeepsReadings keeps readings over an outage, the newest where there are too many, and counts
// what it gave up.
func TestOutboxKeepsReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(quietLog())
		broken := &postOffice{err: errors.New("connection lost")}
		ctx, cancel := context.WithCancel(t.Context())
		o.up(ctx, broken.publish)
		o.put(outgoing{topic: "readings", payload: []byte("first"), reading: true})
		synctest.Wait()
		o.down()
		cancel()
		o.put(outgoing{topic: "reply", payload: []byte("!")})
		synctest.Wait()
		var mu sync.Mutex
		var taken []string
		o.up(t.Context(), func(_ context.Context, m outgoing) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			taken = append(taken, m.topic+"="+string(m.payload))
			return false, nil
		})
		synctest.Wait()
		slices.Sort(taken)
		if got := strings.Join(taken, " "); got != "readings=first reply=!" {
			t.Errorf("published %s", got)
		}
		o.down()
		large := strings.Repeat("x", 1<<20)
		for range 7 {
			o.put(outgoing{topic: "readings", payload: []byte(large), reading: true})
		}
		if waiting, lost := len(o.readings), o.lostReadings(); waiting != 3 || lost != 4 {
			t.Errorf("%d wait and %d were given up, want 3 and 4", waiting, lost)
		}
	})
}
