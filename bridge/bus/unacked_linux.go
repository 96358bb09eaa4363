package bus

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// setUnackedTimeout makes the connection fail when data stays unacknowledged for so long;
// otherwise a request to a server that has vanished would be repeated for a quarter of an hour.
func setUnackedTimeout(raw syscall.RawConn, timeout time.Duration) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(timeout.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
