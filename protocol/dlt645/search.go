package dlt645

import "strings"

// Search returns the rows in which all of the words occur: in the name, the English or
// Chinese text, the identifier or its pattern, in either case. A word that is a concrete
// identifier ("00010102") or name ("forward_active_energy_t1_h2") finds its family. Without
// words it returns all rows.
func (d *Dictionary) Search(words ...string) []Row {
	var rows []Row
	for _, f := range d.families {
		found := true
		for _, word := range words {
			found = found && f.hasWord(strings.ToLower(word))
		}
		if found {
			rows = append(rows, f.row)
		}
	}
	return rows
}

// hasWord tells whether a word in lower case occurs in the row: in what it says of the
// family, or of items that differ from the first in one letter.
func (f *family) hasWord(word string) bool {
	for _, text := range []string{f.row.DI, f.name.plain(), f.row.TextEN, f.row.TextZH} {
		if strings.Contains(strings.ToLower(text), word) {
			return true
		}
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

// saysWord tells whether a word in lower case occurs in the name or texts of an item.
func (f *family) saysWord(at positions, word string) bool {
	return strings.Contains(f.nameAt(-1, at), word) ||
		strings.Contains(strings.ToLower(f.en.fill(f.letters, at, (*option).inEnglish)), word) ||
		strings.Contains(strings.ToLower(f.zh.fill(f.letters, at, (*option).inChinese)), word)
}
