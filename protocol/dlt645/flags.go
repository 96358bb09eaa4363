package dlt645

import (
	"strings"

	"dlt645-mqtt/protocol"
)

// A bitField is a flag, or a small number, in a bit word.
type bitField struct {
	name   string // with the word's: "status_3.relay_open"
	at     uint8  // its lowest bit; bit 0 is the lowest of the byte that travels first
	states []string
	en, zh string
}

// bitFieldsOf returns the named bits of a bit word, in the order of their places.
func bitFieldsOf(word string) []bitField { return bitFields[word] }

// appendFlags appends the named bits of a word: a boolean each, or the word for its state
// if the field is of two bits (nil for a state that is reserved). A word without value has
// flags without value.
func appendFlags(values []protocol.Value, word string, data []byte, missing bool) []protocol.Value {
	for _, b := range bitFieldsOf(word) {
		value := protocol.Value{Name: b.name}
		bit := data[b.at/8] >> (b.at % 8)
		switch {
		case missing:
		case b.states == nil:
			value.Data = bit&1 != 0
		case int(bit&3) < len(b.states):
			value.Data = b.states[bit&3]
		}
		values = append(values, value)
	}
	return values
}

// Words returns what people call the states of a field of two bits.
func (m *Meters) Words(name string) (words []protocol.Word) {
	word, _, _ := strings.Cut(name, ".")
	for _, b := range bitFieldsOf(word) {
		if b.name != name {
			continue
		}
		for _, state := range b.states {
			text := stateTexts[state]
			words = append(words, protocol.Word{Value: state, English: text[0], Chinese: text[1]})
		}
	}
	return words
}

// stateTexts are the states in both languages.
var stateTexts = map[string][2]string{
	"main": {"main supply", "主电源"}, "auxiliary": {"auxiliary supply", "辅助电源"}, "battery": {"battery", "电池供电"},
	"not_prepaid": {"not prepaid", "非预付费"}, "prepaid_energy": {"prepaid energy", "电量型预付费"}, "prepaid_money": {"prepaid money", "电费型预付费"},
}

// alarmWords are the words whose flags tell of trouble, but for those that calm lists: they
// say how the meter is set, or how it is used.
var alarmWords = map[string]bool{
	"status_1": true, "status_2": true, "status_3": true, "status_4": true, "status_5": true, "status_6": true, "status_7": true,
	"meter_status": true, "grid_status": true,
}

var calm = map[string]bool{
	"demand_by_block": true, "second_day_period_set": true, "second_year_zone_set": true, "second_tariff_price_set": true,
	"second_ladder_set": true, "programming_allowed": true, "relay_open": true, "relay_command_open": true, "keep_power": true,
	"authenticated": true, "local_account_missing": true, "remote_account_missing": true, "manual_reading": true,
}

// alarms reports whether something is wrong while the flag is set.
func (b bitField) alarms() bool {
	word, flag, _ := strings.Cut(b.name, ".")
	return b.states == nil && alarmWords[word] && !calm[flag]
}

// bitFields holds the named bits by word. Bits that only single makers use are left out;
// the raw word shows them.
var bitFields = nameBits(map[string][]bitField{
	// DL/T 645-2007, annex C: status words 1 to 7, from bit 8 up by the amendments.
	"status_1": {
		{"demand_by_block", 1, nil, "demand by block, not sliding", "需量积算方式为区间式"},
		{"clock_battery_low", 2, nil, "clock battery low", "时钟电池欠压"},
		{"outage_battery_low", 3, nil, "outage-reading battery low", "停电抄表电池欠压"},
		{"active_power_reverse", 4, nil, "active power reverse", "有功功率反向"},
		{"reactive_power_reverse", 5, nil, "reactive power reverse", "无功功率反向"},
		{"control_circuit_error", 8, nil, "control circuit error", "控制回路错误"},
		{"esam_error", 9, nil, "ESAM error", "ESAM错误"},
		{"program_error", 12, nil, "internal program error", "内部程序错误"},
		{"memory_fault", 13, nil, "memory fault", "存储器故障或损坏"},
		{"overdraft", 14, nil, "overdraft", "透支状态"},
		{"clock_fault", 15, nil, "clock fault", "时钟故障"},
	},
	"status_2": {
		{"active_power_a_reverse", 0, nil, "active power of phase A reverse", "A相有功功率反向"},
		{"active_power_b_reverse", 1, nil, "active power of phase B reverse", "B相有功功率反向"},
		{"active_power_c_reverse", 2, nil, "active power of phase C reverse", "C相有功功率反向"},
		{"reactive_power_a_reverse", 4, nil, "reactive power of phase A reverse", "A相无功功率反向"},
		{"reactive_power_b_reverse", 5, nil, "reactive power of phase B reverse", "B相无功功率反向"},
		{"reactive_power_c_reverse", 6, nil, "reactive power of phase C reverse", "C相无功功率反向"},
	},
	"status_3": {
		{"second_day_period_set", 0, nil, "second set of day-period tables in use", "当前运行第二套日时段表"},
		{"supply", 1, []string{"main", "auxiliary", "battery"}, "supply", "供电方式"},
		{"programming_allowed", 3, nil, "programming allowed", "编程允许"},
		{"relay_open", 4, nil, "relay open", "继电器断开"},
		{"second_year_zone_set", 5, nil, "second year-zone table in use", "当前运行第二套时区表"},
		{"relay_command_open", 6, nil, "relay commanded open", "继电器命令为断"},
		{"pre_trip_alarm", 7, nil, "alarm ahead of a trip", "预跳闸报警"},
		{"meter_type", 8, []string{"not_prepaid", "prepaid_energy", "prepaid_money"}, "meter type", "电能表类型"},
		{"second_tariff_price_set", 10, nil, "second set of tariff prices in use", "当前运行第二套费率电价"},
		{"second_ladder_set", 11, nil, "second set of ladders in use", "当前运行第二套阶梯"},
		{"keep_power", 12, nil, "power is kept on", "保电状态"},
		{"authenticated", 13, nil, "identity authentication valid", "身份认证有效"},
		{"local_account_missing", 14, nil, "no local account opened", "本地未开户"},
		{"remote_account_missing", 15, nil, "no remote account opened", "远程未开户"},
	},
	"status_4": phaseFaults,
	"status_5": phaseFaults,
	"status_6": phaseFaults,
	"status_7": {
		{"voltage_reverse_sequence", 0, nil, "voltage reverse phase sequence", "电压逆相序"},
		{"current_reverse_sequence", 1, nil, "current reverse phase sequence", "电流逆相序"},
		{"voltage_unbalance", 2, nil, "voltage unbalance", "电压不平衡"},
		{"current_unbalance", 3, nil, "current unbalance", "电流不平衡"},
		{"auxiliary_supply_failure", 4, nil, "auxiliary supply failure", "辅助电源失电"},
		{"power_down", 5, nil, "power down", "掉电"},
		{"demand_over_limit", 6, nil, "demand over limit", "需量超限"},
		{"power_factor_below_limit", 7, nil, "total power factor below limit", "总功率因数超下限"},
		{"severe_current_unbalance", 8, nil, "severe current unbalance", "电流严重不平衡"},
		{"cover_open", 9, nil, "meter cover open", "开表盖"},
		{"terminal_cover_open", 10, nil, "terminal cover open", "开端钮盖"},
	},
	"key_status": {
		{"main_control", 0, nil, "main control key is private", "主控密钥"},
		{"identity_authentication", 1, nil, "identity authentication key is private", "身份认证密钥"},
		{"key_agreement", 2, nil, "key agreement key is private", "密钥协商密钥"},
		{"key_update", 3, nil, "key update key is private", "密钥更新密钥"},
		{"transfer", 4, nil, "transfer key is private", "传输密钥"},
		{"protection", 5, nil, "protection key is private", "保护密钥"},
		{"broadcast_authentication", 6, nil, "broadcast authentication key is private", "广播认证密钥"},
		{"main_control_unrecoverable", 7, nil, "main control key cannot be recovered", "主控密钥不可恢复"},
	},
	"active_combination": {
		{"forward_plus", 0, nil, "forward active added", "正向有功加"},
		{"forward_minus", 1, nil, "forward active subtracted", "正向有功减"},
		{"reverse_plus", 2, nil, "reverse active added", "反向有功加"},
		{"reverse_minus", 3, nil, "reverse active subtracted", "反向有功减"},
	},
	"reactive_combination_1": reactiveCombination,
	"reactive_combination_2": reactiveCombination,
	"infrared_baud":          baudRates,
	"contact_infrared_baud":  baudRates,
	"port_1_baud":            baudRates,
	"port_2_baud":            baudRates,
	"port_3_baud":            baudRates,
	"weekend_word": {
		{"sunday_work", 0, nil, "Sunday is a working day", "星期日工作"},
		{"monday_work", 1, nil, "Monday is a working day", "星期一工作"},
		{"tuesday_work", 2, nil, "Tuesday is a working day", "星期二工作"},
		{"wednesday_work", 3, nil, "Wednesday is a working day", "星期三工作"},
		{"thursday_work", 4, nil, "Thursday is a working day", "星期四工作"},
		{"friday_work", 5, nil, "Friday is a working day", "星期五工作"},
		{"saturday_work", 6, nil, "Saturday is a working day", "星期六工作"},
	},
	"load_record_mode": {
		{"voltage_current_frequency", 0, nil, "voltages, currents, frequency", "电压、电流、频率"},
		{"power", 1, nil, "active and reactive power", "有、无功功率"},
		{"power_factor", 2, nil, "power factor", "功率因数"},
		{"total_energy", 3, nil, "active and reactive total energies", "有、无功总电能"},
		{"quadrant_energy", 4, nil, "reactive energies of the four quadrants", "四象限无功总电能"},
		{"demand", 5, nil, "current demand", "当前需量"},
	},
	"timed_freeze_mode":         freezeParts,
	"instantaneous_freeze_mode": freezeParts,
	"agreed_freeze_mode":        freezeParts,
	"hourly_freeze_mode":        freezeParts,
	"daily_freeze_mode":         freezeParts,
	"monthly_freeze_mode":       freezeParts,
	"run_feature_1": {
		{"external_switch_by_pulse", 0, nil, "external switch is controlled by a pulse, not a level", "外置开关控制方式为脉冲"},
	},
	"active_report_mode":   reportModes,
	"active_report_status": reports,

	// DL/T 645-1997.
	"meter_status": {
		{"manual_reading", 0, nil, "reading by hand, not automatic", "抄表方式为手动"},
		{"demand_by_block", 1, nil, "demand by block, not sliding", "最大需量积算方式为区间式"},
		{"battery_low", 2, nil, "battery low", "电池欠压"},
		{"active_power_reverse", 4, nil, "active power reverse", "有功电能方向反向"},
		{"reactive_power_reverse", 5, nil, "reactive power reverse", "无功电能方向反向"},
	},
	"grid_status": {
		{"phase_a_failure", 0, nil, "phase A failure", "A相断电"},
		{"phase_b_failure", 1, nil, "phase B failure", "B相断电"},
		{"phase_c_failure", 2, nil, "phase C failure", "C相断电"},
		{"over_voltage_a", 4, nil, "over-voltage of phase A", "A相过压"},
		{"over_voltage_b", 5, nil, "over-voltage of phase B", "B相过压"},
		{"over_voltage_c", 6, nil, "over-voltage of phase C", "C相过压"},
	},
})

// nameBits puts the word's name in front of those of its bits.
func nameBits(words map[string][]bitField) map[string][]bitField {
	named := make(map[string][]bitField, len(words))
	for word, fields := range words {
		for _, b := range fields {
			b.name = word + "." + b.name
			named[word] = append(named[word], b)
		}
	}
	return named
}

var phaseFaults = []bitField{
	{"voltage_loss", 0, nil, "voltage loss", "失压"},
	{"under_voltage", 1, nil, "under-voltage", "欠压"},
	{"over_voltage", 2, nil, "over-voltage", "过压"},
	{"current_loss", 3, nil, "current loss", "失流"},
	{"over_current", 4, nil, "over-current", "过流"},
	{"overload", 5, nil, "overload", "过载"},
	{"reverse_power_flow", 6, nil, "reverse power flow", "潮流反向"},
	{"phase_failure", 7, nil, "phase failure", "断相"},
	{"current_failure", 8, nil, "current failure", "断流"},
}

var reactiveCombination = []bitField{
	{"quadrant_1_plus", 0, nil, "quadrant I added", "I象限加"},
	{"quadrant_1_minus", 1, nil, "quadrant I subtracted", "I象限减"},
	{"quadrant_2_plus", 2, nil, "quadrant II added", "II象限加"},
	{"quadrant_2_minus", 3, nil, "quadrant II subtracted", "II象限减"},
	{"quadrant_3_plus", 4, nil, "quadrant III added", "III象限加"},
	{"quadrant_3_minus", 5, nil, "quadrant III subtracted", "III象限减"},
	{"quadrant_4_plus", 6, nil, "quadrant IV added", "IV象限加"},
	{"quadrant_4_minus", 7, nil, "quadrant IV subtracted", "IV象限减"},
}

var baudRates = []bitField{
	{"baud_600", 1, nil, "600 bit/s", "600bps"},
	{"baud_1200", 2, nil, "1200 bit/s", "1200bps"},
	{"baud_2400", 3, nil, "2400 bit/s", "2400bps"},
	{"baud_4800", 4, nil, "4800 bit/s", "4800bps"},
	{"baud_9600", 5, nil, "9600 bit/s", "9600bps"},
	{"baud_19200", 6, nil, "19200 bit/s", "19200bps"},
}

var freezeParts = []bitField{
	{"forward_active_energy", 0, nil, "forward active energy", "正向有功电能"},
	{"reverse_active_energy", 1, nil, "reverse active energy", "反向有功电能"},
	{"combined_reactive_1_energy", 2, nil, "combined reactive 1 energy", "组合无功1电能"},
	{"combined_reactive_2_energy", 3, nil, "combined reactive 2 energy", "组合无功2电能"},
	{"quadrant_reactive_energy", 4, nil, "reactive energies of the four quadrants", "四象限无功电能"},
	{"forward_active_demand", 5, nil, "forward active maximum demand and time", "正向有功最大需量及发生时间"},
	{"reverse_active_demand", 6, nil, "reverse active maximum demand and time", "反向有功最大需量及发生时间"},
	{"variables", 7, nil, "variables", "变量"},
}
