package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
	"dlt645-mqtt/test/line"
)

// frame writes a frame as hex.
func frame(t testing.TB, address string, control byte, data string) string {
	t.Helper()
	a, err := dlt645.ParseAddress(address, dlt645.V2007)
	if err != nil {
		t.Fatal(err)
	}
	content, err := hex.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	b, err := dlt645.Frame{Address: a, Control: dlt645.Control(control), Data: content}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%X", b)
}

// askSite carries a request out and reads its reply.
func askSite(t testing.TB, site *line.Setup, tail, payload string) readReply {
	t.Helper()
	return parseReply(t, site.Ask(tail, []byte(payload)))
}

// TestRawReadOfAllMeters sends to the broadcast address what is answered by nobody, or by
// meters of 1997. It is no command, though the class broadcast is wanted for it.
func TestRawReadOfAllMeters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, "1"), Baud: 9600, Turnaround: 20 * time.Millisecond}, nil)
		read := frame(t, "999999999999", 0x11, "00000100")
		if r := askSite(t, site, "raw", read); r.OK || r.Error == nil || r.Error.Code != "timeout" {
			t.Errorf("nobody answers: %+v", r)
		}
		body, err := json.Marshal(map[string]any{"frame": read, "answer": false})
		if err != nil {
			t.Fatal(err)
		}
		if r := askSite(t, site, "raw", string(body)); !r.OK || r.Result != "" {
			t.Errorf("no answer wanted: %+v", r)
		}
	})
}

// TestNobodyLocksAMeter has many clients switch a meter whose password the bridge has wrong: by
// every verb, spelling and frame there is. It locks itself at the third wrong password.
func TestNobodyLocksAMeter(t *testing.T) {
	const address = "112233445566"
	command := "000000001A00000000010130" // operator code and the rest of a relay command
	var requests [][2]string
	for i := range 20 {
		password := fmt.Sprintf("%06d", i) // all of them wrong
		requests = append(requests,
			[2]string{"relay/" + address, fmt.Sprintf(`{"id":"%d","action":"trip"}`, i)},
			[2]string{"relay/" + address, fmt.Sprintf(`{"id":"%d","action":"close","level":"02"}`, i)},
			[2]string{"maintenance/" + address, `{"action":"clear_events","item":"all"}`},
			[2]string{"raw", frame(t, address, 0x1C, "02"+password+command)},
			[2]string{"raw", frame(t, address, 0x1B, "02"+password+"00000000FFFFFFFF")},
			[2]string{"raw", fmt.Sprintf(`{"frame":%q,"answer":false}`, frame(t, address, 0x1C, "02"+password+command))},
		)
		for _, spelling := range []string{"999999999999", "AAAAAAAAAAAA", "AAAAAAAAAA66", "AAAAAAAA5566", "AAAAAA445566", "AA2233445566"} {
			requests = append(requests, [2]string{"raw", frame(t, spelling, 0x1C, "02"+password+command)}, [2]string{"relay/" + spelling, "trip"})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		meter, err := simulator.NewMeter(simulator.MeterOptions{Address: address, Passwords: "02999999", LockAfter: 3})
		if err != nil {
			t.Fatal(err)
		}
		site := line.NewSite(t, simulator.BusOptions{Meters: []*simulator.Meter{meter}, Baud: 9600, Turnaround: 20 * time.Millisecond}, nil)
		var clients sync.WaitGroup
		for _, request := range requests {
			clients.Go(func() { site.Ask(request[0], []byte(request[1])) })
		}
		clients.Wait()
		if meter.Locked(time.Now()) || meter.Counts().Refused > 2 {
			t.Errorf("the meter refused %d passwords, locked: %t", meter.Counts().Refused, meter.Locked(time.Now()))
		}
		if r := askSite(t, site, "read/"+address, "voltage_a"); !r.OK {
			t.Errorf("reading goes on: %+v", r)
		}
	})
}

// nasty is what a hostile client puts into everything that it may choose.
const nasty = "\x1b[2J\u009b31m\r\n2026-11-20 18:00:00.000 INF command result=verified\t\"},{\"ok\":true,\u2028\u202e\\n{meter=\"x\"} 1\n# HELP"

// TestControlCharactersStayInTheirPlace lets a client write what a terminal, a log reader or a
// page of metrics would take for something else.
func TestControlCharactersStayInTheirPlace(t *testing.T) {
	text, err := json.Marshal(nasty)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := newWatched("")
				site := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, "1"), Baud: 9600, Turnaround: 20 * time.Millisecond}, nil)
				site.Stop()
				site.Log = newLog(log, format, slog.LevelDebug)
				site.Start(t)
				requests := 0
				for _, verb := range append(slices.Clone(bridge.Verbs), nasty) {
					for _, target := range []string{"", "/000000000001", "/" + nasty, "/" + nasty[:12]} {
						for _, payload := range []string{
							nasty, `{"id":` + string(text) + `}`, `{` + string(text) + `:1}`, `{"items":[` + string(text) + `]}`, `{"action":` + string(text) + `}`,
							`{"item":` + string(text) + `,"value":` + string(text) + `}`, `{"item":"meter_number","value":` + string(text) + `}`,
							`{"action":"freeze","at":` + string(text) + `}`, `{"action":"trip","level":` + string(text) + `}`,
							`{"expires":` + string(text) + `}`, `{"frame":` + string(text) + `}`, `{"protocols":[` + string(text) + `]}`,
						} {
							requests++
							if reply := site.Ask(verb+target, []byte(payload)); !json.Valid(reply) || strings.ContainsFunc(string(reply), isLowControl) {
								t.Errorf("%q %q: reply %q", verb+target, payload, reply)
							}
						}
					}
				}
				lines := strings.Split(strings.TrimSuffix(log.String(), "\n"), "\n")
				if len(lines) < 3 || len(lines) > requests {
					t.Errorf("%d lines of log", len(lines))
				}
				for _, line := range lines {
					whole, stray := json.Valid([]byte(line)), isLowControl
					if format == "text" {
						whole, stray = strings.HasPrefix(line, "20"), unicode.IsControl // for terminals
					}
					if !whole || strings.ContainsFunc(line, stray) {
						t.Errorf("line %q", line)
					}
				}
			})
		})
	}
}

// TestTerminalsInColour logs what would make a terminal do something, as it is and as messages quote it.
func TestTerminalsInColour(t *testing.T) {
	for _, value := range []any{nasty, strconv.Quote(nasty), nasty[:4], errors.New(nasty), fmt.Errorf("no item: %q", nasty)} {
		var inColour, plain strings.Builder
		newTextLog(&inColour, slog.LevelDebug, true).Info("refused", "what", value)
		newTextLog(&inColour, slog.LevelDebug, true).With("what", value).Info("refused")
		newTextLog(&plain, slog.LevelDebug, true).Info("refused", "what", "")
		newTextLog(&plain, slog.LevelDebug, true).With("what", "").Info("refused")
		if got, want := strings.Count(inColour.String(), "\x1b"), strings.Count(plain.String(), "\x1b"); got != want || want == 0 {
			t.Errorf("%q: %d escape sequences, %d without it: %q", value, got, want, &inColour)
		}
	}
}

// TestTopicIsQuotedOnce looks at how the log shows an ordinary topic and a long one.
func TestTopicIsQuotedOnce(t *testing.T) {
	log := newWatched("")
	synctest.Test(t, func(t *testing.T) {
		site := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, "1"), Baud: 9600}, nil)
		site.Stop()
		site.Log = newLog(log, "text", slog.LevelDebug)
		site.Start(t)
		site.Ask("read/nobody", nil)
		site.Ask("read/"+strings.Repeat("n", 100), []byte("x"))
	})
	if got := log.String(); !strings.Contains(got, " topic=read/nobody ") || strings.Contains(got, `topic="`) || strings.Contains(got, "topic="+"read/"+strings.Repeat("n", 80)) {
		t.Errorf("logged %s", got)
	}
}

// isLowControl reports whether a character must be escaped in JSON.
func isLowControl(r rune) bool { return r < 0x20 }

// functionsOf lists the functions that a class may make a meter carry out.
var functionsOf = map[string]string{
	"read": "", "config": "", "write": "14 04", "relay": "1C", "broadcast": "08 16",
	"maintenance": "08 15 16 17 18 19 1A 1B 1D 14 0A 0C 0F 10", // 14: the clock
}

// TestEachClassDoesItsOwn allows one class at a time, and raw, and has it try everything: each
// verb and action, and raw frames of each function with the right passwords, to one meter, to
// all, and to whoever is there. What meters carry out is what the class allows.
func TestEachClassDoesItsOwn(t *testing.T) {
	now := "000000010130"
	data := []string{
		"", "01", "02", "08", "00000100", "0000010001", "99999999", "665544332211", now, "9010", "1090",
		"03010004" + "04000000" + "00000000" + "15", "03010004" + "02000000" + "00000000" + "15", "10C0" + "04000000" + "06150624",
		"04000000" + "00000000", "02000000" + "00000000", "02000000" + "00000000" + "FFFFFFFF", "02000000" + "00000000" + "1A00" + "000000019912",
		"03000C04" + "02000000" + "02111111", "04000000", "04000000" + "04111111",
	}
	for class, functions := range functionsOf {
		t.Run(class, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				done := map[string]bool{}
				note := func(f dlt645.Frame) {
					mu.Lock()
					defer mu.Unlock()
					done[f.Control.String()] = true
				}
				var meters []*simulator.Meter
				for _, o := range []simulator.MeterOptions{{Address: "000000000001", OnCommand: note}, {Address: "000000000002", Version: dlt645.V1997, OnCommand: note}} {
					m, err := simulator.NewMeter(o)
					if err != nil {
						t.Fatal(err)
					}
					meters = append(meters, m)
				}
				site := line.NewSite(t, simulator.BusOptions{Meters: meters, Baud: 115200, Turnaround: time.Millisecond}, func(_ *simulator.Bus, c *bus.Config) { c.Timeout = 100 * time.Millisecond })
				site.Stop()
				site.Allow = map[string]bool{"read": true, "raw": true, class: true}
				site.Start(t)
				for _, request := range [][2]string{
					{"relay/000000000001", "trip"}, {"relay/000000000001", `{"action":"close","verify_ms":0}`},
					{"write/000000000001", `{"item":"demand_period","value":15}`}, {"write/000000000002", `{"item":"clock_date","value":"2000-01-01"}`},
					{"maintenance/000000000001", "freeze"}, {"maintenance/000000000001", "clear_demand"}, {"maintenance/000000000001", "sync_clock"},
					{"maintenance/000000000001", `{"action":"clear_meter","confirm":"000000000001"}`},
					{"maintenance/000000000001", `{"action":"clear_events","item":"all"}`}, {"maintenance/000000000001", `{"action":"output","signal":"second"}`},
					{"broadcast", "freeze"}, {"broadcast", "time"},
					{"read/000000000001", "relay"}, {"scan", `{"meters":1}`},
				} {
					site.Ask(request[0], []byte(request[1]))
				}
				for _, address := range []string{"000000000001", "999999999999", "AAAAAAAAAAAA", "AAAAAAAA0001"} {
					for control := range byte(0x40) {
						for _, content := range data {
							site.Ask("raw", []byte(frame(t, address, control, content)))
						}
					}
				}
				for function := range done {
					if !strings.Contains(functions, function) {
						t.Errorf("%s made a meter carry out function %s", class, function)
					}
				}
				if (functions == "") != (len(done) == 0) {
					t.Errorf("%s: meters have carried out %v", class, done)
				}
			})
		})
	}
}

// TestNoSecretOnTheCommandLine looks at every option of every command: the arguments of a
// program can be read by every user of a machine.
func TestNoSecretOnTheCommandLine(t *testing.T) {
	option := regexp.MustCompile(`(?m)^  -([a-z-]+)`)
	for _, c := range commands() {
		if c.name == "help" || c.name == "version" {
			continue
		}
		_, out, stderr := execute(t, "", c.name, "-help")
		for _, match := range option.FindAllStringSubmatch(out+stderr, -1) {
			for _, word := range []string{"password", "secret", "key", "token", "user"} {
				if strings.Contains(match[1], word) && c.name != "simulate" { // which serves meters that are none
					t.Errorf("%s -%s", c.name, match[1])
				}
			}
		}
	}
}

// TestTakenOver connects to the broker with the bridge's own client id. The bridge says what that
// means and stays away, so that two bridges of one name do not throw each other out for ever.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root := bridgeRoot(t)
		log := newWatched("client_id=")
		stop := runServe(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_TOPIC": root}, log)
		c := newClient(t, dial(t, b.address), root+"/bridge/status")
		online := func(payload string) bool { return payload == "online" }
		c.await(root+"/bridge/status", online)

		// Not every broker says why it ends a connection; some must do it again and again.
		for told := false; !told; {
			thief := paho.NewClient(paho.ClientConfig{Conn: dial(t, b.address)})
			if _, err := thief.Connect(t.Context(), &paho.Connect{CleanStart: true, KeepAlive: 60, ClientID: "dlt645-mqtt-" + root}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-log.seen:
				told = true
			case <-thief.Done(): // the bridge is back
			case <-time.After(patience):
				t.Fatalf("the log does not tell:\n%s", log)
			}
			_ = thief.Disconnect(&paho.Disconnect{})
		}
		if pause := regexp.MustCompile(`client id.*retry_in=(3[0-9]|4[0-5])s`); !pause.MatchString(log.String()) {
			t.Errorf("the bridge does not say that it stays away for 30 to 45 s:\n%s", log)
		}
		stop()
	})
}

// TestScanTriesNoMillionModes asks for so many speeds and parities that to combine them alone
// would take hours.
func TestScanTriesNoMillionModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := line.NewSite(t, simulator.BusOptions{Meters: line.Simulated(t, "1"), Baud: 9600, Turnaround: 20 * time.Millisecond}, func(_ *simulator.Bus, c *bus.Config) { c.Tunable = true })
		var speeds []int
		for speed := range 4000 {
			speeds = append(speeds, 300+speed)
		}
		for _, body := range []map[string]any{
			{"speeds": speeds, "parities": slices.Repeat([]string{"even"}, 4000)},
			{"speeds": speeds},
			{"parities": slices.Repeat([]string{"none"}, 5000)},
			{"protocols": slices.Repeat([]string{"2007"}, 5000)},
		} {
			payload, err := json.Marshal(body)
			if err != nil {
				t.Fatal(err)
			}
			if r := askSite(t, site, "scan", string(payload)); r.Error == nil || r.Error.Code != "bad_request" {
				t.Errorf("%.60s…: %+v", payload, r)
			}
		}
	})
}
