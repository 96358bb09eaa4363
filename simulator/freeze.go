package simulator

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// The kinds of freezes, DI2.
const (
	freezeTimed  = 0x00
	freezeAtOnce = 0x01
	freezeHourly = 0x04
	freezeDaily  = 0x06
)

// How many freezes of a kind the meter keeps.
const (
	mostTimed  = 12
	mostAtOnce = 3
	mostHourly = 254
	mostDaily  = 62
)

// The parts of a freeze, DI1; 01H to 08H are energies of that kind.
const (
	freezeTime          = 0x00
	freezeForwardDemand = 0x09
	freezeReverseDemand = 0x0A
	freezeVariables     = 0x10
	freezeAll           = 0xFF
)

// A freeze is a moment whose registers are kept.
type freeze struct {
	at    time.Time
	shown time.Time // by the meter's clock
}

// A freezePattern tells when to freeze: minute, hour, day and month, as they travel. Where
// it is every, any one will do.
type freezePattern [4]int

const every = 99

var (
	monthly = freezePattern{0, 0, 1, every}
	atOnce  = freezePattern{every, every, every, every}
)

// A timedFreeze is a pattern and when it came in force.
type timedFreeze struct {
	pattern freezePattern
	since   time.Time
}

// parseFreezePattern reads mm hh DD MM. It reports whether there are such moments: from the
// month down to some place it may be 99, and no further.
func parseFreezePattern(data []byte) (p freezePattern, ok bool) {
	for i, b := range data {
		if p[i], ok = fromBCD(b); !ok {
			return p, false
		}
	}
	if p == atOnce {
		return p, true
	}
	minute, hour, day, month := p[0], p[1], p[2], p[3]
	year := 2000 // a leap year
	switch {
	case month != every && (month < 1 || month > 12), hour == every && day != every, day == every && month != every:
		return p, false
	case month == every:
		month = 1
	}
	if day == every {
		day = 1
	}
	if hour == every {
		hour = 0
	}
	t := time.Date(year, time.Month(month), day, hour, minute, 0, 0, zone)
	return p, t.Month() == time.Month(month) && t.Day() == day && t.Hour() == hour && t.Minute() == minute
}

// latest returns the last moment of a pattern up to a time.
func (p freezePattern) latest(upTo time.Time) time.Time {
	upTo = upTo.In(zone)
	for back := 0; ; back++ {
		year, month, day := upTo.Date()
		hour := upTo.Hour()
		switch {
		case p[1] == every:
			hour -= back
		case p[2] == every:
			day -= back
		case p[3] == every:
			month -= time.Month(back)
		default:
			year -= back
		}
		if p[3] != every {
			month = time.Month(p[3])
		}
		if p[2] != every {
			day = p[2]
		}
		if p[1] != every {
			hour = p[1]
		}
		t := time.Date(year, month, day, hour, p[0], 0, 0, zone)
		exists := p[2] == every || t.Day() == p[2] // the 31st is not in every month
		if exists && !t.After(upTo) {
			return t
		}
	}
}

// answerFreeze answers function 16H, mm hh DD MM: at once, or from now on at the moments of
// a pattern.
func (m *Meter) answerFreeze(request dlt645.Frame, at time.Time) response {
	if len(request.Data) != 4 {
		return refuse(errorOther)
	}
	pattern, ok := parseFreezePattern(request.Data)
	if !ok {
		return refuse(errorOther)
	}
	if pattern == atOnce {
		m.frozen = append(m.frozen, freeze{at, at.Add(m.clock)})
		m.frozen = m.frozen[max(0, len(m.frozen)-mostAtOnce):]
	} else {
		m.timed = append(m.timed, timedFreeze{pattern, at})
	}
	return m.carriedOut(request, &m.counts.Freezes)
}

// frozenData reads class 05 of the identifiers: kind DI2, part DI1, record DI0, of which 01H
// is the latest. A block closes every part with AA, one that is not kept too.
func (m *Meter) frozenData(di dlt645.DI, at time.Time) ([]byte, bool) {
	kind, part, n := byte(di>>16), byte(di>>8), int(byte(di))
	f, ok := m.freeze(kind, n, at)
	if !ok {
		return nil, false
	}
	if part != freezeAll {
		return m.frozenPart(f, kind, part)
	}
	var b []byte
	for part := range byte(freezeReverseDemand + 1) {
		if kind == freezeHourly && part > kindReverseActive {
			return b, true
		}
		value, _ := m.frozenPart(f, kind, part)
		b = append(append(b, value...), blockEnd)
	}
	value, _ := m.frozenPart(f, kind, freezeVariables)
	return append(append(b, value...), blockEnd), true
}

// freeze finds the n-th freeze before a moment.
func (m *Meter) freeze(kind byte, n int, at time.Time) (f freeze, ok bool) {
	most := map[byte]int{freezeTimed: mostTimed, freezeAtOnce: mostAtOnce, freezeHourly: mostHourly, freezeDaily: mostDaily}[kind]
	if n < 1 || n > most {
		return freeze{}, false
	}
	switch kind {
	case freezeTimed:
		f.at, ok = m.timedFreeze(n, at)
		f.shown = f.at
	case freezeAtOnce:
		if ok = n <= len(m.frozen); ok {
			f = m.frozen[len(m.frozen)-n]
		}
	case freezeHourly:
		interval := instant(m.stored(diHourlyInterval) * minute)
		i := instantOf(at)/interval*interval - instant(n-1)*interval
		f, ok = freeze{i.time(), i.time()}, true
	case freezeDaily:
		hhmm := m.stored(diDailyTime)
		t := freezePattern{int(hhmm % 100), int(hhmm / 100), every, every}.latest(at).AddDate(0, 0, 1-n)
		f, ok = freeze{t, t}, true
	}
	return f, ok && instantOf(f.at) >= max(m.cleared, 0)
}

// timedFreeze finds the n-th moment back, by the patterns that were in force.
func (m *Meter) timedFreeze(n int, at time.Time) (time.Time, bool) {
	for _, timed := range slices.Backward(m.timed) {
		for t := timed.pattern.latest(at); !t.Before(timed.since); t = timed.pattern.latest(t.Add(-time.Second)) {
			if n--; n == 0 {
				return t, true
			}
		}
		at = timed.since.Add(-time.Second)
	}
	return time.Time{}, false
}

// frozenPart returns a part of a freeze, if its mode word has the part.
func (m *Meter) frozenPart(f freeze, kind, part byte) ([]byte, bool) {
	word := map[byte]dlt645.DI{freezeTimed: diTimedMode, freezeAtOnce: diInstantMode, freezeHourly: diHourlyMode, freezeDaily: diDailyMode}[kind]
	kept := func(bit int) bool { return m.parameters[word][0]>>bit&1 == 1 }
	switch {
	case part == freezeTime:
		return appendMinute(nil, f.shown), true
	case kind == freezeHourly:
		if part > kindReverseActive || !kept(int(part)-1) {
			return nil, false
		}
		return m.energy(nil, part, 0, 0, 0, f.at), true
	case part <= kindQuadrant4:
		if _, _, ok := m.kindOfDI2(part); !ok || !kept(min(int(part)-1, 4)) {
			return nil, false
		}
		return m.block(part, 0xFF, 0, f.at, m.energy)
	case part == freezeForwardDemand || part == freezeReverseDemand:
		if m.phases == 1 || !kept(int(part-freezeForwardDemand)+5) {
			return nil, false
		}
		return m.block(part-freezeForwardDemand+kindForwardActive, 0xFF, 0, f.at, m.demand)
	case part == freezeVariables && kept(7):
		b, _ := m.variable(di2Active, 0xFF, 0, f.at)
		reactive, ok := m.variable(di2Reactive, 0xFF, 0, f.at)
		if !ok {
			reactive = noValue((1 + phases) * 3)
		}
		return append(b, reactive...), true
	}
	return nil, false
}
