package uplink

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dlt645-mqtt/bridge/points"
)

// A tableRow is a row of a CSV file, by column.
type tableRow struct {
	line  int
	cells map[string]string
}

// readTable reads a CSV file whose first line names the columns; required ones must be there. The
// error has all complaints, with their lines. UTF-8 and GB18030 are understood, commas, semicolons
// and tabs, and lines that begin with # are comments.
func readTable(data []byte, columns []string, required ...string) ([]tableRow, error) {
	text, err := points.Decode(data)
	if err != nil {
		return nil, err
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comment, r.FieldsPerRecord = '#', -1
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			continue
		}
		for _, other := range ";\t" {
			if strings.Count(line, string(other)) > strings.Count(line, string(r.Comma)) {
				r.Comma = other
			}
		}
		break
	}
	r.TrimLeadingSpace = r.Comma != '\t'
	var header []string
	var rows []tableRow
	var complaints []error
	complain := func(line int, format string, arguments ...any) {
		complaints = append(complaints, fmt.Errorf("line %d: %w", line, fmt.Errorf(format, arguments...)))
	}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			complain(wrong.StartLine, "%w", wrong.Err)
			continue
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		if header == nil {
			for _, f := range fields {
				name := strings.ToLower(strings.TrimSpace(f))
				if !slices.Contains(columns, name) {
					complain(line, "%q is no column; there are %s", f, strings.Join(columns, ", "))
				}
				header = append(header, name)
			}
			for _, name := range required {
				if !slices.Contains(header, name) {
					complain(line, "the column %s is missing; the first line is the header: %s", name, strings.Join(columns, ","))
				}
			}
			if complaints != nil {
				return nil, errors.Join(complaints...)
			}
			continue
		}
		row := tableRow{line, map[string]string{}}
		for i, f := range fields {
			switch f = strings.TrimSpace(f); {
			case f == "":
			case i >= len(header):
				complain(line, "%q stands behind the last column of the header", f)
			default:
				row.cells[header[i]] = f
			}
		}
		if len(row.cells) == 0 {
			continue
		}
		for _, name := range required {
			if row.cells[name] == "" {
				complain(line, "the column %s is empty", name)
			}
		}
		rows = append(rows, row)
	}
	if header == nil && complaints == nil {
		complaints = []error{fmt.Errorf("the file is empty; its first line is the header: %s", strings.Join(columns, ","))}
	}
	return rows, errors.Join(complaints...)
}
