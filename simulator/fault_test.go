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

// A received is what comes after a request, and when the first and the last byte come.
type received struct {
	bytes       []byte
	first, last time.Duration
}

// replies reads an item so many times, 8 s apart, on a line with faults. A port that fails is
// opened anew.
func replies(t *testing.T, seed uint64, faults Faults, times int) (got []received, line *Bus) {
	synctest.Test(t, func(t *testing.T) {
		line = newBus(t, BusOptions{Baud: 1100, Turnaround: 20 * time.Millisecond, WakeUp: 2, Seed: seed, Faults: faults}, "1", "2")
		p := line.Port()
		defer func() { p.Close() }()
		for range times {
			start := time.Now()
			var r received
			_, err := p.Write(encode(t, readFrame(t, "1", diDemandPeriod)))
			if err == nil {
				var first, last time.Time
				r.bytes, first, last, err = readUntil(p, 5*time.Second)
				r.first, r.last = first.Sub(start), last.Sub(start)
			}
			if err != nil {
				if !broken(err) {
					t.Fatal(err)
				}
				p = line.Port()
			}
			got = append(got, r)
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
	request := encode(t, readFrame(t, "1", diDemandPeriod))
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
	for fault, check := range map[Fault]func(r received) bool{
		FaultNoReply: func(r received) bool { return len(r.bytes) == 0 },
		FaultLate: func(r received) bool {
			return bytes.Equal(r.bytes, good) && r.first >= goodFirst+500*time.Millisecond && r.first <= goodFirst+3*time.Second && r.last-r.first == goodLast-goodFirst
		},
		FaultFlip: func(r received) bool { return len(r.bytes) == len(good) && differences(r.bytes) == 1 },
		FaultChecksum: func(r received) bool {
			return len(r.bytes) == len(good) && differences(r.bytes) == 1 && r.bytes[len(good)-2] != good[len(good)-2]
		},
		FaultTruncated: func(r received) bool {
			return len(r.bytes) > 0 && len(r.bytes) < len(good) && bytes.HasPrefix(good, r.bytes)
		},
		FaultJunk: func(r received) bool { return len(r.bytes) > len(good) && bytes.Contains(r.bytes, good) },
		FaultFE: func(r received) bool {
			return len(r.bytes) <= 8+17 && bytes.HasSuffix(r.bytes, good[2:]) && valid(r.bytes)
		},
		FaultEcho: func(r received) bool {
			return bytes.Equal(r.bytes, append(bytes.Clone(request), good...)) && r.first == 10*time.Millisecond
		},
		FaultEchoPart: func(r received) bool {
			part, ok := bytes.CutSuffix(r.bytes, good)
			return ok && len(part) > 0 && len(part) < len(request) && (bytes.HasPrefix(request, part) || bytes.HasSuffix(request, part))
		},
		FaultEchoGarbled: func(r received) bool {
			echo, ok := bytes.CutSuffix(r.bytes, good)
			return ok && len(echo) == len(request) && !bytes.Equal(echo, request)
		},
		FaultForeign: func(r received) bool { return valid(r.bytes) && differences(r.bytes) == 2 && r.bytes[3] == 2 },
		FaultOtherDI: func(r received) bool {
			return valid(r.bytes) && differences(r.bytes) == 2 && r.bytes[13] == good[13]+1
		},
		FaultPieces: func(r received) bool {
			return bytes.Equal(r.bytes, good) && r.last >= goodLast && r.last <= goodLast+1500*time.Millisecond
		},
		FaultSlow: func(r received) bool {
			return bytes.Equal(r.bytes, good) && r.first >= goodFirst && r.first <= goodFirst+480*time.Millisecond
		},
		FaultTwice: func(r received) bool {
			return bytes.Equal(r.bytes, append(bytes.Clone(good), good...)) && r.last >= goodLast+200*time.Millisecond && r.last <= goodLast+490*time.Millisecond
		},
		FaultOff:       func(r received) bool { return len(r.bytes) == 0 },
		FaultCollision: func(r received) bool { return len(r.bytes) == len(good) },
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
			unlike := func(r received) bool {
				return !bytes.Equal(r.bytes, good) || r.first != goodFirst || r.last != goodLast
			}
			if !slices.ContainsFunc(got, unlike) {
				t.Error("the fault changes nothing")
			}
		})
	}
}

// TestFaultsOfPorts looks at the faults that end a conversation for longer than an exchange.
func TestFaultsOfPorts(t *testing.T) {
	const times = 60
	whole := func(r received) bool { return bytes.Equal(r.bytes, good) }
	for _, test := range []struct {
		fault       Fault
		most, least int // times that it strikes
	}{
		{FaultReset, times, times},             // each time there is a new connection
		{FaultHalfOpen, times, 8 * times / 60}, // for a minute at most
		{FaultGone, times, 8 * times / 30},     // for half a minute at most
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			got, line := replies(t, 5, Faults{test.fault: 1}, times)
			if slices.ContainsFunc(got, whole) {
				t.Error("an answer came through")
			}
			struck := line.Struck()[test.fault]
			if struck < test.least || struck > test.most {
				t.Errorf("struck %d times, want %d to %d", struck, test.least, test.most)
			}
			if reads := line.Meters()[0].Counts().Reads; reads != struck {
				t.Errorf("the meter heard %d requests, want the %d that were let through", reads, struck)
			}
		})
		t.Run(string(test.fault)+" now and then", func(t *testing.T) {
			got, _ := replies(t, 5, Faults{test.fault: 0.1}, times)
			last := -1
			for n, r := range got {
				if whole(r) {
					last = n
				}
			}
			if last < times-10 {
				t.Errorf("the last answer came in exchange %d of %d: the line does not recover", last, times)
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
			advance, token, _ := dlt645.SplitFrame(b, true)
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
