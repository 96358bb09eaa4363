package simulator

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestBreakdown(t *testing.T) {
	request := encode(t, readFrame(t, "1", diDemandPeriod))
	for _, test := range []struct {
		name string
		do   func(*Bus)
		want error // of the port that was open; nil: it hears nothing
		back time.Duration
	}{
		{"reset", (*Bus).Reset, errReset, 0},
		{"stall", func(b *Bus) { b.Stall(time.Now().Add(time.Minute)) }, nil, 0},
		{"unplug", func(b *Bus) { b.Unplug(time.Now().Add(time.Minute)) }, errUnplugged, time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := newBus(t, BusOptions{Baud: 2400, Turnaround: 20 * time.Millisecond}, "1")
				p := line.Port()
				defer p.Close()
				ended := make(chan error, 1)
				go func() { // a read under way
					_, err := p.Read(make([]byte, 1), 30*time.Second)
					ended <- err
				}()
				synctest.Wait()
				test.do(line)
				start := time.Now()
				if err := <-ended; !errors.Is(err, test.want) || test.want != nil && time.Since(start) > 0 {
					t.Errorf("the read ended with %v after %v, want %v", err, time.Since(start), test.want)
				}
				if _, err := p.Write(request); !errors.Is(err, test.want) {
					t.Errorf("a write: %v, want %v", err, test.want)
				}
				if n := line.Meters()[0].Counts().Reads; n > 0 {
					t.Error("the meter heard it")
				}
				time.Sleep(test.back - time.Since(start))
				q := line.Port()
				defer q.Close()
				if _, err := q.Write(request); err != nil {
					t.Fatal(err)
				}
				if b, _, _ := readAll(t, q, time.Second); len(b) != 17 {
					t.Errorf("a new port hears % X", b)
				}
				if test.want == nil {
					time.Sleep(time.Minute)
					if _, err := p.Write(request); err != nil {
						t.Fatal(err)
					}
					if b, _, _ := readAll(t, p, time.Second); len(b) != 17 {
						t.Errorf("after the stall the port hears % X", b)
					}
				}
			})
		})
	}
}

func TestAPortOpenedWhileUnpluggedFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{}, "1")
		line.Unplug(time.Now().Add(time.Hour))
		p := line.Port()
		if _, err := p.Write([]byte{0x68}); !errors.Is(err, errUnplugged) {
			t.Errorf("a write: %v", err)
		}
		line.Unplug(time.Time{})
		q := line.Port()
		defer q.Close()
		if _, err := q.Write([]byte{0x68}); err != nil {
			t.Errorf("plugged in again: %v", err)
		}
	})
}

// TestServeTCPBreaksDown resets, unplugs and plugs in a bus on a real socket.
func TestServeTCPBreaksDown(t *testing.T) {
	line := newBus(t, BusOptions{Baud: 115200}, "1")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- line.ServeTCP(ctx, listener) }()
	connect := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		ask(t, c, readFrame(t, "1", diDemandPeriod), 17) // so that it is being served
		return c
	}
	for name, do := range map[string]func(){"reset": line.Reset, "unplug": func() { line.Unplug(time.Now().Add(time.Hour)) }} {
		c := connect()
		do()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: the connection ended with %v, want a reset", name, err)
		}
		c.Close()
		if name == "unplug" {
			// The listener closes before the bus answers to anything else.
			for err == nil {
				if c, err = net.Dial("tcp", address); err == nil {
					_, _ = c.Read(make([]byte, 1)) // accepted in between, it ends at once
					c.Close()
				}
			}
			if !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("unplugged: dialling fails with %v, want refused", err)
			}
			err = nil
			line.Unplug(time.Time{})
		}
		// A listener is there again sooner or later.
		for {
			if c, err := net.Dial("tcp", address); err == nil {
				c.Close()
				break
			}
		}
	}
	connect().Close()

	stalled := connect()
	line.Stall(time.Now().Add(time.Hour))
	if _, err := stalled.Write(encode(t, readFrame(t, "1", diDemandPeriod))); err != nil {
		t.Errorf("a write to a stalled connection: %v", err)
	}
	connect().Close() // its answer is not heard by the stalled one
	if err := stalled.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := stalled.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stalled connection reads %d bytes, %v", n, err)
	}
	stalled.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ServeTCP ended with %v", err)
	}
}
