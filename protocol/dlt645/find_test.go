package dlt645

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

func whoIs(t *testing.T, v Version, pattern string) protocol.Question {
	t.Helper()
	q, err := New(v, time.UTC).Find(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// requests spells what is sent for a question.
func requests(q protocol.Question) string {
	var frames []string
	for _, step := range q.Steps {
		frames = append(frames, strings.ToUpper(hex.EncodeToString(step.First.Request)))
	}
	return strings.Join(frames, " ")
}

func TestFindAsks(t *testing.T) {
	for _, test := range []struct {
		version          Version
		pattern, request string
		levels           int
	}{
		{V2007, "", "68AAAAAAAAAAAA681300DF16 68AAAAAAAAAAAA68110434373337B616", 6},
		{V2007, "AAAAAAAAAA55", "6855AAAAAAAAAA681104343733376116", 5},
		{V2007, "112233445566", "68665544332211681104343733371F16", 0},
		{V1997, "", "68AAAAAAAAAAAA68010243C3D516 68AAAAAAAAAAAA68010265F32716", 6},
		{V1997, "AAAAAAAAAA55", "6855AAAAAAAAAA68010243C38016", 5},
	} {
		q := whoIs(t, test.version, test.pattern)
		if got, want := requests(q), test.request; got != want {
			t.Errorf("%v %q: asks %s, want %s", test.version, test.pattern, got, want)
		}
		if q.Levels != test.levels {
			t.Errorf("%v %q: %d levels, want %d", test.version, test.pattern, q.Levels, test.levels)
		}
		for _, step := range q.Steps {
			if step.Class != protocol.ClassScan || !step.Repeatable || step.Key != "" || step.Meter.Text != q.Pattern {
				t.Errorf("%v %q: step %+v", test.version, test.pattern, step)
			}
		}
	}
	if _, err := New(V2007, time.UTC).Find("x"); !errors.Is(err, protocol.ErrBadRequest) {
		t.Errorf("a pattern that is none: %v", err)
	}
}

// TestNarrow goes down to one address and checks that the parts of each question leave nobody
// out and ask nobody twice.
func TestNarrow(t *testing.T) {
	for _, version := range []Version{V2007, V1997} {
		for _, address := range []string{"112233445566", "000000000000", "999999999998", "681668166816"} {
			q := whoIs(t, version, "")
			for levels := 5; levels >= 0; levels-- {
				var matching []protocol.Question
				for _, part := range q.Narrow() {
					if part.Levels != levels {
						t.Fatalf("%s: part %s has %d levels, want %d", q.Pattern, part.Pattern, part.Levels, levels)
					}
					if part.Matches(address) {
						matching = append(matching, part)
					}
				}
				if len(matching) != 1 {
					t.Fatalf("%s: %s is in %d parts", q.Pattern, address, len(matching))
				}
				q = matching[0]
			}
			if q.Pattern != address || q.Narrow() != nil {
				t.Errorf("%v: %s leads to %s", version, address, q.Pattern)
			}
		}
		last := whoIs(t, version, "AA9999999999")
		if parts := last.Narrow(); len(parts) != 99 || last.Narrow()[98].Pattern != "989999999999" {
			t.Errorf("%v: %d parts with the broadcast address among them", version, len(parts))
		}
	}
}

func TestSignals(t *testing.T) {
	for _, test := range []struct {
		name             string
		version          Version
		pattern, answer  string // data without offset
		header           string
		control          Control
		address, garbled string
	}{
		{"address", V2007, "", "665544332211", "112233445566", 0x93, "112233445566", ""},
		{"address behind a wildcard header", V2007, "", "665544332211", "AAAAAAAAAAAA", 0x93, "112233445566", ""},
		{"register", V2007, "AAAAAAAAAA66", "01040004665544332211", "112233445566", 0x91, "112233445566", ""},
		{"register behind a wildcard header", V2007, "AAAAAAAAAA66", "01040004665544332211", "AAAAAAAAAA66", 0x91, "112233445566", ""},
		{"refusal", V2007, "AAAAAAAAAA66", "02", "112233445566", 0xD1, "112233445566", ""},
		{"refusal from nobody", V2007, "AAAAAAAAAA66", "02", "AAAAAAAAAA66", 0xD1, "", "AAAAAAAAAA66"},
		{"letters", V2007, "", "C3B200000000", "00000000B2C3", 0x93, "00000000B2C3", ""},
		{"no digits", V2007, "", "6655443322AA", "AAAAAAAAAAAA", 0x93, "", "AA2233445566"},
		{"a wildcard in the middle", V2007, "", "66554433AA11", "AAAAAAAAAAAA", 0x93, "", "11AA33445566"},
		{"1997", V1997, "AAAAAAAAAA66", "109000000000", "112233445566", 0x81, "112233445566", ""},
		{"1997, short address", V1997, "AAAAAAAAAA66", "109000000000", "AAAAAAAA5566", 0x81, "AAAAAAAA5566", ""},
		{"1997, refusal", V1997, "", "02", "112233445566", 0xC1, "112233445566", ""},
		{"1997, from nobody", V1997, "", "02", "AAAAAAAAAAAA", 0xC1, "", "AAAAAAAAAAAA"},
	} {
		t.Run(test.name, func(t *testing.T) {
			data, err := hex.DecodeString(test.answer)
			if err != nil {
				t.Fatal(err)
			}
			header, err := ParseAddress(test.header, test.version)
			if err != nil {
				t.Fatal(err)
			}
			frame := mustAppend(Frame{Address: header, Control: test.control, Data: data})
			step := whoIs(t, test.version, test.pattern).Steps[0]
			if longest := step.First.Longest; len(frame)+4 > longest {
				t.Errorf("the answer has %d bytes, %d are said to be the longest", len(frame)+4, longest)
			}
			_, token, _ := step.First.Answer(append([]byte{0xFE, 0x68, 0xFE}, frame...), false)
			if string(token) != string(frame) {
				t.Fatalf("cut % X out of % X", token, frame)
			}
			_, result, err := step.First.Take(token)
			if result.Address.Text != test.address || (err != nil) != (test.garbled != "") {
				t.Errorf("got %q, %v; want %q", result.Address, err, test.address)
			}
			if err != nil && (!errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), test.garbled)) {
				t.Errorf("error %v, want one with %q", err, test.garbled)
			}
		})
	}
	// An answer from elsewhere is none.
	step := whoIs(t, V2007, "AAAAAAAAAA66").Steps[0]
	foreign := mustAppend(Frame{Address: Address{0x11, 0x22, 0x33, 0x44, 0x55, 0x67}, Control: 0x91, Data: []byte{1, 4, 0, 4, 0x67, 0x55, 0x44, 0x33, 0x22, 0x11}})
	if _, token, _ := step.First.Answer(foreign, true); token != nil {
		t.Errorf("took % X", token)
	}
}
