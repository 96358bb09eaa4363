package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// TestEverydayWords asks meters of each protocol for what electricians call it, and searches the dictionaries for it.
func TestEverydayWords(t *testing.T) {
	protocols := newProtocols(time.UTC)
	for spoken, words := range map[string]map[string]string{
		"2007": {
			"电压": "voltage_a voltage_b voltage_c", "三相电流": "current_a current_b current_c", "功率": "active_power", "总功率": "active_power", "无功": "reactive_power",
			"功率因数": "power_factor", "功率因素": "power_factor", "频率": "frequency", "电量": "forward_active_energy", "总电量": "forward_active_energy", "用电量": "forward_active_energy",
			"正向有功": "forward_active_energy", "正向有功总": "forward_active_energy", "正向有功总电量": "forward_active_energy", "反向有功": "reverse_active_energy", "组合有功": "combined_active_energy",
			"正向无功": "combined_reactive_1_energy", "尖电量": "forward_active_energy_t1", "峰电量": "forward_active_energy_t2", "平段电量": "forward_active_energy_t3", "反向有功谷": "reverse_active_energy_t4",
			"需量": "forward_active_demand", "最大需量": "forward_active_demand", "当前需量": "active_demand", "余额": "remaining_money", "剩余电费": "remaining_money", "剩余电量": "remaining_energy",
			"时钟": "clock", "日期": "clock_date", "时间": "clock_time", "状态字3": "status_3", "运行状态字": "status_block", "继电器状态": "status_3.relay_open", "A相电压": "voltage_a", "电压A": "voltage_a", "Ａ相功率": "active_power_a",
			"B相功率因数": "power_factor_b", "C相电量": "forward_active_energy_c", "零线电流": "neutral_current", "电表温度": "temperature", "实时功率": "active_power", "表地址": "address", "停电次数": "power_down_count", "常数": "active_constant",
		},
		"1997": {
			"电压": "voltage_a voltage_b voltage_c", "电流": "current_a current_b current_c", "功率": "active_power", "功率因数": "power_factor", "电量": "forward_active_energy", "正向有功": "forward_active_energy",
			"反向有功": "reverse_active_energy", "正向无功": "forward_reactive_energy", "需量": "forward_active_demand", "时钟": "clock", "日期": "clock_date", "状态字": "meter_status", "零线电流": "neutral_current", "频率": "",
			"峰电量": "forward_active_energy_t2", "结算日": "settlement_day_1",
		},
		"698": {
			"电压": "voltage_block", "电流": "current_block", "功率": "active_power", "功率因数": "power_factor", "频率": "frequency", "电量": "forward_active_energy", "总电量": "forward_active_energy", "正向有功": "forward_active_energy",
			"反向有功": "reverse_active_energy", "需量": "forward_active_demand", "余额": "remaining_money", "时钟": "clock", "日期": "clock", "时间": "clock", "状态字1": "status_1", "A相电压": "voltage_a", "零线电流": "neutral_current",
			"谷电量": "forward_active_energy_t4", "继电器": "relay_open", "B相电流": "current_b",
		},
		"188": {
			"水量": "volume", "用水量": "volume", "累计流量": "volume", "用气量": "volume", "表底": "volume", "热量": "heat_energy", "冷量": "cooling_energy", "进水温度": "supply_temperature", "回温": "return_temperature",
			"瞬时流量": "flow_rate", "时钟": "clock", "日期": "clock", "状态字": "status", "阀门": "valve", "电池": "battery_low", "工作时间": "working_hours", "频率": "",
		},
		"modbus/dtsu666": {
			"电压": "voltage_a voltage_b voltage_c", "线电压": "voltage_ab voltage_bc voltage_ca", "AB线电压": "voltage_ab", "电流": "current_a current_b current_c", "功率": "active_power", "功率因数": "power_factor",
			"频率": "frequency", "电量": "forward_active_energy", "正向有功": "forward_active_energy", "反向有功总电量": "reverse_active_energy", "A相功率": "active_power_a", "变比": "current_transformer_ratio", "余额": "",
		},
		"modbus/ddsu666":  {"电压": "voltage_a", "电流": "current_a", "频率": "frequency"},
		"modbus/ddsy1352": {"电量": "combined_active_energy"},
	} {
		catalogue, ok := protocols[spoken].(protocol.Catalogue)
		if !ok {
			t.Fatalf("%s has no catalogue", spoken)
		}
		for word, want := range words {
			names, err := catalogue.Match(word)
			got := strings.Join(names, " ")
			if (want == "") != (err != nil) || got != want && !blockOf(catalogue, want, names) {
				t.Errorf("%s: %s is %q, want %q: %v", spoken, word, got, want, err)
			}
			status, out, _ := execute(t, "", "items", "-json", "-protocol", spoken, word)
			if (status == 0) != (want != "") {
				t.Errorf("%s: items %s: status %d: %s", spoken, word, status, out)
			}
		}
	}
}

// blockOf reports whether names are what a block brings.
func blockOf(catalogue protocol.Catalogue, block string, names []string) bool {
	all, err := catalogue.Match(block)
	return err == nil && slices.Equal(all, names)
}

// TestEverydayWordsOnTheBus reads a meter by such words.
func TestEverydayWordsOnTheBus(t *testing.T) {
	setAll(t, map[string]string{"DLT645_METERS": "main=1"})
	status, out, stderr := execute(t, "", "read", "-bus", quickMeters+"&meters=1", "main", "电压", "频率", "总电量")
	for _, want := range []string{"voltage_a ", "voltage_c ", "frequency ", "forward_active_energy "} {
		if !strings.Contains(out, want) {
			t.Errorf("status %d: without %s: %s%s", status, want, out, stderr)
		}
	}
	rows, _, _ := strings.Cut(func() string { _, out, _ := execute(t, "", "items", "频率"); return out }(), "\n\n")
	if !strings.Contains(rows, "frequency") {
		t.Errorf("items 频率 prints %s", rows)
	}
	if _, out, _ := execute(t, "", "items", "-json", "电量"); !strings.HasPrefix(out, `{"name":"forward_active_energy"`) {
		t.Errorf("items 电量 begins with %.80s", out)
	}
}
