package dlt645

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

func TestMatch(t *testing.T) {
	for _, row := range []struct {
		version Version
		pattern string
		want    string // names by spaces; "…" in the end: these and more
	}{
		{V2007, "voltage_a", "voltage_a"},
		{V2007, "02010100", "voltage_a"},
		{V2007, "status_3.relay_open", "status_3.relay_open"},
		{V2007, "forward_active_demand_time", "forward_active_demand_time"},
		{V2007, "04999999", "04999999"},
		{V2007, "voltage_block", "voltage_a voltage_b voltage_c"},
		{V2007, "0202FF00", "current_a current_b current_c"},
		{V2007, "voltage_*", "voltage_a voltage_b voltage_c voltage_block voltage_statistics"},
		{V2007, "*requency", "frequency"},
		{V2007, "forward_active_energy_t*", "forward_active_energy_t1 forward_active_energy_t2 forward_active_energy_t3 forward_active_energy_t4 …"},
		{V2007, "status_7.cover_*", "status_7.cover_open"},
		{V2007, "status_4.*", "status_4.voltage_loss status_4.under_voltage status_4.over_voltage status_4.current_loss status_4.over_current status_4.overload …"},
		{V2007, "status_*.terminal_cover_open", "status_7.terminal_cover_open"},
		{V2007, "status_7.*_open", "status_7.cover_open"},
		{V2007, "voltage_loss_count_*", "voltage_loss_count_a voltage_loss_count_b voltage_loss_count_c"},
		{V1997, "B611", "voltage_a"},
		{V1997, "voltage_*", "voltage_a voltage_b voltage_c voltage_block"},
	} {
		names, err := New(row.version, time.UTC).Match(row.pattern)
		if err != nil {
			t.Errorf("%s: %v", row.pattern, err)
			continue
		}
		want, more := strings.CutSuffix(row.want, " …")
		if got := strings.Join(names, " "); got != want && !(more && strings.HasPrefix(got, want+" ")) {
			t.Errorf("%s matches %s, want %s", row.pattern, got, row.want)
		}
		if slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "_h") }) {
			t.Errorf("%s matches the history as well: %s", row.pattern, names)
		}
	}
	for pattern, want := range map[string]error{
		"no_such_item": protocol.ErrUnknownItem, "nothing*like*that": protocol.ErrUnknownItem, "": protocol.ErrUnknownItem,
		"06010001": protocol.ErrUnsupported,
	} {
		if names, err := New(V2007, time.UTC).Match(pattern); !errors.Is(err, want) {
			t.Errorf("%q matches %v (%v), want %v", pattern, names, err, want)
		}
	}
}

// A hostile pattern costs no more than another: of a million * none is tried one by one, and
// bytes that are no text match nothing.
func TestMatchHostile(t *testing.T) {
	m := New(V2007, time.UTC)
	want, err := m.Match("*requency")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Match(strings.Repeat("*", 1<<20) + "requency"); !slices.Equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	for _, pattern := range []string{strings.Repeat("*a", 1<<19), strings.Repeat("*_", 1<<19) + "*", "voltage_\xff*"} {
		if got, err := m.Match(pattern); !errors.Is(err, protocol.ErrUnknownItem) {
			t.Errorf("%d bytes match %v, %v", len(pattern), got, err)
		}
	}
}

func TestCatalogueDescribe(t *testing.T) {
	number, flag, moment, text, other := protocol.FormNumber, protocol.FormFlag, protocol.FormMoment, protocol.FormText, protocol.FormOther
	for _, row := range []struct {
		version Version
		name    string
		want    protocol.ItemDescription
	}{
		{V2007, "voltage_a", protocol.ItemDescription{Unit: "V", Form: number, Decimals: 1, Digits: 4, English: "voltage, phase A", Chinese: "A相电压"}},
		{V2007, "forward_active_energy_t2", protocol.ItemDescription{Unit: "kWh", Form: number, Decimals: 2, Digits: 8, Counter: true, English: "forward active energy, tariff 2", Chinese: "正向有功费率2电能"}},
		{V2007, "forward_active_energy_t2_h1", protocol.ItemDescription{Past: true, Unit: "kWh", Form: number, Decimals: 2, Digits: 8}},
		{V2007, "combined_active_energy", protocol.ItemDescription{Unit: "kWh", Form: number, Decimals: 2, Digits: 8, English: "combined active energy", Chinese: "组合有功总电能"}},
		{V2007, "remaining_energy", protocol.ItemDescription{Unit: "kWh", Form: number, Decimals: 2, Digits: 8, English: "remaining energy credit", Chinese: "(当前)剩余电量"}},
		{V2007, "forward_active_demand", protocol.ItemDescription{Unit: "kW", Form: number, Decimals: 4, Digits: 6, English: "forward active maximum demand", Chinese: "正向有功总最大需量"}},
		{V2007, "forward_active_demand_time", protocol.ItemDescription{Form: moment, English: "forward active maximum demand, time", Chinese: "正向有功总最大需量发生时间"}},
		{V2007, "status_3", protocol.ItemDescription{Form: text, English: "status word 3", Chinese: "电表运行状态字3"}},
		{V2007, "status_7.cover_open", protocol.ItemDescription{Form: flag, Alarm: true, English: "meter cover open", Chinese: "开表盖"}},
		{V2007, "status_3.relay_open", protocol.ItemDescription{Role: protocol.RoleRelay, Form: flag, English: "relay open", Chinese: "继电器断开"}},
		{V2007, "status_3.supply", protocol.ItemDescription{Form: text, English: "supply", Chinese: "供电方式"}},
		{V2007, "clock", protocol.ItemDescription{Role: protocol.RoleClock, Form: moment, English: "date and time", Chinese: "日期时间"}},
		{V1997, "clock", protocol.ItemDescription{Role: protocol.RoleClock, Form: moment, English: "date and time", Chinese: "日期、周次及时间数据块"}},
		{V2007, "clock_date", protocol.ItemDescription{Form: text, English: "date", Chinese: "日期及星期"}},
		{V2007, "clock_date_weekday", protocol.ItemDescription{Form: text, English: "date, weekday", Chinese: "日期及星期(星期)"}},
		{V2007, "voltage_block", protocol.ItemDescription{Unit: "V", Form: other, English: "voltage, all phases", Chinese: "各相电压"}},
		{V2007, "power_down_record_1", protocol.ItemDescription{Form: other, English: "power failure (power-down) record, record 1", Chinese: "(上1次)掉电记录"}},
		{V2007, "voltage_loss_count_b", protocol.ItemDescription{Form: number, Digits: 6}},
		{V1997, "voltage_a", protocol.ItemDescription{Unit: "V", Form: number, Digits: 3, English: "voltage, phase A", Chinese: "A相电压"}},
		{V1997, "forward_active_energy_h2", protocol.ItemDescription{Past: true, Unit: "kWh", Form: number, Decimals: 2, Digits: 8}},
		{V1997, "forward_active_energy", protocol.ItemDescription{Unit: "kWh", Form: number, Decimals: 2, Digits: 8, Counter: true, English: "forward active energy", Chinese: "正向有功总电能"}},
	} {
		got, ok := New(row.version, time.UTC).Describe(row.name)
		row.want.Name, row.want.Ratio = row.name, got.Ratio // TestRatios has those
		if row.want.English == "" {
			got.English, got.Chinese = "", ""
		}
		if !ok || got != row.want {
			t.Errorf("%s is described as\n%+v (%v), want\n%+v", row.name, got, ok, row.want)
		}
	}
	if d, ok := New(V2007, time.UTC).Describe("no_such_item"); ok {
		t.Errorf("an unknown name is described: %+v", d)
	}
}

// TestCatalogueDescribesEverything walks the names that * can bring: each has a description, and what is
// no record has a form.
func TestCatalogueDescribesEverything(t *testing.T) {
	for _, v := range []Version{V2007, V1997} {
		m := New(v, time.UTC)
		forms := map[protocol.Form]int{}
		for _, pattern := range []string{"*", "*_*", "*_*_*", "*_*.*_*", "*_*_*_*_*"} {
			names, err := m.Match(pattern)
			if err != nil && v == V2007 {
				t.Error(err)
			}
			for _, name := range names {
				d, ok := m.Describe(name)
				if !ok || d.Name != name {
					t.Fatalf("%s of DL/T 645-%s is described as %+v (%v)", name, v, d, ok)
				}
				forms[d.Form]++
			}
		}
		for form := protocol.FormOther; form <= protocol.FormText; form++ {
			if forms[form] == 0 && (v == V2007 || form != protocol.FormMoment) { // 1997 has no years
				t.Errorf("nothing of DL/T 645-%s has the form %d", v, form)
			}
		}
	}
}
