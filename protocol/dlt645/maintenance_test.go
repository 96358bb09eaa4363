package dlt645

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

func TestMaintenanceFrames(t *testing.T) {
	for _, test := range []struct {
		version  Version
		action   string
		change   func(*order)
		frame    string
		answer   string
		password string
	}{
		// Frames of the shared tests, and their 1997 twins.
		{V2007, "freeze", func(c *order) { c.At = "99990130" }, "68 230100000000 68 16 04 6334CCCC 3D 16", "96", ""},
		{V2007, "freeze", nil, "68 230100000000 68 16 04 CCCCCCCC 3E 16", "96", ""},
		{V2007, "freeze", func(c *order) { c.At = "2026-11-21T10:30:00+08:00" }, "68 230100000000 68 16 04 63435444 4C 16", "96", ""},
		{V2007, "clear_demand", nil, "68 230100000000 68 19 08 37 456789 34333333 4E 16", "99", "04"},
		{V2007, "clear_meter", nil, "68 230100000000 68 1A 08 35 456789 34333333 4D 16", "9A", "02"},
		{V2007, "clear_events", func(c *order) { c.Item = "all" }, "68 230100000000 68 1B 0C 35 456789 34333333 32323232 1A 16", "9B", "02"},
		{V2007, "clear_events", func(c *order) { c.Item = "030101FF" }, "68 230100000000 68 1B 0C 35 456789 34333333 32343436 22 16", "9B", "02"},
		{V2007, "clear_events", func(c *order) { c.Item = "voltage_loss_record_a_3" }, "68 230100000000 68 1B 0C 35 456789 34333333 32343436 22 16", "9B", "02"},
		{V2007, "set_baud", func(c *order) { c.Baud = 2400 }, "68 230100000000 68 17 01 3B 47 16", "97 08", ""},
		{V2007, "set_baud", func(c *order) { c.Baud = 19200 }, "68 230100000000 68 17 01 73 7F 16", "97 40", ""},
		{V1997, "set_baud", func(c *order) { c.Baud = 600 }, "68 230100000000 68 0C 01 35 36 16", "8C 02", ""},
		{V2007, "set_password", func(c *order) { c.Level, c.NewPassword = "04", "214365" }, "68 230100000000 68 18 0C 383F3337 37 456789 37 987654 FE 16", "98 04 654321", "04"},
		{V1997, "set_password", func(c *order) { c.Level, c.NewPassword = "02", "000000" }, "68 230100000000 68 0F 08 35 456789 35 333333 43 16", "8F 02 000000", "02"},
		{V1997, "clear_demand", nil, "68 230100000000 68 10 04 37 456789 74 16", "90", "04"},
		{V1997, "clear_demand", func(c *order) { c.Level = "02" }, "68 230100000000 68 10 04 35 456789 72 16", "90", "02"},
		{V2007, "output", func(c *order) { c.Signal = "second" }, "68 230100000000 68 1D 01 33 45 16", "9D", ""},
		{V2007, "output", func(c *order) { c.Signal = "demand_period" }, "68 230100000000 68 1D 01 34 46 16", "9D 01", ""},
		{V2007, "output", func(c *order) { c.Signal = "tariff_switch" }, "68 230100000000 68 1D 01 35 47 16", "9D 02", ""},
	} {
		t.Run(fmt.Sprint(test.version, test.action), func(t *testing.T) {
			c := command(test.action)
			c.Confirm = meterB
			if test.change != nil {
				test.change(&c)
			}
			plan := planned(t, test.version, protocol.VerbMaintenance, meterB, c)
			if plan.Permission != protocol.PermitMaintenance || plan.Address.Text != meterB || plan.Level != test.password {
				t.Errorf("%+v, want password %q", plan, test.password)
			}
			control, data, _ := strings.Cut(test.answer, " ")
			answer := wire(meterB, Control(frametest.FromHex(control)[0]), frametest.FromHex(data)...)
			p := perform(t, plan, time.Unix(1e9, 0), says(answer))
			p.expect(t, test.frame)
			if p.ending != protocol.Acknowledged || p.err != nil || p.steps[0].Class != protocol.ClassCommand {
				t.Errorf("ended %d, %v, class %d", p.ending, p.err, p.steps[0].Class)
			}
			if test.password != "" {
				for _, frame := range [][]byte{frametest.FromHex(p.sent[0]), answer} {
					if text := Redact(frame); strings.Contains(text, "456789") || strings.Contains(text, "987654") {
						t.Errorf("%s shows a password", text)
					}
				}
			}

			refusal := perform(t, plan, time.Unix(1e9, 0), says(wire(meterB, Control(frametest.FromHex(control)[0])|refused, 4)))
			if refusal.ending != protocol.Refused || refusal.err != nil || refusal.report != nil || len(refusal.sent) != 1 {
				t.Errorf("refused: ended %d, %v, %s after %v", refusal.ending, refusal.err, summary(refusal.report), refusal.sent)
			}
			silence := perform(t, plan, time.Unix(1e9, 0), says())
			if silence.ending != protocol.Unanswered || silence.err != nil || len(silence.sent) != 1 {
				t.Errorf("unanswered: ended %d, %v after %v", silence.ending, silence.err, silence.sent)
			}
			// The answers of others, and to other functions.
			for _, other := range [][]byte{wire(meterA, Control(frametest.FromHex(control)[0]), frametest.FromHex(data)...), wire(meterB, 0x94), wire(meterB, 0xD1, 2)} {
				if got := perform(t, plan, time.Unix(1e9, 0), says(other)); got.ending != protocol.Unanswered {
					t.Errorf("%X ended it %d", other, got.ending)
				}
			}
		})
	}
}

func TestMaintenanceNotes(t *testing.T) {
	for _, test := range []struct {
		action, note string
		change       func(*order)
		answer       []byte
	}{
		{"set_baud", "baud in BUS", func(c *order) { c.Baud = 2400 }, wire(meterB, 0x97, 8)},
		{"set_password", "PASSWORDS", func(c *order) { c.Level, c.NewPassword = "04", "214365" }, wire(meterB, 0x98, 4, 0x65, 0x43, 0x21)},
	} {
		c := command(test.action)
		c.Confirm = meterB
		test.change(&c)
		plan := planned(t, V2007, protocol.VerbMaintenance, meterB, c)
		p := perform(t, plan, time.Unix(1e9, 0), says(test.answer))
		if p.report == nil || !strings.Contains(p.report.Note, test.note) || strings.Contains(p.report.Note, "If the meter") {
			t.Errorf("%s: %+v", test.action, p.report)
		}
		p = perform(t, plan, time.Unix(1e9, 0), says())
		if p.report == nil || !strings.Contains(p.report.Note, test.note) || !strings.HasPrefix(p.report.Note, "If the meter did it: ") {
			t.Errorf("%s, unanswered: %+v", test.action, p.report)
		}
		// An answer that repeats something else is none.
		other := wire(meterB, Control(test.answer[8]), 4, 1, 1, 1)
		if p = perform(t, plan, time.Unix(1e9, 0), says(other)); p.ending != protocol.Unanswered {
			t.Errorf("%s: %X ended it %d", test.action, other, p.ending)
		}
	}
}

func TestMaintenanceErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		version Version
		action  string
		change  func(*order)
		kind    error
		words   string
	}{
		{"no action", V2007, "reboot", nil, protocol.ErrBadRequest, `"reboot": the actions are sync_clock, freeze, clear_demand, clear_events, clear_meter, set_address, set_baud, set_password, output`},
		{"nothing", V2007, "", nil, protocol.ErrBadRequest, "the actions are"},
		{"freeze 1997", V1997, "freeze", nil, protocol.ErrUnsupported, "1997 has no function that freezes"},
		{"clear meter 1997", V1997, "clear_meter", nil, protocol.ErrUnsupported, "1997 has no function that clears a meter"},
		{"clear events 1997", V1997, "clear_events", nil, protocol.ErrUnsupported, "1997 has no function that clears events"},
		{"output 1997", V1997, "output", nil, protocol.ErrUnsupported, "1997 has no function for the multifunction terminal"},
		{"freeze some day", V2007, "freeze", func(c *order) { c.At = "tomorrow" }, protocol.ErrBadRequest, `"tomorrow" is no time of a freeze`},
		{"freeze at seconds", V2007, "freeze", func(c *order) { c.At = "2026-11-21T10:30:05+08:00" }, protocol.ErrBadRequest, "full minute"},
		{"freeze each hour of a day", V2007, "freeze", func(c *order) { c.At = "99019930" }, protocol.ErrBadRequest, "no pattern"},
		{"freeze each month of a day", V2007, "freeze", func(c *order) { c.At = "01999930" }, protocol.ErrBadRequest, "no pattern"},
		{"freeze each minute of an hour", V2007, "freeze", func(c *order) { c.At = "99990199" }, protocol.ErrBadRequest, "no pattern"},
		{"freeze in month 13", V2007, "freeze", func(c *order) { c.At = "13010000" }, protocol.ErrBadRequest, "no pattern"},
		{"freeze on 30 February", V2007, "freeze", func(c *order) { c.At = "02300000" }, protocol.ErrBadRequest, "no pattern"},
		{"freeze at 24:00", V2007, "freeze", func(c *order) { c.At = "99992400" }, protocol.ErrBadRequest, "no pattern"},
		{"clear meter without confirmation", V2007, "clear_meter", nil, protocol.ErrBadRequest, `erases what the meter has counted and recorded, for good; to show that meter 000000000123 is meant, give its address once more as "confirm"`},
		{"clear by a short address", V2007, "clear_meter", func(c *order) { c.Confirm = "123" }, protocol.ErrBadRequest, "000000000123 is meant"},
		{"clear another meter", V2007, "clear_meter", func(c *order) { c.Confirm = meterA }, protocol.ErrBadRequest, "000000000123 is meant"},
		{"clear demand without password", V2007, "clear_demand", func(c *order) { c.Passwords = nil }, protocol.ErrBadRequest, "level 04"},
		{"clear no events", V2007, "clear_events", nil, protocol.ErrBadRequest, "names the events"},
		{"clear unknown events", V2007, "clear_events", func(c *order) { c.Item = "earthquake" }, protocol.ErrUnknownItem, "earthquake"},
		{"clear a voltage", V2007, "clear_events", func(c *order) { c.Item = "voltage_a" }, protocol.ErrBadRequest, "voltage_a (02010100) is no event"},
		{"clear a field of records", V2007, "clear_events", func(c *order) { c.Item = "10010101" }, protocol.ErrBadRequest, "ends with FF"},
		{"no speed", V2007, "set_baud", func(c *order) { c.Confirm = meterB }, protocol.ErrBadRequest, "0 bit/s is no speed of DL/T 645-2007: there are [600 1200 2400 4800 9600 19200]"},
		{"too fast for 1997", V1997, "set_baud", func(c *order) { c.Confirm, c.Baud = meterB, 19200 }, protocol.ErrBadRequest, "there are [600 1200 2400 4800 9600]"},
		{"speed without confirmation", V2007, "set_baud", func(c *order) { c.Baud = 9600 }, protocol.ErrBadRequest, `as "confirm"`},
		{"password without level", V2007, "set_password", func(c *order) { c.Confirm, c.NewPassword = meterB, "654321" }, protocol.ErrBadRequest, `name it as "level"`},
		{"password of another level", V2007, "set_password", func(c *order) { c.Confirm, c.NewPassword, c.Level = meterB, "654321", "03" }, protocol.ErrBadRequest, "no password of level 03"},
		{"password of no level", V2007, "set_password", func(c *order) {
			c.Confirm, c.NewPassword, c.Level, c.Passwords = meterB, "654321", "10", map[string]string{"10": "000000"}
		}, protocol.ErrBadRequest, "the levels are 00 to 09"},
		{"a short password", V2007, "set_password", func(c *order) { c.Confirm, c.NewPassword, c.Level = meterB, "65432", "04" }, protocol.ErrBadRequest, "not six digits"},
		{"a password of letters", V2007, "set_password", func(c *order) { c.Confirm, c.NewPassword, c.Level = meterB, "65432A", "04" }, protocol.ErrBadRequest, "not six digits"},
		{"password without confirmation", V2007, "set_password", func(c *order) { c.NewPassword, c.Level = "654321", "04" }, protocol.ErrBadRequest, `as "confirm"`},
		{"no signal", V2007, "output", nil, protocol.ErrBadRequest, "the signals are second, demand_period, tariff_switch"},
	} {
		c := command(test.action)
		if test.change != nil {
			test.change(&c)
		}
		_, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbMaintenance, Address: meterAt(meterB), Command: c.command()}, nil)
		t.Run(test.name, func(t *testing.T) { isError(t, err, test.kind, test.words) })
	}
}

func TestFreezePatterns(t *testing.T) {
	for _, test := range []struct{ at, data string }{
		{"now", "99999999"},
		{"99999999", "99999999"},
		{"99999900", "00999999"}, // every hour
		{"99990130", "30019999"}, // every day
		{"99312359", "59233199"}, // every month that has the day
		{"02290000", "00002902"},
		{"2026-02-03 04:05", "05040302"},
		{"2026-02-03T04:05:00Z", "05120302"},
	} {
		c := command("freeze")
		c.At = test.at
		plan := planned(t, V2007, protocol.VerbMaintenance, meterB, c)
		frame, err := ParseFrame(plan.Steps[0].First.Request)
		if got := fmt.Sprintf("%X", frame.Data); err != nil || got != test.data {
			t.Errorf("%s: %s, %v, want %s", test.at, got, err, test.data)
		}
	}
}
