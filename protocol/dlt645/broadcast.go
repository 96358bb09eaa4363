package dlt645

import (
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
)

// mostCorrected is how much a broadcast may correct a clock: a meter that is further off does
// not obey. Clause 7.6 of DL/T 645-2007.
const mostCorrected = 5 * time.Minute

// planBroadcast plans a command to all meters at once. None of them answers.
func (c *commander) planBroadcast() (protocol.Plan, error) {
	step := protocol.Step{Meter: c.meter, Class: c.class, Kind: protocol.KindCommand, First: protocol.Exchange{Rest: rest}}
	switch c.Action {
	case "time":
		if err := c.mayCorrect(c.Now); err != nil {
			return protocol.Plan{}, err
		}
		if c.Offset.Abs() > mostCorrected {
			return protocol.Plan{}, fmt.Errorf("%w: the clock of a meter is off by %s; a meter follows a broadcast only up to %s. Set its clock with sync_clock", protocol.ErrUnsafe, c.Offset.Round(time.Second), mostCorrected)
		}
		stamp := c.stamp(c.address, FunctionBroadcastTime, nil, "YYMMDDhhmmss", func(sent time.Time) time.Time { return sent.Round(time.Second) })
		step.First.Request, step.First.Stamp = stamp(time.Time{}), stamp
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
