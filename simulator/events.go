package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// rows is how many records the meter keeps of each kind of event.
const rows = 10

// The kinds of events, by their identifiers without DI0.
const (
	eventPowerDown   dlt645.DI = 0x031100
	eventProgramming dlt645.DI = 0x033000
	eventMeterClear  dlt645.DI = 0x033001
	eventDemandClear dlt645.DI = 0x033002
	eventEventClear  dlt645.DI = 0x033003
	eventClockSet    dlt645.DI = 0x033004
	eventDayPeriods  dlt645.DI = 0x033005

	everyEvent dlt645.DI = 0xFFFFFF // in a command to clear
)

// eventSizes has the length of a record of each kind.
var eventSizes = map[dlt645.DI]int{
	eventPowerDown:   12,
	eventProgramming: 50,
	eventMeterClear:  106,
	eventDemandClear: 202,
	eventEventClear:  14,
	eventClockSet:    16,
	eventDayPeriods:  682,
}

// The kinds of energy or demand that a record lists, phase by phase.
var directions = []byte{kindForwardActive, kindReverseActive, kindQuadrant1, kindQuadrant1 + 1, kindQuadrant1 + 2, kindQuadrant4}

// An events is what the meter remembers of one kind of event that commands bring about.
type events struct {
	count   int
	records [][]byte  // newest last
	cleared time.Time // what was before is forgotten
}

func (m *Meter) eventsOf(kind dlt645.DI) *events {
	e := m.events[kind]
	if e == nil {
		e = &events{cleared: epoch}
		m.events[kind] = e
	}
	return e
}

// enter adds a record.
func (m *Meter) enter(kind dlt645.DI, record []byte) {
	e := m.eventsOf(kind)
	e.count++
	e.records = append(e.records, record)
	e.records = e.records[max(0, len(e.records)-rows):]
}

// clearEvents forgets one kind of event, or every kind but the clearings themselves.
func (m *Meter) clearEvents(kind dlt645.DI, at time.Time) {
	for each := range eventSizes {
		if each == kind || kind == everyEvent && each != eventMeterClear && each != eventEventClear {
			m.events[each] = &events{cleared: at}
		}
	}
}

// event reads a record of events, or how many there were (DI0 = 00H); 01H is the latest. A
// record that was never written is all zero.
func (m *Meter) event(di dlt645.DI, at time.Time) ([]byte, bool) {
	kind, n := di>>8, int(di&0xFF)
	size, ok := eventSizes[kind]
	if !ok || n > rows || kind == eventDemandClear && m.phases == 1 {
		return nil, false
	}
	count, record := m.history(kind, at)
	switch {
	case n == 0:
		return appendNumber(nil, int64(count), 3), true
	case n > count:
		return make([]byte, size), true
	}
	return record(n), true
}

// history tells how many events there were, and how to read the record of the n-th before
// now.
func (m *Meter) history(kind dlt645.DI, at time.Time) (count int, record func(n int) []byte) {
	e := m.eventsOf(kind)
	switch kind {
	case eventPowerDown:
		return m.powerDowns(e.cleared, at)
	case eventDemandClear:
		return m.demandClearings(e.cleared, at)
	case eventDayPeriods:
		if e.cleared.After(epoch) {
			return 0, nil
		}
		return 1, func(int) []byte { return dayPeriodRecord() }
	}
	return e.count, func(n int) []byte { return e.records[len(e.records)-n] }
}

// powerDownTime is the time in which there is one power failure, at a moment of its own.
const powerDownTime = 47 * day

// powerDown returns beginning and end of a power failure. It is over before a reclosing
// breaker gives up: too short to show in an energy register.
func (h *household) powerDown(n int64) (start, end instant) {
	start = instant(n*powerDownTime + int64(h.noise(4, n)%(powerDownTime-minute)))
	return start, start + instant(2+h.noise(5, n)%50)
}

// powerDowns lists the power failures between two moments.
func (m *Meter) powerDowns(since, at time.Time) (count int, record func(n int) []byte) {
	// The latest is of the time that runs, if it has been already.
	latest := int64(instantOf(at)) / powerDownTime
	if _, end := m.household.powerDown(latest); end > instantOf(at) {
		latest--
	}
	earliest := int64(instantOf(since)) / powerDownTime
	if start, _ := m.household.powerDown(earliest); start < instantOf(since) {
		earliest++
	}
	return int(max(latest-earliest+1, 0)), func(n int) []byte {
		start, end := m.household.powerDown(latest + 1 - int64(n))
		return appendSecond(appendSecond(nil, start.time()), end.time())
	}
}

// demandClearings lists the clearings of the demand between two moments: by the meter at
// the end of each month, and by command.
func (m *Meter) demandClearings(since, at time.Time) (count int, record func(n int) []byte) {
	first, last := monthStart(since, 0), monthStart(at, 0)
	count = 12*(last.Year()-first.Year()) + int(last.Month()-first.Month())
	var commands []clearing // newest first
	for i := range m.demandClears {
		if c := m.demandClears[len(m.demandClears)-1-i]; c.at.After(since) {
			commands = append(commands, c)
		}
	}
	return count + len(commands), func(n int) []byte {
		var c clearing
		for month, command := 0, 0; n > 0; n-- {
			c = clearing{at: monthStart(at, month)}
			if command < len(commands) && commands[command].at.After(c.at) {
				c = commands[command]
				command++
			} else {
				month++
			}
		}
		return m.demandClearRecord(c)
	}
}

// demandClearRecord lists the maxima before clearing: of the whole meter, then of each
// phase.
func (m *Meter) demandClearRecord(c clearing) []byte {
	b := appendSecond(nil, c.at.Add(c.ahead))
	b = append(b, c.operator[:]...)
	from, to := m.demandTime(0, c.at.Add(-time.Second))
	for phase := range 1 + phases {
		for _, kind := range directions {
			b = m.maximumDemand(kind, phase, 0, from, to).append(b)
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
