package protocol

import "testing"

func TestStepValues(t *testing.T) {
	result := Result{Values: []Value{{Name: "status_3"}, {Name: "status_3.relay_open"}}}
	if got := (&Step{}).Values(result); len(got) != 2 {
		t.Errorf("a step that wants all got %v", got)
	}
	if got := (&Step{Only: []string{"status_3.relay_open"}}).Values(result); len(got) != 1 || got[0].Name != "status_3.relay_open" {
		t.Errorf("a step that wants one got %v", got)
	}
}
