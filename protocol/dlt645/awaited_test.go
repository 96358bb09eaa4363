package dlt645

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"dlt645-mqtt/protocol/frametest"
)

func TestAnswer(t *testing.T) {
	energy := []byte{0x00, 0x00, 0x01, 0x00}
	read := readAnswer(address("112233445566"), FunctionRead, V2007, energy)
	anyone := readAnswer(Anyone, FunctionRead, V2007, energy)
	partly := readAnswer(address("AAAAAAAA5566"), FunctionRead, V2007, energy)
	second := readAnswer(address("112233445566"), FunctionReadFollowUp, V2007, append(bytes.Clone(energy), 2))
	find := addressAnswer(Anyone)

	request := wire("112233445566", 0x11, energy...)
	answer := wire("112233445566", 0x91, append(bytes.Clone(energy), 0x33, 0x09, 0x00, 0x00)...)
	refusal := wire("112233445566", 0xD1, 0x02)
	for _, test := range []struct {
		name   string
		answer *awaited
		stream []byte
		want   []byte
	}{
		{"answer", read, answer, answer},
		{"behind wake-up bytes", read, append(frametest.FromHex("FEFEFEFE"), answer...), answer},
		{"behind the echo", read, slices.Concat(request, answer), answer},
		{"before a frame of another", read, slices.Concat(answer, request), answer},
		{"refusal", read, refusal, refusal},
		{"refusal of two bytes", read, wire("112233445566", 0xD1, 0x02, 0x00), wire("112233445566", 0xD1, 0x02, 0x00)},
		{"refusal that repeats the identifier", read, wire("112233445566", 0xD1, 0, 0, 1, 0, 2), wire("112233445566", 0xD1, 0, 0, 1, 0, 2)},
		{"refusal of another identifier", read, wire("112233445566", 0xD1, 0, 0, 2, 0, 2), nil},
		{"refusal of an unknown length", read, wire("112233445566", 0xD1, 1, 2, 3), wire("112233445566", 0xD1, 1, 2, 3)},
		{"refusal without a reason", read, wire("112233445566", 0xD1), nil},
		{"the first of more", read, wire("112233445566", 0xB1, energy...), wire("112233445566", 0xB1, energy...)},
		{"behind a start byte", read, append([]byte{0x68}, answer...), answer},
		{"behind a header like its own that would take it in", read, append(slices.Clone(answer[:9]), append([]byte{0xFF, 0x33, 0x33, 0x34, 0x33}, answer...)...), answer},
		{"the echo alone", read, request, nil},
		{"another meter", read, wire("112233445567", 0x91, 0, 0, 1, 0, 0, 0, 0, 0), nil},
		{"another meter's refusal", read, wire("112233445567", 0xD1, 0x02), nil},
		{"another identifier", read, wire("112233445566", 0x91, 0, 0, 2, 0, 0, 0, 0, 0), nil},
		{"another function", read, wire("112233445566", 0x92, 0, 0, 1, 0, 0, 0, 0, 0), nil},
		{"refusal of another function", read, wire("112233445566", 0xD4, 0x04), nil},
		{"no identifier", read, wire("112233445566", 0x91, 0, 0, 1), nil},
		{"refusal with more to come", read, wire("112233445566", 0xF1, 0x02), nil},
		{"wrong checksum", read, append(answer[:len(answer)-2:len(answer)-2], 0x00, 0x16), nil},
		{"cut short", read, answer[:len(answer)-1], nil},

		{"anyone", anyone, answer, answer},
		{"the wildcard sent back", anyone, wire("AAAAAAAAAAAA", 0x91, energy...), wire("AAAAAAAAAAAA", 0x91, energy...)},
		{"part of the address", partly, answer, answer},
		{"another part of the address", partly, wire("112233445567", 0x91, energy...), nil},

		{"follow-up", second, wire("112233445566", 0x92, 0, 0, 1, 0, 9, 9, 2), wire("112233445566", 0x92, 0, 0, 1, 0, 9, 9, 2)},
		{"follow-up with more to come", second, wire("112233445566", 0xB2, 0, 0, 1, 0, 2), wire("112233445566", 0xB2, 0, 0, 1, 0, 2)},
		{"another SEQ", second, wire("112233445566", 0x92, 0, 0, 1, 0, 2, 2, 1), nil},
		{"no SEQ", second, wire("112233445566", 0x92, 0, 0, 1, 0), nil},
		{"follow-up refused", second, wire("112233445566", 0xD2, 2), wire("112233445566", 0xD2, 2)},

		{"address", find, wire("112233445566", 0x93, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11), wire("112233445566", 0x93, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11)},
		{"address from a wildcard", find, wire("AAAAAAAAAAAA", 0x93, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11), wire("AAAAAAAAAAAA", 0x93, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11)},
		{"address of another", find, wire("112233445566", 0x93, 0x67, 0x55, 0x44, 0x33, 0x22, 0x11), nil},
		{"address too short", find, wire("112233445566", 0x93, 0x66, 0x55, 0x44, 0x33, 0x22), nil},
		{"address refused", find, wire("112233445566", 0xD3, 0x01), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, got, err := test.answer.split(test.stream, true); !bytes.Equal(got, test.want) || err != nil {
				t.Errorf("all at once: got %X, %v, want %X", got, err, test.want)
			}
			if got := frametest.Trickle(t, test.answer.split, test.stream); !bytes.Equal(got, test.want) {
				t.Errorf("byte by byte: got %X, want %X", got, test.want)
			}
		})
	}
}

// However many bytes look like starts, nothing is kept and nothing is cut. BenchmarkAnswer
// shows that the time per byte stays the same.
func TestAnswerInABabble(t *testing.T) {
	split := readAnswer(Anyone, FunctionRead, V2007, make([]byte, 4)).split
	for name, piece := range map[string][]byte{
		"start bytes": {0x68},
		"headers":     {0x68, 1, 2, 3, 4, 5, 6, 0x68, 0x91, 0xFF, 0x33, 0x33, 0x33, 0x33},
		"end bytes":   {0x68, 0x68, 0x68, 0x68, 0x91, 0x16, 0x16, 0x68, 0x91, 0x16, 0x33, 0x33, 0x33, 0x33, 0x16, 0x16},
	} {
		stream := bytes.Repeat(piece, 64<<10/len(piece))
		if n := testing.AllocsPerRun(10, func() { _, _, _ = split(stream, true) }); n != 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
		if _, token, _ := split(stream, true); token != nil {
			t.Errorf("%s: got %X, want nothing", name, token)
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	answer := wire("112233445566", 0x91, 0x00, 0x00, 0x01, 0x00, 0x33, 0x09, 0x00, 0x00)
	split := readAnswer(address("112233445566"), FunctionRead, V2007, make([]byte, 4)).split
	for _, size := range []int{1 << 10, 64 << 10} {
		for name, stream := range map[string][]byte{
			"start bytes": append(bytes.Repeat([]byte{0x68}, size), answer...),
			"noise":       append(bytes.Repeat([]byte{0x68, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x68}, size/8), answer...),
		} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(len(stream)))
				b.ReportAllocs()
				for b.Loop() {
					_, _, _ = split(stream, true)
				}
			})
		}
	}
}
