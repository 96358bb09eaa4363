package bridge

import (
	"context"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// A deafBroker is a broker of a few words: it acknowledges what it is told to, and tells what
// was published to it.
type deafBroker struct {
	listener  net.Listener
	published chan string                      // topics
	requests  func(connection net.Conn, n int) // what it sends after the first subscription on the n-th connection; nil: nothing
}

// serve acknowledges the publishes on all but the first so many connections.
func (b *deafBroker) serve(deaf int) {
	for n := 0; ; n++ {
		connection, err := b.listener.Accept()
		if err != nil {
			return
		}
		go b.talk(connection, n, n >= deaf)
	}
}

func (b *deafBroker) talk(connection net.Conn, n int, acknowledge bool) {
	defer func() { _ = connection.Close() }()
	asked := false
	for {
		packet, err := packets.ReadPacket(connection)
		if err != nil {
			return
		}
		var answer *packets.ControlPacket
		switch content := packet.Content.(type) {
		case *packets.Connect:
			answer = packets.NewControlPacket(packets.CONNACK)
		case *packets.Subscribe:
			answer = packets.NewControlPacket(packets.SUBACK)
			answer.Content.(*packets.Suback).PacketID = content.PacketID
			answer.Content.(*packets.Suback).Reasons = []byte{1}
		case *packets.Pingreq:
			answer = packets.NewControlPacket(packets.PINGRESP)
		case *packets.Publish:
			b.published <- content.Topic
			if !acknowledge {
				continue
			}
			answer = packets.NewControlPacket(packets.PUBACK)
			answer.Content.(*packets.Puback).PacketID = content.PacketID
		default:
			continue
		}
		if _, err := answer.WriteTo(connection); err != nil {
			return
		}
		if _, subscribed := packet.Content.(*packets.Subscribe); subscribed && b.requests != nil && !asked {
			asked = true
			b.requests(connection, n)
		}
	}
}

// newDeafBroker returns a stage whose bridge connects to a broker of few words, which is deaf on its first
// connections and then sends requests. It runs until the test ends.
func newDeafBroker(t *testing.T, deaf int, requests func(connection net.Conn, n int), change func(*Config)) (*stage, *deafBroker, *link) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker := &deafBroker{listener, make(chan string, 100), requests}
	t.Cleanup(func() { _ = listener.Close() })
	go broker.serve(deaf)
	s := newStage(t, change)
	s.config.Broker = Broker{URLs: []*url.URL{{Scheme: "mqtt", Host: listener.Addr().String()}}, ClientID: "test"}
	s.outbox.down() // the stage has its own way out
	return s, broker, s.newLink(t.Context())
}

// TestBrokerThatDoesNotAcknowledge publishes to a broker that is there but acknowledges nothing
// at first. The bridge ends that connection: only over another one may it send the same again.
func TestBrokerThatDoesNotAcknowledge(t *testing.T) {
	s, broker, l := newDeafBroker(t, 1, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	l.ctx, l.patience = ctx, 10*time.Millisecond
	manager, err := l.connect()
	if err != nil {
		t.Fatal(err)
	}
	s.outbox.put(outgoing{topic: "reply"})
	for seen := 0; seen < 2; {
		if topic := <-broker.published; topic == "reply" {
			seen++
		}
	}
	s.outbox.drain(time.Minute)
	if n := s.outbox.waiting(); n != 0 {
		t.Errorf("%d messages wait after the second connection", n)
	}
	cancel()
	<-manager.Done()
}
