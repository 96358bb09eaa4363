package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/simulator"
)

func TestRead(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root, _ := startBridge(t, map[string]string{
			"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=2",
			"DLT645_METERS": "main=000000000001,shop=000000000002", "DLT645_ALLOW": "read,raw",
		})
		c := newClient(t, dial(t, b.address), root+"/reply/#")
		c.ready(root)

		t.Run("by name and by identifier", func(t *testing.T) {
			for _, item := range []string{"voltage_a", "02010100"} {
				r := c.ask(root, "read/main", item)
				if !r.OK || r.Units["voltage_a"] != "V" || !strings.Contains(string(r.Values["voltage_a"]), ".") || r.Meter != "main" || r.Address != "000000000001" {
					t.Errorf("%s: %+v", item, r)
				}
			}
		})
		t.Run("three items", func(t *testing.T) {
			r := c.ask(root, "read/000000000001", `{"id":"7","items":["voltage_a","forward_active_energy","02030000"]}`)
			if !r.OK || r.ID != "7" || r.Request != "read" || len(r.Values) != 3 || r.Units["forward_active_energy"] != "kWh" || r.Units["active_power"] != "kW" || r.Time.IsZero() || r.Bus == nil {
				t.Errorf("%+v", r)
			}
		})
		t.Run("unknown identifier", func(t *testing.T) {
			r := c.ask(root, "read/main", "0f0f0f0f")
			e := r.Errors["0F0F0F0F"]
			if r.OK || e.Code != "refused" || len(e.Reasons) != 1 || e.Reasons[0] != "no_such_data" || r.Error != nil {
				t.Errorf("%+v", r)
			}
		})
		t.Run("shortened address", func(t *testing.T) {
			r := c.ask(root, "read/AAAAAAAAAA02", "voltage_a,frequency")
			if !r.OK || r.Address != "000000000002" || r.Meter != "shop" {
				t.Errorf("%+v", r)
			}
		})
		t.Run("raw", func(t *testing.T) {
			r := c.ask(root, "raw", "FE FE 68 01 00 00 00 00 00 68 11 04 33 34 34 35 17 16")
			if r.Error == nil || r.Error.Code != "bad_request" || !strings.Contains(r.Error.Message, "checksum") {
				t.Errorf("a bad checksum: %+v", r)
			}
			r = c.ask(root, "raw", "68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16")
			if !r.OK || !strings.HasPrefix(r.Frame, "6801000000000068910633343435") || r.Meter != "main" {
				t.Errorf("%+v", r)
			}
		})
		t.Run("retained", func(t *testing.T) {
			c.publish(root+"/request/read/shop", "voltage_a", func(p *paho.Publish) { p.Retain = true })
			r := parseReply(t, c.await(root+"/reply/read/shop", nil).Payload)
			if r.Error == nil || r.Error.Code != "bad_request" {
				t.Errorf("%+v", r)
			}
			c.publish(root+"/request/read/shop", "", func(p *paho.Publish) { p.Retain = true }) // remove it again
			c.await(root+"/reply/read/shop", nil)
		})
		t.Run("history", func(t *testing.T) {
			from := time.Now().Add(-6 * time.Hour).Truncate(15 * time.Minute)
			c.publish(root+"/request/read/main", fmt.Sprintf(`{"items":["load_record_1"],"from":%q,"to":%q}`, from.Format(time.RFC3339), from.Add(5*time.Hour).Format(time.RFC3339)), nil)
			var r struct {
				OK      bool
				Units   map[string]string
				Samples []struct{ Time time.Time }
				Next    *time.Time
			}
			payload := c.await(root+"/reply/read/main", nil).Payload
			if err := json.Unmarshal(payload, &r); err != nil || !r.OK || len(r.Samples) != 20 || !r.Samples[0].Time.Equal(from) || r.Units["voltage_a"] != "V" || r.Next != nil {
				t.Errorf("%s, %v", payload, err)
			}
		})
		t.Run("two clients at once", func(t *testing.T) {
			var all sync.WaitGroup
			for i := range 2 {
				mine := newClient(t, dial(t, b.address), fmt.Sprintf("%s/reply/client%d/#", root, i))
				all.Go(func() {
					for n := range 20 {
						topic, mark := fmt.Sprintf("%s/reply/client%d/%d", root, i, n), fmt.Sprintf("%d-%d", i, n)
						mine.publish(root+"/request/read/main", `{"items":["voltage_a"],"id":"`+mark+`"}`, func(p *paho.Publish) {
							p.Properties.ResponseTopic, p.Properties.CorrelationData = topic, []byte(mark)
						})
						p := mine.next()
						if p.Topic != topic || string(p.Properties.CorrelationData) != mark || parseReply(t, p.Payload).ID != mark {
							t.Errorf("client %d got %s on %s", i, p.Payload, p.Topic)
						}
						if p.Properties.ContentType != "application/json" || p.Retain {
							t.Errorf("content type %q, retain %t", p.Properties.ContentType, p.Retain)
						}
					}
				})
			}
			all.Wait()
		})
		t.Run("forged reply topic", func(t *testing.T) {
			c.publish(root+"/request/read/main", "voltage_a", func(p *paho.Publish) { p.Properties.ResponseTopic = root + "/reply/relay/main" })
			r := parseReply(t, c.await(root+"/reply/read/main", nil).Payload)
			if r.Error == nil || r.Error.Code != "bad_request" {
				t.Errorf("%+v", r)
			}
		})
	})
}

func TestOnlyMeterOnTheWire(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	file := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, file, "meter,item,interval\nonly,frequency,24h\nonly,status_3,24h\n")
	root := bridgeRoot(t)
	c := newClient(t, dial(t, b.address), root+"/reply/#", root+"/meter/only/state")
	startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters + "&meters=1", "DLT645_METERS": "only=AAAAAAAAAAAA", "DLT645_POINTS": file,
	})
	// The first round finds out who is there, and brings the values all the same.
	c.await(root+"/meter/only/state", func(payload string) bool {
		return strings.Contains(payload, `"frequency":`) && strings.Contains(payload, `"relay":`)
	})
	for _, target := range []string{"AAAAAAAAAAAA", "only", "only"} {
		r := c.ask(root, "read/"+target, "voltage_a")
		if !r.OK || r.Address != "000000000001" || r.Meter != "only" {
			t.Errorf("read/%s: %+v", target, r)
		}
	}
}

// TestOldClient uses a real client of MQTT 3.1.1.
func TestOldClient(t *testing.T) {
	subscriber := findProgram(t, "mosquitto_sub")
	publisher := findProgram(t, "mosquitto_pub")
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	root, _ := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1"})
	newClient(t, dial(t, b.address)).ready(root)
	host, port, _ := net.SplitHostPort(b.address)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var output bytes.Buffer
	listen := exec.CommandContext(ctx, subscriber, "-h", host, "-p", port, "-V", "mqttv311", "-q", "1", "-C", "1", "-t", root+"/reply/read/main")
	listen.Stdout = &output
	if err := listen.Start(); err != nil {
		t.Fatal(err)
	}
	heard := make(chan error, 1)
	go func() { heard <- listen.Wait() }()
	// Nobody tells when the subscriber is there, so the request is made until it has heard a reply.
	for asking := true; asking; {
		send := exec.CommandContext(ctx, publisher, "-h", host, "-p", port, "-V", "mqttv311", "-q", "1", "-t", root+"/request/read/main", "-m", `{"id":"old","items":["voltage_a"]}`)
		if out, err := send.CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_pub: %v: %s", err, out)
		}
		select {
		case err := <-heard:
			if err != nil {
				t.Fatalf("mosquitto_sub: %v", err)
			}
			asking = false
		default:
		}
	}
	if want := `{"id":"old","request":"read","meter":"main","address":"000000000001","ok":true,`; !strings.HasPrefix(output.String(), want) {
		t.Errorf("mosquitto_sub printed %s", &output)
	}
}

func TestStatusAndInfo(t *testing.T) {
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root, stop := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1"})
		c := newClient(t, dial(t, b.address), root+"/bridge/info")
		c.await(root+"/bridge/info", nil) // from now on the broker has it
		c.ready(root)
		var info struct {
			Version   string
			Protocols []string
			Allow     []string
			Bus       struct {
				URL, State  string
				Baud        int
				Queue       *int
				Utilisation *float64
				Echo        *bool
			}
			Meters []struct{ Name, Address, Protocol string }
		}
		late := newClient(t, dial(t, b.address), root+"/bridge/info") // retained
		p := late.await(root+"/bridge/info", nil)
		if err := json.Unmarshal(p.Payload, &info); err != nil {
			t.Fatal(err)
		}
		if !p.Retain || info.Bus.Baud != 115200 || info.Bus.Queue == nil || info.Bus.Echo == nil || info.Bus.Utilisation == nil || !strings.HasPrefix(info.Bus.URL, "sim://") ||
			len(info.Meters) != 1 || info.Meters[0].Address != "000000000001" || info.Meters[0].Protocol != "2007" || strings.Join(info.Allow, ",") != "read" || len(info.Protocols) == 0 {
			t.Errorf("info %s, retained %t", p.Payload, p.Retain)
		}
		stop()
		if p := c.await(root+"/bridge/status", nil); string(p.Payload) != "offline" {
			t.Errorf("status %s after a clean stop, want offline", p.Payload)
		}
	})
}

// TestReplyAfterOutage cuts the bridge off from the broker while a meter thinks about its
// answer. The reply arrives once the way is open again.
func TestReplyAfterOutage(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		g, m := openGate(t, b.address), newSlowMeter(t)
		root, _ := startBridge(t, map[string]string{
			"DLT645_MQTT_URL": "mqtt://" + g.address, "DLT645_BUS_URL": "tcp://" + m.address + "?timeout=5s",
		})
		c := newClient(t, dial(t, b.address), root+"/reply/#")
		c.ready(root)
		c.publish(root+"/request/read/000000000001", `{"id":"due","items":["voltage_a"]}`, nil)
		<-m.asked
		g.shut()
		c.await(root+"/bridge/status", func(payload string) bool { return payload == "offline" })
		m.answer <- struct{}{}
		g.open()
		if r := parseReply(t, c.await(root+"/reply/read/000000000001", nil).Payload); r.ID != "due" || !r.OK {
			t.Errorf("the reply that was due meanwhile: %+v", r)
		}
	})
}

// TestBrokerComesBack stops the broker and starts it again.
func TestBrokerComesBack(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root, _ := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1"})
		newClient(t, dial(t, b.address)).ready(root)
		for range 2 {
			b.stop()
			b.start()
			c := newClient(t, dial(t, b.address), root+"/reply/#")
			c.ready(root)
			if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
				t.Errorf("a request afterwards: %+v", r)
			}
		}
	})
}

// TestSerialServerComesBack takes the TCP server of the bus away and brings it back.
func TestSerialServerComesBack(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	address := freeAddress(t)
	serveMeters := func() (stop func()) {
		line, err := simulator.Open(url.Values{"baud": {"115200"}, "meters": {"1"}, "turnaround": {"1ms"}})
		if err != nil {
			t.Fatal(err)
		}
		listener := listenOn(t, address)
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = line.ServeTCP(ctx, listener) }()
		return func() { cancel(); <-ended }
	}
	httpAddress := freeAddress(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": "tcp://" + address + "?baud=115200&latency=10ms", "DLT645_METERS": "main=1",
		"DLT645_HTTP": httpAddress,
	})
	c := newClient(t, dial(t, b.address), root+"/reply/#")
	c.ready(root)
	if status, text := get(t, "http://"+httpAddress+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "down") {
		t.Errorf("readyz without a serial server: %d %s", status, text)
	}
	if status, text := get(t, "http://"+httpAddress+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz without a serial server: %d %s", status, text)
	}
	if r := c.ask(root, "read/main", `{"items":["voltage_a"],"ttl_ms":300}`); r.Error == nil || r.Error.Code != "bus_down" {
		t.Errorf("a read without a serial server: %+v", r)
	}
	for range 2 {
		c.publish(root+"/request/read/main", "voltage_a", nil) // waits for the server
		stop := serveMeters()
		if r := parseReply(t, c.await(root+"/reply/read/main", nil).Payload); !r.OK {
			t.Errorf("a read with a serial server: %+v", r)
		}
		stop()
	}
}

func TestHealthAndMetrics(t *testing.T) {
	b := startMochi(t)
	httpAddress := freeAddress(t)
	root, stop := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_HTTP": httpAddress,
	})
	c := newClient(t, dial(t, b.address), root+"/reply/#")
	c.ready(root)
	c.ask(root, "read/main", "voltage_a")
	c.ask(root, "reed/main", "voltage_a")
	if status, text := get(t, "http://"+httpAddress+"/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, text)
	}
	_, metrics := get(t, "http://"+httpAddress+"/metrics")
	for _, want := range []string{`dlt645_replies_total{verb="read",result="ok"} 1`, `dlt645_replies_total{verb="other",result="bad_request"} 1`, "dlt645_broker_up 1", "dlt645_bus_up 1", `dlt645_meter_online{meter="main"} 1`} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics lack %s:\n%s", want, metrics)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := bridge.CheckHealth(ctx, root); err != nil {
		t.Errorf("health: %v", err)
	}
	stop()
	if err := bridge.CheckHealth(ctx, root); err == nil {
		t.Error("a stopped bridge is healthy")
	}
}

// TestTrace watches the wire on bridge/frame.
func TestTrace(t *testing.T) {
	b := startMochi(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_TRACE": "true",
	})
	c := newClient(t, dial(t, b.address), root+"/bridge/frame")
	c.ready(root)
	c.publish(root+"/request/read/main", "voltage_a", nil)
	for _, want := range []string{`{"direction":"sent",`, `{"direction":"received",`} {
		if p := c.await(root+"/bridge/frame", nil); !bytes.HasPrefix(p.Payload, []byte(want)) {
			t.Errorf("frame %s, want %s…", p.Payload, want)
		}
	}
}

// TestBrokerMissingAtStart starts the bridge first.
func TestBrokerMissingAtStart(t *testing.T) {
	b := startMochi(t)
	b.stop()
	root, _ := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1"})
	b.start()
	c := newClient(t, dial(t, b.address), root+"/reply/#")
	c.ready(root)
	if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
		t.Errorf("%+v", r)
	}
}

// TestMessageOnTheBranchItself publishes to {root}/request, which the bridge's filter matches as well, and
// to other topics without a verb. Each gets one answer.
func TestMessageOnTheBranchItself(t *testing.T) {
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root, _ := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters})
		c := newClient(t, dial(t, b.address), root+"/reply/#")
		c.ready(root)
		for _, tail := range []string{"", "/", "//", "/read/main/deeper"} {
			for _, payload := range []string{"", "voltage_a", `{"id":"7"}`} {
				for qos := range byte(2) {
					c.publish(root+"/request"+tail, payload, func(p *paho.Publish) { p.QoS = qos })
					r := parseReply(t, c.await(root+"/reply"+tail, nil).Payload)
					if r.OK || r.Error == nil || r.ID != map[bool]string{true: "7"}[strings.HasPrefix(payload, "{")] {
						t.Errorf("%q on %s: %+v", payload, root+"/request"+tail, r)
					}
				}
			}
			c.publish(root+"/request"+tail, "", func(p *paho.Publish) { p.Properties.ResponseTopic = root + "/reply/me" })
			c.await(root+"/reply/me", nil)
		}
		select {
		case p := <-c.messages:
			t.Errorf("one more: %s on %s", p.Payload, p.Topic)
		default:
		}
	})
}

// TestLateWill has somebody say that a bridge is offline which is there, as a frozen node of a cluster does once it is
// woken up: with the will of a connection that the bridge has given up long ago.
func TestLateWill(t *testing.T) {
	eachBroker(t, func(t *testing.T, b *testBroker) {
		root, stop := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1"})
		c := newClient(t, dial(t, b.address))
		c.ready(root)
		status := func(want string) {
			t.Helper()
			c.await(root+"/bridge/status", func(payload string) bool { return payload == want })
		}
		for range 2 {
			late := time.After(patience)
			for contradicted := false; !contradicted; {
				// Again, for the bridge says that it is online a moment before it listens to what is said of it.
				c.publish(root+"/bridge/status", "offline", func(p *paho.Publish) { p.Retain = true })
				status("offline")
				select {
				case p := <-c.messages:
					contradicted = string(p.Payload) == "online"
				case <-time.After(time.Second):
				case <-late:
					t.Fatal("the bridge does not contradict")
				}
			}
		}
		if got := retained(t, b.address, root+"/bridge/status"); got != "online" {
			t.Errorf("the broker keeps %q", got)
		}
		stop()
		status("offline")
		if got := retained(t, b.address, root+"/bridge/status"); got != "offline" {
			t.Errorf("the broker keeps %q after the bridge has gone", got)
		}
	})
}
