package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/eclipse/paho.golang/paho"
)

// TestACL runs a real mosquitto with the access list that the project ships, and tries what
// each account may and may not do.
func TestACL(t *testing.T) {
	t.Parallel()
	findProgram(t, "mosquitto")
	accounts := map[string]string{}
	for _, user := range []string{"bridge", "reader", "operator", "billing", "homeassistant", "node-red"} {
		accounts[user] = "secret-" + user
	}
	passwords, list := passwordFile(t, accounts), filepath.Join(t.TempDir(), "acl")
	// The test's root is its own, so that it does not meet another bridge on this machine.
	variables := map[string]string{
		"DLT645_MQTT_USERNAME": "bridge", "DLT645_MQTT_PASSWORD": "secret-bridge", "DLT645_BUS_URL": quickMeters,
		"DLT645_METERS": "main=1,shop=2", "DLT645_ALLOW": "read,raw,relay", "DLT645_METER_PASSWORD": "02000000",
	}
	address := freeAddress(t)
	variables["DLT645_MQTT_URL"] = "mqtt://" + address
	root := bridgeRoot(t)
	text := strings.ReplaceAll(readFile(t, "deploy/mosquitto/acl"), "dlt645/", root+"/")
	writeFile(t, list, text)
	startMosquitto(t, address, "allow_anonymous false", "password_file "+passwords, "acl_file "+list)
	startBridge(t, variables)

	as := func(user string, filters ...string) *client {
		return newClientAs(t, dial(t, address), user, "secret-"+user, filters...)
	}
	// refused reports whether the broker turns a publish down.
	refused := func(c *client, topic string) bool {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		response, err := c.Publish(ctx, &paho.Publish{Topic: root + "/" + topic, QoS: 1, Payload: []byte("voltage_a")})
		if err != nil && response == nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		const notAuthorised = 0x87
		return response != nil && response.ReasonCode == notAuthorised
	}
	reader := as("reader", "#")
	reader.ready(root)

	t.Run("reader", func(t *testing.T) {
		reader.t = t
		if r := reader.ask(root, "read/main", "voltage_a"); !r.OK {
			t.Errorf("%+v", r)
		}
		for _, topic := range []string{"request/relay/main", "request/raw", "request/write/main", "reply/relay/main", "meter/main/state", "bridge/status"} {
			if !refused(reader, topic) {
				t.Errorf("reader may publish to %s", topic)
			}
		}
		// A relay's reply cannot be forged through the bridge either.
		reader.publish(root+"/request/read/main", "voltage_a", func(p *paho.Publish) { p.Properties.ResponseTopic = root + "/reply/relay/main" })
		if r := parseReply(t, reader.await(root+"/reply/read/main", nil).Payload); r.Error == nil || r.Error.Code != "bad_request" {
			t.Errorf("a response topic under a verb: %+v", r)
		}
		// With a topic under its own name it has its replies for itself.
		reader.publish(root+"/request/read/main", "voltage_a", func(p *paho.Publish) { p.Properties.ResponseTopic = root + "/reply/reader/1" })
		if r := parseReply(t, reader.await(root+"/reply/reader/1", nil).Payload); !r.OK {
			t.Errorf("%+v", r)
		}
	})
	t.Run("billing", func(t *testing.T) {
		billing := as("billing", "#")
		if r := billing.ask(root, "read/shop", "voltage_a"); !r.OK || r.Meter != "shop" {
			t.Errorf("%+v", r)
		}
		if r := billing.ask(root, "relay/shop", "trip"); r.Result != "verified" || r.Meter != "shop" {
			t.Errorf("billing trips its own meter: %+v", r)
		}
		for _, topic := range []string{"request/read/main", "request/read/000000000001", "request/relay/main", "request/relay/000000000002", "request/raw", "request/broadcast"} {
			if !refused(billing, topic) {
				t.Errorf("billing may publish to %s", topic)
			}
		}
		// What others ask is none of its business.
		reader.t = t
		reader.ask(root, "read/main", "voltage_a")
		billing.publish(root+"/request/read/shop", `{"id":"last","items":["voltage_a"]}`, nil)
		for {
			p := billing.next()
			if p.Topic != root+"/reply/read/shop" && !strings.HasPrefix(p.Topic, root+"/bridge/status") && !strings.HasPrefix(p.Topic, root+"/meter/shop/") {
				t.Errorf("billing heard %s", p.Topic)
			}
			if strings.Contains(string(p.Payload), `"last"`) {
				break
			}
		}
	})
	t.Run("operator", func(t *testing.T) {
		operator := as("operator", root+"/reply/#")
		if r := operator.ask(root, "raw", "6801000000000068110433343435B616"); !r.OK {
			t.Errorf("%+v", r)
		}
		if r := operator.ask(root, "relay/main", "trip"); r.Result != "verified" {
			t.Errorf("operator trips: %+v", r)
		}
		if !refused(operator, "reply/relay/main") {
			t.Error("operator may publish a reply")
		}
		// What others have sent to a topic of their own is theirs.
		reader.t = t
		reader.publish(root+"/request/read/main", "voltage_a", func(p *paho.Publish) { p.Properties.ResponseTopic = root + "/reply/reader/2" })
		reader.await(root+"/reply/reader/2", nil)
		operator.publish(root+"/request/read/main", `{"id":"last","items":["voltage_a"]}`, nil)
		for {
			p := operator.next()
			if strings.HasPrefix(p.Topic, root+"/reply/reader/") {
				t.Errorf("operator heard %s", p.Topic)
			}
			if strings.Contains(string(p.Payload), `"last"`) {
				break
			}
		}
	})
	t.Run("bridge", func(t *testing.T) {
		bridge := as("bridge", "homeassistant/#", root+"/#")
		for topic, allowed := range map[string]bool{
			root + "/bridge/published": true, "homeassistant/device/test_acl/config": true,
			"homeassistant/status": false, "homeassistant/sensor/x/config": false, root + "/request/relay/main": false,
		} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			response, err := bridge.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(`{"meters":[]}`)})
			cancel()
			if response == nil {
				t.Fatal(err)
			}
			if got := response.ReasonCode < 0x80; got != allowed {
				t.Errorf("the bridge may publish to %s: %t, want %t", topic, got, allowed)
			}
		}
		// What other bridges tell Home Assistant is none of its business.
		as("homeassistant").publish("homeassistant/status", "online", nil)
		for p := bridge.next(); p.Topic != "homeassistant/status"; p = bridge.next() {
			if strings.HasPrefix(p.Topic, "homeassistant/device/") {
				t.Errorf("the bridge hears %s", p.Topic)
			}
		}
	})
	t.Run("homeassistant", func(t *testing.T) {
		ha := as("homeassistant", root+"/bridge/status")
		if refused(ha, "request/relay/main") || refused(ha, "request/read/main") {
			t.Error("homeassistant may not switch or read")
		}
		if !refused(ha, "request/write/main") || !refused(ha, "request/maintenance/main") || !refused(ha, "request/raw") {
			t.Error("homeassistant may do more than switch and read")
		}
	})
	t.Run("node-red", func(t *testing.T) {
		flow := as("node-red", root+"/reply/node-red/#")
		flow.publish(root+"/request/read/main", "voltage_a", func(p *paho.Publish) { p.Properties.ResponseTopic = root + "/reply/node-red/1" })
		if r := parseReply(t, flow.await(root+"/reply/node-red/1", nil).Payload); !r.OK {
			t.Errorf("%+v", r)
		}
		if refused(flow, "request/relay/main") || !refused(flow, "request/write/main") || !refused(flow, "request/maintenance/main") {
			t.Error("node-red may not switch, or may do more")
		}
	})
}
