package dlt645

import (
	"encoding/json"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// TestRatios holds by which ratio of transformers items go, and that parameters go by none.
func TestRatios(t *testing.T) {
	for _, row := range []struct {
		version Version
		name    string
		want    protocol.Ratio
	}{
		{V2007, "voltage_a", protocol.RatioVoltage}, {V2007, "current_c", protocol.RatioCurrent}, {V2007, "neutral_current", protocol.RatioCurrent},
		{V2007, "active_power", protocol.RatioPower}, {V2007, "reactive_power_b", protocol.RatioPower}, {V2007, "apparent_power", protocol.RatioPower},
		{V2007, "forward_active_energy", protocol.RatioPower}, {V2007, "forward_active_energy_t1_h2", protocol.RatioPower}, {V2007, "quadrant_1_reactive_energy", protocol.RatioPower},
		{V2007, "forward_active_demand", protocol.RatioPower}, {V2007, "active_demand", protocol.RatioPower}, {V2007, "daily_freeze_forward_active_energy_1", protocol.RatioPower},
		{V2007, "power_factor", protocol.RatioNone}, {V2007, "frequency", protocol.RatioNone}, {V2007, "temperature", protocol.RatioNone}, {V2007, "clock", protocol.RatioNone},
		{V2007, "clock_battery_voltage", protocol.RatioNone}, {V2007, "voltage_upper_limit", protocol.RatioNone}, {V2007, "rated_voltage", protocol.RatioNone}, {V2007, "maximum_current", protocol.RatioNone},
		{V1997, "voltage_a", protocol.RatioVoltage}, {V1997, "current_a", protocol.RatioCurrent}, {V1997, "active_power", protocol.RatioPower}, {V1997, "forward_active_energy", protocol.RatioPower},
		{V1997, "forward_active_demand", protocol.RatioPower}, {V1997, "forward_active_power_limit", protocol.RatioNone}, {V1997, "active_energy_start", protocol.RatioNone},
	} {
		d, ok := New(row.version, time.UTC).Describe(row.name)
		if !ok || d.Ratio != row.want {
			t.Errorf("%s of %s goes by ratio %d (%v), want %d", row.name, row.version, d.Ratio, ok, row.want)
		}
	}
	m := New(V2007, time.UTC)
	for _, row := range []struct {
		name, field string
		want        protocol.Ratio
	}{
		{"voltage_loss_record_a_1", "forward_active_energy_increment", protocol.RatioPower}, {"voltage_loss_record_a_1", "voltage_b", protocol.RatioVoltage},
		{"voltage_loss_record_a_1", "current_b", protocol.RatioCurrent}, {"voltage_loss_record_a_1", "ampere_hours", protocol.RatioCurrent},
		{"voltage_loss_record_a_1", "start", protocol.RatioNone}, {"voltage_loss_record_a_1", "none", protocol.RatioNone}, {"none", "voltage_a", protocol.RatioNone},
	} {
		if got := m.FieldRatio(row.name, row.field); got != row.want {
			t.Errorf("%s of %s goes by ratio %d, want %d", row.field, row.name, got, row.want)
		}
	}
}

// TestPrimary reads a meter behind transformers.
func TestPrimary(t *testing.T) {
	m := New(V2007, shanghai)
	p, err := protocol.WithRatios(m, protocol.Ratios{Current: protocol.Decimal{Coefficient: 40}, Voltage: protocol.Decimal{Coefficient: 105, Scale: 1}})
	if err != nil {
		t.Fatal(err)
	}
	address, err := p.ParseAddress("1")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ item, data, want string }{
		{"voltage_a", "00010102 0122", `[{"Name":"voltage_a","Unit":"V","Data":2311.05}]`},
		{"current_a", "00010202 341200", `[{"Name":"current_a","Unit":"A","Data":49.360}]`},
		{"forward_active_energy", "00000100 33090000", `[{"Name":"forward_active_energy","Unit":"kWh","Data":3918.60}]`},
		{"forward_active_energy", "00000100 FFFFFFFF", `[{"Name":"forward_active_energy","Unit":"kWh","Data":null}]`},
		{"frequency", "02008002 9949", `[{"Name":"frequency","Unit":"Hz","Data":49.99}]`},
		{"power_factor", "00000602 9809", `[{"Name":"power_factor","Unit":"","Data":0.998}]`},
	} {
		plan, err := p.Plan(protocol.Request{Verb: protocol.VerbRead, Address: address, Items: []string{row.item}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		result, err := converse(t, &plan.Steps[0], func([]byte) []byte { return wire("1", 0x91, frametest.FromHex(row.data)...) })
		text, _ := json.Marshal(result.Values)
		if err != nil || string(text) != row.want {
			t.Errorf("%s: %s, %v, want %s", row.item, text, err, row.want)
		}
	}
}
