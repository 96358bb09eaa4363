package dlt645

import (
	"fmt"
	"iter"
	"regexp"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

var _ protocol.Catalogue = (*Meters)(nil)

// Match returns the names that a pattern matches: of items and of their values, in the order
// of the table. See [protocol.Catalogue].
func (m *Meters) Match(pattern string) ([]string, error) {
	if strings.Contains(pattern, "*") {
		names := m.items.match(pattern)
		if len(names) == 0 {
			return nil, fmt.Errorf("%w: no item of DL/T 645-%s has a name like %q, in which * stands for anything but _ and the point, and .* in the end for every flag; the command items searches the names",
				protocol.ErrUnknownItem, m.version, pattern)
		}
		return names, nil
	}
	registers, missing := m.registers([]string{pattern})
	if len(missing) > 0 {
		return nil, missing[0].Err
	}
	if item := registers[0].item; item.Name != "" && item.Block() && registers[0].only == nil {
		return item.Names(), nil
	}
	return registers[0].names, nil
}

// roles are the items that mean something to the bridge itself.
var roles = map[string]protocol.Role{
	relayOpen:          protocol.RoleRelay,
	"clock":            protocol.RoleClock,
	"power_down_count": protocol.RolePowerFailures,
	"rated_voltage":    protocol.RoleRatedVoltage,
	"maximum_current":  protocol.RoleMaximumCurrent,

	"manufacturer_code": protocol.RoleManufacturer,
	"meter_model":       protocol.RoleModel,
	"software_version":  protocol.RoleSoftware,
	"hardware_version":  protocol.RoleHardware,
	"tariff_count":      protocol.RoleTariffs,
}

// Playing returns the item with a role.
func (m *Meters) Playing(role protocol.Role) string {
	for name, r := range roles {
		if _, known := m.items.Named(name); r == role && known {
			return name
		}
	}
	return ""
}

// Basic returns the points of a meter that has no table: those of them that the edition knows.
func (m *Meters) Basic() (names []string) {
	for _, name := range []string{
		"forward_active_energy", "active_power",
		"voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c", "status_3",
	} {
		if _, known := m.items.Named(name); known {
			names = append(names, name)
		}
	}
	return names
}

// Template returns the rows of a table to begin with: those of them that the edition knows.
func (m *Meters) Template() (rows []protocol.TemplateRow) {
	for _, row := range []protocol.TemplateRow{
		{Item: "forward_active_energy", Interval: 15 * time.Minute}, {Item: "active_power", Interval: time.Minute},
		{Item: "voltage_block", Interval: time.Minute}, {Item: "current_block", Interval: time.Minute},
		{Item: "power_factor", Interval: time.Minute}, {Item: "status_3", Interval: time.Minute},
	} {
		if _, err := m.Match(row.Item); err == nil {
			rows = append(rows, row)
		}
	}
	return rows
}

// settled matches the names of values that a meter has kept from an earlier settlement.
var settled = regexp.MustCompile(`_h[0-9]+(_|$)`)

// match returns the names like a pattern with *.
func (d *Dictionary) match(pattern string) []string {
	like := protocol.ParsePattern(pattern)
	return like.Select(func(yield func(string) bool) {
		for _, e := range d.entries {
			if !e.mayBegin(like.Begin()) {
				continue
			}
			f := e.family()
			if !f.mayBegin(like.Begin()) {
				continue
			}
			for item := range f.all() {
				if !yield(item.Name) {
					return
				}
				if item.Block() {
					continue
				}
				for _, name := range item.Names() {
					if !yield(name) {
						return
					}
				}
			}
		}
	})
}

// mayBegin reports whether the name of an item of the family, or of a value of it, can begin so.
func (f *family) mayBegin(begin string) bool {
	may := f.name.mayBegin(begin) || f.codec != nil
	for k := range f.fields {
		may = may || f.fields[k].name.mayBegin(begin)
	}
	return may
}

// all yields every item of the family.
func (f *family) all() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for at := f.owner(positions{}); ; {
			if item, ok := f.valid(at); ok && !yield(item) {
				return
			}
			// The letters count like the digits of a number, the last one fastest.
			i := len(f.letters) - 1
			for ; i >= 0; i-- {
				if f.letters[i].bits == 0 {
					continue
				}
				if at[i]++; int(at[i]) < len(f.letters[i].options) {
					break
				}
				at[i] = 0
			}
			if i < 0 {
				return
			}
		}
	}
}

// Describe returns what the dictionary says of the item, or of the value of an item, that has
// the name.
func (m *Meters) Describe(name string) (protocol.ItemDescription, bool) {
	item, ok := m.items.Named(name)
	if !ok {
		return protocol.ItemDescription{}, false
	}
	d := protocol.ItemDescription{
		Name: name, Unit: item.Unit, English: item.Text("en"), Chinese: item.Text("zh"),
		Past: settled.MatchString(name), Role: roles[name],
	}
	word, _, flagged := strings.Cut(name, ".")
	switch {
	case flagged:
		d.Form = protocol.FormFlag
		for _, b := range bitFieldsOf(word) {
			if b.name != name {
				continue
			}
			if d.Alarm = b.alarms(); b.states != nil {
				d.Form = protocol.FormText
			}
		}
	case item.isMoment():
		d.Form = protocol.FormMoment
	case item.Block() && item.Only == "" || item.family.codec != nil:
	default:
		item.describe(name, &d)
	}
	return d, true
}

// describe fills in what is known of the value of that name, if the item has one.
func (i Item) describe(name string, d *protocol.ItemDescription) {
	f := i.family
	for at := range i.members() {
		for k := range f.fields {
			value := f.nameAt(k, at)
			if f.weekday >= 0 && name == value+"_weekday" {
				d.Form = protocol.FormText
			}
			if value != name {
				continue
			}
			form, unit := f.form(k, at)
			d.Unit = unit
			if form.record != nil || form.repeat > 0 {
				return
			}
			switch p := form.picture; {
			case p.format != nil:
				p.format.Describe(d)
				d.Ratio, d.Counter = i.ratio(unit), d.Form == protocol.FormNumber && !p.format.Signed() && i.counts()
			case p.kind == number:
				d.Form, d.Decimals, d.Digits = protocol.FormNumber, int(p.scale), p.digits
				d.Ratio = i.ratio(unit)
				d.Counter = !p.signed && i.counts()
			case p.kind == calendar && p.layout == time.RFC3339:
				d.Form = protocol.FormMoment
			case p.kind != schedule:
				d.Form = protocol.FormText
			}
			return
		}
	}
}

// counts reports whether the unsigned numbers of the item are energies that only ever rise, bit by bit. The
// credit of prepaid meters (0090) falls, and so do consumptions when their period ends (000B to 000D);
// the energies of an earlier settlement (DI0; 1997: DI1) take in a whole period at once.
func (i Item) counts() bool {
	if i.family.dictionary.version == V1997 {
		return i.DI>>12 == 0x9 && i.DI>>8&0xC == 0
	}
	kind := byte(i.DI >> 16)
	return i.DI>>24 == 0x00 && byte(i.DI) == 0 && kind != 0x90 && (kind < 0x0B || kind > 0x0D)
}
