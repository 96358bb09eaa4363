package dlt645

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
)

// own returns the protocol with items of a user's own, written as "identifier name format access".
func own(t *testing.T, v Version, rows ...string) *Meters {
	t.Helper()
	var items []protocol.OwnItem
	for _, row := range rows {
		cells := strings.Fields(row)
		format, err := protocol.ParseFormat(cells[2], -1)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, protocol.OwnItem{Identifier: cells[0], Name: cells[1], Format: format, Unit: "V", Access: cells[3], English: cells[1], Chinese: cells[1]})
	}
	extended, wrong := New(v, shanghai).WithItems(items)
	if err := errors.Join(wrong...); err != nil {
		t.Fatal(err)
	}
	return extended.(*Meters)
}

// TestOwnVoltages has meters of 1997 that send volts with a decimal: singly, and in no block.
func TestOwnVoltages(t *testing.T) {
	m := own(t, V1997, "B611 voltage_a XXX.X R", "B612 voltage_b XXX.X R", "B613 voltage_c XXX.X R")
	plan := plan(t, m, nil, "1", "voltage_a", "voltage_b", "voltage_c", "current_a", "current_b")
	var read []string
	for i := range plan.Steps {
		read = append(read, strings.Join(plan.Steps[i].Items, "+"))
	}
	if want := []string{"voltage_a", "voltage_b", "voltage_c", "current_a+current_b"}; !slices.Equal(read, want) {
		t.Errorf("it reads %q, want %q", read, want)
	}
	result, err := converse(t, &plan.Steps[0], func(request []byte) []byte {
		frame, err := ParseFrame(request)
		if err != nil {
			t.Fatal(err)
		}
		return mustAppend(Frame{frame.Address, 0x81, append(frame.Data[:2:2], 0x01, 0x22)})
	})
	if text, _ := json.Marshal(result.Values); err != nil || string(text) != `[{"Name":"voltage_a","Unit":"V","Data":220.1}]` {
		t.Errorf("%s, %v", text, err)
	}
	if d, ok := m.Describe("voltage_a"); !ok || d.Decimals != 1 || d.Digits != 4 || d.Ratio != protocol.RatioVoltage || d.Form != protocol.FormNumber {
		t.Errorf("it is described as %+v", d)
	}
	block, err := m.Plan(protocol.Request{Verb: protocol.VerbRead, Address: m.named(address("1")), Items: []string{"voltage_block"}}, nil)
	if err != nil || len(block.Errors) != 1 || !errors.Is(block.Errors[0].Err, protocol.ErrUnsupported) {
		t.Errorf("the block: %+v, %v", block.Errors, err)
	}
	if names, err := m.Match("voltage_*"); err != nil || !slices.Equal(names, []string{"voltage_a", "voltage_b", "voltage_c", "voltage_block"}) {
		t.Errorf("voltage_* is %v, %v", names, err)
	}
	// The table of all others is what it was.
	if d, _ := New(V1997, shanghai).Describe("voltage_a"); d.Decimals != 0 {
		t.Errorf("without the table it is described as %+v", d)
	}
}

// TestOwnWrite writes what the dictionary calls read-only, and what it does not know.
func TestOwnWrite(t *testing.T) {
	m := own(t, V2007, "04000802 meter_status hex:2 RW", "04EE0001 balance i32 RW", "04EE0002 word ascii R")
	for _, row := range []struct {
		item string
		to   any
		want string // the data behind the credentials; empty: it is refused
	}{
		{"balance", json.Number("-2"), "FEFFFFFF"}, {"meter_status", "0102", "0201"}, {"word", "AB", ""}, {"balance", "x", ""}, {"balance", nil, ""},
	} {
		c := command("")
		c.Item, c.Value = row.item, row.to
		plan, err := m.Plan(protocol.Request{Verb: protocol.VerbWrite, Address: m.named(address("1")), Command: c.command()}, nil)
		if row.want == "" {
			if !errors.Is(err, protocol.ErrBadRequest) {
				t.Errorf("%s=%v: %v", row.item, row.to, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s=%v: %v", row.item, row.to, err)
			continue
		}
		step := plan.Steps[len(plan.Steps)-1]
		frame, err := ParseFrame(step.First.Request)
		if err != nil || !strings.HasSuffix(strings.ToUpper(hexOfWire(frame.Data)), row.want) {
			t.Errorf("%s=%v is sent as % X, %v", row.item, row.to, frame.Data, err)
		}
	}
}

// hexOfWire returns bytes in the order in which they travel.
func hexOfWire(b []byte) string {
	reversed := slices.Clone(b)
	slices.Reverse(reversed)
	return hexOf(reversed)
}
