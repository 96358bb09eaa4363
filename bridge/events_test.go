package bridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/meters"
)

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
				text := string(m.Payload)
				switch m.Topic {
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
					if err := json.Unmarshal(m.Payload, &e); err != nil {
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

// TestFailedCommandIsAnEvent shows a command that failed to those who do not see its reply, such as people
// at a switch that stays as it was. A repeat of it is no news, and neither is a fault of the sender.
func TestFailedCommandIsAnEvent(t *testing.T) {
	for _, row := range []struct{ topic, payload, want string }{
		{"relay/main", "trip", "[]"},
		{"relay/main", "close", "[command_refused relay close refused <nil> [not_authorised]]"},
		{"relay/000000000001", "close", "[command_refused relay close refused <nil> [not_authorised]]"},
		{"relay/main", "alarm", "[command_unknown relay alarm unknown <nil> <nil>]"},
		{"relay/main", `{"action":"trip","expires":"1999-01-01T00:00:00Z"}`, "[command_refused relay trip <nil> expired <nil>]"},
		{"raw", "3030303030303030303030312063 6F6D6D616E640A", "[]"},
		{"relay/main", "no such action", "[]"},
		{"maintenance/main", "sync_clock", "[]"}, // not allowed
		{"relay/000000000009", "close", "[]"},    // nobody looks after it
	} {
		t.Run(row.topic+" "+row.payload, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, switching)
				for range 2 {
					s.ask(t, message{topic: "test/request/" + row.topic, payload: []byte(row.payload), correlation: []byte("correlation")})
				}
				synctest.Wait()
				var events []string
				for len(s.told) > 0 {
					m := <-s.told
					if m.Topic != "test/meter/main/event" {
						continue
					}
					e := decoded(t, m.Payload)
					if e["event_type"] == "offline" { // it is, after enough of this
						continue
					}
					events = append(events, fmt.Sprint(e["event_type"], " ", e["verb"], " ", e["action"], " ", e["result"], " ", e["code"], " ", e["reasons"]))
					if message, _ := e["message"].(string); len(message) < 10 {
						t.Errorf("the event %s has no message for people", m.Payload)
					}
				}
				if got := "[" + strings.Join(events, " ") + "]"; got != row.want {
					t.Errorf("events %s, want %s", got, row.want)
				}
			})
		})
	}
}

// TestUnsentCommandsFloodNoEvents: what costs the bus nothing may come in any number.
func TestUnsentCommandsFloodNoEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, switching)
		for range 3 {
			for range 100 {
				s.ask(t, message{topic: "test/request/relay/main", payload: []byte(`{"action":"trip","expires":"1999-01-01T00:00:00Z"}`)})
			}
			time.Sleep(meters.RefusalsInterval)
		}
		synctest.Wait()
		got := 0
		for len(s.told) > 0 {
			if m := <-s.told; m.Topic == "test/meter/main/event" {
				got++
			}
		}
		if got != 3 {
			t.Errorf("%d events in 3 s, want 3", got)
		}
	})
}
