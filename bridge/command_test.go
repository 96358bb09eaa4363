package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// switching lets a stage switch relays, with a password.
func switching(c *Config) {
	c.Allow[verbRelay] = true
	c.Passwords = map[protocol.MeterKey]map[string]string{{}: {"02": "123456"}}
}

// relay asks for an action and returns the reply.
func (s *stage) relay(t *testing.T, payload string) map[string]any {
	t.Helper()
	_, reply := s.ask(t, message{topic: "test/request/relay/main", payload: []byte(payload)})
	return reply
}

func TestCommandIsReadBackAndAudited(t *testing.T) {
	s := newStage(t, switching)
	_, reply := s.ask(t, message{
		topic: "test/request/relay/main", payload: []byte(`{"id":"9","action":"trip","trace":true}`),
		userProperties: []userProperty{{"user", "anna"}},
	})
	if reply["ok"] != true || reply["result"] != resultVerified || reply["relay"] != "open" || reply["message"] != "done" || reply["meter"] != "main" {
		t.Errorf("reply %v", reply)
	}
	if got, want := s.cage.said(), []string{"000000000001 trip", "000000000001 state"}; !slices.Equal(got, want) {
		t.Errorf("on the wire %q, want %q", got, want)
	}
	var record struct {
		Topic, ID, Request, Meter, Address, Action, Result, Relay string
		Queued, Sent, Answered                                    string
		OK                                                        bool
		UserProperties                                            map[string]string `json:"user_properties"`
		Frames                                                    []tracedFrame
	}
	sent := <-s.audited
	if err := json.Unmarshal(sent.Payload, &record); err != nil || sent.Kind.Retained() {
		t.Fatalf("record %s: %v, retained %t", sent.Payload, err, sent.Kind.Retained())
	}
	if record.Topic != "test/request/relay/main" || record.ID != "9" || record.Request != "relay" || record.Meter != "main" || record.Address != "000000000001" ||
		record.Action != "trip" || record.Result != resultVerified || record.Relay != "open" || !record.OK || record.UserProperties["user"] != "anna" {
		t.Errorf("record %s", sent.Payload)
	}
	if record.Queued == "" || record.Sent < record.Queued || record.Answered < record.Sent || len(record.Frames) != 2 {
		t.Errorf("times or frames of record %s", sent.Payload)
	}
}

// TestResultForASmallBroker has a broker that takes small messages only. The reply to a command that was
// carried out tells it, for an error would say that nothing was sent.
func TestResultForASmallBroker(t *testing.T) {
	s := newStage(t, switching)
	s.outbox.Down()
	s.outbox.Up(t.Context(), func(_ context.Context, m mqtt.Outgoing) (bool, error) {
		switch {
		case len(m.Payload) > 400:
			return true, mqtt.ErrTooLarge
		case strings.HasPrefix(m.Topic, "test/reply/"):
			s.sent <- m
		}
		return false, nil
	})
	for _, repeated := range []any{nil, true} {
		reply := s.relay(t, `{"id":"`+strings.Repeat("1", 60)+`","action":"trip","trace":true}`)
		if message, _ := reply["message"].(string); reply["ok"] != true || reply["result"] != resultVerified || reply["relay"] != "open" || reply["error"] != nil ||
			reply["repeated"] != repeated || repeated == nil && !strings.Contains(message, "more than the broker takes") {
			t.Errorf("reply %v", reply)
		}
	}
	_, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["voltage_a","voltage_b"],"trace":true}`)})
	if codeOf(reply) != string(CodeInternal) {
		t.Errorf("reply %v", reply)
	}
}

func TestCommandThatIsNotAnswered(t *testing.T) {
	s := newStage(t, switching)
	reply := s.relay(t, "alarm")
	if message, _ := reply["message"].(string); reply["ok"] != false || reply["result"] != resultUnknown || !strings.Contains(message, "nobody knows") || reply["error"] != nil {
		t.Errorf("reply %v", reply)
	}
}

// TestPasswordIsHeldBack queues many commands with a password that the meter refuses. Two reach
// it, however many were waiting by then.
func TestPasswordIsHeldBack(t *testing.T) {
	s := newStage(t, switching)
	const many = 10
	for i := range many {
		s.receive(message{topic: "test/request/relay/main", payload: fmt.Appendf(nil, `{"id":"%d","action":"close"}`, i), received: time.Now()})
	}
	refused, held := 0, 0
	for range many {
		sent := <-s.sent
		var reply map[string]any
		if err := json.Unmarshal(sent.Payload, &reply); err != nil {
			t.Fatal(err)
		}
		text := string(sent.Payload)
		if !strings.Contains(text, "programming key") || strings.Contains(text, "123456") {
			t.Errorf("reply %s", text)
		}
		switch {
		case reply["result"] == resultRefused && fmt.Sprint(reply["reasons"]) == "[not_authorised]":
			refused++
		case codeOf(reply) == string(CodeRefused):
			held++
		}
	}
	if said := len(s.cage.said()); said != 2 || refused != 2 || held != many-2 {
		t.Errorf("%d on the wire, %d refused, %d held back", said, refused, held)
	}
	if reply := s.relay(t, "close"); codeOf(reply) != string(CodeRefused) {
		t.Errorf("the next one: %v", reply)
	}
	if reply := s.relay(t, `{"action":"close","retry_password":true}`); reply["result"] != resultRefused {
		t.Errorf("with retry_password: %v", reply)
	}
	if reply := s.relay(t, "trip"); reply["result"] != resultVerified {
		t.Errorf("a command that the meter takes: %v", reply)
	}
	for range 2 { // the success has cleared the count
		if reply := s.relay(t, "close"); reply["result"] != resultRefused {
			t.Errorf("after a success: %v", reply)
		}
	}
}

// A curfew is a parrot that lets no command begin after a time.
type curfew struct {
	parrot
	until *time.Time
}

func (p curfew) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	plan, err := p.parrot.Plan(request, known)
	plan.Until = *p.until
	return plan, err
}

// TestPlanBoundsItsBeginning gives a command more time than its plan has.
func TestPlanBoundsItsBeginning(t *testing.T) {
	until := time.Now().Add(time.Hour)
	s := newStage(t, func(c *Config) {
		switching(c)
		c.Meters[0].Protocol = curfew{until: &until}
	})
	const patient = `{"action":"keep_power","ttl_ms":7200000}`
	if reply := s.relay(t, patient); reply["result"] != resultAcknowledged {
		t.Errorf("in time: %v", reply)
	}
	until = time.Now().Add(-time.Second)
	if reply := s.relay(t, patient); codeOf(reply) != string(CodeExpired) {
		t.Errorf("too late: %v", reply)
	}
	until = time.Now().Add(time.Hour)
	if reply := s.relay(t, `{"action":"keep_power","expires":"2026-11-20T18:00:00+08:00"}`); codeOf(reply) != string(CodeExpired) {
		t.Errorf("after the time of the request: %v", reply)
	}
	if said := s.cage.said(); len(said) != 1 {
		t.Errorf("on the wire %q", said)
	}
}

// An eavesdropper is a parrot that keeps the passwords that commands are planned with.
type eavesdropper struct {
	parrot
	heard *map[string]string
}

func (e eavesdropper) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	if request.Command != nil {
		*e.heard = request.Command.Passwords
	}
	return e.parrot.Plan(request, known)
}

// TestPasswordsOfTheOnlyMeter gives passwords to the meter whose address is to be found out. They
// are its own also by the address that was found, and give way to those of that address.
func TestPasswordsOfTheOnlyMeter(t *testing.T) {
	var heard map[string]string
	s := newStage(t, func(c *Config) {
		switching(c)
		c.Protocol = eavesdropper{heard: &heard}
		c.Meters[2].Protocol = c.Protocol
		c.Passwords = map[protocol.MeterKey]map[string]string{
			{}:                        {"02": "111111", "03": "111111", "04": "111111"},
			parrotKey("AAAAAAAAAAAA"): {"02": "222222", "03": "222222"},
			parrotKey("000000000000"): {"03": "333333"},
		}
	})
	s.ask(t, message{topic: "test/request/read/only", payload: []byte("voltage")})
	for target, want := range map[string]string{
		"only":         "map[02:222222 03:333333 04:111111]",
		"000000000000": "map[02:222222 03:333333 04:111111]",
		"000000000009": "map[02:111111 03:111111 04:111111]",
	} {
		_, reply := s.ask(t, message{topic: "test/request/relay/" + target, payload: []byte("trip")})
		if got := fmt.Sprint(heard); reply["result"] != resultVerified || got != want {
			t.Errorf("%s with %s, want %s: %v", target, got, want, reply)
		}
	}
}

func TestGuardKnowsMetersAndLevelsApart(t *testing.T) {
	var g guard
	of := func(meter, level string) guarded { return guarded{parrotKey(meter), level} }
	refusal := &protocol.Refusal{Code: 4, Means: protocol.ErrUnauthorised, Advice: "press the key"}
	for range refusalsOfPassword { // of whatever passwords, for the meter counts them together
		g.note(of("m", "02"), refusal)
		g.note(of("other", "02"), &protocol.Refusal{Code: 2, Means: protocol.ErrNoSuchData})
	}
	if err := g.check(of("m", "02")); err == nil || !strings.Contains(err.Error(), "press the key") || !strings.Contains(err.Error(), "level 02") {
		t.Errorf("a password of the refused level: %v", err)
	}
	for _, other := range []guarded{of("m", "04"), of("other", "02"), of("m", ""), {protocol.MeterKey{Family: "others", Text: "m"}, "02"}} {
		if err := g.check(other); err != nil {
			t.Errorf("%v: %v", other, err)
		}
	}
	g.forgive(of("m", "02"))
	if err := g.check(of("m", "02")); err != nil {
		t.Errorf("after forgiving the level: %v", err)
	}
	for i := range 2 * mostGuarded {
		g.note(of(fmt.Sprintf("%012d", i), "02"), refusal)
	}
	if len(g.refusals) > mostGuarded {
		t.Errorf("%d refusals are remembered", len(g.refusals))
	}
}

func TestCommandBodies(t *testing.T) {
	for _, row := range []struct{ topic, payload, want string }{
		{"relay/main", "explode", "is no action of relay; there are alarm, alarm_off, close"},
		{"relay/main", "", "is no action of relay"},
		{"relay/main", `{"action":"trip","baud":9600}`, `"baud" is no key`},
		{"relay/main", `{"action":"trip","verify_ms":-1}`, `"verify_ms" must be from 0`},
		{"relay/main", `{"action":1}`, `"action" must be a string`},
		{"relay/only", "trip", "read it first"},
		{"relay", "trip", "ends without a meter"},
		{"maintenance/main", `{"action":"set_address","address":"1","at":"now"}`, `"at" is no key`},
		{"write/main", "voltage_a", "a write takes a JSON object"},
		{"write/main", `{"item":"x"}`, `needs "item" and "value"`},
		{"broadcast/main", "time", "publish it to test/request/broadcast"},
	} {
		s := newStage(t, func(c *Config) {
			for _, class := range Classes {
				c.Allow[class] = true
			}
		})
		_, reply := s.ask(t, message{topic: "test/request/" + row.topic, payload: []byte(row.payload)})
		problem, _ := reply["error"].(map[string]any)
		if message, _ := problem["message"].(string); !strings.Contains(message, row.want) || len(s.cage.said()) > 0 {
			t.Errorf("%s %s: %v, want %s; %d frames", row.topic, row.payload, reply, row.want, len(s.cage.said()))
		}
		if sent := <-s.audited; !strings.Contains(string(sent.Payload), `"error":{`) {
			t.Errorf("record %s", sent.Payload)
		}
	}
}

func TestClocksAreForgotten(t *testing.T) {
	var c clocks
	came := time.Now()
	o := &meters.Outcome{}
	o.Result = protocol.Result{Address: parrotAt("m"), Clock: came.Add(90 * time.Second)}
	c.learn(o)
	if _, ok := c.offset(parrotKey("m")); ok {
		t.Error("a clock counts although nothing came")
	}
	o.Came = came
	c.learn(o)
	if ahead, ok := c.offset(parrotKey("m")); !ok || ahead != 90*time.Second {
		t.Errorf("offset %v, %t", ahead, ok)
	}
	o.Result.Address, o.Came = parrotAt("n"), came.Add(-clockMemory-time.Second)
	c.learn(o)
	if _, ok := c.offset(parrotKey("n")); ok {
		t.Error("an offset of yesterday counts")
	}
	o.Result.Address = parrotAt("m")
	c.learn(o)
	if _, ok := c.offset(parrotKey("m")); !ok {
		t.Error("an earlier reading takes the place of a later one")
	}
	for _, address := range []protocol.Address{parrotAt("m"), {MeterKey: parrotKey("999999999999"), Shared: true}} {
		o.Came = came.Add(time.Second)
		c.learn(o)
		c.forget(address, came.Add(2*time.Second))
		if _, ok := c.offset(parrotKey("m")); ok {
			t.Errorf("an offset counts that a command to %s may have changed", address)
		}
		c.learn(o)
		if _, ok := c.offset(parrotKey("m")); ok {
			t.Errorf("a reading counts that came before a command to %s", address)
		}
		came = came.Add(2 * time.Second)
	}
	o.Came, o.Err = came, errors.New("no")
	c.learn(o)
	if _, ok := c.offset(parrotKey("m")); ok {
		t.Error("an answer with an error counts")
	}
	o.Err = nil
	c.learn(o)
	if _, ok := c.offset(parrotKey("m")); !ok {
		t.Error("a reading after the command does not count")
	}
}

// TestOurClockIsSet sets our clock forward by an hour after a meter's was read, which goes on as it did.
func TestOurClockIsSet(t *testing.T) {
	var c clocks
	o := &meters.Outcome{}
	o.Came = time.Now()
	o.Result = protocol.Result{Address: parrotAt("m"), Clock: o.Came.Add(90 * time.Second)}
	c.learn(o)
	read := c.known[parrotKey("m")]
	read.shown = read.shown.Add(-time.Hour)
	c.known[parrotKey("m")] = read
	if ahead, ok := c.offset(parrotKey("m")); !ok || ahead != 90*time.Second-time.Hour {
		t.Errorf("offset %v, %t", ahead, ok)
	}
}
