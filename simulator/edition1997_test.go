package simulator

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

func TestAnswer1997(t *testing.T) {
	const meter, short = "112233445566", "AAAAAAAA1234"
	period := []byte{0x11, 0xC1, 0x15}
	for _, test := range []struct {
		name    string
		meter   string
		request dlt645.Frame
		control dlt645.Control // 0: silence
		data    []byte
	}{
		{"read", meter, command(t, meter, 0x01, di(diDemandPeriod1997)), 0x81, period},
		{"shortened address", meter, command(t, "AAAAAAAA5566", 0x01, di(diDemandPeriod1997)), 0x81, period},
		{"any address", meter, command(t, "AAAAAAAAAAAA", 0x01, di(diDemandPeriod1997)), 0x81, period},
		{"address of all", meter, command(t, "999999999999", 0x01, di(diDemandPeriod1997)), 0x81, period},
		{"foreign address", meter, command(t, "112233445567", 0x01, di(diDemandPeriod1997)), 0, nil},
		{"short address", "1234", command(t, short, 0x01, di(diDemandPeriod1997)), 0x81, period},
		{"short address filled with zeros", "1234", command(t, "000000001234", 0x01, di(diDemandPeriod1997)), 0, nil},
		{"write to a short address", "1234", command(t, short, 0x04, di(diDemandPeriod1997), level04, []byte{0x30}), 0x84, nil},
		{"unknown item", meter, command(t, meter, 0x01, di(0xCFFE)), 0xC1, []byte{0x02}},
		{"a tariff that there is not", meter, command(t, meter, 0x01, di(0x9015)), 0xC1, []byte{0x02}},
		{"read without identifier", meter, command(t, meter, 0x01), 0xC1, []byte{0x01}},
		{"read an identifier of 2007", meter, command(t, meter, 0x01, di(0x00010000)), 0xC1, []byte{0x01}},
		{"follow-up of nothing", meter, command(t, meter, 0x02, di(0x9010)), 0xC2, []byte{0x02}},
		{"again before anything", meter, command(t, meter, 0x03), 0xC3, []byte{0x02}},
		{"function of 2007", meter, command(t, meter, 0x11, di(0x00010000)), 0, nil},
		{"read address of 2007", meter, command(t, "AAAAAAAAAAAA", 0x13), 0, nil},
		{"answer of a meter", meter, command(t, meter, 0x81, di(diDemandPeriod1997)), 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := newMeter(t, MeterOptions{Address: test.meter, Version: dlt645.V1997})
			answer, ok := m.Answer(test.request, noon)
			if ok != (test.control != 0) || answer.Control != test.control || !bytes.Equal(answer.Data, test.data) {
				t.Errorf("answered: %v, %s % X; want %s % X", ok, answer.Control, answer.Data, test.control, test.data)
			}
			if ok && answer.Address != m.address {
				t.Errorf("the answer is from %s", answer.Address)
			}
		})
	}
}

// TestFollowUps1997 reads a record in parts. The meter keeps the position.
func TestFollowUps1997(t *testing.T) {
	m := newMeter(t, MeterOptions{Version: dlt645.V1997, Longest: 64})
	ask := func(function dlt645.Function, want dlt645.Control) []byte {
		t.Helper()
		answer, _ := m.Answer(command(t, "AAAAAAAAAA01", function, di(0x91FF)), noon)
		if answer.Control != want || !bytes.HasPrefix(answer.Data, di(0x91FF)) {
			t.Fatalf("function %02X: %s % X, want %s", byte(function), answer.Control, answer.Data, want)
		}
		return answer.Data[2:]
	}
	record := ask(0x01, 0xA1)
	record = append(record, ask(0x02, 0xA2)...)
	again, _ := m.Answer(command(t, "AAAAAAAAAA01", 0x03), noon)
	if again.Control != 0xA3 || !bytes.Equal(again.Data[2:], record[62:]) {
		t.Errorf("again: %s % X, want A3 and % X", again.Control, again.Data, record[62:])
	}
	record = append(record, ask(0x02, 0x82)...)
	if want := mustRead(t, m, 0x91FF, noon); !bytes.Equal(record, want) || len(want) != 6*(5*4+1) {
		t.Errorf("the parts give % X, want % X", record, want)
	}
	if answer, _ := m.Answer(command(t, "AAAAAAAAAA01", 0x02, di(0x91FF)), noon); answer.Control != 0xC2 {
		t.Errorf("after the end: %s", answer.Control)
	}
	ask(0x01, 0xA1)
	if answer, _ := m.Answer(command(t, "AAAAAAAAAA01", 0x02, di(0x90FF)), noon); answer.Control != 0xC2 {
		t.Errorf("follow-up of another item: %s", answer.Control)
	}
	if begun := ask(0x01, 0xA1); !bytes.Equal(begun, record[:62]) {
		t.Errorf("read anew: % X, want it from the beginning", begun)
	}
	if got := m.Counts(); got.Reads != 3 || got.FollowUps != 3 || got.Refused != 2 || got.Exchanges != 8 {
		t.Errorf("counts %+v", got)
	}
}

// TestBothEditionsTellTheSame compares meters that differ in the edition only.
func TestBothEditionsTellTheSame(t *testing.T) {
	o := MeterOptions{Address: "112233445566", Feeding: true}
	current := newMeter(t, o)
	o.Version = dlt645.V1997
	old := newMeter(t, o)
	value := func(m *Meter, d dlt645.DI, at time.Time) any {
		item, ok := dlt645.Items(m.version).Lookup(d)
		if !ok {
			t.Fatalf("the dictionary lacks %s", d.Format(m.version))
		}
		values, err := item.Decode(mustRead(t, m, d, at), zone)
		if err != nil {
			t.Fatal(err)
		}
		return values[0].Data
	}
	for at := noon; at.Before(noon.AddDate(0, 0, 1)); at = at.Add(5 * time.Hour) {
		for _, test := range []struct {
			d2007, d1997 dlt645.DI
			places       int // that 1997 has less
		}{
			{0x00010000, 0x9010, 0}, {0x00020000, 0x9020, 0}, {0x00010301, 0x9413, 0}, {0x00050002, 0x9930, 0}, {0x00080000, 0x9140, 0},
			{0x01010000, 0xA010, 0}, {0x01020001, 0xA420, 0}, {0x02010100, 0xB611, 1}, {0x02020300, 0xB623, 1}, {0x02030000, 0xB630, 0},
			{0x02040000, 0xB640, 2}, {0x02060100, 0xB651, 0},
		} {
			want, got := value(current, test.d2007, at).(protocol.Decimal), value(old, test.d1997, at).(protocol.Decimal)
			want.Coefficient = abs(want.Coefficient) // 1997 has no sign
			for range test.places {
				want.Coefficient, want.Scale = want.Coefficient/10, want.Scale-1
			}
			if got != want {
				t.Errorf("%04X at %v is %v, %08X %v", uint32(test.d1997), at, got, uint32(test.d2007), want)
			}
		}
		if got, want := value(old, 0xB411, at), value(current, 0x01010101, at); got == want {
			t.Errorf("the time of the demand is %v and the demand %v", got, want)
		}
	}
	demand := mustRead(t, current, 0x01010000, noon)
	if got := mustRead(t, old, 0xB010, noon); !bytes.Equal(got, demand[3:7]) {
		t.Errorf("the demand was at % X, by the other edition at % X", got, demand[3:7])
	}
	for _, test := range []struct{ d1997, d2007 dlt645.DI }{{diDate1997, diDate}, {diTime1997, diTime}} {
		if got, want := mustRead(t, old, test.d1997, noon), mustRead(t, current, test.d2007, noon); !bytes.Equal(got, want) {
			t.Errorf("%04X is % X, %08X % X", uint32(test.d1997), got, uint32(test.d2007), want)
		}
	}
	// At noon the plant feeds, which the status word tells in place of a sign.
	if word := mustRead(t, old, diMeterStatus1997, noon.Add(time.Hour)); word[0]&(1<<4) == 0 {
		t.Errorf("status word %02X while power flows back", word[0])
	}
}

// TestNothingOf1997IsMissing goes through the dictionary.
func TestNothingOf1997IsMissing(t *testing.T) {
	m := newMeter(t, MeterOptions{Version: dlt645.V1997})
	makers := []dlt645.DI{0xB670, 0xB671, 0xB672, 0xB673, 0xB6A0} // of some makers, not of the standard
	for d := range identifiers1997 {
		item, ok := dlt645.Items(dlt645.V1997).Lookup(d)
		if !ok || slices.Contains(makers, d) || item.Access == "W" {
			continue
		}
		isTariff := d>>12 == 0x9 || d>>12 == 0xA || d>>12 == 0xB && (d>>8&0xF)%4 <= 1
		if isTariff && d&0xF > tariffs && d&0xF != 0xF {
			continue
		}
		if _, ok := m.Read(d, noon); !ok {
			t.Errorf("the meter lacks %04X, %s", uint32(d), item.Name)
		}
	}
}

func TestWriteClock1997(t *testing.T) {
	m := newMeter(t, MeterOptions{Version: dlt645.V1997})
	write := func(d dlt645.DI, want dlt645.Control, value ...byte) {
		t.Helper()
		if answer, _ := m.Answer(command(t, "AAAAAAAAAA01", 0x04, di(d), level04, value), noon); answer.Control != want {
			t.Fatalf("%04X: %s % X, want %s", uint32(d), answer.Control, answer.Data, want)
		}
	}
	write(diDate1997, 0x84, 0x03, 0x24, 0x12, 0x25) // Wednesday 24 December 2025
	write(diTime1997, 0x84, 0x45, 0x30, 0x18)
	write(diDate1997, 0xC4, 0x00, 0x30, 0x02, 0x26)
	want := []byte{0x03, 0x24, 0x12, 0x25, 0x05, 0x31, 0x18, blockEnd}
	if got := mustRead(t, m, diDateTime1997, noon.Add(20*time.Second)); !bytes.Equal(got, want) {
		t.Errorf("20 s later the clock shows % X, want % X", got, want)
	}
	write(diDateTime1997, 0x84, 0x05, 0x20, 0x11, 0x26, 0x00, 0x00, 0x13)
	if got := mustRead(t, m, diTime1997, noon); !bytes.Equal(got, []byte{0x00, 0x00, 0x13}) {
		t.Errorf("the clock shows % X, want 13:00:00", got)
	}
	if got := number(t, mustRead(t, m, 0xB212, noon)); got != 3 {
		t.Errorf("programmed %d times, want 3", got)
	}
	if got := mustRead(t, m, 0xB210, noon); !bytes.Equal(got, []byte{0x30, 0x18, 0x24, 0x12}) {
		t.Errorf("programmed last at % X, want 24 December 18:30 by its clock", got)
	}
}
