package bridge

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestInspection reads along what tells of power failures and of the clock.
func TestInspection(t *testing.T) {
	failures, energy := "3", "10.00"
	poll(t, "meter,item,interval\nmain,energy,1m\n", 0, func(_, item string) string {
		switch item {
		case "power_down_count":
			return failures
		case "maximum_current":
			return "\"5(60)A\""
		case "rated_voltage":
			return "\"220V\""
		}
		return energy
	}, func(p *post) {
		time.Sleep(2 * time.Hour)
		if got := p.events("main"); got != nil {
			t.Errorf("events %q", got)
		}
		w := p.poller.watches["main"]
		w.mu.Lock()
		got := w.inspected.watts()
		w.mu.Unlock()
		if got != 3*61*221*5/4 {
			t.Errorf("the meter is made for %d W", got)
		}
		p.meters(func() { failures = "4" })
		time.Sleep(time.Hour)
		if got := p.events("main", "count", "before"); len(got) != 1 || got[0] != "power_failure 4 3" {
			t.Errorf("events %q", got)
		}
		p.meters(func() { energy = "14.00" }) // 240 kW
		time.Sleep(time.Minute)
		if got := p.events("main", "item", "value"); len(got) != 1 || got[0] != "implausible_value energy 14.00" {
			t.Errorf("events %q", got)
		}
	})
}

// TestInspectionOfAMeterNotFound does not ask whoever is there for the clock.
func TestInspectionOfAMeterNotFound(t *testing.T) {
	poll(t, "meter,item,interval\nmain,energy,1m\n", 0, always("1.00"), func(p *post) {
		p.meters(func() { p.cage.down = true })
		if err := p.inspectMeter(p.poller.watches["only"]); !errors.Is(err, errMissing) {
			t.Errorf("%v, want %v", err, errMissing)
		}
	})
}

func TestClockDrift(t *testing.T) {
	s := newStage(t, nil)
	w := s.poller.watches["main"]
	for _, row := range []struct {
		ahead, age time.Duration
		want       string
	}{
		{time.Second, 0, ""}, {-61 * time.Second, 0, "clock_drift"}, {-2 * time.Hour, 0, ""}, {59 * time.Second, 0, "clock_right"}, {0, 0, ""},
		{-2 * time.Hour, time.Minute, ""}, // read before it was right, by a longer request
	} {
		w.mu.Lock()
		s.judgeClock(w, row.ahead, time.Now().Add(-row.age))
		w.mu.Unlock()
		s.outbox.Drain(time.Second)
		got := ""
		for len(s.told) > 0 {
			var e struct {
				Type string `json:"event_type"`
			}
			m := <-s.told
			if strings.HasSuffix(m.Topic, "/event") {
				if err := json.Unmarshal(m.Payload, &e); err != nil {
					t.Fatal(err)
				}
				got += e.Type
			}
		}
		if got != row.want {
			t.Errorf("%v ahead: event %q, want %q", row.ahead, got, row.want)
		}
	}
}

func TestRating(t *testing.T) {
	for text, want := range map[string]int64{"60A": 61, "5(60)A": 61, "3*220V": 221, "57.7V": 58, "220": 221, "": 0, "A": 0, "9999999": 0} {
		if got := rating(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
