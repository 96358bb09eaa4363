package dlt645

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// The active report word (04001501, by the amendments): 12 bytes of bits, AAH, one byte for
// each bit that is newly set (the number of events since the last report, in the order of
// the bits), AAH. The amendment's own table knows only the 12 bytes.
const reportSize = 12

// reports names the bits of the active report word.
var reports = slices.Concat(
	[]bitField{
		{"load_switch_failure", 0, nil, "load switch failure", "负荷开关误动或拒动"},
		{"esam_error", 1, nil, "ESAM error", "ESAM错误"},
		{"upgrade_failed", 2, nil, "upgrade failed", "升级失败"},
		{"clock_battery_low", 3, nil, "clock battery low", "时钟电池电压过低"},
		{"metering_fault", 4, nil, "metering circuit fault", "计量芯片故障"},
		{"management_memory_fault", 5, nil, "memory fault of the management unit", "管理单元存储器故障"},
		{"metering_memory_fault", 6, nil, "memory fault of the metering unit", "计量单元存储器故障"},
		{"clock_fault", 7, nil, "clock fault", "时钟故障"},
		{"outage_battery_low", 8, nil, "outage-reading battery low", "停电抄表电池欠压"},
		{"overdraft", 9, nil, "overdraft", "透支状态"},
		{"cover_open", 10, nil, "meter cover open", "开表盖"},
		{"terminal_cover_open", 11, nil, "terminal cover open", "开端钮盖"},
		{"magnetic_field", 12, nil, "constant magnetic field", "恒定磁场干扰"},
		{"power_supply_abnormal", 13, nil, "power supply abnormal", "电源异常"},
		{"tripped", 14, nil, "trip done", "跳闸成功"},
		{"closed", 15, nil, "close done", "合闸成功"},
	},
	phaseReports("a", 16), phaseReports("b", 32), phaseReports("c", 48),
	[]bitField{
		{"voltage_reverse_sequence", 64, nil, "voltage reverse phase sequence", "电压逆相序"},
		{"current_reverse_sequence", 65, nil, "current reverse phase sequence", "电流逆相序"},
		{"voltage_unbalance", 66, nil, "voltage unbalance", "电压不平衡"},
		{"current_unbalance", 67, nil, "current unbalance", "电流不平衡"},
		{"auxiliary_supply_failure", 68, nil, "auxiliary supply failure", "辅助电源失电"},
		{"power_down", 69, nil, "power down", "掉电"},
		{"demand_over_limit", 70, nil, "demand over limit", "需量超限"},
		{"power_factor_below_limit", 71, nil, "total power factor below limit", "总功率因数超下限"},
		{"severe_current_unbalance", 72, nil, "severe current unbalance", "电流严重不平衡"},
		{"reverse_power_flow", 73, nil, "reverse power flow", "潮流反向"},
		{"all_phase_voltage_loss", 74, nil, "voltage loss of all phases", "全失压"},
		{"programming", 80, nil, "programming", "编程"},
		{"meter_clear", 81, nil, "meter clear", "电表清零"},
		{"demand_clear", 82, nil, "demand clear", "需量清零"},
		{"event_clear", 83, nil, "event clear", "事件清零"},
		{"clock_set", 84, nil, "clock set", "校时"},
		{"day_period_programming", 85, nil, "day-period table programming", "时段表编程"},
		{"year_zone_programming", 86, nil, "year-zone table programming", "时区表编程"},
		{"weekend_programming", 87, nil, "weekend programming", "周休日编程"},
		{"holiday_programming", 88, nil, "holiday programming", "节假日编程"},
		{"active_combination_programming", 89, nil, "active combination programming", "有功组合方式编程"},
		{"reactive_combination_1_programming", 90, nil, "reactive combination 1 programming", "无功组合方式1编程"},
		{"reactive_combination_2_programming", 91, nil, "reactive combination 2 programming", "无功组合方式2编程"},
		{"settlement_day_programming", 92, nil, "settlement day programming", "结算日编程"},
		{"tariff_price_programming", 93, nil, "tariff price programming", "费率参数表编程"},
		{"ladder_programming", 94, nil, "ladder programming", "阶梯表编程"},
		{"key_update", 95, nil, "key update", "密钥更新"},
	},
)

// reportModes names the bits of the active report mode word (04001104): each lets the
// report's bit of the same place through.
var reportModes = reports[:slices.IndexFunc(reports, func(b bitField) bool { return b.at >= 64 })]

// phaseReports names the bits of a phase: those of its status word.
func phaseReports(phase string, from uint8) []bitField {
	var named []bitField
	for _, b := range phaseFaults {
		b.name += "_" + phase
		b.at += from
		b.en += ", phase " + strings.ToUpper(phase)
		b.zh = strings.ToUpper(phase) + "相" + b.zh
		named = append(named, b)
	}
	return named
}

// activeReport is the codec of the active report word.
type activeReport struct{ word Picture }

func newActiveReport() activeReport {
	return activeReport{Picture{text: "bit96", kind: bits, size: reportSize}}
}

// countsName returns the name of the value that lists the counters.
func countsName(i Item) string { return i.Name + "_counts" }

func (r activeReport) names(i Item) []string {
	names := []string{i.Name}
	for _, b := range bitFieldsOf(i.Name) {
		names = append(names, b.name)
	}
	return append(names, countsName(i))
}

func (r activeReport) decode(i Item, data []byte, zone *time.Location) ([]protocol.Value, error) {
	if len(data) < reportSize {
		return nil, garbled("%d bytes are too few for a word of %d", len(data), reportSize)
	}
	word, counts := data[:reportSize], data[reportSize:]
	value, err := r.word.Decode(word, zone)
	if err != nil {
		return nil, err
	}
	values := appendFlags([]protocol.Value{{Name: i.Name, Data: value}}, i.Name, word, value == nil)
	if len(counts) == 0 {
		return values, nil
	}
	if len(counts) < 2 || counts[0] != separator || counts[len(counts)-1] != separator {
		return nil, garbled("%d bytes behind the word do not stand between two AAH", len(counts))
	}
	list := []any{}
	for k, b := range counts[1 : len(counts)-1] {
		n := octet.FromBCD(b)
		if n < 0 {
			return nil, fmt.Errorf("counter %d: %w", k+1, notBCD(counts, k+1))
		}
		list = append(list, protocol.Decimal{Coefficient: int64(n)})
	}
	return append(values, protocol.Value{Name: countsName(i), Data: list}), nil
}

func (r activeReport) append(i Item, dst []byte, values map[string]any, zone *time.Location) ([]byte, error) {
	dst, err := r.word.Append(dst, values[i.Name], zone)
	if err != nil {
		return nil, err
	}
	counts, ok := values[countsName(i)]
	if !ok {
		return dst, nil
	}
	list := form{picture: Picture{text: "NN", digits: 2, size: 1}, repeat: 8 * reportSize}
	if dst, err = list.append(append(dst, separator), counts, zone); err != nil {
		return nil, err
	}
	return append(dst, separator), nil
}
