package dlt645

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// writing returns the command to write a value that came as JSON.
func writing(t *testing.T, item, text string) order {
	t.Helper()
	c := command("")
	c.Item = item
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&c.Value); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWriteFrames(t *testing.T) {
	for _, test := range []struct {
		version     Version
		item, value string
		frame       string
	}{
		{V2007, "demand_period", `15`, "68 230100000000 68 14 0D 36343337 37 456789 34333333 48 6A 16"}, // published
		{V2007, "04000103", `"15"`, "68 230100000000 68 14 0D 36343337 37 456789 34333333 48 6A 16"},
		{V2007, "voltage_upper_limit", `253.0`, "68 230100000000 68 14 0E 36413337 37 456789 34333333 6358 EB 16"},
		{V2007, "voltage_upper_limit", `253`, "68 230100000000 68 14 0E 36413337 37 456789 34333333 6358 EB 16"},
		{V2007, "meter_number", `"112233445566"`, "68 230100000000 68 14 12 35373337 37 456789 34333333 998877665544 C0 16"},
		{V2007, "active_combination", `"05"`, "68 230100000000 68 14 0D 34393337 37 456789 34333333 38 5D 16"},
		{V2007, "settlement_day_1", `"01 00:00"`, "68 230100000000 68 14 0E 343E3337 37 456789 34333333 3334 92 16"},
		{
			V2007, "day_periods_1_1", `[{"start":"08:00","tariff":2},{"start":"22:00","tariff":3}]`,
			"68 230100000000 68 14 12 34333437 37 456789 34333333 35333B 363355 86 16",
		},
		{V2007, "holiday_1", `{"date":"2026-10-01","table":1}`, "68 230100000000 68 14 10 34333637 37 456789 34333333 34344359 29 16"},
		{V2007, "auto_display_item_1", `{"auto_display_item_1":"00010000","auto_display_item_1_part":0}`, "68 230100000000 68 14 11 34343737 37 456789 34333333 33333433 33 28 16"},
		{V2007, "auto_display_item_1", `"00010000"`, "68 230100000000 68 14 10 34343737 37 456789 34333333 33333433 F4 16"},
		{V2007, "active_report_reset", `"FFFFFFFFFFFFFFFFFFFFFFFF"`, "68 230100000000 68 14 18 36483337 37 456789 34333333 323232323232323232323232 99 16"},
		{V2007, "04EE0001", `"0A0B0C"`, "68 230100000000 68 14 0F 34332137 37 456789 34333333 3F3E3D C9 16"}, // of a maker
		{V1997, "clock_date", `"2024-06-15"`, "68 230100000000 68 04 0A 43F3 37 456789 39483957 B5 16"},
		{V1997, "schedule_counts", `{"year_zone_count":2,"day_table_count":3,"day_period_count":4,"tariff_count":4,"holiday_count":0}`, "68 230100000000 68 04 0B 52F6 37 456789 3536373733 C3 16"},
		{V1997, "C0FE", `"1122"`, "68 230100000000 68 04 08 31F3 37 456789 5544 29 16"},
	} {
		c := writing(t, test.item, test.value)
		plan := planned(t, test.version, protocol.VerbWrite, meterB, c)
		if plan.Permission != protocol.PermitWrite || plan.Address.Text != meterB || plan.Level != "04" || len(plan.Steps) != 1 {
			t.Errorf("%s: %+v", test.item, plan)
		}
		step := plan.Steps[0]
		if step.Class != protocol.ClassCommand || step.Kind != protocol.KindCommand || step.Repeatable || step.Key != "" || step.First.Stamp != nil {
			t.Errorf("%s: step %+v", test.item, step)
		}
		if got, want := fmt.Sprintf("%X", step.First.Request), strings.ReplaceAll(test.frame, " ", ""); got != want {
			t.Errorf("%s %s: sends\n%s, want\n%s", test.item, test.value, got, want)
		}
		if got := Redact(step.First.Request); strings.Contains(got, "456789") {
			t.Errorf("%s: %s shows the password", test.item, got)
		}
	}
}

func TestWriteReadBack(t *testing.T) {
	const demandPeriod DI = 0x04000103
	begin := time.Date(2026, 11, 21, 18, 0, 0, 0, shanghai)
	ack, ack1997 := wire(meterB, 0x94), wire(meterB, 0x84)
	for _, test := range []struct {
		name        string
		version     Version
		item, value string
		answers     [][]byte
		ending      protocol.Ending
		steps       int
		report      string
		note        string
	}{
		{"as written", V2007, "demand_period", "15", [][]byte{ack, value(meterB, demandPeriod, 0x15)}, protocol.Acknowledged, 2, "readable true verified true pending false demand_period=15", ""},
		{"another value", V2007, "demand_period", "15", [][]byte{ack, value(meterB, demandPeriod, 0x30)}, protocol.Acknowledged, 2, "readable true verified false pending false demand_period=30", "has another value for demand_period"},
		{"no value", V2007, "demand_period", "15", [][]byte{ack, value(meterB, demandPeriod, 0xFF)}, protocol.Acknowledged, 2, "readable true verified false pending false demand_period=<nil>", "another value"},
		{"not to be read", V2007, "demand_period", "15", [][]byte{ack, wire(meterB, 0xD1, 2)}, protocol.Acknowledged, 2, "readable false verified false pending false", "could not be read: the meter refused"},
		{"no answer", V2007, "demand_period", "15", [][]byte{nil, value(meterB, demandPeriod, 0x15)}, protocol.Unanswered, 2, "readable true verified false pending false demand_period=15", "was read after the write was not answered"},
		{"no answer at all", V2007, "demand_period", "15", nil, protocol.Unanswered, 2, "readable false verified false pending false", "could not be read"},
		{"refused", V2007, "demand_period", "15", [][]byte{wire(meterB, 0xD4, 4)}, protocol.Refused, 1, "none", ""},
		{
			"only to be written", V2007, "active_report_reset", `"FFFFFFFFFFFFFFFFFFFFFFFF"`, [][]byte{ack}, protocol.Acknowledged, 1,
			"readable false verified false pending false", "active_report_reset cannot be read",
		},
		{"of a maker", V2007, "04EE0001", `"0a0b0c"`, [][]byte{ack, value(meterB, 0x04EE0001, 0x0C, 0x0B, 0x0A)}, protocol.Acknowledged, 2, "readable true verified true pending false 04EE0001=0A0B0C", ""},
		{"bits", V2007, "active_combination", `"05"`, [][]byte{ack, value(meterB, 0x04000601, 5)}, protocol.Acknowledged, 2, "readable true verified true pending false active_combination=05", ""},
		{
			"a list", V2007, "day_periods_1_1", `[{"start":"08:00","tariff":2},{"start":"22:00","tariff":3}]`,
			[][]byte{ack, value(meterB, 0x04010001, 2, 0, 8, 3, 0, 0x22)}, protocol.Acknowledged, 2,
			"readable true verified true pending false day_periods_1_1=[map[start:08:00 tariff:2] map[start:22:00 tariff:3]]", "",
		},
		{
			"several values", V1997, "schedule_counts", `{"year_zone_count":2,"day_table_count":3,"day_period_count":4,"tariff_count":4,"holiday_count":0}`,
			[][]byte{ack1997, wire(meterB, 0x81, 0x1F, 0xC3, 2, 3, 4, 4, 0, 0xAA)}, protocol.Acknowledged, 2,
			"readable true verified true pending false schedule_counts=map[day_period_count:4 day_table_count:3 holiday_count:0 tariff_count:4 year_zone_count:2]", "",
		},
		{"a date", V2007, "clock_date", `"2026-11-21"`, [][]byte{ack, value(meterB, diDate, 6, 0x21, 0x11, 0x26)}, protocol.Acknowledged, 2, "readable true verified true pending false clock_date=2026-11-21", ""},
		{"a time that has gone on", V2007, "clock_time", `"18:00:00"`, [][]byte{ack, value(meterB, diTime, 2, 0, 0x18)}, protocol.Acknowledged, 2, "readable true verified true pending false clock_time=18:00:02", ""},
		{"another time", V2007, "clock_time", `"18:00:00"`, [][]byte{ack, value(meterB, diTime, 3, 0, 0x18)}, protocol.Acknowledged, 2, "readable true verified false pending false clock_time=18:00:03", "another value"},
		{
			"a clock", V2007, "clock", `"2026-11-21T10:00:00Z"`, [][]byte{ack, value(meterB, diClock, 0x59, 0x59, 0x17, 6, 0x21, 0x11, 0x26)}, protocol.Acknowledged, 2,
			"readable true verified true pending false clock=2026-11-21T17:59:59+08:00", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := perform(t, planned(t, test.version, protocol.VerbWrite, meterB, writing(t, test.item, test.value)), begin, says(test.answers...))
			if p.err != nil || p.ending != test.ending || len(p.steps) != test.steps {
				t.Errorf("ended %d, %v after %d steps, want %d after %d", p.ending, p.err, len(p.steps), test.ending, test.steps)
			}
			for _, step := range p.steps {
				if step.Class != protocol.ClassCommand {
					t.Errorf("a step of class %d", step.Class)
				}
			}
			if got := summary(p.report); got != test.report {
				t.Errorf("reports %s, want %s", got, test.report)
			}
			if p.report != nil && (!strings.Contains(p.report.Note, test.note) || test.note == "" && p.report.Note != "") {
				t.Errorf("notes %q, want %q", p.report.Note, test.note)
			}
		})
	}
}

func TestWriteErrors(t *testing.T) {
	wrong := errors.New("the host's clock is not synchronised")
	for _, test := range []struct {
		version     Version
		item, value string
		change      func(*order)
		kind        error
		words       string
	}{
		{V2007, "", "1", nil, protocol.ErrBadRequest, "names the item"},
		{V2007, "demand_perjod", "1", nil, protocol.ErrUnknownItem, "demand_perjod"},
		{V2007, "status_3", `"0000"`, nil, protocol.ErrBadRequest, "status_3 (04000503) can be read but not written"},
		{V2007, "forward_active_energy", "1.00", nil, protocol.ErrBadRequest, "can be read but not written"},
		{V2007, "active_combination.forward_plus", "true", nil, protocol.ErrBadRequest, "give the value of active_combination"},
		{V2007, "clock_date_weekday", `"sunday"`, nil, protocol.ErrBadRequest, "give the value of clock_date"},
		{V2007, "password_2", `"00123456"`, nil, protocol.ErrBadRequest, "set_password"},
		{V2007, "04000C0B", `"00123456"`, nil, protocol.ErrBadRequest, "set_password"},
		{V1997, "password", `"00123456"`, nil, protocol.ErrBadRequest, "set_password"},
		{V2007, "address", `"000000000002"`, nil, protocol.ErrBadRequest, "set_address"},
		{V2007, "port_1_baud", `"08"`, nil, protocol.ErrBadRequest, "set_baud"},
		{V2007, "0400FF01", `"00123456"`, nil, protocol.ErrBadRequest, "set_password"},
		{V1997, "C2FF", `"00123456"`, nil, protocol.ErrBadRequest, "set_password"},
		{V2007, "040004FF", `"000000000002"`, nil, protocol.ErrBadRequest, "set_address"},
		{V2007, "040007FF", `"0808"`, nil, protocol.ErrBadRequest, "set_baud"},
		{V2007, "040001FF", `"26112106180000"`, func(c *order) { c.Clock = wrong }, protocol.ErrUnsafe, "the host's clock is not synchronised"},
		{V2007, "demand_period", "100", nil, protocol.ErrBadRequest, "bad request: demand_period: 100 does not fit NN: it takes 0 to 99"},
		{V2007, "demand_period", "1.5", nil, protocol.ErrBadRequest, "1.5 does not fit NN"},
		{V2007, "demand_period", "true", nil, protocol.ErrBadRequest, "true does not fit NN"},
		{V2007, "demand_period", "null", nil, protocol.ErrBadRequest, "null is no value"},
		{V2007, "demand_period", "[1]", nil, protocol.ErrBadRequest, "[1] does not fit NN"},
		{V2007, "meter_number", `"12345"`, nil, protocol.ErrBadRequest, "just 12 decimal digits"},
		{V2007, "day_periods_1_1", `[{"start":"08:00","tariff":null}]`, nil, protocol.ErrBadRequest, "null is no value"},
		{V2007, "day_periods_1_1", `[{"start":"08:00"}]`, nil, protocol.ErrBadRequest, "takes an object with"},
		{V1997, "schedule_counts", `4`, nil, protocol.ErrBadRequest, `it has several values, and only one was given: write an object with "year_zone_count"`},
		{V2007, "auto_display_item_1", `{"part":1}`, nil, protocol.ErrBadRequest, `no value "part"`},
		{V2007, "auto_display_item_1", `{"auto_display_item_1_part":1}`, nil, protocol.ErrBadRequest, "a value for auto_display_item_1 is missing"},
		{V2007, "tariff_price_set_1_block", `{"tariff_price_set_1_t3":1.0000}`, nil, protocol.ErrBadRequest, "a value for tariff_price_set_1_t1 is missing"},
		{V2007, "tariff_price_set_1_block", `{"tariff_price_set_1_t1":10000}`, nil, protocol.ErrBadRequest, "tariff_price_set_1_block: tariff_price_set_1_t1: 10000 does not fit NNNN.NNNN: it takes 0.0000 to 9999.9999"},
		{V2007, "04EE0001", "12", nil, protocol.ErrBadRequest, "string of hexadecimal digits"},
		{V2007, "04EE0001", `"123"`, nil, protocol.ErrBadRequest, "string of hexadecimal digits"},
		{V2007, "04EE0001", `"` + strings.Repeat("00", 189) + `"`, nil, protocol.ErrBadRequest, "would take 201 bytes of data in a frame; the most are 200"},
		{V2007, "clock", `"2026-11-21T18:00:00"`, func(c *order) { c.Clock = wrong }, protocol.ErrUnsafe, "the host's clock is not synchronised"},
		{V1997, "clock_time", `"18:00:00"`, func(c *order) { c.Clock = wrong }, protocol.ErrUnsafe, "ours may be wrong"},
		{V2007, "clock_date", `"2026-11-21"`, func(c *order) { c.Now = time.Date(2026, 11, 20, 15, 50, 0, 0, time.UTC) }, protocol.ErrUnsafe, "it is 23:50 where the meter is"},
		{V2007, "clock_date", `"2026-11-21"`, func(c *order) { c.Now = time.Date(2026, 11, 20, 16, 9, 59, 0, time.UTC) }, protocol.ErrUnsafe, "it is 00:09"},
		{V2007, "demand_period", "15", func(c *order) { delete(c.Passwords, "04") }, protocol.ErrBadRequest, "no password of level 04"},
		{V2007, "demand_period", "15", func(c *order) { c.Level = "99" }, protocol.ErrUnsupported, "security module"},
	} {
		c := writing(t, test.item, test.value)
		if test.change != nil {
			test.change(&c)
		}
		_, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbWrite, Address: meterAt(meterB), Command: c.command()}, nil)
		t.Run(test.item+"="+test.value[:min(len(test.value), 30)], func(t *testing.T) { isError(t, err, test.kind, test.words) })
	}
}

// What is allowed where a like thing is not.
func TestWriteAllowed(t *testing.T) {
	for _, test := range []struct {
		item, value string
		change      func(*order)
	}{
		{"infrared_baud", `"08"`, nil},
		{"auto_display_item_1", `{"auto_display_item_1":"FFFFFFFF"}`, nil},
		{"clock_date", `"2026-11-21"`, func(c *order) { c.Now = time.Date(2026, 11, 20, 16, 10, 0, 0, time.UTC) }},
		{"demand_period", "15", func(c *order) { c.Level, c.Passwords = "02", map[string]string{"02": "000000"} }},
		{"demand_period", "15", func(c *order) { c.Clock = errors.New("wrong") }},
	} {
		c := writing(t, test.item, test.value)
		if test.change != nil {
			test.change(&c)
		}
		plan := planned(t, V2007, protocol.VerbWrite, meterB, c)
		if midnight := time.Date(2026, 11, 21, 23, 50, 0, 0, shanghai); !plan.Until.IsZero() != (test.item == "clock_date") || test.item == "clock_date" && !plan.Until.Equal(midnight) {
			t.Errorf("%s may be written until %s", test.item, plan.Until)
		}
	}
}

// TestMomentsToTheLetter writes moments in ways that package time would take and no standard knows.
func TestMomentsToTheLetter(t *testing.T) {
	for _, row := range []struct {
		layout, text string
		ok           bool
	}{
		{time.RFC3339, "2026-11-21T10:30:00+08:00", true},
		{time.RFC3339, "2026-11-21 10:30", true},
		{time.RFC3339, "2026-11-21T10:30:00+24:00", false},
		{time.RFC3339, "2026-11-21T10:30:00,5", false},
		{time.RFC3339, "2026-11-21 9:30", false},
		{time.DateOnly, "2026-11-21", true},
		{time.TimeOnly, "10:30:00", true},
		{time.TimeOnly, "10:30:00.5", false},
		{time.TimeOnly, "10:30:00,0", false},
		{time.TimeOnly, "9:30:00", false},
	} {
		var err error
		if row.layout == time.RFC3339 {
			_, err = parseMoment(row.text, time.UTC)
		} else {
			_, err = parseLayout(row.layout, row.text)
		}
		if (err == nil) != row.ok {
			t.Errorf("%q as %s: %v", row.text, row.layout, err)
		}
	}
}
