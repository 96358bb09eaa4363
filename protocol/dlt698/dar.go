package dlt698

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// A DAR is the result of an access to data: 0, or why there is none.
type DAR byte

// The results that decide what is done next.
const (
	darSuccess     DAR = 0
	darUnavailable DAR = 2
	darDenied      DAR = 3
	darUndefined   DAR = 4
	darClass       DAR = 5
	darAbsent      DAR = 6
	darNoBlock     DAR = 9
	darPassword    DAR = 15
	darUnmatched   DAR = 20
	darESAM        DAR = 22
	darSecurity    DAR = 23
	darTimeTag     DAR = 32
	darTimedOut    DAR = 33
	darOther       DAR = 255
)

// The words of the closed list of reasons that are used here.
const (
	reasonOther     = "other"
	reasonNoData    = "no_such_data"
	reasonForbidden = "not_authorised"
	reasonSecurity  = "authentication_required"
	reasonFailed    = "authentication_failed"
	reasonDeadline  = "deadline_passed"
	reasonSuspended = "authentication_suspended"
)

// darTexts says of each result what it means. Annex of DL/T 698.45 on DAR.
var darTexts = [...]string{
	"success", "hardware failure", "temporarily unavailable", "reading or writing refused", "object undefined",
	"object class does not fit", "object does not exist", "type does not match", "out of range", "block of data not available",
	"block transfer cancelled", "no block transfer in progress", "block write cancelled", "no block write in progress", "block number invalid",
	"password wrong or no right", "baud rate cannot be changed", "too many year zones", "too many day periods", "too many tariffs",
	"security authorisation does not match", "repeated recharge", "ESAM verification failed", "security authentication failed", "customer number does not match",
	"recharge count wrong", "more bought than allowed", "address abnormal", "symmetric decryption wrong", "asymmetric decryption wrong",
	"signature wrong", "meter suspended", "time tag invalid", "request timed out", "P1P2 of ESAM wrong", "length for ESAM wrong",
}

// String returns what the result means.
func (d DAR) String() string {
	if int(d) < len(darTexts) {
		return darTexts[d]
	}
	if d == darOther {
		return "other"
	}
	return fmt.Sprintf("unknown result %d", byte(d))
}

// isRight reports whether the meter wants more right than the request had.
func (d DAR) isRight() bool {
	return d == darPassword || d == darUnmatched || d == darESAM || d == darSecurity
}

// reason returns the word of the closed list that a refusal goes under, of a read or of a command.
func (d DAR) reason(command bool) string {
	switch d {
	case darDenied:
		if command {
			return reasonForbidden
		}
		return reasonNoData
	case darUndefined, darClass, darAbsent:
		return reasonNoData
	case darPassword, darUnmatched:
		return reasonForbidden
	case darESAM:
		return "esam_verification"
	case darSecurity:
		return reasonFailed
	case 16:
		return "baud"
	case 17:
		return "year_zones"
	case 18:
		return "day_periods"
	case 19:
		return "tariffs"
	case 21:
		return "repeated_recharge"
	case 24:
		return "customer_number"
	case 25:
		return "recharge_count"
	case 26:
		return "hoarding_limit"
	case 31:
		return reasonSuspended
	case darTimeTag:
		return reasonDeadline
	}
	return reasonOther
}

// refusal makes an error of a result that is not success, of a read or of a command.
func (d DAR) refusal(command bool) *protocol.Refusal {
	r := &protocol.Refusal{Code: uint16(d), Reasons: []string{d.reason(command)}, Advice: "the meter says: " + d.String()}
	switch r.Reasons[0] {
	case reasonNoData:
		r.Means = protocol.ErrNoSuchData
	case reasonForbidden, reasonFailed:
		r.Means = protocol.ErrUnauthorised
	}
	return r
}
