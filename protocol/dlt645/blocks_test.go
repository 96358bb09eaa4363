package dlt645

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
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
		{"parameters and unknown identifiers", V2007, "04000101 04000102 EF000100 EF000200", nil, "04000101 04000102 EF000100 EF000200"},
		{"one status word", V2007, "04000503", nil, "04000503"},
		{"status words", V2007, "04000501 02010100 04000503 04000508", nil, "040005FF 02010100"},
		{"status words that the meter lacks as a block", V2007, "04000501 04000503", lacks{"040005FF"}, "04000501 04000503"},
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

// TestStatusWordsInOneExchange reads the status words of meters with different blocks. What a block
// leaves out is read singly, by polls too, for the meter may have it.
func TestStatusWordsInOneExchange(t *testing.T) {
	items := []string{"status_1", "status_2", "status_3.relay_open", "status_4", "status_5", "status_6", "status_7"}
	words := "01 00 02 00 10 00 04 00 05 00 06 00 07 00"
	singles := []string{"11 04000504", "11 04000505", "11 04000506", "11 04000507"}
	for _, test := range []struct {
		name, block string
		asked       []string
	}{
		{"seven words", words, nil},
		{"with the key status word", words + "78 56 34 12", nil},
		{"each closed by AAH", "01 00 AA 02 00 AA 10 00 AA 04 00 AA 05 00 AA 06 00 AA 07 00 AA", nil},
		{"three words and the key status word", "01 00 02 00 10 00 78 56 34 12", singles},
		{"words that may be longer", "01 00 00 00 02 00 00 00 10 00 00 00 04 00 00 00 05 00 00 00 06 00 00 00 07 00 00 00", append([]string{"11 04000501", "11 04000502", "11 04000503"}, singles...)},
		{"refused", "", append([]string{"11 04000501", "11 04000502", "11 04000503"}, singles...)},
	} {
		for _, class := range []protocol.Class{protocol.ClassRead, protocol.ClassPoll} {
			meter := testMeter2007()
			for n, word := range [][]byte{{1, 0}, {2, 0}, {0x10, 0}, {4, 0}, {5, 0}, {6, 0}, {7, 0}} {
				meter.memory[diStatusBlock&^0xFF|DI(n+1)] = word
			}
			if test.block != "" {
				meter.memory[diStatusBlock] = frametest.FromHex(test.block)
			}
			p, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbRead, Class: class, Address: meterAt("112233445566"), Items: items}, nil)
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{"status_1": "0001", "status_2": "0002", "status_3.relay_open": "true", "status_4": "0004", "status_5": "0005", "status_6": "0006", "status_7": "0007"}
			got := play(t, p, meter)
			for name, value := range want {
				if text := strings.Trim(got.values[name], `"`); text != value {
					t.Errorf("%s, class %d: %s is %s, want %s", test.name, class, name, text, value)
				}
			}
			var asked []string
			for _, di := range append([]string{"11 040005FF"}, test.asked...) {
				d, _ := ParseDI(di[3:], V2007)
				asked = append(asked, fmt.Sprintf("11 %X", d.Append(nil, V2007)))
			}
			checkAsked(t, meter, "112233445566 ", asked)
		}
	}
}
