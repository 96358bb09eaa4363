//go:build linux

package main

import (
	"encoding/hex"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
)

// TestCheckNumber reads a meter three times and holds numbers against that.
func TestCheckNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const address, di = "000000000001", dlt645.DI(0x02030000)
		meter, err := simulator.NewMeter(simulator.MeterOptions{Address: address, Counting: true})
		if err != nil {
			t.Fatal(err)
		}
		item, _ := dlt645.Items(dlt645.V2007).Named("active_power")
		if item.DI != di {
			t.Fatalf("active_power is %08X", uint32(item.DI))
		}
		to, err := dlt645.ParseAddress(address, dlt645.V2007)
		if err != nil {
			t.Fatal(err)
		}
		read := func() {
			if _, ok := meter.Answer(dlt645.Frame{Address: to, Control: dlt645.Control(dlt645.FunctionRead), Data: di.Append(nil, dlt645.V2007)}, time.Now()); !ok {
				t.Fatal("the meter is silent")
			}
		}
		m := &meterOnSite{meter, "main", dlt645.V2007}
		s := &site{ledger: newLedger(), meters: map[string]*meterOnSite{address: m}}
		read()
		e := &entry{asked: time.Now(), before: s.exchanges()}
		read()
		read()
		forged := simulator.Counted(address, 500, di, 3)
		s.spy.frames = []heardFrame{{time.Now(), address, []byte{0, 0, 3, 2, byte(forged/10%10<<4 | forged%10), byte(forged/1000%10<<4 | forged/100%10), byte(forged/100000%10<<4 | forged/10000%10)}}}
		for _, test := range []struct {
			name   string
			number int64
			want   string
		}{
			{"the first exchange after the request", simulator.Counted(address, 2, di, 3), ""},
			{"the last one", simulator.Counted(address, 3, di, 3), ""},
			{"the one before the request", simulator.Counted(address, 1, di, 3), "is old"},
			{"of another item", simulator.Counted(address, 2, 0x02030100, 3), "made up"},
			{"of another meter", simulator.Counted("000000000003", 2, di, 3), "made up"},
			{"forged by the line", forged, ""},
		} {
			err := s.checkNumber(e, m, counted{di: di, size: sizeOf(di)}, test.number)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.name, err, test.want)
			}
		}
		if s.ledger.forged != 1 || s.ledger.values != 6 {
			t.Errorf("%d of %d numbers are forged", s.ledger.forged, s.ledger.values)
		}
	})
}

// TestMarks lets a meter tell what it was asked for.
func TestMarks(t *testing.T) {
	var marks []string
	meter, err := simulator.NewMeter(simulator.MeterOptions{Address: "1", OnCommand: func(command dlt645.Frame) { marks = append(marks, markOf(command)) }})
	if err != nil {
		t.Fatal(err)
	}
	text, err := alarmFrame(meter.Address(), numbered|7)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		text,
		"68 010000000000 68 14 12 35373337 37333333 33333333 B5 89 67 45 33 33 CS 16", // meter number 000012345682
		"68 010000000000 68 1C 10 35333333 33333333 4D 33 8C8C56644545 CS 16",         // trip, valid until the end of 2012
	} {
		b, err := hex.DecodeString(strings.ReplaceAll(strings.ReplaceAll(text, " ", ""), "CS", "00"))
		if err != nil {
			t.Fatal(err)
		}
		sum := byte(0)
		for _, c := range b[:len(b)-2] {
			sum += c
		}
		b[len(b)-2] = sum
		frame, err := dlt645.ParseFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		meter.Answer(frame, time.Date(2010, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	want := []string{markOfAlarm(numbered | 7), markOfWrite(12345682), markOfRelay(0x1A)}
	if strings.Join(marks, ", ") != strings.Join(want, ", ") {
		t.Errorf("%q, want %q", marks, want)
	}
}
