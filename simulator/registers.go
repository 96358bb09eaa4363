package simulator

import (
	"math"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

const settlements = 12

// batteryMinutes is how long the meter has run on its battery.
const batteryMinutes = 37

// blockEnd closes a part of a block where parts may be missing, and every block of 1997. It
// is no BCD.
const blockEnd = 0xAA

// read2007 finds the data behind an identifier, annex A of DL/T 645-2007.
func (m *Meter) read2007(di dlt645.DI, at time.Time) ([]byte, bool) {
	di2, di1, di0 := byte(di>>16), byte(di>>8), byte(di)
	switch di >> 24 {
	case 0x00:
		return m.block(di2, di1, di0, at, m.energy)
	case 0x01:
		if m.phases == 1 || di2 == kindCombinedActive {
			return nil, false // a meter for a flat has no demand registers
		}
		return m.block(di2, di1, di0, at, m.demand)
	case 0x02:
		return m.variable(di2, di1, di0, at)
	case 0x03:
		return m.event(di, at)
	case 0x04:
		return m.parameter(di, at)
	case 0x05:
		return m.frozenData(di, at)
	case 0x06:
		return m.loadRecords(di, 1, epoch, at)
	}
	return nil, false
}

// The kinds of energy and demand, by DI2: 00H to 0AH of the whole meter, 15H to 1EH of
// phase A, each other phase 14H further.
const (
	kindCombinedActive    = 0x00 // forward and reverse, as the combination word has it
	kindForwardActive     = 0x01
	kindReverseActive     = 0x02
	kindCombinedReactive1 = 0x03 // quadrants, as the combination words have it
	kindCombinedReactive2 = 0x04
	kindQuadrant1         = 0x05
	kindQuadrant4         = 0x08
	kindForwardApparent   = 0x09
	kindReverseApparent   = 0x0A
	kindsOfPhase          = 0x14
)

// kindOfDI2 splits DI2 into the kind and the phase, 1 to 3, or 0 for the whole meter.
func (m *Meter) kindOfDI2(di2 byte) (kind byte, phase int, ok bool) {
	kind = di2
	if di2 > kindReverseApparent {
		phase, kind = int(di2-1)/kindsOfPhase, (di2-1)%kindsOfPhase+1
	}
	if m.phases == 1 {
		return kind, phase, di2 <= kindReverseActive
	}
	return kind, phase, kind <= kindReverseApparent && phase <= phases
}

// block reads registers of energy or demand: one (tariff DI1, settlement DI0), total and
// tariffs (DI1 = FFH), or current value and settlements (DI0 = FFH).
func (m *Meter) block(di2, di1, di0 byte, at time.Time, register func(b []byte, kind byte, phase int, tariff, settlement byte, at time.Time) []byte) ([]byte, bool) {
	kind, phase, ok := m.kindOfDI2(di2)
	if !ok {
		return nil, false
	}
	highest := byte(tariffs)
	if phase > 0 {
		highest = 0
	}
	var b []byte
	switch {
	case di1 <= highest && di0 <= settlements:
		return register(nil, kind, phase, di1, di0, at), true
	case di1 == 0xFF && di0 <= settlements && phase == 0:
		for tariff := range byte(tariffs + 1) {
			b = register(b, kind, phase, tariff, di0, at)
		}
		return b, true
	case di1 <= highest && di0 == 0xFF:
		for settlement := range byte(settlements + 1) {
			b = register(b, kind, phase, di1, settlement, at)
		}
		return b, true
	}
	return nil, false
}

// energy appends an energy register, ±XXXXXX.XX kWh, kvarh or kVAh. The total is the sum of
// the tariff registers digit by digit.
func (m *Meter) energy(b []byte, kind byte, phase int, tariff, settlement byte, at time.Time) []byte {
	i := instantOf(at)
	if settlement > 0 {
		i = instantOf(monthStart(at, int(settlement)-1))
	}
	const hundredthOfAKilowattHour = 10 * 10 * hour // in tenths of a watt second
	w := m.work(i)
	return appendNumber(b, m.counted(w, kind, phase, int(tariff), hundredthOfAKilowattHour)%1e8, 4)
}

// counted returns what one register holds: the energy of a tariff (0: of all) and of a phase (0: of all), in units of per.
func (m *Meter) counted(w work, kind byte, phase, tariff int, per int64) (sum int64) {
	for t := range tariffs {
		if tariff != 0 && t != tariff-1 {
			continue
		}
		var registers power
		for p := range w {
			if phase > 0 && phase != p+1 {
				continue
			}
			for q, value := range w[p][t] {
				registers[q] += value
			}
		}
		for q := range registers {
			registers[q] /= per
		}
		sum += m.kindOfEnergy(kind, registers)
	}
	return sum
}

// kindOfEnergy makes one kind of energy of those that are counted.
func (m *Meter) kindOfEnergy(kind byte, registers power) int64 {
	switch kind {
	case kindCombinedActive:
		return m.combined(diActiveWord, registers[forwardActive], registers[reverseActive])
	case kindForwardActive:
		return registers[forwardActive]
	case kindReverseActive:
		return registers[reverseActive]
	case kindCombinedReactive1:
		return m.combined(diReactiveWord1, registers[quadrant1], 0, 0, registers[quadrant4])
	case kindCombinedReactive2:
		return m.combined(diReactiveWord2, registers[quadrant1], 0, 0, registers[quadrant4])
	case kindQuadrant1:
		return registers[quadrant1]
	case kindQuadrant4:
		return registers[quadrant4]
	case kindForwardApparent:
		return registers[forwardApparent]
	case kindReverseApparent:
		return registers[reverseApparent]
	}
	return 0
}

// combined adds up registers as a combination word tells: two bits each, one to add it and
// one to subtract it.
func (m *Meter) combined(word dlt645.DI, registers ...int64) (sum int64) {
	bits := m.parameters[word][0]
	for n, register := range registers {
		if bits>>(2*n)&1 == 1 {
			sum += register
		}
		if bits>>(2*n)&2 == 2 {
			sum -= register
		}
	}
	return sum
}

// drawn returns the energy that went through the meter since epoch.
func (m *Meter) drawn(at instant) work {
	return m.household.work(at).plus(-1, m.relay.undrawn(m.household, at))
}

// work returns what the meter has counted since it was cleared, and nothing of the time
// before.
func (m *Meter) work(at instant) work {
	if at <= m.cleared {
		return work{}
	}
	return m.drawn(at).plus(-1, m.base)
}

// load returns the power that goes through the meter, or went.
func (m *Meter) load(at time.Time) load {
	if i := instantOf(at); m.relay.interrupted(i, i+1) {
		return load{}
	}
	return m.household.load(instantOf(at))
}

// average returns the mean power between two instants, added up over the phases.
func (m *Meter) average(from, to instant) (mean power) {
	w := m.drawn(to).plus(-1, m.drawn(from))
	for p := range w {
		for t := range w[p] {
			for q, value := range w[p][t] {
				mean[q] += value
			}
		}
	}
	for q := range mean {
		mean[q] /= int64(to - from)
	}
	return mean
}

// Variables of a phase or of the whole meter, by DI2.
const (
	di2Voltage     = 0x01
	di2Current     = 0x02
	di2Active      = 0x03
	di2Reactive    = 0x04
	di2Apparent    = 0x05
	di2PowerFactor = 0x06
	di2PhaseAngle  = 0x07
	di2Distortion  = 0x08 // of the voltage; that of the current is next
)

// sizesOfVariables is the length of these variables, from the first on.
var sizesOfVariables = [...]int{2, 3, 3, 3, 3, 2, 2, 2, 2}

// variable reads what is measured now.
func (m *Meter) variable(di2, di1, di0 byte, at time.Time) ([]byte, bool) {
	switch di2 {
	case 0x0A, 0x0B:
		return m.harmonics(di2, di1, di0, at)
	case 0x80:
		if di1 != 0 {
			return nil, false
		}
		return m.other(di0, at)
	}
	if di0 != 0 || di2 == 0 || int(di2) > len(sizesOfVariables) {
		return nil, false
	}
	size := sizesOfVariables[di2-1]
	if di1 != 0xFF {
		value, ok := m.phaseVariable(di2, int(di1), at)
		return appendNumber(nil, value, size), ok
	}
	var b []byte
	found := false
	first := 1
	if di2 >= di2Active && di2 <= di2PowerFactor {
		first = 0 // powers and power factor begin with the total
	}
	for phase := first; phase <= phases; phase++ {
		value, ok := m.phaseVariable(di2, phase, at)
		if ok {
			b = appendNumber(b, value, size)
			found = true
			continue
		}
		b = append(b, noValue(size)...)
	}
	return b, found
}

// phaseVariable reads a variable of a phase, 1 to 3, or of the whole meter, phase 0.
func (m *Meter) phaseVariable(di2 byte, phase int, at time.Time) (int64, bool) {
	if phase > m.phases {
		return 0, false
	}
	if m.phases == 1 && di2 != di2Voltage && di2 != di2Current && di2 != di2Active && di2 != di2PowerFactor {
		return 0, false
	}
	p := m.load(at).of(phase)
	active, reactive, apparent := p.active(), p.reactive(), p.apparent()
	switch di2 {
	case di2Active:
		return active, true
	case di2Reactive:
		return reactive, true
	case di2Apparent:
		return apparent, true
	case di2PowerFactor:
		if apparent == 0 {
			return 1000, true
		}
		perMille := min((abs(active)*1000+abs(apparent)/2)/abs(apparent), 1000)
		if active < 0 {
			perMille = -perMille
		}
		return perMille, true
	}
	if phase == 0 {
		return 0, false
	}
	i := instantOf(at)
	switch di2 {
	case di2Voltage:
		return m.household.voltage(phase-1, i), true
	case di2Current:
		// Tenths of a volt-ampere by tenths of a volt are amperes.
		u := m.household.voltage(phase-1, i)
		return (apparent*1000 + u/2) / u, true // below zero where it flows back, as the power
	case di2PhaseAngle:
		degrees := math.Atan2(float64(reactive), float64(active)) * 180 / math.Pi
		return (int64(math.Round(degrees*10)) + 3600) % 3600, true
	case di2Distortion:
		return 190 + m.household.wander(uint64(40+phase), i, hour/4, 60), true
	}
	return 620 + m.household.wander(uint64(43+phase), i, hour/4, 250), true
}

// harmonics reads the harmonic content of voltage (DI2 = 0AH) or current, in hundredths of
// a per cent: one order, or orders 1 to 21 (DI0 = FFH).
func (m *Meter) harmonics(di2, phase, order byte, at time.Time) ([]byte, bool) {
	const orders = 21
	if m.phases == 1 || phase == 0 || int(phase) > m.phases {
		return nil, false
	}
	content := func(order byte) int64 {
		if order == 1 {
			return 9999 // the fundamental itself; 100.00 does not fit XX.XX
		}
		scale := int64(300)
		if di2 == 0x0B {
			scale = 1200
		}
		if order%2 == 0 {
			scale /= 10
		}
		purpose := uint64(64) + uint64(di2&1)*phases*orders + uint64(phase-1)*orders + uint64(order-1)
		mean := scale / int64(order)
		return mean + m.household.wander(purpose, instantOf(at), hour/4, mean/2)
	}
	switch {
	case order >= 1 && order <= orders:
		return appendNumber(nil, content(order), 2), true
	case order == 0xFF:
		var b []byte
		for order := range byte(orders) {
			b = appendNumber(b, content(order+1), 2)
		}
		return b, true
	}
	return nil, false
}

// other reads the variables 028000 DI0.
func (m *Meter) other(di0 byte, at time.Time) ([]byte, bool) {
	i := instantOf(at)
	switch di0 {
	case 0x01: // neutral current
		current, _ := m.phaseVariable(di2Current, 1, at)
		if m.phases > 1 {
			current = max(abs(current)/10+m.household.wander(34, i, minute, 5), 0)
		}
		return appendNumber(nil, current, 3), true
	case 0x02:
		return appendNumber(nil, m.household.frequency(i), 2), true
	case 0x03: // of the last whole minute
		end := i - i%minute
		return appendNumber(nil, m.average(end-minute, end).active(), 3), true
	case 0x04, 0x05, 0x06:
		if m.phases == 1 {
			return nil, false
		}
		demand := m.currentDemand(i)
		return appendNumber(nil, []int64{demand.active(), demand.reactive(), demand.apparent()}[di0-4], 3), true
	case 0x07:
		return appendNumber(nil, m.household.temperature(i), 2), true
	case 0x08: // clock battery
		return appendNumber(nil, 364+m.household.wander(35, i, day, 1), 2), true
	case 0x09: // battery for reading during an outage
		if m.phases == 1 {
			return nil, false
		}
		return appendNumber(nil, 602+m.household.wander(36, i, day, 2), 2), true
	case 0x0A: // minutes on battery
		return appendNumber(nil, batteryMinutes, 4), true
	}
	return nil, false
}

// appendNumber appends a number as BCD, low byte first, with the sign in the top bit of
// the last byte. Digits that do not fit are dropped.
func appendNumber(b []byte, n int64, size int) []byte {
	negative := n < 0
	n = abs(n)
	for range size {
		b = append(b, bcd(int(n%100)))
		n /= 100
	}
	if negative {
		b[len(b)-1] |= 0x80
	}
	return b
}

// noValue returns bytes that hold no value.
func noValue(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = 0xFF
	}
	return b
}

// bcd packs a number of two digits into a byte.
func bcd(n int) byte { return byte(n/10<<4 | n%10) }

// fromBCD unpacks a byte of two digits; false if it holds none.
func fromBCD(b byte) (int, bool) { return int(b>>4)*10 + int(b&15), b>>4 < 10 && b&15 < 10 }

func abs(n int64) int64 { return max(n, -n) }
