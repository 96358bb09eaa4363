package dlt645

import (
	_ "embed" // the tables
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"

	"dlt645-mqtt/protocol"
)

// The tables of data items. Each row is a family; the columns are
//
//	di       the identifier, most significant byte first; lower-case letters run
//	ranges   the values of each letter in hexadecimal: "tt=00..3F,FF". See [letter].
//	name     of the item, with the letters in braces
//	values   names of its values in the order of the wire, if they are not just the item's
//	         name (and, for a second one, that name and "_time")
//	picture  of each value, joined by "+" in the order of the wire, low byte first in each.
//	         See [Picture]. A record of records-2007.csv goes by its name, "*14" makes a
//	         list, "?" behind a picture says that older meters lack the value. "=" names
//	         the items that follow each other, joined by "+" or, if each is closed by
//	         AAH, by ","; "@" a date and a time of day, which also become one moment.
//	unit     of each value, joined by "+"
//	access   R, W or RW
//	origin   base: the standard; amend: amendments of the State Grid; csg: meters of the
//	         Southern Grid; vendor: of single makers
//	text_en, text_zh
//
//go:embed items-2007.csv
var items2007 string

//go:embed items-1997.csv
var items1997 string

// The table of records: the fields of events and of other items that become objects.
//
//go:embed records-2007.csv
var records2007 string

// A Dictionary is the table of the data items of one edition of the standard.
type Dictionary struct {
	version Version
	entries []*entry
	single  map[DI]*entry   // the rows of one identifier only
	byHead  map[DI][]*entry // the others, by the upper half of the identifier
	own     []DI            // of items of a user's own

	vocabulary func() *protocol.Vocabulary // made when it is first needed
}

// A Row is a family of items in the table: those whose identifiers differ only in running
// parts such as the tariff.
type Row struct {
	Name    string     `json:"name"` // of the first item of the family
	DI      string     `json:"di"`   // with letters where it runs
	Ranges  string     `json:"ranges,omitempty"`
	Picture string     `json:"picture"`
	Fields  []RowField `json:"fields,omitempty"` // of a record
	Unit    string     `json:"unit"`
	Access  string     `json:"access"`
	Origin  string     `json:"origin"`
	TextEN  string     `json:"text_en"`
	TextZH  string     `json:"text_zh"`
}

// A RowField is a field of a record.
type RowField struct {
	Name    string `json:"name"`
	Picture string `json:"picture"`
	Unit    string `json:"unit,omitempty"`
}

var (
	dictionary2007 = sync.OnceValue(func() *Dictionary { return mustParse(V2007, items2007) })
	dictionary1997 = sync.OnceValue(func() *Dictionary { return mustParse(V1997, items1997) })
)

// Items returns the table of an edition.
func Items(v Version) *Dictionary {
	if v == V1997 {
		return dictionary1997()
	}
	return dictionary2007()
}

// mustParse compiles one of our own tables; that they are well formed is tested.
func mustParse(v Version, table string) *Dictionary {
	d, err := parseDictionary(v, table)
	if err != nil {
		panic(fmt.Sprintf("the table of items of DL/T 645-%s: %v", v, err))
	}
	return d
}

// parseDictionary compiles all rows, and so finds out whether they are well formed and how they hang together.
// Then it forgets them: see [entry].
func parseDictionary(v Version, table string) (*Dictionary, error) {
	records, err := readRecords()
	if err != nil {
		return nil, err
	}
	d := &Dictionary{version: v, single: make(map[DI]*entry), byHead: make(map[DI][]*entry)}
	s := &source{dictionary: d, table: table, records: func() map[string][]field { return records }, letters: letters{}}
	r := csv.NewReader(strings.NewReader(table))
	r.FieldsPerRecord = columns
	if _, err := r.Read(); err != nil { // the heading
		return nil, err
	}
	for {
		e := &entry{source: s, from: int(r.InputOffset())}
		line, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		e.to = int(r.InputOffset())
		f, err := parseFamily(d, line, s.records, s.letters)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", line[columnDI], line[columnName], err)
		}
		e.describe(f, line)
		d.entries = append(d.entries, e)
		if f.mask == 1<<(2*d.half())-1 {
			d.single[f.fixed] = e
			continue
		}
		for _, head := range f.heads(d.half()) {
			d.byHead[head] = append(d.byHead[head], e)
		}
	}
	d.linkHolders()
	d.vocabulary = sync.OnceValue(d.words)
	for _, e := range d.entries {
		e.compiled.Store(nil)
	}
	s.records, s.letters = recordsOnce(), letters{}
	return d, nil
}

// readRecords reads the table of records, which is the same for both editions.
func readRecords() (map[string][]field, error) {
	lines, err := protocol.ReadTable(records2007, recordColumns)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	return parseRecords(lines)
}

// recordsOnce reads the table of records when it is first needed. It has been read before.
func recordsOnce() recordTable {
	return sync.OnceValue(func() map[string][]field {
		records, err := readRecords()
		if err != nil {
			panic(err)
		}
		return records
	})
}

// families yields all rows, compiled. None that was not is kept so: this is for who looks through all of them.
func (d *Dictionary) families() iter.Seq[*family] {
	return func(yield func(*family) bool) {
		records, shared := recordsOnce(), letters{}
		for _, e := range d.entries {
			f := e.compiled.Load()
			if f == nil {
				f = e.compile(records, shared)
			}
			if !yield(f) {
				return
			}
		}
	}
}

// half returns the number of bits in half an identifier.
func (d *Dictionary) half() int { return 4 * diSize(d.version) }

// heads returns the upper halves that the identifiers of the family have.
func (f *family) heads(half int) []DI {
	heads := []DI{f.fixed >> half}
	for i := range f.letters {
		l := &f.letters[i]
		if int(l.shift) < half || l.bits == 0 {
			continue
		}
		var longer []DI
		for _, head := range heads {
			for _, o := range l.options {
				longer = append(longer, head|DI(o.value)<<(int(l.shift)-half))
			}
		}
		heads = longer
	}
	return heads
}

// linkHolders tells the rows which blocks put items of theirs together.
func (d *Dictionary) linkHolders() {
	for _, holder := range d.entries {
		c, ok := holder.family().codec.(*concatenation)
		if !ok {
			continue
		}
		for _, part := range c.parts {
			di, err := ParseDI(part, d.version)
			if err != nil {
				continue // it has letters, and so is a block itself
			}
			item, ok := d.Lookup(di)
			if !ok {
				continue
			}
			if e := item.family.entry; !slices.Contains(e.holders, holder) {
				e.holders = append(e.holders, holder)
			}
		}
	}
}

// Lookup returns the item that an identifier stands for.
func (d *Dictionary) Lookup(di DI) (Item, bool) {
	if e := d.single[di]; e != nil {
		f := e.family()
		return f.at(f.owner(positions{})), true
	}
	for _, e := range d.byHead[di>>d.half()] {
		if di&e.mask != e.fixed {
			continue
		}
		f := e.family()
		if at, ok := f.match(di); ok {
			return f.at(at), true
		}
	}
	return Item{}, false
}

// Named returns the item of a name, or that which has a value or flag of the name: then
// Item.Only holds the name.
func (d *Dictionary) Named(name string) (Item, bool) {
	for _, e := range d.entries {
		if !e.mayHave(name) {
			continue
		}
		if item, ok := e.family().find(name); ok {
			return item, true
		}
	}
	return Item{}, false
}
