package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol/dlt698"
)

func mustAddress698(t *testing.T, text string) dlt698.Address {
	t.Helper()
	address, err := dlt698.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// twenty698 are items of one meter that lie in ten attributes.
var twenty698 = []string{
	"forward_active_energy", "forward_active_energy_t1", "forward_active_energy_t2", "forward_active_energy_t3", "forward_active_energy_t4",
	"voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c",
	"active_power", "active_power_a", "active_power_b", "active_power_c", "reactive_power", "power_factor", "frequency", "temperature", "relay_open",
}

// Test698OverMQTT has meters of DL/T 645 and DL/T 698.45 on one line, and asks all of them in the same words.
func Test698OverMQTT(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprintf("secured %v", secured), func(t *testing.T) {
			t.Parallel()
			_, busURL := serveMeters(t, url.Values{
				"addresses": {"000000000010@698,000000000001,000000000011@698"}, "secured": {fmt.Sprint(secured)}, "fragment": {"90"},
			})
			environment := allowAll(b, busURL)
			environment["DLT645_METERS"] = "main=1,grid=10@698,shop=000000000011@698"
			environment["DLT645_POINTS"] = "basic"
			root, _ := startBridge(t, environment)
			c := newClient(t, dial(t, b.address), root+"/reply/#")
			c.ready(root)

			for _, meter := range []string{"main", "grid", "shop"} {
				r := c.ask(root, "read/"+meter, "forward_active_energy,voltage_a,active_power,status_3.relay_open,clock")
				for _, name := range []string{"forward_active_energy", "voltage_a", "active_power", "status_3.relay_open", "clock"} {
					if r.Values[name] == nil || !r.OK {
						t.Errorf("%s has no %s: %+v", meter, name, r)
					}
				}
			}
			r := c.ask(root, "read/grid", strings.Join(twenty698, ","))
			if !r.OK || len(r.Values) != 20 {
				t.Errorf("%d values: %+v", len(r.Values), r)
			}
			yesterday := fmt.Sprintf(`{"items":["daily_freeze_forward_active_energy"],"from":"%s"}`, time.Now().Add(-48*time.Hour).Format(time.RFC3339))
			for _, meter := range []string{"main", "grid"} {
				c.publish(root+"/request/read/"+meter, yesterday, nil)
				var history struct {
					OK      bool
					Samples []struct{ Values map[string]json.RawMessage }
				}
				p := c.await(root+"/reply/read/"+meter, nil)
				if err := json.Unmarshal(p.Payload, &history); err != nil || !history.OK || len(history.Samples) != 2 || history.Samples[0].Values["forward_active_energy"] == nil {
					t.Errorf("%s: %s", meter, p.Payload)
				}
			}

			trip := c.command(root, "relay/grid", "trip")
			switch {
			case secured && (trip.Result != "refused" || trip.Relay != "closed" || !slices.Contains(trip.Reasons, "authentication_required")):
				t.Errorf("%+v", trip)
			case !secured && (trip.Result != "verified" || trip.Relay != "open"):
				t.Errorf("%+v", trip)
			}
			for _, row := range []struct{ tail, payload, want string }{
				{"maintenance/grid", "sync_clock", "verified"},
				{"write/grid", `{"item":"demand_period","value":30}`, map[bool]string{false: "verified", true: "refused"}[secured]},
				{"maintenance/grid", "freeze", map[bool]string{false: "acknowledged", true: "refused"}[secured]},
				{"maintenance/grid", `{"action":"set_baud","baud":9600,"confirm":"000000000010"}`, ""},
			} {
				if r := c.command(root, row.tail, row.payload); r.Result != row.want {
					t.Errorf("%s %s: %+v, error %+v", row.tail, row.payload, r, r.Error)
				}
			}
			frame, err := dlt698.Frame{Control: 0x43, Address: mustAddress698(t, "000000000010"), Client: 0xA1, Data: []byte{5, 1, 9, 0x40, 1, 2, 0, 0}}.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			c.publish(root+"/request/raw", fmt.Sprintf("%X", frame), nil)
			if p := c.await(root+"/reply/raw", nil); !strings.Contains(string(p.Payload), "C3051000000000") {
				t.Errorf("raw: %s", p.Payload)
			}
			var state map[string]any
			watcher := newClient(t, dial(t, b.address), root+"/meter/+/state") // it is retained
			if err := json.Unmarshal(watcher.await(root+"/meter/grid/state", nil).Payload, &state); err != nil {
				t.Fatal(err)
			}
			if state["forward_active_energy"] == nil || state["voltage_c"] == nil || state["relay"] == nil {
				t.Errorf("the state is %v", state)
			}
			topic := "homeassistant/device/" + strings.ReplaceAll(root, "-", "_") + "_698_000000000010/config"
			device := newClient(t, dial(t, b.address), topic)
			for told := false; !told; { // it is read once the points have been
				config := string(device.await(topic, nil).Payload)
				told = true
				for _, want := range []string{`"manufacturer":"SIM"`, `"model":"DTZY698-S","model_id":"DL/T 698.45"`, `"sw_version":"0001"`, `"hw_version":"0001"`, `"unique_id":"` + strings.ReplaceAll(root, "-", "_") + `_698_000000000010_voltage_a"`} {
					told = told && strings.Contains(config, want)
				}
			}
		})
	}
}
