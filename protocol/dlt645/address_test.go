package dlt645

import (
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for _, test := range []struct {
		text    string
		version Version
		want    string // or
		err     string // a part of the message
	}{
		{text: "112233445566", version: V2007, want: "112233445566"},
		{text: "112233445566", version: V1997, want: "112233445566"},
		{text: "1", version: V2007, want: "000000000001"},
		{text: "1", version: V1997, want: "AAAAAAAAAA01"},
		{text: "12345678", version: V2007, want: "000012345678"},
		{text: "12345678", version: V1997, want: "AAAA12345678"},
		{text: "123", version: V1997, want: "AAAAAAAA0123"},
		{text: "AAAAAAAA0123", version: V2007, want: "AAAAAAAA0123"},
		{text: "aaaaaaaa0123", version: V2007, want: "AAAAAAAA0123"},
		{text: "AAAAAAAAAAAA", version: V2007, want: "AAAAAAAAAAAA"},
		{text: "AAAAAAAAAAAA", version: V1997, want: "AAAAAAAAAAAA"},
		{text: "999999999999", version: V2007, want: "999999999999"},
		{text: "", version: V2007, err: "empty"},
		{text: "1234567890123", version: V2007, err: "13 characters"},
		{text: "12345678901x", version: V2007, err: "character 12 is 'x'"},
		{text: "12 345", version: V2007, err: "character 3 is ' '"},
		{text: "AA三", version: V2007, err: "character 3 is '三'"},
		{text: "00000000B2C3", version: V2007, want: "00000000B2C3"},
		{text: "00000000b2c3", version: V1997, want: "00000000B2C3"},
		{text: "AAAAAAAAB2C3", version: V1997, want: "AAAAAAAAB2C3"},
		{text: "0000000000B1", version: V2007, want: "0000000000B1"},
		{text: "FFFFFFFFFFFF", version: V2007, want: "FFFFFFFFFFFF"},
		{text: "1A0000000001", version: V2007, want: "1A0000000001"},
		{text: "00000000001a", version: V2007, want: "00000000001A"},
		{text: "A00000000001", version: V2007, want: "A00000000001"},
		{text: "abcdef012345", version: V2007, want: "ABCDEF012345"},
		{text: "A1B2C3D4E5F6", version: V1997, want: "A1B2C3D4E5F6"},
		{text: "A0AA00000000", version: V2007, err: "A below digits"},
		{text: "A", version: V2007, err: "all 12 characters"},
		{text: "A1", version: V1997, err: "all 12 characters"},
		{text: "12AA34567890", version: V2007, err: "A below digits"},
		{text: "AA12AA567890", version: V1997, err: "A below digits"},
		{text: "AAAAAAA00001", version: V2007, err: "begins with 7 A"},
		{text: "B2C3", version: V2007, err: "all 12 characters"},
		{text: "12AA", version: V2007, err: "A below digits"},
		{text: "AAAAAAAA01AA", version: V2007, err: "A below digits"},
		{text: "AA0123", version: V2007, err: "all 12"},
		{text: "AAA123456789", version: V2007, err: "begins with 3 A"},
		{text: "0000000000G1", version: V2007, err: "'G', not a digit"},
	} {
		a, err := ParseAddress(test.text, test.version)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("ParseAddress(%q, %s) = %v, %v, want an error with %q", test.text, test.version, a, err, test.err)
			}
			continue
		}
		if err != nil || a.String() != test.want {
			t.Errorf("ParseAddress(%q, %s) = %v, %v, want %s", test.text, test.version, a, err, test.want)
		}
		if again, err := ParseAddress(a.String(), test.version); again != a || err != nil {
			t.Errorf("ParseAddress(%q, %s) = %v, %v, want the same again", a, test.version, again, err)
		}
	}
}

func TestAddressMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, full string
		want          bool
	}{
		{"112233445566", "112233445566", true},
		{"112233445566", "112233445567", false},
		{"AAAAAAAA0123", "998877660123", true},
		{"AAAAAAAA0123", "998877661123", false},
		{"AAAAAAAAAAAA", "998877661123", true},
		{"998877661123", "AAAAAAAAAAAA", false},
		{"999999999999", "998877661123", false},
	} {
		if got := address(test.pattern).Matches(address(test.full)); got != test.want {
			t.Errorf("%s matches %s: got %t, want %t", test.pattern, test.full, got, test.want)
		}
	}
	for text, want := range map[string][2]bool{ // broadcast, wildcard
		"999999999999": {true, false},
		"AAAAAAAA0123": {false, true},
		"990000000002": {false, false},
	} {
		if a := address(text); a.IsBroadcast() != want[0] || a.IsWildcard() != want[1] {
			t.Errorf("%s: broadcast %t, wildcard %t, want %v", text, a.IsBroadcast(), a.IsWildcard(), want)
		}
	}
}
