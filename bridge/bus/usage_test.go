package bus

import (
	"testing"
	"time"
	"unsafe"
)

func TestUsage(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	u := usage{zero: at.Add(-10 * time.Minute)}
	u.note(at.Add(-90*time.Second), at.Add(-30*time.Second))
	equal(t, "half a minute", u.share(at), 29.0/60) // this second has only begun
	u.note(at, at.Add(500*time.Millisecond))
	equal(t, "and half a second", u.share(at.Add(500*time.Millisecond)), 29.5/60)
	equal(t, "over", u.share(at.Add(time.Hour)), 0)
}

// setForward returns the moment t as it is read after the clock of the host was set forward.
// Package time has no way to make one: it keeps the seconds of the wall clock above the lowest
// 30 bits of its first word, apart from the time since the process began.
func setForward(t time.Time, seconds uint64) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += seconds << 30
	return t
}

func TestUsageWhenTheClockIsSet(t *testing.T) {
	begin := time.Now()
	end := setForward(begin.Add(time.Second), 3600)
	if end.Unix()-begin.Unix() != 3601 || end.Sub(begin) != time.Second {
		t.Fatalf("%v is %v after %v", end, end.Sub(begin), begin)
	}
	u := usage{zero: begin}
	u.note(begin, end)
	equal(t, "one second", u.share(end), 1.0/60)
}
