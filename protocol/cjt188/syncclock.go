package cjt188

import (
	"errors"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// mostDrift is how far a clock may be from what it was set to. It shows whole seconds, and to set and
// to read it takes some time.
const mostDrift = 2 * time.Second

// aroundMidnight is how long before and after midnight no clock is set: the date of meter and host may
// differ, and a meter that is at its daily work may do it twice or not at all.
const aroundMidnight = 10 * time.Minute

// errNoClock is the error for a clock that shows no date.
var errNoClock = errors.New("its clock shows no valid date and time")

// planSyncClock plans to set the meter's clock by ours: to read it, to write it, and to read it again.
func (c *commander) planSyncClock() (protocol.Plan, error) {
	if err := c.mayCorrect(c.Now); err != nil {
		return protocol.Plan{}, err
	}
	return c.ask(itemClock, func(before protocol.Answer) (protocol.Plan, error) {
		t := typeIn(before.Result.Learned[learnedType])
		if before.Err != nil || t == AnyType {
			return protocol.Plan{}, fmt.Errorf("the clock is read before it is set: %w", before.Err)
		}
		if err := c.mayCorrect(before.Came); err != nil {
			return protocol.Plan{}, err
		}
		if shown := before.Result.Clock; !shown.IsZero() && c.isAroundMidnight(shown) {
			return protocol.Plan{}, fmt.Errorf("%w: the meter's clock shows %s; between 23:50 and 00:10 no clock is set, since the date would be in doubt", protocol.ErrUnsafe, shown.In(c.zone).Format("15:04"))
		}
		plan := c.plan(c.setClock(t))
		if came := before.Came; !came.IsZero() {
			year, month, day := came.In(c.zone).Date()
			plan.Until = time.Date(year, month, day+1, 0, 0, 0, 0, c.zone).Add(-aroundMidnight)
		}
		report := clockReport(before)
		plan.Report = &report
		plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			was := fateOf(answers[0])
			if was != done && was != unknown {
				return c.report(report), nil
			}
			look := c.plan(c.step(way{t, c.ways()[0].order}, current(itemClock)[0]))
			look.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
				return c.report(compareClock(report, was, answers[0])), nil
			}
			return look, nil
		}
		return plan, nil
	})
}

// setClock is the step that writes the time at which its frame has gone out: A015.
func (c *commander) setClock(t Type) protocol.Step {
	step := c.send(t, WriteClock, make([]byte, clockSize)...)
	frame, err := ParseFrame(step.First.Request)
	if err != nil {
		panic(err)
	}
	step.First.Stamp = func(sent time.Time) []byte {
		stamped := frame
		stamped.Data = appendMoment(append([]byte(nil), frame.Data[:3]...), sent.Round(time.Second).In(c.zone))
		return mustAppend(stamped)
	}
	step.First.Request = step.First.Stamp(time.Time{})
	return step
}

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

// isAroundMidnight reports whether it is between 23:50 and 00:10 in the meter's zone.
func (m *Meters) isAroundMidnight(t time.Time) bool {
	hour, minute, _ := t.In(m.zone).Clock()
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
	return since < aroundMidnight || since >= 24*time.Hour-aroundMidnight
}

// clockReport reports how the clock was before.
func clockReport(before protocol.Answer) (r protocol.Report) {
	if shown := before.Result.Clock; !shown.IsZero() {
		ahead := shown.Sub(before.Came)
		r.DriftBefore = &ahead
	}
	return r
}

// compareClock reports what the clock shows after it was set.
func compareClock(r protocol.Report, was fate, after protocol.Answer) protocol.Report {
	err := after.Err
	if err == nil && after.Result.Clock.IsZero() {
		err = errNoClock
	}
	if err != nil {
		r.Note = "The clock could not be read again: " + err.Error() + "."
		return r
	}
	ahead := after.Result.Clock.Sub(after.Came)
	r.Readable, r.DriftAfter = true, &ahead
	r.Verified = was == done && ahead.Abs() <= mostDrift
	switch {
	case was == unknown:
		r.Note = "What the clock shows was read after the new time was not answered."
	case !r.Verified:
		r.Note = "The meter acknowledged the new time, but its clock does not show it."
	}
	return r
}
