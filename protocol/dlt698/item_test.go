package dlt698

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

var shanghai = time.FixedZone("", 8*3600)

// TestTable holds every row of the table to what names and texts must be.
func TestTable(t *testing.T) {
	d := Items()
	if len(d.attributes) < 400 {
		t.Errorf("the table has %d attributes", len(d.attributes))
	}
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*[a-z0-9]$`)
	seen := make(map[string]OAD)
	for _, a := range d.attributes {
		if a.en == "" || a.zh == "" || strings.ContainsAny(a.row.TextEN, "，。") {
			t.Errorf("%s has the texts %q and %q", a.oad, a.en, a.zh)
		}
		if a.row.Access != "R" && a.row.Access != "RW" || a.row.Origin != "base" && a.row.Origin != "public" {
			t.Errorf("%s: access %q, origin %q", a.oad, a.row.Access, a.row.Origin)
		}
		for item := range d.all(a) {
			if !name.MatchString(item.Name) {
				t.Errorf("%s is called %q", item.OAD, item.Name)
			}
			if other, ok := seen[item.Name]; ok {
				t.Errorf("%s and %s are both called %s", item.OAD, other, item.Name)
			}
			seen[item.Name] = item.OAD
			if found, ok := d.Named(item.Name); !ok || found.OAD != item.OAD {
				t.Errorf("%s finds %s, want %s", item.Name, found.OAD, item.OAD)
			}
			if found, ok := d.Lookup(item.OAD); !ok || found.Name != item.Name {
				t.Errorf("%s is looked up as %q, want %s", item.OAD, found.Name, item.Name)
			}
			if text := item.Text("en") + item.Text("zh"); strings.ContainsAny(text, "{}") {
				t.Errorf("%s has the text %q", item.Name, text)
			}
			for _, value := range item.Names() {
				if found, ok := d.Named(value); !ok || !slices.Contains(found.Names(), value) {
					t.Errorf("%s, a value of %s, finds %s %q", value, item.Name, found.OAD, found.Name)
				}
			}
		}
	}
}

// TestTableHasTheirNames holds names that flows use to what they mean, whatever protocol a meter
// speaks.
func TestTableHasTheirNames(t *testing.T) {
	for name, want := range map[string]string{
		"forward_active_energy": "00100201 kWh", "forward_active_energy_t1": "00100202 kWh", "forward_active_energy_block": "00100200 kWh",
		"reverse_active_energy_t4": "00200205 kWh", "combined_active_energy": "00000201 kWh", "forward_active_energy_a": "00110201 kWh",
		"forward_active_energy_fine": "00100401 kWh", "quadrant_1_reactive_energy": "00500201 kvarh",
		"forward_active_demand": "10100201 kW", "forward_active_demand_time": "10100201 kW", "forward_active_demand_t2_time": "10100203 kW",
		"voltage_a": "20000201 V", "voltage_block": "20000200 V", "current_c": "20010203 A", "neutral_current": "20010400 A",
		"active_power": "20040201 kW", "active_power_a": "20040202 kW", "reactive_power": "20050201 kvar", "apparent_power_c": "20060204 kVA",
		"power_factor": "200A0201", "frequency": "200F0200 Hz", "temperature": "20100200 °C", "voltage_a_harmonic_3": "200D0203 %",
		"voltage_c_harmonic_total": "200D0401 %", "status_3": "20140203", "status_3.relay_open": "20140203",
		"clock": "40000200", "address": "40010200", "meter_number": "40020200", "rated_voltage": "41040200", "maximum_current": "41060200",
		"active_demand": "20170200 kW", "remaining_money": "202C0200 CNY", "purchase_count": "202C0200 CNY", "relay_open": "80000300",
		"daily_freeze_1": "50040201", "monthly_freeze_12": "5006020C", "daily_freeze_forward_active_energy_1": "50040201 kWh",
		"daily_freeze_time_2": "50040202", "daily_freeze_forward_active_demand_1_time": "50040201 kW", "power_down_record_1": "30110201",
		"voltage_loss_record_b_2": "30000702", "power_down_count": "30110700 s",
	} {
		item, ok := Items().Named(name)
		if got := strings.TrimSpace(item.OAD.String() + " " + unitOrNone(item, ok)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{
		"", "voltage", "voltage_d", "voltage_1", "forward_active_energy_t64", "forward_active_demand_block_time", "voltage_a_time",
		"status_3.nothing", "status_8", "daily_freeze", "daily_freeze_0", "daily_freeze_256", "daily_freeze_clock_1", "forward_active_energy_",
	} {
		if item, ok := Items().Named(name); ok {
			t.Errorf("%q finds %s %s", name, item.OAD, item.Name)
		}
	}
}

func unitOrNone(item Item, ok bool) string {
	if !ok {
		return "not found"
	}
	return item.Unit()
}

func TestDecode(t *testing.T) {
	for _, row := range []struct{ oad, data, want string }{
		{"00100201", "06 00 01 E2 40", `forward_active_energy=1234.56kWh`},
		{"00100200", "01 02 06 00 00 00 0A 06 00 00 00 05", `forward_active_energy=0.10kWh forward_active_energy_t1=0.05kWh`},
		{"00000201", "05 FF FF FF FE", `combined_active_energy=-0.02kWh`},
		{"00100401", "15 00 00 00 00 00 BC 61 4E", `forward_active_energy_fine=1234.5678kWh`},
		{"00100201", "06 FF FF FF FF", `forward_active_energy=nullkWh`},
		{"00100200", "00", `forward_active_energy_block=nullkWh`},
		{"10100201", "02 02 06 00 00 30 39 1C 07 EA 0A 05 12 1E 00", `forward_active_demand=1.2345kW forward_active_demand_time="2026-10-05T18:30:00+08:00"`},
		{"10100201", "02 02 06 00 00 00 00 1C FF FF FF FF FF FF FF", `forward_active_demand=0.0000kW forward_active_demand_time=null`},
		{"20000200", "01 01 12 09 6D", `voltage_a=241.3V`},
		{"20000200", "01 03 12 09 6D 12 FF FF 00", `voltage_a=241.3V voltage_b=nullV voltage_c=nullV`},
		{"20040200", "01 02 05 00 00 EA 60 05 FF FF FF FF", `active_power=6.0000kW active_power_a=-0.0001kW`},
		{"200A0201", "10 FC 82", `power_factor=-0.894`},
		{"200F0200", "06 00 00 13 88", `frequency=50.00Hz`},
		{"202C0200", "02 02 06 00 00 27 10 06 00 00 00 03", `remaining_money=100.00CNY purchase_count=3`},
		{"40000200", "1C 07 EA 0A 05 12 1E 00", `clock="2026-10-05T18:30:00+08:00"`},
		{"40010200", "09 06 00 00 00 00 00 10", `address="000000000010"`},
		{"41060200", "0A 06 36 30 41 00 00 00", `maximum_current="60A"`},
		{"43000300", "02 06 0A 04 41 42 43 44 0A 04 30 30 30 31 0A 06 32 36 30 31 30 31 0A 04 30 30 30 31 0A 06 32 36 30 31 30 31 0A 00", `manufacturer="ABCD" software_version="0001" software_date="260101" hardware_version="0001" hardware_date="260101" extension=""`},
		{"80000300", "04 08 80", `relay_open=true`},
		{"80000300", "04 08 00", `relay_open=false`},
		{"80000300", "01 01 02 04 0A 02 4B 31 16 01 16 01 16 00", `relay_open=true`},
		{"30110700", "01 01 02 02 00 02 02 06 00 00 00 07 06 00 00 01 2C", `power_down_count=7 power_down_seconds=300s`},
		{"30110700", "01 00", `power_down_count=null power_down_seconds=nulls`},
		{"40140200", "01 01 02 03 11 01 11 01 11 01", `year_zones=[[1,1,1]]`},
		{"F1010200", "16 01", `security_mode=true`},
	} {
		item, ok := Items().Lookup(unhexOAD(t, row.oad))
		if !ok {
			t.Errorf("%s is not in the table", row.oad)
			continue
		}
		data, _, err := ParseData(frametest.FromHex(row.data))
		if err != nil {
			t.Fatal(err)
		}
		values, err := item.Decode(data, shanghai)
		if got := shown(t, values); err != nil || got != row.want {
			t.Errorf("%s %s: %s (%v), want %s", row.oad, row.data, got, err, row.want)
		}
	}
}

func unhexOAD(t *testing.T, text string) OAD {
	t.Helper()
	oad, err := ParseOAD(text)
	if err != nil {
		t.Fatal(err)
	}
	return oad
}

func shown(t *testing.T, values []protocol.Value) string {
	t.Helper()
	var words []string
	for _, v := range values {
		data, err := json.Marshal(v.Data)
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, fmt.Sprintf("%s=%s%s", v.Name, data, v.Unit))
	}
	return strings.Join(words, " ")
}

// TestDecodeFlags reads a status word: its first bit is bit 0.
func TestDecodeFlags(t *testing.T) {
	item, _ := Items().Named("status_3")
	values, err := item.Decode(BitsOf(1<<4|1<<1, 16), shanghai)
	if err != nil || values[0].Name != "status_3" || values[0].Data != "0012" {
		t.Fatalf("%v (%v), want 0012", values, err)
	}
	for _, want := range []protocol.Value{{Name: "status_3.relay_open", Data: true}, {Name: "status_3.supply", Data: "auxiliary"}, {Name: "status_3.keep_power", Data: false}} {
		if !slices.Contains(values, want) {
			t.Errorf("%v is missing in %v", want, values)
		}
	}
	item.Only = "status_3.relay_open"
	if values, err := item.Decode(BitsOf(0, 16), shanghai); err != nil || len(values) != 1 || values[0].Data != false {
		t.Errorf("%v (%v), want that the relay is closed", values, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, row := range []struct{ oad, data, want string }{
		{"00100201", "0A 01 31", "visible-string came, which is double-long-unsigned"},
		{"00100200", "06 00 00 00 01", "double-long-unsigned came for all elements"},
		{"00100201", "01 01 06 00 00 00 01", "array came, which is double-long-unsigned"},
		{"20000200", "01 04 12 00 01 12 00 01 12 00 01 12 00 01", "4 elements came, 3 are the most"},
		{"20000200", "01 01 0A 00", "voltage_a: no valid answer: visible-string came"},
		{"10100201", "06 00 00 00 01", "of 0 members came, which is a structure of 2"},
		{"20140203", "04 08 00", "bit-string of 8 bits came, which is a bit-string of 16"},
		{"00100401", "15 7F FF FF FF FF FF FF FF", "more than 18 digits"},
		{"80000300", "04 00", "neither a bit for each relay"},
		{"80000300", "16 01", "enum came, which is neither"},
		{"30110700", "06 00 00 00 01", "which is a list of totals"},
	} {
		item, _ := Items().Lookup(unhexOAD(t, row.oad))
		data, _, err := ParseData(frametest.FromHex(row.data))
		if err != nil {
			t.Fatal(err)
		}
		if values, err := item.Decode(data, shanghai); !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %s: %v (%v), want an error with %q", row.oad, row.data, values, err, row.want)
		}
	}
}

// TestEncode writes values, and reads them again.
func TestEncode(t *testing.T) {
	for _, row := range []struct {
		name, value, wire string
	}{
		{"demand_period", `15`, "11 0F"},
		{"clock", `"2026-10-05T18:30:00+08:00"`, "1C 07 EA 0A 05 12 1E 00"},
		{"clock", `"2026-10-05 18:30"`, "1C 07 EA 0A 05 12 1E 00"},
		{"meter_number", `"000000000010"`, "09 06 00 00 00 00 00 10"},
		{"asset_code", `"AB12"`, "0A 04 41 42 31 32"},
		{"weekend_word", `"7F"`, "04 08 FE"},
		{"follow_report_allowed", `true`, "03 01"},
	} {
		item, ok := Items().Named(row.name)
		if !ok {
			t.Fatal(row.name)
		}
		data, err := item.Encode(decodeJSON(t, row.value), shanghai)
		if got := data.Append(nil); err != nil || octet.Hex(got) != strings.ReplaceAll(row.wire, " ", "") {
			t.Errorf("%s %s: % X (%v), want %s", row.name, row.value, got, err, row.wire)
		}
	}
	for _, row := range []struct{ name, value, want string }{
		{"demand_period", `256`, "a number from 0 to 255"},
		{"demand_period", `1.5`, "a number from 0 to 255"},
		{"clock", `"1999-01-01T00:00:00Z"`, "a moment from 2000 to 2099"},
		{"meter_number", `"xyz"`, "hex digits"},
		{"asset_code", `"电"`, "letters and digits"},
		{"year_zones", `[1]`, "cannot be written by value"},
		{"voltage_block", `1`, "several values"},
		{"money_alarms", `1`, "several values"},
	} {
		item, _ := Items().Named(row.name)
		if data, err := item.Encode(decodeJSON(t, row.value), shanghai); !errors.Is(err, protocol.ErrBadRequest) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s %s: %+v (%v), want an error with %q", row.name, row.value, data, err, row.want)
		}
	}
}

func decodeJSON(t *testing.T, text string) (value any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestSearch(t *testing.T) {
	for _, row := range []struct {
		words []string
		want  string
	}{
		{[]string{"voltage", "harmonic"}, "voltage_a_harmonic_total"},
		{[]string{"表号"}, "meter_number"},
		{[]string{"00100202"}, "forward_active_energy"},
		{[]string{"forward_active_energy_t3"}, "forward_active_energy"},
		{[]string{"purchase_count"}, "wallet"},
		{[]string{"Daily", "freeze"}, "daily_freeze_1"},
	} {
		rows := Items().Matching(row.words...)
		if !slices.ContainsFunc(rows, func(r Row) bool { return r.Name == row.want }) || len(rows) > 12 {
			t.Errorf("%v finds %d rows, and %s should be among a few", row.words, len(rows), row.want)
		}
	}
	if rows := Items().Matching(); len(rows) < 300 {
		t.Errorf("without words %d rows are found", len(rows))
	}
}

// BenchmarkDecode reads one register out of a frame: at most 1 µs, and two allocations a value.
func BenchmarkDecode(b *testing.B) {
	frame := frametest.FromHex("681E00C305000000000000009E548501000010020101060001E24000005AD416")
	item, _ := Items().Lookup(0x00100201)
	b.ReportAllocs()
	var keep []Entry
	for b.Loop() {
		f, err := ParseFrame(frame)
		if err != nil {
			b.Fatal(err)
		}
		a, err := parseAPDU(f.Data, keep)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := item.Decode(a.Entries[0].Data, shanghai); err != nil {
			b.Fatal(err)
		}
		keep = a.Entries
	}
}

// TestDecodeAllocates holds the decoding of a list to two allocations a value.
func TestDecodeAllocates(t *testing.T) {
	frame := frametest.FromHex("683400C3050900000000100034758501070010020001010506000009AB060000029E06000003250600000248060000019E000055AC16")
	item, _ := Items().Lookup(0x00100200)
	got := testing.AllocsPerRun(100, func() {
		f, _ := ParseFrame(frame)
		a, _ := ParseAPDU(f.Data)
		if values, err := item.Decode(a.Entries[0].Data, shanghai); err != nil || len(values) != 5 {
			t.Fatal(values, err)
		}
	})
	if got > 10 {
		t.Errorf("five values take %v allocations", got)
	}
}

// TestEncodeFlags writes flags of either type as the standard has it.
func TestEncodeFlags(t *testing.T) {
	for name, want := range map[string]Tag{"security_mode": Enum, "report_allowed": Bool} {
		item, _ := Items().Named(name)
		data, err := item.Encode(true, time.UTC)
		if err != nil || data.Tag != want || data.Bits != 1 {
			t.Errorf("%s: %+v, %v, want %s 1", name, data, err, want)
		}
		values, err := item.Decode(data, time.UTC)
		if err != nil || len(values) != 1 || values[0].Data != true {
			t.Errorf("%s was read as %v, %v", name, values, err)
		}
	}
}
