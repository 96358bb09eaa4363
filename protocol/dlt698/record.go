package dlt698

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// The columns of records that say what a row is.
const (
	oadEventStart   OAD = 0x201E0200
	oadEventEnd     OAD = 0x20200200
	oadFreezeTime   OAD = 0x20210200
	oadEventNumber  OAD = 0x20220200
	oadFreezeNumber OAD = 0x20230200
)

// eventColumns are those of an event that every meter keeps, and the keys under which they are shown.
var eventColumns = []struct {
	oad OAD
	key string
}{{oadEventNumber, "number"}, {oadEventStart, "start"}, {oadEventEnd, "end"}}

// freezeColumns are the columns of a freeze that is asked for as a whole, beside its time: what meters store
// at each.
var freezeColumns = []OAD{0x00100200, 0x00200200}

// minuteColumns are those of the minute freezes, the load record.
var minuteColumns = []OAD{0x00100201, 0x00200201, 0x20000200, 0x20010200, 0x20040200, 0x20050200, 0x200A0200}

// A row is one row of a record to be read, and which of its columns.
type row struct {
	item    Item // the row, of the latest or an earlier record
	columns []Item
	whole   bool     // the usual columns were asked for
	names   []string // of what was asked; an error goes under them
	only    []string // the values that are wanted of the columns, by name; nil: all
}

// wantRow puts what was asked of a row on the list of rows.
func wantRow(rows []row, item Item, name string) []row {
	i := slices.IndexFunc(rows, func(r row) bool { return r.item.OAD == item.OAD })
	if i < 0 {
		i = len(rows)
		rows = append(rows, row{item: item})
		rows[i].item.Column, rows[i].item.Only = nil, ""
		rows[i].item.Name = item.attribute.element(item.OAD.Index())
	}
	r := &rows[i]
	if slices.Contains(r.names, name) {
		return rows
	}
	r.names = append(r.names, name)
	switch {
	case item.Column == nil:
		r.whole = true
	case !slices.ContainsFunc(r.columns, func(c Item) bool { return c.OAD == item.Column.OAD }):
		r.columns = append(r.columns, *item.Column)
	}
	if item.Only != "" {
		r.only = append(r.only, item.Only)
	} else {
		r.only = append(r.only, item.Names()...)
	}
	return rows
}

// failed are the errors of a row that is not tried because of err.
func (r *row) failed(err error) (errs []protocol.ItemError) {
	for _, name := range r.names {
		errs = append(errs, protocol.ItemError{Item: name, Err: err})
	}
	return errs
}

// named gives the errors of the step to what was asked for.
func (r *row) named(errs []protocol.ItemError) (under []protocol.ItemError) {
	for _, e := range errs {
		under = append(under, r.failed(e.Err)...)
	}
	return under
}

// asked returns the columns to be asked for.
func (r *row) asked() (columns []Item) {
	if r.item.attribute.layout == layoutEvent {
		for _, c := range eventColumns {
			columns = append(columns, mustLookup(c.oad))
		}
		return columns
	}
	columns = append(columns, mustLookup(oadFreezeTime))
	usual := r.columns
	if r.whole {
		usual = slices.Clone(usual)
		for _, oad := range columnsOf(r.item.OAD) {
			usual = append(usual, mustLookup(oad))
		}
	}
	for _, c := range usual {
		if !slices.ContainsFunc(columns, func(other Item) bool { return other.OAD == c.OAD }) {
			columns = append(columns, c)
		}
	}
	return columns
}

// columnsOf returns the usual columns of a freeze.
func columnsOf(freeze OAD) []OAD {
	if freeze.OI() == oiMinute {
		return minuteColumns
	}
	return freezeColumns
}

func mustLookup(oad OAD) Item {
	item, ok := Items().Lookup(oad)
	if !ok {
		panic(fmt.Sprintf("the table lacks %s", oad))
	}
	return item
}

func oadsOf(items []Item) []OAD {
	oads := make([]OAD, len(items))
	for i, item := range items {
		oads[i] = item.OAD
	}
	return oads
}

// rowStep is the conversation that reads a row: the n-th last, selector 9.
func (p *reader) rowStep(address Address, r row) protocol.Step {
	step := p.recordStep(address, r.item.OAD.whole(), RSD{Selector: SelectLast, Last: r.item.OAD.Index()}, r.asked(),
		func(columns []Item, e *Entry) (result protocol.Result, err error) {
			if e.Rows() == 0 {
				return result, (darAbsent).refusal(false) // there is no such row
			}
			result.Values, err = r.values(columns, e.Row(0), p.zone)
			if r.item.attribute.layout == layoutFreeze {
				asked := r.asked()
				result.Values = slices.DeleteFunc(result.Values, func(v protocol.Value) bool { return !r.hasColumn(asked, v.Name) })
			}
			return result, err
		})
	step.Items = r.names
	if !r.whole && r.item.attribute.layout == layoutFreeze {
		step.Only = r.only
	}
	step.Key = string(step.First.Request)
	return step
}

// recordStep is the conversation that reads rows of a record. done takes the columns that were asked for: where wanted has
// elements of an attribute, all of it may be among them.
func (p *reader) recordStep(address Address, record OAD, rows RSD, wanted []Item, done func(columns []Item, e *Entry) (protocol.Result, error)) protocol.Step {
	made := func(columns []Item) *get {
		g := &get{
			address: address, record: true, sealed: p.right(record) == rightRandom, never: p.right(record) == rightNone,
			asked: []Entry{{OAD: record, RSD: rows, Columns: Columns(oadsOf(columns)...)}},
		}
		g.done = func(came []Entry) (protocol.Result, error) {
			e := &came[0]
			if e.Rows() > 0 && len(e.Columns) != len(columns) {
				return protocol.Result{}, garbled("a record of %s has %d columns where %d were asked for", record, len(e.Columns), len(columns))
			}
			return done(columns, e)
		}
		return g
	}
	columns := p.columns(record, wanted)
	g := made(columns)
	g.other = func(came []Entry) (*get, map[string]string) {
		otherwise, learned := p.otherwise(record, wanted, columns, &came[0])
		if learned == nil {
			return nil, nil
		}
		other := made(otherwise)
		read := other.done
		other.done = func(came []Entry) (protocol.Result, error) {
			result, err := read(came)
			if err == nil {
				result.Learned = learned(&came[0])
			}
			return result, err
		}
		return other, learned(nil)
	}
	step := protocol.Step{
		Meter: p.key(address), Line: &line, Class: p.class, Kind: protocol.KindRecord, Repeatable: true, First: g.first(),
		Expected: emptyFrame + usualAddress + answerHead + 2,
	}
	for _, c := range columns {
		step.Expected += entryHead + c.expected()
	}
	step.First.Usual = max(usualAnswer, line.Leading+step.Expected+64)
	return step
}

// hasColumn reports whether a value of a row is one of the columns.
func (r *row) hasColumn(columns []Item, name string) bool {
	return slices.ContainsFunc(columns, func(c Item) bool {
		return slices.ContainsFunc(c.Names(), func(value string) bool {
			return frozenName(r.item.attribute.base, value, r.item.OAD.Index()) == name
		})
	})
}

// values reads the columns of a row under their names in it. An event becomes an object.
func (r *row) values(columns []Item, cells []Data, zone *time.Location) (values []protocol.Value, err error) {
	if r.item.attribute.layout == layoutEvent {
		event := map[string]any{}
		for i, c := range columns {
			of, err := c.Decode(cells[i], zone)
			if err != nil {
				return nil, &unreadableError{err}
			}
			event[eventColumns[i].key] = of[0].Data
		}
		return []protocol.Value{{Name: r.item.Name, Data: event}}, nil
	}
	occasion := r.item.attribute.base
	for i, c := range columns {
		of, err := c.Decode(cells[i], zone)
		if err != nil {
			return nil, &unreadableError{err}
		}
		for _, value := range of {
			value.Name = frozenName(occasion, value.Name, r.item.OAD.Index())
			values = append(values, value)
		}
	}
	return values, nil
}

// frozenName returns the name of a value in a row of a freeze, as in daily_freeze_voltage_a_1.
func frozenName(freeze, value string, index byte) string {
	if value == "freeze_time" {
		value = "time"
	}
	if demand, ok := strings.CutSuffix(value, timeSuffix); ok && value != "time" {
		return fmt.Sprintf("%s_%s_%d%s", freeze, demand, index, timeSuffix)
	}
	return fmt.Sprintf("%s_%s_%d", freeze, value, index)
}
