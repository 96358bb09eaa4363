package line

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/simulator"
)

// A historyReply is what these tests look at in the reply to a read of history.
type historyReply struct {
	OK      bool
	Error   *struct{ Code string }
	Values  map[string]json.RawMessage
	Units   map[string]string
	Errors  map[string]struct{ Code, Message string }
	Samples []struct {
		Time   time.Time
		Values json.RawMessage
	}
	Next *time.Time
	Bus  struct{ Steps int }
}

// An archive is a bridge on a simulated line in virtual time, whose meters have stored for
// years.
type archive struct {
	*Setup
	t *testing.T
}

// newArchive makes one with a line of 2400 baud.
func newArchive(t *testing.T, faults simulator.Faults, addresses ...string) *archive {
	t.Helper()
	o := simulator.BusOptions{
		Meters: Simulated(t, addresses...), Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4, Seed: 7, Faults: faults,
		Now: func() time.Time { return archiveTime(time.Now()) },
	}
	return &archive{NewSite(t, o, nil), t}
}

// archiveTime is the meters' idea of a moment of virtual time, which begins with the year 2000.
func archiveTime(t time.Time) time.Time { return t.AddDate(26, 10, 19) }

func (a *archive) read(meter, body string) (reply historyReply) {
	a.t.Helper()
	payload := a.Ask("read/"+meter, []byte(body))
	if err := json.Unmarshal(payload, &reply); err != nil {
		a.t.Fatalf("%s: %v", payload, err)
	}
	if reply.Values == nil || reply.Units == nil || reply.Errors == nil || len(reply.Values) > 0 || reply.OK != (len(reply.Errors) == 0) {
		a.t.Errorf("reply %s", payload)
	}
	return reply
}

// span is the body of a request for history.
func span(items string, from, to time.Time) string {
	body := fmt.Sprintf(`{"items":["%s"],"from":"%s"`, strings.ReplaceAll(items, ",", `","`), from.Format(time.RFC3339))
	if !to.IsZero() {
		body += fmt.Sprintf(`,"to":"%s"`, to.Format(time.RFC3339))
	}
	return body + "}"
}

// checkEvery checks that samples follow each other without a gap, beginning with one moment.
func (a *archive) checkEvery(interval time.Duration, samples []time.Time, first time.Time) {
	a.t.Helper()
	for n, at := range samples {
		if want := first.Add(time.Duration(n) * interval); !at.Equal(want) {
			a.t.Fatalf("sample %d is of %s, want %s", n, at, want)
		}
	}
}

func (r historyReply) times() (times []time.Time) {
	for _, sample := range r.Samples {
		times = append(times, sample.Time)
	}
	return times
}

// A month of load records comes in pages that join, however long they take, and others get
// their answers meanwhile.
func TestPagesOfHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil, "000000000001", "000000000002")
		begin := time.Now()
		from := archiveTime(begin).AddDate(0, 0, -12).Truncate(15 * time.Minute)
		ended := make(chan struct{})
		waited := make(chan time.Duration, 1)
		go func() { // somebody reads another meter all the while
			longest := time.Duration(0)
			for {
				select {
				case <-ended:
					waited <- longest
					return
				default:
				}
				asked := time.Now()
				if payload := a.Ask("read/000000000002", []byte("voltage_a")); !strings.Contains(string(payload), `"ok":true`) {
					t.Errorf("another meter: %s", payload)
				}
				longest = max(longest, time.Since(asked))
				time.Sleep(5 * time.Second)
			}
		}()
		var times []time.Time
		var pages []int
		for next := &from; next != nil; {
			reply := a.read("000000000001", span("load_record", *next, time.Time{}))
			if !reply.OK {
				t.Fatalf("%+v", reply)
			}
			if pages == nil && (len(reply.Units) != 25 || strings.Count(string(reply.Samples[0].Values), ":") != 29) {
				t.Errorf("units %v, values %s", reply.Units, reply.Samples[0].Values)
			}
			pages = append(pages, len(reply.Samples))
			times = append(times, reply.times()...)
			next = reply.Next
		}
		close(ended)
		a.checkEvery(15*time.Minute, times, from)
		if now := archiveTime(time.Now()); !times[len(times)-1].Equal(now.Truncate(15 * time.Minute)) {
			t.Errorf("at %s the last sample is of %s", now, times[len(times)-1])
		}
		if len(pages) != 3 || pages[0] != 500 || pages[1] != 500 {
			t.Errorf("pages of %v samples, want 500 and 500 and the rest", pages)
		}
		if took := time.Since(begin); took < 10*time.Minute {
			t.Errorf("it took %s: not longer than a read may wait", took)
		}
		// Two frames of 200 bytes take nearly two seconds at 2400 baud.
		if longest := <-waited; longest > 3*time.Second {
			t.Errorf("a read of another meter took %s", longest)
		}
	})
}

func TestHistoryOfFreezes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil, "000000000001")
		today := archiveTime(time.Now()).In(time.FixedZone("", 8*60*60)).Truncate(time.Hour)
		today = today.Add(-time.Duration(today.Hour()) * time.Hour)

		daily := a.read("000000000001", span("daily_freeze_forward_active_energy_block,daily_freeze_variables", time.Unix(0, 0), time.Time{}))
		if len(daily.Samples) != 62 || !daily.OK || daily.Next != nil || daily.Units["forward_active_energy_t1"] != "kWh" || daily.Units["active_power"] != "kW" {
			t.Fatalf("%d daily freezes, %+v", len(daily.Samples), daily)
		}
		a.checkEvery(24*time.Hour, daily.times(), today.AddDate(0, 0, -61))

		whole := a.read("000000000001", span("daily_freeze", today.AddDate(0, 0, -2), today))
		if times := whole.times(); len(times) != 2 || !whole.OK {
			t.Fatalf("%+v", whole)
		}
		for _, name := range []string{"forward_active_energy", "quadrant_4_reactive_energy_t4", "forward_active_demand_time", "reactive_power_c"} {
			if !strings.Contains(string(whole.Samples[0].Values), `"`+name+`":`) {
				t.Errorf("%s is not in %s", name, whole.Samples[0].Values)
			}
		}
		// What was frozen is what the other request has told.
		for _, sample := range whole.Samples {
			i := slices.IndexFunc(daily.times(), sample.Time.Equal)
			var some, all map[string]json.RawMessage
			if json.Unmarshal(daily.Samples[i].Values, &some) != nil || json.Unmarshal(sample.Values, &all) != nil {
				t.Fatal("values are no objects")
			}
			for name, value := range some {
				if string(all[name]) != string(value) {
					t.Errorf("%s at %s is %s and %s", name, sample.Time, value, all[name])
				}
			}
		}

		hourly := a.read("000000000001", span("hourly_freeze", time.Unix(0, 0), time.Time{}))
		if len(hourly.Samples) < 254 || !hourly.OK { // one may have been made meanwhile
			t.Errorf("%d hourly freezes, %+v", len(hourly.Samples), hourly.Errors)
		}
		a.checkEvery(time.Hour, hourly.times(), hourly.Samples[0].Time)
	})
}

// Whatever the line does, what comes is what the meter has stored, from the beginning on, and
// an error tells if that is not all.
func TestHistoryWithFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := newArchive(t, nil, "000000000001")
		now := archiveTime(time.Now())
		to := now.Truncate(time.Hour)
		truth := make(map[string]string) // by item and time
		for _, item := range []string{"load_record_1", "daily_freeze_forward_active_energy", "hourly_freeze"} {
			for _, sample := range good.read("000000000001", span(item, now.AddDate(0, 0, -4), to)).Samples {
				truth[item+sample.Time.Format(time.RFC3339)] = string(sample.Values)
			}
		}
		errors := make(map[string]int)
		whole := 0
		for seed := range uint64(12) {
			o := simulator.BusOptions{
				Meters: Simulated(t, "000000000001"), Baud: 9600, Turnaround: 20 * time.Millisecond, WakeUp: 4, Seed: seed,
				Faults: simulator.Faults{
					simulator.FaultNoReply: 0.06, simulator.FaultLate: 0.03, simulator.FaultFlip: 0.03, simulator.FaultTruncated: 0.03, simulator.FaultForeign: 0.03,
					simulator.FaultOtherDI: 0.03, simulator.FaultJunk: 0.03, simulator.FaultEcho: 0.03,
				},
				Now: func() time.Time { return archiveTime(time.Now()) },
			}
			bad := &archive{NewSite(t, o, func(_ *simulator.Bus, c *bus.Config) { c.Baud = 9600 }), t}
			for _, item := range []string{"load_record_1", "daily_freeze_forward_active_energy", "hourly_freeze"} {
				reply := bad.read("000000000001", span(item, now.AddDate(0, 0, -4), to))
				if reply.OK {
					whole++
				}
				for _, e := range reply.Errors {
					errors[e.Code]++
				}
				want := 0
				for key := range truth {
					if strings.HasPrefix(key, item+"2") {
						want++
					}
				}
				if reply.OK && len(reply.Samples) != want || len(reply.Samples) > want {
					t.Errorf("seed %d, %s: %d samples, errors %v, want %d", seed, item, len(reply.Samples), reply.Errors, want)
				}
				for i, sample := range reply.Samples {
					if values := truth[item+sample.Time.Format(time.RFC3339)]; values != string(sample.Values) {
						t.Errorf("seed %d: the sample of %s has %s, want %s", seed, sample.Time, sample.Values, values)
					}
					if i > 0 && !sample.Time.After(reply.Samples[i-1].Time) {
						t.Errorf("seed %d: a sample of %s after that of %s", seed, sample.Time, reply.Samples[i-1].Time)
					}
				}
			}
			bad.Stop()
		}
		if whole == 0 || errors["garbled"]+errors["timeout"] == 0 || len(errors) > 2 {
			t.Errorf("%d were read as a whole, errors %v: the faults were too few or too many, or did something else", whole, errors)
		}
	})
}

// A request that says how long it may wait is answered then, with what has come.
func TestHistoryThatExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil, "000000000001")
		from := archiveTime(time.Now()).AddDate(0, 0, -12).Truncate(15 * time.Minute)
		begin := time.Now()
		reply := a.read("000000000001", fmt.Sprintf(`{"items":["load_record"],"ttl_ms":30000,"from":"%s"}`, from.Format(time.RFC3339)))
		if took := time.Since(begin); took < 30*time.Second || took > 33*time.Second {
			t.Errorf("answered after %s", took)
		}
		if reply.Errors["load_record"].Code != "expired" || reply.Error != nil || reply.Next != nil || len(reply.Samples) < 30 {
			t.Errorf("%d samples, errors %v, error %v", len(reply.Samples), reply.Errors, reply.Error)
		}
		a.checkEvery(15*time.Minute, reply.times(), from)
	})
}

// A bridge that stops answers at once.
func TestHistoryWhileStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArchive(t, nil, "000000000001")
		from := archiveTime(time.Now()).AddDate(0, 0, -12)
		answer := make(chan historyReply)
		go func() { answer <- a.read("000000000001", span("load_record", from, time.Time{})) }()
		time.Sleep(time.Minute)
		a.Stop()
		if reply := <-answer; reply.Errors["load_record"].Code != "stopping" {
			t.Errorf("%+v", reply)
		}
	})
}
