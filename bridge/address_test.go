package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// A filled parrot has addresses of its own kind: an A above digits fills up a short address and belongs
// to it. Only A alone is a wildcard. What it is asked for its clock brings one, ten minutes ahead.
type filled struct{ parrot }

func (p filled) ParseAddress(text string) (protocol.Address, error) {
	address, err := p.parrot.ParseAddress(text)
	address.Shared = text == "AAAAAAAAAAAA"
	return address, err
}

// filledAt is the address of one filled parrot.
func filledAt(text string) protocol.Address { return protocol.Address{MeterKey: parrotKey(text)} }

func (p filled) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	if request.Verb == protocol.VerbClock {
		request.Verb, request.Items = protocol.VerbRead, []string{"clock"}
	}
	address := request.Address
	if address.IsZero() {
		address = filledAt("000000000000")
	}
	request.Address = parrotAt(strings.ReplaceAll(address.Text, "A", "0")) // as the meters of these tests know it
	plan, err := p.parrot.Plan(request, known)
	plan.Address = address
	for i := range plan.Steps {
		step := &plan.Steps[i]
		step.Meter = address.MeterKey
		take := step.First.Take
		step.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
			next, result, err := take(answer)
			result.Address = filledAt("AAAAAAAAAA12")
			if step.Items[0] == "clock" {
				result.Clock = time.Now().Add(10 * time.Minute)
			}
			return next, result, err
		}
	}
	return plan, err
}

// TestTheProtocolSaysWhatAWildcardIs looks after meters whose address has an A in it, one of them found
// as the only one on the wire.
func TestTheProtocolSaysWhatAWildcardIs(t *testing.T) {
	for _, name := range []string{"short", "only"} {
		s := newStage(t, func(c *Config) {
			c.Allow["relay"], c.Allow["broadcast"] = true, true
			c.Protocol = filled{}
			c.Meters = []meters.Meter{{Name: "short", Address: filledAt("AAAAAAAAAA12"), Protocol: filled{}}}
			if name == "only" {
				c.Meters = []meters.Meter{{Name: "only", Address: parrotAt("AAAAAAAAAAAA"), Protocol: filled{}}}
			}
		})
		w := s.directory.Named(name)
		s.ask(t, message{topic: "test/request/read/" + name, payload: []byte("voltage_a")})
		if got := w.Current().Text; got != "AAAAAAAAAA12" {
			t.Errorf("%s: after it has answered the meter is asked as %s", name, got)
		}
		s.ask(t, message{topic: "test/request/read/" + name, payload: []byte("voltage_a")})
		_, reply := s.ask(t, message{topic: "test/request/read/" + name, payload: []byte(`{"items":["voltage_a"],"max_age_ms":60000}`)})
		if n := len(s.cage.said()); n != 2 || reply["ok"] != true {
			t.Errorf("%s: %d exchanges for two reads and one that an earlier value will do for: %v", name, n, reply)
		}
		if _, reply := s.ask(t, message{topic: "test/request/relay/" + name, payload: []byte("trip")}); reply["result"] != "verified" {
			t.Errorf("%s: command: %v", name, reply)
		}
		before := len(s.cage.said())
		s.ask(t, message{topic: "test/request/read/" + name, payload: []byte(`{"items":["voltage_a"],"max_age_ms":60000}`)})
		if n := len(s.cage.said()); n != before+1 {
			t.Errorf("%s: a value of before a command is taken", name)
		}
		if _, reply := s.ask(t, message{topic: "test/request/broadcast", payload: []byte("time")}); codeOf(reply) != string(CodeRefused) {
			t.Errorf("%s: broadcast of the time beside a meter whose clock is ten minutes off: %v", name, reply)
		}
		if err := s.keeper.Inspect(name); err != nil {
			t.Errorf("%s: its clock is not read: %v", name, err)
		}
		if !strings.Contains(s.events(), "clock_drift") {
			t.Errorf("%s: nobody says that its clock is off", name)
		}
	}
}

// TestABroadcastOfTheTimeIsNotBlind looks at a clock that cannot be told in one way or another.
func TestABroadcastOfTheTimeIsNotBlind(t *testing.T) {
	for _, test := range []struct{ only, clock, want string }{
		{"", "nonsense", "refused"},
		{"", "lacking", "refused"},
		{"", "refused", "refused"},
		{"", "", "acknowledged"},    // a meter that has never answered does not count
		{"only", "", "refused"},     // it has just answered when it was asked who it is
		{"only", "dead", "unknown"}, // it was sent
		{"only", "nonsense", "refused"},
	} {
		s := newStage(t, func(c *Config) {
			c.Allow["broadcast"], c.Allow["relay"] = true, true
			c.Protocol = filled{}
			c.Meters = []meters.Meter{{Name: "short", Address: filledAt("AAAAAAAAAA12"), Protocol: filled{}}}
			if test.only != "" {
				c.Meters = []meters.Meter{{Name: "only", Address: parrotAt("AAAAAAAAAAAA"), Protocol: filled{}}}
			}
		})
		s.meters(func() {
			s.cage.say = func(_, item string) string {
				switch {
				case test.clock == "dead":
					return ""
				case item == "clock":
					return test.clock
				}
				return "1.00"
			}
		})
		_, reply := s.ask(t, message{topic: "test/request/broadcast", payload: []byte("time")})
		got := codeOf(reply)
		if reply["result"] != nil {
			got = fmt.Sprint(reply["result"])
		}
		if got != test.want {
			t.Errorf("%s: the clock says %q: %s, want %s: %v", test.only, test.clock, got, test.want, reply)
		}
	}
}
