package bus

import "time"

// usageSpan is how far back a usage looks.
const usageSpan = time.Minute

// A usage knows how much of the last minute the wire was in use.
type usage struct {
	// zero is when counting began. All else is told by the time since then, which the clock of
	// the host cannot change: where it is set forward by years, as on a machine that had no
	// clock of its own, the years would count as one long exchange.
	zero    time.Time
	seconds [usageSpan / time.Second]time.Duration // in use, by the second since zero modulo 60
	last    time.Duration                          // the newest second noted
}

// note adds the time from begin to end, which must not overlap with what was noted before.
func (u *usage) note(begin, end time.Time) {
	from, to := begin.Sub(u.zero), end.Sub(u.zero)
	for from < to {
		u.forget(from)
		next := min(from.Truncate(time.Second)+time.Second, to)
		*u.second(from) += next - from
		from = next
	}
}

// second returns where a second is counted.
func (u *usage) second(at time.Duration) *time.Duration {
	return &u.seconds[int(at/time.Second)%len(u.seconds)]
}

// forget clears the seconds between the newest one noted and now.
func (u *usage) forget(now time.Duration) {
	now = now.Truncate(time.Second)
	for at := max(u.last, now-usageSpan) + time.Second; at <= now; at += time.Second {
		*u.second(at) = 0
	}
	u.last = max(u.last, now)
}

// share returns the part of the minute before now in which the wire was in use, 0 to 1.
func (u *usage) share(now time.Time) float64 {
	u.forget(now.Sub(u.zero))
	var sum time.Duration
	for _, d := range u.seconds {
		sum += d
	}
	return min(1, sum.Seconds()/usageSpan.Seconds())
}
