package dlt698

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// The keys of commands, beside those that every protocol has.
const (
	keyLevel   = "level"
	keyConfirm = "confirm"
)

// The keys of the bodies of commands, as package protocol has them.
var (
	itemKey    = protocol.Key{Name: protocol.ArgumentItem, Want: "the name of an item, or its OAD as a string"}
	valueKey   = protocol.Key{Name: protocol.ArgumentValue, Type: protocol.KeyJSON, Want: "the value to write"}
	levelKey   = protocol.Key{Name: keyLevel, Want: "the level of a password, a string of two digits"}
	confirmKey = protocol.Key{Name: keyConfirm, Want: "the address of the meter, as a string"}
)

// The actions of maintenance.
const (
	actionSyncClock   = "sync_clock"
	actionFreeze      = "freeze"
	actionClearDemand = "clear_demand"
	actionClearEvents = "clear_events"
	actionClearMeter  = "clear_meter"
)

// actionTime is the action of a broadcast.
const actionTime = "time"

var actions = map[protocol.Verb][]protocol.Action{
	protocol.VerbWrite: {{Keys: []protocol.Key{itemKey, valueKey}}},
	protocol.VerbRelay: relayVerb(),
	protocol.VerbMaintenance: {
		{Name: actionSyncClock}, {Name: actionFreeze}, {Name: actionClearDemand}, {Name: actionClearEvents},
		{Name: actionClearMeter, Keys: []protocol.Key{confirmKey}},
	},
	protocol.VerbBroadcast: {{Name: actionTime}},
}

// Actions returns what commands of a verb can do.
func (m Meters) Actions(verb protocol.Verb) []protocol.Action { return actions[verb] }

// The methods that commands call, by object, method and mode 0.
const (
	omdSetClock    OMD = 0x40007F00
	omdClearMeter  OMD = 0x43000300
	omdClearEvents OMD = 0x43000500
	omdClearDemand OMD = 0x43000600
	omdFreeze      OMD = 0x50000300
)

// A commander plans what a request wants done to one meter.
type commander struct {
	*reader
	*protocol.Command
	address    Address
	permission protocol.Permission
	level      string // of the password in the frames, as in Plan.Level
}

// planCommand plans a request to write, to switch, to maintain, or to all meters at once.
func (m Meters) planCommand(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	c := &commander{reader: &reader{m, protocol.ClassCommand, known}, Command: request.Command}
	if c.Command == nil {
		return protocol.Plan{}, badRequest("the request to %s does not say what is to be done", request.Verb)
	}
	plan := c.planWrite
	switch request.Verb {
	case protocol.VerbRelay:
		c.permission, c.class, plan = protocol.PermitRelay, protocol.ClassRelay, c.planRelay
	case protocol.VerbMaintenance:
		c.permission, plan = protocol.PermitMaintenance, c.planMaintenance
	case protocol.VerbBroadcast:
		c.permission, c.address = protocol.PermitBroadcast, All
		return c.planBroadcast()
	default:
		c.permission = protocol.PermitWrite
	}
	if err := c.meet(request.Address); err != nil {
		return protocol.Plan{}, err
	}
	return plan()
}

// meet takes the address of the meter that is meant, which must be one.
func (c *commander) meet(address protocol.Address) (err error) {
	if c.address, err = c.Meters.address(address); err != nil {
		return err
	}
	if c.address.IsShared() {
		return badRequest("several meters may answer to %s; a command goes to one meter, by its full address", c.address)
	}
	return nil
}

// unknownAction is the error for an action that the verb does not have.
func (c *commander) unknownAction(verb protocol.Verb) error {
	var names []string
	for _, action := range actions[verb] {
		names = append(names, action.Name)
	}
	return badRequest("there is no action %q: the actions are %s", c.Action, strings.Join(names, ", "))
}

// plan returns a plan with these steps.
func (c *commander) plan(steps ...protocol.Step) protocol.Plan {
	return protocol.Plan{Permission: c.permission, Address: c.named(c.address), Steps: steps, Level: c.level}
}

// report is the plan that ends with what is known of the command.
func (c *commander) report(r protocol.Report) protocol.Plan { return c.plan().Reporting(r) }

// confirmed refuses a command that can lose data, unless the request confirms by its address, in
// full, which meter is meant.
func (c *commander) confirmed(why string) error {
	if c.Arguments.Text(keyConfirm) == c.address.String() {
		return nil
	}
	return badRequest("%s; to show that meter %s is meant, give its address once more as %q", why, c.address, keyConfirm)
}

// planMaintenance plans a command that maintains one meter.
func (c *commander) planMaintenance() (protocol.Plan, error) {
	switch c.Action {
	case actionSyncClock:
		return c.planSyncClock()
	case actionFreeze:
		return c.plan(c.act(omdFreeze, NumberOf(Unsigned, 0))), nil
	case actionClearDemand:
		return c.plan(c.act(omdClearDemand, Data{Tag: Null})).Noted("Maximum demands begin anew; those of before are in the freezes alone."), nil
	case actionClearEvents:
		return c.plan(c.act(omdClearEvents, Data{Tag: Null})), nil
	case actionClearMeter:
		if err := c.confirmed("clear_meter deletes energies, demands, freezes and events"); err != nil {
			return protocol.Plan{}, err
		}
		return c.plan(c.act(omdClearMeter, Data{Tag: Null})), nil
	}
	return protocol.Plan{}, c.unknownAction(protocol.VerbMaintenance)
}

// command is the step that gives the meter a command, and awaits what it says to it.
func (c *commander) command(a APDU, stamped func(sent time.Time) APDU) protocol.Step {
	a = numbered(a)
	t := &talk{address: c.address, apdu: a, oads: []OAD{a.Entries[0].OAD}, command: true}
	if stamped != nil {
		t.stamped = func(sent time.Time) APDU {
			now := stamped(sent)
			now.PIID = a.PIID
			return now
		}
	}
	t.take = func(r reply) (*protocol.Exchange, protocol.Result, error) {
		return nil, protocol.Result{}, c.refusalIn(t, r)
	}
	return protocol.Step{Meter: c.key(c.address), Line: &line, Class: c.class, Kind: protocol.KindCommand, First: *t.exchange()}
}

// refusalIn returns the error that an answer to a command is; nil: the meter has done it.
func (c *commander) refusalIn(t *talk, r reply) error {
	switch {
	case r.isFault():
		return &protocol.Refusal{Code: uint16(r.DAR), Reasons: []string{reasonOther}, Advice: "the meter did not understand the command (" + faultText(r.DAR) + ")"}
	case r.denied != darSuccess:
		return securityRefusal(r.denied)
	case len(r.Entries) != 1:
		return t.unreadable(r.from, r.Append(nil), garbled("%d results came for one command", len(r.Entries)))
	}
	switch dar := r.Entries[0].DAR; {
	case dar == darSuccess:
		return nil
	case dar.isRight() && c.level == "":
		return securityRefusal(dar)
	default:
		return dar.refusal(true)
	}
}

// act is the step that calls a method.
func (c *commander) act(method OMD, argument Data) protocol.Step {
	return c.command(APDU{Service: Action, Choice: Normal, Entries: []Entry{{OAD: method, Data: argument}}}, nil)
}

// set is the step that sets an attribute.
func (c *commander) set(oad OAD, value Data) protocol.Step {
	return c.command(APDU{Service: Set, Choice: Normal, Entries: []Entry{{OAD: oad, Data: value}}}, nil)
}

// read is the step that reads an item before a command or after it.
func (c *commander) read(item Item) protocol.Step {
	return c.step(c.address, []register{{oad: item.OAD, item: item, names: []string{item.Name}}})
}

// planWrite plans to set an attribute, and to read it back.
func (c *commander) planWrite() (protocol.Plan, error) {
	name := c.Arguments.Text(protocol.ArgumentItem)
	item, _, err := c.find(name)
	switch {
	case err != nil:
		return protocol.Plan{}, err
	case item.attribute == nil:
		return protocol.Plan{}, fmt.Errorf("%w: %s is not in the dictionary, so that its type is not known; the verb raw takes a frame", protocol.ErrUnsupported, name)
	case item.Access != "R" && item.Only != "" && len(item.attribute.fields) > 1:
		return protocol.Plan{}, badRequest("%s is written together with the other values of %s: write that, with an object of all of them", item.Only, item.Name)
	case item.Access == "R" || item.Only != "" || item.Column != nil:
		return protocol.Plan{}, fmt.Errorf("%w: %s cannot be written", protocol.ErrUnsupported, name)
	case item.OAD == oadClock:
		return protocol.Plan{}, fmt.Errorf("%w: the clock is set by the maintenance action %s", protocol.ErrUnsupported, actionSyncClock)
	}
	data, err := item.Encode(c.Arguments[protocol.ArgumentValue], c.zone)
	if err != nil {
		return protocol.Plan{}, err
	}
	want, err := item.Decode(data, c.zone)
	if err != nil {
		return protocol.Plan{}, badRequest("%w", err)
	}
	plan := c.plan(c.set(item.OAD, data))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		was := protocol.EndingOf(answers[0])
		if !was.MayBeDone() {
			return c.plan(), nil
		}
		look := c.plan(c.read(item))
		look.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			return c.report(written(was, item, want, answers[0])), nil
		}
		return look, nil
	}
	return plan, nil
}

// written reports what was read back after an attribute was set.
func written(was protocol.Ending, item Item, want []protocol.Value, answer protocol.Answer) (r protocol.Report) {
	if answer.Err != nil || len(answer.Result.Values) == 0 {
		r.Note = "What was written could not be read back"
		if answer.Err != nil {
			r.Note += ": " + answer.Err.Error()
		}
		r.Note += "."
		return r
	}
	value, same := answer.Result.Values[0], true
	for _, w := range want {
		same = same && valueOf(answer.Result.Values, w.Name) == w.Data
	}
	if len(item.attribute.fields) > 1 { // then it is shown as it is written
		object := make(map[string]any)
		for _, v := range answer.Result.Values {
			object[v.Name] = v.Data
		}
		value = protocol.Value{Name: item.Name, Data: object}
	}
	r.Readable, r.Value = true, &value
	r.Verified = was == protocol.Acknowledged && same
	if was == protocol.Unanswered {
		r.Note = "The value was read after the write was not answered."
	} else if !r.Verified {
		r.Note = "The meter acknowledged the value, but gives another when it is read."
	}
	return r
}

// valueOf finds a value by its name; nil if there is none.
func valueOf(values []protocol.Value, name string) any {
	if i := slices.IndexFunc(values, func(v protocol.Value) bool { return v.Name == name }); i >= 0 {
		return values[i].Data
	}
	return nil
}
