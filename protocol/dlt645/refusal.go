package dlt645

import (
	"errors"
	"slices"

	"dlt645-mqtt/protocol"
)

// The words for the bits of an error answer, bit 0 first; a bit without a word is reserved.
// The reasons of a refusal are these words.
var (
	// ERR of the 2007 edition (its annex C), one byte.
	errorBits2007 = []string{"other", "no_such_data", "not_authorised", "baud", "year_zones", "day_periods", "tariffs"}

	// ERR of the 1997 edition. Bit 0 says that the data are illegal, for which the closed
	// list of reasons has no word.
	errorBits1997 = []string{"other", "no_such_data", "not_authorised", "", "year_zones", "day_periods", "tariffs"}

	// SERR, the error answer to an authentication, two bytes.
	securityErrorBits = []string{"other", "repeated_recharge", "esam_verification", "authentication_failed",
		"customer_number", "recharge_count", "hoarding_limit", "", "authentication_suspended"}

	// The error word of a relay command where the meter gives the longer answer, two bytes.
	// Bits 6 and 8 belong to tripping with automatic reclosing.
	relayErrorBits = []string{"authentication_suspended", "mac", "not_authorised", "authentication_failed",
		"deadline_passed", "power_kept", "power_kept", "reclosing_time", "reclosing_failed"}
)

// refusalOf reads the data of an error answer, which has one byte at least. It returns the
// code as sent, the words for its bits, and the bits that have no word. Reasons are never
// empty: a code without a known bit is "other".
func refusalOf(f Function, v Version, data []byte) (refusal *protocol.Refusal, reserved uint16) {
	words := errorBits2007
	code := uint16(data[0])
	switch {
	case v == V1997:
		words = errorBits1997
	case f == FunctionAuthenticate:
		words = securityErrorBits
	case f == FunctionRelay && len(data) > 1:
		words = relayErrorBits
	}
	if len(data) > 1 {
		code |= uint16(data[1]) << 8
	}
	refusal = &protocol.Refusal{Code: code}
	for bit := range 16 {
		switch {
		case code&(1<<bit) == 0:
		case bit >= len(words) || words[bit] == "":
			reserved |= 1 << bit
		case !slices.Contains(refusal.Reasons, words[bit]):
			refusal.Reasons = append(refusal.Reasons, words[bit])
		}
	}
	if len(refusal.Reasons) == 0 {
		refusal.Reasons = []string{"other"}
	}
	return refusal, reserved
}

// refuses tells of an answer cut by [awaited.split] whether it is an error answer.
func refuses(answer []byte) bool { return Control(answer[8]).Refused() }

// hasNone tells whether an error is the meter's word that it has no such data.
func hasNone(err error) bool {
	var refusal *protocol.Refusal
	return errors.As(err, &refusal) && slices.Contains(refusal.Reasons, "no_such_data")
}
