package homeassistant

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

var update = flag.Bool("update", false, "write the golden files anew")

func numeric(name, unit string, decimals int, counter bool, english, chinese string) points.Point {
	return points.Point{Item: name, Description: protocol.Description{
		Name: name, Form: protocol.FormNumber, Unit: unit, Decimals: decimals, Counter: counter, English: english, Chinese: chinese,
	}}
}

func other(name string, form protocol.Form, english, chinese string) points.Point {
	return points.Point{Item: name, Description: protocol.Description{Name: name, Form: form, English: english, Chinese: chinese}}
}

// all are points of every kind.
func all() []points.Point {
	alarm := other("status_7.cover_open", protocol.FormFlag, "meter cover open", "开表盖")
	alarm.Description.Alarm = true
	named := numeric("active_power", "kW", 4, false, "total active power", "总有功功率")
	named.Name = "House"
	settled := numeric("forward_active_energy_h1", "kWh", 2, true, "forward active energy, settlement 1", "(上1结算日)正向有功总电能")
	settled.Description.Past = true
	clock := other("clock", protocol.FormMoment, "date and time", "日期时间")
	clock.Description.Role = protocol.RoleClock
	return []points.Point{
		numeric("forward_active_energy", "kWh", 2, true, "forward active energy", "正向有功总电能"),
		numeric("combined_active_energy", "kWh", 2, false, "combined active energy", "组合有功总电能"),
		settled,
		numeric("quadrant_1_reactive_energy", "kvarh", 2, true, "quadrant I reactive energy", "第一象限无功总电能"),
		numeric("forward_apparent_energy", "kVAh", 2, true, "forward apparent energy", "正向视在总电能"),
		numeric("remaining_money", "CNY", 2, false, "remaining money", "剩余金额"),
		numeric("forward_active_demand", "kW", 4, false, "forward active maximum demand", "正向有功总最大需量"),
		other("forward_active_demand_time", protocol.FormMoment, "forward active maximum demand, time", "正向有功总最大需量发生时间"),
		numeric("voltage_a", "V", 1, false, "phase A voltage", "A相电压"),
		named,
		numeric("power_factor", "", 3, false, "total power factor", "总功率因数"),
		numeric("power_down_count", "", 0, false, "power down count", "掉电总次数"),
		clock,
		other("status_3", protocol.FormText, "status word 3", "电表运行状态字3"),
		other("status_3.supply", protocol.FormText, "supply", "供电方式"),
		other("status_3.relay_open", protocol.FormFlag, "relay open", "继电器断开"),
		alarm,
		other("software_version", protocol.FormText, "manufacturer software version", "厂家软件版本号"),
		{Item: "04999999", Description: protocol.Description{Form: protocol.FormText}},
	}
}

func site() *Site {
	return &Site{Root: "dlt645", Prefix: "homeassistant", Language: English, Version: "1.0.0", Read: true, Relay: true, Maintenance: true, EventTypes: []string{"online", "offline"}}
}

// Golden payloads: what Home Assistant is told of a meter that has everything, in Chinese where
// only reading is allowed, and of the bridge.
func TestPayloads(t *testing.T) {
	chinese := &Site{Root: "site/2", Prefix: "ha", Language: Chinese, Read: true}
	for name, config := range map[string]*Config{
		"meter":   site().Meter(Meter{Name: "main", Address: "000000000001", Relay: true, Clock: true, Points: all()}),
		"reading": chinese.Meter(Meter{Name: "AAAAAAAAAA12", Address: "AAAAAAAAAA12", Relay: true, Clock: true, Points: all()[:1]}),
		"bridge":  site().Bridge(),
	} {
		var got bytes.Buffer
		e := json.NewEncoder(&got)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		if err := e.Encode(config); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s is\n%s\nwant\n%s", file, got.Bytes(), want)
		}
	}
}

// What Home Assistant wants of every entity, whatever the point.
func TestComponents(t *testing.T) {
	s := site()
	config := s.Meter(Meter{Name: "main-2", Address: "000000000001", Relay: true, Clock: true, Points: all()})
	id := regexp.MustCompile(`^[a-z0-9_]+$`)
	seen := map[string]bool{}
	for key, c := range config.Components {
		if !id.MatchString(key) || !id.MatchString(c.UniqueID) || c.UniqueID != "dlt645_000000000001_"+key || seen[c.UniqueID] {
			t.Errorf("%s has the unique id %q", key, c.UniqueID)
		}
		seen[c.UniqueID] = true
		if c.DefaultEntityID != c.Platform+".meter_main_2_"+key {
			t.Errorf("%s has the entity id %s", key, c.DefaultEntityID)
		}
		if c.Name == "" {
			t.Errorf("%s has no name", key)
		}
		if c.StateClass != "" && c.Platform != platformSensor {
			t.Errorf("%s is no sensor, and has a state class", key)
		}
	}
	if len(config.Components) != len(all())+len([]string{keyRelay, keyConnection, keyEvent, keyRead, keySetClock, keyTurnaround, keyDrift}) {
		t.Errorf("%d entities of %d points", len(config.Components), len(all()))
	}
}

// What is not allowed, and what a meter does not have, is not offered.
func TestOffered(t *testing.T) {
	for _, row := range []struct {
		name string
		site Site
		has  bool
		want []string // beside connection and turnaround
	}{
		{"nothing allowed", Site{}, true, nil},
		{"reading", Site{Read: true}, true, []string{keyRead}},
		{"relay", Site{Relay: true}, true, []string{keyRelay}},
		{"relay of a meter without", Site{Relay: true}, false, nil},
		{"maintenance", Site{Maintenance: true}, true, []string{keySetClock}},
		{"maintenance of a meter without", Site{Maintenance: true}, false, nil},
		{"events", Site{EventTypes: []string{"online"}}, true, []string{keyEvent}},
	} {
		got := slices.Sorted(maps.Keys(row.site.Meter(Meter{Name: "main", Address: "1", Relay: row.has, Clock: row.has}).Components))
		want := slices.Sorted(slices.Values(append(row.want, keyConnection, keyTurnaround)))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", row.name, got, want)
		}
	}
}

// A config that comes back from the broker tells what was there; what is gone since is removed.
func TestKept(t *testing.T) {
	s := site()
	before := s.Meter(Meter{Name: "main", Address: "1", Points: all()[:2]})
	payload, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	kept, ours := Parse(payload, s)
	if !ours || kept.Meter != "main" || kept.Platforms["forward_active_energy"] != platformSensor || kept.Platforms[keyRead] != platformButton {
		t.Fatalf("kept %+v, ours %t", kept, ours)
	}
	after := s.Meter(Meter{Name: "main", Address: "1", Points: all()[:1]})
	after.Remove(kept.Platforms)
	gone, err := json.Marshal(after.Components["combined_active_energy"])
	if err != nil || string(gone) != `{"platform":"sensor"}` {
		t.Errorf("removed with %s, %v", gone, err)
	}
	if after.Components["forward_active_energy"].UniqueID == "" {
		t.Error("what is still there is removed")
	}
	if payload, err = json.Marshal(after); err != nil {
		t.Fatal(err)
	}
	if kept, _ = Parse(payload, s); kept.Platforms["combined_active_energy"] != "" {
		t.Error("what is removed counts as kept")
	}

	elsewhere := site()
	elsewhere.Root = "dlt645-2"
	for _, foreign := range [][]byte{nil, []byte("{}"), []byte("offline"), []byte(`{"origin":{"name":"zigbee"},"availability":[{"topic":"dlt645/bridge/status"}]}`)} {
		if _, ours := Parse(foreign, s); ours {
			t.Errorf("%s is taken for ours", foreign)
		}
	}
	if _, ours := Parse(payload, elsewhere); ours {
		t.Error("a config of another bridge is taken for ours")
	}
}

// Whoever may publish to Home Assistant's topics may write a config that looks like ours. Nothing of
// it comes to stand in a topic or in a config that no bridge would have put there.
func FuzzParse(f *testing.F) {
	const begin, end = `{"origin":{"name":"dlt645-mqtt"},"availability":[{"topic":"dlt645/bridge/status"}],`, `}`
	for _, seed := range []string{
		`"state_topic":"dlt645/meter/main/state","components":{"power":{"platform":"sensor","unique_id":"x"}}`,
		`"state_topic":"dlt645/meter/+/state"`, `"state_topic":"dlt645/meter/#"`, `"state_topic":"dlt645/meter/a\u0000b/state"`, `"state_topic":"dlt645/meter/"`,
		`"components":{"a/b":{"platform":"sensor","unique_id":"x"},"c":{"platform":"camera","unique_id":"y"}}`,
	} {
		f.Add([]byte(begin + seed + end))
	}
	if payload, err := json.Marshal(site().Meter(Meter{Name: "main", Address: "1", Points: all()})); err == nil {
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		kept, ours := Parse(payload, site())
		if !ours && (kept.Meter != "" || kept.Platforms != nil) {
			t.Errorf("%q: %+v of a foreign config", payload, kept)
		}
		if strings.ContainsFunc(kept.Meter, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789A_-", r) }) || len(kept.Meter) > 32 {
			t.Errorf("%q: a meter %q", payload, kept.Meter)
		}
		for key, platform := range kept.Platforms {
			if key != slug(key) || !slices.Contains(ourPlatforms, platform) {
				t.Errorf("%q: an entity %q of %q", payload, key, platform)
			}
		}
	})
}

func TestTopics(t *testing.T) {
	s := site()
	if got := s.Topic(s.MeterID("000000000001")); got != "homeassistant/device/dlt645_000000000001/config" {
		t.Error(got)
	}
	if id, ok := s.Device("homeassistant/device/dlt645_bridge/config"); !ok || id != s.BridgeID() {
		t.Errorf("%q, %t", id, ok)
	}
	for _, other := range []string{"homeassistant/status", "homeassistant/device/zigbee_1/config", "homeassistant/device/dlt645/config"} {
		if _, ok := s.Device(other); ok {
			t.Errorf("%s is taken for a config of ours", other)
		}
	}
}

// TestOtherMeters shows volumes as what they are of, other units, and a valve.
func TestOtherMeters(t *testing.T) {
	volume := func(medium protocol.Medium) points.Point {
		p := numeric("volume", "m³", 2, true, "cumulative volume", "累积流量")
		p.Description.Medium = medium
		return p
	}
	for _, row := range []struct {
		point                    points.Point
		class, stateClass, shown string
	}{
		{volume(protocol.MediumWater), "water", totalIncreasing, "m³"},
		{volume(protocol.MediumGas), "gas", totalIncreasing, "m³"},
		{volume(""), "volume", totalIncreasing, "m³"},
		{numeric("heat_energy", "GJ", 2, true, "cumulative heat", "当前热量"), classEnergy, totalIncreasing, "GJ"},
		{numeric("flow_rate", "m³/h", 4, false, "flow rate", "流量"), "volume_flow_rate", measurement, "m³/h"},
		{numeric("working_hours", "h", 0, false, "working hours", "累积工作时间"), classDuration, measurement, "h"},
	} {
		c := pointComponent(row.point)
		if c.DeviceClass != row.class || c.StateClass != row.stateClass || c.Unit != row.shown {
			t.Errorf("%s is shown as %s, %s, in %s", row.point.Item, c.DeviceClass, c.StateClass, c.Unit)
		}
	}
	config := site().Meter(Meter{Name: "water", Address: "00001234567890", Valve: true, Points: []points.Point{other("valve", protocol.FormText, "state of the valve", "阀门状态")}})
	c := config.Components[keyValve]
	if c.Platform != platformValve || c.PayloadOpen != "valve_open" || c.PayloadClose != "valve_close" || c.CommandTopic != "dlt645/request/relay/water" || c.Category != configuration {
		t.Errorf("the valve is %+v", c)
	}
	none := (&Site{}).Meter(Meter{Name: "water", Address: "00001234567890", Valve: true})
	if _, ok := none.Components[keyValve]; ok {
		t.Error("there is a valve though switching is not allowed")
	}
}
