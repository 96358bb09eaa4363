package dlt645

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// An Item is one data item: what a concrete identifier holds. It comes from a [Dictionary].
type Item struct {
	DI     DI
	Name   string // such as "forward_active_energy_t1_h2"
	Unit   string // of its values: "kWh"; empty if they have none, or not one in common
	Access string // "R", "W" or "RW"

	// Only, unless empty, names the one value that is wanted of the item, which holds
	// others as well: "forward_active_demand_time", "status_3.relay_open".
	Only string

	family *family
	at     positions
}

// separator closes each part of some blocks (and, of some meters, any block). It is no BCD.
const separator = 0xAA

// Decode reads the data that follow the identifier in a reply, without the 33H offset. The
// zone is that in which the meter keeps its time.
//
// A block brings the values of its members under their own names, as many as there are; a
// superfluous AAH at its end is passed over. A value of FF bytes has nil for Data. With
// Only set there is just that value, which is nil if the data end before it. An error wraps
// [protocol.ErrGarbled] and says what is wrong with which value; then there is no value at
// all.
func (i Item) Decode(data []byte, zone *time.Location) ([]protocol.Value, error) {
	values, err := i.decode(data, zone)
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
	return []protocol.Value{{Name: i.Only, Unit: i.Unit}}, nil
}

func (i Item) decode(data []byte, zone *time.Location) ([]protocol.Value, error) {
	if i.family.codec != nil {
		return i.family.codec.decode(i, data, zone)
	}
	if len(data) == 0 {
		return nil, garbled("there are no data, as some meters answer for what they do not have")
	}
	running := i.family.running(i.at)
	if running < 0 {
		values, rest, err := i.family.decodeMember(make([]protocol.Value, 0, i.family.values(i.Name)), i.at, data, zone)
		if err == nil && len(rest) > 0 && !(len(rest) == 1 && rest[0] == separator && i.endsInDigits()) {
			err = garbled("%d bytes are %d too many", len(data), len(rest))
		}
		return values, err
	}
	l := &i.family.letters[running]
	size := i.family.size(i.at)
	if len(data)%size == 1 && data[len(data)-1] == separator {
		data = data[:len(data)-1]
	}
	members := len(data) / size
	switch {
	case len(data)%size != 0 || members > len(l.options)-1:
		return nil, garbled("%d bytes are not 1 to %d members of %d bytes", len(data), len(l.options)-1, size)
	case l.symbol == 'p' && members == 3 && len(l.options) == 5:
		return nil, garbled("%d bytes are three of four values, and may or may not begin with the total", len(data))
	case l.symbol == 'p' && members == 2 && len(l.options) == 4:
		// A meter of three wires has no phase B, and may leave it out.
		return nil, garbled("%d bytes are two of three phases, and may be A and B or A and C", len(data))
	}
	values := make([]protocol.Value, 0, members*i.family.values(i.Name))
	at := i.at
	for n := range members {
		at[running] = uint8(n)
		var err error
		if values, data, err = i.family.decodeMember(values, at, data, zone); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// endsInDigits reports whether the last value is of decimal digits, of which AAH can be none: an AAH behind
// it closes the data, as some meters do with every part of a record.
func (i Item) endsInDigits() bool {
	form, _ := i.family.form(len(i.family.fields)-1, i.at)
	kind := form.picture.kind
	return form.record == nil && form.repeat == 0 && (kind == number || kind == identification || kind == calendar || kind == schedule)
}

// form returns the form and unit of a field for the positions.
func (f *family) form(k int, at positions) (*form, string) {
	if f.item >= 0 {
		if o := at[f.item]; !f.letters[f.item].options[o].all {
			return &f.fields[0].record[o].form, f.fields[0].record[o].unit
		}
	}
	return &f.fields[k].form, f.fields[k].unit
}

// size returns the size of one member in bytes, without what is optional.
func (f *family) size(at positions) int {
	n := 0
	for k := range f.fields {
		if !f.fields[k].optional {
			form, _ := f.form(k, at)
			n += form.size()
		}
	}
	return n
}

// values returns about how many values a member has.
func (f *family) values(name string) int {
	n := len(f.fields)
	if f.hasFlags {
		n += len(bitFieldsOf(name))
	}
	if f.weekday >= 0 {
		n++
	}
	return n
}

// decodeMember appends the values of an item, or of one member of a block, and returns what
// is behind them.
func (f *family) decodeMember(values []protocol.Value, at positions, data []byte, zone *time.Location) ([]protocol.Value, []byte, error) {
	for k := range f.fields {
		if f.fields[k].optional && len(data) == 0 {
			break
		}
		form, unit := f.form(k, at)
		name := f.nameAt(k, at)
		value, rest, err := form.decode(data, zone)
		if err != nil {
			if len(values) > 0 {
				err = fmt.Errorf("%s: %w", name, err)
			}
			return nil, nil, err
		}
		values = append(values, protocol.Value{Name: name, Unit: unit, Data: value})
		if f.weekday >= 0 {
			day := protocol.Value{Name: name + "_weekday"}
			if value != nil {
				day.Data = weekdayOf(data[f.weekday])
			}
			values = append(values, day)
		}
		if form.picture.kind == bits && form.repeat == 0 {
			values = appendFlags(values, name, data[:form.picture.size], value == nil)
		}
		data = rest
	}
	return values, data, nil
}

// Append encodes values that are named as Decode names them. What is missing has no value
// and is sent as FF bytes; a block ends behind the last member that is there, unless its
// members are phases. Flags cannot be set singly. An error wraps [protocol.ErrBadRequest].
func (i Item) Append(dst []byte, values map[string]any, zone *time.Location) ([]byte, error) {
	dst, err := i.append(dst, values, zone)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	return dst, nil
}

func (i Item) append(dst []byte, values map[string]any, zone *time.Location) ([]byte, error) {
	if unknown := i.unknown(values); unknown != "" {
		return nil, fmt.Errorf("%w: it has no value %q to be encoded", protocol.ErrBadRequest, unknown)
	}
	if i.family.codec != nil {
		return i.family.codec.append(i, dst, values, zone)
	}
	// A block of phases is always whole: one that ended early might lack the total.
	running := i.family.running(i.at)
	whole := running >= 0 && i.family.letters[running].symbol == 'p'
	end := -1
	for at := range i.members() {
		given := end < 0 || whole
		for k := range i.family.fields {
			_, ok := values[i.family.nameAt(k, at)]
			given = given || ok
		}
		var err error
		if dst, err = i.family.appendMember(dst, i.Name, at, values, zone); err != nil {
			return nil, err
		}
		if given {
			end = len(dst)
		}
	}
	return dst[:end], nil
}

// unknown returns a key of values that names none of the item's.
func (i Item) unknown(values map[string]any) string {
	names := i.Names()
	for name := range values {
		if strings.Contains(name, ".") || !slices.Contains(names, name) {
			return name
		}
	}
	return ""
}

func (f *family) appendMember(dst []byte, item string, at positions, values map[string]any, zone *time.Location) ([]byte, error) {
	for k := range f.fields {
		name := f.nameAt(k, at)
		value, ok := values[name]
		if !ok && f.fields[k].optional {
			continue
		}
		form, _ := f.form(k, at)
		var err error
		if dst, err = form.append(dst, value, zone); err != nil {
			if name != item { // which the caller names
				err = fmt.Errorf("%s: %w", name, err)
			}
			return nil, err
		}
	}
	return dst, nil
}

// isSingle reports whether the item has one value, besides what follows from that.
func (i Item) isSingle() bool {
	return i.family.codec == nil && len(i.family.fields) == 1 && i.family.running(i.at) < 0
}

// needsOne reports whether all values but the first are such that older meters lack.
func (i Item) needsOne() bool {
	return i.family.codec == nil && i.family.running(i.at) < 0 &&
		!slices.ContainsFunc(i.family.fields[1:], func(f field) bool { return !f.optional })
}

// isMoment reports whether the item is a block whose members together are a moment.
func (i Item) isMoment() bool {
	c, ok := i.family.codec.(*concatenation)
	return ok && c.moment
}

// appendValue encodes an item that has one value (a weekday is no value here: it follows
// from the date), or that needs no more than one. For an item of several values it takes an
// object with all of them, as Append does. An error wraps [protocol.ErrBadRequest].
func (i Item) appendValue(dst []byte, value any, zone *time.Location) ([]byte, error) {
	_, isObject := value.(map[string]any)
	switch {
	case i.isSingle(), !isObject && i.needsOne():
		return i.Append(dst, map[string]any{i.family.nameAt(0, i.at): value}, zone)
	case !isObject && i.isMoment():
		return i.Append(dst, map[string]any{i.Name: value}, zone)
	}
	values, ok := value.(map[string]any)
	if !ok {
		names := i.Names()
		return nil, fmt.Errorf("%s: %w: it has several values, and only one was given: write an object with %q and so on", i.Name, protocol.ErrBadRequest, names[0])
	}
	return i.Append(dst, values, zone)
}

// Size returns the number of bytes behind the identifier: the most that there can be if the
// number of members varies from meter to meter, the least if older meters lack a value, and 0
// if it cannot be told.
func (i Item) Size() int {
	if i.family.codec != nil {
		return 0
	}
	size := i.family.size(i.at)
	if running := i.family.running(i.at); running >= 0 {
		size *= len(i.family.letters[running].options) - 1
	}
	return size
}

// Block reports whether the item is a block: several members that are items themselves.
func (i Item) Block() bool {
	if running := i.family.running(i.at); running >= 0 {
		return i.family.letters[running].bits > 0
	}
	_, ok := i.family.codec.(*concatenation)
	return ok
}

// blocks returns the blocks that hold the item ("voltage_block" for "voltage_a"): first the
// one that runs over the letter that comes first in the identifier's pattern.
func (i Item) blocks() []Item {
	var blocks []Item
	for k := range i.family.letters {
		at := i.at
		at[k] = uint8(len(i.family.letters[k].options) - 1)
		if at == i.at || !i.family.letters[k].options[at[k]].block {
			continue
		}
		if block, ok := i.family.valid(at); ok {
			blocks = append(blocks, block)
		}
	}
	for _, e := range i.family.entry.holders {
		holder := e.family()
		block := holder.at(positions{})
		parts, _ := holder.codec.(*concatenation).items(block)
		if slices.ContainsFunc(parts, func(part Item) bool { return part.DI == i.DI }) {
			blocks = append(blocks, block)
		}
	}
	return blocks
}

// Names returns the names of all values that Decode may bring, in the order of the wire.
func (i Item) Names() []string {
	f := i.family
	if f.codec != nil {
		return f.codec.names(i)
	}
	var names []string
	for at := range i.members() {
		for k := range f.fields {
			name := f.nameAt(k, at)
			names = append(names, name)
			if f.weekday >= 0 {
				names = append(names, name+"_weekday")
			}
			for _, b := range bitFieldsOf(name) {
				names = append(names, b.name)
			}
		}
	}
	return names
}

// members yields the positions of the members of a block, or those of the item itself.
func (i Item) members() iter.Seq[positions] {
	return func(yield func(positions) bool) {
		running, at := i.family.running(i.at), i.at
		if running < 0 {
			yield(at)
			return
		}
		for n := range len(i.family.letters[running].options) - 1 {
			at[running] = uint8(n)
			if !yield(at) {
				return
			}
		}
	}
}

// Text says what the item, or the value that is wanted of it, is: in Chinese for the
// language "zh", else in English.
func (i Item) Text(language string) string {
	f, at := i.family, i.at
	say, text, moment, day := (*option).inEnglish, f.en, ", time", ", weekday"
	if language == "zh" {
		say, text, moment, day = (*option).inChinese, f.zh, "发生时间", "(星期)"
	}
	words := text.fill(f.letters, at, say)
	if i.Only == "" {
		return words
	}
	word, _, _ := strings.Cut(i.Only, ".")
	for _, b := range bitFieldsOf(word) {
		if b.name == i.Only {
			if language == "zh" {
				return b.zh
			}
			return b.en
		}
	}
	if own, ok := f.name.match(f.letters, i.Only, at); ok {
		return text.fill(f.letters, own, say)
	}
	switch i.Only {
	case i.Name + "_time":
		return words + moment
	case i.Name + "_weekday":
		return words + day
	}
	return words + " (" + strings.ReplaceAll(i.Only, "_", " ") + ")"
}
