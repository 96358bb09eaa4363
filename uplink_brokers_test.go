package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// TestUplinkWithBrokersOf311 has brokers as the cloud that speak MQTT 3.1.1 and no other version,
// and that none of us wrote: the uplink connects to them, and all states arrive, in order.
func TestUplinkWithBrokersOf311(t *testing.T) {
	tools, err := filepath.Abs(".tools/cloud-sdks")
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range []struct {
		name, needs string
		command     func(port string) []string
	}{
		{"aedes", tools + "/node_modules/aedes", func(port string) []string {
			return []string{"node", "test/cloud/brokers/serve_aedes.mjs", tools + "/node_modules", port}
		}},
		{"amqtt", tools + "/amqtt/bin/python", func(port string) []string {
			return []string{tools + "/amqtt/bin/python", "test/cloud/brokers/serve_amqtt.py", port}
		}},
		{"moquette", tools + "/moquette/moquette-broker-0.17.jar", func(port string) []string {
			return []string{"java", "-cp", tools + "/moquette/*", "test/cloud/brokers/moquette/ServeMoquette.java", port}
		}},
	} {
		for _, dialect := range []string{"json", "thingsboard"} {
			t.Run(of.name+"/"+dialect, func(t *testing.T) {
				if _, err := os.Stat(of.needs); err != nil {
					t.Skipf("%s is not installed (make cloud-sdks)", of.name)
				}
				address := freeAddress(t)
				_, port, _ := net.SplitHostPort(address)
				arguments := of.command(port)
				command := exec.CommandContext(t.Context(), arguments[0], arguments[1:]...)
				var output strings.Builder
				command.Stdout, command.Stderr = &output, &output
				if err := command.Start(); err != nil {
					t.Skipf("%s: %v", of.name, err)
				}
				ended := make(chan struct{})
				go func() { _ = command.Wait(); close(ended) }()
				t.Cleanup(func() { _ = command.Process.Kill(); <-ended })
				awaitListener(t, address, ended, &output)
				testUplinkWith311(t, dialect, address)
			})
		}
	}
}

func testUplinkWith311(t *testing.T, dialect, address string) {
	const states = 300
	lines := make(chan string, 10*states)
	listener := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID("listener").SetProtocolVersion(4))
	t.Cleanup(func() { listener.Disconnect(0) })
	for _, step := range []func() mqtt.Token{listener.Connect, func() mqtt.Token {
		return listener.Subscribe("#", 1, func(_ mqtt.Client, m mqtt.Message) { lines <- m.Topic() + " " + string(m.Payload()) })
	}} {
		if token := step(); !token.WaitTimeout(patience) || token.Error() != nil {
			t.Fatalf("a client of MQTT 3.1.1 cannot listen there: %v", token.Error())
		}
	}
	deadline := time.After(2 * patience)
	await := func(what string, accept func(line string) bool) {
		t.Helper()
		for {
			select {
			case line := <-lines:
				if accept(line) {
					return
				}
			case <-deadline:
				t.Fatalf("%s did not come", what)
			}
		}
	}
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true", "max_queued_messages 0")
	publisher := bridgeClient(t, b, "dlt645", "main")
	devices := filepath.Join(t.TempDir(), "devices.csv")
	writeFile(t, devices, "meter,device\nmain,000000000001\n")
	startUplink(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_UPLINK_CLOUD": dialect, "DLT645_UPLINK_URL": "mqtt://" + address,
		"DLT645_UPLINK_DEVICE": "site7", "DLT645_UPLINK_SECRET": "secret", "DLT645_UPLINK_DEVICES": devices, "DLT645_UPLINK_COMMANDS": "read",
	})
	begin := time.Date(2026, 11, 20, 18, 0, 0, 0, time.FixedZone("CST", 8*3600))
	state := func(number int) {
		at := begin.Add(time.Duration(number) * time.Second)
		publisher.publish("dlt645/meter/main/state", fmt.Sprintf(`{"forward_active_energy":%d.25,"time":%q}`, number, at.Format(time.RFC3339)), func(p *paho.Publish) { p.Retain = true })
	}
	state(0) // the uplink is there when it has come
	await("the first state", func(line string) bool { return strings.Contains(line, `"forward_active_energy":0.25`) })
	for number := 1; number < states; number++ {
		state(number)
	}
	next := 1
	await("the last state", func(line string) bool {
		for {
			_, rest, found := strings.Cut(line, `"forward_active_energy":`)
			if !found {
				return next == states
			}
			var number int
			if _, err := fmt.Sscanf(rest, "%d.25", &number); err != nil || number > next {
				t.Fatalf("%s came where %d was due", line, next)
			}
			if number == next {
				next++
			}
			line = rest
		}
	})
}
