package points

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
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
	var rows []row
	var problems Problems
	for i, object := range objects {
		r := row{number: i + 1, cells: map[string]string{}}
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

// writeCSV writes rows as CSV, with the columns that are used.
func writeCSV(rows []row) string {
	columns := slices.DeleteFunc(slices.Clone(Columns), func(column string) bool {
		return column != columnMeter && column != columnItem && !slices.ContainsFunc(rows, func(r row) bool { return r.cells[column] != "" })
	})
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(columns) // a Builder takes everything
	for _, r := range rows {
		line := make([]string, len(columns))
		for i, column := range columns {
			line[i] = r.cells[column]
		}
		_ = w.Write(line)
	}
	w.Flush()
	return b.String()
}

// CSV writes points as a table, one row each.
func CSV(list []Point) string {
	rows := make([]row, len(list))
	for i, p := range list {
		cells := map[string]string{
			columnMeter: p.Meter, columnItem: p.Item, columnName: p.Name,
			columnInterval: strconv.Itoa(int(p.Interval.Seconds())) + "s",
		}
		if p.Min != nil {
			cells[columnMin] = p.Min.String()
		}
		if p.Max != nil {
			cells[columnMax] = p.Max.String()
		}
		if p.Deadband.Coefficient != 0 {
			cells[columnDeadband] = p.Deadband.String()
		}
		if !p.Retain {
			cells[columnRetain] = no
		}
		if !p.Discovery {
			cells[columnDiscovery] = no
		}
		rows[i] = row{cells: cells}
	}
	return writeCSV(rows)
}
