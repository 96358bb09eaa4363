package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/points"
)

// runPointsCommand runs the command points with these variables.
func runPointsCommand(t *testing.T, variables map[string]string, in string, arguments ...string) (status int, out, stderr string) {
	t.Helper()
	setAll(t, variables)
	var o, e bytes.Buffer
	status = run(t.Context(), append([]string{"points"}, arguments...), strings.NewReader(in), &o, &e)
	return status, o.String(), e.String()
}

func TestPointsCheck(t *testing.T) {
	two := map[string]string{"DLT645_METERS": "main=1,shop=2"}
	status, out, stderr := runPointsCommand(t, two, "", "check", "examples/points.csv")
	for _, want := range []string{"76 points of 2 meters", "block 0201FF00  voltage_a voltage_b voltage_c\n", "and 59 more", "2400", "this bus"} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s%s", want, out, stderr)
		}
	}
	if status != 0 || stderr != "" {
		t.Errorf("status %d: %s", status, stderr)
	}

	status, out, _ = runPointsCommand(t, two, "meter,item,interval\nmain,voltage_block,10s\n", "check", "-json", "-bus", "sim://?baud=9600", "-")
	var found checkedTable
	if err := json.Unmarshal([]byte(out), &found); err != nil || status != 0 || !found.OK || found.Points != 3 || len(found.Plan) != 1 || found.Plan[0].Block != "0201FF00" {
		t.Errorf("status %d (%v): %s", status, err, out)
	}
	for _, at := range found.Speeds {
		if at.Bus != (at.Baud == 9600) || at.Budget <= 0 || at.BudgetWorst < at.Budget {
			t.Errorf("at %d baud: %+v", at.Baud, at)
		}
	}

	status, out, stderr = runPointsCommand(t, two, "meter,item\nmain,voltage_z\nnobody,voltage_a\n", "check", "-")
	if status != 1 || out != "" || !strings.Contains(stderr, "-: row 2, item: ") || !strings.Contains(stderr, "-: row 3, meter: ") {
		t.Errorf("status %d: %s%s", status, out, stderr)
	}
	status, _, stderr = runPointsCommand(t, two, "meter,item,interval\n*,voltage_a,1s\n*,voltage_b,1s\n*,current_a,1s\n*,current_b,1s\n*,active_power,1s\n*,frequency,1s\n*,temperature,1s\n", "check", "-")
	if status != 1 || !strings.Contains(stderr, "% of the wire's time at 2400 baud") {
		t.Errorf("a table that is too heavy: status %d: %s", status, stderr)
	}
	for _, arguments := range [][]string{{}, {"check"}, {"check", "a", "b"}, {"mend", "a"}, {"template", "a"}} {
		if status, _, _ := runPointsCommand(t, two, "", arguments...); status != 2 {
			t.Errorf("%q: status %d, want 2", arguments, status)
		}
	}
	if status, _, stderr := runPointsCommand(t, two, "", "check", "nowhere.csv"); status != 1 || !strings.Contains(stderr, "no such file") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// TestPointsTemplate writes tables that can be used as they are.
func TestPointsTemplate(t *testing.T) {
	named := map[string]string{"DLT645_METERS": "main=1,old=2@1997"} // and no bus: there is nothing to look for
	status, out, stderr := runPointsCommand(t, named, "", "template")
	if status != 0 || !strings.HasPrefix(out, "meter,item,interval,min,max,deadband\nmain,forward_active_energy,15m,,,\n") || strings.Contains(out, "old,status_3") {
		t.Errorf("status %d: %s%s", status, out, stderr)
	}
	if status, _, stderr := runPointsCommand(t, named, out, "check", "-"); status != 0 {
		t.Errorf("its own template: status %d: %s", status, stderr)
	}

	unknown := map[string]string{"DLT645_METERS": "", "DLT645_BUS_URL": "sim://?protocol=2007,1997&meters=2&baud=115200"}
	status, out, stderr = runPointsCommand(t, unknown, "", "template", "-meters", "2")
	_, names, found := strings.Cut(strings.TrimSpace(stderr), "DLT645_METERS=")
	if status != 0 || !found || !strings.Contains(out, "meter2,voltage_block,1m") {
		t.Fatalf("status %d: %s%s", status, out, stderr)
	}
	if status, _, stderr := runPointsCommand(t, map[string]string{"DLT645_METERS": names}, out, "check", "-"); status != 0 {
		t.Errorf("the template of a scan: status %d: %s", status, stderr)
	}
}

// TestExamplePoints uses the table that the demo works by as a user would, from a file.
func TestExamplePoints(t *testing.T) {
	setAll(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://broker", "DLT645_BUS_URL": "sim://", "DLT645_METERS": "main=1,shop=2", "DLT645_POINTS": filepath.Join("examples", "points.csv"),
	})
	c, err := readConfig(true)
	if err != nil {
		t.Fatal(err)
	}
	if table, err := points.Parse(examplePoints, meters.Site(c.meters, c.protocol)); err != nil || table.Hash() != c.points.Hash() {
		t.Errorf("the table of the file differs from the demo's (%v)", err)
	}
}

// TestDemoPollsEachOfItsMeters has the demo's own meters, and others.
func TestDemoPollsEachOfItsMeters(t *testing.T) {
	for _, test := range []struct {
		meters string
		want   []string // with points
	}{
		{demoDefaults["DLT645_METERS"], []string{"main", "shop", "grid", "water"}},
		{"main=1,shop=2,flat=3", []string{"main", "shop", "flat"}},
		{"other=1", nil},
	} {
		setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://broker", "DLT645_BUS_URL": demoDefaults["DLT645_BUS_URL"], "DLT645_METERS": test.meters})
		c, err := readConfig(true)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		if table := demoTable(c); table != nil {
			got = table.Meters()
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %v have points, want %v", test.meters, got, test.want)
		}
	}
}
