package cjt188

import "dlt645-mqtt/protocol/octet"

// An awaited is the description of an answer. Anything else on the line is passed over: noise, the
// echo of the request, late answers, answers of other meters, frames of other protocols.
type awaited struct {
	from     Address // of the meter; Anyone: whoever
	of       Type    // AnyType: whichever
	function Control // of the request
	di       DI      // in either order, for meters answer in another than they are asked in
	ser      byte    // the number of the request, which the answer repeats
	anySer   bool    // of a meter that does not repeat it
	least    int     // bytes behind SER, at least
	most     int     // and at most
}

// answerTo describes the answer to a request about an identifier.
func answerTo(request Frame, di DI, ser byte) *awaited {
	return &awaited{from: request.Address, of: request.Type, function: request.Control, di: di, ser: ser, most: maximumData}
}

// split is a [bufio.SplitFunc]. A start byte is given up as soon as what follows cannot be the
// answer, and a complete answer wins over an unfinished one that seems to begin before it.
func (a *awaited) split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	return octet.CutComplete(data, atEOF, a.size)
}

// size returns how long the answer is that b begins with: more than len(b) if it may yet become
// one, 0 if it cannot.
func (a *awaited) size(b []byte) int {
	if len(b) > 1 && !a.isOf(Type(b[1])) {
		return 0
	}
	for i := 2; i < min(len(b), 2+len(a.from)); i++ {
		if a.from != Anyone && b[i] != a.from[len(a.from)+1-i] {
			return 0
		}
	}
	if len(b) > 9 && (!Control(b[9]).FromMeter() || Control(b[9]).Function() != a.function) {
		return 0
	}
	if len(b) < headerSize {
		return minimumSize
	}
	size := int(b[10]) + minimumSize
	data := b[headerSize:min(len(b), size-2)]
	if Control(b[9]).Refused() {
		return a.refusalSize(b, data, size)
	}
	switch length := int(b[10]) - 3; {
	case length < a.least || length > a.most:
		return 0
	case len(data) >= 2 && !a.di.is(data):
		return 0
	case len(data) >= 3 && data[2] != a.ser && !a.anySer:
		return 0
	case len(b) >= size && !isComplete(b[:size]):
		return 0
	}
	return size
}

// refusalSize is size for an error answer, which names no identifier but the number of the request.
func (a *awaited) refusalSize(b, data []byte, size int) int {
	if b[10] != 3 && b[10] != 5 {
		return 0
	}
	if len(b) < size {
		return size
	}
	_, ser, _ := refusalIn(data)
	if !isComplete(b[:size]) || byte(ser) != a.ser && !a.anySer || b[10] == 5 && !a.di.is(data) {
		return 0
	}
	return size
}

// isOf reports whether a meter of a type may be the one that was asked.
func (a *awaited) isOf(t Type) bool {
	return t.IsValid() && (a.of == AnyType || a.of == t)
}
