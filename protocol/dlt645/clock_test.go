package dlt645

import (
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// Whoever reads the clock learns what it showed, also if he did not mean to set it.
func TestReadTellsClock(t *testing.T) {
	want := time.Date(2026, 11, 21, 18, 0, 5, 0, shanghai)
	for _, test := range []struct {
		version Version
		item    string
		answer  []byte
		want    time.Time
	}{
		{V2007, "clock", value(meterA, diClock, fromHex("05 00 18 06 21 11 26")...), want},
		{V2007, "0400010C", value(meterA, diClock, fromHex("05 00 18 06 21 11 26")...), want},
		{V2007, "clock", value(meterA, diClock, fromHex("FF FF FF FF FF FF FF")...), time.Time{}},
		{V2007, "clock_date", value(meterA, diDate, fromHex("06 21 11 26")...), time.Time{}},
		{V2007, "status_3", status3(0), time.Time{}},
		{V1997, "clock_block", wire(meterA, 0x81, fromHex("1FC0 06 21 11 26 05 00 18 AA")...), want},
		{V1997, "clock_block", wire(meterA, 0x81, fromHex("1FC0 06 21 11 26")...), time.Time{}},
		{V1997, "clock_time", wire(meterA, 0x81, fromHex("11C0 05 00 18")...), time.Time{}},
	} {
		plan, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbRead, Address: meterA, Items: []string{test.item}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, result, err := plan.Steps[0].First.Take(test.answer)
		if err != nil || !result.Clock.Equal(test.want) {
			t.Errorf("%s of %X shows %s, %v, want %s", test.item, test.answer, result.Clock, err, test.want)
		}
	}
}
