package protocol

import (
	"reflect"
	"testing"
)

// TestSheet reads tables as people and spreadsheets write them, and has every complaint with its line.
func TestSheet(t *testing.T) {
	s := Sheet{Columns: []string{"meter", "item", "max"}, Titles: map[string]string{"电表": "meter"}, Needed: []string{"meter", "item"}}
	row := func(line int, cells ...string) SheetRow {
		r := SheetRow{line, map[string]string{}}
		for i := 0; i < len(cells); i += 2 {
			r.Cells[cells[i]] = cells[i+1]
		}
		return r
	}
	for name, test := range map[string]struct {
		text     string
		rows     []SheetRow
		problems []SheetProblem
	}{
		"plain":                    {"meter,item\nmain, voltage_a\n", []SheetRow{row(2, "meter", "main", "item", "voltage_a")}, nil},
		"comments before and amid": {"# a; b; c\n\n电表;Item;max\n# no row\nmain;voltage_a;2,5\n", []SheetRow{row(5, "meter", "main", "item", "voltage_a", "max", "2,5")}, nil},
		"tabs, an empty cell":      {"max\tmeter\titem\n\tmain\tvoltage_a\n", []SheetRow{row(2, "meter", "main", "item", "voltage_a")}, nil},
		"blank rows and columns":   {"meter,item,,\n,,,\nmain,voltage_a,,\n", []SheetRow{row(3, "meter", "main", "item", "voltage_a")}, nil},
		"nothing":                  {"\n# only this\n", nil, []SheetProblem{{0, "the table is empty; its first line is the header: meter,item,max"}}},
		"a column too few":         {"meter,x\nmain,2\n", nil, []SheetProblem{{1, `"x" is no column; there are meter, item, max`}, {1, "the column item is missing; the first line is the header: meter,item,max"}}},
		"a column twice":           {"meter,item,电表\n", nil, []SheetProblem{{1, "the column meter stands there twice"}}},
		"a cell too many, a quote": {"meter,item\nmain,voltage_a,2\nma\"in,x\nshop,x\n", []SheetRow{row(2, "meter", "main", "item", "voltage_a"), row(4, "meter", "shop", "item", "x")}, []SheetProblem{{2, `"2" stands behind the last column of the header`}, {3, `bare " in non-quoted-field; a cell with a comma or a quote in it stands in quotes, and quotes in it are doubled`}}},
	} {
		t.Run(name, func(t *testing.T) {
			rows, problems := s.Read(test.text)
			if !reflect.DeepEqual(rows, test.rows) {
				t.Errorf("rows %+v, want %+v", rows, test.rows)
			}
			if !reflect.DeepEqual(problems, test.problems) {
				t.Errorf("problems %+v, want %+v", problems, test.problems)
			}
		})
	}
}

// FuzzSheet holds that any text is read to the end, and that rows lie below the header and are not empty.
func FuzzSheet(f *testing.F) {
	f.Add("meter,item\nmain,\"a\nb\"\n")
	f.Add("# x\nmeter\titem\n\t\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := Sheet{Columns: []string{"meter", "item"}, Needed: []string{"meter"}}
		rows, _ := s.Read(text)
		for _, row := range rows {
			if row.Line < 2 || len(row.Cells) == 0 {
				t.Errorf("%q: row %+v", text, row)
			}
		}
	})
}
