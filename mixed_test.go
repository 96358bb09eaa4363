package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/simulator"
)

// TestMixedBus asks meters of four protocols on one line: values, states of valve and clock, frames of
// one's own, and what they have not.
func TestMixedBus(t *testing.T) {
	t.Parallel()
	variables := map[string]string{
		"DLT645_BUS_URL": "sim://?addresses=1,000000000002@698,3@188,4@188,5@modbus&baud=9600&turnaround=5ms",
		"DLT645_METERS":  "main=1,grid=000000000002@698,water=3@188?type=10,heat=4@188,rail=5@modbus/dtsu666",
	}
	for _, row := range []struct{ target, body, want string }{
		{"read/main", `{"items":["voltage_a"]}`, `"units":{"voltage_a":"V"},"errors":{}`},
		{"read/grid", `{"items":["voltage_a"]}`, `"units":{"voltage_a":"V"},"errors":{}`},
		{"read/rail", `{"items":["voltage_a","active_power"]}`, `"units":{"voltage_a":"V","active_power":"kW"},"errors":{}`},
		{"read/water", `{"items":["volume","valve"]}`, `"valve":"open"},"units":{"volume":"m³"},"errors":{}`},
		{"read/00000000000003", `{"items":["volume"]}`, `"meter":"water","address":"00000000000003","ok":true`},
		{"read/heat", `{"items":["heat_energy","supply_temperature"]}`, `"units":{"heat_energy":"kWh","supply_temperature":"°C"},"errors":{}`},
		{"read/water", `{"items":["volume","heat_energy"]}`, `"heat_energy":{"code":"unknown_item"`},
		{"read/heat", `{"items":["heat_energy","settlement_volume"]}`, `"settlement_volume":{"code":"unknown_item"`},
		{"read/water", `{"items":["voltage_a"]}`, `"unknown_item"`},
		{"read/rail", `{"items":["volume"]}`, `"unknown_item"`},
		{"read/rail", `{"items":["holding:5000:2"]}`, `"code":"refused","message":`},
		{"relay/water", `{"action":"valve_close","verify_ms":2000}`, `"result":"verified","valve":"closed"`},
		{"relay/heat", `{"action":"valve_close","verify_ms":2000}`, `"result":"verified","valve":"closed"`},
		{"relay/water", `{"action":"trip"}`, `"code":"bad_request"`},
		{"relay/rail", `{"action":"trip"}`, `"code":"unsupported"`},
		{"write/water", `{"item":"settlement_day","value":28}`, `"result":"verified","value":28`},
		{"maintenance/water", `{"action":"freeze"}`, `"code":"bad_request"`},
		{"raw", `{"frame":"68 10 03 00 00 00 00 00 00 01 03 90 1F 07 35 16"}`, `"address":"00000000000003","ok":true`},
	} {
		got := string(askWith(t, variables, row.target, row.body))
		if !json.Valid([]byte(got)) || !strings.Contains(got, row.want) {
			t.Errorf("%s %s: %s, want %s", row.target, row.body, got, row.want)
		}
	}
}

// askWith asks a bridge with these variables, to which everything is allowed, without a broker.
func askWith(t *testing.T, variables map[string]string, target, body string) []byte {
	t.Helper()
	var c config
	withVariables(t, variables, func() {
		var err error
		if c, err = readConfig(false); err != nil {
			t.Fatal(err)
		}
	})
	for _, class := range []string{"read", "write", "relay", "maintenance", "raw"} {
		c.allow[class] = true
	}
	b, line := newBridge(c, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	reply := b.Ask(target, []byte(body))
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the bus ends with %v", err)
	}
	return reply
}

// TestMixedPTY asks meters of two protocols at two speeds on one pseudo terminal, whose far end is set to the one and the
// other.
func TestMixedPTY(t *testing.T) {
	t.Parallel()
	line, err := simulator.Open(url.Values{
		"addresses": {"000000000001,000000000002,000000000010@698?baud=9600,000000000011@698?baud=9600,000000000012@698?baud=9600,7@modbus?baud=9600&parity=none"}, "turnaround": {"1ms"},
	})
	if err != nil {
		t.Fatal(err)
	}
	pty, err := simulator.OpenPTY("")
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	path := pty.Path()
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() { defer close(ended); _ = line.ServePTY(ctx, pty) }()
	t.Cleanup(func() { stop(); <-ended })
	variables := map[string]string{
		"DLT645_BUS_URL": "serial://" + path + "?timeout=500ms",
		"DLT645_METERS":  "main=1,shop=2,grid=10@698?baud=9600,east=11@698?baud=9600,rail=7@modbus/dtsu666?baud=9600&parity=none,slow=12@698?baud=1200",
	}
	for _, meter := range []string{"main", "grid", "shop", "east", "rail", "grid"} {
		if got := string(askWith(t, variables, "read/"+meter, `{"items":["voltage_a"]}`)); !strings.Contains(got, `"errors":{}`) || !strings.Contains(got, `"voltage_a":2`) {
			t.Errorf("%s: %s", meter, got)
		}
	}
	if got := string(askWith(t, variables, "read/slow", `{"items":["voltage_a"]}`)); !strings.Contains(got, `"timeout"`) {
		t.Errorf("it listens at 9600: %s", got)
	}
}
