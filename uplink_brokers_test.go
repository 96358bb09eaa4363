package main

import (
	"fmt"
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
	for _, kind := range brokersOf311 {
		for _, dialect := range []string{"json", "thingsboard"} {
			t.Run(kind.name+"/"+dialect, func(t *testing.T) { testUplinkWith311(t, dialect, kind.run(t)) })
		}
	}
}

// listen311 has a client hear all that comes to a broker, until the test ends. It tries until it is
// subscribed: Moquette ends the connection of a client that subscribes before the write of the
// CONNACK has come back to it, and so does a broker that is not quite up.
func listen311(t *testing.T, address string, heard func(mqtt.Message)) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		client := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID("listener").
			SetProtocolVersion(4).SetAutoReconnect(false))
		token := client.Connect()
		if token.WaitTimeout(patience) && token.Error() == nil {
			token = client.Subscribe("#", 1, func(_ mqtt.Client, m mqtt.Message) { heard(m) })
			if token.WaitTimeout(patience) && token.Error() == nil {
				t.Cleanup(func() { client.Disconnect(0) })
				return
			}
		}
		client.Disconnect(0)
		if time.Now().After(deadline) {
			t.Fatalf("a client of MQTT 3.1.1 cannot listen there: %v", token.Error())
		}
	}
}

func testUplinkWith311(t *testing.T, dialect, address string) {
	const states = 300
	lines := make(chan string, 10*states)
	listen311(t, address, func(m mqtt.Message) { lines <- m.Topic() + " " + string(m.Payload()) })
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
