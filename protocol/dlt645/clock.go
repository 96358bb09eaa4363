package dlt645

import (
	"errors"
	"fmt"
	"slices"
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

// isClock tells whether to write di is to set the clock.
func isClock(di DI, v Version) bool {
	both, date, clock := clockItems(v)
	return di == both || di == date || di == clock
}

// clockOf returns what a clock showed whose date and time were read as one; else zero.
func clockOf(di DI, values []protocol.Value, v Version, zone *time.Location) time.Time {
	switch {
	case v == V2007 && di == diClock:
		if text, ok := valueOf(values, "clock").(string); ok {
			t, _ := time.Parse(time.RFC3339, text)
			return t
		}
	case v == V1997 && di == diClock1997:
		return combined(values, values, zone)
	}
	return time.Time{}
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
	shown time.Time
	came  time.Time // when it was read, by our clock
	whole bool      // date and time came as one
}

// ahead tells how far the meter's clock is ahead of ours. The meter cuts off what is less
// than a second, and the answer takes its time: a clock that is right seems up to a second
// and some tenths behind.
func (r clockReading) ahead() time.Duration { return r.shown.Sub(r.came) }

// errNoClock is the error for a clock that shows no date.
var errNoClock = errors.New("its clock shows no valid date and time")

// readClock plans to read the meter's clock: date and time as one, or one after the other if
// the meter has no such data. Of a clock that shows nothing the rest is handed on with
// errNoClock.
func (c *commander) readClock(then func(clockReading, error) (protocol.Plan, error)) protocol.Plan {
	both, _, _ := clockItems(c.version)
	plan := c.plan(c.read(c.address, both))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		answer := answers[0]
		var refusal *protocol.Refusal
		switch {
		case errors.As(answer.Err, &refusal) && slices.Contains(refusal.Reasons, "no_such_data"):
			return c.readDateAndTime(then), nil
		case answer.Err != nil:
			return then(clockReading{}, answer.Err)
		}
		return c.handOn(clockReading{answer.Result.Clock, answer.Came, true}, then)
	}
	return plan
}

// afterMidnight is how long after midnight a date that was read before the time may be that
// of the day before.
const afterMidnight = 10 * time.Minute

// readDateAndTime reads date and time one after the other. If midnight may have come between
// them the date is read once more: then it was read after the time, shortly after midnight.
func (c *commander) readDateAndTime(then func(clockReading, error) (protocol.Plan, error)) protocol.Plan {
	_, date, clock := clockItems(c.version)
	plan := c.plan(c.read(c.address, date), c.read(c.address, clock))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		if err := errors.Join(answers[0].Err, answers[1].Err); err != nil {
			return then(clockReading{}, err)
		}
		timeOfDay, came := answers[1].Result.Values, answers[1].Came
		reading := clockReading{combined(answers[0].Result.Values, timeOfDay, c.zone), came, false}
		if sinceMidnight(reading.shown) >= afterMidnight {
			return c.handOn(reading, then)
		}
		again := c.plan(c.read(c.address, date))
		again.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			if err := answers[0].Err; err != nil {
				return then(clockReading{}, err)
			}
			return c.handOn(clockReading{combined(answers[0].Result.Values, timeOfDay, c.zone), came, false}, then)
		}
		return again, nil
	}
	return plan
}

// handOn hands on what the clock showed, if that was a moment.
func (c *commander) handOn(reading clockReading, then func(clockReading, error) (protocol.Plan, error)) (protocol.Plan, error) {
	if reading.shown.IsZero() {
		return then(reading, errNoClock)
	}
	return then(reading, nil)
}

// mostDrift is how far a clock may be from what it was set to. It shows whole seconds, and to
// set and to read it takes some time.
const mostDrift = 2 * time.Second

// aroundMidnight is how long before and after midnight no clock is set: the date of meter and
// host may differ, and a meter that is at its daily work may do it twice or not at all.
const aroundMidnight = 10 * time.Minute

// mayCorrect refuses to set a clock by ours where ours may be wrong, or around midnight.
func (c *commander) mayCorrect(now time.Time) error {
	if c.Clock != nil {
		return fmt.Errorf("%w: the clock is not set, because ours may be wrong: %w", protocol.ErrUnsafe, c.Clock)
	}
	if !now.IsZero() && c.isAroundMidnight(now) {
		return fmt.Errorf("%w: it is %s where the meter is; between 23:50 and 00:10 no clock is set, since the date would be in doubt", protocol.ErrUnsafe, now.In(c.zone).Format("15:04"))
	}
	return nil
}

// isAroundMidnight tells whether it is between 23:50 and 00:10 in the meter's zone.
func (m *Meters) isAroundMidnight(t time.Time) bool {
	since := sinceMidnight(t.In(m.zone))
	return since < aroundMidnight || since >= 24*time.Hour-aroundMidnight
}

// sinceMidnight returns the time of day.
func sinceMidnight(t time.Time) time.Duration {
	hour, minute, second := t.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
}

// planClock plans to read the meter's clock, for whoever wants to know how far it is off.
func (m *Meters) planClock(request protocol.Request) (protocol.Plan, error) {
	address, err := ParseAddress(request.Address, m.version)
	if err != nil {
		return protocol.Plan{}, badRequest("%v", err)
	}
	c := &commander{Meters: m, Command: &protocol.Command{}, address: address, meter: address.String(), permission: protocol.PermitRead, class: request.Class}
	return c.readClock(func(reading clockReading, err error) (protocol.Plan, error) {
		if err != nil {
			return protocol.Plan{}, err
		}
		ahead := reading.ahead()
		return c.report(protocol.Report{Offset: &ahead}), nil
	}), nil
}
