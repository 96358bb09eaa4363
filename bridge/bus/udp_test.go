package bus

import (
	"net"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// serveUDP is a serial server that speaks UDP, with the meters of prompt behind it. It sends each answer in two
// datagrams with an empty one between them.
func serveUDP(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		data := make([]byte, 100)
		for {
			n, from, err := conn.ReadFrom(data)
			if err != nil {
				return
			}
			for _, a := range prompt(strings.TrimLeft(string(data[:n]), "\xFE")) {
				for _, part := range []string{a.text[:2], "", a.text[2:]} {
					if _, err := conn.WriteTo([]byte(part), from); err != nil {
						return
					}
				}
			}
		}
	}()
	return conn.(*net.UDPConn)
}

func TestUDPPort(t *testing.T) {
	s := serveUDP(t, "127.0.0.1:0")
	port, err := openURL(t, "udp://"+s.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 100)
	for _, wait := range []time.Duration{time.Millisecond, 0, -time.Second} {
		n, err := port.Read(data, wait)
		equal(t, "bytes of a silent line", n, 0)
		equal(t, "error of a silent line", err, nil)
	}
	for range 2 {
		if _, err := port.Write([]byte("?av.")); err != nil {
			t.Fatal(err)
		}
		readAll(t, port, "=av1.")
	}

	// A datagram that is longer than there is room at a time is read in parts, also without waiting.
	if _, err := port.Write([]byte("?av.")); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for len(got) < 5 {
		n, err := port.Read(data[:1], 0)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, data[:n]...)
	}
	equal(t, "read byte by byte", string(got), "=av1.")

	// Others may send what they want.
	stranger, err := net.Dial("udp", port.(*udpPort).conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.Write([]byte("=av9.")); err != nil {
		t.Fatal(err)
	}
	if n, err := port.Read(data, 50*time.Millisecond); n != 0 {
		t.Errorf("a stranger was heard: %q, %v", data[:n], err)
	}
}

// The serial server goes away and comes back.
func TestBusOnUDP(t *testing.T) {
	s := serveUDP(t, laterAddress(t))
	address := s.LocalAddr().String()
	config, err := ParseURL("udp://"+address+"?timeout=5s&baud=115200", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, ask := run(t, config)
	equal(t, "at first", ask(time.Time{}), "1")
	s.Close()
	report, err := b.Submit(Job{Steps: []protocol.Step{read("a", "v")}, Deadline: time.Now().Add(200 * time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	if err := (<-report).Replies[0].Err; err == nil {
		t.Error("an answer without a server")
	}
	serveUDP(t, address)
	equal(t, "with the server back", ask(time.Time{}), "1")
}
