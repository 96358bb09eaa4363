package main

import (
	"slices"
	"strings"
	"testing"
)

// TestSuggestions completes words of command lines.
func TestSuggestions(t *testing.T) {
	setAll(t, map[string]string{"DLT645_BUS_URL": "sim://", "DLT645_METERS": "main=1,shop=2@1997,grid=10@698", "DLT645_METER_NAMES": "main=总表"})
	for line, want := range map[string][]string{
		"sc":                            {"scan"},
		"nosuch ":                       nil,
		"help he":                       {"healthcheck", "help"},
		"read -":                        {"-bus", "-json", "-protocol", "-trace", "-help"},
		"read --tr":                     {"--trace"},
		"read ":                         {"main", "shop", "grid", "AAAAAAAAAAAA"},
		"read -json s":                  {"shop"},
		"read -bus sim:// -trace sh":    {"shop"},
		"read main voltage_loss_record": {"voltage_loss_record_a_1"},
		"read main frequency,voltage_b": {"frequency,voltage_b", "frequency,voltage_block"},
		"read grid relay_op":            {"relay_open"},
		"read main relay_op":            nil,
		"read 10@698 relay_op":          {"relay_open"},
		"read -protocol 69":             {"698"},
		"read -protocol=19":             {"-protocol=1997"},
		"scan -protocol 2007,18":        {"2007,188"},
		"scan -parities even,n":         {"even,none"},
		"scan -speeds 96":               {"9600"},
		"scan -bus udp":                 {"udp://"},
		"items -protocol 188 heat_en":   {"heat_energy", "heat_energy_h1"},
		"points ":                       {"check", "template"},
		"points check ":                 nil, // files
		"uplink mo":                     {"model"},
		"uplink model -cloud think":     nil,
		"uplink model -cloud thing":     {"thingsboard"},
		"uplink sign -cloud ali":        {"aliyun"},
		"uplink sign -sh":               {"-show"},
		"fleet ":                        {"list", "ask", "push"},
		"fleet -json as":                {"ask"},
		"fleet push ":                   nil, // files
		"fleet ask main frequ":          {"frequency"},
		"completion ":                   {"bash", "fish", "zsh"},
		"simulate -fau":                 {"-fault"},
	} {
		words := append([]string{"dlt645-mqtt"}, strings.Split(line, " ")...)
		var got []string
		for _, s := range suggest(t.Context(), words) {
			got = append(got, s.word)
		}
		if line == "read main frequency,voltage_b" {
			got = slices.DeleteFunc(got, func(word string) bool { return !slices.Contains(want, word) }) // there are harmonics and more
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q is completed by %q, want %q", line, got, want)
		}
	}
	status, out, _ := execute(t, "", "completion", "words", "dlt645-mqtt", "read", "ma")
	if status != 0 || out != "main\t总表, 000000000001, 2007\n" {
		t.Errorf("status %d, %q", status, out)
	}
	for _, arguments := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		if status, out, stderr := execute(t, "", arguments...); status != 2 || out != "" || !strings.Contains(stderr, "bash") {
			t.Errorf("%q: status %d, %q, errors %q", arguments, status, out, stderr)
		}
	}
}
