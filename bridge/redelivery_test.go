package bridge

import (
	"net"
	"strings"
	"testing"
	"time"

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

// TestCommandThatTheBrokerSendsAgain has the broker send a command without id again that was not
// acknowledged: over the same connection it is the same message, over another one it need not be.
func TestCommandThatTheBrokerSendsAgain(t *testing.T) {
	send := func(connection net.Conn, n int) {
		for _, duplicate := range []bool{false, true, true} {
			p := packets.NewControlPacket(packets.PUBLISH)
			*p.Content.(*packets.Publish) = packets.Publish{
				QoS: 1, PacketID: 7, Duplicate: duplicate || n > 0, Topic: "test/request/relay/main", Payload: []byte("trip"), Properties: &packets.Properties{},
			}
			_, _ = p.WriteTo(connection)
		}
		p := packets.NewControlPacket(packets.PUBLISH)
		*p.Content.(*packets.Publish) = packets.Publish{QoS: 1, PacketID: 8, Topic: "test/request/read/main", Payload: []byte("voltage_a"), Properties: &packets.Properties{}}
		_, _ = p.WriteTo(connection)
	}
	s, broker, l := newDeafBroker(t, 0, send, switching)
	manager, err := l.connect()
	if err != nil {
		t.Fatal(err)
	}
	replies := map[string]int{}
	for replies["test/reply/read/main"] == 0 || replies["test/reply/relay/main"] == 0 {
		replies[<-broker.published]++
	}
	if trips := strings.Count(strings.Join(s.cage.said(), " "), "trip"); trips != 1 || replies["test/reply/relay/main"] != 1 {
		t.Errorf("%d commands on the wire, replies %v", trips, replies)
	}
	manager.TerminateConnectionForTest()
	timeout := time.After(20 * time.Second)
	for replies["test/reply/relay/main"] < 2 {
		select {
		case topic := <-broker.published:
			replies[topic]++
		case <-timeout:
			t.Fatalf("no reply over the second connection: %v", replies)
		}
	}
	if trips := strings.Count(strings.Join(s.cage.said(), " "), "trip"); trips != 2 {
		t.Errorf("%d commands on the wire", trips)
	}
}
