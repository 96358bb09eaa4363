package dlt645

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// A Picture is the form of one value on the wire in the notation of the standard, compiled.
// The low byte travels first in all of them. A field of FF bytes holds no value and decodes
// to nil; nil encodes to it. (One-byte bit words are the exception: FF has every bit set.)
//
//	XXXXXX.XX      packed BCD; X is measured, N is set. Becomes a Decimal with just the
//	               picture's digits after the point. An odd number of digits leaves the top
//	               nibble 0.
//	±XX.XXXX       the same; the top bit of the last byte on the wire is the sign
//	NNNNNNNN       eight set digits and more, without point, are an identification: a string
//	YYMMDDhhmm     a moment with its seconds or without, or from the hour up; the century is
//	               20. A string as in RFC 3339, in the meter's zone.
//	YYMMDD         "2026-11-21"; YYMMDDWW the same (see the weekday picture WW)
//	hhmmss, hhmm   "18:00:00", "18:00"
//	MMDDhhmm       a moment without its year: "08-01 15:30"; MMDDhh the same
//	MMDD, DDhh     "08-01"; the day of the month and the hour: "01 00:00"
//	MMDDNN         {"start":"01-01","table":1}: from that day on that day table
//	hhmmNN         {"start":"08:00","tariff":2}: from that time on that tariff
//	YYMMDDNN       {"date":"2026-10-01","table":1}: on that day that day table
//	WW             the day of the week: "sunday" for 0 to "saturday" for 6
//	ASCII:6        text, its last character first, NUL behind its end
//	HEX:4          bytes without meaning to us: a string of hexadecimal digits, the most
//	               significant byte first
//	bit16          a bit word, written like HEX
//
// A date or moment of zeros ("it never happened") or of nines ("not set") is nil as well.
type Picture struct {
	text   string
	kind   kind
	size   int
	digits int
	scale  uint8
	signed bool
	layout string           // of package time, for the calendar kinds
	format *protocol.Format // of an item of a user's own, in place of all that
}

type kind uint8

const (
	number kind = iota
	identification
	calendar
	schedule // a calendar field and a number NN in the byte that travels first
	weekday
	characters
	hexadecimal
	bits
)

// ParsePicture compiles a picture. See [Picture] for the notation.
func ParsePicture(s string) (Picture, error) {
	p := Picture{text: s}
	if p.layout = layouts[s]; p.layout != "" {
		p.kind, p.size = calendar, len(s)/2
		return p, nil
	}
	if _, ok := schedules[s]; ok {
		p.kind, p.size, p.layout = schedule, len(s)/2, layouts[strings.TrimSuffix(s, "NN")]
		return p, nil
	}
	if s == "WW" {
		p.kind, p.size = weekday, 1
		return p, nil
	}
	for prefix, kind := range map[string]kind{"ASCII:": characters, "HEX:": hexadecimal, "bit": bits} {
		count, ok := strings.CutPrefix(s, prefix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(count)
		if kind == bits {
			if n%8 != 0 {
				return Picture{}, fmt.Errorf("picture %q: a bit word has whole bytes", s)
			}
			n /= 8
		}
		if err != nil || n < 1 || n > 255 {
			return Picture{}, fmt.Errorf("picture %q: no length of 1 to 255 bytes behind %q", s, prefix)
		}
		p.kind, p.size = kind, n
		return p, nil
	}
	return parseNumberPicture(p)
}

func parseNumberPicture(p Picture) (Picture, error) {
	digits, signed := strings.CutPrefix(p.text, "±")
	whole, fraction, point := strings.Cut(digits, ".")
	p.digits, p.scale, p.signed = len(whole)+len(fraction), uint8(len(fraction)), signed
	p.size = (p.digits + 1) / 2
	letter := "X"
	if strings.HasPrefix(digits, "N") {
		letter = "N"
	}
	if whole == "" || point && fraction == "" || strings.Trim(whole+fraction, letter) != "" || p.digits > 18 {
		return Picture{}, fmt.Errorf("picture %q: want up to 18 X or N with a point between, or one of the other pictures", p.text)
	}
	if letter == "N" && !point && p.digits >= 8 {
		p.kind = identification
	}
	return p, nil
}

// String returns the picture as it was parsed.
func (p Picture) String() string { return p.text }

// Size returns the number of bytes that the picture takes on the wire.
func (p Picture) Size() int { return p.size }

// unfit makes an error of a value that the picture has no room for.
func (p Picture) unfit(value any, why string) error {
	return fmt.Errorf("%w: %v does not fit %s: %s", protocol.ErrBadRequest, value, p.text, why)
}

// Decode reads a field of just Size bytes. The zone is that in which the meter keeps its
// time. An error wraps [protocol.ErrGarbled] and names the byte, counted from 1 as they
// travel.
func (p Picture) Decode(data []byte, zone *time.Location) (any, error) {
	return p.decode(data, zone)
}

// decode is Decode without a copy of the picture, of which every value of a reply would need one.
func (p *Picture) decode(data []byte, zone *time.Location) (any, error) {
	if p.format != nil {
		return p.format.Decode(data)
	}
	if len(data) != p.size {
		return nil, garbled("%d bytes for %s, which takes %d", len(data), p.text, p.size)
	}
	if empty(data) && !(p.kind == bits && p.size == 1) {
		return nil, nil
	}
	switch p.kind {
	case identification:
		return p.decodeIdentification(data)
	case calendar:
		return p.decodeCalendar(data, zone)
	case schedule:
		return p.decodeSchedule(data)
	case weekday:
		if int(data[0]) >= len(weekdays) {
			return nil, garbled("%02XH is no day of the week", data[0])
		}
		return weekdays[data[0]], nil
	case characters:
		return p.decodeCharacters(data)
	case hexadecimal, bits:
		return hexOf(data), nil
	}
	return p.decodeNumber(data)
}

// empty reports whether a field is the one of FF bytes that stands for no value.
func empty(data []byte) bool {
	for _, b := range data {
		if b != 0xFF {
			return false
		}
	}
	return true
}

func (p *Picture) decodeNumber(data []byte) (any, error) {
	var coefficient int64
	negative := false
	for i, b := range slices.Backward(data) {
		if p.signed && i == len(data)-1 {
			negative, b = b&0x80 != 0, b&0x7F
		}
		n := octet.FromBCD(b)
		if n < 0 {
			return nil, notBCD(data, i)
		}
		coefficient = coefficient*100 + int64(n)
	}
	if err := p.checkTop(data); err != nil {
		return nil, err
	}
	if negative {
		coefficient = -coefficient
	}
	return protocol.Decimal{Coefficient: coefficient, Scale: p.scale}, nil
}

func (p *Picture) decodeIdentification(data []byte) (any, error) {
	if i := slices.IndexFunc(data, octet.IsNotBCD); i >= 0 {
		return nil, notBCD(data, i)
	}
	if err := p.checkTop(data); err != nil {
		return nil, err
	}
	return hexOf(data)[p.size*2-p.digits:], nil
}

// checkTop refuses a top nibble for which the picture has no digit.
func (p *Picture) checkTop(data []byte) error {
	if top := data[len(data)-1]; p.digits%2 == 1 && top>>4 != 0 {
		return garbled("byte %d is %02XH, but %s has only %d digits", len(data), top, p.text, p.digits)
	}
	return nil
}

func (p *Picture) decodeCharacters(data []byte) (any, error) {
	before := len(data) - len(bytes.TrimLeft(data, "\x00"))
	text := slices.Clone(bytes.Trim(data, "\x00"))
	for i, b := range text {
		if b < ' ' || b >= 0x7F {
			return nil, garbled("byte %d of %d is %02XH, which is no printable ASCII", before+i+1, len(data), b)
		}
	}
	slices.Reverse(text)
	return string(text), nil
}

// Append encodes a value. It takes what Decode returns; for numbers also a json.Number, a
// string of digits or an int; for moments also a time.Time and, as the meter's own time,
// a string without offset. An error wraps [protocol.ErrBadRequest]: the value is of the
// wrong kind, has too many digits, a sign where none is allowed, is no date, or has the
// wrong length.
func (p Picture) Append(dst []byte, value any, zone *time.Location) ([]byte, error) {
	if p.format != nil {
		return p.format.Append(dst, value)
	}
	if value == nil {
		return append(dst, bytes.Repeat([]byte{0xFF}, p.size)...), nil
	}
	switch p.kind {
	case number:
		return p.appendNumber(dst, value)
	case calendar:
		return p.appendCalendar(dst, value, zone)
	case schedule:
		return p.appendSchedule(dst, value)
	}
	text, ok := value.(string)
	if !ok {
		return nil, p.unfit(value, "it takes a string")
	}
	switch p.kind {
	case weekday:
		day := slices.Index(weekdays, text)
		if day < 0 {
			return nil, p.unfit(value, "it takes sunday to saturday")
		}
		return append(dst, byte(day)), nil
	case characters:
		return p.appendCharacters(dst, text)
	case identification:
		if len(text) != p.digits || strings.Trim(text, "0123456789") != "" {
			return nil, p.unfit(value, fmt.Sprintf("it takes just %d decimal digits", p.digits))
		}
		if p.digits%2 == 1 {
			text = "0" + text
		}
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != p.size {
		return nil, p.unfit(value, fmt.Sprintf("it takes %d hexadecimal digits", 2*p.size))
	}
	slices.Reverse(raw)
	return append(dst, raw...), nil
}

// decimalOf reads the kinds of numbers that a value may be.
func decimalOf(value any) (protocol.Decimal, error) {
	switch v := value.(type) {
	case protocol.Decimal:
		return v, nil
	case json.Number:
		return protocol.ParseDecimal(v.String())
	case string:
		return protocol.ParseDecimal(v)
	case int:
		return protocol.Decimal{Coefficient: int64(v)}, nil
	case int64:
		return protocol.Decimal{Coefficient: v}, nil
	}
	return protocol.Decimal{}, protocol.ErrDecimal
}

func (p Picture) appendNumber(dst []byte, value any) ([]byte, error) {
	d, err := decimalOf(value)
	if err != nil {
		return nil, p.unfit(value, err.Error())
	}
	c, negative := uint64(d.Coefficient), d.Coefficient < 0
	if negative {
		c = -c
	}
	for ; d.Scale > p.scale; d.Scale-- {
		if c%10 != 0 {
			return nil, p.unfit(value, fmt.Sprintf("it has %d digits after the point", p.scale))
		}
		c /= 10
	}
	limit := uint64(1)
	for range p.digits {
		limit *= 10
	}
	for ; d.Scale < p.scale && c < limit; d.Scale++ {
		c *= 10
	}
	if p.signed && p.digits%2 == 0 {
		limit = limit / 10 * 8 // the top digit shares its nibble with the sign
	}
	if c >= limit || negative && !p.signed {
		most := protocol.Decimal{Coefficient: int64(limit - 1), Scale: p.scale}
		least := protocol.Decimal{Scale: p.scale}
		if p.signed {
			least.Coefficient = -most.Coefficient
		}
		return nil, p.unfit(value, fmt.Sprintf("it takes %v to %v", least, most))
	}
	for range p.size {
		dst = append(dst, octet.ToBCD(int(c%100)))
		c /= 100
	}
	if negative {
		dst[len(dst)-1] |= 0x80
	}
	return dst, nil
}

func (p Picture) appendCharacters(dst []byte, text string) ([]byte, error) {
	if len(text) > p.size {
		return nil, p.unfit(strconv.Quote(text), fmt.Sprintf("it takes at most %d characters", p.size))
	}
	for _, b := range []byte(text) {
		if b < ' ' || b >= 0x7F {
			return nil, p.unfit(strconv.Quote(text), "it takes printable ASCII")
		}
	}
	field := make([]byte, p.size)
	for i, b := range []byte(text) {
		field[p.size-1-i] = b
	}
	return append(dst, field...), nil
}
