package bridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestState(t *testing.T) {
	voltage, current := "220.1", "1.0"
	say := func(_, item string) string {
		switch item {
		case "voltage_a":
			return voltage
		case "current_a":
			return current
		case "status_3":
			return "0.0"
		}
		return "lacking"
	}
	poll(t, "meter,item,interval,deadband\nmain,voltage_a,10s,0.5\nmain,current_a,10s,\nmain,missing,10s,\n", 0, say, func(p *post) {
		expect := func(what string, want ...string) {
			t.Helper()
			time.Sleep(10 * time.Second)
			got := p.heard("main/state")
			for i := range got { // the moment is looked at elsewhere
				got[i], _, _ = strings.Cut(got[i], `,"time":`)
			}
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s: published %q, want %q", what, got, want)
			}
		}
		time.Sleep(time.Second)
		expect("at first", `{"voltage_a":220.1,"current_a":1.0`)
		expect("nothing new")
		p.meters(func() { voltage = "220.6" })
		expect("within the deadband")
		p.meters(func() { voltage = "220.7" })
		expect("beyond it", `{"voltage_a":220.7,"current_a":1.0`)
		p.meters(func() { voltage = "220.3" })
		expect("back within")
		p.meters(func() { current = "1.1" })
		expect("another one", `{"voltage_a":220.3,"current_a":1.1`)
		p.meters(func() { current = "refused" })
		expect("a refusal changes nothing")
		p.meters(func() { current = "null" })
		expect("the meter has no value any more", `{"voltage_a":220.3`)
		p.meters(func() { voltage = "" })
		expect("silence changes nothing")
	})
}

// TestStateTimes shows the age of what could not be read again.
func TestStateTimes(t *testing.T) {
	broken := false
	n := 0
	say := func(_, item string) string {
		if item == "current_a" && broken {
			return "noise"
		}
		n++
		return fmt.Sprintf("%d.0", n)
	}
	poll(t, "meter,item,interval\nmain,voltage_a,10s\nmain,current_a,10s\n", 0, say, func(p *post) {
		type state struct {
			Time  time.Time
			Times map[string]time.Time
		}
		last := func() (s state) {
			t.Helper()
			list := p.heard("main/state")
			if len(list) == 0 {
				t.Fatal("no state was published")
			}
			if err := json.Unmarshal([]byte(list[len(list)-1]), &s); err != nil {
				t.Fatal(err)
			}
			return s
		}
		time.Sleep(11 * time.Second)
		good := last()
		if good.Times != nil || time.Until(good.Time).Abs() > 2*time.Second {
			t.Errorf("a whole reading has the times %v and the time %v", good.Times, good.Time)
		}
		p.meters(func() { broken = true })
		time.Sleep(time.Minute)
		s := last()
		if age := s.Time.Sub(s.Times["current_a"]); age < 55*time.Second || age > 65*time.Second || len(s.Times) != 1 {
			t.Errorf("current_a is %v older than the rest, want a minute: %+v", age, s)
		}
	})
}

// TestStateHourly publishes what does not change once an hour all the same.
func TestStateHourly(t *testing.T) {
	poll(t, "meter,item,interval\nmain,voltage_a,1m\n", 0, always("220.1"), func(p *post) {
		time.Sleep(10*time.Hour + 30*time.Minute)
		if got := len(p.heard("main/state")); got < 11 || got > 12 {
			t.Errorf("published %d times in ten and a half hours", got)
		}
	})
}

// TestStateFromReads takes in what clients read.
func TestStateFromReads(t *testing.T) {
	voltage := "220.1"
	poll(t, "meter,item,interval\nmain,voltage_a,1h\n", 0, func(string, string) string { return voltage }, func(p *post) {
		time.Sleep(time.Second)
		p.heard("main/state")
		p.meters(func() { voltage = "225.0" })
		p.read("voltage_a")
		p.read("current_a") // no point
		if got := p.heard("main/state"); len(got) != 1 || !strings.HasPrefix(got[0], `{"voltage_a":225.0,"time"`) {
			t.Errorf("published %q", got)
		}
	})
}

// TestStateUnretained leaves nothing with the broker if the table says so.
func TestStateUnretained(t *testing.T) {
	poll(t, "meter,item,interval,retain\nmain,voltage_a,1h,no\n", 0, always("220.1"), func(p *post) {
		time.Sleep(time.Second)
		synctest.Wait()
		published := ""
		for len(p.told) > 0 {
			if m := <-p.told; m.Topic == "test/meter/main/state" {
				published += fmt.Sprintf("%d bytes, retained %t; ", len(m.Payload), m.Kind.Retained())
			}
		}
		if want := "0 bytes, retained true; 53 bytes, retained false; "; published != want {
			t.Errorf("published %s, want %s", published, want)
		}
	})
}

// TestStateOfNothing has a meter that has no value for any of its points any more, or never had in this run
// of the bridge: the broker is not to keep the last ones.
func TestStateOfNothing(t *testing.T) {
	for _, values := range [][]string{{"220.1", "null"}, {"null", "null"}} {
		value := values[0]
		poll(t, "meter,item,interval\nmain,voltage_a,1m\nmain,voltage_b,1m\n", 0, func(string, string) string { return value }, func(p *post) {
			time.Sleep(90 * time.Second)
			got := p.heard("main/state")
			p.meters(func() { value = values[1] })
			time.Sleep(10 * time.Minute)
			got = append(got, p.heard("main/state")...)
			if last := len(got) - 1; last < 0 || !strings.HasPrefix(got[last], `{"time":"2000-01-01T00:0`) || last > 1 {
				t.Errorf("%v: published %q", values, got)
			}
		})
	}
}

// TestStateUnretainedAfterAnotherTable keeps what was read of a meter when a table comes that has the same
// of it, also if its state is not retained; and has the broker keep it as soon as it is to be.
func TestStateUnretainedAfterAnotherTable(t *testing.T) {
	voltage := "220.1"
	poll(t, "meter,item,interval,retain\nmain,voltage_a,1m,no\nmain,energy,24h,no\n", 0, func(_, item string) string {
		if item == "voltage_a" {
			return voltage
		}
		return "1.0"
	}, func(p *post) {
		time.Sleep(90 * time.Second)
		p.keeper.SetTable(parseTable(t, &p.config, "meter,item,interval,retain\nmain,voltage_a,1m,no\nmain,energy,24h,no\nonly,voltage_a,1m,\n"))
		p.heard("main/state")
		p.meters(func() { voltage = "220.2" })
		time.Sleep(2 * time.Minute)
		if got := p.heard("main/state"); len(got) != 1 || !strings.HasPrefix(got[0], `{"voltage_a":220.2,"energy":1.0,`) {
			t.Errorf("published %q", got)
		}
		p.keeper.SetTable(parseTable(t, &p.config, "meter,item,interval\nmain,voltage_a,1m\nmain,energy,24h\n"))
		time.Sleep(2 * time.Minute)
		if got := p.heard("main/state"); len(got) != 1 || !strings.HasPrefix(got[0], `{"voltage_a":220.2,"energy":1.0,`) {
			t.Errorf("published %q once it is retained", got)
		}
	})
}

func TestStateOfRelay(t *testing.T) {
	open := "false"
	say := func(_, item string) string {
		if item == "status_3.relay_open" {
			return open
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,voltage_a,1h\nmain,status_3.relay_open,10s\n", 0, say, func(p *post) {
		time.Sleep(time.Second)
		if got := p.heard("main/state"); len(got) == 0 || !strings.Contains(got[len(got)-1], `"relay":"closed"`) {
			t.Errorf("published %q", got)
		}
		if got := p.events("main"); got != nil {
			t.Errorf("events %q", got)
		}
		p.meters(func() { open = "true" })
		time.Sleep(10 * time.Second)
		if got := p.events("main", "relay"); len(got) != 1 || got[0] != "relay open" {
			t.Errorf("events %q", got)
		}
	})
}

// TestStateGoesForward reads a point between two steps of a round that has read it already. The
// round is over later, but what it brought is older.
func TestStateGoesForward(t *testing.T) {
	readings := 0
	say := func(_, item string) string {
		if item != "voltage_a" {
			return "5.0"
		}
		readings++
		return fmt.Sprintf("%d.0", 220+readings)
	}
	poll(t, "meter,item,interval\nmain,voltage_a,1h\nmain,current_a,1h\n", time.Second, say, func(p *post) {
		time.Sleep(30 * time.Minute) // what is done when the bridge starts is over
		p.heard("main/state")
		time.Sleep(30*time.Minute + 500*time.Millisecond - sinceMidnight()%(30*time.Minute))
		before, after := 0, 0
		p.meters(func() { before = readings })
		reply := p.read("voltage_a")
		synctest.Wait()
		p.meters(func() { after = readings })
		if after != before+2 {
			t.Fatalf("%d readings while the client waited, want that of the round and one more", after-before)
		}
		newest := fmt.Sprintf("%d.0", 220+after)
		if got := fmt.Sprint(reply["values"]); got != "map[voltage_a:"+newest+"]" {
			t.Fatalf("the client got %s, want %s", got, newest)
		}
		time.Sleep(time.Minute)
		states := p.heard("main/state")
		for i, state := range states {
			if last := i == len(states)-1; last && !strings.Contains(state, `"voltage_a":`+newest+",") {
				t.Errorf("the last state is %s, want %s", state, newest)
			}
		}
		if len(states) == 0 {
			t.Error("no state was published")
		}
		reply = p.read(`{"items":["voltage_a"],"max_age_ms":120000}`)
		if got := fmt.Sprint(reply["values"]); got != "map[voltage_a:"+newest+"]" {
			t.Errorf("a client that takes an older value got %s, want %s", got, newest)
		}
	})
}
