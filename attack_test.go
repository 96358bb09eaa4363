package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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
