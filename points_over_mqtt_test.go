package main

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"dlt645-mqtt/bridge/meters"
)

// TestPoints tells the story of a point table by topics alone: states come, a limit is passed, a
// meter is missing, a new table comes over MQTT and outlives the bridge until the file changes.
func TestPoints(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		file := filepath.Join(t.TempDir(), "points.csv")
		writeFile(t, file, "meter,item,interval,max\nmain,voltage_a,1s,100.0\nmain,status_3,1s,\n")
		root := bridgeRoot(t)
		c := newClient(t, dial(t, b.address), root+"/meter/#", root+"/reply/#", root+"/bridge/config")
		variables := map[string]string{
			"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=1&timeout=1s", "DLT645_METERS": "main=1,gone=9",
			"DLT645_POINTS": file, "DLT645_ALLOW": "read,config",
		}
		_, stop := startBridge(t, variables)
		has := func(parts ...string) func(string) bool {
			return func(payload string) bool {
				for _, part := range parts {
					if !strings.Contains(payload, part) {
						return false
					}
				}
				return true
			}
		}
		c.await(root+"/meter/main/state", has(`"voltage_a":2`, `"relay":"closed"`, `"time":"`))
		gone := newClient(t, dial(t, b.address), root+"/meter/gone/#") // others would drown it
		gone.await(root+"/meter/gone/availability", has("offline"))
		late := newClient(t, dial(t, b.address), root+"/meter/main/#")
		p := late.await(root+"/meter/main/availability", nil)
		if !p.Retain || string(p.Payload) != "online" {
			t.Errorf("availability %s, retained %t", p.Payload, p.Retain)
		}
		late = newClient(t, dial(t, b.address), root+"/meter/main/state")
		p = late.await(root+"/meter/main/state", nil)
		if !p.Retain || !json.Valid(p.Payload) || p.Properties.ContentType != "application/json" {
			t.Errorf("retained %t, content type %s, %s", p.Retain, p.Properties.ContentType, p.Payload)
		}
		if r := c.ask(root, "read/main", ""); !r.OK || r.Values["voltage_a"] == nil || r.Values["status_3"] == nil {
			t.Errorf("an empty read: %+v", r)
		}

		// A broken table changes nothing and says why.
		c.publish(root+"/request/config", "meter,item,interval\nmain,voltage_z,1s\nmain,current_a,never\n", nil)
		reply := string(c.await(root+"/reply/config", nil).Payload)
		if !has(`"code":"bad_request"`, `"row":2,"column":"item"`, `"row":3,"column":"interval"`)(reply) {
			t.Errorf("reply %s", reply)
		}
		c.publish(root+"/request/config", "meter,item,interval\nmain,current_a,1s\n", nil)
		if reply := string(c.await(root+"/reply/config", nil).Payload); !has(`"ok":true`, `"changed":true`, `"budget":0.0`)(reply) {
			t.Errorf("reply %s", reply)
		}
		onlyCurrent := func(payload string) bool { return strings.HasPrefix(payload, `{"current_a":`) }
		c.await(root+"/meter/main/state", onlyCurrent)
		stop()

		// It is in force again after a restart,
		c.publish(root+"/meter/main/state", "", nil)
		_, stop = startBridge(t, variables)
		c.ready(root)
		c.await(root+"/meter/main/state", onlyCurrent)
		stop()

		// but not if the file is another one.
		writeFile(t, file, "meter,item,interval\nmain,frequency,1s\n")
		_, stop = startBridge(t, variables)
		c.await(root+"/bridge/config", func(payload string) bool { return payload == "" })
		c.await(root+"/meter/main/state", func(payload string) bool { return strings.HasPrefix(payload, `{"frequency":`) })
		stop()
	})
}

// TestTableOfAClassNoLongerAllowed has the log say that a table which came by MQTT holds no more, and
// takes it back.
func TestTableOfAClassNoLongerAllowed(t *testing.T) {
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root := bridgeRoot(t)
		c := newClient(t, dial(t, b.address), root+"/bridge/config")
		variables := map[string]string{
			"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=1", "DLT645_METERS": "main=1",
			"DLT645_ALLOW": "read,config", "DLT645_TOPIC": root, "DLT645_LOG_LEVEL": "warn",
		}
		_, stop := startBridge(t, variables)
		c.ready(root)
		c.publish(root+"/request/config", "meter,item\nmain,voltage_a\n", nil)
		c.await(root+"/bridge/config", func(payload string) bool { return payload != "" })
		stop()

		variables["DLT645_ALLOW"] = "read"
		log := newWatched("DLT645_ALLOW does not have the class config")
		stop = runServe(t, variables, log)
		c.await(root+"/bridge/config", func(payload string) bool { return payload == "" })
		stop()
		select {
		case <-log.seen:
		default:
			t.Errorf("log: %s", log)
		}
	})
}

// TestMeterLeavesHomeAssistant starts a bridge again without one of its meters.
func TestMeterLeavesHomeAssistant(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root := bridgeRoot(t)
		device := "homeassistant/device/" + strings.ReplaceAll(root, "-", "_") + "_000000000002/config"
		c := newClient(t, dial(t, b.address), device)
		variables := map[string]string{
			"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1,shop=2", "DLT645_POINTS": "basic",
		}
		_, stop := startBridge(t, variables)
		c.await(device, func(payload string) bool { return strings.Contains(payload, "voltage_a") })
		stop()
		variables["DLT645_METERS"] = "main=1"
		startBridge(t, variables)
		c.await(device, func(payload string) bool { return payload == "" })
	})
}

// TestLimitEvents has each event type in topics.md, and a voltage beyond its limit tell so.
func TestLimitEvents(t *testing.T) {
	b := startMochi(t)
	file := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, file, "meter,item,interval,max\nmain,voltage_a,1s,100.0\n")
	root := bridgeRoot(t)
	c := newClient(t, dial(t, b.address), root+"/meter/main/event")
	startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=1", "DLT645_METERS": "main=1", "DLT645_POINTS": file,
	})
	var event struct {
		Type  string `json:"event_type"`
		Meter string
		Item  string
		Limit string
		Bound json.Number
		Value json.Number
	}
	p := c.await(root+"/meter/main/event", nil)
	if err := json.Unmarshal(p.Payload, &event); err != nil || p.Retain {
		t.Fatalf("%s (%v), retained %t", p.Payload, err, p.Retain)
	}
	if event.Type != "limit_passed" || event.Meter != "main" || event.Item != "voltage_a" || event.Limit != "max" || event.Bound != "100.0" || !strings.HasPrefix(event.Value.String(), "2") {
		t.Errorf("event %+v", event)
	}
	for _, kind := range meters.EventTypes {
		if !strings.Contains(readFile(t, "topics.md"), "`"+kind+"`") {
			t.Errorf("topics.md does not mention the event %s", kind)
		}
	}
}

// TestTableTooHeavy does not start with a table that the bus cannot carry.
func TestTableTooHeavy(t *testing.T) {
	file := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, file, "meter,item,interval\n*,forward_active_energy_t*,1s\n*,voltage_*,1s\n*,current_*,1s\n*,power_factor_*,1s\n*,active_power_*,1s\n*,frequency,1s\n*,status_*,1s\n")
	setAll(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://127.0.0.1:1", "DLT645_BUS_URL": "sim://?meters=4", "DLT645_METERS": "main=1,shop=2", "DLT645_POINTS": file,
	})
	var stderr strings.Builder
	if status := run(t.Context(), nil, nil, &stderr, &stderr); status != statusConfiguration || !strings.Contains(stderr.String(), "% of the wire's time at 2400 baud") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

// TestReadingsOverMQTT has readings come as the contract says, of blocks as one message, with the relay as a
// number.
func TestReadingsOverMQTT(t *testing.T) {
	b := startMochi(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_POINTS": "basic", "DLT645_READINGS": "true",
	})
	c := newClient(t, dial(t, b.address), root+"/meter/main/readings")
	seen := map[string]json.RawMessage{}
	for seen["relay"] == nil || seen["voltage_a"] == nil || seen["forward_active_energy"] == nil {
		p := c.next()
		var reading map[string]json.RawMessage
		if err := json.Unmarshal(p.Payload, &reading); err != nil || p.Retain || p.QoS != 1 {
			t.Fatalf("%s (%v), retained %v, QoS %d", p.Payload, err, p.Retain, p.QoS)
		}
		if reading["voltage_a"] != nil && (reading["voltage_c"] == nil || reading["forward_active_energy"] != nil) {
			t.Errorf("what was read together is not one message: %s", p.Payload)
		}
		maps.Copy(seen, reading)
	}
	if string(seen["relay"]) != "1" || seen["status_3"] != nil {
		t.Errorf("relay %s, status word %s", seen["relay"], seen["status_3"])
	}
}

// TestDescriptionOverMQTT describes the points that the bridge works by, and those of another table when that
// comes.
func TestDescriptionOverMQTT(t *testing.T) {
	b := startMochi(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_POINTS": "basic",
		"DLT645_ALLOW": "read,relay,config", "DLT645_METER_PASSWORD": "02000000",
	})
	c := newClient(t, dial(t, b.address), root+"/bridge/description", root+"/reply/#", root+"/bridge/status")
	c.await(root+"/bridge/description", func(payload string) bool {
		return strings.Contains(payload, `"commands":["relay"]`) && strings.Contains(payload, `{"item":"voltage_a","form":"number","unit":"V","decimals":1,`) &&
			strings.Contains(payload, `"text_zh":"A相电压","interval_s":60}`)
	})
	c.ready(root)
	c.publish(root+"/request/config", "meter,item,interval,max\nmain,frequency,15m,50.5\n", nil)
	c.await(root+"/bridge/description", func(payload string) bool {
		return strings.Contains(payload, `"item":"frequency"`) && strings.Contains(payload, `"interval_s":900,"max":50.5}]`) && !strings.Contains(payload, "voltage")
	})
}
