package bus

import (
	"context"
	"io"
	"net/url"
	"time"

	"dlt645-mqtt/protocol"
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

// A Tuner is a Port whose speed, parity and stop bits can be changed while it is open. Nothing of a mode
// is missing. A port that cannot be set so is good all the same, unless the error wraps errLost.
type Tuner interface {
	Port
	Tune(mode protocol.Mode) error
}

// An Opener opens a port. It gives up when the context ends. Beside an error the port counts for
// nothing, whether it is nil or not.
type Opener func(ctx context.Context) (Port, error)

// An OpenFunc makes the opener for a URL of a scheme that the caller of [ParseURL] brings.
// parameters are those that ParseURL did not understand itself; the function complains about
// each that it does not know either, and may set what the scheme calls for in settings. The ports are Tuners.
type OpenFunc func(settings *Settings, parameters url.Values) (Opener, error)

// Settings are what must be known of a line to talk on it in time.
type Settings struct {
	Baud         int           // bits per second; 0: 2400
	Parity       string        // "even", "odd", "none"; "": even
	Stop         int           // stop bits, 1 or 2; 0: 1
	FixedWakeUps bool          // WakeUps go before each request; else as many as the protocol says, and fewer where these will do
	WakeUps      int           // of protocols that have wake-up bytes at all
	Gap          time.Duration // pause between the end of an answer and the next request
	Timeout      time.Duration // longest wait for a meter to begin its answer; 0: 2 s
	Latency      time.Duration // what the way to the line adds to that, there and back
	Packed       bool          // answers arrive as a whole: a server collects them
}

func (s Settings) mode() protocol.Mode {
	return protocol.Mode{Baud: s.Baud, Parity: s.Parity, Stop: s.Stop}
}

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
