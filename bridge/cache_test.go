package bridge

import (
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestCacheAndCommand reads before a command is over: the value may be that of before.
func TestCacheAndCommand(t *testing.T) {
	var c cache
	begin := time.Now()
	step := &protocol.Step{Meter: parrotKey("000000000001"), Key: "key"}
	result := protocol.Result{Address: parrotAt("000000000001")}
	c.forget(parrotAt("000000000001"), begin.Add(time.Second))
	c.put(step, result, begin, begin.Add(2*time.Second))
	if _, _, ok := c.get(step, time.Hour); ok {
		t.Error("a value that was asked for before a command was over is kept")
	}
	c.put(step, result, begin.Add(time.Second), begin.Add(2*time.Second))
	if _, _, ok := c.get(step, time.Hour); !ok {
		t.Error("a value that was asked for afterwards is not kept")
	}
	c.forget(protocol.Address{MeterKey: parrotKey("999999999999"), Shared: true}, begin.Add(3*time.Second))
	if _, _, ok := c.get(step, time.Hour); ok {
		t.Error("a broadcast leaves values behind")
	}
}
