package meters

import (
	"fmt"
	"testing"
	"time"
)

// TestRoundsInTheMetersZone aligns to the hour as the meters' clocks show it.
func TestRoundsInTheMetersZone(t *testing.T) {
	half := time.FixedZone("half", 5*3600+1800)
	for interval, want := range map[time.Duration]string{time.Hour: "01:00", 24 * time.Hour: "00:00", 15 * time.Minute: "00:15", 90 * time.Second: ""} {
		w := newRecord(&Entry{Meter: Meter{Name: "main"}}, true)
		key := roundKey{"main", interval}
		r := newRound(w, key)
		r.phase = (&poller{}).phase(r, key, true)
		_, next := r.multiple(time.Date(2026, 11, 21, 0, 0, 1, 0, half), half)
		if got := next.In(half).Format("15:04"); want != "" && got != want {
			t.Errorf("every %v: the next at %s, want %s", interval, got, want)
		}
	}
}

// TestRoundsAreSpread has meters whose intervals do not fit the hour polled at different times.
func TestRoundsAreSpread(t *testing.T) {
	phases := map[time.Duration]bool{}
	for i := range 20 {
		w := newRecord(&Entry{Meter: Meter{Name: fmt.Sprintf("meter_%d", i)}}, true)
		key := roundKey{w.Name, 7 * time.Minute}
		r := newRound(w, key)
		r.phase = (&poller{}).phase(r, key, true)
		if r.phase < 0 || r.phase >= 7*time.Minute {
			t.Errorf("phase %v", r.phase)
		}
		phases[r.phase.Truncate(10*time.Second)] = true
	}
	if len(phases) < 10 {
		t.Errorf("20 meters have %d phases", len(phases))
	}
}

// TestRoundsOfManyRootsAreSpread has bridges whose tables ask for no interval poll at different seconds, each
// always at its own, and those that ask for a minute at the full one.
func TestRoundsOfManyRootsAreSpread(t *testing.T) {
	key := roundKey{"main", time.Minute}
	r := newRound(newRecord(&Entry{Meter: Meter{Name: "main"}}, true), key)
	phases := map[time.Duration]bool{}
	for i := range 100 {
		p := &poller{root: fmt.Sprintf("site/%d", i)}
		phase := p.phase(r, key, false)
		if phase < 0 || phase >= time.Minute || phase != p.phase(r, key, false) {
			t.Errorf("phase %v", phase)
		}
		phases[phase.Truncate(time.Second)] = true
		if clocked := p.phase(r, key, true); clocked != 0 {
			t.Errorf("a round that was asked for begins %v after the minute", clocked)
		}
	}
	if len(phases) < 40 {
		t.Errorf("100 roots poll in %d seconds of the minute", len(phases))
	}
}
