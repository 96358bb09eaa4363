package simulator

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

func newMeter(t *testing.T, o MeterOptions) *Meter {
	t.Helper()
	if o.Address == "" {
		o.Address = "1"
	}
	m, err := NewMeter(o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// number decodes an unsigned register.
func number(t *testing.T, b []byte) (n int64) {
	t.Helper()
	for _, c := range slices.Backward(b) {
		digits, ok := fromBCD(c)
		if !ok {
			t.Fatalf("% X is no number", b)
		}
		n = n*100 + int64(digits)
	}
	return n
}

// signed decodes a register with a sign bit.
func signed(t *testing.T, b []byte) int64 {
	t.Helper()
	if b[len(b)-1]&0x80 == 0 {
		return number(t, b)
	}
	b = bytes.Clone(b)
	b[len(b)-1] &^= 0x80
	return -number(t, b)
}

// mustRead reads a register that the meter has.
func mustRead(t *testing.T, m *Meter, di dlt645.DI, at time.Time) []byte {
	t.Helper()
	b, ok := m.Read(di, at)
	if !ok {
		t.Fatalf("the meter has no %08X", uint32(di))
	}
	return b
}

func TestNewMeterRefuses(t *testing.T) {
	for _, test := range []struct {
		o    MeterOptions
		want string
	}{
		{MeterOptions{Address: "12A"}, "12A"},
		{MeterOptions{Address: "AAAAAAAAAAAA"}, "no address of a single meter"},
		{MeterOptions{Address: "999999999999"}, "no address of a single meter"},
		{MeterOptions{Address: "1", Passwords: "02123"}, "two digits for the level"},
		{MeterOptions{Address: "AAAAAAAAAA12"}, "no address of a single meter"},
		{MeterOptions{Address: "AAAAAAAAAAAA", Version: dlt645.V1997}, "no address of a single meter"},
		{MeterOptions{Address: "1", Longest: 63}, "64 to 200"},
		{MeterOptions{Address: "1", Longest: 201}, "64 to 200"},
	} {
		if _, err := NewMeter(test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("NewMeter(%+v): error %v, want one with %q", test.o, err, test.want)
		}
	}
}

func TestEnergyOnlyGrows(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	last := map[dlt645.DI]int64{}
	first := number(t, mustRead(t, m, 0x00010000, noon))
	for at := noon; at.Before(noon.AddDate(0, 0, 7)); at = at.Add(47 * time.Minute) {
		for _, kind := range []dlt645.DI{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xA, 0x15, 0x19, 0x29, 0x3D} {
			registers := mustRead(t, m, kind<<16, at)
			if kind <= 0xA {
				registers = mustRead(t, m, kind<<16|0xFF00, at)
			}
			var tariffSum int64
			for i := range len(registers) / 4 {
				di := kind<<16 | dlt645.DI(i)<<8
				n := number(t, registers[4*i:4*i+4])
				if n < last[di] {
					t.Fatalf("%08X fell from %d to %d at %v", uint32(di), last[di], n, at)
				}
				last[di] = n
				if i > 0 {
					tariffSum += n
				}
			}
			if total := last[kind<<16]; kind <= 0xA && total != tariffSum {
				t.Fatalf("%08X at %v: total %d, tariffs together %d", uint32(kind<<16), at, total, tariffSum)
			}
		}
	}
	if grown := last[0x00010000] - first; grown < 10_000 || grown > 100_000 {
		t.Errorf("forward active energy grew by %d hundredths of a kilowatt-hour in a week; a household takes 100 to 1000 kWh", grown)
	}
}

func TestPowerIsVoltageTimesCurrentTimesFactor(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	for at := noon; at.Before(noon.AddDate(0, 0, 1)); at = at.Add(7 * time.Minute) {
		u, i := mustRead(t, m, 0x0201FF00, at), mustRead(t, m, 0x0202FF00, at)
		p, q, s := mustRead(t, m, 0x0203FF00, at), mustRead(t, m, 0x0204FF00, at), mustRead(t, m, 0x0205FF00, at)
		factor := mustRead(t, m, 0x0206FF00, at)
		var total int64
		for phase := range 3 {
			power := signed(t, p[3+3*phase:][:3])
			total += power
			// 0.1 V × 0.001 A × 0.001 against 0.1 W
			product := number(t, u[2*phase:][:2]) * signed(t, i[3*phase:][:3]) * signed(t, factor[2+2*phase:][:2]) / 1_000_000
			if diff := product - power; diff*diff > (power/200+10)*(power/200+10) {
				t.Fatalf("phase %d at %v: U·I·pf = %d, P = %d tenths of a watt", phase+1, at, product, power)
			}
			reactive, apparent := signed(t, q[3+3*phase:][:3]), signed(t, s[3+3*phase:][:3])
			if diff := squareRoot(power*power+reactive*reactive) - apparent; diff < -3 || diff > 3 {
				t.Fatalf("phase %d at %v: P %d, Q %d, S %d do not belong together", phase+1, at, power, reactive, apparent)
			}
		}
		if got := signed(t, p[:3]); got != total {
			t.Fatalf("total power at %v is %d, the phases have %d", at, got, total)
		}
	}
}

func TestValuesDependOnSeedAddressAndTimeOnly(t *testing.T) {
	read := func(o MeterOptions) []byte {
		return mustRead(t, newMeter(t, o), 0x0202FF00, noon)
	}
	same := read(MeterOptions{Address: "5", Seed: 3})
	if got := read(MeterOptions{Address: "5", Seed: 3}); !bytes.Equal(got, same) {
		t.Errorf("the same meter again reads % X, then % X", same, got)
	}
	if got := read(MeterOptions{Address: "6", Seed: 3}); bytes.Equal(got, same) {
		t.Error("a meter of another address has the same currents")
	}
	if got := read(MeterOptions{Address: "5", Seed: 4}); bytes.Equal(got, same) {
		t.Error("a meter of another seed has the same currents")
	}
}

func TestSettlementsAreThePastOfTheRegister(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	block := mustRead(t, m, 0x000102FF, noon)
	if len(block) != 13*4 {
		t.Fatalf("the block has %d bytes, want 52", len(block))
	}
	for n := 1; n <= settlements; n++ {
		want := mustRead(t, newMeter(t, MeterOptions{}), 0x00010200, monthStart(noon, n-1))
		if got := block[4*n:][:4]; !bytes.Equal(got, want) {
			t.Errorf("settlement %d: % X, the register read % X then", n, got, want)
		}
	}
}

func TestMaximumDemandIsTheHighestOfTheMonth(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	at := time.Date(2026, 11, 3, 9, 50, 0, 0, zone)
	var want maximum
	for q := instantOf(monthStart(at, 0)); q+quarter <= instantOf(at); q += quarter {
		want.raise(m.average(q, q+quarter)[forwardActive], q+quarter)
	}
	b := mustRead(t, m, 0x01010000, at)
	if got := number(t, b[:3]); got != want.power {
		t.Errorf("maximum demand %d, want %d", got, want.power)
	}
	if got, want := b[3:], appendMinute(nil, want.at.time()); !bytes.Equal(got, want) {
		t.Errorf("its time is % X, want % X", got, want)
	}
	// The sliding demand never exceeds it by more than rounding.
	if got := m.currentDemand(want.at)[forwardActive]; got != want.power {
		t.Errorf("the demand at that time is %d, want %d", got, want.power)
	}
}

func TestASinglePhaseMeterLacksPhases(t *testing.T) {
	m := newMeter(t, MeterOptions{OnePhase: true})
	if b := mustRead(t, m, 0x0201FF00, noon); !bytes.Equal(b[2:], []byte{0xFF, 0xFF, 0xFF, 0xFF}) || b[1] == 0xFF {
		t.Errorf("the voltages of a single-phase meter are % X, want B and C filled with FF", b)
	}
	for _, di := range []dlt645.DI{0x02010200, 0x02040000, 0x01010000, 0x00030000, 0x00150000, 0x03300201} {
		if b, ok := m.Read(di, noon); ok {
			t.Errorf("a single-phase meter has %08X: % X", uint32(di), b)
		}
	}
}

// identifiers2007 goes through the identifiers of a class, as far as the ends and the edges of
// their running parts show them all.
func identifiers2007(class dlt645.DI) func(yield func(dlt645.DI) bool) {
	di2 := []dlt645.DI{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xA, 0xB, 0x11, 0x15, 0x16, 0x1E, 0x29, 0x30, 0x46, 0x47, 0x80, 0xFF}
	di1 := []dlt645.DI{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xA, 0xB, 0xC, 0xD, 0xE, 0xF, 0x10, 0x11, 0x12, 0x14, 0x15, 0xFF}
	di0 := []dlt645.DI{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xA, 0xB, 0xC, 0xD, 0xE, 0xF, 0x15, 0x16, 0x1F, 0x3E, 0x3F, 0xFE, 0xFF}
	return func(yield func(dlt645.DI) bool) {
		for _, a := range di2 {
			for _, b := range di1 {
				for _, c := range di0 {
					if !yield(class<<24 | a<<16 | b<<8 | c) {
						return
					}
				}
			}
		}
	}
}

// identifiers1997 goes through all identifiers of the 1997 edition.
func identifiers1997(yield func(dlt645.DI) bool) {
	for d := range dlt645.DI(0x10000) {
		if !yield(d) {
			return
		}
	}
}

// TestEveryRegisterDecodes asks for all that meters have and decodes it with the dictionary.
func TestEveryRegisterDecodes(t *testing.T) {
	all := func(yield func(dlt645.DI) bool) {
		for class := range dlt645.DI(7) {
			identifiers2007(class)(yield)
		}
	}
	for _, test := range []struct {
		name   string
		o      MeterOptions
		all    func(yield func(dlt645.DI) bool)
		least  int
		within []dlt645.DI
	}{
		{"three phases", MeterOptions{Feeding: true}, all, 2500, []dlt645.DI{
			0x0001FF00, 0x010100FF, 0x020A01FF, 0x0280000A, 0x03300201, 0x03110003, 0x040005FF, 0x04010001, diDateTime,
			0x0500FF01, 0x05060101, 0x0506FF3E, 0x0504FF01, 0x0504FFFE, 0x06000000, 0x06050002,
		}},
		{"one phase", MeterOptions{OnePhase: true}, all, 900, []dlt645.DI{0x0001FF00, 0x0203FF00, 0x03300501, 0x0506FF01, 0x06000002}},
		{"1997, three phases", MeterOptions{Version: dlt645.V1997}, identifiers1997, 500, []dlt645.DI{
			0x9010, 0x901F, 0x90FF, 0x99FF, 0xA814, 0xB01F, 0xB21F, 0xB33F, 0xB611, 0xB61F, 0xB640, 0xB6FF, 0xC01F, 0xC020, 0xC32F, 0xC33F,
		}},
		{"1997, one phase", MeterOptions{Version: dlt645.V1997, OnePhase: true}, identifiers1997, 100, []dlt645.DI{0x901F, 0x94FF, 0xB61F, 0xB6FF}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMeter(t, test.o)
			m.Answer(dlt645.Frame{Address: m.address, Control: 0x16, Data: []byte{0x99, 0x99, 0x99, 0x99}}, noon)
			dictionary := dlt645.Items(m.version)
			found := map[dlt645.DI]bool{}
			for di := range test.all {
				data, ok := m.Read(di, noon)
				if !ok {
					continue
				}
				found[di] = true
				item, known := dictionary.Lookup(di)
				if !known {
					t.Errorf("the dictionary lacks %s", di.Format(m.version))
					continue
				}
				values, err := item.Decode(data, zone)
				if err != nil || len(values) == 0 {
					t.Errorf("%s, % X: %v, %v", item.Name, data, values, err)
				}
				for _, v := range values {
					if v.Name == "" {
						t.Errorf("%s: a value without a name", di.Format(m.version))
					}
				}
			}
			if len(found) < test.least {
				t.Errorf("the meter has %d items, want at least %d", len(found), test.least)
			}
			for _, di := range test.within {
				if !found[di] {
					t.Errorf("the meter lacks %s", di.Format(m.version))
				}
			}
		})
	}
}

func TestValuesAsTheDictionaryReadsThem(t *testing.T) {
	m := newMeter(t, MeterOptions{Address: "112233445566"})
	for _, test := range []struct {
		di   dlt645.DI
		want any
	}{
		{0x04000401, "112233445566"},
		{0x04000404, "220V"},
		{0x04000409, protocol.Decimal{Coefficient: 1200}},
		{0x04000103, protocol.Decimal{Coefficient: 15}},
	} {
		item, ok := dlt645.Items(dlt645.V2007).Lookup(test.di)
		if !ok {
			t.Fatalf("the dictionary lacks %08X", uint32(test.di))
		}
		values, err := item.Decode(mustRead(t, m, test.di, noon), zone)
		if err != nil || len(values) != 1 || values[0].Data != test.want {
			t.Errorf("%s: %v, %v; want %v", item.Name, values, err, test.want)
		}
	}
}
