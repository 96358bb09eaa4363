package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// quarter is the period of the maximum demand. The current demand takes the period that
// is set in the meter.
const quarter = 15 * minute

// currentDemand returns the mean power of the demand period that ended at the last slip.
func (m *Meter) currentDemand(at instant) power {
	period, slip := diDemandPeriod, diDemandSlip
	if m.version == dlt645.V1997 {
		period, slip = diDemandPeriod1997, diDemandSlip1997
	}
	end := at - at%instant(m.stored(slip)*minute)
	return m.average(end-instant(m.stored(period)*minute), end)
}

// A maximum is the highest demand and the end of its period.
type maximum struct {
	power int64
	at    instant
}

// A maxima holds the highest demands of a time, as far as it has been looked at: of the
// whole meter and all tariffs at index 0.
type maxima struct {
	next instant // the quarter of an hour to look at next
	of   [1 + phases][1 + tariffs][quantities]maximum
}

// A clearing is a moment when the maximum demands began anew.
type clearing struct {
	at       time.Time
	ahead    time.Duration // of the meter's clock
	operator [4]byte       // zero if the meter did it by itself at the end of a month
}

// demandTime returns the time that the maximum demands of a settlement cover as seen at a
// moment: settlement 0 is the current month so far.
func (m *Meter) demandTime(settlement int, at time.Time) (from, to time.Time) {
	from, to = monthStart(at, settlement), at
	if settlement > 0 {
		to = monthStart(at, settlement-1)
	}
	for _, c := range m.demandClears {
		if c.at.After(from) && !c.at.After(to) {
			from = c.at
		}
	}
	return from, to
}

// highest returns the highest demands of a time.
func (m *Meter) highest(from, to time.Time) *maxima {
	start, end := max(instantOf(from), m.cleared, 0), instantOf(to)
	x := m.maxima[start]
	known := x != nil
	if !known || x.next > end { // a freeze looks back into a month that is known further
		x = &maxima{next: (start + quarter - 1) / quarter * quarter}
	}
	if !known {
		if len(m.maxima) > 2*settlements {
			clear(m.maxima)
		}
		m.maxima[start] = x
	}
	for ; x.next+quarter <= end; x.next += quarter {
		x.compare(m.quarterly(x.next), x.next)
	}
	return x
}

// quarterly returns the mean load of a quarter of an hour.
func (m *Meter) quarterly(from instant) load {
	if !m.relay.interrupted(from, from+quarter) {
		// Whole pairs of slots: the mean of the quarter is that of the hour.
		return m.household.hourly(int64(from) / hour)
	}
	var l load
	w := m.drawn(from+quarter).plus(-1, m.drawn(from))
	for p := range w {
		for t := range w[p] {
			for q := range w[p][t] {
				l[p][q] += w[p][t][q] / quarter
			}
		}
	}
	return l
}

// compare compares the load of a quarter of an hour with the maxima.
func (x *maxima) compare(l load, from instant) {
	tariff := 1 + tariffOf(int64(from)/hour%24)
	for q, total := range l.total() {
		for p := range l {
			x.of[1+p][0][q].raise(l[p][q], from+quarter)
		}
		x.of[0][0][q].raise(total, from+quarter)
		x.of[0][tariff][q].raise(total, from+quarter)
	}
}

func (x *maximum) raise(power int64, at instant) {
	if power > x.power {
		*x = maximum{power, at}
	}
}

// maximumDemand finds the highest demand of a kind between two moments.
func (m *Meter) maximumDemand(kind byte, phase int, tariff byte, from, to time.Time) (x maximum) {
	of := m.highest(from, to).of[phase][tariff]
	switch kind {
	case kindForwardActive:
		x = of[forwardActive]
	case kindReverseActive:
		x = of[reverseActive]
	case kindQuadrant1:
		x = of[quadrant1]
	case kindQuadrant4:
		x = of[quadrant4]
	case kindCombinedReactive1:
		// At any time the load is in one of the two quadrants.
		x = of[quadrant1]
		x.raise(of[quadrant4].power, of[quadrant4].at)
	case kindForwardApparent:
		x = of[forwardApparent]
	case kindReverseApparent:
		x = of[reverseApparent]
	}
	return x
}

// demand appends a demand register: XX.XXXX kW, kvar or kVA, and YYMMDDhhmm.
func (m *Meter) demand(b []byte, kind byte, phase int, tariff, settlement byte, at time.Time) []byte {
	from, to := m.demandTime(int(settlement), at)
	return m.maximumDemand(kind, phase, tariff, from, to).append(b)
}

// append appends the demand and its time; the time of none is zero.
func (x maximum) append(b []byte) []byte {
	b = appendNumber(b, x.power, 3)
	if x.power == 0 {
		return append(b, 0, 0, 0, 0, 0)
	}
	return appendMinute(b, x.at.time())
}
