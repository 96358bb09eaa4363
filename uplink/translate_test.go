package uplink

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/uplink/dialect"
)

func newTranslator(least time.Duration) (*translator, *[]string) {
	var refused []string
	return &translator{
		keys: Keys{"voltage_a": "ua"}, rule: dialect.Rule{Longest: 32, Plain: true}, devices: newDevices(nil, []string{"dlt645"}), flat: true, least: least,
		seen: map[meterID]map[string]time.Time{}, recent: map[meterID]*recentStates{}, posted: map[meterID]time.Time{},
		named:  func(string) {},
		refuse: func(item string, _ error) { refused = append(refused, item) },
	}, &refused
}

// describe writes readings in a line: key=value@time.
func describe(readings []dialect.Reading) string {
	var parts []string
	for _, r := range readings {
		parts = append(parts, fmt.Sprintf("%s=%s@%s", r.Key, r.Value, r.Time.UTC().Format("15:04:05.000")))
	}
	return strings.Join(parts, " ")
}

// TestStates brings of each state only what is new, with its own time and digits.
func TestStates(t *testing.T) {
	tr, refused := newTranslator(0)
	id := meterID{"dlt645", "main"}
	for _, row := range []struct{ state, want string }{
		{
			`{"voltage_a":220.0,"forward_active_energy":800000.01,"relay":"closed","time":"2026-11-20T18:00:10.213+08:00","times":{"forward_active_energy":"2026-11-20T18:00:00.402+08:00"}}`,
			`main_ua=220.0@10:00:10.213 main_forward_active_energy=800000.01@10:00:00.402 main_relay="closed"@10:00:10.213`,
		},
		{ // the same again
			`{"voltage_a":220.0,"forward_active_energy":800000.01,"relay":"closed","time":"2026-11-20T18:00:10.213+08:00","times":{"forward_active_energy":"2026-11-20T18:00:00.402+08:00"}}`,
			``,
		},
		{ // one value is new
			`{"voltage_a":220.1,"forward_active_energy":800000.01,"relay":"closed","time":"2026-11-20T18:00:20.000+08:00","times":{"forward_active_energy":"2026-11-20T18:00:00.402+08:00","relay":"2026-11-20T18:00:10.213+08:00"}}`,
			`main_ua=220.1@10:00:20.000`,
		},
		{ // a name that the cloud cannot take, and a value that is no reading
			`{"combined_reactive_1_energy_t1_h1_and_more":1.0,"list":[1],"voltage_b":0,"time":"2026-11-20T18:00:30.000+08:00"}`,
			`main_voltage_b=0@10:00:30.000`,
		},
		{``, ``},
	} {
		got, err := tr.state(id, []byte(row.state))
		if err != nil || describe(got) != row.want {
			t.Errorf("%s brings\n%s (%v), want\n%s", row.state, describe(got), err, row.want)
		}
	}
	if len(*refused) != 1 || (*refused)[0] != "combined_reactive_1_energy_t1_h1_and_more" {
		t.Errorf("refused: %v", *refused)
	}
}

// TestStatesAfterTheClockWasSetBack go out with their own times, although those lie before what went out already. States
// that come a second time do not.
func TestStatesAfterTheClockWasSetBack(t *testing.T) {
	tr, _ := newTranslator(0)
	id := meterID{"dlt645", "main"}
	state := func(voltage, at string) string {
		return fmt.Sprintf(`{"voltage_a":%s,"forward_active_energy":9.33,"time":"2026-11-20T%s+08:00","times":{"forward_active_energy":"2026-11-20T18:00:00+08:00"}}`, voltage, at)
	}
	first, second, third, fourth := state("220.1", "18:00:10"), state("220.2", "18:00:20"), state("220.3", "16:00:30"), state("220.4", "16:00:40")
	for i, row := range [][2]string{
		{first, "main_ua=220.1@10:00:10.000 main_forward_active_energy=9.33@10:00:00.000"},
		{second, "main_ua=220.2@10:00:20.000"},
		{first, ""}, // the broker was away
		{second, ""},
		{third, "main_ua=220.3@08:00:30.000"},
		{fourth, "main_ua=220.4@08:00:40.000"},
		{second, ""},
		{third, ""},
		{fourth, ""},
	} {
		if got, err := tr.state(id, []byte(row[0])); err != nil || describe(got) != row[1] {
			t.Errorf("state %d brings %s (%v), want %s", i, describe(got), err, row[1])
		}
	}
	if tr.forget(id); len(tr.recent) > 0 {
		t.Error("the states of a meter that was removed are kept")
	}
	for n := range 3 * mostUnacknowledged {
		if _, err := tr.state(id, []byte(state(fmt.Sprint(n), "18:00:10"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(tr.recent[id].sums); got != mostUnacknowledged {
		t.Errorf("%d states are known, want %d", got, mostUnacknowledged)
	}
}

// TestStatesThatAreNone are passed over with a reason, and change nothing.
func TestStatesThatAreNone(t *testing.T) {
	tr, _ := newTranslator(0)
	for _, state := range []string{
		`[]`, `{"voltage_a":1}`, `{"voltage_a":1,"time":"today"}`, `{"voltage_a":1,"time":17}`, `{"voltage_a":1,"voltage_a":2,"time":"2026-11-20T18:00:10+08:00"}`,
		`{"voltage_a":1,"time":"2026-11-20T18:00:10+08:00"} x`, `{"voltage_a":1,"time":"2026-11-20T18:00:10+08:00","times":[]}`, `{`,
	} {
		if got, err := tr.state(meterID{"dlt645", "main"}, []byte(state)); err == nil || len(got) > 0 {
			t.Errorf("%s brings %s", state, describe(got))
		}
	}
}

// TestMinInterval thins the states of a meter by their own times, so that a backlog is thinned alike.
func TestMinInterval(t *testing.T) {
	tr, _ := newTranslator(time.Minute)
	var brought []string
	for second := range 200 {
		at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
		got, err := tr.state(meterID{"dlt645", "main"}, fmt.Appendf(nil, `{"voltage_a":%d,"time":%q}`, second, at.Format(time.RFC3339)))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			brought = append(brought, string(r.Value))
		}
	}
	if got := strings.Join(brought, " "); got != "0 60 120 180" {
		t.Errorf("the values %s went out", got)
	}
}

// TestHistorySamples reads the samples in the reply to a read.
func TestHistorySamples(t *testing.T) {
	tr, _ := newTranslator(0)
	device := tr.devices.of(meterID{"dlt645", "main"})
	got, next, err := tr.samples(device, []byte(`{"samples":[{"time":"2026-11-20T00:00:00+08:00","values":{"forward_active_energy":9.30,"x":null}},{"time":"2026-11-20T00:15:00+08:00","values":{"forward_active_energy":9.41}}],"next":"2026-11-20T00:30:00+08:00"}`))
	if want := "main_forward_active_energy=9.30@16:00:00.000 main_forward_active_energy=9.41@16:15:00.000"; err != nil || describe(got) != want || next != "2026-11-20T00:30:00+08:00" {
		t.Errorf("%s, next %s (%v), want %s", describe(got), next, err, want)
	}
}

// TestEvents takes out what the device says itself.
func TestEvents(t *testing.T) {
	tr, _ := newTranslator(0)
	n, err := tr.event(meterID{"dlt645", "main"}, []byte(`{"event_type":"limit_passed","time":"2026-11-20T18:00:10.213+08:00","meter":"main","address":"000000000001","item":"voltage_a","value":253.40}`))
	if err != nil {
		t.Fatal(err)
	}
	members, err := json.Marshal(n.Members)
	if want := `[{"Name":"item","Value":"voltage_a"},{"Name":"value","Value":253.40}]`; err != nil || n.Type != "limit_passed" || string(members) != want {
		t.Errorf("%s %s (%v), want %s", n.Type, members, err, want)
	}
	for _, event := range []string{`{}`, `{"event_type":"a/b","time":"2026-11-20T18:00:10+08:00"}`, `{"event_type":"relay"}`} {
		if n, err := tr.event(meterID{"dlt645", "main"}, []byte(event)); err == nil {
			t.Errorf("%s reads as %+v", event, n)
		}
	}
}

// TestPresence tells the cloud of each change once, and of all again over a new connection.
func TestPresence(t *testing.T) {
	p := newPresence(newDevices(nil, []string{"dlt645"}))
	names := func(devices []*dialect.Device) string {
		var all []string
		for _, d := range devices {
			all = append(all, d.Meter)
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct {
		name       string
		do         func()
		come, gone string
		posting    []meterID
	}{
		{"before the bridge is heard", func() { p.meter(meterID{"r", "main"}, "online"); p.meter(meterID{"r", "shop"}, "offline") }, "", "", nil},
		{"the bridge is there", func() { p.bridge("r", true) }, "main", "shop", nil},
		{"nothing new", func() {}, "", "", nil},
		{"a meter returns", func() { p.meter(meterID{"r", "shop"}, "online") }, "shop", "", nil},
		{"the bridge goes", func() { p.bridge("r", false) }, "", "main shop", nil},
		{"and returns", func() { p.bridge("r", true) }, "main shop", "", nil},
		{"a meter is removed", func() { p.meter(meterID{"r", "shop"}, "") }, "", "shop", nil},
		{"a new connection", func() { p.begin() }, "main", "", nil},
		{"an old value of a meter that is away", func() { p.meter(meterID{"r", "main"}, "offline") }, "", "", []meterID{{"r", "main"}}},
		{"it was posted", func() {}, "", "main", nil},
		{"another old value", func() {}, "main", "", []meterID{{"r", "main"}}},
	} {
		step.do()
		come, gone := p.news(step.posting)
		if names(come) != step.come || names(gone) != step.gone {
			t.Errorf("%s: came %q, went %q, want %q and %q", step.name, names(come), names(gone), step.come, step.gone)
		}
	}
}

// TestDevicesOfCalls finds the meter that a call means.
func TestDevicesOfCalls(t *testing.T) {
	rows, err := ReadDevices([]byte("meter,prefix\nmain,1_\nshop,2_\n"), []string{"dlt645"})
	if err != nil {
		t.Fatal(err)
	}
	d := newDevices(rows, []string{"dlt645"})
	for meter, want := range map[string]string{"main": "main", "1": "main", "2_": "shop", "": "", "3": ""} {
		got := ""
		if device := d.called(dialect.Call{Meter: meter}); device != nil {
			got = device.Meter
		}
		if got != want {
			t.Errorf("%q means %q, want %q", meter, got, want)
		}
	}
	if device, rest := d.prefixed("2_ua"); device == nil || device.Meter != "shop" || rest != "ua" {
		t.Errorf("2_ua means %v, %q", device, rest)
	}
	rows, err = ReadDevices([]byte("meter;product;device;secret\nmain;p;d1;s\nshop;p;d2;s\n"), []string{"dlt645"})
	if err != nil {
		t.Fatal(err)
	}
	if device := newDevices(rows, []string{"dlt645"}).called(dialect.Call{Product: "p", Device: "d2"}); device == nil || device.Meter != "shop" {
		t.Errorf("d2 is %v", device)
	}
	if device := newDevices(rows, []string{"dlt645"}).called(dialect.Call{Product: "q", Device: "d2"}); device != nil {
		t.Errorf("a device of another product is %v", device)
	}
}

// TestMetersOfOneName has meters of several bridges whose keys would be the same: one of them has the keys, whichever is
// heard of first, and the other is told of.
func TestMetersOfOneName(t *testing.T) {
	north, south, shop := meterID{"north", "main"}, meterID{"south", "main"}, meterID{"south", "shop"}
	for _, row := range []struct {
		name        string
		file        string
		heard       []meterID
		goes, stays []meterID
	}{
		{"the first root first", "", []meterID{north, south, shop}, []meterID{north, shop}, []meterID{south}},
		{"the first root last", "", []meterID{south, shop, north}, []meterID{north, shop}, []meterID{south}},
		{"in the file", "root,meter,prefix\nsouth,main,2_\n", []meterID{south, north}, []meterID{south, north}, nil},
		{"another one in the file has the prefix", "root,meter,prefix\nsouth,shop,main_\n", []meterID{north, shop, south}, []meterID{shop}, []meterID{north, south}},
	} {
		var rows []dialect.Device
		if row.file != "" {
			var err error
			if rows, err = ReadDevices([]byte(row.file), []string{"north", "south"}); err != nil {
				t.Fatal(err)
			}
		}
		d := newDevices(rows, []string{"north", "south"})
		var told []meterID
		d.clash = func(without, _ meterID) { told = append(told, without) }
		for range 2 {
			for _, id := range row.heard {
				d.of(id)
			}
		}
		for _, id := range row.goes {
			if d.of(id) == nil {
				t.Errorf("%s: %v does not go", row.name, id)
			}
		}
		for _, id := range row.stays {
			if d.of(id) != nil {
				t.Errorf("%s: %v goes as well", row.name, id)
			}
		}
		if !slices.Equal(told, row.stays) {
			t.Errorf("%s: told of %v, want %v", row.name, told, row.stays)
		}
	}
}

func FuzzState(f *testing.F) {
	f.Add([]byte(`{"voltage_a":220.0,"time":"2026-11-20T18:00:10.213+08:00","times":{"voltage_a":"2026-11-20T18:00:00+08:00"}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		tr, _ := newTranslator(0)
		readings, err := tr.state(meterID{"dlt645", "main"}, payload)
		if err != nil && readings != nil {
			t.Error("readings beside an error")
		}
		for _, r := range readings {
			if !json.Valid(r.Value) || r.Time.IsZero() {
				t.Errorf("%s at %s", r.Value, r.Time)
			}
		}
	})
}
