//go:build unix

package bus

import (
	"errors"
	"io"
	"syscall"
	"time"
)

// poll returns what has arrived already. Package net gives up before it looks at the socket
// if the deadline is over, so the socket is asked itself; it never blocks.
func (p *tcpPort) poll(data []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	var n int
	var failed error
	err := p.raw.Read(func(fd uintptr) bool {
		n, failed = syscall.Read(int(fd), data)
		return true
	})
	switch {
	case err != nil:
		failed = err
	case errors.Is(failed, syscall.EAGAIN) || errors.Is(failed, syscall.EINTR):
		return 0, nil
	case failed == nil && n == 0:
		failed = io.EOF
	case failed == nil:
		return n, nil
	}
	return 0, p.lost(failed)
}
