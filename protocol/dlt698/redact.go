package dlt698

import (
	"bytes"

	"dlt645-mqtt/protocol/octet"
)

// What carries a password: the method that closes a relay by one, and the object with that of
// connections.
const (
	omdCloseByPassword OMD    = 0x80008300
	oiPassword         uint16 = 0x4401
	mechanismPassword         = 1
)

// passwordMarks begin the data in which a password follows, wherever they are in a frame whose
// beginning is lost.
var passwordMarks = [][]byte{{0x80, 0x00, 0x83, 0x00}, {0x44, 0x01, 0x02, 0x00}}

// Redact returns a piece of a stream as upper-case hex with the bytes of passwords written as
// "**", so that it may be logged and published. It accepts any bytes: several frames in a row, an
// echo before its answer, frames without beginning or end. Where a frame is damaged, all that
// follows what a password belongs to is masked.
func Redact(b []byte) string {
	hidden := make([]bool, len(b))
	hide := func(from, to int) {
		for i := max(from, 0); i < min(to, len(b)); i++ {
			hidden[i] = true
		}
	}
	rest := 0 // from where no frame has begun yet
	for i := 0; i < len(b); {
		size := 0
		if b[i] == start {
			size = sizeOfFrame(b[i:])
		}
		if size == 0 || size > len(b)-i {
			i++
			continue
		}
		hideAfterMarks(b[rest:i], rest, hide)
		data := i + placeOfData(b[i:])
		for _, s := range secrets(b[i : i+size]) {
			hide(data+s.from, data+s.to)
		}
		i += size
		rest = i
	}
	hideAfterMarks(b[rest:], rest, hide)
	return octet.MaskedHex(b, hidden)
}

// hideAfterMarks hides all behind a mark in a piece that holds no sound frame. It may be scrambled.
func hideAfterMarks(piece []byte, at int, hide func(from, to int)) {
	for _, mark := range passwordMarks {
		masked := bytes.Clone(mark)
		for i := range masked {
			masked[i] += offset
		}
		for _, m := range [][]byte{mark, masked} {
			if i := bytes.Index(piece, m); i >= 0 {
				hide(at+i+len(m), at+len(piece))
			}
		}
	}
}

// A span is a run of bytes in the data of a frame.
type span struct{ from, to int }

// secrets returns where passwords are in the data of a sound frame. Of a fragment that a client
// sends nothing is known, so it is hidden as a whole.
func secrets(frame []byte) (spans []span) {
	f := frameIn(frame)
	if f.Control.Fragmented() {
		if !f.Control.FromServer() && len(f.Data) > fragmentHeader {
			spans = append(spans, span{fragmentHeader, len(f.Data)})
		}
		return spans
	}
	a, err := ParseAPDU(f.Data)
	if err == nil && a.Sealed != nil && !a.Sealed.Cipher && a.Sealed.APDU != nil {
		a, err = ParseAPDU(a.Sealed.APDU)
	}
	if err != nil {
		hideAfterMarks(f.Data, 0, func(from, to int) { spans = append(spans, span{from, to}) })
		return spans
	}
	if a.Service == Connect && len(a.Body) > connectSize && a.Body[connectSize-1] == mechanismPassword {
		if at := bytes.Index(f.Data, a.Body); at >= 0 {
			spans = append(spans, span{at + connectSize, len(f.Data)})
		}
	}
	for i := range a.Entries {
		if e := &a.Entries[i]; e.OAD == omdCloseByPassword || e.OAD.OI() == oiPassword {
			spans = append(spans, texts(f.Data, &e.Data)...)
		}
	}
	return spans
}

// texts returns where the strings of a value are in the data of a frame: each place that holds the
// same bytes.
func texts(data []byte, d *Data) (spans []span) {
	for i := range d.Items {
		spans = append(spans, texts(data, &d.Items[i])...)
	}
	if tags[d.Tag].shape != octets || len(d.Bytes) == 0 {
		return spans
	}
	for from := 0; ; {
		at := bytes.Index(data[from:], d.Bytes)
		if at < 0 {
			return spans
		}
		from += at + len(d.Bytes)
		spans = append(spans, span{from - len(d.Bytes), from})
	}
}
