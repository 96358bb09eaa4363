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
	result := protocol.Result{Address: "000000000001"}
	c.forget("000000000001", false, begin.Add(time.Second))
	c.put("key", result, begin, begin.Add(2*time.Second))
	if _, _, ok := c.get("key", time.Hour); ok {
		t.Error("a value that was asked for before a command was over is kept")
	}
	c.put("key", result, begin.Add(time.Second), begin.Add(2*time.Second))
	if _, _, ok := c.get("key", time.Hour); !ok {
		t.Error("a value that was asked for afterwards is not kept")
	}
	c.forget("999999999999", true, begin.Add(3*time.Second))
	if _, _, ok := c.get("key", time.Hour); ok {
		t.Error("a broadcast leaves values behind")
	}
}
