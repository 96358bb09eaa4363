package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// mostDatagram is the longest that UDP carries.
const mostDatagram = 64 << 10

// A udpPort exchanges datagrams with a serial server. Each carries what was on the line, without anything
// besides. A frame may be spread over several. What comes from another address or port than the one asked never gets here.
type udpPort struct {
	conn *net.UDPConn
	raw  syscall.RawConn
	data []byte // of a datagram
	rest []byte // of it, not read yet
}

// openUDP returns the opener of a port to a serial server that speaks UDP. The name is resolved anew each time.
func openUDP(address string) Opener {
	return func(ctx context.Context) (Port, error) {
		dialer := net.Dialer{Timeout: dialTimeout}
		conn, err := dialer.DialContext(ctx, "udp", address)
		if err != nil {
			return nil, dialError("udp", address, err)
		}
		raw, err := conn.(*net.UDPConn).SyscallConn()
		if err != nil {
			conn.Close()
			return nil, fmt.Errorf("open udp://%s: %w", address, err)
		}
		return &udpPort{conn: conn.(*net.UDPConn), raw: raw, data: make([]byte, mostDatagram)}, nil
	}
}

func (p *udpPort) Read(data []byte, wait time.Duration) (int, error) {
	until := time.Now().Add(wait)
	for len(p.rest) == 0 {
		var n int
		var err error
		if wait <= 0 {
			if n, err = p.poll(p.data); n == 0 && err == nil {
				return 0, nil
			}
		} else {
			if err = p.conn.SetReadDeadline(until); err == nil {
				n, err = p.conn.Read(p.data)
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return 0, nil
			}
			wait = time.Until(until) // there are empty datagrams
		}
		if err != nil {
			return 0, p.lost("read", err)
		}
		p.rest = p.data[:n]
	}
	n := copy(data, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Write sends what is one request as one datagram.
func (p *udpPort) Write(data []byte) (int, error) {
	n, err := p.conn.Write(data)
	if err != nil {
		return n, p.lost("write", err)
	}
	return n, nil
}

// lost says of an error what it means: of UDP nothing else tells that nobody is there.
func (p *udpPort) lost(what string, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s udp://%v: nobody listens there: check the port, and that the serial server is set to UDP", what, p.conn.RemoteAddr())
	}
	return fmt.Errorf("%s udp://%v: %w", what, p.conn.RemoteAddr(), err)
}

func (p *udpPort) Close() error { return p.conn.Close() }
