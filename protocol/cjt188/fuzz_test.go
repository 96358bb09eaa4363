package cjt188

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// seeds are streams to begin with: every frame of the tests, and what a line makes of them.
func seeds(f *testing.F) (streams [][]byte) {
	var all []byte
	for _, v := range vectors(f) {
		streams = append(streams, frametest.FromHex(v.Frame))
		all = append(all, frametest.FromHex(v.Frame)...)
	}
	return append(streams, nil, []byte{0xFE, 0x68}, bytes.Repeat([]byte{0x68}, 300), all)
}

func FuzzParseFrame(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	frametest.FuzzParse(f, ParseFrame, func(frame Frame) bool { return len(frame.Data) == 0 && frame.Control == 0 }, octet.TrimWakeUp)
}

func FuzzSplitFrame(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		at := 0
		for at < len(stream) {
			advance, frame, err := SplitFrame(stream[at:], true)
			if err != nil || advance < len(frame) || advance > len(stream)-at {
				t.Fatalf("%X: advance %d, frame %X, %v", stream[at:], advance, frame, err)
			}
			if frame == nil {
				break
			}
			if _, err := ParseFrame(frame); err != nil || !IsFrame(frame) {
				t.Errorf("cut %X, which is no frame: %v", frame, err)
			}
			at += advance
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, "00000805000001", byte(0), true)
	}
	f.Fuzz(func(t *testing.T, stream []byte, from string, ser byte, read bool) {
		a, err := ParseAddress(from)
		if err != nil {
			a = Anyone
		}
		answer := answerTo(Frame{AnyType, a, ReadData, nil}, CurrentData, ser)
		if !read {
			answer = answerTo(Frame{ColdWater, a, WriteData, nil}, Valve, ser)
		}
		for _, token := range [][]byte{frametest.Trickle(t, answer.split, stream), frametest.Wholly(answer.split, stream)} {
			if token == nil {
				continue
			}
			frame, err := ParseFrame(token)
			if err != nil || token[0] != start {
				t.Fatalf("cut %X, which is no frame: %v", token, err)
			}
			c := frame.Control
			switch {
			case a != Anyone && frame.Address != a, !c.FromMeter(), c.Function() != answer.function, !answer.isOf(frame.Type):
				t.Errorf("cut %X, which is of another", token)
			case c.Refused():
				if _, got, ok := refusalIn(frame.Data); !ok || byte(got) != ser {
					t.Errorf("cut the refusal %X of another request", token)
				}
			case !answer.di.is(frame.Data) || frame.Data[2] != ser:
				t.Errorf("cut %X, which answers another request", token)
			}
		}
	})
}

func FuzzDescribe(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Describe(b, shanghai)
		if err != nil {
			return
		}
		text, err := json.Marshal(d)
		if err != nil || !json.Valid(text) {
			t.Errorf("%X: %s, %v", b, text, err)
		}
		if want := octet.TrimWakeUp(b); !bytes.Equal(frametest.FromHex(d.Hex), want) {
			t.Errorf("%X: described as %s", want, d.Hex)
		}
	})
}

// FuzzDecode reads any data as those of any identifier. There are values, or an error that the
// bridge knows, and never both.
func FuzzDecode(f *testing.F) {
	for _, v := range vectors(f) {
		frame, _ := ParseFrame(frametest.FromHex(v.Frame))
		f.Add(uint16(CurrentData), byte(frame.Type), frame.Data[3:], byte(0))
	}
	f.Fuzz(func(t *testing.T, di uint16, of byte, data []byte, k byte) {
		values, err := decode(DI(di), Type(of), data, known{unit: position(k & 3 % 3), fromTop: k&4 != 0}, shanghai)
		if err != nil {
			if !errors.Is(err, protocol.ErrGarbled) || values != nil {
				t.Errorf("%v, %v", values, err)
			}
			return
		}
		if text, err := json.Marshal(values); err != nil || len(values) == 0 {
			t.Errorf("%s, %v", text, err)
		}
	})
}

func FuzzRedact(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		text := Redact(b)
		if len(text) != 2*len(b) {
			t.Fatalf("%X: %s, not two characters a byte", b, text)
		}
		key := wire(ColdWater, "1", WriteData, "A01401 A1A2A3A4A5A6A7A8")
		if text := Redact(slices.Concat(b, key)); strings.HasSuffix(text, "A1A2A3A4A5A6A7A8"+octet.Hex(key[len(key)-2:])) {
			t.Errorf("behind %X the key is shown: %s", b, text)
		}
	})
}
