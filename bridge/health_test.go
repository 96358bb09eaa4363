package bridge

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
)

// A weakListener fails once before each connection.
type weakListener struct {
	net.Listener
	connections chan net.Conn
	tired       bool
}

func (l *weakListener) Accept() (net.Conn, error) {
	if l.tired = !l.tired; l.tired {
		return nil, errors.New("too many open files")
	}
	if connection, ok := <-l.connections; ok {
		return connection, nil
	}
	return nil, net.ErrClosed
}

// TestHealthOutlivesAnError answers the health check though connections could not be accepted for a
// moment.
func TestHealthOutlivesAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		l := &weakListener{connections: make(chan net.Conn)}
		done := make(chan struct{})
		go func() { s.answerHealth(l); close(done) }()
		for range 2 {
			ours, theirs := net.Pipe()
			l.connections <- theirs
			answer, err := io.ReadAll(ours)
			if err != nil || len(answer) == 0 {
				t.Errorf("answer %q, %v", answer, err)
			}
		}
		close(l.connections)
		<-done
	})
}
