package bus

import (
	"bytes"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// needs are what the protocol of a step needs of the wire, with what it does not say filled in.
type needs struct{ *protocol.Line }

// nothing stands for the needs of a protocol that states none.
var nothing protocol.Line

func needsOf(step *protocol.Step) needs {
	if step.Line == nil {
		return needs{&nothing}
	}
	return needs{step.Line}
}

// latest is how long a meter of which nothing is known may take to begin its answer.
func (n needs) latest(timeout time.Duration) time.Duration {
	if n.Latest == 0 {
		return timeout
	}
	return n.Latest
}

// latestSignal is how long a scan waits for a meter to begin its answer.
func (n needs) latestSignal(timeout time.Duration) time.Duration {
	if n.LatestSignal == 0 {
		return n.latest(timeout)
	}
	return n.LatestSignal
}

// quiet is the silence that the line must have had before a request.
func (n needs) quiet(mode protocol.Mode) time.Duration {
	if n.Quiet == nil {
		return 0
	}
	return n.Quiet(mode)
}

// lull is the silence that ends a frame; 0: frames end by themselves.
func (n needs) lull(mode protocol.Mode) time.Duration {
	if n.Lull == nil {
		return 0
	}
	return n.Lull(mode)
}

func (n needs) byteGap() time.Duration {
	if n.ByteGap == 0 {
		return usualByteGap
	}
	return n.ByteGap
}

func (n needs) longest() int {
	if n.Longest == 0 {
		return usualLongest
	}
	return n.Longest
}

// isWakeUp reports whether all bytes are wake-up bytes.
func (n needs) isWakeUp(heard []byte) bool {
	return n.WakeUps > 0 && !slices.ContainsFunc(heard, func(b byte) bool { return b != n.WakeUp })
}

// remainder returns what is left of heard without our own request and wake-up bytes around.
func (n needs) remainder(heard, request []byte) []byte {
	if before, after, echo := bytes.Cut(heard, request); echo {
		heard = append(bytes.Clone(before), after...)
	}
	if n.WakeUps == 0 {
		return heard
	}
	for len(heard) > 0 && heard[0] == n.WakeUp {
		heard = heard[1:]
	}
	for len(heard) > 0 && heard[len(heard)-1] == n.WakeUp {
		heard = heard[:len(heard)-1]
	}
	return heard
}
