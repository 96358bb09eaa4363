package meters

import (
	"strings"
	"testing"
	"time"
)

// What a table is refused for names the figure that was counted with.
func TestBudgetNamesWhatItCountsWith(t *testing.T) {
	round := BudgetRound{Meter: "main", Interval: time.Second, Reads: make([]BudgetRead, 3), Wire: 1500 * time.Millisecond}
	for _, test := range []struct {
		begin   time.Duration
		guessed bool
		want    string
	}{
		{20 * time.Millisecond, true, "even if it begins each answer within 20ms, the least that the standard asks for"},
		{310 * time.Millisecond, false, "where it begins its answers within 310ms, the median of its latest ones"},
	} {
		round.Begin, round.Guessed = test.begin, test.guessed
		err := Budget{Baud: 2400, Share: 1.5, Rounds: []BudgetRound{round}}.Err()
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "150 % of the wire's time at 2400 baud") {
			t.Errorf("got %v, want %q", err, test.want)
		}
	}
}
