package simulator

import (
	"math"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

const settlements = 12

// read finds the data behind an identifier, annex A of DL/T 645-2007.
func (m *Meter) read(di dlt645.DI, at time.Time) ([]byte, bool) {
	di2, di1, di0 := byte(di>>16), byte(di>>8), byte(di)
	switch di >> 24 {
	case 0x00:
		return m.block(di2, di1, di0, at, m.energy)
	case 0x01:
		if m.phases == 1 || di2 == kindCombinedActive {
			return nil, false // a meter for a flat has no demand registers
		}
		return m.block(di2, di1, di0, at, m.maximumDemand)
	case 0x02:
		return m.variable(di2, di1, di0, at)
	case 0x03:
		return m.event(di&0x00FFFFFF, at)
	case 0x04:
		return m.parameter(di, at)
	}
	return nil, false
}

// The kinds of energy and demand, by DI2: 00H to 0AH of the whole meter, 15H to 1EH of
// phase A, each other phase 14H further.
const (
	kindCombinedActive    = 0x00 // forward alone: nothing flows back
	kindForwardActive     = 0x01
	kindReverseActive     = 0x02
	kindCombinedReactive1 = 0x03 // quadrants I and IV
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

// energy appends an energy register, XXXXXX.XX kWh, kvarh or kVAh. The total is the sum of
// the tariff registers digit by digit.
func (m *Meter) energy(b []byte, kind byte, phase int, tariff, settlement byte, at time.Time) []byte {
	i := instantOf(at)
	if settlement > 0 {
		i = instantOf(monthStart(at, int(settlement)-1))
	}
	const hundredthOfAKilowattHour = 10 * 10 * hour // in tenths of a watt second
	w := m.work(i)
	var sum int64
	for t := range tariffs {
		if tariff != 0 && t != int(tariff)-1 {
			continue
		}
		of := func(q quantity) (register int64) {
			if phase > 0 {
				return w[phase-1][t][q]
			}
			for p := range w {
				register += w[p][t][q]
			}
			return register
		}
		switch kind {
		case kindCombinedActive, kindForwardActive:
			sum += of(forwardActive) / hundredthOfAKilowattHour
		case kindCombinedReactive1:
			sum += of(quadrant1)/hundredthOfAKilowattHour + of(quadrant4)/hundredthOfAKilowattHour
		case kindQuadrant1:
			sum += of(quadrant1) / hundredthOfAKilowattHour
		case kindQuadrant4:
			sum += of(quadrant4) / hundredthOfAKilowattHour
		case kindForwardApparent:
			sum += of(forwardApparent) / hundredthOfAKilowattHour
		}
	}
	return appendNumber(b, sum%1e8, 4)
}

// work returns the energy that went through the meter since epoch.
func (m *Meter) work(at instant) work {
	return m.household.work(at).plus(-1, m.relay.missing(m.household, at))
}

// load returns the power that goes through the meter.
func (m *Meter) load(at time.Time) load {
	if m.relay.isOpen(at) {
		return load{}
	}
	return m.household.load(instantOf(at))
}

// average returns the mean power between two instants, added up over the phases.
func (m *Meter) average(from, to instant) (power [quantities]int64) {
	w := m.work(to).plus(-1, m.work(from))
	for p := range w {
		for t := range w[p] {
			for q := range w[p][t] {
				power[q] += w[p][t][q]
			}
		}
	}
	for q := range power {
		power[q] /= int64(to - from)
	}
	return power
}

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
	if di2 >= 0x03 && di2 <= 0x06 {
		first = 0 // powers and power factor begin with the total
	}
	for phase := first; phase <= phases; phase++ {
		value, ok := m.phaseVariable(di2, phase, at)
		if ok {
			b = appendNumber(b, value, size)
			found = true
			continue
		}
		for range size {
			b = append(b, 0xFF)
		}
	}
	return b, found
}

// sizesOfVariables is the length of the variables from DI2 = 01H on.
var sizesOfVariables = [...]int{2, 3, 3, 3, 3, 2, 2, 2, 2}

// phaseVariable reads a variable of a phase, 1 to 3, or of the whole meter, phase 0.
func (m *Meter) phaseVariable(di2 byte, phase int, at time.Time) (int64, bool) {
	if phase > m.phases {
		return 0, false
	}
	if m.phases == 1 && di2 != 0x01 && di2 != 0x02 && di2 != 0x03 && di2 != 0x06 {
		return 0, false
	}
	l := m.load(at)
	var active, reactive, apparent int64
	for p := range l {
		if phase == 0 || phase == p+1 {
			active += l[p][forwardActive]
			reactive += l[p][quadrant1] - l[p][quadrant4]
			apparent += l[p][forwardApparent]
		}
	}
	switch di2 {
	case 0x03:
		return active, true
	case 0x04:
		return reactive, true
	case 0x05:
		return apparent, true
	case 0x06:
		if apparent == 0 {
			return 1000, true
		}
		return min((active*1000+apparent/2)/apparent, 1000), true
	}
	if phase == 0 {
		return 0, false
	}
	i := instantOf(at)
	switch di2 {
	case 0x01:
		return m.household.voltage(phase-1, i), true
	case 0x02:
		// Tenths of a volt-ampere by tenths of a volt are amperes.
		u := m.household.voltage(phase-1, i)
		return (apparent*1000 + u/2) / u, true
	case 0x07:
		degrees := math.Atan2(float64(reactive), float64(active)) * 180 / math.Pi
		return (int64(math.Round(degrees*10)) + 3600) % 3600, true
	case 0x08:
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
		current, _ := m.phaseVariable(0x02, 1, at)
		if m.phases > 1 {
			current = current/10 + m.household.wander(34, i, minute, 5)
		}
		return appendNumber(nil, max(current, 0), 3), true
	case 0x02:
		return appendNumber(nil, m.household.frequency(i), 2), true
	case 0x03: // of the last whole minute
		end := i - i%minute
		return appendNumber(nil, m.average(end-minute, end)[forwardActive], 3), true
	case 0x04, 0x05, 0x06:
		if m.phases == 1 {
			return nil, false
		}
		demand := m.currentDemand(i)
		return appendNumber(nil, []int64{demand[forwardActive], demand[quadrant1] - demand[quadrant4], demand[forwardApparent]}[di0-4], 3), true
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
		return appendNumber(nil, 37, 4), true
	}
	return nil, false
}

// appendNumber appends a number as BCD, low byte first, with the sign in the top bit of
// the last byte. Digits that do not fit are dropped.
func appendNumber(b []byte, n int64, size int) []byte {
	negative := n < 0
	if negative {
		n = -n
	}
	for range size {
		b = append(b, bcd(int(n%100)))
		n /= 100
	}
	if negative {
		b[len(b)-1] |= 0x80
	}
	return b
}

// bcd packs a number of two digits into a byte.
func bcd(n int) byte { return byte(n/10<<4 | n%10) }

// fromBCD unpacks a byte of two digits; false if it holds none.
func fromBCD(b byte) (int, bool) { return int(b>>4)*10 + int(b&15), b>>4 < 10 && b&15 < 10 }

// appendMinute appends a time as YYMMDDhhmm, low byte first.
func appendMinute(b []byte, t time.Time) []byte {
	t = t.In(zone)
	return append(b, bcd(t.Minute()), bcd(t.Hour()), bcd(t.Day()), bcd(int(t.Month())), bcd(t.Year()%100))
}

// appendSecond appends a time as YYMMDDhhmmss, low byte first.
func appendSecond(b []byte, t time.Time) []byte {
	return appendMinute(append(b, bcd(t.Second())), t)
}

// monthStart returns the beginning of the month that is so many months before that of at.
func monthStart(at time.Time, before int) time.Time {
	at = at.In(zone)
	return time.Date(at.Year(), at.Month()-time.Month(before), 1, 0, 0, 0, 0, zone)
}
