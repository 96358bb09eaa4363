package dlt698

import (
	"bytes"
	"slices"
)

// An awaited is the description of an answer. Anything else on the line is passed over: noise, the
// echo of the request, late answers to other requests, answers of other meters, reports.
type awaited struct {
	from    Address // as it was asked
	client  byte
	service Service // of the answer
	choice  byte    // its form; 0: of a service without forms
	piid    byte
	oads    []OAD // one of them is in the answer; nil: any
	sealed  bool  // it may be secured
	part    int   // the number of the fragment that is awaited: 0 is also no fragment at all
	opaque  bool  // the answer to a frame of which nothing is known: any secured one
}

// split is a [bufio.SplitFunc]. The checksum of the header tells soon whether a start byte begins a
// frame. Frames of others are passed over as a whole, since their data may hold anything. A fragment
// of another number is cut only if no better one has come at the end.
func (a *awaited) split(data []byte, atEOF bool) (advance int, token []byte, err error) {
	at, poor, end := 0, -1, -1
	for {
		next := bytes.IndexByte(data[at:], start)
		if next < 0 {
			at = len(data)
			break
		}
		at += next
		size := sizeOfFrame(data[at:])
		if size > len(data)-at && !atEOF {
			break
		}
		if size == 0 || size > len(data)-at {
			at++
			continue
		}
		frame := data[at : at+size : at+size]
		switch a.fits(frame) {
		case fitsWell:
			return at + size, frame, nil
		case fitsPoorly:
			if poor < 0 {
				poor, end = at, at+size
			}
		}
		at += size
	}
	switch {
	case poor < 0:
		return at, nil, nil
	case atEOF:
		return end, data[poor:end:end], nil
	}
	return poor, nil, nil
}

// A fit is how well a frame is the answer.
type fit uint8

const (
	fitsNot fit = iota
	fitsPoorly
	fitsWell
)

// fits reports whether a sound frame is the answer.
func (a *awaited) fits(frame []byte) fit {
	f := frameIn(frame)
	switch {
	case !f.Control.FromServer(), f.Control&function != functionData, f.Client != a.client:
		return fitsNot
	case f.Address != a.from && !a.from.Matches(f.Address):
		return fitsNot
	}
	if !f.Control.Fragmented() {
		if a.part > 0 {
			return fitsNot
		}
		return a.fitsAPDU(f.Data)
	}
	fragment, err := ParseFragment(f.Data)
	switch {
	case err != nil, fragment.Kind == Acknowledgment:
		return fitsNot
	case fragment.Number != a.part:
		return fitsPoorly
	case a.part == 0:
		return a.fitsBeginning(fragment.Data)
	}
	return fitsWell
}

// fitsBeginning does what fitsAPDU does with the first fragment, which may end before it has said all. What is there must be
// right; the whole is looked at once it has come.
func (a *awaited) fitsBeginning(b []byte) fit { return a.fit(b, true) }

// fitsAPDU reports whether an APDU, or the beginning of one, is the answer: by its service, its form,
// the number of the request, and what was asked for. One that is wrong further on is the answer all
// the same, for whoever takes it to say so.
func (a *awaited) fitsAPDU(b []byte) fit { return a.fit(b, false) }

func (a *awaited) fit(b []byte, begun bool) fit {
	if len(b) == 0 {
		return fitsNot
	}
	r := cursor{b: b}
	hasEnded := func() bool { return begun && r.err != nil }
	service := Service(r.byte(""))
	if service == Security|Answered && (a.sealed || a.opaque) {
		switch choice := r.byte(""); {
		case a.opaque, choice != 0:
			return fitsWell
		}
		r.length("")
		service = Service(r.byte(""))
		if hasEnded() {
			return fitsWell
		}
	}
	if service == Fault|Answered {
		piid := r.byte("") & piidNumber
		if hasEnded() || a.opaque || piid == a.piid || a.sealed && piid == 0 { // who cannot open an envelope does not know the number in it
			return fitsWell
		}
		return fitsNot
	}
	choice := a.choice
	if choice != 0 {
		choice = r.byte("")
	}
	if hasEnded() && service == a.service {
		return fitsWell
	}
	block := service == Get|Answered && choice == Next
	switch piid := r.byte(""); {
	case hasEnded() && service == a.service && (choice == a.choice || block):
		return fitsWell
	case r.err != nil, service != a.service, choice != a.choice && !block, piid&piidNumber != a.piid:
		return fitsNot
	case block, a.oads == nil:
		return fitsWell
	case a.choice != Normal && (a.choice != Record || service != Get|Answered):
		r.length("")
	}
	if slices.Contains(a.oads, r.oad("")) || hasEnded() {
		return fitsWell
	}
	return fitsNot
}
