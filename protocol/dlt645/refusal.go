package dlt645

import (
	"errors"
	"fmt"
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

// namesItem reports whether the data of a request begin with an identifier.
func namesItem(f Function, v Version) bool {
	if v == V1997 {
		return f == FunctionRead1997 || f == FunctionReadFollowUp1997 || f == FunctionReadAgain1997 || f == FunctionWrite1997
	}
	switch f {
	case FunctionAuthenticate, FunctionRead, FunctionReadFollowUp, FunctionWrite, FunctionSetPassword:
		return true
	}
	return false
}

// splitRefusal takes the data of an error answer apart. The standard has the error word alone;
// some meters repeat the identifier of the request before it. di is empty where there is none.
// How many bytes there are decides: one is the word of every function, two are the longer word of
// an authentication or a relay command. word is empty if the length is none of these.
func splitRefusal(f Function, v Version, data []byte) (di, word []byte) {
	size := diSize(v)
	switch n := len(data); {
	case n == 1, n == 2:
		return nil, data
	case !namesItem(f, v):
	case n == size+1, n == size+2 && v == V2007 && f == FunctionAuthenticate:
		return data[:size], data[size:]
	}
	return nil, nil
}

// meanings are what the reasons mean to those who do not know the standard.
var meanings = map[string]error{"no_such_data": protocol.ErrNoSuchData, "not_authorised": protocol.ErrUnauthorised}

// unauthorised says what to look at when a meter refuses for the password.
const unauthorised = "the meter did not authorise this: the password may be wrong for this level, the meter may want its programming key pressed, or it may take commands only through its security module (levels 98 and 99)"

// refusalOf reads the data of an error answer, which has one byte at least. It returns the
// code as sent and the words for its bits. Reasons are never empty: a code without a known bit,
// or an answer of unknown length, is "other". The error says what is odd: bits that are reserved,
// or a length that no error answer has. It is a refusal all the same.
func refusalOf(f Function, v Version, data []byte) (*protocol.Refusal, error) {
	_, word := splitRefusal(f, v, data)
	if word == nil {
		usual := "1 byte"
		if v == V2007 && (f == FunctionAuthenticate || f == FunctionRelay) {
			usual = "1 to 2 bytes"
		}
		return &protocol.Refusal{Reasons: []string{"other"}}, fmt.Errorf("an error answer of this function has %s of data, this one has %d", usual, len(data))
	}
	words := errorBits2007
	code := uint16(word[0])
	switch {
	case v == V1997:
		words = errorBits1997
	case len(word) == 1:
	case f == FunctionAuthenticate:
		words = securityErrorBits
	case f == FunctionRelay:
		words = relayErrorBits
	}
	if len(word) > 1 {
		code |= uint16(word[1]) << 8
	}
	refusal := &protocol.Refusal{Code: code}
	reserved := uint16(0)
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
	for reason, means := range meanings {
		if slices.Contains(refusal.Reasons, reason) {
			refusal.Means = errors.Join(refusal.Means, means)
		}
	}
	if errors.Is(refusal, protocol.ErrUnauthorised) {
		refusal.Advice = unauthorised
	}
	if reserved != 0 {
		return refusal, fmt.Errorf("error code %02XH has reserved bits set: %02XH", code, reserved)
	}
	return refusal, nil
}

// refusedBy is the error of an error answer: a [protocol.Refusal], with what is odd about it.
func refusedBy(frame Frame, v Version) error {
	refusal, odd := refusalOf(frame.Control.Function(), v, frame.Data)
	if odd != nil {
		return fmt.Errorf("%w; %w; the data, first byte first: % X", refusal, odd, frame.Data[:min(len(frame.Data), mostShown)])
	}
	return refusal
}

// refuses reports of an answer cut by [awaited.split] whether it is an error answer.
func refuses(answer []byte) bool { return Control(answer[8]).Refused() }

// refusesVaguely reports of such an answer whether it is an error answer that names no item.
func refusesVaguely(v Version) func(answer []byte) bool {
	return func(answer []byte) bool {
		di, _ := splitRefusal(Control(answer[8]).Function(), v, answer[headerSize:len(answer)-2])
		return refuses(answer) && di == nil
	}
}

// hasNone reports whether an error is the meter's word that it has no such data.
func hasNone(err error) bool {
	return errors.Is(err, protocol.ErrNoSuchData)
}
