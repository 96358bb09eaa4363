package simulator

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

func date(year int, month time.Month, day, hour, minute int) time.Time {
	return time.Date(year, month, day, hour, minute, 0, 0, zone)
}

func TestFreezePattern(t *testing.T) {
	at := date(2026, 3, 30, 12, 20)
	for _, test := range []struct {
		name string
		data []byte
		want []time.Time // going back
	}{
		{"hourly", []byte{0x30, 0x99, 0x99, 0x99}, []time.Time{date(2026, 3, 30, 11, 30), date(2026, 3, 30, 10, 30)}},
		{"hourly, now", []byte{0x20, 0x99, 0x99, 0x99}, []time.Time{at, date(2026, 3, 30, 11, 20)}},
		{"daily", []byte{0x00, 0x18, 0x99, 0x99}, []time.Time{date(2026, 3, 29, 18, 0), date(2026, 3, 28, 18, 0)}},
		{"monthly", []byte{0x59, 0x23, 0x29, 0x99}, []time.Time{date(2026, 3, 29, 23, 59), date(2026, 1, 29, 23, 59), date(2025, 12, 29, 23, 59)}},
		{"monthly, the 31st", []byte{0x00, 0x00, 0x31, 0x99}, []time.Time{date(2026, 1, 31, 0, 0), date(2025, 12, 31, 0, 0), date(2025, 10, 31, 0, 0)}},
		{"yearly", []byte{0x00, 0x12, 0x29, 0x02}, []time.Time{date(2024, 2, 29, 12, 0), date(2020, 2, 29, 12, 0)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pattern, ok := parseFreezePattern(test.data)
			if !ok {
				t.Fatal("the pattern is refused")
			}
			from := at
			for _, want := range test.want {
				got := pattern.latest(from)
				if !got.Equal(want) {
					t.Errorf("before %v: %v, want %v", from, got, want)
				}
				from = got.Add(-time.Second)
			}
		})
	}
}

func TestFreezes(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	m.SetClock(time.Minute)
	for range 4 { // of which three are kept
		m.Answer(command(t, "999999999999", 0x16, bytes.Repeat([]byte{0x99}, 4)), noon)
		noonLater := noon.Add(time.Hour)
		m.Answer(command(t, "1", 0x16, bytes.Repeat([]byte{0x99}, 4)), noonLater)
	}
	if got := m.Counts().Freezes; got != 8 {
		t.Errorf("%d freezes counted, want 8", got)
	}
	at := noon.Add(90 * time.Minute)
	for _, test := range []struct {
		name   string
		di     dlt645.DI // of the time
		frozen time.Time
		shown  time.Time
	}{
		{"timed, the first of the month", 0x05000001, date(2026, 11, 1, 0, 0), date(2026, 11, 1, 0, 0)},
		{"timed, the oldest", 0x0500000C, date(2025, 12, 1, 0, 0), date(2025, 12, 1, 0, 0)},
		{"at once", 0x05010001, noon.Add(time.Hour), noon.Add(61 * time.Minute)},
		{"at once, before", 0x05010002, noon, noon.Add(time.Minute)},
		{"daily", 0x05060001, date(2026, 11, 20, 0, 0), date(2026, 11, 20, 0, 0)},
		{"daily, the oldest", 0x0506003E, date(2026, 9, 20, 0, 0), date(2026, 9, 20, 0, 0)},
		{"hourly", 0x05040001, date(2026, 11, 20, 13, 0), date(2026, 11, 20, 13, 0)},
		{"hourly, the oldest", 0x050400FE, date(2026, 11, 10, 0, 0), date(2026, 11, 10, 0, 0)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, want := mustRead(t, m, test.di, at), appendMinute(nil, test.shown); !bytes.Equal(got, want) {
				t.Fatalf("frozen at % X, want % X", got, want)
			}
			then := newMeter(t, MeterOptions{}) // as it was
			register := dlt645.DI(0x0001FF00)
			if test.di>>16 == 0x0504 {
				register = 0x00010000
			}
			if got, want := mustRead(t, m, test.di|0x100, at), mustRead(t, then, register, test.frozen); !bytes.Equal(got, want) {
				t.Errorf("forward energy % X, it was % X", got, want)
			}
			block := mustRead(t, m, test.di|0xFF00, at)
			parts := bytes.Split(block, []byte{blockEnd})
			if test.di>>16 == 0x0504 {
				if len(block) != 16 {
					t.Errorf("the block has %d bytes, want 16", len(block))
				}
				return
			}
			if got, want := parts[9], mustRead(t, then, 0x0101FF00, test.frozen); !bytes.Equal(got, want) {
				t.Errorf("demand % X, it was % X", got, want)
			}
			if got, want := parts[11], slices.Concat(mustRead(t, then, 0x0203FF00, test.frozen), mustRead(t, then, 0x0204FF00, test.frozen)); !bytes.Equal(got, want) {
				t.Errorf("variables % X, they were % X", got, want)
			}
			if len(block) != 269+12 || len(parts) != 12+1 {
				t.Errorf("the block has %d bytes in %d parts", len(block), len(parts)-1)
			}
		})
	}
	for _, d := range []dlt645.DI{0x05000000, 0x0500000D, 0x05010004, 0x0506003F, 0x05040301, 0x05050001, 0x05001101} {
		if b, ok := m.Read(d, at); ok {
			t.Errorf("there is %08X: % X", uint32(d), b)
		}
	}
}

// TestFreezeModes leaves out parts by the mode word.
func TestFreezeModes(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	if answer, _ := m.Answer(command(t, "1", 0x14, di(diDailyMode), level04, operator, []byte{0x81}), noon); answer.Control != 0x94 {
		t.Fatal(answer.Control)
	}
	if b, ok := m.Read(0x05060201, noon); ok {
		t.Errorf("a part that is not kept can be read: % X", b)
	}
	block := mustRead(t, m, 0x0506FF01, noon)
	want := []int{5, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 24, 0}
	var sizes []int
	for part := range bytes.SplitSeq(block, []byte{blockEnd}) {
		sizes = append(sizes, len(part))
	}
	if !slices.Equal(sizes, want) {
		t.Errorf("the parts have %v bytes, want %v", sizes, want)
	}
}

// TestANewPatternKeepsWhatWasFrozen orders another pattern.
func TestANewPatternKeepsWhatWasFrozen(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	m.Answer(command(t, "1", 0x16, []byte{0x30, 0x06, 0x99, 0x99}), noon) // each day at 6:30
	at := noon.AddDate(0, 0, 2)
	for n, want := range []time.Time{date(2026, 11, 22, 6, 30), date(2026, 11, 21, 6, 30), date(2026, 11, 1, 0, 0), date(2026, 10, 1, 0, 0)} {
		if got := mustRead(t, m, 0x05000001+dlt645.DI(n), at); !bytes.Equal(got, appendMinute(nil, want)) {
			t.Errorf("freeze %d is of % X, want %v", n+1, got, want)
		}
	}
}
