package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"

	"dlt645-mqtt/simulator"
)

// A dtu is a DTU with simulated meters behind it, that carries their bytes in two topics of a broker.
type dtu struct {
	t    testing.TB
	line *simulator.Bus
	up   string
	down string
	form func([]byte) string // how it spells what the line brings
	size int                 // bytes of the line in a message; 0: as they come
	hex  bool                // it takes requests as hex, and nothing else

	mu      sync.Mutex
	client  *client // nil: it is away
	leave   func()
	request []string // what came, from the beginning
}

func rawBytes(data []byte) string { return string(data) }

// newDTU makes a DTU that is away.
func newDTU(t testing.TB, parameters url.Values) *dtu {
	t.Helper()
	parameters.Set("baud", "115200")
	parameters.Set("turnaround", "1ms")
	line, err := simulator.Open(parameters)
	if err != nil {
		t.Fatal(err)
	}
	root := bridgeRoot(t)
	return &dtu{t: t, line: line, up: "/dtu-" + root + "/up", down: "/dtu-" + root + "/down", form: rawBytes}
}

// bus is the bus URL that reaches it.
func (d *dtu) bus(parameters string) string {
	return fmt.Sprintf("mqtt:?up=%s&down=%s&baud=115200&timeout=2s&latency=200ms%s", d.up, d.down, parameters)
}

// come has it connect to a broker, with an account if that wants one.
func (d *dtu) come(broker *testBroker, account ...string) {
	d.t.Helper()
	user, password := "", ""
	if len(account) > 0 {
		user, password = account[0], account[1]
	}
	requests, line := io.Pipe()
	ctx, cancel := context.WithCancel(context.Background())
	c := newClientAs(d.t, dial(d.t, broker.address), user, password, d.down)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = d.line.Serve(ctx, &struct {
			io.Reader
			io.Writer
			io.Closer
		}{requests, (*dtuLine)(d), requests})
	}()
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		for {
			select {
			case p := <-c.messages:
				d.writeRequest(line, p.Payload)
			case <-ctx.Done():
				return
			}
		}
	}()
	d.mu.Lock()
	d.client = c
	d.leave = sync.OnceFunc(func() {
		cancel()
		_ = line.Close()
		_ = c.Disconnect(&paho.Disconnect{})
		<-served
		<-taken
	})
	leave := d.leave
	d.mu.Unlock()
	d.t.Cleanup(leave)
}

// away has it leave the broker.
func (d *dtu) away() {
	d.mu.Lock()
	leave := d.leave
	d.client = nil
	d.mu.Unlock()
	leave()
}

// writeRequest puts a request on the line.
func (d *dtu) writeRequest(line io.Writer, message []byte) {
	d.mu.Lock()
	d.request = append(d.request, string(message))
	d.mu.Unlock()
	if d.hex {
		data, err := hex.DecodeString(string(message))
		if err != nil {
			return
		}
		message = data
	}
	_, _ = line.Write(message)
}

func (d *dtu) requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.request...)
}

// dtuLine is what a dtu hears from its meters.
type dtuLine dtu

func (l *dtuLine) Write(data []byte) (int, error) {
	l.mu.Lock()
	c := l.client
	l.mu.Unlock()
	for rest := data; len(rest) > 0 && c != nil; {
		size := len(rest)
		if l.size > 0 {
			size = min(size, l.size)
		}
		_, _ = c.Publish(context.Background(), &paho.Publish{Topic: l.up, Payload: []byte(l.form(rest[:size]))}) // it may be away meanwhile
		rest = rest[size:]
	}
	return len(data), nil
}

// TestDTUOverMQTT has the bridge read meters of every protocol through a DTU in the same broker, and switch one, while the DTU goes and
// comes back, and the broker too.
func TestDTUOverMQTT(t *testing.T) {
	t.Parallel()
	forms := map[string]func(d *dtu){
		"raw":            func(*dtu) {},
		"raw, in pieces": func(d *dtu) { d.size = 7 },
		"hex, in pieces": func(d *dtu) {
			d.size, d.hex = 9, true
			d.form = func(data []byte) string { return fmt.Sprintf("% x ", data) }
		},
	}
	eachBroker(t, func(t *testing.T, b *testBroker) {
		for name, change := range forms {
			t.Run(name, func(t *testing.T) {
				d := newDTU(t, url.Values{"addresses": {"1,000000000002@698,3@188,4@modbus"}})
				change(d)
				d.come(b)
				// What a broker has kept is an old value. With the right checksum it would be one of today.
				old := d.line.Answer(decodeHex(t, "6801000000000068110433343435B616"), time.Now().Add(-time.Hour))
				c := newClient(t, dial(t, b.address))
				c.publish(d.up, d.form(old), func(p *paho.Publish) { p.Retain = true })

				root, _ := startBridge(t, map[string]string{
					"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": d.bus(""), "DLT645_ALLOW": "read,relay", "DLT645_METER_PASSWORD": "02000000",
					"DLT645_METERS": "main=1,grid=000000000002@698,water=3@188,rail=4@modbus/dtsu666",
				})
				c = newClient(t, dial(t, b.address), root+"/#")
				c.ready(root)
				for _, meter := range []string{"main", "grid", "rail"} {
					if r := c.ask(root, "read/"+meter, "voltage_a"); !r.OK {
						t.Errorf("%s: %+v", meter, r)
					}
				}
				if r := c.ask(root, "read/water", "volume"); !r.OK {
					t.Errorf("water: %+v", r)
				}
				if r := c.ask(root, "relay/main", "trip"); r.Result != "verified" {
					t.Errorf("relay: %+v", r)
				}
				sent := d.requests()
				for i, request := range sent {
					if isHex := !strings.ContainsFunc(request, func(r rune) bool { return !strings.ContainsRune("0123456789ABCDEF", r) }); isHex != d.hex && i > 0 {
						t.Errorf("request %d is %q", i, request)
					}
				}

				if d.size > 0 {
					return // it comes and goes as the others do
				}
				d.away()
				if r := c.ask(root, "read/main", "voltage_a"); r.OK || r.Errors["voltage_a"].Code != "timeout" {
					t.Errorf("with the DTU away: %+v", r)
				}
				d.come(b)
				c.askUntilOK(root, "read/main", "voltage_a")
				b.stop()
				b.start()
				d.away()
				d.come(b)
				c = newClient(t, dial(t, b.address), root+"/#")
				c.ready(root)
				c.askUntilOK(root, "read/main", "voltage_a")
			})
		}
	})
}

// askUntilOK asks again until the meter counts as online once more.
func (c *client) askUntilOK(root, tail, payload string) {
	c.t.Helper()
	var r readReply
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if r = c.ask(root, tail, payload); r.OK {
			return
		}
	}
	c.t.Errorf("%s: %+v", tail, r.Error)
}

func decodeHex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestCommandsOnDTU reads and scans through a DTU without a bridge.
func TestCommandsOnDTU(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	variables := map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address}
	for name, takesHex := range map[string]bool{"raw": false, "hex": true} {
		t.Run(name, func(t *testing.T) {
			d := newDTU(t, url.Values{"addresses": {"1"}})
			d.hex = takesHex
			if d.hex {
				d.form = func(data []byte) string { return fmt.Sprintf("%X", data) }
			}
			d.come(b)
			bus := d.bus("")
			if status, out, stderr := executeApart(t, variables, "", "read", "-bus", bus, "1", "voltage_a"); status != 0 || !strings.Contains(out, "voltage_a") {
				t.Errorf("read: status %d: %s%s", status, out, stderr)
			}
			if status, out, stderr := executeApart(t, variables, "", "scan", "-bus", bus, "-meters", "1", "-protocol", "2007"); status != 0 || !strings.Contains(out, "000000000001") {
				t.Errorf("scan: status %d: %s%s", status, out, stderr)
			}
			table := "meter,item,interval\n000000000001,voltage_a,1m\n"
			if status, out, stderr := executeApart(t, variables, table, "points", "check", "-bus", bus, "-"); status != 0 {
				t.Errorf("points check: status %d: %s%s", status, out, stderr)
			}
		})
	}
	t.Run("away", func(t *testing.T) {
		for _, test := range []struct{ qos, want string }{
			{"0", "nothing at all has come in the topic nobody/up since"},
			{"1", "nobody"}, // a broker may say that nobody has subscribed, but need not
		} {
			status, out, stderr := executeApart(t, variables, "", "read", "-bus", "mqtt:?up=nobody/up&down=nobody/down&baud=115200&timeout=100ms&latency=100ms&qos="+test.qos, "1", "voltage_a")
			if status != 1 || !strings.Contains(stderr, test.want) {
				t.Errorf("qos=%s: status %d: %s%s", test.qos, status, out, stderr)
			}
		}
	})
	t.Run("no broker", func(t *testing.T) {
		if status, _, stderr := executeApart(t, nil, "", "read", "-bus", "mqtt:?up=a&down=b", "1", "voltage_a"); status != 1 || !strings.Contains(stderr, "no broker is known: DLT645_MQTT_URL says where it is") {
			t.Errorf("status %d: %s", status, stderr)
		}
		if status, _, stderr := executeApart(t, nil, "meter,item,interval\n000000000001,voltage_a,1m\n", "points", "check", "-bus", "mqtt:?up=a&down=b", "-"); status != 0 {
			t.Errorf("points check: status %d: %s", status, stderr)
		}
	})
}

// TestDTUTopicsAreItsOwn tries the topics that the bridge refuses.
func TestDTUTopicsAreItsOwn(t *testing.T) {
	for _, test := range []struct{ bus, allow, want string }{
		{"mqtt:?up=dlt645/dtu&down=x", "", "up is dlt645/dtu, which lies in the bridge's own tree"},
		{"mqtt:?up=x&down=dlt645/request/relay/main", "", "down is dlt645/request/relay/main, which lies in the bridge's own tree"},
		{"mqtt:?up=x&down=dlt645", "", "down is dlt645, which"},
		{"mqtt:?up=x&down=x", "", "same topic"},
		{"mqtt:?up=x&down=y&qos=1", "read,relay", "a command must run once at most: leave qos out, or relay out of DLT645_ALLOW"},
		{"mqtt:?up=x&down=y&qos=1", "read,raw,config", ""},
		{"mqtt:?up=dlt645x/up&down=dlt645-dtu/down", "read,relay", ""},
	} {
		setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_BUS_URL": test.bus, "DLT645_ALLOW": test.allow, "DLT645_METER_PASSWORD": "02000000"})
		switch _, err := readConfig(true); {
		case test.want == "" && err != nil:
			t.Errorf("%s, %s: %v", test.bus, test.allow, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s, %s: %v, want %q", test.bus, test.allow, err, test.want)
		}
	}
}

// TestDTUAccess has a broker with an access list: what the bridge's account may not do is told, as far as
// the broker lets on, and what others may not do they cannot.
func TestDTUAccess(t *testing.T) {
	t.Parallel()
	findProgram(t, "mosquitto")
	accounts := map[string]string{"bridge": "b", "dtu": "d", "mute": "m", "deaf": "e", "reader": "r"}
	d := newDTU(t, url.Values{"addresses": {"1"}})
	list := t.TempDir() + "/acl"
	writeFile(t, list, strings.NewReplacer("{up}", d.up, "{down}", d.down).Replace(
		"user bridge\ntopic read {up}\ntopic write {down}\nuser dtu\ntopic write {up}\ntopic read {down}\n"+
			"user mute\ntopic read {up}\nuser deaf\ntopic write {down}\nuser reader\ntopic read {up}\ntopic read {down}\n"))
	b := startMosquitto(t, freeAddress(t), "allow_anonymous false", "password_file "+passwordFile(t, accounts), "acl_file "+list)
	d.come(b, "dtu", "d")
	read := func(user, qos string) (int, string) {
		variables := map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_MQTT_USERNAME": user, "DLT645_MQTT_PASSWORD": accounts[user]}
		status, out, stderr := executeApart(t, variables, "", "read", "-bus", d.bus("&payload=raw&qos="+qos), "1", "voltage_a")
		return status, out + stderr
	}
	for _, test := range []struct {
		user, qos string
		status    int
		want      string
	}{
		{"bridge", "0", 0, "voltage_a"},
		{"bridge", "1", 0, "voltage_a"},
		{"mute", "1", 1, "does not let the bridge's account publish to " + d.down},
		{"mute", "0", 1, "nothing at all has come in the topic " + d.up},
		{"deaf", "0", 1, "the broker's access list lets the bridge's account read the one and write the other"},
		{"stranger", "0", 1, "check DLT645_MQTT_USERNAME and DLT645_MQTT_PASSWORD"},
	} {
		if status, text := read(test.user, test.qos); status != test.status || !strings.Contains(text, test.want) {
			t.Errorf("%s, qos=%s: status %d: %s", test.user, test.qos, status, text)
		}
	}
}

// TestReadBesideTheBridge has a command use the DTU of a bridge, which keeps its own connection.
func TestReadBesideTheBridge(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		d := newDTU(t, url.Values{"addresses": {"1"}})
		d.come(b)
		variables := map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": d.bus(""), "DLT645_METERS": "main=1"}
		root, _ := startBridge(t, variables)
		c := newClient(t, dial(t, b.address), root+"/#")
		c.ready(root)
		for range 2 {
			if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
				t.Errorf("%+v", r)
			}
			if status, _, stderr := executeApart(t, variables, "", "read", "main", "voltage_a"); status != 0 {
				t.Errorf("read: status %d: %s", status, stderr)
			}
		}
	})
}

// TestDTUOfMQTT311 has a DTU in the broker that speaks MQTT 3.1.1 alone, as nearly all do: without properties, message expiry
// and the reason of an acknowledgement. The bridge beside it speaks 5.
func TestDTUOfMQTT311(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		for _, isHex := range []bool{false, true} {
			t.Run(map[bool]string{false: "raw", true: "hex"}[isHex], func(t *testing.T) {
				d := newDTU(t, url.Values{"addresses": {"1,000000000002@698,3@188,4@modbus"}})
				requests, line := io.Pipe()
				defer line.Close()
				client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + b.address).SetProtocolVersion(4).SetClientID("dtu-" + bridgeRoot(t)).SetOrderMatters(true))
				done := func(token mqtt.Token) {
					t.Helper()
					if !token.WaitTimeout(patience) || token.Error() != nil {
						t.Fatal(token.Error())
					}
				}
				done(client.Connect())
				defer client.Disconnect(0)
				up := func(data []byte) {
					payload := string(data)
					if isHex {
						payload = hex.EncodeToString(data)
					}
					client.Publish(d.up, 0, false, payload)
				}
				strange := make(chan string, 1)
				done(client.Subscribe(d.down, 0, func(_ mqtt.Client, m mqtt.Message) {
					request := m.Payload()
					if isHex { // what it cannot read it drops
						var err error
						if request, err = hex.DecodeString(string(request)); err != nil {
							return
						}
					}
					if m.Retained() {
						select {
						case strange <- string(request):
						default:
						}
					}
					_, _ = line.Write(request)
				}))
				go func() {
					_ = d.line.Serve(t.Context(), &struct {
						io.Reader
						io.Writer
						io.Closer
					}{requests, writerFunc(up), requests})
				}()

				root, _ := startBridge(t, map[string]string{
					"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": d.bus(""), "DLT645_ALLOW": "read,relay", "DLT645_METER_PASSWORD": "02000000",
					"DLT645_METERS": "main=1,grid=000000000002@698,water=3@188?type=10,rail=4@modbus/dtsu666",
				})
				c := newClient(t, dial(t, b.address), root+"/#")
				c.ready(root)
				for meter, item := range map[string]string{"main": "voltage_a", "grid": "voltage_a", "rail": "voltage_a", "water": "volume"} {
					c.askUntilOK(root, "read/"+meter, item)
				}
				for meter, action := range map[string]string{"main": "trip", "grid": "trip", "water": "valve_close"} {
					if r := c.ask(root, "relay/"+meter, action); r.Result != "verified" {
						t.Errorf("%s: %+v", meter, r)
					}
				}
				select {
				case request := <-strange:
					t.Errorf("a request was retained: %q", request)
				default:
				}
			})
		}
	})
}

// A writerFunc is a function that takes what is written.
type writerFunc func(data []byte)

func (f writerFunc) Write(data []byte) (int, error) {
	f(data)
	return len(data), nil
}
