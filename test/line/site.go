// Package line tries bridge, bus, protocols and simulated meters together, without a broker and mostly in the
// virtual time of testing/synctest: what the program promises on a line, whatever faults it has. What needs the
// commands or a real broker is tested beside package main, which makes its sites here as well.
package line

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
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
	"dlt645-mqtt/simulator"
)

// A Setup is a bridge without a broker on a simulated line. It needs nothing from
// outside, so that it can live in the virtual time of testing/synctest.
type Setup struct {
	*bridge.Bridge
	Bus    *bus.Bus
	Line   *simulator.Bus
	Config bus.Config
	Log    *slog.Logger    // nil: none
	Allow  map[string]bool // nil: everything
	Meters []meters.Meter  // that have names
	Stop   func()          // the bus; the bridge has no life of its own
}

// NewSite runs a bridge on a simulated line until Stop is called, or the test ends.
// change is optional: it has the last word about the bus.
func NewSite(t testing.TB, o simulator.BusOptions, change func(*simulator.Bus, *bus.Config)) *Setup {
	t.Helper()
	v := &Setup{Line: simulator.NewBus(o)}
	v.Config = bus.Config{
		Settings: bus.Settings{Baud: o.Baud, FixedWakeUps: true, WakeUps: 4},
		Open:     func(context.Context) (bus.Port, error) { return v.Line.Port(), nil },
		Queue:    10_000,
	}
	if change != nil {
		change(v.Line, &v.Config)
	}
	v.Start(t)
	t.Cleanup(func() { v.Stop() })
	return v
}

// Start runs a new bridge on the line, as after a restart of the program.
func (v *Setup) Start(t testing.TB) {
	zone := time.FixedZone("", 8*60*60) // that of the simulated meters
	older, newer, water, grid, rail := dlt645.New(dlt645.V1997, zone), dlt645.New(dlt645.V2007, zone), cjt188.New(zone), dlt698.New(zone), modbus.Any()
	allow := v.Allow
	if allow == nil {
		allow = map[string]bool{"read": true, "raw": true, "relay": true, "write": true, "maintenance": true, "broadcast": true}
	}
	line := bus.New(v.Config)
	v.Bus = line
	v.Bridge = bridge.New(bridge.Config{
		Root: "test", Bus: line, Protocol: newer,
		Protocols:  []protocol.Protocol{older, newer, water, grid, rail},
		Finders:    []protocol.Finder{newer, older, water, grid, rail}, // the order of the program
		Allow:      allow,
		Meters:     v.Meters,
		Passwords:  map[protocol.MeterKey]map[string]string{{}: {"02": "000000", "04": "000000"}},
		Operator:   "00000000",
		RelayValid: 5 * time.Minute,
		Zone:       time.UTC, Log: cmp.Or(v.Log, slog.New(slog.DiscardHandler)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	v.Stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
