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
	if err := c.MayCorrectClock(c.Now, c.zone); err != nil {
		return protocol.Plan{}, err
	}
	if _, err := c.authorise(levelOfWriting); err != nil {
		return protocol.Plan{}, err
	}
	return c.readClock(func(before clockReading, err error) (protocol.Plan, error) {
		if err != nil && !errors.Is(err, protocol.ErrNoClock) {
			return protocol.Plan{}, fmt.Errorf("the clock is read before it is set: %w", err)
		}
		if err := c.MayCorrectClock(before.Came, c.zone); err != nil {
			return protocol.Plan{}, err
		}
		if err := before.MayBeSet(c.zone); err != nil {
			return protocol.Plan{}, err
		}
		s := &clockSetting{c, before}
		plan, err := s.begin()
		return plan.UntilMidnight(before.Came, c.zone), err
	}), nil
}

// begin plans to write date and time as one, or the date and then the time.
func (s *clockSetting) begin() (protocol.Plan, error) {
	_, date, clock := clockItems(s.version)
	if s.before.whole && s.version == V2007 {
		return s.set(diClock, "YYMMDDWWhhmmss", s.look)
	}
	return s.set(date, "YYMMDDWW", func(was protocol.Ending) (protocol.Plan, error) {
		if was != protocol.Acknowledged {
			return s.look(was)
		}
		return s.set(clock, "hhmmss", func(was protocol.Ending) (protocol.Plan, error) {
			if was == protocol.Refused {
				r := protocol.ReportClock(s.before.ClockReading)
				r.Note = "The meter took the date, but refused the time."
				return s.report(r), nil
			}
			return s.look(was)
		})
	})
}

// set plans to write the time at which the frame has gone out. Then comes what next makes of
// it.
func (s *clockSetting) set(di DI, picture string, next func(protocol.Ending) (protocol.Plan, error)) (protocol.Plan, error) {
	function, data, err := s.writing(di)
	if err != nil {
		return protocol.Plan{}, err
	}
	plan := s.plan(s.stamped(function, data, picture, func(sent time.Time) time.Time { return sent.Round(time.Second) }))
	report := protocol.ReportClock(s.before.ClockReading)
	plan.Report = &report
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) { return next(protocol.EndingOf(answers[0])) }
	return plan, nil
}

// look plans to read the clock again, as it was read before.
func (s *clockSetting) look(was protocol.Ending) (protocol.Plan, error) {
	if !was.MayBeDone() {
		return s.report(protocol.ReportClock(s.before.ClockReading)), nil
	}
	again := s.readClock
	if !s.before.whole {
		again = s.readDateAndTime
	}
	return again(func(after clockReading, err error) (protocol.Plan, error) {
		return s.report(protocol.CompareClock(s.before.ClockReading, was, after.ClockReading, err)), nil
	}), nil
}
