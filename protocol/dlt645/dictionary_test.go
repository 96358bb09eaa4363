package dlt645

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// everyItem yields the items of a family: all of them, or, if they are many, those of the
// first, the second and the last values of each letter.
func everyItem(f *family) []Item {
	choices := []positions{{}}
	for k := range f.letters {
		n := len(f.letters[k].options)
		var chosen []positions
		for _, at := range choices {
			for p := range n {
				if n > 4 && p > 1 && p < n-2 {
					continue
				}
				at[k] = uint8(p)
				chosen = append(chosen, at)
			}
		}
		choices = chosen
	}
	var items []Item
	for _, at := range choices {
		if item, ok := f.valid(f.owner(at)); ok && item.at == f.owner(at) {
			items = append(items, item)
		}
	}
	return items
}

func TestTableIsWellFormed(t *testing.T) {
	name := regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?$`)
	reserved := []string{"time", "times", "relay", "id", "ok", "error", "values"}
	eachEdition(t, func(t *testing.T, d *Dictionary) {
		owners := make(map[string]DI)
		for _, e := range d.entries {
			f := e.family()
			switch {
			case !slices.Contains([]string{"R", "W", "RW"}, f.row.Access):
				t.Errorf("%s: access %q", f.row.DI, f.row.Access)
			case !slices.Contains([]string{"base", "amend", "csg", "vendor"}, f.row.Origin):
				t.Errorf("%s: origin %q", f.row.DI, f.row.Origin)
			case f.row.TextEN == "" || f.row.TextZH == "" || strings.ContainsAny(f.row.TextEN+f.row.TextZH, "{}"):
				t.Errorf("%s: texts %q and %q", f.row.DI, f.row.TextEN, f.row.TextZH)
			}
			for _, item := range everyItem(f) {
				di := item.DI.Format(d.version)
				if f.codec == nil && item.Size() <= 0 {
					t.Errorf("%s has %d bytes", item.Name, item.Size())
				}
				if !name.MatchString(item.Name) || slices.Contains(reserved, item.Name) {
					t.Errorf("%s: %q is no good name", di, item.Name)
				}
				if other, ok := owners[item.Name]; ok && other != item.DI {
					t.Errorf("%s and %s are both %s", other.Format(d.version), di, item.Name)
				}
				owners[item.Name] = item.DI
				if found, ok := d.Lookup(item.DI); !ok || found.Name != item.Name || found.family != f {
					t.Errorf("Lookup(%s) = %s, %v, want %s", di, found.Name, ok, item.Name)
				}
			}
		}
	})
}

func TestRowsDoNotOverlap(t *testing.T) {
	eachEdition(t, func(t *testing.T, d *Dictionary) {
		for _, e := range d.entries {
			f := e.family()
			for _, item := range everyItem(f) {
				for _, e := range d.entries {
					other := e.family()
					if _, ok := other.match(item.DI); ok && other != f {
						t.Errorf("%s is in the rows %s and %s", item.DI.Format(d.version), f.row.DI, other.row.DI)
					}
				}
			}
		}
	})
}

// TestEveryNameIsFound looks items up by their names, and by those of their values: all of
// the first item of a family, the outer ones of the others, which only run on.
func TestEveryNameIsFound(t *testing.T) {
	eachEdition(t, func(t *testing.T, d *Dictionary) {
		for _, e := range d.entries {
			f := e.family()
			for n, item := range everyItem(f) {
				names := []string{item.Name}
				if !item.Block() {
					names = append(names, item.Names()...)
				}
				if last := len(names) - 1; n > 0 && last > 4 {
					names = slices.Concat(names[:3], names[last-1:])
				}
				for _, name := range names {
					found, ok := d.Named(name)
					want := name
					if name == item.Name {
						want = ""
					}
					if !ok || found.DI != item.DI || found.Only != want {
						t.Errorf("Find(%s) = %s (only %q), %v, want %s", name, found.DI.Format(d.version), found.Only, ok, item.DI.Format(d.version))
					}
				}
			}
		}
	})
}

func TestFind(t *testing.T) {
	tests := []struct {
		version Version
		name    string
		di      DI
		item    string
		only    string
		unit    string
	}{
		{V2007, "forward_active_energy", 0x00010000, "forward_active_energy", "", "kWh"},
		{V2007, "forward_active_energy_t1_h2", 0x00010102, "forward_active_energy_t1_h2", "", "kWh"},
		{V2007, "forward_active_energy_t63_h12", 0x00013F0C, "forward_active_energy_t63_h12", "", "kWh"},
		{V2007, "forward_active_energy_block", 0x0001FF00, "forward_active_energy_block", "", "kWh"},
		{V2007, "forward_active_energy_block_h2", 0x0001FF02, "forward_active_energy_block_h2", "", "kWh"},
		{V2007, "forward_active_energy_t1_history", 0x000101FF, "forward_active_energy_t1_history", "", "kWh"},
		{V2007, "forward_active_energy_a", 0x00150000, "forward_active_energy_a", "", "kWh"},
		{V2007, "quadrant_4_reactive_energy_c_h1", 0x00440001, "quadrant_4_reactive_energy_c_h1", "", "kvarh"},
		{V2007, "forward_active_demand_t1_h2_time", 0x01010102, "forward_active_demand_t1_h2", "forward_active_demand_t1_h2_time", ""},
		{V2007, "voltage_block", 0x0201FF00, "voltage_block", "", "V"},
		{V2007, "active_power_c", 0x02030300, "active_power_c", "", "kW"},
		{V2007, "voltage_a_harmonic_3", 0x020A0103, "voltage_a_harmonic_3", "", "%"},
		{V2007, "status_3.relay_open", 0x04000503, "status_3", "status_3.relay_open", ""},
		{V2007, "status_block", 0x040005FF, "status_block", "", ""},
		{V2007, "clock_date_weekday", 0x04000101, "clock_date", "clock_date_weekday", ""},
		{V2007, "voltage_loss_count_b", 0x03010000, "voltage_loss_totals", "voltage_loss_count_b", ""},
		{V2007, "voltage_loss_minutes_b", 0x03010000, "voltage_loss_totals", "voltage_loss_minutes_b", "min"},
		{V2007, "voltage_loss_record_a_10", 0x0301010A, "voltage_loss_record_a_10", "", ""},
		{V2007, "voltage_loss_event_b_start_2", 0x10020102, "voltage_loss_event_b_start_2", "", ""},
		{V2007, "voltage_loss_event_b_2", 0x1002FF02, "voltage_loss_event_b_2", "", ""},
		{V2007, "daily_freeze_forward_active_energy_t1_5", 0x05060105, "daily_freeze_forward_active_energy_block_5", "daily_freeze_forward_active_energy_t1_5", "kWh"},
		{V2007, "daily_freeze_5", 0x0506FF05, "daily_freeze_5", "", ""},
		{V2007, "load_record_4_latest", 0x06040002, "load_record_4_latest", "", ""},
		{V1997, "forward_active_energy_t1_h2", 0x9811, "forward_active_energy_t1_h2", "", "kWh"},
		{V1997, "forward_active_demand_t2_h1_time", 0xB412, "forward_active_demand_t2_h1_time", "", ""},
		{V1997, "quadrant_4_reactive_energy_block", 0x914F, "quadrant_4_reactive_energy_block", "", "kvarh"},
		{V1997, "voltage_c", 0xB613, "voltage_c", "", "V"},
	}
	for _, test := range tests {
		got, ok := Items(test.version).Named(test.name)
		if !ok || got.DI != test.di || got.Name != test.item || got.Only != test.only || got.Unit != test.unit {
			t.Errorf("Find(%s) = %s %s only %q unit %q, %v, want %s %s only %q unit %q", test.name,
				got.DI.Format(test.version), got.Name, got.Only, got.Unit, ok, test.di.Format(test.version), test.item, test.only, test.unit)
		}
	}
}

func TestFindNothing(t *testing.T) {
	for _, name := range []string{
		"", "forward_active_energy_t64", "forward_active_energy_t0", "forward_active_energy_t01", "forward_active_energy_h13",
		"forward_active_energy_h2_t1", "forward_active_energy_block_history", "forward_active_demand_block_time", "voltage", "voltage_d",
		"status_3.nothing", "status_8", "status_3.", "voltage_a.relay_open", "00010000", "clock_time_weekday", "voltage_a_harmonic_22",
	} {
		if item, ok := Items(V2007).Named(name); ok {
			t.Errorf("Find(%q) = %s", name, item.DI.Format(V2007))
		}
	}
}

func TestLookupNothing(t *testing.T) {
	for _, di := range []DI{0, 0x00014000, 0x0001FFFF, 0x0001000D, 0x0200FF00, 0xFFFFFFFF, 0x02010000, 0x04000509} {
		if item, ok := Items(V2007).Lookup(di); ok != (di == 0) {
			t.Errorf("Lookup(%s) = %s, %v", di.Format(V2007), item.Name, ok)
		}
	}
}

func TestBlocks(t *testing.T) {
	tests := []struct {
		version Version
		name    string
		want    string
	}{
		{V2007, "voltage_a", "voltage_block"},
		{V2007, "forward_active_energy_t1_h2", "forward_active_energy_block_h2 forward_active_energy_t1_history"},
		{V2007, "forward_active_energy_block", ""},
		{V2007, "frequency", ""},
		{V2007, "status_3", "status_block"},
		{V1997, "clock_date", "clock"},
		{V1997, "voltage_a", "voltage_block"},
	}
	for _, test := range tests {
		item, _ := Items(test.version).Named(test.name)
		var got []string
		for _, block := range item.blocks() {
			got = append(got, block.Name)
			if !block.Block() || !slices.Contains(block.Names(), test.name) {
				t.Errorf("%s is said to be in %s, which holds %v", test.name, block.Name, block.Names())
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("blocks of %s: %v, want %s", test.name, got, test.want)
		}
	}
}

func TestText(t *testing.T) {
	tests := []struct{ name, en, zh string }{
		{"forward_active_energy", "forward active energy", "正向有功总电能"},
		{"forward_active_energy_t1_h2", "forward active energy, tariff 1, settlement 2 back", "(上2结算日)正向有功费率1电能"},
		{"voltage_b", "voltage, phase B", "B相电压"},
		{"active_power", "active power", "瞬时总有功功率"},
		{"forward_active_demand_time", "forward active maximum demand, time", "正向有功总最大需量发生时间"},
		{"clock_date_weekday", "date, weekday", "日期及星期(星期)"},
		{"status_3.relay_open", "relay open", "继电器断开"},
		{"voltage_loss_event_b_start_2", "voltage loss event, phase B, record 2, start", "(上2次)B相失压记录发生时刻"},
		{"daily_freeze_forward_active_energy_t1_5", "daily freeze, record 5: forward active energy, tariff 1", "(上5次)日冻结正向有功费率1电能"},
	}
	for _, test := range tests {
		item, _ := Items(V2007).Named(test.name)
		if en, zh := item.Text("en"), item.Text("zh"); en != test.en || zh != test.zh {
			t.Errorf("%s: %q, %q, want %q, %q", test.name, en, zh, test.en, test.zh)
		}
	}
}

func TestSearch(t *testing.T) {
	tests := []struct {
		version Version
		words   string
		want    string // in the names of the rows found
	}{
		{V2007, "00010102", "forward_active_energy"},
		{V2007, "forward_active_energy_t1_h2", "forward_active_energy"},
		{V2007, "0001tthh", "forward_active_energy"},
		{V2007, "STATUS_3.relay_open", "status_1"},
		{V2007, "正向有功 电能 基波", "forward_active_fundamental_energy forward_active_fundamental_energy_a"},
		{V2007, "Grid FREQUENCY", "frequency"},
		{V2007, "voltage_c", "voltage_a voltage_a_harmonic_1"},
		{V2007, "b相电压", "voltage_a"},
		{V2007, "power failure", "power_down_count power_down_record_1"},
		{V2007, "nothing of the kind", ""},
		{V1997, "B612", "voltage_a"},
	}
	for _, test := range tests {
		var got []string
		for _, row := range Items(test.version).Matching(strings.Fields(test.words)...) {
			got = append(got, row.Name)
		}
		for want := range strings.FieldsSeq(test.want) {
			if !slices.Contains(got, want) {
				t.Errorf("Search(%s) = %v, which lacks %s", test.words, got, want)
			}
		}
		if test.want == "" && got != nil {
			t.Errorf("Search(%s) = %v", test.words, got)
		}
	}
	if rows, all := len(Items(V2007).Matching()), len(Items(V2007).entries); rows != all || all < 400 {
		t.Errorf("a search without words finds %d rows of %d", rows, all)
	}
}

// The measure is less than 20 ms at the start of the program, both editions together.
func BenchmarkParseDictionary(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for v, table := range map[Version]string{V2007: items2007, V1997: items1997} {
			if _, err := parseDictionary(v, table); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// TestWhatMakersDisagreeOn has no name for the identifiers of 1997 that are the frequency in meters
// of one maker and the apparent power in those of another.
func TestWhatMakersDisagreeOn(t *testing.T) {
	for _, di := range []DI{0xB660, 0xB680} {
		if item, ok := Items(V1997).Lookup(di); ok {
			t.Errorf("%04X is called %s", uint32(di), item.Name)
		}
	}
}
