package dlt645

import (
	"slices"
	"strings"

	"dlt645-mqtt/protocol"
)

// planMaintenance plans an action of the verb maintenance.
func (c *commander) planMaintenance() (protocol.Plan, error) {
	actions := []struct {
		name string
		plan func() (protocol.Plan, error)
	}{
		{"sync_clock", c.planSyncClock},
		{"freeze", c.planFreeze},
		{"clear_demand", c.planClearDemand},
		{"clear_events", c.planClearEvents},
		{"clear_meter", c.planClearMeter},
		{"set_address", c.planSetAddress},
		{"set_baud", c.planSetBaud},
		{"set_password", c.planSetPassword},
		{"output", c.planOutput},
	}
	var names []string
	for _, action := range actions {
		if action.name == c.Action {
			return action.plan()
		}
		names = append(names, action.name)
	}
	return protocol.Plan{}, c.unknownAction(names)
}

// planClearDemand plans to begin the maximum demands of the month anew: function 19H, PA P0 P1
// P2 and C0 to C3 (clause 7.10 of DL/T 645-2007), and 10H of 1997, without an operator.
func (c *commander) planClearDemand() (protocol.Plan, error) {
	data, err := c.credentials(levelOfWriting)
	if err != nil {
		return protocol.Plan{}, err
	}
	function := FunctionClearDemand
	if c.version == V1997 {
		function = FunctionClearDemand1997
	}
	return c.plan(c.send(function, data)), nil
}

// planClearMeter plans to clear energies, demands, freezes, load records and events: function
// 1AH, PA P0 P1 P2 and C0 to C3. Clause 7.11 of DL/T 645-2007.
func (c *commander) planClearMeter() (protocol.Plan, error) {
	if c.version == V1997 {
		return protocol.Plan{}, c.lacking("no function that clears a meter")
	}
	if err := c.confirmed("clear_meter erases what the meter has counted and recorded, for good"); err != nil {
		return protocol.Plan{}, err
	}
	data, err := c.credentials(levelOfClearing)
	if err != nil {
		return protocol.Plan{}, err
	}
	return c.plan(c.send(FunctionClearMeter, data)), nil
}

// allEvents stands for every class of events.
const allEvents DI = 0xFFFFFFFF

// planClearEvents plans to forget the events of one class, or all: function 1BH, PA P0 P1 P2,
// C0 to C3 and the identifier of the class, whose DI0 is FF. Clause 7.12 of DL/T 645-2007.
func (c *commander) planClearEvents() (protocol.Plan, error) {
	if c.version == V1997 {
		return protocol.Plan{}, c.lacking("no function that clears events")
	}
	class, err := c.eventClass()
	if err != nil {
		return protocol.Plan{}, err
	}
	data, err := c.credentials(levelOfClearing)
	if err != nil {
		return protocol.Plan{}, err
	}
	return c.plan(c.send(FunctionClearEvents, class.Append(data, V2007))), nil
}

// eventClass returns the class of events that the request means: that of the record or count
// it names. In the tables of the amendments, 10 to 21, DI1 numbers the fields of a record, so
// a name does not tell the class; there the identifier does.
func (c *commander) eventClass() (DI, error) {
	switch c.Item {
	case "":
		return 0, badRequest(`clear_events names the events: an item such as "programming_record_1", the identifier of a class such as "033000FF", or "all"`)
	case "all":
		return allEvents, nil
	}
	di, err := ParseDI(c.Item, V2007)
	if err != nil {
		item, err := c.find(c.Item)
		if err != nil {
			return 0, err
		}
		di = item.DI
	}
	kind := di >> 24
	switch {
	case di == allEvents, kind >= 0x10 && kind <= 0x21 && di&0xFF == 0xFF:
		return di, nil
	case kind == 0x03:
		return di | 0xFF, nil
	case kind >= 0x10 && kind <= 0x21:
		return 0, badRequest("%s does not tell which events to clear: give the identifier of their class, which ends with FF", c.Item)
	}
	return 0, badRequest("%s (%s) is no event", c.Item, di.Format(V2007))
}

// speeds are those of a baud word, of bit 1 first.
var speeds = [...]int64{600, 1200, 2400, 4800, 9600, 19200}

// planSetBaud plans to give the meter another speed: function 17H, or 0CH in 1997, with one
// bit of Z set. The meter repeats Z at the old speed and then uses the new one. Clause 7.8 of
// DL/T 645-2007.
func (c *commander) planSetBaud() (protocol.Plan, error) {
	function, known := FunctionSetBaud, speeds[:]
	if c.version == V1997 {
		function, known = FunctionSetBaud1997, speeds[:len(speeds)-1]
	}
	i := slices.Index(known, c.Baud)
	if i < 0 {
		return protocol.Plan{}, badRequest("%d bit/s is no speed of DL/T 645-%s: there are %v", c.Baud, c.version, known)
	}
	if err := c.confirmed("a meter that has another speed than the bus is not heard any more"); err != nil {
		return protocol.Plan{}, err
	}
	z := []byte{1 << (i + 1)}
	answer := &awaited{from: c.address, function: function, data: shifted(z), most: len(z), refusable: true}
	step := c.command(c.address, function, z, answer)
	return c.plan(step).Noted("The meter has the new speed from now on, and the bridge does not follow: it reaches the meter again once baud in " + c.Settings.Bus + " is changed. Other meters on the wire keep their speed."), nil
}

// diPasswords is the identifier before that of the password of level 0.
const diPasswords DI = 0x04000C00

// planSetPassword plans to change the password of a level: function 18H, DI, PA P0 P1 P2 of
// the old one and of the new (clause 7.9 of DL/T 645-2007), and 0FH of 1997, without DI. The
// meter repeats the new one.
func (c *commander) planSetPassword() (protocol.Plan, error) {
	if c.Level == "" {
		return protocol.Plan{}, badRequest(`set_password changes the password of one level: name it as "level", such as "04"`)
	}
	password, err := reversedDigits(c.NewPassword, 3)
	if err != nil {
		return protocol.Plan{}, badRequest("the new password is not six digits")
	}
	if err := c.confirmed("set_password shuts out everybody who has the old password"); err != nil {
		return protocol.Plan{}, err
	}
	from, err := c.authorise("")
	if err != nil {
		return protocol.Plan{}, err
	}
	level := from[0]
	if level > 9 {
		return protocol.Plan{}, badRequest("there is no level %s: the levels are 00 to 09", c.Level)
	}
	to := append([]byte{level}, password...)
	function, data := FunctionSetPassword1997, slices.Concat(from, to)
	if c.version == V2007 {
		function, data = FunctionSetPassword, (diPasswords+1+DI(level)).Append(nil, V2007)
		data = slices.Concat(data, from, to)
	}
	answer := &awaited{from: c.address, function: function, data: shifted(to), most: len(to), refusable: true}
	if namesItem(function, c.version) {
		answer.item = shifted(data[:diSize(c.version)])
	}
	step := c.command(c.address, function, data, answer)
	return c.plan(step).Noted("The bridge still has the old password of level " + c.Level + ": put the new one into " + c.Settings.Passwords + ", or into the file " + c.Settings.PasswordsFile + ", and start it again, before the meter locks after some wrong ones."), nil
}

// outputSignals are those that the multifunction terminal may have, by their code.
var outputSignals = []string{"second", "demand_period", "tariff_switch"}

// planOutput plans to put a signal on the multifunction terminal: function 1DH, which came
// with the amendments.
func (c *commander) planOutput() (protocol.Plan, error) {
	if c.version == V1997 {
		return protocol.Plan{}, c.lacking("no function for the multifunction terminal")
	}
	i := slices.Index(outputSignals, c.Signal)
	if i < 0 {
		return protocol.Plan{}, badRequest("there is no signal %q: the signals are %s", c.Signal, strings.Join(outputSignals, ", "))
	}
	return c.plan(c.send(FunctionOutput, []byte{byte(i)})), nil
}
