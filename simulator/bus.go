package simulator

import (
	"bufio"
	"maps"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

// BusOptions describe a bus. The zero value is a line without meters that carries bytes in
// no time.
type BusOptions struct {
	Meters     []*Meter      // of DL/T 645
	Stations   []Station     // what else stands on the line
	Baud       int           // bits per second, 11 bits a byte; 0: bytes take no time
	Turnaround time.Duration // from the end of a request to the first byte of the answer
	WakeUp     int           // bytes FEH before an answer
	Seed       uint64        // of the faults
	Faults     Faults

	// Now is the meters' idea of time, unless nil. The line always goes by time.Now.
	Now func() time.Time
}

// A Station is what stands on a line and answers: a meter of any protocol.
type Station struct {
	Mode protocol.Mode // at which it hears and speaks; zero: that of the line

	// Cut cuts the requests out of what is sent to the line, as package bufio has it. There is
	// never more to be expected than has come.
	Cut bufio.SplitFunc

	// Answer returns what the station sends after a request, with what goes before its frame; none
	// if it is not meant, or does not understand. at is the time when the request was through.
	Answer func(request []byte, at time.Time) []byte
}

// A Bus is a half-duplex line with meters. Two that talk at once garble each other. Its
// methods may be called from many goroutines.
type Bus struct {
	options BusOptions

	mu      sync.Mutex
	gremlin gremlin
	ports   map[*Port]struct{}
	wire    []carried                // in order of arrival
	dropped int                      // how many bytes were on the wire before the first of wire
	sent    time.Time                // when the last byte of a master is through
	heard   map[protocol.Mode][]byte // what the meters of a mode got of a request
	reached [][]byte                 // and what each of the stations did
	mode    protocol.Mode

	unpluggedUntil time.Time
	replug         chan struct{} // closed when unpluggedUntil changes
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
	return &Bus{
		options: o, gremlin: newGremlin(o.Faults, o.Seed), ports: map[*Port]struct{}{}, replug: make(chan struct{}),
		heard: map[protocol.Mode][]byte{}, reached: make([][]byte, len(o.Stations)),
		mode: protocol.Mode{Baud: o.Baud, Parity: "even", Stop: 1},
	}
}

// SetMode says what the mode of the line is called, if that is not the speed of the options with even parity and one
// stop bit. What a byte takes stays as it is.
func (b *Bus) SetMode(mode protocol.Mode) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mode = mode
}

// Meters returns the meters on the line.
func (b *Bus) Meters() []*Meter { return slices.Clone(b.options.Meters) }

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
	for len(request) > 0 {
		advance, token, _ := dlt645.ScanFrame(request, true)
		if token != nil {
			if frame, err := dlt645.ParseFrame(token); err == nil {
				answers = append(answers, overlaid(b.ask(frame, nil, at), b.options.WakeUp)...)
			}
		}
		request = request[advance:]
	}
	return answers
}

// ask lets the meters of a mode hear a frame, or all if it is nil, and returns the answers.
func (b *Bus) ask(request dlt645.Frame, mode *protocol.Mode, at time.Time) (answers []dlt645.Frame) {
	for _, m := range b.options.Meters {
		if mode != nil && b.named(m.mode) != *mode {
			continue
		}
		if answer, ok := m.Answer(request, at); ok {
			answers = append(answers, answer)
		}
	}
	return answers
}

// overlaid returns the bytes of answers that are sent at the same time. The meters of a
// collision are a byte apart, so that nobody can read anything.
func overlaid(answers []dlt645.Frame, wakeUp int) (b []byte) {
	for n, answer := range answers {
		one := slices.Repeat([]byte{0xFE}, wakeUp)
		one, err := answer.AppendBinary(one)
		if err != nil {
			panic(err) // a meter keeps to 200 bytes
		}
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
		clear(b.reached)
	}
	echo := b.gremlin.echo(len(p))
	for k, c := range p {
		end := start.Add(b.duration(k+1, mode))
		sent := b.put(carried{start.Add(b.duration(k, mode)), end, c, !echo[k].back, mode})
		got := sent.b
		sent.b ^= echo[k].flips
		b.reach(got, mode, end, now)
		heard := b.heard[mode]
		heard = append(heard, got)
		for {
			advance, token, _ := dlt645.ScanFrame(heard, false)
			if token != nil {
				b.exchange(token, mode, end, now)
			}
			if advance == 0 {
				break
			}
			heard = slices.Delete(heard, 0, advance)
		}
		b.heard[mode] = heard
	}
	b.sent = start.Add(b.duration(len(p), mode))
	for port := range b.ports {
		port.notify()
	}
}

// reach lets the stations at a mode hear a byte that is through at a time, and puts on the wire what they answer.
func (b *Bus) reach(c byte, mode protocol.Mode, end, now time.Time) {
	at := end
	if b.options.Now != nil {
		at = b.options.Now().Add(end.Sub(now))
	}
	for i, station := range b.options.Stations {
		if b.named(station.Mode) != mode {
			continue
		}
		b.reached[i] = append(b.reached[i], c)
		for {
			advance, token, _ := station.Cut(b.reached[i], false)
			if token != nil {
				for k, answer := range station.Answer(token, at) {
					from := end.Add(b.options.Turnaround)
					b.put(carried{from: from.Add(b.duration(k, mode)), to: from.Add(b.duration(k+1, mode)), b: answer, mode: mode})
				}
			}
			if advance == 0 {
				break
			}
			b.reached[i] = b.reached[i][min(advance, len(b.reached[i])):]
		}
	}
}

// named returns a mode, zero if it is that of the line.
func (b *Bus) named(mode protocol.Mode) protocol.Mode {
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

// exchange lets the meters of a mode answer a frame whose last byte is through at a time.
func (b *Bus) exchange(token []byte, mode protocol.Mode, end, now time.Time) {
	request, err := dlt645.ParseFrame(token)
	if err != nil {
		return // meters do not answer what they do not understand
	}
	at := end
	if b.options.Now != nil {
		at = b.options.Now().Add(end.Sub(now))
	}
	g := &b.gremlin
	b.breakPorts(now)
	if !request.Address.IsBroadcast() && g.strikes(FaultOff) {
		for _, m := range b.options.Meters {
			if m.hears(request.Address) {
				m.SwitchOff(at.Add(g.between(time.Second, time.Minute)))
			}
		}
	}
	lost := g.strikes(FaultNoReply)
	if lost && g.random.IntN(2) == 0 {
		return
	}
	answers := b.ask(request, &mode, at)
	if lost || len(answers) == 0 {
		return
	}
	for i := range answers {
		b.misdirect(&answers[i])
	}
	wakeUp := b.options.WakeUp
	if g.strikes(FaultFE) {
		wakeUp = g.random.IntN(9)
	}
	var symbols []symbol
	for _, c := range overlaid(answers, wakeUp) {
		symbols = append(symbols, symbol{b: c})
	}
	symbols[0].pause = b.options.Turnaround
	sent, start := 0, end
	for _, s := range g.spoil(symbols) {
		if s.pause > 0 {
			start, sent = start.Add(b.duration(sent, mode)+s.pause), 0
		}
		b.put(carried{from: start.Add(b.duration(sent, mode)), to: start.Add(b.duration(sent+1, mode)), b: s.b, mode: mode})
		sent++
	}
}

// misdirect makes an answer look like that of another meter or of another item, if the
// faults call for it.
func (b *Bus) misdirect(answer *dlt645.Frame) {
	if b.gremlin.strikes(FaultForeign) {
		low := &answer.Address[len(answer.Address)-1]
		digits, _ := fromBCD(*low)
		*low = bcd((digits + 1) % 100)
	}
	if len(answer.Data) > 4 && answer.Control.Function() != dlt645.FunctionReadAddress && b.gremlin.strikes(FaultOtherDI) {
		answer.Data[1]++ // DI1: the next phase or tariff
	}
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
