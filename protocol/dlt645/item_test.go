package dlt645

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

type reading struct {
	version        Version
	di, data, want string
}

// TestItem goes both ways. Most of the data are of real meters.
func TestItem(t *testing.T) {
	for _, test := range readings {
		item, data := lookup(t, test.version, test.di), frametest.FromHex(test.data)
		values, err := item.Decode(data, shanghai)
		if err != nil || frametest.Show(values) != test.want {
			t.Errorf("%s of %s = %s, %v, want %s", test.di, test.data, frametest.Show(values), err, test.want)
			continue
		}
		if again, err := item.Append(nil, encodable(values), shanghai); err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s encodes %s as %X, %v, want %s", test.di, frametest.Show(values), again, err, test.data)
		}
	}
}

// encodable returns the values without those that follow from others: flags and weekdays.
func encodable(values []protocol.Value) map[string]any {
	given := make(map[string]any)
	for _, value := range values {
		if !strings.Contains(value.Name, ".") && !strings.HasSuffix(value.Name, "_weekday") {
			given[value.Name] = value.Data
		}
	}
	return given
}

// TestItemDecodes goes one way only: there are other spellings of the same values.
func TestItemDecodes(t *testing.T) {
	for _, test := range otherReadings {
		values, err := lookup(t, test.version, test.di).Decode(frametest.FromHex(test.data), shanghai)
		if err != nil || frametest.Show(values) != test.want {
			t.Errorf("%s of %s = %s, %v, want %s", test.di, test.data, frametest.Show(values), err, test.want)
		}
	}
}

var readings = []reading{
	{V2007, "00000000", "76 17 03 00", "combined_active_energy=317.76 kWh"},
	{V2007, "00000000", "50 21 00 80", "combined_active_energy=-21.50 kWh"},
	{V2007, "00000302", "00 00 00 00", "combined_active_energy_t3_h2=0.00 kWh"},
	{V2007, "00010000", "78 56 34 12", "forward_active_energy=123456.78 kWh"},
	{V2007, "00010000", "07 81 21 00", "forward_active_energy=2181.07 kWh"},
	{V2007, "00010000", "26 00 00 00", "forward_active_energy=0.26 kWh"},
	{V2007, "00010000", "FF FF FF FF", "forward_active_energy=null kWh"},
	{V2007, "00020000", "26 01 00 00", "reverse_active_energy=1.26 kWh"},
	{V2007, "00030000", "26 00 01 00", "combined_reactive_1_energy=100.26 kvarh"},
	{V2007, "00040000", "23 00 01 00", "combined_reactive_2_energy=100.23 kvarh"},
	{V2007, "0001FF00", "94 14 02 00 04 53 00 00 74 53 00 00 03 54 00 00 11 54 00 00",
		"forward_active_energy=214.94 kWh; forward_active_energy_t1=53.04 kWh; forward_active_energy_t2=53.74 kWh; " +
			"forward_active_energy_t3=54.03 kWh; forward_active_energy_t4=54.11 kWh"},
	{V2007, "000101FF", "94 14 02 00 04 53 00 00", "forward_active_energy_t1=214.94 kWh; forward_active_energy_t1_h1=53.04 kWh"},
	{V2007, "01010000", "56 34 12 30 15 01 08 23",
		`forward_active_demand=12.3456 kW; forward_active_demand_time="2023-08-01T15:30:00+08:00"`},
	{V2007, "0101FF01", "00 45 01 30 15 01 08 23 00 01 00 00 00 01 01 23",
		`forward_active_demand_h1=1.4500 kW; forward_active_demand_h1_time="2023-08-01T15:30:00+08:00"; ` +
			`forward_active_demand_t1_h1=0.0100 kW; forward_active_demand_t1_h1_time="2023-01-01T00:00:00+08:00"`},
	{V2007, "02010100", "01 10", "voltage_a=100.1 V"},
	{V2007, "02010300", "00 22", "voltage_c=220.0 V"},
	{V2007, "0201FF00", "14 23 00 00 FF FF", "voltage_a=231.4 V; voltage_b=0.0 V; voltage_c=null V"},
	{V2007, "02020100", "99 49 00", "current_a=4.999 A"},
	{V2007, "0202FF00", "11 00 80 25 01 00 00 10 80", "current_a=-0.011 A; current_b=0.125 A; current_c=-1.000 A"},
	{V2007, "02030000", "12 25 00", "active_power=0.2512 kW"},
	{V2007, "02030100", "56 34 80", "active_power_a=-0.3456 kW"},
	{V2007, "02040000", "31 43 00", "reactive_power=0.4331 kvar"},
	{V2007, "02050000", "06 50 00", "apparent_power=0.5006 kVA"},
	{V2007, "02060000", "01 05", "power_factor=0.501"},
	{V2007, "020A0103", "34 12", "voltage_a_harmonic_3=12.34 %"},
	{V2007, "02800002", "03 50", "frequency=50.03 Hz"},
	{V2007, "02800007", "56 82", "temperature=-25.6 °C"},
	{V2007, "02810001", "01 02 03 04", "current_tariff=1; current_day_table=2; current_period=3; current_year_zone=4"},
	{V2007, "03010000", "01 00 00 02 00 00 03 00 00 04 00 00 05 00 00 06 00 00",
		"voltage_loss_count_a=1; voltage_loss_minutes_a=2 min; voltage_loss_count_b=3; voltage_loss_minutes_b=4 min; " +
			"voltage_loss_count_c=5; voltage_loss_minutes_c=6 min"},
	{V2007, "03300401", "11 11 11 11 00 30 08 15 06 24 05 30 08 15 06 24",
		`clock_set_record_1={"after":"2024-06-15T08:30:05+08:00","before":"2024-06-15T08:30:00+08:00","operator_code":"11111111"}`},
	{V2007, "04000101", "06 15 06 24", `clock_date="2024-06-15"; clock_date_weekday="saturday"`},
	{V2007, "04000102", "00 00 18", `clock_time="18:00:00"`},
	{V2007, "0400010C", "05 30 08 06 15 06 24", `clock="2024-06-15T08:30:05+08:00"; clock_weekday="saturday"`},
	{V2007, "04000103", "15", "demand_period=15 min"},
	{V2007, "04000402", "91 40 02 01 18 07", `meter_number="071801024091"`},
	{V2007, "04000404", "56 30 2E 30 32 32", `rated_voltage="220.0V"`},
	{V2007, "04000409", "00 12 00", "active_constant=1200 imp/kWh"},
	{V2007, "04000B01", "00 01", `settlement_day_1="01 00:00"`},
	{V2007, "04010000", "01 01 01 02 15 06", `year_zones_1=[{"start":"01-01","table":1},{"start":"06-15","table":2}]`},
	{V2007, "04010002", "02 00 00 01 30 08", `day_periods_1_2=[{"start":"00:00","tariff":2},{"start":"08:30","tariff":1}]`},
	{V2007, "04030001", "02 01 10 26", `holiday_1={"date":"2026-10-01","table":2}`},
	{V2007, "04040101", "00 FF 01 00", `auto_display_item_1="0001FF00"`},
	{V2007, "04040101", "00 FF 01 00 02", `auto_display_item_1="0001FF00"; auto_display_item_1_part=2`},
	{V2007, "05060101", "44 33 22 11 11 00 00 00", "daily_freeze_forward_active_energy_1=112233.44 kWh; daily_freeze_forward_active_energy_t1_1=0.11 kWh"},
	{V2007, "10010001", "12 00 00", "voltage_loss_event_count_a=12"},
	{V2007, "10010101", "00 30 08 15 06 24", `voltage_loss_event_a_start_1="2024-06-15T08:30:00+08:00"`},
	{V2007, "10010A01", "01 22", "voltage_loss_event_a_voltage_a_at_start_1=220.1 V"},
	{V2007, "10010AFF", "01 22 02 22", "voltage_loss_event_a_voltage_a_at_start_1=220.1 V; voltage_loss_event_a_voltage_a_at_start_2=220.2 V"},
	{V1997, "9010", "61 72 02 00", "forward_active_energy=272.61 kWh"},
	{V1997, "9020", "00 00 00 00", "reverse_active_energy=0.00 kWh"},
	{V1997, "941F", "48 63 24 00 64 93 00 00", "forward_active_energy_h1=2463.48 kWh; forward_active_energy_t1_h1=93.64 kWh"},
	{V1997, "B611", "00 01", "voltage_a=100 V"},
	{V1997, "B613", "20 02", "voltage_c=220 V"},
	{V1997, "B623", "34 12", "current_c=12.34 A"},
	{V1997, "B010", "30 15 01 08", `forward_active_demand_time="08-01 15:30"`},
	{V1997, "B01F", "30 15 01 08 31 15 01 08", `forward_active_demand_time="08-01 15:30"; forward_active_demand_t1_time="08-01 15:31"`},
	{V1997, "C010", "06 15 06 24", `clock_date="2024-06-15"; clock_date_weekday="saturday"`},
	{V1997, "C01F", "06 15 06 24 05 30 08", `clock="2024-06-15T08:30:05+08:00"; clock_date="2024-06-15"; clock_date_weekday="saturday"; clock_time="08:30:05"`},
	{V1997, "C020", "12", `meter_status="12"; meter_status.manual_reading=false; meter_status.demand_by_block=true; ` +
		`meter_status.battery_low=false; meter_status.active_power_reverse=true; meter_status.reactive_power_reverse=false`},
	{V1997, "C033", "01 00 00 00 00 00", `customer_number="000000000001"`},
	{V1997, "C32F", "01 01 01 02 15 06", `year_zone_1={"start":"01-01","table":1}; year_zone_2={"start":"06-15","table":2}`},
	{V1997, "C352", "02 30 08", `day_period_3_2={"start":"08:30","tariff":2}`},
}

var otherReadings = []reading{
	{V2007, "02010100", "14 23 AA", "voltage_a=231.4 V"}, // closed like a part of a record
	{V2007, "05010001", "30 15 28 11 26 AA", "instantaneous_freeze_time_1=\"2026-11-28T15:30:00+08:00\""},
	{V2007, "03110001", "00 30 08 15 06 24 00 00 00 00 00 00", `power_down_record_1={"end":null,"start":"2024-06-15T08:30:00+08:00"}`},
	{V1997, "90FF", "61 72 02 00 01 00 00 00 AA 02 00 00 00 AA",
		"forward_active_energy=272.61 kWh; forward_active_energy_t1=0.01 kWh; reverse_active_energy=0.02 kWh"},
	{V1997, "B6FF", "20 02 21 02 22 02 AA 01 00 02 00 03 00 AA 56 34 80 AA AA AA 12 AA",
		"voltage_a=220 V; voltage_b=221 V; voltage_c=222 V; current_a=0.01 A; current_b=0.02 A; current_c=0.03 A; active_power=-0.3456 kW"},
	{V2007, "0001FF00", "01 00 00 00 02 00 00 00 AA", "forward_active_energy=0.01 kWh; forward_active_energy_t1=0.02 kWh"},
	{V2007, "0201FF00", "14 23", "voltage_a=231.4 V"},
	{V2007, "0201FF00", "14 23 AA", "voltage_a=231.4 V"},
	{V2007, "01010000", "00 00 00 00 00 00 00 00", "forward_active_demand=0.0000 kW; forward_active_demand_time=null"},
	{V2007, "02030000", "00 00 80", "active_power=0.0000 kW"},
	{V2007, "0506FF01", "00 00 15 06 24 AA 44 33 22 11 00 00 00 00 AA 11 00 00 00 00 00 00 00 AA AA AA AA AA AA AA AA AA AA",
		`daily_freeze_time_1="2024-06-15T00:00:00+08:00"; daily_freeze_forward_active_energy_1=112233.44 kWh; ` +
			`daily_freeze_forward_active_energy_t1_1=0.00 kWh; daily_freeze_reverse_active_energy_1=0.11 kWh; ` +
			`daily_freeze_reverse_active_energy_t1_1=0.00 kWh`},
	{V2007, "0506FF02", "00 00 15 06 24 AA AA AA AA AA AA AA AA AA AA AA " +
		"56 34 80 01 00 00 02 00 00 03 00 00 04 00 00 05 00 00 06 00 00 07 00 00 AA",
		`daily_freeze_time_2="2024-06-15T00:00:00+08:00"; daily_freeze_active_power_2=-0.3456 kW; ` +
			`daily_freeze_active_power_a_2=0.0001 kW; daily_freeze_active_power_b_2=0.0002 kW; daily_freeze_active_power_c_2=0.0003 kW; ` +
			`daily_freeze_reactive_power_2=0.0004 kvar; daily_freeze_reactive_power_a_2=0.0005 kvar; ` +
			`daily_freeze_reactive_power_b_2=0.0006 kvar; daily_freeze_reactive_power_c_2=0.0007 kvar`},
	{V2007, "0504FF01", "00 08 15 06 24 44 33 22 11 11 00 00 00",
		`hourly_freeze_time_1="2024-06-15T08:00:00+08:00"; hourly_freeze_forward_active_energy_1=112233.44 kWh; ` +
			`hourly_freeze_reverse_active_energy_1=0.11 kWh`},
	{V2007, "0504FF01", "00 08 15 06 24 AA 44 33 22 11 AA 11 00 00 00 AA",
		`hourly_freeze_time_1="2024-06-15T08:00:00+08:00"; hourly_freeze_forward_active_energy_1=112233.44 kWh; ` +
			`hourly_freeze_reverse_active_energy_1=0.11 kWh`},
	{V2007, "04001501", "00 00 00 00 00 00 00 00 00 00 00 00 AA AA", shortReport + "; active_report_status_counts=[]"},
	{V2007, "04001501", "00 00 00 00 00 00 00 00 00 00 00 00", shortReport},
	{V1997, "A01F", "56 34 01 12 00 01 AA", "forward_active_demand=1.3456 kW; forward_active_demand_t1=1.0012 kW"},
}

// shortReport is the report word without anything to report.
var shortReport = func() string {
	values := []protocol.Value{{Name: "active_report_status", Data: strings.Repeat("0", 24)}}
	return frametest.Show(appendFlags(values, "active_report_status", make([]byte, reportSize), false))
}()

func TestOnly(t *testing.T) {
	tests := []struct {
		name, data, want string
	}{
		{"forward_active_demand_time", "56 34 12 30 15 01 08 23", `forward_active_demand_time="2023-08-01T15:30:00+08:00"`},
		{"status_3.relay_open", "10 00", "status_3.relay_open=true"},
		{"status_3.relay_open", "EF FF", "status_3.relay_open=false"},
		{"status_3.relay_open", "FF FF", "status_3.relay_open=null"},
		{"status_3.supply", "02 00", `status_3.supply="auxiliary"`},
		{"status_3.supply", "06 00", "status_3.supply=null"},
		{"status_3.meter_type", "00 02", `status_3.meter_type="prepaid_money"`},
		{"key_status.main_control", "01 00 00 00", "key_status.main_control=true"},
		{"clock_date_weekday", "06 15 06 24", `clock_date_weekday="saturday"`},
		{"daily_freeze_forward_active_energy_t1_1", "44 33 22 11 11 00 00 00", "daily_freeze_forward_active_energy_t1_1=0.11 kWh"},
		{"daily_freeze_forward_active_energy_t2_1", "44 33 22 11 11 00 00 00", "daily_freeze_forward_active_energy_t2_1=null kWh"},
		{"active_report_status.closed", "00 80 00 00 00 00 00 00 00 00 00 00 AA 01 AA", "active_report_status.closed=true"},
		{"active_report_status_counts", "00 80 00 00 00 00 00 00 00 00 00 00 AA 01 AA", "active_report_status_counts=[1]"},
	}
	for _, test := range tests {
		values, err := find(t, V2007, test.name).Decode(frametest.FromHex(test.data), shanghai)
		if err != nil || frametest.Show(values) != test.want {
			t.Errorf("%s of %s = %s, %v, want %s", test.name, test.data, frametest.Show(values), err, test.want)
		}
	}
}

// TestStatusBlock reads the lengths that meters answer with.
func TestStatusBlock(t *testing.T) {
	words := "01 00 02 00 03 00 04 00 05 00 06 00 07 00"
	tests := []struct {
		data string
		want string
	}{
		{words, "0001 0002 0003 0004 0005 0006 0007"},
		{words + "AA", "0001 0002 0003 0004 0005 0006 0007"},
		{words + "78 56 34 12", "0001 0002 0003 0004 0005 0006 0007 12345678"},
		{"01 00 02 00 03 00 78 56 34 12", "0001 0002 0003 12345678"},
		{words + "00 00", "0001 0002 0003 0004 0005 0006 0007"},
		{words + words, "0001 0002 0003 0004 0005 0006 0007"},
		{"01 00 AA 02 00 AA 03 00 AA 04 00 AA 05 00 AA 06 00 AA 07 00 AA", "0001 0002 0003 0004 0005 0006 0007"},
		{"01 00 AA 02 00 AA 03 00 AA 04 00 AA 05 00 AA 06 00 AA 07 00 AA 78 56 34 12 AA", "0001 0002 0003 0004 0005 0006 0007 12345678"},
		{"01 00", "0001"},
	}
	for _, test := range tests {
		values, err := find(t, V2007, "status_block").Decode(frametest.FromHex(test.data), shanghai)
		var got []string
		for _, value := range values {
			if text, ok := value.Data.(string); ok && !strings.Contains(value.Name, ".") {
				got = append(got, text)
			}
		}
		if err != nil || strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, %v, want %s", test.data, got, err, test.want)
		}
	}
	last := lookup(t, V2007, "040005FF").Names()
	if last[0] != "status_1" || !slices.Contains(last, "status_3.relay_open") || last[len(last)-1] != "key_status.main_control_unrecoverable" {
		t.Errorf("the status block is said to hold %v", last)
	}
}

func TestItemRefusesData(t *testing.T) {
	tests := []struct {
		version        Version
		di, data, want string
	}{
		{V2007, "02010100", "00 00 00", "voltage_a: no valid answer: 3 bytes are 1 too many"},
		{V2007, "02010100", "14 23 AA AA", "4 bytes are 2 too many"},
		{V2007, "04000501", "01 00 AA", "3 bytes are 1 too many"}, // it may be a longer word
		{V2007, "02010100", "01", "1 bytes are left for XXX.X, which takes 2"},
		{V2007, "02010100", "", "no data, as some meters answer"},
		{V2007, "02010100", "0A 22", "byte 1 of 2 is 0AH"},
		{V2007, "0201FF00", "", "no data"},
		{V2007, "0201FF00", "14 23 00", "3 bytes are not 1 to 3 members of 2 bytes"},
		{V2007, "0201FF00", "14 23 00 00 00 00 00 00", "8 bytes are not 1 to 3 members"},
		{V2007, "0201FF00", "14 23 00 0B 00 00", "voltage_b: no valid answer: byte 2 of 2 is 0BH"},
		{V2007, "0203FF00", "00 00 00 00 00 00 00 00 00", "three of four values"},
		{V2007, "0201FF00", "01 22 03 22", "two of three phases"},
		{V1997, "B61F", "20 02 21 02 AA", "two of three phases"},
		{V2007, "01010000", "56 34 12 30 25 01 08 23", "forward_active_demand_time: "},
		{V2007, "040005FF", "01 00 02", "not whole status words"},
		{V2007, "040005FF", "", "no data"},
		{V2007, "03110001", "00 30 08 15 06 24 00 00 00 00 00", "end: no valid answer: 5 bytes are left"},
		{V2007, "04010000", "01 01 01 02 15 13", "element 2: "},
		{V2007, "04001501", "00 00", "too few"},
		{V2007, "04001501", "00 00 00 00 00 00 00 00 00 00 00 00 AA 0A AA", "counter 1: "},
		{V2007, "04001501", "00 00 00 00 00 00 00 00 00 00 00 00 01", "between two AAH"},
		{V2007, "0500FF01", "00 00 15 06 24 44 33 22 11 00 00 00 00", "one by one"},
		{V2007, "0500FF01", "00 00 15 06 24 AA 44 33 22 AA", "not 1 to 64 members of 4 bytes"},
		{V2007, "0504FF01", "00 08 15 06 24 44 33 22", "do not end with one of the 3 parts"},
		{V1997, "90FF", "", "no data"},
	}
	for _, test := range tests {
		values, err := lookup(t, test.version, test.di).Decode(frametest.FromHex(test.data), shanghai)
		if values != nil || !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s of %s = %s, %v, want an error with %q", test.di, test.data, frametest.Show(values), err, test.want)
		}
	}
}

func TestAppendValue(t *testing.T) {
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"demand_period", json.Number("15"), "15"},
		{"clock_date", "2024-06-15", "06 15 06 24"},
		{"clock", "2024-06-15T00:30:05Z", "05 30 08 06 15 06 24"},
		{"status_3", "0010", "10 00"},
		{"holiday_1", map[string]any{"date": "2026-10-01", "table": json.Number("2")}, "02 01 10 26"},
		{"year_zones_1", []any{map[string]any{"start": "01-01", "table": json.Number("1")}}, "01 01 01"},
		{"auto_display_item_1", map[string]any{"auto_display_item_1": "00010000", "auto_display_item_1_part": json.Number("1")}, "00 00 01 00 01"},
		{"voltage_block", map[string]any{"voltage_b": json.Number("220.0")}, "FF FF 00 22 FF FF"},
		{"forward_active_demand", map[string]any{"forward_active_demand": json.Number("1.5")}, "00 50 01 FF FF FF FF FF"},
	}
	for _, test := range tests {
		got, err := find(t, V2007, test.name).appendValue(nil, test.value, shanghai)
		if err != nil || !bytes.Equal(got, frametest.FromHex(test.want)) {
			t.Errorf("%s encodes %v as %X, %v, want %s", test.name, test.value, got, err, test.want)
		}
	}
}

// The clock of 1997 takes a moment like that of 2007, or its two parts.
func TestAppendMoment(t *testing.T) {
	for _, test := range []struct {
		value any
		want  string
	}{
		{"2024-06-15T00:30:05Z", "06 15 06 24 05 30 08"},
		{"2024-06-15T08:30:05", "06 15 06 24 05 30 08"},
		{map[string]any{"clock_date": "2024-06-15", "clock_time": "08:30:05"}, "06 15 06 24 05 30 08"},
		{nil, "FF FF FF FF FF FF FF"},
		{"08:30:05", ""},
		{true, ""},
	} {
		got, err := find(t, V1997, "clock").appendValue(nil, test.value, shanghai)
		if test.want == "" && !errors.Is(err, protocol.ErrBadRequest) || !bytes.Equal(got, frametest.FromHex(test.want)) {
			t.Errorf("clock encodes %v as %X, %v, want %s", test.value, got, err, test.want)
		}
	}
}

// A meter may fill a text with anything. What comes out is printable, or nothing.
func TestTextIsPrintable(t *testing.T) {
	item := lookup(t, V2007, "04000403")
	text := func(s string) []byte {
		data := make([]byte, item.Size())
		for i := range s {
			data[len(s)-1-i] = s[i]
		}
		return data
	}
	if values, err := item.Decode(text(`a "quoted" {name}, \x1b`), shanghai); err != nil || values[0].Data != `a "quoted" {name}, \x1b` {
		t.Errorf("got %s, %v", frametest.Show(values), err)
	}
	for _, hostile := range []string{"\x1b[2J", "two\nlines", "\x7f", "\x9b31m", "\xe2\x80\xae", "a\x00b"} {
		if values, err := item.Decode(text(hostile), shanghai); !errors.Is(err, protocol.ErrGarbled) {
			t.Errorf("%q: got %s, %v", hostile, frametest.Show(values), err)
		}
	}
}

func TestAppendValueRefuses(t *testing.T) {
	tests := []struct {
		name  string
		value any
		want  string
	}{
		{"demand_period", json.Number("100"), "demand_period: "},
		{"voltage_block", json.Number("220.0"), "several values"},
		{"voltage_block", map[string]any{"voltage_d": 1}, `no value "voltage_d"`},
		{"forward_active_demand", json.Number("1"), "several values"},
		{"status_block", map[string]any{"status_3.relay_open": true}, `no value "status_3.relay_open"`},
		{"status_block", map[string]any{"status_3": "12345"}, "hexadecimal digits"},
		{"holiday_1", json.Number("1"), "takes an object"},
		{"year_zones_1", map[string]any{}, "takes a list"},
		{"year_zones_1", make([]any, 15), "at most 14"},
		{"year_zones_1", []any{1}, "element 1: "},
		{"power_down_record_1", "2024-06-15", "takes an object"},
		{"power_down_record_1", map[string]any{"begin": nil}, "keys that the record lacks"},
		{"power_down_record_1", map[string]any{"start": "never"}, "start: "},
	}
	for _, test := range tests {
		got, err := find(t, V2007, test.name).appendValue(nil, test.value, shanghai)
		if !errors.Is(err, protocol.ErrBadRequest) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s encodes %v as %X, %v, want an error with %q", test.name, test.value, got, err, test.want)
		}
	}
}

// TestRecordLengths compares the records with the lengths in the standard and the amendments.
func TestRecordLengths(t *testing.T) {
	tests := map[string]int{
		"03010101": 131, "03020201": 131, "03040301": 131, "03050001": 15, "03060001": 12, "03070001": 76, "03080001": 76,
		"03090001": 78, "030A0001": 78, "030B0101": 115, "030D0101": 115, "030E0101": 76, "030F0101": 76, "03100000": 27,
		"03110001": 12, "03120000": 18, "03120101": 20, "03300001": 50, "03300101": 106, "03300201": 202, "03300301": 14,
		"03300401": 16, "03300501": 682, "03300601": 94, "03300701": 11, "03300801": 1026, "03300901": 11, "03300C01": 16,
		"03300D01": 60, "03300E01": 60, "03300F01": 42, "03301001": 138, "03301201": 15, "03301301": 36, "03340001": 19,
		"03350001": 28, "03360001": 29, "03370001": 28, "040604FF": 64, "040606FF": 70,
		"1001FF01": 195, "1303FF01": 195, "1400FF01": 140, "1500FF01": 140, "1600FF01": 143, "1700FF01": 143, "1801FF01": 179,
		"1A03FF01": 179, "1B01FF01": 140, "1C01FF01": 140, "1D00FF01": 34, "1E00FF01": 34, "1F00FF01": 44, "2000FF01": 143,
		"0001FF00": 4 * 64, "000100FF": 52, "010100FF": 104, "0203FF00": 12, "0206FF00": 8, "020A01FF": 42, "05001001": 24,
	}
	for di, want := range tests {
		if item := lookup(t, V2007, di); item.Size() != want {
			t.Errorf("%s %s has %d bytes, want %d", di, item.Name, item.Size(), want)
		}
	}
}

// FuzzItemDecode checks that no data bring the decoder down, that its errors say what they
// are, and that what it reads has the names that were announced.
func FuzzItemDecode(f *testing.F) {
	for _, test := range slices.Concat(readings, otherReadings) {
		di, err := ParseDI(test.di, test.version)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint32(di), test.version == V1997, frametest.FromHex(test.data))
	}
	f.Add(uint32(0x06000002), false, frametest.FromHex(loadBlock))
	f.Fuzz(func(t *testing.T, di uint32, old bool, data []byte) {
		v := V2007
		if old {
			v = V1997
		}
		item, ok := Items(v).Lookup(DI(di))
		if !ok {
			return
		}
		values, err := item.Decode(data, shanghai)
		if err != nil {
			if !errors.Is(err, protocol.ErrGarbled) || values != nil {
				t.Fatalf("%s of %X: %v with %s", item.Name, data, err, frametest.Show(values))
			}
			return
		}
		names := item.Names()
		for _, value := range values {
			if !slices.Contains(names, value.Name) {
				t.Fatalf("%s of %X brings %s, which is none of %v", item.Name, data, value.Name, names)
			}
			if _, err := json.Marshal(value.Data); err != nil {
				t.Fatalf("%s of %X: %v", item.Name, data, err)
			}
		}
		if item.DI == diStatusBlock {
			return // five words would be as long as three and the key status word
		}
		// What was read can be encoded, and is then read as the same values.
		again, err := item.Append(nil, encodable(values), shanghai)
		if err != nil {
			t.Fatalf("%s of %X brings %s, which it does not take: %v", item.Name, data, frametest.Show(values), err)
		}
		reread, err := item.Decode(again, shanghai)
		if err != nil || !holds(encodable(reread), encodable(values)) {
			t.Fatalf("%s of %X brings %s; that is encoded %X and brings %s, %v", item.Name, data, frametest.Show(values), again, frametest.Show(reread), err)
		}
	})
}

// holds reports whether the values are among the others, which are nothing besides.
func holds(others, values map[string]any) bool {
	for name, value := range values {
		if other, ok := others[name]; !ok || !equalData(other, value) {
			return false
		}
	}
	for name, other := range others {
		if _, ok := values[name]; !ok && other != nil {
			return false
		}
	}
	return true
}

func BenchmarkItemDecode(b *testing.B) {
	for _, name := range []string{"forward_active_energy", "voltage_block", "forward_active_energy_block", "forward_active_demand", "clock_time", "status_3"} {
		b.Run(name, func(b *testing.B) {
			di := find(b, V2007, name).DI
			data := map[string]string{
				"forward_active_energy": "78 56 34 12", "voltage_block": "14 23 00 00 00 00",
				"forward_active_energy_block": "94 14 02 00 04 53 00 00 74 53 00 00 03 54 00 00 11 54 00 00",
				"forward_active_demand":       "56 34 12 30 15 01 08 23", "clock_time": "00 00 18", "status_3": "10 00",
			}[name]
			raw := frametest.FromHex(data)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				item, _ := Items(V2007).Lookup(di)
				values, err := item.Decode(raw, shanghai)
				if err != nil {
					b.Fatal(err)
				}
				n = len(values)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/value")
		})
	}
}

func BenchmarkFind(b *testing.B) {
	for b.Loop() {
		if _, ok := Items(V2007).Named("status_3.relay_open"); !ok {
			b.Fatal("there is no status_3.relay_open")
		}
	}
}
