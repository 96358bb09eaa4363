package dlt645

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

var editions = []Version{V2007, V1997}

// shanghai is the zone in which the meters of the tests keep their time.
var shanghai = time.FixedZone("CST", 8*60*60)

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
	for _, v := range editions {
		d := Items(v)
		owners := make(map[string]DI)
		for _, f := range d.families {
			switch {
			case !slices.Contains([]string{"R", "W", "RW"}, f.row.Access):
				t.Errorf("%s %s: access %q", v, f.row.DI, f.row.Access)
			case !slices.Contains([]string{"base", "amend", "csg", "vendor"}, f.row.Origin):
				t.Errorf("%s %s: origin %q", v, f.row.DI, f.row.Origin)
			case f.row.TextEN == "" || f.row.TextZH == "" || strings.ContainsAny(f.row.TextEN+f.row.TextZH, "{}"):
				t.Errorf("%s %s: texts %q and %q", v, f.row.DI, f.row.TextEN, f.row.TextZH)
			}
			for _, item := range everyItem(f) {
				if f.codec == nil && item.Size() <= 0 {
					t.Errorf("%s %s has %d bytes", v, item.Name, item.Size())
				}
				if !name.MatchString(item.Name) || slices.Contains(reserved, item.Name) {
					t.Errorf("%s %s: %q is no good name", v, item.DI.Format(v), item.Name)
				}
				if other, ok := owners[item.Name]; ok && other != item.DI {
					t.Errorf("%s: %s and %s are both %s", v, other.Format(v), item.DI.Format(v), item.Name)
				}
				owners[item.Name] = item.DI
				if found, ok := d.Lookup(item.DI); !ok || found.Name != item.Name || found.family != f {
					t.Errorf("%s: Lookup(%s) = %s, %v, want %s", v, item.DI.Format(v), found.Name, ok, item.Name)
				}
				if found, ok := d.Find(item.Name); !ok || found.DI != item.DI || found.Only != "" {
					t.Errorf("%s: Find(%s) = %s (only %q), %v, want %s", v, item.Name, found.DI.Format(v), found.Only, ok, item.DI.Format(v))
				}
			}
		}
	}
}

func TestRowsDoNotOverlap(t *testing.T) {
	for _, v := range editions {
		d := Items(v)
		for _, f := range d.families {
			for _, item := range everyItem(f) {
				for _, other := range d.families {
					if _, ok := other.match(item.DI); ok && other != f {
						t.Errorf("%s: %s is in the rows %s and %s", v, item.DI.Format(v), f.row.DI, other.row.DI)
					}
				}
			}
		}
	}
}

func TestEveryValueIsFound(t *testing.T) {
	for _, v := range editions {
		d := Items(v)
		for _, f := range d.families {
			for _, item := range everyItem(f) {
				if item.Block() {
					continue
				}
				names := item.Names()
				if len(names) > 40 {
					names = slices.Concat(names[:20], names[len(names)-20:])
				}
				for _, name := range names {
					found, ok := d.Find(name)
					want := name
					if name == item.Name {
						want = ""
					}
					if !ok || found.DI != item.DI || found.Only != want {
						t.Errorf("%s: Find(%s) = %s (only %q), %v, want %s", v, name, found.DI.Format(v), found.Only, ok, item.DI.Format(v))
					}
				}
			}
		}
	}
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
		{V2007, "forward_active_demand_t1_h2_time", 0x01010102, "forward_active_demand_t1_h2", "forward_active_demand_t1_h2_time", "kW"},
		{V2007, "voltage_block", 0x0201FF00, "voltage_block", "", "V"},
		{V2007, "active_power_c", 0x02030300, "active_power_c", "", "kW"},
		{V2007, "voltage_a_harmonic_3", 0x020A0103, "voltage_a_harmonic_3", "", "%"},
		{V2007, "status_3.relay_open", 0x04000503, "status_3", "status_3.relay_open", ""},
		{V2007, "status_block", 0x040005FF, "status_block", "", ""},
		{V2007, "clock_date_weekday", 0x04000101, "clock_date", "clock_date_weekday", ""},
		{V2007, "voltage_loss_count_b", 0x03010000, "voltage_loss_totals", "voltage_loss_count_b", "min"},
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
		got, ok := Items(test.version).Find(test.name)
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
		if item, ok := Items(V2007).Find(name); ok {
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
		{V1997, "clock_date", "clock_block"},
		{V1997, "voltage_a", "voltage_block"},
	}
	for _, test := range tests {
		item, _ := Items(test.version).Find(test.name)
		var got []string
		for _, block := range item.Blocks() {
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
		{"clock_date_weekday", "date, weekday", "日期及星期星期"},
		{"status_3.relay_open", "relay open", "继电器断开"},
		{"voltage_loss_event_b_start_2", "voltage loss event, phase B, record 2, start", "(上2次)B相失压记录发生时刻"},
		{"daily_freeze_forward_active_energy_t1_5", "daily freeze, record 5: forward active energy, tariff 1", "(上5次)日冻结正向有功费率1电能"},
	}
	for _, test := range tests {
		item, _ := Items(V2007).Find(test.name)
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
		{V2007, "nothing of the kind", ""},
		{V1997, "B612", "voltage_a"},
	}
	for _, test := range tests {
		var got []string
		for _, row := range Items(test.version).Search(strings.Fields(test.words)...) {
			got = append(got, row.Name)
		}
		for _, want := range strings.Fields(test.want) {
			if !slices.Contains(got, want) {
				t.Errorf("Search(%s) = %v, which lacks %s", test.words, got, want)
			}
		}
		if test.want == "" && got != nil {
			t.Errorf("Search(%s) = %v", test.words, got)
		}
	}
	if rows, all := len(Items(V2007).Search()), len(slices.Collect(Items(V2007).All())); rows != all || all < 400 {
		t.Errorf("a search without words finds %d rows of %d", rows, all)
	}
}

// TestNoValue encodes nothing, which makes FF bytes, and reads it back.
func TestNoValue(t *testing.T) {
	for _, v := range editions {
		for _, f := range Items(v).families {
			for _, item := range everyItem(f) {
				if f.codec != nil {
					continue
				}
				data, err := item.Append(nil, map[string]any{}, shanghai)
				if err != nil {
					t.Errorf("%s: %v", item.Name, err)
					continue
				}
				values, err := item.Decode(data, shanghai)
				if err != nil || len(values) == 0 {
					t.Errorf("%s of %X: %v, %v", item.Name, data, values, err)
				}
				for _, value := range values {
					checkNothing(t, value.Name, value.Data)
				}
			}
		}
	}
}

// checkNothing tells of values in what was decoded of FF bytes.
func checkNothing(t *testing.T, name string, data any) {
	t.Helper()
	switch data := data.(type) {
	case nil:
	case []any:
		for _, element := range data {
			checkNothing(t, name, element)
		}
	case map[string]any:
		for key, entry := range data {
			checkNothing(t, name+" "+key, entry)
		}
	default:
		// A one-byte bit word of FF has every bit set, and its flags with it.
		if text, ok := data.(string); data != true && !(ok && text == "FF") {
			t.Errorf("%s: FF bytes are read as %v", name, data)
		}
	}
}

// TestZeroAndGreatest encodes zeros and the greatest numbers of all items and reads them back.
func TestZeroAndGreatest(t *testing.T) {
	for _, v := range editions {
		for _, f := range Items(v).families {
			for _, item := range everyItem(f) {
				if f.codec != nil {
					continue
				}
				for _, nines := range []bool{false, true} {
					data := fill(f, item.at, nines)
					values, err := item.Decode(data, shanghai)
					if err != nil {
						t.Errorf("%s of %X: %v", item.Name, data, err)
						continue
					}
					given := make(map[string]any)
					for _, value := range values {
						if !strings.Contains(value.Name, ".") && !(f.weekday >= 0 && strings.HasSuffix(value.Name, "_weekday")) {
							given[value.Name] = value.Data
						}
					}
					again, err := item.Append(nil, given, shanghai)
					if err != nil {
						t.Errorf("%s of %v: %v", item.Name, given, err)
						continue
					}
					reread, err := item.Decode(again, shanghai)
					if err != nil || !slices.EqualFunc(values, reread, equalValues) {
						t.Errorf("%s of %v: %v, %v", item.Name, values, reread, err)
					}
				}
			}
		}
	}
}

func equalValues(a, b protocol.Value) bool {
	return a.Name == b.Name && a.Unit == b.Unit && equalData(a.Data, b.Data)
}

// fill makes the data of one item, all zeros or with the greatest numbers.
func fill(f *family, at positions, nines bool) []byte {
	if running := f.running(at); running >= 0 {
		var data []byte
		for n := range len(f.letters[running].options) - 1 {
			at[running] = uint8(n)
			data = append(data, fill(f, at, nines)...)
		}
		return data
	}
	var data []byte
	for k := range f.fields {
		form, _ := f.form(k, at)
		data = append(data, fillForm(form, nines)...)
	}
	return data
}

func fillForm(f *form, nines bool) []byte {
	var data []byte
	for range max(f.repeat, 1) {
		for i := range f.record {
			data = append(data, fillForm(&f.record[i].form, nines)...)
		}
		if f.record != nil {
			continue
		}
		field := make([]byte, f.picture.size)
		for i := range field {
			if nines && f.picture.kind == number {
				field[i] = 0x99
			}
		}
		if top := len(field) - 1; field[top] == 0x99 {
			if f.picture.digits%2 == 1 {
				field[top] = 0x09
			}
			if f.picture.signed {
				field[top] = field[top]&0x0F | 0xF0&(field[top]&0x70|0x80)
			}
		}
		data = append(data, field...)
	}
	return data
}
