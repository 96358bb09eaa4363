package modbus

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"

	"dlt645-mqtt/protocol"
)

// An Encoding is how a value lies in its registers.
type Encoding uint8

// The kinds.
const (
	Bool     Encoding = iota // a coil or a discrete input
	Bit                      // one bit of a register
	Unsigned                 // u8, u16, u32, u64
	Signed                   // i8, i16, i32, i64
	Float                    // f32, f64
	BCD                      // bcd16, bcd32
	Text                     // stringN
	Raw                      // rawN
)

// A form is the type of a value: its kind, and where its bytes are.
type form struct {
	kind      Encoding
	registers int  // how many it takes; of a Bool: 1 coil
	bit       int  // of a Bit
	half      half // of an u8 or i8: where in its register
}

// A half is a byte of a register.
type half uint8

const (
	whole half = iota
	high
	low
)

// parseForm reads a type as the column of a map gives it. It returns false if there is no such type.
func parseForm(text string) (form, bool) {
	text = strings.ToLower(text)
	if f, ok := forms[text]; ok {
		return f, true
	}
	for prefix, kind := range map[string]Encoding{"bit": Bit, "string": Text, "raw": Raw} {
		digits, ok := strings.CutPrefix(text, prefix)
		n, err := strconv.ParseUint(digits, 10, 8)
		switch {
		case !ok || err != nil:
		case kind == Bit && n < 16:
			return form{kind: Bit, registers: 1, bit: int(n)}, true
		case kind != Bit && n >= 1 && n <= mostRegisters:
			return form{kind: kind, registers: int(n)}, true
		}
	}
	return form{}, false
}

var forms = map[string]form{
	"bool": {kind: Bool, registers: 1},
	"u8h":  {kind: Unsigned, registers: 1, half: high}, "u8l": {kind: Unsigned, registers: 1, half: low},
	"i8h": {kind: Signed, registers: 1, half: high}, "i8l": {kind: Signed, registers: 1, half: low},
	"u16": {kind: Unsigned, registers: 1}, "u32": {kind: Unsigned, registers: 2}, "u64": {kind: Unsigned, registers: 4},
	"i16": {kind: Signed, registers: 1}, "i32": {kind: Signed, registers: 2}, "i64": {kind: Signed, registers: 4},
	"f32": {kind: Float, registers: 2}, "f64": {kind: Float, registers: 4},
	"bcd16": {kind: BCD, registers: 1}, "bcd32": {kind: BCD, registers: 2},
}

// typeNames lists the types for who has to choose one.
const typeNames = "bool, bit0 to bit15, u8h, u8l, i8h, i8l, u16, i16, u32, i32, u64, i64, f32, f64, bcd16, bcd32, string1 to string125, raw1 to raw125"

// An order says in which order the bytes of a value travel.
type order struct {
	words bool // the lowest register first
	bytes bool // the low byte of each register first
}

// parseOrder reads an order: ABCD is the usual one. It returns false if there is no such order.
func parseOrder(text string) (order, bool) {
	switch strings.ToUpper(text) {
	case "", "AB", "ABCD", "ABCDEFGH":
		return order{}, true
	case "CDAB", "GHEFCDAB":
		return order{words: true}, true
	case "BA", "BADC", "BADCFEHG":
		return order{bytes: true}, true
	case "DCBA", "HGFEDCBA":
		return order{words: true, bytes: true}, true
	}
	return order{}, false
}

// arrange returns bytes as they travel in the usual order, and the other way round.
func (o order) arrange(data []byte) []byte {
	b := bytes.Clone(data)
	for i := 0; i+1 < len(b); i += 2 {
		from := i
		if o.words {
			from = len(b) - 2 - i
		}
		b[i], b[i+1] = data[from], data[from+1]
		if o.bytes {
			b[i], b[i+1] = b[i+1], b[i]
		}
	}
	return b
}

// of returns the bytes of the value out of those of its registers, the most significant first.
func (f form) of(registers []byte, o order) []byte {
	b := o.arrange(registers)
	switch f.half {
	case high:
		return b[:1]
	case low:
		return b[1:]
	}
	return b
}

// An exact number is n × 10^-scale.
type exact struct {
	n     *big.Int
	scale int
}

// exactOf returns a decimal as an exact number.
func exactOf(d protocol.Decimal) exact { return exact{big.NewInt(d.Coefficient), int(d.Scale)} }

func (e exact) times(other exact) exact {
	return exact{new(big.Int).Mul(e.n, other.n), e.scale + other.scale}
}

func (e exact) plus(other exact) exact {
	e, other = e.at(max(e.scale, other.scale)), other.at(max(e.scale, other.scale))
	return exact{new(big.Int).Add(e.n, other.n), e.scale}
}

// at returns the same number with so many digits behind the point, at least as many as it has.
func (e exact) at(scale int) exact {
	return exact{new(big.Int).Mul(e.n, powerOfTen(scale-e.scale)), scale}
}

func powerOfTen(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(0, n))), nil)
}

// short returns the same number without zeros at the end of its fraction.
func (e exact) short() exact {
	ten, n := big.NewInt(10), new(big.Int).Set(e.n)
	for e.scale > 0 {
		quotient, rest := new(big.Int).QuoRem(n, ten, new(big.Int))
		if rest.Sign() != 0 {
			break
		}
		n, e.scale = quotient, e.scale-1
	}
	return exact{n, e.scale}
}

// The most that a [protocol.Decimal] holds.
const (
	mostScale  = 17
	mostDigits = 18
)

// decimal returns the number as a decimal. Digits beyond the seventeenth behind the point, which
// tiny floats have, are rounded off. It fails if the number has too many digits before it.
func (e exact) decimal() (protocol.Decimal, error) {
	if e.scale < 0 {
		e = e.at(0)
	}
	if e.scale > mostScale || len(e.n.Text(10)) > mostDigits {
		e = e.short()
	}
	if drop := e.scale - mostScale; drop > 0 {
		half := new(big.Int).Quo(powerOfTen(drop), big.NewInt(2))
		if e.n.Sign() < 0 {
			half.Neg(half)
		}
		n := new(big.Int).Add(e.n, half)
		e = exact{n.Quo(n, powerOfTen(drop)), mostScale}.short()
	}
	if len(new(big.Int).Abs(e.n).Text(10)) > mostDigits {
		return protocol.Decimal{}, garbled("%s is more than %d digits hold", e.n, mostDigits)
	}
	return protocol.Decimal{Coefficient: e.n.Int64(), Scale: uint8(e.scale)}, nil
}

// number returns what the bytes of a value are as a number, the most significant first. ok is false
// for a float that is not a number. The error wraps [protocol.ErrGarbled].
func (f form) number(b []byte) (e exact, ok bool, err error) {
	switch f.kind {
	case Unsigned:
		return exact{n: new(big.Int).SetBytes(b)}, true, nil
	case Signed:
		n := new(big.Int).SetBytes(b)
		if b[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return exact{n: n}, true, nil
	case BCD:
		n, good := new(big.Int).SetString(hex.EncodeToString(b), 10)
		if !good {
			return exact{}, false, garbled("% X is no BCD", b)
		}
		return exact{n: n}, true, nil
	}
	var value float64
	bits := 8 * len(b)
	if bits == 32 {
		value = float64(math.Float32frombits(binary.BigEndian.Uint32(b)))
	} else {
		value = math.Float64frombits(binary.BigEndian.Uint64(b))
	}
	switch {
	case math.IsNaN(value):
		return exact{}, false, nil
	case math.IsInf(value, 0):
		return exact{}, false, garbled("% X is infinite", b)
	}
	return shortest(value, bits), true, nil
}

// shortest returns the decimal of the fewest digits that gives the same float.
func shortest(value float64, bits int) exact {
	text := strconv.FormatFloat(value, 'e', -1, bits)
	mantissa, exponent, _ := strings.Cut(text, "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	n, _ := new(big.Int).SetString(whole+fraction, 10)
	power, _ := strconv.Atoi(exponent)
	e := exact{n, len(fraction) - power}
	if e.scale < 0 {
		e = e.at(0)
	}
	return e
}

// text returns the characters of a string: up to the first NUL, without blanks around them. What is
// no printable ASCII makes it garbled.
func text(b []byte) (string, error) {
	b, _, _ = bytes.Cut(b, []byte{0})
	for i, c := range b {
		if c < ' ' || c > '~' {
			return "", garbled("byte %d of the text is %02XH, which is no character", i+1, c)
		}
	}
	return strings.TrimSpace(string(b)), nil
}
