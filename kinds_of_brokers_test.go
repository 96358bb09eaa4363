package main

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// A brokerKind is a broker from a registry, and how it is run.
type brokerKind struct {
	name, needs, target string // needs: a file that is there if it is installed, by that target of make
	command             func(t *testing.T, port string) []string
}

const (
	cloudSDKs       = ".tools/cloud-sdks"
	brokersOfMaking = ".tools/brokers"
)

// brokersOf311 speak MQTT 3.1.1 and no other version.
var brokersOf311 = []brokerKind{
	{"aedes", cloudSDKs + "/installed", "cloud-sdks", func(_ *testing.T, port string) []string {
		return []string{"node", "test/cloud/brokers/serve_aedes.mjs", absolute(cloudSDKs) + "/node_modules", port}
	}},
	{"amqtt", cloudSDKs + "/installed", "cloud-sdks", func(_ *testing.T, port string) []string {
		return []string{cloudSDKs + "/amqtt/bin/python", "test/cloud/brokers/serve_amqtt.py", port}
	}},
	{"moquette", cloudSDKs + "/installed-java", "cloud-sdks", func(_ *testing.T, port string) []string {
		return []string{"java", "-cp", cloudSDKs + "/moquette/*", "test/cloud/brokers/moquette/ServeMoquette.java", port}
	}},
}

// brokersOf5 speak MQTT 5.
var brokersOf5 = []brokerKind{
	{"hivemq", brokersOfMaking + "/hivemq", "brokers", func(t *testing.T, port string) []string {
		return []string{"java", "-cp", brokersOfMaking + "/hivemq/*", "test/brokers/ServeHiveMQ.java", t.TempDir(), port}
	}},
	{"artemis", brokersOfMaking + "/artemis", "brokers", func(t *testing.T, port string) []string {
		folder := filepath.Join(t.TempDir(), "broker")
		create := exec.CommandContext(t.Context(), brokersOfMaking+"/artemis/bin/artemis", "create", "--silent", "--user", "admin", "--password", "admin", "--allow-anonymous",
			"--no-web", "--no-amqp-acceptor", "--no-hornetq-acceptor", "--no-stomp-acceptor", "--no-mqtt-acceptor", "--no-autotune", "--nio", "--host", "127.0.0.1", "--default-port", port, folder)
		if out, err := create.CombinedOutput(); err != nil {
			t.Fatalf("artemis create: %v: %s", err, out)
		}
		return []string{folder + "/bin/artemis", "run"}
	}},
	{"rumqttd", brokersOfMaking + "/rumqttd/bin/rumqttd", "brokers", func(t *testing.T, port string) []string {
		file := filepath.Join(t.TempDir(), "rumqttd.toml")
		writeFile(t, file, `id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 1048576
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:`+port+`"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 204800
max_inflight_count = 100
`)
		return []string{brokersOfMaking + "/rumqttd/bin/rumqttd", "-c", file, "-q"}
	}},
}

func absolute(name string) string {
	path, err := filepath.Abs(name)
	if err != nil {
		panic(err)
	}
	return path
}

// run starts the broker, or skips the test where it is missing, and returns its address.
func (k *brokerKind) run(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(k.needs); err != nil {
		t.Skipf("%s is not installed (make %s)", k.name, k.target)
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	arguments := k.command(t, port)
	if _, err := exec.LookPath(arguments[0]); err != nil {
		t.Skipf("%s: %v", k.name, err)
	}
	output, ended := runProgram(t, arguments...)
	awaitListenerWithin(t, 2*time.Minute, address, ended, output)
	return address
}

// TestBrokersOf311 has a bridge at brokers that do not speak MQTT 5: it says so, and never that it is connected.
func TestBrokersOf311(t *testing.T) {
	for _, kind := range brokersOf311 {
		t.Run(kind.name, func(t *testing.T) {
			address := kind.run(t)
			log := newWatched("3.1.1")
			runServe(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + address, "DLT645_BUS_URL": quickMeters, "DLT645_TOPIC": bridgeRoot(t)}, log)
			select {
			case <-log.seen:
			case <-time.After(2 * patience):
				t.Errorf("the log does not say that the broker is too old: %s", log)
			}
			if strings.Contains(log.String(), "connected to the broker") {
				t.Errorf("the log says that the bridge is connected: %s", log)
			}
		})
	}
}

// TestBrokers runs a bridge at brokers of several makers: it connects, answers, keeps its states there, carries out a
// command once, and is offline when it has gone, however it went.
func TestBrokers(t *testing.T) {
	for _, kind := range brokersOf5 {
		t.Run(kind.name, func(t *testing.T) { testBroker5(t, kind.run(t)) })
	}
}

func testBroker5(t *testing.T, address string) {
	variables := map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1", "DLT645_ALLOW": "read,relay",
		"DLT645_METER_PASSWORD": "02000000", "DLT645_READINGS": "true",
	}
	points := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, points, "meter,item,interval\nmain,voltage_a,1s\n")
	variables["DLT645_POINTS"] = points
	root, stop := startBridge(t, variables)
	c := newClient(t, dial(t, address), root+"/reply/#", root+"/bridge/audit")
	c.ready(root)

	database := newClient(t, dial(t, address), root+"/meter/main/readings")
	database.await(root+"/meter/main/readings", func(payload string) bool { return strings.Contains(payload, `"voltage_a":`) })
	c.publish(root+"/request/read/main", `{"id":"r","items":["frequency"]}`, nil)
	c.await(root+"/reply/read/main", func(payload string) bool {
		return strings.Contains(payload, `"r"`) && strings.Contains(payload, `"frequency":`)
	})
	c.publish(root+"/request/relay/main", `{"id":"c","action":"trip"}`, nil)
	var reply struct{ ID, Result string }
	p := c.await(root+"/reply/relay/main", nil)
	if err := json.Unmarshal(p.Payload, &reply); err != nil || reply.Result != "verified" {
		t.Errorf("relay: %s (%v)", p.Payload, err)
	}
	// A client that comes later finds what was retained before it came.
	later := newClient(t, dial(t, address), root+"/meter/main/state", root+"/bridge/status")
	for _, topic := range []string{root + "/meter/main/state", root + "/bridge/status"} {
		retained(t, address, topic)
	}
	// A command that is published as retained is refused where the broker says so (retain as published).
	c.publish(root+"/request/relay/main", `{"id":"kept","action":"close"}`, func(p *paho.Publish) { p.Retain = true })
	p = c.await(root+"/reply/relay/main", func(payload string) bool { return strings.Contains(payload, `"kept"`) })
	t.Logf("a command that is published as retained: %s", p.Payload)

	stop()
	later.await(root+"/bridge/status", func(payload string) bool { return payload == "offline" })

	// A process that is killed says nothing, and the broker does.
	binary := buildBinary(t)
	command := exec.CommandContext(t.Context(), binary)
	variables["DLT645_TOPIC"], variables["DLT645_LOG_LEVEL"] = root, "error"
	command.Env = environmentWith(variables)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	later.await(root+"/bridge/status", func(payload string) bool { return payload == "online" })
	// The command that the broker has kept is not for a bridge that comes later.
	c.publish(root+"/request/read/main", `{"id":"again","items":["frequency"]}`, nil)
	for {
		p := c.next()
		if p.Topic == root+"/reply/read/main" && strings.Contains(string(p.Payload), `"again"`) {
			break
		}
		if p.Topic == root+"/reply/relay/main" && strings.Contains(string(p.Payload), `"ok":true`) {
			t.Errorf("a bridge that starts carries out the command that was retained: %s", p.Payload)
		}
	}
	_ = command.Process.Kill()
	later.await(root+"/bridge/status", func(payload string) bool { return payload == "offline" })
}
