package bus

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// shortestPatience is for meters that answer at once, and now and then do not.
	shortestPatience = 200 * time.Millisecond

	// firstByte is what a scan adds to the longest turnaround that a protocol allows, for the first byte.
	firstByte = 50 * time.Millisecond

	// waryAnswers is for how many answers a meter that left both tries unanswered gets the first guess
	// again. Otherwise each retry might collide with its late answer: a meter that is just about to
	// answer the first try does not hear the second, and we do not hear the answer.
	waryAnswers = 1000

	// medianOf is how many of the latest answers the usual turnaround is the median of.
	medianOf = 9

	// patientFrom is the pause before a probe from which on every second probe of an offline meter
	// waits as long as for an unknown meter: it may have been exchanged for a
	// slower one.
	patientFrom = 15 * time.Second

	// probeSlack is how much longer than ever before a probe waits for the answer to be there.
	probeSlack = 50 * time.Millisecond
)

// A turnaround is how long a meter takes to begin its answers of one kind. The zero
// turnaround is not known.
type turnaround struct {
	known   bool
	slowest time.Duration // of late: an outlier counts for less and less
	wary    int           // answers until it counts again though it is shorter than the first guess
	longest time.Duration // ever
	latest  [medianOf]time.Duration
	seen    int // observations so far; the next one goes into latest at seen modulo its length
}

// learn takes in one more observation.
func (t *turnaround) learn(d time.Duration) {
	t.longest = max(t.longest, d)
	t.latest[t.seen%len(t.latest)] = d
	t.seen++
	if t.known && d < t.slowest {
		d = t.slowest - (t.slowest-d)/8
	}
	t.known, t.slowest, t.wary = true, d, max(0, t.wary-1)
}

// usual returns the median of the latest observations, which one that is far off does not move.
func (t *turnaround) usual() time.Duration {
	sorted := slices.Sorted(slices.Values(t.latest[:min(t.seen, len(t.latest))]))
	return sorted[len(sorted)/2]
}

// patience returns how long it is worth waiting. guess is the longest turnaround that the protocol allows.
func (t *turnaround) patience(guess time.Duration) time.Duration {
	if !t.known {
		return guess
	}
	least := min(shortestPatience, guess)
	if t.wary > 0 {
		least = guess
	}
	return max(2*t.slowest+100*time.Millisecond, least)
}

// patience returns how long to wait for the answer to begin in a try of a step. Commands
// always get the longest time, since they cannot be tried again, and so does the last try of
// a read, in which the answer to the first may still come.
func (b *Bus) patience(step *protocol.Step, tries int) time.Duration {
	if step.Class == protocol.ClassScan {
		return min(needsOf(step).latestSignal(b.config.Timeout)+firstByte, b.config.Timeout)
	}
	guess := needsOf(step).latest(b.config.Timeout)
	if !step.Repeatable || step.Kind == protocol.KindCommand || tries > 1 {
		return b.config.Timeout
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := guess
	if m := b.meters[step.Meter]; m != nil {
		wait = m.turnaround[kind(step)].patience(guess)
	}
	return min(wait, b.config.Timeout)
}

// ceiling returns the longest time that an answer may take to begin to arrive. As much again may
// pass before one that is late is given up.
func (b *Bus) ceiling() time.Duration { return b.config.Timeout + b.config.Latency }

// wait returns how long after the last bit of a request the answer must have begun to arrive, where
// the meter begins it within patience. another tells that the step is tried again if it does not; since is how long ago the
// try before was sent, 0 for none.
//
// Where an answer is collected on its way, so that nothing comes before all of it has, the first of two tries waits for as
// much as nearly all meters send at once, and the second until the longest answer to the first would be there, which
// counts for the second: a meter that was about to send so much is answering already.
func (b *Bus) wait(e *protocol.Exchange, n needs, patience time.Duration, another bool, since time.Duration) time.Duration {
	wait := patience + b.config.Latency
	if b.config.Packed {
		longest := n.longest()
		if e.Longest > 0 {
			longest = e.Longest
		}
		carried := b.line.mode.Duration(longest)
		if usual := b.line.mode.Duration(min(longest, e.Usual)); e.Usual > 0 && another {
			carried = usual
		} else if e.Usual > 0 {
			carried = max(usual, carried-since)
		}
		wait += carried
	}
	return wait
}

// probeWait returns how long a step to a meter that is offline, or about to be, waits for the answer to
// arrive: as long as the meter ever took, so that a dead one takes little of the wire. After a while every second time,
// and always where that is not known and for commands, it is the usual time.
func (b *Bus) probeWait(step *protocol.Step, usual time.Duration) time.Duration {
	if !step.Repeatable || step.Class == protocol.ClassScan {
		return usual
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.meters[step.Meter]
	if m == nil || !m.offline && m.timeouts < timeoutsToOffline-1 {
		return usual
	}
	t := &m.turnaround[kind(step)]
	if m.offline {
		m.probes++
	}
	if !t.known || m.pause >= patientFrom && m.probes%2 == 1 {
		return usual
	}
	wait := t.longest + probeSlack
	if b.config.Packed {
		// A turnaround is what a whole answer takes beyond the time of its bytes.
		longest := needsOf(step).longest()
		if step.Expected > 0 {
			longest = needsOf(step).Leading + step.Expected
		}
		wait += b.line.mode.Duration(longest)
	}
	return min(wait, usual)
}

// kind returns the kind under which a step's turnaround is learned.
func kind(step *protocol.Step) protocol.Kind { return min(step.Kind, protocol.KindCommand) }
