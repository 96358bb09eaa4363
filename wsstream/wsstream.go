// Package wsstream makes a stream of bytes of a WebSocket, as MQTT wants it (MQTT 5, clause 6): the
// borders of messages mean nothing.
package wsstream

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/gorilla/websocket"
)

// New returns a WebSocket as the stream that its binary messages carry.
func New(socket *websocket.Conn) net.Conn { return &stream{Conn: socket} }

type stream struct {
	*websocket.Conn
	message io.Reader // the one under way; nil: none
}

// Read reads on in the message under way, or in the next one.
func (s *stream) Read(b []byte) (int, error) {
	for {
		if s.message == nil {
			_, message, err := s.NextReader()
			if err != nil {
				return 0, err
			}
			s.message = message
		}
		n, err := s.message.Read(b)
		if errors.Is(err, io.EOF) {
			s.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write sends a message of its own.
func (s *stream) Write(b []byte) (int, error) {
	if err := s.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// SetDeadline bounds reading and writing.
func (s *stream) SetDeadline(at time.Time) error {
	return errors.Join(s.SetReadDeadline(at), s.SetWriteDeadline(at))
}
