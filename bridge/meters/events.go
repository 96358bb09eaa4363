package meters

import (
	"time"

	"dlt645-mqtt/bridge/mqtt"
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
	eventRefused      = "command_refused"   // a command was not carried out
	eventUnknown      = "command_unknown"   // nobody knows whether a command was carried out
)

// EventTypes lists the types of events about a meter.
var EventTypes = []string{
	eventLimitPassed, eventLimitCleared, eventOffline, eventOnline, eventRelay, eventClock, eventClockRight, eventPowerFailure,
	eventImplausible, eventReset, eventRefused, eventUnknown,
}

// The limits of a point.
const (
	limitMin = "min"
	limitMax = "max"
)

// event publishes what has happened to a meter.
func (k *Keeper) event(w *record, kind string, at time.Time, details ...protocol.Member) {
	o := append(protocol.Object{{Name: "event_type", Value: kind}, {Name: "time", Value: k.stamp(at)}, {Name: "meter", Value: w.Name}, {Name: "address", Value: w.Current().Text}}, details...)
	payload, err := protocol.AppendJSON(nil, o)
	if err != nil {
		k.log.Error("event cannot be written as JSON", "meter", w.Name, "event", kind, "err", err)
		return
	}
	k.publisher.Put(mqtt.Outgoing{Kind: mqtt.Event, Topic: k.topics.ofMeter(w.Name, topicEvent), Payload: payload, ContentType: mqtt.JSON})
}

// RefusalsInterval is the shortest time between two events that a command of a meter was not sent: such
// commands cost the bus nothing, and may come in any number.
const RefusalsInterval = time.Second

// CommandRefused publishes that a command for a meter that is looked after was not carried out, for those who did
// not wait for the reply. Of commands that were not sent it does so seldom.
func (k *Keeper) CommandRefused(meter string, sent bool, details []protocol.Member) {
	now := time.Now()
	if w := k.poller.named(meter); w != nil && (sent || w.mayRefuse(now)) {
		k.event(w, eventRefused, now, details...)
	}
}

// CommandUnknown publishes that nobody knows whether a command for a meter that is looked after was carried out.
func (k *Keeper) CommandUnknown(meter string, details []protocol.Member) {
	if w := k.poller.named(meter); w != nil {
		k.event(w, eventUnknown, time.Now(), details...)
	}
}

// mayRefuse reports whether an event may say that a command was not sent, and takes note that one does.
func (w *record) mayRefuse(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.refused.IsZero() && now.Sub(w.refused) < RefusalsInterval {
		return false
	}
	w.refused = now
	return true
}

// judgeLimits tells once that a value is beyond a limit, and once that it is not any more.
func (k *Keeper) judgeLimits(w *record, p *points.Point, value protocol.Decimal, at time.Time) {
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
	of := []protocol.Member{{Name: "item", Value: p.Item}, {Name: "value", Value: value}, {Name: "unit", Value: p.Description.Unit}}
	if before != "" {
		was := p.Min
		if before == limitMax {
			was = p.Max
		}
		k.event(w, eventLimitCleared, at, append(of, protocol.Member{Name: "limit", Value: before}, protocol.Member{Name: "bound", Value: was})...)
	}
	if now != "" {
		k.event(w, eventLimitPassed, at, append(of, protocol.Member{Name: "limit", Value: now}, protocol.Member{Name: "bound", Value: bound})...)
	}
	w.limits[p.Item] = now
}

// credible reports whether a reading of a register is taken. One that speaks against the last is
// withheld and reported, with the frame that brought it.
func (k *Keeper) credible(w *record, p *points.Point, value protocol.Decimal, o *Outcome, at time.Time) bool {
	r := w.registers[p.Item]
	if r == nil {
		r = &points.Register{}
		w.registers[p.Item] = r
	}
	last := r.Last()
	verdict := judge(r, w.Protocol, p, value, at, w.inspected.watts())
	if verdict == points.Plausible {
		return true
	}
	details := []protocol.Member{{Name: "item", Value: p.Item}, {Name: "value", Value: value}, {Name: "last", Value: onPrimary(w.Protocol, p, last)}, {Name: "unit", Value: p.Description.Unit}}
	for _, f := range o.Frames {
		if !f.Sent && !f.Ignored {
			details = append(details, protocol.Member{Name: "frame", Value: w.Protocol.Redact(f.Bytes)})
		}
	}
	if verdict == points.Withheld {
		k.event(w, eventImplausible, at, details...)
		return false
	}
	k.event(w, eventReset, at, details...)
	return true
}

// judge judges a reading of a register. What stands in the register is on the secondary side of the
// transformers before the meter, and so are the meter's ratings.
func judge(r *points.Register, spoken protocol.Protocol, p *points.Point, value protocol.Decimal, at time.Time, watts int64) points.Verdict {
	digits := p.Description.Digits
	if primary, ok := spoken.(*protocol.Primary); ok {
		secondary, told := primary.Secondary(p.Item, value)
		if value = secondary; !told {
			digits, watts = 0, 0
		}
	}
	return r.Judge(value, at, digits, watts)
}

// onPrimary returns a reading of a register as it is said of the meter.
func onPrimary(spoken protocol.Protocol, p *points.Point, value protocol.Decimal) protocol.Decimal {
	primary, ok := spoken.(*protocol.Primary)
	if !ok {
		return value
	}
	return primary.OnPrimary(p.Item, value)
}
