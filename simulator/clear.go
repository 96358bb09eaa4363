package simulator

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// answerClearDemand answers functions 19H, PA P0 P1 P2 and C0 C1 C2 C3, and 10H of 1997,
// which has no operator: the maximum demands of the current month begin anew.
func (m *Meter) answerClearDemand(request dlt645.Frame, at time.Time) response {
	data := request.Data
	c := clearing{at: at, ahead: m.clock}
	if m.version == dlt645.V2007 {
		if len(data) != 8 {
			return refuse(errorOther)
		}
		c.operator = [4]byte(data[4:])
	} else if len(data) != 4 {
		return refuse(errorOther)
	}
	switch {
	case !m.authorised(data, levelOfProgramming, at):
		return refuse(errorNotAuthorised)
	case m.phases == 1:
		return refuse(errorOther) // it has no demand registers
	}
	m.demandClears = append(m.demandClears, c)
	return m.carriedOut(request, &m.counts.DemandClears)
}

// answerClearMeter answers function 1AH, PA P0 P1 P2 and C0 C1 C2 C3: energies, demands,
// freezes, load records and events begin anew. The record of this stays.
func (m *Meter) answerClearMeter(request dlt645.Frame, at time.Time) response {
	data := request.Data
	if len(data) != 8 {
		return refuse(errorOther)
	}
	if !m.authorised(data, levelOfClearing, at) {
		return refuse(errorNotAuthorised)
	}
	entry := append(appendSecond(nil, at.Add(m.clock)), data[4:]...)
	for phase := range 1 + phases {
		for _, kind := range directions {
			entry = m.energy(entry, kind, phase, 0, 0, at)
		}
	}
	m.cleared = instantOf(at)
	m.base = m.drawn(m.cleared)
	m.demandClears, m.frozen = nil, nil
	clear(m.maxima)
	m.clearEvents(everyEvent, at)
	m.enter(eventMeterClear, entry)
	return m.carriedOut(request, &m.counts.MeterClears)
}

// answerClearEvents answers function 1BH, PA P0 P1 P2, C0 C1 C2 C3 and the events: all, or
// the identifier of one kind with FFH in place of DI0. The record of this stays.
func (m *Meter) answerClearEvents(request dlt645.Frame, at time.Time) response {
	data := request.Data
	if len(data) != 12 {
		return refuse(errorOther)
	}
	if !m.authorised(data, levelOfClearing, at) {
		return refuse(errorNotAuthorised)
	}
	di := identifier(data[8:], 4)
	kind := di >> 8
	if _, ok := eventSizes[kind]; kind != everyEvent && !ok || di&0xFF != 0xFF || kind == eventMeterClear || kind == eventEventClear {
		return refuse(errorNoSuchData)
	}
	m.clearEvents(kind, at)
	m.enter(eventEventClear, slices.Concat(appendSecond(nil, at.Add(m.clock)), data[4:]))
	return m.carriedOut(request, &m.counts.EventClears)
}
