package dlt645

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

func TestInBlocks(t *testing.T) {
	for _, test := range []struct {
		name    string
		version Version
		items   string
		lacks   lacks
		want    string // the identifiers read, in this order
	}{
		{"one is no block", V2007, "00010000", nil, "00010000"},
		{"total and tariffs", V2007, "00010000 00010100 00010400", nil, "0001FF00"},
		{"two settlements are shorter singly", V2007, "00010000 00010001", nil, "00010000 00010001"},
		{"three settlements", V2007, "00010000 00010001 00010002", nil, "000100FF"},
		{"each in one block only", V2007, "00010000 00010100 00010200 00010001 00010002", nil, "0001FF00 00010001 00010002"},
		{"several blocks, in the order asked", V2007, "02020100 02010100 00010000 02010200 02020300", nil, "0202FF00 0201FF00 00010000"},
		{"a block that the meter lacks", V2007, "02010100 02010200 02020100 02020200", lacks{"0201FF00"}, "02010100 02010200 0202FF00"},
		{"parameters and unknown identifiers", V2007, "04000501 04000502 EF000100 EF000200", nil, "04000501 04000502 EF000100 EF000200"},
		{"the block itself", V2007, "0201FF00 02010100", nil, "0201FF00 02010100"},
		{"demands with their times", V2007, "01010000 01010100", nil, "0101FF00"},
		{"1997", V1997, "9010 9011 9020", nil, "901F 9020"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := plan(t, New(test.version, shanghai), test.lacks, "1", strings.Fields(test.items)...)
			var got []string
			items := 0
			for _, step := range p.Steps {
				frame, err := ParseFrame(step.First.Request)
				if err != nil {
					t.Fatal(err)
				}
				di := diOf(frame.Data, test.version).Format(test.version)
				got = append(got, di)
				items += len(step.Items)
				if wantBlock := strings.Contains(di, "F") && !strings.HasPrefix(di, "EF"); wantBlock != (step.Block == di) {
					t.Errorf("%s: the step is of block %q", di, step.Block)
				}
			}
			if want := strings.Fields(test.want); !slices.Equal(got, want) {
				t.Errorf("reads %v, want %v", got, want)
			}
			if want := len(strings.Fields(test.items)); items != want {
				t.Errorf("the steps stand for %d items, want %d", items, want)
			}
		})
	}
}

// What was asked of a value of a block is that value, also where the members have several.
func TestInBlocksOnly(t *testing.T) {
	m := New(V2007, shanghai)
	total, ok := m.items.Lookup(0x01010000)
	if !ok {
		t.Fatal("01010000 is not in the table")
	}
	tariff, _ := m.items.Lookup(0x01010100)
	time := total.Names()[1]
	step := plan(t, m, nil, "1", time, tariff.Name).Steps[0]
	if want := append([]string{time}, tariff.Names()...); !slices.Equal(step.Only, want) {
		t.Errorf("wants %q, want %q", step.Only, want)
	}
	result := protocol.Result{}
	for _, name := range slices.Concat(total.Names(), tariff.Names()) {
		result.Values = append(result.Values, protocol.Value{Name: name})
	}
	if got := step.Values(result); len(got) != 3 || got[0].Name != time {
		t.Errorf("takes %v out of the block, want three values, %s first", got, time)
	}
}

// TestExpected compares what is expected with the answers of a meter.
func TestExpected(t *testing.T) {
	for _, row := range []struct {
		version Version
		item    string
		want    int // bytes of the answer
	}{
		{V2007, "voltage_a", 18}, {V2007, "voltage_block", 22}, {V2007, "forward_active_energy", 20}, {V2007, "forward_active_energy_block", 36},
		{V2007, "04999999", 48}, {V2007, "status_3", 18}, {V1997, "voltage_a", 16}, {V1997, "clock", 21},
	} {
		if got := plan(t, New(row.version, time.UTC), nil, "112233445566", row.item).Steps[0].Expected; got != row.want {
			t.Errorf("%s of DL/T 645-%s: %d bytes are expected, want %d", row.item, row.version, got, row.want)
		}
	}
}
