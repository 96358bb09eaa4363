package bus

import "time"

// A usage knows how much of the last minute the wire was in use. The zero usage is of a
// wire that never was.
type usage struct {
	seconds [60]time.Duration // in use, by the Unix second modulo 60
	last    int64             // the newest second noted
}

// note adds the time from begin to end, which must not overlap with what was noted before.
func (u *usage) note(begin, end time.Time) {
	for begin.Before(end) {
		u.forget(begin)
		next := begin.Truncate(time.Second).Add(time.Second)
		if next.After(end) {
			next = end
		}
		u.seconds[begin.Unix()%60] += next.Sub(begin)
		begin = next
	}
}

// forget clears the seconds between the newest one noted and now.
func (u *usage) forget(now time.Time) {
	for second := max(u.last+1, now.Unix()-59); second <= now.Unix(); second++ {
		u.seconds[second%60] = 0
	}
	u.last = max(u.last, now.Unix())
}

// share returns the part of the minute before now in which the wire was in use, 0 to 1.
func (u *usage) share(now time.Time) float64 {
	u.forget(now)
	var sum time.Duration
	for _, d := range u.seconds {
		sum += d
	}
	return min(1, sum.Seconds()/60)
}
