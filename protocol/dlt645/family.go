package dlt645

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
)

// A family is one row of the table, compiled: the items whose identifiers differ in running
// letters only.
type family struct {
	dictionary  *Dictionary
	entry       *entry
	row         Row
	fixed, mask DI // the digits of the pattern that do not run
	letters     []letter
	name        template
	fields      []field // the values of an item, in the order of the wire
	item        int     // index of the letter i, which chooses a field of the record; else -1
	weekday     int     // index of the byte WW, which makes a value of its own; else -1
	hasFlags    bool    // a field is a bit word, whose bits may have names
	codec       codec   // of data that is not just one field behind the other; else nil
	en, zh      template
	names       func() *names
}

// A codec reads and writes the data of an item whose layout needs more than pictures.
type codec interface {
	decode(i Item, data []byte, zone *time.Location) ([]protocol.Value, error)
	append(i Item, dst []byte, values map[string]any, zone *time.Location) ([]byte, error)
	names(i Item) []string
}

// codecOf returns the codec that a picture names, or nil.
func codecOf(picture string, records recordTable) codec {
	switch picture {
	case "load record":
		return newLoadRecord(records())
	case "active report":
		return newActiveReport()
	}
	if parts, ok := strings.CutPrefix(picture, "@"); ok {
		return &concatenation{parts: strings.Split(parts, "+"), moment: true}
	}
	list, ok := strings.CutPrefix(picture, "=")
	if !ok {
		return nil
	}
	if strings.Contains(list, ",") {
		return &concatenation{parts: strings.Split(list, ","), closed: true}
	}
	return &concatenation{parts: strings.Split(list, "+")}
}

// The columns of the table.
const (
	columnDI = iota
	columnRanges
	columnName
	columnValues
	columnPicture
	columnUnit
	columnAccess
	columnOrigin
	columnEN
	columnZH
	columns
)

// parseFamily compiles a row of the table.
func parseFamily(d *Dictionary, line []string, records recordTable, shared letters) (*family, error) {
	f := &family{dictionary: d, item: -1, weekday: -1}
	f.row = Row{
		DI: line[columnDI], Ranges: line[columnRanges], Picture: line[columnPicture], Unit: line[columnUnit],
		Access: line[columnAccess], Origin: line[columnOrigin],
	}
	err := f.parsePattern(line[columnRanges], records, shared)
	if err != nil {
		return nil, err
	}
	for column, t := range map[int]*template{columnName: &f.name, columnEN: &f.en, columnZH: &f.zh} {
		if *t, err = parseTemplate(line[column], f.letters); err != nil {
			return nil, err
		}
	}
	f.codec = codecOf(line[columnPicture], records)
	if f.codec == nil {
		if err := f.parseFields(line, records); err != nil {
			return nil, err
		}
	}
	f.row.Name = f.name.fill(f.letters, positions{}, (*option).inName)
	f.row.TextEN, f.row.TextZH = f.en.plain(), f.zh.plain()
	f.names = sync.OnceValue(f.allNames)
	return f, nil
}

// parsePattern reads the identifier's pattern and the values of its letters.
func (f *family) parsePattern(ranges string, records recordTable, shared letters) error {
	pattern := f.row.DI
	for i := range len(pattern) {
		shift := 4 * (len(pattern) - 1 - i)
		if n, err := strconv.ParseUint(pattern[i:i+1], 16, 4); err == nil && (pattern[i] < 'a' || pattern[i] > 'f') {
			f.fixed |= DI(n) << shift
			f.mask |= 0xF << shift
		}
	}
	for text := range strings.FieldsSeq(ranges) {
		symbols, list, _ := strings.Cut(text, "=")
		symbol := symbols[0]
		places := strings.Count(pattern, string(symbol))
		if places > 0 && (len(symbols) != places || !strings.Contains(pattern, symbols)) {
			return fmt.Errorf("letter %s does not stand so in %s", symbols, pattern)
		}
		l, err := shared.letter(symbol, uint8(4*places), list, f.row.Picture, records)
		if err != nil {
			return err
		}
		l.shift = uint8(4 * (len(pattern) - places - max(strings.Index(pattern, symbols), 0)))
		if symbol == 'i' {
			f.item = len(f.letters)
		}
		f.letters = append(f.letters, l)
	}
	if len(f.letters) > len(positions{}) {
		return fmt.Errorf("%d running letters are more than %d", len(f.letters), len(positions{}))
	}
	return nil
}

// letters are those that were made, by what they were made of: most stand in many rows.
type letters map[string]letter

// letter is parseLetter, but shares what it made for families with the same letter.
func (made letters) letter(symbol byte, bits uint8, list, picture string, records recordTable) (letter, error) {
	key := fmt.Sprintf("%c%d=%s", symbol, bits, list)
	if symbol == 'i' {
		key += " " + picture
	}
	l, ok := made[key]
	if ok {
		return l, nil
	}
	var record []field
	if symbol == 'i' {
		record = records()[picture]
	}
	l, err := parseLetter(symbol, bits, list, record)
	made[key] = l
	return l, err
}

// parseFields reads pictures, names and units of the values.
func (f *family) parseFields(line []string, records recordTable) error {
	pictures := strings.Split(line[columnPicture], "+")
	names := strings.Fields(line[columnValues])
	if len(names) == 0 {
		names = append(names, line[columnName])
		if len(pictures) == 2 {
			names = append(names, line[columnName]+"_time")
		}
	}
	if len(names) != len(pictures) {
		return fmt.Errorf("there are %d names for %d values", len(names), len(pictures))
	}
	units := strings.Split(line[columnUnit], "+")
	for k, text := range pictures {
		text, optional := strings.CutSuffix(text, "?")
		form, err := parseForm(text, records)
		if err != nil {
			return err
		}
		f.hasFlags = f.hasFlags || form.picture.kind == bits
		v := field{form: form, optional: optional}
		if v.name, err = parseTemplate(names[k], f.letters); err != nil {
			return err
		}
		if len(units) > k {
			v.unit = units[k]
		}
		if at := strings.Index(text, "WW"); at > 0 {
			f.weekday = (len(text) - 2 - at) / 2
		}
		f.fields = append(f.fields, v)
		for i := range form.record {
			r := &form.record[i]
			f.row.Fields = append(f.row.Fields, RowField{r.key, r.describe(), r.unit})
		}
	}
	f.row.Unit = f.commonUnit()
	return nil
}

// commonUnit returns the unit of all values that are numbers, if they have one in common.
func (f *family) commonUnit() string {
	var units []string
	for k := range f.fields {
		if v := &f.fields[k]; v.record == nil && v.picture.kind == number && !slices.Contains(units, v.unit) {
			units = append(units, v.unit)
		}
	}
	if len(units) != 1 {
		return ""
	}
	return units[0]
}

// match finds the positions of the letters in the identifier.
func (f *family) match(di DI) (at positions, ok bool) {
	if di&f.mask != f.fixed {
		return at, false
	}
	all := 0
	for i := range f.letters {
		l := &f.letters[i]
		if l.bits == 0 {
			at[i] = uint8(len(l.options) - 1)
			continue
		}
		p := l.index[byte(di>>l.shift)&(1<<l.bits-1)]
		if p == 0 {
			return at, false
		}
		at[i] = p - 1
		if l.options[at[i]].all {
			all++
		}
	}
	return at, all <= 1
}

// at returns the item at the positions of the letters.
func (f *family) at(at positions) Item {
	di := f.fixed
	for i := range f.letters {
		l := &f.letters[i]
		if l.bits > 0 {
			di |= DI(l.options[at[i]].value) << l.shift
		}
	}
	item := Item{DI: di, Name: f.nameAt(-1, at), Unit: f.row.Unit, Access: f.row.Access, family: f, at: at}
	if f.item >= 0 && !f.letters[f.item].options[at[f.item]].all {
		item.Unit = f.fields[0].record[at[f.item]].unit
	}
	return item
}

// running returns the index of the letter that asks for a block, or -1.
func (f *family) running(at positions) int {
	for i := range f.letters {
		if f.letters[i].options[at[i]].block {
			return i
		}
	}
	return -1
}

// names keeps the names of a family ready, so that decoding need not make them.
type names struct {
	items  []string
	values [][]string
}

// manyNames is the size from which on names are not kept but made when they are needed.
const manyNames = 2048

func (f *family) allNames() *names {
	n := 1
	for i := range f.letters {
		n *= len(f.letters[i].options)
	}
	if n > manyNames {
		return nil
	}
	kept := &names{make([]string, n), make([][]string, len(f.fields))}
	for k := range kept.values {
		kept.values[k] = make([]string, n)
	}
	for i := range n {
		var at positions
		rest := i
		for l := range f.letters {
			at[l] = uint8(rest % len(f.letters[l].options))
			rest /= len(f.letters[l].options)
		}
		kept.items[i] = f.name.fill(f.letters, at, (*option).inName)
		for k := range f.fields {
			if slices.Equal(f.fields[k].name, f.name) {
				kept.values[k][i] = kept.items[i]
			} else {
				kept.values[k][i] = f.fields[k].name.fill(f.letters, at, (*option).inName)
			}
		}
	}
	return kept
}

// nameAt returns the name of the value of a field, or of the item for -1.
func (f *family) nameAt(field int, at positions) string {
	kept := f.names()
	if kept == nil {
		t := f.name
		if field >= 0 {
			t = f.fields[field].name
		}
		return t.fill(f.letters, at, (*option).inName)
	}
	index, stride := 0, 1
	for l := range f.letters {
		index += int(at[l]) * stride
		stride *= len(f.letters[l].options)
	}
	if field < 0 {
		return kept.items[index]
	}
	return kept.values[field][index]
}

// owner returns the item in which a value at these positions lies: letters without a place
// in the identifier run over its data.
func (f *family) owner(at positions) positions {
	for i := range f.letters {
		if f.letters[i].bits == 0 {
			at[i] = uint8(len(f.letters[i].options) - 1)
		}
	}
	return at
}

// find returns the item that has the name, or that has a value or flag of the name.
func (f *family) find(name string) (Item, bool) {
	word, _, flagged := strings.Cut(name, ".")
	if at, ok := f.name.match(f.letters, word, f.owner(positions{})); ok {
		item, ok := f.valid(f.owner(at))
		switch {
		case flagged:
			item.Only, item.Unit = name, ""
			return item, ok && at == item.at && slices.ContainsFunc(bitFieldsOf(word), func(b bitField) bool { return b.name == name })
		case at != item.at:
			item.Only = name
		}
		return item, ok
	}
	if flagged {
		return Item{}, false
	}
	if f.codec != nil && strings.HasPrefix(name, f.row.Name) {
		item := f.at(f.owner(positions{}))
		item.Only = name
		return item, !item.Block() && slices.Contains(f.codec.names(item), name)
	}
	for k := range f.fields {
		if at, ok := f.fields[k].name.match(f.letters, name, f.owner(positions{})); ok {
			item, ok := f.valid(f.owner(at))
			item.Only, item.Unit = name, f.fields[k].unit
			return item, ok && f.running(at) < 0
		}
	}
	if value, ok := strings.CutSuffix(name, "_weekday"); ok && f.weekday >= 0 {
		item, ok := f.find(value)
		item.Only, item.Unit = name, ""
		return item, ok
	}
	return Item{}, false
}

// valid returns the item at positions, if an identifier can ask for it.
func (f *family) valid(at positions) (Item, bool) {
	item := f.at(at)
	_, ok := f.match(item.DI)
	return item, ok
}
