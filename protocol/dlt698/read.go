package dlt698

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"dlt645-mqtt/protocol"
)

// oadAddress is the communication address, which every meter gives to everybody.
const oadAddress OAD = 0x40010200

// A register is one attribute to be read, or an element of one, and what is wanted of it.
type register struct {
	oad   OAD
	item  Item     // the whole item; without a dictionary's where the table lacks it
	names []string // of what was asked; an error goes under them
	only  []string // the values that are wanted, by name; nil: all

	// members are set where all of an attribute is read in place of some elements. They are read singly
	// if the meter does not give it.
	members []register
}

// want puts what was asked, an item or one value of it, on the list of what is wanted.
func (r *register) want(only, name string) {
	r.names, r.only = protocol.Want(r.names, r.only, only, name)
}

// values returns the names of the values that are wanted.
func (r *register) values() []string {
	if r.only != nil || r.item.attribute == nil {
		return r.only
	}
	return r.item.Names()
}

// A reader plans what is read of one meter.
type reader struct {
	Meters
	class protocol.Class
	known protocol.Known
}

// planRead plans a request to read.
func (m Meters) planRead(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	address, err := m.address(request.Address)
	if err != nil {
		return protocol.Plan{}, err
	}
	p := &reader{m, request.Class, known}
	if !request.From.IsZero() {
		return p.planHistory(address, request)
	}
	registers, rows, missing := m.registers(request.Items)
	plan := p.readAll(address, registers, rows)
	plan.Errors = append(plan.Errors, missing...)
	return plan, nil
}

// registers finds the items of a request: one register for each attribute or element, and those
// that are rows of records.
func (m Meters) registers(asked []string) (registers []register, rows []row, missing []protocol.ItemError) {
	for _, text := range asked {
		item, oad, err := m.find(text)
		if err != nil {
			missing = append(missing, protocol.ItemError{Item: text, Err: err})
			continue
		}
		name := cmp.Or(item.Only, item.Name, oad.String())
		if item.attribute != nil && item.IsRecord() {
			rows = wantRow(rows, item, name)
			continue
		}
		i := slices.IndexFunc(registers, func(r register) bool { return r.oad == oad })
		if i < 0 {
			i = len(registers)
			registers = append(registers, register{oad: oad, item: item})
			registers[i].item.Only = ""
		}
		registers[i].want(item.Only, name)
	}
	return registers, rows, missing
}

// find returns the item of a name or an OAD. Of an OAD that the table lacks there is only that.
func (m Meters) find(text string) (Item, OAD, error) {
	if item, ok := Items().Named(text); ok {
		return item, item.OAD, nil
	}
	oad, err := ParseOAD(text)
	if err != nil {
		if protocol.IsChinese(text) {
			if name, called := vocabulary().Name(text); called {
				item, _ := Items().Named(name)
				return item, item.OAD, nil
			}
		}
		return Item{}, 0, m.unknown(text)
	}
	if item, ok := Items().Lookup(oad); ok {
		return item, oad, nil
	}
	if oad.OI() == oiPassword {
		return Item{}, 0, fmt.Errorf("%w: nobody is shown a password, and %s is one", protocol.ErrUnsupported, oad)
	}
	return Item{}, oad, nil
}

// unknown is the error for what is no item.
func (m Meters) unknown(text string) error {
	if last, ok := Items().Named(text + "_1"); ok && last.IsRecord() {
		history := ""
		if last.attribute.layout == layoutFreeze {
			history = "; a read with from brings all since then"
		}
		return fmt.Errorf("%w: the meter stores several of %s: %s_1 is the latest%s", protocol.ErrUnknownItem, text, text, history)
	}
	return fmt.Errorf("%w: %q is neither the name of an item of DL/T 698.45 nor an OAD of 8 hex digits; the command items searches the names%s",
		protocol.ErrUnknownItem, text, vocabulary().Hint(text))
}

// plan returns a plan to read with these steps.
func (p *reader) plan(address Address, steps ...protocol.Step) protocol.Plan {
	return protocol.Plan{Permission: protocol.PermitRead, Address: p.named(address), Steps: steps}
}

// readAll plans to read registers and rows. Of an address that several meters may answer to, the first
// step decides who is meant, so that one reply never mixes two meters.
func (p *reader) readAll(address Address, registers []register, rows []row) protocol.Plan {
	groups := p.inLists(registers)
	if !address.IsShared() || len(groups)+len(rows) < 2 {
		return p.read(address, groups, rows)
	}
	first, rest := groups[:min(len(groups), 1)], groups[min(len(groups), 1):]
	var row, others = rows[:0], rows
	if len(first) == 0 {
		row, others = rows[:1], rows[1:]
	}
	plan := p.read(address, first, row)
	then := plan.Then
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		got, err := then(answers)
		if err != nil || len(got.Steps) > 0 {
			return got, err
		}
		if who := answers[0].Result.Address; !who.IsZero() && !who.Shared {
			at, err := p.address(who)
			if err != nil {
				return got, err
			}
			next := p.read(at, rest, others)
			next.Errors = append(next.Errors, got.Errors...)
			return next, nil
		}
		for _, g := range rest {
			got.Errors = append(got.Errors, failed(g, answers[0].Err)...)
		}
		for _, r := range others {
			got.Errors = append(got.Errors, r.failed(answers[0].Err)...)
		}
		return got, nil
	}
	return plan
}

// failed are the errors of registers that are not tried because of err.
func failed(registers []register, err error) (errs []protocol.ItemError) {
	if err == nil {
		err = garbled("the meter did not say which one it is")
	}
	for _, r := range registers {
		for _, name := range r.names {
			errs = append(errs, protocol.ItemError{Item: name, Err: err})
		}
	}
	return errs
}

// read plans the lists and the rows of one meter, and what to make of what a list did not bring.
func (p *reader) read(address Address, groups [][]register, rows []row) protocol.Plan {
	plan := p.plan(address)
	for _, group := range groups {
		plan.Steps = append(plan.Steps, p.step(address, group))
	}
	for _, r := range rows {
		plan.Steps = append(plan.Steps, p.rowStep(address, r))
	}
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		return p.afterwards(address, groups, rows, answers), nil
	}
	return plan
}

// afterwards plans what is read once more in another way: the members of a list that the meter did not
// understand. Of a list that was met with silence the first is tried alone: if that is answered, the meter
// is there, and knows no lists.
func (p *reader) afterwards(address Address, groups [][]register, rows []row, answers []protocol.Answer) protocol.Plan {
	var again [][]register
	var errs []protocol.ItemError
	for i, group := range groups {
		switch err := answers[i].Err; {
		case err == nil:
			errs = append(errs, unread(group, &answers[i].Result)...)
		case len(group) == 1 && group[0].members == nil:
		case errors.Is(err, protocol.ErrEndless): // which took long enough
		case errors.Is(err, protocol.ErrNoSuchData), isUnreadable(err):
			again = append(again, singles(parts(group))...)
		case errors.Is(err, protocol.ErrSilent) && i == firstSilent(answers):
			plan := p.readWithout(address, group, groups[i+1:], rows)
			plan.Errors = errs
			return plan
		}
	}
	for i, r := range rows {
		if answer := answers[len(groups)+i]; answer.Err == nil {
			errs = append(errs, r.named(answer.Result.Errors)...)
		}
	}
	plan := p.plan(address)
	if len(again) > 0 {
		plan = p.read(address, again, nil)
	}
	plan.Errors = append(plan.Errors, errs...)
	return plan
}

// firstSilent returns the place of the first answer that did not come.
func firstSilent(answers []protocol.Answer) int {
	return slices.IndexFunc(answers, func(a protocol.Answer) bool { return errors.Is(a.Err, protocol.ErrSilent) })
}

func isUnreadable(err error) bool {
	var unreadable *unreadableError
	return errors.As(err, &unreadable)
}

// readWithout reads the first member of a list that was met with silence, and if it is answered the
// others and what was left for that.
func (p *reader) readWithout(address Address, group []register, rest [][]register, rows []row) protocol.Plan {
	group = parts(group)
	plan := p.plan(address, p.step(address, group[:1]))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if answers[0].Result.Address.IsZero() {
			return p.plan(address), nil
		}
		next := p.read(address, append(singles(group[1:]), rest...), rows)
		next.Errors = unread(group[:1], &answers[0].Result)
		return next, nil
	}
	return plan
}

// parts returns what a group was made of: of one attribute in place of its elements those, else its registers.
func parts(group []register) []register {
	if len(group) == 1 && group[0].members != nil {
		return group[0].members
	}
	return group
}

// singles makes a group of each register.
func singles(registers []register) (groups [][]register) {
	for i := range registers {
		groups = append(groups, registers[i:i+1])
	}
	return groups
}

// unread returns why some of what was asked for has no value in a result. The errors there come under every name
// that there is. An element that an attribute came without is one that the meter does not have: asked for alone it
// is refused as such.
func unread(group []register, result *protocol.Result) (errs []protocol.ItemError) {
	for _, r := range group {
		for _, name := range r.names {
			i := slices.IndexFunc(result.Errors, func(e protocol.ItemError) bool { return e.Item == name })
			switch {
			case i >= 0:
				errs = append(errs, result.Errors[i])
			case slices.Contains(r.values(), name) && !slices.ContainsFunc(result.Values, func(v protocol.Value) bool { return v.Name == name }):
				errs = append(errs, protocol.ItemError{Item: name, Err: darAbsent.refusal(false)})
			}
		}
	}
	return errs
}

// step is the conversation that reads the registers of a group.
func (p *reader) step(address Address, group []register) protocol.Step {
	g := &get{address: address, sealed: p.right(group[0].oad) == rightRandom}
	step := protocol.Step{
		Meter: p.key(address), Line: &line, Class: p.class, Kind: protocol.KindValue, Repeatable: true,
		Expected: emptyFrame + usualAddress + answerHead,
	}
	var items []Item
	var oads []OAD
	wholly, sized := true, true
	for _, r := range group {
		sized = sized && r.item.attribute != nil
		g.asked = append(g.asked, Entry{OAD: r.oad})
		items, oads = append(items, r.item), append(oads, r.oad)
		step.Items = append(step.Items, r.names...)
		step.Expected += entryHead + r.expected()
		wholly = wholly && r.only == nil
		g.never = g.never || p.right(r.oad) == rightNone
	}
	if !wholly {
		step.Only = []string{}
		for _, r := range group {
			if r.only == nil {
				step.Only = append(step.Only, cmp.Or(r.item.Name, r.oad.String()))
			}
			step.Only = append(step.Only, r.values()...)
		}
	}
	if g.sealed {
		step.Expected += sealSize
	}
	switch {
	case len(group) > 1:
		step.Block = listName(p.lists())
	case group[0].members != nil:
		step.Block = group[0].oad.String()
	}
	g.done = readItems(items, oads, p.zone)
	step.First = g.first()
	step.Key = string(step.First.Request)
	step.First.Usual = max(usualAnswer, line.Leading+step.Expected+64)
	if sized { // a meter may have more tariffs than most, or send longer numbers, but not a whole buffer
		step.First.Longest = min(longestAnswer, line.Leading+2*step.Expected+64)
	}
	return step
}

// right returns what is known of the right that reading an object takes.
func (p *reader) right(oad OAD) string {
	if p.known == nil {
		return ""
	}
	return p.known.Learned(rightOf(oad))
}

// The sizes of answers, in bytes.
const (
	answerHead = 4 + 2     // service, form, PIID, count; no report, no time tag
	entryHead  = 4 + 1     // an OAD, and that it has data
	sealSize   = 2 + 2 + 6 // the envelope of an answer, and a MAC

	// roomOfFrame is what an answer may have that a meter sends at once: its buffers have 512 bytes.
	roomOfFrame = 480
)

// The sizes of lists, the longest first: which is used follows from what the meter has refused.
var listSizes = []int{40, 16, 8, 4}

// lists returns how many entries a list may have.
func (p *reader) lists() int {
	for _, size := range listSizes {
		if p.known == nil || !p.known.Lacks(listName(size)) {
			return size
		}
	}
	return 1
}

// listName is the name under which it is known that a meter has refused lists of a size.
func listName(size int) string { return fmt.Sprintf("list of %d", size) }

// room returns how many bytes the answer to a list may have.
func (p *reader) room() int {
	if p.known != nil {
		if room, err := strconv.Atoi(p.known.Learned("room")); err == nil && room > 0 {
			return min(room, roomOfFrame)
		}
	}
	return roomOfFrame
}

// inLists puts registers together that are read at once: elements of one attribute as a whole where
// that is shorter, and as many attributes in a list as the answer has room for. What takes a random
// number goes apart from the rest.
func (p *reader) inLists(registers []register) (groups [][]register) {
	registers = p.inWholes(registers)
	most := p.lists()
	for _, sealed := range []bool{false, true} {
		var group []register
		size := 0
		for _, r := range registers {
			if (p.right(r.oad) == rightRandom) != sealed {
				continue
			}
			n := entryHead + r.expected()
			if len(group) > 0 && (len(group) == most || size+n > p.room()) {
				groups, group, size = append(groups, group), nil, 0
			}
			group, size = append(group, r), size+n
		}
		if group != nil {
			groups = append(groups, group)
		}
	}
	return groups
}

// inWholes puts the elements of an attribute together, in the place of the first, where reading all of
// it takes less of the wire than reading them one by one.
func (p *reader) inWholes(registers []register) (result []register) {
	taken := make(map[OAD]bool)
	for _, r := range registers {
		whole := r.oad.whole()
		if r.item.attribute == nil { // the table lacks it, so all of the attribute brings no value of it
			result = append(result, r)
			continue
		}
		if taken[whole] {
			continue
		}
		item, ok := Items().Lookup(whole)
		if !ok || r.oad == whole || item.attribute.index == nil || p.known != nil && p.known.Lacks(whole.String()) {
			result = append(result, r)
			continue
		}
		var members []register
		single := 0
		for _, other := range registers {
			if other.oad.whole() == whole && other.item.attribute != nil {
				members = append(members, other)
				single += 4 + entryHead + other.expected() // 4: the request
			}
		}
		all := register{oad: whole, item: item, members: members}
		if len(members) < 2 || single < 4+entryHead+all.expected() {
			result = append(result, r)
			continue
		}
		taken[whole] = true
		all.only = []string{}
		for _, m := range members {
			all.names = append(all.names, m.names...)
			all.only = append(all.only, m.values()...)
		}
		if slices.ContainsFunc(members, func(m register) bool { return m.oad == whole && m.only == nil }) {
			all.only = nil
		}
		result = append(result, all)
	}
	return result
}

const (
	// usualTariffs is how many elements an attribute with tariffs has in most meters: the total and four.
	usualTariffs = 5

	// usualData is what data of unknown size are taken for.
	usualData = 32
)

// expected returns about how many bytes of data the register has.
func (r *register) expected() int {
	if r.item.attribute == nil {
		return usualData
	}
	return r.item.expected()
}

// expected returns about how many bytes of data the item has.
func (i Item) expected() int {
	a := i.attribute
	switch a.layout {
	case layoutRelay:
		return 3
	case layoutTotals:
		return 2 + 2 + 1 + 2 + 5 + 5
	}
	size := 0
	for k := range a.fields {
		size += a.fields[k].expected()
	}
	if len(a.fields) > 1 {
		size += 2
	}
	if !i.IsBlock() {
		return size
	}
	n := len(a.index.options)
	if a.index.symbol == 't' {
		n = usualTariffs
	}
	return 2 + n*size
}

func (f *field) expected() int {
	switch info := tags[f.tag]; {
	case f.any:
		return usualData
	case f.bits > 0:
		return 2 + f.bits/8
	case info.size > 0:
		return 1 + info.size
	}
	return 8 // a short text, a number of a meter
}
