package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
)

// An itemRow is a row of a dictionary as it is printed: of protocols other than DL/T 645 DI is what they
// have in its place, such as the register.
type itemRow = dlt645.Row

// originOwn is where the rows of a table of one's own are from.
const originOwn = "own"

// A dictionaryOf is the dictionary of a protocol.
type dictionaryOf struct {
	name   string
	search func(words ...string) []itemRow
	member func(word string) (row itemRow, family string, found bool) // of a family, with its DI there; nil: rows are items
}

// find returns the rows in which all words occur. Of a family of which one item is meant, by its name or
// identifier, it is that item.
func (d *dictionaryOf) find(words ...string) []itemRow {
	var rows []itemRow
	for i, word := range words {
		for _, names := range protocol.Everyday(word) {
			rows = d.also(rows, words, i, names)
		}
	}
	rows = d.also(rows, words, 0, words[:min(1, len(words))])
	if len(words) == 0 {
		rows = d.search()
	}
	if len(rows) == 0 {
		usual := slices.Clone(words)
		for i, word := range usual {
			if protocol.IsChinese(word) {
				usual[i] = protocol.UsualWords(word)
			}
		}
		rows = d.search(usual...)
	}
	if d.member == nil {
		return rows
	}
	for _, word := range words {
		row, family, found := d.member(word)
		if !found {
			continue
		}
		i := slices.IndexFunc(rows, func(other itemRow) bool { return other.DI == family && other.Origin != originOwn })
		if i < 0 {
			continue
		}
		if row.Origin == originOwn { // in place of the member, and found already
			rows = slices.Delete(rows, i, i+1)
			continue
		}
		row.Fields = rows[i].Fields
		rows = slices.Insert(slices.Delete(rows, i, i+1), 0, row)
	}
	return rows
}

// also returns rows with those in which the words occur if one of them stands for items that are called otherwise.
func (d *dictionaryOf) also(rows []itemRow, words []string, which int, names []string) []itemRow {
	for _, name := range names {
		changed := slices.Clone(words)
		changed[which] = name
		for _, row := range d.search(changed...) {
			if !slices.ContainsFunc(rows, func(other itemRow) bool {
				return other.Name == row.Name && other.DI == row.DI && other.Origin == row.Origin
			}) {
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// dictionaries returns those that come with the program.
func dictionaries() (all []dictionaryOf) {
	for _, edition := range []dlt645.Version{dlt645.V2007, dlt645.V1997} {
		all = append(all, dictionaryOf{edition.String(), dlt645.Items(edition).Matching, dlt645.Items(edition).Member})
	}
	of698 := func(r dlt698.Row) itemRow {
		return itemRow{Name: r.Name, DI: r.OAD, Ranges: r.Ranges, Picture: r.Picture(), Unit: r.Unit, Access: r.Access, Origin: r.Origin, TextEN: r.TextEN, TextZH: r.TextZH}
	}
	all = append(all, dictionaryOf{dlt698.Name, func(words ...string) (rows []itemRow) {
		for _, r := range dlt698.Items().Matching(words...) {
			rows = append(rows, of698(r))
		}
		return rows
	}, func(word string) (itemRow, string, bool) {
		r, family, found := dlt698.Items().Member(word)
		return of698(r), family, found
	}})
	all = append(all, dictionaryOf{name: cjt188.Name, search: func(words ...string) (rows []itemRow) {
		for _, r := range cjt188.Matching(words...) {
			rows = append(rows, itemRow{Name: r.Name, DI: r.DI, Ranges: r.Types, Picture: r.Picture, Unit: r.Unit, Access: r.Access, TextEN: r.TextEN, TextZH: r.TextZH})
		}
		return rows
	}})
	for _, model := range modbus.Models() {
		if m, ok := modbus.BuiltIn(model); ok {
			all = append(all, mapOf(m))
		}
	}
	return all
}

// mapOf returns a register map as a dictionary.
func mapOf(m *modbus.Map) dictionaryOf {
	return dictionaryOf{name: m.Name(), search: func(words ...string) (rows []itemRow) {
		for _, r := range m.Matching(words...) {
			rows = append(rows, itemRow{Name: r.Name, DI: r.Register, Picture: r.Type, Unit: r.Unit, Access: r.Access, TextEN: r.TextEN, TextZH: r.TextZH})
		}
		return rows
	}}
}

// runItems searches the dictionary and prints a table, or one JSON object a line.
func runItems(_ context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("items", "[WORD…]", "Searches the dictionary by English or Chinese words, name, or identifier; all words must match.\nWithout words it lists everything. Exit 1 if nothing is found. A row is a family: the small letters in its identifier\nrun, and the name with them: p over phases (_a, _b, _c), t over tariffs (_t1 …), h over settlements back (_h1 …), r over\nrecords (_1 …). _block in place of a phase or tariff means all of them. Of a register map of Modbus it lists area and\nregister; -map checks one of one's own and says all that is wrong with it, by row and column.", stderr)
	asJSON := flags.Bool("json", false, "print one JSON object a line")
	spoken := flags.String("protocol", readEnvironment().Protocol, "`name` of the protocol: 2007, 1997, 698, 188 or modbus/MODEL")
	file := flags.String("map", "", "CSV `file` with a register map of Modbus, to be checked and listed")
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	var dictionary dictionaryOf
	var err error
	if *file != "" {
		var m *modbus.Map
		if m, err = readModbusMap(modelOf(*file), *file); err != nil {
			complain(stderr, "items: "+*file, err)
			return 1
		}
		dictionary = mapOf(m)
	} else if dictionary, err = dictionaryNamed(*spoken); err != nil {
		complain(stderr, "items", err)
		return statusConfiguration
	}
	rows := dictionary.find(words...)
	if len(rows) == 0 {
		sayf(stderr, "dlt645-mqtt: items: nothing found; try fewer or other words, such as voltage, 电压 or 0201%s\n", hintOf(dictionary, words))
		return 1
	}
	if *asJSON {
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		for _, row := range rows {
			if err := encoder.Encode(row); err != nil {
				complain(stderr, "items", err)
				return 1
			}
		}
		return 0
	}
	if err := printItems(out, rows, isTerminal(out)); err != nil {
		complain(stderr, "items", err)
		return 1
	}
	return 0
}

// terminalWidth is how wide a table on a terminal is at most.
const terminalWidth = 100

// printItems prints a table. On a terminal it is narrow, and words that do not fit stand below their row.
func printItems(w io.Writer, rows []itemRow, narrow bool) error {
	if narrow {
		for _, line := range narrowTable(rows) {
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tDI\tPICTURE\tUNIT\tACCESS\tTEXT")
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s %s\n", row.Name, row.DI, row.Picture, row.Unit, row.Access, row.TextEN, row.TextZH)
	}
	return table.Flush()
}

// narrowTable lays the rows out in lines of terminalWidth columns.
func narrowTable(rows []itemRow) (lines []string) {
	widest := [...]int{36, 12, 16, 6, 6} // of the columns before the text; beyond, a cell goes to a line of its own
	cells := func(row itemRow) [5]string { return [...]string{row.Name, row.DI, row.Picture, row.Unit, row.Access} }
	heading := itemRow{Name: "NAME", DI: "DI", Picture: "PICTURE", Unit: "UNIT", Access: "ACCESS", TextEN: "TEXT"}
	var widths [5]int
	for _, row := range append([]itemRow{heading}, rows...) {
		for i, cell := range cells(row) {
			if n := columns(cell); n <= widest[i] {
				widths[i] = max(widths[i], n)
			}
		}
	}
	const indent = "    "
	for _, row := range append([]itemRow{heading}, rows...) {
		line := ""
		at := 0 // where the cell should begin
		for i, cell := range cells(row) {
			if columns(line) > at { // the one before was too long
				lines = append(lines, line)
				line = ""
			}
			line += strings.Repeat(" ", at-columns(line)) + cell
			at += widths[i] + 2
		}
		text := strings.TrimSpace(row.TextEN + " " + row.TextZH)
		if columns(line) <= at && at+columns(text) <= terminalWidth {
			lines = append(lines, line+strings.Repeat(" ", at-columns(line))+text)
			continue
		}
		lines = append(lines, line)
		lines = append(lines, indent+text)
	}
	var folded []string
	for _, line := range lines {
		for columns(line) > terminalWidth {
			cut := foldAt(line, len(indent))
			folded = append(folded, strings.TrimRight(line[:cut], " "))
			line = indent + strings.TrimLeft(line[cut:], " ")
		}
		folded = append(folded, strings.TrimRight(line, " "))
	}
	return folded
}

// foldAt returns where a line that is too long is cut: behind the last blank, comma or plus sign that fits, or else
// where it is full. Something of it is behind least.
func foldAt(line string, least int) (cut int) {
	full, n := 0, 0
	for i, r := range line {
		if n += columns(string(r)); n > terminalWidth {
			break
		}
		full = i + utf8.RuneLen(r)
		if i > least && strings.ContainsRune(" ,+", r) {
			cut = full
		}
	}
	if cut > 0 {
		return cut
	}
	return full
}

// columns returns how many columns of a terminal a text takes: characters of Chinese take two.
func columns(text string) (n int) {
	for _, r := range text {
		n++
		if unicode.Is(unicode.Han, r) || r >= '\u3000' && r <= '\u303F' || r >= '\uFF01' && r <= '\uFF60' {
			n++
		}
	}
	return n
}

// hintOf asks whether another name was meant than the one word that was searched for, or another word of names.
func hintOf(d dictionaryOf, words []string) string {
	if len(words) != 1 {
		return ""
	}
	var names, parts []string
	for _, row := range d.search() {
		names = append(names, row.Name)
		parts = append(parts, strings.Split(row.Name, "_")...)
	}
	if hint := protocol.Hint(words[0], slices.Values(names)); hint != "" {
		return hint
	}
	return protocol.Hint(words[0], slices.Values(parts))
}

// dictionaryNamed returns the dictionary of a protocol; of a register map also one of one's own.
func dictionaryNamed(name string) (dictionaryOf, error) {
	var names []string
	r := configReader{environment: readEnvironment()}
	if model, ok := strings.CutPrefix(name, modbus.Name+"/"); ok && r.ModbusMaps != "" {
		if m, err := readModbusMap(model, r.mapFile(model)); err == nil {
			return mapOf(m), nil
		}
	}
	for _, d := range dictionaries() {
		if d.name == name {
			return d.with(r.ownRows(name)), nil
		}
		names = append(names, d.name)
	}
	return dictionaryOf{}, fmt.Errorf("there is no dictionary for %q, only for %s", name, strings.Join(names, ", "))
}

// with returns the dictionary with the items of a user's own, of which those for every meter take the place of
// what the dictionary has of that name or identifier.
func (d dictionaryOf) with(own []itemRow, forAll []bool) dictionaryOf {
	if len(own) == 0 {
		return d
	}
	extended := dictionaryOf{name: d.name}
	extended.search = func(words ...string) (rows []itemRow) {
		for _, row := range own {
			if hasWords(row, words) {
				rows = append(rows, row)
			}
		}
		for _, row := range d.search(words...) {
			replaced := false
			for i := range own {
				replaced = replaced || forAll[i] && (own[i].DI == row.DI || row.Ranges == "" && own[i].Name == row.Name)
			}
			if !replaced {
				rows = append(rows, row)
			}
		}
		return rows
	}
	if d.member != nil {
		extended.member = func(word string) (itemRow, string, bool) {
			row, family, found := d.member(word)
			for i := range own {
				if found && forAll[i] && (own[i].DI == row.DI || own[i].Name == row.Name) {
					return own[i], family, true
				}
			}
			return row, family, found
		}
	}
	return extended
}

// hasWords reports whether all words occur in a row.
func hasWords(row itemRow, words []string) bool {
	for _, word := range words {
		found := false
		for _, text := range []string{row.Name, row.DI, row.TextEN, row.TextZH} {
			found = found || strings.Contains(strings.ToLower(text), strings.ToLower(word))
		}
		if !found {
			return false
		}
	}
	return true
}
