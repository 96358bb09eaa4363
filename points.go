package main

import (
	"context"
	_ "embed" // the demo's table
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// examplePoints is the table that the demo works by.
//
//go:embed examples/points.csv
var examplePoints []byte

// usualSpeeds are the speeds at which a table is weighed, beside that of the bus.
var usualSpeeds = []int{1200, 2400, 4800, 9600, 19200, 115200}

// runPoints explains a point table, or writes one to begin with.
func runPoints(ctx context.Context, arguments []string, in io.Reader, out, stderr io.Writer) int {
	flags := newFlags("points", "check FILE | template", "check FILE explains a point table: what is read of which meter, as which blocks, and which share of the bus it takes\nat which speed. FILE - is standard input. Exit 1 if anything is wrong with it, or if the bus cannot carry it.\ntemplate writes a table to begin with, for the meters of DLT645_METERS; without them, for those that a scan finds.", stderr)
	url := flags.String("bus", "", "bus `URL`, instead of DLT645_BUS_URL")
	asJSON := flags.Bool("json", false, "check: print one JSON object")
	meters := flags.Uint("meters", 0, "template: how `many` meters to scan for; without it all addresses are ruled out, which takes long")
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	check := len(words) == 2 && words[0] == "check"
	if !check && !(len(words) == 1 && words[0] == "template") {
		flags.Usage()
		return 2
	}
	c, err := pointsConfig(*url, check)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	if !check {
		return writeTemplate(ctx, c, *meters, out, stderr)
	}
	text, err := readInput(words[1], in)
	if err != nil {
		complain(stderr, "points", err)
		return 1
	}
	return checkPoints(c, words[1], text, *asJSON, out, stderr)
}

// pointsConfig reads the configuration for the command points. The table of the configuration is
// not needed, and a bus only where a scan has to find the meters.
func pointsConfig(url string, check bool) (config, error) {
	if url == "" && os.Getenv("DLT645_BUS_URL") == "" && (check || os.Getenv("DLT645_METERS") != "") {
		url = "sim://" // of 2400 baud; it is not opened
	}
	if err := setVariables(map[string]string{"DLT645_POINTS": points.OffText, "DLT645_BUS_URL": url}); err != nil {
		return config{}, err
	}
	return readConfig(false)
}

func readInput(file string, in io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

// A checkedTable is what check says of a table, as JSON.
type checkedTable struct {
	OK       bool             `json:"ok"`
	Problems points.Problems  `json:"problems,omitempty"`
	Points   int              `json:"points"`
	Meters   int              `json:"meters"`
	Ratios   []checkedRatios  `json:"ratios,omitempty"` // of the meters behind transformers
	Plan     []checkedRead    `json:"plan,omitempty"`
	Speeds   []checkedAtSpeed `json:"speeds,omitempty"`
}

// checkedRatios says of a meter by what all that is said of it is multiplied.
type checkedRatios struct {
	Meter string           `json:"meter"`
	CT    protocol.Decimal `json:"ct"`
	PT    protocol.Decimal `json:"pt"`
}

type checkedRead struct {
	Meter    string   `json:"meter"`
	Interval string   `json:"interval"`
	Block    string   `json:"block,omitempty"`
	Items    []string `json:"items"`
}

type checkedAtSpeed struct {
	Baud        int     `json:"baud"`
	Budget      float64 `json:"budget"`
	BudgetWorst float64 `json:"budget_worst"`
	Bus         bool    `json:"bus"` // the speed of the bus
}

// checkPoints explains a table.
func checkPoints(c config, name string, text []byte, asJSON bool, out, stderr io.Writer) int {
	table, err := points.Parse(text, meters.Site(c.meters, c.protocol))
	var found checkedTable
	var tooHeavy error
	if err == nil {
		found.Points, found.Meters = len(table.Points), len(table.Meters())
		found.Plan, found.Speeds, tooHeavy, err = weigh(c, table)
		found.Ratios = ratiosOf(c.meters, table.Meters())
	}
	if err != nil && !errors.As(err, &found.Problems) {
		complain(stderr, name, err)
		return 1
	}
	found.OK = err == nil && tooHeavy == nil
	if asJSON {
		_ = json.NewEncoder(out).Encode(found)
	} else {
		for _, p := range found.Problems {
			fmt.Fprintf(stderr, "%s: %s\n", name, say(p.String()))
		}
		if err == nil {
			printChecked(out, name, found)
		}
		if tooHeavy != nil {
			complain(stderr, name, tooHeavy)
		}
	}
	if !found.OK {
		return 1
	}
	return 0
}

// ratiosOf lists the ratios of the meters of a table that are behind transformers.
func ratiosOf(meters []meters.Meter, names []string) (all []checkedRatios) {
	for _, m := range meters {
		primary, ok := m.Protocol.(*protocol.Primary)
		if !ok || !slices.Contains(names, m.Name) {
			continue
		}
		of := checkedRatios{m.Name, protocol.Decimal{Coefficient: 1}, protocol.Decimal{Coefficient: 1}}
		if given := primary.Ratios().Current; given != (protocol.Decimal{}) {
			of.CT = given
		}
		if given := primary.Ratios().Voltage; given != (protocol.Decimal{}) {
			of.PT = given
		}
		all = append(all, of)
	}
	return all
}

// weigh plans a table and finds out what it takes of the wire at the speed of the bus and at others.
func weigh(c config, table *points.Table) (plan []checkedRead, speeds []checkedAtSpeed, tooHeavy, err error) {
	own := c.bus.Baud
	for _, baud := range slices.Compact(slices.Sorted(slices.Values(append([]int{own}, usualSpeeds...)))) {
		c.bus.Baud = baud
		b, _ := newBridge(c, slog.New(slog.DiscardHandler))
		budget, err := b.Budget(table)
		if err != nil {
			return nil, nil, nil, err
		}
		speeds = append(speeds, checkedAtSpeed{baud, budget.Share, budget.Worst, baud == own})
		if baud != own {
			continue
		}
		for _, round := range budget.Rounds {
			for _, read := range round.Reads {
				plan = append(plan, checkedRead{round.Meter, round.Interval.String(), read.Block, read.Items})
			}
		}
		tooHeavy = budget.Err()
	}
	return plan, speeds, tooHeavy, nil
}

func printChecked(out io.Writer, name string, found checkedTable) {
	sayf(out, "%s: %d points of %d meters, %d exchanges\n\n", name, found.Points, found.Meters, len(found.Plan))
	for _, r := range found.Ratios {
		sayf(out, "%s is behind transformers: its currents, and the limits for them, are times %s, voltages times %s, powers, demands and energies times both\n", r.Meter, r.CT, r.PT)
	}
	if len(found.Ratios) > 0 {
		fmt.Fprintln(out)
	}
	table := [][]string{strings.Split(say("METER\tEVERY\tREAD AS\tPOINTS"), "\t")}
	for _, read := range found.Plan {
		as := say("itself")
		if read.Block != "" {
			as = say("block " + read.Block)
		}
		items := strings.Join(read.Items[:min(len(read.Items), 4)], " ")
		if more := len(read.Items) - 4; more > 0 {
			items = say(fmt.Sprintf("%s and %d more, as far as the meter has them", items, more))
		}
		table = append(table, []string{read.Meter, read.Interval, as, items})
	}
	table = append(table, nil, strings.Split(say("BAUD\tSHARE OF THE WIRE\tWITH SLOW METERS"), "\t"))
	for _, at := range found.Speeds {
		note := ""
		if at.Bus {
			note = say("this bus")
		}
		table = append(table, []string{strconv.Itoa(at.Baud), meters.Percent(at.Budget), meters.Percent(at.BudgetWorst), note})
	}
	printColumns(out, table...)
}

// writeTemplate writes a table to begin with.
func writeTemplate(ctx context.Context, c config, count uint, out, stderr io.Writer) int {
	if len(c.meters) == 0 {
		request := map[string]any{}
		if count > 0 {
			request["meters"] = count
		}
		body, err := json.Marshal(request)
		if err != nil {
			complain(stderr, "points", err)
			return 1
		}
		var found struct {
			Error  *struct{ Message string }
			Meters []foundMeter
		}
		if err := json.Unmarshal(scanBus(ctx, c, body, stderr), &found); err != nil {
			complain(stderr, "points", err)
			return 1
		}
		if found.Error != nil || len(found.Meters) == 0 {
			complain(stderr, "points", errors.New("no meter was found; name them in DLT645_METERS"))
			return 1
		}
		for i, m := range found.Meters {
			name := fmt.Sprintf("meter%d", i+1)
			entry := m.entry(c.bus.Settings)
			meter, err := c.meter(name, entry)
			if err != nil {
				complain(stderr, "points", err)
				return 1
			}
			c.meters = append(c.meters, meter)
		}
		sayf(stderr, "the table needs the names of the meters that were found:\n  %s\n", metersLine(found.Meters, c))
	}
	fmt.Fprint(out, points.Template(meters.Site(c.meters, c.protocol)))
	return 0
}
