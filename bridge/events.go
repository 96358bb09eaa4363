package bridge

import (
	"time"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// The types of events about a meter.
const (
	eventLimitPassed  = "limit_passed"      // a value is beyond a limit of the point table
	eventLimitCleared = "limit_cleared"     // it is not any more
	eventOffline      = "offline"           // the meter has fallen silent
	eventOnline       = "online"            // it answers again
	eventRelay        = "relay"             // the relay has moved
	eventClock        = "clock_drift"       // the meter's clock is off
	eventClockRight   = "clock_right"       // it is right again
	eventPowerFailure = "power_failure"     // the meter has recorded that its power failed
	eventImplausible  = "implausible_value" // a register fell or rose too fast: the value was withheld
	eventReset        = "meter_reset"       // it stayed there: the value is taken from now on
)

// EventTypes lists the types of events about a meter.
var EventTypes = []string{
	eventLimitPassed, eventLimitCleared, eventOffline, eventOnline, eventRelay, eventClock, eventClockRight, eventPowerFailure,
	eventImplausible, eventReset,
}

// The limits of a point.
const (
	limitMin = "min"
	limitMax = "max"
)

// event publishes what has happened to a meter.
func (b *Bridge) event(w *watch, kind string, at time.Time, details ...member) {
	o := append(object{{"event_type", kind}, {"time", b.stamp(at)}, {"meter", w.Name}, {"address", w.current().Text}}, details...)
	payload, err := encodeJSON(o)
	if err != nil {
		b.log.Error("event cannot be written as JSON", "meter", w.Name, "event", kind, "err", err)
		return
	}
	b.outbox.put(outgoing{topic: b.topics.ofMeter(w.Name, topicEvent), payload: payload, contentType: contentJSON, ordered: true})
}

// judgeLimits tells once that a value is beyond a limit, and once that it is not any more.
func (b *Bridge) judgeLimits(w *watch, p *points.Point, value protocol.Decimal, at time.Time) {
	now, bound := "", (*protocol.Decimal)(nil)
	switch {
	case p.Min != nil && value.Compare(*p.Min) < 0:
		now, bound = limitMin, p.Min
	case p.Max != nil && value.Compare(*p.Max) > 0:
		now, bound = limitMax, p.Max
	}
	before := w.limits[p.Item]
	if now == before {
		return
	}
	of := []member{{"item", p.Item}, {"value", value}, {"unit", p.Description.Unit}}
	if before != "" {
		was := p.Min
		if before == limitMax {
			was = p.Max
		}
		b.event(w, eventLimitCleared, at, append(of, member{"limit", before}, member{"bound", was})...)
	}
	if now != "" {
		b.event(w, eventLimitPassed, at, append(of, member{"limit", now}, member{"bound", bound})...)
	}
	w.limits[p.Item] = now
}

// credible tells whether a reading of a register is taken. One that speaks against the last is
// withheld and reported, with the frame that brought it.
func (b *Bridge) credible(w *watch, p *points.Point, value protocol.Decimal, o *outcome, at time.Time) bool {
	r := w.registers[p.Item]
	if r == nil {
		r = &points.Register{}
		w.registers[p.Item] = r
	}
	last := r.Last()
	verdict := r.Judge(value, at, p.Description.Digits, w.inspected.watts())
	if verdict == points.Plausible {
		return true
	}
	details := []member{{"item", p.Item}, {"value", value}, {"last", last}, {"unit", p.Description.Unit}}
	for _, f := range o.Frames {
		if !f.Sent && !f.Ignored {
			details = append(details, member{"frame", w.Protocol.Redact(f.Bytes)})
		}
	}
	if verdict == points.Withheld {
		b.event(w, eventImplausible, at, details...)
		return false
	}
	b.event(w, eventReset, at, details...)
	return true
}
