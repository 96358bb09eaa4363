package bus

import (
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// A meter that answers a block in a layout of its own is not asked for it again and again.
func TestBlockInAnotherLayoutIsLacking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		block := read("a", "v")
		block.Block = "all"
		block.First.Take = func([]byte) (*protocol.Exchange, protocol.Result, error) {
			return nil, protocol.Result{Address: protocol.Address{MeterKey: keyOf("a")}}, protocol.ErrGarbled
		}
		meter := l.bus.Meter(keyOf("a"))
		for _, want := range []bool{false, true} {
			<-l.submit(block)
			equal(t, "lacks", meter.Lacks("all"), want)
		}
		<-time.After(24 * time.Hour)
		equal(t, "a day later", meter.Lacks("all"), false)
	})
}
