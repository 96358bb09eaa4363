package simulator

import (
	"testing"
	"testing/synctest"
	"time"
)

// What is held back comes all at once when the master writes next, and nobody else has to wait for it.
func TestHoldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 2400, Turnaround: 20 * time.Millisecond}, "1")
		p, spy := line.Port(), line.Port()
		defer p.Close()
		defer spy.Close()
		ask := func() {
			t.Helper()
			if _, err := p.Write(encode(t, readFrame(t, "1", diDemandPeriod))); err != nil {
				t.Fatal(err)
			}
		}
		ask()
		line.HoldBack(time.Now().Add(5 * time.Second))
		if b, _, _ := readAll(t, p, 4*time.Second); len(b) > 0 {
			t.Errorf("% X while all is held back", b)
		}
		if b, _, _ := readAll(t, spy, 4*time.Second); len(b) != 17 {
			t.Errorf("who listens only hears % X", b)
		}
		time.Sleep(2 * time.Second)
		ask()
		buffer := make([]byte, 64)
		if n, err := p.Read(buffer, 0); n != 17 || err != nil {
			t.Errorf("%d bytes when the master has written, %v", n, err)
		}
		if b, _, _ := readAll(t, p, 2*time.Second); len(b) != 17 {
			t.Errorf("then % X", b)
		}
	})
}
