package dlt645

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// loadBlock is one block with the classes 1 and 4.
const loadBlock = "A0 A0 2C 30 08 15 06 24 01 22 01 22 00 22 11 01 00 11 01 00 11 01 80 00 50 AA AA AA " +
	"11 22 33 44 00 00 00 00 22 01 00 00 11 00 00 00 AA AA AA 2B E5"

const loadSample = `{"time":"2024-06-15T08:30:00+08:00",` +
	`"units":{"combined_reactive_1_energy":"kvarh","combined_reactive_2_energy":"kvarh","current_a":"A","current_b":"A","current_c":"A",` +
	`"forward_active_energy":"kWh","frequency":"Hz","reverse_active_energy":"kWh","voltage_a":"V","voltage_b":"V","voltage_c":"V"},` +
	`"values":{"combined_reactive_1_energy":1.22,"combined_reactive_2_energy":0.11,"current_a":0.111,"current_b":0.111,"current_c":-0.111,` +
	`"forward_active_energy":443322.11,"frequency":50.00,"reverse_active_energy":0.00,"voltage_a":220.1,"voltage_b":220.1,"voltage_c":220.0}}`

func TestLoadRecord(t *testing.T) {
	invalid := "E0 E0 0B 30 08 15 06 24 AA AA AA AA AA AA 3E E5"
	tests := []struct {
		name, data, want string
	}{
		{"one block", loadBlock, "[" + loadSample + "]"},
		{"two blocks", loadBlock + loadBlock, "[" + loadSample + "," + loadSample + "]"},
		{"a block that is not valid", invalid + loadBlock, "[" + loadSample + "]"},
		{"no block", "", "[]"},
		{"no class", "A0 A0 0B 30 08 15 06 24 AA AA AA AA AA AA BE E5", `[{"time":"2024-06-15T08:30:00+08:00","units":{},"values":{}}]`},
	}
	item := find(t, V2007, "load_record_latest")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			data := frametest.FromHex(test.data)
			values, err := item.Decode(data, shanghai)
			if err != nil || frametest.Show(values) != "load_record_latest="+test.want {
				t.Fatalf("got %s, %v, want %s", frametest.Show(values), err, test.want)
			}
			if strings.HasPrefix(test.data, "E0") {
				return
			}
			again, err := item.Append(nil, encodable(values), shanghai)
			if err != nil || !bytes.Equal(again, data) {
				t.Errorf("%s is encoded %X, %v, want %s", frametest.Show(values), again, err, test.data)
			}
		})
	}
}

func TestLoadRecordRefusesData(t *testing.T) {
	tests := []struct{ data, want string }{
		{"A0", "begins with A0 A0 or E0 E0"},
		{"A0 E0 00", "begins with A0 A0 or E0 E0"},
		{"A0 A0 0B 30 08", "does not end with E5"},
		{"A0 A0 0B 30 08 15 06 24 AA AA AA AA AA AA 3C E6", "does not end with E5"},
		{"A0 A0 0B 30 08 15 06 24 AA AA AA AA AA AA 3D E5", "checksum"},
		{"A0 A0 00 40 E5", "has no time"},
		{"A0 A0 05 30 08 15 13 24 C9 E5", "no date or time"},
		{"A0 A0 0A 30 08 15 06 24 AA AA AA AA AA 13 E5", "class 6 of a load-record block is not closed"},
		{"A0 A0 0C 30 08 15 06 24 AA AA AA AA AA AA AA 69 E5", "1 bytes behind its six classes"},
		{"A0 A0 0D 30 08 15 06 24 01 22 AA AA AA AA AA AA E3 E5", "class 1 of a load-record block is not closed"},
	}
	for _, test := range tests {
		values, err := find(t, V2007, "load_record_latest").Decode(frametest.FromHex(test.data), shanghai)
		if values != nil || !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s is %s, %v, want an error with %q", test.data, frametest.Show(values), err, test.want)
		}
	}
}
