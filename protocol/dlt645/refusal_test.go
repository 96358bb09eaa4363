package dlt645

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
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
		odd      string // a part of the error
	}{
		{"bit 0", FunctionRead, V2007, "01", "other", 1, ""},
		{"bit 1", FunctionRead, V2007, "02", "no_such_data", 2, ""},
		{"bit 2", FunctionWrite, V2007, "04", "not_authorised", 4, ""},
		{"bit 3", FunctionSetBaud, V2007, "08", "baud", 8, ""},
		{"bit 4", FunctionWrite, V2007, "10", "year_zones", 16, ""},
		{"bit 5", FunctionWrite, V2007, "20", "day_periods", 32, ""},
		{"bit 6", FunctionWrite, V2007, "40", "tariffs", 64, ""},
		{"bit 7 is reserved", FunctionWrite, V2007, "80", "other", 128, "80H"},
		{"two bits, as published", FunctionRead, V2007, "06", "no_such_data not_authorised", 6, ""},
		{"no bit", FunctionRead, V2007, "00", "other", 0, ""},
		{"1997: illegal data", FunctionRead1997, V1997, "01", "other", 1, ""},
		{"1997: identifier", FunctionRead1997, V1997, "02", "no_such_data", 2, ""},
		{"1997: password", FunctionWrite1997, V1997, "04", "not_authorised", 4, ""},
		{"1997: bit 3 is reserved", FunctionSetBaud1997, V1997, "08", "other", 8, "08H"},
		{"1997: the rest", FunctionWrite1997, V1997, "70", "year_zones day_periods tariffs", 112, ""},
		{"authentication, low byte first", FunctionAuthenticate, V2007, "0800", "authentication_failed", 8, ""},
		{"authentication suspended", FunctionAuthenticate, V2007, "0001", "authentication_suspended", 256, ""},
		{"authentication, the plain word", FunctionAuthenticate, V2007, "02", "no_such_data", 2, ""},
		{"authentication, behind its identifier", FunctionAuthenticate, V2007, "FF000007 0800", "authentication_failed", 8, ""},
		{"authentication, the plain word behind its identifier", FunctionAuthenticate, V2007, "FF000007 04", "not_authorised", 4, ""},
		{"a read, behind its identifier", FunctionRead, V2007, "00010102 02", "no_such_data", 2, ""},
		{"a write, behind its identifier", FunctionWrite, V2007, "01010004 04", "not_authorised", 4, ""},
		{"1997: a read, behind its identifier", FunctionRead1997, V1997, "1090 02", "no_such_data", 2, ""},
		{"a read, in two bytes", FunctionRead, V2007, "0200", "no_such_data", 2, ""},
		{"a length that nobody has explained", FunctionRead, V2007, "020304", "other", 0, "this one has 3"},
		{"a relay command has no identifier", FunctionRelay, V2007, "0203040506", "other", 0, "this one has 5"},
		{"relay, one byte", FunctionRelay, V2007, "04", "not_authorised", 4, ""},
		{"relay, the longer answer", FunctionRelay, V2007, "3000", "deadline_passed power_kept", 48, ""},
	} {
		refusal, err := refusalOf(test.function, test.version, frametest.FromHex(test.data))
		if got := strings.Join(refusal.Reasons, " "); got != test.reasons || refusal.Code != test.code || (err != nil) != (test.odd != "") || err != nil && !strings.Contains(err.Error(), test.odd) {
			t.Errorf("%s: %s, code %02X, %v, want %s", test.name, got, refusal.Code, err, test.reasons)
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

// reasonsOf returns the reasons of a refusal, nil for another error.
func reasonsOf(err error) []string {
	var refusal *protocol.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reasons
	}
	return nil
}
