package dlt645

import (
	"bufio"
	"bytes"
	"slices"
	"testing"

	"dlt645-mqtt/protocol"
)

// TestExplain says what came in place of the answer to a read of the voltage of phase A.
func TestExplain(t *testing.T) {
	const other = "000000000002"
	plan, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbRead, Address: meterAt(meterA), Items: []string{"voltage_a"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := plan.Steps[0].First
	foreign := value(other, 0x02010100, 0x01, 0x22)
	for _, test := range []struct {
		name  string
		heard []byte
		want  string
	}{
		{"nothing", nil, ""},
		{"noise", []byte{0x68, 0x00, 0x16, 0xFF}, ""},
		{"the echo", first.Request, ""},
		{"another item", value(meterA, 0x02010200, 0x01, 0x22), "meter 000000000001 answers 91 read 02010200 voltage_b, where 11 read 02010100 voltage_a was asked for"},
		{"an item that nobody knows", value(meterA, 0x02EE0200, 0x01), "meter 000000000001 answers 91 read 02EE0200, where 11 read 02010100 voltage_a was asked for"},
		{"another meter, behind noise and echo", slices.Concat([]byte{0xFE, 0x68, 0x01}, first.Request, foreign), "meter 000000000002 answers (91 read 02010100 voltage_a), where 000000000001 was asked"},
		{"the same twice", slices.Concat(foreign, foreign), "meter 000000000002 answers (91 read 02010100 voltage_a), where 000000000001 was asked"},
		{"another function", wire(meterA, 0x94), "meter 000000000001 answers to another request (94 write) than the one that was sent (11 read 02010100 voltage_a)"},
		{"the refusal of another item", wire(meterA, 0xD1, 0x00, 0x02, 0x01, 0x02, 0x02), "meter 000000000001 answers D1 read, refused 02010200 voltage_b, where 11 read 02010100 voltage_a was asked for"},
		{"another meter's refusal", wire(other, 0xD1, 0x02), "meter 000000000002 answers (D1 read, refused), where 000000000001 was asked"},
		{"another master", wire(other, 0x11, 0, 0, 1, 0), "another master asks meter 000000000002 (11 read 00010000 forward_active_energy)"},
		{"a meter of the other edition", wire(meterA, 0x81, 0x10, 0x90, 1, 2, 3, 4), "meter 000000000001 answers to another request (81 read 9010 forward_active_energy) than the one that was sent (11 read 02010100 voltage_a)"},
	} {
		if got := first.Explain(test.heard); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

// FuzzExplain explains whatever comes: what it says is a sentence about sound frames, or nothing.
func FuzzExplain(f *testing.F) {
	for i, seed := range seeds(f) {
		f.Add(seed, byte(i), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, heard []byte, function byte, older bool) {
		v := V2007
		if older {
			v = V1997
		}
		request := Frame{Address: address(meterA), Control: Control(function & 0x1F), Data: []byte{0, 1, 1, 2}}
		said := New(v, shanghai).explainer(request, v)(heard)
		frames := scan(t, bufio.NewScanner(bytes.NewReader(heard)))
		if len(frames) == 0 && said != "" || len(said) > 2000 {
			t.Errorf("%X: %s", heard, said)
		}
	})
}
