package dlt645

import (
	"errors"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// diStatus3 is status word 3, which shows what the relay does.
const diStatus3 DI = 0x04000503

// relayOpen is the flag that tells what the contacts of the relay do.
const relayOpen = "status_3.relay_open"

// A relayAction is a command of function 1CH.
type relayAction struct {
	name string
	code byte   // N1
	flag string // of status word 3, that reports whether it was protocol.Acknowledged
	set  bool   // what the flag is then
	note string // what a person should know who gives the command, as long as nothing was seen that speaks against it

	// What is said in place of note where the relay was seen to be closed, where it was seen to be
	// open, and where the flag was seen not to be as commanded.
	closed, open, unseen string
}

// says is what a person should know when the relay was last seen like this ("" if it was not seen), and
// the flag as commanded or not.
func (a *relayAction) says(relay string, moved bool) string {
	switch {
	case relay != "" && !moved && a.unseen != "":
		return a.unseen
	case relay == "closed" && a.closed != "":
		return a.closed
	case relay == "open" && a.open != "":
		return a.open
	}
	return a.note
}

// moves reports whether the command moves the contacts of the relay.
func (a *relayAction) moves() bool { return a.flag == relayOpen }

var relayActions = []relayAction{
	{name: "trip", code: 0x1A, flag: relayOpen, set: true},
	{name: "close", code: 0x1C, flag: relayOpen},
	{
		name: "permit_close", code: 0x1B, flag: "status_3.relay_command_open",
		note:   "Most meters do not close the relay by this command: it closes when somebody presses the button at the meter.",
		closed: "The relay is closed; if it had stayed open, it would close when somebody presses the button at the meter.",
		open:   "The relay is still open: it closes when somebody presses the button at the meter.",
	},
	{
		name: "alarm", code: 0x2A, flag: "status_3.pre_trip_alarm", set: true,
		note:   "The meter warns its user of a trip to come; the relay does not move.",
		unseen: "The meter took the command, but its status word shows no alarm; the relay does not move by it.",
	},
	{name: "alarm_off", code: 0x2B, flag: "status_3.pre_trip_alarm", unseen: "The meter took the command, but its status word still shows the alarm."},
	{
		name: "keep_power", code: 0x3A, flag: "status_3.keep_power", set: true,
		note:   "The meter refuses to trip until keep_power_off.",
		unseen: "The meter took the command, but its status word does not show that it keeps the power on: it may trip all the same.",
	},
	{name: "keep_power_off", code: 0x3B, flag: "status_3.keep_power", unseen: "The meter took the command, but its status word still shows that it keeps the power on: it may refuse to trip."},
}

// tripReclose is what 1DH and 1EH do, which the bridge does not send: the relay trips, and closes
// again by itself.
const tripReclose = "trip_reclose"

// relayWord returns the word for N1 of a relay command, empty if there is none.
func relayWord(code byte) string {
	for _, a := range relayActions {
		if a.code == code {
			return a.name
		}
	}
	if code == 0x1D || code == 0x1E {
		return tripReclose
	}
	return ""
}

// planRelay plans a command of function 1CH, which came with the amendments to the 2007
// edition: PA P0 P1 P2, C0 to C3, N1, N2 (reserved), and the deadline ss mm hh DD MM YY after
// which the meter refuses it.
func (c *commander) planRelay() (protocol.Plan, error) {
	i := slices.IndexFunc(relayActions, func(a relayAction) bool { return a.name == c.Action })
	if i < 0 {
		var names []string
		for _, a := range relayActions {
			names = append(names, a.name)
		}
		return protocol.Plan{}, c.unknownAction(names)
	}
	if c.version == V1997 {
		return protocol.Plan{}, c.lacking("no function that moves a relay")
	}
	if c.Deadline <= 0 {
		return protocol.Plan{}, badRequest("a relay command must be valid for some time after it is sent, not %s", c.Deadline)
	}
	data, err := c.credentials(levelOfClearing)
	if err != nil {
		return protocol.Plan{}, err
	}
	action := &relayActions[i]
	data = append(data, action.code, 0)
	plan := c.plan(c.stamped(FunctionRelay, data, "YYMMDDhhmmss", func(sent time.Time) time.Time {
		return sent.Add(c.Deadline + c.Offset)
	}))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		switch answer := answers[0]; protocol.EndingOf(answer) {
		case protocol.Acknowledged, protocol.Unanswered:
			return c.watchRelay(action).Begin(answer), nil
		case protocol.Refused:
			return c.explainRelay(action, answer.Err), nil
		}
		return c.plan(), nil
	}
	return plan, nil
}

// watchRelay looks after a relay command what became of it.
func (c *commander) watchRelay(action *relayAction) protocol.Watch {
	return protocol.Watch{
		Times: protocol.LookTimes(c.Verify),
		Looks: []func() protocol.Step{func() protocol.Step { return c.read(c.address, diStatus3) }},
		Plan:  c.plan,
		See: func(look protocol.Answer) protocol.Sight {
			return protocol.Sight{State: relayState(look), AsCommanded: valueOf(look.Result.Values, action.flag) == action.set}
		},
		Report: action.report,
	}
}

// relayState returns "open" or "closed" as status word 3 tells it, empty if it does not.
func relayState(answer protocol.Answer) string {
	switch valueOf(answer.Result.Values, relayOpen) {
	case true:
		return "open"
	case false:
		return "closed"
	}
	return ""
}

// report reports what the looks so far have shown. A flag of a command that moves nothing, and
// that does not come to be as commanded, is one that the meter does not have.
func (a *relayAction) report(w protocol.Watched) protocol.Report {
	r := protocol.Report{Relay: w.State, Note: a.says(w.State, w.AsCommanded)}
	switch {
	case w.Lost && w.State != "":
		r.Readable = a.moves() || w.AsCommanded
		r.Note = "What the relay does was read after the command was not answered."
	case w.Lost:
		r.Note = "Neither was the command answered nor could the relay be looked at."
	case w.AsCommanded:
		r.Readable, r.Verified = true, true
	case w.State != "" && a.moves():
		r.Readable, r.Pending = true, true
		r.Note = "The meter took the command, but its relay has not moved yet. It may wait for its trip delay, for the current to fall, or for somebody to press the button at the meter; read status_3.relay_open to see when it has moved."
	case w.Failed != nil && w.State == "":
		r.Say("The meter took the command; what became of it could not be read back: " + w.Failed.Error() + ".")
	}
	return r
}

// explainRelay looks for the reason of a refusal: a meter says "not authorised" of a wrong
// password, after the deadline, and if it must keep the power on.
// Some close only after somebody has pressed their button.
func (c *commander) explainRelay(action *relayAction, refusal error) protocol.Plan {
	plan := c.plan(c.read(c.address, diStatus3))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		r := protocol.Report{Relay: relayState(answers[0])}
		if action.name == "trip" && valueOf(answers[0].Result.Values, "status_3.keep_power") == true {
			r.Note = "The meter is told to keep the power on and refuses to trip until keep_power_off."
		}
		return c.readClock(func(clock clockReading, err error) (protocol.Plan, error) {
			if err == nil {
				ahead := clock.Ahead()
				r.Offset = &ahead
				if ahead-c.Offset > c.Deadline {
					r.Say("By the meter's clock, which is " + ahead.Round(time.Second).String() +
						" ahead of ours, the command was no longer valid when it came: set the clock with sync_clock, or send the command again now that its offset is known.")
				}
			}
			if r.Note == "" && action.name == "close" && !errors.Is(refusal, protocol.ErrUnauthorised) {
				r.Note = "Some meters do not close by this command: they take permit_close, and close when somebody presses the button at the meter. If this is one of them, write ?close=permit_close behind its address in " +
					c.Settings.Meters + ", so that Home Assistant sends that."
			}
			return c.report(r), nil
		}), nil
	}
	return plan
}
