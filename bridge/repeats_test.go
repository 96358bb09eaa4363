package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestRepeatedCommand sends one command in every way twice: it goes out once.
func TestRepeatedCommand(t *testing.T) {
	body := func(address, id string) []byte {
		return fmt.Appendf(nil, `{"id":%q,"frame":"%X"}`, id, address+" command\n")
	}
	const one, two = "000000000001", "000000000002"
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	raw := func(payload []byte, correlation string) map[string]any {
		_, reply := s.ask(t, message{topic: "test/request/raw", payload: payload, correlation: []byte(correlation)})
		return reply
	}
	first := raw(body(one, "a"), "")
	again := raw(body(one, "a"), "")
	if again["repeated"] != true || again["result"] != resultAcknowledged || again["time"] != first["time"] || first["repeated"] != nil {
		t.Errorf("first %v\nagain %v", first, again)
	}
	if reply := raw(body(two, "a"), ""); codeOf(reply) != string(CodeConflict) {
		t.Errorf("the id for another body: %v", reply)
	}
	raw(body(two, "b"), "")
	if reply := raw(body(one, "a"), ""); reply["repeated"] != true {
		t.Errorf("after a command to another meter: %v", reply)
	}
	raw(body(one, "c"), "")
	if reply := raw(body(one, "a"), ""); codeOf(reply) != string(CodeConflict) {
		t.Errorf("after another command to the meter: %v", reply)
	}
	hex := fmt.Appendf(nil, "%X", one+" command\n")
	raw(hex, "12345678")
	if reply := raw(hex, "12345678"); reply["repeated"] != true {
		t.Errorf("with correlation data: %v", reply)
	}
	raw(hex, "short") // no mark: each is a request of its own
	raw(hex, "short")
	if got := len(s.cage.said()); got != 6 {
		t.Errorf("%d frames on the wire, want 6: %q", got, s.cage.said())
	}
}

// A sleeper is a parrot that plans no commands at night.
type sleeper struct {
	parrot
	night *bool
}

func (p sleeper) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	if request.Command != nil && *p.night {
		return protocol.Plan{}, fmt.Errorf("%w: it is night", protocol.ErrUnsafe)
	}
	return p.parrot.Plan(request, known)
}

// TestRepeatThatCannotBePlannedAnyMore repeats a command when another one would be refused.
func TestRepeatThatCannotBePlannedAnyMore(t *testing.T) {
	night := false
	s := newStage(t, func(c *Config) {
		c.Allow["relay"] = true
		c.Meters[0].Protocol = sleeper{night: &night}
	})
	first := s.relay(t, `{"id":"a","action":"trip"}`)
	night = true
	if again := s.relay(t, `{"id":"a","action":"trip"}`); again["repeated"] != true || again["result"] != resultVerified || again["time"] != first["time"] {
		t.Errorf("first %v\nagain %v", first, again)
	}
	if reply := s.relay(t, `{"id":"a","action":"close"}`); codeOf(reply) != string(CodeConflict) {
		t.Errorf("the id for another action: %v", reply)
	}
	if reply := s.relay(t, `{"id":"b","action":"trip"}`); codeOf(reply) != string(CodeRefused) {
		t.Errorf("another command: %v", reply)
	}
}

// TestRepeatWhileInHand sends the same command again and again before the first is answered.
func TestRepeatWhileInHand(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	m := message{topic: "test/request/raw", payload: fmt.Appendf(nil, `{"id":"x","frame":"%X"}`, "900000000001 command\n"), received: time.Now()}
	for range 20 {
		s.receive(m)
	}
	repeated := 0
	for range 20 {
		var reply map[string]any
		if err := json.Unmarshal((<-s.sent).Payload, &reply); err != nil {
			t.Fatal(err)
		}
		if reply["result"] != resultUnknown {
			t.Errorf("reply %v", reply)
		}
		if reply["repeated"] == true {
			repeated++
		}
	}
	if said := s.cage.said(); len(said) != 1 || repeated != 19 {
		t.Errorf("%d repeats of %d frames on the wire", repeated, len(said))
	}
	s.admission.close()
	s.admission.inside.Wait() // every request is over
	<-s.audited
	if n := len(s.audited); n != 0 {
		t.Errorf("%d records too many of one command", n)
	}
}

func TestRepeatsForget(t *testing.T) {
	var p repeats
	now := time.Now()
	r := func(id string) *request {
		return &request{message: message{topic: "t"}, id: json.RawMessage(id), command: &command{}}
	}
	first := r(`"1"`)
	if repeat, _, err := p.enter(first, parrotKey("m"), now); repeat || err != nil {
		t.Fatal(repeat, err)
	}
	if repeat, _, _ := p.enter(r(`"1"`), parrotKey("m"), now.Add(2*repeatMemory)); !repeat {
		t.Error("a command in hand was forgotten")
	}
	p.finish(first.command.remembered, &answer{})
	if repeat, _, _ := p.enter(r(`"1"`), parrotKey("m"), now.Add(repeatMemory)); !repeat {
		t.Error("a command was forgotten too early")
	}
	if repeat, _, _ := p.enter(r(`"1"`), parrotKey("m"), now.Add(repeatMemory+time.Second)); repeat {
		t.Error("a command was remembered for too long")
	}
	for i := range repeatEntries {
		_, _, err := p.enter(r(fmt.Sprint(i)), parrotKey("m"), now.Add(repeatMemory+time.Second))
		if full := i == repeatEntries-1; (err != nil) != full {
			t.Fatalf("command %d: %v", i, err)
		}
	}
}

// TestRepeatAfterItsTime repeats a command whose own time is over: it gets the first answer,
// not one that says that nothing was sent.
func TestRepeatAfterItsTime(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	second := time.Second
	m := message{topic: "test/request/raw", payload: fmt.Appendf(nil, `{"id":"x","frame":"%X"}`, "000000000001 command\n"), expiry: &second}
	if _, reply := s.ask(t, m); reply["result"] != resultAcknowledged {
		t.Fatalf("reply %v", reply)
	}
	over := -time.Second
	m.expiry = &over
	if _, reply := s.ask(t, m); reply["result"] != resultAcknowledged || reply["repeated"] != true {
		t.Errorf("the repeat: %v", reply)
	}
	m.payload = bytes.Replace(m.payload, []byte(`"x"`), []byte(`"y"`), 1)
	if _, reply := s.ask(t, m); codeOf(reply) != string(CodeExpired) {
		t.Errorf("a new command whose time is over: %v", reply)
	}
}

// TestBusyCommandsLeaveNoTrace withdraws commands, in any order: a repeat of the one before is none
// the wiser. That of a command to which another one succeeded conflicts.
func TestBusyCommandsLeaveNoTrace(t *testing.T) {
	for _, order := range [][]int{{1, 2}, {2, 1}} {
		var p repeats
		now := time.Now()
		enter := func(id int) *request {
			r := &request{id: json.RawMessage(fmt.Sprintf("%q", fmt.Sprint(id))), command: &command{}}
			if repeat, _, err := p.enter(r, parrotKey("m"), now); repeat || err != nil {
				t.Fatal(repeat, err)
			}
			return r
		}
		commands := []*request{enter(0), enter(1), enter(2)}
		p.finish(commands[0].command.remembered, &answer{})
		for _, i := range order {
			if _, _, err := p.enter(&request{id: commands[0].id, command: &command{}}, parrotKey("m"), now); err == nil || problemOf(err).Code != CodeConflict {
				t.Errorf("withdrawn in the order %v: a repeat before %d is withdrawn: %v", order, i, err)
			}
			p.withdraw(commands[i].command.remembered)
		}
		if repeat, first, err := p.enter(&request{id: commands[0].id, command: &command{}}, parrotKey("m"), now); !repeat || first == nil || err != nil {
			t.Errorf("withdrawn in the order %v: repeat %t, answer %v, error %v", order, repeat, first, err)
		}
	}
}
