package dlt645

import "bytes"

// SplitFrame is a [bufio.SplitFunc] that cuts every valid frame out of a stream, whatever
// stands between them; the token is the frame without wake-up bytes. The frames found do
// not depend on how the stream was chopped: a start byte is given up only when the bytes
// after it make no frame, or when the stream ends.
func SplitFrame(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for i := 0; ; i++ {
		next := bytes.IndexByte(data[i:], start)
		if next < 0 {
			return len(data), nil, nil
		}
		i += next
		size := sizeOfFrame(data[i:])
		switch {
		case size == 0:
		case size <= len(data)-i:
			return i + size, data[i : i+size : i+size], nil
		case !atEOF:
			return i, nil, nil
		}
	}
}

// sizeOfFrame tells how long the frame is that b begins with: more than len(b) if it may
// yet become one, 0 if there is none.
func sizeOfFrame(b []byte) int {
	if len(b) > 7 && b[7] != start {
		return 0
	}
	if len(b) < headerSize {
		return minimumSize
	}
	size := int(b[9]) + minimumSize
	if len(b) >= size && !isComplete(b[:size]) {
		return 0
	}
	return size
}

// isComplete reports whether the end byte and the checksum of a frame are right. The end byte
// is looked at first: it costs nothing and fails for nearly every false start.
func isComplete(b []byte) bool {
	size := len(b)
	return b[size-1] == end && b[size-2] == checksum(b[:size-2])
}
