package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/search"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
	"dlt645-mqtt/test/line"
)

// A scanReply is what these tests look at in the reply to a scan.
type scanReply struct {
	ID     string
	OK     bool
	Meters []struct {
		Address, Protocol, Parity string
		Baud                      int
	}
	Sure    bool
	Stopped *struct{ Code string }
	Error   *struct {
		Code, Message string
		RetryAfterMS  int64 `json:"retry_after_ms"`
	}
}

func parseScan(t testing.TB, payload []byte) scanReply {
	t.Helper()
	var r scanReply
	if err := json.Unmarshal(payload, &r); err != nil {
		t.Fatalf("reply %s: %v", payload, err)
	}
	return r
}

func (r scanReply) addresses() string {
	var all []string
	for _, m := range r.Meters {
		all = append(all, m.Address)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// unlike are addresses of which some are alike in their last pairs, in their first, or full
// of start and end bytes.
var unlike = []string{
	"000000000001", "000000000101", "112233445566", "112233445567", "202300445566", "681668166816", "681668166817", "990000000001",
}

// TestScanFindsAll scans a bus of eight to the end, at the speed and with the turnaround of
// real meters, in virtual time.
func TestScanFindsAll(t *testing.T) {
	for _, body := range []string{`{}`, `{"meters":8}`, `{"meters":8,"protocols":["2007"]}`, `{"meters":9}`} {
		synctest.Test(t, func(t *testing.T) {
			v := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, unlike...), Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4}, nil)
			defer v.Stop()
			begin, told := time.Now(), 0
			share := 0.0
			r := parseScan(t, v.Scan(t.Context(), []byte(body), func(p bridge.ScanProgress) {
				told++
				share = p.Share()
			}))
			took := time.Since(begin)
			if want := strings.Join(unlike, " "); !r.OK || r.addresses() != want {
				t.Errorf("%s: found %s, want %s", body, r.addresses(), want)
			}
			if r.Sure != (body == `{}`) {
				t.Errorf("%s: sure is %t", body, r.Sure)
			}
			if told < 10 || share < 0.5 && body == `{}` {
				t.Errorf("%s: told %d times how far it is, last %.0f %%", body, told, 100*share)
			}
			if strings.Contains(body, "8") && took > 10*time.Minute {
				t.Errorf("%s: took %v", body, took)
			}
			t.Logf("%s: %v", body, took.Round(time.Second))
		})
	}
}

// TestScanOfBothEditions finds meters of 2007 and of 1997 on one bus, a short address among them.
func TestScanOfBothEditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		meters := line.Simulated(t, "000000000042")
		for _, address := range []string{"970000000042", "4711"} {
			m, err := simulator.NewMeter(simulator.MeterOptions{Address: address, Version: dlt645.V1997})
			if err != nil {
				t.Fatal(err)
			}
			meters = append(meters, m)
		}
		v := line.NewSite(t, simulator.BusOptions{Meters: meters, Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4}, nil)
		defer v.Stop()
		r := parseScan(t, v.Scan(t.Context(), nil, func(bridge.ScanProgress) {}))
		if r.addresses() != "000000000042 970000000042 AAAAAAAA4711" || !r.Sure {
			t.Errorf("found %+v", r)
		}
		for _, m := range r.Meters {
			if want := map[bool]string{true: "2007", false: "1997"}[m.Address == "000000000042"]; m.Protocol != want {
				t.Errorf("%s is said to speak %s", m.Address, m.Protocol)
			}
		}
	})
}

// TestScanWithFaults checks that a bus on which things go wrong makes no meter up, and that
// every meter is found whose answers are spoilt rather than lost.
func TestScanWithFaults(t *testing.T) {
	for text, all := range map[string]bool{
		"all=0.02": false,
		"flip=0.05,checksum=0.05,truncated=0.05,junk=0.05,fe=0.2,echo=0.2,foreign=0.05,otherdi=0.05,pieces=0.05,slow=0.2,collision=0.05": true,
	} {
		faults, err := simulator.ParseFaults(text)
		if err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(3) {
			synctest.Test(t, func(t *testing.T) {
				v := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, unlike...), Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4, Faults: faults, Seed: seed}, nil)
				defer v.Stop()
				r := parseScan(t, v.Scan(t.Context(), []byte(`{"meters":8,"protocols":["2007"]}`), func(bridge.ScanProgress) {}))
				for _, m := range r.Meters {
					if !slices.Contains(unlike, m.Address) {
						t.Errorf("%s, seed %d: %s is not there", text, seed, m.Address)
					}
				}
				if all && len(r.Meters) < len(unlike) {
					t.Errorf("%s, seed %d: found only %s", text, seed, r.addresses())
				}
			})
		}
	}
}

// TestScanYields checks that reads go before a scan, and that a second scan is turned away.
func TestScanYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, "000000000001"), Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4}, nil)
		defer v.Stop()
		ctx, cancel := context.WithCancel(t.Context())
		scanned := make(chan []byte)
		go func() { scanned <- v.Scan(ctx, []byte(`{"protocols":["2007"]}`), func(bridge.ScanProgress) {}) }()
		<-time.After(10 * time.Second)
		second := parseScan(t, v.Ask("scan", nil))
		if second.Error == nil || second.Error.Code != "busy" || second.Error.RetryAfterMS < 1000 {
			t.Errorf("a second scan: %+v", second)
		}
		const question, reading = 750 * time.Millisecond, 250 * time.Millisecond
		for range 5 {
			begin := time.Now()
			if r := parseReply(t, v.Ask("read/000000000001", []byte("voltage_a"))); !r.OK {
				t.Errorf("%+v", r)
			}
			if took := time.Since(begin); took > question+reading {
				t.Errorf("a read took %v while a scan was under way", took)
			}
		}
		cancel()
		r := parseScan(t, <-scanned)
		if r.OK || r.Sure || r.Stopped == nil || r.Stopped.Code != "stopping" || r.addresses() != "000000000001" {
			t.Errorf("a scan that was stopped: %+v", r)
		}
		// Now there is room for another one.
		if r := parseScan(t, v.Ask("scan", []byte(`{"meters":1}`))); !r.OK || r.addresses() != "000000000001" {
			t.Errorf("%+v", r)
		}
	})
}

func TestScanRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := line.NewSite(t, simulator.BusOptions{Baud: 2400}, nil)
		defer v.Stop()
		for _, test := range []struct{ tail, body, code, message string }{
			{"scan", "everything", "bad_request", "JSON object"},
			{"scan/main", "", "bad_request", "test/request/scan"},
			{"scan", `{"meters":0}`, "bad_request", "from 1 to 65535"},
			{"scan", `{"meters":-1}`, "bad_request", "from 1 to 65535"},
			{"scan", `{"metres":1}`, "bad_request", "metres"},
			{"scan", `{"protocols":["2020"]}`, "bad_request", "there are 1997, 2007"},
			{"scan", `{"speeds":[9600]}`, "bad_request", "on a serial line only"},
			{"scan", `{"parities":["none"]}`, "bad_request", "on a serial line only"},
			{"scan", `{"speeds":[1]}`, "bad_request", "from 300"},
			{"scan", `{"parities":["mark"]}`, "bad_request", "even, odd or none"},
			{"scan", `{"expires":"2000-01-01T00:00:00Z"}`, "expired", "expired"},
		} {
			r := parseScan(t, v.Ask(test.tail, []byte(test.body)))
			if r.OK || r.Error == nil || r.Error.Code != test.code || !strings.Contains(r.Error.Message, test.message) {
				t.Errorf("%s %s: %+v", test.tail, test.body, r.Error)
			}
		}
		// Nobody is there: that is no error, and it is certain.
		r := parseScan(t, v.Ask("scan", []byte(`{"id":"7","speeds":[2400],"parities":["even"]}`)))
		if !r.OK || !r.Sure || r.Meters == nil || len(r.Meters) != 0 || r.ID != "7" {
			t.Errorf("an empty bus: %+v", r)
		}
	})
}

// TestScanCommand scans a pseudo terminal, which has no speeds and no parity, with those of
// the bus unknown.
func TestScanCommand(t *testing.T) {
	setAll(t, nil)
	bus := "serial://" + serveMetersOnPTY(t, 1) + "?timeout=50ms"
	status, out, stderr := execute(t, "", "scan", "-bus", bus, "-meters", "1")
	if lines := strings.Split(out, "\n"); status != 0 || len(lines) != 3 || !strings.HasPrefix(lines[0], "ADDRESS ") || strings.Join(strings.Fields(lines[1]), " ") != "000000000001 2007 2400 even" {
		t.Errorf("status %d, output %q, errors %q", status, out, stderr)
	}
	if want := "a meter answers at 2400 even, 2007\nall 1 found\nto give them names:\nDLT645_METERS=meter1=000000000001\n"; stderr != want {
		t.Errorf("errors %q, want %q", stderr, want)
	}
	status, out, stderr = execute(t, "", "scan", "-bus", bus, "-meters", "1", "-speeds", "9600,1200", "-parities", "none", "-protocol", "2007", "-json")
	if r := parseScan(t, []byte(out)); status != 0 || len(r.Meters) != 1 || r.Meters[0].Baud != 9600 || r.Meters[0].Parity != "none" {
		t.Errorf("status %d, output %q, errors %q", status, out, stderr)
	}
	for _, test := range []struct {
		arguments []string
		status    int
		want      string
	}{
		{[]string{"-speeds", "fast"}, 2, `"fast" is no whole number`},
		{[]string{"now"}, 2, `"now" is not understood`},
		{[]string{"-bus", "serial:"}, statusConfiguration, "no serial device"},
	} {
		if status, _, stderr := execute(t, "", append([]string{"scan"}, test.arguments...)...); status != test.status || !strings.Contains(stderr, test.want) {
			t.Errorf("scan %q: status %d, errors %q", test.arguments, status, stderr)
		}
	}
	if status, _, stderr := execute(t, "", "scan", "-bus", "tcp://127.0.0.1:1", "-speeds", "600"); status != 1 || !strings.Contains(stderr, "serial line only") {
		t.Errorf("speeds behind a server: status %d, errors %q", status, stderr)
	}
}

func TestProgressBar(t *testing.T) {
	var w bytes.Buffer
	bar := progressBar{w: &w, shown: true}
	bar.show(bridge.ScanProgress{Asked: 25, Left: 75, RemainingMS: 61_000, Pattern: "AAAAAAAAAA01", Protocol: "2007", Baud: 2400, Parity: "even"})
	bar.clear()
	line := "[#####---------------] 0 found, about 1m1s left; AAAAAAAAAA01 2007 2400 even"
	if got, want := w.String(), "\r"+line+"\r"+strings.Repeat(" ", len(line))+"\r"; got != want {
		t.Errorf("bar %q, want %q", got, want)
	}
	w.Reset()
	silent := progressBar{w: &w}
	silent.show(bridge.ScanProgress{})
	silent.clear()
	if w.Len() > 0 {
		t.Errorf("without a terminal: %q", w.String())
	}
}

// TestScanOverMQTT watches the progress of a scan.
func TestScanOverMQTT(t *testing.T) {
	b := startMochi(t)
	root, _ := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=3&timeout=50ms"})
	c := newClient(t, dial(t, b.address), root+"/reply/#", root+"/bridge/scan")
	c.ready(root)
	c.publish(root+"/request/scan", `{"id":"7","meters":3,"protocols":["2007"]}`, nil)
	var p bridge.ScanProgress
	for p.State != "done" {
		if err := json.Unmarshal(c.await(root+"/bridge/scan", nil).Payload, &p); err != nil {
			t.Fatal(err)
		}
		if string(p.ID) != `"7"` || p.Protocol != "2007" || p.Baud != 115200 || p.Asked == 0 || p.Time == "" {
			t.Errorf("progress %+v", p)
		}
	}
	if len(p.Meters) != 3 || p.Left != 0 {
		t.Errorf("at the end %+v", p)
	}
	r := parseScan(t, c.await(root+"/reply/scan", nil).Payload)
	if r.ID != "7" || r.addresses() != "000000000001 000000000002 000000000003" || r.Sure {
		t.Errorf("%+v", r)
	}
}

// TestScanOfAnAddressWithLetters finds a meter whose address no standard knows, alone and beside another, and
// then reads it by that address and commands it.
func TestScanOfAnAddressWithLetters(t *testing.T) {
	for _, addresses := range [][]string{{"00000000B2C3"}, {"000000000001", "00000000B2C3"}, {"000000000001", "000000000002", "00000000B2C3", "0000C3000002"}} {
		synctest.Test(t, func(t *testing.T) {
			v := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, addresses...), Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4}, nil)
			defer v.Stop()
			body := fmt.Appendf(nil, `{"protocols":["2007"],"meters":%d}`, len(addresses))
			r := parseScan(t, v.Scan(t.Context(), body, func(bridge.ScanProgress) {}))
			if r.addresses() != strings.Join(addresses, " ") {
				t.Errorf("%q: found %+v", addresses, r)
			}
			for _, ask := range []struct{ tail, body string }{
				{"read/00000000B2C3", "voltage_a"},
				{"read/00000000b2c3", "voltage_a"},
				{"relay/00000000B2C3", "trip"},
			} {
				reply := v.Ask(ask.tail, []byte(ask.body))
				if !strings.Contains(string(reply), `"ok":true`) || !strings.Contains(string(reply), `"address":"00000000B2C3"`) {
					t.Errorf("%s: %s", ask.tail, reply)
				}
			}
			if reply := v.Ask("maintenance/000000000001", []byte(`{"action":"set_address","address":"0000000000C3","confirm":"000000000001"}`)); !strings.Contains(string(reply), "has letters") {
				t.Errorf("a new address with letters: %s", reply)
			}
		})
	}
}

// TestScanTellsWhatItHeard scans a bus on which somebody answers who is no meter that could be listed.
func TestScanTellsWhatItHeard(t *testing.T) {
	for _, test := range []struct{ name, answer, want string }{
		{"an address with the wildcard in it", "6801AA03000000689306340033333333" + "0016", "AA"},
		{"the address of another in the data", "68010000000000689306353333333333" + "3016", "meter 000000000001 answers 93 read_address, where 13 read_address was asked for"},
		{"whole answers to something else", "680100000000006891083333343397" + "3C3333" + "DA16", "meter 000000000001 answers to another request (91 read 00010000 forward_active_energy) than the one that was sent (13 read_address)"},
		{"who answers only once", "68010000000000689306343333333333" + "2F16", "meter 000000000001 answered, but not when it was asked by itself"},
	} {
		synctest.Test(t, func(t *testing.T) {
			answer, err := hex.DecodeString(test.answer)
			if err != nil {
				t.Fatal(err)
			}
			sum := byte(0)
			for _, b := range answer[:len(answer)-2] {
				sum += b
			}
			answer[len(answer)-2] = sum
			v := line.NewSite(t, simulator.BusOptions{Baud: 2400}, func(_ *simulator.Bus, c *bus.Config) {
				c.Open = func(context.Context) (bus.Port, error) { return &parrotPort{answer: answer}, nil }
			})
			defer v.Stop()
			reply := v.Scan(t.Context(), []byte(`{"protocols":["2007"],"id":"1"}`), func(bridge.ScanProgress) {})
			var r struct {
				Meters []any
				Sure   bool
				Heard  []struct {
					Message, Protocol, Parity string
					Baud                      int
				}
			}
			if err := json.Unmarshal(reply, &r); err != nil {
				t.Fatal(err)
			}
			if len(r.Meters) > 0 || r.Sure || len(r.Heard) == 0 || !strings.Contains(r.Heard[0].Message, test.want) || r.Heard[0].Protocol != "2007" || r.Heard[0].Baud != 2400 || r.Heard[0].Parity != "even" {
				t.Errorf("%s: %s", test.name, reply)
			}
			out, stderr := &strings.Builder{}, &strings.Builder{}
			if status := printScan(reply, config{}, 0, false, out, stderr); status != 1 || !strings.Contains(stderr.String(), "heard, but not found (2007, 2400 baud, parity even): ") {
				t.Errorf("%s: status %d, %s%s", test.name, status, out, stderr)
			}
		})
	}
}

// A parrotPort gives the same answer to each frame that asks for an address.
type parrotPort struct {
	answer  []byte
	pending []byte
}

func (p *parrotPort) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte{0x68, 0x13, 0x00}) {
		p.pending = p.answer
	}
	return len(b), nil
}

func (p *parrotPort) Read(b []byte, wait time.Duration) (int, error) {
	if len(p.pending) == 0 {
		<-time.After(max(wait, time.Microsecond)) // virtual
		return 0, nil
	}
	<-time.After(min(wait, 50*time.Millisecond))
	n := copy(b, p.pending)
	p.pending = p.pending[n:]
	return n, nil
}

func (p *parrotPort) Close() error { return nil }

// TestScanSaysWhatToCopy shows replies of scans to people.
func TestScanSaysWhatToCopy(t *testing.T) {
	setAll(t, map[string]string{"DLT645_BUS_URL": "serial:///dev/null"})
	c, err := readConfig(false)
	if err != nil {
		t.Fatal(err)
	}
	const two = `"meters":[{"address":"000000000001","protocol":"2007","baud":2400,"parity":"even"},{"address":"000000000010","protocol":"698","baud":9600,"parity":"%s"}]`
	for _, test := range []struct {
		reply  string
		wanted int
		want   string
	}{
		{`{"ok":true,` + fmt.Sprintf(two, "even") + `,"sure":false}`, 2, "all 2 found\nto give them names:\nDLT645_METERS=meter1=000000000001,meter2=000000000010@698?baud=9600\n"},
		{`{"ok":true,` + fmt.Sprintf(two, "even") + `,"sure":false,"heard":[{"message":"meter 000000000003 answered, but not by itself","protocol":"2007","baud":2400,"parity":"even"}]}`, 2, "all 2 found\nto give them names:\nDLT645_METERS=meter1=000000000001,meter2=000000000010@698?baud=9600\n"},
		{`{"ok":true,` + fmt.Sprintf(two, "none") + `,"sure":true}`, 0, "2 found; every other address has been ruled out\nto give them names:\nDLT645_METERS='meter1=000000000001,meter2=000000000010@698?baud=9600&parity=none'\n"},
		{`{"ok":true,` + fmt.Sprintf(two, "even") + `,"sure":false}`, 3, "2 of 3 found; to what was asked nobody else has answered"},
		{`{"ok":true,"meters":[{"address":"7","protocol":"modbus","baud":9600,"parity":"even"},{"address":"000000000001","protocol":"2007","baud":2400,"parity":"even"}],"sure":true}`, 0, "2 found; every other address has been ruled out\nto give them names:\nDLT645_METERS=meter1=7@modbus?baud=9600,meter2=000000000001\nbehind modbus goes the name of a register map, of adw300"},
		{`{"ok":true,"meters":[],"sure":true}`, 0, "0 found; every other address has been ruled out\n"},
	} {
		out, stderr := &strings.Builder{}, &strings.Builder{}
		printScan([]byte(test.reply), c, test.wanted, false, out, stderr)
		if !strings.HasPrefix(stderr.String(), test.want) || strings.Contains(test.want, "all ") && stderr.String() != test.want {
			t.Errorf("%s: %q, want %q", test.reply, stderr, test.want)
		}
		if _, line, found := strings.Cut(stderr.String(), "DLT645_METERS="); found {
			line, _, _ = strings.Cut(line, "\n")
			setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_BUS_URL": "serial:///dev/null", "DLT645_METERS": strings.Trim(line, "'\n")})
			if again, err := readConfig(true); err != nil || len(again.meters) != 2 {
				t.Errorf("%s: cannot be copied: %v", line, err)
			}
		}
	}
}

// boilerRoom are the meters of one: heat and water by CJ/T 188, a DIN-rail meter by Modbus, and a meter of DL/T 645.
func boilerRoom(t *testing.T, water ...cjt188.Type) (o simulator.BusOptions) {
	t.Helper()
	o = simulator.BusOptions{Baud: 2400, Turnaround: 20 * time.Millisecond, WakeUp: 4, Meters: line.Simulated(t, "000000000001")}
	for i, of := range append(water, cjt188.Heat) {
		m, err := simulator.NewMeter188(simulator.Meter188Options{Address: fmt.Sprint(20150001 + i), Type: of})
		if err != nil {
			t.Fatal(err)
		}
		o.Devices = append(o.Devices, m)
	}
	rail, err := simulator.NewSlave(simulator.SlaveOptions{Address: "7", Mode: protocol.Mode{Baud: 9600, Parity: "none", Stop: 1}})
	if err != nil {
		t.Fatal(err)
	}
	o.Devices = append(o.Devices, rail)
	return o
}

// TestScanOfABoilerRoom looks for meters of three protocols on one line, as many as there are, in little more than the
// questions take. Two water meters of one type answer at once whatever is asked: that is said, and ends the scan.
func TestScanOfABoilerRoom(t *testing.T) {
	const heat, heat2, electric = "00000020150003 188?type=20 2400 even", "00000020150002 188?type=20 2400 even", "000000000001 2007? 2400 even"
	for _, test := range []struct {
		name  string
		water []cjt188.Type
		body  string
		most  time.Duration
		want  []string
		alike int
	}{
		{"one water meter", []cjt188.Type{cjt188.ColdWater}, `{"meters":3}`, 25 * time.Second, []string{electric, "00000020150001 188?type=10 2400 even", heat2}, 0},
		{"of two types", []cjt188.Type{cjt188.ColdWater, cjt188.HotWater}, `{"meters":4}`, 25 * time.Second, []string{electric, "00000020150001 188?type=10 2400 even", "00000020150002 188?type=11 2400 even", heat}, 0},
		{"of one type", []cjt188.Type{cjt188.ColdWater, cjt188.ColdWater}, `{"meters":4}`, 25 * time.Second, []string{electric, heat}, 2},
		{"with Modbus", []cjt188.Type{cjt188.ColdWater, cjt188.ColdWater}, `{"meters":5,"protocols":["2007","188","modbus"]}`, 100 * time.Second, []string{electric, heat, "7 modbus? 9600 none"}, 2},
		{"Modbus alone", []cjt188.Type{cjt188.ColdWater}, `{"meters":1,"protocols":["modbus"]}`, 20 * time.Second, []string{"7 modbus? 9600 none"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := line.NewSite(t, boilerRoom(t, test.water...), func(_ *simulator.Bus, c *bus.Config) { c.Tunable, c.Modes = true, true })
				defer v.Stop()
				begin := time.Now()
				said := time.Duration(0) // at most, once several were heard
				reply := v.Scan(t.Context(), []byte(test.body), func(p bridge.ScanProgress) {
					if slices.ContainsFunc(p.Heard, func(r search.Riddle) bool { return strings.Contains(r.Message, "several") }) {
						said = max(said, time.Duration(p.RemainingMS)*time.Millisecond)
					}
				})
				if said > 2*test.most {
					t.Errorf("%v are said to be left", said)
				}
				took := time.Since(begin)
				var r struct {
					Meters []struct {
						Address, Protocol, Options, Parity string
						Baud                               int
					}
					Heard []struct {
						Message string
						AtLeast int `json:"at_least"`
					}
				}
				if err := json.Unmarshal(reply, &r); err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, m := range r.Meters {
					got = append(got, fmt.Sprintf("%s %s?%s %d %s", m.Address, m.Protocol, m.Options, m.Baud, m.Parity))
				}
				slices.Sort(got)
				want := slices.Sorted(slices.Values(test.want))
				alike := 0
				for _, h := range r.Heard {
					alike += h.AtLeast
				}
				if !slices.Equal(got, want) || alike != test.alike || took > test.most {
					t.Errorf("in %v: %q, and %d alike; want %q and %d within %v: %s", took, got, alike, want, test.alike, test.most, reply)
				}
			})
		})
	}
}
