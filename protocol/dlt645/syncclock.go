package dlt645

import (
	"errors"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// A clockSetting sets the clock of a meter after it was read.
type clockSetting struct {
	*commander
	before clockReading // without a moment where the clock showed none
}

// planSyncClock plans to set the meter's clock by ours: to read it, to write date and time, as
// one where the meter has them as one, else one after the other, and to read it again.
func (c *commander) planSyncClock() (protocol.Plan, error) {
	if err := c.mayCorrect(c.Now); err != nil {
		return protocol.Plan{}, err
	}
	if _, err := c.authorise(levelOfWriting); err != nil {
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
		plan, err := s.begin()
		return c.untilMidnight(plan, before.came), err
	}), nil
}

// begin plans to write date and time as one, or the date and then the time.
func (s *clockSetting) begin() (protocol.Plan, error) {
	_, date, clock := clockItems(s.version)
	if s.before.whole && s.version == V2007 {
		return s.set(diClock, "YYMMDDWWhhmmss", s.look)
	}
	return s.set(date, "YYMMDDWW", func(was fate) (protocol.Plan, error) {
		if was != done {
			return s.look(was)
		}
		return s.set(clock, "hhmmss", func(was fate) (protocol.Plan, error) {
			if was == denied {
				r := s.known()
				r.Note = "The meter took the date, but refused the time."
				return s.report(r), nil
			}
			return s.look(was)
		})
	})
}

// set plans to write the time at which the frame has gone out. Then comes what next makes of
// it.
func (s *clockSetting) set(di DI, picture string, next func(fate) (protocol.Plan, error)) (protocol.Plan, error) {
	function, data, err := s.writing(di)
	if err != nil {
		return protocol.Plan{}, err
	}
	plan := s.plan(s.stamped(function, data, picture, func(sent time.Time) time.Time { return sent.Round(time.Second) }))
	report := s.known()
	plan.Report = &report
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) { return next(fateOf(answers[0])) }
	return plan, nil
}

// known reports how the clock was before.
func (s *clockSetting) known() (r protocol.Report) {
	if !s.before.shown.IsZero() {
		ahead := s.before.ahead()
		r.DriftBefore = &ahead
	}
	return r
}

// look plans to read the clock again, as it was read before.
func (s *clockSetting) look(was fate) (protocol.Plan, error) {
	if was != done && was != unknown {
		return s.report(s.known()), nil
	}
	again := s.readClock
	if !s.before.whole {
		again = s.readDateAndTime
	}
	return again(func(after clockReading, err error) (protocol.Plan, error) {
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
