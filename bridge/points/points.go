package points

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// The bounds of a table.
const (
	shortestInterval = time.Second
	longestInterval  = 24 * time.Hour
	defaultInterval  = time.Minute
	mostPoints       = 10_000
	mostPatterns     = 200 // that differ: each is compared with tens of thousands of names
)

// The tables that need no file.
const (
	BasicText = "basic" // a few values of every named meter
	OffText   = "off"   // nothing
)

// A Point is one value of one meter that is polled.
type Point struct {
	Meter    string // its name, or its address if it has none
	Item     string // of an item or of a value of one, as replies are keyed
	Interval time.Duration
	Spread   bool              // the interval was not asked for, so it need not be on the clock
	Min, Max *protocol.Decimal // nil: no limit
	Deadband protocol.Decimal  // a change that is not larger is not worth a message of its own
	Name     string            // what people call it; empty: what the dictionary says

	// Retain is about the state that the value is in, and the same in all points of a meter.
	Retain    bool
	Discovery bool // announced to Home Assistant; a clock only if the table says so, since it shows another value at each reading

	Description protocol.ItemDescription // what the dictionary says; Form is FormText where it says nothing
	Row         int                      // in the text that the table was read from
}

// A Table is a set of points that fits its meters. It does not change.
type Table struct {
	Points []Point // in the order of the rows
	Text   string  // what it was read from: CSV in UTF-8, or BasicText, or OffText
}

// A Subject is what a table can be about.
type Subject struct {
	Name    string
	Address string // as its protocol spells it
	Items   protocol.Catalogue
}

// A Site is what a table is checked against.
type Site struct {
	Meters  []Subject          // those that have names
	Default protocol.Catalogue // of meters that go by their address only
}

// Hash identifies the table by its text: SHA-256 in hex, of a file in UTF-8 without a byte
// order mark what sha256sum says.
func (t *Table) Hash() string {
	sum := sha256.Sum256([]byte(t.Text))
	return hex.EncodeToString(sum[:])
}

// Of returns the points of a meter, by its name or, if it has none, its address.
func (t *Table) Of(meter string) (points []Point) {
	n := 0
	for i := range t.Points {
		if t.Points[i].Meter == meter {
			n++
		}
	}
	points = slices.Grow(points, n)
	for i := range t.Points {
		if t.Points[i].Meter == meter {
			points = append(points, t.Points[i])
		}
	}
	return points
}

// Meters returns the meters that have points, in the order of the table.
func (t *Table) Meters() (meters []string) {
	seen := map[string]bool{}
	for _, p := range t.Points {
		if !seen[p.Meter] {
			seen[p.Meter] = true
			meters = append(meters, p.Meter)
		}
	}
	return meters
}

// Template returns a table to begin with, in CSV: a row for each meter and each of the usual
// items that its dictionary knows, with room for limits.
func Template(site Site) string {
	var b strings.Builder
	b.WriteString(strings.Join(Columns[:6], ",") + "\n")
	for _, m := range site.Meters {
		for _, row := range m.Items.Template() {
			fmt.Fprintf(&b, "%s,%s,%s,,,\n", m.Name, row.Item, shortest(row.Interval))
		}
	}
	return b.String()
}

// shortest writes an interval as people do: 15m, not 15m0s.
func shortest(d time.Duration) string {
	text := d.String()
	for _, none := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, none) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Basic returns the table of the basic points of every named meter.
func Basic(site Site) *Table {
	t := &Table{Text: BasicText}
	for _, m := range site.Meters {
		for _, item := range m.Items.Basic() {
			if description, ok := m.Items.Describe(item); ok {
				t.Points = append(t.Points, Point{
					Meter: m.Name, Item: item, Interval: defaultInterval, Spread: true, Retain: true, Discovery: description.Role != protocol.RoleClock, Description: description,
				})
			}
		}
	}
	return t
}
