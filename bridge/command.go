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
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// How long a relay is watched after a command.
const (
	defaultVerify = 10 * time.Second
	longestVerify = 10 * time.Minute
)

// commandVerbs are the verbs whose every request is a command. A raw frame may be one.
var commandVerbs = []string{verbWrite, verbRelay, verbMaintenance, verbBroadcast}

func isCommandVerb(verb string) bool { return slices.Contains(commandVerbs, verb) }

// carryOutCommand answers the verbs write, relay, maintenance and broadcast.
func (b *Bridge) carryOutCommand(r *request, in *body) error {
	if err := b.permit(protocol.Permission(r.verb)); err != nil {
		return err
	}
	asked, err := b.commandKeys(r, in)
	if err != nil {
		return err
	}
	// Meanwhile it may be midnight, or the meter's address not known any more: a repeat is told what
	// became of the first all the same.
	if repeat, first, err := b.repeats.find(r, r.received); err != nil || b.isRepeat(r, repeat, first) {
		return err
	}
	if r.verb == verbBroadcast {
		if r.target != "" {
			return problemf(CodeBadRequest, "a broadcast goes to every meter: publish it to %s", b.topics.join("request/broadcast"))
		}
	} else {
		if r.nobody != nil {
			return r.nobody
		}
		if m := r.known; m != nil && r.address == m.Address && m.Address.Shared {
			return problemf(CodeUnknownMeter, "the address of %s is not known yet: it is found by the first read that the meter answers; read it first", r.target)
		}
	}
	asked.Passwords, asked.Operator = b.passwords(r.known, r.address.MeterKey), b.operator(r.known, r.address.MeterKey)
	asked.Deadline, asked.Now = b.config.RelayValid, time.Now()
	asked.Offset, _ = b.clocks.offset(r.address.MeterKey)
	asked.Settings = b.config.Settings
	if b.config.Clock != nil {
		asked.Clock = b.config.Clock()
	}
	plan, err := r.protocol.Plan(protocol.Request{Verb: protocol.Verb(r.verb), Class: protocol.ClassCommand, Address: r.address, Command: asked}, b.bus.Meter(r.address.MeterKey))
	if err != nil {
		return err
	}
	if err := b.permit(plan.Permission); err != nil {
		return err
	}
	r.address = plan.Address
	var prepare func() error
	if plan.Reach > 0 {
		prepare = func() error { return b.compareClocks(r, plan.Reach) }
	}
	return b.run(r, plan, prepare, b.finishCommand)
}

// commandKeys reads what the body of a command says. Plain text is the action. The protocol says which actions
// there are, and what goes with each.
func (b *Bridge) commandKeys(r *request, in *body) (*protocol.Command, error) {
	c := &protocol.Command{Arguments: protocol.Arguments{}}
	if in.members == nil {
		if r.verb == verbWrite {
			return nil, problemf(CodeBadRequest, `a write takes a JSON object, such as {"item":"…","value":…}`)
		}
		c.Action = in.text
	} else if r.verb != verbWrite {
		if _, err := in.decode("action", "a string", &c.Action); err != nil {
			return nil, err
		}
	}
	r.command.action = c.Action
	if r.verb == verbBroadcast {
		r.protocol = b.config.Protocol
		if err := b.protocolKey(r, in); err != nil {
			return nil, err
		}
	}
	action, err := b.actionOf(r, c.Action)
	if err != nil {
		return nil, err
	}
	for _, key := range action.Keys {
		if err := r.argument(in, key, c.Arguments); err != nil {
			return nil, err
		}
	}
	verify := defaultVerify.Milliseconds()
	if action.Watched {
		if _, err := in.decode("verify_ms", "a whole number of milliseconds", &verify); err != nil {
			return nil, err
		}
	}
	if action.Level != "" {
		if _, err := in.decode("retry_password", "true or false", &r.command.retryPassword); err != nil {
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
	r.command.item = c.Arguments.Text(protocol.ArgumentItem)
	if r.verb == verbWrite && (r.command.item == "" || r.command.value == nil) {
		return nil, problemf(CodeBadRequest, `a write needs "item" and "value"`)
	}
	return c, nil
}

// actionOf returns the action of that name that the protocol of a request has. Of a meter that is not known, it
// is the protocol of those without a name.
func (b *Bridge) actionOf(r *request, name string) (protocol.Action, error) {
	spoken := r.protocol
	if spoken == nil {
		spoken = b.config.Protocol
	}
	actions := spoken.Actions(protocol.Verb(r.verb))
	var names []string
	for _, action := range actions {
		if action.Name == name {
			return action, nil
		}
		names = append(names, action.Name)
	}
	if len(actions) == 0 {
		return protocol.Action{}, problemf(CodeUnsupported, "meters of protocol %s have no %s", spoken.Name(), r.verb)
	}
	slices.Sort(names)
	return protocol.Action{}, problemf(CodeBadRequest, "%s is no action of %s; there are %s", quote(name), r.verb, strings.Join(names, ", "))
}

// argument takes the member of a key into the arguments of a command.
func (r *request) argument(in *body, key protocol.Key, arguments protocol.Arguments) error {
	var to any
	switch key.Type {
	case protocol.KeyText:
		to = new(string)
	case protocol.KeyInteger:
		to = new(int64)
	case protocol.KeyFlag:
		to = new(bool)
	case protocol.KeyJSON:
		to = new(json.RawMessage)
	}
	given, err := in.decode(key.Name, key.Want, to)
	if err != nil || !given {
		return err
	}
	switch value := to.(type) {
	case *string:
		arguments[key.Name] = *value
	case *int64:
		arguments[key.Name] = *value
	case *bool:
		arguments[key.Name] = *value
	case *json.RawMessage:
		if key.Name == protocol.ArgumentValue {
			r.command.value = *value
		}
		var decoded any
		d := json.NewDecoder(bytes.NewReader(*value))
		d.UseNumber() // no digit may get lost
		if err := d.Decode(&decoded); err != nil {
			return problemf(CodeBadRequest, "%q cannot be read: %v", key.Name, err)
		}
		arguments[key.Name] = decoded
	}
	return nil
}

// run carries a command out: once for each mark, not after its time, and with a password only
// that the meter has not refused twice. prepare is optional: it looks whether it is to be done, and
// may wait; finish makes the reply.
func (b *Bridge) run(r *request, plan protocol.Plan, prepare func() error, finish func(*request, account)) error {
	if repeat, first, err := b.repeats.enter(r, plan.Address.MeterKey, r.received); err != nil || b.isRepeat(r, repeat, first) {
		return err
	}
	of := guarded{plan.Address.MeterKey, plan.Level}
	if r.command.retryPassword {
		b.guard.forgive(of)
	}
	err := b.guard.check(of)
	if err == nil && r.expired() {
		err = bus.ErrExpired
	}
	r.payload = nil // it may be long, and all that is in it has been read
	var p pending
	if err == nil && prepare == nil {
		p, err = b.begin(&r.turn, plan, false)
	}
	if err != nil {
		b.withdraw(r, err)
		return err
	}
	b.later(func() {
		if prepare != nil {
			err := prepare()
			if err == nil {
				p, err = b.begin(&r.turn, plan, false)
			}
			if err != nil {
				b.withdraw(r, err)
				b.fail(r, err)
				return
			}
		}
		finish(r, b.seeThrough(&r.turn, p))
	})
	return nil
}

// finishCommand makes the reply of a command.
func (b *Bridge) finishCommand(r *request, c account) {
	a := b.newReply(r)
	b.writeEnding(r, a, &c)
	b.send(r, a)
}

// writeEnding writes into a reply how the command ended. The last step that was to change something
// decides; the steps around it only look.
func (b *Bridge) writeEnding(r *request, a *reply, c *account) {
	a.Bus = &c.effort
	var last *meters.Outcome
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
		r.command.frames = append(r.command.frames, o.Frames...)
		if o.Started && !o.Came.IsZero() {
			r.command.answered = o.Came
		}
	}
	report := c.report
	if report == nil {
		report = &protocol.Report{}
	}
	a.Relay, a.Valve, a.Pending, a.Message = report.Relay, report.Valve, report.Pending, report.Note
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
		if refusal.Advice != "" && report.Note == "" { // the protocol knows no better reason
			a.say(refusal.Advice)
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
func (c *account) failure() *problem {
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

// seconds writes a duration, unless it is not known.
func seconds(d *time.Duration) *protocol.Decimal {
	if d == nil {
		return nil
	}
	s := protocol.Seconds(*d)
	return &s
}

// operator returns the operator code for a meter: its own before that of all.
func (b *Bridge) operator(m *meters.Entry, key protocol.MeterKey) string {
	code := b.config.Operators[key]
	if code == "" && m != nil {
		code = b.config.Operators[m.Address.MeterKey]
	}
	if code == "" {
		return b.config.Operator
	}
	return code
}

// passwords returns what is configured for a meter: its own levels before those of all. Those of a
// meter behind a wildcard stand under the wildcard. m is nil for an address that is not configured.
func (b *Bridge) passwords(m *meters.Entry, key protocol.MeterKey) map[string]string {
	all := map[string]string{}
	maps.Copy(all, b.config.Passwords[protocol.MeterKey{}])
	if m != nil {
		maps.Copy(all, b.config.Passwords[m.Address.MeterKey])
	}
	maps.Copy(all, b.config.Passwords[key])
	return all
}
