package bus

import (
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// TestCost compares the estimate with what the same step takes on a line.
func TestCost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Settings: Settings{Baud: 2400, Parity: "even", Stop: 1, Gap: 10 * time.Millisecond}})
		read := protocol.Step{Meter: keyOf("m"), Line: &testLine, Expected: 20, First: protocol.Exchange{Request: make([]byte, 16), Answer: neverCut}}
		// 4+16 bytes out, 4+20 bytes back, 11 bits each.
		const bytes = (20 + 24) * 11 * time.Second / 2400
		check := func(what string, want, begin time.Duration, guessed bool, steps ...protocol.Step) {
			t.Helper()
			got, turnaround, guess := b.Cost(steps, false)
			if (got-want).Abs() > time.Millisecond || turnaround != begin || guess != guessed {
				t.Errorf("%s: %v, with %v (guessed %v), want %v with %v (%v)", what, got, turnaround, guess, want, begin, guessed)
			}
		}
		check("two reads", 2*(bytes+30*time.Millisecond), 20*time.Millisecond, true, read, read)
		learn := func(times int, d time.Duration) {
			for range times {
				b.meter(keyOf("m")).turnaround[protocol.KindValue].learn(d)
			}
		}
		learn(1, 100*time.Millisecond)
		check("a read of a meter that takes 100 ms", bytes+110*time.Millisecond, 100*time.Millisecond, false, read)
		learn(20, 30*time.Millisecond)
		learn(1, time.Second)
		check("when one answer was late", bytes+40*time.Millisecond, 30*time.Millisecond, false, read)
		learn(medianOf/2, time.Second)
		check("when most were", bytes+1010*time.Millisecond, time.Second, false, read)
		broadcast := protocol.Step{Line: &testLine, First: protocol.Exchange{Request: make([]byte, 16), Rest: 50 * time.Millisecond}}
		check("a broadcast", 20*11*time.Second/2400+50*time.Millisecond, 0, false, broadcast)
	})
}

func neverCut([]byte, bool) (int, []byte, error) { return 0, nil, nil }
