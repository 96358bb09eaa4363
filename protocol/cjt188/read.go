package cjt188

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// A register is one identifier to be read, and what is wanted of it.
type register struct {
	di    DI
	names []string // of what was asked; an error goes under them
	only  []string // the values that are wanted, by name; nil: all
}

// A way is how a meter is asked. Which one it understands is told by its answers alone.
type way struct {
	of    Type
	order Order
}

// What answers teach, by the names under which it is kept.
const (
	learnedType  = "type"
	learnedOrder = "di"
)

// A reader plans what is read of one meter.
type reader struct {
	*Meters
	class   protocol.Class
	known   protocol.Known
	address Address
	permit  protocol.Permission
}

// planRead plans a request to read.
func (m *Meters) planRead(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	r, err := m.reader(request, known)
	if err != nil {
		return protocol.Plan{}, err
	}
	if !request.From.IsZero() {
		return protocol.Plan{}, fmt.Errorf("%w: meters of CJ/T 188 keep no samples that can be read from a moment on; their settlements are items: volume_h1 to volume_h%d, and heat_energy_h1 and so on", protocol.ErrUnsupported, settlements)
	}
	registers, missing := r.registers(request.Items)
	plan := r.plan()
	if len(registers) > 0 {
		plan = r.read(registers)
	}
	plan.Errors = append(plan.Errors, missing...)
	return plan, nil
}

// planClock plans to read the meter's clock for whoever wants to know how far it is off: that is told
// by the Clock of a result.
func (m *Meters) planClock(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	r, err := m.reader(request, known)
	if err != nil {
		return protocol.Plan{}, err
	}
	if r.address == Anyone {
		return protocol.Plan{}, badRequest("several meters may answer to %s; a clock is asked of one", r.address)
	}
	return r.read([]register{{di: CurrentData, names: []string{itemClock}, only: []string{itemClock}}}), nil
}

func (m *Meters) reader(request protocol.Request, known protocol.Known) (*reader, error) {
	address, err := ParseAddress(request.Address.Text)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return &reader{m, request.Class, known, address, protocol.PermitRead}, nil
}

// plan returns a plan with these steps.
func (r *reader) plan(steps ...protocol.Step) protocol.Plan {
	return protocol.Plan{Permission: r.permit, Address: r.named(r.address), Steps: steps}
}

// learned returns what an answer of the meter has taught.
func (r *reader) learned(name string) string {
	if r.known == nil {
		return ""
	}
	return r.known.Learned(name)
}

// typeOf returns the type of the meter, as configured or learned; AnyType: it is not known.
func (r *reader) typeOf() Type {
	if r.options.of != AnyType {
		return r.options.of
	}
	return typeIn(r.learned(learnedType))
}

// typeIn reads a type that was learned.
func typeIn(text string) Type {
	if n, err := strconv.ParseUint(text, 16, 8); err == nil && Type(n).IsValid() {
		return Type(n)
	}
	return AnyType
}

// ways returns how the meter may be asked, the likeliest way first: by its type or, where that is not
// known, by AA and the most common ones, for some meters insist on theirs; with the identifier as
// written or low byte first.
func (r *reader) ways() (ways []way) {
	types, orders := []Type{r.typeOf()}, []Order{AsWritten, LowFirst}
	if types[0] == AnyType {
		types = []Type{AnyType, ColdWater, Heat, Gas}
	}
	if r.options.ordered {
		orders = []Order{r.options.order}
	} else if order, ok := orderOf(r.learned(learnedOrder)); ok {
		orders = []Order{order}
	}
	for _, t := range types {
		for _, order := range orders {
			ways = append(ways, way{t, order})
		}
	}
	return ways
}

// registers finds the items of a request, one register for each identifier.
func (r *reader) registers(asked []string) (registers []register, missing []protocol.ItemError) {
	for _, text := range asked {
		di, name, err := r.find(text)
		if err != nil {
			missing = append(missing, protocol.ItemError{Item: text, Err: err})
			continue
		}
		registers = add(registers, di, name)
	}
	return registers, missing
}

// add puts what is asked, a value or with its own name the whole identifier, on the list of what is
// wanted of a register.
func add(registers []register, di DI, name string) []register {
	i := slices.IndexFunc(registers, func(r register) bool { return r.di == di })
	if i < 0 {
		i = len(registers)
		registers = append(registers, register{di: di})
	}
	r := &registers[i]
	switch {
	case slices.Contains(r.names, name):
		return registers
	case name == di.String():
		r.only = nil
	case len(r.names) == 0 || r.only != nil:
		r.only = append(r.only, name)
	}
	r.names = append(r.names, name)
	return registers
}

// find returns the identifier that holds an item, and the name under which its value comes: that of
// the item, or the identifier if that was asked for. The error wraps ErrUnknownItem.
func (r *reader) find(text string) (DI, string, error) {
	if di, err := ParseDI(text); err == nil {
		if di == WriteKey || di == WriteKey2018 {
			return 0, "", fmt.Errorf("%w: nobody is shown a key, and %s is one", protocol.ErrUnsupported, di)
		}
		if item, own := r.own[di]; own {
			return di, item.Name, nil
		}
		return di, di.String(), nil
	}
	if di, item, ok := r.ownOf(text); ok {
		if !strings.Contains(item.Access, "R") {
			return 0, "", fmt.Errorf("%w: %s: %w", protocol.ErrUnsupported, text, errNotReadable)
		}
		return di, item.Name, nil
	}
	return table().find(text, r.typeOf().family())
}

// read plans the reads of the meter: at once where it is known how to ask it, else the first of them
// in one way and another until it answers, and then the rest.
func (r *reader) read(registers []register) protocol.Plan {
	ways := r.ways()
	if len(ways) == 1 && r.address != Anyone {
		return r.readAll(ways[0], registers)
	}
	return r.readFirst(ways, registers, nil)
}

// A refused is what came of the first register in one way: the meter refused it, and may not have understood
// the identifier, or not have it; or what came was no answer.
type refused struct {
	way
	answer protocol.Answer
}

// otherOrder returns the way in which the identifier goes in the other order, if that is one of several ways to ask.
func (w way) otherOrder(ways []way) (other way, ok bool) {
	other = way{w.of, AsWritten + LowFirst - w.order}
	return other, len(ways) > 1 && slices.Contains(ways, other)
}

// readFirst reads the first register in some ways, and the rest as soon as the meter has
// answered. before is what came in another way before, if anything did.
func (r *reader) readFirst(ways []way, registers []register, before *refused) protocol.Plan {
	plan := r.plan(r.step(registers[0], ways...))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		answer := answers[0]
		asked := wayOf(answer, ways)
		if err := answer.Err; err != nil && before == nil && isNoAnswer(err) && !errors.Is(err, protocol.ErrSilent) {
			if other, ok := asked.otherOrder(ways); ok {
				return r.readFirst([]way{other}, registers, &refused{asked, answer}), nil
			}
		}
		more := r.notGiven(registers[:1], answers)
		if before != nil && answer.Err != nil && (errors.Is(answer.Err, protocol.ErrSilent) || typeIn(before.answer.Result.Learned[learnedType]) != AnyType) {
			// It understood the way before, and has no such data; or what came then says more than silence.
			answer, asked = before.answer, before.way
			more.fail(registers[:1], answer.Err)
		}
		rest := slices.Concat(more.registers, registers[1:])
		answered := way{typeIn(answer.Result.Learned[learnedType]), asked.order}
		if answered.of == AnyType { // who does not answer is not asked for the rest
			more.fail(registers[1:], answer.Err)
			rest = nil
		}
		then := r.plan()
		if len(rest) > 0 {
			address, err := ParseAddress(answer.Result.Address.Text)
			if err != nil {
				return protocol.Plan{}, garbled("%w", err)
			}
			then = r.at(address).readAll(answered, rest)
		}
		then.Errors = append(then.Errors, more.errors...)
		return then, nil
	}
	return plan
}

// An askedError is why an answer brings nothing, and how the meter was asked.
type askedError struct {
	error
	way
}

func (e *askedError) Unwrap() error { return e.error }

// wayOf returns in which of some ways the meter was asked when it answered; the first if it did not.
func wayOf(answer protocol.Answer, ways []way) way {
	var asked *askedError
	if errors.As(answer.Err, &asked) {
		return asked.way
	}
	if order, ok := orderOf(answer.Result.Learned[learnedOrder]); ok {
		return way{ways[0].of, order}
	}
	return ways[0]
}

// at returns a reader of the meter that has answered.
func (r *reader) at(address Address) *reader {
	other := *r
	other.address = address
	return &other
}

// isNoAnswer reports whether a meter may not have understood the request.
func isNoAnswer(err error) bool {
	var refusal *protocol.Refusal
	return errors.Is(err, protocol.ErrSilent) || errors.Is(err, protocol.ErrGarbled) || errors.As(err, &refusal)
}

// readAll reads registers in one way.
func (r *reader) readAll(w way, registers []register) protocol.Plan {
	plan := r.plan()
	for _, register := range registers {
		plan.Steps = append(plan.Steps, r.step(register, w))
	}
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		more := r.notGiven(registers, answers)
		then := r.plan()
		if len(more.registers) > 0 {
			then = r.readAll(w, more.registers)
		}
		then.Errors = append(then.Errors, more.errors...)
		return then, nil
	}
	return plan
}

// A remainder is what answers did not bring: what is to be read elsewhere, and what the meter has not.
type remainder struct {
	registers []register
	errors    []protocol.ItemError
}

// fail notes that registers are not read because of err.
func (m *remainder) fail(registers []register, err error) {
	for _, register := range registers {
		for _, name := range register.names {
			m.errors = append(m.errors, protocol.ItemError{Item: name, Err: err})
		}
	}
}

// notGiven returns what was asked for and is not in the answers: which values those of a meter have is
// known by its type, and the type by the answer. A meter of heat and cooling has both under another
// identifier.
func (r *reader) notGiven(registers []register, answers []protocol.Answer) (more remainder) {
	for i, register := range registers {
		answer := answers[i]
		if answer.Err != nil {
			continue
		}
		t := typeIn(answer.Result.Learned[learnedType])
		for _, name := range register.names {
			if name == register.di.String() || slices.ContainsFunc(answer.Result.Values, func(v protocol.Value) bool { return v.Name == name }) {
				continue
			}
			if register.di == CurrentData && t.isHeat() && slices.Contains(table().layouts[layoutKey{BothData, heat}].names(), name) {
				more.registers = add(more.registers, BothData, name)
				continue
			}
			more.errors = append(more.errors, protocol.ItemError{Item: name, Err: fmt.Errorf("%w: the meter is of type %s (%s), and %s is none of its values",
				protocol.ErrUnknownItem, t, strings.ReplaceAll(t.Name(), "_", " "), name)})
		}
	}
	return more
}

// step is what reads one register, in one way or another.
func (r *reader) step(register register, ways ...way) protocol.Step {
	step := protocol.Step{
		Meter: r.key(r.address), Line: &line, Items: register.names, Only: register.only, Block: register.di.String(),
		Class: r.class, Kind: protocol.KindValue,
		Key:        fmt.Sprintf("%s %v", register.di, ways),
		Repeatable: true,
		Expected:   minimumSize + 3 + table().most(register.di),
		First:      r.exchange(register.di, ways[0]),
	}
	for _, w := range ways[1:] {
		step.Ways = append(step.Ways, r.exchange(register.di, w))
	}
	return step
}

// exchange asks for an identifier in one way.
func (r *reader) exchange(di DI, w way) protocol.Exchange {
	ser := r.ser()
	request := Frame{w.of, r.address, ReadData, append(di.Append(nil, w.order), ser)}
	switch di {
	case AddressData:
		request.Control = ReadAddress
	case KeyVersion:
		request.Control = ReadVersion
	}
	answer := answerTo(request, di, ser)
	answer.anySer = r.options.anySer
	return protocol.Exchange{
		Request: mustAppend(request), Answer: answer.split, Vague: isRefusal, Explain: r.explainer(r.address),
		Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
			result, err := r.parseValues(answer, di, w)
			if err != nil {
				err = &askedError{err, w}
			}
			return nil, result, err
		},
	}
}

// isRefusal reports whether an answer that was cut is an error answer, which names nothing but
// the number of a request.
func isRefusal(answer []byte) bool { return Control(answer[9]).Refused() }

// parseValues reads the values in the answer to a read.
func (r *reader) parseValues(answer []byte, di DI, w way) (protocol.Result, error) {
	frame, err := parseAnswer(answer)
	if err != nil {
		return protocol.Result{}, err
	}
	if !frame.Address.isOfMeter() {
		return protocol.Result{}, garbled("a meter answers as %s, which is no address", frame.Address)
	}
	result := protocol.Result{Address: r.named(frame.Address), Learned: map[string]string{learnedType: frame.Type.String()}}
	if frame.Control.Refused() {
		st, _, _ := refusalIn(frame.Data)
		return result, refusalOf(st)
	}
	result.Learned[learnedOrder] = map[Order]string{AsWritten: "written", LowFirst: "low"}[w.order]
	if di == AddressData {
		result.Values = []protocol.Value{{Name: di.String(), Data: frame.Address.String()}}
		return result, nil
	}
	if item, own := r.own[di]; own {
		result.Values, err = decodeOwn(item, frame.Data[3:])
	} else {
		result.Values, err = decode(di, frame.Type, frame.Data[3:], r.options.known, r.zone)
	}
	if err != nil {
		return result, fmt.Errorf("read %s from %s: %w; the data, first byte first: % X", di, frame.Address, err, frame.Data[3:])
	}
	if shown, ok := valueOf(result.Values, itemClock).(string); ok {
		result.Clock, _ = time.Parse(time.RFC3339, shown)
	}
	return result, nil
}

// valueOf finds a value by its name; nil if there is none.
func valueOf(values []protocol.Value, name string) any {
	for _, value := range values {
		if value.Name == name {
			return value.Data
		}
	}
	return nil
}

// explainer says what sound frames there are in bytes that are no answer of a meter.
func (m *Meters) explainer(asked Address) func(heard []byte) string {
	return func(heard []byte) string {
		var words []string
		for len(heard) > 0 {
			advance, frame, _ := SplitFrame(heard, true)
			if frame == nil {
				break
			}
			heard = heard[advance:]
			f, err := ParseFrame(frame)
			if err != nil || !f.Control.FromMeter() {
				continue
			}
			what := fmt.Sprintf("meter %s (type %s) answers (%s)", f.Address, f.Type, f.Control.Name())
			if f.Address != asked {
				what += fmt.Sprintf(", where %s was asked", asked)
			}
			words = append(words, what)
		}
		return strings.Join(slices.Compact(words), "; ")
	}
}
