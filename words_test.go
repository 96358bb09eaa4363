package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
)

// TestChineseCommands runs the commands that people begin with in Chinese: codes, names and exit statuses are the same.
func TestChineseCommands(t *testing.T) {
	setAll(t, map[string]string{"DLT645_LANGUAGE": "zh", "DLT645_METERS": "main=1"})
	const bus = quickMeters + "&meters=1"
	for name, test := range map[string]struct {
		arguments []string
		status    int
		out, err  []string
	}{
		"read":                              {[]string{"read", "-bus", bus, "main", "voltage_a", "nosuch"}, 1, []string{"voltage_a  2"}, []string{"nosuch: unknown_item: ", "不是 DL/T 645-2007 的数据项名称"}},
		"scan":                              {[]string{"scan", "-bus", bus, "-meters", "1", "-protocol", "2007"}, 0, []string{"表地址        规约  波特率  校验\n", "000000000001  2007"}, []string{"1 块全部找到", "给它们命名：", "DLT645_METERS=meter1=000000000001"}},
		"points":                            {[]string{"points", "check", "examples/points.csv"}, 1, nil, []string{`examples/points.csv: 第 9 行，meter 列："shop" 既不是电能表名称（DLT645_METERS），也不是电能表地址`}},
		"a bus that there is not":           {[]string{"read", "-bus", "serial://ttyUSB0", "main", "voltage_a"}, 78, nil, []string{"dlt645-mqtt: 配置不可用：DLT645_BUS_URL：总线地址"}},
		"a simulated bus that there is not": {[]string{"read", "-bus", bus + "&late=1", "main", "voltage_a"}, 78, nil, []string{"DLT645_BUS_URL：模拟总线：没有参数 \"late\"；可用的有 addresses、"}},
		"a command that there is not":       {[]string{"raed"}, 2, nil, []string{`dlt645-mqtt：没有命令 "raed"；请看 dlt645-mqtt help；是不是 read？`}},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, stderr := execute(t, "", test.arguments...)
			if status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			for _, want := range test.out {
				if !strings.Contains(out, want) {
					t.Errorf("it prints %s, without %q", out, want)
				}
			}
			for _, want := range test.err {
				if !strings.Contains(stderr, want) {
					t.Errorf("it says %s, without %q", stderr, want)
				}
			}
		})
	}
}

// TestChineseLog logs in Chinese what people read, and leaves names and the rest alone.
func TestChineseLog(t *testing.T) {
	setAll(t, map[string]string{"DLT645_LANGUAGE": "zh"})
	for _, format := range []string{"text", "json"} {
		var text strings.Builder
		log := newLog(&text, format, slog.LevelInfo).With("err", errors.New("the bus is down"))
		log.WithGroup("g").Info("bus is up", "bus", "the bus is down", "why", "not authorised")
		for _, want := range []string{"总线已接通", "err", "总线断开", "the bus is down", "无权限"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: %s has no %s", format, &text, want)
			}
		}
	}
}
