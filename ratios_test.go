package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

// TestRatios reads a meter behind transformers: each value is what the frame has, multiplied.
func TestRatios(t *testing.T) {
	t.Setenv("DLT645_BUS_URL", "sim://?baud=115200&turnaround=1ms")
	t.Setenv("DLT645_METERS", "main=000000000001?ct=40&pt=10.5")
	var out, complaints bytes.Buffer
	items := map[string]string{"voltage_a": "10.5", "current_a": "40", "active_power": "420", "forward_active_energy": "420", "power_factor": "1", "frequency": "1"}
	arguments := []string{"read", "-json", "-trace", "main"}
	for item := range items {
		arguments = append(arguments, item)
	}
	if status := run(t.Context(), arguments, nil, &out, &complaints); status != 0 {
		t.Fatalf("status %d: %s%s", status, out.String(), complaints.String())
	}
	var reply struct {
		Values map[string]json.Number
		Frames []struct{ Direction, Hex string }
	}
	if err := json.Unmarshal(out.Bytes(), &reply); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, f := range reply.Frames {
		if f.Direction != "received" {
			continue
		}
		frame, err := hex.DecodeString(f.Hex)
		if err != nil {
			t.Fatal(err)
		}
		d, err := dlt645.Describe(frame, dlt645.V2007, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range d.Values {
			by, asked := items[v.Name]
			if !asked {
				continue
			}
			seen++
			ratio, err := protocol.ParseDecimal(by)
			if err != nil {
				t.Fatal(err)
			}
			want, ok := v.Data.(protocol.Decimal).Times(ratio)
			if got := reply.Values[v.Name]; !ok || got.String() != want.String() {
				t.Errorf("%s is %s, and in the frame %v, by %s", v.Name, got, v.Data, by)
			}
		}
	}
	if seen != len(items) {
		t.Errorf("%d of %d values came in %s", seen, len(items), out.String())
	}

	out.Reset()
	run(t.Context(), []string{"points", "check", "-"}, strings.NewReader("meter,item\nmain,voltage_a\n"), &out, &complaints)
	if !strings.Contains(out.String(), "main is behind transformers: its currents, and the limits for them, are times 40, voltages times 10.5") {
		t.Errorf("points check says %s", out.String())
	}
}

// TestRatiosKeepTheRest has a meter behind transformers: its title and the words of its flags are those of its protocol.
func TestRatiosKeepTheRest(t *testing.T) {
	setAll(t, map[string]string{"DLT645_BUS_URL": "sim://", "DLT645_METERS": "plain=1,main=2?ct=40"})
	c, err := readConfig(false)
	if err != nil {
		t.Fatal(err)
	}
	var titles, words []string
	for _, m := range c.meters {
		titled, ok1 := m.Protocol.(protocol.Titled)
		worded, ok2 := m.Protocol.(protocol.Worded)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no title or no words", m.Name)
		}
		titles, words = append(titles, titled.Title()), append(words, fmt.Sprint(worded.Words("status_3.supply")))
	}
	if titles[0] != "DL/T 645-2007" || titles[1] != titles[0] || words[1] != words[0] || words[0] == "[]" {
		t.Errorf("titles %q, words %q", titles, words)
	}
}

// TestWrongRatios has a complaint for each ratio that is none.
func TestWrongRatios(t *testing.T) {
	t.Setenv("DLT645_BUS_URL", "sim://")
	for meter, want := range map[string]string{
		"main=1?ct=0":             `ct: "0" is no ratio of a transformer`,
		"main=1?pt=-1":            `pt: "-1" is no ratio`,
		"main=1?ct=200/5":         `ct: "200/5" is no ratio`,
		"main=1?ct=forty":         `ct: "forty" is no ratio`,
		"main=1?ct=40&ct=50":      "option ct is given twice",
		"water=1@188?ct=40":       "meters of protocol 188 measure nothing that goes by the ratios",
		"main=1?ct=40&logical=1":  `no option "logical"`,
		"rail=7@modbus/none?ct=4": `"modbus/none" is no protocol`,
	} {
		t.Setenv("DLT645_METERS", meter)
		if _, err := readConfig(false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", meter, err, want)
		}
	}
}
