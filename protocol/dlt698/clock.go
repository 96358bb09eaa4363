package dlt698

import (
	"errors"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// oadClock is the meter's clock, date and time of day in one.
const oadClock OAD = 0x40000200

// A clockReader goes on with what a clock showed. Of a clock that shows nothing the rest is there, and the
// error is protocol.ErrNoClock.
type clockReader func(protocol.ClockReading, error) (protocol.Plan, error)

// planClock plans to read the meter's clock for whoever wants to know how far it is off: the Clock of a
// result says it.
func (m Meters) planClock(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	c := &commander{reader: &reader{m, request.Class, known}, permission: protocol.PermitRead}
	if err := c.meet(request.Address); err != nil {
		return protocol.Plan{}, err
	}
	return c.readClock(func(_ protocol.ClockReading, err error) (protocol.Plan, error) { return c.plan(), err }), nil
}

// readClock plans to read the meter's clock.
func (c *commander) readClock(then clockReader) protocol.Plan {
	plan := c.plan(c.read(mustLookup(oadClock)))
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
		answer := answers[0]
		if answer.Err != nil {
			return then(protocol.ClockReading{}, answer.Err)
		}
		reading := protocol.ClockReading{Shown: answer.Result.Clock, Came: answer.Came}
		if reading.Shown.IsZero() {
			return then(reading, protocol.ErrNoClock)
		}
		return then(reading, nil)
	}
	return plan
}

// reach is how far a clock may be off for the method that corrects it without right: public firmware
// takes up to five minutes.
const reach = 5 * time.Minute

// A clockSetting sets the clock of a meter after it was read.
type clockSetting struct {
	*commander
	before protocol.ClockReading // without a moment where the clock showed none
}

// planSyncClock plans to set the meter's clock by ours: to read it, to correct it, and to read it again.
func (c *commander) planSyncClock() (protocol.Plan, error) {
	if err := c.MayCorrectClock(c.Now, c.zone); err != nil {
		return protocol.Plan{}, err
	}
	return c.readClock(func(before protocol.ClockReading, err error) (protocol.Plan, error) {
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
		if err == nil && before.Ahead().Abs() < reach {
			return s.correct().UntilMidnight(before.Came, c.zone), nil
		}
		return s.setWholly().UntilMidnight(before.Came, c.zone), nil
	}), nil
}

// correct plans to correct the clock by the method that takes no right, once a day and by a few minutes. A
// meter that refuses it has done nothing, and its clock is set as a parameter.
func (s *clockSetting) correct() protocol.Plan {
	return s.sending(Action, omdSetClock, func(was protocol.Ending) (protocol.Plan, error) {
		if was == protocol.Refused {
			return s.setWholly().UntilMidnight(s.before.Came, s.zone), nil
		}
		return s.look(was)
	})
}

// setWholly plans to set the clock as a parameter.
func (s *clockSetting) setWholly() protocol.Plan { return s.sending(Set, oadClock, s.look) }

// sending plans to send the time at which the frame has gone out.
func (s *clockSetting) sending(service Service, to OAD, next func(protocol.Ending) (protocol.Plan, error)) protocol.Plan {
	plan := s.plan(s.command(timed(service, to, time.Time{}), func(sent time.Time) APDU {
		return timed(service, to, sent.Round(time.Second).In(s.zone))
	}))
	report := protocol.ReportClock(s.before)
	plan.Report = &report
	plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) { return next(protocol.EndingOf(answers[0])) }
	return plan
}

// timed is a command whose argument is a time.
func timed(service Service, to OAD, t time.Time) APDU {
	return APDU{Service: service, Choice: Normal, Entries: []Entry{{OAD: to, Data: MomentOf(t)}}}
}

// look plans to read the clock again.
func (s *clockSetting) look(was protocol.Ending) (protocol.Plan, error) {
	if !was.MayBeDone() {
		return s.report(protocol.ReportClock(s.before)), nil
	}
	return s.readClock(func(after protocol.ClockReading, err error) (protocol.Plan, error) {
		return s.report(protocol.CompareClock(s.before, was, after, err)), nil
	}), nil
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
	if err := c.MayCorrectClock(c.Now, c.zone); err != nil {
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
	plan := c.plan(step).UntilMidnight(c.Now, c.zone)
	plan.Reach = reach
	return plan, nil
}
