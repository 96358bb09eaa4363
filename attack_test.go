package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
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

// request carries a request out and reads its reply.
func (v *virtualSite) request(t testing.TB, tail, payload string) readReply {
	t.Helper()
	return parseReply(t, v.Ask(tail, []byte(payload)))
}

// TestRawReadOfAllMeters sends to the broadcast address what is answered by nobody, or by
// meters of 1997. It is no command, though the class broadcast is wanted for it.
func TestRawReadOfAllMeters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		site := newVirtualSite(t, simulator.BusOptions{Meters: simulated(t, "1"), Baud: 9600, Turnaround: 20 * time.Millisecond}, nil)
		read := frame(t, "999999999999", 0x11, "00000100")
		if r := site.request(t, "raw", read); r.OK || r.Error == nil || r.Error.Code != "timeout" {
			t.Errorf("nobody answers: %+v", r)
		}
		body, err := json.Marshal(map[string]any{"frame": read, "answer": false})
		if err != nil {
			t.Fatal(err)
		}
		if r := site.request(t, "raw", string(body)); !r.OK || r.Result != "" {
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
		site := newVirtualSite(t, simulator.BusOptions{Meters: []*simulator.Meter{meter}, Baud: 9600, Turnaround: 20 * time.Millisecond}, nil)
		var clients sync.WaitGroup
		for _, request := range requests {
			clients.Go(func() { site.Ask(request[0], []byte(request[1])) })
		}
		clients.Wait()
		if meter.Locked(time.Now()) || meter.Counts().Refused > 2 {
			t.Errorf("the meter refused %d passwords, locked: %t", meter.Counts().Refused, meter.Locked(time.Now()))
		}
		if r := site.request(t, "read/"+address, "voltage_a"); !r.OK {
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
				var log watched
				log.seen = make(chan struct{})
				site := newVirtualSite(t, simulator.BusOptions{Meters: simulated(t, "1"), Baud: 9600, Turnaround: 20 * time.Millisecond}, nil)
				site.stop()
				site.log = newLog(&log, format, slog.LevelDebug)
				site.start(t)
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

// isLowControl tells of what must be escaped in JSON.
func isLowControl(r rune) bool { return r < 0x20 }
