package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

const (
	loadClasses = 6

	// loadMemory is how far back the load records go, in seconds.
	loadMemory = 40 * day
)

// answerLoadRecords answers function 11H for class 06 of the identifiers: the class of the
// record DI2, 00H for all; DI0 = 00H the earliest blocks, 01H those from a time on, 02H the
// latest. Behind the identifier may stand how many blocks, and then the time, mm hh DD MM YY.
// If there is no such block the answer is the identifier alone.
func (m *Meter) answerLoadRecords(di dlt645.DI, request []byte, at time.Time) response {
	count, from := 1, epoch
	if len(request) > 0 {
		n, ok := fromBCD(request[0])
		if !ok || n == 0 {
			return refuse(errorOther)
		}
		count = n
	}
	if len(request) > 1 {
		t, ok := momentBCD(append([]byte{0}, request[1:]...))
		if !ok {
			return refuse(errorOther)
		}
		from = t
	}
	if byte(di) == 1 && len(request) < 2 {
		return refuse(errorOther)
	}
	data, ok := m.loadRecords(di, count, from, at)
	if !ok {
		return refuse(errorNoSuchData)
	}
	return m.answerRecord(di, data)
}

// loadRecords reads blocks of the load record, the oldest first.
func (m *Meter) loadRecords(di dlt645.DI, count int, from, at time.Time) ([]byte, bool) {
	class, first, which := int(byte(di>>16)), 1, byte(di)
	last := loadClasses
	if class > 0 {
		first, last = class, class
	}
	if class > loadClasses || byte(di>>8) != 0 || which > 2 {
		return nil, false
	}
	intervals := map[int]instant{} // by class
	for class := first; class <= last; class++ {
		interval := m.stored(diLoadInterval+dlt645.DI(class)) * minute
		if m.parameters[diLoadMode][0]>>(class-1)&1 == 1 && interval > 0 {
			intervals[class] = instant(interval)
		}
	}
	if len(intervals) == 0 {
		return nil, true
	}
	begin := max(instantOf(at)-loadMemory, m.cleared, 0)
	next := func(i instant) instant { // the first block at or after i
		block := forever
		for _, interval := range intervals {
			block = min(block, (i+interval-1)/interval*interval)
		}
		return block
	}
	i := next(begin)
	switch which {
	case 1:
		i = next(max(begin, instantOf(from)))
	case 2:
		i = instantOf(at) + 1
		for range count {
			before := instant(-1)
			for _, interval := range intervals {
				before = max(before, (i-1)/interval*interval)
			}
			if before < begin {
				break
			}
			i = before
		}
	}
	var b []byte
	for ; count > 0 && i <= instantOf(at); count-- {
		b = m.appendLoadBlock(b, i, intervals)
		i = next(i + 1)
	}
	return b, true
}

// appendLoadBlock appends one block, annex B of DL/T 645-2007: A0 A0, the number of bytes
// from the time to the last AA, time, six classes closed by AA each, checksum, E5. Classes
// that are not asked for, not recorded or not due are empty.
func (m *Meter) appendLoadBlock(b []byte, i instant, intervals map[int]instant) []byte {
	block := appendMinute([]byte{0xA0, 0xA0, 0}, i.time())
	for class := range loadClasses {
		if interval, ok := intervals[class+1]; ok && i%interval == 0 {
			block = m.appendLoadClass(block, class+1, i)
		}
		block = append(block, blockEnd)
	}
	block[2] = byte(len(block) - 3)
	var sum byte
	for _, c := range block {
		sum += c
	}
	return append(append(b, block...), sum, 0xE5)
}

// appendLoadClass appends what a class of the load record holds.
func (m *Meter) appendLoadClass(b []byte, class int, i instant) []byte {
	at := i.time()
	variables := func(kinds ...byte) {
		for _, di2 := range kinds {
			value, ok := m.variable(di2, 0xFF, 0, at)
			if !ok {
				value = noValue(4 * sizesOfVariables[di2-1])
			}
			b = append(b, value...)
		}
	}
	energies := func(kinds ...byte) {
		for _, kind := range kinds {
			if _, _, ok := m.kindOfDI2(kind); !ok {
				b = append(b, noValue(4)...)
				continue
			}
			b = m.energy(b, kind, 0, 0, 0, at)
		}
	}
	switch class {
	case 1:
		variables(di2Voltage, di2Current)
		b = appendNumber(b, m.household.frequency(i), 2)
	case 2:
		variables(di2Active, di2Reactive)
	case 3:
		variables(di2PowerFactor)
	case 4:
		energies(kindForwardActive, kindReverseActive, kindCombinedReactive1, kindCombinedReactive2)
	case 5:
		energies(kindQuadrant1, kindQuadrant1+1, kindQuadrant1+2, kindQuadrant4)
	case 6:
		demand := m.currentDemand(i)
		b = appendNumber(appendNumber(b, demand.active(), 3), demand.reactive(), 3)
	}
	return b
}
