package simulator

import (
	"testing"
	"time"
)

// noon is the time of most tests, a Friday.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, zone)

// sum adds up the load of each second.
func sum(h *household, from, to instant) (w work) {
	for ; from < to; from++ {
		w.add(h.load(from), 1, tariffOf(int64(from)/hour%24))
	}
	return w
}

func TestWorkIsTheIntegralOfTheLoad(t *testing.T) {
	h := newHousehold(7, phases, false)
	for _, test := range []struct {
		name  string
		from  time.Time
		hours int
	}{
		{"night and change of tariff", time.Date(2026, 11, 20, 5, 0, 7, 0, zone), 3},
		{"from one week to the next", time.Date(2026, 11, 22, 22, 59, 51, 0, zone), 2},
		{"from one year to the next", time.Date(2026, 12, 31, 23, 13, 0, 0, zone), 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := instantOf(test.from)
			to := from + instant(test.hours*hour) + 3
			if got, want := h.work(to).plus(-1, h.work(from)), sum(h, from, to); got != want {
				t.Errorf("work grew by %v, the load adds up to %v", got, want)
			}
		})
	}
	t.Run("whole weeks", func(t *testing.T) {
		var want work
		const weeks = 3
		for hours := range int64(weeks * 7 * 24) {
			want.add(h.hourly(hours), hour, tariffOf(hours%24))
		}
		if got := h.work(weeks * week); got != want {
			t.Errorf("work after %d weeks is %v, the hours add up to %v", weeks, got, want)
		}
	})
}

func TestLoadFollowsTheDay(t *testing.T) {
	h := newHousehold(7, phases, false)
	mean := func(hourOfDay int) (power int64) {
		at := instantOf(time.Date(2026, 11, 18, hourOfDay, 0, 0, 0, zone))
		w := sum(h, at, at+hour)
		for p := range w {
			for tariff := range w[p] {
				power += w[p][tariff][forwardActive] / hour
			}
		}
		return power
	}
	night, morning, forenoon, evening := mean(3), mean(7), mean(10), mean(19)
	if !(night < forenoon && forenoon < morning && morning < evening) {
		t.Errorf("mean power at 3, 10, 7 and 19 o'clock: %d, %d, %d, %d tenths of a watt; it should rise", night, forenoon, morning, evening)
	}
}

func TestTheGridStaysWithinReason(t *testing.T) {
	h := newHousehold(7, phases, false)
	start := instantOf(noon)
	seen := map[int64]bool{}
	for at := start; at < start+day; at += 13 {
		for phase := range phases {
			u := h.voltage(phase, at)
			seen[u] = true
			if u < 2100 || u > 2300 {
				t.Fatalf("voltage of phase %d at %v: %d tenths of a volt, should be near 2200", phase, at.time(), u)
			}
		}
		if f := h.frequency(at); f < 4990 || f > 5010 {
			t.Fatalf("frequency at %v: %d hundredths of a hertz, should be near 5000", at.time(), f)
		}
	}
	if len(seen) < 30 {
		t.Errorf("%d different voltages in a day: they should wander", len(seen))
	}
}

func TestSquareRoot(t *testing.T) {
	for _, n := range []int64{0, 1, 2, 3, 4, 8, 9, 15, 16, 17, 99, 100, 1<<40 - 1, 1 << 40, 3037000499 * 3037000499} {
		root := squareRoot(n)
		if root*root > n || (root < 3037000499 && (root+1)*(root+1) <= n) {
			t.Errorf("squareRoot(%d) = %d", n, root)
		}
	}
}
