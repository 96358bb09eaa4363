package main

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGrafanaDashboard has every metric, label and item of the dashboard in what a running bridge
// shows.
func TestGrafanaDashboard(t *testing.T) {
	var dashboard struct {
		Panels []struct {
			ID          int
			Title       string
			Description string
			GridPos     struct{ X, Y, W, H int }
			Targets     []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(readFile(t, "deploy/grafana/dlt645-mqtt.json")), &dashboard); err != nil {
		t.Fatal(err)
	}

	table := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, table, "meter,item,interval\n*,active_power,10s\n*,voltage_block,10s\n*,current_block,10s\n*,status_3,10s\n"+
		"*,forward_active_energy,10s\n*,forward_active_energy_t*,1m\n*,forward_active_energy_h1,1h\n*,forward_active_energy_h2,1h\n")
	b := startMochi(t)
	httpAddress := freeAddress(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_POINTS": table, "DLT645_HTTP": httpAddress,
	})
	c := newClient(t, dial(t, b.address), root+"/reply/#", root+"/meter/main/state")
	c.ready(root)
	c.await(root+"/meter/main/state", func(payload string) bool {
		return strings.Contains(payload, "relay") && strings.Contains(payload, "_h2") && strings.Contains(payload, "_t4")
	})
	c.ask(root, "read/main", "voltage_a")
	_, shown := get(t, "http://"+httpAddress+"/metrics")
	series := regexp.MustCompile(`(?m)^(dlt645_[a-z_]+)(?:\{(.*)\})? `)
	labels := map[string][]string{} // of each metric
	for _, match := range series.FindAllStringSubmatch(shown, -1) {
		labels[match[1]] = append(labels[match[1]], match[2])
	}

	used := regexp.MustCompile(`(dlt645_[a-z_]+)(?:\{([^}]*)\})?`)
	check := func(where, expression string) {
		matches := used.FindAllStringSubmatch(expression, -1)
		if matches == nil {
			t.Errorf("%s shows no metric of the bridge: %s", where, expression)
		}
		for _, match := range matches {
			of, ok := labels[match[1]]
			if !ok {
				t.Errorf("%s: there is no metric %s", where, match[1])
				continue
			}
			for _, selector := range regexp.MustCompile(`([a-z]+)=~?"([^"]*)"`).FindAllStringSubmatch(match[2], -1) {
				value := regexp.MustCompile(`^(?:` + strings.ReplaceAll(selector[2], "$meter", ".*") + `)$`)
				found := regexp.MustCompile(selector[1] + `="([^"]*)"`)
				if selector[1] == "result" { // not everything fails in this test
					continue
				}
				if !slices.ContainsFunc(of, func(text string) bool {
					label := found.FindStringSubmatch(text)
					return label != nil && value.MatchString(label[1])
				}) {
					t.Errorf("%s: no %s has %s", where, match[1], selector[0])
				}
			}
		}
	}
	ids := map[int]bool{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] || panel.Title == "" || panel.GridPos.X+panel.GridPos.W > 24 || len(panel.Targets) == 0 {
			t.Errorf("panel %+v", panel)
		}
		ids[panel.ID] = true
		if han := regexp.MustCompile(`\p{Han}`); !han.MatchString(panel.Title) || panel.Description != "" && !han.MatchString(panel.Description) {
			t.Errorf("no Chinese on the panel %q: %q", panel.Title, panel.Description)
		}
		for _, target := range panel.Targets {
			check(panel.Title, target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Name == "meter" {
			check("the variable meter", string(variable.Query))
		}
	}
	if len(dashboard.Panels) < 10 {
		t.Errorf("the dashboard has %d panels", len(dashboard.Panels))
	}
	// What the bridge shows is in both READMEs.
	for _, readme := range []string{"README.md", "README.zh-CN.md"} {
		for metric := range labels {
			if !strings.Contains(readFile(t, readme), "`"+metric+"`") {
				t.Errorf("%s does not mention %s", readme, metric)
			}
		}
	}
}
