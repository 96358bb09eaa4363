package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"dlt645-mqtt/bridge"
)

// FuzzAsk asks a bridge, which may do everything to meters of both editions, for anything. Each
// request is planned to where the bus would take it, and has one reply that is in order.
func FuzzAsk(f *testing.F) {
	for _, seed := range [][2]string{
		{"read/main", "voltage_a,forward_active_energy_block,02010100"},
		{"read/AAAAAAAAAAAA", `{"items":["status_3.relay_open"],"max_age_ms":5,"trace":true}`},
		{"read/old", `{"items":["load_record_earliest"],"from":"2026-11-01T00:00:00+08:00","to":"2026-11-20T00:00:00Z"}`},
		{"relay/main", `{"id":"1","action":"trip","verify_ms":1000,"level":"02","retry_password":true}`},
		{"write/main", `{"item":"day_periods_1_1","value":[{"start":"08:00","tariff":2}]}`},
		{"write/old", `{"item":"schedule_counts","value":{"year_zone_count":1e5}}`},
		{"write/main", `{"item":"04EE0001","value":"0a0b"}`},
		{"maintenance/main", `{"action":"freeze","at":"99010000"}`},
		{"maintenance/main", `{"action":"set_address","address":"4711","confirm":"000000000001"}`},
		{"maintenance/main", `{"action":"set_password","level":"04","new_password":"123456","confirm":"1"}`},
		{"maintenance/main", `{"action":"clear_events","item":"all"}`},
		{"broadcast", `{"action":"freeze","at":"2026-11-30T23:59:00+08:00"}`},
		{"raw", "68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16"},
		{"scan", `{"protocols":["1997"],"meters":3}`},
		{"config", `{"points":[{"meter":"main","item":"voltage_*","interval":"10s"}],"dry_run":true}`},
		{"config", "meter,item,interval\nmain,voltage_a,1m\n"},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	setAll(f, map[string]string{
		"DLT645_MQTT_URL": "mqtt://127.0.0.1:1", "DLT645_BUS_URL": "sim://?meters=1", "DLT645_METERS": "main=1,old=2@1997,only=AAAAAAAAAAAA",
		"DLT645_ALLOW": strings.Join(bridge.Classes, ","), "DLT645_METER_PASSWORD": "02918273,04827364", "DLT645_CLOCK": "trusted",
	})
	c, err := readConfig(true)
	if err != nil {
		f.Fatal(err)
	}
	b, line := newBridge(c, newLog(new(bytes.Buffer), "text", 100))
	ended, cancel := context.WithCancel(f.Context())
	cancel()
	if err := line.Run(ended); err != nil { // from now on it takes no job
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, tail string, payload []byte) {
		text := b.Ask(tail, payload)
		var reply struct {
			OK    *bool
			Error *struct{ Code bridge.Code }
		}
		if err := json.Unmarshal(text, &reply); err != nil || reply.OK == nil || *reply.OK != (reply.Error == nil) && !strings.HasPrefix(tail, "read") {
			t.Errorf("%q %q: %s, %v", tail, payload, text, err)
		}
		if reply.Error != nil && reply.Error.Code == bridge.CodeInternal {
			t.Errorf("%q %q: %s", tail, payload, text)
		}
		for _, secret := range []string{"918273", "827364"} {
			if bytes.Contains(text, []byte(secret)) && !bytes.Contains(payload, []byte(secret)) {
				t.Errorf("%q %q: %s shows a password", tail, payload, text)
			}
		}
	})
}

// FuzzDecode gives the command decode any text. It prints JSON, and says what it cannot read.
func FuzzDecode(f *testing.F) {
	f.Add("FE FE FE FE 68 01 00 00 00 00 00 68 91 08 33 33 34 33 97 3C 33 33 70 16", "")
	f.Add("0x68,0x01-00:00;00000000", "1997")
	f.Add("681", "2007")
	f.Fuzz(func(t *testing.T, text, version string) {
		var out, stderr bytes.Buffer
		arguments := []string{"decode"}
		if version == "1997" || version == "2007" {
			arguments = append(arguments, "-protocol", version)
		}
		status := run(t.Context(), arguments, strings.NewReader(text), &out, &stderr)
		if (status == 0) != (stderr.Len() == 0) {
			t.Errorf("%q: status %d with %q", text, status, &stderr)
		}
		for line := range strings.Lines(out.String()) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%q: %q is no JSON", text, line)
			}
		}
	})
}

// FuzzConfig starts with any values of variables. Either everything is there that the program
// needs, or the complaint begins with the name of a variable. Files are left out: they are those
// of the machine that runs this.
func FuzzConfig(f *testing.F) {
	f.Add("mqtts://broker", "tcp://127.0.0.1:4001", "dlt645", "main=1, old=12@1997,only=AAAAAAAAAAAA", "read,relay", "02123456", "5m", "1000", "ALLOW", "read")
	f.Add("wss://user:secret@[::1]:99999/x?y#z", "listen://:1?register=hex:00", "a//b", "a=1,a=1", ",", "0212345x,02", "1e9h", "0x10", "TRACE", "maybe")
	f.Add("embedded://localhost", "sim://?meters=2", "$x", "=", "config", "", "24h", "-1", "LOG_LEVEL", "warn+3")
	f.Add("mqtt://", "serial:///dev/null", "", "x=AA@1997@2007", "raw", "04000000", "1s", "1", "BUZ_URL", "x")
	f.Fuzz(func(t *testing.T, broker, bus, topic, meters, allow, password, valid, queue, name, value string) {
		variables := map[string]string{
			"MQTT_URL": broker, "BUS_URL": bus, "TOPIC": topic, "METERS": meters, "ALLOW": allow, "METER_PASSWORD": password, "RELAY_VALID": valid, "QUEUE": queue, name: value,
		}
		setAll(t, nil)
		for name, value := range variables {
			if strings.Contains(name, "FILE") || name == "POINTS" && value != "basic" && value != "off" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
				continue
			}
			t.Setenv(prefix+"_"+name, value)
		}
		c, err := readConfig(true)
		if err != nil {
			if !strings.HasPrefix(err.Error(), prefix+"_") {
				t.Errorf("%q: %v", variables, err)
			}
			return
		}
		if len(c.broker.URLs) == 0 || c.bus.Open == nil || c.root == "" || c.zone == nil || c.protocol == nil {
			t.Errorf("%q: %+v", variables, c)
		}
		newBridge(c, newLog(new(bytes.Buffer), "text", 100))
	})
}
