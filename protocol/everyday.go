package protocol

import (
	"slices"
	"strings"
	"sync"
)

// everyday are short words that electricians use, which no standard has, and what each may mean: the first counts whose
// names are all known where it is asked. Alternatives stand apart by "|", and names that belong together by blanks.
var everyday = [][2]string{
	{"电压", "voltage_block | voltage_a voltage_b voltage_c | voltage_a"},
	{"相电压", "voltage_block | voltage_a voltage_b voltage_c | voltage_a"},
	{"三相电压", "voltage_block | voltage_a voltage_b voltage_c"},
	{"线电压", "voltage_ab voltage_bc voltage_ca"},
	{"电流", "current_block | current_a current_b current_c | current_a"},
	{"相电流", "current_block | current_a current_b current_c | current_a"},
	{"三相电流", "current_block | current_a current_b current_c"},
	{"中性线电流", "neutral_current"},
	{"N线电流", "neutral_current"},
	{"功率", "active_power"},
	{"有功", "active_power"},
	{"负荷", "active_power"},
	{"负载", "active_power"},
	{"三相功率", "active_power_block | active_power_a active_power_b active_power_c"},
	{"无功", "reactive_power"},
	{"视在", "apparent_power"},
	{"因数", "power_factor"},
	{"功率因素", "power_factor"}, // written wrongly more often than not
	{"力率", "power_factor"},
	{"相位角", "phase_angle_block | phase_angle_a | phase_angle"},
	{"相角", "phase_angle_block | phase_angle_a | phase_angle"},
	{"功角", "phase_angle_block | phase_angle_a | phase_angle"},
	{"频率", "frequency"},
	{"电能", "forward_active_energy | combined_active_energy"},
	{"累计电能", "forward_active_energy | combined_active_energy"},
	{"累积电能", "forward_active_energy | combined_active_energy"},
	{"用电", "forward_active_energy | combined_active_energy"},
	{"有功电能", "forward_active_energy | combined_active_energy"},
	{"示数", "forward_active_energy | combined_active_energy | volume"},
	{"读数", "forward_active_energy | combined_active_energy | volume"},
	{"表底", "forward_active_energy | combined_active_energy | volume"},
	{"止码", "forward_active_energy | combined_active_energy | volume"},
	{"正向有功", "forward_active_energy"},
	{"反向有功", "reverse_active_energy"},
	{"组合有功", "combined_active_energy"},
	{"正向无功", "forward_reactive_energy | combined_reactive_1_energy"},
	{"反向无功", "reverse_reactive_energy | combined_reactive_2_energy"},
	{"正向无功电能", "forward_reactive_energy | combined_reactive_1_energy"},
	{"反向无功电能", "reverse_reactive_energy | combined_reactive_2_energy"},
	{"上网", "reverse_active_energy"},
	{"上网电能", "reverse_active_energy"},
	{"发电", "reverse_active_energy"},
	{"发电电能", "reverse_active_energy"},
	{"需量", "forward_active_demand"},
	{"最大需量", "forward_active_demand"},
	{"有功需量", "forward_active_demand"},
	{"正向需量", "forward_active_demand"},
	{"反向需量", "reverse_active_demand"},
	{"最大需量时间", "forward_active_demand_time"},
	{"当前需量", "active_demand"},
	{"实时需量", "active_demand"},
	{"余额", "remaining_money"},
	{"余额金额", "remaining_money"},
	{"剩余金额", "remaining_money"},
	{"剩余电费", "remaining_money"},
	{"电费余额", "remaining_money"},
	{"透支", "overdraft_money"},
	{"透支金额", "overdraft_money"},
	{"购电次数", "purchase_count"},
	{"电价", "price"},
	{"时钟", "clock"},
	{"时间", "clock"},
	{"日期", "clock_date | clock"},
	{"日期时间", "clock"},
	{"表时间", "clock"},
	{"表内时间", "clock"},
	{"状态字", "status_block | status_1 | meter_status | status"},
	{"运行状态字", "status_block | status_1 | meter_status | status"},
	{"状态", "status_block | status_1 | meter_status | status"},
	{"运行状态", "status_block | status_1 | meter_status | status"},
	{"继电器", "relay_open | status_3.relay_open"},
	{"继电器状态", "relay_open | status_3.relay_open"},
	{"开关状态", "relay_open | status_3.relay_open"},
	{"拉合闸状态", "relay_open | status_3.relay_open"},
	{"跳合闸状态", "relay_open | status_3.relay_open"},
	{"地址", "address"},
	{"表地址", "address"},
	{"电表地址", "address"},
	{"户号", "customer_number"},
	{"型号", "meter_model"},
	{"常数", "active_constant"},
	{"脉冲常数", "active_constant"},
	{"有功常数", "active_constant"},
	{"变比", "current_transformer_ratio"},
	{"电流变比", "current_transformer_ratio"},
	{"CT变比", "current_transformer_ratio"},
	{"电压变比", "voltage_transformer_ratio"},
	{"PT变比", "voltage_transformer_ratio"},
	{"结算日", "settlement_days | settlement_day_1 | settlement_day"},
	{"抄表日", "settlement_days | settlement_day_1 | reading_day"},
	{"停电次数", "power_down_count | power_down_totals"},
	{"掉电次数", "power_down_count | power_down_totals"},
	{"失压次数", "voltage_loss_totals"},
	{"断相次数", "phase_failure_totals | phase_failure_count"},
	{"温度", "temperature"},
	{"表温", "temperature"},
	{"电表温度", "temperature"},
	{"电池", "battery_low | clock_battery_voltage"},
	{"电池电压", "clock_battery_voltage | battery_low"},
	{"水量", "volume"},
	{"用水", "volume"},
	{"用水量", "volume"},
	{"气量", "volume"},
	{"用气", "volume"},
	{"用气量", "volume"},
	{"累计水量", "volume"},
	{"累计流量", "volume"},
	{"累积水量", "volume"},
	{"瞬时流量", "flow_rate"},
	{"热量", "heat_energy"},
	{"用热", "heat_energy"},
	{"用热量", "heat_energy"},
	{"累计热量", "heat_energy"},
	{"冷量", "cooling_energy"},
	{"累计冷量", "cooling_energy"},
	{"进水温度", "supply_temperature"},
	{"供温", "supply_temperature"},
	{"出水温度", "return_temperature"},
	{"回温", "return_temperature"},
	{"工作时间", "working_hours | battery_running_minutes"},
	{"累计工作时间", "working_hours"},
	{"阀门", "valve"},
	{"阀", "valve"},
	{"阀位", "valve"},
}

// ofPhase are the quantities of one phase, by what they are called behind it.
var ofPhase = [][2]string{
	{"电压", "voltage"}, {"电流", "current"}, {"功率", "active_power"}, {"有功", "active_power"}, {"有功功率", "active_power"}, {"无功", "reactive_power"}, {"无功功率", "reactive_power"},
	{"视在功率", "apparent_power"}, {"功率因数", "power_factor"}, {"功率因素", "power_factor"}, {"电能", "forward_active_energy"}, {"相角", "phase_angle"}, {"相位角", "phase_angle"},
}

// energies are those with tariffs, by what stands before them.
var energies = [][2]string{
	{"", "forward_active_energy"}, {"正向", "forward_active_energy"}, {"正向有功", "forward_active_energy"}, {"反向", "reverse_active_energy"}, {"反向有功", "reverse_active_energy"}, {"组合有功", "combined_active_energy"},
}

// tariffs of a meter that has four are called so in their order.
var tariffs = [...]string{"尖", "峰", "平", "谷"}

// meant are the alternatives of each everyday word, by [UsualWords].
var meant = sync.OnceValue(func() map[string][][]string {
	all := map[string][][]string{}
	add := func(word string, alternatives ...[]string) {
		if key := UsualWords(word); all[key] == nil {
			all[key] = alternatives
		}
	}
	for _, row := range everyday {
		var alternatives [][]string
		for names := range strings.SplitSeq(row[1], "|") {
			alternatives = append(alternatives, strings.Fields(names))
		}
		add(row[0], alternatives...)
	}
	for _, phase := range []string{"A", "B", "C"} {
		for _, q := range ofPhase {
			name := []string{q[1] + "_" + strings.ToLower(phase)}
			for _, word := range []string{phase + "相" + q[0], phase + q[0], q[0] + phase, q[0] + phase + "相"} {
				add(word, name)
			}
		}
	}
	for _, pair := range []string{"AB", "BC", "CA"} {
		for _, word := range []string{pair + "电压", pair + "线电压", pair + "相电压", "线电压" + pair} {
			add(word, []string{"voltage_" + strings.ToLower(pair)})
		}
	}
	for _, e := range energies {
		for i, tariff := range tariffs {
			name := []string{e[1] + "_t" + string(rune('1'+i))}
			for _, word := range []string{e[0] + tariff + "电能", e[0] + tariff + "段电能", e[0] + tariff + "时电能", e[0] + tariff + "时段电能", e[0] + tariff + "段"} {
				add(word, name)
			}
			if e[0] != "" {
				add(e[0]+tariff, name)
			}
		}
	}
	for n := '1'; n <= '7'; n++ {
		add("状态字"+string(n), []string{"status_" + string(n)})
	}
	return all
})

// same are words that mean the same to electricians as what a table calls a thing, each before that.
var same = []string{"总", "", "用电量", "电能", "电量", "电能", "电度", "电能"}

var sameWords = strings.NewReplacer(same...)

// moments are what may stand before an everyday word.
var moments = []string{"", "当前", "实时", "瞬时"}

// Words are what [Everyday] and [UsualWords] know, for those who search by themselves.
type Words struct {
	Names   map[string][]string `json:"names"`   // that an everyday word may mean, by [UsualWords] of it
	Same    []string            `json:"same"`    // pairs: what a word is replaced by, from left to right
	Moments []string            `json:"moments"` // that may stand before an everyday word, in this order
}

// EverydayWords returns them.
func EverydayWords() Words {
	w := Words{map[string][]string{}, same, moments}
	for word, alternatives := range meant() {
		w.Names[word] = slices.Concat(alternatives...)
	}
	return w
}

// UsualWords returns a text with the words that tables have, in place of those of electricians: 电能 for 电量.
func UsualWords(text string) string { return sameWords.Replace(width(text)) }

// Everyday returns what a short word that electricians use may mean, each time by the names of one item or several. Of
// these the first counts whose names are all known. It is empty for other words.
func Everyday(word string) [][]string {
	if !IsChinese(word) {
		return nil
	}
	key := UsualWords(word)
	for _, prefix := range moments {
		if rest, cut := strings.CutPrefix(key, prefix); cut && meant()[rest] != nil {
			return meant()[rest]
		}
	}
	return nil
}
