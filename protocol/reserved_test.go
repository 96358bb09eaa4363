package protocol

import (
	"strings"
	"testing"
)

func TestIsItemName(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "voltage_a": true, "t1_": true, strings.Repeat("z", 64): true,
		"": false, strings.Repeat("z", 65): false, "_a": false, "1a": false, "A": false, "aB": false, "a-b": false, "a b": false, "a.b": false, "a\n": false, "电压": false,
	} {
		if got := IsItemName(name); got != want {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
}
