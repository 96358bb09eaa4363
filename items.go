package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
)

// An itemRow is a row of a dictionary as it is printed: of protocols other than DL/T 645 DI is what they
// have in its place, such as the register.
type itemRow = dlt645.Row

// A dictionaryOf is the dictionary of a protocol.
type dictionaryOf struct {
	name   string
	search func(words ...string) []itemRow
}

// dictionaries returns those that come with the program.
func dictionaries() (all []dictionaryOf) {
	for _, edition := range []dlt645.Version{dlt645.V2007, dlt645.V1997} {
		all = append(all, dictionaryOf{edition.String(), dlt645.Items(edition).Search})
	}
	all = append(all, dictionaryOf{dlt698.Name, func(words ...string) (rows []itemRow) {
		for _, r := range dlt698.Items().Search(words...) {
			rows = append(rows, itemRow{Name: r.Name, DI: r.OAD, Ranges: r.Ranges, Picture: r.Picture(), Unit: r.Unit, Access: r.Access, Origin: r.Origin, TextEN: r.TextEN, TextZH: r.TextZH})
		}
		return rows
	}})
	all = append(all, dictionaryOf{cjt188.Name, func(words ...string) (rows []itemRow) {
		for _, r := range cjt188.Search(words...) {
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
	return dictionaryOf{m.Name(), func(words ...string) (rows []itemRow) {
		for _, r := range m.Search(words...) {
			rows = append(rows, itemRow{Name: r.Name, DI: r.Register, Picture: r.Type, Unit: r.Unit, Access: r.Access, TextEN: r.TextEN, TextZH: r.TextZH})
		}
		return rows
	}}
}

// runItems searches the dictionary and prints a table, or one JSON object a line.
func runItems(_ context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("items", "[WORD…]", "Searches the dictionary by English or Chinese words, name, or identifier; all words must match.\nWithout words it lists everything. Exit 1 if nothing is found. A row is a family: the small letters in its identifier\nrun, and the name with them: p over phases (_a, _b, _c), t over tariffs (_t1 …), h over settlements back (_h1 …), r over\nrecords (_1 …). _block in place of a phase or tariff means all of them. Of a register map of Modbus it lists area and\nregister; -map checks one of one's own and says all that is wrong with it, by row and column.", stderr)
	asJSON := flags.Bool("json", false, "print one JSON object a line")
	protocol := flags.String("protocol", readEnvironment().Protocol, "`name` of the protocol: 2007, 1997, 698, 188 or modbus/MODEL")
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
	} else if dictionary, err = dictionaryNamed(*protocol); err != nil {
		complain(stderr, "items", err)
		return 2
	}
	rows := dictionary.search(words...)
	if len(rows) == 0 {
		fmt.Fprintln(stderr, "dlt645-mqtt: items: nothing found; try fewer or other words, such as voltage, 电压 or 0201")
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
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tDI\tPICTURE\tUNIT\tACCESS\tTEXT")
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s %s\n", row.Name, row.DI, row.Picture, row.Unit, row.Access, row.TextEN, row.TextZH)
	}
	if err := table.Flush(); err != nil {
		complain(stderr, "items", err)
		return 1
	}
	return 0
}

// dictionaryNamed returns the dictionary of a protocol; of a register map also one of one's own.
func dictionaryNamed(name string) (dictionaryOf, error) {
	var names []string
	r := reader{environment: readEnvironment()}
	if model, ok := strings.CutPrefix(name, modbus.Name+"/"); ok && r.ModbusMaps != "" {
		if m, err := readModbusMap(model, r.mapFile(model)); err == nil {
			return mapOf(m), nil
		}
	}
	own := r.ownRows(name)
	for _, d := range dictionaries() {
		if d.name == name {
			return dictionaryOf{name, func(words ...string) []itemRow {
				return append(slices.DeleteFunc(slices.Clone(own), func(row itemRow) bool { return !hasWords(row, words) }), d.search(words...)...)
			}}, nil
		}
		names = append(names, d.name)
	}
	return dictionaryOf{}, fmt.Errorf("there is no dictionary for %q, only for %s", name, strings.Join(names, ", "))
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
