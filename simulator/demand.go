package simulator

import "time"

// quarter is the period of the maximum demand. The current demand takes the period that
// is set in the meter.
const quarter = 15 * minute

// currentDemand returns the mean power of the demand period that ended at the last slip.
func (m *Meter) currentDemand(at instant) [quantities]int64 {
	period, _ := fromBCD(m.parameters[diDemandPeriod][0])
	slip, _ := fromBCD(m.parameters[diDemandSlip][0])
	end := at - at%instant(slip*minute)
	return m.average(end-instant(period*minute), end)
}

// A maximum is the highest demand and the end of its period.
type maximum struct {
	power int64
	at    instant
}

// A monthly holds the maxima of a month, as far as the month has been looked at.
type monthly struct {
	next, end instant                                      // the period to look at next, and when the month ends
	of        [1 + phases][1 + tariffs][quantities]maximum // of the whole meter and all tariffs: index 0
}

// month returns the maxima of the month that is so many months before that of at.
func (m *Meter) month(at time.Time, before int) *monthly {
	start := monthStart(at, before)
	number := 12*start.Year() + int(start.Month())
	month, ok := m.maxima[number]
	if !ok {
		month = &monthly{next: max(instantOf(start), 0), end: instantOf(start.AddDate(0, 1, 0))}
		m.maxima[number] = month
		delete(m.maxima, number-settlements-1)
	}
	for end := min(instantOf(at), month.end); month.next+quarter <= end; month.next += quarter {
		month.take(m.quarterly(month.next), month.next)
	}
	return month
}

// quarterly returns the mean load of a quarter of an hour.
func (m *Meter) quarterly(from instant) load {
	if !m.relay.interrupted(from, from+quarter) {
		// Whole pairs of slots: the mean of the quarter is that of the hour.
		return m.household.hourly(int64(from) / hour)
	}
	var l load
	w := m.work(from+quarter).plus(-1, m.work(from))
	for p := range w {
		for t := range w[p] {
			for q := range w[p][t] {
				l[p][q] += w[p][t][q] / quarter
			}
		}
	}
	return l
}

// take compares the load of a quarter of an hour with the maxima.
func (month *monthly) take(l load, from instant) {
	tariff := 1 + tariffOf(int64(from)/hour%24)
	for q := range int(quantities) {
		var total int64
		for p := range l {
			total += l[p][q]
			month.of[1+p][0][q].raise(l[p][q], from+quarter)
		}
		month.of[0][0][q].raise(total, from+quarter)
		month.of[0][tariff][q].raise(total, from+quarter)
	}
}

func (x *maximum) raise(power int64, at instant) {
	if power > x.power {
		*x = maximum{power, at}
	}
}

// maximumDemand appends a demand register: XX.XXXX kW, kvar or kVA, and YYMMDDhhmm.
func (m *Meter) maximumDemand(b []byte, kind byte, phase int, tariff, settlement byte, at time.Time) []byte {
	of := m.month(at, int(settlement)).of[phase][tariff]
	var x maximum
	switch kind {
	case kindForwardActive:
		x = of[forwardActive]
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
	}
	b = appendNumber(b, x.power, 3)
	if x.power == 0 {
		return append(b, 0, 0, 0, 0, 0)
	}
	return appendMinute(b, x.at.time())
}
