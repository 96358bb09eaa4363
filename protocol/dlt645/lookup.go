package dlt645

import (
	"strings"

	"dlt645-mqtt/protocol"
)

// Matching returns the rows in which all of the words occur: in the name, the English or
// Chinese text, the identifier or its pattern, in either case. A word that is a concrete
// identifier ("00010102") or name ("forward_active_energy_t1_h2") finds its family. Without
// words it returns all rows.
func (d *Dictionary) Matching(words ...string) []Row {
	var rows []Row
	for f := range d.families() {
		if protocol.HasWords(words, f.hasWord) {
			rows = append(rows, f.row)
		}
	}
	return rows
}

// Member returns what is to be said of one item, or value of an item, whose name or identifier a word is, and the
// pattern of identifiers of its family. It reports whether there is one.
func (d *Dictionary) Member(word string) (row Row, family string, found bool) {
	item, found := d.Named(word)
	if di, err := ParseDI(word, d.version); !found && err == nil {
		item, found = d.Lookup(di)
	}
	if !found {
		return row, "", false
	}
	row = item.family.row
	row.DI, row.Ranges, row.Unit = item.DI.Format(d.version), "", item.Unit
	row.Name, row.TextEN, row.TextZH = item.Name, item.Text("en"), item.Text("zh")
	if item.Only != "" {
		row.Name = item.Only
	}
	return row, item.family.row.DI, true
}

const (
	// mostOptions is how many options of a running part have words of their own: the present and twelve settlements.
	mostOptions = 13

	// mostMembers is how many values an item may have for each to have words of its own. A freeze of everything has
	// hundreds, which are called like items of their own.
	mostMembers = 16
)

// words returns what the items are called, of items with several running parts those in which one of these is
// not the first. It must not take long, nor much memory: anybody may ask for what there is not.
func (d *Dictionary) words() *protocol.Vocabulary {
	v := &protocol.Vocabulary{Known: func(name string) bool {
		_, known := d.Named(name)
		return known
	}}
	for kept := range d.families() {
		f := *kept
		f.names = func() *names { return nil } // which would be kept forever
		add := func(at positions) {
			item, ok := f.valid(f.owner(at))
			if !ok || item.Block() {
				return
			}
			v.Add(item.Name, item.Text("zh"))
			values := item.Names()
			if len(values) > mostMembers {
				return
			}
			for _, name := range values {
				if name == item.Name {
					continue
				}
				value := item
				value.Only = name
				v.AddValue(name, value.Text("zh"))
			}
		}
		add(positions{})
		for k := range f.letters {
			for n := 1; n < min(len(f.letters[k].options), mostOptions); n++ {
				var at positions
				at[k] = uint8(n)
				add(at)
			}
		}
	}
	return v
}

// hasWord reports whether a word in lower case occurs in the row: in what it says of the
// family, or of items that differ from the first in one letter.
func (f *family) hasWord(word string) bool {
	if protocol.OccursIn(word, f.row.DI, f.name.plain(), f.row.TextEN, f.row.TextZH) {
		return true
	}
	for k := range f.letters {
		var at positions
		for n := range f.letters[k].options {
			at[k] = uint8(n)
			if f.saysWord(at, word) {
				return true
			}
		}
	}
	if di, err := ParseDI(word, f.dictionary.version); err == nil {
		if _, ok := f.match(di); ok {
			return true
		}
	}
	_, ok := f.find(word)
	return ok
}

// saysWord reports whether a word in lower case occurs in the name or texts of an item.
func (f *family) saysWord(at positions, word string) bool {
	return strings.Contains(f.nameAt(-1, at), word) ||
		strings.Contains(strings.ToLower(f.en.fill(f.letters, at, (*option).inEnglish)), word) ||
		strings.Contains(strings.ToLower(f.zh.fill(f.letters, at, (*option).inChinese)), word)
}
