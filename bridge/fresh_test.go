package bridge

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// stale lets a bridge turn for some time and returns what it then told to be stale of a meter, nil if that is
// what it told before.
func (a *announcement) stale(meter string, d time.Duration) (list []string) {
	a.t.Helper()
	for range d / time.Second {
		time.Sleep(time.Second)
		a.keeper.Turn()
	}
	synctest.Wait()
	for len(a.told) > 0 {
		m := <-a.told
		if m.Topic != "test/meter/"+meter+"/stale" {
			continue
		}
		if !m.Kind.Retained() {
			a.t.Errorf("%s is not retained", m.Topic)
		}
		if err := json.Unmarshal(m.Payload, &list); err != nil {
			a.t.Fatalf("%s: %v", m.Payload, err)
		}
	}
	return list
}

// TestStaleValues tells what of the retained state is not of now: before the first reading, and once a
// value has not come for some rounds. Each value goes by the interval of its own.
func TestStaleValues(t *testing.T) {
	announce(t, "meter,item,interval\nmain,voltage_a,10s\nmain,status_3.relay_open,1m\n", func(a *announcement) {
		voltage, relay := "220.1", "false"
		a.cage.say = func(_, item string) string {
			return map[string]string{"voltage_a": voltage, "status_3.relay_open": relay}[item]
		}
		a.keeper.Turn()
		if got, want := a.stale("main", 0), []string{"voltage_a", "status_3.relay_open", "relay", "clock_drift_s"}; !slices.Equal(got, want) {
			t.Errorf("before the first reading %q are stale, want %q", got, want)
		}
		if got, want := a.stale("main", 2*time.Second), []string{"clock_drift_s"}; !slices.Equal(got, want) {
			t.Errorf("after the first reading %q are stale, want %q", got, want)
		}
		if got := a.stale("main", time.Hour); got != nil {
			t.Errorf("told %q though all goes well", got)
		}
		a.meters(func() { voltage = "refused" })
		if got := a.stale("main", 30*time.Second); got != nil {
			t.Errorf("told %q after a round or two without a value", got)
		}
		if got, want := a.stale("main", 20*time.Second), []string{"voltage_a", "clock_drift_s"}; !slices.Equal(got, want) {
			t.Errorf("after 50 s without the voltage %q are stale, want %q", got, want)
		}
		a.meters(func() { voltage, relay = "221.0", "refused" })
		if got, want := a.stale("main", 15*time.Second), []string{"clock_drift_s"}; !slices.Equal(got, want) {
			t.Errorf("with the voltage back %q are stale, want %q", got, want)
		}
		if got, want := a.stale("main", 3*time.Minute), []string{"status_3.relay_open", "relay", "clock_drift_s"}; !slices.Equal(got, want) {
			t.Errorf("without the relay %q are stale, want %q", got, want)
		}
	})
}

// TestRelayThatCannotBeSeen offers two buttons where a meter obeys, and refuses to show what its relay does.
func TestRelayThatCannotBeSeen(t *testing.T) {
	announceAs(t, func(c *Config) { c.Allow["relay"] = true }, "meter,item,interval\nmain,voltage_a,10s\nmain,status_3,10s\n", func(a *announcement) {
		a.meters(func() {
			a.cage.say = func(_, item string) string {
				if strings.HasPrefix(item, "status_3") {
					return "refused"
				}
				return "220.1"
			}
		})
		told, _ := a.after(20 * time.Second)
		if got := told["000000000001"]; !strings.Contains(got, "relay_close relay_trip") {
			t.Errorf("told %q", got)
		}
	})
}
