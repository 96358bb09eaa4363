package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestFormats reads a value of each format, and writes it again.
func TestFormats(t *testing.T) {
	for _, row := range []struct {
		format   string
		decimals int
		data     string
		want     string
	}{
		{"XXXXXX.XX", -1, "78563412", "123456.78"}, {"XXX.X", -1, "0122", "220.1"}, {"XXX", -1, "2002", "220"}, {"SXXX.X", -1, "0182", "-20.1"}, {"SXX.XX", -1, "3412", "12.34"},
		{"u8", -1, "FE", "254"}, {"u16", 1, "FE08", "230.2"}, {"u32", 2, "40420F00", "10000.00"}, {"i8", -1, "FE", "-2"}, {"i16", 2, "FEFF", "-0.02"}, {"i32", 2, "FFFFFFFF", "-0.01"}, {"i32", 2, "15CD5B07", "1234567.89"},
		{"f32", -1, "33336643", "230.2"}, {"f32", -1, "00000000", "0"},
		{"ascii", -1, "434241", `"ABC"`}, {"ascii:4", -1, "00434241", `"ABC"`}, {"hex", -1, "0102FF", `"FF0201"`}, {"hex:2", -1, "0102", `"0201"`},
	} {
		f, err := ParseFormat(row.format, row.decimals)
		if err != nil {
			t.Errorf("%s: %v", row.format, err)
			continue
		}
		data, err := hex.DecodeString(row.data)
		if err != nil {
			t.Fatal(err)
		}
		value, err := f.Decode(data)
		text, _ := json.Marshal(value)
		if err != nil || string(text) != row.want {
			t.Errorf("%s: %s reads as %s, %v, want %s", row.format, row.data, text, err, row.want)
		}
		if again, err := f.Append(nil, value); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: %s is written as %X, %v", row.format, text, again, err)
		}
	}
	for _, format := range []string{"XX.XX", "u16", "f32", "ascii:2", "hex"} {
		f, _ := ParseFormat(format, -1)
		size := max(f.Size(), 1)
		if value, err := f.Decode(bytes.Repeat([]byte{0xFF}, size)); value != nil || err != nil {
			t.Errorf("%s: FF reads as %v, %v", format, value, err)
		}
	}
}

func TestFormatsRefuse(t *testing.T) {
	for _, row := range []struct {
		format   string
		decimals int
		want     string
	}{
		{"", -1, "no format"}, {"XX.", -1, "no format"}, {".XX", -1, "no format"}, {"XSX", -1, "no format"}, {"u24", -1, "no format"}, {"f64", -1, "no format"}, {"XXXXXXXXXXXXXXXXXXX", -1, "no format"},
		{"ascii:0", -1, "from 1 to 200"}, {"hex:x", -1, "from 1 to 200"}, {"u16", 10, "more than 9"}, {"XX", 1, "takes no decimals"}, {"f32", 2, "takes no decimals"},
	} {
		if f, err := ParseFormat(row.format, row.decimals); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q is %v, %v, want an error with %q", row.format, f, err, row.want)
		}
	}
	for _, row := range []struct {
		format, data string
	}{{"XX.XX", "3A12"}, {"XX.XX", "12"}, {"u16", "010203"}, {"f32", "0000807F"}, {"ascii", "41FE"}, {"hex:2", "01"}, {"XXX", "2012345678"}} {
		f, err := ParseFormat(row.format, -1)
		if err != nil {
			t.Fatal(err)
		}
		data, _ := hex.DecodeString(row.data)
		if value, err := f.Decode(data); !errors.Is(err, ErrGarbled) || value != nil {
			t.Errorf("%s: %s reads as %v, %v", row.format, row.data, value, err)
		}
	}
	for _, row := range []struct {
		format string
		value  any
	}{
		{"XX.XX", json.Number("1.234")}, {"XX.XX", json.Number("100")}, {"XX.XX", json.Number("-1")}, {"SXX.XX", json.Number("80")}, {"XX.XX", "1"}, {"XX.XX", nil}, {"u8", json.Number("256")}, {"u8", json.Number("-1")},
		{"i8", json.Number("128")}, {"i8", json.Number("-129")}, {"ascii:2", "ABC"}, {"ascii", "Ü"}, {"hex:2", "01"}, {"hex", "0"}, {"hex", json.Number("1")}, {"ascii", ""}, {"XXX", json.Number("1000")},
	} {
		f, err := ParseFormat(row.format, -1)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := f.Append(nil, row.value); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%s: %v is written as %X, %v", row.format, row.value, data, err)
		}
	}
}

// FuzzFormat reads any bytes by any format. What was read is written so that it reads the same again.
func FuzzFormat(f *testing.F) {
	for _, format := range []string{"XXXXXX.XX", "SXX.X", "u16", "i32", "f32", "ascii", "ascii:3", "hex", "hex:2"} {
		f.Add(format, -1, []byte{0x12, 0x34, 0x56, 0x78})
	}
	f.Fuzz(func(t *testing.T, text string, decimals int, data []byte) {
		format, err := ParseFormat(text, decimals)
		if err != nil {
			return
		}
		value, err := format.Decode(data)
		if err != nil {
			if !errors.Is(err, ErrGarbled) || value != nil {
				t.Errorf("%s of %X: %v, %v", text, data, value, err)
			}
			return
		}
		if value == nil || fmt.Sprint(value) == "" {
			return
		}
		again, err := format.Append(nil, value)
		if err != nil {
			if d, ok := value.(Decimal); !ok || d.Coefficient != 0 { // a sign before a zero, or more digits than the picture
				t.Logf("%s of %X: %v is not written: %v", text, data, value, err)
			}
			return
		}
		if read, err := format.Decode(again); err != nil || fmt.Sprint(read) != fmt.Sprint(value) {
			t.Errorf("%s of %X is %v, which is written as %X, which is %v, %v", text, data, value, again, read, err)
		}
	})
}
