package dlt698

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// Value returns what a value is without a dictionary, as [protocol.Value] has it: numbers and
// flags as they are, times as RFC 3339 in the zone, lists and structures as lists, text as text,
// bits as a text of 0 and 1 with the first bit first, all else as hex or in a few words. A time
// that is not set is nil.
func (d Data) Value(zone *time.Location) any {
	switch d.Tag {
	case Null:
		return nil
	case Array, Structure:
		list := make([]any, len(d.Items))
		for i, item := range d.Items {
			list[i] = item.Value(zone)
		}
		return list
	case Bool:
		return d.Bits != 0
	case Enum:
		return protocol.Decimal{Coefficient: int64(d.Bits)}
	case BitString:
		return d.bitText()
	case Float32:
		return shortest(float64(math.Float32frombits(uint32(d.Bits))), 32)
	case Float64:
		return shortest(math.Float64frombits(d.Bits), 64)
	case VisibleString, UTF8String:
		return textOf(d.Bytes)
	case DateTimeS, DateTime, Date, TimeOfDay:
		if text := momentText(d, zone); text != "" {
			return text
		}
		return nil
	case TagOI:
		return fmt.Sprintf("%04X", d.Bits)
	case TagOAD, TagOMD:
		return OAD(d.Bits).String()
	}
	if tags[d.Tag].shape == natural || tags[d.Tag].shape == whole {
		return integer(d)
	}
	return d.composed(zone)
}

// integer returns a whole number, as text if it has more digits than a Decimal.
func integer(d Data) any {
	n, ok := d.Int()
	if !ok {
		return strconv.FormatUint(d.Bits, 10)
	}
	if most := int64(999_999_999_999_999_999); n > most || n < -most {
		return strconv.FormatInt(n, 10)
	}
	return protocol.Decimal{Coefficient: n}
}

// shortest returns the decimal with the fewest digits that means the same float; text if it has
// an exponent or is no number.
func shortest(f float64, size int) any {
	text := strconv.FormatFloat(f, 'f', -1, size)
	if decimal, err := protocol.ParseDecimal(text); err == nil {
		return decimal
	}
	return strconv.FormatFloat(f, 'g', -1, size)
}

func (d Data) bitText() string {
	text := make([]byte, d.Bits)
	for i := range text {
		text[i] = '0'
		if d.bit(i) {
			text[i] = '1'
		}
	}
	return string(text)
}

// textOf returns text without its padding, or the bytes as hex if they are no text.
func textOf(b []byte) string {
	text := strings.TrimRight(string(b), " \x00")
	if !utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c == 0x7F }) {
		return octet.Hex(b)
	}
	return text
}

// composed returns what values say that have several parts.
func (d Data) composed(zone *time.Location) any {
	r := cursor{b: d.Bytes}
	switch d.Tag {
	case TI:
		return spanText(d.Bytes)
	case TSA:
		if len(d.Bytes) > 1 {
			return octet.Hex(d.Bytes[1:]) // behind its flag, in reading order
		}
	case ScalerUnit:
		return map[string]any{"exponent": protocol.Decimal{Coefficient: int64(int8(d.Bytes[0]))}, "unit": unitText(d.Bytes[1])}
	case COMDCB:
		return lineText(d.Bytes)
	case TagROAD:
		return columnText(r.road())
	case TagCSD:
		return columnText(r.csd())
	case TagRCSD:
		return columnTexts(r.rcsd())
	case TagRSD:
		return r.rsd().value(zone)
	case Region:
		kind := r.byte("")
		return map[string]any{"kind": protocol.Decimal{Coefficient: int64(kind)}, "from": r.data().Value(zone), "to": r.data().Value(zone)}
	}
	return octet.Hex(d.Bytes)
}

func columnText(c CSD) any {
	if c.Related == nil {
		return c.OAD.String()
	}
	related := make([]any, len(c.Related))
	for i, oad := range c.Related {
		related[i] = oad.String()
	}
	return map[string]any{"oad": c.OAD.String(), "columns": related}
}

func columnTexts(columns []CSD) []any {
	list := make([]any, len(columns))
	for i, c := range columns {
		list[i] = columnText(c)
	}
	return list
}

func (s RSD) value(zone *time.Location) any {
	value := map[string]any{"selector": protocol.Decimal{Coefficient: int64(s.Selector)}}
	switch s.Selector {
	case SelectNone:
	case SelectValue:
		value["oad"], value["value"] = s.OAD.String(), s.Values[0].Value(zone)
	case SelectRange:
		value["oad"], value["from"], value["to"], value["interval"] = s.OAD.String(), s.Values[0].Value(zone), s.Values[1].Value(zone), s.Values[2].Value(zone)
	case SelectLast:
		value["last"] = protocol.Decimal{Coefficient: int64(s.Last)}
	default:
		value["rest"] = octet.Hex(s.Rest)
	}
	return value
}

// spanText returns a TI as a number and its unit.
func spanText(b []byte) string {
	units := []string{"s", "min", "h", "d", "months", "years"}
	n := binary.BigEndian.Uint16(b[1:])
	if int(b[0]) >= len(units) {
		return octet.Hex(b)
	}
	return fmt.Sprintf("%d %s", n, units[b[0]])
}

// unitTexts are the units that meters use. Annex B of DL/T 698.45.
var unitTexts = map[byte]string{
	5: "h", 6: "min", 7: "s", 8: "°", 9: "°C", 27: "W", 28: "kW", 29: "VA", 30: "kVA", 31: "var", 32: "kvar",
	33: "kWh", 34: "kVAh", 35: "kvarh", 36: "A", 38: "V", 47: "Hz", 51: "%", 255: "",
}

func unitText(unit byte) string {
	if text, ok := unitTexts[unit]; ok {
		return text
	}
	return fmt.Sprintf("unit %d", unit)
}

// lineText returns the settings of a serial port in words.
func lineText(b []byte) any {
	bauds := []int64{300, 600, 1200, 2400, 4800, 7200, 9600, 19200, 38400, 57600, 115200}
	parities, flows := []string{"none", "odd", "even"}, []string{"none", "hardware", "software"}
	word := func(words []string, i byte) any {
		if int(i) < len(words) {
			return words[i]
		}
		return protocol.Decimal{Coefficient: int64(i)}
	}
	var baud any
	switch {
	case int(b[0]) < len(bauds):
		baud = protocol.Decimal{Coefficient: bauds[b[0]]}
	case b[0] == 255:
		baud = "auto"
	}
	return map[string]any{
		"baud": baud, "parity": word(parities, b[1]), "data_bits": protocol.Decimal{Coefficient: int64(b[2])},
		"stop_bits": protocol.Decimal{Coefficient: int64(b[3])}, "flow": word(flows, b[4]),
	}
}
