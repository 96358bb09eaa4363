package bus

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// inWays returns a step that may be asked as any of five registers.
func inWays(meter string) protocol.Step {
	step := read(meter, "p")
	for _, register := range "qrst" {
		step.Ways = append(step.Ways, readExchange(meter, string(register), ""))
	}
	return step
}

// TestWays asks a meter in one way after the other until it answers.
func TestWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var understood atomic.Value
		understood.Store("s")
		l := start(t, Config{}, func(request string) []arrival {
			if understood.Load() != request[2:3] {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		equal(t, "values", values(<-l.submit(inWays("a"))), "1")
		equal(t, "sent", l.log(), "?ap. ?aq. ?ar. ?as.")

		// One that is away is asked in each way once, and then probed in one after the other.
		understood.Store("")
		l.forget()
		equal(t, "values", values(<-l.submit(inWays("b"), read("b", "v"))), "[silent] [silent]")
		equal(t, "sent", l.log(), "?bp. ?bq. ?br. ?bs. ?bt.")
		equal(t, "online", l.bus.Meter(keyOf("b")).Online(), false)
		understood.Store("r")
		l.forget()
		time.Sleep(10 * time.Second)
		equal(t, "sent", l.log(), "?bp. ?bq. ?br.")
		equal(t, "online", l.bus.Meter(keyOf("b")).Online(), true)

		// From then on it is probed as it has answered.
		understood.Store("")
		l.forget()
		<-l.submit(read("b", "v"), read("b", "w"))
		<-l.submit(read("b", "w"))
		understood.Store("r")
		time.Sleep(2 * time.Second)
		equal(t, "sent", l.log(), "?bv. ?bv. ?br. ?br.")
		equal(t, "online", l.bus.Meter(keyOf("b")).Online(), true)
	})
}

// TestEndless asks only once for what does not end.
func TestEndless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		step := read("a", "v")
		step.First.Take = func([]byte) (*protocol.Exchange, protocol.Result, error) {
			return nil, protocol.Result{}, fmt.Errorf("%w: %w", protocol.ErrGarbled, protocol.ErrEndless)
		}
		equal(t, "values", values(<-l.submit(step)), "[garbled]")
		equal(t, "sent", l.log(), "?av.")
	})
}
