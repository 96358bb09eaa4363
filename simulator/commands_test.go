package simulator

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

var (
	level02      = []byte{0x02, 0, 0, 0}
	wrong02      = []byte{0x02, 0, 0, 1}
	operator1997 = []byte(nil) // there is none
)

// command makes a request of any function.
func command(t *testing.T, to string, function dlt645.Function, data ...[]byte) dlt645.Frame {
	t.Helper()
	return dlt645.Frame{Address: address(t, to), Control: dlt645.Control(function), Data: slices.Concat(data...)}
}

// di returns an identifier as it travels; that of combined energy is taken for one of 1997.
func di(d dlt645.DI) []byte {
	if d <= 0xFFFF {
		return d.Append(nil, dlt645.V1997)
	}
	return d.Append(nil, dlt645.V2007)
}

// TestCommands tries every command with what it needs and with what it must not have.
func TestCommands(t *testing.T) {
	const meter = "000000000001"
	deadline := append([]byte{commandTrip, 0}, appendSecond(nil, noon.Add(time.Minute))...)
	for _, test := range []struct {
		name     string
		version  dlt645.Version
		request  dlt645.Frame
		control  dlt645.Control // 0: silence
		data     []byte
		counted  func(Counts) int // of what was carried out; nil: nothing was
		onePhase bool
	}{
		{name: "write", request: command(t, meter, 0x14, di(diDemandPeriod), level04, operator, []byte{0x30}), control: 0x94, counted: func(c Counts) int { return c.Writes }},
		{name: "write, level 02", request: command(t, meter, 0x14, di(diDemandPeriod), level02, operator, []byte{0x30}), control: 0x94, counted: func(c Counts) int { return c.Writes }},
		{name: "write, wrong password", request: command(t, meter, 0x14, di(diDemandPeriod), wrong02, operator, []byte{0x30}), control: 0xD4, data: []byte{0x04}},
		{name: "write, no such level", request: command(t, meter, 0x14, di(diDemandPeriod), []byte{0x03, 0, 0, 0}, operator, []byte{0x30}), control: 0xD4, data: []byte{0x04}},
		{name: "write, security module wanted", request: command(t, meter, 0x14, di(diDemandPeriod), []byte{0x99, 0, 0, 0}, operator, []byte{0x30, 1, 2, 3, 4}), control: 0xD4, data: []byte{0x04}},
		{name: "write a password", request: command(t, meter, 0x14, di(0x04000C03), level04, operator, []byte{2, 0x11, 0x22, 0x33}), control: 0xD4, data: []byte{0x04}},
		{name: "write 15 year zones", request: command(t, meter, 0x14, di(diYearZoneCount), level04, operator, []byte{0x15}), control: 0xD4, data: []byte{0x10}},
		{name: "write 15 day periods", request: command(t, meter, 0x14, di(diDayPeriodCount), level04, operator, []byte{0x15}), control: 0xD4, data: []byte{0x20}},
		{name: "write 64 tariffs", request: command(t, meter, 0x14, di(diTariffCount), level04, operator, []byte{0x64}), control: 0xD4, data: []byte{0x40}},
		{name: "write no value", request: command(t, meter, 0x14, di(diUpperVoltage), level04, operator, []byte{0xFF, 0xFF}), control: 0xD4, data: []byte{0x01}},
		{name: "write a long value", request: command(t, meter, 0x14, di(diUpperVoltage), level04, operator, []byte{0, 0, 0}), control: 0xD4, data: []byte{0x01}},

		{name: "write address", request: command(t, "AAAAAAAAAAAA", 0x15, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x11}), control: 0x95, counted: func(c Counts) int { return c.Addresses }},
		{name: "write address, not to anyone", request: command(t, meter, 0x15, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x11})},
		{name: "write address, broadcast", request: command(t, "AAAAAAAAAAAA", 0x15, bytes.Repeat([]byte{0x99}, 6))},
		{name: "write address, wildcard", request: command(t, "AAAAAAAAAAAA", 0x15, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0xAA})},
		{name: "write address, no digits", request: command(t, "AAAAAAAAAAAA", 0x15, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x1F})},

		{name: "freeze at once", request: command(t, meter, 0x16, bytes.Repeat([]byte{0x99}, 4)), control: 0x96, counted: func(c Counts) int { return c.Freezes }},
		{name: "freeze each hour", request: command(t, meter, 0x16, []byte{0x30, 0x99, 0x99, 0x99}), control: 0x96, counted: func(c Counts) int { return c.Freezes }},
		{name: "freeze each year", request: command(t, meter, 0x16, []byte{0x00, 0x12, 0x29, 0x02}), control: 0x96, counted: func(c Counts) int { return c.Freezes }},
		{name: "freeze never", request: command(t, meter, 0x16, []byte{0x00, 0x12, 0x30, 0x02}), control: 0xD6, data: []byte{0x01}},
		{name: "freeze, pattern with a hole", request: command(t, meter, 0x16, []byte{0x00, 0x99, 0x01, 0x99}), control: 0xD6, data: []byte{0x01}},
		{name: "freeze, no digits", request: command(t, meter, 0x16, []byte{0x0A, 0x99, 0x99, 0x99}), control: 0xD6, data: []byte{0x01}},
		{name: "freeze to anyone", request: command(t, "AAAAAAAAAAAA", 0x16, bytes.Repeat([]byte{0x99}, 4))},

		{name: "set baud", request: command(t, meter, 0x17, []byte{0x20}), control: 0x97, data: []byte{0x20}, counted: func(c Counts) int { return c.BaudRates }},
		{name: "set baud, two bits", request: command(t, meter, 0x17, []byte{0x28}), control: 0xD7, data: []byte{0x08}},
		{name: "set baud, bit 0", request: command(t, meter, 0x17, []byte{0x01}), control: 0xD7, data: []byte{0x08}},
		{name: "set baud, bit 7", request: command(t, meter, 0x17, []byte{0x80}), control: 0xD7, data: []byte{0x08}},

		{name: "set password", request: command(t, meter, 0x18, di(0x04000C05), level04, []byte{0x04, 0x56, 0x34, 0x12}), control: 0x98, data: []byte{0x04, 0x56, 0x34, 0x12}, counted: func(c Counts) int { return c.Passwords }},
		{name: "set password by a higher level", request: command(t, meter, 0x18, di(0x04000C05), level02, []byte{0x04, 0x56, 0x34, 0x12}), control: 0x98, data: []byte{0x04, 0x56, 0x34, 0x12}, counted: func(c Counts) int { return c.Passwords }},
		{name: "set password of a higher level", request: command(t, meter, 0x18, di(0x04000C03), level04, []byte{0x02, 0x56, 0x34, 0x12}), control: 0xD8, data: []byte{0x04}},
		{name: "set password of another level", request: command(t, meter, 0x18, di(0x04000C05), level02, []byte{0x03, 0x56, 0x34, 0x12}), control: 0xD8, data: []byte{0x01}},
		{name: "set what is no password", request: command(t, meter, 0x18, di(diUpperVoltage), level02, []byte{0x03, 0x56, 0x34, 0x12}), control: 0xD8, data: []byte{0x02}},

		{name: "clear demand", request: command(t, meter, 0x19, level04, operator), control: 0x99, counted: func(c Counts) int { return c.DemandClears }},
		{name: "clear demand, wrong password", request: command(t, meter, 0x19, wrong02, operator), control: 0xD9, data: []byte{0x04}},
		{name: "clear demand that is not there", request: command(t, meter, 0x19, level04, operator), control: 0xD9, data: []byte{0x01}, onePhase: true},
		{name: "clear meter", request: command(t, meter, 0x1A, level02, operator), control: 0x9A, counted: func(c Counts) int { return c.MeterClears }},
		{name: "clear meter, level 04", request: command(t, meter, 0x1A, level04, operator), control: 0xDA, data: []byte{0x04}},
		{name: "clear meter, short", request: command(t, meter, 0x1A, level02), control: 0xDA, data: []byte{0x01}},
		{name: "clear all events", request: command(t, meter, 0x1B, level02, operator, bytes.Repeat([]byte{0xFF}, 4)), control: 0x9B, counted: func(c Counts) int { return c.EventClears }},
		{name: "clear one kind of event", request: command(t, meter, 0x1B, level02, operator, di(0x033000FF)), control: 0x9B, counted: func(c Counts) int { return c.EventClears }},
		{name: "clear the record of clearing", request: command(t, meter, 0x1B, level02, operator, di(0x033001FF)), control: 0xDB, data: []byte{0x02}},
		{name: "clear unknown events", request: command(t, meter, 0x1B, level02, operator, di(0x037700FF)), control: 0xDB, data: []byte{0x02}},
		{name: "clear events, level 04", request: command(t, meter, 0x1B, level04, operator, di(0x033000FF)), control: 0xDB, data: []byte{0x04}},
		{name: "relay", request: command(t, meter, 0x1C, level02, operator, deadline), control: 0x9C, counted: func(c Counts) int { return c.Relay }},
		{name: "relay, level 04", request: command(t, meter, 0x1C, level04, operator, deadline), control: 0xDC, data: []byte{0x04}},
		{name: "output", request: command(t, meter, 0x1D, []byte{0x01}), control: 0x9D, data: []byte{0x01}, counted: func(c Counts) int { return c.Outputs }},
		{name: "output of no signal", request: command(t, meter, 0x1D, []byte{0x07}), control: 0xDD, data: []byte{0x01}},

		{name: "1997 write", version: dlt645.V1997, request: command(t, meter, 0x04, di(diDemandPeriod1997), level04, operator1997, []byte{0x30}), control: 0x84, counted: func(c Counts) int { return c.Writes }},
		{name: "1997 write, wrong password", version: dlt645.V1997, request: command(t, meter, 0x04, di(diDemandPeriod1997), wrong02, []byte{0x30}), control: 0xC4, data: []byte{0x04}},
		{name: "1997 write what is read only", version: dlt645.V1997, request: command(t, meter, 0x04, di(0x9010), level04, []byte{0, 0, 0, 0}), control: 0xC4, data: []byte{0x01}},
		{name: "1997 write what it lacks", version: dlt645.V1997, request: command(t, meter, 0x04, di(0xCFFF), level04, []byte{0}), control: 0xC4, data: []byte{0x02}},
		{name: "1997 write a password", version: dlt645.V1997, request: command(t, meter, 0x04, di(0xC212), level04, []byte{2, 0, 0, 0}), control: 0xC4, data: []byte{0x04}},
		{name: "1997 write to anyone", version: dlt645.V1997, request: command(t, "AAAAAAAAAAAA", 0x04, di(diDemandPeriod1997), level04, []byte{0x30})},
		{name: "1997 write address", version: dlt645.V1997, request: command(t, "AAAAAAAAAAAA", 0x0A, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x11}), control: 0x8A, counted: func(c Counts) int { return c.Addresses }},
		{name: "1997 write short address", version: dlt645.V1997, request: command(t, meter, 0x0A, []byte{0x66, 0x55, 0xAA, 0xAA, 0xAA, 0xAA}), control: 0x8A, counted: func(c Counts) int { return c.Addresses }},
		{name: "1997 set baud", version: dlt645.V1997, request: command(t, meter, 0x0C, []byte{0x20}), control: 0x8C, data: []byte{0x20}, counted: func(c Counts) int { return c.BaudRates }},
		{name: "1997 set baud too high", version: dlt645.V1997, request: command(t, meter, 0x0C, []byte{0x40}), control: 0xCC, data: []byte{0x08}},
		{name: "1997 set password", version: dlt645.V1997, request: command(t, meter, 0x0F, level04, []byte{0x04, 0x56, 0x34, 0x12}), control: 0x8F, data: []byte{0x04, 0x56, 0x34, 0x12}, counted: func(c Counts) int { return c.Passwords }},
		{name: "1997 set password of a higher level", version: dlt645.V1997, request: command(t, meter, 0x0F, level04, []byte{0x02, 0x56, 0x34, 0x12}), control: 0xCF, data: []byte{0x04}},
		{name: "1997 clear demand", version: dlt645.V1997, request: command(t, meter, 0x10, level04), control: 0x90, counted: func(c Counts) int { return c.DemandClears }},
		{name: "1997 clear demand, wrong password", version: dlt645.V1997, request: command(t, meter, 0x10, wrong02), control: 0xD0, data: []byte{0x04}},
		{name: "1997 relay", version: dlt645.V1997, request: command(t, meter, 0x1C, level02, operator, deadline)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var carriedOut []dlt645.Frame
			m := newMeter(t, MeterOptions{Address: meter, Version: test.version, OnePhase: test.onePhase, OnCommand: func(f dlt645.Frame) { carriedOut = append(carriedOut, f) }})
			before := m.counts
			answer, ok := m.Answer(test.request, noon)
			if ok != (test.control != 0) || answer.Control != test.control || !bytes.Equal(answer.Data, test.data) {
				t.Fatalf("answered: %v, %s % X; want %s % X", ok, answer.Control, answer.Data, test.control, test.data)
			}
			want := before
			if ok {
				want.Exchanges++
			}
			if answer.Control.Refused() {
				want.Refused++
			}
			if test.counted == nil {
				if m.Counts() != want || len(carriedOut) > 0 {
					t.Errorf("not carried out, but counted %+v and reported %v", m.Counts(), carriedOut)
				}
				return
			}
			if len(carriedOut) != 1 || !bytes.Equal(carriedOut[0].Data, test.request.Data) || test.counted(m.Counts()) != 1 || m.Counts().Refused > 0 {
				t.Errorf("reported %v, counted %+v", carriedOut, m.Counts())
			}
			if again, _ := m.Answer(test.request, noon); !again.Control.Refused() && test.counted(m.Counts()) != 2 && m.address.String() == meter {
				t.Errorf("the second time counted %+v", m.Counts())
			}
		})
	}
}

// TestLock gives wrong passwords until the meter takes none.
func TestLock(t *testing.T) {
	m := newMeter(t, MeterOptions{LockAfter: 3})
	try := func(password []byte, at time.Time, want dlt645.Control) {
		t.Helper()
		if answer, _ := m.Answer(command(t, "1", 0x14, di(diDemandPeriod), password, operator, []byte{0x30}), at); answer.Control != want {
			t.Fatalf("answer %s % X, want %s", answer.Control, answer.Data, want)
		}
	}
	try(wrong02, noon, 0xD4)
	try(wrong02, noon, 0xD4)
	try(level04, noon, 0x94) // in between a right one
	for range 3 {
		try(wrong02, noon, 0xD4)
	}
	if !m.Locked(noon) {
		t.Error("not locked after three wrong passwords")
	}
	try(level04, noon.Add(lockTime-time.Second), 0xD4)
	if answer, _ := m.Answer(readFrame(t, "1", diDemandPeriod), noon); answer.Control != 0x91 {
		t.Errorf("a locked meter answers a read with %s", answer.Control)
	}
	try(level04, noon.Add(lockTime), 0x94)
	if m.Locked(noon.Add(lockTime)) {
		t.Error("locked for more than a day")
	}
}

func TestAMeterWithoutLockNeverLocks(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	for range 100 {
		m.Answer(command(t, "1", 0x19, wrong02, operator), noon)
	}
	if m.Locked(noon) {
		t.Error("locked")
	}
}

func TestANewPasswordCounts(t *testing.T) {
	m := newMeter(t, MeterOptions{Passwords: "02000000,04111111"})
	changed := []byte{0x04, 0x56, 0x34, 0x12}
	m.Answer(command(t, "1", 0x18, di(0x04000C05), []byte{0x04, 0x11, 0x11, 0x11}, changed), noon)
	for _, test := range []struct {
		password []byte
		want     dlt645.Control
	}{{[]byte{0x04, 0x11, 0x11, 0x11}, 0xD9}, {changed, 0x99}, {level02, 0x99}} {
		if answer, _ := m.Answer(command(t, "1", 0x19, test.password, operator), noon); answer.Control != test.want {
			t.Errorf("password % X: %s, want %s", test.password, answer.Control, test.want)
		}
	}
}

func TestANewAddressCounts(t *testing.T) {
	for _, test := range []struct {
		version  dlt645.Version
		function dlt645.Function
		read     dlt645.Frame // to the new address
	}{
		{dlt645.V2007, 0x15, readFrame(t, "112233445566", diTime)},
		{dlt645.V1997, 0x0A, command(t, "112233445566", 0x01, di(diTime1997))},
	} {
		m := newMeter(t, MeterOptions{Version: test.version})
		answer, ok := m.Answer(command(t, "AAAAAAAAAAAA", test.function, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x11}), noon)
		if !ok || answer.Address.String() != "112233445566" || m.Address() != "112233445566" {
			t.Errorf("%s: answered %v from %s, the meter is %s", test.version, ok, answer.Address, m.Address())
		}
		if answer, ok := m.Answer(test.read, noon); !ok || answer.Address.String() != "112233445566" {
			t.Errorf("%s: the new address is answered: %v, by %s", test.version, ok, answer.Address)
		}
	}

	m := newMeter(t, MeterOptions{})
	written := command(t, "1", 0x14, di(diAddress), level04, operator, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x11})
	if answer, _ := m.Answer(written, noon); answer.Control != 0x94 || answer.Address.String() != "000000000001" || m.Address() != "112233445566" {
		t.Errorf("written as an item: %s from %s, the meter is %s", answer.Control, answer.Address, m.Address())
	}
	if got := mustRead(t, m, diAddress, noon); !bytes.Equal(got, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x11}) {
		t.Errorf("the address reads % X", got)
	}
}

func TestTheSpeedIsRemembered(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	if m.Baud() != 2400 {
		t.Errorf("at first %d baud, want 2400", m.Baud())
	}
	m.Answer(command(t, "1", 0x17, []byte{0x40}), noon)
	if got := mustRead(t, m, diBaud, noon); m.Baud() != 19200 || got[0] != 0x40 {
		t.Errorf("%d baud, speed word % X; want 19200, 40", m.Baud(), got)
	}
	old := newMeter(t, MeterOptions{Version: dlt645.V1997})
	if old.Baud() != 1200 {
		t.Errorf("1997 at first %d baud, want 1200", old.Baud())
	}
	old.Answer(command(t, "000000000001", 0x0C, []byte{0x20}), noon)
	old.Answer(command(t, "AAAAAAAAAA01", 0x0C, []byte{0x20}), noon)
	if old.Baud() != 9600 {
		t.Errorf("1997 %d baud, want 9600", old.Baud())
	}
}

// TestEveryWritableItem writes each item that the dictionary calls writable, and reads it.
func TestEveryWritableItem(t *testing.T) {
	for _, test := range []struct {
		version dlt645.Version
		all     func(yield func(dlt645.DI) bool)
		least   int
	}{
		{dlt645.V2007, identifiers2007(0x04), 350},
		{dlt645.V1997, identifiers1997, 100},
	} {
		t.Run(test.version.String(), func(t *testing.T) {
			m := newMeter(t, MeterOptions{Address: "000000000001", Version: test.version})
			written := 0
			for d := range test.all {
				item, ok := dlt645.Items(test.version).Lookup(d)
				_, isClock := m.readClock(d, noon)
				if !ok || item.Access != "RW" || isClock || d == diAddress {
					continue
				}
				if _, ok := m.Read(d, noon); !ok {
					t.Errorf("the meter lacks %s", item.Name)
				}
				// 2001-01-01 01:01, a Monday, or ASCII digits
				size := item.Size()
				if members := m.members(d); len(members) > 0 {
					size = 0
					for _, member := range members {
						item, _ := dlt645.Items(test.version).Lookup(member)
						size += item.Size()
					}
				}
				done := false
				for _, c := range []byte{0x01, 0x31} {
					value := bytes.Repeat([]byte{c}, size)
					request := command(t, "000000000001", 0x14, di(d), level04, operator, value)
					if test.version == dlt645.V1997 {
						request = command(t, "000000000001", 0x04, di(d), level04, value)
					}
					if answer, _ := m.Answer(request, noon); answer.Control.Refused() {
						continue
					}
					done = true
					if got := mustRead(t, m, d, noon); !bytes.Equal(bytes.TrimSuffix(got, []byte{blockEnd}), value) {
						t.Errorf("%s was written as % X and reads % X", item.Name, value, got)
					}
				}
				if !done {
					t.Errorf("%08X %s cannot be written", uint32(d), item.Name)
				}
				written++
			}
			if written < test.least {
				t.Errorf("%d items, want at least %d", written, test.least)
			}
			if got := m.Counts().Writes; got < written {
				t.Errorf("%d writes counted for %d items", got, written)
			}
		})
	}
}

func TestABlockIsWrittenAsAWholeOrNot(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	price := func(n byte) []byte { return []byte{n, 0, 0, 0} }
	prices := slices.Concat(price(1), price(2), price(3), price(4))
	write := func(value []byte, want dlt645.Control) {
		t.Helper()
		if answer, _ := m.Answer(command(t, "1", 0x14, di(0x040501FF), level04, operator, value), noon); answer.Control != want {
			t.Fatalf("% X: %s, want %s", value, answer.Control, want)
		}
		if got := mustRead(t, m, 0x040501FF, noon); !bytes.Equal(got, prices) {
			t.Errorf("the prices are % X, want % X", got, prices)
		}
	}
	write(prices, 0x94)
	if got := mustRead(t, m, 0x04050103, noon); !bytes.Equal(got, price(3)) {
		t.Errorf("the third price is % X", got)
	}
	write(slices.Concat(price(5), price(6)), 0xD4)
	write(slices.Concat(price(5), price(6), price(7), price(0x0A)), 0xD4)
	write(slices.Concat(prices, price(9)), 0xD4)
}

func TestClearDemand(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	clearedAt := noon.Add(7 * time.Minute)
	before := mustRead(t, m, 0x01010000, clearedAt)
	if answer, _ := m.Answer(command(t, "1", 0x19, level04, operator), clearedAt); answer.Control != 0x99 {
		t.Fatalf("answer %s % X", answer.Control, answer.Data)
	}
	if got := mustRead(t, m, 0x01010000, clearedAt); !bytes.Equal(got, make([]byte, 8)) {
		t.Errorf("afterwards the maximum is % X, want none", got)
	}
	at := clearedAt.Add(2 * time.Hour)
	after := mustRead(t, m, 0x01010000, at)
	if n := number(t, after[:3]); n == 0 || n > number(t, before[:3]) {
		t.Errorf("two hours later the maximum is % X, before it was % X", after, before)
	}
	record := mustRead(t, m, 0x03300201, at)
	if !bytes.Equal(record[:10], append(appendSecond(nil, clearedAt), operator...)) || !bytes.Equal(record[10:18], before) {
		t.Errorf("record % X: want time, operator and % X", record[:18], before)
	}
	if second := mustRead(t, m, 0x03300202, at); !bytes.Equal(second[:10], append(appendSecond(nil, monthStart(at, 0)), 0, 0, 0, 0)) {
		t.Errorf("the record before it is of % X, want the end of the month", second[:10])
	}
	// The next month the maximum since the clearing is that of the last month.
	next := monthStart(at, -1).Add(time.Hour)
	from, to := instantOf(clearedAt), instantOf(monthStart(next, 0))
	var want maximum
	for q := (from + quarter - 1) / quarter * quarter; q+quarter <= to; q += quarter {
		want.raise(m.quarterly(q).total()[forwardActive], q+quarter)
	}
	if got := mustRead(t, m, 0x01010001, next); !bytes.Equal(got, want.append(nil)) {
		t.Errorf("last month's maximum is % X, want % X", got, want.append(nil))
	}
}

func TestClearMeter(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	m.Answer(command(t, "1", 0x16, bytes.Repeat([]byte{0x99}, 4)), noon)
	m.Answer(command(t, "1", 0x14, di(diDemandPeriod), level04, operator, []byte{0x30}), noon)
	before := mustRead(t, m, 0x00010000, noon)
	if answer, _ := m.Answer(command(t, "1", 0x1A, level02, operator), noon); answer.Control != 0x9A {
		t.Fatalf("answer %s % X", answer.Control, answer.Data)
	}
	for _, d := range []dlt645.DI{0x0001FF00, 0x000100FF, 0x0101FF00, 0x010100FF, 0x03300000, 0x03110000} {
		if got := mustRead(t, m, d, noon); !bytes.Equal(got, make([]byte, len(got))) {
			t.Errorf("%08X is % X after clearing, want zero", uint32(d), got)
		}
	}
	for _, d := range []dlt645.DI{0x05000001, 0x05010001, 0x05060001} {
		if got, ok := m.Read(d, noon); ok {
			t.Errorf("the freeze %08X is still there: % X", uint32(d), got)
		}
	}
	if got := mustRead(t, m, 0x06000000, noon); len(got) > 0 && instantOf(noon)%quarter != 0 {
		t.Errorf("the load record is still there: % X", got)
	}
	if got := mustRead(t, m, diDemandPeriod, noon); got[0] != 0x30 {
		t.Errorf("the demand period is % X: clearing changes no parameter", got)
	}
	record := mustRead(t, m, 0x03300101, noon)
	if !bytes.Equal(record[:14], slices.Concat(appendSecond(nil, noon), operator, before)) {
		t.Errorf("record % X: want time, operator and % X", record[:14], before)
	}
	at := noon.Add(10 * time.Hour)
	if got := number(t, mustRead(t, m, 0x00010000, at)); got == 0 || got > 5000 {
		t.Errorf("ten hours later the meter has counted %d hundredths of a kilowatt-hour", got)
	}
	if got, ok := m.Read(0x05040001, at); !ok || len(got) == 0 {
		t.Errorf("no freeze after the first hour: % X, %v", got, ok)
	}
}

func TestClearEvents(t *testing.T) {
	count := func(m *Meter, kind dlt645.DI) int64 { return number(t, mustRead(t, m, kind<<8, noon.Add(time.Minute))) }
	kinds := []dlt645.DI{eventPowerDown, eventProgramming, eventDemandClear, eventDayPeriods}
	for _, only := range append(kinds, everyEvent) {
		m := newMeter(t, MeterOptions{})
		m.Answer(command(t, "1", 0x14, di(diDemandPeriod), level04, operator, []byte{0x30}), noon)
		if answer, _ := m.Answer(command(t, "1", 0x1B, level02, operator, di(only<<8|0xFF)), noon); answer.Control != 0x9B {
			t.Fatalf("clear %06X: %s % X", uint32(only), answer.Control, answer.Data)
		}
		for _, kind := range kinds {
			if got := count(m, kind); (got == 0) != (kind == only || only == everyEvent) {
				t.Errorf("after clearing %06X there are %d of %06X", uint32(only), got, uint32(kind))
			}
		}
		record := mustRead(t, m, 0x03300301, noon)
		if want := slices.Concat(appendSecond(nil, noon), operator, di(only<<8|0xFF)); count(m, eventEventClear) != 1 || !bytes.Equal(record, want) {
			t.Errorf("record % X, want % X", record, want)
		}
	}
}
