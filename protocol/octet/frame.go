package octet

import "bytes"

// The bytes around a frame.
const (
	Start  = 0x68
	End    = 0x16
	WakeUp = 0xFE // comes before a frame, any number of times, and is no part of it
)

// TrimWakeUp returns b without the wake-up bytes that it begins with.
func TrimWakeUp(b []byte) []byte {
	for len(b) > 0 && b[0] == WakeUp {
		b = b[1:]
	}
	return b
}

// Sum returns the sum of all bytes modulo 256.
func Sum(b []byte) (sum byte) {
	for _, c := range b {
		sum += c
	}
	return sum
}

// CutFirst cuts the first frame out of a stream, as a [bufio.SplitFunc] does, whatever stands before
// it. The function size returns how long the frame is that b begins with: more than len(b) if it may yet
// become one, 0 if it cannot. The frames found do not depend on how the stream was chopped: a start
// byte is given up only when the bytes after it make no frame, or when the stream ends.
func CutFirst(data []byte, atEOF bool, size func(b []byte) int) (advance int, token []byte, err error) {
	for i := 0; ; i++ {
		next := bytes.IndexByte(data[i:], Start)
		if next < 0 {
			return len(data), nil, nil
		}
		i += next
		n := size(data[i:])
		switch {
		case n == 0:
		case n <= len(data)-i:
			return i + n, data[i : i+n : i+n], nil
		case !atEOF:
			return i, nil, nil
		}
	}
}

// CutComplete is CutFirst, except that a complete frame wins over an unfinished one that seems to
// begin before it: the header of that one may be noise, and its length with it.
func CutComplete(data []byte, atEOF bool, size func(b []byte) int) (advance int, token []byte, err error) {
	unfinished := len(data)
	for i := 0; ; i++ {
		next := bytes.IndexByte(data[i:], Start)
		if next < 0 {
			return unfinished, nil, nil
		}
		i += next
		switch n := size(data[i:]); {
		case n == 0:
		case n <= len(data)-i:
			return i + n, data[i : i+n : i+n], nil
		case !atEOF && unfinished == len(data):
			unfinished = i
		}
	}
}
