//go:build !linux

package bus

import (
	"syscall"
	"time"
)

// setUnackedTimeout does nothing where the system has no such setting; keep-alive finds a
// dead connection too, if later.
func setUnackedTimeout(syscall.RawConn, time.Duration) error { return nil }
