package bus

import (
	"testing"
	"time"
	"unsafe"

	"dlt645-mqtt/protocol"
)

// shown returns a time as a wall clock would show it that was set by so much; what package time
// knows of the monotonic clock stays. The layout is that of [time.Time]: the seconds since 1885 in the bits
// 30 to 62 of the first word, where it has a monotonic reading.
func shown(at time.Time, set time.Duration) time.Time {
	words := (*struct {
		wall uint64
		rest [2]uint64
	})(unsafe.Pointer(&at))
	words.wall += uint64(set/time.Second) << 30
	return at
}

func TestShown(t *testing.T) {
	now := time.Now()
	for _, set := range []time.Duration{0, time.Hour, -24 * time.Hour} {
		later := shown(now.Add(time.Second), set)
		if passed, wall := later.Sub(now), later.Round(0).Sub(now.Round(0)); passed != time.Second || wall != time.Second+set {
			t.Fatalf("set by %s: %s by one clock, %s by the other", set, passed, wall)
		}
	}
}

// TestOverByEitherClock looks at a deadline ten seconds from receipt after the wall clock was set.
func TestOverByEitherClock(t *testing.T) {
	received := time.Now()
	deadline := received.Add(10 * time.Second)
	for _, row := range []struct {
		after, set time.Duration
		over       bool
		age        time.Duration
	}{
		{9 * time.Second, 0, false, 9 * time.Second},
		{10 * time.Second, 0, true, 10 * time.Second},
		{9 * time.Second, -time.Hour, false, 9 * time.Second},
		{10 * time.Second, -time.Hour, true, 10 * time.Second},
		{time.Second, 8 * time.Second, false, 9 * time.Second},
		{time.Second, 9 * time.Second, true, 10 * time.Second},
		{time.Second, time.Hour, true, time.Hour + time.Second},
	} {
		now := shown(received.Add(row.after), row.set)
		if got := Over(deadline, now); got != row.over {
			t.Errorf("%s after receipt, with the clock set by %s: over %t", row.after, row.set, got)
		}
		if got := Age(received, now); got != row.age {
			t.Errorf("%s after receipt, with the clock set by %s: %s old", row.after, row.set, got)
		}
	}
}

// TestQueueWhenTheClockIsSet has tasks expire whose order is another one after the wall clock was set.
func TestQueueWhenTheClockIsSet(t *testing.T) {
	begin := time.Now()
	begun := func(at time.Time, in time.Duration) *task {
		t := newTask(Job{Steps: []protocol.Step{{Meter: keyOf("m"), Class: protocol.ClassRead}}, Deadline: at.Add(in)})
		t.queued = at
		return t
	}
	for _, row := range []struct {
		name    string
		set     time.Duration
		expired [3]bool // at once, and after another 40 s
		later   [3]bool
	}{
		{"not", 0, [3]bool{}, [3]bool{false, true, false}},
		{"forward", time.Hour, [3]bool{true, true, false}, [3]bool{true, true, false}},
		{"forward by little", 50 * time.Second, [3]bool{}, [3]bool{true, true, false}},
		{"back", -time.Hour, [3]bool{}, [3]bool{false, true, false}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var q queue
			now := shown(begin.Add(time.Second), row.set)
			tasks := [3]*task{begun(begin, 90*time.Second), begun(begin, 30*time.Second), nil}
			if row.set > 0 && row.set < time.Minute {
				tasks[1].job.Deadline = begin.Add(80 * time.Second)
			}
			for _, task := range tasks[:2] {
				q.add(task, task.job.Deadline)
			}
			q.expire(begin, time.Time{}, ErrExpired)
			tasks[2] = begun(now, time.Minute)
			q.add(tasks[2], tasks[2].job.Deadline)
			for _, look := range []struct {
				after time.Duration
				want  [3]bool
			}{{0, row.expired}, {40 * time.Second, row.later}} {
				q.expire(shown(begin.Add(time.Second+look.after), row.set), time.Time{}, ErrExpired)
				for i, task := range tasks {
					if got := task.open == 0; got != look.want[i] {
						t.Errorf("after %s task %d has expired: %t", look.after, i, got)
					}
				}
			}
		})
	}
}
