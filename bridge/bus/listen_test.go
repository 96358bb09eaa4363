package bus

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// laterAddress is where something may listen later, or again. Its port lies below those that the system gives to connections and
// to listeners that take any, so that no other test gets it meanwhile.
func laterAddress(t *testing.T) string {
	t.Helper()
	for {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
}

// listening opens a listening port in the background and returns where to dial.
func listening(t *testing.T, parameters string) (l Config, address string) {
	t.Helper()
	address = laterAddress(t)
	config, err := ParseURL("listen://"+address+"?timeout=5s&baud=115200"+parameters, nil)
	if err != nil {
		t.Fatal(err)
	}
	return config, address
}

// dialIn connects like a DTU, saying hello.
func dialIn(t *testing.T, address, hello string) net.Conn {
	t.Helper()
	var conn net.Conn
	err := io.EOF
	for err != nil && t.Context().Err() == nil { // until the listener is there
		conn, err = net.Dial("tcp", address)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err = io.WriteString(conn, hello); err != nil {
		t.Fatal(err)
	}
	return conn
}

// closed waits until the other side has closed the connection.
func closed(t *testing.T, what string, conn net.Conn) {
	t.Helper()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("%s: read %d, %v", what, n, err)
	}
}

func openAsync(ctx context.Context, open Opener) <-chan opened {
	result := make(chan opened, 1)
	go func() {
		port, err := open(ctx)
		result <- opened{port, err}
	}()
	return result
}

func TestListenTakesRegisteredConnections(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config, address := listening(t, "&register=DTU-7")
	result := openAsync(ctx, config.Open)

	closed(t, "stranger", dialIn(t, address, "hello"))
	equal(t, "strangers", config.Strangers(), 1)

	first := dialIn(t, address, "DTU-7=av1.")
	o := <-result
	if o.err != nil {
		t.Fatal(o.err)
	}
	readAll(t, o.port, "=av1.")

	// A stranger does not get the line from the DTU; the DTU gets it from itself.
	closed(t, "stranger", dialIn(t, address, "DTU-8"))
	if _, err := first.Write([]byte("=av2.")); err != nil {
		t.Fatal(err)
	}
	readAll(t, o.port, "=av2.")
	dialIn(t, address, "DTU-7=av3.")
	closed(t, "old connection", first)
	if n, err := o.port.Read(make([]byte, 10), 10*time.Second); err == nil {
		t.Errorf("the old connection still works: %d bytes", n)
	}
	o.port.Close()
	o = <-openAsync(ctx, config.Open)
	if o.err != nil {
		t.Fatal(o.err)
	}
	readAll(t, o.port, "=av3.")
	o.port.Close()
	equal(t, "strangers", config.Strangers(), 2)
}

// A caller is a connection of which only the address matters.
type caller struct {
	net.Conn
	address string
	closed  bool
}

func (c *caller) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.address))
}

func (c *caller) Close() error { c.closed = true; return nil }

// TestWhoHasMostGivesWayFirst has strangers dial in from one address, from many, and from one network. A DTU
// that takes its time to register stays.
func TestWhoHasMostGivesWayFirst(t *testing.T) {
	for _, row := range []struct {
		name     string
		dtu      string
		stranger func(i int) string
		after    int // strangers that come after the DTU
	}{
		{"one address", "10.0.0.1:1000", func(int) string { return "192.0.2.1:7" }, 1_000},
		{"one IPv6 network", "[2001:db8:1::1]:1000", func(i int) string { return fmt.Sprintf("[2001:db8::%x]:7", i%0x10000) }, 1_000},
		{"IPv4 in IPv6", "10.0.0.1:1000", func(int) string { return "[::ffff:192.0.2.1]:7" }, 1_000},
		{"the DTU's own address", "10.0.0.1:1000", func(int) string { return "10.0.0.1:7" }, mostUnregistered - 1},
		{"an address each", "10.0.0.1:1000", func(i int) string { return fmt.Sprintf("10.1.%d.%d:7", i/256, i%256) }, mostUnregistered - 1},
		{"two addresses", "10.0.0.1:1000", func(i int) string { return fmt.Sprintf("192.0.2.%d:7", i%2) }, 1_000},
	} {
		l := &listener{}
		dtu := &caller{address: row.dtu}
		var strangers []*caller
		for i := range mostUnregistered + row.after {
			if i == mostUnregistered {
				l.receive(dtu)
			}
			strangers = append(strangers, &caller{address: row.stranger(i)})
			l.receive(strangers[i])
		}
		if dtu.closed {
			t.Errorf("%s: the DTU is kept out", row.name)
		}
		if len(l.greeted) != mostUnregistered || strangers[len(strangers)-1].closed || !strangers[0].closed {
			t.Errorf("%s: %d connections; the last closed %t, the first %t", row.name, len(l.greeted), strangers[len(strangers)-1].closed, strangers[0].closed)
		}
	}
}

// TestSilentStrangersKeepNoDTUOut opens more connections than may be about to register, which
// say nothing. The DTU comes in all the same.
func TestSilentStrangersKeepNoDTUOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config, address := listening(t, "&register=DTU-7")
	result := openAsync(ctx, config.Open)
	var strangers []net.Conn
	for range 3 * mostUnregistered {
		strangers = append(strangers, dialIn(t, address, ""))
	}
	dialIn(t, address, "DTU-7=av1.")
	o := <-result
	if o.err != nil {
		t.Fatal(o.err)
	}
	readAll(t, o.port, "=av1.")
	for range 2 * mostUnregistered {
		closed(t, "one of the oldest strangers", strangers[0])
		strangers = strangers[1:]
	}
	o.port.Close()
}

func TestListenWithoutRegistrationKeepsTheFirst(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config, address := listening(t, "")
	result := openAsync(ctx, config.Open)
	first := dialIn(t, address, "")
	o := <-result
	if o.err != nil {
		t.Fatal(o.err)
	}
	closed(t, "second", dialIn(t, address, ""))
	if _, err := first.Write([]byte("=av1.")); err != nil {
		t.Fatal(err)
	}
	readAll(t, o.port, "=av1.")
	o.port.Close()
	result = openAsync(ctx, config.Open)
	dialIn(t, address, "=av2.")
	o = <-result
	if o.err != nil {
		t.Fatal(o.err)
	}
	readAll(t, o.port, "=av2.")
	o.port.Close()
}

func TestHeartbeatsAreTakenOut(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config, address := listening(t, "&register=DTU-7&heartbeat=hex:AABBCC")
	result := openAsync(ctx, config.Open)
	conn := dialIn(t, address, "DTU-7")
	o := <-result
	if o.err != nil {
		t.Fatal(o.err)
	}
	defer o.port.Close()
	for _, test := range []struct{ sent, want string }{
		{"\xAA\xBB\xCC=av1.", "=av1."},
		{"=a\xAA\xBB\xCCv1.\xAA\xBB\xCC", "=av1."},
		{"=av1.DTU-7=av2.", "=av1.=av2."},
		{"=av1.\xAA\xBB", "=av1.\xAA\xBB"}, // a heartbeat that is never finished
		{"=av1.DT", "=av1.DT"},
	} {
		if _, err := conn.Write([]byte(test.sent)); err != nil {
			t.Fatal(err)
		}
		readAll(t, o.port, test.want)
	}
	// Byte by byte. Where the machine lets more time pass within the heartbeat than it may be under way, that proves
	// nothing, and it is tried again.
	for tries := 1; ; tries++ {
		begin := time.Now()
		go func() {
			for _, c := range []byte("=av\xAA\xBB\xCC1.") {
				if _, err := conn.Write([]byte{c}); err != nil {
					return
				}
			}
		}()
		got, data := "", make([]byte, 100)
		for !strings.HasSuffix(got, "1.") {
			n, err := o.port.Read(data, 10*time.Second)
			if err != nil || n == 0 {
				t.Fatalf("after %q: %d bytes, error %v", got, n, err)
			}
			got += string(data[:n])
		}
		if got != "=av1." && time.Since(begin) >= heartbeatGap && tries < 100 {
			continue
		}
		equal(t, "read byte by byte", got, "=av1.")
		return
	}
}

func TestBusWithADTU(t *testing.T) {
	config, address := listening(t, "&register=DTU-7")
	b, ask := run(t, config)
	first := dialIn(t, address, "DTU-7")
	go answerPromptly(first)
	equal(t, "at first", ask(time.Time{}), "1")
	go answerPromptly(dialIn(t, address, "DTU-7"))
	equal(t, "after dialling again", ask(time.Time{}), "1")
	closed(t, "stranger", dialIn(t, address, "hello"))
	equal(t, "strangers", b.State().Strangers, 1)
}

func TestListenErrors(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	config, err := ParseURL("listen://"+server.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = config.Open(t.Context()); err == nil {
		t.Error("two programs listen on one port")
	}
	ctx, cancel := context.WithCancel(t.Context())
	config, _ = listening(t, "")
	result := openAsync(ctx, config.Open)
	cancel()
	if o := <-result; o.err == nil {
		t.Error("an opener that was called off gave no error")
	}
}
