package wsstream

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// connected is one end of a WebSocket as a stream, and the other as it is.
func connected(t *testing.T) (net.Conn, *websocket.Conn) {
	t.Helper()
	others := make(chan *websocket.Conn, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
		}
		others <- other
	}))
	t.Cleanup(server.Close)
	socket, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	other := <-others
	t.Cleanup(func() { _ = other.Close() })
	s := New(socket)
	t.Cleanup(func() { _ = s.Close() })
	return s, other
}

func TestMessagesAreOneStream(t *testing.T) {
	s, other := connected(t)
	for _, message := range []string{"ab", "", "cdefg"} {
		if err := other.WriteMessage(websocket.BinaryMessage, []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 7)
	if _, err := io.ReadFull(s, got); err != nil || string(got) != "abcdefg" {
		t.Errorf("read %q, %v", got, err)
	}
	if n, err := s.Write([]byte("hello")); n != 5 || err != nil {
		t.Errorf("wrote %d bytes, %v", n, err)
	}
	if kind, message, err := other.ReadMessage(); kind != websocket.BinaryMessage || string(message) != "hello" || err != nil {
		t.Errorf("a message of kind %d came: %q, %v", kind, message, err)
	}
}

func TestDeadlineHoldsForBothWays(t *testing.T) {
	s, _ := connected(t)
	if err := s.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, err := s.Read(make([]byte, 1)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("read: %v", err)
	}
	if _, err := s.Write([]byte{1}); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("write: %v", err)
	}
}

func TestEndOfTheOther(t *testing.T) {
	s, other := connected(t)
	_ = other.Close()
	if n, err := s.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
}
