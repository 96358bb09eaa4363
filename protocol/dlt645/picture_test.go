package dlt645

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

func decimal(t testing.TB, text string) protocol.Decimal {
	t.Helper()
	d, err := protocol.ParseDecimal(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return d
}

func equalData(a, b any) bool { return reflect.DeepEqual(a, b) }

func mustPicture(t testing.TB, text string) Picture {
	t.Helper()
	p, err := ParsePicture(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestPicture goes both ways: the bytes decode to the value, the value encodes to them.
func TestPicture(t *testing.T) {
	tests := []struct {
		picture, data string
		want          any
	}{
		{"XXXXXX.XX", "78 56 34 12", decimal(t, "123456.78")},
		{"XXXXXX.XX", "99 99 99 99", decimal(t, "999999.99")},
		{"±XXXXXX.XX", "99 99 99 79", decimal(t, "799999.99")},
		{"±XX.XXXX", "56 34 80", decimal(t, "-0.3456")},
		{"±XXX.X", "56 82", decimal(t, "-25.6")},
		{"±X.XXX", "00 90", decimal(t, "-1.000")},
		{"XXX.X", "01 22", decimal(t, "220.1")},
		{"XXX", "20 02", decimal(t, "220")},
		{"NN", "15", decimal(t, "15")},
		{"NNNN", "54 02", decimal(t, "254")},
		{"XXXXXXXX", "01 00 00 00", decimal(t, "1")},
		{"NNNNNN.N", "67 45 23 01", decimal(t, "123456.7")},
		{"NNNNNNNNNNNN", "91 40 02 01 18 07", "071801024091"},
		{"NNNNNNNN", "56 34 12 02", "02123456"},
		{"YYMMDDhhmm", "30 15 01 08 23", "2023-08-01T15:30:00+08:00"},
		{"YYMMDDhhmmss", "12 35 14 20 10 14", "2014-10-20T14:35:12+08:00"},
		{"YYMMDDhh", "00 01 01 24", "2024-01-01T00:00:00+08:00"},
		{"YYMMDDWWhhmmss", "00 00 18 06 21 11 26", "2026-11-21T18:00:00+08:00"},
		{"YYMMDDWW", "06 15 06 24", "2024-06-15"},
		{"YYMMDD", "29 02 24", "2024-02-29"},
		{"hhmmss", "00 00 18", "18:00:00"},
		{"hhmm", "30 23", "23:30"},
		{"MMDDhhmm", "30 15 01 08", "08-01 15:30"},
		{"MMDDhh", "15 29 02", "02-29 15:00"},
		{"MMDD", "01 01", "01-01"},
		{"DDhh", "00 01", "01 00:00"},
		{"MMDDNN", "02 15 06", map[string]any{"start": "06-15", "table": decimal(t, "2")}},
		{"hhmmNN", "04 30 23", map[string]any{"start": "23:30", "tariff": decimal(t, "4")}},
		{"YYMMDDNN", "01 01 10 26", map[string]any{"date": "2026-10-01", "table": decimal(t, "1")}},
		{"WW", "00", "sunday"},
		{"ASCII:6", "56 30 2E 30 32 32", "220.0V"},
		{"ASCII:6", "00 00 41 30 2E 35", "5.0A"},
		{"ASCII:2", "00 00", ""},
		{"HEX:4", "00 FF 01 00", "0001FF00"},
		{"bit16", "10 80", "8010"},
		{"bit8", "FF", "FF"},
		{"XX.XXXX", "FF FF FF", nil},
		{"±XX.XXXX", "FF FF FF", nil},
		{"YYMMDDhhmm", "FF FF FF FF FF", nil},
		{"bit16", "FF FF", nil},
		{"NNNNNNNN", "FF FF FF FF", nil},
		{"MMDDNN", "FF FF FF", nil},
	}
	for _, test := range tests {
		p := mustPicture(t, test.picture)
		data := frametest.FromHex(test.data)
		if p.Size() != len(data) || p.String() != test.picture {
			t.Errorf("%s is %q of %d bytes, want %d", test.picture, p, p.Size(), len(data))
		}
		if got, err := p.Decode(data, shanghai); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s of %s = %v, %v, want %v", test.picture, test.data, got, err, test.want)
		}
		if got, err := p.Append([]byte{0x55}, test.want, shanghai); err != nil || !bytes.Equal(got, append([]byte{0x55}, data...)) {
			t.Errorf("%s encodes %v as %X, %v, want 55 %s", test.picture, test.want, got, err, test.data)
		}
	}
}

func TestPictureDecodesToNothing(t *testing.T) {
	tests := []struct {
		picture, data string
		want          any
	}{
		{"±XX.XXXX", "00 00 80", decimal(t, "0.0000")}, // minus zero
		{"YYMMDDhhmm", "00 00 00 00 00", nil},
		{"YYMMDDhhmmss", "00 00 00 00 00 00", nil},
		{"MMDDhhmm", "00 00 00 00", nil},
		{"DDhh", "99 99", nil},
		{"MMDDhh", "99 99 99", nil},
		{"MMDDNN", "00 00 00", nil},
		{"hhmmss", "00 00 00", "00:00:00"},
		{"hhmmNN", "00 00 00", map[string]any{"start": "00:00", "tariff": decimal(t, "0")}},
		{"ASCII:4", "41 30 2E 00", ".0A"},
	}
	for _, test := range tests {
		got, err := mustPicture(t, test.picture).Decode(frametest.FromHex(test.data), shanghai)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s of %s = %v, %v, want %v", test.picture, test.data, got, err, test.want)
		}
	}
}

func TestPictureRefusesData(t *testing.T) {
	tests := []struct{ picture, data, want string }{
		{"XXX.X", "01", "1 bytes for XXX.X, which takes 2"},
		{"XXX.X", "1A 22", "byte 1 of 2 is 1AH"},
		{"XXX.X", "01 A2", "byte 2 of 2 is A2H"},
		{"XXX.X", "FF 22", "byte 1 of 2 is FFH"},
		{"XXX", "20 82", "only 3 digits"},
		{"NNNNNNNNNNNN", "91 40 02 0A 18 07", "byte 4 of 6 is 0AH"},
		{"NNNNNNNNN", "30 30 30 30 30", "only 9 digits"},
		{"YYMMDDhhmm", "60 15 01 08 23", "byte 1 is 60H"},
		{"YYMMDDhhmm", "30 24 01 08 23", "byte 2 is 24H"},
		{"YYMMDDhhmm", "30 15 31 06 23", "byte 3 is 31H"},
		{"YYMMDDhhmm", "30 15 29 02 23", "byte 3 is 29H"},
		{"YYMMDDhhmm", "30 15 01 13 23", "byte 4 is 13H"},
		{"YYMMDDhhmm", "30 15 01 08 FF", "byte 5 is FFH"},
		{"hhmmNN", "01 00 24", "byte 3 is 24H"},
		{"MMDDNN", "0A 15 06", "byte 1 of 3 is 0AH"},
		{"WW", "07", "07H is no day of the week"},
		{"ASCII:2", "41 07", "byte 2 of 2 is 07H"},
		{"ASCII:4", "00 41 00 42", "byte 3 of 4 is 00H"},
		{"ASCII:2", "C1 41", "byte 1 of 2 is C1H"},
	}
	for _, test := range tests {
		got, err := mustPicture(t, test.picture).Decode(frametest.FromHex(test.data), shanghai)
		if !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s of %s = %v, %v, want an error with %q", test.picture, test.data, got, err, test.want)
		}
	}
}

func TestPictureTakes(t *testing.T) {
	tests := []struct {
		picture string
		value   any
		want    string
	}{
		{"XXX.X", json.Number("220"), "00 22"},
		{"XXX.X", "220.10", "01 22"},
		{"XXX.X", 220, "00 22"},
		{"XXX.X", int64(5), "50 00"},
		{"±XX.XXXX", json.Number("-0.5"), "00 50 80"},
		{"±XX.XXXX", json.Number("-0"), "00 00 00"},
		{"YYMMDDhhmm", "2023-08-01T07:30:00Z", "30 15 01 08 23"}, // the meter's own time
		{"YYMMDDhhmm", "2023-08-01T15:30:00", "30 15 01 08 23"},
		{"YYMMDDhhmm", "2023-08-01 15:30", "30 15 01 08 23"},
		{"YYMMDDhhmmss", time.Date(2023, 8, 1, 7, 30, 5, 0, time.UTC), "05 30 15 01 08 23"},
		{"bit16", "8a10", "10 8A"},
	}
	for _, test := range tests {
		got, err := mustPicture(t, test.picture).Append(nil, test.value, shanghai)
		if err != nil || !bytes.Equal(got, frametest.FromHex(test.want)) {
			t.Errorf("%s encodes %v as %X, %v, want %s", test.picture, test.value, got, err, test.want)
		}
	}
}

func TestPictureRefusesValues(t *testing.T) {
	tests := []struct {
		picture string
		value   any
		want    string
	}{
		{"XXX.X", json.Number("1000"), "it takes 0.0 to 999.9"},
		{"XXX.X", json.Number("999999999999999999"), "it takes 0.0 to 999.9"},
		{"XXX.X", json.Number("220.11"), "1 digits after the point"},
		{"XXX.X", json.Number("-1"), "it takes 0.0 to 999.9"},
		{"XXX.X", json.Number("1e3"), "not a decimal number"},
		{"XXX.X", "", "not a decimal number"},
		{"XXX.X", true, "not a decimal number"},
		{"XXX.X", 2.5, "not a decimal number"},
		{"±XX.XXXX", json.Number("80"), "it takes -79.9999 to 79.9999"},
		{"±XX.XXXX", json.Number("-80"), "it takes -79.9999 to 79.9999"},
		{"XXX", 1000, "it takes 0 to 999"},
		{"NNNNNNNN", "1234567", "just 8 decimal digits"},
		{"NNNNNNNN", "1234567A", "just 8 decimal digits"},
		{"NNNNNNNN", 12345678, "takes a string"},
		{"YYMMDDhhmm", "2023-02-30T15:30:00+08:00", "takes a date or time like"},
		{"YYMMDDhhmm", "1999-12-31T00:00:00+08:00", "2000 to 2099"},
		{"YYMMDDhhmm", "2023-08-01T15:30:05+08:00", "too fine"},
		{"YYMMDDhh", "2023-08-01T15:30:00+08:00", "too fine"},
		{"YYMMDD", "2023-08-01T15:30:00+08:00", "takes a date or time like"},
		{"hhmmss", "24:00:00", "takes a date or time like"},
		{"DDhh", "32 00:00", "takes a date or time like"},
		{"YYMMDD", 20230801, "takes a string"},
		{"hhmmNN", "08:00", "takes an object"},
		{"hhmmNN", map[string]any{"start": "08:00", "tariff": 100}, "it takes 0 to 99"},
		{"hhmmNN", map[string]any{"start": "25:00", "tariff": 1}, "takes a date or time like"},
		{"hhmmNN", map[string]any{"begin": "08:00", "tariff": 1}, "takes a string"},
		{"WW", "someday", "sunday"},
		{"ASCII:2", "abc", "at most 2"},
		{"ASCII:2", "é", "printable"},
		{"HEX:2", "123", "4 hexadecimal digits"},
		{"bit8", "GG", "2 hexadecimal digits"},
	}
	for _, test := range tests {
		got, err := mustPicture(t, test.picture).Append(nil, test.value, shanghai)
		if !errors.Is(err, protocol.ErrBadRequest) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s encodes %v as %X, %v, want an error with %q", test.picture, test.value, got, err, test.want)
		}
	}
}

func TestParsePictureRefuses(t *testing.T) {
	for _, text := range []string{
		"", "±", "X.", ".X", "XN", "X.X.X", "-XX", "XXXXXXXXXXXXXXXXXXX", "YYMM", "YYDDMM", "ASCII", "ASCII:", "ASCII:0", "HEX:256", "bit7", "bit0", "ABC",
	} {
		if p, err := ParsePicture(text); err == nil {
			t.Errorf("ParsePicture(%q) = %v of %d bytes", text, p, p.Size())
		}
	}
}

// FuzzPicture checks that encoding undoes decoding.
func FuzzPicture(f *testing.F) {
	f.Add("XXXXXX.XX", []byte{0x78, 0x56, 0x34, 0x12})
	f.Add("±XX.XXXX", []byte{0x56, 0x34, 0x80})
	f.Add("±XX.XXXX", []byte{0x00, 0x00, 0x80})
	f.Add("YYMMDDhhmm", []byte{0x30, 0x15, 0x01, 0x08, 0x23})
	f.Add("YYMMDDWW", []byte{0x06, 0x15, 0x06, 0x24})
	f.Add("hhmmNN", []byte{0x04, 0x30, 0x23})
	f.Add("DDhh", []byte{0x99, 0x99})
	f.Add("ASCII:6", []byte{0, 0, 0x41, 0x30, 0x2E, 0x35})
	f.Add("ASCII:3", []byte{0x41, 0x30, 0})
	f.Add("NNNNNNNNN", []byte{1, 2, 3, 4, 5})
	f.Add("bit8", []byte{0xFF})
	f.Fuzz(func(t *testing.T, text string, data []byte) {
		p, err := ParsePicture(text)
		if err != nil {
			return
		}
		value, err := p.Decode(data, shanghai)
		if err != nil {
			if !errors.Is(err, protocol.ErrGarbled) {
				t.Fatalf("%s of %X: %v is no ErrGarbled", text, data, err)
			}
			return
		}
		again, err := p.Append(nil, value, shanghai)
		if err != nil {
			t.Fatalf("%s of %X is %v, which it does not take: %v", text, data, value, err)
		}
		if reread, err := p.Decode(again, shanghai); err != nil || !reflect.DeepEqual(reread, value) {
			t.Fatalf("%s of %X is %v, encoded %X, which is %v, %v", text, data, value, again, reread, err)
		}
		// What has several spellings on the wire: no value, minus zero, a day of the week
		// that is not that of the date, NUL at either end of a text.
		zero := value == any(protocol.Decimal{Scale: p.scale})
		if !bytes.Equal(again, data) && value != nil && !zero && !strings.Contains(text, "WW") && p.kind != characters {
			t.Fatalf("%s of %X is %v, encoded %X", text, data, value, again)
		}
	})
}
