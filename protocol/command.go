package protocol

import "time"

// A Command is what a request other than a read wants done. Which fields count depends on
// the verb and the action; a protocol answers ErrBadRequest where one is missing or makes no
// sense.
type Command struct {
	// Action is what to do.
	//
	// Relay: trip, close, permit_close, alarm, alarm_off, keep_power, keep_power_off.
	// Maintenance: sync_clock, freeze, clear_demand, clear_events, clear_meter, set_address,
	// set_baud, set_password, output. Broadcast: time, freeze. Write has none.
	Action string

	Item        string // write, clear_events: the name of an item, or its identifier
	Value       any    // write: JSON as decoded with json.Decoder.UseNumber
	At          string // freeze: a moment, a pattern or "now"
	NewAddress  string // set_address
	Confirm     string // what was given to confirm the meter that is meant: its address; or empty
	Baud        int    // set_baud: bits per second
	Signal      string // output: second, demand_period or tariff_switch
	Level       string // of the password: two digits; empty: the one that the command needs
	NewPassword string // set_password: six digits

	Passwords map[string]string // what is configured for the meter: level (two digits) to six digits
	Operator  string            // operator code, eight digits

	Deadline time.Duration // relay: how long after its sending the frame is valid
	Verify   time.Duration // relay: how long to look whether it has moved
	Offset   time.Duration // what is known of the meter's clock: ahead of ours by so much; 0: nothing

	// Now is the time at which the command is planned, for guards that must know it before
	// anything is read of the meter: no clock is set around midnight. Frames never carry it.
	Now time.Time

	// Clock tells why the meter's clock must not be set by ours; nil if it may.
	Clock error
}

// A Report is what is known of a command beyond its answer.
type Report struct {
	Readable bool // what it did can be read back
	Verified bool // it was, and is as commanded
	Pending  bool // the meter took the command but has not carried it out yet

	Relay string // "open" or "closed" as read back
	Value *Value // write: as read back

	DriftBefore, DriftAfter *time.Duration // sync_clock: how far the meter's clock was, and is, ahead of ours
	Offset                  *time.Duration // the same, where it may be the reason of a refusal

	Note string // what a person should know to act rightly: a sentence
}
