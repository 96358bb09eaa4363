package modbus

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// garbled makes an error of bytes that are not what they should be; it wraps
// [protocol.ErrGarbled].
func garbled(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{protocol.ErrGarbled}, args...)...)
}

// exceptionWords are the reasons of a refusal by the code of the exception.
var exceptionWords = map[byte]string{
	0x01: "illegal_function",
	0x02: "illegal_address",
	0x03: "illegal_value",
	0x04: "device_failure",
	0x05: "acknowledge",
	0x06: "busy",
	0x08: "memory_parity",
	0x0A: "gateway_path",
	0x0B: "gateway_target",
}

// refusalOf returns what an exception says.
func refusalOf(code byte) *protocol.Refusal {
	word := exceptionWords[code]
	if word == "" {
		word = "other"
	}
	return &protocol.Refusal{Code: uint16(code), Reasons: []string{word}}
}
