package dlt698

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// An Item is one data item: what a concrete OAD holds, or what a row of a record does. It comes
// from a [Dictionary].
type Item struct {
	OAD    OAD // of a record with the number of the row as its index
	Name   string
	Access string // "R" or "RW"

	// Only, unless empty, names the one value that is wanted of the item, which has others as
	// well: "forward_active_demand_time", "status_3.relay_open".
	Only string

	// Column is the column that is wanted of a freeze, as an item of its own; nil: the usual ones.
	Column *Item

	attribute  *attribute
	dictionary *Dictionary
}

// Unit returns the unit of the item's values; empty if they have none, or not one in common.
func (i Item) Unit() string {
	if i.Column != nil {
		return i.Column.Unit()
	}
	unit := ""
	for k := range i.attribute.fields {
		switch u := i.attribute.fields[k].unit; {
		case u == "":
		case unit == "" || unit == u:
			unit = u
		default:
			return ""
		}
	}
	return unit
}

// IsRecord reports whether the item is a row of a record, which is asked for by its number.
func (i Item) IsRecord() bool {
	return i.attribute.layout == layoutFreeze || i.attribute.layout == layoutEvent
}

// IsBlock reports whether the item is all elements of an attribute.
func (i Item) IsBlock() bool { return i.attribute.index != nil && i.OAD.Index() == 0 }

// Text returns what the item is, in English ("en") or Chinese ("zh").
func (i Item) Text(language string) string {
	a := i.attribute
	template := a.en
	if language == "zh" {
		template = a.zh
	}
	if i.Column != nil {
		separator := ": "
		if language == "zh" {
			separator = ""
		}
		return a.filled(template, i.OAD.Index(), language) + separator + i.Column.Text(language)
	}
	if f, ok := i.dictionary.flag(i.Only); ok {
		if language == "zh" {
			return f.zh
		}
		return f.en
	}
	return a.filled(template, i.OAD.Index(), language)
}

// filled puts what an index stands for into a text.
func (a *attribute) filled(template string, index byte, language string) string {
	if a.index == nil {
		return template
	}
	en, zh := a.index.all()
	if o := a.index.option(index); o != nil {
		en, zh = o.en, o.zh
	}
	if language == "zh" {
		en = zh
	}
	return strings.ReplaceAll(template, "{"+string(a.index.symbol)+"}", en)
}

// Decode reads the value that came for the item. A block brings the values of its elements under
// their own names, as many as there are. A value that the meter does not have is nil. With Only
// set there is just that value. An error wraps [protocol.ErrGarbled] and says what is wrong with
// which value; then there is no value at all.
func (i Item) Decode(data Data, zone *time.Location) ([]protocol.Value, error) {
	values, err := i.decode(nil, &data, zone)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	if i.Only == "" {
		return values, nil
	}
	for k := range values {
		if values[k].Name == i.Only {
			return values[k : k+1], nil
		}
	}
	return []protocol.Value{{Name: i.Only}}, nil
}

func (i Item) decode(values []protocol.Value, data *Data, zone *time.Location) ([]protocol.Value, error) {
	a := i.attribute
	switch a.layout {
	case layoutRelay:
		open, err := relayOpen(data)
		if err != nil {
			return nil, err
		}
		return append(values, protocol.Value{Name: i.Name, Data: open}), nil
	case layoutTotals:
		return a.decodeTotals(values, data)
	}
	if !i.IsBlock() || data.Tag == Null && i.IsBlock() {
		return i.decodeElement(values, i.OAD.Index(), data, zone)
	}
	if data.Tag != Array {
		return nil, garbled("%s came for all elements, which are an array", data.Tag)
	}
	if len(data.Items) > len(a.index.options) {
		return nil, garbled("%d elements came, %d are the most", len(data.Items), len(a.index.options))
	}
	if values == nil {
		values = make([]protocol.Value, 0, len(data.Items)*len(a.fields))
	}
	for k := range data.Items {
		var err error
		if values, err = i.decodeElement(values, byte(k+1), &data.Items[k], zone); err != nil {
			return nil, fmt.Errorf("%s: %w", a.element(byte(k+1)), err)
		}
	}
	return values, nil
}

// decodeElement appends the values of one element, or of an attribute that has none.
func (i Item) decodeElement(values []protocol.Value, index byte, data *Data, zone *time.Location) ([]protocol.Value, error) {
	a := i.attribute
	if len(a.fields) == 1 {
		return i.appendField(values, index, 0, data, zone)
	}
	if data.Tag != Null && (data.Tag != Structure || len(data.Items) != len(a.fields)) {
		return nil, garbled("%s of %d members came, which is a structure of %d", data.Tag, len(data.Items), len(a.fields))
	}
	for k := range a.fields {
		member := data
		if data.Tag != Null {
			member = &data.Items[k]
		}
		var err error
		if values, err = i.appendField(values, index, k, member, zone); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// appendField appends a value, and its flags if it is a word.
func (i Item) appendField(values []protocol.Value, index byte, k int, data *Data, zone *time.Location) ([]protocol.Value, error) {
	a := i.attribute
	f := &a.fields[k]
	value, err := f.decode(data, zone)
	name := i.Name
	if k > 0 || f.name != "" || index != i.OAD.Index() {
		name = a.value(index, k)
	}
	if err != nil {
		if k > 0 || f.name != "" {
			err = fmt.Errorf("%s: %w", name, err)
		}
		return nil, err
	}
	values = append(values, protocol.Value{Name: name, Unit: f.unit, Data: value})
	if f.bits > 0 {
		if value == nil {
			data = nil
		}
		values = i.dictionary.appendFlags(values, name, data)
	}
	return values, nil
}

// decode reads one value of the type that the standard has, or of one that says the same.
func (f *field) decode(data *Data, zone *time.Location) (any, error) {
	switch {
	case f.any:
		return data.Value(zone), nil
	case data.Tag == Null:
		return nil, nil
	case f.isNumber():
		return f.decodeNumber(data)
	}
	switch f.tag {
	case BitString:
		if data.Tag != BitString || int(data.Bits) != f.bits {
			return nil, garbled("%s of %d bits came, which is a bit-string of %d", data.Tag, data.Bits, f.bits)
		}
		return fmt.Sprintf("%0*X", f.bits/4, data.word()), nil
	case DateTimeS:
		if data.Tag != DateTimeS && data.Tag != DateTime {
			return nil, f.unfit(data)
		}
		if text := momentText(*data, zone); text != "" {
			return text, nil
		}
		return nil, nil
	case OctetString:
		if data.Tag == OctetString {
			return octet.Hex(data.Bytes), nil
		}
	case VisibleString:
		if data.Tag == VisibleString || data.Tag == UTF8String || data.Tag == OctetString {
			return textOf(data.Bytes), nil
		}
	case Bool:
		if data.Tag == Bool || data.Tag == Enum {
			return data.Bits != 0, nil
		}
	}
	return nil, f.unfit(data)
}

func (f *field) unfit(data *Data) error { return garbled("%s came, which is %s", data.Tag, f.tag) }

// decodeNumber reads a number of any type of integers: firmware differs in their sizes.
func (f *field) decodeNumber(data *Data) (any, error) {
	if data.isUnset() && f.unit != "" {
		return nil, nil
	}
	n, ok := data.Int()
	if data.Tag == Enum {
		n, ok = int64(data.Bits), true
	}
	const most = 999_999_999_999_999_999 // what a Decimal holds
	switch {
	case !ok && data.Tag != Long64Unsigned:
		return nil, f.unfit(data)
	case !ok || n > most || n < -most:
		return nil, garbled("%s has more than 18 digits", data.Tag)
	}
	return protocol.Decimal{Coefficient: n, Scale: f.scale}, nil
}

// relayOpen reads what relays do: a bit for each, or a structure {name, state, …}; the first is
// the meter's own. Firmware has the one, and the object of relay outputs (F205) the other.
func relayOpen(data *Data) (any, error) {
	switch data.Tag {
	case Null:
		return nil, nil
	case BitString:
		if data.Bits > 0 {
			return data.bit(0), nil
		}
	case Array:
		if len(data.Items) > 0 {
			if unit := &data.Items[0]; unit.Tag == Structure && len(unit.Items) >= 2 && unit.Items[1].Tag == Enum && unit.Items[1].Bits <= 1 {
				return unit.Items[1].Bits == 1, nil
			}
		}
	}
	return nil, garbled("%s came, which is neither a bit for each relay nor a list of them", data.Tag)
}

// decodeTotals reads how often an event was and for how long: a list of {source, {count,
// seconds}}, of which the first is that of the meter itself.
func (a *attribute) decodeTotals(values []protocol.Value, data *Data) ([]protocol.Value, error) {
	totals := data
	if data.Tag == Array && len(data.Items) > 0 {
		totals = &data.Items[0]
	}
	if totals.Tag == Structure && len(totals.Items) == 2 && totals.Items[1].Tag == Structure {
		totals = &totals.Items[1]
	}
	none := data.Tag == Null || data.Tag == Array && len(data.Items) == 0
	if !none && (totals.Tag != Structure || len(totals.Items) != 2) {
		return nil, garbled("%s came, which is a list of totals", data.Tag)
	}
	for k := range a.fields {
		f := &a.fields[k]
		value := protocol.Value{Name: f.name, Unit: f.unit}
		if !none {
			var err error
			if value.Data, err = f.decode(&totals.Items[k], nil); err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
		}
		values = append(values, value)
	}
	return values, nil
}

// Encode makes the data of an item out of JSON as decoded with UseNumber: out of its value, or of an object with
// all of them where it has several. An error wraps [protocol.ErrBadRequest].
func (i Item) Encode(value any, zone *time.Location) (Data, error) {
	a := i.attribute
	if a.layout != layoutValues || i.IsBlock() || a.isDemand() {
		return Data{}, badRequest("%s has several values, which are not written as one", i.Name)
	}
	if len(a.fields) > 1 {
		return i.encodeAll(value, zone)
	}
	data, err := a.fields[0].encode(value, zone)
	if err != nil {
		return Data{}, fmt.Errorf("%s: %w", i.Name, err)
	}
	return data, nil
}

// encodeAll makes the structure of an item of several values.
func (i Item) encodeAll(value any, zone *time.Location) (Data, error) {
	fields := i.attribute.fields
	object, ok := value.(map[string]any)
	if !ok {
		return Data{}, badRequest("%s has several values: write an object with %s", i.Name, strings.Join(i.Names(), ", "))
	}
	for name := range object {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			return Data{}, badRequest("%s is no value of %s, which are %s", name, i.Name, strings.Join(i.Names(), ", "))
		}
	}
	members := make([]Data, len(fields))
	for k := range fields {
		f := &fields[k]
		given, ok := object[f.name]
		if !ok {
			return Data{}, badRequest("%s is missing: all values of %s are written at once", f.name, i.Name)
		}
		var err error
		if members[k], err = f.encode(given, zone); err != nil {
			return Data{}, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return StructureOf(members...), nil
}

// most returns the least and the greatest number of a type.
func (t Tag) limits() (least, most int64) {
	switch t {
	case Integer:
		return math.MinInt8, math.MaxInt8
	case Long:
		return math.MinInt16, math.MaxInt16
	case DoubleLong:
		return math.MinInt32, math.MaxInt32
	case Long64:
		return math.MinInt64, math.MaxInt64
	case Unsigned, Enum:
		return 0, math.MaxUint8
	case LongUnsigned:
		return 0, math.MaxUint16
	case DoubleLongUnsigned:
		return 0, math.MaxUint32
	}
	return 0, math.MaxInt64
}
