package points

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ParseJSON reads a table from an array of objects, one for each point; the keys are the
// columns of the CSV. Numbers, true and false may stand without quotes. The text of the table is
// the CSV that says the same. The error is Problems.
func ParseJSON(data []byte, site Site) (*Table, error) {
	var objects []map[string]json.RawMessage
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&objects); err != nil {
		return nil, Problems{{Message: `"points" must be an array of objects, such as [{"meter":"main","item":"voltage_a","interval":"10s"}]`}}
	}
	var rows []tableRow
	var problems Problems
	for i, object := range objects {
		r := tableRow{number: i + 1, cells: map[string]string{}}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if !slices.Contains(Columns, key) {
				problems = append(problems, Problem{Row: r.number, Message: fmt.Sprintf("%q is no key of a point; there are %s", cut(key), strings.Join(Columns, ", "))})
				continue
			}
			text, ok := cell(object[key])
			if !ok {
				problems = append(problems, Problem{Row: r.number, Column: key, Message: "must be a string, a number, true or false"})
			}
			if text != "" {
				r.cells[key] = text
			}
		}
		rows = append(rows, r)
	}
	return compile(writeCSV(rows), rows, problems, site)
}

// cell returns a JSON value as it stands in a cell.
func cell(value json.RawMessage) (text string, ok bool) {
	text = string(value)
	switch text[0] {
	case '"':
		err := json.Unmarshal(value, &text)
		return strings.TrimSpace(text), err == nil
	case '{', '[':
		return "", false
	case 'n':
		return "", true
	}
	return text, true
}
