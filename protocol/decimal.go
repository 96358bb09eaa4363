package protocol

import (
	"errors"
	"strconv"
	"strings"
)

// A Decimal is an exact decimal number, Coefficient × 10^-Scale. Trailing zeros count:
// 220.0 and 220 are equal in value but are written as they were measured.
type Decimal struct {
	Coefficient int64
	Scale       uint8 // digits after the point, at most 17
}

// mostDigits is the largest coefficient of 18 digits.
const mostDigits = 999_999_999_999_999_999

// ErrDecimal is returned for text that is no plain decimal number of at most 18 digits.
var ErrDecimal = errors.New("not a decimal number of at most 18 digits")

// ParseDecimal reads a JSON number without exponent, such as "-0.50".
func ParseDecimal(text string) (Decimal, error) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || point && fraction == "" || len(whole) > 1 && whole[0] == '0' || len(whole)+len(fraction) > 18 {
		return Decimal{}, ErrDecimal
	}
	coefficient, err := strconv.ParseUint(whole+fraction, 10, 63)
	if err != nil {
		return Decimal{}, ErrDecimal
	}
	d := Decimal{Coefficient: int64(coefficient), Scale: uint8(len(fraction))}
	if negative {
		d.Coefficient = -d.Coefficient
	}
	return d, nil
}

// AppendText appends the number as JSON writes it, with exactly Scale digits after the point.
func (d Decimal) AppendText(b []byte) ([]byte, error) {
	c := uint64(d.Coefficient)
	if d.Coefficient < 0 {
		b, c = append(b, '-'), -c
	}
	var digits [20]byte
	text := strconv.AppendUint(digits[:0], c, 10)
	scale := int(d.Scale)
	if scale == 0 {
		return append(b, text...), nil
	}
	if len(text) <= scale {
		b = append(b, '0', '.')
		for range scale - len(text) {
			b = append(b, '0')
		}
		return append(b, text...), nil
	}
	b = append(b, text[:len(text)-scale]...)
	return append(append(b, '.'), text[len(text)-scale:]...), nil
}

// String returns the number as JSON writes it.
func (d Decimal) String() string {
	b, _ := d.AppendText(nil)
	return string(b)
}

// MarshalJSON writes the number with all its digits; no float comes between.
func (d Decimal) MarshalJSON() ([]byte, error) { return d.AppendText(nil) }

// Distance returns how far d and e are apart, exactly. ok is false if that takes more than 18
// digits.
func (d Decimal) Distance(e Decimal) (distance Decimal, ok bool) {
	if d.Compare(e) < 0 {
		d, e = e, d
	}
	for _, pair := range [][2]*Decimal{{&d, &e}, {&e, &d}} {
		for less := pair[0]; less.Scale < pair[1].Scale; less.Scale++ {
			if most := int64(mostDigits / 10); less.Coefficient > most || less.Coefficient < -most {
				return Decimal{}, false
			}
			less.Coefficient *= 10
		}
	}
	distance = Decimal{d.Coefficient - e.Coefficient, d.Scale}
	return distance, distance.Coefficient <= mostDigits
}

// Compare returns -1, 0 or +1 as d is less than, equal to or greater than e in value.
func (d Decimal) Compare(e Decimal) int {
	if d.Scale > e.Scale {
		return -e.Compare(d)
	}
	// d has the fewer digits after the point: compare at e's scale, minding overflow.
	factor := int64(1)
	for range e.Scale - d.Scale {
		factor *= 10
	}
	switch whole, rest := e.Coefficient/factor, e.Coefficient%factor; {
	case d.Coefficient < whole:
		return -1
	case d.Coefficient > whole:
		return 1
	case rest > 0:
		return -1
	case rest < 0:
		return 1
	}
	return 0
}
