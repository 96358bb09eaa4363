package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// rows is how many records the meter keeps of each event.
const rows = 10

// A programming is an entry of the programming record.
type programming struct {
	at       time.Time // on the meter's clock
	operator [4]byte
	di       dlt645.DI
}

// event reads a record of events, di without DI3: 3000 programming, 3002 demand clear,
// 3005 programming of the day-period table. DI0 = 00H is the count, 01H the latest record.
// A record that was never written is all zero.
func (m *Meter) event(di dlt645.DI, at time.Time) ([]byte, bool) {
	n := int(di & 0xFF)
	if n > rows {
		return nil, false
	}
	switch di >> 8 {
	case 0x3000:
		return recorded(n, m.counts.Writes, 50, m.programmingRecord), true
	case 0x3002:
		if m.phases == 1 {
			return nil, false
		}
		// The demand is cleared at the end of each month.
		start := monthStart(at, 0)
		months := 12*(start.Year()-epoch.Year()) + int(start.Month()-epoch.Month())
		return recorded(n, months, 202, func(n int) []byte { return m.demandClearRecord(n, at) }), true
	case 0x3005:
		return recorded(n, 1, 682, func(int) []byte { return dayPeriodRecord() }), true
	}
	return nil, false
}

// recorded returns the count (n = 0) or the record n of that many.
func recorded(n, count, size int, record func(n int) []byte) []byte {
	switch {
	case n == 0:
		return appendNumber(nil, int64(count), 3)
	case n > count:
		return make([]byte, size)
	}
	return record(n)
}

func (m *Meter) programmingRecord(n int) []byte {
	p := m.programmed[len(m.programmed)-n]
	b := appendSecond(nil, p.at)
	b = append(b, p.operator[:]...)
	b = p.di.Append(b, dlt645.V2007)
	for len(b) < 50 { // nine identifiers are not used
		b = append(b, 0xFF)
	}
	return b
}

// demandClearRecord lists the maxima before clearing: of the whole meter, then of each
// phase.
func (m *Meter) demandClearRecord(n int, at time.Time) []byte {
	b := appendSecond(nil, monthStart(at, n-1))
	b = append(b, 0, 0, 0, 0) // by the meter itself, no operator
	for phase := range 1 + phases {
		for _, kind := range []byte{kindForwardActive, kindReverseActive, kindQuadrant1, kindQuadrant1 + 1, kindQuadrant1 + 2, kindQuadrant4} {
			b = m.maximumDemand(b, kind, phase, 0, byte(n), at)
		}
	}
	return b
}

// dayPeriodRecord is from when the meter was made: both sets of eight tables were empty
// but for one period.
func dayPeriodRecord() []byte {
	b := appendSecond(nil, epoch)
	b = append(b, 0, 0, 0, 0)
	for range 2 * 8 {
		b = append(b, repeated([][3]byte{{3, 0, 0}})...)
	}
	return b
}
