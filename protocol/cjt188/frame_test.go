package cjt188

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// TestPublishedFrames reads every published frame and writes it again out of its parts.
func TestPublishedFrames(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Frame, func(t *testing.T) {
			b := frametest.FromHex(v.Frame)
			frame, err := ParseFrame(b)
			if err != nil {
				t.Fatal(err)
			}
			di, order := IdentifierIn(frame.Data)
			if frame.Type.String() != v.Type || frame.Address.String() != v.Address || frame.Control.String() != v.Control || di.String() != v.DI ||
				(order == LowFirst) != v.LowFirst || int(frame.Data[2]) != v.Ser {
				t.Errorf("read as %s %s %s %s %v %d, want %+v", frame.Type, frame.Address, frame.Control, di, order, frame.Data[2], v)
			}
			ofMeter, wantDI := address(v.Address), v.DI
			parsed, err := ParseDI(wantDI)
			if err != nil {
				t.Fatal(err)
			}
			data := append(parsed.Append(nil, order), byte(v.Ser))
			again, err := Frame{frame.Type, ofMeter, frame.Control, append(data, frame.Data[3:]...)}.AppendBinary(nil)
			if want := octet.TrimWakeUp(b); err != nil || !bytes.Equal(again, want) {
				t.Errorf("written again as %X, %v", again, err)
			}
			if !IsFrame(again) {
				t.Error("it is not recognised")
			}
		})
	}
}

// TestPublishedValues reads what the published frames carry.
func TestPublishedValues(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Frame, func(t *testing.T) {
			d, err := Describe(frametest.FromHex(v.Frame), shanghai)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Protocol, Direction, Address, Type, Control, DI string
				Ser                                             int
				Values                                          map[string]json.RawMessage
				Units                                           map[string]string
			}
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if got.Protocol != "188" || got.Address != v.Address || got.Type != v.Type || got.Control != v.Control || got.DI != v.DI || got.Ser != v.Ser {
				t.Errorf("described as %s", text)
			}
			if (got.Direction == "response") != d.Frame.Control.FromMeter() {
				t.Errorf("direction %s of control code %s", got.Direction, v.Control)
			}
			var want map[string]json.RawMessage
			if err := json.Unmarshal(v.Values, &want); err != nil {
				t.Fatal(err)
			}
			for name, value := range want {
				if string(got.Values[name]) != string(value) {
					t.Errorf("%s is %s, want %s", name, got.Values[name], value)
				}
			}
			if len(got.Values) != len(want) {
				t.Errorf("%d values, want %d: %s", len(got.Values), len(want), text)
			}
			for name, unit := range v.Units {
				if got.Units[name] != unit {
					t.Errorf("%s is in %q, want %q", name, got.Units[name], unit)
				}
			}
		})
	}
}

func TestParseFrameRefuses(t *testing.T) {
	for _, row := range []struct{ frame, want string }{
		{"", "no frame"},
		{"FEFE", "no frame"},
		{"69100100000508000001031F90003916", "begins with 69H"},
		{"AA68100100000508000001031F90003916", "begins with AAH"},
		{"6810010000050800", "at least 13"},
		{"68100100000508000001031F90003816", "checksum is 38H, should be 39H"},
		{"68100100000508000001031F90003917", "end byte is 17H"},
		{"68100100000508000001041F90003916", "cut short"},
		{"68100100000508000001031F9000391616", "something follows"},
		{"68 10 44 33 22 11 00 33 78 81 16 1F 90 00 00 77 66 55 2C 00 77 66 55 2C 31 01 22 11 05 15 20 21 84 08 16", "checksum is 08H, should be 13H"},
	} {
		if f, err := ParseFrame(frametest.FromHex(row.frame)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s reads as %v, %v, want an error with %q", row.frame, f, err, row.want)
		}
	}
}

func TestAppendRefusesTooMuch(t *testing.T) {
	if b, err := (Frame{Data: make([]byte, 256)}).AppendBinary(nil); err == nil {
		t.Errorf("256 bytes of data became %X", b)
	}
}

func TestParseAddress(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"1", "00000000000001"},
		{"00001234567890", "00001234567890"},
		{"78330011223344", "78330011223344"},
		{"AAAAAAAAAAAAAA", "AAAAAAAAAAAAAA"},
		{"aaaaaaaaaaaaaa", "AAAAAAAAAAAAAA"},
		{"", ""}, {"123456789012345", ""}, {"AAAA", ""}, {"12x", ""}, {"１２", ""}, {"AA000000000001", ""}, {"99999999999999", ""},
	} {
		a, err := ParseAddress(row.text)
		if (err == nil) != (row.want != "") || err == nil && a.String() != row.want {
			t.Errorf("%q reads as %s, %v, want %s", row.text, a, err, row.want)
		}
	}
}

// TestTypes holds the table of types.
func TestTypes(t *testing.T) {
	for _, row := range []struct {
		t      Type
		valid  bool
		family family
		name   string
	}{
		{0x10, true, water, "cold_water"}, {0x13, true, water, "reclaimed_water"}, {0x19, true, water, "water"},
		{0x20, true, heat, "heat"}, {0x21, true, cooling, "cooling"}, {0x22, true, heat, "heat_and_cooling"},
		{0x30, true, gas, "gas"}, {0x40, true, other, "other"}, {0x49, true, other, "other"},
		{0x00, false, "", "other"}, {0x1A, false, "", "water"}, {0x50, false, "", "other"}, {AnyType, false, "", "any"},
	} {
		if row.t.IsValid() != row.valid || row.valid && row.t.family() != row.family || row.t.Name() != row.name {
			t.Errorf("%s: valid %v, family %q, %s", row.t, row.t.IsValid(), row.t.family(), row.t.Name())
		}
	}
}
