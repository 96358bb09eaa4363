package points

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// A compiler turns rows into points and collects every problem on the way.
type compiler struct {
	site     Site
	points   []Point
	problems Problems
	rows     map[string]int      // of each meter and item
	retain   map[string]tableRow // the row that says whether a meter's state is retained
	matches  map[match]matched
	patterns int  // with * that were looked up
	full     bool // there would be more than mostPoints
}

type match struct {
	items   protocol.Catalogue
	pattern string
}

type matched struct {
	descriptions []protocol.ItemDescription // of what has one value
	others       []string                   // blocks and records
	err          error
}

// compile checks rows against a site. problems are those that were found before.
func compile(text string, rows []tableRow, problems Problems, site Site) (*Table, error) {
	c := &compiler{site: site, problems: problems, rows: map[string]int{}, retain: map[string]tableRow{}, matches: map[match]matched{}}
	for _, r := range rows {
		c.row(r)
		if c.full {
			c.complain(r, "", "the table has more than %d points", mostPoints)
			break
		}
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	for i := range c.points {
		c.points[i].Retain = c.retain[c.points[i].Meter].cells[columnRetain] != no
	}
	return &Table{Points: c.points, Text: text}, nil
}

func (c *compiler) complain(r tableRow, column, format string, arguments ...any) {
	c.problems = append(c.problems, Problem{Row: r.number, Column: column, Message: fmt.Sprintf(format, arguments...)})
}

// row makes the points of one row.
func (c *compiler) row(r tableRow) {
	p := Point{
		Row: r.number, Name: r.cells[columnName],
		Interval: c.interval(r), Spread: r.cells[columnInterval] == "", Min: c.decimal(r, columnMin), Max: c.decimal(r, columnMax),
	}
	if band := c.decimal(r, columnDeadband); band != nil {
		if p.Deadband = *band; band.Coefficient < 0 {
			c.complain(r, columnDeadband, "%s is negative; it is how much a value may change without being published", band)
		}
	}
	if p.Min != nil && p.Max != nil && p.Min.Compare(*p.Max) > 0 {
		c.complain(r, columnMin, "%s is above max, %s", p.Min, p.Max)
	}
	r.cells[columnRetain] = c.word(r, columnRetain)
	meters := c.meters(r)
	if r.cells[columnItem] == "" {
		c.complain(r, columnItem, "is missing: write the name of an item, such as voltage_a, or a pattern, such as voltage_*")
		return
	}
	var failed error
	found := false
	for _, m := range meters {
		of := c.match(m.Items, r.cells[columnItem])
		if of.err != nil {
			failed = of.err
			continue
		}
		found = true
		if len(c.points)+len(of.descriptions) > mostPoints {
			c.full = true
			return
		}
		c.expand(r, p, m, of)
	}
	if failed != nil && (!found || r.cells[columnMeter] != everyMeter) {
		c.complain(r, columnItem, "%v", failed)
	}
}

// expand adds the points that a row means for one meter.
func (c *compiler) expand(r tableRow, p Point, m Subject, of matched) {
	p.Meter = m.Name
	if p.Name != "" && len(of.descriptions) > 1 {
		c.complain(r, columnName, "%s is %d items, which cannot all have the name %q", r.cells[columnItem], len(of.descriptions), cut(p.Name))
	}
	if say := r.cells[columnRetain]; say != "" {
		if before, ok := c.retain[m.Name]; ok && before.cells[columnRetain] != say {
			c.complain(r, columnRetain, "%s, but row %d says %s; all points of %s are in one state, which is retained or not", say, before.number, before.cells[columnRetain], m.Name)
		}
		c.retain[m.Name] = r
	}
	for _, d := range of.descriptions {
		p.Item, p.Description = d.Name, d
		p.Discovery = c.word(r, columnDiscovery) != no
		if d.Role == protocol.RoleClock {
			p.Discovery = c.word(r, columnDiscovery) == yes
		}
		key := m.Name + "/" + p.Item
		if row, twice := c.rows[key]; twice {
			c.complain(r, columnItem, "%s of %s stands in row %d already", p.Item, m.Name, row)
			continue
		}
		c.rows[key] = r.number
		if d.Form != protocol.FormNumber {
			for _, column := range []string{columnMin, columnMax, columnDeadband} {
				if r.cells[column] != "" {
					c.complain(r, column, "%s is no number, so it has neither limits nor a deadband", p.Item)
				}
			}
		}
		c.points = append(c.points, p)
	}
}

// everyMeter in the column meter stands for every meter that has a name.
const everyMeter = "*"

// meters returns the meters that a row is about.
func (c *compiler) meters(r tableRow) []Subject {
	text := r.cells[columnMeter]
	switch text {
	case "":
		words, _ := c.site.Default.AddressForm()
		c.complain(r, columnMeter, "is missing: write the name of a meter, or its address of %s", words)
		return nil
	case everyMeter:
		if len(c.site.Meters) == 0 {
			c.complain(r, columnMeter, "* stands for every meter that has a name, and there is none; set DLT645_METERS")
		}
		return c.site.Meters
	}
	found := c.addressed(text)
	if len(found) == 1 && found[0].Name == text {
		return found
	}
	if len(found) > 1 { // of several protocols: that of meters without a name goes first
		of := slices.DeleteFunc(slices.Clone(found), func(m Subject) bool { return m.Items.Family() != c.site.Default.Family() })
		if len(of) != 1 {
			c.complain(r, columnMeter, "%s and %s both have the address %q; write the name of the one that is meant", found[0].Name, found[1].Name, cut(text))
			return nil
		}
		found = of
	}
	if len(found) == 1 {
		return found
	}
	words, example := c.site.Default.AddressForm()
	own, spoken, _ := strings.Cut(text, "@")
	address, err := c.site.Default.ParseAddress(own)
	switch {
	case spoken != "" && spoken != c.site.Default.Name():
		c.complain(r, columnMeter, "no meter of DLT645_METERS has the address %s and speaks %s; name it there, for without a name only meters of protocol %s are known", cut(own), cut(spoken), c.site.Default.Name())
		return nil
	case err == nil && !address.Shared:
		return []Subject{{Name: address.Text, Address: address.Text, Items: c.site.Default}}
	}
	if hint := spoilt(text, len(example)); hint != "" {
		c.complain(r, columnMeter, "%q %s", cut(text), hint)
		return nil
	}
	hint := protocol.Hint(text, func(yield func(string) bool) {
		for _, m := range c.site.Meters {
			if !yield(m.Name) {
				return
			}
		}
	})
	c.complain(r, columnMeter, "%q is neither the name of a meter (DLT645_METERS) nor the address of one, %s%s", cut(text), words, hint)
	return nil
}

// addressed returns the meter of that name, or the named meters whose address is written so: in full, or else short,
// and perhaps with the protocol behind it, as in 4711@1997.
func (c *compiler) addressed(text string) (found []Subject) {
	address, spoken, _ := strings.Cut(text, "@")
	var short []Subject
	for _, m := range c.site.Meters {
		if m.Name == text {
			return []Subject{m}
		}
		if spoken != "" && m.Items.Name() != spoken {
			continue
		}
		if m.Address == address {
			found = append(found, m)
		} else if parsed, err := m.Items.ParseAddress(address); err == nil && parsed.Text == m.Address {
			short = append(short, m)
		}
	}
	if len(found) == 0 {
		return short
	}
	return found
}

var (
	digits     = regexp.MustCompile(`^[0-9]+$`)
	scientific = regexp.MustCompile(`^[0-9]([.,][0-9]+)?[Ee]\+?[0-9]+$`)
)

// spoilt says what a spreadsheet has made of digits, of which there were so many.
func spoilt(text string, whole int) string {
	const advice = "format the column as text and enter it anew"
	switch {
	case scientific.MatchString(text):
		return "is what a spreadsheet makes of long numbers, and the last digits are lost; " + advice
	case digits.MatchString(text) && len(text) < whole:
		return fmt.Sprintf("has %d digits in place of %d; a spreadsheet drops zeros at the beginning: %s", len(text), whole, advice)
	}
	return ""
}

// match finds the items that a cell means, each pattern once.
func (c *compiler) match(items protocol.Catalogue, pattern string) matched {
	key := match{items, pattern}
	if m, ok := c.matches[key]; ok {
		return m
	}
	if strings.Contains(pattern, "*") {
		if c.patterns++; c.patterns > mostPatterns {
			return matched{err: fmt.Errorf("the table has more than %d different patterns with *", mostPatterns)}
		}
	}
	m := find(items, pattern)
	c.matches[key] = m
	return m
}

func find(items protocol.Catalogue, pattern string) (m matched) {
	names, err := items.Match(pattern)
	if err != nil {
		if hint := spoilt(pattern, 8); hint != "" {
			return matched{err: fmt.Errorf("%q %s", cut(pattern), hint)}
		}
		return matched{err: errors.New(strings.TrimPrefix(err.Error(), protocol.ErrUnknownItem.Error()+": "))}
	}
	for _, name := range names {
		d, known := items.Describe(name)
		switch {
		case !known:
			d = protocol.ItemDescription{Name: name, Form: protocol.FormText}
			fallthrough
		case d.Form != protocol.FormOther:
			m.descriptions = append(m.descriptions, d)
		default:
			m.others = append(m.others, name)
		}
	}
	if len(m.descriptions) == 0 {
		m.err = fmt.Errorf("%s has several values, or is a record; a point is one value; records are read with a read request", strings.Join(m.others[:min(len(m.others), 3)], ", "))
	}
	return m
}

// interval reads how often a point is polled.
func (c *compiler) interval(r tableRow) time.Duration {
	text := r.cells[columnInterval]
	if text == "" {
		return defaultInterval
	}
	d, err := time.ParseDuration(text)
	if seconds, noUnit := strconv.ParseUint(text, 10, 32); noUnit == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < shortestInterval || d > longestInterval || d%time.Second != 0 {
		c.complain(r, columnInterval, "%q is no interval: write whole seconds, or as in 10s, 15m, 1h, from 1s to 24h", cut(text))
		return defaultInterval
	}
	return d
}

// decimal reads a number; nil if there is none.
func (c *compiler) decimal(r tableRow, column string) *protocol.Decimal {
	text := r.cells[column]
	if text == "" {
		return nil
	}
	d, err := protocol.ParseDecimal(text)
	if err != nil {
		c.complain(r, column, "%q is no number such as 253.0 or -0.5", cut(text))
		return nil
	}
	return &d
}

// The words for yes and no in a table that is written by us.
const (
	yes = "yes"
	no  = "no"
)

var words = map[string][]string{
	yes: {yes, "y", "true", "1", "on", "是"},
	no:  {no, "n", "false", "0", "off", "否"},
}

// word reads yes, no or nothing.
func (c *compiler) word(r tableRow, column string) string {
	text := strings.ToLower(r.cells[column])
	for word, spellings := range words {
		if slices.Contains(spellings, text) {
			return word
		}
	}
	if text != "" {
		c.complain(r, column, "%q is neither yes nor no", cut(text))
	}
	return ""
}
