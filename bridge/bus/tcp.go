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

const (
	dialTimeout  = 5 * time.Second
	writeTimeout = 5 * time.Second

	// unackedTimeout is how long what we sent may stay unacknowledged by the other side's
	// system before the connection counts as dead.
	unackedTimeout = 10 * time.Second
)

// keepAlive finds out within half a minute that a server is gone without a word.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

// openTCP returns the opener of a connection to a serial server. The name is resolved anew
// at each dial.
func openTCP(address string) Opener {
	return func(ctx context.Context) (Port, error) {
		port, err := dialTCP(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return port, nil
	}
}

// dialTCP connects to a serial server. scheme is that of the bus URL, for the error.
func dialTCP(ctx context.Context, scheme, address string) (*tcpPort, error) {
	dialer := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, dialError(scheme, address, err)
	}
	return newTCPPort(conn.(*net.TCPConn))
}

// dialError says why the server was not reached and what to do about it.
func dialError(scheme, address string, err error) error {
	var name *net.DNSError
	var late net.Error // the deadline of the dialer, or of the connection: whichever is noticed first
	switch {
	case errors.As(err, &name):
		return fmt.Errorf("open %s://%s: the name cannot be resolved: check its spelling and the name server: %w", scheme, address, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("open %s://%s: connection refused: check the port, and that the serial server takes one more connection", scheme, address)
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("open %s://%s: no answer within %v: check the address and that the serial server is on", scheme, address, dialTimeout)
	}
	return fmt.Errorf("open %s://%s: %w", scheme, address, err)
}

// tcpPort is a connection to a serial server or from a DTU.
type tcpPort struct {
	conn *net.TCPConn
	raw  syscall.RawConn
}

// newTCPPort makes a port of a connection, which it owns from then on.
func newTCPPort(conn *net.TCPConn) (*tcpPort, error) {
	raw, err := conn.SyscallConn()
	if err == nil {
		err = conn.SetNoDelay(true)
	}
	if err == nil {
		err = setUnackedTimeout(raw, unackedTimeout)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open %v: %w", conn.RemoteAddr(), err)
	}
	return &tcpPort{conn, raw}, nil
}

func (p *tcpPort) Read(data []byte, wait time.Duration) (int, error) {
	if wait <= 0 {
		return p.poll(data)
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, err
	}
	n, err := p.conn.Read(data)
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, nil // an error comes again with the next read
	}
	if err != nil {
		return 0, p.lost(err)
	}
	return n, nil
}

// lost says of a read that failed what it means.
func (p *tcpPort) lost(err error) error {
	return fmt.Errorf("read %v: %w: the other side has closed the connection, or the network is gone", p.conn.RemoteAddr(), err)
}

func (p *tcpPort) Write(data []byte) (int, error) {
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return p.conn.Write(data)
}

func (p *tcpPort) Close() error { return p.conn.Close() }
