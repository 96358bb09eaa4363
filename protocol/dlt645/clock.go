package dlt645

import (
	"time"

	"dlt645-mqtt/protocol"
)

// The items of a meter's clock.
const (
	diDate  DI = 0x04000101 // YYMMDDWW
	diTime  DI = 0x04000102 // hhmmss
	diClock DI = 0x0400010C // both in one; of amended meters

	diDate1997  DI = 0xC010
	diTime1997  DI = 0xC011
	diClock1997 DI = 0xC01F // a block: date, then time
)

// clockItems returns the identifiers of both in one, of the date and of the time.
func clockItems(v Version) (both, date, clock DI) {
	if v == V1997 {
		return diClock1997, diDate1997, diTime1997
	}
	return diClock, diDate, diTime
}

// isClock reports whether to write di is to set the clock.
func isClock(di DI, v Version) bool {
	both, date, clock := clockItems(v)
	return di.holds(both, v) || di.holds(date, v) || di.holds(clock, v)
}

// clockOf returns what a clock showed whose date and time were read as one; else zero.
func clockOf(di DI, values []protocol.Value, v Version) time.Time {
	if both, _, _ := clockItems(v); di != both {
		return time.Time{}
	}
	text, _ := valueOf(values, "clock").(string)
	t, _ := time.Parse(time.RFC3339, text) // the zero time if the clock shows none
	return t
}

// combined puts a date and a time of day together; zero if there is no such moment.
func combined(date, clock []protocol.Value, zone *time.Location) time.Time {
	day, ok1 := valueOf(date, "clock_date").(string)
	hour, ok2 := valueOf(clock, "clock_time").(string)
	if !ok1 || !ok2 {
		return time.Time{}
	}
	t, _ := time.ParseInLocation(time.DateTime, day+" "+hour, zone)
	return t
}

// A clockReading is what a meter's clock showed.
type clockReading struct {
	protocol.ClockReading
	whole bool // date and time came as one
}

// A clockReader goes on with what a clock showed. Of a clock that shows nothing the rest is
// there, and the error is protocol.ErrNoClock.
type clockReader func(clockReading, error) (protocol.Plan, error)

// planClock plans to read the meter's clock for whoever wants to know how far it is off: that
// is told by the Clock of a result.
func (m *Meters) planClock(request protocol.Request) (protocol.Plan, error) {
	c := &commander{Meters: m, class: request.Class, permission: protocol.PermitRead}
	if err := c.meet(request.Address.Text); err != nil {
		return protocol.Plan{}, err
	}
	return c.readClock(func(_ clockReading, err error) (protocol.Plan, error) { return c.plan(), err }), nil
}

// readClock plans to read the meter's clock: date and time as one, or one after the other if
// the meter has no such data.
func (c *commander) readClock(then clockReader) protocol.Plan {
	both, _, _ := clockItems(c.version)
	plan := c.plan(c.read(c.address, both))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if hasNone(answers[0].Err) {
			return c.readDateAndTime(then), nil
		}
		return clockRead(answers[0], true, then)
	}
	return plan
}

// clockRead goes on with an answer that tells what the clock showed.
func clockRead(answer protocol.Answer, whole bool, then clockReader) (protocol.Plan, error) {
	if answer.Err != nil {
		return then(clockReading{}, answer.Err)
	}
	reading := clockReading{protocol.ClockReading{Shown: answer.Result.Clock, Came: answer.Came}, whole}
	if reading.Shown.IsZero() {
		return then(reading, protocol.ErrNoClock)
	}
	return then(reading, nil)
}

// afterMidnight is how long after midnight a date that was read before the time may be that
// of the day before.
const afterMidnight = 10 * time.Minute

// readDateAndTime reads date and time one after the other. If midnight may have come between
// them both are read once more: then it was midnight before.
func (c *commander) readDateAndTime(then clockReader) protocol.Plan {
	return c.readDate(func(date []protocol.Value) protocol.Plan {
		return c.readTime(date, afterMidnight, func(answer protocol.Answer) (protocol.Plan, error) {
			if clock := combined(date, answer.Result.Values, c.zone); clock.IsZero() || sinceMidnight(clock) >= afterMidnight {
				return clockRead(answer, false, then)
			}
			return c.readDate(func(date []protocol.Value) protocol.Plan {
				return c.readTime(date, 0, func(answer protocol.Answer) (protocol.Plan, error) {
					return clockRead(answer, false, then)
				})
			}, then), nil
		})
	}, then)
}

// readDate plans to read the date, or goes on with the error.
func (c *commander) readDate(next func(date []protocol.Value) protocol.Plan, failed clockReader) protocol.Plan {
	_, date, _ := clockItems(c.version)
	step := c.read(c.address, date)
	if c.clock != nil {
		step.Items, step.Only = c.clock.names, []string{}
	}
	plan := c.plan(step)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if err := answers[0].Err; err != nil {
			return failed(clockReading{}, err)
		}
		return next(answers[0].Result.Values), nil
	}
	return plan
}

// readTime plans to read the time of day that belongs to a date. Its result tells both, if it is
// not earlier than a time of day at which the date is in doubt.
func (c *commander) readTime(date []protocol.Value, earliest time.Duration, next func(protocol.Answer) (protocol.Plan, error)) protocol.Plan {
	_, _, clock := clockItems(c.version)
	step := c.read(c.address, clock)
	step.Key = "" // without the date it is another result
	take := step.First.Take
	step.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
		exchange, result, err := take(answer)
		clock := combined(date, result.Values, c.zone)
		if sinceMidnight(clock) >= earliest {
			result.Clock = clock
		}
		if c.clock != nil && err == nil && (clock.IsZero() || sinceMidnight(clock) >= earliest) { // else both are read once more
			result.Values = c.parted(date, result.Values)
			result.Learned = map[string]string{learnedClock: c.version.String()}
		}
		return exchange, result, err
	}
	if c.clock != nil {
		step.Items, step.Only = c.clock.names, c.clock.values()
	}
	plan := c.plan(step)
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) { return next(answers[0]) }
	return plan
}

// sinceMidnight returns the time of day.
func sinceMidnight(t time.Time) time.Duration {
	hour, minute, second := t.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
}
