package simulator

import (
	"maps"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// Parameters of 2007 that the meter itself looks at.
const (
	diDemandPeriod     dlt645.DI = 0x04000103
	diDemandSlip       dlt645.DI = 0x04000104
	diYearZoneCount    dlt645.DI = 0x04000201
	diDayTableCount    dlt645.DI = 0x04000202
	diDayPeriodCount   dlt645.DI = 0x04000203
	diTariffCount      dlt645.DI = 0x04000204
	diLadderCount      dlt645.DI = 0x04000207
	diAddress          dlt645.DI = 0x04000401
	diStatusWord1      dlt645.DI = 0x04000501
	diStatusWord7      dlt645.DI = 0x04000507
	diStatusWords      dlt645.DI = 0x040005FF
	diActiveWord       dlt645.DI = 0x04000601
	diReactiveWord1    dlt645.DI = 0x04000602
	diReactiveWord2    dlt645.DI = 0x04000603
	diBaud             dlt645.DI = 0x04000703 // of port 1
	diLoadMode         dlt645.DI = 0x04000901
	diTimedMode        dlt645.DI = 0x04000902
	diInstantMode      dlt645.DI = 0x04000903
	diHourlyMode       dlt645.DI = 0x04000905
	diDailyMode        dlt645.DI = 0x04000906
	diLoadInterval     dlt645.DI = 0x04000A01 // class 1 is the next one
	diUpperVoltage     dlt645.DI = 0x04000E03
	diLowerVoltage     dlt645.DI = 0x04000E04
	diHourlyInterval   dlt645.DI = 0x04001202
	diDailyTime        dlt645.DI = 0x04001203
	diReportReset      dlt645.DI = 0x04001503
	diPasswordsByGroup dlt645.DI = diPasswords >> 8
)

// Parameters of 1997 that the meter itself looks at.
const (
	diMeterStatus1997    dlt645.DI = 0xC020
	diGridStatus1997     dlt645.DI = 0xC021
	diDemandPeriod1997   dlt645.DI = 0xC111
	diDemandSlip1997     dlt645.DI = 0xC112
	diPassword1997       dlt645.DI = 0xC212
	diYearZoneCount1997  dlt645.DI = 0xC310
	diDayTableCount1997  dlt645.DI = 0xC311
	diDayPeriodCount1997 dlt645.DI = 0xC312
	diTariffCount1997    dlt645.DI = 0xC313
)

// addressData returns the address as it travels in data, the lowest byte first.
func (m *Meter) addressData() []byte {
	b := slices.Clone(m.address[:])
	slices.Reverse(b)
	return b
}

// parameter reads a parameter: one that the meter knows, one that was stored, a block of
// stored ones, or zero for what can be written but never was.
func (m *Meter) parameter(di dlt645.DI, at time.Time) ([]byte, bool) {
	if b, ok := m.readClock(di, at); ok {
		return b, true
	}
	switch {
	case di == diAddress:
		return m.addressData(), true
	case di >= diStatusWord1 && di <= diStatusWord7:
		return appendWord(nil, m.statusWord(int(di-diStatusWord1)+1, at)), true
	case di == diStatusWords:
		var b []byte
		for n := range 7 {
			b = appendWord(b, m.statusWord(n+1, at))
		}
		return b, true
	case di == diMeterStatus1997, di == diGridStatus1997:
		return []byte{m.statusWord1997(di, at)}, true
	}
	if b, ok := m.parameters[di]; ok {
		return b, true
	}
	if members := m.members(di); len(members) > 0 {
		var b []byte
		for _, member := range members {
			value, _ := m.parameter(member, at)
			b = append(b, value...)
		}
		if m.version == dlt645.V1997 {
			b = append(b, blockEnd)
		}
		return b, true
	}
	item, ok := dlt645.Items(m.version).Lookup(di)
	if !ok || item.Access != "RW" || item.Block() {
		return nil, false
	}
	return make([]byte, item.Size()), true
}

// stored returns a parameter of one or two bytes as a number.
func (m *Meter) stored(di dlt645.DI) (n int64) {
	for _, b := range slices.Backward(m.parameters[di]) {
		digits, _ := fromBCD(b)
		n = n*100 + int64(digits)
	}
	return n
}

// members lists the stored items of a block. The tables have as many entries as the meter's
// own numbers of tariffs, ladders, zones and periods tell.
func (m *Meter) members(di dlt645.DI) (members []dlt645.DI) {
	run := func(first dlt645.DI, count int64) {
		for n := range dlt645.DI(count) {
			members = append(members, first+n)
		}
	}
	if m.version == dlt645.V1997 {
		switch {
		case di == 0xC31F:
			return []dlt645.DI{0xC310, 0xC311, 0xC312, 0xC313, 0xC314}
		case di == 0xC32F:
			run(0xC321, m.stored(diYearZoneCount1997))
		case di >= 0xC33F && di <= 0xC3AF && di&0xF == 0xF:
			run(di-0xE, m.stored(diDayPeriodCount1997))
		}
		return members
	}
	switch di {
	case 0x040501FF, 0x040502FF: // prices of the tariffs
		run(di-0xFE, m.stored(diTariffCount))
	case 0x040600FF, 0x040602FF: // ladder values
		run(di-0xFE, m.stored(diLadderCount))
	case 0x040601FF, 0x040603FF: // and prices
		run(di-0xFE, m.stored(diLadderCount)+1)
	}
	return members
}

// isPassword reports whether a parameter is a password, which has a function of its own.
func isPassword(di dlt645.DI) bool { return di>>8 == diPasswordsByGroup || di == diPassword1997 }

// write stores what a master sent for an item that can be written.
func (m *Meter) write(di dlt645.DI, data []byte, at time.Time) (refusal byte) {
	item, ok := dlt645.Items(m.version).Lookup(di)
	if isPassword(di) {
		return errorNotAuthorised
	}
	if _, readable := m.read(di, at); !readable && di != diReportReset {
		return errorNoSuchData
	}
	if !ok || !strings.Contains(item.Access, "W") {
		return errorOther
	}
	if members := m.members(di); len(members) > 0 {
		return m.writeBlock(members, data, at)
	}
	values, err := item.Decode(data, zone)
	if err != nil || len(values) == 0 || values[0].Data == nil && data[0] == 0xFF {
		return errorOther
	}
	if _, ok := m.readClock(di, at); ok {
		return m.writeClock(di, data, at)
	}
	if refusal := m.outOfRange(di, data); refusal != 0 {
		return refusal
	}
	switch di {
	case diAddress:
		m.address = addressOf(data)
	case diReportReset: // there is nothing to report
	default:
		m.parameters[di] = slices.Clone(data)
	}
	return 0
}

// writeBlock stores the members of a block, all of them or none.
func (m *Meter) writeBlock(members []dlt645.DI, data []byte, at time.Time) (refusal byte) {
	if m.version == dlt645.V1997 && len(data) > 0 && data[len(data)-1] == blockEnd {
		data = data[:len(data)-1]
	}
	before := map[dlt645.DI][]byte{}
	for _, di := range members {
		old, _ := m.parameter(di, at)
		if len(data) < len(old) {
			refusal = errorOther
			break
		}
		before[di] = old
		if refusal = m.write(di, data[:len(old)], at); refusal != 0 {
			break
		}
		data = data[len(old):]
	}
	if refusal == 0 && len(data) == 0 {
		return 0
	}
	maps.Copy(m.parameters, before)
	return max(refusal, errorOther)
}

// outOfRange tells what is wrong with a number that the meter cannot take.
func (m *Meter) outOfRange(di dlt645.DI, data []byte) (refusal byte) {
	n, _ := fromBCD(data[0])
	within := func(least, most int, refusal byte) byte {
		if n < least || n > most {
			return refusal
		}
		return 0
	}
	switch di {
	case diDemandPeriod, diDemandSlip, diDemandPeriod1997, diDemandSlip1997, diHourlyInterval:
		return within(1, 60, errorOther)
	case diYearZoneCount, diYearZoneCount1997:
		return within(1, 14, errorYearZones)
	case diDayTableCount, diDayTableCount1997:
		return within(1, 8, errorDayPeriods)
	case diDayPeriodCount:
		return within(1, 14, errorDayPeriods)
	case diDayPeriodCount1997:
		return within(1, 10, errorDayPeriods)
	case diTariffCount:
		return within(1, 63, errorTariffs)
	case diTariffCount1997:
		return within(1, 14, errorTariffs)
	case diAddress:
		if !single(addressOf(data), m.version) {
			return errorOther
		}
	}
	return 0
}

// addressOf reads an address in data, the lowest byte first.
func addressOf(data []byte) (a dlt645.Address) {
	copy(a[:], data)
	slices.Reverse(a[:])
	return a
}
