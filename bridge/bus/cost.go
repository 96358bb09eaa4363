package bus

import (
	"time"

	"dlt645-mqtt/protocol"
)

// wakeUpOfAnswer is how many wake-up bytes meters send before an answer.
const wakeUpOfAnswer = 4

// Cost returns how long steps take on the wire if all goes well: requests and answers at the
// speed of the line, the pause between them, and the time that meters take to begin. The latter
// is what a meter usually takes, or guess where nothing was learned of it. Of the times that went
// into cost, turnaround is the longest, and guessed tells whether it is the guess.
func (b *Bus) Cost(steps []protocol.Step, guess time.Duration) (cost, turnaround time.Duration, guessed bool) {
	for i := range steps {
		step := &steps[i]
		begin, known := guess, false
		if t := b.Meter(step.Meter).known().turnaround[kind(step)]; t.known {
			begin, known = t.usual(), true
		}
		if step.First.Answer != nil && begin >= turnaround {
			turnaround, guessed = begin, !known
		}
		sent := b.config.Preamble + len(step.First.Request)
		if step.First.Answer == nil {
			cost += b.config.duration(sent) + step.First.Rest
			continue
		}
		cost += b.config.duration(sent+wakeUpOfAnswer+step.Expected) + begin + b.config.Gap
	}
	return cost, turnaround, guessed
}
