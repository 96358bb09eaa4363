package dlt645

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// The two meters of these tests have the addresses of published frames.
const (
	meterA = "000000000001"
	meterB = "000000000123"
)

// command returns what is configured for the meters, to be filled in.
func command(action string) order {
	return order{Command: protocol.Command{
		Action:    action,
		Passwords: map[string]string{"02": "563412", "04": "563412"},
		Operator:  "00000001",
		Deadline:  5 * time.Minute,
		Verify:    10 * time.Second,
		Settings:  protocol.Settings{Passwords: "PASSWORDS", PasswordsFile: "PASSWORDS_FILE", Meters: "METERS", Bus: "BUS"},
	}}
}

// An order is a command whose arguments are told apart.
type order struct {
	protocol.Command
	arguments
}

// command returns the command as a bridge gives it.
func (o order) command() *protocol.Command {
	c := o.Command
	c.Arguments = protocol.Arguments{
		protocol.ArgumentItem: o.Item, protocol.ArgumentValue: o.Value, keyAt: o.At, keyNewAddress: o.NewAddress, keyConfirm: o.Confirm,
		keyBaud: o.Baud, keySignal: o.Signal, keyLevel: o.Level, keyNewPassword: o.NewPassword,
	}
	return &c
}

// planned plans a command and fails the test if that cannot be done.
func planned(t *testing.T, v Version, verb protocol.Verb, address string, c order) protocol.Plan {
	t.Helper()
	plan, err := New(v, shanghai).Plan(protocol.Request{Verb: verb, Address: meterAt(address), Command: c.command()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// A performance is how a plan went.
type performance struct {
	until  []time.Time // when it was too late to begin
	sent   []string    // frames in hex
	at     []time.Duration
	steps  []protocol.Step
	report *protocol.Report
	ending protocol.Ending // of the last command
	err    error           // of Then
	ahead  time.Duration   // the clock, as the latest result tells it
}

// The time that an exchange takes: to send the request, and until its answer has come.
const (
	sendTime   = 100 * time.Millisecond
	answerTime = 200 * time.Millisecond
)

// A counterpart hears a frame at a time and returns the bytes that come back, or why nothing
// can be sent.
type counterpart func(frame []byte, at time.Time) ([]byte, error)

// perform goes through a plan as the bridge does, beginning at a time.
func perform(t *testing.T, plan protocol.Plan, begin time.Time, meter counterpart) performance {
	t.Helper()
	p := performance{}
	now := begin
	first := plan
	for {
		if plan.Permission != first.Permission || plan.Address != first.Address {
			t.Errorf("the plan goes on with %s for %s, it began with %s for %s", plan.Permission, plan.Address, first.Permission, first.Address)
		}
		if plan.Report != nil {
			p.report = plan.Report
		}
		if !plan.Until.IsZero() {
			p.until = append(p.until, plan.Until)
			if len(plan.Steps) != 1 || !plan.Steps[0].IsCommand() {
				t.Errorf("%d steps are bounded by %s", len(plan.Steps), plan.Until)
			}
		}
		now = now.Add(plan.After)
		var answers []protocol.Answer
		for _, step := range plan.Steps {
			p.steps = append(p.steps, step)
			e := step.First
			request := e.Request
			if e.Stamp != nil {
				request = e.Stamp(now.Add(sendTime))
				if len(request) != len(e.Request) {
					t.Errorf("stamped %X is not as long as %X", request, e.Request)
				}
			}
			p.sent, p.at = append(p.sent, fmt.Sprintf("%X", request)), append(p.at, now.Sub(begin))
			now = now.Add(sendTime)
			var answer protocol.Answer
			heard, err := meter(request, now)
			switch {
			case err != nil:
				answer.Err = err
			case e.Answer == nil:
			default:
				now = now.Add(answerTime)
				cut := frametest.Wholly(e.Answer, slices.Concat(request, heard)) // the echo goes before
				if cut == nil {
					answer.Err = protocol.ErrSilent
					break
				}
				answer.Came = now
				_, answer.Result, answer.Err = e.Take(cut)
			}
			if step.IsCommand() {
				if step.Kind != protocol.KindCommand || step.Key != "" {
					t.Errorf("the command %s is of kind %d with key %q", p.sent[len(p.sent)-1], step.Kind, step.Key)
				}
				p.ending = protocol.EndingOf(answer)
			}
			if clock := answer.Result.Clock; !clock.IsZero() {
				p.ahead = clock.Sub(answer.Came)
			}
			answers = append(answers, answer)
		}
		if plan.Then == nil {
			return p
		}
		then := plan.Then
		if plan, p.err = then(answers); p.err != nil {
			return p
		}
		if len(p.steps) > 50 {
			t.Fatal("the plan does not end")
		}
	}
}

// says is a counterpart that gives the answers in turn, none for nil, and then none any more.
func says(answers ...[]byte) counterpart {
	return func([]byte, time.Time) ([]byte, error) {
		if len(answers) == 0 {
			return nil, nil
		}
		answer := answers[0]
		answers = answers[1:]
		return answer, nil
	}
}

// value is the answer of a meter to the read of an identifier.
func value(address string, di DI, data ...byte) []byte {
	return wire(address, 0x91, append(di.Append(nil, V2007), data...)...)
}

// readFrame is the request to read an identifier, in hex.
func readFrame(address string, di DI, v Version) string {
	function := Control(FunctionRead)
	if v == V1997 {
		function = Control(FunctionRead1997)
	}
	return fmt.Sprintf("%X", wire(address, function, di.Append(nil, v)...))
}

// summary writes a report for comparison.
func summary(r *protocol.Report) string {
	if r == nil {
		return "none"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "readable %t verified %t pending %t", r.Readable, r.Verified, r.Pending)
	if r.Relay != "" {
		fmt.Fprintf(&b, " relay %s", r.Relay)
	}
	if r.Value != nil {
		fmt.Fprintf(&b, " %s=%v", r.Value.Name, r.Value.Data)
	}
	for _, d := range []struct {
		name string
		d    *time.Duration
	}{{"before", r.DriftBefore}, {"after", r.DriftAfter}, {"offset", r.Offset}} {
		if d.d != nil {
			fmt.Fprintf(&b, " %s %s", d.name, *d.d)
		}
	}
	return b.String()
}

// isError wants an error of a kind with words in it, and without any password.
func isError(t *testing.T, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, want %v", err, kind)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	for _, secret := range []string{"563412", "123456", "654321"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q shows a password", err)
		}
	}
}

// expect compares what was sent with frames in hex.
func (p *performance) expect(t *testing.T, frames ...string) {
	t.Helper()
	for i := range frames {
		frames[i] = strings.ReplaceAll(frames[i], " ", "")
	}
	if !slices.Equal(p.sent, frames) {
		t.Errorf("sent\n%s, want\n%s", strings.Join(p.sent, "\n"), strings.Join(frames, "\n"))
	}
}
