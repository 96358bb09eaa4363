package simulator

import (
	"maps"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
)

// BusOptions describe a bus. The zero value is a line without meters that carries bytes in
// no time.
type BusOptions struct {
	Meters     []*Meter      // of DL/T 645
	Devices    []Device      // of any protocol, beside those
	Baud       int           // bits per second, 11 bits a byte; 0: bytes take no time
	Turnaround time.Duration // from the end of a request to the first byte of the answer
	WakeUp     int           // bytes FEH before an answer
	Seed       uint64        // of the faults
	Faults     Faults

	// Now is the clock of the meters; if nil, time.Now. The line always goes by time.Now.
	Now func() time.Time
}

// A Bus is a half-duplex line with meters. Two that talk at once garble each other. Its
// methods may be called from many goroutines.
type Bus struct {
	options   BusOptions
	devices   []Device
	languages []*language

	mu      sync.Mutex
	gremlin gremlin
	ports   map[*Port]struct{}
	wire    []carried      // in order of arrival
	dropped int            // how many bytes were on the wire before the first of wire
	sent    time.Time      // when the last byte of a master is through
	heard   map[ear][]byte // what was got of a request
	mode    protocol.Mode
	streams bool // it is served to masters whose speed nobody knows: all meters hear them

	parityless bool // modes differ in their speed alone

	unpluggedUntil time.Time
	replug         chan struct{} // closed when unpluggedUntil changes
}

// An ear is that of the devices of a language that listen at a mode.
type ear struct {
	*language
	mode protocol.Mode
}

// A carried is a byte on the wire.
type carried struct {
	from, to time.Time // a receiver has it from to on
	b        byte
	request  bool // sent by a master, which does not hear it
	mode     protocol.Mode
}

const (
	// byteGap is the longest gap between the bytes of a frame, clause 5.
	byteGap = 500 * time.Millisecond

	// backlog is how many bytes the wire keeps for a port that does not read, as a tty does.
	backlog = 4096
)

// NewBus puts meters on a line.
func NewBus(o BusOptions) *Bus {
	b := &Bus{
		options: o, gremlin: newGremlin(o.Faults, o.Seed), ports: map[*Port]struct{}{}, replug: make(chan struct{}),
		heard: map[ear][]byte{}, mode: protocol.Mode{Baud: o.Baud, Parity: "even", Stop: 1},
	}
	for _, m := range o.Meters {
		b.devices = append(b.devices, m)
	}
	b.devices = append(b.devices, o.Devices...)
	b.languages = languages(b.devices)
	return b
}

// SetMode says what the mode of the line is called, if that is not the speed of the options with even parity and one
// stop bit. What a byte takes stays as it is.
func (b *Bus) SetMode(mode protocol.Mode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mode = mode
}

// HasModes reports whether any meter of the line has a mode of its own.
func (b *Bus) HasModes() bool {
	return slices.ContainsFunc(b.devices, func(d Device) bool { return d.listensAt() != protocol.Mode{} })
}

// Meters returns the meters of DL/T 645 on the line.
func (b *Bus) Meters() []*Meter { return slices.Clone(b.options.Meters) }

// Devices returns all meters on the line.
func (b *Bus) Devices() []Device { return slices.Clone(b.devices) }

// Struck tells how often each fault has struck.
func (b *Bus) Struck() map[Fault]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.gremlin.struck)
}

// Answer returns what the meters answer to the frames in request, as bytes with wake-up
// bytes, at once and without faults. What they are told to do they do.
func (b *Bus) Answer(request []byte, at time.Time) []byte {
	var answers []byte
	for _, l := range b.languages {
		for rest := request; len(rest) > 0; {
			advance, token, _ := l.scan(rest, true)
			if token != nil {
				answers = append(answers, overlaid(b.ask(l, token, nil, at), b.wakeUps(l))...)
			}
			rest = rest[advance:]
		}
	}
	return answers
}

// ask lets all devices of a language and a mode hear a frame, or of all modes if it is nil, and returns the answers.
func (b *Bus) ask(l *language, frame []byte, mode *protocol.Mode, at time.Time) (answers [][]byte) {
	for _, d := range b.meant(l, frame, mode) {
		if answer := d.hear(frame, at); answer != nil {
			answers = append(answers, answer)
		}
	}
	return answers
}

// meant returns the devices that a frame is for, and that hear it in that mode; of a mode the caller holds the lock.
func (b *Bus) meant(l *language, frame []byte, mode *protocol.Mode) (devices []Device) {
	for _, d := range b.devices {
		if d.language() == l && (mode == nil || b.streams || b.named(d.listensAt()) == *mode) && d.hears(frame) {
			devices = append(devices, d)
		}
	}
	return devices
}

// wakeUps returns how many bytes FEH come before an answer.
func (b *Bus) wakeUps(l *language) int {
	if !l.wakeUp {
		return 0
	}
	return b.options.WakeUp
}

// overlaid returns the bytes of answers that are sent at the same time. The meters of a
// collision are a byte apart, so that nobody can read anything.
func overlaid(answers [][]byte, wakeUp int) (b []byte) {
	for n, answer := range answers {
		one := slices.Concat(slices.Repeat([]byte{0xFE}, wakeUp), answer)
		for i, c := range one {
			if i+n < len(b) {
				b[i+n] &= c
			} else {
				b = append(b, c)
			}
		}
	}
	return b
}

// duration returns how long the line takes to carry n bytes: start bit, eight data bits,
// parity and stop bit each; in another mode than its own as many as that one has.
func (b *Bus) duration(n int, mode protocol.Mode) time.Duration {
	if mode != (protocol.Mode{}) {
		return mode.Duration(n)
	}
	if b.options.Baud == 0 {
		return 0
	}
	return time.Duration(n) * 11 * time.Second / time.Duration(b.options.Baud)
}

// transmit sends bytes of a master after those it sent before. All that follows from them
// is put on the wire at once, each byte at its time to come. The caller holds the lock.
func (b *Bus) transmit(p []byte, mode protocol.Mode, now time.Time) {
	b.prune(now)
	start := now
	if b.sent.After(now) {
		start = b.sent
	}
	if start.Sub(b.sent) > byteGap {
		clear(b.heard)
	}
	echo := b.gremlin.echo(len(p))
	for k, c := range p {
		end := start.Add(b.duration(k+1, mode))
		sent := b.put(carried{start.Add(b.duration(k, mode)), end, c, !echo[k].back, mode})
		got := sent.b
		sent.b ^= echo[k].flips
		for _, l := range b.languages {
			by := ear{l, mode}
			b.heard[by] = b.hear(by, append(b.heard[by], got), end, now)
		}
	}
	b.sent = start.Add(b.duration(len(p), mode))
	for port := range b.ports {
		port.notify()
	}
}

// hear lets the devices of a language and a mode hear what has come, and returns what of it may yet become a frame.
func (b *Bus) hear(by ear, heard []byte, end, now time.Time) []byte {
	for {
		advance, token, _ := by.scan(heard, false)
		if token != nil {
			b.exchange(by, token, end, now)
		}
		if advance == 0 {
			return heard
		}
		heard = slices.Delete(heard, 0, advance)
	}
}

// ignoreModes has all devices hear what masters send, at any speed.
func (b *Bus) ignoreModes() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.streams = true
}

// ignoreParity has the line tell modes apart by their speed alone.
func (b *Bus) ignoreParity() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parityless = true
}

// named returns a mode, zero if it is that of the line.
func (b *Bus) named(mode protocol.Mode) protocol.Mode {
	if b.parityless && mode != (protocol.Mode{}) {
		mode.Parity, mode.Stop = b.mode.Parity, b.mode.Stop
	}
	if mode == b.mode {
		return protocol.Mode{}
	}
	return mode
}

// put puts a byte on the wire and returns what a receiver gets: garbage, and so for the
// other one, if somebody talks at the same time. What it points to moves with the next byte.
func (b *Bus) put(c carried) *carried {
	i := len(b.wire)
	for i > 0 && b.wire[i-1].to.After(c.to) {
		i--
	}
	for j := i - 1; j >= 0 && b.wire[j].to.After(c.from); j-- {
		b.wire[j].meet(&c)
	}
	for j := i; j < len(b.wire) && b.wire[j].from.Before(c.to); j++ {
		b.wire[j].meet(&c)
	}
	b.wire = slices.Insert(b.wire, i, c)
	return &b.wire[i]
}

// meet garbles two bytes if they are on the wire at the same time.
func (c *carried) meet(other *carried) {
	if c.from.Before(other.to) && c.to.After(other.from) {
		c.b &= other.b
		other.b = c.b
	}
}

// exchange lets the devices of a language and a mode answer a frame whose last byte is through at a time.
func (b *Bus) exchange(by ear, token []byte, end, now time.Time) {
	mode := by.mode
	at := end
	if b.options.Now != nil {
		at = b.options.Now().Add(end.Sub(now))
	}
	g := &b.gremlin
	b.breakPorts(now)
	if !by.isBroadcast(token) && g.strikes(FaultOff) {
		for _, d := range b.meant(by.language, token, nil) {
			d.SwitchOff(at.Add(g.between(time.Second, time.Minute)))
		}
	}
	lost := g.strikes(FaultNoReply)
	if lost && g.random.IntN(2) == 0 {
		return
	}
	answers := b.ask(by.language, token, &mode, at)
	if lost || len(answers) == 0 {
		return
	}
	for i := range answers {
		answers[i] = b.misdirected(by.language, answers[i])
	}
	wakeUp := b.wakeUps(by.language)
	if by.wakeUp && g.strikes(FaultFE) {
		wakeUp = g.random.IntN(9)
	}
	var symbols []symbol
	for _, c := range overlaid(answers, wakeUp) {
		symbols = append(symbols, symbol{b: c})
	}
	symbols[0].pause = b.options.Turnaround
	symbols = g.spoil(symbols)
	over := b.say(symbols, mode, end)
	if g.strikes(FaultTwice) {
		symbols[0].pause = g.between(10*time.Millisecond, 300*time.Millisecond)
		b.say(symbols, mode, over)
	}
}

// say puts an answer on the wire from a time on, and returns when it is through.
func (b *Bus) say(answer []symbol, mode protocol.Mode, start time.Time) (over time.Time) {
	sent := 0
	for _, s := range answer {
		if s.pause > 0 {
			start, sent = start.Add(b.duration(sent, mode)+s.pause), 0
		}
		b.put(carried{from: start.Add(b.duration(sent, mode)), to: start.Add(b.duration(sent+1, mode)), b: s.b, mode: mode})
		sent++
	}
	return start.Add(b.duration(sent, mode))
}

// misdirected makes an answer look like that of another meter or of another item, if the
// faults call for it.
func (b *Bus) misdirected(l *language, answer []byte) []byte {
	if b.gremlin.strikes(FaultForeign) {
		answer = l.foreign(answer)
	}
	if b.gremlin.strikes(FaultOtherDI) {
		answer = l.other(answer)
	}
	return answer
}

// prune forgets what everybody has got.
func (b *Bus) prune(now time.Time) {
	most := len(b.wire)
	for port := range b.ports {
		most = min(most, max(0, port.next-b.dropped))
	}
	n := max(0, len(b.wire)-backlog)
	for n < most && !b.wire[n].to.After(now) {
		n++
	}
	b.wire = b.wire[n:]
	b.dropped += n
}
