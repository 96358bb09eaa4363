package bridge

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/meters"
)

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
			if asked != meters.RefusalsOfItem {
				t.Errorf("asked %d times in twelve hours, want %d", asked, meters.RefusalsOfItem)
			}
		})
		time.Sleep(13 * time.Hour)
		p.meters(func() {
			if asked < meters.RefusalsOfItem+1 || asked > 2*meters.RefusalsOfItem {
				t.Errorf("asked %d times in 25 hours", asked)
			}
		})
	})
}

// TestMeterThatLacksAll is read for its points: it says itself that it has none of them.
func TestMeterThatLacksAll(t *testing.T) {
	poll(t, "meter,item,interval\nmain,lacking,1m\n", 0, always("lacking"), func(p *post) {
		time.Sleep(time.Hour)
		if reply := p.read(""); reply["error"] != nil || !strings.Contains(fmt.Sprint(reply["errors"]), "no_such_data") {
			t.Errorf("reply %v", reply)
		}
	})
}

// muteTo returns what a meter says that is silent to one item and answers all others, and how often
// it was asked for each.
func muteTo(mute string) (asked map[string]int, say func(address, item string) string) {
	asked = map[string]int{}
	return asked, func(_, item string) string {
		asked[item]++
		if item == mute {
			return ""
		}
		return "1.0"
	}
}

// TestMuteItem has a meter that is silent to one of its points, in the first place of the table and
// in the last: it counts as online, the others are read each minute, and that one is left alone.
func TestMuteItem(t *testing.T) {
	for _, table := range []string{"mute,a,b", "a,b,mute", "a,mute,b"} {
		t.Run(table, func(t *testing.T) {
			asked, say := muteTo("mute")
			rows := "meter,item,interval\n"
			for item := range strings.SplitSeq(table, ",") {
				rows += "main," + item + ",1m\n"
			}
			poll(t, rows, time.Millisecond, say, func(p *post) {
				time.Sleep(10 * time.Minute)
				p.heard("main/availability")
				p.meters(func() {
					if asked["a"] < 8 || asked["b"] < 8 || asked["mute"] < 2*meters.SilencesOfItem || asked["mute"] > 5*meters.SilencesOfItem {
						t.Errorf("asked in ten minutes: %v", asked)
					}
					clear(asked)
				})
				time.Sleep(40 * time.Minute)
				synctest.Wait()
				p.meters(func() {
					if asked["a"] != 40 || asked["b"] != 40 || asked["mute"] != 0 {
						t.Errorf("asked in the next forty: %v", asked)
					}
					clear(asked)
				})
				time.Sleep(20 * time.Hour)
				if heard := p.heard("main/availability"); len(heard) > 0 {
					t.Errorf("availability went on to %v", heard)
				}
				p.meters(func() {
					if asked["mute"] < 2*19 || asked["mute"] > 4*20 {
						t.Errorf("asked in the next twenty hours: %v", asked)
					}
				})
			})
		})
	}
}

// TestMuteBlock has a meter that is silent to a block: what is in it is read singly.
func TestMuteBlock(t *testing.T) {
	asked, say := muteTo("pair")
	poll(t, "meter,item,interval\nmain,left,1m\nmain,right,1m\nmain,a,1m\n", time.Millisecond, say, func(p *post) {
		time.Sleep(10 * time.Minute)
		p.meters(func() {
			if asked["pair"] < 2*meters.SilencesOfItem || asked["a"] < 6 {
				t.Errorf("asked in ten minutes: %v", asked)
			}
			clear(asked)
		})
		time.Sleep(12 * time.Hour)
		synctest.Wait()
		p.meters(func() {
			if asked["pair"] != 0 || asked["left"] != 720 || asked["right"] != 720 || asked["a"] != 720 {
				t.Errorf("asked in the next twelve hours: %v", asked)
			}
		})
	})
}

// TestMuteBlockOfRequests has a meter that is silent to a block of which nothing is polled: whoever
// reads its members is not kept waiting for the block each time.
func TestMuteBlockOfRequests(t *testing.T) {
	asked, say := muteTo("pair")
	poll(t, "meter,item,interval\nmain,a,10s\n", time.Millisecond, say, func(p *post) {
		for range meters.SilencesOfItem {
			p.read("left,right")
			time.Sleep(11 * time.Second)
		}
		p.meters(func() { clear(asked) })
		reply := p.read("left,right")
		p.meters(func() {
			if reply["ok"] != true || asked["pair"] != 0 || asked["left"] != 1 || asked["right"] != 1 {
				t.Errorf("asked %v in the end, and replied %v", asked, reply)
			}
		})
	})
}

// TestMuteToItsPoints has a meter that is silent to all of its points, but not to all there is: it is there
// all the time.
func TestMuteToItsPoints(t *testing.T) {
	for _, table := range []string{"main,mute,1m\n", "main,mute,10s\nmain,mute_too,10s\n", "main,mute,1m\nmain,mute_too,1h\nmain,lacking,1m\n"} {
		say := func(_, item string) string {
			switch {
			case strings.HasPrefix(item, "mute"):
				return ""
			case item == "lacking":
				return "lacking"
			}
			return "1.0"
		}
		poll(t, "meter,item,interval\n"+table, time.Millisecond, say, func(p *post) {
			ctx, stop := context.WithCancel(p.t.Context())
			defer stop()
			go p.loop(ctx)
			for range 5 { // until it was asked for something that it knows
				time.Sleep(3 * time.Minute)
				p.events("main")
			}
			for range 10 { // in pieces: each message has its place in the stage
				time.Sleep(3 * time.Minute)
				if events := p.events("main"); len(events) > 0 {
					t.Errorf("%q: %d events: %q", table, len(events), events)
				}
			}
		})
	}
}

// TestExchangedForAMuteOne has another meter behind the address: it is silent to what the one before answered,
// in two rounds.
func TestExchangedForAMuteOne(t *testing.T) {
	exchanged, away := false, false
	say := func(address, item string) string {
		if address == "000000000001" && (away || exchanged && (item == "a" || item == "power_down_count")) {
			return ""
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,a,1m\nmain,b,1m\nmain,c,1m\n", time.Millisecond, say, func(p *post) {
		ctx, stop := context.WithCancel(p.t.Context())
		defer stop()
		go p.loop(ctx)
		time.Sleep(10 * time.Minute)
		p.meters(func() { away = true })
		time.Sleep(10 * time.Minute)
		p.meters(func() { away, exchanged = false, true })
		time.Sleep(time.Hour)
		events := p.events("main")
		if last := len(events) - 1; last < 0 || events[last] != "online" {
			t.Errorf("events %q", events)
		}
		time.Sleep(30 * time.Minute)
		if events := p.events("main"); len(events) > 0 {
			t.Errorf("an hour and a half after its return: %d events: %q", len(events), events)
		}
	})
}

// TestReadOfPointsLeavesOutWhatTheMeterLacks reads the points of a meter before they were ever polled: what it
// does not have is no error, unless it has none of them, or is asked for by name.
func TestReadOfPointsLeavesOutWhatTheMeterLacks(t *testing.T) {
	say := func(_, item string) string {
		if item == "voltage_a" {
			return "220.1"
		}
		return "lacking"
	}
	for _, row := range []struct{ table, body, values, errors string }{
		{"main,voltage_a\nmain,voltage_b\n", "", "voltage_a", ""},
		{"main,voltage_b\n", "", "", "voltage_b"},
		{"main,voltage_a\nmain,voltage_b\n", "voltage_a,voltage_b", "voltage_a", "voltage_b"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, func(c *Config) { c.Points = parseTable(t, c, "meter,item\n"+row.table) })
			s.cage.say = say
			s.receive(message{topic: "test/request/read/main", payload: []byte(row.body), received: time.Now()})
			r := decoded(t, (<-s.sent).Payload)
			names := func(key string) string {
				return strings.Join(slices.Sorted(maps.Keys(r[key].(map[string]any))), " ")
			}
			if names("values") != row.values || names("errors") != row.errors || r["ok"] != (row.errors == "") {
				t.Errorf("%q of %q: %v", row.body, row.table, r)
			}
		})
	}
}
