package dlt698

import (
	"iter"
	"strings"
	"sync"

	"dlt645-mqtt/protocol"
)

// Lookup returns the item that an OAD stands for. Of a record the index is the number of a row.
func (d *Dictionary) Lookup(oad OAD) (Item, bool) {
	a := d.byOAD[oad.whole()]
	if a == nil {
		return Item{}, false
	}
	return d.item(a, oad.Index())
}

// item returns the item of an element of an attribute.
func (d *Dictionary) item(a *attribute, index byte) (Item, bool) {
	isRecord := a.layout == layoutFreeze || a.layout == layoutEvent
	switch {
	case index == 0 && isRecord, index != 0 && (a.index == nil || a.index.option(index) == nil):
		return Item{}, false
	}
	return Item{OAD: a.oad.element(index), Name: a.element(index), Access: a.row.Access, attribute: a, dictionary: d}, true
}

// Named returns the item of a name, or that which has a value or flag of the name: then
// Item.Only holds the name. Columns of freezes go by the name of the freeze and their own, as in
// daily_freeze_forward_active_energy_1.
func (d *Dictionary) Named(name string) (Item, bool) {
	word, _, flagged := strings.Cut(name, ".")
	if flagged {
		item, ok := d.Named(word)
		_, known := d.flag(name)
		item.Only = name
		return item, ok && known
	}
	if item, ok := d.findElement(name); ok {
		return item, true
	}
	if a := d.byValue[name]; a != nil {
		item, ok := d.item(a, 0)
		item.Only = name
		return item, ok
	}
	if demand, ok := strings.CutSuffix(name, timeSuffix); ok {
		if item, ok := d.findElement(demand); ok && item.attribute.isDemand() && !item.IsBlock() {
			item.Only = name
			return item, true
		}
	}
	return d.findColumn(name)
}

// findElement returns the item of a name that is its own.
func (d *Dictionary) findElement(name string) (Item, bool) {
	if a := d.byBase[name]; a != nil {
		if a.index == nil {
			return d.item(a, 0)
		}
		if index, ok := a.index.index(""); ok {
			return d.item(a, index)
		}
	}
	if base, ok := strings.CutSuffix(name, blockSuffix); ok {
		if a := d.byBase[base]; a != nil && a.index != nil {
			return d.item(a, 0)
		}
	}
	if cut := strings.LastIndexByte(name, '_'); cut > 0 {
		if a := d.byBase[name[:cut]]; a != nil && a.index != nil {
			if index, ok := a.index.index(name[cut:]); ok {
				return d.item(a, index)
			}
		}
	}
	return Item{}, false
}

// freezeMark stands between the occasion of a freeze and what was frozen.
const freezeMark = "_freeze_"

// findColumn returns the column of a freeze's row.
func (d *Dictionary) findColumn(name string) (Item, bool) {
	occasion, rest, ok := strings.Cut(name, freezeMark)
	if !ok {
		return Item{}, false
	}
	time := ""
	if cut, ok := strings.CutSuffix(rest, timeSuffix); ok && strings.Contains(cut, "_") {
		// daily_freeze_forward_active_demand_1_time is the time of ..._demand_1.
		if item, ok := d.findColumn(occasion + freezeMark + cut); ok && item.Column.attribute.isDemand() && item.Only == "" {
			item.Only = name
			return item, true
		}
	}
	cut := strings.LastIndexByte(rest, '_')
	if cut < 0 {
		return Item{}, false
	}
	row, ok := d.findElement(occasion + freezeMark[:len(freezeMark)-1] + rest[cut:])
	if !ok || row.attribute.layout != layoutFreeze {
		return Item{}, false
	}
	column := rest[:cut] + time
	if column == "time" {
		column = "freeze_time"
	}
	of, ok := d.Named(column)
	if !ok || !of.mayFreeze() {
		return Item{}, false
	}
	row.Name, row.Column = name, &of
	return row, true
}

// mayFreeze reports whether a meter may store the item in its freezes.
func (i Item) mayFreeze() bool {
	return i.Only == "" && i.Column == nil && !i.IsRecord() && i.OAD.OI() < 0x3000
}

// Names returns the names of the item's values. Of a block that is as many as there can be.
func (i Item) Names() (names []string) {
	a := i.attribute
	switch {
	case i.Only != "":
		return []string{i.Only}
	case i.Column != nil && !i.Column.IsBlock() && !i.Column.attribute.isDemand():
		return []string{i.Name}
	case i.Column != nil && i.Column.attribute.isDemand():
		return []string{i.Name, i.Name + timeSuffix}
	case i.IsRecord(), i.Column != nil, a.layout == layoutRelay:
		return []string{i.Name}
	}
	first, last := i.OAD.Index(), i.OAD.Index()
	if i.IsBlock() {
		first, last = 1, byte(len(a.index.options))
	}
	for index := int(first); index <= int(last); index++ {
		for k := range a.fields {
			name := a.value(byte(index), k)
			names = append(names, name)
			if a.fields[k].bits > 0 {
				for _, f := range i.dictionary.flags[name] {
					names = append(names, f.name)
				}
			}
		}
	}
	return names
}

// all yields the items of an attribute: its elements, and all of it where those are several.
func (d *Dictionary) all(a *attribute) iter.Seq[Item] {
	return func(yield func(Item) bool) {
		first, last := 0, 0
		if a.index != nil {
			last = len(a.index.options)
		}
		for index := first; index <= last; index++ {
			if item, ok := d.item(a, byte(index)); ok && !yield(item) {
				return
			}
		}
	}
}

// mostElements is how many elements of an attribute have words of their own, of records as of others.
const mostElements = 13

// vocabulary is what the items are called.
var vocabulary = sync.OnceValue(words)

// words gathers what the items are called. It must not take long, nor much memory: anybody may ask for what there is not.
func words() *protocol.Vocabulary {
	d := Items()
	v := &protocol.Vocabulary{Known: func(name string) bool {
		_, known := d.Named(name)
		return known
	}}
	for _, a := range d.attributes {
		elements := 0
		for item := range d.all(a) {
			if item.IsBlock() {
				continue
			}
			if elements++; elements > mostElements {
				break
			}
			v.Add(item.Name, item.Text("zh"))
			for _, name := range item.Names() {
				if name == item.Name {
					continue
				}
				value, chinese := item, ""
				value.Only = name
				if f, ok := d.flag(name); ok {
					chinese = f.zh
				}
				v.AddValue(name, chinese)
			}
		}
	}
	return v
}

// Member returns what is to be said of one item, or value of an item, whose name or OAD a word is, and the
// pattern of OADs of its row. It reports whether there is one.
func (d *Dictionary) Member(word string) (row Row, pattern string, found bool) {
	item, found := d.Named(word)
	if oad, err := ParseOAD(word); !found && err == nil {
		item, found = d.Lookup(oad)
	}
	if !found {
		return row, "", false
	}
	row = *item.attribute.row
	row.OAD, row.Ranges, row.Unit = item.OAD.String(), "", item.Unit()
	row.Name, row.TextEN, row.TextZH = item.Name, item.Text("en"), item.Text("zh")
	if item.Only != "" {
		row.Name = item.Only
	}
	return row, item.attribute.row.OAD, true
}

// Matching returns the rows in which all of the words occur: in the name, the English or
// Chinese text, or the OAD, in either case. A word that is a concrete OAD or name finds its
// family. Without words it returns all rows.
func (d *Dictionary) Matching(words ...string) (rows []Row) {
	var last *Row
	for _, a := range d.attributes {
		if a.row == last {
			continue
		}
		if protocol.HasWords(words, func(word string) bool { return d.hasWord(a.row, word) }) {
			last = a.row
			rows = append(rows, *a.row)
		}
	}
	return rows
}

// hasWord reports whether a word in lower case occurs in a row, or in an item of it.
func (d *Dictionary) hasWord(row *Row, word string) bool {
	if strings.Contains(strings.ToLower(row.OAD), word) {
		return true
	}
	if item, ok := d.Named(word); ok && item.attribute.row == row {
		return true
	}
	if oad, err := ParseOAD(word); err == nil {
		if a := d.byOAD[oad.whole()]; a != nil && a.row == row {
			return true
		}
	}
	for _, a := range d.attributes {
		if a.row != row {
			continue
		}
		if protocol.OccursIn(word, a.base, a.en, a.zh, a.filled(a.en, a.first(), "en"), a.filled(a.zh, a.first(), "zh")) {
			return true
		}
		for k := range a.fields {
			if strings.Contains(a.fields[k].name, word) {
				return true
			}
		}
	}
	return false
}
