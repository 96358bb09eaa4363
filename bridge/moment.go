package bridge

import (
	"sync/atomic"
	"time"
)

// A moment is a time that goroutines share. It keeps what package time knows of it beside the wall
// clock, so that what is measured from there does not depend on how the host's clock is set; a number
// of nanoseconds since 1970 would. The zero moment is none.
type moment struct{ at atomic.Pointer[time.Time] }

// load returns the time, or the zero time if there is none.
func (m *moment) load() time.Time {
	if at := m.at.Load(); at != nil {
		return *at
	}
	return time.Time{}
}

func (m *moment) store(at time.Time) { m.at.Store(&at) }

// claim stores a time if there is none yet. It reports whether it has.
func (m *moment) claim(at time.Time) bool { return m.at.CompareAndSwap(nil, &at) }

func (m *moment) clear() { m.at.Store(nil) }
