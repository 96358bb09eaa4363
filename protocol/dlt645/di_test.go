package dlt645

import (
	"bytes"
	"testing"

	"dlt645-mqtt/protocol/frametest"
)

func TestDI(t *testing.T) {
	tests := []struct {
		version Version
		text    string
		di      DI
		wire    string
	}{
		{V2007, "00010000", 0x00010000, "00 00 01 00"},
		{V2007, "0280000A", 0x0280000A, "0A 00 80 02"},
		{V2007, "FFFFFFFF", 0xFFFFFFFF, "FF FF FF FF"},
		{V1997, "9010", 0x9010, "10 90"},
		{V1997, "B61F", 0xB61F, "1F B6"},
	}
	for _, test := range tests {
		di, err := ParseDI(test.text, test.version)
		if err != nil || di != test.di || di.Format(test.version) != test.text {
			t.Errorf("ParseDI(%s) = %s, %v", test.text, di.Format(test.version), err)
		}
		if got := di.Append([]byte{0x11}, test.version); !bytes.Equal(got, frametest.FromHex("11"+test.wire)) {
			t.Errorf("%s travels as %X, want 11 %s", test.text, got, test.wire)
		}
	}
	if di, err := ParseDI("0280000a", V2007); err != nil || di != 0x0280000A {
		t.Errorf("in lower case it is %v, %v", di, err)
	}
}

func TestDIHolds(t *testing.T) {
	for _, test := range []struct {
		version      Version
		block, other DI
		want         bool
	}{
		{V2007, 0x04000401, 0x04000401, true},
		{V2007, 0x04000402, 0x04000401, false},
		{V2007, 0x040004FF, 0x04000401, true},
		{V2007, 0x0400FF01, 0x04000401, true},
		{V2007, 0x04FF0401, 0x04000401, true},
		{V2007, 0x04FFFFFF, 0x04000401, true},
		{V2007, 0x0400FF02, 0x04000401, false},
		{V2007, 0xFF000401, 0x04000401, false},
		{V2007, 0x0400040F, 0x04000401, false},
		{V2007, 0x04000401, 0x040004FF, false},
		{V1997, 0xC212, 0xC212, true},
		{V1997, 0xC21F, 0xC212, true},
		{V1997, 0xC2F2, 0xC212, true},
		{V1997, 0xCF12, 0xC212, true},
		{V1997, 0xF212, 0xC212, false},
		{V1997, 0xC22F, 0xC212, false},
	} {
		if got := test.block.holds(test.other, test.version); got != test.want {
			t.Errorf("%s holds %s: %t", test.block.Format(test.version), test.other.Format(test.version), got)
		}
	}
}

func TestParseDIRefuses(t *testing.T) {
	for _, text := range []string{"", "9010", "0001000", "000100000", "+0010000", "0x010000", "0001 000", "0001000G", "voltage_"} {
		if di, err := ParseDI(text, V2007); err == nil {
			t.Errorf("ParseDI(%q) = %s", text, di.Format(V2007))
		}
	}
	for _, text := range []string{"00010000", "901", "901g"} {
		if di, err := ParseDI(text, V1997); err == nil {
			t.Errorf("ParseDI(%q, V1997) = %s", text, di.Format(V1997))
		}
	}
}
