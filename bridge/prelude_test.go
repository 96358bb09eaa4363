package bridge

import (
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// A careful parrot asks four times whether another is there before it takes another address, and nobody answers.
// Its clock is right.
type careful struct{ parrot }

func (p careful) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	if request.Verb == protocol.VerbMaintenance {
		return p.look(request, 4), nil
	}
	if request.Address.IsZero() { // a broadcast
		request.Address = parrotAt("000000000000")
	}
	if request.Verb != protocol.VerbClock {
		return p.parrot.Plan(request, known)
	}
	request.Verb, request.Items = protocol.VerbRead, []string{"clock"}
	plan, err := p.parrot.Plan(request, known)
	take := plan.Steps[0].First.Take
	plan.Steps[0].First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
		next, result, err := take(answer)
		result.Clock = time.Now()
		return next, result, err
	}
	return plan, err
}

func (p careful) look(request protocol.Request, times int) protocol.Plan {
	if times == 0 {
		return p.command(request.Address.Text, request.Command)
	}
	plan := protocol.Plan{Address: request.Address, Permission: protocol.PermitMaintenance, Steps: []protocol.Step{p.step("900000000000", "look")}, Prelude: true}
	plan.Steps[0].Repeatable = false
	plan.Then = func([]protocol.Answer) (protocol.Plan, error) { return p.look(request, times-1), nil }
	return plan
}

// TestWhatIsLookedAtFirstTakesItsTime gives commands that ask before they act, on a line where questions without
// an answer take longer, all together, than a command waits that does not say how long.
func TestWhatIsLookedAtFirstTakesItsTime(t *testing.T) {
	for _, test := range []struct {
		name, topic, body, want string
	}{
		{"a new address", "maintenance/main", `{"action":"set_address"}`, resultAcknowledged},
		{"a new address, with little time", "maintenance/main", `{"action":"set_address","ttl_ms":10000}`, string(CodeExpired)},
		{"the time for all", "broadcast", `{"action":"time"}`, resultAcknowledged},
		{"the time for all, with little time", "broadcast", `{"action":"time","ttl_ms":10000}`, string(CodeExpired)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cage := newCage()
				s := newStageOn(t, cage, bus.Config{Settings: bus.Settings{Baud: 9600, Timeout: 4 * time.Second}, Open: cage.open}, func(c *Config) {
					c.Allow["maintenance"], c.Allow["broadcast"], c.Allow["relay"] = true, true, true
					c.Protocol = careful{}
					c.Meters = []meters.Meter{{Name: "main", Address: parrotAt("000000000001"), Protocol: careful{}}}
					for _, dead := range []string{"900000000001", "900000000002", "900000000003", "900000000004"} {
						c.Meters = append(c.Meters, meters.Meter{Name: dead, Address: parrotAt(dead), Protocol: careful{}})
					}
				})
				s.ask(t, message{topic: "test/request/read/main", payload: []byte("voltage_a")}) // the line has been listened to
				begin := time.Now()
				_, reply := s.ask(t, message{topic: "test/request/" + test.topic, payload: []byte(test.body)})
				got := codeOf(reply)
				if result, ok := reply["result"].(string); ok {
					got = result
				}
				if got != test.want {
					t.Errorf("%s after %s, want %s: %v", got, time.Since(begin), test.want, reply)
				}
				if took := time.Since(begin); took <= commandTTL {
					t.Errorf("it took %s, which tells nothing", took)
				}
			})
		})
	}
}
