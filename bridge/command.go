package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// How long a relay is watched after a command.
const (
	defaultVerify = 10 * time.Second
	longestVerify = 10 * time.Minute
)

// commandActions has the actions of each verb, and the keys of the body that belong to them. A write
// has no action.
var commandActions = map[string]map[string][]string{
	verbWrite: {"": {"item", "value", "level", "retry_password"}},
	verbRelay: {
		"trip": relayKeys, "close": relayKeys, "permit_close": relayKeys,
		"alarm": relayKeys, "alarm_off": relayKeys, "keep_power": relayKeys, "keep_power_off": relayKeys,
	},
	verbMaintenance: {
		"sync_clock":   {"level", "retry_password"},
		"freeze":       {"at"},
		"clear_demand": {"level", "retry_password"},
		"clear_events": {"item", "level", "retry_password"},
		"clear_meter":  {"confirm", "level", "retry_password"},
		"set_address":  {"address", "confirm"},
		"set_baud":     {"baud", "confirm"},
		"set_password": {"level", "new_password", "confirm", "retry_password"},
		"output":       {"signal"},
	},
	verbBroadcast: {"time": {}, "freeze": {"at"}},
}

var relayKeys = []string{"verify_ms", "level", "retry_password"}

// isCommandVerb tells of the verbs whose every request is a command. A raw frame may be one.
func isCommandVerb(verb string) bool { return commandActions[verb] != nil }

// command answers the verbs write, relay, maintenance and broadcast.
func (b *Bridge) command(r *request, in *body) error {
	if err := b.permit(protocol.Permission(r.verb)); err != nil {
		return err
	}
	command, err := r.commandKeys(in)
	if err != nil {
		return err
	}
	// Meanwhile it may be midnight, or the meter's address not known any more: a repeat is told what
	// became of the first all the same.
	if repeat, first, err := b.repeats.find(r, r.received); err != nil || b.isRepeat(r, repeat, first) {
		return err
	}
	var m *meter
	if r.verb == verbBroadcast {
		if r.target != "" {
			return problemf(CodeBadRequest, "a broadcast goes to every meter: publish it to %s", b.topics.join("request/broadcast"))
		}
		r.protocol = b.config.Protocol
	} else {
		if m, err = b.locate(r); err != nil {
			return err
		}
		if m != nil && m.Wildcard && r.address == m.Address {
			return problemf(CodeUnknownMeter, "the address of %s is not known yet: it is found by the first read that the meter answers; read it first", r.target)
		}
	}
	command.Passwords, command.Operator = b.passwords(m, r.address), b.config.Operator
	command.Deadline, command.Now = b.config.RelayValid, time.Now()
	command.Offset, _ = b.clocks.offset(r.address)
	if b.config.Clock != nil {
		command.Clock = b.config.Clock()
	}
	plan, err := r.protocol.Plan(protocol.Request{Verb: protocol.Verb(r.verb), Class: protocol.ClassCommand, Address: r.address, Command: command}, b.bus.Meter(r.address))
	if err != nil {
		return err
	}
	if err := b.permit(plan.Permission); err != nil {
		return err
	}
	r.address = plan.Address
	var prepare func() error
	if r.verb == verbBroadcast && command.Action == "time" {
		prepare = func() error { return b.compareClocks(r) }
	}
	return b.run(r, plan, prepare, b.finishCommand)
}

// commandKeys reads what the body of a command says. Plain text is the action.
func (r *request) commandKeys(in *body) (*protocol.Command, error) {
	c := &protocol.Command{}
	actions := commandActions[r.verb]
	if in.members == nil {
		if r.verb == verbWrite {
			return nil, problemf(CodeBadRequest, `a write takes a JSON object, such as {"item":"…","value":…}`)
		}
		c.Action = in.text
	} else if r.verb != verbWrite {
		if _, err := in.take("action", "a string", &c.Action); err != nil {
			return nil, err
		}
	}
	r.action = c.Action
	keys, ok := actions[c.Action]
	if !ok {
		return nil, problemf(CodeBadRequest, "%s is no action of %s; there are %s", quote(c.Action), r.verb, strings.Join(slices.Sorted(maps.Keys(actions)), ", "))
	}
	verify := defaultVerify.Milliseconds()
	fields := map[string]struct {
		want string
		to   any
	}{
		"item":           {"the name of an item, or its identifier as a string", &c.Item},
		"value":          {"the value to write", &r.value},
		"at":             {"a string", &c.At},
		"address":        {"a string of up to 12 digits", &c.NewAddress},
		"confirm":        {"the address of the meter, as a string", &c.Confirm},
		"baud":           {"a whole number of bits per second", &c.Baud},
		"signal":         {"a string", &c.Signal},
		"level":          {"the level of a password, a string of two digits", &c.Level},
		"new_password":   {"a string of six digits", &c.NewPassword},
		"verify_ms":      {"a whole number of milliseconds", &verify},
		"retry_password": {"true or false", &r.retryPassword},
	}
	for _, key := range keys {
		if _, err := in.take(key, fields[key].want, fields[key].to); err != nil {
			return nil, err
		}
	}
	if err := in.nothingLeft(r); err != nil {
		return nil, err
	}
	if verify < 0 || verify > longestVerify.Milliseconds() {
		return nil, problemf(CodeBadRequest, `"verify_ms" must be from 0 to %d`, longestVerify.Milliseconds())
	}
	c.Verify = time.Duration(verify) * time.Millisecond
	r.item = c.Item
	if r.verb == verbWrite {
		if c.Item == "" || r.value == nil {
			return nil, problemf(CodeBadRequest, `a write needs "item" and "value"`)
		}
		d := json.NewDecoder(bytes.NewReader(r.value))
		d.UseNumber() // no digit may get lost
		if err := d.Decode(&c.Value); err != nil {
			return nil, problemf(CodeBadRequest, `"value" cannot be read: %v`, err)
		}
	}
	return c, nil
}

// run carries a command out: once for each mark, not after its time, and with a password only
// that the meter has not refused twice. prepare, unless nil, looks whether it is to be done, and
// may wait; finish makes the reply.
func (b *Bridge) run(r *request, plan protocol.Plan, prepare func() error, finish func(*request, conversation)) error {
	if repeat, first, err := b.repeats.enter(r, plan.Address, r.received); err != nil || b.isRepeat(r, repeat, first) {
		return err
	}
	if r.retryPassword {
		b.guard.forgive(plan.Address, plan.Password)
	}
	err := b.guard.check(plan.Address, plan.Password)
	if err == nil && r.expired() {
		err = bus.ErrExpired
	}
	var p pending
	if err == nil && prepare == nil {
		p, err = b.begin(r, plan, false)
	}
	if err != nil {
		b.withdraw(r, err)
		return err
	}
	b.later(func() {
		if prepare != nil {
			err := prepare()
			if err == nil {
				p, err = b.begin(r, plan, false)
			}
			if err != nil {
				b.withdraw(r, err)
				b.fail(r, err)
				return
			}
		}
		finish(r, b.hold(r, p))
	})
	return nil
}

// finishCommand makes the reply of a command.
func (b *Bridge) finishCommand(r *request, c conversation) {
	a := b.newReply(r)
	b.settle(r, a, &c)
	b.send(r, a)
}

// settle writes into a reply how the command ended. The last step that was to change something
// decides; the steps around it only look.
func (b *Bridge) settle(r *request, a *reply, c *conversation) {
	a.Bus = &c.effort
	var last *outcome
	acted := false
	for i := range c.outcomes {
		o := &c.outcomes[i]
		if r.trace {
			a.Frames = append(a.Frames, b.tracedFrames(r.protocol, o.Frames)...)
		}
		if !o.Step.IsCommand() {
			continue
		}
		last, acted = o, acted || o.Started
		r.frames = append(r.frames, o.Frames...)
		if o.Started && !o.Came.IsZero() {
			r.answered = o.Came
		}
	}
	report := c.report
	if report == nil {
		report = &protocol.Report{}
	}
	a.Relay, a.Pending, a.Message = report.Relay, report.Pending, report.Note
	if report.Value != nil {
		a.Value, a.Unit = &report.Value.Data, report.Value.Unit
	}
	a.DriftBefore, a.DriftAfter, a.ClockOffset = seconds(report.DriftBefore), seconds(report.DriftAfter), seconds(report.Offset)

	var refusal *protocol.Refusal
	switch {
	case !acted && c.err != nil:
		a.OK, a.Error = false, problemOf(c.err)
	case !acted && last != nil:
		a.OK, a.Error = false, problemOf(last.Err)
	case !acted: // it was not tried because looking before it failed
		a.OK, a.Error = false, c.failure()
	case errors.As(last.Err, &refusal):
		a.OK, a.Result, a.Reasons = false, resultRefused, refusal.Reasons
		if isPasswordRefusal(refusal) && report.Note == "" { // the protocol knows no better reason
			a.say(causesOfRefusal)
		}
	case last.Err != nil && !last.Started:
		a.OK, a.Result = false, resultUnknown
		a.say("only a part of it was done: " + problemOf(last.Err).Message)
	case last.Err != nil:
		a.OK, a.Result = false, resultUnknown
		a.say("nobody knows whether the meter did it: " + problemOf(last.Err).Message + "; look at the meter's state before asking again")
	case last.First.Answer == nil:
		a.Result = resultSent
	case report.Verified:
		a.Result = resultVerified
	default:
		a.Result, a.OK = resultAcknowledged, !report.Readable && c.err == nil
	}
	if acted && c.err != nil {
		a.say(problemOf(c.err).Message)
	}
}

// failure tells why a conversation brought nothing.
func (c *conversation) failure() *problem {
	for i := range slices.Backward(c.outcomes) {
		if err := c.outcomes[i].Err; err != nil {
			return problemOf(err)
		}
	}
	return problemf(CodeInternal, "nothing was done, and nothing tells why")
}

// say adds a sentence to the message.
func (a *reply) say(text string) {
	if a.Message != "" {
		a.Message = strings.TrimSuffix(a.Message, ".") + "; "
	}
	a.Message += text
}

// seconds writes a duration as a number of seconds with one decimal.
func seconds(d *time.Duration) *protocol.Decimal {
	if d == nil {
		return nil
	}
	return &protocol.Decimal{Coefficient: d.Round(100*time.Millisecond).Milliseconds() / 100, Scale: 1}
}

// passwords returns what is configured for a meter: its own levels before those of all. Those of a
// meter behind a wildcard stand under the wildcard. m is nil for an address that is not configured.
func (b *Bridge) passwords(m *meter, address string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, b.config.Passwords[""])
	if m != nil {
		maps.Copy(all, b.config.Passwords[m.Address])
	}
	maps.Copy(all, b.config.Passwords[address])
	return all
}
