package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// The items of the clock.
const (
	diDate     dlt645.DI = 0x04000101
	diTime     dlt645.DI = 0x04000102
	diDateTime dlt645.DI = 0x0400010C // amended: time and date in one, so that no midnight can come between

	diDate1997     dlt645.DI = 0xC010
	diTime1997     dlt645.DI = 0xC011
	diDateTime1997 dlt645.DI = 0xC01F // a block: date, then time
)

// readClock reads an item of the clock.
func (m *Meter) readClock(di dlt645.DI, at time.Time) ([]byte, bool) {
	now := at.Add(m.clock).In(zone)
	switch di {
	case diDate, diDate1997:
		return appendDate(nil, now), true
	case diTime, diTime1997:
		return appendTimeOfDay(nil, now), true
	case diDateTime:
		return appendDate(appendTimeOfDay(nil, now), now), true
	case diDateTime1997:
		return append(appendTimeOfDay(appendDate(nil, now), now), blockEnd), true
	}
	return nil, false
}

// writeClock sets the clock. The data hold what the dictionary takes for the item, but the
// date need not exist.
func (m *Meter) writeClock(di dlt645.DI, data []byte, at time.Time) (refusal byte) {
	now := at.Add(m.clock)
	date, clock := appendDate(nil, now.In(zone)), appendTimeOfDay(nil, now.In(zone))
	switch di {
	case diDate, diDate1997:
		date = data
	case diTime, diTime1997:
		clock = data
	case diDateTime:
		clock, date = data[:3], data[3:]
	case diDateTime1997:
		date, clock = data[:4], data[4:7]
	}
	// YYMMDDWW travels with the day of the week first.
	t, ok := momentBCD(append(clock[:3:3], date[1:]...))
	if !ok {
		return errorOther
	}
	m.clock = t.Sub(at)
	return 0
}

// setByBroadcast carries out function 08H, ss mm hh DD MM YY: if the clock is wrong by
// five minutes at most, once a day.
func (m *Meter) setByBroadcast(request dlt645.Frame, at time.Time) {
	if len(request.Data) != 6 {
		return
	}
	t, ok := momentBCD(request.Data)
	off := t.Sub(at.Add(m.clock))
	if !ok || off.Abs() > 5*time.Minute || instantOf(t)/day == m.broadcast/day {
		return
	}
	m.clock, m.broadcast = t.Sub(at), instantOf(t)
	m.carriedOut(request, &m.counts.ClockSets)
}

// momentBCD reads ss mm hh DD MM YY. It reports whether there is such a moment.
func momentBCD(b []byte) (time.Time, bool) {
	var n [6]int
	for i := range n {
		digits, ok := fromBCD(b[i])
		if !ok {
			return time.Time{}, false
		}
		n[i] = digits
	}
	t := time.Date(2000+n[5], time.Month(n[4]), n[3], n[2], n[1], n[0], 0, zone)
	return t, t.Second() == n[0] && t.Minute() == n[1] && t.Hour() == n[2] && t.Day() == n[3] && int(t.Month()) == n[4]
}

// appendDate appends YYMMDDWW, low byte first; Sunday is 0.
func appendDate(b []byte, t time.Time) []byte {
	return append(b, byte(t.Weekday()), bcd(t.Day()), bcd(int(t.Month())), bcd(t.Year()%100))
}

// appendTimeOfDay appends hhmmss, low byte first.
func appendTimeOfDay(b []byte, t time.Time) []byte {
	return append(b, bcd(t.Second()), bcd(t.Minute()), bcd(t.Hour()))
}

// appendMinute appends a time as YYMMDDhhmm, low byte first.
func appendMinute(b []byte, t time.Time) []byte {
	return append(appendMinuteOfYear(b, t), bcd(t.In(zone).Year()%100))
}

// appendMinuteOfYear appends a time as MMDDhhmm, low byte first.
func appendMinuteOfYear(b []byte, t time.Time) []byte {
	t = t.In(zone)
	return append(b, bcd(t.Minute()), bcd(t.Hour()), bcd(t.Day()), bcd(int(t.Month())))
}

// appendSecond appends a time as YYMMDDhhmmss, low byte first.
func appendSecond(b []byte, t time.Time) []byte {
	return appendMinute(append(b, bcd(t.In(zone).Second())), t)
}

// monthStart returns the beginning of the month that is so many months before that of at.
func monthStart(at time.Time, before int) time.Time {
	at = at.In(zone)
	return time.Date(at.Year(), at.Month()-time.Month(before), 1, 0, 0, 0, 0, zone)
}
