package meters

import (
	"testing"

	"dlt645-mqtt/protocol"
)

// TestIsLacking tells what a meter does not have from what it could not give just now.
func TestIsLacking(t *testing.T) {
	none := &protocol.Refusal{Reasons: []string{"no_such_data"}, Means: protocol.ErrNoSuchData}
	later := &protocol.Refusal{Code: 2, Reasons: []string{"other"}}
	result := &protocol.Result{
		Values: []protocol.Value{{Name: "voltage_a"}},
		Errors: []protocol.ItemError{{Item: "frequency", Err: none}, {Item: "current_a", Err: later}},
	}
	for item, want := range map[string]bool{"voltage_a": false, "frequency": true, "current_a": false, "power_factor": true} {
		if got := isLacking(result, item); got != want {
			t.Errorf("%s is lacking: %v, want %v", item, got, want)
		}
	}
}
