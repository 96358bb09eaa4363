package dlt698

import (
	"math"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// What a relay command is about.
const (
	oadRelay      OAD = 0xF2050201 // the first relay output
	oadRelayState OAD = 0x80000300
	oadStatus3    OAD = 0x20140203
	oadKeepPower  OAD = 0x80010200
)

// The names of the values that show what the relay does.
const (
	relayValue  = "relay_open"
	statusValue = "status_3.relay_open"
)

// A relayAction is a method of the objects for remote control.
type relayAction struct {
	name     string
	method   OMD
	argument Data
	moves    bool   // the contacts of the relay
	open     bool   // what it does then
	note     string // what a person should know who gives the command
}

// Enumerations of the method that closes a relay.
const (
	permitClose = 0
	closeNow    = 1
)

// relayActions are the methods of objects 8000 (remote control) and 8001 (keeping the power on).
var relayActions = []relayAction{
	{
		name: "trip", method: 0x80008100, moves: true, open: true,
		// Which relay; minutes of alarm before; minutes until it may close; whether it closes by itself then.
		argument: ArrayOf(StructureOf(NumberOf(TagOAD, int64(oadRelay)), NumberOf(Unsigned, 0), NumberOf(LongUnsigned, 0), NumberOf(Bool, 0))),
	},
	{name: "close", method: 0x80008200, moves: true, argument: closing(closeNow)},
	{
		name: "permit_close", method: 0x80008200, argument: closing(permitClose),
		note: "The relay does not close by this command: it closes when somebody presses the button at the meter.",
	},
	{name: "alarm", method: 0x80007F00, argument: Data{Tag: Null}, note: "The meter warns its user of a trip to come; the relay does not move."},
	{name: "alarm_off", method: 0x80008000, argument: Data{Tag: Null}},
	{name: "keep_power", method: 0x80017F00, argument: Data{Tag: Null}, note: "The meter refuses to trip until keep_power_off."},
	{name: "keep_power_off", method: 0x80018000, argument: Data{Tag: Null}},
}

// closing is the argument of the method that closes a relay.
func closing(how int64) Data {
	return ArrayOf(StructureOf(NumberOf(TagOAD, int64(oadRelay)), NumberOf(Enum, how)))
}

// relayVerb returns the actions of the verb relay. To close may take a password, where the meter has the
// method for it.
func relayVerb() (verb []protocol.Action) {
	for _, a := range relayActions {
		action := protocol.Action{Name: a.name, Watched: true}
		if a.name == "close" || a.name == "permit_close" {
			action.Keys = []protocol.Key{levelKey}
		}
		verb = append(verb, action)
	}
	return verb
}

// planRelay plans a method of remote control. Its time tag says when it was sent and for how long it is valid,
// by the meter's clock as far as that is known, so that a frame that is late or played again does nothing.
func (c *commander) planRelay() (protocol.Plan, error) {
	i := slices.IndexFunc(relayActions, func(a relayAction) bool { return a.name == c.Action })
	if i < 0 {
		return protocol.Plan{}, c.unknownAction(protocol.VerbRelay)
	}
	if c.Deadline <= 0 {
		return protocol.Plan{}, badRequest("a relay command must be valid for some time after it is sent, not %s", c.Deadline)
	}
	action := &relayActions[i]
	entry := Entry{OAD: action.method, Data: action.argument}
	if level := c.Arguments.Text(keyLevel); level != "" {
		password, ok := c.Passwords[level]
		if !ok {
			return protocol.Plan{}, badRequest("there is no password of level %s for meter %s: add it, level first, to %s", level, c.address, c.Settings.Passwords)
		}
		c.level = level
		entry = byPassword(action, password)
	}
	base := APDU{Service: Action, Choice: Normal, Entries: []Entry{entry}, TimeTag: make([]byte, timeTagSize)}
	plan := c.plan(c.command(base, func(sent time.Time) APDU {
		a := base
		a.TimeTag = timeTag(sent.Add(c.Offset).In(c.zone), c.Deadline)
		return a
	}))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		switch answer := answers[0]; protocol.EndingOf(answer) {
		case protocol.Acknowledged, protocol.Unanswered:
			return c.watchRelay(action).Begin(answer), nil
		case protocol.Refused:
			return c.explainRelay(action), nil
		}
		return c.plan(), nil
	}
	return plan, nil
}

// byPassword is the method that closes a relay by a password, in place of the security module.
func byPassword(action *relayAction, password string) Entry {
	how := action.argument.Items[0].Items
	return Entry{OAD: omdCloseByPassword, Data: ArrayOf(StructureOf(how[0], how[1], OctetsOf(VisibleString, []byte(password))))}
}

// The units of time of a TI.
const (
	spanSeconds = 0
	spanMinutes = 1
)

// timeTag says when a request was sent, and for how long it is valid.
func timeTag(sent time.Time, valid time.Duration) []byte {
	unit, n := byte(spanSeconds), int64(valid/time.Second)
	if n > math.MaxUint16 {
		unit, n = spanMinutes, int64(valid/time.Minute)
	}
	return append(appendMoment(nil, sent), unit, byte(n>>8), byte(n))
}

// watchRelay looks after a relay command what became of it: at the state of the relays, or at status word 3 of a
// meter that refuses that.
func (c *commander) watchRelay(action *relayAction) protocol.Watch {
	look := func(oad OAD) func() protocol.Step {
		return func() protocol.Step { return c.read(mustLookup(oad)) }
	}
	return protocol.Watch{
		Times: protocol.LookTimes(c.Verify),
		Looks: []func() protocol.Step{look(oadRelayState), look(oadStatus3)},
		Plan:  c.plan,
		See: func(look protocol.Answer) protocol.Sight {
			relay := relayState(look)
			return protocol.Sight{State: relay, AsCommanded: action.moves && relay == state(action.open), Enough: !action.moves && relay != ""}
		},
		Report: action.report,
	}
}

func state(open bool) string {
	if open {
		return "open"
	}
	return "closed"
}

// relayState returns "open" or "closed" as the relays or status word 3 show it, empty if they do not.
func relayState(answer protocol.Answer) string {
	for _, name := range []string{relayValue, statusValue} {
		if open, ok := valueOf(answer.Result.Values, name).(bool); ok {
			return state(open)
		}
	}
	return ""
}

// report reports what the looks so far have shown.
func (a *relayAction) report(w protocol.Watched) protocol.Report {
	r := protocol.Report{Relay: w.State, Note: a.note}
	switch {
	case w.Lost && w.State != "":
		r.Readable = a.moves
		r.Note = "What the relay does was read after the command was not answered."
	case w.Lost:
		r.Note = "Neither was the command answered nor could the relay be looked at."
	case w.AsCommanded:
		r.Readable, r.Verified = true, true
	case w.State != "" && a.moves:
		r.Readable, r.Pending = true, true
		r.Note = "The meter took the command, but its relay has not moved yet. It may wait for its trip delay, for the current to fall, or for somebody to press the button at the meter; read relay_open to see when it has moved."
	case w.Failed != nil && w.State == "":
		r.Say("The meter took the command; what became of it could not be read back: " + w.Failed.Error() + ".")
	}
	return r
}

// explainRelay looks for the reason of a refusal: it shows what the relay does, and whether the meter's clock is so
// far off that the command seemed to come from another time.
func (c *commander) explainRelay(action *relayAction) protocol.Plan {
	plan := c.plan(c.read(mustLookup(oadRelayState)))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		r := protocol.Report{Relay: relayState(answers[0])}
		return c.readClock(func(clock protocol.ClockReading, err error) (protocol.Plan, error) {
			if err == nil {
				ahead := clock.Ahead()
				r.Offset = &ahead
				if (ahead - c.Offset).Abs() > c.Deadline {
					r.Note = "By the meter's clock, which is " + ahead.Round(time.Second).String() +
						" ahead of ours, the command was not valid when it came: set the clock with sync_clock, or send the command again now that its offset is known."
				}
			}
			return c.report(r), nil
		}), nil
	}
	return plan
}
