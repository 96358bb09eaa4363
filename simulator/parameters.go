package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// The parameters that the meter itself looks at.
const (
	diDate         dlt645.DI = 0x04000101
	diTime         dlt645.DI = 0x04000102
	diDemandPeriod dlt645.DI = 0x04000103
	diDemandSlip   dlt645.DI = 0x04000104
	diDateTime     dlt645.DI = 0x0400010C
	diStatusWord1  dlt645.DI = 0x04000501
	diStatusWord7  dlt645.DI = 0x04000507
	diStatusWords  dlt645.DI = 0x040005FF
)

// factorySettings returns the parameters that are stored as they are read.
func (m *Meter) factorySettings() map[dlt645.DI][]byte {
	number := make([]byte, 0, len(m.address))
	for i := range m.address {
		number = append(number, m.address[len(m.address)-1-i])
	}
	model := "DTZY645-S"
	if m.phases == 1 {
		model = "DDZY645-S"
	}
	return map[dlt645.DI][]byte{
		diDemandPeriod: {0x15},
		diDemandSlip:   {0x01},
		0x04000201:     {0x02}, // year zones
		0x04000202:     {0x01}, // day-period tables
		0x04000203:     {bcd(len(dayPeriods()))},
		0x04000204:     {tariffs},
		0x04000205:     {0x00, 0x00}, // public holidays
		0x04000401:     number,       // address
		0x04000402:     number,       // meter number
		0x04000403:     text("SIM"+m.address.String(), 32),
		0x04000404:     text("220V", 6),
		0x04000405:     text("5.0A", 6),
		0x04000406:     text("60A", 6),
		0x04000407:     text("1.0", 4),
		0x04000408:     text("2.0", 4),
		0x04000409:     appendNumber(nil, 1200, 3),
		0x0400040A:     appendNumber(nil, 1200, 3),
		0x0400040B:     text(model, 10),
		0x0400040C:     text(epoch.Format("2006-01-02"), 10),
		0x0400040D:     text("DL/T645-2007", 16),
		0x04000601:     {0x05},       // active combination: forward and reverse added
		0x04000602:     {0x41},       // reactive combination 1: quadrants I and IV
		0x04000603:     {0x14},       // reactive combination 2: quadrants II and III
		0x04000703:     {0x08},       // port 1: 2400 baud
		0x04000801:     {0x7F},       // no day of rest
		0x04000802:     {0x01},       // day-period table of the weekend
		0x04000B01:     {0x00, 0x01}, // settlement: day 1, 0 o'clock
		0x04000B02:     {0x99, 0x99}, // not set
		0x04000B03:     {0x99, 0x99},
		0x04000E03:     appendNumber(nil, 2640, 2), // voltage limits
		0x04000E04:     appendNumber(nil, 1540, 2),
		0x04010000:     repeated([][3]byte{{1, 0x01, 0x01}, {1, 0x01, 0x07}}),
		0x04010001:     repeated(dayPeriods()),
		0x04800001:     text("simulator", 32),
		0x04800002:     text("none", 32),
		0x04800003:     text("dlt645-mqtt", 32),
	}
}

// text returns ASCII as it travels: last character first, filled up with NUL.
func text(s string, size int) []byte {
	b := make([]byte, size)
	for i := range s {
		b[len(s)-1-i] = s[i]
	}
	return b
}

// dayPeriods lists the tariff periods of a day in wire order: tariff, minute, hour.
func dayPeriods() (periods [][3]byte) {
	for hourOfDay := range int64(24) {
		if hourOfDay == 0 || tariffOf(hourOfDay) != tariffOf(hourOfDay-1) {
			periods = append(periods, [3]byte{byte(1 + tariffOf(hourOfDay)), 0, bcd(int(hourOfDay))})
		}
	}
	return periods
}

// repeated returns a table of 14 entries, of which the unused ones repeat the last.
func repeated(entries [][3]byte) []byte {
	var b []byte
	for i := range 14 {
		entry := entries[min(i, len(entries)-1)]
		b = append(b, entry[:]...)
	}
	return b
}

// parameter reads a parameter.
func (m *Meter) parameter(di dlt645.DI, at time.Time) ([]byte, bool) {
	clock := at.Add(m.clock).In(zone)
	switch {
	case di == diDate:
		return appendDate(nil, clock), true
	case di == diTime:
		return appendTimeOfDay(nil, clock), true
	case di == diDateTime:
		return appendDate(appendTimeOfDay(nil, clock), clock), true
	case di >= diStatusWord1 && di <= diStatusWord7:
		word := m.statusWord(int(di-diStatusWord1)+1, at)
		return []byte{byte(word), byte(word >> 8)}, true
	case di == diStatusWords:
		var b []byte
		for n := range 7 {
			word := m.statusWord(n+1, at)
			b = append(b, byte(word), byte(word>>8))
		}
		return b, true
	}
	b, ok := m.parameters[di]
	return b, ok
}

// appendDate appends YYMMDDWW, low byte first; Sunday is 0.
func appendDate(b []byte, t time.Time) []byte {
	return append(b, byte(t.Weekday()), bcd(t.Day()), bcd(int(t.Month())), bcd(t.Year()%100))
}

// appendTimeOfDay appends hhmmss, low byte first.
func appendTimeOfDay(b []byte, t time.Time) []byte {
	return append(b, bcd(t.Second()), bcd(t.Minute()), bcd(t.Hour()))
}

// statusWord reads status word 1 to 7, with the bits of the amendments.
func (m *Meter) statusWord(n int, at time.Time) (word uint16) {
	set := func(bit int, on bool) {
		if on {
			word |= 1 << bit
		}
	}
	l := m.load(at)
	switch n {
	case 1:
		var reactive int64
		for p := range l {
			reactive += l[p][quadrant1] - l[p][quadrant4]
		}
		set(5, reactive < 0)
	case 2:
		for p := range l {
			set(4+p, l[p][quadrant4] > 0)
		}
	case 3:
		set(4, m.relay.isOpen(at))
		set(6, m.relay.tripped)
		set(7, m.relay.alarm)
		set(12, m.relay.keepPower)
	case 4, 5, 6:
		if phase := n - 4; phase < m.phases {
			u := m.household.voltage(phase, instantOf(at))
			set(1, u < m.limit(0x04000E04))
			set(2, u > m.limit(0x04000E03))
		}
	}
	return word
}

// limit returns a stored voltage in tenths of a volt.
func (m *Meter) limit(di dlt645.DI) int64 {
	low, _ := fromBCD(m.parameters[di][0])
	high, _ := fromBCD(m.parameters[di][1])
	return int64(high*100 + low)
}

// write stores a parameter. It tells whether the meter has it and takes the value.
func (m *Meter) write(di dlt645.DI, data []byte, at time.Time) bool {
	numbers := make([]int, len(data))
	for i, b := range data {
		n, ok := fromBCD(b)
		if !ok {
			return false
		}
		numbers[i] = n
	}
	clock := at.Add(m.clock).In(zone)
	switch {
	case di == diDemandPeriod && len(data) == 1 && numbers[0] >= 1 && numbers[0] <= 60,
		di == diDemandSlip && len(data) == 1 && numbers[0] >= 1 && numbers[0] <= 60,
		(di == 0x04000E03 || di == 0x04000E04) && len(data) == 2:
		m.parameters[di] = append([]byte(nil), data...)
		return true
	case di == diDate && len(data) == 4:
		return m.set(numbers[1:], []int{clock.Second(), clock.Minute(), clock.Hour()}, at)
	case di == diTime && len(data) == 3:
		return m.set([]int{clock.Day(), int(clock.Month()), clock.Year() % 100}, numbers, at)
	case di == diDateTime && len(data) == 7:
		return m.set(numbers[4:], numbers[:3], at)
	}
	return false
}

// set sets the clock to a date (day, month, year) and a time (second, minute, hour). It
// tells whether there is such a moment.
func (m *Meter) set(date, clock []int, at time.Time) bool {
	t, ok := moment(append(clock[:3:3], date...))
	if ok {
		m.clock = t.Sub(at)
	}
	return ok
}

// moment reads second, minute, hour, day, month and year of the century. It tells whether
// there is such a moment.
func moment(n []int) (time.Time, bool) {
	t := time.Date(2000+n[5], time.Month(n[4]), n[3], n[2], n[1], n[0], 0, zone)
	return t, t.Second() == n[0] && t.Minute() == n[1] && t.Hour() == n[2] && t.Day() == n[3] && int(t.Month()) == n[4]
}
