package simulator

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/modbus"
)

// SlaveOptions describe a meter that speaks Modbus RTU.
type SlaveOptions struct {
	Address string      // 1 to 247
	Map     *modbus.Map // nil: that of a DTSU666
	Seed    uint64      // with the address it makes the meter's values, those of a [Meter] of DL/T 645

	// Counting makes the energies tell the exchange in which they were read: see [CountedSlave].
	Counting bool

	// Mode is that at which the meter hears and speaks; zero: that of the line.
	Mode protocol.Mode

	// OnCommand is optional: it is called for each command at the moment it is carried out. It must not call the
	// meter.
	OnCommand func(command modbus.Frame)
}

// A Slave is one simulated meter of Modbus RTU. It has no clock: each method is told the time at which it
// happens. Methods may be called from many goroutines.
type Slave struct {
	options SlaveOptions
	address byte
	engine  *Meter // what it measures

	mu       sync.Mutex
	offUntil time.Time
	written  map[string][]byte // cells that were written, by their items
	counts   Counts
}

// NewSlave makes a meter. An error says which option cannot be.
func NewSlave(o SlaveOptions) (*Slave, error) {
	address, err := modbus.ParseAddress(o.Address)
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	if o.Map == nil {
		o.Map, _ = modbus.BuiltIn("dtsu666")
	}
	engine, err := makeMeter(MeterOptions{Address: strconv.Itoa(int(address)), Seed: o.Seed})
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	return &Slave{options: o, address: address, engine: engine, written: map[string][]byte{}}, nil
}

// Address returns the meter's address, "7".
func (s *Slave) Address() string { return strconv.Itoa(int(s.address)) }

// Protocol returns "modbus/" and the name of the map.
func (s *Slave) Protocol() string { return s.options.Map.Name() }

// Counts returns what the meter did so far.
func (s *Slave) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// SwitchOff takes the meter off the line until a time: it neither hears nor answers.
func (s *Slave) SwitchOff(until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offUntil = until
}

// CountedSlave returns the kilowatt-hours that a counting meter gives for an item in an exchange, a whole number
// that a float of 32 bits holds.
func CountedSlave(address, item string, exchange int) int64 {
	var from uint64
	for _, c := range []byte(address + " " + item) {
		from = mix(from ^ uint64(c))
	}
	const limit = 8_000_000
	return (int64(from%limit) + int64(exchange)) % limit
}

// modbusLanguage is that of meters of Modbus RTU.
var modbusLanguage = &language{
	scan:        modbus.ScanRequest,
	isBroadcast: func(frame []byte) bool { return frame[0] == 0 },
	foreign:     changedModbus(func(f *modbus.Frame) { f.Address = f.Address%247 + 1 }),
	other: changedModbus(func(f *modbus.Frame) { // as many registers as somebody else has asked for
		if f.Function == modbus.ReadHolding || f.Function == modbus.ReadInput {
			f.Data = append(f.Data, 0, 0)
			f.Data[0] += 2
		}
	}),
}

// changedModbus returns what changes a frame, whose checksum then is right again.
func changedModbus(change func(f *modbus.Frame)) func([]byte) []byte {
	return func(b []byte) []byte {
		f, err := modbus.ParseFrame(b)
		if err != nil {
			return b
		}
		change(&f)
		changed, err := f.AppendBinary(nil)
		if err != nil {
			return b
		}
		return changed
	}
}

func (s *Slave) language() *language { return modbusLanguage }

func (s *Slave) listensAt() protocol.Mode { return s.options.Mode }

func (s *Slave) hears(frame []byte) bool { return frame[0] == s.address }

func (s *Slave) hear(frame []byte, at time.Time) []byte {
	f, err := modbus.ParseFrame(frame)
	if err != nil {
		return nil
	}
	answer, ok := s.Answer(f, at)
	if !ok {
		return nil
	}
	b, err := answer.AppendBinary(nil)
	if err != nil {
		panic(err) // an answer has 125 registers at most
	}
	return b
}

// Answer lets the meter hear a frame. It returns the meter's answer; false if it is silent. A command has
// been carried out when Answer returns.
func (s *Slave) Answer(request modbus.Frame, at time.Time) (answer modbus.Frame, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if request.Address != s.address || at.Before(s.offUntil) {
		return modbus.Frame{}, false
	}
	registers, bits := map[uint16]uint16{}, map[uint16]bool{}
	var cells []modbus.Cell
	for _, c := range s.options.Map.Cells(func(item string) (protocol.Decimal, bool) { return s.value(item, at) }) {
		if !sameArea(c.Read, request.Function) {
			continue
		}
		if b := s.written[c.Item]; b != nil {
			c.Data = b
		}
		cells = append(cells, c)
		if c.Read <= modbus.ReadDiscretes {
			bits[c.Register] = c.Data[0] != 0
			continue
		}
		for i := 0; i < len(c.Data); i += 2 {
			registers[c.Register+uint16(i/2)] = uint16(c.Data[i])<<8 | uint16(c.Data[i+1])
		}
	}
	fill(registers, cells)
	answer, first, count := modbus.Serve(request, registers, bits)
	s.counts.Exchanges++
	switch {
	case answer.Function&0x80 != 0:
		s.counts.Refused++
	case count == 0:
		s.counts.Reads++
	default:
		s.write(cells, first, count, registers, bits)
		if s.options.OnCommand != nil {
			s.options.OnCommand(request)
		}
	}
	return answer, true
}

// sameArea reports whether a function is about the area that another one reads.
func sameArea(reads, f modbus.Function) bool {
	switch f {
	case modbus.WriteCoil, modbus.WriteCoils:
		return reads == modbus.ReadCoils
	case modbus.WriteRegister, modbus.WriteRegisters:
		return reads == modbus.ReadHolding
	}
	return reads == f
}

// fill gives the registers between the cells a value, as far as a request skips them: reserved ones are 0.
func fill(registers map[uint16]uint16, cells []modbus.Cell) {
	const skipped = 20
	for _, c := range cells {
		for i := range uint16(skipped) {
			at := c.Register + uint16(len(c.Data)/2) + i
			if _, known := registers[at]; !known && c.Read > modbus.ReadDiscretes {
				registers[at] = 0
			}
		}
	}
}

// write keeps what was written to the cells.
func (s *Slave) write(cells []modbus.Cell, first, count uint16, registers map[uint16]uint16, bits map[uint16]bool) {
	s.counts.Writes++
	for _, c := range cells {
		if !c.Writable || c.Register < first || c.Register >= first+count {
			continue
		}
		if c.RelayState {
			s.counts.Relay++
		}
		if c.Read == modbus.ReadCoils {
			s.written[c.Item] = []byte{0}
			if bits[c.Register] {
				s.written[c.Item] = []byte{1}
			}
			continue
		}
		b := make([]byte, 0, len(c.Data))
		for i := range uint16(len(c.Data) / 2) {
			b = append(b, byte(registers[c.Register+i]>>8), byte(registers[c.Register+i]))
		}
		s.written[c.Item] = b
	}
}

// value returns what the meter measures: of an item that DL/T 645 has too, the same.
func (s *Slave) value(item string, at time.Time) (protocol.Decimal, bool) {
	switch item {
	case "voltage_transformer_ratio", "current_transformer_ratio":
		return protocol.Decimal{Coefficient: 1}, true
	case "voltage_ab", "voltage_bc", "voltage_ca":
		phase, ok := s.value("voltage_"+item[len("voltage_"):len("voltage_")+1], at)
		phase.Coefficient = phase.Coefficient * 1732 / 1000
		return phase, ok
	}
	if s.options.Counting && strings.Contains(item, "energy") {
		return protocol.Decimal{Coefficient: CountedSlave(s.Address(), item, s.counts.Exchanges+1)}, true
	}
	found, ok := dlt645.Items(dlt645.V2007).Named(item)
	if !ok || found.Only != "" {
		return protocol.Decimal{}, false
	}
	data, ok := s.engine.Read(found.DI, at)
	if !ok {
		return protocol.Decimal{}, false
	}
	values, err := found.Decode(data, zone)
	if err != nil || len(values) == 0 {
		return protocol.Decimal{}, false
	}
	d, ok := values[0].Data.(protocol.Decimal)
	return d, ok
}
