package modbus

import (
	"math/big"

	"dlt645-mqtt/protocol"
)

// A Cell is where a value of a map lies, for who plays a slave.
type Cell struct {
	Item       string
	Read       Function // that reads its area
	Register   uint16
	Data       []byte // of its registers, or of a coil one byte 0 or 1
	Writable   bool
	RelayState bool // it says what the relay does
}

// Cells returns where the values of a map lie, in the order of the table. value returns the value of an item, as
// a read would bring it and before ratios; an item of which it returns nothing is 0, a relay closed.
func (m *Map) Cells(value func(item string) (protocol.Decimal, bool)) []Cell {
	cells := make([]Cell, 0, len(m.rows))
	for _, w := range m.rows {
		c := Cell{Item: w.item, Read: w.area.reads(), Register: w.register, Data: make([]byte, 2*w.registers), Writable: w.access.write, RelayState: w == m.relayState()}
		switch {
		case w.kind == Bool:
			c.Data = []byte{byte(w.role.closed)}
		case w.isRelay() && w.kind == Unsigned:
			if b, err := w.integer(new(big.Int).SetUint64(w.role.closed)); err == nil {
				c.Data = b
			}
		default:
			if d, ok := value(w.item); ok {
				if b, err := w.nearest(d); err == nil {
					c.Data = b
				}
			}
		}
		cells = append(cells, c)
	}
	return cells
}

// nearest encodes the raw value that is nearest to a number.
func (w *row) nearest(d protocol.Decimal) ([]byte, error) {
	raw := w.raw10(d)
	switch w.kind {
	case Float:
		return w.float(raw)
	case Unsigned, Signed, BCD:
		half := big.NewRat(1, 2)
		if raw.Sign() < 0 {
			half.Neg(half)
		}
		raw.Add(raw, half)
		return w.integer(new(big.Int).Quo(raw.Num(), raw.Denom()))
	}
	return nil, badRequest("%s is no number", w.item)
}

// raw10 returns what a number is before scale and offset.
func (w *row) raw10(d protocol.Decimal) *big.Rat {
	minus := exactOf(protocol.Decimal{Coefficient: -1})
	raw := new(big.Rat).SetFrac(exactOf(d).plus(w.offset.times(minus)).parts())
	return raw.Quo(raw, new(big.Rat).SetFrac(w.scale.parts()))
}

// ScanRequest is a [bufio.SplitFunc] that cuts the requests of a master out of a stream, as soon as they are
// complete.
func ScanRequest(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for i := range data {
		rest := data[i:]
		if len(rest) < 2 {
			break
		}
		size := 0
		switch f := Function(rest[1]); {
		case rest[0] > lastAddress:
		case f >= ReadCoils && f <= WriteRegister:
			size = writtenSize
		case (f == WriteCoils || f == WriteRegisters) && len(rest) > 6:
			size = 9 + int(rest[6])
		}
		if size > 0 && size <= len(rest) && isSound(rest[:size]) && checkRequest(Frame{rest[0], Function(rest[1]), rest[2 : size-2]}) == nil {
			return i + size, rest[:size:size], nil
		}
	}
	if atEOF {
		return len(data), nil, nil
	}
	return max(0, len(data)-mostFrame), nil, nil
}

// Serve answers a request as a slave with these registers and bits does, each by its address; it refuses
// what it has not. Of a write it returns what was written: registers, or bits.
func Serve(request Frame, registers map[uint16]uint16, bits map[uint16]bool) (answer Frame, first, count uint16) {
	refuse := func(code byte) (Frame, uint16, uint16) {
		return Frame{request.Address, request.Function | refused, []byte{code}}, 0, 0
	}
	if checkRequest(request) != nil {
		return refuse(illegalValue)
	}
	from, n, _ := parsePlace(request)
	ofBits := request.Function.readsBits() || request.Function == WriteCoil || request.Function == WriteCoils
	for at := from; at < from+n; at++ {
		_, known := registers[uint16(at)]
		if ofBits {
			_, known = bits[uint16(at)]
		}
		if !known {
			return refuse(illegalAddress)
		}
	}
	answer = Frame{Address: request.Address, Function: request.Function, Data: request.Data[:4]}
	switch request.Function {
	case ReadHolding, ReadInput:
		answer.Data = []byte{byte(2 * n)}
		for at := from; at < from+n; at++ {
			answer.Data = append(answer.Data, byte(registers[uint16(at)]>>8), byte(registers[uint16(at)]))
		}
		return answer, 0, 0
	case ReadCoils, ReadDiscretes:
		answer.Data = make([]byte, 1+(n+7)/8)
		answer.Data[0] = byte((n + 7) / 8)
		for i := range n {
			if bits[uint16(from+i)] {
				answer.Data[1+i/8] |= 1 << (i % 8)
			}
		}
		return answer, 0, 0
	case WriteCoil:
		bits[uint16(from)] = request.Data[2] == 0xFF
	case WriteRegister:
		registers[uint16(from)] = uint16(request.Data[2])<<8 | uint16(request.Data[3])
	case WriteCoils:
		for i := range n {
			bits[uint16(from+i)] = request.Data[5+i/8]>>(i%8)&1 != 0
		}
	case WriteRegisters:
		for i := range n {
			registers[uint16(from+i)] = uint16(request.Data[5+2*i])<<8 | uint16(request.Data[6+2*i])
		}
	}
	return answer, uint16(from), uint16(n)
}
