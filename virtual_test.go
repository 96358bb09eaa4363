package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
)

// A virtualSite is a bridge without a broker on a simulated line. It needs nothing from
// outside, so that it can live in the virtual time of testing/synctest.
type virtualSite struct {
	*bridge.Bridge
	bus  *bus.Bus
	line *simulator.Bus
	stop func()
}

// newVirtualSite runs a bridge on a simulated line until stop is called, or the test ends.
// change, unless nil, has the last word about the bus.
func newVirtualSite(t testing.TB, o simulator.BusOptions, change func(*simulator.Bus, *bus.Config)) *virtualSite {
	t.Helper()
	v := &virtualSite{line: simulator.NewBus(o)}
	config := bus.Config{
		Settings: bus.Settings{Baud: o.Baud, Preamble: 4},
		Open:     func(context.Context) (bus.Port, error) { return v.line.Port(), nil },
		Queue:    10_000,
	}
	if change != nil {
		change(v.line, &config)
	}
	protocols := map[string]protocol.Protocol{
		"2007": dlt645.New(dlt645.V2007, time.UTC),
		"1997": dlt645.New(dlt645.V1997, time.UTC),
	}
	log := slog.New(slog.DiscardHandler)
	v.bus = bus.New(config)
	v.Bridge = bridge.New(bridge.Config{
		Root: "test", Bus: v.bus, Protocols: slices.Sorted(maps.Keys(protocols)), Protocol: protocols["2007"], Finders: finders(protocols),
		Allow: map[string]bool{"read": true, "raw": true, "relay": true}, Zone: time.UTC, Log: log,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.bus.Run(ctx) }()
	stopped := false
	v.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(v.stop)
	return v
}

// simulated makes meters of the 2007 edition with these addresses.
func simulated(t testing.TB, addresses ...string) []*simulator.Meter {
	t.Helper()
	var meters []*simulator.Meter
	for _, address := range addresses {
		m, err := simulator.NewMeter(simulator.MeterOptions{Address: address})
		if err != nil {
			t.Fatal(err)
		}
		meters = append(meters, m)
	}
	return meters
}
