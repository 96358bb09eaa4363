package bridge

import (
	"testing"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

func TestSilentConversation(t *testing.T) {
	tried := func(err error) meters.Outcome {
		return meters.Outcome{Reply: bus.Reply{Started: true, Answer: protocol.Answer{Err: err}}}
	}
	left := meters.Outcome{Reply: bus.Reply{Answer: protocol.Answer{Err: protocol.ErrSilent}}} // or offline
	answered, refused, silent := tried(nil), tried(new(protocol.Refusal)), tried(protocol.ErrSilent)
	for _, test := range []struct {
		name     string
		outcomes []meters.Outcome
		want     bool
	}{
		{"nothing tried", nil, false},
		{"answered", []meters.Outcome{answered, refused}, false},
		{"silent", []meters.Outcome{silent, left}, true},
		{"silent in the end", []meters.Outcome{answered, silent, left}, true},
		{"silent at first, as to who it is", []meters.Outcome{silent, left, answered}, false},
		{"offline", []meters.Outcome{left, left}, true},
		{"from the cache", []meters.Outcome{{Cached: true}}, false},
	} {
		c := account{outcomes: test.outcomes}
		if got := c.silent(); got != test.want {
			t.Errorf("%s: silent is %v, want %v", test.name, got, test.want)
		}
	}
}
