package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/simulator"
)

// A commandReply is what these tests look at in the reply to a command.
type commandReply struct {
	ID, Result, Relay, Message, Time string
	OK, Pending, Repeated            bool
	Value                            json.RawMessage
	Reasons                          []string
	ClockOffset                      json.Number `json:"clock_offset_s"`
	DriftBefore                      json.Number `json:"drift_before_s"`
	DriftAfter                       json.Number `json:"drift_after_s"`
	Frames                           []struct{ Direction, Hex string }
	Error                            *struct{ Code, Message string }
}

func (r *commandReply) code() string {
	if r.Error == nil {
		return ""
	}
	return r.Error.Code
}

// command publishes a request and returns the next reply on its tail.
func (c *client) command(root, tail, payload string) commandReply {
	c.t.Helper()
	c.publish(root+"/request/"+tail, payload, nil)
	return c.commandReply(root, tail)
}

// commandReply returns the next reply on a tail.
func (c *client) commandReply(root, tail string) (r commandReply) {
	c.t.Helper()
	if p := c.await(root+"/reply/"+tail, nil); json.Unmarshal(p.Payload, &r) != nil {
		c.t.Fatalf("reply %s", p.Payload)
	}
	return r
}

// allowAll lets a bridge do everything to simulated meters.
func allowAll(b *testBroker, busURL string) map[string]string {
	return map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": busURL, "DLT645_METERS": "main=1,old=2@1997,gone=3",
		"DLT645_ALLOW": "read,write,relay,maintenance,broadcast,raw", "DLT645_METER_PASSWORD": "02000000,04000000", "DLT645_CLOCK": "trusted",
	}
}

func TestCommandsOverMQTT(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		line, busURL := serveMeters(t, url.Values{"addresses": {"000000000001", "2@1997"}})
		m := line.Meters()[0]
		root, _ := startBridge(t, allowAll(b, busURL))
		c := newClient(t, dial(t, b.address), root+"/reply/#", root+"/bridge/audit")
		c.ready(root)

		for _, row := range []struct {
			name, tail, payload        string
			result, code, relay, value string
			ok                         bool
			message                    string
		}{
			{"trip in plain text", "relay/main", "trip", "verified", "", "open", "", true, ""},
			{"close", "relay/main", `{"action":"close"}`, "verified", "", "closed", "", true, ""},
			{"permit", "relay/main", "permit_close", "verified", "", "closed", "", true, "presses the button"},
			{"not looked at", "relay/main", `{"action":"alarm","verify_ms":0}`, "acknowledged", "", "", "", true, ""},
			{"keep power", "relay/main", "keep_power", "verified", "", "closed", "", true, ""},
			{"trip against keep power", "relay/main", "trip", "refused", "", "closed", "", false, "keep_power_off"},
			{"keep power off", "relay/main", "keep_power_off", "verified", "", "closed", "", true, ""},
			{"a meter of 1997", "relay/old", "trip", "", "unsupported", "", "", false, "1997"},
			{"a meter that is not there", "relay/gone", "trip", "unknown", "", "", "", false, "nobody knows"},
			{"write", "write/main", `{"item":"demand_period","value":30}`, "verified", "", "", "30", true, ""},
			{"write too much", "write/main", `{"item":"demand_period","value":300}`, "", "bad_request", "", "", false, ""},
			{"write what is out of range", "write/main", `{"item":"demand_period","value":61}`, "refused", "", "", "", false, ""},
			{"write what can only be read", "write/main", `{"item":"voltage_a","value":220.1}`, "", "bad_request", "", "", false, ""},
			{"freeze", "maintenance/main", "freeze", "acknowledged", "", "", "", true, ""},
			{"clear demand", "maintenance/main", "clear_demand", "acknowledged", "", "", "", true, ""},
			{"clear events", "maintenance/main", `{"action":"clear_events","item":"all"}`, "acknowledged", "", "", "", true, ""},
			{"clear meter without confirmation", "maintenance/main", "clear_meter", "", "bad_request", "", "", false, "confirm"},
			{"clear meter", "maintenance/main", `{"action":"clear_meter","confirm":"000000000001"}`, "acknowledged", "", "", "", true, ""},
			{"output", "maintenance/main", `{"action":"output","signal":"second"}`, "acknowledged", "", "", "", true, ""},
			{"baud", "maintenance/main", `{"action":"set_baud","baud":9600,"confirm":"000000000001"}`, "acknowledged", "", "", "", true, ""},
			{"password", "maintenance/main", `{"action":"set_password","level":"04","new_password":"123456","confirm":"000000000001"}`, "acknowledged", "", "", "", true, ""},
			{"freeze for all", "broadcast", "freeze", "sent", "", "", "", true, ""},
		} {
			r := c.command(root, row.tail, row.payload)
			if r.Result != row.result || r.code() != row.code || r.Relay != row.relay || string(r.Value) != row.value || r.OK != row.ok {
				t.Errorf("%s: %+v, error %+v", row.name, r, r.Error)
			}
			message := r.Message
			if r.Error != nil {
				message += r.Error.Message
			}
			if !strings.Contains(message, row.message) || strings.Contains(message, "123456") {
				t.Errorf("%s: message %q, want %q", row.name, message, row.message)
			}
		}
		// Behind the broadcast, which nobody answers: when this is, the meter has heard that too.
		if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
			t.Errorf("%+v", r)
		}
		counts := m.Counts()
		counts.Exchanges, counts.Reads, counts.FollowUps, counts.Refused = 0, 0, 0, 0
		want := simulator.Counts{Writes: 1, Freezes: 2, BaudRates: 1, Passwords: 1, DemandClears: 1, MeterClears: 1, EventClears: 1, Relay: 6, Outputs: 1}
		if counts != want {
			t.Errorf("the meter counted %+v, want %+v", counts, want)
		}
	})
}

// TestClockOverMQTT sets the clocks of a meter of each edition, and of all.
func TestClockOverMQTT(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	for _, lacks := range []string{"", "0400010C"} {
		t.Run("lacks "+lacks, func(t *testing.T) {
			t.Parallel()
			line, busURL := serveMeters(t, url.Values{"addresses": {"000000000001", "2@1997"}, "lacks": {lacks}})
			variables := allowAll(b, busURL)
			root, stop := startBridge(t, variables)
			c := newClient(t, dial(t, b.address), root+"/reply/#")
			c.ready(root)
			for i, meter := range []string{"main", "old"} {
				r := c.command(root, "maintenance/"+meter, "sync_clock")
				if r.code() == "refused" && strings.Contains(r.Error.Message, "23:50") {
					t.Skip("no clock is set around midnight, which it is in China")
				}
				if r.Result != "verified" || r.DriftBefore == "" || r.DriftAfter == "" {
					t.Errorf("%s (lacks %q): %+v %+v", meter, lacks, r, r.Error)
				}
				if line.Meters()[i].Counts().Writes == 0 {
					t.Errorf("%s wrote nothing", meter)
				}
			}
			if r := c.command(root, "broadcast", "time"); r.Result != "sent" || !r.OK {
				t.Errorf("broadcast: %+v %+v", r, r.Error)
			}
			if n := line.Meters()[0].Counts().ClockSets; n != 1 {
				t.Errorf("the broadcast set the clock %d times", n)
			}
			stop()

			// After a restart nothing is known of the clocks, and one is wrong by then.
			now := time.Now().In(time.FixedZone("", 8*60*60)).Add(-6 * time.Minute)
			_, stop = startBridge(t, variables)
			c.await(root+"/bridge/status", func(payload string) bool { return payload == "online" })
			if r := c.command(root, "write/main", fmt.Sprintf(`{"item":"clock_time","value":%q}`, now.Format("15:04:05"))); !r.OK && r.Result != "acknowledged" {
				t.Errorf("a clock made wrong: %+v %+v", r, r.Error)
			}
			if r := c.command(root, "broadcast", "time"); r.code() != "refused" || !strings.Contains(r.Error.Message, "main is -6m") {
				t.Errorf("a broadcast to a clock that is too far off: %+v %+v", r, r.Error)
			}
			if n := line.Meters()[0].Counts().ClockSets; n != 1 {
				t.Errorf("the broadcast set the clock %d times", n)
			}
			stop()
		})
	}
}

// TestAddressOverMQTT gives the only meter on the wire another address, and tries the same where
// there are two.
func TestAddressOverMQTT(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	const body = `{"action":"set_address","address":"4711","confirm":"000000000001"}`
	for _, meters := range []string{"1", "2"} {
		t.Run(meters+" meters", func(t *testing.T) {
			t.Parallel()
			line, busURL := serveMeters(t, url.Values{"meters": {meters}})
			root, stop := startBridge(t, allowAll(b, busURL))
			c := newClient(t, dial(t, b.address), root+"/reply/#")
			c.ready(root)
			r := c.command(root, "maintenance/main", body)
			if meters == "2" {
				if r.code() != "refused" || line.Meters()[0].Counts().Addresses+line.Meters()[1].Counts().Addresses > 0 {
					t.Errorf("two meters on the wire: %+v %+v", r, r.Error)
				}
			} else {
				if r.Result != "verified" || !strings.Contains(r.Message, "DLT645_METERS") {
					t.Errorf("%+v %+v", r, r.Error)
				}
				if read := c.ask(root, "read/000000004711", "voltage_a"); !read.OK {
					t.Errorf("the meter at its new address: %+v", read)
				}
			}
			stop()
		})
	}
}

// TestPasswordsOverMQTT has a wrong password for one meter, and a right one for another.
func TestPasswordsOverMQTT(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	line, busURL := serveMeters(t, url.Values{"meters": {"2"}, "passwords": {"02A54321,04654321"}, "lock": {"3"}})
	file := filepath.Join(t.TempDir(), "passwords")
	writeFile(t, file, "# the others have the usual one\n2@2007=hex,02a54321,operator=0000C0DE\n")
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": busURL, "DLT645_METERS": "main=1,shop=2",
		"DLT645_ALLOW": "read,relay,write", "DLT645_METER_PASSWORD": "02111111,04654321", "DLT645_METER_PASSWORDS_FILE": file, "DLT645_TRACE": "true",
	})
	c := newClient(t, dial(t, b.address), root+"/#")
	c.ready(root)
	secret := func(p *paho.Publish) {
		for _, digits := range []string{"654321", "111111", "444444", "547698", "A54321", "5476D8"} { // as they are, and as they travel
			if strings.Contains(string(p.Payload), digits) {
				t.Errorf("a password on %s: %s", p.Topic, p.Payload)
			}
		}
	}
	ask := func(tail, payload string) (r commandReply) {
		c.publish(root+"/request/"+tail, payload, nil)
		for {
			p := c.next()
			if !strings.Contains(p.Topic, "/request/") {
				secret(p)
			}
			if p.Topic == root+"/reply/"+tail {
				if err := json.Unmarshal(p.Payload, &r); err != nil {
					t.Fatal(err)
				}
				return r
			}
		}
	}
	for range 2 {
		if r := ask("relay/main", `{"action":"trip","trace":true}`); r.Result != "refused" || !strings.Contains(r.Message, "programming key") {
			t.Errorf("a wrong password: %+v", r)
		}
	}
	for range 3 {
		if r := ask("relay/main", "trip"); r.code() != "refused" {
			t.Errorf("after two refusals: %+v", r)
		}
	}
	if line.Meters()[0].Locked(time.Now()) {
		t.Error("the meter has locked itself")
	}
	if r := ask("relay/shop", `{"action":"trip","trace":true}`); r.Result != "verified" || len(r.Frames) == 0 || !strings.Contains(r.Frames[0].Hex, "11F33333") {
		t.Errorf("the meter with a password and an operator code of its own, both with letters: %+v", r)
	}
	if r := ask("write/main", `{"item":"demand_period","value":30}`); r.Result != "verified" {
		t.Errorf("another level: %+v", r)
	}
}

// TestCommandsThatMustNotRun tries all that a command must not come from.
func TestCommandsThatMustNotRun(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		line, busURL := serveMeters(t, url.Values{"meters": {"1"}})
		m := line.Meters()[0]
		variables := allowAll(b, busURL)
		root, stop := startBridge(t, variables)
		topic := root + "/request/relay/main"
		c := newClient(t, dial(t, b.address), root+"/reply/#", topic)
		c.ready(root)
		c.publish(topic, "trip", func(p *paho.Publish) { p.Retain = true })
		if r := c.commandReply(root, "relay/main"); r.code() != "bad_request" || !strings.Contains(r.Error.Message, "retain") {
			t.Errorf("retained: %+v", r)
		}
		if r := c.command(root, "relay/main", `{"action":"trip","expires":"2020-01-01T00:00:00Z"}`); r.code() != "expired" {
			t.Errorf("expired: %+v", r)
		}
		if n := m.Counts().Relay; n != 0 {
			t.Fatalf("%d commands were carried out that must not be", n)
		}
		// The same message twice.
		first := c.command(root, "relay/main", `{"id":"one","action":"trip"}`)
		if again := c.command(root, "relay/main", `{"id":"one","action":"trip"}`); !again.Repeated || again.Time != first.Time || again.Result != "verified" {
			t.Errorf("first %+v, again %+v", first, again)
		}
		if n := m.Counts().Relay; n != 1 {
			t.Errorf("%d commands were carried out for one id", n)
		}
		// The retained message above is still at the broker when the bridge comes back, and one is sent while it is away.
		stop()
		c.publish(topic, `{"id":"away","action":"close"}`, nil)
		// The embedded broker acknowledges a message before it passes it on. Once our own copy is
		// here, whoever subscribes later gets none.
		c.await(topic, func(payload string) bool { return strings.Contains(payload, "away") })
		_, stop = startBridge(t, variables)
		c.await(root+"/bridge/status", func(payload string) bool { return payload == "online" })
		if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
			t.Errorf("%+v", r)
		}
		if n := m.Counts().Relay; n != 1 {
			t.Errorf("%d commands after a restart, want the one of before", n)
		}
		stop()
	})
}

// TestReplyOfCommandAfterOutage cuts the bridge off from the broker between a command and its
// reply. The reply comes once, when the way is open again, and the command has run once.
func TestReplyOfCommandAfterOutage(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	g, m := openGate(t, b.address), newSlowMeter(t)
	variables := allowAll(b, "tcp://"+m.address+"?timeout=5s")
	variables["DLT645_MQTT_URL"] = "mqtt://" + g.address
	variables["DLT645_METERS"] = "" // only what is asked for here reaches the meter
	root, _ := startBridge(t, variables)
	c := newClient(t, dial(t, b.address), root+"/reply/#")
	c.ready(root)
	c.publish(root+"/request/relay/000000000001", `{"id":"due","action":"trip","verify_ms":0}`, nil)
	<-m.asked
	g.shut()
	c.await(root+"/bridge/status", func(payload string) bool { return payload == "offline" })
	m.answer <- struct{}{}
	g.open()
	if r := c.commandReply(root, "relay/000000000001"); r.ID != "due" || r.Result != "acknowledged" {
		t.Errorf("the reply that was due meanwhile: %+v", r)
	}
	c.ready(root)
	if r := c.command(root, "relay/000000000001", `{"id":"due","action":"trip","verify_ms":0}`); !r.Repeated {
		t.Errorf("the next reply is not that to the repeat: %+v", r)
	}
}
