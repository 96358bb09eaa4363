//go:build !unix

package bus

import (
	"errors"
	"os"
	"time"
)

// poll returns what has arrived already, as nearly as package net lets us ask for that.
func (p *tcpPort) poll(data []byte) (int, error) { return p.Read(data, time.Millisecond) }

// poll returns what has arrived already, as nearly as package net lets us ask for that.
func (p *udpPort) poll(data []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return 0, err
	}
	n, err := p.conn.Read(data)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	return n, err
}
