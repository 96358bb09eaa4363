package dlt645

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// planFreeze plans to have the meter freeze its registers: function 16H. Clause 7.7 of
// DL/T 645-2007.
func (c *commander) planFreeze() (protocol.Plan, error) {
	data, err := c.freezeTime()
	if err != nil {
		return protocol.Plan{}, err
	}
	return c.plan(c.send(FunctionFreeze, data)), nil
}

// freezeTime returns when to freeze as it travels, mm hh DD MM: at a moment, at once, or again
// and again by a pattern in which 99 stands for every month, every day, every hour.
func (c *commander) freezeTime() ([]byte, error) {
	if c.version == V1997 {
		return nil, c.lacking("no function that freezes registers")
	}
	if c.At == "" || c.At == "now" {
		return []byte{0x99, 0x99, 0x99, 0x99}, nil
	}
	if pattern, err := reversedDigits(c.At, 4); err == nil {
		if !isFreezePattern(pattern) {
			return nil, badRequest("%q is no pattern MMDDhhmm of a freeze: 99 stands for every month, day and hour, from the left, as in 99DDhhmm, 9999hhmm or 999999mm; 99999999 is at once", c.At)
		}
		return pattern, nil
	}
	t, err := parseMoment(c.At, c.zone)
	switch {
	case err != nil:
		return nil, badRequest(`%q is no time of a freeze: write "now", a moment such as "2026-11-21T10:30:00+08:00", or MMDDhhmm with 99 for every month, day and hour from the left`, c.At)
	case !t.Truncate(time.Minute).Equal(t):
		return nil, badRequest("a freeze is at a full minute, not at %s", c.At)
	case !c.Now.IsZero() && (!t.After(c.Now) || !t.Before(c.Now.AddDate(1, 0, 0))):
		return nil, badRequest("%s is not within a year from now: the frame of a freeze has no year, so the meter would freeze at that time of another; for that of every year write %s", c.At, t.Format("01021504"))
	}
	return appendMoment(nil, "MMDDhhmm", t), nil
}

// isFreezePattern reports whether mm hh DD MM is a moment, or a pattern with 99 in the places
// from the month down to some other.
func isFreezePattern(pattern []byte) bool {
	least := []byte{0x00, 0x00, 0x01, 0x01}
	filled := slices.Clone(pattern)
	for i, b := range pattern {
		if b != 0x99 {
			continue
		}
		if i < 3 && pattern[i+1] != 0x99 {
			return false
		}
		filled[i] = least[i]
	}
	_, wrong := moment("MMDDhhmm", filled, time.UTC) // in a leap year
	return wrong < 0
}
