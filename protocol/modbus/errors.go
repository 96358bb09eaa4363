package modbus

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// badRequest makes an error for whoever sent the request; it wraps [protocol.ErrBadRequest].
func badRequest(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{protocol.ErrBadRequest}, args...)...)
}

// garbled makes an error of bytes that are not what they should be; it wraps
// [protocol.ErrGarbled].
func garbled(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{protocol.ErrGarbled}, args...)...)
}

// The codes of exceptions that the package acts on.
const (
	illegalFunction = 0x01
	illegalAddress  = 0x02
	illegalValue    = 0x03
	deviceFailure   = 0x04
	acknowledges    = 0x05
	gatewayTarget   = 0x0B
)

// exceptionWords are the reasons of a refusal by the code of the exception.
var exceptionWords = map[byte]string{
	illegalFunction: "illegal_function",
	illegalAddress:  "illegal_address",
	illegalValue:    "illegal_value",
	deviceFailure:   "device_failure",
	acknowledges:    "acknowledge",
	0x06:            "busy",
	0x08:            "memory_parity",
	0x0A:            "gateway_path",
	gatewayTarget:   "gateway_target",
}

// refusalOf returns what an exception says.
func refusalOf(code byte) *protocol.Refusal {
	word := exceptionWords[code]
	if word == "" {
		word = "other"
	}
	refusal := &protocol.Refusal{Code: uint16(code), Reasons: []string{word}}
	if code == illegalFunction || code == illegalAddress {
		refusal.Means = protocol.ErrNoSuchData
	}
	return refusal
}
