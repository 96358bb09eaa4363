package bridge

import (
	"strings"
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
func (b *Bridge) event(w *watch, kind string, at time.Time, details ...protocol.Member) {
	o := append(protocol.Object{{Name: "event_type", Value: kind}, {Name: "time", Value: b.stamp(at)}, {Name: "meter", Value: w.Name}, {Name: "address", Value: w.current().Text}}, details...)
	payload, err := encodeJSON(o)
	if err != nil {
		b.log.Error("event cannot be written as JSON", "meter", w.Name, "event", kind, "err", err)
		return
	}
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.Event, Topic: b.topics.ofMeter(w.Name, topicEvent), Payload: payload, ContentType: mqtt.JSON})
}

// refusalsInterval is the shortest time between two events that a command of a meter was not sent: such
// commands cost the bus nothing, and may come in any number.
const refusalsInterval = time.Second

// unsent are the errors of commands that are worth an event although nothing was sent: whoever gave the
// command did nothing wrong, and may see nothing but a switch that stays as it was.
var unsent = map[Code]bool{
	CodeBusy: true, CodeExpired: true, CodeTimeout: true, CodeGarbled: true, CodeRefused: true, CodeBusDown: true, CodeUnsupported: true, CodeInternal: true,
}

// reportCommand publishes that a command for a meter that is looked after has failed, for those who did not
// wait for the reply. Repeats of it are not reported again.
func (b *Bridge) reportCommand(r *request, a *reply) {
	w := b.poller.named(a.Meter)
	if a.OK || a.Meter == "" || w == nil {
		return
	}
	kind, message, reasons := eventRefused, a.Message, a.Reasons
	details := []protocol.Member{{Name: "verb", Value: r.verb}}
	if r.action != "" {
		details = append(details, protocol.Member{Name: "action", Value: cropped(r.action)})
	}
	if r.item != "" {
		details = append(details, protocol.Member{Name: "item", Value: cropped(r.item)})
	}
	now := time.Now()
	switch {
	case a.Error != nil:
		if !unsent[a.Error.Code] || !w.mayRefuse(now) {
			return
		}
		message, reasons = a.Error.Message, a.Error.Reasons
		details = append(details, protocol.Member{Name: "code", Value: a.Error.Code})
	case a.Result == resultRefused:
		details = append(details, protocol.Member{Name: "result", Value: a.Result})
		if message == "" {
			message = "the meter has said no: " + strings.Join(reasons, ", ")
		}
	default:
		kind = eventUnknown
		details = append(details, protocol.Member{Name: "result", Value: a.Result})
	}
	if len(reasons) > 0 {
		details = append(details, protocol.Member{Name: "reasons", Value: reasons})
	}
	b.event(w, kind, now, append(details, protocol.Member{Name: "message", Value: message})...)
}

// mayRefuse reports whether an event may say that a command was not sent, and takes note that one does.
func (w *watch) mayRefuse(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.refused.IsZero() && now.Sub(w.refused) < refusalsInterval {
		return false
	}
	w.refused = now
	return true
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
	of := []protocol.Member{{Name: "item", Value: p.Item}, {Name: "value", Value: value}, {Name: "unit", Value: p.Description.Unit}}
	if before != "" {
		was := p.Min
		if before == limitMax {
			was = p.Max
		}
		b.event(w, eventLimitCleared, at, append(of, protocol.Member{Name: "limit", Value: before}, protocol.Member{Name: "bound", Value: was})...)
	}
	if now != "" {
		b.event(w, eventLimitPassed, at, append(of, protocol.Member{Name: "limit", Value: now}, protocol.Member{Name: "bound", Value: bound})...)
	}
	w.limits[p.Item] = now
}

// credible reports whether a reading of a register is taken. One that speaks against the last is
// withheld and reported, with the frame that brought it.
func (b *Bridge) credible(w *watch, p *points.Point, value protocol.Decimal, o *outcome, at time.Time) bool {
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
		b.event(w, eventImplausible, at, details...)
		return false
	}
	b.event(w, eventReset, at, details...)
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
