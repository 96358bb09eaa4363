package dlt645

import "dlt645-mqtt/protocol/octet"

// SplitFrame is a [bufio.SplitFunc] that cuts every valid frame out of a stream, whatever
// stands between them; the token is the frame without wake-up bytes. The frames found do
// not depend on how the stream was chopped: a start byte is given up only when the bytes
// after it make no frame, or when the stream ends.
func SplitFrame(data []byte, atEOF bool) (advance int, token []byte, err error) {
	return octet.CutFirst(data, atEOF, sizeOfFrame)
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
	return b[size-1] == end && b[size-2] == octet.Sum(b[:size-2])
}
