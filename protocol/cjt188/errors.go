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
