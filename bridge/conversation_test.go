package bridge

import (
	"testing"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

func TestSilentConversation(t *testing.T) {
	tried := func(err error) outcome {
		return outcome{Reply: bus.Reply{Started: true, Answer: protocol.Answer{Err: err}}}
	}
	left := outcome{Reply: bus.Reply{Answer: protocol.Answer{Err: protocol.ErrSilent}}} // or offline
	answered, refused, silent := tried(nil), tried(new(protocol.Refusal)), tried(protocol.ErrSilent)
	for _, test := range []struct {
		name     string
		outcomes []outcome
		want     bool
	}{
		{"nothing tried", nil, false},
		{"answered", []outcome{answered, refused}, false},
		{"silent", []outcome{silent, left}, true},
		{"silent in the end", []outcome{answered, silent, left}, true},
		{"silent at first, as to who it is", []outcome{silent, left, answered}, false},
		{"offline", []outcome{left, left}, true},
		{"from the cache", []outcome{{cached: true}}, false},
	} {
		c := conversation{outcomes: test.outcomes}
		if got := c.silent(); got != test.want {
			t.Errorf("%s: silent is %v, want %v", test.name, got, test.want)
		}
	}
}
