package cjt188

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
)

// The items that the package knows by name.
const (
	itemClock      = "clock"
	itemVolume     = "volume"
	itemSettleDay  = "settlement_day"
	itemReadingDay = "reading_day"
)

// most returns the most bytes that an identifier has behind SER.
func (d *dictionary) most(di DI) (most int) {
	for _, f := range families {
		most = max(most, d.layouts[layoutKey{di, f}].size())
	}
	return most
}

// names returns the names of all values that the layout brings.
func (l layout) names() (names []string) {
	for _, v := range l {
		names = append(names, v.name)
		if v.kind == status {
			names = append(names, valveItem, batteryItem)
		}
	}
	return names
}

// of returns the layouts of an identifier: of one family, or of all where that is not known.
func (d *dictionary) of(di DI, f family) (layouts []layout) {
	for _, each := range families {
		if l := d.layouts[layoutKey{di, each}]; l != nil && (f == "" || f == each) {
			layouts = append(layouts, l)
		}
	}
	return layouts
}

// find returns the first identifier that holds an item of meters of a family.
func (d *dictionary) find(name string, f family) (DI, string, error) {
	if called, ok := vocabulary().Name(name); ok {
		name = called
	}
	for _, di := range d.order {
		for _, l := range d.of(di, f) {
			if slices.Contains(l.names(), name) {
				return di, name, nil
			}
		}
	}
	if f != "" {
		if di, _, err := d.find(name, ""); err == nil {
			var others []string
			for _, other := range families {
				if l := d.layouts[layoutKey{di, other}]; slices.Contains(l.names(), name) {
					others = append(others, string(other))
				}
			}
			return 0, "", fmt.Errorf("%w: %s is an item of other meters of CJ/T 188 (%s); this one is of %s", protocol.ErrUnknownItem, name, strings.Join(others, ", "), f)
		}
	}
	return 0, "", fmt.Errorf("%w: %q is neither the name of an item of CJ/T 188 nor an identifier of four hex digits, such as 901F; the command items searches the names%s", protocol.ErrUnknownItem, name, vocabulary().Hint(name))
}

// vocabulary is what the items are called.
var vocabulary = sync.OnceValue(func() *protocol.Vocabulary {
	v := &protocol.Vocabulary{}
	for _, row := range allRows() {
		v.Add(row.Name, row.TextZH)
	}
	return v
})

// all returns the names of all items and values of a family, in the order of the table.
func (d *dictionary) all(f family) (names []string) {
	for _, di := range d.order {
		for _, l := range d.of(di, f) {
			for _, name := range l.names() {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// Match returns the names that a pattern matches. See [protocol.Catalogue].
func (m *Meters) Match(pattern string) ([]string, error) {
	f := m.options.of.family()
	var own []string
	for _, di := range slices.Sorted(maps.Keys(m.own)) {
		own = append(own, m.own[di].Name)
	}
	if !strings.Contains(pattern, "*") {
		if _, item, ok := m.ownOf(pattern); ok {
			return []string{item.Name}, nil
		}
		if di, err := ParseDI(pattern); err == nil {
			if item, ok := m.own[di]; ok {
				return []string{item.Name}, nil
			}
			if layouts := table().of(di, f); len(layouts) > 0 {
				return layouts[0].names(), nil
			}
			return []string{di.String()}, nil
		}
		_, name, err := table().find(pattern, f)
		if err != nil {
			return nil, err
		}
		return []string{name}, nil
	}
	like := protocol.ParsePattern(pattern)
	names := slices.Concat(own, slices.DeleteFunc(table().all(f), func(name string) bool { return slices.Contains(own, name) }))
	names = slices.DeleteFunc(names, func(name string) bool { return !like.Matches(name) })
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no item of CJ/T 188 has a name like %q, in which * stands for anything but _; the command items searches the names", protocol.ErrUnknownItem, pattern)
	}
	return names, nil
}

// Describe returns what the table says of the item, or of the value of an item, that has the name.
func (m *Meters) Describe(name string) (protocol.ItemDescription, bool) {
	if _, item, ok := m.ownOf(name); ok {
		return describeOwn(item), true
	}
	if di, err := ParseDI(name); err == nil {
		return protocol.ItemDescription{Name: di.String(), Form: protocol.FormText, English: "data of " + di.String() + ", in hex", Chinese: di.String() + " 的数据(十六进制)"}, len(table().of(di, "")) == 0
	}
	switch name {
	case valveItem:
		return protocol.ItemDescription{Name: name, Form: protocol.FormText, Role: protocol.RoleValve, English: "state of the valve", Chinese: "阀门状态"}, true
	case batteryItem:
		return protocol.ItemDescription{Name: name, Form: protocol.FormFlag, Alarm: true, English: "battery low", Chinese: "电池欠压"}, true
	}
	f := m.options.of.family()
	for _, di := range table().order {
		for _, l := range table().of(di, f) {
			for i := range l {
				if l[i].name == name {
					return l[i].describe(di, f), true
				}
			}
		}
	}
	return protocol.ItemDescription{}, false
}

// describe says what the value is. A volume is of water unless the meter is known to be another: by
// the kind Home Assistant counts it as water or as gas.
func (v *value) describe(di DI, f family) protocol.ItemDescription {
	d := protocol.ItemDescription{Name: v.name, Unit: v.unit, English: v.en, Chinese: v.zh}
	switch v.kind {
	case clock:
		d.Form, d.Role = protocol.FormMoment, protocol.RoleClock
	case status, opaque:
		d.Form = protocol.FormText
	default:
		d.Form, d.Decimals, d.Digits = protocol.FormNumber, v.decimals, 2*v.size
		d.Past = di.settlement() > 0 || strings.HasPrefix(v.name, "settlement_")
		d.Counter = (v.unit == cubicMetre || v.unit == kilowattHour) && !d.Past
		if v.kind == withUnit {
			d.Digits = 0 // the meter's unit code moves the point
		}
		if v.unit == cubicMetre {
			switch f {
			case water, "":
				d.Medium = protocol.MediumWater
			case gas:
				d.Medium = protocol.MediumGas
			}
		}
	}
	return d
}

// Playing returns the item that has a role.
func (m *Meters) Playing(role protocol.Role) string {
	switch role {
	case protocol.RoleValve:
		return valveItem
	case protocol.RoleClock:
		return itemClock
	}
	return ""
}

// Basic returns the points of a meter that has no point table: what a meter of its type shows.
func (m *Meters) Basic() []string {
	switch m.options.of.family() {
	case heat:
		return []string{"heat_energy", itemVolume, "thermal_power", "flow_rate", "supply_temperature", "return_temperature", batteryItem}
	case cooling:
		return []string{"cooling_energy", itemVolume, "thermal_power", "flow_rate", "supply_temperature", "return_temperature", batteryItem}
	case "":
		return []string{itemVolume, "heat_energy", "cooling_energy", "thermal_power", "flow_rate", "supply_temperature", "return_temperature", valveItem, batteryItem}
	}
	return []string{itemVolume, valveItem, batteryItem}
}

// Template returns the rows of a point table to begin with. All but the settlements come in one answer.
func (m *Meters) Template() (rows []protocol.TemplateRow) {
	for _, item := range m.Basic() {
		rows = append(rows, protocol.TemplateRow{Item: item, Interval: 5 * time.Minute})
	}
	return append(rows, protocol.TemplateRow{Item: itemClock, Interval: 24 * time.Hour})
}

// A Row is a value of the table as it stands there. The letter n in an identifier runs over the months.
type Row struct {
	DI, Types, Name, Picture, Unit, Access, TextEN, TextZH string
}

// Matching returns the values in which all of the words occur: in the name, the English or Chinese text,
// or the identifier, in either case. A word that is a concrete name finds its row. Without words it returns
// all rows.
func Matching(words ...string) (rows []Row) {
	for _, row := range allRows() {
		if protocol.HasWords(words, row.has) {
			rows = append(rows, row)
		}
	}
	return rows
}

// has reports whether a word in lower case occurs in the row.
func (r *Row) has(word string) bool {
	if protocol.OccursIn(word, r.Name, r.DI, r.TextEN, r.TextZH) {
		return true
	}
	return r.Name[len(r.Name)-1] == '1' && strings.HasPrefix(word, r.Name[:len(r.Name)-1]) && table().has(word)
}

// has reports whether there is an item of that name.
func (d *dictionary) has(name string) bool {
	_, _, err := d.find(name, "")
	return err == nil
}

// allRows returns the table, and what is derived from it: of a settlement the latest stands for all.
func allRows() (rows []Row) {
	for _, r := range tableRows() {
		row := Row{r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]}
		for _, text := range []*string{&row.Name, &row.TextEN, &row.TextZH} {
			*text = strings.ReplaceAll(*text, "{n}", "1")
		}
		if i := slices.IndexFunc(rows, func(other Row) bool { return other.Name == row.Name && other.DI == row.DI }); i >= 0 {
			rows[i].Types += " " + row.Types
			continue
		}
		rows = append(rows, row)
	}
	return append(rows,
		Row{CurrentData.String(), "all", valveItem, "status", "", "R", "state of the valve: open, closed or abnormal", "阀门状态"},
		Row{CurrentData.String(), "all", batteryItem, "status", "", "R", "battery low", "电池欠压"},
	)
}
