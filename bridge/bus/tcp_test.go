package bus

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// A server is a serial server with the meters of prompt behind it.
type server struct {
	listener net.Listener
	conns    chan net.Conn
}

func serve(t *testing.T, address string) *server {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{listener, make(chan net.Conn, 10)}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go answerPromptly(conn)
			s.conns <- conn
		}
	}()
	return s
}

// answerPromptly is a meter at the other end of a connection.
func answerPromptly(conn net.Conn) {
	data := make([]byte, 100)
	for {
		n, err := conn.Read(data)
		if err != nil {
			conn.Close()
			return
		}
		for _, a := range prompt(strings.TrimLeft(string(data[:n]), "\xFE")) {
			if _, err := conn.Write([]byte(a.text)); err != nil {
				break // and so does the next read
			}
		}
	}
}

// run runs a bus on a real port until the test is over. ask reads register v of meter a.
func run(t *testing.T, config Config) (b *Bus, ask func(deadline time.Time) string) {
	b = New(config)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		equal(t, "Run", <-done, nil)
	})
	return b, func(deadline time.Time) string {
		t.Helper()
		report, err := b.Submit(Job{Steps: []protocol.Step{read("a", "v")}, Deadline: deadline})
		if err != nil {
			t.Fatal(err)
		}
		return values(<-report)
	}
}

func (s *server) address() string { return s.listener.Addr().String() }

// readAll reads until it has as many bytes as want, and compares.
func readAll(t *testing.T, port Port, want string) {
	t.Helper()
	var got []byte
	data := make([]byte, 100)
	for len(got) < len(want) {
		n, err := port.Read(data, 10*time.Second)
		if err != nil || n == 0 {
			t.Fatalf("after %q: %d bytes, error %v", got, n, err)
		}
		got = append(got, data[:n]...)
	}
	equal(t, "read", string(got), want)
}

func TestTCPPort(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	config, err := ParseURL("tcp://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	port, err := config.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}

	data := make([]byte, 100)
	for _, wait := range []time.Duration{time.Millisecond, 0, -time.Second, time.Microsecond} {
		n, err := port.Read(data, wait)
		equal(t, "bytes of a silent line", n, 0)
		equal(t, "error of a silent line", err, nil)
	}
	if _, err := port.Write([]byte("?av.")); err != nil {
		t.Fatal(err)
	}
	n, err := far.Read(data)
	equal(t, "written", string(data[:n]), "?av.")
	equal(t, "error", err, nil)

	for _, wait := range []time.Duration{10 * time.Second, 0} {
		if _, err := far.Write([]byte("=av1.")); err != nil {
			t.Fatal(err)
		}
		n = 0
		for n == 0 && err == nil { // a write to a socket of this machine arrives, but when is its own affair
			n, err = port.Read(data, wait)
		}
		equal(t, "read", string(data[:n]), "=av1.")
		equal(t, "error", err, nil)
	}

	far.Close()
	for n, err = 0, nil; n == 0 && err == nil; {
		n, err = port.Read(data, 0)
	}
	if err == nil || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("read after the end, without waiting: %v", err)
	}
	if _, err = port.Read(data, 10*time.Second); err == nil || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("read after the end: %v", err)
	}
}

func TestTCPErrors(t *testing.T) {
	const address = "127.0.0.1:1" // where nobody listens
	_, err := openTCP(address)(t.Context())
	if want := "open tcp://" + address + ": connection refused: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = openTCP(address)(ctx); err == nil {
		t.Error("a dial that was called off gave no error")
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err = openTCP(address)(ctx); err == nil || !strings.Contains(err.Error(), "no answer within 5s: check the address") {
		t.Errorf("a dial that took too long: %v", err)
	}
	err = dialError("tcp", "meters:1", &net.DNSError{Err: "no such host", Name: "meters", IsNotFound: true})
	if !strings.Contains(err.Error(), "the name cannot be resolved") {
		t.Errorf("unknown name: %v", err)
	}
}

// The serial server goes away and comes back.
func TestBusOnATCPConnection(t *testing.T) {
	s := serve(t, laterAddress(t))
	config, err := ParseURL("tcp://"+s.address()+"?timeout=5s&baud=115200", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, ask := run(t, config)
	equal(t, "at first", ask(time.Time{}), "1")

	s.listener.Close()
	(<-s.conns).Close()
	equal(t, "without server", ask(time.Now().Add(time.Second)), "[down]")

	serve(t, s.address())
	equal(t, "with the server back", ask(time.Time{}), "1")
}
