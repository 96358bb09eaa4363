package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/meters"
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
	pollAs(t, func(*Config) {}, table, delay, say, test)
}

// pollAs does so with a bridge that is configured otherwise.
func pollAs(t *testing.T, change func(*Config), table string, delay time.Duration, say func(address, item string) string, test func(p *post)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &post{t: t}
		p.stage = newStage(t, func(c *Config) {
			c.Points = parseTable(t, c, table)
			change(c)
		})
		p.cage.say, p.cage.delay = say, delay
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { p.keeper.Poll(ctx); close(done) }()
		test(p)
		cancel()
		<-done
	})
}

// read asks for an item of main and returns the reply.
func (p *post) read(item string) map[string]any {
	p.t.Helper()
	p.receive(message{topic: "test/request/read/main", payload: []byte(item), received: time.Now()})
	sent := <-p.sent
	for sent.Topic != "test/reply/read/main" {
		sent = <-p.sent
	}
	return decoded(p.t, sent.Payload)
}

// sinceMidnight returns how far it is after midnight.
func sinceMidnight() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC))
}

// heard returns what was published on a topic about a meter since the last call, oldest first,
// and drops the rest.
func (p *post) heard(topic string) (payloads []string) {
	synctest.Wait()
	for {
		select {
		case m := <-p.told:
			if m.Topic == "test/meter/"+topic {
				payloads = append(payloads, string(m.Payload))
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
		missed := p.keeper.MissedPolls()
		rounds := 0
		p.meters(func() { rounds = asked / items })
		if rounds < 13 || rounds > 16 || missed < 40 || missed > 48 {
			t.Errorf("%d rounds and %d missed in a minute, want some 15 and 45", rounds, missed)
		}
	})
}

// TestRoundBeginsAgain has a meter miss its daily question: it is asked again soon, less and less
// often, and not once more when it has answered.
func TestRoundBeginsAgain(t *testing.T) {
	var asked []time.Duration
	deaf := true
	say := func(_, item string) string {
		if item != "daily" {
			return "1.0" // it is not offline
		}
		asked = append(asked, sinceMidnight())
		if deaf {
			return ""
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,often,5s\nmain,daily,24h\n", time.Millisecond, say, func(p *post) {
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		var pauses []time.Duration
		p.meters(func() {
			for i := 1; i < len(asked); i++ {
				if pause := asked[i] - asked[i-1]; pause > time.Second { // not its second try
					pauses = append(pauses, pause.Round(time.Second))
				}
			}
			asked, deaf = nil, false
		})
		want := []time.Duration{meters.FirstPause, 2 * meters.FirstPause, 4 * meters.FirstPause, 8 * meters.FirstPause, 16 * meters.FirstPause, meters.LongestPause, meters.LongestPause}
		if i := slices.Index(want, pauses[0]); i > 1 || !slices.Equal(pauses[:5], want[i:i+5]) || slices.Max(pauses) > meters.LongestPause {
			t.Errorf("asked after pauses of %v", pauses)
		}
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{20 * time.Minute, 1}, {20 * time.Hour, 0}, {4 * time.Hour, 1}} {
			time.Sleep(step.wait)
			synctest.Wait()
			p.meters(func() {
				if len(asked) != step.want {
					t.Errorf("asked %d times in the %v until %v, want %d", len(asked), step.wait, sinceMidnight(), step.want)
				}
				asked = nil
			})
		}
	})
}

// TestRoundWithAnUnreadableItem has a meter that answers one of its points with what cannot be read: nothing
// is gained by asking for all of them again.
func TestRoundWithAnUnreadableItem(t *testing.T) {
	asked := map[string]int{}
	say := func(_, item string) string {
		asked[item]++
		if item == "odd" {
			return "nonsense"
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,a,24h\nmain,odd,24h\nmain,b,24h\n", time.Millisecond, say, func(p *post) {
		time.Sleep(20 * time.Hour)
		p.meters(func() {
			if asked["a"] != 1 || asked["b"] != 1 || asked["odd"] < 1 || asked["odd"] > 2 {
				t.Errorf("asked in twenty hours: %v", asked)
			}
		})
	})
}

// TestPollIsBackground lets a read go before the rounds that wait.
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
		p.keeper.SetTable(parseTable(t, &p.config, "meter,item,interval\nmain,current_a,10s\n"))
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
			last[m.Topic] = string(m.Payload)
			if len(m.Payload) == 0 && !m.Kind.Retained() {
				t.Errorf("%s is not taken back", m.Topic)
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
		p.keeper.SetTable(parseTable(t, &p.config, "meter,item,interval\nmain,voltage_a,24h\nmain,current_a,24h\n"))
		time.Sleep(5 * time.Minute)
		p.meters(func() {
			if asked["current_a"] != 1 || asked["voltage_a"] != 2 {
				t.Errorf("asked %v", asked)
			}
		})
		if missed := p.keeper.MissedPolls(); missed != 0 {
			t.Errorf("%d rounds were missed", missed)
		}
	})
}

// TestNothingIsReadBeforeTheTableIsKnown has the broker bring the point table of an earlier run: late, not
// at all, or never a broker. Nothing of the file's table is read before that is known.
func TestNothingIsReadBeforeTheTableIsKnown(t *testing.T) {
	const file, kept = "meter,item\nmain,voltage_a\ndead,voltage_a\n", "meter,item\nmain,current_a\n"
	for _, row := range []struct {
		name  string
		allow bool
		come  func(p *post)
		after time.Duration // when the first question is asked
		asked string
	}{
		{"kept", true, func(p *post) {
			first := newStage(p.t, func(c *Config) { configurable(c); c.Points = p.config.Points })
			_, message := first.configure(p.t, kept)
			p.restore([]byte(*message))
		}, 4 * time.Second, "current_a"},
		{"another one is sent", true, func(p *post) { p.configure(p.t, kept) }, 4 * time.Second, "current_a"},
		{"spoilt", true, func(p *post) { p.restore([]byte("{}")) }, 4 * time.Second, "voltage_a"},
		{"none, or it is not told", true, func(p *post) { p.keeper.Begin() }, 4 * time.Second, "voltage_a"},
		{"no broker", true, func(*post) {}, meters.TablePatience - time.Second, "voltage_a"},
		{"not allowed", false, func(*post) {}, 0, "voltage_a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &post{t: t}
				p.stage = newStage(t, func(c *Config) {
					if row.allow {
						configurable(c)
					}
					c.Points = parseTable(t, c, file)
				})
				p.cage.say = always("1.00")
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan struct{})
				go func() { p.keeper.Poll(ctx); close(done) }()
				begin := time.Now()
				var asked time.Duration // to the second; the bus may hold a first request for part of one
				for said := ""; !strings.Contains(said, "voltage_a") && !strings.Contains(said, "current_a"); said = strings.Join(p.cage.said(), " ") {
					if time.Since(begin) == 4*time.Second {
						row.come(p)
					}
					time.Sleep(time.Second)
					synctest.Wait()
					asked = time.Since(begin) - time.Second
				}
				if said := strings.Join(p.cage.said(), " "); asked < row.after || asked > row.after+time.Second || !strings.Contains(said, row.asked) || row.asked == "current_a" && strings.Contains(said, "voltage_a") {
					t.Errorf("asked after %s: %q", asked, said)
				}
				cancel()
				<-done
			})
		})
	}
}
