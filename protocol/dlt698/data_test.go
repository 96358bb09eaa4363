package dlt698

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// TestData reads a value of every type, writes it again, and shows it.
func TestData(t *testing.T) {
	zone := time.FixedZone("", 8*3600)
	for _, row := range []struct{ tag, wire, want string }{
		{"null", "00", "null"},
		{"array", "01 02 12 09 6D 12 09 6E", "[2413,2414]"},
		{"structure", "02 02 06 00 00 0B B8 1C 07 EA 0A 05 12 1E 00", `[3000,"2026-10-05T18:30:00+08:00"]`},
		{"bool", "03 01", "true"},
		{"bit-string", "04 05 A8", `"10101"`},
		{"double-long", "05 FF FF FF FE", "-2"},
		{"double-long-unsigned", "06 FF FF FF FE", "4294967294"},
		{"octet-string", "09 06 00 00 00 00 00 10", `"000000000010"`},
		{"visible-string", "0A 04 32 32 30 56", `"220V"`},
		{"visible-string that is filled up", "0A 06 32 32 30 56 20 00", `"220V"`},
		{"visible-string that is no text", "0A 02 01 02", `"0102"`},
		{"UTF8-string", "0C 06 E7 94 B5 E8 A1 A8", `"电表"`},
		{"integer", "0F FE", "-2"},
		{"long", "10 FF FE", "-2"},
		{"unsigned", "11 FE", "254"},
		{"long-unsigned", "12 FF FE", "65534"},
		{"long64", "14 FF FF FF FF FF FF FF FE", "-2"},
		{"long64-unsigned", "15 00 00 00 00 00 BC 61 4E", "12345678"},
		{"long64-unsigned of 20 digits", "15 FF FF FF FF FF FF FF FE", `"18446744073709551614"`},
		{"enum", "16 01", "1"},
		{"float32", "17 3D CC CC CD", "0.1"},
		{"float64", "18 3F B9 99 99 99 99 99 9A", "0.1"},
		{"float32 that is no number", "17 7F C0 00 00", `"NaN"`},
		{"date_time", "19 07 E0 0B 09 03 10 28 01 00 64", `"2016-11-09T16:40:01.100+08:00"`},
		{"date", "1A 07 E0 0B 09 03", `"2016-11-09"`},
		{"time", "1B 10 28 01", `"16:40:01"`},
		{"date_time_s", "1C 07 EA 0A 05 00 00 00", `"2026-10-05T00:00:00+08:00"`},
		{"date_time_s that is not set", "1C FF FF FF FF FF FF FF", "null"},
		{"date_time_s of month 17 and day 40", "1C 07 E0 11 28 00 00 00", "null"},
		{"date_time_s of 30 February", "1C 07 E0 02 1E 00 00 00", "null"},
		{"OI", "50 40 01", `"4001"`},
		{"OAD", "51 40 01 02 00", `"40010200"`},
		{"ROAD", "52 50 04 02 00 02 20 21 02 00 00 10 02 00", `{"columns":["20210200","00100200"],"oad":"50040200"}`},
		{"OMD", "53 80 00 81 00", `"80008100"`},
		{"TI", "54 01 00 0F", `"15 min"`},
		{"TSA", "55 07 05 20 16 01 20 00 01", `"201601200001"`},
		{"MAC", "56 04 37 58 35 91", `"37583591"`},
		{"RN", "57 02 01 02", `"0102"`},
		{"Region", "58 00 11 01 11 05", `{"from":1,"kind":0,"to":5}`},
		{"Scaler_Unit", "59 FE 21", `{"exponent":-2,"unit":"kWh"}`},
		{"RSD of the last row", "5A 09 01", `{"last":1,"selector":9}`},
		{"RSD of a range", "5A 02 20 21 02 00 1C 07 EA 0A 03 00 00 00 1C 07 EA 0A 06 00 00 00 00",
			`{"from":"2026-10-03T00:00:00+08:00","interval":null,"oad":"20210200","selector":2,"to":"2026-10-06T00:00:00+08:00"}`},
		{"RSD of several ranges", "5A 03 01 20 21 02 00 11 01 11 02 00", `{"rest":"01202102001101110200","selector":3}`},
		{"RSD of meters", "5A 05 07 EA 0A 03 00 00 00 03 01 07 05 20 16 01 20 00 01", `{"rest":"07EA0A0300000003010705201601200001","selector":5}`},
		{"CSD", "5B 00 20 21 02 00", `"20210200"`},
		{"MS of all", "5C 01", `"01"`},
		{"MS of numbers", "5C 04 02 00 01 00 02", `"040200010002"`},
		{"MS of ranges", "5C 07 01 01 12 00 01 12 00 05", `"070101120001120005"`},
		{"SID", "5D 85 01 02 03 02 AB CD", `"8501020302ABCD"`},
		{"SID_MAC", "5E 85 01 02 03 01 AB 04 01 02 03 04", `"8501020301AB0401020304"`},
		{"COMDCB", "5F 06 02 08 01 00", `{"baud":9600,"data_bits":8,"flow":"none","parity":"even","stop_bits":1}`},
		{"RCSD", "60 02 00 20 21 02 00 01 50 04 02 00 01 00 10 02 00", `["20210200",{"columns":["00100200"],"oad":"50040200"}]`},
	} {
		t.Run(row.tag, func(t *testing.T) {
			wire := frametest.FromHex(row.wire)
			d, rest, err := ParseData(append(wire, 0xEE))
			if err != nil || len(rest) != 1 {
				t.Fatalf("%v, %d bytes are left", err, len(rest))
			}
			if name, _, _ := strings.Cut(row.tag, " "); d.Tag.String() != name {
				t.Errorf("the type is %s", d.Tag)
			}
			if again := d.Append(nil); !bytes.Equal(again, wire) {
				t.Errorf("written as % X", again)
			}
			if got, err := json.Marshal(d.Value(zone)); err != nil || string(got) != row.want {
				t.Errorf("shown as %s (%v), want %s", got, err, row.want)
			}
		})
	}
}

func TestDataRefuses(t *testing.T) {
	for _, row := range []struct{ name, wire, want string }{
		{"nothing", "", "type of a value takes 1 bytes, 0 are left"},
		{"a reserved type", "07 00", "reserved type 7 has a length that nobody knows"},
		{"an array of 65,535", "01 82 FF FF 11 01", "65535 members of array take at least 65535 bytes, 2 are left"},
		{"a string beyond the end", "09 05 01", "octet-string takes 5 bytes, 1 are left"},
		{"bits beyond the end", "04 11 FF FF", "bit-string takes 3 bytes"},
		{"a number cut short", "06 00 00", "double-long-unsigned takes 4 bytes, 2 are left"},
		{"a length of three bytes", "09 83 00 00 01", "the length of octet-string begins with 83H"},
		{"nesting without end", strings.Repeat("02 01 ", 40) + "00", "more than 16 deep"},
		{"nesting in selectors", strings.Repeat("5A 01 20 21 02 00 02 01 ", 20) + "00", "more than 16 deep"},
		{"a selector that is none", "5A 0B 01", "no selector 11"},
		{"a column that is none", "5B 02 01 02 03 04", "choice 2 of a column"},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, _, err := ParseData(frametest.FromHex(row.wire))
			if !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("read as %+v (%v), want an error with %q", d, err, row.want)
			}
		})
	}
}

func TestBits(t *testing.T) {
	d := BitsOf(0x0011, 16)
	if got := d.Append(nil); !bytes.Equal(got, frametest.FromHex("04 10 88 00")) {
		t.Errorf("bits 0 and 4 travel as % X", got)
	}
	if got := d.word(); got != 0x0011 {
		t.Errorf("they come back as %04X", got)
	}
}
