package dlt645

import (
	"encoding/csv"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// An entry is a row of a table. It is compiled when it is first needed: of several hundred a bridge reads a few,
// and compiled they take more than a megabyte.
type entry struct {
	source      *source
	from, to    int // of its line in the table
	fixed, mask DI  // the digits of its identifiers that do not run

	marks    []mark // of the names of its items and their values
	hasCodec bool   // values may have the names of other items

	holders []*entry // blocks that hold items of this row though no letter tells so

	compiled atomic.Pointer[family]
}

// A mark is what all names have that a template makes: they begin with it, or, if a letter comes first, have it
// somewhere.
type mark struct {
	text   string
	inside bool
}

// A source is what the rows of a table are compiled from.
type source struct {
	dictionary *Dictionary
	table      string
	records    recordTable

	mu      sync.Mutex
	letters letters // of the rows that are compiled
}

// family returns the row, compiled, and keeps it so.
func (e *entry) family() *family {
	if f := e.compiled.Load(); f != nil {
		return f
	}
	e.source.mu.Lock()
	defer e.source.mu.Unlock()
	if f := e.compiled.Load(); f != nil {
		return f
	}
	f := e.compile(e.source.records, e.source.letters)
	e.compiled.Store(f)
	return f
}

// compile compiles the row, which has been compiled before: see parseDictionary.
func (e *entry) compile(records recordTable, shared letters) *family {
	line, err := csv.NewReader(strings.NewReader(e.source.table[e.from:e.to])).Read()
	if err != nil {
		panic(fmt.Sprintf("a row that could be read cannot be read again: %v", err))
	}
	f, err := parseFamily(e.source.dictionary, line, records, shared)
	if err != nil {
		panic(fmt.Sprintf("a row that could be compiled cannot be compiled again: %v", err))
	}
	f.entry = e
	return f
}

// describe fills in what is known of the row without compiling it again.
func (e *entry) describe(f *family, line []string) {
	f.entry, e.fixed, e.mask, e.hasCodec = e, f.fixed, f.mask, f.codec != nil
	row := e.source.table[e.from:e.to]
	for _, name := range append(strings.Fields(line[columnValues]), line[columnName]) {
		text, rest, _ := strings.Cut(name, "{")
		inside := text == ""
		if inside {
			_, rest, _ = strings.Cut(rest, "}")
			text, _, _ = strings.Cut(rest, "{")
		}
		if at := strings.Index(row, text); at >= 0 {
			text = row[at : at+len(text)] // of the table, which is there anyway
		}
		e.marks = append(e.marks, mark{text, inside})
	}
	e.compiled.Store(f)
}

// mayHave reports whether an item of the row, or a value of one, can have the name.
func (e *entry) mayHave(name string) bool {
	for _, m := range e.marks {
		if strings.HasPrefix(name, m.text) || m.inside && strings.Contains(name, m.text) {
			return true
		}
	}
	return false
}

// mayBegin reports whether the name of an item of the row, or of a value of one, can begin so.
func (e *entry) mayBegin(begin string) bool {
	for _, m := range e.marks {
		if m.inside || strings.HasPrefix(begin, m.text) || strings.HasPrefix(m.text, begin) {
			return true
		}
	}
	return e.hasCodec
}
