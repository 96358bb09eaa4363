package protocol

import (
	"fmt"
	"slices"
	"time"
)

// A Mode is how a serial line is set. A field without a value is as the bus is configured; the zero
// Mode is the mode of the bus.
type Mode struct {
	Baud   int    // bits per second
	Parity string // "even", "odd" or "none"
	Stop   int    // stop bits, 1 or 2
}

// The speeds that a line can have, in bits per second.
const (
	LowestBaud  = 300
	HighestBaud = 921600
)

// Parities are the values of Mode.Parity.
var Parities = []string{"even", "odd", "none"}

// CheckBaud reports what is wrong with a speed.
func CheckBaud(baud int) error {
	if baud < LowestBaud || baud > HighestBaud {
		return fmt.Errorf("%d baud: write a whole number from %d to %d", baud, LowestBaud, HighestBaud)
	}
	return nil
}

// CheckParity reports what is wrong with a parity.
func CheckParity(parity string) error {
	if !slices.Contains(Parities, parity) {
		return fmt.Errorf("parity %q: write even, odd or none", parity)
	}
	return nil
}

// Or returns the mode with what it lacks taken from another.
func (m Mode) Or(other Mode) Mode {
	if m.Baud == 0 {
		m.Baud = other.Baud
	}
	if m.Parity == "" {
		m.Parity = other.Parity
	}
	if m.Stop == 0 {
		m.Stop = other.Stop
	}
	return m
}

// Duration returns how long the line takes to carry n bytes in this mode, of which nothing may be
// missing: a start bit, eight data bits, the parity bit and the stop bits each.
func (m Mode) Duration(n int) time.Duration {
	bits := 1 + 8 + m.Stop
	if m.Parity != "none" {
		bits++
	}
	return time.Duration(n*bits) * time.Second / time.Duration(m.Baud)
}

// A Line is what the meters of a protocol need of the wire. A protocol has one, or one for each kind
// of meter; nothing in it changes. Without a value nothing is needed.
type Line struct {
	// WakeUp is the byte that is sent WakeUps times before a request, unless the bus is configured
	// for another number of them. Such bytes before an answer are no part of it. WakeUps 0: none.
	WakeUp  byte
	WakeUps int

	// Fewest is how many of them a meter gets at least that has shown that it needs no more; 0:
	// there is nothing to learn.
	Fewest int

	// Leading is how many wake-up bytes meters send before an answer, for estimates.
	Leading int

	// Quiet returns the silence that the line must have had before a request, such as 3.5
	// characters. Nil: none.
	Quiet func(Mode) time.Duration

	// Lull returns after which silence an answer is complete, where only silence tells. The split
	// function then gets what has come with atEOF; what it does not cut is noise, and the line
	// listens on. Nil: frames tell by themselves where they end.
	Lull func(Mode) time.Duration

	// Soonest and Latest bound when a meter begins its answer, after the last bit of the request.
	// They stand in for what is not known of a meter yet, in estimates and as the first guess. Latest
	// 0: as long as the bus waits at all.
	Soonest, Latest time.Duration

	// LatestSignal is how long a question of a scan waits for a meter to begin its answer; 0: Latest. Most
	// questions are to nobody, so that a bound matters even where the protocol sets none. A meter that takes
	// longer is read all the same once it is named.
	LatestSignal time.Duration

	// ByteGap is the longest silence between two bytes of one answer; 0: 100 ms.
	ByteGap time.Duration

	// Advice is what else may be wrong where a meter has never answered, such as the edition or
	// the speed: part of a sentence, after "check its address, …;". Empty: nothing.
	Advice string

	// Longest is the most bytes that an answer has, wake-up bytes included; 0: 256.
	Longest int
}
