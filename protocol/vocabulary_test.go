package protocol

import (
	"slices"
	"testing"
)

func TestVocabulary(t *testing.T) {
	var v Vocabulary
	for _, words := range [][2]string{
		{"active_power", "瞬时总有功功率"}, {"freeze", "瞬时冻结"}, {"active_power_a", "A相有功功率"}, {"voltage_a", "A相电压"}, {"energy_fine", "(当前)组合有功总电能(高精度)"}, {"other_voltage", "A相电压"}, {"nameless", ""},
	} {
		v.Add(words[0], words[1])
	}
	v.AddValue("mode.energy", "正向有功电能")
	v.AddValue("mode.demand", "正向有功需量")
	v.Add("energy", "正向有功总电能")
	for text, want := range map[string]string{
		"正向有功电能": "energy", "正向有功总电能": "energy", "正向有功需量": "mode.demand",
		"A相电压": "voltage_a", "a相 电压": "voltage_a", "Ａ相电压": "voltage_a", "（当前）A相电压": "voltage_a", "当前A相电压": "voltage_a",
		"瞬时冻结": "freeze", "冻结": "", "总有功功率": "active_power", "有功功率": "active_power", "A相有功功率": "active_power_a",
		"组合有功电能（高精度）": "energy_fine", "B相电压": "", "电压": "voltage_a", "正向有功总电量": "energy", "正向有功电度": "energy", "电能表A相电压": "voltage_a", "电流": "", "voltage_a": "", "": "", "总": "", "电表": "",
	} {
		if got, found := v.Name(text); got != want || found != (want != "") {
			t.Errorf("%s: %q, %t, want %q", text, got, found, want)
		}
	}
	for text, want := range map[string]string{"voltge_a": "; did you mean voltage_a?", "active_powr": "; did you mean active_power?", "temperature": ""} {
		if got := v.Hint(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"main", "shop", "canteen", "voltage_a", "voltage_b", "总表"}
	for text, want := range map[string]string{
		"mian": "main", "m": "", "shp": "shop", "Main": "main", "kanteen": "canteen", "voltage": "voltage_a", "voltage_c": "voltage_a",
		"voltage_of_heart": "", "": "", "总": "总表", "电压": "",
	} {
		if got := nearestTo(text, slices.Values(names)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// FuzzNearest compares any texts. What is there already is nearest to itself.
func FuzzNearest(f *testing.F) {
	f.Add("voltage_a", "voltge_a")
	f.Add("A相电压", "\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		if got := nearestTo(a, slices.Values([]string{b, a})); len([]rune(a)) <= 100 && got != a && string([]rune(got)) != string([]rune(a)) {
			t.Errorf("%q among itself and %q: %q", a, b, got)
		}
		var v Vocabulary
		v.Add("name", a)
		if name, found := v.Name(a); IsChinese(a) && loosely(plain(a)) != "" && (!found || name != "name") {
			t.Errorf("%q is not called by its name", a)
		}
	})
}
