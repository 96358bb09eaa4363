package main

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

// TestFloodOfQoS0 has three clients publish requests of QoS 0 that are refused, or answered out of the
// cache, as fast as the broker takes them. There is nothing that the bridge could withhold for that. Each that
// has reached the bridge gets its reply, and relay commands are carried out meanwhile.
func TestFloodOfQoS0(t *testing.T) {
	const clients, requests = 3, 4000
	for _, row := range []struct{ name, tail, payload string }{
		{"refused", "read/nosuch", `{"id":"%d","items":["voltage_a"]}`},
		{"refused commands", "relay/nosuch", `{"id":"%d","action":"trip"}`},
		{"out of the cache", "read/main", `{"id":"%d","items":["voltage_a"],"max_age_ms":600000}`},
		{"a command that comes again", "relay/main", `{"id":"same","action":"alarm_off","verify_ms":0}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := startMosquitto(t, freeAddress(t), "allow_anonymous true", "max_queued_messages 0")
			root, _ := startBridge(t, map[string]string{
				"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1,shop=2",
				"DLT645_ALLOW": "read,relay", "DLT645_METER_PASSWORD": "02000000",
			})
			urgent := newClient(t, dial(t, b.address), root+"/reply/relay/shop")
			urgent.ready(root)
			c := newClient(t, dial(t, b.address), root+"/reply/"+row.tail)
			if row.tail != "read/nosuch" { // what the others ask again
				c.publish(root+"/request/"+row.tail, strings.Replace(row.payload, "%d", "first", 1), nil)
				c.await(root+"/reply/"+row.tail, nil)
			}

			var flooding sync.WaitGroup
			for n := range clients {
				flooding.Go(func() {
					floodOnce(t, b.address, fmt.Sprint("flood-", n), root+"/request/"+row.tail, row.payload, requests)
				})
			}
			for n := range 3 {
				urgent.publish(root+"/request/relay/shop", fmt.Sprintf(`{"id":"%d","action":"alarm","verify_ms":0}`, n), nil)
				if r := parseReply(t, urgent.await(root+"/reply/relay/shop", nil).Payload); r.ID != fmt.Sprint(n) || r.Result != "acknowledged" {
					t.Errorf("a relay command in the flood: %+v", r)
				}
			}
			flooding.Wait()
			for range clients * requests {
				c.await(root+"/reply/"+row.tail, nil)
			}
			c.publish(root+"/request/"+row.tail, `{"id":"last"}`, nil)
			if r := parseReply(t, c.await(root+"/reply/"+row.tail, nil).Payload); r.ID != "last" {
				t.Errorf("one reply too many: %+v", r)
			}
		})
	}
}

// floodOnce publishes so many messages of QoS 0, as fast as the broker reads them, and waits until it has.
func floodOnce(t *testing.T, address, client, topic, payload string, messages int) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = connection.Close() }()
	hello := (&paho.Connect{CleanStart: true, KeepAlive: 60, ClientID: client}).Packet()
	hello.ProtocolName, hello.ProtocolVersion = "MQTT", 5
	if _, err := hello.WriteTo(connection); err != nil {
		t.Error(err)
		return
	}
	if _, err := packets.ReadPacket(connection); err != nil {
		t.Error(err)
		return
	}
	_ = connection.SetDeadline(time.Now().Add(patience))
	for i := range messages {
		text := payload
		if strings.Contains(payload, "%d") {
			text = fmt.Sprintf(payload, i)
		}
		if _, err := (&packets.Publish{Topic: topic, Payload: []byte(text), Properties: &packets.Properties{}}).WriteTo(connection); err != nil {
			t.Error(err)
			return
		}
	}
	// The broker answers after it has read all that came before.
	if _, err := packets.NewControlPacket(packets.PINGREQ).WriteTo(connection); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(connection, make([]byte, 2)); err != nil {
		t.Error(err)
	}
}
