package simulator

import (
	"context"
	"io"
	"net"
	"net/url"
	"testing"

	"dlt645-mqtt/protocol/dlt645"
)

// ask sends a request and reads an answer of so many bytes.
func ask(t *testing.T, stream io.ReadWriter, request dlt645.Frame, size int) dlt645.Frame {
	t.Helper()
	if _, err := stream.Write(encode(t, request)); err != nil {
		t.Fatal(err)
	}
	return hear(t, stream, size)
}

func hear(t *testing.T, stream io.Reader, size int) dlt645.Frame {
	t.Helper()
	b := make([]byte, size)
	if _, err := io.ReadFull(stream, b); err != nil {
		t.Fatal(err)
	}
	frame, err := dlt645.ParseFrame(b)
	if err != nil {
		t.Fatalf("% X: %v", b, err)
	}
	return frame
}

// TestServeMetersOfOtherSpeeds asks a meter with a speed of its own over a stream, which has none.
func TestServeMetersOfOtherSpeeds(t *testing.T) {
	line, err := Open(url.Values{"baud": {"115200"}, "addresses": {"1,2?baud=9600&parity=none"}})
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	ended := make(chan error)
	go func() { ended <- line.Serve(t.Context(), far) }()
	for _, meter := range []string{"1", "2", "1"} {
		if frame := ask(t, near, readFrame(t, meter, diDemandPeriod), 21); frame.Address != address(t, meter) {
			t.Errorf("meter %s: answer %+v", meter, frame)
		}
	}
	near.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestServeTCP(t *testing.T) {
	line := newBus(t, BusOptions{Baud: 115200, WakeUp: 4}, "1", "2")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- line.ServeTCP(ctx, listener) }()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}

	one := dial()
	if frame := ask(t, one, readFrame(t, "1", diDemandPeriod), 21); frame.Address != address(t, "1") {
		t.Errorf("answer %+v", frame)
	}
	two := dial()
	// The answer to the second shows that it is on the line; the first hears it too.
	ask(t, two, readFrame(t, "2", diDemandPeriod), 21)
	if frame := hear(t, one, 21); frame.Address != address(t, "2") {
		t.Errorf("the other connection heard %+v", frame)
	}
	one.Close()
	if frame := ask(t, two, readFrame(t, "1", diDemandPeriod), 21); frame.Address != address(t, "1") {
		t.Errorf("answer after the first has gone: %+v", frame)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ServeTCP ended with %v", err)
	}
	if _, err := two.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	two.Close()
}

func TestServeTCPFailsWithItsListener(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	if err := NewBus(BusOptions{}).ServeTCP(t.Context(), listener); err == nil {
		t.Error("no error from a closed listener")
	}
}
