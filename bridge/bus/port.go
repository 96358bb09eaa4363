package bus

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"
)

// A Port is an open line to the meters. One goroutine at a time uses it. After an error of
// any method but Close the port is dead: it is closed and opened again.
type Port interface {
	// Read waits at most wait for the first byte and returns what is there. 0 and no error
	// mean that nothing came. With no time to wait it returns what has arrived already.
	Read(p []byte, wait time.Duration) (int, error)

	// Write sends p whole or fails.
	io.Writer
	io.Closer
}

// A Tuner is a Port whose speed and parity can be changed while it is open.
type Tuner interface {
	Port
	Tune(mode Mode) error
}

// A Mode is the speed and the parity of a line. The zero mode is what a line is configured for.
type Mode struct {
	Baud   int    // bits per second
	Parity string // "even", "odd", "none"
}

// parities are the values of Mode.Parity.
var parities = []string{"even", "odd", "none"}

// An Opener opens a port. It gives up when the context ends. Beside an error the port counts for
// nothing, whether it is nil or not.
type Opener func(ctx context.Context) (Port, error)

// An OpenFunc makes the opener for a URL of a scheme that the caller of [ParseURL] brings.
// parameters are those that ParseURL did not understand itself; the function complains about
// each that it does not know either, and may set what the scheme calls for in settings.
type OpenFunc func(settings *Settings, parameters url.Values) (Opener, error)

// Settings are what must be known of a line to talk on it in time.
type Settings struct {
	Baud          int           // bits per second; 0: 2400
	Parity        string        // "even", "odd", "none"; "": even
	Stop          int           // stop bits, 1 or 2; 0: 1
	Preamble      int           // wake-up bytes FEH before each request
	LearnPreamble bool          // a meter that answers to fewer of them gets fewer, but never less than two
	Gap           time.Duration // pause between the end of an answer and the next request
	Timeout       time.Duration // longest wait for a meter to begin its answer; 0: 2 s
	Latency       time.Duration // what the way to the line adds to that, there and back
	Packed        bool          // answers arrive as a whole: a server collects them
}

// Check tells what is wrong with a mode that no line can have.
func (m Mode) Check() error {
	if m.Baud < lowestBaud || m.Baud > highestBaud {
		return fmt.Errorf("%d baud: write a whole number from %d to %d", m.Baud, lowestBaud, highestBaud)
	}
	if !slices.Contains(parities, m.Parity) {
		return fmt.Errorf("parity %q: write even, odd or none", m.Parity)
	}
	return nil
}

func (s Settings) mode() Mode { return Mode{s.Baud, s.Parity} }

// defaults returns the settings with what is missing filled in, except for the wake-up bytes.
func (s Settings) defaults() Settings {
	if s.Baud == 0 {
		s.Baud = 2400
	}
	if s.Parity == "" {
		s.Parity = "even"
	}
	if s.Stop == 0 {
		s.Stop = 1
	}
	if s.Timeout == 0 {
		s.Timeout = 2 * time.Second
	}
	return s
}

// duration returns how long the line takes to carry n bytes: a start bit, eight data bits,
// the parity bit and the stop bits each.
func (s Settings) duration(n int) time.Duration {
	bits := 1 + 8 + s.Stop
	if s.Parity != "none" {
		bits++
	}
	return time.Duration(n*bits) * time.Second / time.Duration(s.Baud)
}
