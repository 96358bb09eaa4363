package dlt698

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// encode makes data of the field's type out of JSON as decoded with UseNumber, or out of the
// value that decode returned. Null is no value. An error wraps [protocol.ErrBadRequest].
func (f *field) encode(value any, zone *time.Location) (Data, error) {
	switch {
	case value == nil:
		return Data{Tag: Null}, nil
	case f.any:
		return Data{}, badRequest("it is of a structure that cannot be written by value; the verb raw takes a frame")
	case f.isNumber():
		return f.encodeNumber(value)
	}
	text, isText := value.(string)
	if truth, ok := value.(bool); ok && f.tag == Bool {
		n := int64(0)
		if truth {
			n = 1
		}
		if f.enum {
			return NumberOf(Enum, n), nil
		}
		return NumberOf(Bool, n), nil
	}
	if !isText {
		return Data{}, f.refuse(value)
	}
	switch f.tag {
	case BitString:
		word, err := strconv.ParseUint(text, 16, 64)
		if err != nil || len(text) != f.bits/4 {
			return Data{}, f.refuse(value)
		}
		return BitsOf(word, f.bits), nil
	case OctetString:
		b, err := hex.DecodeString(text)
		if err != nil {
			return Data{}, f.refuse(value)
		}
		return OctetsOf(OctetString, b), nil
	case VisibleString:
		if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
			return Data{}, f.refuse(value)
		}
		return OctetsOf(VisibleString, []byte(text)), nil
	case DateTimeS:
		t, err := parseMoment(text, zone)
		if err != nil || t.Year() < 2000 || t.Year() > 2099 {
			return Data{}, f.refuse(value)
		}
		return MomentOf(t), nil
	}
	return Data{}, f.refuse(value)
}

// examples show what is taken for a type.
var examples = map[Tag]string{
	BitString: `hex digits, such as "80"`, OctetString: `hex digits, such as "000000000010"`, VisibleString: `text of letters and digits, such as "220V"`,
	DateTimeS: `a moment from 2000 to 2099, such as "2026-11-21T18:00:00+08:00"`, Bool: "true or false",
}

func (f *field) refuse(value any) error {
	shown, err := json.Marshal(value)
	if err != nil {
		shown = fmt.Appendf(nil, "%v", value)
	}
	if f.isNumber() {
		least, most := f.tag.limits()
		return badRequest("%s does not fit: it takes a number from %s to %s", shown,
			protocol.Decimal{Coefficient: least, Scale: f.scale}, protocol.Decimal{Coefficient: most, Scale: f.scale})
	}
	return badRequest("%s does not fit: it takes %s", shown, examples[f.tag])
}

// encodeNumber makes a number, which may have fewer digits behind the point than travel.
func (f *field) encodeNumber(value any) (Data, error) {
	var decimal protocol.Decimal
	var err error
	switch value := value.(type) {
	case protocol.Decimal:
		decimal = value
	case json.Number:
		decimal, err = protocol.ParseDecimal(value.String())
	case string:
		decimal, err = protocol.ParseDecimal(value)
	default:
		return Data{}, f.refuse(value)
	}
	least, most := f.tag.limits()
	for ; err == nil && decimal.Scale < f.scale; decimal.Scale++ {
		if decimal.Coefficient > most || decimal.Coefficient < -most {
			return Data{}, f.refuse(value)
		}
		decimal.Coefficient *= 10
	}
	for decimal.Scale > f.scale && decimal.Coefficient%10 == 0 {
		decimal.Coefficient /= 10
		decimal.Scale--
	}
	if err != nil || decimal.Scale > f.scale || decimal.Coefficient < least || decimal.Coefficient > most {
		return Data{}, f.refuse(value)
	}
	return NumberOf(f.tag, decimal.Coefficient), nil
}

// parseMoment reads a moment as people write it; without offset it is in the zone.
func parseMoment(text string, zone *time.Location) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err == nil {
		return t.In(zone), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err = time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return t, err
}
