package main

import (
	"context"
	"net/url"
	"os"
	"strconv"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/simulator"
)

// A busParameter is a parameter of the bus URL, for help and README.
type busParameter struct {
	name, byDefault, text string // the text as in Markdown
}

// busParameters are what bus.ParseURL takes, in the order of the README.
var busParameters = []busParameter{
	{"baud", "2400", "bits per second"},
	{"parity", "even", "`even`, `odd` or `none`"},
	{"stop", "1", "stop bits"},
	{"fe", "4 for a start", "wake-up bytes FEH before each request; if it is not given, a meter that answers to two gets two"},
	{"gap", "0ms", "pause between an answer and the next request"},
	{"timeout", "2s", "longest wait for a meter to begin its answer. When the bridge starts, it listens for twice this and `latency` before it asks"},
	{"latency", "0 serial, 200ms tcp, udp and rfc2217, 2s listen", "what the way to the line adds to that"},
	{"rs485", "", "serial: `rts` has the kernel switch the line driver by RTS"},
	{"register", "", "listen: what a DTU says first; only who says it is let in, and may take the place of an older connection. Without it the port must be on a loopback or private address"},
	{"heartbeat", "", "listen: what the DTU sends now and then, to be taken out of the stream"},
}

// readBus reads where the meters are, and how many requests may wait for them.
func (r *reader) readBus(c *config) {
	queue, err := strconv.Atoi(r.Queue)
	if err != nil || queue < 1 || queue > 1_000_000 {
		r.complain("QUEUE", "%q is no whole number from 1 to 1000000", r.Queue)
	}
	if r.Bus.URL == "" {
		if _, set := os.LookupEnv("DLT645_BUS_URL"); !set {
			r.complain("BUS_URL", "is missing: say where the meters are, such as serial:///dev/ttyUSB0 (or try: dlt645-mqtt demo)")
		}
		return
	}
	if c.bus, err = busConfig(r.Bus.URL); err != nil {
		r.complain("BUS_URL", "%w", err)
	}
	c.bus.Queue = queue
}

// busConfig reads a bus URL, of simulated meters too.
func busConfig(text string) (bus.Config, error) {
	return bus.ParseURL(text, map[string]bus.OpenFunc{"sim": openSimulated})
}

// openSimulated makes simulated meters for a bus URL such as sim://?meters=4.
func openSimulated(settings *bus.Settings, parameters url.Values) (bus.Opener, error) {
	parameters.Set("baud", strconv.Itoa(settings.Baud))
	line, err := simulator.Open(parameters)
	if err != nil {
		return nil, err
	}
	line.SetMode(protocol.Mode{Baud: settings.Baud, Parity: settings.Parity, Stop: settings.Stop})
	return func(context.Context) (bus.Port, error) { return line.Port(), nil }, nil
}
