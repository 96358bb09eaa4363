package modbus

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"strconv"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// The actions of the verb relay.
const (
	actionTrip  = "trip"
	actionClose = "close"
)

// A commander plans what a request wants done to one slave. It goes out once.
type commander struct {
	*reader
	*protocol.Command
}

// planCommand plans a request to write or to switch.
func (m *Meters) planCommand(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	if request.Command == nil {
		return protocol.Plan{}, badRequest("the request to %s does not say what is to be done", request.Verb)
	}
	request.Class = protocol.ClassCommand
	r, err := m.reader(request, known)
	if err != nil {
		return protocol.Plan{}, err
	}
	c := &commander{r, request.Command}
	if request.Verb == protocol.VerbRelay {
		r.permit, r.class = protocol.PermitRelay, protocol.ClassRelay
		return c.planRelay()
	}
	r.permit = protocol.PermitWrite
	return c.planWrite()
}

// report is the plan that ends with what is known of the command.
func (c *commander) report(r protocol.Report) protocol.Plan { return c.plan().Reporting(r) }

// look is the step that reads a row before a command or after it.
func (c *commander) look(w *row) protocol.Step {
	r := *c.reader
	r.wanted = []*row{w}
	s := spanOf([]*row{w})
	return r.step(&s)
}

// send is the step that writes the raw bytes of a row. The slave repeats what was written, or refuses.
func (c *commander) send(w *row, data []byte) protocol.Step {
	request := writeRequest(c.address, w, data)
	answer := answerTo(request)
	return protocol.Step{
		Meter: c.key(c.address), Line: &line, Class: c.class, Kind: protocol.KindCommand,
		First: protocol.Exchange{
			Request: answer.request, Answer: answer.split, Longest: writtenSize,
			Vague:   func([]byte) bool { return true },
			Explain: explainer(answer),
			Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
				frame, err := ParseFrame(answer)
				if err != nil {
					return nil, protocol.Result{}, garbled("%w", err)
				}
				result := protocol.Result{Address: c.named(frame.Address)}
				if frame.Function&refused == 0 {
					return nil, result, nil
				}
				switch code := frame.Data[0]; code {
				case acknowledges: // it takes long, and was taken on
					return nil, result, nil
				case gatewayTarget:
					return nil, protocol.Result{}, fmt.Errorf("%w: the gateway passed the command on, and nothing came back from slave %d", protocol.ErrSilent, c.address)
				default:
					return nil, result, refusalOf(code)
				}
			},
		},
	}
}

// writeRequest makes the frame that writes the raw bytes of a row.
func writeRequest(address byte, w *row, data []byte) Frame {
	place := []byte{byte(w.register >> 8), byte(w.register)}
	count := []byte{byte(w.registers >> 8), byte(w.registers), byte(len(data))}
	switch {
	case w.area == coils && w.access.single:
		state := uint16(data[0]) * coilOn
		return Frame{address, WriteCoil, append(place, byte(state>>8), byte(state))}
	case w.area == coils:
		return Frame{address, WriteCoils, append(append(place, count...), data...)}
	case w.access.single:
		return Frame{address, WriteRegister, append(place, data...)}
	}
	return Frame{address, WriteRegisters, append(append(place, count...), data...)}
}

// planWrite plans a write, and the reading of what the slave then has.
func (c *commander) planWrite() (protocol.Plan, error) {
	w, err := c.writable(c.Arguments.Text(protocol.ArgumentItem))
	if err != nil {
		return protocol.Plan{}, err
	}
	data, err := w.encode(c.Arguments[protocol.ArgumentValue])
	if err != nil {
		return protocol.Plan{}, err
	}
	sent, err := w.decode(data, nil)
	if err != nil {
		return protocol.Plan{}, badRequest("%s: %v", w.item, err)
	}
	send := c.send(w, data)
	if w.access.read {
		proof := c.look(w)
		send.Proof = &proof
	}
	plan := c.plan(send)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		was := protocol.EndingOf(answers[0])
		switch {
		case !was.MayBeDone():
			return c.plan(), nil
		case !w.access.read:
			return c.report(protocol.Report{Note: w.item + " cannot be read, so nothing tells what the meter has now."}), nil
		}
		plan := c.plan(c.look(w))
		plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			return c.report(protocol.ReportWritten(w.item, was, answers[0], func() (*protocol.Value, bool) {
				now := answers[0].Result.Values[0]
				return &now, reflect.DeepEqual(now.Data, sent.Data)
			})), nil
		}
		return plan, nil
	}
	return plan, nil
}

// writable finds an item that may be written. Registers named by their place may be, but for those of
// the relay, which have a class of their own.
func (c *commander) writable(item string) (*row, error) {
	if item == "" {
		return nil, badRequest("a write names the item to be written")
	}
	w, err := c.find(item)
	if err != nil {
		return nil, err
	}
	relay := c.model.withRole(roleRelay)
	switch {
	case relay != nil && relay.area == w.area && int(relay.register) < int(w.register)+w.registers && int(w.register) < int(relay.register)+relay.registers:
		return nil, badRequest("%s is the relay, or holds it: switch it by relay, with %s or %s", item, actionTrip, actionClose)
	case !w.access.write:
		return nil, badRequest("%s can be read but not written: its row in the map of %s would have the access RW", item, c.name)
	case w.kind == Raw && w.registers > mostWritten:
		return nil, badRequest("a request writes %d registers at most, not %d", mostWritten, w.registers)
	}
	return w, nil
}

// encode returns the raw bytes of a value that is to be written. The error wraps ErrBadRequest.
func (w *row) encode(value any) ([]byte, error) {
	bad := func(want string) ([]byte, error) {
		return nil, badRequest("%s: %v does not fit: it is %s", w.item, value, want)
	}
	size := 2 * w.registers
	switch w.kind {
	case Bool:
		on, ok := value.(bool)
		if !ok {
			return bad("true or false")
		}
		return map[bool][]byte{true: {1}, false: {0}}[on], nil
	case Text:
		s, ok := value.(string)
		b := make([]byte, size)
		if copied, err := text([]byte(s)); !ok || err != nil || copied != s || len(s) > size {
			return bad(fmt.Sprintf("a string of up to %d ASCII characters", size))
		}
		copy(b, s)
		return w.order.arrange(b), nil
	case Raw:
		s, _ := value.(string)
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != size {
			return bad(fmt.Sprintf("a string of %d hex digits", 2*size))
		}
		return w.order.arrange(b), nil
	}
	number, _ := value.(json.Number)
	d, err := protocol.ParseDecimal(number.String())
	if err != nil {
		return bad("a decimal number of at most 18 digits")
	}
	raw := w.raw10(d)
	if w.kind == Float {
		return w.float(raw)
	}
	if !raw.IsInt() {
		return bad("a multiple of " + w.unitText())
	}
	return w.integer(raw.Num())
}

// unitText is the smallest step of the row, with its unit.
func (w *row) unitText() string {
	d, err := w.scale.decimal()
	if err != nil {
		return "its scale"
	}
	if w.unit == "" {
		return d.String()
	}
	return d.String() + " " + w.unit
}

// parts returns the number as a fraction.
func (e exact) parts() (*big.Int, *big.Int) {
	e = e.at(max(0, e.scale))
	return e.n, powerOfTen(e.scale)
}

// float encodes the float that is nearest.
func (w *row) float(raw *big.Rat) ([]byte, error) {
	if w.registers == 2 {
		f, _ := raw.Float32()
		if math.IsInf(float64(f), 0) {
			return nil, badRequest("%s: the value is too large", w.item)
		}
		return w.order.arrange(binary.BigEndian.AppendUint32(nil, math.Float32bits(f))), nil
	}
	f, _ := raw.Float64()
	if math.IsInf(f, 0) {
		return nil, badRequest("%s: the value is too large", w.item)
	}
	return w.order.arrange(binary.BigEndian.AppendUint64(nil, math.Float64bits(f))), nil
}

// integer encodes a whole number.
func (w *row) integer(n *big.Int) ([]byte, error) {
	size := 2 * w.registers
	bits := uint(8 * size)
	least, most := new(big.Int), new(big.Int).Lsh(big.NewInt(1), bits)
	switch w.kind {
	case Signed:
		least.Neg(new(big.Int).Rsh(most, 1))
		most.Rsh(most, 1)
	case BCD:
		most = powerOfTen(2 * size)
	}
	if n.Cmp(least) < 0 || n.Cmp(most) >= 0 {
		return nil, badRequest("%s: the value is beyond what its registers hold, %s to %s as raw value", w.item, least, most.Sub(most, big.NewInt(1)))
	}
	b := make([]byte, size)
	if w.kind == BCD {
		digits, err := hex.DecodeString(fmt.Sprintf("%0*s", 2*size, n))
		if err != nil {
			return nil, badRequest("%s: %v", w.item, err)
		}
		return w.order.arrange(digits), nil
	}
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), bits))
	}
	return w.order.arrange(n.FillBytes(b)), nil
}

// planRelay plans to switch the relay of a map that has one. What it does is read back.
func (c *commander) planRelay() (protocol.Plan, error) {
	w := c.model.withRole(roleRelay)
	if w == nil {
		return protocol.Plan{}, fmt.Errorf("%w: the map of %s has no row with the role relay", protocol.ErrUnsupported, c.name)
	}
	raw, want := w.role.open, relayOpen
	switch c.Action {
	case actionTrip:
	case actionClose:
		raw, want = w.role.closed, relayClosed
	default:
		return protocol.Plan{}, badRequest("there is no action %q: the actions are %s and %s", c.Action, actionTrip, actionClose)
	}
	data := []byte{byte(raw)}
	if w.kind != Bool {
		var err error
		if data, err = w.integer(new(big.Int).SetUint64(raw)); err != nil {
			return protocol.Plan{}, err
		}
	}
	send, proof := c.send(w, data), c.look(c.model.relayState())
	send.Proof = &proof
	plan := c.plan(send)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if answer := answers[0]; protocol.EndingOf(answer).MayBeDone() {
			return c.watchRelay(want).Begin(answer), nil
		}
		return c.plan(), nil
	}
	return plan, nil
}

// watchRelay looks after a command what became of the relay.
func (c *commander) watchRelay(want string) protocol.Watch {
	state := c.model.relayState()
	return protocol.Watch{
		Times: protocol.LookTimes(c.Verify),
		Looks: []func() protocol.Step{func() protocol.Step { return c.look(state) }},
		Plan:  c.plan,
		See: func(look protocol.Answer) (s protocol.Sight) {
			if open, ok := look.Result.Values[0].Data.(bool); ok {
				s.State = map[bool]string{true: relayOpen, false: relayClosed}[open]
			}
			s.AsCommanded = s.State == want
			return s
		},
		Report: func(w protocol.Watched) protocol.Report { return relayReport(w, state.item) },
	}
}

// relayReport reports what the looks so far have shown.
func relayReport(w protocol.Watched, item string) protocol.Report {
	r := w.Report("What the relay does was read after the command was not answered.", "Neither was the command answered nor could the relay be looked at.",
		"The meter took the command, but its relay has not moved yet; read "+item+" to see when it has.")
	r.Relay = w.State
	return r
}

// parsePlace reads the first register and how many a request is about; ok is false if it has none.
func parsePlace(f Frame) (first, count int, ok bool) {
	if len(f.Data) < 4 {
		return 0, 0, false
	}
	first, count = int(binary.BigEndian.Uint16(f.Data)), 1
	if f.Function.isRead() || f.Function == WriteCoils || f.Function == WriteRegisters {
		count = int(binary.BigEndian.Uint16(f.Data[2:]))
	}
	return first, count, true
}

// checkRequest reports what keeps a frame from being a request of a known function.
func checkRequest(f Frame) error {
	first, count, ok := parsePlace(f)
	most, size := 1, 4
	switch f.Function {
	case ReadCoils, ReadDiscretes:
		most = mostBits
	case ReadHolding, ReadInput:
		most = mostRegisters
	case WriteCoil, WriteRegister:
	case WriteCoils:
		most, size = mostWrittenCoils, 5+(count+7)/8
	case WriteRegisters:
		most, size = mostWritten, 5+2*count
	default:
		return fmt.Errorf("function %02XH is none of 01 to 06, 0F and 10: nobody knows how long its answer is", byte(f.Function))
	}
	switch {
	case !ok || len(f.Data) != size:
		return fmt.Errorf("a request of function %02XH has %d bytes between function and CRC, the frame has %d", byte(f.Function), size, len(f.Data))
	case count < 1 || count > most:
		return fmt.Errorf("function %02XH is about 1 to %d, not %d", byte(f.Function), most, count)
	case first+count > 1<<16:
		return fmt.Errorf("%d from %d on go beyond 65535", count, first)
	case size > 4 && int(f.Data[4]) != size-5:
		return fmt.Errorf("the byte count is %d, should be %d", f.Data[4], size-5)
	case f.Function == WriteCoil && f.Data[3] != 0 || f.Function == WriteCoil && f.Data[2] != 0 && f.Data[2] != 0xFF:
		return errors.New("function 05H writes FF00 or 0000, " + strconv.Quote(octet.Hex(f.Data[2:])) + " is neither")
	}
	return nil
}
