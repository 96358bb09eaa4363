//go:build unix

package bus

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// poll returns what has arrived already.
func (p *tcpPort) poll(data []byte) (int, error) {
	n, ready, err := poll(p.conn, p.raw, data)
	if ready && n == 0 && err == nil {
		err = io.EOF
	}
	if err != nil {
		return 0, p.lost(err)
	}
	return n, nil
}

// poll returns what has arrived already; of a datagram without bytes nothing, too.
func (p *udpPort) poll(data []byte) (int, error) {
	n, _, err := poll(p.conn, p.raw, data)
	return n, err
}

// poll reads without waiting. ready is false if nothing was there. Package net gives up before it looks at the
// socket if the deadline is over, so the socket is asked itself; it never blocks.
func poll(conn net.Conn, raw syscall.RawConn, data []byte) (n int, ready bool, err error) {
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return 0, false, err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, failed = syscall.Read(int(fd), data)
		return true
	})
	switch {
	case err != nil:
		return 0, false, err
	case errors.Is(failed, syscall.EAGAIN) || errors.Is(failed, syscall.EINTR):
		return 0, false, nil
	}
	return max(n, 0), true, failed
}
