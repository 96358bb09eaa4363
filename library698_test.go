//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// libraryPython is the Python that has the library dlt698, which make dlt698-library installs.
func libraryPython(t *testing.T) string {
	t.Helper()
	python, err := filepath.Abs(".tools/dlt698/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(python, "-c", "import dlt698").Run(); err != nil {
		t.Skipf("the library dlt698 is not installed; make dlt698-library does that: %v", err)
	}
	return python
}

// startLibraryMeter starts a meter of DL/T 698.45 that is not ours, and returns the URL of its bus. cut says how it cuts
// long answers: not, in fragments, in blocks.
func startLibraryMeter(t *testing.T, cut string) string {
	t.Helper()
	python := libraryPython(t)
	ctx, stop := context.WithCancel(t.Context())
	meter := exec.CommandContext(ctx, python, "test/dlt698/meter.py", cut)
	var complaints bytes.Buffer
	meter.Stderr = &complaints
	out, err := meter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := meter.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = meter.Wait()
		if t.Failed() {
			t.Logf("the meter said: %s", complaints.String())
		}
	})
	port, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the meter says %q, %v: %s", port, err, complaints.String())
	}
	return "tcp://127.0.0.1:" + strings.TrimSpace(port)
}

// TestLibrary698Meter has the bridge read a meter of another implementation, whose long answers come whole, in fragments
// and in blocks.
func TestLibrary698Meter(t *testing.T) {
	b := startMochi(t)
	for _, cut := range []string{"whole", "fragments", "blocks"} {
		t.Run(cut, func(t *testing.T) {
			environment := allowAll(b, startLibraryMeter(t, cut))
			environment["DLT645_METERS"] = "grid=10@698"
			root, _ := startBridge(t, environment)
			c := newClient(t, dial(t, b.address), root+"/reply/#")
			c.ready(root)
			c.publish(root+"/request/read/grid", `forward_active_energy_block,voltage_block,current_block,active_power_block,reactive_power,power_factor_c,frequency,clock,address,asset_code,temperature`, nil)
			p := c.await(root+"/reply/read/grid", nil)
			var reply struct {
				Values json.RawMessage
				Errors map[string]struct{ Reasons []string }
			}
			if err := json.Unmarshal(p.Payload, &reply); err != nil {
				t.Fatal(err)
			}
			const want = `{"forward_active_energy":123456.78,"forward_active_energy_t1":12345.67,"forward_active_energy_t2":23456.78,"forward_active_energy_t3":34567.89,"forward_active_energy_t4":53086.44,` +
				`"voltage_a":220.1,"voltage_b":221.3,"voltage_c":219.8,"current_a":5.123,"current_b":-4.011,"current_c":0.000,` +
				`"active_power":2.1876,"active_power_a":1.1276,"active_power_b":0.8876,"active_power_c":0.1724,"reactive_power":-0.3000,"power_factor_c":-0.994,"frequency":49.98,` +
				`"clock":"2026-03-01T12:30:45+08:00","address":"000000000010","asset_code":"ASSET-0001"}`
			if string(reply.Values) != want {
				t.Errorf("got  %s\nwant %s\nin   %s", reply.Values, want, p.Payload)
			}
			if reasons := reply.Errors["temperature"].Reasons; len(reasons) != 1 || reasons[0] != "no_such_data" {
				t.Errorf("it has no temperature: %s", p.Payload)
			}
		})
	}
}

// TestLibrary698TimeTag gives that meter a relay command, whose time tag it understands. The library compares the tag with a clock
// in UTC, and says nothing to one that is off by more than the tag allows, as a meter may that wants to hear nothing
// played again: then nobody knows what became of the command.
func TestLibrary698TimeTag(t *testing.T) {
	b := startMochi(t)
	for zone, want := range map[string]string{"UTC": "refused no_such_data", "Asia/Shanghai": "unknown "} {
		t.Run(zone, func(t *testing.T) {
			environment := allowAll(b, startLibraryMeter(t, "whole"))
			environment["DLT645_METERS"], environment["DLT645_METER_TIMEZONE"] = "grid=10@698", zone
			root, _ := startBridge(t, environment)
			c := newClient(t, dial(t, b.address), root+"/reply/#")
			c.ready(root)
			c.publish(root+"/request/relay/grid", `{"action":"trip","verify_ms":0}`, nil)
			var reply struct {
				Result  string
				Reasons []string
			}
			p := c.await(root+"/reply/relay/grid", nil).Payload
			if err := json.Unmarshal(p, &reply); err != nil || reply.Result+" "+strings.Join(reply.Reasons, " ") != want {
				t.Errorf("%s, %v, want %s", p, err, want)
			}
		})
	}
}

// TestLibrary698Master has a master of another implementation read, set and switch a meter of the simulator, whose answers
// come whole and in fragments.
func TestLibrary698Master(t *testing.T) {
	python := libraryPython(t)
	want := regexp.MustCompile(`^address 0906000000000010
model 0A0944545A593639382D53
voltages 0103(12....){3}
voltage of phase B 12....
nothing DAR 6
list 0010 0105(06.{8}){5}
list 2001 0103(05.{8}){3}
list 2004 0104(05.{8}){4}
list 4002 0906000000000010
list 4104 0A0432323056
list 7FFF DAR 6
last day (1C.{8}000000) 0105(06.{8}){5}
third last day (1C.{8}000000)
that day 1C.{8}000000
days before 1C.{8}000000 0105(06.{8}){5}
days before 1C.{8}000000 0105(06.{8}){5}
set DAR 0
demand period 111E
trip DAR 0
relay 040880
close DAR 0
relay 040800
no such method DAR 6
$`)
	for _, fragment := range []string{"0", "60"} {
		t.Run(fragment, func(t *testing.T) {
			_, busURL := serveMeters(t, url.Values{"addresses": {"000000000010@698"}, "fragment": {fragment}})
			bus, err := url.Parse(busURL)
			if err != nil {
				t.Fatal(err)
			}
			var complaints bytes.Buffer
			master := exec.CommandContext(t.Context(), python, "test/dlt698/master.py", bus.Port())
			master.Stderr = &complaints
			got, err := master.Output()
			if err != nil {
				t.Fatalf("%v: %s%s", err, got, complaints.String())
			}
			if !want.Match(got) {
				t.Errorf("it was given\n%s", got)
			}
		})
	}
}
