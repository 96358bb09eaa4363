package meters

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestDriftInState rounds what is known of a clock, and takes no notice of the second that a reading may be off.
func TestDriftInState(t *testing.T) {
	var s state
	now := time.Date(2026, 11, 29, 8, 0, 0, 0, time.UTC)
	for i, row := range []struct {
		ahead string
		want  string
	}{
		{"-600ms", "-1"}, {"0s", ""}, {"-1.9s", ""}, {"-2.1s", "-2"}, {"-1.2s", ""}, {"0s", "0"}, {"1m12.4s", "72"}, {"71.5s", ""}, {"-12s", "-12"},
	} {
		ahead, err := time.ParseDuration(row.ahead)
		if err != nil {
			t.Fatal(err)
		}
		s.dirty = false
		s.putDrift(ahead, now.Add(time.Duration(i)*time.Hour))
		payload, err := s.encode(nil, func(time.Time) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		if s.dirty != (row.want != "") || s.dirty && !strings.Contains(string(payload), `"clock_drift_s":`+row.want+",") {
			t.Errorf("%s: published %t, %s", row.ahead, s.dirty, payload)
		}
	}
	if s.putDrift(time.Hour, now); s.drift != -12 {
		t.Error("an older reading is taken")
	}
}

func TestBeyond(t *testing.T) {
	d := func(text string) protocol.Decimal {
		value, err := protocol.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	for _, row := range []struct {
		before, now any
		band        string
		want        bool
	}{
		{nil, d("1"), "5", true}, {d("1.0"), d("1.0"), "0", false}, {d("1.0"), d("1.1"), "0", true}, {d("1.0"), d("1.1"), "0.1", false},
		{d("1.0"), d("0.89"), "0.1", true}, {"a", "a", "0", false}, {"a", "b", "0", true}, {true, false, "0", true}, {"1", d("1"), "0", true},
	} {
		if got := beyond(row.before, row.now, d(row.band)); got != row.want {
			t.Errorf("from %v to %v with a deadband of %s: %t", row.before, row.now, row.band, got)
		}
	}
}

// No item can be called like another member of a state.
func TestStateNamesAreReserved(t *testing.T) {
	now := time.Now()
	s := state{values: map[string]*held{"x": {data: 1, time: now.Add(-time.Hour)}}, relay: relayOpen, relayTime: now, drift: 1, driftTime: now}
	text, err := s.encode([]string{"x"}, func(time.Time) string { return "now" })
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil || len(members) != 5 {
		t.Fatalf("%s, %v", text, err)
	}
	for name := range members {
		if protocol.IsReserved(name) == (name == "x") {
			t.Errorf("whether %s is reserved: %v", name, protocol.IsReserved(name))
		}
	}
}
