package bus

import (
	"errors"
	"time"

	"dlt645-mqtt/protocol"
)

const (
	// refusalsOfBlock make a block be dropped for a meter, blockRetry is for how long.
	refusalsOfBlock = 2
	blockRetry      = 24 * time.Hour

	// mostMeters bounds the memory for addresses that somebody asked for.
	mostMeters = 4096
)

// meter is what the bus knows of one meter. It is guarded by Bus.mu.
type meter struct {
	heard      time.Time // when it answered last; zero: never
	hold       time.Time // no command before: the answer to the last one may still come
	turnaround [protocol.Kinds]turnaround
	blocks     map[string]block
	preamble   preamble
	learned    map[string]string // by its answers: see protocol.Result
	trial      *protocol.Step    // what it is probed with: the first read that it answered since it came back, else the first that it did not
	proven     bool              // it has answered the trial
	way        int               // how often it was silent to steps that may be asked in several ways
	presence
}

// block is how a meter has answered reads of a block.
type block struct {
	refusals int       // in a row
	retry    time.Time // when it is worth asking again, if there were too many
}

// meter returns what is kept of a meter, making room for it if need be.
func (b *Bus) meter(key protocol.MeterKey) *meter {
	m := b.meters[key]
	if m == nil {
		if len(b.meters) >= mostMeters {
			b.forgetMeters()
		}
		m = new(meter)
		b.meters[key] = m
	}
	return m
}

// forgetMeters drops the addresses that never answered; if it must be, others.
func (b *Bus) forgetMeters() {
	now := time.Now()
	for key, m := range b.meters {
		if m.heard.IsZero() && !now.Before(m.hold) {
			delete(b.meters, key)
		}
	}
	for key, m := range b.meters {
		if len(b.meters) < mostMeters {
			break
		}
		if !now.Before(m.hold) {
			delete(b.meters, key)
		}
	}
}

// heldUntil returns until when a step is not to go: a command while its meter gets none, a read
// while the answer to an equal one may still come, either while a copy of an answer may come that
// would pass for its own: for a command also that of an acknowledgement that came too late. What says only that a meter
// is there may come late.
func (b *Bus) heldUntil(step *protocol.Step) (until time.Time) {
	if step.Class == protocol.ClassScan {
		return until
	}
	if !step.IsCommand() {
		until = b.doubts.heldUntil(step)
	} else {
		if m := b.meters[step.Meter]; m != nil {
			until = m.hold
		}
		if over := b.manner.lateUntil(); over.After(until) {
			until = over
		}
	}
	if copies := b.manner.heldUntil(&step.First, time.Now()); copies.After(until) {
		return copies
	}
	return until
}

// holdCommands keeps commands from the meter until then.
func (b *Bus) holdCommands(key protocol.MeterKey, until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.meter(key).hold = until
}

// learnBlock concludes from the reply to a step whether the meter has the block that was read.
func (b *Bus) learnBlock(step *protocol.Step, reply *Reply) {
	if step.Block == "" || !reply.Started {
		return
	}
	m := b.meter(step.Meter)
	refused := errors.Is(reply.Err, protocol.ErrNoSuchData)
	switch {
	case reply.Err == nil:
		delete(m.blocks, step.Block)
	case refused || reply.Unreadable: // its content is laid out in another way
		seen := m.blocks[step.Block]
		if seen.refusals++; seen.refusals >= refusalsOfBlock {
			seen.retry = time.Now().Add(blockRetry)
		}
		m.setBlock(step.Block, seen)
	}
}

func (m *meter) setBlock(name string, seen block) {
	if m.blocks == nil {
		m.blocks = make(map[string]block)
	}
	m.blocks[name] = seen
}

// A KnownMeter is a view of what the bus has learned of one meter. It is a protocol.Known.
type KnownMeter struct {
	bus *Bus
	key protocol.MeterKey
}

// Meter returns what the bus has learned of a meter, and goes on to learn. It is never nil.
func (b *Bus) Meter(key protocol.MeterKey) *KnownMeter { return &KnownMeter{b, key} }

// known returns what is kept of the meter at this moment.
func (m *KnownMeter) known() meter {
	m.bus.mu.Lock()
	defer m.bus.mu.Unlock()
	if known := m.bus.meters[m.key]; known != nil {
		return *known
	}
	return meter{}
}

// Lacks reports whether the meter has refused this block twice in a row within the last day
// because it has no such data, or Avoid has said so, and it was not offline since.
func (m *KnownMeter) Lacks(name string) bool {
	m.bus.mu.Lock()
	defer m.bus.mu.Unlock()
	known := m.bus.meters[m.key]
	return known != nil && time.Now().Before(known.blocks[name].retry)
}

// Learned returns what an answer of the meter has taught under a name, unless it was offline since.
func (m *KnownMeter) Learned(name string) string {
	m.bus.mu.Lock()
	defer m.bus.mu.Unlock()
	if known := m.bus.meters[m.key]; known != nil {
		return known.learned[name]
	}
	return ""
}

// learn keeps what an answer teaches, also of the meter behind a wildcard.
func (b *Bus) learn(step *protocol.Step, result *protocol.Result) {
	for name, value := range result.Learned {
		for _, key := range []protocol.MeterKey{step.Meter, result.Address.MeterKey} {
			if key.Text == "" {
				continue
			}
			m := b.meter(key)
			if m.learned == nil {
				m.learned = map[string]string{}
			}
			m.learned[name] = value
		}
	}
}

// Avoid has a block not read of the meter for a day, unless it is offline meanwhile: it is known
// otherwise that it has no such data, as by being silent to nothing else.
func (m *KnownMeter) Avoid(name string) {
	m.bus.mu.Lock()
	defer m.bus.mu.Unlock()
	m.bus.meter(m.key).setBlock(name, block{refusalsOfBlock, time.Now().Add(blockRetry)})
}

// Online reports whether the meter answers, as far as is known: a meter that was never asked
// counts as online.
func (m *KnownMeter) Online() bool { return !m.known().offline }

// Answered reports whether the meter has ever answered, as far as is remembered.
func (m *KnownMeter) Answered() bool { return !m.known().heard.IsZero() }

// Turnaround returns how long the meter takes to begin its answer to the reading of a
// register, the slowest of late, and whether that is known. It is 0 where a serial server
// brings whole answers sooner than the line at its speed would.
func (m *KnownMeter) Turnaround() (slowest time.Duration, known bool) {
	t := m.known().turnaround[protocol.KindValue]
	return t.slowest, t.known
}
