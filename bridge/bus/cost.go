package bus

import (
	"time"

	"dlt645-mqtt/protocol"
)

// tuneTime is about what an adapter takes to change its speed.
const tuneTime = 5 * time.Millisecond

// Cost returns how long steps take on the wire if all goes well: requests and answers at the
// speed of the line, the pause between them, and the time that meters take to begin. The latter
// is what a meter usually takes; where nothing was learned of it, as little as its protocol allows, or
// if late is set as much. The line has its own mode before and afterwards. turnaround is the longest of the times that
// went into cost, and guessed reports whether it is a guess.
func (b *Bus) Cost(steps []protocol.Step, late bool) (cost, turnaround time.Duration, guessed bool) {
	last := b.config.mode()
	for i := range steps {
		step := &steps[i]
		needs, mode := needsOf(step), step.Mode.Or(b.config.mode())
		if mode != last {
			cost, last = cost+tuneTime, mode
		}
		begin, known := needs.Soonest, false
		if late {
			begin = needs.latest(b.config.Timeout)
		}
		if t := b.Meter(step.Meter).known().turnaround[kind(step)]; t.known {
			begin, known = t.usual(), true
		}
		if step.First.Answer != nil && begin >= turnaround {
			turnaround, guessed = begin, !known
		}
		sent := b.config.wakeUps(needs) + len(step.First.Request)
		if step.First.Answer == nil {
			cost += mode.Duration(sent) + step.First.Rest
			continue
		}
		cost += mode.Duration(sent+needs.Leading+step.Expected) + begin + max(b.config.Gap, needs.quiet(mode))
	}
	if last != b.config.mode() {
		cost += tuneTime
	}
	return cost, turnaround, guessed
}
