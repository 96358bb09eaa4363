package protocol

import (
	"encoding/csv"
	"strings"
)

// ReadTable reads a table of so many columns, as protocols embed them, without its heading.
func ReadTable(table string, columns int) ([][]string, error) {
	r := csv.NewReader(strings.NewReader(table))
	r.FieldsPerRecord = columns
	lines, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	return lines[1:], nil
}

// HasWords reports whether a row of a table has all of the words, by what hasWord says of each of them in
// lower case.
func HasWords(words []string, hasWord func(word string) bool) bool {
	for _, word := range words {
		if !hasWord(strings.ToLower(word)) {
			return false
		}
	}
	return true
}

// OccursIn reports whether a word in lower case occurs in one of the texts, in either case.
func OccursIn(word string, texts ...string) bool {
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), word) {
			return true
		}
	}
	return false
}
