package simulator

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// samples reads load records with function 11H and its follow-ups, and decodes them. It
// returns the times of the blocks and what the last one holds.
func samples(t *testing.T, m *Meter, d dlt645.DI, at time.Time, more ...byte) (times []string, values map[string]any) {
	t.Helper()
	answer, _ := m.Answer(command(t, "1", 0x11, di(d), more), at)
	if answer.Control.Refused() {
		t.Fatalf("%08X: %s % X", uint32(d), answer.Control, answer.Data)
	}
	record := slices.Clone(answer.Data[4:])
	for seq := byte(1); answer.Control.More(); seq++ {
		answer, _ = m.Answer(command(t, "1", 0x12, di(d), []byte{seq}), at)
		record = append(record, answer.Data[4:len(answer.Data)-1]...)
	}
	item, _ := dlt645.Items(dlt645.V2007).Lookup(d)
	decoded, err := item.Decode(record, zone)
	if err != nil || len(decoded) != 1 {
		t.Fatalf("%08X, % X: %v, %v", uint32(d), record, decoded, err)
	}
	for _, sample := range decoded[0].Data.([]any) {
		sample := sample.(map[string]any)
		times = append(times, sample["time"].(string))
		values = sample["values"].(map[string]any)
	}
	return times, values
}

func TestLoadRecords(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	at := noon.Add(7 * time.Minute)
	for _, test := range []struct {
		name  string
		di    dlt645.DI
		more  []byte // behind the identifier
		first time.Time
		count int
		keys  int // of values
	}{
		{"latest", 0x06000002, nil, noon, 1, 29},
		{"latest three", 0x06000002, []byte{0x03}, noon.Add(-30 * time.Minute), 3, 29},
		{"latest of class 4", 0x06040002, []byte{0x01}, noon, 1, 4},
		{"earliest", 0x06000000, []byte{0x02}, at.AddDate(0, 0, -40).Add(8 * time.Minute), 2, 29},
		{"from a time", 0x06000001, append([]byte{0x10}, appendMinute(nil, date(2026, 11, 19, 23, 31))...), date(2026, 11, 19, 23, 45), 10, 29},
		{"from a time until now", 0x06010001, append([]byte{0x99}, appendMinute(nil, noon.Add(-time.Hour))...), noon.Add(-time.Hour), 5, 7},
		{"from a time on the hour", 0x06060001, append([]byte{0x01}, appendMinute(nil, date(2026, 11, 20, 3, 0))...), date(2026, 11, 20, 3, 0), 1, 2},
		{"from the future", 0x06000001, append([]byte{0x01}, appendMinute(nil, noon.AddDate(0, 0, 1))...), time.Time{}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			times, values := samples(t, m, test.di, at, test.more...)
			if len(times) != test.count || len(values) != test.keys {
				t.Fatalf("%d blocks with %d values: %v, %v; want %d with %d", len(times), len(values), times, values, test.count, test.keys)
			}
			for n, got := range times {
				if want := test.first.Add(time.Duration(n) * 15 * time.Minute).In(zone).Format(time.RFC3339); got != want {
					t.Errorf("block %d is of %s, want %s", n, got, want)
				}
			}
		})
	}
}

func TestALoadRecordTellsWhatTheRegistersWere(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	block := mustRead(t, m, 0x06000002, noon.Add(9*time.Minute))
	want := slices.Concat(
		mustRead(t, m, 0x0201FF00, noon), mustRead(t, m, 0x0202FF00, noon), mustRead(t, m, 0x02800002, noon), []byte{blockEnd},
		mustRead(t, m, 0x0203FF00, noon), mustRead(t, m, 0x0204FF00, noon), []byte{blockEnd},
		mustRead(t, m, 0x0206FF00, noon), []byte{blockEnd},
		mustRead(t, m, 0x00010000, noon), mustRead(t, m, 0x00020000, noon), mustRead(t, m, 0x00030000, noon), mustRead(t, m, 0x00040000, noon), []byte{blockEnd},
		mustRead(t, m, 0x00050000, noon), mustRead(t, m, 0x00060000, noon), mustRead(t, m, 0x00070000, noon), mustRead(t, m, 0x00080000, noon), []byte{blockEnd},
		mustRead(t, m, 0x02800004, noon), mustRead(t, m, 0x02800005, noon), []byte{blockEnd},
	)
	if got := block[8 : len(block)-2]; !bytes.Equal(got, want) || block[2] != 98 {
		t.Errorf("the block holds % X, want % X", got, want)
	}
}

func TestLoadRecordsFollowTheParameters(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	write := func(d dlt645.DI, value ...byte) {
		t.Helper()
		if answer, _ := m.Answer(command(t, "1", 0x14, di(d), level04, operator, value), noon); answer.Control != 0x94 {
			t.Fatalf("%08X: %s", uint32(d), answer.Control)
		}
	}
	write(diLoadMode, 0x03)             // classes 1 and 2
	write(diLoadInterval+1, 0x60, 0x00) // class 1 each hour
	write(diLoadInterval+2, 0x20, 0x00) // class 2 every 20 minutes
	if _, values := samples(t, m, 0x06000002, noon.Add(25*time.Minute), 0x01); len(values) != 8 {
		t.Errorf("at 12:20 there is %v, want class 2 alone", values)
	}
	times, values := samples(t, m, 0x06000002, noon.Add(5*time.Minute), 0x02)
	if want := []string{"2026-11-20T11:40:00+08:00", "2026-11-20T12:00:00+08:00"}; !slices.Equal(times, want) || len(values) != 15 {
		t.Errorf("blocks of %v, the last with %v; want %v and classes 1 and 2", times, values, want)
	}
	if times, _ := samples(t, m, 0x06030002, noon, 0x01); len(times) > 0 {
		t.Errorf("class 3 is not recorded and has %v", times)
	}
}

func TestLoadRecordsRefused(t *testing.T) {
	m := newMeter(t, MeterOptions{})
	for _, test := range []struct {
		di      dlt645.DI
		more    []byte
		refusal byte
	}{
		{0x06070002, nil, errorNoSuchData},
		{0x06000003, nil, errorNoSuchData},
		{0x06000001, []byte{0x01}, errorOther},                               // from when?
		{0x06000002, []byte{0x00}, errorOther},                               // no block
		{0x06000002, []byte{0x0A}, errorOther},                               // no digits
		{0x06000001, []byte{0x01, 0x00, 0x00, 0x30, 0x02, 0x26}, errorOther}, // 30 February
	} {
		answer, _ := m.Answer(command(t, "1", 0x11, di(test.di), test.more), noon)
		if answer.Control != 0xD1 || answer.Data[0] != test.refusal {
			t.Errorf("%08X % X: %s % X, want D1 %02X", uint32(test.di), test.more, answer.Control, answer.Data, test.refusal)
		}
	}
}

// TestTheLongestLoadRecordFitsTheSEQ reads 99 blocks from a meter that sends little at a time.
func TestTheLongestLoadRecordFitsTheSEQ(t *testing.T) {
	m := newMeter(t, MeterOptions{Longest: leastData})
	if times, _ := samples(t, m, 0x06000002, noon, 0x99); len(times) != 99 {
		t.Errorf("%d blocks, want 99", len(times))
	}
}
