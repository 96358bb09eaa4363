package cjt188

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// garbled makes an error of bytes that are not what they should be; it wraps
// [protocol.ErrGarbled].
func garbled(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{protocol.ErrGarbled}, args...)...)
}

// badRequest makes an error for whoever sent the request; it wraps [protocol.ErrBadRequest].
func badRequest(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{protocol.ErrBadRequest}, args...)...)
}
