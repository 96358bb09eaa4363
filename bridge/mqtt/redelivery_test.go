package mqtt

import (
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
)

func TestDeliveries(t *testing.T) {
	var d deliveries
	first, second := paho.NewClient(paho.ClientConfig{}), paho.NewClient(paho.ClientConfig{})
	message := func(qos byte, id uint16, duplicate bool, payload string) *paho.Publish {
		return paho.PublishFromPacketPublish(&packets.Publish{QoS: qos, PacketID: id, Duplicate: duplicate, Topic: "t", Payload: []byte(payload), Properties: &packets.Properties{}})
	}
	for i, row := range []struct {
		connection *paho.Client
		message    *paho.Publish
		again      bool
	}{
		{first, message(1, 1, false, "a"), false},
		{first, message(1, 1, true, "a"), true},
		{first, message(1, 1, true, "a"), true},
		{first, message(1, 2, true, "a"), false}, // a broker that passes on the sender's flag
		{first, message(1, 1, false, "a"), false},
		{first, message(1, 1, true, "b"), false},
		{first, message(1, 1, true, "b"), true},
		{first, message(0, 0, true, "c"), false},
		{first, message(0, 0, true, "c"), false},
		{second, message(1, 1, true, "b"), false},
		{second, message(1, 1, true, "b"), true},
		{first, message(1, 1, true, "b"), false},
	} {
		if again := d.again(row.connection, row.message); again != row.again {
			t.Errorf("message %d: again %t", i, again)
		}
	}
	for id := range uint16(5 * mostDeliveries) {
		d.again(first, message(1, id, false, "x"))
	}
	if len(d.content) != mostDeliveries || len(d.order) != mostDeliveries {
		t.Errorf("%d messages are remembered, in the order of %d", len(d.content), len(d.order))
	}
}
