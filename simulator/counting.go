package simulator

import "dlt645-mqtt/protocol/dlt645"

// Counted returns the digits that a counting meter (see [MeterOptions]) gives for a register
// in an exchange, without decimal point: what a test expects to see. They count up with the
// exchanges of that meter, from a number that depends on address and identifier, so that a
// value of another exchange, another register or another meter can be told.
//
// The address is as [Meter.Address] returns it. The number of the exchange is
// [Counts].Exchanges after the meter's answer; in a record of several frames, after the first
// of them. The identifier is that of the register, also where it was read in a block. Size is
// the length of the number in bytes, 2 for a voltage, 4 for an energy; the highest digit is 0,
// for some registers have their sign there.
//
// Energies, maximum demands (not their times) and the variables 0201 to 0209 count; in 1997
// the classes 9 and A and the variables B61 to B65. Where a block holds several kinds of
// registers (1997: FF for the last byte) it does not.
func Counted(address string, exchange int, di dlt645.DI, size int) int64 {
	from := uint64(di)
	for _, c := range []byte(address) {
		from = mix(from ^ uint64(c))
	}
	limit := int64(10)
	for range size - 1 {
		limit *= 100
	}
	return (int64(from%uint64(limit)) + int64(exchange)) % limit
}

// stamp puts the number of the exchange under way into the registers of an answer.
func (m *Meter) stamp(di dlt645.DI, value []byte) {
	first, step, size, stride := m.countedRegisters(di)
	if size == 0 {
		return
	}
	address := m.address.String()
	for n := 0; (n+1)*stride <= len(value); n++ {
		number := value[n*stride : n*stride+size]
		if number[0] != 0xFF { // a phase that the meter lacks
			appendNumber(number[:0], Counted(address, m.counts.Exchanges+1, first+dlt645.DI(n)*step, size), size)
		}
	}
}

// countedRegisters tells how an item is made of registers that count: the identifier of the
// first, the step to the next, the size of the number and of all that belongs to it. The
// size of other items is 0.
func (m *Meter) countedRegisters(di dlt645.DI) (first, step dlt645.DI, size, stride int) {
	if m.version == dlt645.V1997 {
		return countedRegisters1997(di)
	}
	di2, di1, di0 := byte(di>>16), byte(di>>8), byte(di)
	first, step = di, 1
	switch {
	case di1 == 0xFF:
		first, step = di&^0xFF00, 0x100
	case di0 == 0xFF:
		first = di &^ 0xFF
	}
	switch class := di >> 24; {
	case class == 0x00:
		return first, step, 4, 4
	case class == 0x01:
		return first, step, 3, 8
	case class == 0x02 && di2 >= 1 && int(di2) <= len(sizesOfVariables):
		if di1 == 0xFF && (di2 < di2Active || di2 > di2PowerFactor) {
			first += step // there is no total
		}
		return first, step, sizesOfVariables[di2-1], sizesOfVariables[di2-1]
	}
	return 0, 0, 0, 0
}

func countedRegisters1997(di dlt645.DI) (first, step dlt645.DI, size, stride int) {
	if di&0xFF == 0xFF {
		return 0, 0, 0, 0
	}
	first = di
	if di&0xF == 0xF {
		first -= 0xF
	}
	switch item := di >> 4 & 0xF; {
	case di>>12 == 0x9:
		size = 4
	case di>>12 == 0xA:
		size = 3
	case di>>8 == 0xB6 && item >= 1 && int(item) <= len(variables1997) && di&0xF != 4 && di&0xF != 5:
		v := variables1997[item-1]
		if v.phases && first != di {
			first++
		}
		size = v.size
	}
	return first, 1, size, size
}
