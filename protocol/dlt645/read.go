package dlt645

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// A register is one identifier to be read, and what is wanted of it.
type register struct {
	item  Item     // the whole item; only the identifier where the table lacks it
	names []string // of what was asked; an error goes under them
	only  []string // the values that are wanted, by name; nil: all

	// members are set where a block is read in place of several registers. They are read
	// singly if the meter does not give the block.
	members []register

	whole  bool   // the block itself was asked for: members is what it consists of
	of     string // the block that was asked for and not given, of which this is a part
	parted bool   // a clock that the meter has as date and time only
}

// want puts what was asked, an item or one value of it, on the list of what is wanted of
// the register.
func (r *register) want(only, name string) {
	r.names, r.only = protocol.Want(r.names, r.only, only, name)
}

// values returns the names of the values that are wanted of a register in the table.
func (r *register) values() []string {
	if r.only == nil {
		return r.item.Names()
	}
	return r.only
}

// A reader plans what is read of one meter.
type reader struct {
	*Meters
	class protocol.Class
	known protocol.Known
}

// planRead plans a request to read.
func (m *Meters) planRead(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	address, err := ParseAddress(request.Address.Text, m.version)
	switch {
	case err != nil:
		return protocol.Plan{}, badRequest("%w", err)
	case address.IsBroadcast() && m.version == V2007:
		return protocol.Plan{}, badRequest("%s is the broadcast address, no meter answers a read to it; use AAAAAAAAAAAA if there is only one meter", address)
	}
	r := &reader{m, request.Class, known}
	if !request.From.IsZero() {
		return r.planHistory(address, request)
	}
	registers, missing := m.registers(request.Items)
	registers = m.withoutBroken(registers)
	for i := range registers {
		registers[i].members = m.partsOf(registers[i])
		registers[i].whole = registers[i].members != nil
	}
	var plan protocol.Plan
	switch {
	case len(registers) == 0:
		plan = r.plan(address)
	case address == Anyone && m.version == V2007:
		plan = r.findAndRead(registers)
	case m.isShared(address):
		plan = r.readWhoever(address, r.inBlocks(registers))
	default:
		plan = r.read(address, r.inBlocks(registers))
	}
	plan.Errors = append(plan.Errors, missing...)
	return plan, nil
}

// registers finds the items of a request, one register for each identifier.
func (m *Meters) registers(asked []string) (registers []register, missing []protocol.ItemError) {
	for _, text := range asked {
		item, err := m.find(text)
		if err == nil {
			_, err = m.identifier(item.DI)
		}
		if err == nil && m.items.isBroken(item) && m.partsOf(register{item: item, names: []string{item.Name}}) == nil {
			err = fmt.Errorf("%w: %s holds an item that your table of items lays out otherwise: read its members one by one", protocol.ErrUnsupported, item.Name)
		}
		if err != nil {
			missing = append(missing, protocol.ItemError{Item: text, Err: err})
			continue
		}
		i := slices.IndexFunc(registers, func(r register) bool { return r.item.DI == item.DI })
		if i < 0 {
			i = len(registers)
			registers = append(registers, register{item: item})
			registers[i].item.Only = ""
		}
		registers[i].want(item.Only, cmp.Or(item.Only, item.Name, item.DI.Format(m.version)))
	}
	return registers, missing
}

// find returns the item of a name or an identifier. Of an identifier that the table lacks there
// is only that. The error wraps ErrUnknownItem.
func (m *Meters) find(text string) (Item, error) {
	if item, ok := m.items.Named(text); ok {
		return item, nil
	}
	di, err := ParseDI(text, m.version)
	if err == nil {
		return m.itemOf(di), nil
	}
	if protocol.IsChinese(text) {
		if name, called := m.items.vocabulary().Name(text); called {
			item, _ := m.items.Named(name)
			return item, nil
		}
	}
	return Item{}, m.unknown(text)
}

// itemOf returns the item of an identifier. Of one that the table lacks there is only that.
func (m *Meters) itemOf(di DI) Item {
	if item, ok := m.items.Lookup(di); ok {
		return item
	}
	return Item{DI: di}
}

// unknown is the error for what is no item of this edition. Names are the same in both, so
// whoever asks all meters for the same items learns that it is not the spelling.
func (m *Meters) unknown(text string) error {
	other := V2007 + V1997 - m.version
	if _, ok := Items(other).Named(text); ok {
		return fmt.Errorf("%w: %s is an item of DL/T 645-%s, and this meter speaks DL/T 645-%s, which has none of that name",
			protocol.ErrUnknownItem, text, other, m.version)
	}
	if last, ok := m.items.Named(text + "_1"); ok && kindOf(last.DI, m.version) == protocol.KindRecord {
		history := ""
		if last.DI>>24 == classFreeze {
			history = "; a read with from brings all since then"
		}
		return fmt.Errorf("%w: the meter stores several of %s: %s_1 is the latest%s", protocol.ErrUnknownItem, text, text, history)
	}
	return fmt.Errorf("%w: %q is neither the name of an item of DL/T 645-%s nor an identifier of %d hex digits; the command items searches the names%s",
		protocol.ErrUnknownItem, text, m.version, 2*diSize(m.version), m.items.vocabulary().Hint(text))
}

// readFunction returns the function that reads a register: 11H, or 01H in the 1997 edition.
func (m *Meters) readFunction() Function {
	if m.version == V1997 {
		return FunctionRead1997
	}
	return FunctionRead
}

// identifier returns what a read of di carries: the identifier and, of a load record, how
// many blocks are wanted (one if it is the latest).
func (m *Meters) identifier(di DI) ([]byte, error) {
	data := di.Append(nil, m.version)
	if isPassword(di, m.version) {
		return nil, fmt.Errorf("%w: nobody is shown a password, and %s is one or holds one", protocol.ErrUnsupported, di.Format(m.version))
	}
	if m.version != V2007 || di>>24 != 0x06 {
		return data, nil
	}
	blocks := 1
	switch byte(di) {
	case loadEarliest:
		if item, ok := m.items.Lookup(di); ok {
			blocks = item.family.codec.(loadRecord).portion(byte(di >> 16))
		}
	case loadSince:
		return nil, fmt.Errorf("%w: %s is the load record from a given time, which wants a \"from\"", protocol.ErrUnsupported, di.Format(m.version))
	}
	return append(data, octet.ToBCD(blocks)), nil
}

// plan returns a plan to read with these steps.
func (r *reader) plan(address Address, steps ...protocol.Step) protocol.Plan {
	return protocol.Plan{Permission: protocol.PermitRead, Address: r.named(address), Steps: steps}
}

// read plans the reads of one meter. Members of a block that the meter did not give are
// read singly afterwards, and so are date and time of a clock.
func (r *reader) read(address Address, registers []register) protocol.Plan {
	var clocks []register
	registers = slices.DeleteFunc(slices.Clone(registers), func(register register) bool {
		parted := register.parted || r.isClock(register) && r.knownInParts(register)
		if parted {
			clocks = append(clocks, register)
		}
		return parted
	})
	if len(registers) == 0 && len(clocks) > 0 {
		return r.readParted(address, clocks[0])
	}
	plan := r.plan(address)
	more := len(clocks) > 0
	for _, register := range registers {
		plan.Steps = append(plan.Steps, r.step(address, register))
		more = more || register.members != nil || register.of != "" || r.isClock(register)
	}
	if more {
		plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			if block, rest, ok := r.silentTo(registers, answers); ok {
				return r.readWithout(address, block, append(rest, clocks...)), nil
			}
			plan := r.read(address, append(r.notGiven(registers, answers), clocks...))
			plan.Errors = append(plan.Errors, r.partsRead(registers, answers)...)
			return plan, nil
		}
	}
	return plan
}

// readWithout reads the first member of a block that was met with silence. Many meters say nothing
// to what they do not have, and who asked for the members knows nothing of the block. If the meter
// answers, it is there, and the other members and the rest are read.
func (r *reader) readWithout(address Address, block register, rest []register) protocol.Plan {
	first := block.members[:1]
	plan := r.plan(address, r.step(address, first[0]))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if _, there := answeredBy(answers[0]); !there {
			return r.plan(address), nil
		}
		plan := r.read(address, slices.Concat(block.members[1:], rest))
		plan.Errors = append(plan.Errors, r.partsRead(first, answers)...)
		return plan, nil
	}
	return plan
}

// readWhoever reads the first register with an address that several meters could answer
// to, and the rest of the meter that did, so that one reply never mixes two meters.
func (r *reader) readWhoever(pattern Address, registers []register) protocol.Plan {
	first, rest := registers[:1], registers[1:]
	plan := r.plan(pattern, r.step(pattern, first[0]))
	if len(rest) == 0 && first[0].members == nil && first[0].of == "" && !r.isClock(first[0]) {
		return plan
	}
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		answer := answers[0]
		rest := append(r.notGiven(first, answers), rest...)
		if address, ok := answeredBy(answer); ok {
			plan := r.read(address, rest)
			plan.Errors = append(r.partsRead(first, answers), plan.Errors...)
			return plan, nil
		}
		return r.failed(pattern, rest, answer.Err), nil
	}
	return plan
}

// findAndRead asks the only meter on the wire for its address and reads it there. A meter
// that does not know this function is read with the wildcard itself.
func (r *reader) findAndRead(registers []register) protocol.Plan {
	step := r.addressStep()
	for _, register := range registers {
		step.Items = append(step.Items, register.names...)
	}
	registers = r.inBlocks(registers)
	plan := r.plan(Anyone, step)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		address, ok := answeredBy(answers[0])
		switch err := answers[0].Err; {
		case ok && address != Anyone:
			return r.read(address, registers), nil
		case ok, errors.Is(err, protocol.ErrSilent), errors.Is(err, protocol.ErrGarbled):
			return r.readWhoever(Anyone, registers), nil
		default:
			return r.failed(Anyone, registers, err), nil
		}
	}
	return plan
}

// failed is the plan for registers that are not tried because of err.
func (r *reader) failed(address Address, registers []register, err error) protocol.Plan {
	plan := r.plan(address)
	for _, register := range registers {
		for _, name := range register.names {
			plan.Errors = append(plan.Errors, protocol.ItemError{Item: name, Err: err})
		}
	}
	return plan
}

// answeredBy returns the meter that gave the answer, be it a value or a refusal.
func answeredBy(answer protocol.Answer) (a Address, ok bool) {
	b, err := hex.DecodeString(answer.Result.Address.Text)
	return a, err == nil && copy(a[:], b) == len(a)
}

// addressStep asks whoever is there for its address. Clause 7.4 of DL/T 645-2007.
func (r *reader) addressStep() protocol.Step {
	frame := Frame{Address: Anyone, Control: Control(FunctionReadAddress)}
	request := mustAppend(frame)
	return protocol.Step{
		Meter: r.key(Anyone), Line: lines[r.version], Class: r.class, Kind: protocol.KindValue,
		Key: string(request), Repeatable: true,
		First: protocol.Exchange{Request: request, Answer: addressAnswer(Anyone).split, Explain: r.explainer(frame, r.version), Take: r.takeAddress},
	}
}

func (m *Meters) takeAddress(answer []byte) (*protocol.Exchange, protocol.Result, error) {
	frame, err := parseAnswer(answer)
	if err != nil {
		return nil, protocol.Result{}, err
	}
	return nil, protocol.Result{Address: m.named(reversedAddress(frame.Data))}, nil
}

// step is the conversation that reads one register.
func (r *reader) step(address Address, register register) protocol.Step {
	c := &conversation{meters: r.Meters, address: address, meter: r.named(address), item: register.item, instead: register.members != nil && !register.whole}
	first, di := c.first(), register.item.DI
	step := protocol.Step{
		Meter: c.meter.MeterKey, Line: lines[r.version], Items: register.names, Only: register.only,
		Class: r.class, Kind: kindOf(di, r.version),
		Key: string(first.Request), Repeatable: true, First: first,
		Expected: frameOverhead + diSize(r.version) + register.item.expected(),
	}
	if isBlock(di, r.version) {
		step.Block = di.Format(r.version)
	}
	if c.instead && di == diStatusBlock {
		step.Key += " words" // who asks for the block takes more than who asks for its members
	}
	return step
}

// kindOf tells a value that the meter has at hand from a record that it must look up:
// events (03, 10 to 21), freezes (05) and load records (06); in the 1997 edition D.
func kindOf(di DI, v Version) protocol.Kind {
	if v == V1997 {
		if di>>12 == 0xD {
			return protocol.KindRecord
		}
		return protocol.KindValue
	}
	switch class := di >> 24; {
	case class == 0x03, class == 0x05, class == 0x06, class >= 0x10:
		return protocol.KindRecord
	}
	return protocol.KindValue
}
