package dlt645

import (
	"errors"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// partsOf returns what a block that is asked for as such consists of, to be read singly if the meter does not
// give it: other items that follow each other, or the phases. Tariffs, of which there may be
// 63, are not tried one by one. The parts have no names that errors go under: see [reader.partsRead].
func (m *Meters) partsOf(block register) (parts []register) {
	if block.item.Name == "" || block.members != nil {
		return nil
	}
	f := block.item.family
	var items []Item
	switch c, isConcatenation := f.codec.(*concatenation); {
	case isConcatenation && !c.moment:
		items, _ = c.items(block.item)
	case f.codec == nil && f.running(block.item.at) >= 0 && f.letters[f.running(block.item.at)].symbol == 'p':
		for at := range block.item.members() {
			if item, ok := f.valid(at); ok {
				items = append(items, item)
			}
		}
	}
	for _, item := range items {
		part := register{item: item, of: block.names[0]}
		if block.only != nil {
			part.only = intersection(item.Names(), block.only)
			if len(part.only) == 0 {
				continue
			}
		}
		parts = append(parts, part)
	}
	return parts
}

// withoutBroken puts the parts in place of a block that was asked for as such and holds an item that a user has laid
// out otherwise. The error of the first goes under the block's name until one of them is read.
func (m *Meters) withoutBroken(registers []register) (whole []register) {
	if len(m.items.own) == 0 {
		return registers
	}
	for _, block := range registers {
		if !m.items.isBroken(block.item) {
			whole = append(whole, block)
		}
	}
	for _, block := range registers {
		if !m.items.isBroken(block.item) {
			continue
		}
		names := block.names
		for _, part := range m.partsOf(block) {
			i := slices.IndexFunc(whole, func(asked register) bool { return asked.item.DI == part.item.DI })
			if i >= 0 { // by itself as well
				whole[i].of = part.of
				continue
			}
			part.item = m.itemOf(part.item.DI) // as the user has laid it out
			part.names, names = names, nil
			whole = append(whole, part)
		}
	}
	return whole
}

// intersection returns those of some names that are among others.
func intersection(names, others []string) (both []string) {
	for _, name := range names {
		if slices.Contains(others, name) {
			both = append(both, name)
		}
	}
	return both
}

// partsRead says what became of the parts of blocks that were asked for and not given. If one was read, the block
// is no error any more. A part that the meter does not have is none either: in a block it would be
// missing just so. Silence is one of the block, for the meter is not asked for the parts behind it.
func (r *reader) partsRead(registers []register, answers []protocol.Answer) (errs []protocol.ItemError) {
	for i, register := range registers {
		e := protocol.ItemError{Item: register.of, Err: answers[i].Err}
		switch {
		case register.of == "", hasNone(e.Err), slices.Contains(errs, e):
			continue
		case e.Err != nil && !errors.Is(e.Err, protocol.ErrSilent):
			e.Item = register.item.Name
		}
		errs = append(errs, e)
	}
	return errs
}

// isClock reports whether a register is the whole clock of a meter, which some have only as date and time.
func (r *reader) isClock(register register) bool {
	both, _, _ := clockItems(r.version)
	return register.item.Name != "" && register.item.DI == both
}

// learnedClock is the name under which it is learned that a meter has its clock in parts only; what is
// learned is the edition.
const learnedClock = "clock_in_parts"

// knownInParts reports whether a meter is known to have its clock as date and time only.
func (r *reader) knownInParts(clock register) bool {
	return r.known != nil && (r.known.Learned(learnedClock) == r.version.String() || r.known.Lacks(clock.item.DI.Format(r.version)))
}

// readParted plans to read date and time in place of the whole clock. What they bring has the names of
// the clock's values.
func (r *reader) readParted(address Address, clock register) protocol.Plan {
	c := &commander{Meters: r.Meters, address: address, meter: address.String(), permission: protocol.PermitRead, class: r.class, clock: &clock}
	return c.readDateAndTime(func(clockReading, error) (protocol.Plan, error) { return c.plan(), nil })
}

// parted returns the values of a whole clock out of those of date and time. A clock that shows no
// date has none.
func (c *commander) parted(date, clock []protocol.Value) (values []protocol.Value) {
	at := combined(date, clock, c.zone)
	for _, name := range c.clock.item.Names() {
		value := protocol.Value{Name: name, Data: valueOf(slices.Concat(date, clock), name)}
		switch name {
		case c.clock.item.Name:
			if !at.IsZero() {
				value.Data = at.Format(time.RFC3339)
			}
		case c.clock.item.Name + "_weekday":
			value.Data = valueOf(date, "clock_date_weekday")
		}
		values = append(values, value)
	}
	return values
}
