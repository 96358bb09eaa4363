package simulator

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

func encode(t *testing.T, f dlt645.Frame) []byte {
	t.Helper()
	b, err := f.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// readAll reads a port until nothing has come for a while, and tells when the first and
// the last byte came.
func readAll(t *testing.T, p *Port, wait time.Duration) (b []byte, first, last time.Time) {
	t.Helper()
	b, first, last, err := readUntil(p, wait)
	if err != nil {
		t.Fatal(err)
	}
	return b, first, last
}

// readUntil does the same on a port that may fail.
func readUntil(p *Port, wait time.Duration) (b []byte, first, last time.Time, err error) {
	buffer := make([]byte, 512)
	for {
		n, err := p.Read(buffer, wait)
		if n == 0 || err != nil {
			return b, first, last, err
		}
		last = time.Now()
		if b == nil {
			first = last
		}
		b = append(b, buffer[:n]...)
	}
}

func newBus(t *testing.T, o BusOptions, addresses ...string) *Bus {
	t.Helper()
	for _, a := range addresses {
		o.Meters = append(o.Meters, newMeter(t, MeterOptions{Address: a}))
	}
	return NewBus(o)
}

func TestPacing(t *testing.T) {
	for _, test := range []struct {
		name       string
		baud       int
		turnaround time.Duration
		wakeUp     int
		request    int // bytes
		// From the write to the first and to the last byte of the answer.
		first, last int // milliseconds
	}{
		// 1100 baud are 10 ms a byte; a request has 16 bytes, the answer 17 and the FE.
		{"round numbers", 1100, 20 * time.Millisecond, 4, 16, 160 + 20 + 10, 160 + 20 + 210},
		{"no wake-up bytes", 1100, 20 * time.Millisecond, 0, 16, 160 + 20 + 10, 160 + 20 + 170},
		{"slow meter", 1100, 500 * time.Millisecond, 4, 16, 160 + 500 + 10, 160 + 500 + 210},
		{"no pacing", 0, 20 * time.Millisecond, 4, 16, 20, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := newBus(t, BusOptions{Baud: test.baud, Turnaround: test.turnaround, WakeUp: test.wakeUp}, "1", "2")
				p := line.Port()
				defer p.Close()
				start := time.Now()
				if _, err := p.Write(encode(t, readFrame(t, "1", diDemandPeriod))); err != nil {
					t.Fatal(err)
				}
				if time.Since(start) != 0 {
					t.Errorf("the write took %v", time.Since(start))
				}
				b, first, last := readAll(t, p, time.Second)
				if got, want := first.Sub(start), time.Duration(test.first)*time.Millisecond; got != want {
					t.Errorf("first byte after %v, want %v", got, want)
				}
				if got, want := last.Sub(start), time.Duration(test.last)*time.Millisecond; got != want {
					t.Errorf("last byte after %v, want %v", got, want)
				}
				frame, err := dlt645.ParseFrame(b)
				if err != nil || frame.Control != 0x91 || len(b) != 17+test.wakeUp {
					t.Errorf("% X: %+v, %v", b, frame, err)
				}
			})
		})
	}
}

func TestDurationOfAByteIsNotRounded(t *testing.T) {
	line := NewBus(BusOptions{Baud: 2400})
	if got, want := line.duration(2400, protocol.Mode{}), 11*time.Second; got != want {
		t.Errorf("2400 bytes at 2400 baud take %v, want %v", got, want)
	}
}

func TestBytesArriveOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 1100}, "1")
		p := line.Port()
		defer p.Close()
		if _, err := p.Write(encode(t, readFrame(t, "1", diDemandPeriod))); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 64)
		if n, err := p.Read(buffer, 165*time.Millisecond); n != 0 || err != nil {
			t.Errorf("before the first byte: %d, %v", n, err)
		}
		for range 3 {
			before := time.Now()
			n, err := p.Read(buffer, time.Second)
			if n != 1 || err != nil {
				t.Errorf("read %d, %v; want one byte", n, err)
			}
			if waited := time.Since(before); waited > 10*time.Millisecond {
				t.Errorf("waited %v for a byte", waited)
			}
		}
		if n, err := p.Read(buffer, 0); n != 0 || err != nil {
			t.Errorf("read without waiting: %d, %v; want nothing", n, err)
		}
		time.Sleep(30 * time.Millisecond)
		if n, _ := p.Read(buffer, 0); n != 3 {
			t.Errorf("after 30 ms %d bytes have come, want 3", n)
		}
	})
}

func TestARequestInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 1100, Turnaround: 20 * time.Millisecond}, "1")
		p := line.Port()
		defer p.Close()
		request := encode(t, readFrame(t, "1", diDemandPeriod))
		for _, test := range []struct {
			gap  time.Duration
			want bool
		}{{400 * time.Millisecond, true}, {600 * time.Millisecond, false}} {
			for _, piece := range [][]byte{request[:5], request[5:]} {
				if _, err := p.Write(piece); err != nil {
					t.Fatal(err)
				}
				time.Sleep(line.duration(len(piece), protocol.Mode{}))
				if piece[0] == request[0] {
					time.Sleep(test.gap)
				}
			}
			if b, _, _ := readAll(t, p, time.Second); (len(b) > 0) != test.want {
				t.Errorf("gap of %v: answer % X, want one: %v", test.gap, b, test.want)
			}
		}
	})
}

func TestSilence(t *testing.T) {
	bad := encode(t, readFrame(t, "1", diTime))
	bad[len(bad)-2]++
	for _, test := range []struct {
		name    string
		request []byte
	}{
		{"bad checksum", bad},
		{"foreign address", encode(t, readFrame(t, "7", diTime))},
		{"broadcast", encode(t, dlt645.Frame{Address: dlt645.Broadcast, Control: 0x08, Data: appendSecond(nil, noon)})},
		{"noise", bytes.Repeat([]byte{0x68, 0x00, 0xFE}, 40)},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				line := newBus(t, BusOptions{Baud: 2400, Turnaround: 20 * time.Millisecond}, "1")
				p := line.Port()
				defer p.Close()
				if _, err := p.Write(test.request); err != nil {
					t.Fatal(err)
				}
				if b, _, _ := readAll(t, p, 3*time.Second); len(b) > 0 {
					t.Errorf("something came: % X", b)
				}
				// And the line is usable again.
				if _, err := p.Write(encode(t, readFrame(t, "1", diTime))); err != nil {
					t.Fatal(err)
				}
				if b, _, _ := readAll(t, p, 3*time.Second); len(b) == 0 {
					t.Error("no answer to a good request afterwards")
				}
			})
		})
	}
}

func TestTwoMetersThatAnswerAtOnceCollide(t *testing.T) {
	line := newBus(t, BusOptions{WakeUp: 4}, "1", "2")
	request := encode(t, dlt645.Frame{Address: dlt645.Anyone, Control: 0x13})
	b := line.Answer(request, noon)
	if _, err := dlt645.ParseFrame(b); err == nil || len(b) == 0 {
		t.Errorf("the answer of two meters can be read: % X", b)
	}
	alone := newBus(t, BusOptions{WakeUp: 4}, "2")
	if frame, err := dlt645.ParseFrame(alone.Answer(request, noon)); err != nil || frame.Address != address(t, "2") {
		t.Errorf("the answer of one meter: %+v, %v", frame, err)
	}
}

func TestTalkingIntoAnAnswerGarblesBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 1100, Turnaround: 20 * time.Millisecond}, "1")
		p := line.Port()
		defer p.Close()
		request := encode(t, readFrame(t, "1", diDemandPeriod))
		for _, wait := range []time.Duration{0, 250 * time.Millisecond} { // the answer takes 190 to 350 ms
			if _, err := p.Write(request); err != nil {
				t.Fatal(err)
			}
			time.Sleep(wait)
		}
		b, _, _ := readAll(t, p, time.Second)
		if frame, err := dlt645.ParseFrame(b); err == nil {
			t.Errorf("the answer can be read: %+v", frame)
		}
		if len(b) != 17 {
			t.Errorf("%d bytes came, want the 17 of one answer: the second request cannot have been heard", len(b))
		}
	})
}

func TestEveryPortHearsTheMeters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 2400, Turnaround: 20 * time.Millisecond}, "1")
		p, q := line.Port(), line.Port()
		defer p.Close()
		defer q.Close()
		if _, err := p.Write(encode(t, readFrame(t, "1", diTime))); err != nil {
			t.Fatal(err)
		}
		b, _, _ := readAll(t, p, time.Second)
		c, _, _ := readAll(t, q, time.Second)
		if len(b) == 0 || !bytes.Equal(b, c) {
			t.Errorf("one port heard % X, the other % X", b, c)
		}
		late := line.Port()
		defer late.Close()
		if b, _, _ := readAll(t, late, time.Second); len(b) > 0 {
			t.Errorf("a port opened afterwards heard % X", b)
		}
	})
}

func TestMetersTakeTheirTimeFromTheBus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 1100, Turnaround: 20 * time.Millisecond, Now: func() time.Time { return noon }}, "1")
		p := line.Port()
		defer p.Close()
		if _, err := p.Write(encode(t, readFrame(t, "1", diDateTime))); err != nil {
			t.Fatal(err)
		}
		b, _, _ := readAll(t, p, time.Second)
		frame, err := dlt645.ParseFrame(b)
		if want := []byte{0x00, 0x00, 0x12, 0x05, 0x20, 0x11, 0x26}; err != nil || !bytes.Equal(frame.Data[4:], want) {
			t.Errorf("%+v, %v; want the clock at % X", frame, err, want)
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 2400}, "1")
		p := line.Port()
		failed := make(chan error)
		go func() {
			_, err := p.Read(make([]byte, 1), time.Hour)
			failed <- err
		}()
		synctest.Wait()
		before := time.Now()
		p.Close()
		if err := <-failed; !errors.Is(err, os.ErrClosed) || time.Since(before) != 0 {
			t.Errorf("a read under way ended with %v after %v", err, time.Since(before))
		}
		if _, err := p.Write([]byte{1}); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a write to a closed port: %v", err)
		}
	})
}

func TestTheWireForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{}, "1")
		p, idle := line.Port(), line.Port()
		defer p.Close()
		defer idle.Close()
		request := encode(t, readFrame(t, "1", diTime))
		buffer := make([]byte, 64)
		for range 5000 {
			if _, err := p.Write(request); err != nil {
				t.Fatal(err)
			}
			if n, err := p.Read(buffer, time.Second); n != 19 || err != nil {
				t.Fatalf("read %d, %v; want the 19 bytes of the answer", n, err)
			}
		}
		if len(line.wire) > backlog+64 {
			t.Errorf("the wire remembers %d bytes", len(line.wire))
		}
		if n, err := idle.Read(buffer, 0); n != len(buffer) || err != nil {
			t.Errorf("a port that did not read for long gets %d, %v", n, err)
		}
	})
}
