package dlt698

import (
	"fmt"
	"slices"
	"strings"

	"dlt645-mqtt/protocol"
)

// Match returns the names that a pattern matches: of items and of their values, in the order of the table.
// See [protocol.Catalogue]. Columns of freezes, of which there are as many as items, are not among them.
func (m Meters) Match(pattern string) ([]string, error) {
	if strings.Contains(pattern, "*") {
		names := Items().match(pattern)
		if len(names) == 0 {
			return nil, fmt.Errorf("%w: no item of DL/T 698.45 has a name like %q, in which * stands for anything but _ and the point, and .* in the end for every flag; the command items searches the names",
				protocol.ErrUnknownItem, pattern)
		}
		return names, nil
	}
	item, oad, err := m.find(pattern)
	switch {
	case err != nil:
		return nil, err
	case item.attribute == nil:
		return []string{oad.String()}, nil
	case item.Only != "":
		return []string{item.Only}, nil
	case item.IsBlock(), len(item.attribute.fields) > 1 && !item.attribute.isDemand():
		return item.values(), nil
	}
	return []string{item.Name}, nil
}

// values returns the names of the item's values, without flags.
func (i Item) values() []string {
	return slices.DeleteFunc(i.Names(), func(name string) bool { return strings.Contains(name, ".") })
}

// match returns the names like a pattern with *.
func (d *Dictionary) match(pattern string) []string {
	like := protocol.ParsePattern(pattern)
	return like.Select(func(yield func(string) bool) {
		for _, a := range d.attributes {
			if !mayBegin(a, like.Begin()) {
				continue
			}
			for item := range d.all(a) {
				if !yield(item.Name) {
					return
				}
				if item.IsBlock() {
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

// mayBegin reports whether the name of an element of the attribute, or of a value of one, can begin so.
func mayBegin(a *attribute, begin string) bool {
	begins := func(name string) bool { return strings.HasPrefix(name, begin) || strings.HasPrefix(begin, name) }
	return begins(a.base) || slices.ContainsFunc(a.fields, func(f field) bool { return f.name != "" && begins(f.name) })
}

// Describe returns what the dictionary says of the item, or of the value of an item, that has the name.
func (m Meters) Describe(name string) (protocol.ItemDescription, bool) {
	item, ok := Items().Named(name)
	if !ok {
		return protocol.ItemDescription{}, false
	}
	d := protocol.ItemDescription{
		Name: name, Unit: item.Unit(), English: item.Text("en"), Chinese: item.Text("zh"), Role: roles[name],
		Past: item.attribute.layout == layoutFreeze,
	}
	of := item
	if item.Column != nil {
		of = *item.Column
		if item.Only != "" {
			of.Only = of.Name + timeSuffix
		}
	}
	of.describe(&d)
	if d.Past {
		d.Counter = false
	}
	return d, true
}

// describe fills in what is known of the one value that is meant, if it is one.
func (i Item) describe(d *protocol.ItemDescription) {
	a := i.attribute
	if f, ok := i.dictionary.flag(i.Only); ok {
		d.Form, d.Alarm, d.Unit = protocol.FormFlag, f.alarm, ""
		if len(f.states) > 0 {
			d.Form = protocol.FormText
		}
		return
	}
	if i.IsBlock() || i.IsRecord() {
		return
	}
	k := 0
	if i.Only != "" {
		for k < len(a.fields)-1 && a.value(i.OAD.Index(), k) != i.Only {
			k++
		}
	} else if len(a.fields) > 1 && !a.isDemand() {
		return
	}
	f := &a.fields[k]
	d.Unit = f.unit
	switch {
	case f.any:
	case f.isNumber():
		d.Form, d.Decimals, d.Digits = protocol.FormNumber, int(f.scale), f.digits()
		d.Counter = i.counts(f)
		if d.Counter {
			d.Digits = registerDigits + int(f.scale)
		}
		d.Ratio = ratioOf(f.unit, a.oad)
	case f.tag == Bool:
		d.Form = protocol.FormFlag
	case f.tag == DateTimeS:
		d.Form = protocol.FormMoment
	default:
		d.Form = protocol.FormText
	}
}

// registerDigits is how many digits a register of energy has before the point.
const registerDigits = 6

// counts reports whether the number is an energy that only ever rises, bit by bit.
func (i Item) counts(f *field) bool { return i.OAD.OI() < 0x1000 && !f.isSigned() }

// isSigned reports whether the number may be negative.
func (f *field) isSigned() bool {
	return f.tag == Integer || f.tag == Long || f.tag == DoubleLong || f.tag == Long64
}

// digits returns how many digits the numbers of the type have.
func (f *field) digits() int {
	_, most := f.tag.limits()
	return len(fmt.Sprint(most))
}

// ratioOf returns by what a value must be multiplied where the meter sits behind transformers.
func ratioOf(unit string, oad OAD) protocol.Ratio {
	switch unit {
	case "V":
		if oad.OI() == 0x2000 {
			return protocol.RatioVoltage
		}
	case "A":
		if oad.OI() == 0x2001 {
			return protocol.RatioCurrent
		}
	case "kW", "kvar", "kVA", "kWh", "kvarh", "kVAh":
		return protocol.RatioPower
	}
	return protocol.RatioNone
}
