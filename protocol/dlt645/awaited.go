package dlt645

import "bytes"

// An awaited is the description of an answer. Anything else on the line is passed over:
// noise, the echo of the request, late answers, answers of other meters.
type awaited struct {
	from        Address // of the meter; AAH matches any
	function    Function
	data        []byte // what the data begin with, as sent
	least, most int    // bytes of data
	seq         byte   // the last byte of the data, as sent, where hasSeq
	hasSeq      bool
	anySeq      bool   // an answer with another SEQ is cut if no better one has come at the end
	ownAddress  bool   // the data are the address of the header once more
	refusable   bool   // an error answer is an answer
	item        []byte // the identifier in the request, as sent, which an error answer may repeat; nil: none
}

// readAnswer describes the answer to a read whose data begin with an identifier. The answer
// repeats the identifier and, in a follow-up frame of 2007, ends with SEQ.
func readAnswer(address Address, function Function, v Version, request []byte) *awaited {
	size := diSize(v)
	answer := &awaited{from: answering(address), function: function, least: size, most: maximumData, refusable: true}
	answer.data = shifted(request[:size])
	answer.item = answer.data
	if function == FunctionReadFollowUp {
		answer.least++
		answer.seq, answer.hasSeq = request[size]+offset, true
	}
	return answer
}

// addressAnswer describes the answer to "read address", in which the meter gives its address.
func addressAnswer(address Address) *awaited {
	return &awaited{from: answering(address), function: FunctionReadAddress, least: len(address), most: len(address), ownAddress: true}
}

// answering returns the pattern of the addresses that may answer a frame to address.
func answering(address Address) Address {
	if address.IsBroadcast() {
		return Anyone
	}
	return address
}

// shifted returns data as they are sent.
func shifted(data []byte) []byte {
	b := make([]byte, len(data))
	for i, c := range data {
		b[i] = c + offset
	}
	return b
}

// split is a [bufio.SplitFunc]. A start byte is given up as soon as what follows cannot be
// the answer, and a complete answer wins over an unfinished one that seems to begin before
// it: the header of that one may be noise, and its length with it. So it does over another
// part of the record.
func (a *awaited) split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	unfinished := len(data)
	for i := 0; ; i++ {
		next := bytes.IndexByte(data[i:], start)
		if next < 0 {
			return unfinished, token, nil
		}
		i += next
		size := a.size(data[i:])
		whole := size <= len(data)-i
		switch {
		case size == 0:
		case whole && !a.isOtherPart(data[i:i+size]):
			return i + size, data[i : i+size : i+size], nil
		case unfinished < len(data): // the first such place counts
		case !atEOF:
			unfinished = i
		case whole:
			unfinished, token = i+size, data[i:i+size:i+size]
		}
	}
}

// isOtherPart reports whether the answer b is sound but has another SEQ than was asked for.
func (a *awaited) isOtherPart(b []byte) bool {
	return a.hasSeq && !Control(b[8]).Refused() && b[len(b)-3] != a.seq
}

// size tells how long the answer is that b begins with: more than len(b) if it may yet
// become one, 0 if it cannot.
func (a *awaited) size(b []byte) int {
	for i, c := range b[1:min(len(b), 7)] {
		if digits := a.from[len(a.from)-1-i]; digits != wildcard && digits != c {
			return 0
		}
	}
	if len(b) > 7 && b[7] != start || len(b) > 8 && !a.fits(Control(b[8])) {
		return 0
	}
	if len(b) < headerSize {
		return minimumSize
	}
	size := int(b[9]) + minimumSize
	if Control(b[8]).Refused() {
		// The standard has one byte of ERR; amended meters answer some functions with two.
		if b[9] == 0 || len(b) >= size && (!isComplete(b[:size]) || a.isOtherRefusal(b[headerSize:size-2])) {
			return 0
		}
		return size
	}
	data := b[headerSize:min(len(b), max(headerSize, size-2))]
	known := min(len(data), len(a.data))
	switch {
	case int(b[9]) < a.least || int(b[9]) > a.most:
		return 0
	case !bytes.Equal(data[:known], a.data[:known]):
		return 0
	case len(b) < size:
		return size
	case !isComplete(b[:size]):
		return 0
	case !a.anySeq && a.isOtherPart(b[:size]):
		return 0
	case a.ownAddress && !isOwnAddress(b):
		return 0
	}
	return size
}

// isOtherRefusal reports whether the data of an error answer, as sent, name another identifier than
// was asked for.
func (a *awaited) isOtherRefusal(data []byte) bool {
	version := V2007
	if len(a.item) == diSize(V1997) {
		version = V1997
	}
	di, _ := splitRefusal(a.function, version, data)
	return len(a.item) > 0 && di != nil && !bytes.Equal(di, a.item)
}

// fits reports whether an answer can have this control code.
func (a *awaited) fits(c Control) bool {
	if !c.FromMeter() || c.Function() != a.function {
		return false
	}
	return !c.Refused() || a.refusable && !c.More()
}

// isOwnAddress reports whether the data of an answer to "read address" are the address in its
// header; a meter that sends the wildcard back there says nothing else about itself.
func isOwnAddress(b []byte) bool {
	if addressIn(b) == Anyone {
		return true
	}
	for i := range len(Address{}) {
		if b[headerSize+i]-offset != b[1+i] {
			return false
		}
	}
	return true
}
