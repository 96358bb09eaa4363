package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestDecode(t *testing.T) {
	answer := "FE FE FE FE 68 01 00 00 00 00 00 68 91 08 33 33 34 33 97 3C 33 33 70 16"
	for _, row := range []struct {
		name      string
		arguments []string
		in        string
		lines     []string // what each line of output holds
		status    int
		stderr    string
	}{
		{"arguments joined", append([]string{"decode"}, strings.Fields(answer)...), "", []string{`"direction":"response","address":"000000000001","control":"91","function":"read","di":"00010000","values":{"forward_active_energy":9.64},"units":{"forward_active_energy":"kWh"},"more":false}`}, 0, ""},
		{"standard input, two frames", []string{"decode"}, answer + "\n" + "68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16\n", []string{`"response"`, `"request"`}, 0, ""},
		{"noise between frames", []string{"decode", "00 11", answer}, "", []string{`"response"`}, 1, "00 11"},
		{"option of the other commands", []string{"decode", "-json", answer}, "", []string{`"response"`}, 0, ""},
		{"bad checksum", []string{"decode", "680100000000006891083333343397" + "3C3333DB16"}, "", nil, 1, "checksum"},
		{"odd", []string{"decode", "681"}, "", nil, 1, "odd number of hex digits (3)"},
		{"no hex", []string{"decode", "hello"}, "", nil, 1, "'h' is no hex digit"},
		{"full-width digits", []string{"decode", "68１６"}, "", nil, 1, "'１' is no hex digit"},
		{"nothing", []string{"decode"}, "", nil, 1, "there is no frame"},
		{"refusal", []string{"decode", "68 01 00 00 00 00 00 68 D1 01 35 D8 16"}, "", []string{`"reasons":["no_such_data"]`}, 0, ""},
		{"refusal of an odd length", []string{"decode", "68 01 00 00 00 00 00 68 D1 03 35 33 33 40 16"}, "", []string{`"reasons":["other"]`}, 0, "this one has 3"},
		{"refusal without a byte, which the bus does not take either", []string{"decode", "68 01 00 00 00 00 00 68 D1 00 A2 16"}, "", nil, 1, "this one has 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			status, out, stderr := execute(t, row.in, row.arguments...)
			if status != row.status || !strings.Contains(stderr, row.stderr) || row.stderr == "" && stderr != "" {
				t.Errorf("status %d, errors %q", status, stderr)
			}
			lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			if out == "" {
				lines = nil
			}
			if len(lines) != len(row.lines) {
				t.Fatalf("%d lines, want %d: %s", len(lines), len(row.lines), out)
			}
			for i, want := range row.lines {
				if !strings.Contains(lines[i], want) || !json.Valid([]byte(lines[i])) {
					t.Errorf("line %s\nlacks %s", lines[i], want)
				}
			}
		})
	}
}

func TestItems(t *testing.T) {
	for _, row := range []struct{ words, want string }{
		{"voltage phase A", "voltage_a"}, {"A相电压", "voltage_a"}, {"02010100", "voltage_a"}, {"forward_active_energy_t1_h2", "forward_active_energy"},
	} {
		status, out, stderr := execute(t, "", append([]string{"items", "-json"}, strings.Fields(row.words)...)...)
		if status != 0 || !strings.Contains(out, row.want) {
			t.Errorf("items %s: status %d, %s%s", row.words, status, out, stderr)
		}
		for line := range strings.Lines(out) {
			var item map[string]any
			if err := json.Unmarshal([]byte(line), &item); err != nil {
				t.Fatal(err)
			}
			for _, key := range []string{"name", "di", "picture", "unit", "access", "text_en", "text_zh"} {
				if _, ok := item[key]; !ok {
					t.Errorf("%s lacks %s", line, key)
				}
			}
		}
	}
	if status, out, _ := execute(t, "", "items", "voltage", "-json"); status != 0 || !strings.HasPrefix(out, "{") {
		t.Errorf("the option last: status %d, %s", status, out)
	}
	if status, out, _ := execute(t, "", "items", "voltage"); status != 0 || !strings.HasPrefix(out, "NAME") {
		t.Errorf("table: status %d, %s", status, out)
	}
	if status, _, stderr := execute(t, "", "items", "nosuchthing"); status != 1 || !strings.Contains(stderr, "nothing found") {
		t.Errorf("nothing: status %d, %s", status, stderr)
	}
}

func TestReadCommand(t *testing.T) {
	t.Parallel()
	bus := quickMeters + "&meters=1&timeout=500ms"
	status, out, stderr := executeApart(t, nil, "", "read", "-bus", bus, "AAAAAAAAAAAA", "voltage_a,forward_active_energy")
	if table := regexp.MustCompile(`^voltage_a +\d+\.\d +V\nforward_active_energy +\d+\.\d\d +kWh\n$`); status != 0 || !table.MatchString(out) {
		t.Errorf("status %d, output %q, errors %q", status, out, stderr)
	}
	status, out, _ = executeApart(t, nil, "", "read", "-bus", bus, "-json", "000000000001", "02010100")
	if r := parseReply(t, []byte(out)); status != 0 || !r.OK || r.Units["voltage_a"] != "V" {
		t.Errorf("status %d, reply %s", status, out)
	}
	status, out, stderr = executeApart(t, nil, "", "read", "-bus", bus, "000000000001", "voltage_a", "nosuch")
	if status != 1 || !strings.HasPrefix(out, "voltage_a") || !strings.Contains(stderr, "unknown_item") {
		t.Errorf("one unknown item: status %d, output %q, errors %q", status, out, stderr)
	}
	if status, _, stderr = executeApart(t, nil, "", "read", "-bus", "carrier-pigeon://x", "1", "voltage_a"); status != statusConfiguration || !strings.Contains(stderr, "carrier-pigeon") {
		t.Errorf("bad bus: status %d, errors %q", status, stderr)
	}
	if status, _, _ = executeApart(t, nil, "", "read"); status != 2 {
		t.Errorf("no meter: status %d", status)
	}
	for protocol, want := range map[string]string{"2007": "nothing came from 000000123456 ", "1997": "nothing came from AAAAAA123456 "} {
		if status, _, stderr = executeApart(t, nil, "", "read", "-bus", bus, "-protocol", protocol, "123456", "voltage_a"); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("short address of %s: status %d, errors %q, want %q", protocol, status, stderr, want)
		}
	}
}

// TestReadFromSerialPort reads through a real terminal device.
func TestReadFromSerialPort(t *testing.T) {
	setAll(t, nil)
	terminal := serveMetersOnPTY(t, 2)
	status, out, stderr := execute(t, "", "read", "-bus", "serial://"+terminal+"?baud=115200", "000000000002", "voltage_a")
	if status != 0 || !strings.HasPrefix(out, "voltage_a") {
		t.Errorf("status %d, output %q, errors %q", status, out, stderr)
	}
}

func TestVersionAndHelp(t *testing.T) {
	if status, out, _ := execute(t, "", "version"); status != 0 || out != "dlt645-mqtt "+version+"\n" {
		t.Errorf("version: %d %q", status, out)
	}
	if status, out, _ := execute(t, "", "--version"); status != 0 || out != "dlt645-mqtt "+version+"\n" {
		t.Errorf("--version: status %d, %q", status, out)
	}
	if status, out, _ := execute(t, "", "--help"); status != 0 || !strings.Contains(out, "dlt645-mqtt demo") {
		t.Errorf("help: %d %q", status, out)
	}
	if status, _, stderr := execute(t, "", "demo", "fast"); status != 2 || !strings.Contains(stderr, `demo: "fast" is not understood`) {
		t.Errorf("a word too many: %d %q", status, stderr)
	}
	if status, _, stderr := execute(t, "", "halp"); status != 2 || !strings.Contains(stderr, `no command "halp"`) {
		t.Errorf("unknown command: %d %q", status, stderr)
	}
}

func TestHealthcheckWithoutBridge(t *testing.T) {
	setAll(t, map[string]string{"DLT645_TOPIC": "nobody-runs-this"})
	if status, _, stderr := execute(t, "", "healthcheck", "-help"); status != 0 || !strings.HasPrefix(stderr, "Usage: dlt645-mqtt healthcheck\n") {
		t.Errorf("help: status %d, %q", status, stderr)
	}
	if status, _, stderr := execute(t, "", "healthcheck"); status != 1 || !strings.Contains(stderr, "nobody-runs-this") {
		t.Errorf("status %d, errors %q", status, stderr)
	}
}

// TestDemo runs the demo, reads what it prints, and does what it says where the tools are there.
func TestDemo(t *testing.T) {
	// Another program holds the wished port, so that the demo must take the next.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	setAll(t, map[string]string{"DLT645_MQTT_URL": "embedded://" + taken.Addr().String(), "DLT645_TOPIC": "demo-test", "DLT645_BUS_URL": quickMeters})
	defer keepVariables(t)() // the demo sets some
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, writer := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		status := run(ctx, []string{"demo"}, nil, writer, &stderr)
		_ = writer.Close()
		ended <- status
	}()
	text := ""
	buffer := make([]byte, 4096)
	for !strings.Contains(text, "Ctrl-C stops.") {
		n, err := out.Read(buffer)
		text += string(buffer[:n])
		if err != nil {
			t.Fatalf("the demo ended: %s%s", text, &stderr)
		}
	}
	for _, want := range []string{`"voltage_a"`, "wire →   68010000000000681104333434", "wire ←   6801000000000068910633343435", "values  {\"voltage_a\":", "ok      true"} {
		if !strings.Contains(text, want) {
			t.Errorf("the demo does not print %q:\n%s", want, text)
		}
	}
	first := regexp.MustCompile(`^(http://127\.0\.0\.1:[0-9]+/) `).FindStringSubmatch(text)
	if first == nil {
		t.Errorf("the first line does not say where the console is:\n%s", text)
	} else if status, page := get(t, first[1]); status != http.StatusOK || !strings.Contains(page, "console.js") {
		t.Errorf("%s: %d %s", first[1], status, page)
	}
	if _, err := exec.LookPath("mosquitto_rr"); err == nil {
		for _, line := range regexp.MustCompile(`(?m)^  (mosquitto_rr .*)$`).FindAllStringSubmatch(text, -1) {
			reply, err := exec.CommandContext(ctx, "sh", "-c", line[1]).CombinedOutput()
			if err != nil || !strings.Contains(string(reply), `"ok":true`) {
				t.Errorf("%s: %v: %s", line[1], err, reply)
			}
		}
	} else {
		t.Log("skipped: the printed mosquitto_rr lines, as mosquitto-clients is not installed")
	}
	cancel()
	if status := <-ended; status != 0 {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

// TestHelpOfACommand compares help with the option of the command that it stands for.
func TestHelpOfACommand(t *testing.T) {
	commandLines := []string{"uplink model", "uplink check", "uplink sign", "points check", "nosuch"}
	for _, c := range commands() {
		commandLines = append(commandLines, c.name)
	}
	for _, line := range commandLines {
		words := strings.Fields(line)
		status, out, stderr := execute(t, "", append([]string{"help"}, words...)...)
		wantStatus, wantOut, wantErr := execute(t, "", append(words, "-help")...)
		if status != wantStatus || out != wantOut || stderr != wantErr || out+stderr == "" {
			t.Errorf("help %s: status %d, want %d\n%s%s\nand that of -help:\n%s%s", line, status, wantStatus, out, stderr, wantOut, wantErr)
		}
		if line != "help" && line != "nosuch" && !strings.Contains(stderr, "Usage: dlt645-mqtt "+words[0]) {
			t.Errorf("help %s is that of something else: %s", line, stderr)
		}
	}
	if status, _, stderr := execute(t, "", "help", "raed"); status != 2 || !strings.Contains(stderr, "read") {
		t.Errorf("help raed: status %d, %s", status, stderr)
	}
}
