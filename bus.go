package main

import (
	"context"
	"net/url"
	"os"
	"strconv"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/simulator"
)

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
	return func(context.Context) (bus.Port, error) { return line.Port(), nil }, nil
}
