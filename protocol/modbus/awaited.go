package modbus

import "bytes"

// mostNoise is how many bytes of noise may come before an answer, such as a line driver makes when
// it takes the line. An answer that begins later stands within something else: a frame of another
// protocol, whose data hold by chance, or by intent, what looks like the answer.
const mostNoise = 8

// An awaited is the description of an answer. RTU has neither a start nor an end mark, and an answer
// says neither what was asked nor how long it is meant to be: so it is cut by what the request makes
// of it, its length above all, and by its CRC, without waiting for silence.
type awaited struct {
	request []byte // the whole frame
	count   int    // of a read: bytes of data
}

// answerTo describes the answer to a request of one of the known functions.
func answerTo(f Frame) *awaited {
	a := &awaited{request: mustAppend(f)}
	if f.Function.isRead() {
		a.count = answerBytes(f.Function, int(f.Data[2])<<8|int(f.Data[3]))
	}
	return a
}

// split is a [bufio.SplitFunc]. Before the answer there may be the echo of the request, whole frames
// of Modbus that came late, and some noise. Bytes are given up at the end only, since what a frame
// is depends on what came before it.
func (a *awaited) split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	noise := 0
	for i := 0; i < len(data) && noise <= mostNoise; {
		rest := data[i:]
		if size := a.size(rest); size > 0 && size <= len(rest) {
			return i + size, rest[:size:size], nil
		}
		if bytes.HasPrefix(rest, a.request) { // the answer to some writes is the same
			i += len(a.request)
			continue
		}
		if size := sizeOfAnswer(rest); size > 0 && size <= len(rest) && isSound(rest[:size]) {
			i += size
			continue
		}
		noise++
		i++
	}
	if atEOF {
		return len(data), nil, nil
	}
	return 0, nil, nil
}

// size returns how long the answer is that b begins with: more than len(b) if it may yet become
// one, 0 if it cannot.
func (a *awaited) size(b []byte) int {
	if b[0] != a.request[0] {
		return 0
	}
	f := Function(a.request[1])
	if len(b) < 2 {
		return exceptionSize
	}
	var size int
	switch got := Function(b[1]); {
	case got == f|refused:
		size = exceptionSize
	case got != f:
		return 0
	case f.isRead():
		size = readOverhead + a.count
		if len(b) > 2 && int(b[2]) != a.count {
			return 0
		}
	default:
		size = writtenSize
		// Register, and value or count, come back.
		if known := min(len(b), 6); !bytes.Equal(b[2:known], a.request[2:known]) {
			return 0
		}
	}
	if len(b) >= size && !isSound(b[:size]) {
		return 0
	}
	return size
}

// sizeOfAnswer returns how long the answer is that b begins with, by its own length, whoever sent
// it; 0 if it cannot be one.
func sizeOfAnswer(b []byte) int {
	if len(b) < 3 || b[0] == 0 || b[0] > lastAddress {
		return 0
	}
	switch f := Function(b[1]); {
	case f&refused != 0 && functionNames[f&^refused] != "":
		return exceptionSize
	case f.isRead():
		return readOverhead + int(b[2])
	case functionNames[f] != "":
		return writtenSize
	}
	return 0
}
