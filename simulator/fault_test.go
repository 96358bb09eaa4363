package simulator

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

func TestParseFaults(t *testing.T) {
	faults, err := ParseFaults("late=0.05,flip:0.01,echo=1")
	if err != nil || len(faults) != 3 || faults[FaultLate] != 0.05 || faults[FaultFlip] != 0.01 || faults[FaultEcho] != 1 {
		t.Errorf("%v, %v", faults, err)
	}
	if faults, err := ParseFaults("all=0.5,off=0"); err != nil || len(faults) != len(allFaults) || faults[FaultOff] != 0 || faults[FaultCollision] != 0.5 {
		t.Errorf("%v, %v", faults, err)
	}
	_, err = ParseFaults("lag=0.1")
	for _, name := range allFaults {
		if err == nil || !strings.Contains(err.Error(), string(name)) {
			t.Errorf("error %v does not list %s", err, name)
		}
	}
}

// A reply is what comes after a request, and when the first and the last byte come.
type reply struct {
	bytes       []byte
	first, last time.Duration
}

// replies reads an item so many times, 8 s apart, on a line with faults.
func replies(t *testing.T, seed uint64, faults Faults, times int) (got []reply, line *Bus) {
	synctest.Test(t, func(t *testing.T) {
		line = newBus(t, BusOptions{Baud: 1100, Turnaround: 20 * time.Millisecond, WakeUp: 2, Seed: seed, Faults: faults}, "1", "2")
		p := line.Port()
		defer p.Close()
		for range times {
			start := time.Now()
			if _, err := p.Write(encode(t, readFrame(t, "1", diDemandPeriod))); err != nil {
				t.Fatal(err)
			}
			b, first, last := readAll(t, p, 5*time.Second)
			got = append(got, reply{b, first.Sub(start), last.Sub(start)})
			time.Sleep(8*time.Second - time.Since(start)%(8*time.Second))
		}
	})
	return got, line
}

// The answer without faults: 16 bytes of request, turnaround, 2 + 17 bytes.
var (
	good      = []byte{0xFE, 0xFE, 0x68, 1, 0, 0, 0, 0, 0, 0x68, 0x91, 5, 0x36, 0x34, 0x33, 0x37, 0x48, 0x83, 0x16}
	goodFirst = (160 + 20 + 10) * time.Millisecond
	goodLast  = (160 + 20 + 190) * time.Millisecond
)

func TestNoFaults(t *testing.T) {
	got, line := replies(t, 1, nil, 3)
	for _, r := range got {
		if !bytes.Equal(r.bytes, good) || r.first != goodFirst || r.last != goodLast {
			t.Errorf("% X from %v to %v, want % X from %v to %v", r.bytes, r.first, r.last, good, goodFirst, goodLast)
		}
	}
	if struck := line.Struck(); len(struck) > 0 {
		t.Errorf("faults without faults: %v", struck)
	}
}

func TestFaults(t *testing.T) {
	valid := func(b []byte) bool {
		_, err := dlt645.ParseFrame(b)
		return err == nil
	}
	differences := func(b []byte) (n int) {
		for i := range min(len(b), len(good)) {
			if b[i] != good[i] {
				n++
			}
		}
		return n
	}
	for fault, check := range map[Fault]func(r reply) bool{
		FaultNoReply: func(r reply) bool { return len(r.bytes) == 0 },
		FaultLate: func(r reply) bool {
			return bytes.Equal(r.bytes, good) && r.first >= goodFirst+500*time.Millisecond && r.first <= goodFirst+3*time.Second && r.last-r.first == goodLast-goodFirst
		},
		FaultFlip: func(r reply) bool { return len(r.bytes) == len(good) && differences(r.bytes) == 1 },
		FaultChecksum: func(r reply) bool {
			return len(r.bytes) == len(good) && differences(r.bytes) == 1 && r.bytes[len(good)-2] != good[len(good)-2]
		},
		FaultTruncated: func(r reply) bool {
			return len(r.bytes) > 0 && len(r.bytes) < len(good) && bytes.HasPrefix(good, r.bytes)
		},
		FaultJunk: func(r reply) bool { return len(r.bytes) > len(good) && bytes.Contains(r.bytes, good) },
		FaultFE: func(r reply) bool {
			return len(r.bytes) <= 8+17 && bytes.HasSuffix(r.bytes, good[2:]) && valid(r.bytes)
		},
		FaultEcho: func(r reply) bool {
			return len(r.bytes) == 16+len(good) && r.bytes[8] == 0x11 && bytes.HasSuffix(r.bytes, good) && r.first == 10*time.Millisecond
		},
		FaultForeign: func(r reply) bool { return valid(r.bytes) && differences(r.bytes) == 2 && r.bytes[3] == 2 },
		FaultOtherDI: func(r reply) bool {
			return valid(r.bytes) && differences(r.bytes) == 2 && r.bytes[13] == good[13]+1
		},
		FaultPieces: func(r reply) bool {
			return bytes.Equal(r.bytes, good) && r.last >= goodLast && r.last <= goodLast+1500*time.Millisecond
		},
		FaultSlow: func(r reply) bool {
			return bytes.Equal(r.bytes, good) && r.first >= goodFirst && r.first <= goodFirst+480*time.Millisecond
		},
		FaultOff:       func(r reply) bool { return len(r.bytes) == 0 },
		FaultCollision: func(r reply) bool { return len(r.bytes) == len(good) },
	} {
		t.Run(string(fault), func(t *testing.T) {
			const times = 60
			got, line := replies(t, 5, Faults{fault: 1}, times)
			for _, r := range got {
				if !check(r) {
					t.Errorf("% X from %v to %v", r.bytes, r.first, r.last)
				}
			}
			if n := line.Struck()[fault]; n != times {
				t.Errorf("struck %d times, want %d", n, times)
			}
			unlike := func(r reply) bool {
				return !bytes.Equal(r.bytes, good) || r.first != goodFirst || r.last != goodLast
			}
			if !slices.ContainsFunc(got, unlike) {
				t.Error("the fault changes nothing")
			}
		})
	}
}

func TestNoReplyLosesCommandsAndAnswers(t *testing.T) {
	const times = 100
	_, line := replies(t, 1, Faults{FaultNoReply: 1}, times)
	if n := line.Meters()[0].Counts().Reads; n < times/4 || n > times*3/4 {
		t.Errorf("of %d exchanges without reply the meter heard %d, want about half", times, n)
	}
}

func TestFaultsAreReproducible(t *testing.T) {
	faults, err := ParseFaults("all=0.2")
	if err != nil {
		t.Fatal(err)
	}
	transcript := func(seed uint64) (lines []string) {
		got, _ := replies(t, seed, faults, 200)
		for _, r := range got {
			lines = append(lines, r.first.String()+" "+hex.EncodeToString(r.bytes)+" "+r.last.String())
		}
		return lines
	}
	one, again, other := transcript(1), transcript(1), transcript(2)
	if !slices.Equal(one, again) {
		t.Error("the same seed gives other faults")
	}
	if slices.Equal(one, other) {
		t.Error("another seed gives the same faults")
	}
	if slices.Compact(slices.Sorted(slices.Values(one)))[0] == "" {
		t.Error("an empty line in the transcript")
	}
}

func TestProbabilities(t *testing.T) {
	const times = 1000
	_, line := replies(t, 3, Faults{FaultSlow: 0.1, FaultFE: 0.5}, times)
	struck := line.Struck()
	if n := struck[FaultSlow]; n < 70 || n > 130 {
		t.Errorf("slow struck %d of %d times, want about 100", n, times)
	}
	if n := struck[FaultFE]; n < 450 || n > 550 {
		t.Errorf("fe struck %d of %d times, want about 500", n, times)
	}
}

func TestALateAnswerComesIntoTheNextRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newBus(t, BusOptions{Baud: 2400, Turnaround: 20 * time.Millisecond, Seed: 1, Faults: Faults{FaultLate: 1}}, "1", "2")
		p := line.Port()
		defer p.Close()
		if _, err := p.Write(encode(t, readFrame(t, "1", diDemandPeriod))); err != nil {
			t.Fatal(err)
		}
		buffer := make([]byte, 64)
		if n, err := p.Read(buffer, 500*time.Millisecond); n != 0 || err != nil {
			t.Fatalf("an answer in time: %d, %v", n, err)
		}
		if _, err := p.Write(encode(t, readFrame(t, "2", diDemandPeriod))); err != nil {
			t.Fatal(err)
		}
		b, _, _ := readAll(t, p, 5*time.Second)
		var from []string
		for len(b) > 0 {
			advance, token, _ := dlt645.ScanFrame(b, true)
			if frame, err := dlt645.ParseFrame(token); err == nil {
				from = append(from, frame.Address.String())
			}
			b = b[advance:]
		}
		slices.Sort(from)
		if want := []string{"000000000001", "000000000002"}; !slices.Equal(from, want) {
			t.Errorf("answers from %v, want %v", from, want)
		}
	})
}
