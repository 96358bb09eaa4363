package dlt645

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	if names, err := m.Match("voltage_*"); err != nil || !slices.Equal(names, []string{"voltage_a", "voltage_b", "voltage_c", "voltage_block"}) {
		t.Errorf("voltage_* is %v, %v", names, err)
	}
	// The table of all others is what it was.
	if d, _ := New(V1997, shanghai).Describe("voltage_a"); d.Decimals != 0 {
		t.Errorf("without the table it is described as %+v", d)
	}
}

// TestOwnVoltagesAsABlock has the block of such voltages read by its members, of whomever, and what they refuse left out.
func TestOwnVoltagesAsABlock(t *testing.T) {
	m := own(t, V1997, "B611 voltage_a XXX.X R", "B613 voltage_c XXX.X R")
	volts := map[string]string{"B611": "0122", "B612": "2002", "B613": "0222"}
	for _, row := range []struct {
		name, address string
		asked         []string
		has           map[string]string
		requests      []string
		values        string // a line for each answer
		errors        string
	}{
		{"three phases", "000000000001", []string{"电压"}, volts, []string{"B611", "B612", "B613"}, "voltage_a 220.1 voltage_b 220 voltage_c 220.2", ""},
		{"one phase", "000000000001", []string{"B61F"}, map[string]string{"B611": "0122"}, []string{"B611", "B612", "B613"}, "voltage_a 220.1", ""},
		{"only the last", "AAAAAAAAAAAA", []string{"voltage_block"}, map[string]string{"B613": "0222"}, []string{"B611", "B612", "B613"}, "voltage_c 220.2", ""},
		{"none", "AAAAAAAAAAAA", []string{"voltage_block"}, nil, []string{"B611", "B612", "B613"}, "", "voltage_block"},
		{"beside one of them", "000000000001", []string{"voltage_a", "voltage_block"}, map[string]string{"B611": "0122"}, []string{"B611", "B612", "B613"}, "voltage_a 220.1", ""},
		{"beside one of them that it lacks", "000000000001", []string{"voltage_block", "voltage_a"}, map[string]string{"B612": "2002"}, []string{"B611", "B612", "B613"}, "voltage_b 220", "voltage_a"},
	} {
		t.Run(row.name, func(t *testing.T) {
			asked, err := ParseAddress(row.address, V1997)
			if err != nil {
				t.Fatal(err)
			}
			next, err := m.Plan(protocol.Request{Verb: protocol.VerbRead, Address: m.named(asked), Items: row.asked}, nil)
			if err != nil {
				t.Fatal(err)
			}
			var requests, values []string
			failed := map[string]error{}
			for {
				var answers []protocol.Answer
				for i := range next.Steps {
					result, err := converse(t, &next.Steps[i], func(request []byte) []byte {
						frame, err := ParseFrame(request)
						if err != nil {
							t.Fatal(err)
						}
						di := hexOf(frame.Data)
						requests = append(requests, di)
						data, err := hex.DecodeString(row.has[di])
						if err != nil {
							t.Fatal(err)
						}
						if len(data) == 0 {
							return mustAppend(Frame{address("1"), 0xC1, []byte{0x02}})
						}
						return mustAppend(Frame{address("1"), 0x81, append(frame.Data, data...)})
					})
					for _, v := range result.Values {
						values = append(values, fmt.Sprint(v.Name, " ", v.Data))
					}
					for _, item := range next.Steps[i].Items {
						failed[item] = err
					}
					answers = append(answers, protocol.Answer{Result: result, Err: err})
				}
				for _, e := range next.Errors {
					failed[e.Item] = e.Err
				}
				if next.Then == nil {
					break
				}
				if next, err = next.Then(answers); err != nil {
					t.Fatal(err)
				}
			}
			slices.Sort(requests)
			slices.Sort(values)
			maps.DeleteFunc(failed, func(_ string, err error) bool { return err == nil })
			if got := strings.Join(values, " "); !slices.Equal(requests, row.requests) || got != row.values || strings.Join(slices.Sorted(maps.Keys(failed)), " ") != row.errors {
				t.Errorf("it asks %q and brings %q, %v", requests, got, failed)
			}
		})
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
