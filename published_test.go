package main

import (
	"maps"
	"path/filepath"
	"strings"
	"testing"
)

// TestGoneMetersLeaveNothing starts the bridge again with fewer meters, with and without points, and with and without
// Home Assistant. What the broker has kept of those that are gone goes, and the rest stays.
func TestGoneMetersLeaveNothing(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		points    string // of the first run
		discovery string // in the second run
	}{
		"with points": {"*,voltage_a,1s\n", "homeassistant"}, "without points": {"main,voltage_a,1s\n", "off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startMochi(t)
			table := filepath.Join(t.TempDir(), "points.csv")
			writeFile(t, table, "meter,item,interval\n"+row.points)
			variables := map[string]string{
				"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=2", "DLT645_METERS": "main=1,shop=2",
				"DLT645_POINTS": table, "DLT645_DISCOVERY": "homeassistant",
			}
			root, stop := startBridge(t, variables)
			c := newClient(t, dial(t, b.address), root+"/meter/#", root+"/bridge/published", "homeassistant/#")
			// kept listens until a condition holds for what the broker keeps.
			kept := map[string]string{}
			until := func(holds func() bool) {
				t.Helper()
				for !holds() {
					if p := c.next(); len(p.Payload) == 0 {
						delete(kept, p.Topic)
					} else {
						kept[p.Topic] = string(p.Payload)
					}
				}
			}
			until(func() bool {
				devices := 0
				for topic := range kept {
					if strings.HasPrefix(topic, "homeassistant/device/") {
						devices++
					}
				}
				return kept[root+"/meter/shop/availability"] == "online" && devices == 2+strings.Count(row.points, "*") && strings.Count(kept[root+"/bridge/published"], "\"entities\"") == devices
			})
			stop()
			writeFile(t, table, "meter,item,interval\nmain,voltage_a,1s\n")
			maps.Copy(variables, map[string]string{"DLT645_METERS": "main=1", "DLT645_DISCOVERY": row.discovery})
			_, stop = startBridge(t, variables)
			until(func() bool { return strings.HasPrefix(kept[root+"/bridge/published"], `{"meters":["main"]`) })
			stop()
			for topic, payload := range kept {
				if strings.Contains(topic, "/shop/") && !strings.HasSuffix(topic, "/event") || strings.Contains(topic, "_000000000002/") {
					t.Errorf("the broker still has %s: %s", topic, payload)
				}
			}
			if kept[root+"/meter/main/state"] == "" {
				t.Error("the state of the meter that is there is gone, too")
			}
		})
	}
}
