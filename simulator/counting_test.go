package simulator

import (
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

// TestCounting reads registers singly and in blocks, and checks every value.
func TestCounting(t *testing.T) {
	for _, test := range []struct {
		version dlt645.Version
		o       MeterOptions
		di      dlt645.DI
		members []dlt645.DI
		size    int
	}{
		{di: 0x02010100, members: []dlt645.DI{0x02010100}, size: 2},
		{di: 0x0201FF00, members: []dlt645.DI{0x02010100, 0x02010200, 0x02010300}, size: 2},
		{di: 0x0203FF00, members: []dlt645.DI{0x02030000, 0x02030100, 0x02030200, 0x02030300}, size: 3},
		{di: 0x0201FF00, members: []dlt645.DI{0x02010100}, size: 2, o: MeterOptions{OnePhase: true}},
		{di: 0x00010000, members: []dlt645.DI{0x00010000}, size: 4},
		{di: 0x0003FF00, members: []dlt645.DI{0x00030000, 0x00030100, 0x00030200, 0x00030300, 0x00030400}, size: 4},
		{di: 0x000101FF, members: []dlt645.DI{0x00010100, 0x00010101, 0x00010102, 0x00010103}, size: 4},
		{di: 0x0101FF00, members: []dlt645.DI{0x01010000, 0x01010100, 0x01010200}, size: 3},
		{version: dlt645.V1997, di: 0x9010, members: []dlt645.DI{0x9010}, size: 4},
		{version: dlt645.V1997, di: 0x901F, members: []dlt645.DI{0x9010, 0x9011, 0x9012, 0x9013, 0x9014}, size: 4},
		{version: dlt645.V1997, di: 0xA01F, members: []dlt645.DI{0xA010, 0xA011}, size: 3},
		{version: dlt645.V1997, di: 0xB61F, members: []dlt645.DI{0xB611, 0xB612, 0xB613}, size: 2},
		{version: dlt645.V1997, di: 0xB63F, members: []dlt645.DI{0xB630, 0xB631, 0xB632, 0xB633}, size: 3},
	} {
		o := test.o
		o.Address, o.Version, o.Counting = "112233445566", test.version, true
		m := newMeter(t, o)
		function := dlt645.FunctionRead
		if test.version == dlt645.V1997 {
			function = dlt645.FunctionRead1997
		}
		seen := map[int64]bool{}
		for exchange := 1; exchange <= 3; exchange++ {
			request := command(t, m.Address(), function, di(test.di))
			answer, _ := m.Answer(request, noon)
			if got := m.Counts().Exchanges; got != exchange {
				t.Fatalf("%d exchanges, want %d", got, exchange)
			}
			item, ok := dlt645.Items(m.version).Lookup(test.di)
			if !ok {
				t.Fatalf("the dictionary lacks %s", test.di.Format(m.version))
			}
			values, err := item.Decode(answer.Data[len(di(test.di)):], zone)
			if err != nil {
				t.Fatal(err)
			}
			named := map[string]any{}
			for _, v := range values {
				named[v.Name] = v.Data
			}
			for _, member := range test.members {
				item, _ := dlt645.Items(m.version).Lookup(member)
				name := item.Names()[0]
				want := Counted(m.Address(), exchange, member, test.size)
				if got, ok := named[name].(protocol.Decimal); !ok || got.Coefficient != want {
					t.Errorf("%s in exchange %d: %v, want the digits %d", name, exchange, named[name], want)
				}
				seen[want] = true
			}
		}
		if len(seen) < 3*len(test.members)-1 {
			t.Errorf("%s: only %d values in three exchanges of %d registers", test.di.Format(dlt645.V2007), len(seen), len(test.members))
		}
	}
}

func TestCountedTellsWhatDiffers(t *testing.T) {
	const n, d, size = 41, dlt645.DI(0x00010000), 4
	same := Counted("000000000001", n, d, size)
	for name, other := range map[string]int64{
		"exchange":   Counted("000000000001", n+1, d, size),
		"address":    Counted("000000000002", n, d, size),
		"identifier": Counted("000000000001", n, d+0x100, size),
	} {
		if other == same {
			t.Errorf("another %s gives the same digits", name)
		}
	}
	if same < 0 || same >= 10_000_000 {
		t.Errorf("%d has more than seven digits", same)
	}
	if Counted("000000000001", 1000+n, d, 2) != Counted("000000000001", n, d, 2) {
		t.Error("three digits do not begin anew after a thousand exchanges")
	}
}

func TestAMeterThatDoesNotCountMeasures(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	for range 2 {
		answer, _ := m.Answer(readFrame(t, "1", 0x02010100), noon)
		if got := number(t, answer.Data[4:]); got < 2000 || got > 2400 {
			t.Errorf("voltage %d tenths of a volt", got)
		}
	}
}
