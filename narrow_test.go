package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestItemsFitATerminal lays out each dictionary. No line is too wide, and nothing is lost.
func TestItemsFitATerminal(t *testing.T) {
	for _, d := range dictionaries() {
		rows := d.search()
		lines := narrowTable(rows)
		for _, line := range lines {
			if columns(line) > terminalWidth {
				t.Errorf("%s: %d columns: %s", d.name, columns(line), line)
			}
		}
		without := func(text string) string { return strings.Join(strings.Fields(text), "") }
		all := without(strings.Join(lines, ""))
		for _, row := range rows {
			for _, cell := range []string{row.Name, row.DI, row.Picture, row.TextEN, row.TextZH} {
				if !strings.Contains(all, without(cell)) {
					t.Errorf("%s: %q of %s is lost", d.name, cell, row.Name)
				}
			}
		}
	}
	if got := columns("voltage A相电压（高）"); got != len("voltage A")+2*6 {
		t.Errorf("%d columns", got)
	}
}

// TestItemsNamesTheMember asks for one item of a family.
func TestItemsNamesTheMember(t *testing.T) {
	for _, test := range []struct {
		words []string
		want  string // the first row
	}{
		{[]string{"02010200"}, "voltage_b 02010200 XXX.X V R voltage, phase B B相电压"},
		{[]string{"voltage_b"}, "voltage_b 02010200 XXX.X V R voltage, phase B B相电压"},
		{[]string{"0201FF00"}, "voltage_block 0201FF00 XXX.X V R voltage, all phases 各相电压"},
		{[]string{"status_3.relay_open"}, "status_3.relay_open 04000503 bit16 R relay open 继电器断开"},
		{[]string{"voltage"}, "voltage_a 0201pp00 XXX.X V R voltage 电压"},
		{[]string{"-protocol", "1997", "B612"}, "voltage_b B612 XXX V R voltage, phase B B相电压"},
		{[]string{"-protocol", "698", "20000202"}, "voltage_b 20000202 long-unsigned ×10^-1 V R voltage, phase B B相电压"},
	} {
		status, out, stderr := execute(t, "", append([]string{"items"}, test.words...)...)
		lines := strings.Split(out, "\n")
		if status != 0 || len(lines) < 2 || strings.Join(strings.Fields(lines[1]), " ") != test.want {
			t.Errorf("%q: status %d, %s%s, want %s", test.words, status, out, stderr, test.want)
		}
	}
	if status, _, stderr := execute(t, "", "items", "curent"); status != 1 || !strings.Contains(stderr, "did you mean current?") {
		t.Errorf("a word of names: status %d, %s", status, stderr)
	}
	if status, _, stderr := execute(t, "", "items", "voltge_b"); status != 1 || !strings.Contains(stderr, "did you mean voltage_a?") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// TestChineseNamesOfItems reads and polls by what items are called in Chinese, and misspells names.
func TestChineseNamesOfItems(t *testing.T) {
	const bus = "sim://?addresses=1,2@1997,30@698&baud=115200"
	setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_BUS_URL": bus, "DLT645_METERS": "main=1,old=2@1997,grid=30@698"})
	for _, arguments := range [][]string{
		{"main", "A相电压"}, {"1", "a相电压"}, {"old", "A相电压，B相电压"}, {"2@1997", "A相电压"}, {"grid", "A相电压"}, {"30@698", "Ａ相电压"}, {"main", "当前正向有功电能、A相电压"},
		{"old", "正向有功电能、A相电压"}, {"grid", "正向有功电能、A相电压"},
	} {
		status, out, stderr := execute(t, "", append([]string{"read"}, arguments...)...)
		if status != 0 || !strings.Contains(out, "voltage_a") || strings.Contains(arguments[1], "正向有功电能") && !strings.HasPrefix(out, "forward_active_energy ") || strings.Count(out, "\n") != 1+strings.Count(arguments[1], "，")+strings.Count(arguments[1], "、") {
			t.Errorf("%q: status %d, %s%s", arguments, status, out, stderr)
		}
	}
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{[]string{"read", "main", "voltge_a"}, "did you mean voltage_a?"},
		{[]string{"read", "old", "voltge_a"}, "did you mean voltage_a?"},
		{[]string{"read", "grid", "voltge_a"}, "did you mean voltage_a?"},
		{[]string{"read", "mian", "voltage_a"}, "did you mean main?"},
		{[]string{"read", "2@1996", "voltage_a"}, "\"1996\" is no protocol"},
		{[]string{"raed"}, "there is no command \"raed\"; see dlt645-mqtt help; did you mean read?"},
		{[]string{"everything"}, "there is no command \"everything\"; see dlt645-mqtt help\n"},
	} {
		if status, _, stderr := execute(t, "", test.arguments...); status == 0 || !strings.Contains(stderr, test.want) {
			t.Errorf("%q: status %d, %s, want %s", test.arguments, status, stderr, test.want)
		}
	}
	file := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, file, "电表,数据项,间隔\nmain,A相电压,10s\ngrid,A相电压,10s\n")
	status, out, stderr := execute(t, "", "points", "check", file)
	if status != 0 || !strings.Contains(out, "voltage_a") || slices.Contains(strings.Fields(out), "A相电压") {
		t.Errorf("points check: status %d, %s%s", status, out, stderr)
	}
}
