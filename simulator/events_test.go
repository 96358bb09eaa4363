package simulator

import (
	"bytes"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

func TestPowerDowns(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	count := number(t, mustRead(t, m, 0x03110000, noon))
	if count < 3 {
		t.Fatalf("%d power failures, want some", count)
	}
	moment := func(b []byte) time.Time {
		t.Helper()
		at, ok := momentBCD(b)
		if !ok {
			t.Fatalf("% X is no moment", b)
		}
		return at
	}
	next := noon
	var third []byte
	for n := range dlt645.DI(rows) {
		record := mustRead(t, m, 0x03110001+n, noon)
		start, end := moment(record[:6]), moment(record[6:])
		if !start.Before(end) || end.Sub(start) > time.Minute || !end.Before(next) {
			t.Errorf("failure %d from %v to %v, the one after it at %v", n+1, start, end, next)
		}
		next = start
		if n == 2 {
			third = record
		}
	}
	// Seen a year ago, it is the same history.
	earlier := moment(mustRead(t, m, 0x03110003, noon)[:6]).Add(time.Hour)
	other := newMeter(t, MeterOptions{})
	if got := mustRead(t, other, 0x03110001, earlier); !bytes.Equal(got, third) {
		t.Errorf("the latest failure at %v was % X, now it is the third and % X", earlier, got, third)
	}
	if got := number(t, mustRead(t, other, 0x03110000, earlier)); got != count-2 {
		t.Errorf("%d failures until then, %d until now", got, count)
	}
}

func TestClockRecords(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	if answer, _ := m.Answer(command(t, "1", 0x14, di(diDateTime), level04, operator, []byte{0x00, 0x30, 0x12, 0x05, 0x20, 0x11, 0x26}), noon); answer.Control != 0x94 {
		t.Fatal(answer.Control)
	}
	want := append(bytes.Clone(operator), appendSecond(appendSecond(nil, noon), noon.Add(30*time.Minute))...)
	if got := mustRead(t, m, 0x03300401, noon); !bytes.Equal(got, want) {
		t.Errorf("record % X, want % X", got, want)
	}
	if got := mustRead(t, m, 0x03300402, noon); !bytes.Equal(got, make([]byte, 16)) {
		t.Errorf("a record that was never written is % X", got)
	}
}

func TestDemandIsClearedEachMonth(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	for n := range dlt645.DI(3) {
		record := mustRead(t, m, 0x03300201+n, noon)
		if !bytes.Equal(record[:6], appendSecond(nil, monthStart(noon, int(n)))) {
			t.Errorf("record %d is of % X, want the end of a month", n+1, record[:6])
		}
		if want := mustRead(t, m, 0x01010001+n, noon); !bytes.Equal(record[10:18], want) {
			t.Errorf("record %d has % X, the settlement % X", n+1, record[10:18], want)
		}
	}
}
