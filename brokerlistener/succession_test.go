package brokerlistener

import (
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
)

// TestSameClientAgain has a client come again at once, or while its old connection is still there: it hears what it has
// subscribed to.
func TestSameClientAgain(t *testing.T) {
	server := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := server.AddHook(new(auth.AllowHook), nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := server.AddListener(New(server, l)); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })

	var all sync.WaitGroup
	for _, id := range []byte("abcdefgh") { // beside each other, so that they get into each other's way
		all.Go(func() {
			var old net.Conn
			for round := range 300 {
				if old != nil && round%2 == 0 {
					_ = old.Close()
				}
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(30 * time.Second))
				old = c
				exchange := func(say, hear string) bool {
					_, err := io.WriteString(c, say)
					answer := make([]byte, len(hear))
					if err == nil {
						_, err = io.ReadFull(c, answer)
					}
					if err != nil || string(answer) != hear {
						t.Errorf("client %c, round %d: %q is answered %q, %v", id, round, say, answer, err)
						return false
					}
					return true
				}
				topic := string(id)
				if !exchange("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01"+topic, "\x20\x02\x00\x00") || // CONNECT, clean session
					!exchange("\x82\x06\x00\x01\x00\x01"+topic+"\x00", "\x90\x03\x00\x01\x00") { // SUBSCRIBE
					return
				}
				if err := server.Publish(topic, []byte("x"), false, 0); err != nil {
					t.Error(err)
				}
				if !exchange("", "\x30\x04\x00\x01"+topic+"x") {
					return
				}
			}
		})
	}
	all.Wait()
}
