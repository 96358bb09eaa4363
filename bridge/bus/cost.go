package bus

import (
	"time"

	"dlt645-mqtt/protocol"
)

// wakeUpOfAnswer is how many wake-up bytes meters send before an answer.
const wakeUpOfAnswer = 4

// Cost returns how long steps take on the wire if all goes well: requests and answers at the
// speed of the line, the pause between them, and the time that meters take to begin. The latter
// is what was learned of a meter, or guess where nothing was.
func (b *Bus) Cost(steps []protocol.Step, guess time.Duration) (cost time.Duration) {
	for i := range steps {
		step := &steps[i]
		turnaround := guess
		if t := b.Meter(step.Meter).known().turnaround[kind(step)]; t.known {
			turnaround = t.slowest
		}
		sent := b.config.Preamble + len(step.First.Request)
		if step.First.Answer == nil {
			cost += b.config.duration(sent) + step.First.Rest
			continue
		}
		cost += b.config.duration(sent+wakeUpOfAnswer+step.Expected) + turnaround + b.config.Gap
	}
	return cost
}
