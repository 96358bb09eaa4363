package dlt645

import "dlt645-mqtt/protocol/octet"

// A span is a run of bytes in the data of a frame: from the first to before the last.
type span struct{ from, to int }

// open is the end of a span that goes on to the end of the data.
const open = maximumData

// secrets returns where the password bytes P0 to P2 are in the data of a frame that begins
// with data (in clear, and perhaps cut short). The level PA is no secret. Clauses 7.3 and
// 7.9 to 7.12 of DL/T 645-2007.
func secrets(c Control, data []byte) []span {
	f := c.Function()
	if c.FromMeter() {
		switch {
		case c.Refused():
			return nil
		case f == FunctionSetPassword, f == FunctionSetPassword1997:
			return []span{{1, 4}} // the new one, come back
		case (f == FunctionRead || f == FunctionReadFollowUp) && namesPassword(data, V2007):
			return []span{{4, open}}
		case (f == FunctionRead1997 || f == FunctionReadFollowUp1997) && namesPassword(data, V1997):
			return []span{{2, open}}
		}
		return nil
	}
	switch f {
	case FunctionWrite: // DI PA P0 P1 P2 C0…C3
		if namesPassword(data, V2007) {
			return []span{{5, 8}, {12, open}}
		}
		return []span{{5, 8}}
	case FunctionSetPassword: // DI PA P0 P1 P2 PA P0 P1 P2
		return []span{{5, 8}, {9, 12}}
	case FunctionClearDemand, FunctionClearMeter, FunctionClearEvents, FunctionRelay, FunctionClearDemand1997:
		return []span{{1, 4}}
	case FunctionWrite1997: // DI PA P0 P1 P2
		if namesPassword(data, V1997) {
			return []span{{3, 6}, {6, open}}
		}
		return []span{{3, 6}}
	case FunctionSetPassword1997: // PA P0 P1 P2 PA P0 P1 P2
		return []span{{1, 4}, {5, 8}}
	}
	return nil
}

// namesPassword reports whether data begin with the identifier of a password, or of a block with
// one in it. A careless client may write it like any parameter.
func namesPassword(data []byte, v Version) bool {
	return len(data) >= diSize(v) && isPassword(diOf(data, v), v)
}

// isPassword reports whether di is 04000C01 to 04000C0A or C212, or a block that holds one of
// them. Others that begin with 04000C are taken for passwords of more levels.
func isPassword(di DI, v Version) bool {
	if v == V1997 {
		return di.holds(0xC212, V1997)
	}
	return (di | 0xFF).holds(diPasswords, V2007)
}

// Redact returns a piece of a stream as upper-case hex with the bytes of passwords written
// as "**", so that it may be logged and published. It accepts any bytes: several frames in a
// row, an echo before its answer, frames without beginning or end. Where a frame is damaged,
// bytes may have been lost or put in, so everything up to one byte behind the place of the
// password is masked.
func Redact(b []byte) string {
	hidden := make([]bool, len(b))
	hide := func(from, to int) {
		for i := max(from, 0); i < min(to, len(b)); i++ {
			hidden[i] = true
		}
	}
	sound := 0 // up to where a valid frame reaches
	for i := range b {
		if b[i] != start {
			continue
		}
		if size := sizeOfFrame(b[i:]); size != 0 && size <= len(b)-i {
			data := i + headerSize
			for _, s := range secrets(Control(b[i+8]), clear4(b[data:i+size-2])) {
				hide(data+s.from, min(data+s.to, i+size-2))
			}
			sound = max(sound, i+size)
		} else if i >= sound {
			// Perhaps the second start byte of a frame whose beginning was lost or whose rest
			// is damaged, so that C follows; or the first of one whose second was lost.
			for _, c := range []int{i + 1, i + 7} {
				if c >= len(b) {
					continue
				}
				data := c + 2
				for _, s := range secrets(Control(b[c]), clear4(b[min(data, len(b)):])) {
					hide(data-1, data+s.to+1)
				}
			}
		}
	}
	return octet.MaskedHex(b, hidden)
}

// clear4 returns the first four bytes of data as sent, at most, in clear.
func clear4(data []byte) []byte {
	identifier := make([]byte, 0, 4)
	for _, c := range data[:min(len(data), 4)] {
		identifier = append(identifier, c-offset)
	}
	return identifier
}
