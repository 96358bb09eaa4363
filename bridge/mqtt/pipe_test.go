package mqtt

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// A strictBroker lets one client in at a time and answers with the reason codes that it has.
type strictBroker struct {
	listener                net.Listener
	connack, suback, puback byte
	wordless                bool // it takes connections and says nothing
	after                   func(connection net.Conn)
	connects                chan *packets.Connect
	subscriptions           chan packets.SubOptions
	published               chan *packets.Publish
}

func newStrictBroker(t *testing.T) *strictBroker {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return &strictBroker{
		listener: listener, connects: make(chan *packets.Connect, 10), subscriptions: make(chan packets.SubOptions, 10), published: make(chan *packets.Publish, 10),
	}
}

func (b *strictBroker) serve() {
	for {
		connection, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.talk(connection)
		_ = connection.Close()
	}
}

func (b *strictBroker) talk(connection net.Conn) {
	for {
		packet, err := packets.ReadPacket(connection)
		if err != nil {
			return
		}
		var answer *packets.ControlPacket
		switch content := packet.Content.(type) {
		case *packets.Connect:
			b.connects <- content
			answer = packets.NewControlPacket(packets.CONNACK)
			answer.Content.(*packets.Connack).ReasonCode = b.connack
			answer.Content.(*packets.Connack).Properties.ReasonString = "so it is"
		case *packets.Subscribe:
			b.subscriptions <- content.Subscriptions[0]
			answer = packets.NewControlPacket(packets.SUBACK)
			answer.Content.(*packets.Suback).PacketID = content.PacketID
			answer.Content.(*packets.Suback).Reasons = []byte{b.suback}
		case *packets.Publish:
			b.published <- content
			if content.QoS == 0 {
				continue
			}
			answer = packets.NewControlPacket(packets.PUBACK)
			answer.Content.(*packets.Puback).PacketID = content.PacketID
			answer.Content.(*packets.Puback).ReasonCode = b.puback
		default:
			continue
		}
		if b.wordless {
			continue
		}
		if _, err := answer.WriteTo(connection); err != nil {
			return
		}
		if _, subscribed := packet.Content.(*packets.Subscribe); subscribed && b.after != nil {
			b.after(connection)
		}
	}
}

func (b *strictBroker) pipe(more ...*url.URL) *Pipe {
	broker := &Broker{URLs: append(more, &url.URL{Scheme: "mqtt", Host: b.listener.Addr().String()}), Username: "me", Password: "secret"}
	return &Pipe{Broker: broker, ClientID: "bridge-line", In: "up", Out: "down", QoS: 1, Expiry: 4 * time.Second, Apart: "who is it?"}
}

func send(connection net.Conn, payload string, retain bool) {
	p := packets.NewControlPacket(packets.PUBLISH)
	*p.Content.(*packets.Publish) = packets.Publish{Topic: "up", Payload: []byte(payload), Retain: retain, Properties: &packets.Properties{}}
	_, _ = p.WriteTo(connection)
}

// nobody is an address that nothing listens on. A port of those that listeners get would soon be somebody's again.
const nobody = "127.0.0.1:1"

func TestPipe(t *testing.T) {
	b := newStrictBroker(t)
	b.after = func(connection net.Conn) {
		send(connection, "old", true)
		send(connection, "new", false)
	}
	go b.serve()
	p := b.pipe(&url.URL{Scheme: "mqtt", Host: nobody})
	heard, lost := make(chan string, 10), make(chan error, 10)
	c, err := p.Open(t.Context(), func(m []byte) { heard <- string(m) }, func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != "new" {
		t.Errorf("heard %q, which was retained", got)
	}
	if hello := <-b.connects; !hello.CleanStart || hello.ClientID != "bridge-line" || hello.Username != "me" || string(hello.Password) != "secret" {
		t.Errorf("CONNECT %+v", hello)
	}
	if s := <-b.subscriptions; s.Topic != "up" || s.QoS != 1 || !s.NoLocal || s.RetainHandling != 2 || s.RetainAsPublished {
		t.Errorf("SUBSCRIBE %+v", s)
	}
	if err := c.Send(t.Context(), []byte("request")); err != nil {
		t.Error(err)
	}
	m := <-b.published
	if m.Topic != "down" || string(m.Payload) != "request" || m.QoS != 1 || m.Retain || m.Properties.MessageExpiry == nil || *m.Properties.MessageExpiry != 4 {
		t.Errorf("PUBLISH %+v, %+v", m, m.Properties)
	}
	c.Close()
	select {
	case err := <-lost:
		t.Errorf("it is told of its own end: %v", err)
	default:
	}
}

// TestPipeSaysWhy has the broker say no, in each of the ways that there are.
func TestPipeSaysWhy(t *testing.T) {
	takenOver := func(connection net.Conn) {
		d := packets.NewControlPacket(packets.DISCONNECT)
		d.Content.(*packets.Disconnect).ReasonCode = packets.DisconnectSessionTakenOver
		_, _ = d.WriteTo(connection)
	}
	for _, test := range []struct {
		name       string
		broker     strictBroker
		open       string // the error of Open, Send or lost
		lasting    bool   // that of Open
		send, lost string
	}{
		{name: "bad password", broker: strictBroker{connack: packets.ConnackBadUsernameOrPassword}, lasting: true, open: "86H so it is: check DLT645_MQTT_USERNAME"},
		{name: "no subscription", broker: strictBroker{suback: packets.SubackNotauthorized}, lasting: true, open: "does not grant the subscription to up (87H)"},
		{name: "busy", broker: strictBroker{connack: packets.ConnackServerBusy}, open: "89H so it is: see the broker's log"},
		{name: "nobody there", broker: strictBroker{puback: packets.PubackNoMatchingSubscribers}, send: "nobody has subscribed to down"},
		{name: "no right to publish", broker: strictBroker{puback: packets.PubackNotAuthorized}, send: "does not let the bridge's account publish to down"},
		{name: "too much", broker: strictBroker{puback: packets.PubackQuotaExceeded}, send: "does not take a message for down (97H)"},
		{name: "taken over", broker: strictBroker{after: takenOver}, lost: "another client has taken the client id bridge-line of this connection: who is it?"},
		{name: "closed", broker: strictBroker{after: func(c net.Conn) { _ = c.Close() }}, lost: "the connection to the broker is lost"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newStrictBroker(t)
			b.connack, b.suback, b.puback, b.after = test.broker.connack, test.broker.suback, test.broker.puback, test.broker.after
			go b.serve()
			p := b.pipe()
			lost := make(chan error, 10)
			c, err := p.Open(t.Context(), func([]byte) {}, func(err error) { lost <- err })
			if test.open != "" {
				if err == nil || !strings.Contains(err.Error(), test.open) || strings.Contains(err.Error(), "secret") {
					t.Errorf("got %v, want %q", err, test.open)
				}
				var e interface{ Lasting() bool }
				if !errors.As(err, &e) || e.Lasting() != test.lasting {
					t.Errorf("%v: lasting is not %t", err, test.lasting)
				}
				// Another broker of the list may yet come.
				_, err := b.pipe(&url.URL{Scheme: "mqtt", Host: nobody}).Open(t.Context(), func([]byte) {}, func(error) {})
				if !errors.As(err, &e) || e.Lasting() {
					t.Errorf("beside a broker that is away: %v is lasting", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if test.lost != "" {
				if err := <-lost; !strings.Contains(err.Error(), test.lost) {
					t.Errorf("got %v, want %q", err, test.lost)
				}
				_, err := p.Open(t.Context(), func([]byte) {}, func(error) {})
				if away := err != nil && strings.Contains(err.Error(), "trying again in 30s"); away != (test.name == "taken over") {
					t.Errorf("again: %v", err)
				}
				return
			}
			if err := c.Send(t.Context(), []byte("request")); err == nil || !strings.Contains(err.Error(), test.send) {
				t.Errorf("got %v, want %q", err, test.send)
			}
		})
	}
	t.Run("wordless", func(t *testing.T) {
		b := newStrictBroker(t)
		b.wordless = true
		go b.serve()
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-b.connects; cancel() }()
		if _, err := b.pipe().Open(ctx, func([]byte) {}, func(error) {}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
