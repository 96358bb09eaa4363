package simulator

import (
	"bytes"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

func address(t *testing.T, text string) dlt645.Address {
	t.Helper()
	a, err := dlt645.ParseAddress(text, dlt645.V2007)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func readFrame(t *testing.T, to string, di dlt645.DI) dlt645.Frame {
	t.Helper()
	return dlt645.Frame{Address: address(t, to), Control: 0x11, Data: di.Append(nil, dlt645.V2007)}
}

// operator is an operator code.
var operator = []byte{0x78, 0x56, 0x34, 0x12}

// relayFrame is a relay command with the password of level 02 that meters have by default.
func relayFrame(t *testing.T, to string, command byte, deadline time.Time) dlt645.Frame {
	t.Helper()
	data := append([]byte{0x02, 0, 0, 0}, operator...)
	return dlt645.Frame{Address: address(t, to), Control: 0x1C, Data: appendSecond(append(data, command, 0), deadline)}
}

func writeFrame(t *testing.T, to string, di dlt645.DI, password []byte, value ...byte) dlt645.Frame {
	t.Helper()
	data := append(di.Append(nil, dlt645.V2007), password...)
	data = append(data, operator...)
	return dlt645.Frame{Address: address(t, to), Control: 0x14, Data: append(data, value...)}
}

var level04 = []byte{0x04, 0, 0, 0}

func TestAnswer(t *testing.T) {
	const meter = "112233445566"
	for _, test := range []struct {
		name    string
		request dlt645.Frame
		control dlt645.Control // 0: silence
		data    []byte         // what the answer begins with
	}{
		{"read", readFrame(t, meter, 0x04000103), 0x91, []byte{0x03, 0x01, 0x00, 0x04, 0x15}},
		{"short address", readFrame(t, "AAAAAAAA5566", 0x04000103), 0x91, []byte{0x03, 0x01, 0x00, 0x04, 0x15}},
		{"any address", readFrame(t, "AAAAAAAAAAAA", 0x04000103), 0x91, []byte{0x03, 0x01, 0x00, 0x04, 0x15}},
		{"other short address", readFrame(t, "AAAAAAAA5567", 0x04000103), 0, nil},
		{"foreign address", readFrame(t, "112233445567", 0x04000103), 0, nil},
		{"broadcast read", readFrame(t, "999999999999", 0x04000103), 0, nil},
		{"unknown item", readFrame(t, meter, 0x04FFFFFF), 0xD1, []byte{0x02}},
		{"both blocks", readFrame(t, meter, 0x0001FFFF), 0xD1, []byte{0x02}},
		{"number of blocks for what has none", dlt645.Frame{Address: address(t, meter), Control: 0x11, Data: []byte{3, 1, 0, 4, 1}}, 0xD1, []byte{0x02}},
		{"read without identifier", dlt645.Frame{Address: address(t, meter), Control: 0x11}, 0xD1, []byte{0x01}},
		{"read address", dlt645.Frame{Address: dlt645.Anyone, Control: 0x13}, 0x93, []byte{0x66, 0x55, 0x44, 0x33, 0x22, 0x11}},
		{"follow-up of nothing", dlt645.Frame{Address: address(t, meter), Control: 0x12, Data: []byte{1, 2, 0x30, 3, 1}}, 0xD2, []byte{0x02}},
		{"function of 1997", dlt645.Frame{Address: address(t, meter), Control: 0x01, Data: []byte{0x10, 0x90}}, 0, nil},
		{"function of the factory", dlt645.Frame{Address: address(t, meter), Control: 0x1F, Data: make([]byte, 8)}, 0, nil},
		{"authentication", dlt645.Frame{Address: address(t, meter), Control: 0x03, Data: []byte{0xFF, 0, 0, 7}}, 0xC3, []byte{0x01, 0x00}},
		{"answer of a meter", dlt645.Frame{Address: address(t, meter), Control: 0x91, Data: []byte{3, 1, 0, 4, 0x15}}, 0, nil},
		{"write address", dlt645.Frame{Address: address(t, meter), Control: 0x15, Data: make([]byte, 6)}, 0, nil},
		{"write", writeFrame(t, meter, 0x04000103, level04, 0x30), 0x94, nil},
		{"write with higher rights", writeFrame(t, meter, 0x04000103, []byte{0x02, 0, 0, 0}, 0x30), 0x94, nil},
		{"write with wrong password", writeFrame(t, meter, 0x04000103, []byte{0x04, 1, 0, 0}, 0x30), 0xD4, []byte{0x04}},
		{"write with unknown level", writeFrame(t, meter, 0x04000103, []byte{0x03, 0, 0, 0}, 0x30), 0xD4, []byte{0x04}},
		{"write what it lacks", writeFrame(t, meter, 0x04FFFFFF, level04, 0x30), 0xD4, []byte{0x02}},
		{"write too little", dlt645.Frame{Address: address(t, meter), Control: 0x14, Data: []byte{3, 1, 0, 4, 4, 0, 0, 0}}, 0xD4, []byte{0x01}},
		{"write what cannot be written", writeFrame(t, meter, 0x00010000, level04, 0, 0, 0, 0), 0xD4, []byte{0x01}},
		{"write nonsense", writeFrame(t, meter, 0x04000103, level04, 0x61), 0xD4, []byte{0x01}},
		{"write to anyone", writeFrame(t, "AAAAAAAAAAAA", 0x04000103, level04, 0x30), 0, nil},
		{"relay", relayFrame(t, meter, 0x1A, noon.Add(time.Minute)), 0x9C, nil},
		{"relay at the deadline", relayFrame(t, meter, 0x1A, noon), 0x9C, nil},
		{"relay after the deadline", relayFrame(t, meter, 0x1A, noon.Add(-time.Second)), 0xDC, []byte{0x04}},
		{"relay with unknown command", relayFrame(t, meter, 0x77, noon), 0xDC, []byte{0x04}},
		{"relay to anyone", relayFrame(t, "AAAAAAAAAAAA", 0x1A, noon), 0, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			commands := 0
			m := newMeter(t, MeterOptions{Address: meter, OnCommand: func(dlt645.Frame) { commands++ }})
			answer, ok := m.Answer(test.request, noon)
			if ok != (test.control != 0) {
				t.Fatalf("answered: %v, %+v", ok, answer)
			}
			if !ok {
				if got := m.Counts(); got != (Counts{}) {
					t.Errorf("a silent meter has counted %+v", got)
				}
				return
			}
			if answer.Control != test.control || !bytes.HasPrefix(answer.Data, test.data) || test.data == nil && len(answer.Data) > 0 {
				t.Errorf("answer %s % X, want %s % X", answer.Control, answer.Data, test.control, test.data)
			}
			if answer.Address != m.address {
				t.Errorf("the answer is from %s", answer.Address)
			}
			wantCommands := 0
			if test.control == 0x94 || test.control == 0x9C {
				wantCommands = 1
			}
			if commands != wantCommands {
				t.Errorf("%d commands carried out, want %d", commands, wantCommands)
			}
			if refused := m.Counts().Refused == 1; refused != test.control.Refused() {
				t.Errorf("counted as refused: %v", refused)
			}
		})
	}
}

func TestFollowUps(t *testing.T) {
	for _, test := range []struct {
		di    dlt645.DI
		size  int
		parts []int
	}{
		{0x03300201, 202, []int{196, 6}},
		{0x03300501, 682, []int{196, 195, 195, 96}},
		{0x010100FF, 104, []int{104}},
	} {
		m := newMeter(t, MeterOptions{})
		answer, ok := m.Answer(readFrame(t, "1", test.di), noon)
		var record []byte
		id := test.di.Append(nil, dlt645.V2007)
		for n, size := range test.parts {
			last := n == len(test.parts)-1
			if !ok || answer.Control.Refused() || answer.Control.More() == last || !bytes.HasPrefix(answer.Data, id) {
				t.Fatalf("%08X part %d: %v, %s % X", uint32(test.di), n, ok, answer.Control, answer.Data)
			}
			part := answer.Data[4:]
			if n > 0 {
				if seq := part[len(part)-1]; seq != byte(n) {
					t.Errorf("%08X part %d: SEQ is %d", uint32(test.di), n, seq)
				}
				part = part[:len(part)-1]
			}
			if len(part) != size || len(answer.Data) > 200 {
				t.Errorf("%08X part %d has %d bytes, want %d", uint32(test.di), n, len(part), size)
			}
			record = append(record, part...)
			if !last {
				next := dlt645.Frame{Address: m.address, Control: 0x12, Data: append(bytes.Clone(id), byte(n+1))}
				answer, ok = m.Answer(next, noon)
				if again, _ := m.Answer(next, noon); !bytes.Equal(again.Data, answer.Data) {
					t.Errorf("%08X part %d is another when asked again", uint32(test.di), n+1)
				}
			}
		}
		if want := mustRead(t, m, test.di, noon); !bytes.Equal(record, want) || len(record) != test.size {
			t.Errorf("%08X: the parts give % X, want % X", uint32(test.di), record, want)
		}
	}
}

func TestWriteClock(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	for _, frame := range []dlt645.Frame{
		writeFrame(t, "1", diDate, level04, 0x03, 0x24, 0x12, 0x25), // Wednesday 24 December 2025
		writeFrame(t, "1", diTime, level04, 0x45, 0x30, 0x18),
	} {
		if answer, _ := m.Answer(frame, noon); answer.Control != 0x94 {
			t.Fatalf("answer %s % X", answer.Control, answer.Data)
		}
	}
	got := mustRead(t, m, diDateTime, noon.Add(20*time.Second))
	if want := []byte{0x05, 0x31, 0x18, 0x03, 0x24, 0x12, 0x25}; !bytes.Equal(got, want) {
		t.Errorf("20 s later the clock shows % X, want % X", got, want)
	}
	if answer, _ := m.Answer(writeFrame(t, "1", diDate, level04, 0x00, 0x30, 0x02, 0x26), noon); answer.Control != 0xD4 {
		t.Errorf("the meter takes the 30th of February: %s", answer.Control)
	}
	if got := number(t, mustRead(t, m, 0x03300000, noon)); got != 2 {
		t.Errorf("programming count %d, want 2", got)
	}
	record := mustRead(t, m, 0x03300001, noon)
	if !bytes.Equal(record[6:14], append(bytes.Clone(operator), 0x02, 0x01, 0x00, 0x04)) {
		t.Errorf("programming record % X: want the operator and 04000102", record)
	}
	// The deadline of a relay command is judged by the meter's clock.
	if answer, _ := m.Answer(relayFrame(t, "1", commandTrip, time.Date(2025, 12, 24, 18, 40, 0, 0, zone)), noon); answer.Control != 0x9C {
		t.Errorf("relay command in time by the meter's clock: %s % X", answer.Control, answer.Data)
	}
}

func TestBroadcastTime(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	broadcast := func(t2, at time.Time) {
		if _, ok := m.Answer(dlt645.Frame{Address: dlt645.Broadcast, Control: 0x08, Data: appendSecond(nil, t2)}, at); ok {
			t.Error("the meter answers a broadcast")
		}
	}
	for _, test := range []struct {
		name      string
		set, at   time.Time
		want      time.Duration // by how much the clock is ahead afterwards
		clockSets int
	}{
		{"too far", noon.Add(6 * time.Minute), noon, 0, 0},
		{"near", noon.Add(4 * time.Minute), noon, 4 * time.Minute, 1},
		{"second on the same day", noon.Add(time.Hour), noon.Add(time.Hour), 4 * time.Minute, 1},
		{"next day", noon.Add(24 * time.Hour), noon.Add(24 * time.Hour), 0, 2},
	} {
		broadcast(test.set, test.at)
		if want := appendTimeOfDay(nil, test.at.Add(test.want)); !bytes.Equal(mustRead(t, m, diTime, test.at), want) {
			t.Errorf("%s: the clock shows % X, want % X", test.name, mustRead(t, m, diTime, test.at), want)
		}
		if got := m.Counts().ClockSets; got != test.clockSets {
			t.Errorf("%s: set %d times, want %d", test.name, got, test.clockSets)
		}
	}
}

func TestRelay(t *testing.T) {
	m := newMeter(t, MeterOptions{RelayDelay: 3 * time.Second})
	at := noon
	command := func(code byte, want dlt645.Control) {
		t.Helper()
		if answer, _ := m.Answer(relayFrame(t, "1", code, at.Add(time.Minute)), at); answer.Control != want {
			t.Fatalf("command %02X: %s % X, want %s", code, answer.Control, answer.Data, want)
		}
	}
	// word reads status word 3.
	word := func() uint16 {
		b := mustRead(t, m, 0x04000503, at)
		return uint16(b[0]) | uint16(b[1])<<8
	}
	expect := func(what string, want uint16) {
		t.Helper()
		if got := word(); got != want {
			t.Errorf("%s: status word 3 is %016b, want %016b", what, got, want)
		}
	}
	const opened, tripped, alarm, keep = 1 << 4, 1 << 6, 1 << 7, 1 << 12

	expect("at first", 0)
	command(commandKeepPower, 0x9C)
	expect("keep power", keep)
	command(commandTrip, 0xDC)
	command(commandKeepPowerOff, 0x9C)
	command(commandAlarm, 0x9C)
	expect("alarm", alarm)
	command(commandAlarmOff, 0x9C)

	command(commandTrip, 0x9C)
	expect("tripped, not yet moved", tripped)
	if power := signed(t, mustRead(t, m, 0x02030000, at)); power == 0 {
		t.Error("no power before the contacts have opened")
	}
	at = at.Add(3 * time.Second)
	expect("open", tripped|opened)
	if !m.RelayOpen(at) {
		t.Error("RelayOpen says closed")
	}
	before := number(t, mustRead(t, m, 0x00010000, at))
	at = at.Add(5 * time.Hour)
	for _, di := range []dlt645.DI{0x02030000, 0x02020100, 0x02800003, 0x02800004} {
		if got := signed(t, mustRead(t, m, di, at)); got != 0 {
			t.Errorf("%08X is %d while the relay is open, want 0", uint32(di), got)
		}
	}
	if after := number(t, mustRead(t, m, 0x00010000, at)); after != before {
		t.Errorf("energy went from %d to %d while the relay was open", before, after)
	}
	if m.PressButton(at) {
		t.Error("the button closes a relay that was not permitted to close")
	}
	command(commandPermitClose, 0x9C)
	expect("permitted", opened)
	if !m.PressButton(at) {
		t.Error("the button does not close the relay")
	}
	expect("closed by button", 0)
	at = at.Add(time.Hour)
	if after := number(t, mustRead(t, m, 0x00010000, at)); after <= before {
		t.Errorf("energy stays at %d after the relay was closed", after)
	}
	command(commandTrip, 0x9C)
	at = at.Add(time.Minute)
	command(commandClose, 0x9C)
	at = at.Add(3 * time.Second)
	expect("closed at once", 0)
	if got := m.Counts(); got.Relay != 8 || got.Refused != 1 {
		t.Errorf("counts %+v, want 8 relay commands and 1 refusal", got)
	}
}

func TestEnergyWithOutagesIsTheIntegralOfThePower(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	start := noon.Add(7 * time.Second)
	from := m.work(instantOf(start))
	var want work
	for second := range 3 * hour {
		at := start.Add(time.Duration(second) * time.Second)
		switch second {
		case 600, 5000:
			m.relay.command(m.household, commandTrip, at)
		case 1333, 7001:
			m.relay.command(m.household, commandClose, at)
		}
		want.add(m.load(at), 1, tariffOf(int64(instantOf(at))/hour%24))
	}
	if got := m.work(instantOf(start)+3*hour).plus(-1, from); got != want {
		t.Errorf("work grew by %v, the power adds up to %v", got, want)
	}
}

func TestMeterSwitchedOff(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	m.SwitchOff(noon.Add(time.Minute))
	if _, ok := m.Answer(readFrame(t, "1", diTime), noon.Add(59*time.Second)); ok {
		t.Error("a meter without power answers")
	}
	if _, ok := m.Answer(readFrame(t, "1", diTime), noon.Add(time.Minute)); !ok {
		t.Error("a meter with power again is silent")
	}
}
