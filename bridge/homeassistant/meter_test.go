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
	return points.Point{Item: name, Description: protocol.ItemDescription{
		Name: name, Form: protocol.FormNumber, Unit: unit, Decimals: decimals, Counter: counter, English: english, Chinese: chinese,
	}}
}

func other(name string, form protocol.Form, english, chinese string) points.Point {
	return points.Point{Item: name, Description: protocol.ItemDescription{Name: name, Form: form, English: english, Chinese: chinese}}
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
		{Item: "04999999", Description: protocol.ItemDescription{Form: protocol.FormText}},
	}
}

// words are those of status_3.supply.
var words = map[string][]protocol.Word{"status_3.supply": {{Value: "main", English: "main supply", Chinese: "主电源"}, {Value: "battery", English: "battery", Chinese: "电池供电"}}}

func site() *Site {
	return &Site{Root: "dlt645", Prefix: "homeassistant", Language: English, Version: "1.0.0", Support: "https://example.org/help", Read: true, Relay: true, Maintenance: true, EventTypes: []string{"online", "offline"}}
}

// Golden payloads: what Home Assistant is told of a meter that has everything, in Chinese where
// only reading is allowed, and of the bridge.
func TestPayloads(t *testing.T) {
	chinese := &Site{Root: "site/2", Prefix: "ha", Language: Chinese, Read: true}
	for name, config := range map[string]*Config{
		"meter": site().Meter(ShownMeter{
			ID: site().MeterID("000000000001"), Name: "main", Address: "000000000001", Relay: Switch, Clock: true, Drift: true, Points: all(), Words: words, Flagged: map[string]bool{"status_3": true},
			Edition: "DL/T 645-2007", Manufacturer: "Maker", Model: "DTZ1", Software: "V2", Hardware: "V1", Tariffs: 4,
		}),
		"buttons": site().Meter(ShownMeter{ID: site().MeterID("000000000002"), Name: "shop", Display: "Shop on the corner", Address: "000000000002", Relay: Buttons, Close: "permit_close", Edition: "DL/T 645-2007"}),
		"reading": chinese.Meter(ShownMeter{ID: chinese.MeterID("AAAAAAAAAA12"), Name: "AAAAAAAAAA12", Address: "AAAAAAAAAA12", Relay: Switch, Clock: true, Points: all()[:1]}),
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
	config := s.Meter(ShownMeter{ID: s.MeterID("000000000001"), Name: "main-2", Address: "000000000001", Relay: Switch, Clock: true, Drift: true, Points: all()})
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
	if len(config.Components) != len(all())+len([]string{keyRelay, keyConnection, keyEvent, keyRead, keySetClock, keyTurnaround, KeyDrift}) {
		t.Errorf("%d entities of %d points", len(config.Components), len(all()))
	}
}

// What is not allowed, and what a meter does not have, is not offered.
func TestOffered(t *testing.T) {
	for _, row := range []struct {
		name string
		site Site
		has  ShownMeter
		want []string // beside connection and turnaround
	}{
		{"nothing allowed", Site{}, ShownMeter{Relay: Switch, Clock: true}, nil},
		{"reading", Site{Read: true}, ShownMeter{}, []string{keyRead}},
		{"relay", Site{Relay: true}, ShownMeter{Relay: Switch}, []string{keyRelay}},
		{"relay that cannot be seen", Site{Relay: true}, ShownMeter{Relay: Buttons}, []string{KeyTrip, keyClose}},
		{"relay of a meter without", Site{Relay: true}, ShownMeter{}, nil},
		{"maintenance", Site{Maintenance: true}, ShownMeter{Clock: true}, []string{keySetClock}},
		{"maintenance of a meter without", Site{Maintenance: true}, ShownMeter{}, nil},
		{"clock drift", Site{}, ShownMeter{Drift: true}, []string{KeyDrift}},
		{"events", Site{EventTypes: []string{"online"}}, ShownMeter{}, []string{keyEvent}},
	} {
		row.has.Name, row.has.Address = "main", "1"
		got := slices.Sorted(maps.Keys(row.site.Meter(row.has).Components))
		want := slices.Sorted(slices.Values(append(row.want, keyConnection, keyTurnaround)))
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", row.name, got, want)
		}
		for _, key := range got {
			if !protocol.IsReserved(key) {
				t.Errorf("an item may be called %s, and take the place of that entity", key)
			}
		}
	}
}

// What was told before and is gone since is removed.
func TestRemove(t *testing.T) {
	s := site()
	before := s.Meter(ShownMeter{Name: "main", Address: "1", Points: all()[:2]}).Platforms()
	if before["forward_active_energy"] != platformSensor || before[keyRead] != platformButton {
		t.Fatalf("platforms %v", before)
	}
	after := s.Meter(ShownMeter{Name: "main", Address: "1", Points: all()[:1]})
	after.Remove(before)
	gone, err := json.Marshal(after.Components["combined_active_energy"])
	if err != nil || string(gone) != `{"platform":"sensor"}` {
		t.Errorf("removed with %s, %v", gone, err)
	}
	if after.Components["forward_active_energy"].UniqueID == "" {
		t.Error("what is still there is removed")
	}
	if after.Platforms()["combined_active_energy"] != "" {
		t.Error("what is removed counts as told")
	}
	for key, platform := range before {
		if !Known(platform, key) {
			t.Errorf("%s of %s is not believed", key, platform)
		}
	}
	for _, of := range [][2]string{{"camera", "x"}, {platformSensor, "a/b"}, {platformSensor, strings.Repeat("a", 200)}} {
		if Known(of[0], of[1]) {
			t.Errorf("%v is believed", of)
		}
	}
}

func TestTopics(t *testing.T) {
	s := site()
	if got := s.Topic(s.MeterID("000000000001")); got != "homeassistant/device/dlt645_000000000001/config" {
		t.Error(got)
	}
	for id, want := range map[string]bool{"dlt645_bridge": true, s.MeterID("1"): true, "dlt645_": false, "dlt645": false, "zigbee_1": false, "dlt645_a/b": false, "dlt645_+": false} {
		if IsOf("dlt645", id) != want {
			t.Errorf("%s is taken for ours: %t", id, !want)
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
		c := pointComponent(row.point, nil, English)
		if c.DeviceClass != row.class || c.StateClass != row.stateClass || c.Unit != row.shown {
			t.Errorf("%s is shown as %s, %s, in %s", row.point.Item, c.DeviceClass, c.StateClass, c.Unit)
		}
	}
	config := site().Meter(ShownMeter{Name: "water", Address: "00001234567890", Valve: true, Points: []points.Point{other("valve", protocol.FormText, "state of the valve", "阀门状态")}})
	c := config.Components[keyValve]
	if c.Platform != platformValve || c.PayloadOpen != "valve_open" || c.PayloadClose != "valve_close" || c.CommandTopic != "dlt645/request/relay/water" || c.Category != configuration {
		t.Errorf("the valve is %+v", c)
	}
	none := (&Site{}).Meter(ShownMeter{Name: "water", Address: "00001234567890", Valve: true})
	if _, ok := none.Components[keyValve]; ok {
		t.Error("there is a valve though switching is not allowed")
	}
}

// TestNames: in Home Assistant's lists names are cut after some twenty letters, so these must tell them apart.
func TestNames(t *testing.T) {
	energy := func(item, english, chinese string) points.Point {
		return numeric(item, "kWh", 2, true, english, chinese)
	}
	list := []points.Point{
		energy("forward_active_energy", "forward active energy", "正向有功总电能"),
		energy("forward_active_energy_t1", "forward active energy, tariff 1", "正向有功费率1电能"),
		energy("forward_active_energy_t2", "forward active energy, tariff 2", "正向有功费率2电能"),
		energy("forward_active_energy_t3", "forward active energy, tariff 3", "正向有功费率3电能"),
		energy("forward_active_energy_t4", "forward active energy, tariff 4", "正向有功费率4电能"),
		energy("reverse_active_energy", "reverse active energy", "反向有功总电能"),
		energy("forward_active_energy_h1", "forward active energy, settlement 1 back", "(上1结算日)正向有功总电能"),
		energy("forward_active_energy_t1_h2", "forward active energy, tariff 1, settlement 2 back", "(上2结算日)正向有功费率1电能"),
		numeric("quadrant_1_reactive_energy", "kvarh", 2, true, "quadrant I reactive energy", "第一象限无功总电能"),
		numeric("active_power_a", "kW", 4, false, "active power, phase A", "瞬时A相有功功率"),
		numeric("voltage_b", "V", 1, false, "voltage, phase B", "B相电压"),
		other("forward_active_demand_t2_time", protocol.FormMoment, "forward active maximum demand, tariff 2, time", "正向有功费率2最大需量发生时间"),
		other("status_4.voltage_loss", protocol.FormFlag, "voltage loss", "失压"),
		other("status_5.voltage_loss", protocol.FormFlag, "voltage loss", "失压"),
	}
	for _, row := range []struct {
		language string
		tariffs  int
		want     string
	}{
		{English, 4, "Forward energy|Sharp forward energy|Peak forward energy|Flat forward energy|Valley forward energy|Reverse energy|Settlement 1: forward energy|" +
			"Settlement 2: sharp forward energy|Q1 reactive energy|Power A|Voltage B|Time of peak forward demand|A voltage loss|B voltage loss"},
		{English, 2, "Forward energy|T1 forward energy|T2 forward energy|T3 forward energy|T4 forward energy|Reverse energy|Settlement 1: forward energy|" +
			"Settlement 2: T1 forward energy|Q1 reactive energy|Power A|Voltage B|Time of T2 forward demand|A voltage loss|B voltage loss"},
		{Chinese, 4, "正向有功总电能|正向有功尖电能|正向有功峰电能|正向有功平电能|正向有功谷电能|反向有功总电能|(上1结算日)正向有功总电能|" +
			"(上2结算日)正向有功尖电能|第一象限无功总电能|A相有功功率|B相电压|正向有功峰最大需量发生时间|A相失压|B相失压"},
		{Chinese, 0, "正向有功总电能|正向有功T1电能|正向有功T2电能|正向有功T3电能|正向有功T4电能|反向有功总电能|(上1结算日)正向有功总电能|" +
			"(上2结算日)正向有功T1电能|第一象限无功总电能|A相有功功率|B相电压|正向有功T2最大需量发生时间|A相失压|B相失压"},
	} {
		s := &Site{Language: row.language}
		config := s.Meter(ShownMeter{Name: "main", Address: "1", Tariffs: row.tariffs, Points: list})
		var names []string
		seen := map[string]bool{}
		for _, p := range list {
			name := config.Components[Key(p.Item)].Name
			names = append(names, name)
			letters := []rune(name)
			if begin := string(letters[:min(20, len(letters))]); seen[begin] {
				t.Errorf("two begin with %s", begin)
			} else {
				seen[begin] = true
			}
		}
		if got := strings.Join(names, "|"); got != row.want {
			t.Errorf("%s with %d tariffs:\n%s\nwant\n%s", row.language, row.tariffs, got, row.want)
		}
	}
}

// Names that the short form makes the same are told apart, and those that people gave are left alone.
func TestNamesAreDistinct(t *testing.T) {
	mine := numeric("voltage_a", "V", 1, false, "voltage, phase A", "A相电压")
	mine.Name = "Power"
	config := site().Meter(ShownMeter{Name: "main", Address: "1", Points: []points.Point{
		numeric("forward_active_fundamental", "kWh", 2, true, "forward active energy, fundamental", ""),
		numeric("one", "kWh", 2, true, "forward active energy", ""), numeric("two", "kWh", 2, true, "forward energy", ""),
		numeric("three", "", 0, false, "the same", ""), numeric("four", "", 0, false, "the same", ""), mine,
	}})
	for key, want := range map[string]string{
		"one": "Forward active energy", "two": "Forward energy", "three": "The same (three)", "four": "The same (four)", "voltage_a": "Power",
		"forward_active_fundamental": "Forward energy, fundamental",
	} {
		if got := config.Components[key].Name; got != want {
			t.Errorf("%s is called %s, want %s", key, got, want)
		}
	}
}
