package cjt188

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// TestUnits holds every unit code of the standard, and the steps between those that it lists.
func TestUnits(t *testing.T) {
	want := map[byte]string{
		0x01: "0.00000000123 GJ",
		0x02: "0.00123 kWh", 0x03: "0.0123 kWh", 0x04: "0.123 kWh", 0x05: "1.23 kWh", 0x06: "12.3 kWh", 0x07: "123 kWh",
		0x08: "1230 kWh", 0x09: "12300 kWh", 0x0A: "123000 kWh",
		0x0B: "0.00000123 GJ", 0x0C: "0.0000123 GJ", 0x0D: "0.000123 GJ", 0x0E: "0.00123 GJ", 0x0F: "0.0123 GJ", 0x10: "0.123 GJ",
		0x11: "1.23 GJ", 0x12: "12.3 GJ", 0x13: "123 GJ",
		0x14: "0.00123 kW", 0x15: "0.0123 kW", 0x16: "0.123 kW", 0x17: "1.23 kW", 0x18: "12.3 kW", 0x19: "123 kW", 0x1A: "1230 kW",
		0x29: "0.00123 m³", 0x2A: "0.0123 m³", 0x2B: "0.123 m³", 0x2C: "1.23 m³", 0x2D: "12.3 m³", 0x2E: "123 m³",
		0x32: "0.00123 m³/h", 0x33: "0.0123 m³/h", 0x34: "0.123 m³/h", 0x35: "1.23 m³/h",
	}
	for code := range 256 {
		u, ok := unitOf(byte(code))
		got := ""
		if ok {
			got = scaled(123, 2, u.exp).String() + " " + u.name
		}
		if got != want[byte(code)] {
			t.Errorf("%02XH: %q, want %q", code, got, want[byte(code)])
		}
	}
}

func TestDecode(t *testing.T) {
	const clock = "00301205032620"
	for _, row := range []struct {
		name, data string
		di         DI
		t          Type
		k          known
		want       string
	}{
		{
			"gas", "34120000 2C 00120000 2C" + clock + "0500", CurrentData, Gas, known{},
			`volume=12.34 m³; settlement_volume=12.00 m³; clock="2026-03-05T12:30:00+08:00"; status="0500"; valve="closed"; battery_low=true`,
		},
		{
			"litres, and hundreds of them", "34120000 29 00120000 2B" + clock + "0300", CurrentData, ColdWater, known{},
			`volume=0.01234 m³; settlement_volume=1.200 m³; clock="2026-03-05T12:30:00+08:00"; status="0300"; valve="abnormal"; battery_low=false`,
		},
		{
			"not there", "34120000 2C FFFFFFFF FF 00000000000000 0200", CurrentData, ColdWater, known{},
			`volume=12.34 m³; settlement_volume=null m³; clock=null; status="0200"; valve="abnormal"; battery_low=false`,
		},
		{
			"bits from the top", "34120000 2C 00120000 2C" + clock + "6000", CurrentData, ColdWater, known{fromTop: true},
			`volume=12.34 m³; settlement_volume=12.00 m³; clock="2026-03-05T12:30:00+08:00"; status="6000"; valve="closed"; battery_low=true`,
		},
		{
			"gigajoules, the unit before, as told", "11 00150000 11 50170000 17 34120000 35 00500200 2C 78563400 506500 254800 341200" + clock + "0000", CurrentData, Heat, known{unit: unitBefore},
			`settlement_heat_energy=15.00 GJ; heat_energy=17.50 GJ; thermal_power=12.34 kW; flow_rate=2.5000 m³/h; volume=3456.78 m³; supply_temperature=65.50 °C; return_temperature=48.25 °C; working_hours=1234 h; clock="2026-03-05T12:30:00+08:00"; status="0000"; valve="open"; battery_low=false`,
		},
		{
			"cooling", "00150000 05 50170000 05 34120000 14 00500200 32 78563400 2C FFFFFF 254800 341200" + clock + "0000", CurrentData, Cooling, known{},
			`settlement_cooling_energy=15.00 kWh; cooling_energy=17.50 kWh; thermal_power=0.01234 kW; flow_rate=0.0025000 m³/h; volume=3456.78 m³; supply_temperature=null °C; return_temperature=48.25 °C; working_hours=1234 h; clock="2026-03-05T12:30:00+08:00"; status="0000"; valve="open"; battery_low=false`,
		},
		{
			"heat and cooling", "00150000 05 00010000 05 50170000 05 50020000 05 34120000 17 00500200 35 78563400 2C 506500 254800 010203 040506 341200" + clock + "0000", BothData, HeatAndCool, known{},
			`settlement_heat_energy=15.00 kWh; settlement_cooling_energy=1.00 kWh; heat_energy=17.50 kWh; cooling_energy=2.50 kWh; thermal_power=12.34 kW; flow_rate=2.5000 m³/h; volume=3456.78 m³; supply_temperature=65.50 °C; return_temperature=48.25 °C; supply_pressure="010203"; return_pressure="040506"; working_hours=1234 h; clock="2026-03-05T12:30:00+08:00"; status="0000"; valve="open"; battery_low=false`,
		},
		{"a settlement", "00120000 2C", 0xD122, ColdWater, known{}, `volume_h3=12.00 m³`},
		{"a settlement of heat", "00120000 05", 0xD12B, Heat, known{}, `heat_energy_h12=12.00 kWh`},
		{"a settlement of heat, in volume", "00120000 2C", 0xD120, Heat, known{}, `volume_h1=12.00 m³`},
		{"the settlement day", "25", SettleDay, ColdWater, known{}, `settlement_day=25`},
		{"the clock", clock, ClockData, Heat, known{}, `clock="2026-03-05T12:30:00+08:00"`},
		{"unknown to the table", "0102", 0x8102, ColdWater, known{}, `8102="0102"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			values, err := decode(row.di, row.t, frametest.FromHex(row.data), row.k, shanghai)
			if got := frametest.Show(values); err != nil || got != row.want {
				t.Errorf("got  %s, %v\nwant %s", got, err, row.want)
			}
		})
	}
}

// TestUnitInDoubt takes no digits of a volume for a unit code where the code behind them is not known.
func TestUnitInDoubt(t *testing.T) {
	for _, row := range []struct {
		di   DI
		data string
		want any // nil: it is refused
	}{
		{CurrentData, "29 34 12 00 00 FF FF FF FF FF FFFFFFFFFFFFFF 0000", nil}, // 1234.29 of something, not 12.34 l
		{0xD120, "29 34 12 00 00", nil},
		{CurrentData, "2C 34 12 00 00 FF FF FF FF FF FFFFFFFFFFFFFF 0000", "12.34"}, // 2C are no digits
		{CurrentData, "29 34 12 00 00 29 00 12 00 00 FFFFFFFFFFFFFF 0000", "0.01234"},
		{CurrentData, "29 34 12 00 2C FF FF FF FF FF FFFFFFFFFFFFFF 0000", "1234.29"},
	} {
		values, err := decode(row.di, ColdWater, frametest.FromHex(row.data), known{}, shanghai)
		if row.want == nil {
			if !errors.Is(err, protocol.ErrGarbled) {
				t.Errorf("%s %s was read as %v, %v", row.di, row.data, values, err)
			}
			continue
		}
		if err != nil || fmt.Sprint(values[0].Data) != row.want {
			t.Errorf("%s %s was read as %v, %v, want %v", row.di, row.data, values, err, row.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	const clock = "00301205032620"
	for _, row := range []struct {
		name, data string
		t          Type
		want       string
	}{
		{"too short", "34120000 2C", ColdWater, "19 bytes behind SER, not 5"},
		{"heat where water is", "34120000 2C 00120000 2C" + clock + "0500", Heat, "43 bytes behind SER, not 19"},
		{"no BCD", "3A120000 2C 00120000 2C" + clock + "0000", ColdWater, "volume: no valid answer: byte 1 of 4 is 3AH"},
		{"no unit", "34120000 FF 00120000 2C" + clock + "0000", ColdWater, "FFH is no unit code"},
		{"energy of water", "34120000 05 00120000 2C" + clock + "0000", ColdWater, "05H means kWh"},
	} {
		values, err := decode(CurrentData, row.t, frametest.FromHex(row.data), known{}, shanghai)
		if !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(fmt.Sprint(err), row.want) || values != nil {
			t.Errorf("%s: %s, %v, want an error with %q", row.name, frametest.Show(values), err, row.want)
		}
	}
}

// TestMoments tries moments that there are not.
func TestMoments(t *testing.T) {
	for _, row := range []struct{ data, want string }{
		{"59592331122620", "2026-12-31T23:59:59+08:00"},
		{"00000029022420", "2024-02-29T00:00:00+08:00"},
		{"00000029022520", ""}, {"00000031042620", ""}, {"60000001012620", ""}, {"00000001132620", ""}, {"00002401012620", ""}, {"FFFFFFFFFFFFFF", ""}, {"00000000000000", ""},
	} {
		got, _ := moment(frametest.FromHex(row.data), shanghai).(string)
		if got != row.want {
			t.Errorf("%s: %q, want %q", row.data, got, row.want)
		}
	}
}

func TestDescribeRefusal(t *testing.T) {
	d, err := Describe(frametest.FromHex("68 10 78 56 34 12 33 00 00 C1 03 01 04 00 88 16"), shanghai)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(d)
	if want := `{"hex":"68107856341233000 0C10301040088 16","protocol":"188","direction":"response","address":"00003312345678","type":"10","control":"C1","function":"read","di":null,"ser":1,"values":{},"units":{},"more":false,"reasons":["other"]}`; string(text) != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// TestRedact masks the key, and nothing else.
func TestRedact(t *testing.T) {
	key := wire(ColdWater, "1", WriteData, "A01401 0102030405060708")
	for _, row := range []struct {
		stream []byte
		want   string
	}{
		{key, "681001000000000000040BA01401****************" + octet.Hex(key[len(key)-2:])},
		{key[:20], "681001000000000000040BA01401************"},
		{wire(ColdWater, "1", WriteData, "14A001 01020304"), "6810010000000000000407 14A001********4316"},
		{wire(ColdWater, "1", WriteData, "A01701 55"), "6810010000000000000404A01701558E16"},
		{nil, ""},
	} {
		if got := Redact(row.stream); got != strings.ReplaceAll(row.want, " ", "") {
			t.Errorf("%X is shown as %s, want %s", row.stream, got, row.want)
		}
	}
}
