package cjt188

import "dlt645-mqtt/protocol/octet"

// SplitFrame is a [bufio.SplitFunc] that cuts every frame out of a stream. An eight-bit sum is
// weak, so a frame is one only if its type, function and identifier are plausible too. What is no
// frame is passed over.
func SplitFrame(data []byte, atEOF bool) (advance int, token []byte, err error) {
	return octet.CutComplete(data, atEOF, sizeOfFrame)
}

// IsFrame reports whether b is one frame of the protocol, as far as its own checks tell: sum and
// end, a type and a function that there are, and an identifier in its place.
func IsFrame(b []byte) bool {
	return len(b) >= minimumSize && b[0] == start && sizeOfFrame(b) == len(b)
}

// sizeOfFrame returns how long the frame is that b begins with: more than len(b) if it may yet
// become one, 0 if it cannot.
func sizeOfFrame(b []byte) int {
	if len(b) > 1 && !Type(b[1]).IsValid() && Type(b[1]) != AnyType {
		return 0
	}
	if len(b) > 9 && !isPlausible(Control(b[9])) {
		return 0
	}
	if len(b) < headerSize {
		return minimumSize
	}
	size := int(b[10]) + minimumSize
	switch c := Control(b[9]); {
	case b[10] < 3: // SER and ST of an error answer; else the identifier and SER
		return 0
	case len(b) < size:
		return size
	case !isComplete(b[:size]):
		return 0
	case !c.Refused() && !isIdentifier(b[headerSize:]):
		return 0
	}
	return size
}

// isPlausible reports whether a frame can have the control code: of the standard, or the makers'
// own that is known.
func isPlausible(c Control) bool {
	return functionNames[c.Function()] != "" && (c.FromMeter() || c&refusalBit == 0)
}

// isIdentifier reports whether data begin with an identifier of the standard's ranges.
func isIdentifier(data []byte) bool {
	di, _ := IdentifierIn(data)
	switch di >> 8 {
	case 0x81, 0x90, 0x91, 0xA0, 0xA1, 0xD1, 0xD2, 0xD3, 0xD4:
		return true
	}
	return false
}
