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
		b := New(Config{Settings: Settings{Baud: 2400, Parity: "even", Stop: 1, Preamble: 4, Gap: 10 * time.Millisecond}})
		read := protocol.Step{Meter: "m", Expected: 20, First: protocol.Exchange{Request: make([]byte, 16), Answer: neverCut}}
		// 4+16 bytes out, 4+20 bytes back, 11 bits each.
		const bytes = (20 + 24) * 11 * time.Second / 2400
		if got, want := b.Cost([]protocol.Step{read, read}, 20*time.Millisecond), 2*(bytes+30*time.Millisecond); (got - want).Abs() > time.Millisecond {
			t.Errorf("two reads cost %v, want %v", got, want)
		}
		b.meter("m").turnaround[protocol.KindValue].learn(100 * time.Millisecond)
		if got, want := b.Cost([]protocol.Step{read}, 20*time.Millisecond), bytes+110*time.Millisecond; (got - want).Abs() > time.Millisecond {
			t.Errorf("a read of a meter that takes 100 ms costs %v, want %v", got, want)
		}
		broadcast := protocol.Step{First: protocol.Exchange{Request: make([]byte, 16), Rest: 50 * time.Millisecond}}
		if got, want := b.Cost([]protocol.Step{broadcast}, time.Second), 20*11*time.Second/2400+50*time.Millisecond; (got - want).Abs() > time.Millisecond {
			t.Errorf("a broadcast costs %v, want %v", got, want)
		}
	})
}

func neverCut([]byte, bool) (int, []byte, error) { return 0, nil, nil }
