package protocol

import (
	"errors"
	"fmt"
	"time"
)

// MostClockDrift is how far a clock may be from what it was set to. It shows whole seconds, and to set
// and to read it takes some time.
const MostClockDrift = 2 * time.Second

// aroundMidnight is how long before and after midnight no clock is set: the date of meter and host may
// differ, and a meter that is at its daily work may do it twice or not at all.
const aroundMidnight = 10 * time.Minute

// ErrNoClock is the error for a clock that shows no date.
var ErrNoClock = errors.New("its clock shows no valid date and time")

// A ClockReading is what a meter's clock showed.
type ClockReading struct {
	Shown time.Time // zero: it showed no date
	Came  time.Time // when it was read, by our clock
}

// Ahead returns how far the meter's clock is ahead of ours. The meter cuts off what is less than a second,
// and the answer takes its time: a clock that is right seems up to a second and some tenths behind.
func (r ClockReading) Ahead() time.Duration { return r.Shown.Sub(r.Came) }

// MayCorrectClock refuses to set a clock by ours where ours may be wrong, or around midnight. A zero now
// is not known.
func (c *Command) MayCorrectClock(now time.Time, zone *time.Location) error {
	if c.Clock != nil {
		return fmt.Errorf("%w: the clock is not set, because ours may be wrong: %w", ErrUnsafe, c.Clock)
	}
	if !now.IsZero() && isAroundMidnight(now.In(zone)) {
		return fmt.Errorf("%w: it is %s where the meter is; between 23:50 and 00:10 no clock is set, since the date would be in doubt", ErrUnsafe, now.In(zone).Format("15:04"))
	}
	return nil
}

// MayBeSet refuses to set a clock that shows a time around midnight.
func (r ClockReading) MayBeSet(zone *time.Location) error {
	if shown := r.Shown.In(zone); !r.Shown.IsZero() && isAroundMidnight(shown) {
		return fmt.Errorf("%w: the meter's clock shows %s; between 23:50 and 00:10 no clock is set, since the date would be in doubt", ErrUnsafe, shown.Format("15:04"))
	}
	return nil
}

// isAroundMidnight reports whether it is between 23:50 and 00:10.
func isAroundMidnight(t time.Time) bool {
	hour, minute, second := t.Clock()
	since := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	return since < aroundMidnight || since >= 24*time.Hour-aroundMidnight
}

// UntilMidnight returns a plan that sets a clock, made at a time that MayCorrectClock has nothing against,
// so that it is carried out before the clocks are left alone again.
func (p Plan) UntilMidnight(now time.Time, zone *time.Location) Plan {
	if !now.IsZero() {
		year, month, day := now.In(zone).Date()
		p.Until = time.Date(year, month, day+1, 0, 0, 0, 0, zone).Add(-aroundMidnight)
	}
	return p
}

// ReportClock reports how a clock was before it was set.
func ReportClock(before ClockReading) (r Report) {
	if !before.Shown.IsZero() {
		ahead := before.Ahead()
		r.DriftBefore = &ahead
	}
	return r
}

// CompareClock reports what a clock shows after the command to set it has ended so, or why that is not known.
func CompareClock(before ClockReading, set Ending, after ClockReading, err error) Report {
	r := ReportClock(before)
	if err != nil {
		r.Note = "The clock could not be read again: " + err.Error() + "."
		return r
	}
	ahead := after.Ahead()
	r.Readable, r.DriftAfter = true, &ahead
	r.Verified = set == Acknowledged && ahead.Abs() <= MostClockDrift
	switch {
	case set == Unanswered:
		r.Note = "What the clock shows was read after the new time was not answered."
	case !r.Verified:
		r.Note = "The meter acknowledged the new time, but its clock does not show it."
	}
	return r
}
