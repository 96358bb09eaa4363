package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A grafanaDashboard is what the tests look at in a dashboard.
type grafanaDashboard struct {
	UID    string
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

// grafanaDashboards reads all dashboards.
func grafanaDashboards(t *testing.T) (all []grafanaDashboard) {
	t.Helper()
	files, err := filepath.Glob("deploy/grafana/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("dashboards %v, %v", files, err)
	}
	for _, file := range files {
		var d grafanaDashboard
		if err := json.Unmarshal([]byte(readFile(t, file)), &d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// TestGrafanaDashboard has every metric, label and item of the dashboards, and of the alert rules, in what a running
// bridge shows.
func TestGrafanaDashboard(t *testing.T) {
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
				value := regexp.MustCompile(`^(?:` + regexp.MustCompile(`\$\w+`).ReplaceAllString(selector[2], ".*") + `)$`)
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
	for _, dashboard := range grafanaDashboards(t) {
		ids := map[int]bool{}
		for _, panel := range dashboard.Panels {
			if ids[panel.ID] || panel.Title == "" || panel.GridPos.X+panel.GridPos.W > 24 || len(panel.Targets) == 0 {
				t.Errorf("%s: panel %+v", dashboard.UID, panel)
			}
			ids[panel.ID] = true
			if han := regexp.MustCompile(`\p{Han}`); !han.MatchString(panel.Title) || panel.Description != "" && !han.MatchString(panel.Description) {
				t.Errorf("%s: no Chinese on the panel %q: %q", dashboard.UID, panel.Title, panel.Description)
			}
			for _, target := range panel.Targets {
				check(panel.Title, target.Expr)
			}
		}
		for _, variable := range dashboard.Templating.List {
			if variable.Name != "datasource" {
				check("the variable "+variable.Name, string(variable.Query))
			}
		}
		if len(dashboard.Panels) < 10 {
			t.Errorf("%s has %d panels", dashboard.UID, len(dashboard.Panels))
		}
	}
	alerts := readFile(t, "deploy/prometheus/alerts.yml")
	check("the alert rules", alerts)
	for _, match := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(alerts, -1) {
		if !strings.Contains(readFile(t, "deploy/prometheus/alerts.test.yml"), "alertname: "+match[1]) {
			t.Errorf("no test has the alert %s speak", match[1])
		}
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

// TestAlertRules has Prometheus itself judge the alert rules, run their tests, and read the expressions of the dashboards.
func TestAlertRules(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"alerts.yml", "alerts.test.yml"} {
		writeFile(t, filepath.Join(folder, name), readFile(t, "deploy/prometheus/"+name))
	}
	rules := "groups:\n- name: dashboards\n  rules:\n"
	for _, dashboard := range grafanaDashboards(t) {
		for _, panel := range dashboard.Panels {
			for i, target := range panel.Targets {
				expression, err := json.Marshal(target.Expr)
				if err != nil {
					t.Fatal(err)
				}
				rules += fmt.Sprintf("  - record: panel_%d_%d\n    expr: %s\n    labels: {dashboard: %s}\n", panel.ID, i, expression, dashboard.UID)
			}
		}
	}
	writeFile(t, filepath.Join(folder, "dashboards.yml"), rules)
	for _, arguments := range [][]string{{"check", "rules", "alerts.yml", "dashboards.yml"}, {"test", "rules", "alerts.test.yml"}} {
		if out, err := promtool(t, folder, arguments...).CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v: %s", arguments, err, out)
		}
	}
}

// promtool is a command of Prometheus in a folder, by the program on this machine or the one in the other Debian. It
// skips the test where there is neither.
func promtool(t *testing.T, folder string, arguments ...string) *exec.Cmd {
	t.Helper()
	var command *exec.Cmd
	switch program := lookFor("promtool"); {
	case program != "":
		command = exec.CommandContext(t.Context(), program, arguments...)
	case *debian != "":
		command = exec.CommandContext(t.Context(), filepath.Join(*debian, "usr/bin/promtool"), arguments...) // it needs no library
	default:
		t.Skip("promtool is not installed (Debian: apt-get install prometheus), and make brokers was not asked")
	}
	command.Dir = folder
	return command
}
