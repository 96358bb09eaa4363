//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dlt645-mqtt/simulator"
)

// slavePython is the Python that has pymodbus, which make modbus-slave installs.
func slavePython(t *testing.T) string {
	t.Helper()
	python, err := filepath.Abs(".tools/modbus/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if err := exec.Command(python, "-c", "import pymodbus, serial").Run(); err != nil {
		t.Skipf("pymodbus is not installed; make modbus-slave does that: %v", err)
	}
	return python
}

// nullModem joins two pseudo terminals and returns their paths.
func nullModem(t *testing.T) (a, b string) {
	t.Helper()
	var ends [2]*simulator.PTY
	for i := range ends {
		end, err := simulator.OpenPTY("")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { end.Close() })
		ends[i] = end
	}
	go io.Copy(ends[0], ends[1]) //nolint:errcheck // it ends when the test closes them
	go io.Copy(ends[1], ends[0]) //nolint:errcheck // likewise
	return ends[0].Path(), ends[1].Path()
}

// startSlave starts a Modbus slave that is not ours, and returns the port to reach it by.
func startSlave(t *testing.T) string {
	t.Helper()
	python := slavePython(t)
	ours, its := nullModem(t)
	ctx, stop := context.WithCancel(t.Context())
	slave := exec.CommandContext(ctx, python, "test/modbus/slave.py", its, "9600")
	var complaints bytes.Buffer
	slave.Stderr = &complaints
	out, err := slave.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := slave.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = slave.Wait()
		if t.Failed() {
			t.Logf("the slave said: %s", complaints.String())
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the slave says %q, %v: %s", line, err, complaints.String())
	}
	return ours
}

// TestModbusSlave reads, writes and switches a slave that pymodbus makes, over a serial line.
func TestModbusSlave(t *testing.T) {
	port := startSlave(t)
	maps := t.TempDir()
	table := "item,area,register,type,order,scale,offset,unit,ratio,invalid,access,role\n" +
		"ct,holding,6,u16\n" +
		"current_a,holding,0x200C,f32,,0.001,,A,ct\n" +
		"limit,holding,0x30,u32,,0.1,,V,,,RW\n" +
		"mode,holding,0x33,u16,,,,,,,RW06\n" +
		"voltage_l1,input,0,f32,,,,V\n" +
		"door,discrete,2,bool\n" +
		"relay_open,coil,3,bool,,,,,,,RW15,relay\n"
	if err := os.WriteFile(filepath.Join(maps, "own.csv"), []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{
		"DLT645_MODBUS_MAPS": maps, "DLT645_BUS_URL": "serial://" + port + "?baud=9600&parity=none&timeout=500ms", "DLT645_METERS": "rail=7@modbus/dtsu666",
	}
	var out string
	ask := func(meter string, items ...string) map[string]any {
		var status int
		var complaints string
		status, out, complaints = executeApart(t, variables, "", append([]string{"read", "-json", "-trace", meter}, items...)...)
		var reply map[string]any
		if err := json.Unmarshal([]byte(out), &reply); err != nil {
			t.Fatalf("status %d, %v: %s%s", status, err, out, complaints)
		}
		return reply
	}
	values := func(reply map[string]any) string {
		text, err := json.Marshal(reply["values"])
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	reply := ask("rail", "voltage_a", "current_a", "active_power", "reactive_power", "power_factor", "frequency", "forward_active_energy", "current_transformer_ratio")
	const want = `{"active_power":0.9288,"current_a":1.152,"current_transformer_ratio":40,"forward_active_energy":123.456,"frequency":49.98,"power_factor":0.998,"reactive_power":-0.012,"voltage_a":230.2}`
	if got := values(reply); got != want {
		t.Errorf("got  %s\nwant %s\nin   %s", got, want, out)
	}
	// The exact digits, which a JSON number of Go does not keep.
	for _, digits := range []string{`"reactive_power":-0.0120`, `"active_power":0.9288`, `"current_a":1.152`, `"frequency":49.98`} {
		if !strings.Contains(out, digits) {
			t.Errorf("%s is not in %s", digits, out)
		}
	}
	reply = ask("rail", "holding:2006:2", "holding:2022:2")
	if got := values(reply); got != `{"holding:2006:2":"450FE000"}` || !strings.Contains(out, `"illegal_address"`) {
		t.Errorf("registers by their place: %s", out)
	}

	variables["DLT645_METERS"] = "own=7@modbus/own"
	reply = ask("own", "current_a", "limit", "voltage_l1", "door", "relay_open")
	if got := values(reply); got != `{"current_a":46.08,"door":false,"limit":0,"relay_open":false,"voltage_l1":230.2}` {
		t.Errorf("a map of one's own: %s", out)
	}
	for _, row := range []struct{ target, body, want string }{
		{"write/own", `{"item":"limit","value":6553.7}`, `"result":"verified","value":6553.7,"unit":"V"`},
		{"write/own", `{"item":"mode","value":7}`, `"result":"verified","value":7`},
		{"relay/own", `{"action":"trip","verify_ms":2000}`, `"result":"verified","relay":"open"`},
		{"relay/own", `{"action":"close","verify_ms":2000}`, `"result":"verified","relay":"closed"`},
		{"write/own", `{"item":"holding:FF00:1","value":"0001"}`, `"result":"refused","reasons":["illegal_address"]`},
	} {
		if got := string(askWith(t, variables, row.target, row.body)); !strings.Contains(got, row.want) {
			t.Errorf("%s %s: %s, want %s", row.target, row.body, got, row.want)
		}
	}
}
