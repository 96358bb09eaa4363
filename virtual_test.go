package main

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/simulator"
)

// A virtualSite is a bridge without a broker on a simulated line. It needs nothing from
// outside, so that it can live in the virtual time of testing/synctest.
type virtualSite struct {
	*bridge.Bridge
	bus    *bus.Bus
	line   *simulator.Bus
	config bus.Config
	log    *slog.Logger    // nil: none
	allow  map[string]bool // nil: everything
	meters []meters.Meter  // that have names
	stop   func()          // the bus; the bridge has no life of its own
}

// newVirtualSite runs a bridge on a simulated line until stop is called, or the test ends.
// change, unless nil, has the last word about the bus.
func newVirtualSite(t testing.TB, o simulator.BusOptions, change func(*simulator.Bus, *bus.Config)) *virtualSite {
	t.Helper()
	v := &virtualSite{line: simulator.NewBus(o)}
	v.config = bus.Config{
		Settings: bus.Settings{Baud: o.Baud, FixedWakeUps: true, WakeUps: 4},
		Open:     func(context.Context) (bus.Port, error) { return v.line.Port(), nil },
		Queue:    10_000,
	}
	if change != nil {
		change(v.line, &v.config)
	}
	v.start(t)
	t.Cleanup(func() { v.stop() })
	return v
}

// start runs a new bridge on the line, as after a restart of the program.
func (v *virtualSite) start(t testing.TB) {
	zone := time.FixedZone("", 8*60*60) // that of the simulated meters
	protocols := newProtocols(zone)
	allow := v.allow
	if allow == nil {
		allow = map[string]bool{"read": true, "raw": true, "relay": true, "write": true, "maintenance": true, "broadcast": true}
	}
	line := bus.New(v.config)
	v.bus = line
	v.Bridge = bridge.New(bridge.Config{
		Root: "test", Bus: line, Protocols: sortedProtocols(protocols), Protocol: protocols["2007"], Finders: finders(protocols),
		Allow:      allow,
		Meters:     v.meters,
		Passwords:  map[protocol.MeterKey]map[string]string{{}: {"02": "000000", "04": "000000"}},
		Operator:   "00000000",
		RelayValid: 5 * time.Minute,
		Zone:       time.UTC, Log: cmp.Or(v.log, slog.New(slog.DiscardHandler)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	v.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
