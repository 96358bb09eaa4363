package dlt698

import (
	_ "embed" // the tables
	"fmt"
	"strconv"
	"strings"
	"sync"

	"dlt645-mqtt/protocol"
)

// The table of data items. Each row is a family; the columns are
//
//	oad      the attribute: object, attribute, index 00; a lower-case letter in it runs over phases
//	ranges   the values of each letter: "p=1..3 t=0..63". See [letter].
//	name     of the item, with the letters in braces. That of the index comes last.
//	values   names of the members of a structure, if they are not just the item's name (and, for a
//	         second one, that name and "_time")
//	type     of the value as the standard names it; of a structure those of its members, joined by
//	         "+"; "bool:enum" is a bool that travels as an enum; "data" is shown type by type. "freeze" and "event" are records, "totals" and
//	         "relay" are laid out as in item.go
//	scale    the power of ten of the last digit in this unit: powers travel in tenths of a watt,
//	         and are shown in kW
//	unit     of each value, joined by "+"; one alone is that of all numbers
//	access   R or RW
//	origin   base: the standard; public: read out of one published firmware
//	text_en, text_zh
//
//go:embed items.csv
var itemsTable string

// The bits of words: the word, the bit (0 is the lowest), a name, the states of a field of two
// bits, "alarm" for what means trouble, text in both languages.
//
//go:embed flags.csv
var flagsTable string

// A Dictionary is the table of the data items.
type Dictionary struct {
	attributes []*attribute
	byOAD      map[OAD]*attribute    // by the descriptor of the whole attribute
	byBase     map[string]*attribute // by the name without what the index stands for
	byValue    map[string]*attribute // by the name of a member that is not made of the item's
	flags      map[string][]flag     // by word
}

// A Row is a family of items in the table.
type Row struct {
	Name   string // of the first item of the family
	OAD    string // with letters where it runs
	Ranges string
	Values string
	Type   string
	Scale  string
	Unit   string
	Access string
	Origin string
	TextEN string
	TextZH string
}

// Picture returns the type of the data, and the power of ten of the last digit if it is not 0.
func (r Row) Picture() string {
	if r.Scale == "" || r.Scale == "0" {
		return r.Type
	}
	return r.Type + " ×10^" + r.Scale
}

// The columns of the table of items.
const (
	columnOAD = iota
	columnRanges
	columnName
	columnValues
	columnType
	columnScale
	columnUnit
	columnAccess
	columnOrigin
	columnEN
	columnZH
	itemColumns
)

// An attribute is one attribute of one object: what an OAD with index 0 means.
type attribute struct {
	row    *Row
	oad    OAD
	base   string  // its name, without what the index stands for
	index  *letter // what the index runs over; nil: nothing
	fields []field
	en, zh string // with {letter} where the index is told
	layout layout
	nth    int    // its place in the table
	names  *names // of its elements
}

// names keeps the names of an attribute's elements ready, so that decoding need not make them.
type names struct {
	once     sync.Once
	elements []string // by index
	times    []string // of the second value of each
}

// A layout is how the data of an attribute are laid out.
type layout uint8

const (
	layoutValues layout = iota
	layoutFreeze
	layoutEvent
	layoutTotals
	layoutRelay
)

// A field is one value of an element.
type field struct {
	name  string // of a structure's member; empty: the item's own, and for the second with _time
	tag   Tag
	any   bool // whatever type it is, it is shown so
	bits  int  // of a bit-string that has so many
	enum  bool // of a bool that travels as an enum
	scale uint8
	unit  string
}

// Items returns the table.
var Items = sync.OnceValue(func() *Dictionary {
	d, err := parseDictionary(itemsTable, flagsTable)
	if err != nil {
		panic(fmt.Sprintf("the table of items of DL/T 698.45: %v", err)) // that it is well formed is tested
	}
	return d
})

func parseDictionary(items, flags string) (*Dictionary, error) {
	d := &Dictionary{byOAD: make(map[OAD]*attribute), byBase: make(map[string]*attribute), byValue: make(map[string]*attribute)}
	var err error
	if d.flags, err = parseFlags(flags); err != nil {
		return nil, err
	}
	lines, err := protocol.ReadTable(items, itemColumns)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		if err := d.addFamily(line); err != nil {
			return nil, fmt.Errorf("%s %s: %w", line[columnOAD], line[columnName], err)
		}
	}
	return d, nil
}

// addFamily adds the attributes of a row.
func (d *Dictionary) addFamily(line []string) error {
	row := &Row{
		OAD: line[columnOAD], Ranges: line[columnRanges], Values: line[columnValues], Type: line[columnType],
		Scale: line[columnScale], Unit: line[columnUnit], Access: line[columnAccess], Origin: line[columnOrigin],
		TextEN: line[columnEN], TextZH: line[columnZH],
	}
	letters, err := parseLetters(row.Ranges)
	if err != nil {
		return err
	}
	model := attribute{row: row}
	if model.layout, model.fields, err = parseFields(row); err != nil {
		return err
	}
	var object *letter
	for i := range letters {
		if l := &letters[i]; strings.IndexByte(row.OAD, l.symbol) >= 0 {
			object = l
		} else {
			model.index = l
		}
	}
	if object == nil {
		return d.add(model, row.OAD, line[columnName], line[columnEN], line[columnZH])
	}
	for _, o := range object.options {
		place := "{" + string(object.symbol) + "}"
		oad := strings.ReplaceAll(row.OAD, string(object.symbol), strconv.FormatInt(int64(o.value), 16))
		fill := func(template, with string) string { return strings.ReplaceAll(template, place, with) }
		if err := d.add(model, oad, fill(line[columnName], o.name), fill(line[columnEN], o.en), fill(line[columnZH], o.zh)); err != nil {
			return err
		}
	}
	return nil
}

// add adds one attribute, a copy of the model of its family.
func (d *Dictionary) add(model attribute, oad, name, en, zh string) error {
	a := &model
	var err error
	if a.oad, err = ParseOAD(strings.ToUpper(oad)); err != nil {
		return err
	}
	a.en, a.zh, a.base, a.nth, a.names = en, zh, name, len(d.attributes), new(names)
	if a.index != nil {
		place := "{" + string(a.index.symbol) + "}"
		var last bool
		if a.base, last = strings.CutSuffix(name, place); !last {
			return fmt.Errorf("name %q does not end with %s, which is what the index stands for", name, place)
		}
	}
	if a.row.Name == "" {
		a.row.Name = a.element(a.first())
	}
	if d.byOAD[a.oad] != nil || d.byBase[a.base] != nil {
		return fmt.Errorf("the attribute %s, or the name %q, is there twice", a.oad, a.base)
	}
	d.byOAD[a.oad], d.byBase[a.base] = a, a
	for _, f := range a.fields {
		if f.name == "" {
			continue
		}
		if d.byValue[f.name] != nil || d.byBase[f.name] != nil {
			return fmt.Errorf("the name %q is there twice", f.name)
		}
		d.byValue[f.name] = a
	}
	d.attributes = append(d.attributes, a)
	return nil
}

// first returns the index of the item that a row is listed under.
func (a *attribute) first() byte {
	if a.index == nil {
		return 0
	}
	return 1
}

// parseFields reads what the data of a family are.
func parseFields(row *Row) (l layout, fields []field, err error) {
	switch row.Type {
	case "freeze":
		return layoutFreeze, nil, nil
	case "event":
		return layoutEvent, nil, nil
	case "relay":
		return layoutRelay, []field{{tag: Bool}}, nil
	}
	types := strings.Split(row.Type, "+")
	if row.Type == "totals" {
		l, types = layoutTotals, []string{DoubleLongUnsigned.String(), DoubleLongUnsigned.String()}
	}
	names, units, scales := strings.Fields(row.Values), strings.Split(row.Unit, "+"), strings.Split(row.Scale, "+")
	if len(names) > 0 && len(names) != len(types) {
		return 0, nil, fmt.Errorf("%d names and %d types", len(names), len(types))
	}
	for i, typed := range types {
		var f field
		if len(names) > 0 {
			f.name = names[i]
		}
		word, size, sized := strings.Cut(typed, ":")
		var known bool
		if f.tag, known = parseTag(word); !known && word != "data" {
			return 0, nil, fmt.Errorf("there is no type %q", typed)
		}
		f.any = word == "data"
		switch {
		case typed == "bool:enum":
			f.enum = true
		case sized:
			if f.bits, err = strconv.Atoi(size); err != nil {
				return 0, nil, err
			}
		}
		if f.isNumber() {
			f.unit = units[min(i, len(units)-1)]
			scale, err := strconv.Atoi(scales[min(i, len(scales)-1)])
			if err != nil || scale > 0 || scale < -9 {
				return 0, nil, fmt.Errorf("scale %q is none from -9 to 0", row.Scale)
			}
			f.scale = uint8(-scale)
		}
		fields = append(fields, f)
	}
	return l, fields, nil
}

// isNumber reports whether the value is a number.
func (f *field) isNumber() bool {
	if f.any {
		return false
	}
	switch f.tag {
	case Integer, Long, DoubleLong, Long64, Unsigned, LongUnsigned, DoubleLongUnsigned, Long64Unsigned, Enum:
		return true
	}
	return false
}

// element returns the name of an element of the attribute; of index 0 that of all of it.
func (a *attribute) element(index byte) string { return a.ready().elements[index] }

// value returns the name of field i of an element.
func (a *attribute) value(index byte, i int) string {
	switch {
	case a.fields[i].name != "":
		return a.fields[i].name
	case i == 0:
		return a.element(index)
	}
	return a.ready().times[index]
}

func (a *attribute) ready() *names {
	a.names.once.Do(func() {
		of := []string{a.base}
		if a.index != nil {
			of[0] += blockSuffix
			for _, o := range a.index.options {
				of = append(of, a.base+o.name)
			}
		}
		a.names.elements = of
		if a.isDemand() {
			for _, name := range of {
				a.names.times = append(a.names.times, name+timeSuffix)
			}
		}
	})
	return a.names
}

// What is added to names: for all elements, and for the time that belongs to a value.
const (
	blockSuffix = "_block"
	timeSuffix  = "_time"
)

// isDemand reports whether an element has a second value whose name is made of the first.
func (a *attribute) isDemand() bool { return len(a.fields) == 2 && a.fields[1].name == "" }
