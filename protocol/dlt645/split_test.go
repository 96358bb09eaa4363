package dlt645

import (
	"bufio"
	"bytes"
	"slices"
	"testing"
	"testing/iotest"

	"dlt645-mqtt/protocol/frametest"
)

func TestSplitFrame(t *testing.T) {
	request := wire("112233445566", 0x11, 0x00, 0x00, 0x01, 0x00)
	answer := wire("112233445566", 0x91, 0x00, 0x00, 0x01, 0x00, 0x33, 0x09, 0x00, 0x00)
	falseStart := []byte{0x68, 1, 2, 3, 4, 5, 6, 0x68, 0x91, 0xFF}
	for _, test := range []struct {
		name   string
		stream []byte
		want   [][]byte
	}{
		{"nothing", nil, nil},
		{"one", request, [][]byte{request}},
		{"wake-up bytes, echo and answer", slices.Concat(frametest.FromHex("FEFEFEFE"), request, frametest.FromHex("FEFE"), answer), [][]byte{request, answer}},
		{"noise around", slices.Concat([]byte{0x00, 0x68, 0x16}, request, []byte{0x68, 0x68}, answer, []byte{0x68}), [][]byte{request, answer}},
		{"a false start that would take in both", slices.Concat(falseStart, request, answer), [][]byte{request, answer}},
		{"cut short", request[:15], nil},
		{"cut short, then whole", slices.Concat(request[:9], answer), [][]byte{answer}},
		{"wrong checksum, then right", slices.Concat(request[:14], []byte{0x00, 0x16}, answer), [][]byte{answer}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := scan(t, bufio.NewScanner(bytes.NewReader(test.stream))); !equal(got, test.want) {
				t.Errorf("got %X, want %X", got, test.want)
			}
			if got := scan(t, bufio.NewScanner(iotest.OneByteReader(bytes.NewReader(test.stream)))); !equal(got, test.want) {
				t.Errorf("byte by byte: got %X, want %X", got, test.want)
			}
		})
	}
}

func scan(t testing.TB, s *bufio.Scanner) (frames [][]byte) {
	t.Helper()
	s.Split(SplitFrame)
	for s.Scan() {
		frames = append(frames, bytes.Clone(s.Bytes()))
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	return frames
}

func equal(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }
