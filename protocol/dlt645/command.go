package dlt645

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// The levels of passwords that commands take unless the request names another; a smaller level
// has more rights. Clauses 7.3 and 7.9 to 7.12 of DL/T 645-2007.
const (
	levelOfClearing = "02" // relay, clear meter, clear events
	levelOfWriting  = "04" // write, clear demand
)

// securityLevels are the words in place of a password level by which a meter knows data that
// its security module has to check: ciphertext, or a message authentication code.
var securityLevels = []string{"96", "98", "99"}

// The keys of commands, beside those that every protocol has.
const (
	keyAt          = "at"
	keyNewAddress  = "address"
	keyConfirm     = "confirm"
	keyBaud        = "baud"
	keySignal      = "signal"
	keyLevel       = "level"
	keyNewPassword = "new_password"
)

// arguments are what the body of a command says.
type arguments struct {
	Item        string // write, clear_events: the name of an item, or its identifier
	Value       any    // write: as decoded with json.Decoder.UseNumber
	At          string // freeze: a moment, a pattern or "now"
	NewAddress  string // set_address
	Confirm     string // what was given to confirm the meter that is meant: its address; or empty
	Baud        int64  // set_baud: bits per second
	Signal      string // output: one of outputSignals
	Level       string // of the password: two digits; empty: the one that the command needs
	NewPassword string // set_password: six digits
}

func argumentsOf(a protocol.Arguments) arguments {
	return arguments{
		Item: a.Text(protocol.ArgumentItem), Value: a[protocol.ArgumentValue], At: a.Text(keyAt), NewAddress: a.Text(keyNewAddress),
		Confirm: a.Text(keyConfirm), Baud: a.Integer(keyBaud), Signal: a.Text(keySignal), Level: a.Text(keyLevel), NewPassword: a.Text(keyNewPassword),
	}
}

// A commander plans what a request wants done to one meter.
type commander struct {
	*Meters
	*protocol.Command
	arguments
	address    Address
	meter      string // the address once more
	permission protocol.Permission
	class      protocol.Class // of the command and of what is read back
	level      string         // of the password in the frames, as in Plan.Level
	clock      *register      // of a read, the whole clock that date and time stand for; else nil
}

// planCommand plans a request to write, to switch, to maintain, or to all meters at once.
func (m *Meters) planCommand(request protocol.Request) (protocol.Plan, error) {
	c := &commander{Meters: m, Command: request.Command, class: protocol.ClassCommand}
	if c.Command == nil {
		return protocol.Plan{}, badRequest("the request to %s does not say what is to be done", request.Verb)
	}
	c.arguments = argumentsOf(c.Arguments)
	plan := c.planWrite
	switch request.Verb {
	case protocol.VerbRelay:
		c.permission, c.class, plan = protocol.PermitRelay, protocol.ClassRelay, c.planRelay
	case protocol.VerbMaintenance:
		c.permission, plan = protocol.PermitMaintenance, c.planMaintenance
	case protocol.VerbBroadcast:
		c.permission, c.address, c.meter = protocol.PermitBroadcast, Broadcast, Broadcast.String()
		return c.planBroadcast()
	default:
		c.permission = protocol.PermitWrite
	}
	if err := c.meet(request.Address.Text); err != nil {
		return protocol.Plan{}, err
	}
	return plan()
}

// meet takes the address of the meter that is meant, which must be one.
func (c *commander) meet(address string) (err error) {
	if c.address, err = ParseAddress(address, c.version); err != nil {
		return badRequest("%w", err)
	}
	if c.isShared(c.address) {
		return badRequest("several meters may answer to %s; a command goes to one meter, by its full address", c.address)
	}
	c.meter = c.address.String()
	return nil
}

// unknownAction is the error for an action that the verb does not have.
func (c *commander) unknownAction(actions []string) error {
	return badRequest("there is no action %q: the actions are %s", c.Action, strings.Join(actions, ", "))
}

// lacking is the error for what an edition of the standard does not have.
func (c *commander) lacking(what string) error {
	return fmt.Errorf("%w: DL/T 645-%s has %s", protocol.ErrUnsupported, c.version, what)
}

// plan returns a plan with these steps.
func (c *commander) plan(steps ...protocol.Step) protocol.Plan {
	return protocol.Plan{Permission: c.permission, Address: c.named(c.address), Steps: steps, Level: c.level}
}

// report is the plan that ends with what is known of the command.
func (c *commander) report(r protocol.Report) protocol.Plan { return c.plan().Reporting(r) }

// authorise returns level and password as they travel, PA P0 P1 P2: those of the level that
// the request names, else of the given one. The error never shows a password.
func (c *commander) authorise(level string) ([]byte, error) {
	if c.Level != "" {
		level = c.Level
	}
	if slices.Contains(securityLevels, level) {
		return nil, fmt.Errorf("%w: level %s is no password but the mark of a frame that the meter's security module checks; send such a frame, made by a key server, with the verb raw",
			protocol.ErrUnsupported, level)
	}
	if len(level) != 2 || strings.Trim(level, "0123456789") != "" {
		// It is not shown: whoever takes it for the list of the configuration writes the password here.
		return nil, badRequest(`"level" is no level of a password: write two digits, such as "02"; the password itself stands in the configuration`)
	}
	digits, ok := c.Passwords[level]
	if !ok {
		return nil, badRequest("there is no password of level %s for meter %s: add it, level first, to %s, or give another level in the request", level, c.meter, c.Settings.Passwords)
	}
	password, err := reversedHex(digits, 3)
	if err != nil {
		return nil, badRequest("the password of level %s for meter %s in %s is not six digits", level, c.meter, c.Settings.Passwords)
	}
	c.level = level
	pa, _ := reversedDigits(level, 1)
	return append(pa, password...), nil
}

// credentials returns what authorises a command in the 2007 edition, PA P0 P1 P2 C0 C1 C2 C3,
// and in that of 1997, which has no operator code, PA P0 P1 P2.
func (c *commander) credentials(level string) ([]byte, error) {
	data, err := c.authorise(level)
	if err != nil || c.version == V1997 {
		return data, err
	}
	operator := make([]byte, 4)
	if c.Operator != "" {
		if operator, err = reversedHex(c.Operator, len(operator)); err != nil {
			return nil, badRequest("the operator code %q is not eight digits", c.Operator)
		}
	}
	return append(data, operator...), nil
}

// confirmed refuses a command that can lose a meter or its data, unless the request confirms
// by its address, in full, which meter is meant.
func (c *commander) confirmed(why string) error {
	if c.Confirm == c.meter {
		return nil
	}
	return badRequest("%s; to show that meter %s is meant, give its address once more as \"confirm\"", why, c.meter)
}

// send is the step that gives the meter a command. The meter acknowledges it, or refuses.
func (c *commander) send(function Function, data []byte) protocol.Step {
	answer := &awaited{from: c.address, function: function, most: maximumData, refusable: true}
	if namesItem(function, c.version) {
		answer.item = shifted(data[:diSize(c.version)])
	}
	return c.command(c.address, function, data, answer)
}

// command is the step that sends a command to an address and awaits its answer.
func (c *commander) command(to Address, function Function, data []byte, answer *awaited) protocol.Step {
	request := Frame{Address: to, Control: Control(function), Data: data}
	return protocol.Step{
		Meter: c.key(c.address), Line: lines[c.version], Class: c.class, Kind: protocol.KindCommand,
		First: protocol.Exchange{
			Request: mustAppend(request),
			Answer:  answer.split,
			Vague:   func([]byte) bool { return true },
			Explain: c.explainer(request, c.version),
			Take:    c.takeAcknowledgement,
		},
	}
}

// stamped is send for data that end with a time, which is put in when the frame goes out: the
// moment that belongs to the end of its sending. Before that it is one of long ago.
func (c *commander) stamped(function Function, data []byte, picture string, moment func(sent time.Time) time.Time) protocol.Step {
	stamp := c.stamp(c.address, function, data, picture, moment)
	step := c.send(function, data)
	step.First.Request, step.First.Stamp = stamp(time.Time{}), stamp
	return step
}

// stamp makes the frame to an address whose data end with the moment that belongs to its sending.
func (m *Meters) stamp(to Address, function Function, data []byte, picture string, moment func(sent time.Time) time.Time) func(sent time.Time) []byte {
	return func(sent time.Time) []byte {
		timed := appendMoment(slices.Clip(data), picture, moment(sent).In(m.zone))
		return mustAppend(Frame{Address: to, Control: Control(function), Data: timed})
	}
}

// takeAcknowledgement reads the answer to a command.
func (c *commander) takeAcknowledgement(answer []byte) (*protocol.Exchange, protocol.Result, error) {
	frame, err := parseAnswer(answer)
	if err != nil {
		return nil, protocol.Result{}, err
	}
	result := protocol.Result{Address: c.named(frame.Address)}
	if frame.Control.Refused() {
		return nil, result, refusedBy(frame, c.version)
	}
	return nil, result, nil
}

// read is the step that reads a register before a command or after it.
func (c *commander) read(address Address, di DI) protocol.Step {
	r := &reader{c.Meters, c.class, nil}
	return r.step(address, register{item: c.itemOf(di)})
}

// valueOf finds a value by its name; nil if there is none.
func valueOf(values []protocol.Value, name string) any {
	for _, value := range values {
		if value.Name == name {
			return value.Data
		}
	}
	return nil
}
