package dlt698

import (
	"errors"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// oadClock is the meter's clock, date and time of day in one.
const oadClock OAD = 0x40000200

// A clockReading is what a meter's clock showed.
type clockReading struct {
	shown time.Time
	came  time.Time // when it was read, by our clock
}

// ahead returns how far the meter's clock is ahead of ours. The meter cuts off what is less than a second,
// and the answer takes its time: a clock that is right seems up to a second and some tenths behind.
func (r clockReading) ahead() time.Duration { return r.shown.Sub(r.came) }

// errNoClock is the error for a clock that shows no date.
var errNoClock = errors.New("its clock shows no valid date and time")

// A clockReader goes on with what a clock showed. Of a clock that shows nothing the rest is there, and the
// error is errNoClock.
type clockReader func(clockReading, error) (protocol.Plan, error)

// planClock plans to read the meter's clock for whoever wants to know how far it is off: the Clock of a
// result says it.
func (m Meters) planClock(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	c := &commander{planner: &planner{m, request.Class, known}, permission: protocol.PermitRead}
	if err := c.meet(request.Address); err != nil {
		return protocol.Plan{}, err
	}
	return c.readClock(func(_ clockReading, err error) (protocol.Plan, error) { return c.plan(), err }), nil
}

// readClock plans to read the meter's clock.
func (c *commander) readClock(then clockReader) protocol.Plan {
	plan := c.plan(c.read(mustLookup(oadClock)))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		answer := answers[0]
		if answer.Err != nil {
			return then(clockReading{}, answer.Err)
		}
		reading := clockReading{answer.Result.Clock, answer.Came}
		if reading.shown.IsZero() {
			return then(reading, errNoClock)
		}
		return then(reading, nil)
	}
	return plan
}

const (
	// mostDrift is how far a clock may be from what it was set to. It shows whole seconds, and to set and
	// to read it takes some time.
	mostDrift = 2 * time.Second

	// aroundMidnight is how long before and after midnight no clock is set: the date of meter and host may
	// differ, and a meter that is at its daily work may do it twice or not at all.
	aroundMidnight = 10 * time.Minute

	// reach is how far a clock may be off for the method that corrects it without right: public firmware
	// takes up to five minutes.
	reach = 5 * time.Minute
)

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

// untilMidnight has a plan that sets a clock carried out before the clocks are left alone again.
func (c *commander) untilMidnight(plan protocol.Plan, now time.Time) protocol.Plan {
	if !now.IsZero() {
		year, month, day := now.In(c.zone).Date()
		plan.Until = time.Date(year, month, day+1, 0, 0, 0, 0, c.zone).Add(-aroundMidnight)
	}
	return plan
}

// isAroundMidnight reports whether it is between 23:50 and 00:10 in the meter's zone.
func (c *commander) isAroundMidnight(t time.Time) bool {
	hour, minute, second := t.In(c.zone).Clock()
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	return since < aroundMidnight || since >= 24*time.Hour-aroundMidnight
}

// A clockSetting sets the clock of a meter after it was read.
type clockSetting struct {
	*commander
	before clockReading // without a moment where the clock showed none
}

// planSyncClock plans to set the meter's clock by ours: to read it, to correct it, and to read it again.
func (c *commander) planSyncClock() (protocol.Plan, error) {
	if err := c.mayCorrect(c.Now); err != nil {
		return protocol.Plan{}, err
	}
	return c.readClock(func(before clockReading, err error) (protocol.Plan, error) {
		if err != nil && !errors.Is(err, errNoClock) {
			return protocol.Plan{}, fmt.Errorf("the clock is read before it is set: %w", err)
		}
		if err := c.mayCorrect(before.came); err != nil {
			return protocol.Plan{}, err
		}
		if err == nil && c.isAroundMidnight(before.shown) {
			return protocol.Plan{}, fmt.Errorf("%w: the meter's clock shows %s; between 23:50 and 00:10 no clock is set, since the date would be in doubt", protocol.ErrUnsafe, before.shown.Format("15:04"))
		}
		s := &clockSetting{c, before}
		if err == nil && before.ahead().Abs() < reach {
			return c.untilMidnight(s.correct(), before.came), nil
		}
		return c.untilMidnight(s.setWholly(), before.came), nil
	}), nil
}

// correct plans to correct the clock by the method that takes no right, once a day and by a few minutes. A
// meter that refuses it has done nothing, and its clock is set as a parameter.
func (s *clockSetting) correct() protocol.Plan {
	return s.sending(Action, omdSetClock, func(was fate) (protocol.Plan, error) {
		if was == denied {
			return s.untilMidnight(s.setWholly(), s.before.came), nil
		}
		return s.look(was)
	})
}

// setWholly plans to set the clock as a parameter.
func (s *clockSetting) setWholly() protocol.Plan { return s.sending(Set, oadClock, s.look) }

// sending plans to send the time at which the frame has gone out.
func (s *clockSetting) sending(service Service, to OAD, next func(fate) (protocol.Plan, error)) protocol.Plan {
	plan := s.plan(s.command(timed(service, to, time.Time{}), func(sent time.Time) APDU {
		return timed(service, to, sent.Round(time.Second).In(s.zone))
	}))
	report := s.known()
	plan.Report = &report
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) { return next(fateOf(answers[0])) }
	return plan
}

// timed is a command whose argument is a time.
func timed(service Service, to OAD, t time.Time) APDU {
	return APDU{Service: service, Choice: Normal, Entries: []Entry{{OAD: to, Data: MomentOf(t)}}}
}

// known reports how the clock was before.
func (s *clockSetting) known() (r protocol.Report) {
	if !s.before.shown.IsZero() {
		ahead := s.before.ahead()
		r.DriftBefore = &ahead
	}
	return r
}

// look plans to read the clock again.
func (s *clockSetting) look(was fate) (protocol.Plan, error) {
	if was != done && was != unknown {
		return s.report(s.known()), nil
	}
	return s.readClock(func(after clockReading, err error) (protocol.Plan, error) {
		return s.report(s.compare(was, after, err)), nil
	}), nil
}

// compare reports what the clock shows after it was set.
func (s *clockSetting) compare(was fate, after clockReading, err error) protocol.Report {
	r := s.known()
	if err != nil {
		r.Note = "The clock could not be read again: " + err.Error() + "."
		return r
	}
	ahead := after.ahead()
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

// rest is the silence after a frame that nobody is to answer: the longest that a meter takes to begin one,
// should it answer all the same.
const rest = 500 * time.Millisecond

// planBroadcast plans to give the time to all meters at once. None of them answers. A meter takes it once a day,
// and if its clock is off by less than five minutes.
func (c *commander) planBroadcast() (protocol.Plan, error) {
	if c.Action != actionTime {
		return protocol.Plan{}, c.unknownAction(protocol.VerbBroadcast)
	}
	if err := c.mayCorrect(c.Now); err != nil {
		return protocol.Plan{}, err
	}
	t := &talk{address: c.address}
	base := numbered(timed(Action, omdSetClock, time.Time{}))
	stamp := func(sent time.Time) []byte {
		a := timed(Action, omdSetClock, sent.Round(time.Second).In(c.zone))
		a.PIID = base.PIID
		return t.frame(a)
	}
	step := protocol.Step{
		Meter: c.key(c.address), Line: &line, Class: c.class, Kind: protocol.KindCommand,
		First: protocol.Exchange{Request: stamp(time.Time{}), Stamp: stamp, Rest: rest},
	}
	plan := c.untilMidnight(c.plan(step), c.Now)
	plan.Reach = reach
	return plan, nil
}
