package protocol

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A Sheet is what a table in CSV may hold that people write by hand or in a spreadsheet.
type Sheet struct {
	Columns []string          // in the order in which complaints list them
	Titles  map[string]string // further titles of columns, as a Chinese header has them
	Needed  []string          // columns that must be there
	Heading []string          // the header of an example; all columns if there is none
}

// A SheetRow is one row of a sheet: its line in the file, and what stands in its cells by column. Blank cells are left out.
type SheetRow struct {
	Line  int
	Cells map[string]string
}

// A SheetProblem is what is wrong with a line of a sheet; line 0 stands for the whole.
type SheetProblem struct {
	Line    int
	Message string
}

// Read takes a table apart. Its first line names the columns. Lines that begin with # are comments; in place of commas
// stand semicolons or tabs where a spreadsheet has written them. Without all needed columns there are no rows, for whatever
// they hold would be misunderstood.
func (s Sheet) Read(text string) (rows []SheetRow, problems []SheetProblem) {
	complain := func(line int, format string, arguments ...any) {
		problems = append(problems, SheetProblem{line, fmt.Sprintf(format, arguments...)})
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.Comment, r.FieldsPerRecord = separator(text), comment, -1
	r.TrimLeadingSpace = r.Comma != '\t' // an empty cell would be taken for such a space
	var header []string
	for {
		fields, err := r.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if header == nil && problems == nil {
				complain(0, "the table is empty; its first line is the header: %s", s.heading())
			}
			return rows, problems
		case errors.As(err, &wrong):
			complain(wrong.StartLine, "%v; a cell with a comma or a quote in it stands in quotes, and quotes in it are doubled", wrong.Err)
			continue
		case err != nil:
			complain(0, "%v", err)
			return rows, problems
		}
		line, _ := r.FieldPos(0)
		if header == nil {
			header = s.header(fields, func(format string, arguments ...any) { complain(line, format, arguments...) })
			if s.lacks(header) {
				return nil, problems
			}
			continue
		}
		row := SheetRow{line, make(map[string]string, len(header))}
		for i, field := range fields {
			switch field = strings.TrimSpace(field); {
			case field == "":
			case i >= len(header):
				complain(line, "%q stands behind the last column of the header", cutCell(field))
			case header[i] != "": // a column without a name is a note to oneself
				row.Cells[header[i]] = field
			}
		}
		if len(row.Cells) > 0 {
			rows = append(rows, row)
		}
	}
}

// header reads the names of the columns.
func (s Sheet) header(fields []string, complain func(format string, arguments ...any)) []string {
	header := make([]string, len(fields))
	for i, field := range fields {
		name := strings.ToLower(strings.TrimSpace(field))
		if column, ok := s.Titles[name]; ok {
			name = column
		}
		switch {
		case name == "":
		case !slices.Contains(s.Columns, name):
			complain("%q is no column; there are %s", cutCell(field), strings.Join(s.Columns, ", "))
		case slices.Contains(header[:i], name):
			complain("the column %s stands there twice", name)
		}
		header[i] = name
	}
	for _, name := range s.Needed {
		if !slices.Contains(header, name) {
			complain("the column %s is missing; the first line is the header: %s", name, s.heading())
		}
	}
	return header
}

func (s Sheet) lacks(header []string) bool {
	return slices.ContainsFunc(s.Needed, func(name string) bool { return !slices.Contains(header, name) })
}

func (s Sheet) heading() string {
	if s.Heading != nil {
		return strings.Join(s.Heading, ",")
	}
	return strings.Join(s.Columns, ",")
}

// comment begins a line that is not part of the table.
const comment = '#'

// separator is what stands between the cells of the header: the comma, or what spreadsheets
// write in its place where the comma is a decimal point.
func separator(text string) rune {
	best := ','
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) == "" || line[0] == comment {
			continue
		}
		for _, candidate := range ";\t" {
			if strings.Count(line, string(candidate)) > strings.Count(line, string(best)) {
				best = candidate
			}
		}
		break
	}
	return best
}

// cutCell shortens what is quoted in a message.
func cutCell(text string) string {
	const most = 60
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
