package dlt645

import (
	"slices"
	"strings"
	"testing"
)

// TestRefusalOf reads the error word of each kind of answer, bit by bit.
func TestRefusalOf(t *testing.T) {
	for _, test := range []struct {
		name     string
		function Function
		version  Version
		data     string
		reasons  string
		code     uint16
		reserved uint16
	}{
		{"bit 0", FunctionRead, V2007, "01", "other", 1, 0},
		{"bit 1", FunctionRead, V2007, "02", "no_such_data", 2, 0},
		{"bit 2", FunctionWrite, V2007, "04", "not_authorised", 4, 0},
		{"bit 3", FunctionSetBaud, V2007, "08", "baud", 8, 0},
		{"bit 4", FunctionWrite, V2007, "10", "year_zones", 16, 0},
		{"bit 5", FunctionWrite, V2007, "20", "day_periods", 32, 0},
		{"bit 6", FunctionWrite, V2007, "40", "tariffs", 64, 0},
		{"bit 7 is reserved", FunctionWrite, V2007, "80", "other", 128, 128},
		{"two bits, as published", FunctionRead, V2007, "06", "no_such_data not_authorised", 6, 0},
		{"no bit", FunctionRead, V2007, "00", "other", 0, 0},
		{"1997: illegal data", FunctionRead1997, V1997, "01", "other", 1, 0},
		{"1997: identifier", FunctionRead1997, V1997, "02", "no_such_data", 2, 0},
		{"1997: password", FunctionWrite1997, V1997, "04", "not_authorised", 4, 0},
		{"1997: bit 3 is reserved", FunctionSetBaud1997, V1997, "08", "other", 8, 8},
		{"1997: the rest", FunctionWrite1997, V1997, "70", "year_zones day_periods tariffs", 112, 0},
		{"authentication, low byte first", FunctionAuthenticate, V2007, "0800", "authentication_failed", 8, 0},
		{"authentication suspended", FunctionAuthenticate, V2007, "0001", "authentication_suspended", 256, 0},
		{"relay, one byte", FunctionRelay, V2007, "04", "not_authorised", 4, 0},
		{"relay, the longer answer", FunctionRelay, V2007, "3000", "deadline_passed power_kept", 48, 0},
	} {
		refusal, reserved := refusalOf(test.function, test.version, fromHex(test.data))
		if got := strings.Join(refusal.Reasons, " "); got != test.reasons || refusal.Code != test.code || reserved != test.reserved {
			t.Errorf("%s: %s, code %02X, reserved %02X, want %s", test.name, got, refusal.Code, reserved, test.reasons)
		}
	}
	for _, words := range [][]string{errorBits2007, errorBits1997} {
		for _, word := range words {
			if word != "" && !slices.Contains([]string{"other", "no_such_data", "not_authorised", "baud", "year_zones", "day_periods", "tariffs"}, word) {
				t.Errorf("%q is not on the closed list of the contract", word)
			}
		}
	}
}
