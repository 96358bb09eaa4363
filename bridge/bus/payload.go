package bus

import (
	"encoding/hex"
	"slices"
	"strings"
)

// How a DTU carries bytes in messages.
const (
	payloadAuto = "auto" // as raw or hex, whichever it turns out to be
	payloadRaw  = "raw"  // as they are
	payloadHex  = "hex"  // as text, two hexadecimal digits each
)

const (
	// fewestDigits is how many hexadecimal digits, and nothing else, show that a DTU sends hex. An answer in raw
	// bytes has others among its first.
	fewestDigits = 8

	// mostUnheard is how many requests in a row may bring nothing, be the meters as dead as they may, before it is
	// doubted how the DTU carries bytes.
	mostUnheard = 4

	// mostUndecided bounds what is kept of which it is not known how it is meant.
	mostUndecided = 4 << 10
)

// payloads are the bytes of a line as a DTU carries them. Where nobody has said how it does, it is found out: what
// it sends shows it. As long as nothing has, or nothing comes any more, every second request goes the other way.
type payloads struct {
	fixed bool // somebody has said it
	hex   bool
	sure  bool // something that was heard shows it

	asked     int    // requests since anything was heard
	binary    bool   // bytes came, since the port is open, that are in no text: nothing shows more
	undecided []byte // came since the last request, and may be either
	digits    []byte // what of it may be hex
	odd       []byte // the first of two digits, where a message ends amid a byte
	foreign   bool   // the last that came was not in the form that is fixed
}

func newPayloads(how string) payloads {
	return payloads{fixed: how != payloadAuto, hex: how == payloadHex, sure: how != payloadAuto}
}

// opened begins anew over another connection. The DTU may have been set otherwise meanwhile.
func (p *payloads) opened() { *p = payloads{fixed: p.fixed, hex: p.hex, sure: p.sure} }

// encode returns the message for a request.
func (p *payloads) encode(data []byte) []byte {
	p.undecided, p.digits, p.odd = nil, nil, nil
	if !p.fixed && !p.binary && (p.asked >= mostUnheard || p.asked > 0 && !p.sure) {
		p.hex = !p.hex
	}
	p.asked++
	if !p.hex {
		return data
	}
	return []byte(strings.ToUpper(hex.EncodeToString(data)))
}

// decode returns the bytes that a message brings. What may be either is kept back until more shows what it is.
func (p *payloads) decode(message []byte) []byte {
	p.foreign, p.asked = false, 0
	digital := !slices.ContainsFunc(message, func(c byte) bool { return !isDigit(c) && !isBlank(c) })
	switch {
	case p.fixed && !p.hex:
		p.foreign = digital && digitsIn(message) >= fewestDigits
		return message
	case p.hex && p.sure && digital:
		return p.fromDigits(message)
	case p.fixed:
		p.foreign = true
		return nil
	case p.binary:
		return message
	case slices.ContainsFunc(message, isBinary): // which no text has in it
		data := slices.Concat(p.undecided, message)
		p.hex, p.sure, p.binary = false, true, true
		p.undecided, p.digits = nil, nil
		return data
	case p.hex && p.sure: // a text that a DTU sends of itself
		return nil
	case p.sure && !digital:
		return message
	}
	p.undecided = append(p.undecided, message...)
	if digital {
		p.digits = append(p.digits, message...)
	}
	switch {
	case digitsIn(p.digits) >= fewestDigits && digitsIn(p.digits)%2 == 0:
		data := p.digits
		p.hex, p.sure = true, true
		p.undecided, p.digits = nil, nil
		return p.fromDigits(data)
	case len(p.undecided) > mostUndecided:
		p.undecided, p.digits = nil, nil
	}
	return nil
}

// fromDigits returns the bytes that hexadecimal digits stand for, in capitals or not, with blanks between them or not.
func (p *payloads) fromDigits(text []byte) []byte {
	digits := slices.Concat(p.odd, text)
	digits = slices.DeleteFunc(digits, isBlank)
	p.odd = slices.Clone(digits[len(digits)&^1:])
	data := make([]byte, len(digits)/2)
	_, _ = hex.Decode(data, digits[:len(digits)&^1]) // there are none but digits
	return data
}

func isDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// isBinary reports whether a byte is in no text.
func isBinary(c byte) bool { return (c < ' ' || c > '~') && !isBlank(c) }

func digitsIn(text []byte) (n int) {
	for _, c := range text {
		if isDigit(c) {
			n++
		}
	}
	return n
}
