package octet

import (
	"bytes"
	"testing"
)

// sized is a frame whose second byte says how long it is.
func sized(b []byte) int {
	switch {
	case len(b) < 2:
		return 2
	case b[1] < 2:
		return 0
	}
	return int(b[1])
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		name            string
		stream          []byte
		atEOF           bool
		first, complete []byte // the frame that is cut; nil: none yet
		left, leftAfter int    // bytes that are kept for another try
	}{
		{"nothing", nil, true, nil, nil, 0, 0},
		{"noise", []byte{1, 2, 3}, false, nil, nil, 0, 0},
		{"a frame in noise", []byte{1, Start, 3, 9, 2}, false, []byte{Start, 3, 9}, []byte{Start, 3, 9}, 1, 1},
		{"no frame, then one", []byte{Start, 0, Start, 2}, false, []byte{Start, 2}, []byte{Start, 2}, 0, 0},
		{"half a frame", []byte{1, Start, 3}, false, nil, nil, 2, 2},
		{"half a frame, and no more", []byte{1, Start, 3}, true, nil, nil, 0, 0},
		{"one within what may become another", []byte{Start, 9, Start, 2, 0}, false, nil, []byte{Start, 2}, 5, 1},
		{"one within what will not", []byte{Start, 9, Start, 2, 0}, true, []byte{Start, 2}, []byte{Start, 2}, 1, 1},
		{"two halves", []byte{Start, 9, Start, 8}, false, nil, nil, 4, 4},
	} {
		advance, token, err := CutFirst(test.stream, test.atEOF, sized)
		if !bytes.Equal(token, test.first) || len(test.stream)-advance != test.left || err != nil {
			t.Errorf("%s: CutFirst returns %X and keeps %d bytes, %v; want %X and %d", test.name, token, len(test.stream)-advance, err, test.first, test.left)
		}
		advance, token, err = CutComplete(test.stream, test.atEOF, sized)
		if !bytes.Equal(token, test.complete) || len(test.stream)-advance != test.leftAfter || err != nil {
			t.Errorf("%s: CutComplete returns %X and keeps %d bytes, %v; want %X and %d", test.name, token, len(test.stream)-advance, err, test.complete, test.leftAfter)
		}
	}
}

func TestBCD(t *testing.T) {
	for b := range 256 {
		n := FromBCD(byte(b))
		if valid := b>>4 < 10 && b&15 < 10; valid != (n >= 0) || valid && ToBCD(n) != byte(b) || IsNotBCD(byte(b)) == valid {
			t.Errorf("%02XH is %d, which is %02XH", b, n, ToBCD(max(n, 0)))
		}
	}
	if got := Hex([]byte{0xAB, 1}); got != "AB01" {
		t.Errorf("got %s, want AB01", got)
	}
	if got := MaskedHex([]byte{0xAB, 1, 2}, []bool{false, true, false}); got != "AB**02" {
		t.Errorf("got %s, want AB**02", got)
	}
}
