package cjt188

import (
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// planSyncClock plans to set the meter's clock by ours: to read it, to write it, and to read it again.
func (c *commander) planSyncClock() (protocol.Plan, error) {
	if err := c.MayCorrectClock(c.Now, c.zone); err != nil {
		return protocol.Plan{}, err
	}
	return c.ask(itemClock, func(before protocol.Answer) (protocol.Plan, error) {
		t := typeIn(before.Result.Learned[learnedType])
		if before.Err != nil || t == AnyType {
			return protocol.Plan{}, fmt.Errorf("the clock is read before it is set: %w", before.Err)
		}
		if err := c.MayCorrectClock(before.Came, c.zone); err != nil {
			return protocol.Plan{}, err
		}
		was := readingIn(before)
		if err := was.MayBeSet(c.zone); err != nil {
			return protocol.Plan{}, err
		}
		plan := c.plan(c.setClock(t)).UntilMidnight(before.Came, c.zone)
		report := protocol.ReportClock(was)
		plan.Report = &report
		plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
			set := protocol.EndingOf(answers[0])
			if !set.MayBeDone() {
				return c.report(report), nil
			}
			look := c.plan(c.step(current(itemClock)[0], way{t, c.ways()[0].order}))
			look.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
				after, err := readingIn(answers[0]), answers[0].Err
				if err == nil && after.Shown.IsZero() {
					err = protocol.ErrNoClock
				}
				return c.report(protocol.CompareClock(was, set, after, err)), nil
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

// readingIn returns what an answer says of the meter's clock.
func readingIn(answer protocol.Answer) protocol.ClockReading {
	return protocol.ClockReading{Shown: answer.Result.Clock, Came: answer.Came}
}
