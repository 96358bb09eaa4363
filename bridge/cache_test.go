package bridge

import (
	"fmt"
	"reflect"
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

// TestCacheGivesBackAll keeps results of all kinds, asked of one meter or of whoever is there.
func TestCacheGivesBackAll(t *testing.T) {
	var c cache
	now := time.Now()
	one, another := parrotAt("000000000001"), parrotAt("000000000002")
	values := []protocol.Value{{Name: "voltage_a", Unit: "V", Data: protocol.Decimal{Coefficient: 2301, Scale: 1}}}
	results := []protocol.Result{
		{Address: one, Values: values},
		{Address: one},
		{Address: one, Values: values, Clock: now},
		{Address: one, Values: values, Learned: map[string]string{"order": "low first"}},
		{Address: one, Errors: []protocol.ItemError{{Item: "voltage_b", Err: protocol.ErrNoSuchData}}},
		{Address: one, Samples: []protocol.Sample{{}}},
		{Address: one, Frame: []byte{0x68}},
		{Address: another, Values: values},
		{Values: values},
	}
	step := func(i int) *protocol.Step { return &protocol.Step{Meter: one.MeterKey, Key: fmt.Sprint(i)} }
	for i, want := range results {
		c.put(step(i), want, now, now)
		if got, _, ok := c.get(step(i), time.Hour); !ok || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, ok, want)
		}
	}
	for i := range results {
		c.put(step(i), results[i], now, now)
	}
	if c.kept != len(results) {
		t.Errorf("%d results are counted, %d are kept", c.kept, len(results))
	}
	c.forget(another, now)
	for i, result := range results {
		if _, _, ok := c.get(step(i), time.Hour); ok != (result.Address != another) {
			t.Errorf("after a command to %s a result of %s is kept: %v", another, result.Address, ok)
		}
	}
	c.forget(one, now)
	if _, _, ok := c.get(step(0), time.Hour); ok || c.kept != 1 {
		t.Errorf("after a command to the meter %d results are kept", c.kept)
	}
}
