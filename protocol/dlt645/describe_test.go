package dlt645

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol/frametest"
)

// A testCase is one line of a file in testdata. Lines that begin with # are remarks.
type testCase struct {
	Frame string          // hex, as captured
	Note  string          // what is special about it
	Want  json.RawMessage // good frames: their description
	Error string          // bad frames: a part of the message
}

func cases(t testing.TB, file string) (cases []testCase) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("#")) {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		decoder.DisallowUnknownFields()
		var c testCase
		if err := decoder.Decode(&c); err != nil {
			t.Fatalf("%s: %s: %v", file, lines.Text(), err)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

// Every good frame is described as in the file, and made anew out of its parts.
func TestDescribe(t *testing.T) {
	for _, c := range cases(t, "frames.jsonl") {
		description, err := Describe(frametest.FromHex(c.Frame), 0, shanghai)
		if err != nil {
			t.Errorf("%s (%s): %v", c.Frame, c.Note, err)
			continue
		}
		got, err := json.Marshal(description)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, c.Want) {
			t.Errorf("%s (%s):\n got %s\nwant %s", c.Frame, c.Note, got, c.Want)
		}
		frame, err := ParseFrame(frametest.FromHex(c.Frame))
		if err != nil {
			t.Errorf("%s: %v", c.Frame, err)
		}
		again, err := frame.AppendBinary(nil)
		if err != nil || !strings.HasSuffix(c.Frame, strings.ToUpper(description.Hex)) || !bytes.Equal(again, frametest.FromHex(description.Hex)) {
			t.Errorf("%s: made anew as %X, %v", c.Frame, again, err)
		}
	}
}

// Every bad frame is refused, and the message says why.
func TestDescribeBad(t *testing.T) {
	for _, c := range cases(t, "bad-frames.jsonl") {
		description, err := Describe(frametest.FromHex(c.Frame), 0, shanghai)
		if err == nil || !strings.Contains(err.Error(), c.Error) {
			t.Errorf("%s (%s): got %+v, %v, want an error with %q", c.Frame, c.Note, description, err, c.Error)
		}
	}
}

// What the files do not show: contents that are possible but were never captured.
func TestDescribeContents(t *testing.T) {
	for _, test := range []struct {
		name    string
		control Control
		data    string // clear
		version Version
		want    string // a part of the JSON form, or
		err     string
	}{
		{"ambiguous function, 2007", 0x83, "FF000007 01020304", 0, `"function":"authenticate","di":"070000FF","values":{"data":"01020304"}`, ""},
		{"ambiguous function, 1997", 0x83, "10900500 0000", V1997, `"function":"read_again","di":"9010"`, ""},
		{"unknown function", 0x1F, "0102", 0, `"function":"unknown","di":null,"values":{"data":"0102"},"units":{},"more":false}`, ""},
		{"unknown identifier", 0x91, "010000EF CDAB", 0, `"di":"EF000001","values":{"EF000001":"ABCD"}`, ""},
		{"report answer", 0x06, "01150004 0102", 0, `"function":"report_answer","di":"04001501","values":{"data":"0102"}`, ""},
		{"write at level 98", 0x14, "03010004 98 000000 01000000 1122334455667788 AABBCCDD", 0,
			`"values":{"level":"98","password":"000000","operator_code":"00000001","ciphertext":"1122334455667788","mac":"AABBCCDD"}`, ""},
		{"write at level 99 of an unknown item", 0x14, "010000EF 99 000000 01000000 CDAB AABBCCDD", 0,
			`"values":{"level":"99","password":"000000","operator_code":"00000001","EF000001":"ABCD","mac":"AABBCCDD"}`, ""},
		{"write at level 99 without MAC", 0x14, "010000EF 99 000000 01000000 CDAB", 0, "", "only 2 bytes are left"},
		{"relay in cipher", 0x1C, "98 000000 01000000 0102030405060708090A0B0C0D0E0F1011121314", 0,
			`"operator_code":"00000001","ciphertext":"0102030405060708090A0B0C0D0E0F1011121314"}`, ""},
		{"relay cut short", 0x1C, "02 0000", 0, "", "level and password takes 4 bytes, only 3 are left"},
		{"trip and close again", 0x1C, "02 000000 01000000 1D 03 000000010130", 0, `"action":"trip_reclose","reclose_after":15,`, ""},
		{"a relay command nobody knows", 0x1C, "02 000000 01000000 4D 00 000000010130", 0, `"action":"4D",`, ""},
		{"deadline that is no time", 0x1C, "02 000000 01000000 1A 00 0000000101AB", 0, "", "deadline"},
		{"relay done, with a word", 0x9C, "0400", 0, `"function":"relay","di":null,"values":{"data":"0400"}`, ""},
		{"relay refused, in a word", 0xDC, "2000", 0, `"reasons":["power_kept"]}`, ""},
		{"relay refused, in a long word", 0xDC, "200000", 0, "", "1 to 2 bytes of data, this one has 3"},
		{"refused for two reasons", 0xD1, "06", 0, `"more":false,"reasons":["no_such_data","not_authorised"]}`, ""},
		{"refused for nothing", 0xD1, "00", 0, `"reasons":["other"]}`, ""},
		{"refused without a word", 0xD1, "", 0, "", "this one has 0"},
		{"refused with reserved bits", 0xD1, "84", 0, "", "error code 84H has reserved bits set: 80H"},
		{"refused, 1997, with a reserved bit", 0xC1, "08", 0, "", "reserved bits set: 08H"},
		{"authentication refused", 0xC3, "0801", 0, `"reasons":["authentication_failed","authentication_suspended"]}`, ""},
		{"freeze at once", 0x16, "99999999", 0, `"values":{"at":"99999999"}`, ""},
		{"freeze at no time", 0x16, "9999999A", 0, "", "at is 9A999999, not 8 decimal digits"},
		{"highest speed", 0x17, "40", 0, `"values":{"baud":19200},"units":{"baud":"bit/s"}`, ""},
		{"two speeds", 0x17, "0C", 0, "", "baud word 0CH"},
		{"no speed", 0x17, "01", 0, "", "baud word 01H"},
		{"speed, 1997", 0x0C, "04", 0, `"protocol":"1997","direction":"request","address":"000000000001","control":"0C","function":"set_baud","di":null,"values":{"baud":1200}`, ""},
		{"password, 1997", 0x0F, "00 563412 01 214365", 0, `"values":{"level":"00","password":"123456","new_level":"01","new_password":"654321"}`, ""},
		{"password set, 1997", 0x8F, "01 214365", 0, `"values":{"new_level":"01","new_password":"654321"}`, ""},
		{"clear demand, 1997", 0x10, "01 214365", 0, `"function":"clear_demand","di":null,"values":{"level":"01","password":"654321"}`, ""},
		{"new address, 1997", 0x0A, "665544332211", 0, `"values":{"new_address":"112233445566"}`, ""},
		{"write, 1997", 0x04, "01E0 00 563412 CDAB", 0, `"di":"E001","values":{"level":"00","password":"123456","E001":"ABCD"}`, ""},
		{"read again, 1997, without identifier", 0x03, "", V1997, `"function":"read_again","di":null,"values":{}`, ""},
		{"block count that is no number", 0x11, "00000006 0A", 0, "", "block_count is 0AH"},
		{"read without identifier", 0x11, "000100", 0, "", "the identifier takes 4 bytes, only 3 are left"},
		{"follow-up without SEQ", 0x92, "00000100", 0, "", "SEQ takes 1 bytes, only 0 are left"},
		{"a signal nobody knows", 0x1D, "06", 0, `"values":{"signal":"06"}`, ""},
		{"output done, without the signal", 0x9D, "", 0, `"values":{}`, ""},
		{"more than the function takes", 0x15, "665544332211 77", 0, `"values":{"new_address":"112233445566","data":"77"}`, ""},
		{"time with a wrong digit", 0x08, "000000 01 0A 26", 0, "", "time"},
	} {
		t.Run(test.name, func(t *testing.T) {
			description, err := Describe(wire("1", test.control, frametest.FromHex(test.data)...), test.version, shanghai)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("got %+v, %v, want an error with %q", description, err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(description)
			if err != nil || !strings.Contains(string(got), test.want) {
				t.Errorf("got %s, %v, want %s in it", got, err, test.want)
			}
		})
	}
}

// The measure is less than a microsecond and two allocations a value.
func BenchmarkDecode(b *testing.B) {
	for name, di := range map[string]DI{"one value": 0x02010100, "five values": 0x0001FF00} {
		b.Run(name, func(b *testing.B) {
			item, ok := Items(V2007).Lookup(di)
			if !ok {
				b.Fatal("not in the dictionary")
			}
			data := di.Append(nil, V2007)
			if di == 0x02010100 {
				data = append(data, 0x01, 0x22)
			} else {
				data = append(data, make([]byte, 20)...)
			}
			c := &conversation{meters: New(V2007, time.UTC), address: address("112233445566"), meter: meterAt("112233445566"), item: item}
			answer := wire("112233445566", 0x91, data...)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := c.parsePart(answer, 0, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
