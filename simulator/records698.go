package simulator

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol/dlt698"
)

// The columns that say what a row is.
const (
	columnEventStart dlt698.OAD = 0x201E0200
	columnEventEnd   dlt698.OAD = 0x20200200
	columnFreezeTime dlt698.OAD = 0x20210200
	columnEvent      dlt698.OAD = 0x20220200
	columnFreeze     dlt698.OAD = 0x20230200
)

// depths698 are how many rows the meter keeps of each freeze.
var depths698 = map[uint16]int{0x5000: mostAtOnce, 0x5002: 1000, 0x5003: mostHourly, 0x5004: mostDaily, 0x5006: mostTimed}

// A row698 is one row of a record.
type row698 struct {
	number   int // from 1, the latest
	at       time.Time
	end      time.Time // of an event
	isFreeze bool
}

// rows answers a request for rows of a record.
func (m *Meter698) rows(e dlt698.Entry, at time.Time) dlt698.Entry {
	came := dlt698.Entry{OAD: e.OAD, Columns: e.Columns}
	table, ok := m.table(e.OAD, at)
	if !ok || e.OAD.Attribute() == 0 {
		came.DAR = darAbsent
		return came
	}
	selected, ok := selectRows(table, e.RSD)
	switch {
	case !ok:
		came.DAR = darRange
		return came
	case m.options.SameRow:
		selected = table[:min(len(table), 1)]
	case m.options.OneRow && len(selected) > 1:
		selected = selected[len(selected)-1:]
	}
	if len(came.Columns) == 0 {
		came.Columns = dlt698.Columns(columnFreezeTime, 0x00100200, 0x00200200)
	}
	came.Has = true
	for _, row := range selected {
		for _, c := range came.Columns {
			came.Cells = append(came.Cells, m.cell(row, c.OAD))
		}
	}
	return came
}

// cell returns a column of a row; without a value where the meter does not keep it.
func (m *Meter698) cell(row row698, column dlt698.OAD) dlt698.Data {
	switch column {
	case columnFreezeTime, columnEventStart:
		return dlt698.MomentOf(row.at.In(zone))
	case columnEventEnd:
		return dlt698.MomentOf(row.end.In(zone))
	case columnFreeze, columnEvent:
		return dlt698.NumberOf(dlt698.DoubleLongUnsigned, int64(row.number))
	}
	if row.isFreeze && m.stores(column) {
		if value, ok := m.value(column, row.at); ok {
			return value
		}
	}
	return dlt698.Data{Tag: dlt698.Null}
}

// stores reports whether a freeze has the column.
func (m *Meter698) stores(column dlt698.OAD) bool {
	item, ok := dlt698.Items().Lookup(column)
	switch {
	case !ok:
	case m.options.Stores == WholeColumns:
		return column.Index() == 0
	case m.options.Stores == ElementColumns:
		return !item.IsBlock()
	}
	return true
}

// table returns the rows of a record, the latest first.
func (m *Meter698) table(oad dlt698.OAD, at time.Time) (rows []row698, ok bool) {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	oi := oad.OI()
	if oi>>12 == 3 {
		return m.eventTable(oi, at)
	}
	depth, ok := depths698[oi]
	if !ok || oad.Attribute() != 2 {
		return nil, false
	}
	for n := range depth {
		var t time.Time
		switch i := instantOf(at); oi {
		case 0x5000:
			if n >= len(m.frozen) {
				return rows, true
			}
			t = m.frozen[len(m.frozen)-1-n]
		case 0x5002:
			t = (i/(15*minute) - instant(n)).quarter()
		case 0x5003:
			t = (i/hour*hour - instant(n)*hour).time()
		case 0x5004:
			t = freezePattern{0, 0, every, every}.latest(at).AddDate(0, 0, -n)
		case 0x5006:
			t = monthStart(at, n)
		}
		if instantOf(t) < max(m.engine.cleared, 0) {
			return rows, true
		}
		rows = append(rows, row698{number: n + 1, at: t, isFreeze: true})
	}
	return rows, true
}

// quarter returns the time of a quarter of an hour, counted from epoch.
func (i instant) quarter() time.Time { return (i * 15 * minute).time() }

// eventTable returns the rows of events: of power failures, and of clocks set.
func (m *Meter698) eventTable(oi uint16, at time.Time) (rows []row698, ok bool) {
	switch oi {
	case 0x3011:
		count, record := m.engine.history(eventPowerDown, at)
		for n := 1; n <= min(count, 10); n++ {
			b := record(n)
			start, _ := momentBCD(b[:6])
			end, _ := momentBCD(b[6:])
			rows = append(rows, row698{number: n, at: start, end: end})
		}
	case 0x3016:
		if m.sets > 0 {
			rows = append(rows, row698{number: 1, at: m.lastSet[0], end: m.lastSet[1]})
		}
	default:
		if _, ok := dlt698.Items().Lookup(dlt698.OAD(oi)<<16 | 0x0201); !ok {
			if _, ok := dlt698.Items().Lookup(dlt698.OAD(oi)<<16 | 0x0601); !ok {
				return nil, false
			}
		}
	}
	return rows, true
}

// selectRows returns the rows that a selector means, the oldest first.
func selectRows(table []row698, s dlt698.RSD) (selected []row698, ok bool) {
	column := func(t time.Time, value dlt698.Data) int { return t.Compare(dlt698Moment(value)) }
	switch s.Selector {
	case dlt698.SelectNone:
		selected = slices.Clone(table)
	case dlt698.SelectLast:
		if n := int(s.Last); n >= 1 && n <= len(table) {
			selected = table[n-1 : n]
		}
		return selected, true
	case dlt698.SelectValue, dlt698.SelectRange:
		if s.OAD != columnFreezeTime && s.OAD != columnEventStart {
			return nil, false
		}
		for _, row := range table {
			if s.Selector == dlt698.SelectValue && column(row.at, s.Values[0]) == 0 ||
				s.Selector == dlt698.SelectRange && column(row.at, s.Values[0]) >= 0 && column(row.at, s.Values[1]) < 0 {
				selected = append(selected, row)
			}
		}
	default:
		return nil, false
	}
	slices.Reverse(selected)
	return selected, true
}
