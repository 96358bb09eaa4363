package points

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/simplifiedchinese"

	"dlt645-mqtt/protocol"
)

// dictionary is a protocol.Catalogue of a few names.
type dictionary struct {
	protocol.Protocol
	name  string
	items []protocol.ItemDescription
}

func (d *dictionary) Name() string { return d.name }

func (d *dictionary) ParseAddress(text string) (protocol.Address, error) {
	if text == "" || len(text) > 12 || strings.Trim(text, "0123456789A") != "" {
		return protocol.Address{}, errors.New("not an address")
	}
	return protocol.Address{MeterKey: protocol.MeterKey{Text: strings.Repeat("0", 12-len(text)) + text}, Shared: strings.Contains(text, "A")}, nil
}

func (d *dictionary) AddressForm() (words, example string) { return "12 digits", "000000000001" }

func (d *dictionary) Playing(protocol.Role) string { return "" }

func (d *dictionary) Basic() (names []string) {
	for _, name := range []string{"forward_active_energy", "voltage_a", "voltage_b", "status_3"} {
		if _, ok := d.Describe(name); ok {
			names = append(names, name)
		}
	}
	return names
}

func (d *dictionary) Template() (rows []protocol.TemplateRow) {
	for _, row := range []protocol.TemplateRow{{Item: "forward_active_energy", Interval: 15 * time.Minute}, {Item: "voltage_block", Interval: time.Minute}, {Item: "status_3", Interval: time.Minute}} {
		if _, ok := d.Describe(row.Item); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

func (d *dictionary) Match(pattern string) (names []string, err error) {
	begin, end, some := strings.Cut(pattern, "*")
	for _, item := range d.items {
		if item.Name == pattern || some && strings.HasPrefix(item.Name, begin) && strings.HasSuffix(item.Name, end) {
			names = append(names, item.Name)
		}
	}
	if pattern == "04999999" {
		names = []string{pattern}
	}
	if names == nil {
		return nil, fmt.Errorf("%w: %q is not there", protocol.ErrUnknownItem, pattern)
	}
	return names, nil
}

func (d *dictionary) Describe(name string) (protocol.ItemDescription, bool) {
	i := slices.IndexFunc(d.items, func(item protocol.ItemDescription) bool { return item.Name == name })
	if i < 0 {
		return protocol.ItemDescription{}, false
	}
	return d.items[i], true
}

func number(name, unit string) protocol.ItemDescription {
	return protocol.ItemDescription{Name: name, Unit: unit, Form: protocol.FormNumber, Decimals: 1, Digits: 4}
}

// testSite has two meters of the newer kind and one of the older, which lacks status_3.
func testSite() Site {
	older := &dictionary{name: "1997", items: []protocol.ItemDescription{
		number("voltage_a", "V"), number("voltage_b", "V"), {Name: "voltage_block"}, number("forward_active_energy", "kWh"),
	}}
	newer := &dictionary{name: "2007", items: append(slices.Clone(older.items), protocol.ItemDescription{Name: "status_3", Form: protocol.FormText})}
	return Site{
		Meters:  []Subject{{"main", "000000000001", newer}, {"shop", "000000000002", newer}, {"old", "000000000003", older}},
		Default: newer,
	}
}

// brief writes points for people: meter, item and what is not usual.
func brief(list []Point) string {
	var lines []string
	for _, p := range list {
		line := fmt.Sprintf("%s %s %v", p.Meter, p.Item, p.Interval)
		if p.Min != nil {
			line += " min " + p.Min.String()
		}
		if p.Max != nil {
			line += " max " + p.Max.String()
		}
		if p.Deadband.Coefficient != 0 {
			line += " band " + p.Deadband.String()
		}
		if p.Name != "" {
			line += fmt.Sprintf(" %q", p.Name)
		}
		if !p.Retain {
			line += " unretained"
		}
		if !p.Discovery {
			line += " undiscovered"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestParse(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"plain":                   {"meter,item,interval,min,max,deadband\nmain,voltage_a,10s,207.0,253.0,0.5\n", "main voltage_a 10s min 207.0 max 253.0 band 0.5"},
		"only what it must have":  {"meter,item\nmain,voltage_a\n", "main voltage_a 1m0s"},
		"any order of columns":    {"item,interval,meter\nvoltage_a,90,main\n", "main voltage_a 1m30s"},
		"every column":            {"meter,item,interval,min,max,deadband,name,retain,discovery\nmain,voltage_a,15m,,,,\"Volts, phase A\",no,FALSE\n", `main voltage_a 15m0s "Volts, phase A" unretained undiscovered`},
		"a byte order mark":       {"\uFEFFmeter,item\nmain,voltage_a\n", "main voltage_a 1m0s"},
		"CRLF and blank rows":     {"meter,item,interval\r\n\r\nmain,voltage_a,\r\n,,\r\n", "main voltage_a 1m0s"},
		"semicolons":              {"meter;item;min\nmain;voltage_a;207.0\n", "main voltage_a 1m0s min 207.0"},
		"tabs":                    {"meter\titem\nmain\tvoltage_a\n", "main voltage_a 1m0s"},
		"tabs and empty cells":    {"meter\titem\tinterval\tmin\tmax\nmain\tvoltage_a\t\t\t253.0\n", "main voltage_a 1m0s max 253.0"},
		"a comment at the top":    {"# meters; with limits; in volts\n\n# see the plan\nmeter,item\nmain,voltage_a\n", "main voltage_a 1m0s"},
		"a comment with a comma":  {"# meters, with limits, in volts\r\nmeter;item;min\r\nmain;voltage_a;207.0\r\n", "main voltage_a 1m0s min 207.0"},
		"a comment":               {"# our meters\nmeter,item\n# the first\nmain,voltage_a\n", "main voltage_a 1m0s"},
		"a header in Chinese":     {"电表,数据项,间隔,下限,上限,死区,名称,保留,自动发现\nmain,voltage_a,1h,-1,1,0.1,进线电压,是,否\n", `main voltage_a 1h0m0s min -1 max 1 band 0.1 "进线电压" undiscovered`},
		"a pattern":               {"meter,item\nmain,voltage_*\n", "main voltage_a 1m0s\nmain voltage_b 1m0s"},
		"every meter":             {"meter,item\n*,voltage_a\n", "main voltage_a 1m0s\nshop voltage_a 1m0s\nold voltage_a 1m0s"},
		"every meter that has it": {"meter,item\n*,status_3\n", "main status_3 1m0s\nshop status_3 1m0s"},
		"a named meter's address": {"meter,item\n000000000002,voltage_a\n", "shop voltage_a 1m0s"},
		"another address":         {"meter,item\n000000000009,voltage_a\n", "000000000009 voltage_a 1m0s"},
		"short addresses":         {"meter,item\n2,voltage_a\n1@2007,voltage_b\n9,voltage_a\n000000000010@2007,voltage_a\n", "shop voltage_a 1m0s\nmain voltage_b 1m0s\n000000000009 voltage_a 1m0s\n000000000010 voltage_a 1m0s"},
		"the protocol of a meter": {"meter,item\n3@1997,voltage_a\n", "old voltage_a 1m0s"},
		"an unknown identifier":   {"meter,item\nmain,04999999\n", "main 04999999 1m0s"},
		"retain said once":        {"meter,item,retain\nmain,voltage_a,no\nmain,voltage_b,\nshop,voltage_a,\n", "main voltage_a 1m0s unretained\nmain voltage_b 1m0s unretained\nshop voltage_a 1m0s"},
		"only a header":           {"meter,item\n", ""},
		"basic":                   {"basic", brief(Basic(testSite()).Points)},
		"off":                     {" off\n", ""},
	} {
		table, err := Parse([]byte(row.text), testSite())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := brief(table.Points); got != row.want {
			t.Errorf("%s: the points are\n%s\nwant\n%s", name, got, row.want)
		}
	}
}

// TestParseProblems has one thing wrong a row; all are found at once, each with row and column.
func TestParseProblems(t *testing.T) {
	const header = "meter,item,interval,min,max,deadband,name,retain,discovery\n"
	rows := []struct{ cells, want string }{
		{"nobody,voltage_a", "meter: \"nobody\" is neither the name of a meter"},
		{",voltage_a", "meter: is missing"},
		{"1.12E+11,voltage_a", "meter: \"1.12E+11\" is what a spreadsheet makes of long numbers"},
		{"4711@1997,voltage_a", "meter: no meter of DLT645_METERS has the address 4711 and speaks 1997"},
		{"AAAAAAAAAAAA,voltage_a", "meter: \"AAAAAAAAAAAA\" is neither"},
		{"main,", "item: is missing"},
		{"main,voltage_z", "item: \"voltage_z\" is not there"},
		{"main,2010100", "item: \"2010100\" has 7 digits in place of 8"},
		{"main,2.01E+06", "item: \"2.01E+06\" is what a spreadsheet makes"},
		{"main,voltage_block", "item: voltage_block has several values"},
		{"old,status_3", "item: \"status_3\" is not there"},
		{"main,voltage_a,soon", "interval: \"soon\" is no interval"},
		{"main,voltage_b,0", "interval: \"0\" is no interval"},
		{"shop,voltage_a,1500ms", "interval: \"1500ms\" is no interval"},
		{"shop,voltage_b,25h", "interval: \"25h\" is no interval"},
		{`old,voltage_a,,"207,0"`, "min: \"207,0\" is no number"},
		{"old,voltage_b,,2,1", "min: 2 is above max, 1"},
		{"main,status_3,,,1", "max: status_3 is no number"},
		{"000000000007,voltage_a,,,,-1", "deadband: -1 is negative"},
		{"000000000007,voltage_*,,,,,Volts", "name: voltage_* is 2 items"},
		{"000000000008,voltage_a,,,,,,maybe", "retain: \"maybe\" is neither yes nor no"},
		{"000000000008,voltage_b,,,,,,,perhaps", "discovery: \"perhaps\" is neither"},
		{"main,voltage_a", "item: voltage_a of main stands in row 13 already"},
		{"000000000009,voltage_a,,,,,,yes", ""},
		{"000000000009,voltage_b,,,,,,no", "retain: no, but row 25 says yes"},
		{"000000000009,status_3,,,,,,,,more", "\"more\" stands behind the last column"},
	}
	text := header
	for _, row := range rows {
		text += row.cells + "\n"
	}
	_, err := Parse([]byte(text), testSite())
	var problems Problems
	if !errors.As(err, &problems) {
		t.Fatalf("the error is %v", err)
	}
	found := map[int][]string{}
	for _, p := range problems {
		found[p.Row] = append(found[p.Row], p.String())
	}
	for i, row := range rows {
		got := found[i+2]
		if row.want == "" {
			if len(got) > 0 {
				t.Errorf("%q: %q, want nothing", row.cells, got)
			}
			continue
		}
		if !slices.ContainsFunc(got, func(p string) bool { return strings.Contains(p, row.want) }) {
			t.Errorf("%q: %q, want %q", row.cells, got, row.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, row := range map[string]struct{ text, want string }{
		"nothing":             {"", "the table is empty"},
		"no header":           {"main,voltage_a\n", `row 1: "main" is no column`},
		"a column twice":      {"meter,item,Meter\n", "row 1: the column meter stands there twice"},
		"no item":             {"meter,interval\nmain,10s\n", "row 1: the column item is missing"},
		"a quote left open":   {"meter,item\nmain,\"voltage_a\n", "row 2: "},
		"a workbook":          {"PK\x03\x04\x14\x00\x06\x00", "save it as CSV UTF-8"},
		"an old workbook":     {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "save it as CSV UTF-8"},
		"neither of the sets": {"meter,item\nmain,\xFF\xFF\n", "neither UTF-8 nor GB18030"},
	} {
		if _, err := Parse([]byte(row.text), testSite()); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
	}
	if _, err := Parse([]byte("meter,item\n*,voltage_a\n"), Site{}); err == nil || !strings.Contains(err.Error(), "set DLT645_METERS") {
		t.Errorf("every one of no meters: %v", err)
	}
}

// TestGB18030 reads what Excel saves in China, and keeps it as UTF-8.
func TestGB18030(t *testing.T) {
	const text = "电表,数据项,名称\nmain,voltage_a,进线电压\n"
	saved, err := simplifiedchinese.GB18030.NewEncoder().String(text)
	if err != nil || saved == text {
		t.Fatalf("%q (%v)", saved, err)
	}
	table, err := Parse([]byte(saved), testSite())
	if err != nil {
		t.Fatal(err)
	}
	if table.Text != text || len(table.Points) != 1 || table.Points[0].Name != "进线电压" {
		t.Errorf("the table is %+v", table)
	}
	same, err := Parse([]byte("\uFEFF"+text), testSite())
	if err != nil || same.Hash() != table.Hash() {
		t.Errorf("the same in UTF-8 has the hash %s, want %s (%v)", same.Hash(), table.Hash(), err)
	}
}

func TestParseJSON(t *testing.T) {
	table, err := ParseJSON([]byte(`[{"meter":"main","item":"voltage_*","interval":10,"max":253.0,"deadband":"0.50"},
		{"meter":"shop","item":"voltage_a","interval":"15m","retain":false,"discovery":true,"name":null}]`), testSite())
	if err != nil {
		t.Fatal(err)
	}
	want := "main voltage_a 10s max 253.0 band 0.50\nmain voltage_b 10s max 253.0 band 0.50\nshop voltage_a 15m0s unretained"
	if got := brief(table.Points); got != want {
		t.Errorf("the points are\n%s\nwant\n%s", got, want)
	}
	twin, err := Parse([]byte(table.Text), testSite())
	if err != nil || brief(twin.Points) != want {
		t.Errorf("as CSV it is %q, which reads as\n%v (%v)", table.Text, twin, err)
	}
	for text, want := range map[string]string{
		`{}`:  `"points" must be an array`,
		`[1]`: `"points" must be an array`,
		`[{"meter":"main","item":"voltage_a","color":"red"}]`: `row 1: "color" is no key of a point`,
		`[{"meter":"main","item":["voltage_a"]}]`:             "row 1, item: must be a string",
		`[{"meter":"main"}]`:                                  "row 1, item: is missing",
		`[{"meter":"main","item":"voltage_a","max":1e3}]`:     `row 1, max: "1e3" is no number`,
	} {
		if _, err := ParseJSON([]byte(text), testSite()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// toCSV writes points as a table, one row each.
func toCSV(list []Point) string {
	rows := make([]tableRow, len(list))
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
		rows[i] = tableRow{cells: cells}
	}
	return writeCSV(rows)
}

// TestCSV writes points that read back as the same.
func TestCSV(t *testing.T) {
	first, err := Parse([]byte("meter,item,interval,min,max,deadband,name,retain,discovery\nmain,voltage_*,90,1.0,2,0.5,,no,no\nshop,forward_active_energy,15m,,,,\"a \"\"name\"\", so\",,\n"), testSite())
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse([]byte(toCSV(first.Points)), testSite())
	if err != nil || brief(again.Points) != brief(first.Points) {
		t.Errorf("%s\nreads as\n%v (%v), want\n%s", toCSV(first.Points), again, err, brief(first.Points))
	}
}

func TestTableOf(t *testing.T) {
	table := Basic(testSite())
	if got := table.Meters(); !slices.Equal(got, []string{"main", "shop", "old"}) {
		t.Errorf("the meters are %v", got)
	}
	if got := brief(table.Of("old")); got != "old forward_active_energy 1m0s\nold voltage_a 1m0s\nold voltage_b 1m0s" {
		t.Errorf("old has\n%s", got)
	}
	if got := table.Of("nobody"); got != nil {
		t.Errorf("nobody has %v", got)
	}
}

func TestMostPoints(t *testing.T) {
	var text strings.Builder
	text.WriteString("meter,item\n")
	for i := range mostPoints + 1 {
		fmt.Fprintf(&text, "%012d,voltage_a\n", 1000+i)
	}
	if _, err := Parse([]byte(text.String()), testSite()); err == nil || !strings.Contains(err.Error(), "more than 10000 points") {
		t.Errorf("%v, want too many points", err)
	}
}

func TestMostPatterns(t *testing.T) {
	text := "meter,item\n"
	for i := range mostPatterns + 1 {
		text += fmt.Sprintf("main,voltage_*%d\n", i)
	}
	if _, err := Parse([]byte(text), testSite()); err == nil || !strings.Contains(err.Error(), "row 202, item: the table has more than 200 different patterns") {
		t.Errorf("%v, want too many patterns", err)
	}
}

// FuzzParse looks for tables that break the reader, or that read as another table when they
// are written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("meter,item,interval,min,max,deadband\nmain,voltage_*,10s,207.0,253.0,0.5\n"))
	f.Add([]byte("电表;数据项\n*;voltage_a\n"))
	site := testSite()
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := Parse(text, site)
		if err != nil {
			return
		}
		again, err := Parse([]byte(toCSV(table.Points)), site)
		if err != nil || brief(again.Points) != brief(table.Points) {
			t.Errorf("%q reads as\n%s\nand then as\n%v (%v)", text, brief(table.Points), again, err)
		}
	})
}
