package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"dlt645-mqtt/protocol/dlt645"
)

// runItems searches the dictionary and prints a table, or one JSON object a line.
func runItems(_ context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("items", "[WORD…]", "Searches the dictionary by English or Chinese words, name, or identifier; all words must match.\nWithout words it lists everything. Exit 1 if nothing is found. A row is a family: the small letters in its identifier\nrun, and the name with them: p over phases (_a, _b, _c), t over tariffs (_t1 …), h over settlements back (_h1 …), r over\nrecords (_1 …). _block in place of a phase or tariff means all of them.", stderr)
	asJSON := flags.Bool("json", false, "print one JSON object a line")
	protocol := flags.String("protocol", readEnvironment().Protocol, "`edition` of the standard, 2007 or 1997")
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	version, err := dlt645.ParseVersion(*protocol)
	if err != nil {
		complain(stderr, "items", err)
		return 2
	}
	rows := dlt645.Items(version).Search(words...)
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
