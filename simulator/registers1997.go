package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// read1997 finds the data behind an identifier of DL/T 645-1997, DI1 DI0: four nibbles.
// Where a meter has a block (last nibble F) it closes it with AA; where it has the blocks of
// a group (FF) each of them.
func (m *Meter) read1997(di dlt645.DI, at time.Time) ([]byte, bool) {
	if di > 0xFFFF {
		return nil, false
	}
	class, group, item, last := di>>12, byte(di>>8&0xF), byte(di>>4&0xF), byte(di&0xF)
	switch class {
	case 0x9:
		return m.registers1997(group, item, last, at, m.energy1997)
	case 0xA:
		return m.registers1997(group, item, last, at, m.demand1997)
	case 0xB:
		switch group {
		case 0x2:
			return m.programming1997(item, last, at)
		case 0x3:
			return m.phaseFailures1997(item, last)
		case 0x6:
			if _, ok := m.parameters[di]; ok {
				return m.parameter(di, at)
			}
			return m.variable1997(item, last, at)
		}
		return m.registers1997(group, item, last, at, m.demandTime1997)
	case 0xC:
		return m.parameter(di, at)
	}
	return nil, false
}

// kinds1997 maps the item of an energy or demand, from 1 on, to a kind: active, then
// reactive. What is taken is in the first two quadrants, what is given in the others.
var kinds1997 = [2][]byte{
	{kindForwardActive, kindReverseActive},
	{kindQuadrant1, kindQuadrant4, kindQuadrant1, kindQuadrant4, kindQuadrant1 + 1, kindQuadrant1 + 2},
}

// registers1997 reads what is kept by month and tariff. The group tells the month in steps
// of four (this one, the last, the one before) and whether it is reactive.
func (m *Meter) registers1997(group, item, tariff byte, at time.Time, register func(b []byte, kind, tariff, settlement byte, at time.Time) []byte) ([]byte, bool) {
	if group%4 > 1 || group > 9 || group%4 == 1 && m.phases == 1 {
		return nil, false
	}
	kinds, settlement := kinds1997[group%4], group/4
	if item == 0xF && tariff == 0xF {
		var b []byte
		for item := range kinds {
			block, ok := m.registers1997(group, byte(item+1), tariff, at, register)
			if !ok {
				return nil, false
			}
			b = append(b, block...)
		}
		return b, true
	}
	if item < 1 || int(item) > len(kinds) {
		return nil, false
	}
	kind := kinds[item-1]
	var b []byte
	switch {
	case tariff == 0xF:
		for tariff := range byte(1 + tariffs) {
			b = register(b, kind, tariff, settlement, at)
		}
		b = append(b, blockEnd)
	case tariff <= tariffs:
		b = register(b, kind, tariff, settlement, at)
	}
	return b, b != nil
}

func (m *Meter) energy1997(b []byte, kind, tariff, settlement byte, at time.Time) []byte {
	return m.energy(b, kind, 0, tariff, settlement, at)
}

// demand1997 appends a demand, XX.XXXX.
func (m *Meter) demand1997(b []byte, kind, tariff, settlement byte, at time.Time) []byte {
	return append(b, m.demand(nil, kind, 0, tariff, settlement, at)[:3]...)
}

// demandTime1997 appends when that was, MMDDhhmm.
func (m *Meter) demandTime1997(b []byte, kind, tariff, settlement byte, at time.Time) []byte {
	return append(b, m.demand(nil, kind, 0, tariff, settlement, at)[3:7]...)
}

// block1997 reads an item of a group by its last nibble, from first to last, or all of them.
func block1997(item, first, last byte, read func(item byte) ([]byte, bool)) ([]byte, bool) {
	if item != 0xF {
		if item < first || item > last {
			return nil, false
		}
		return read(item)
	}
	var b []byte
	found := false
	for item := first; item <= last; item++ {
		value, ok := read(item)
		b = append(b, value...)
		found = found || ok
	}
	return append(b, blockEnd), found
}

// programming1997 reads when and how often the meter was programmed and its demand cleared.
func (m *Meter) programming1997(item, last byte, at time.Time) ([]byte, bool) {
	if item != 1 {
		return nil, false
	}
	return block1997(last, 0, 4, func(item byte) ([]byte, bool) {
		kind := eventProgramming
		if item == 1 || item == 3 {
			kind = eventDemandClear
		}
		count, record := m.history(kind, at)
		switch {
		case item == 4:
			return appendNumber(nil, batteryMinutes, 3), true
		case item >= 2:
			return appendNumber(nil, int64(count%10_000), 2), true
		case count == 0:
			return make([]byte, 4), true
		}
		return record(1)[1:5], true // without second and year
	})
}

// phaseFailures1997 reads the failures of phases: none ever happened.
func (m *Meter) phaseFailures1997(item, last byte) ([]byte, bool) {
	if m.phases == 1 || item < 1 || item > 4 {
		return nil, false
	}
	size := []int{2, 3, 4, 4}[item-1] // count, minutes, start, end
	return block1997(last, 0, phases, func(byte) ([]byte, bool) { return make([]byte, size), true })
}

// A variable of 1997 has less digits than that of 2007 and no sign: the status word of the
// meter tells the direction.
var variables1997 = []struct {
	di2    byte
	size   int
	scale  int64 // what the value of 2007 is divided by
	phases bool  // no total
}{
	{di2Voltage, 2, 10, true},
	{di2Current, 2, 10, true},
	{di2Active, 3, 1, false},
	{di2Reactive, 2, 100, false},
	{di2PowerFactor, 2, 1, false},
}

// variable1997 reads what is measured now.
func (m *Meter) variable1997(item, last byte, at time.Time) ([]byte, bool) {
	if item == 0xF && last == 0xF {
		var b []byte
		for item := range variables1997 {
			block, ok := m.variable1997(byte(item+1), last, at)
			if !ok {
				block = []byte{blockEnd}
			}
			b = append(b, block...)
		}
		return b, true
	}
	if item < 1 || int(item) > len(variables1997) {
		return nil, false
	}
	v := variables1997[item-1]
	first := byte(0)
	if v.phases {
		first = 1
	}
	single := last != 0xF
	return block1997(last, first, phases, func(phase byte) ([]byte, bool) {
		value, ok := m.phaseVariable(v.di2, int(phase), at)
		switch {
		case ok:
			return appendNumber(nil, abs(value)/v.scale, v.size), true
		case single:
			return nil, false
		}
		return noValue(v.size), false
	})
}
