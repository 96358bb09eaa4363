package protocol

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A Format is how one value lies in bytes of which the low one travels first, as a user writes it who adds
// an item of his own:
//
//	XXXXXX.XX        packed BCD, so many digits, the point where it stands; an odd number leaves the top one 0
//	SXXX.X           the same; the top bit of the last byte is the sign
//	u8 u16 u32       a binary number, with some decimals
//	i8 i16 i32       the same with a sign, in two's complement
//	f32              a float, with the fewest digits that give the same float
//	ascii, ascii:6   text, its last character first; of all the bytes that there are, or of so many
//	hex, hex:4       bytes in hex, the last one first
//
// Bytes of FF hold no value and decode to nil, but for numbers with a binary sign, of which they are -1.
type Format struct {
	text    string
	kind    formatKind
	size    int // bytes; 0: as many as there are
	digits  int // of a number
	scale   int
	signed  bool
	decimal bool
}

type formatKind uint8

const (
	packed formatKind = iota
	binaryNumber
	float
	characters
	hexadecimal
)

// formatNames lists the formats for who has to choose one.
const formatNames = "pictures such as XXXXXX.XX and SXXX.X, u8, u16, u32, i8, i16, i32, f32, ascii, ascii:6, hex, hex:4"

// mostDecimals is how many decimals a binary number may have.
const mostDecimals = 9

// ParseFormat reads a format. decimals are those of a binary number, -1 if none are given; other formats
// take none.
func ParseFormat(text string, decimals int) (Format, error) {
	f := Format{text: text}
	name, length, sized := strings.Cut(strings.ToLower(text), ":")
	width := map[string]int{"8": 1, "16": 2, "32": 4}
	switch {
	case name == "ascii", name == "hex":
		if f.kind = characters; name == "hex" {
			f.kind = hexadecimal
		}
		if sized {
			n, err := strconv.Atoi(length)
			if err != nil || n < 1 || n > 200 {
				return Format{}, fmt.Errorf("%q: behind the colon stands a number of bytes from 1 to 200", text)
			}
			f.size = n
		}
	case text == "f32":
		f.kind, f.size, f.decimal = float, 4, true
	case len(text) > 1 && (text[0] == 'u' || text[0] == 'i') && width[text[1:]] > 0:
		f.kind, f.size, f.signed, f.decimal = binaryNumber, width[text[1:]], text[0] == 'i', true
		f.digits = len(strconv.FormatUint(1<<(8*f.size)-1, 10))
		f.scale = max(0, decimals)
		if decimals > mostDecimals {
			return Format{}, fmt.Errorf("%d decimals are more than %d", decimals, mostDecimals)
		}
		return f, nil
	default:
		picture, signed := strings.CutPrefix(text, "S")
		whole, fraction, point := strings.Cut(picture, ".")
		if whole == "" || point && fraction == "" || strings.Trim(whole+fraction, "X") != "" || len(whole)+len(fraction) > 18 {
			return Format{}, fmt.Errorf("%q is no format; there are %s", text, formatNames)
		}
		f.digits, f.scale, f.signed, f.decimal = len(whole)+len(fraction), len(fraction), signed, true
		f.size = (f.digits + 1) / 2
	}
	if decimals >= 0 {
		return Format{}, fmt.Errorf("%s takes no decimals: they go with u8 to i32", text)
	}
	return f, nil
}

// String returns the format as it was written, with its decimals.
func (f Format) String() string {
	if f.kind == binaryNumber && f.scale > 0 {
		return fmt.Sprintf("%s ×10^-%d", f.text, f.scale)
	}
	return f.text
}

// Size returns how many bytes it takes; 0: as many as there are.
func (f Format) Size() int { return f.size }

// Describe says what its data look like: number, decimals, digits in all.
func (f Format) Describe(d *ItemDescription) {
	switch {
	case !f.decimal:
		d.Form = FormText
	case f.kind == float:
		d.Form, d.Decimals = FormNumber, 3
	case f.kind == binaryNumber: // it begins anew after no round number
		d.Form, d.Decimals = FormNumber, f.scale
	default:
		d.Form, d.Decimals, d.Digits = FormNumber, f.scale, f.digits
	}
}

// Signed reports whether it may be below zero.
func (f Format) Signed() bool { return f.signed || f.kind == float }

// Decode reads a value. An error wraps ErrGarbled.
func (f Format) Decode(data []byte) (any, error) {
	if f.size > 0 && len(data) != f.size || len(data) == 0 {
		return nil, fmt.Errorf("%w: %d bytes for %s, which takes %d", ErrGarbled, len(data), f.text, f.size)
	}
	if !(f.kind == binaryNumber && f.signed) && !slices.ContainsFunc(data, func(b byte) bool { return b != 0xFF }) {
		return nil, nil
	}
	b := slices.Clone(data)
	slices.Reverse(b)
	switch f.kind {
	case packed:
		return f.packed(b)
	case binaryNumber:
		n := new(big.Int).SetBytes(b)
		if f.signed && b[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return Decimal{n.Int64(), uint8(f.scale)}, nil
	case float:
		bits := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		return decimalOf(math.Float32frombits(bits))
	case characters:
		text := strings.TrimRight(strings.TrimRight(string(b), "\x00"), " ")
		if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			return nil, fmt.Errorf("%w: byte %d of the text is %02XH, which is no character", ErrGarbled, len(b)-i, text[i])
		}
		return text, nil
	}
	return strings.ToUpper(hex.EncodeToString(b)), nil
}

// packed reads digits, the highest first.
func (f Format) packed(b []byte) (any, error) {
	negative := f.signed && b[0]&0x80 != 0
	if f.signed {
		b[0] &= 0x7F
	}
	n, err := strconv.ParseInt(hex.EncodeToString(b), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: %X is no BCD of %s", ErrGarbled, b, f.text)
	}
	if negative {
		n = -n
	}
	return Decimal{n, uint8(f.scale)}, nil
}

// decimalOf returns the decimal of the fewest digits that gives the same float; nil for NaN.
func decimalOf(value float32) (any, error) {
	if math.IsNaN(float64(value)) {
		return nil, nil
	}
	text := strconv.FormatFloat(float64(value), 'f', -1, 32)
	if _, fraction, _ := strings.Cut(text, "."); len(fraction) > mostScale {
		text = strings.TrimRight(strings.TrimRight(strconv.FormatFloat(float64(value), 'f', mostScale, 64), "0"), ".")
	}
	d, err := ParseDecimal(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s is more than 18 digits hold", ErrGarbled, text)
	}
	return d, nil
}

// Append encodes a value as Decode returns it, or as JSON has it. An error wraps ErrBadRequest.
func (f Format) Append(dst []byte, value any) ([]byte, error) {
	unfit := func(why string) ([]byte, error) {
		return nil, fmt.Errorf("%w: %v does not fit %s: %s", ErrBadRequest, value, f.text, why)
	}
	if !f.decimal {
		text, ok := value.(string)
		if !ok {
			return unfit("it takes a string")
		}
		b := []byte(text)
		if f.kind == hexadecimal {
			var err error
			if b, err = hex.DecodeString(text); err != nil {
				return unfit("it takes hexadecimal digits, two for each byte")
			}
		} else if i := strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			return unfit("it takes ASCII characters")
		}
		if f.size > 0 && (len(b) > f.size || f.kind == hexadecimal && len(b) != f.size) || len(b) == 0 {
			return unfit(fmt.Sprintf("it takes %d bytes", f.size))
		}
		for len(b) < f.size {
			b = append(b, 0)
		}
		slices.Reverse(b)
		return append(dst, b...), nil
	}
	d, ok := value.(Decimal)
	if number, is := value.(json.Number); is {
		var err error
		if d, err = ParseDecimal(number.String()); err != nil {
			return unfit("it takes a decimal number")
		}
		ok = true
	}
	if !ok {
		return unfit("it takes a number")
	}
	if f.kind == float {
		n, err := strconv.ParseFloat(d.String(), 32)
		if err != nil {
			return unfit("it is too large")
		}
		bits := math.Float32bits(float32(n))
		return append(dst, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24)), nil
	}
	d = d.trimmed()
	if int(d.Scale) > f.scale {
		return unfit(fmt.Sprintf("it has %d digits behind the point", f.scale))
	}
	for ; int(d.Scale) < f.scale; d.Scale++ {
		if d.Coefficient > mostDigits/10 || d.Coefficient < -mostDigits/10 {
			return unfit("it is too large")
		}
		d.Coefficient *= 10
	}
	return f.appendNumber(dst, d.Coefficient, unfit)
}

// appendNumber encodes a whole number of the smallest steps.
func (f Format) appendNumber(dst []byte, n int64, unfit func(string) ([]byte, error)) ([]byte, error) {
	if n < 0 && !f.signed {
		return unfit("it has no sign")
	}
	if f.kind == binaryNumber {
		bits := 8 * f.size
		least, most := int64(0), int64(1)<<bits-1
		if f.signed {
			least, most = -(int64(1) << (bits - 1)), int64(1)<<(bits-1)-1
		}
		if n < least || n > most {
			return unfit("it is too large")
		}
		for i := range f.size {
			dst = append(dst, byte(n>>(8*i)))
		}
		return dst, nil
	}
	size := 2 * f.size
	text := fmt.Sprintf("%0*d", size, max(n, -n))
	if len(text) > size || len(strings.TrimLeft(text, "0")) > f.digits || f.signed && text[0] > '7' {
		return unfit("it is too large")
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return unfit(err.Error())
	}
	if n < 0 {
		b[0] |= 0x80
	}
	slices.Reverse(b)
	return append(dst, b...), nil
}

// An OwnItem is an item that a user adds to the table of a protocol, or that takes the place of one there.
type OwnItem struct {
	Identifier string // as the protocol writes it
	Name       string
	Format     Format
	Unit       string
	Access     string // "R", "W" or "RW"
	English    string
	Chinese    string
}

// An Extensible is a [Protocol] to whose table items can be added.
type Extensible interface {
	Protocol

	// WithItems returns the protocol with items of one's own, each of which takes the place of what has
	// its identifier or its name. The error of each tells what is wrong with it; nil: nothing.
	WithItems(items []OwnItem) (extended Protocol, wrong []error)
}

// ParseAccess returns what a cell of a table says of an access, R, W or RW, which Chinese words may stand for. What is
// none of these comes back in capitals.
func ParseAccess(text string) string {
	switch text = strings.ToUpper(strings.TrimSpace(text)); text {
	case "读", "只读":
		return "R"
	case "写", "只写":
		return "W"
	case "读写", "可读写":
		return "RW"
	}
	return text
}
