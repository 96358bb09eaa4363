package dlt645

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// TestPartsOfABlock reads blocks as such from meters that do not have them. What they have of the parts
// is read, and what they lack is missing as in a block; the block itself is no error then.
func TestPartsOfABlock(t *testing.T) {
	freeze := map[DI][]byte{
		0x05010001: frametest.FromHex("30 15 28 11 26"),
		0x05010101: frametest.FromHex("33 09 00 00"),
	}
	frozen := map[string]string{"instantaneous_freeze_time_1": `"2026-11-28T15:30:00+08:00"`, "instantaneous_freeze_forward_active_energy_block_1": "", "instantaneous_freeze_forward_active_energy_1": "9.33"}
	delete(frozen, "instantaneous_freeze_forward_active_energy_block_1")
	for _, test := range []struct {
		name   string
		item   string
		memory map[DI][]byte
		silent bool
		values map[string]string
		errors map[string]error // nil: a refusal
		asked  int
	}{
		{"a freeze", "05 01 FF 01", freeze, false, frozen, nil, 1 + 12},
		{"a freeze, by a meter that says nothing", "05 01 FF 01", freeze, true, frozen, map[string]error{"0501FF01": protocol.ErrSilent}, 1 + 3},
		{"a freeze of which nothing is there", "05 01 FF 01", nil, false, map[string]string{}, map[string]error{"0501FF01": nil}, 1 + 12},
		{"a silent meter", "05 01 FF 01", nil, true, map[string]string{}, map[string]error{"0501FF01": protocol.ErrSilent}, 1 + 1},
		{
			"the block of voltages", "02 01 FF 00", map[DI][]byte{0x02010100: {0x01, 0x22}, 0x02010300: {0x03, 0x22}}, false,
			map[string]string{"voltage_a": "220.1", "voltage_c": "220.3"}, nil, 1 + 3,
		},
		{
			"a block that is given is taken at its word", "02 01 FF 00", map[DI][]byte{0x0201FF00: {0x01, 0x22}, 0x02010300: {0x03, 0x22}}, false,
			map[string]string{"voltage_a": "220.1"}, nil, 1,
		},
		{"tariffs are not tried one by one", "00 01 FF 00", map[DI][]byte{0x00010000: {0x33, 0x09, 0, 0}}, false, map[string]string{}, map[string]error{"0001FF00": nil}, 1},
	} {
		meter := &testMeter{version: V2007, address: address("112233445566"), memory: test.memory, silent: test.silent}
		item := strings.ReplaceAll(test.item, " ", "")
		for name := range test.errors {
			if name == item {
				test.errors[lookup(t, V2007, item).Name] = test.errors[name]
				delete(test.errors, name)
			}
		}
		o := play(t, plan(t, New(V2007, shanghai), nil, "112233445566", item), meter)
		t.Run(test.name, func(t *testing.T) {
			if test.values == nil {
				test.values = map[string]string{}
			}
			checkEnding(t, o, test.values, test.errors)
			if len(meter.asked) != test.asked {
				t.Errorf("asked %v, want %d", meter.asked, test.asked)
			}
		})
	}
}

// TestClockInParts reads the clock of meters that have it as date and time only.
func TestClockInParts(t *testing.T) {
	for _, test := range []struct {
		version Version
		item    string
		memory  map[DI][]byte
		known   lacks
		values  map[string]string
		asked   int
	}{
		{V2007, "clock", map[DI][]byte{diDate: {0, 0x29, 0x11, 0x26}, diTime: {0x56, 0x34, 0x12}}, nil,
			map[string]string{"clock": `"2026-11-29T12:34:56+08:00"`, "clock_weekday": `"sunday"`}, 3},
		{V2007, "clock_weekday", map[DI][]byte{diDate: {0, 0x29, 0x11, 0x26}, diTime: {0x56, 0x34, 0x12}}, nil,
			map[string]string{"clock_weekday": `"sunday"`}, 3},
		{V2007, "clock", map[DI][]byte{diDate: {0, 0x29, 0x11, 0x26}, diTime: {0x56, 0x34, 0x12}}, lacks{learnedClock},
			map[string]string{"clock": `"2026-11-29T12:34:56+08:00"`, "clock_weekday": `"sunday"`}, 2},
		{V2007, "clock", map[DI][]byte{diDate: {7, 0x29, 0x11, 0x26}, diTime: {0x56, 0x34, 0x00}}, nil, // after midnight both are read once more
			map[string]string{"clock": `"2026-11-29T00:34:56+08:00"`, "clock_weekday": `null`}, 3},
		{V2007, "clock", map[DI][]byte{diDate: {7, 0x29, 0x11, 0x26}, diTime: {0x56, 0x04, 0x00}}, nil,
			map[string]string{"clock": `"2026-11-29T00:04:56+08:00"`, "clock_weekday": `null`}, 5},
		{V2007, "clock", map[DI][]byte{diDate: {0, 0, 0, 0}, diTime: {0x56, 0x04, 0x00}}, nil,
			map[string]string{"clock": `null`, "clock_weekday": `null`}, 3},
		{V1997, "clock", map[DI][]byte{diDate1997: {0, 0x29, 0x11, 0x26}, diTime1997: {0x56, 0x34, 0x12}}, nil,
			map[string]string{"clock": `"2026-11-29T12:34:56+08:00"`, "clock_date": `"2026-11-29"`, "clock_date_weekday": `"sunday"`, "clock_time": `"12:34:56"`}, 3},
		{V1997, "clock", map[DI][]byte{diClock1997: {0, 0x29, 0x11, 0x26, 0x56, 0x34, 0x12}}, nil,
			map[string]string{"clock": `"2026-11-29T12:34:56+08:00"`, "clock_date": `"2026-11-29"`, "clock_date_weekday": `"sunday"`, "clock_time": `"12:34:56"`}, 1},
	} {
		for _, pattern := range []string{"112233445566", "AAAAAAAAAAAA"} {
			if pattern == "AAAAAAAAAAAA" && (test.known != nil || test.version == V2007) {
				continue
			}
			meter := &testMeter{version: test.version, address: address("112233445566"), memory: test.memory}
			o := play(t, plan(t, New(test.version, shanghai), test.known, pattern, test.item), meter)
			if !reflect.DeepEqual(o.values, test.values) || len(o.errors) > 0 || len(meter.asked) != test.asked {
				t.Errorf("%s, %s from %s: %v, %v, asked %v", test.version, test.item, pattern, o.values, o.errors, meter.asked)
			}
		}
	}
	// Beside others, and with nothing there at all.
	meter := testMeter2007()
	meter.memory[diDate], meter.memory[diTime] = []byte{0, 0x29, 0x11, 0x26}, []byte{0x56, 0x34, 0x12}
	o := play(t, plan(t, New(V2007, shanghai), nil, "112233445566", "clock", "voltage_a"), meter)
	if o.values["clock"] == "" || o.values["voltage_a"] != "220.1" || len(o.errors) > 0 {
		t.Errorf("%+v", o)
	}
	o = play(t, plan(t, New(V2007, shanghai), nil, "112233445566", "clock", "voltage_a"), testMeter2007())
	var refusal *protocol.Refusal
	if o.values["voltage_a"] != "220.1" || !errors.As(o.errors["clock"], &refusal) || len(o.errors) != 1 {
		t.Errorf("%+v", o)
	}
}
