package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestMixedBus asks meters of four protocols on one line: values, states of valve and clock, frames of
// one's own, and what they have not.
func TestMixedBus(t *testing.T) {
	t.Setenv("DLT645_BUS_URL", "sim://?addresses=1,000000000002@698,3@188,4@188,5@modbus&baud=9600&turnaround=5ms")
	t.Setenv("DLT645_METERS", "main=1,grid=000000000002@698,water=3@188?type=10,heat=4@188,rail=5@modbus/dtsu666")
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
		got := string(askWith(t, row.target, row.body))
		if !json.Valid([]byte(got)) || !strings.Contains(got, row.want) {
			t.Errorf("%s %s: %s, want %s", row.target, row.body, got, row.want)
		}
	}
}

// askWith asks the bridge of the environment, to which everything is allowed, without a broker.
func askWith(t *testing.T, target, body string) []byte {
	t.Helper()
	c, err := readConfig(false)
	if err != nil {
		t.Fatal(err)
	}
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
