package bus

import (
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestUsualAnswersBoundTheFirstTry has answers collected on the way, so that each must have come as a whole: the first of
// two tries waits for one that is as long as usual, the last one, and a command, for the longest.
func TestUsualAnswersBoundTheFirstTry(t *testing.T) {
	b := &Bus{config: Config{Settings: Settings{Packed: true, Timeout: 2 * time.Second, Latency: 200 * time.Millisecond}}}
	b.line.mode = protocol.Mode{Baud: 2400, Parity: "even", Stop: 1}
	needs := needs{&protocol.Line{Longest: 2056}}
	bytes := b.line.mode.Duration
	for _, test := range []struct {
		e       protocol.Exchange
		another bool
		since   time.Duration
		want    time.Duration
	}{
		{protocol.Exchange{}, true, 0, bytes(2056)},
		{protocol.Exchange{Usual: 520}, true, 0, bytes(520)},
		{protocol.Exchange{Usual: 520}, false, 0, bytes(2056)},
		{protocol.Exchange{Usual: 520}, false, 3 * time.Second, bytes(2056) - 3*time.Second},
		{protocol.Exchange{Usual: 520}, false, time.Minute, bytes(520)},
		{protocol.Exchange{Usual: 520, Longest: 100}, true, 0, bytes(100)},
		{protocol.Exchange{Usual: 520, Longest: 100}, false, time.Second, bytes(100)},
		{protocol.Exchange{Usual: 520, Longest: 1000}, true, 0, bytes(520)},
		{protocol.Exchange{Longest: 320}, false, time.Second, bytes(320)},
	} {
		if got, want := b.wait(&test.e, needs, time.Second, test.another, test.since), 1200*time.Millisecond+test.want; got != want {
			t.Errorf("%+v, another %t, since %v: %v, want %v", test.e, test.another, test.since, got, want)
		}
	}
}
