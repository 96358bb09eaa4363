package simulator

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Fault is something that goes wrong on a bus now and then. The names are those of the
// options of the command simulate.
type Fault string

// The faults. Those of an answer strike only where there is one.
const (
	FaultNoReply   Fault = "noreply"   // request or answer is lost, one as often as the other
	FaultLate      Fault = "late"      // the answer comes 0.5 to 3 s late, maybe into the next request
	FaultFlip      Fault = "flip"      // one byte of the answer is another
	FaultChecksum  Fault = "checksum"  // the checksum is wrong
	FaultTruncated Fault = "truncated" // the answer breaks off
	FaultJunk      Fault = "junk"      // noise before or after the answer, with start and end bytes in it
	FaultFE        Fault = "fe"        // 0 to 8 wake-up bytes before the answer
	FaultForeign   Fault = "foreign"   // a sound answer with the address of another meter
	FaultOtherDI   Fault = "otherdi"   // a sound answer with the identifier of another item
	FaultPieces    Fault = "pieces"    // the answer has one to three gaps of up to 500 ms
	FaultSlow      Fault = "slow"      // the meter takes up to 500 ms to begin
	FaultOff       Fault = "off"       // the meter asked is off for 1 to 60 s
	FaultCollision Fault = "collision" // somebody talks into the answer
	FaultTwice     Fault = "twice"     // the answer comes once more, 10 to 300 ms behind

	// These three strike each write of a master.
	FaultEcho        Fault = "echo"        // what it sends comes back to it
	FaultEchoPart    Fault = "echopart"    // only the beginning or the end of it does
	FaultEchoGarbled Fault = "echogarbled" // it comes back with one to four bytes changed

	// These strike the ports when a request is through: see Reset, Stall, Unplug and HoldBack of [Bus].
	FaultReset    Fault = "reset"    // connections break off
	FaultHalfOpen Fault = "halfopen" // connections stay, but carry nothing for 5 to 60 s
	FaultGone     Fault = "gone"     // the port is gone for 1 to 30 s; a pseudo terminal comes back under another name
	FaultHeld     Fault = "held"     // what comes is held back for 1 to 15 s, and let go when the master next writes
)

// allFaults is in the order in which the faults are drawn.
var allFaults = []Fault{
	FaultNoReply, FaultLate, FaultFlip, FaultChecksum, FaultTruncated, FaultJunk, FaultFE,
	FaultForeign, FaultOtherDI, FaultPieces, FaultSlow, FaultOff, FaultCollision,
	FaultEcho, FaultEchoPart, FaultEchoGarbled, FaultReset, FaultHalfOpen, FaultGone, FaultTwice, FaultHeld,
}

// Faults give the probability, 0 to 1, of each fault. Faults are independent: several may
// strike one exchange.
type Faults map[Fault]float64

// ParseFaults reads a list as in "late=0.05,flip=0.01"; a colon serves as well as the equals
// sign. The name "all" stands for every fault. An error lists the names.
func ParseFaults(text string) (Faults, error) {
	faults := Faults{}
	if text == "" {
		return faults, nil
	}
	for entry := range strings.SplitSeq(text, ",") {
		i := strings.IndexAny(entry, "=:")
		if i < 0 {
			return nil, fmt.Errorf("fault %q has no probability: write it as in late=0.05", entry)
		}
		name := Fault(entry[:i])
		probability, err := strconv.ParseFloat(entry[i+1:], 64)
		if err != nil || !(probability >= 0 && probability <= 1) {
			return nil, fmt.Errorf("fault %q: the probability is a number from 0 to 1, as in late=0.05", entry)
		}
		switch {
		case name == "all":
			for _, name := range allFaults {
				faults[name] = probability
			}
		case slices.Contains(allFaults, name):
			faults[name] = probability
		default:
			return nil, fmt.Errorf("there is no fault %q; there are %s, and all for every one", name, faultNames())
		}
	}
	return faults, nil
}

// faultNames lists the names for people.
func faultNames() string {
	var names []string
	for _, name := range allFaults {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

// A gremlin decides when faults strike. Its decisions depend on its seed and on the
// exchanges so far, nothing else.
type gremlin struct {
	random *rand.Rand
	faults Faults
	struck map[Fault]int
}

func newGremlin(faults Faults, seed uint64) gremlin {
	return gremlin{rand.New(rand.NewPCG(seed, 645)), maps.Clone(faults), map[Fault]int{}}
}

// strikes reports whether a fault is to happen now.
func (g *gremlin) strikes(fault Fault) bool {
	p := g.faults[fault]
	if p == 0 || g.random.Float64() >= p {
		return false
	}
	g.struck[fault]++
	return true
}

// between returns a duration, in whole milliseconds from a to b.
func (g *gremlin) between(a, b time.Duration) time.Duration {
	return a + time.Duration(g.random.Int64N(int64((b-a)/time.Millisecond)+1))*time.Millisecond
}

// A symbol is a byte of an answer and the pause before it.
type symbol struct {
	pause time.Duration
	b     byte
}

// spoil does to an answer on its way what the faults of the line call for. The answer has
// wake-up bytes first; its last byte is the end byte of a frame.
func (g *gremlin) spoil(answer []symbol) []symbol {
	if g.strikes(FaultLate) {
		answer[0].pause += g.between(500*time.Millisecond, 3*time.Second)
	}
	if g.strikes(FaultFlip) {
		answer[g.random.IntN(len(answer))].b ^= byte(1 + g.random.IntN(255))
	}
	if g.strikes(FaultChecksum) {
		answer[len(answer)-2].b += byte(1 + g.random.IntN(255))
	}
	if g.strikes(FaultTruncated) {
		answer = answer[:1+g.random.IntN(len(answer)-1)]
	}
	if g.strikes(FaultJunk) {
		if which := g.random.IntN(3); which != 0 {
			junk := g.junk()
			junk[0].pause, answer[0].pause = answer[0].pause, 0
			answer = append(junk, answer...)
			if which == 1 {
				answer = append(answer, g.junk()...)
			}
		} else {
			answer = append(answer, g.junk()...)
		}
	}
	if g.strikes(FaultPieces) {
		for range 1 + g.random.IntN(3) {
			answer[g.random.IntN(len(answer))].pause += g.between(0, 500*time.Millisecond)
		}
	}
	if g.strikes(FaultSlow) && answer[0].pause < 500*time.Millisecond {
		answer[0].pause = g.between(answer[0].pause, 500*time.Millisecond)
	}
	if g.strikes(FaultCollision) {
		from := g.random.IntN(len(answer))
		for i := from; i < min(from+1+g.random.IntN(16), len(answer)); i++ {
			answer[i].b &= byte(g.random.IntN(256))
		}
	}
	return answer
}

// An echoed byte comes back or not, some bits of it maybe changed.
type echoed struct {
	back  bool
	flips byte
}

// echo decides what of so many bytes of a master it hears itself.
func (g *gremlin) echo(size int) []echoed {
	echo := make([]echoed, size)
	back := func(from, to int) {
		for i := from; i < to; i++ {
			echo[i].back = true
		}
	}
	if g.strikes(FaultEcho) {
		back(0, size)
	}
	if size > 1 && g.strikes(FaultEchoPart) {
		cut := 1 + g.random.IntN(size-1)
		if g.random.IntN(2) == 0 {
			back(0, cut)
		} else {
			back(cut, size)
		}
	}
	if size > 0 && g.strikes(FaultEchoGarbled) {
		back(0, size)
		for range 1 + g.random.IntN(4) {
			echo[g.random.IntN(size)].flips = byte(1 + g.random.IntN(255))
		}
	}
	return echo
}

// junk returns noise: up to 24 bytes, most often with what a frame begins or ends with.
func (g *gremlin) junk() []symbol {
	noise := make([]symbol, 1+g.random.IntN(24))
	for i := range noise {
		noise[i].b = byte(g.random.IntN(256))
		if g.random.IntN(4) == 0 {
			noise[i].b = []byte{0x68, 0x16, 0xFE}[g.random.IntN(3)]
		}
	}
	if len(noise) > 9 { // a header that promises a frame
		noise[0].b, noise[7].b, noise[8].b = 0x68, 0x68, 0x91
	}
	return noise
}
