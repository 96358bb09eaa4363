package line

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/simulator"
)

// TestFalseHeadersCostNoTime reads meters whose addresses look like the beginning and the end of
// frames, on a line with such bytes in the noise too. No read may wait for a frame that never ends.
func TestFalseHeadersCostNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addresses := []string{"112233445566", "681668166816"}
		site := NewSite(t, simulator.BusOptions{
			Meters: Simulated(t, addresses...), Baud: 9600, Turnaround: 20 * time.Millisecond,
			Faults: simulator.Faults{simulator.FaultJunk: 1, simulator.FaultFE: 1},
		}, nil)
		for n := range 100 {
			time.Sleep(100 * time.Millisecond) // virtual: noise after an answer would hit the next request
			began := time.Now()
			reply := string(site.Ask("read/"+addresses[n%2], []byte(`{"items":["voltage_a"]}`)))
			if !strings.Contains(reply, `"ok":true`) {
				t.Fatalf("read %d: %s", n, reply)
			}
			// Request, answer, their wake-up bytes and all the noise have 100 bytes at most.
			if took, bound := time.Since(began), 20*time.Millisecond+100*11*time.Second/9600; took > bound {
				t.Errorf("read %d took %v, more than %v: %s", n, took, bound, reply)
			}
		}
	})
}
