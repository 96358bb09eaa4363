package bridge

import (
	"fmt"
	"testing"

	"dlt645-mqtt/bridge/bus"
)

// TestModesToTry has the speed and the parity of the line among what is tried, unless others are asked
// for, and first of all.
func TestModesToTry(t *testing.T) {
	own := bus.Mode{Baud: 2400, Parity: "odd"}
	for _, row := range []struct {
		speeds   []int
		parities []string
		want     string
	}{
		{[]int{9600, 9600}, nil, "[{9600 odd} {9600 even} {9600 none}]"},
		{nil, []string{"none"}, "[{2400 none} {9600 none} {1200 none} {4800 none} {19200 none} {600 none}]"},
		{[]int{9600, 1200}, []string{"even"}, "[{9600 even} {1200 even}]"},
	} {
		if got := fmt.Sprint(modesToTry(own, row.speeds, row.parities)); got != row.want {
			t.Errorf("speeds %v, parities %v: %s, want %s", row.speeds, row.parities, got, row.want)
		}
	}
	if got := modesToTry(own, nil, nil); got[0] != own || len(got) != len(scanSpeeds)*(len(scanParities)+1) {
		t.Errorf("of nothing: %v", got)
	}
}
