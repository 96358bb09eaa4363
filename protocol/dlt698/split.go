package dlt698

import "dlt645-mqtt/protocol/octet"

// SplitFrame is a [bufio.SplitFunc] that cuts every valid frame out of a stream, whatever
// stands between them; the token is the frame without wake-up bytes. The frames found do
// not depend on how the stream was chopped: a start byte is given up only when the bytes
// after it make no frame, or when the stream ends.
func SplitFrame(data []byte, atEOF bool) (advance int, token []byte, err error) {
	return octet.CutFirst(data, atEOF, sizeOfFrame)
}

// sizeOfFrame returns how long the frame is that b begins with: more than len(b) if it may yet
// become one, 0 if there is none. The header has a checksum of its own, so that its length can
// be trusted before the rest has come.
func sizeOfFrame(b []byte) int {
	if len(b) <= placeOfAddress {
		return emptyFrame + 1
	}
	length := int(b[1]) | int(b[2])<<8
	data := placeOfData(b)
	size := length&mostLength + around
	switch {
	case length&^mostLength != 0, size < data+3:
		return 0
	case len(b) < data:
		return size
	case !isChecked(b[1:data]):
		return 0
	case len(b) < size:
		return size
	case b[size-1] != end || !isChecked(b[1:size-1]):
		return 0
	}
	return size
}

// Resembles reports whether bytes that are no sound frame look like a frame of DL/T 698.45 more than like one of
// DL/T 645, whose eighth byte is 68H: the header is sound, or its length is right.
func Resembles(b []byte) bool {
	b = octet.TrimWakeUp(b)
	if len(b) <= placeOfAddress || b[0] != start {
		return false
	}
	if data := placeOfData(b); data <= len(b) && isChecked(b[1:data]) {
		return true
	}
	length := int(b[1]) | int(b[2])<<8
	return len(b) > 7 && b[7] != start && length+around == len(b)
}
