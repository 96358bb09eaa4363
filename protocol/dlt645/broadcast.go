package dlt645

import (
	"time"

	"dlt645-mqtt/protocol"
)

// broadcastReach is how far off a clock may be that a broadcast of the time still sets.
const broadcastReach = 5 * time.Minute

// planBroadcast plans a command to all meters at once. None of them answers. A meter takes the
// time, function 08H, if its clock is off by five minutes at most, and once a day; clauses 7.6
// and 7.7 of DL/T 645-2007.
func (c *commander) planBroadcast() (protocol.Plan, error) {
	step := protocol.Step{Meter: c.key(c.address), Line: lines[c.version], Class: c.class, Kind: protocol.KindCommand, First: protocol.Exchange{Rest: rest}}
	switch c.Action {
	case "time":
		if err := c.MayCorrectClock(c.Now, c.zone); err != nil {
			return protocol.Plan{}, err
		}
		stamp := c.stamp(c.address, FunctionBroadcastTime, nil, "YYMMDDhhmmss", func(sent time.Time) time.Time { return sent.Round(time.Second) })
		step.First.Request, step.First.Stamp = stamp(time.Time{}), stamp
		plan := c.plan(step).UntilMidnight(c.Now, c.zone)
		plan.Reach = broadcastReach
		return plan, nil
	case "freeze":
		data, err := c.freezeTime()
		if err != nil {
			return protocol.Plan{}, err
		}
		step.First.Request = mustAppend(Frame{Address: c.address, Control: Control(FunctionFreeze), Data: data})
	default:
		return protocol.Plan{}, c.unknownAction([]string{"time", "freeze"})
	}
	return c.plan(step), nil
}
