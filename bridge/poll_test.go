package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// A post is a bridge in virtual time that polls meters that speak parrot.
type post struct {
	*stage
	t *testing.T
}

// poll runs test in a bubble with a bridge that works by a point table. say is what meters
// answer; "" is silence; delay is how long it takes to ask them. The bubble begins at midnight.
func poll(t *testing.T, table string, delay time.Duration, say func(address, item string) string, test func(p *post)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &post{t: t}
		p.stage = newStage(t, func(c *Config) {
			var err error
			if c.Points, err = points.Parse([]byte(table), Site(c.Meters, c.Protocol)); err != nil {
				t.Fatal(err)
			}
		})
		p.cage.say, p.cage.delay = say, delay
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.poll(ctx); close(done) }()
		test(p)
		cancel()
		<-done
	})
}

// meters lets change see and change what the meters say.
func (p *post) meters(change func()) {
	p.cage.mu.Lock()
	defer p.cage.mu.Unlock()
	change()
}

// read asks for an item of main and returns the reply.
func (p *post) read(item string) map[string]any {
	p.t.Helper()
	p.receive(message{topic: "test/request/read/main", payload: []byte(item), received: time.Now()})
	sent := <-p.sent
	for sent.topic != "test/reply/read/main" {
		sent = <-p.sent
	}
	var reply map[string]any
	d := json.NewDecoder(bytes.NewReader(sent.payload))
	d.UseNumber()
	if err := d.Decode(&reply); err != nil {
		p.t.Fatalf("reply %s: %v", sent.payload, err)
	}
	return reply
}

// sinceMidnight returns how far it is after midnight.
func sinceMidnight() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

// told returns what was published on a topic about a meter since the last call, oldest first,
// and drops the rest.
func (p *post) heard(topic string) (payloads []string) {
	synctest.Wait()
	for {
		select {
		case m := <-p.told:
			if m.topic == "test/meter/"+topic {
				payloads = append(payloads, string(m.payload))
			}
		default:
			return payloads
		}
	}
}

// events returns the types of what has happened to a meter since the last call, with the values
// of some keys.
func (p *post) events(meter string, keys ...string) (events []string) {
	p.t.Helper()
	for _, payload := range p.heard(meter + "/event") {
		var event map[string]json.RawMessage
		if err := json.Unmarshal([]byte(payload), &event); err != nil {
			p.t.Fatalf("event %s: %v", payload, err)
		}
		text := strings.Trim(string(event["event_type"]), `"`)
		for _, key := range keys {
			if value, ok := event[key]; ok {
				text += " " + strings.Trim(string(value), `"`)
			}
		}
		events = append(events, text)
	}
	return events
}

func always(value string) func(string, string) string {
	return func(string, string) string { return value }
}

// TestRoundsAreAligned polls at the multiples of the interval and nowhere else, without drift.
func TestRoundsAreAligned(t *testing.T) {
	var asked []time.Duration
	say := func(_, item string) string {
		if item == "voltage_a" {
			asked = append(asked, sinceMidnight())
		}
		return "220.1"
	}
	poll(t, "meter,item,interval\nmain,voltage_a,15m\nmain,current_a,10s\n", 0, say, func(*post) {
		time.Sleep(7 * time.Minute) // the first round is at once
		time.Sleep(48 * time.Hour)
		synctest.Wait()
	})
	if len(asked) < 2 || asked[0] > time.Second {
		t.Fatalf("asked at %v, want at once", asked[:min(len(asked), 3)])
	}
	if len(asked) != 1+48*4 {
		t.Errorf("asked %d times in 48 hours and 7 minutes, want %d", len(asked), 1+48*4)
	}
	for i, at := range asked[1:] {
		if want := time.Duration(i+1) * 15 * time.Minute; at < want || at > want+100*time.Millisecond {
			t.Fatalf("round %d at %v, want %v", i+1, at, want)
		}
	}
}

// TestRoundsInTheMetersZone aligns to the hour as the meters' clocks show it.
func TestRoundsInTheMetersZone(t *testing.T) {
	half := time.FixedZone("half", 5*3600+1800)
	for interval, want := range map[time.Duration]string{time.Hour: "01:00", 24 * time.Hour: "00:00", 15 * time.Minute: "00:15", 90 * time.Second: ""} {
		w := newWatch(&meter{Meter: Meter{Name: "main"}}, true)
		r := newRound(w, roundKey{"main", interval})
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
		w := newWatch(&meter{Meter: Meter{Name: fmt.Sprintf("meter_%d", i)}}, true)
		r := newRound(w, roundKey{w.Name, 7 * time.Minute})
		if r.phase < 0 || r.phase >= 7*time.Minute {
			t.Errorf("phase %v", r.phase)
		}
		phases[r.phase.Truncate(10*time.Second)] = true
	}
	if len(phases) < 10 {
		t.Errorf("20 meters have %d phases", len(phases))
	}
}

// TestRoundsDoNotPileUp has a meter that takes longer than the interval: rounds are skipped,
// and never wait.
func TestRoundsDoNotPileUp(t *testing.T) {
	const items = 10
	table := "meter,item,interval\n"
	for i := range items {
		table += fmt.Sprintf("main,item_%d,1s\n", i)
	}
	asked := 0
	say := func(_, item string) string {
		if strings.HasPrefix(item, "item_") {
			asked++
		}
		return "1.0"
	}
	poll(t, table, 350*time.Millisecond, say, func(p *post) {
		time.Sleep(time.Minute)
		if waiting := p.bus.State().Queue; waiting > 2 {
			t.Errorf("%d jobs wait", waiting)
		}
		p.poller.mu.Lock()
		missed := p.poller.missed
		p.poller.mu.Unlock()
		rounds := 0
		p.meters(func() { rounds = asked / items })
		if rounds < 13 || rounds > 16 || missed < 40 || missed > 48 {
			t.Errorf("%d rounds and %d missed in a minute, want some 15 and 45", rounds, missed)
		}
	})
}

// TestPollYields lets a read go before the rounds that wait.
func TestPollIsBackground(t *testing.T) {
	var order []string
	say := func(_, item string) string {
		order = append(order, item)
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,a,1h\nmain,b,1h\nmain,c,1h\n", 10*time.Millisecond, say, func(p *post) {
		time.Sleep(5 * time.Millisecond) // in the midst of the first
		reply := p.read("urgent")
		if reply["ok"] != true {
			t.Errorf("reply %v", reply)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		p.meters(func() {
			if slices.Index(order, "urgent") > 1 || !slices.Contains(order, "c") {
				t.Errorf("asked in the order %q", order)
			}
		})
	})
}

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
			if m := <-p.told; m.topic == "test/meter/main/state" {
				published += fmt.Sprintf("%d bytes, retained %t; ", len(m.payload), m.retain)
			}
		}
		if want := "0 bytes, retained true; 53 bytes, retained false; "; published != want {
			t.Errorf("published %s, want %s", published, want)
		}
	})
}

func TestStateOfRelay(t *testing.T) {
	open := "false"
	say := func(_, item string) string {
		if item == itemRelayOpen {
			return open
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,voltage_a,1h\nmain,"+itemRelayOpen+",10s\n", 0, say, func(p *post) {
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

func TestAvailability(t *testing.T) {
	silent := false
	say := func(address, _ string) string {
		if silent && address == "000000000001" {
			return ""
		}
		return "1.0"
	}
	// Without points a meter is asked once all the same; dead never answers.
	poll(t, "meter,item,interval\nmain,voltage_a,10s\n", 0, say, func(p *post) {
		ctx, stop := context.WithCancel(p.t.Context())
		defer stop()
		go p.loop(ctx)
		time.Sleep(5 * time.Second)
		seen := map[string][]string{}
		collect := func() {
			synctest.Wait()
			for len(p.told) > 0 {
				m := <-p.told
				if meter, ok := strings.CutSuffix(strings.TrimPrefix(m.topic, "test/meter/"), "/availability"); ok {
					seen[meter] = append(seen[meter], string(m.payload))
					if !m.retain {
						t.Errorf("the availability of %s is not retained", meter)
					}
				} else if strings.HasSuffix(m.topic, "/event") {
					seen["events"] = append(seen["events"], string(m.payload))
				}
			}
		}
		collect()
		for meter, want := range map[string]string{"main": "[online]", "only": "[online]", "dead": "[offline]", "events": "[]"} {
			if got := fmt.Sprint(seen[meter]); got != want {
				t.Errorf("%s: %s, want %s", meter, got, want)
			}
		}
		clear(seen)
		p.meters(func() { silent = true })
		time.Sleep(20 * time.Second)
		collect()
		if got := fmt.Sprint(seen["main"]); got != "[offline]" || len(seen["events"]) != 1 || !strings.Contains(seen["events"][0], `"event_type":"offline"`) ||
			!strings.Contains(seen["events"][0], `"reason":"timeout"`) {
			t.Errorf("silent: %v", seen)
		}
		clear(seen)
		p.meters(func() { silent = false })
		time.Sleep(2 * time.Minute)
		collect()
		if got := fmt.Sprint(seen["main"]); got != "[online]" || len(seen["events"]) != 1 || !strings.Contains(seen["events"][0], `"event_type":"online"`) {
			t.Errorf("back again: %v", seen)
		}
		stop()
	})
}

// TestAvailabilityWithoutAPort reads while the port is missing. The read does not wait for it, but its
// meter goes offline only once that has lasted for a minute.
func TestAvailabilityWithoutAPort(t *testing.T) {
	poll(t, "meter,item,interval\nmain,voltage_a,12h\n", 0, always("220.1"), func(p *post) {
		ctx, stop := context.WithCancel(p.t.Context())
		defer stop()
		go p.loop(ctx)
		time.Sleep(time.Hour)
		for _, row := range []struct {
			missing time.Duration
			want    string
		}{
			{portPatience / 4, "[]"},
			{portPatience + 10*time.Second, "[offline bus_down online]"},
		} {
			p.meters(func() { p.cage.down = true })
			if reply := p.read(`{"items":["voltage_b"],"ttl_ms":1000}`); !strings.Contains(fmt.Sprint(reply["errors"]), string(CodeBusDown)) {
				t.Errorf("reply %v", reply)
			}
			time.Sleep(row.missing)
			p.meters(func() { p.cage.down = false })
			time.Sleep(2 * time.Minute)
			if got := fmt.Sprint(p.events("main", "reason")); got != row.want {
				t.Errorf("the port was missing for %v: events %s, want %s", row.missing, got, row.want)
			}
		}
	})
}

// TestReturnIsReadAtOnce does not wait for the next round of a meter that is back.
func TestReturnIsReadAtOnce(t *testing.T) {
	silent, asked := false, 0
	say := func(address, item string) string {
		if silent && address == "000000000001" {
			return ""
		}
		if item == "voltage_b" {
			asked++
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,voltage_a,12h\nmain,voltage_b,12h\n", 0, say, func(p *post) {
		ctx, stop := context.WithCancel(p.t.Context())
		defer stop()
		go p.loop(ctx)
		time.Sleep(time.Hour)
		p.meters(func() { silent = true })
		for range 2 {
			p.read("voltage_a")
		}
		if got := p.events("main", "reason"); fmt.Sprint(got) != "[offline timeout]" {
			t.Errorf("events %q", got)
		}
		p.meters(func() { silent, asked = false, 0 })
		time.Sleep(2 * time.Minute)
		p.meters(func() {
			if asked != 1 {
				t.Errorf("asked %d times after its return, want once", asked)
			}
		})
	})
}

func TestLimits(t *testing.T) {
	voltage := "220.0"
	poll(t, "meter,item,interval,min,max\nmain,voltage_a,10s,207.0,253.0\n", 0, func(_, item string) string {
		if item == "voltage_a" {
			return voltage
		}
		return "refused"
	}, func(p *post) {
		time.Sleep(time.Second)
		for _, row := range []struct{ value, want string }{
			{"220.0", "[]"},
			{"253.0", "[]"},
			{"253.1", "[limit_passed 253.1 max 253.0]"},
			{"260.0", "[]"},
			{"252.9", "[limit_cleared 252.9 max 253.0]"},
			{"206.9", "[limit_passed 206.9 min 207.0]"},
			{"253.1", "[limit_cleared 253.1 min 207.0 limit_passed 253.1 max 253.0]"},
			{"noise", "[]"},
			{"207.0", "[limit_cleared 207.0 max 253.0]"},
		} {
			p.meters(func() { voltage = row.value })
			time.Sleep(10 * time.Second)
			if got := fmt.Sprint(p.events("main", "value", "limit", "bound")); got != row.want {
				t.Errorf("%s: events %s, want %s", row.value, got, row.want)
			}
		}
	})
}

// TestImplausibleEnergy withholds a register that falls, shows the frame, and takes it once it
// stays.
func TestImplausibleEnergy(t *testing.T) {
	energy := "100.00"
	poll(t, "meter,item,interval\nmain,energy,10s\n", 0, func(_, item string) string {
		if item == "energy" {
			return energy
		}
		return "refused"
	}, func(p *post) {
		time.Sleep(time.Second)
		p.heard("")
		for _, row := range []struct{ value, events, state string }{
			{"100.01", "[]", `[{"energy":100.01]`},
			{"0.00", "[implausible_value 0.00 100.01]", "[]"},
			{"0.00", "[implausible_value 0.00 100.01]", "[]"},
			{"0.01", "[meter_reset 0.01 100.01]", `[{"energy":0.01]`},
			{"0.02", "[]", `[{"energy":0.02]`},
		} {
			p.meters(func() { energy = row.value })
			time.Sleep(10 * time.Second)
			synctest.Wait()
			var states, events []string
			for len(p.told) > 0 {
				m := <-p.told
				text := string(m.payload)
				switch m.topic {
				case "test/meter/main/state":
					text, _, _ = strings.Cut(text, `,"time"`)
					states = append(states, text)
				case "test/meter/main/event":
					var e struct {
						Type  string `json:"event_type"`
						Value json.RawMessage
						Last  json.RawMessage
						Frame string
					}
					if err := json.Unmarshal(m.payload, &e); err != nil {
						t.Fatal(err)
					}
					events = append(events, fmt.Sprintf("%s %s %s", e.Type, e.Value, e.Last))
					if want := fmt.Sprintf("%X", "=000000000001 energy "+row.value+"\n"); e.Frame != want {
						t.Errorf("%s: frame %s, want %s", row.value, e.Frame, want)
					}
				}
			}
			if fmt.Sprint(events) != row.events || fmt.Sprint(states) != row.state {
				t.Errorf("%s: events %s, want %s; states %s, want %s", row.value, events, row.events, states, row.state)
			}
		}
	})
}

// TestLackingItems leaves out what a meter does not have, for a day.
func TestLackingItems(t *testing.T) {
	asked := 0
	poll(t, "meter,item,interval\nmain,voltage_a,1m\nmain,lacking,1m\n", 0, func(_, item string) string {
		if item == "lacking" {
			asked++
			return "lacking"
		}
		return "1.0"
	}, func(p *post) {
		time.Sleep(12 * time.Hour)
		p.meters(func() {
			if asked != refusalsOfItem {
				t.Errorf("asked %d times in twelve hours, want %d", asked, refusalsOfItem)
			}
		})
		time.Sleep(13 * time.Hour)
		p.meters(func() {
			if asked < refusalsOfItem+1 || asked > 2*refusalsOfItem {
				t.Errorf("asked %d times in 25 hours", asked)
			}
		})
	})
}

// TestInspection reads along what tells of power failures and of the clock.
func TestInspection(t *testing.T) {
	failures, energy := "3", "10.00"
	poll(t, "meter,item,interval\nmain,energy,1m\n", 0, func(_, item string) string {
		switch item {
		case itemPowerFailures:
			return failures
		case itemMaximum:
			return "\"5(60)A\""
		case itemVoltage:
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

func TestClockDrift(t *testing.T) {
	s := newStage(t, nil)
	w := s.poller.watches["main"]
	for _, row := range []struct {
		ahead time.Duration
		want  string
	}{
		{time.Second, ""}, {-61 * time.Second, "clock_drift"}, {-2 * time.Hour, ""}, {59 * time.Second, "clock_right"}, {0, ""},
	} {
		w.mu.Lock()
		s.judgeClock(w, row.ahead, time.Now())
		w.mu.Unlock()
		s.outbox.drain(time.Second)
		got := ""
		for len(s.told) > 0 {
			var e struct {
				Type string `json:"event_type"`
			}
			m := <-s.told
			if strings.HasSuffix(m.topic, "/event") {
				if err := json.Unmarshal(m.payload, &e); err != nil {
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

// TestTableChange goes over to another table while polling by the first.
func TestTableChange(t *testing.T) {
	asked := map[string]int{}
	poll(t, "meter,item,interval\nmain,voltage_a,10s\n000000000007,voltage_a,10s\n", 0, func(address, item string) string {
		asked[address+" "+item]++
		return "1.0"
	}, func(p *post) {
		time.Sleep(time.Minute)
		p.meters(func() {
			if asked["000000000007 voltage_a"] < 6 || asked["000000000001 voltage_a"] < 6 {
				t.Errorf("asked %v", asked)
			}
		})
		if got := p.heard("000000000007/availability"); len(got) != 1 || got[0] != "online" {
			t.Errorf("availability of the meter without a name: %q", got)
		}
		p.meters(func() { clear(asked) })
		table, err := points.Parse([]byte("meter,item,interval\nmain,current_a,10s\n"), Site(p.config.Meters, parrot{}))
		if err != nil {
			t.Fatal(err)
		}
		p.setTable(table)
		time.Sleep(time.Minute)
		p.meters(func() {
			if asked["000000000007 voltage_a"] > 0 || asked["000000000001 voltage_a"] > 0 || asked["000000000001 current_a"] < 6 {
				t.Errorf("asked %v", asked)
			}
		})
		synctest.Wait()
		last := map[string]string{}
		for len(p.told) > 0 {
			m := <-p.told
			last[m.topic] = string(m.payload)
			if len(m.payload) == 0 && !m.retain {
				t.Errorf("%s is not taken back", m.topic)
			}
		}
		if got := last["test/meter/main/state"]; !strings.HasPrefix(got, `{"current_a":1.0,"time"`) {
			t.Errorf("the state is %s", got)
		}
		for _, topic := range []string{"state", "availability"} {
			if got, ok := last["test/meter/000000000007/"+topic]; !ok || got != "" {
				t.Errorf("%s of the meter that is not polled any more: %q, want it empty", topic, got)
			}
		}
	})
}

// TestTableChangeDuringARound adds an item to a round that is under way. It is read when that is
// over, not when the next one is due.
func TestTableChangeDuringARound(t *testing.T) {
	asked := map[string]int{}
	poll(t, "meter,item,interval\nmain,voltage_a,24h\nmain,voltage_b,24h\n", 10*time.Second, func(_, item string) string {
		asked[item]++
		return "1.0"
	}, func(p *post) {
		time.Sleep(5 * time.Second)
		table, err := points.Parse([]byte("meter,item,interval\nmain,voltage_a,24h\nmain,current_a,24h\n"), Site(p.config.Meters, parrot{}))
		if err != nil {
			t.Fatal(err)
		}
		p.setTable(table)
		time.Sleep(5 * time.Minute)
		p.meters(func() {
			if asked["current_a"] != 1 || asked["voltage_a"] != 2 {
				t.Errorf("asked %v", asked)
			}
		})
		if missed := p.poller.missedSoFar(); missed != 0 {
			t.Errorf("%d rounds were missed", missed)
		}
	})
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
