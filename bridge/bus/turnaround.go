package bus

import (
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// firstGuess is how long a meter is waited for whose turnaround is not known: the longest
	// that DL/T 645 allows.
	firstGuess = 500 * time.Millisecond

	// shortestPatience is for meters that answer at once, and now and then do not.
	shortestPatience = 200 * time.Millisecond

	// scanPatience is for the longest turnaround that DL/T 645 allows and the first byte.
	scanPatience = 550 * time.Millisecond

	// waryAnswers is for how many answers a meter gets the time of the first guess that has left both
	// tries unanswered. If it was just about to answer the first, it did not hear the second, nor we the
	// answer, and so it would be each time.
	waryAnswers = 1000
)

// A turnaround is how long a meter takes to begin its answers of one kind. The zero
// turnaround is not known.
type turnaround struct {
	known   bool
	slowest time.Duration // of late: an outlier counts for less and less
	wary    int           // answers until it counts again though it is shorter than the first guess
}

// learn takes in one more observation.
func (t *turnaround) learn(d time.Duration) {
	if t.known && d < t.slowest {
		d = t.slowest - (t.slowest-d)/8
	}
	t.known, t.slowest, t.wary = true, d, max(0, t.wary-1)
}

// patience returns how long it is worth waiting.
func (t *turnaround) patience() time.Duration {
	if !t.known {
		return firstGuess
	}
	least := shortestPatience
	if t.wary > 0 {
		least = firstGuess
	}
	return max(2*t.slowest+100*time.Millisecond, least)
}

// patience returns how long to wait for the answer to begin in a try of a step. Commands
// always get the longest time, since they cannot be tried again, and so does the last try of
// a read, in which the answer to the first may still come.
func (b *Bus) patience(step *protocol.Step, tries int) time.Duration {
	if step.Class == protocol.ClassScan {
		return min(scanPatience, b.config.Timeout)
	}
	if !step.Repeatable || step.Kind == protocol.KindCommand || tries > 1 {
		return b.config.Timeout
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := firstGuess
	if m := b.meters[step.Meter]; m != nil {
		wait = m.turnaround[kind(step)].patience()
	}
	return min(wait, b.config.Timeout)
}

// ceiling returns the longest time that an answer may take to begin to arrive. As much again may
// pass before one that is late is given up.
func (b *Bus) ceiling() time.Duration { return b.config.Timeout + b.config.Latency }

// kind returns the kind under which a step's turnaround is learned.
func kind(step *protocol.Step) protocol.Kind { return min(step.Kind, protocol.KindCommand) }
