package bridge

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/meters"
)

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
				if meter, ok := strings.CutSuffix(strings.TrimPrefix(m.Topic, "test/meter/"), "/availability"); ok {
					seen[meter] = append(seen[meter], string(m.Payload))
					if !m.Kind.Retained() {
						t.Errorf("the availability of %s is not retained", meter)
					}
				} else if strings.HasSuffix(m.Topic, "/event") {
					seen["events"] = append(seen["events"], string(m.Payload))
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

// TestFirstAnswerIsLogged counts the lines of the log about meters that have answered for the first time: one each,
// whether they were asked in vain before, and whether they fall silent later.
func TestFirstAnswerIsLogged(t *testing.T) {
	silent := true
	say := func(address, _ string) string {
		if silent && address == "000000000001" {
			return ""
		}
		return "1.0"
	}
	var log bytes.Buffer
	pollAs(t, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }, "meter,item,interval\nmain,voltage_a,10s\n", 0, say, func(p *post) {
		ctx, stop := context.WithCancel(p.t.Context())
		defer stop()
		go p.loop(ctx)
		for _, falls := range []bool{false, true, false} {
			time.Sleep(5 * time.Minute)
			p.meters(func() { silent = falls })
		}
		time.Sleep(5 * time.Minute)
		stop()
	})
	for meter, want := range map[string]int{"main": 1, "only": 1, "dead": 0} {
		if got := strings.Count(log.String(), `first time" meter=`+meter+" address=00000000000"); got != want {
			t.Errorf("%d lines about the first answer of %s, want %d:\n%s", got, meter, want, log.String())
		}
	}
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
			{meters.PortPatience / 4, "[]"},
			{meters.PortPatience + 10*time.Second, "[offline bus_down online]"},
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

// TestAvailabilityAfterAStartWithoutAPort has the port come minutes after the bridge. A meter is online
// when it has answered, not when the port is there.
func TestAvailabilityAfterAStartWithoutAPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.meters(func() { s.cage.down = true })
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { s.loop(ctx); close(ended) }()
		time.Sleep(3 * meters.PortPatience)
		s.meters(func() { s.cage.down = false })
		time.Sleep(3 * meters.PortPatience)
		stop()
		<-ended
		seen := map[string]string{}
		for len(s.told) > 0 {
			if m := <-s.told; strings.HasSuffix(m.Topic, "/availability") {
				seen[m.Topic] += string(m.Payload) + " "
			}
		}
		for meter, want := range map[string]string{"main": "offline online ", "dead": "offline "} {
			if got := seen["test/meter/"+meter+"/availability"]; got != want {
				t.Errorf("%s: %q, want %q", meter, got, want)
			}
		}
	})
}

// TestProbeThatTellsNothing has the port break each time that a meter without points is asked for the first
// time, at the start and after the port was missing. Nobody else would ask it again.
func TestProbeThatTellsNothing(t *testing.T) {
	breaks := 0
	var p *post
	say := func(address, _ string) string {
		if address == "000000000000" && breaks > 0 {
			breaks--
			p.cage.down = true
			time.AfterFunc(time.Second, func() { p.meters(func() { p.cage.down = false }) })
			return ""
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,voltage_a,12h\n", 0, say, func(started *post) {
		p = started
		p.meters(func() { breaks = 3 })
		ctx, stop := context.WithCancel(p.t.Context())
		defer stop()
		go p.loop(ctx)
		time.Sleep(2 * time.Minute)
		if got := fmt.Sprint(p.heard("only/availability")); got != "[online]" {
			t.Errorf("after the start: %s", got)
		}
		p.meters(func() { p.cage.down, breaks = true, 3 })
		time.Sleep(2 * meters.PortPatience)
		p.meters(func() { p.cage.down = false })
		time.Sleep(2 * time.Minute)
		if got := fmt.Sprint(p.heard("only/availability")); got != "[offline online]" {
			t.Errorf("after the port was missing: %s", got)
		}
	})
}
