package bus

import "time"

// Over reports whether a deadline has passed at now by either of two clocks: the monotonic one,
// which nobody can set back, and the wall clock, which alone goes on while the machine sleeps.
// What must not be begun too late is not begun, whichever of them says so. A deadline that was made of
// the time of receipt, by adding to it, is known to both.
func Over(deadline, now time.Time) bool { return left(deadline, now) <= 0 }

// left returns how much time is left until a deadline, by the clock that says it is less.
func left(deadline, now time.Time) time.Duration {
	return min(deadline.Sub(now), deadline.Round(0).Sub(now.Round(0)))
}

// Age returns how much time has passed from then to now, by the clock that says it is more: the
// monotonic one stands still while the machine sleeps, the wall clock may have been set back.
func Age(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}
