package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/packets"

	"dlt645-mqtt/bridge/limit"
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

// toDeafBroker returns a link, not connected yet, to a broker of few words, which is deaf on its first
// connections and then sends requests, and the outbox that publishes over it. receive takes its messages.
func toDeafBroker(ctx context.Context, t *testing.T, deaf int, requests func(connection net.Conn, n int), receive func(m Message)) (*deafBroker, *Link, *Outbox) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker := &deafBroker{listener, make(chan string, 100), requests}
	t.Cleanup(func() { _ = listener.Close() })
	go broker.serve(deaf)
	config, outbox := testConfig(Broker{URLs: []*url.URL{{Scheme: "mqtt", Host: listener.Addr().String()}}, ClientID: "test"}, slog.New(slog.DiscardHandler))
	if receive != nil {
		config.Receive = func(m Message, ack func()) { receive(m); outbox.WhenRoom(ack) }
	}
	return broker, newLink(ctx, config), outbox
}

// testConfig configures a link for requests, with an outbox that publishes over it.
func testConfig(broker Broker, log *slog.Logger) (Config, *Outbox) {
	limited := limit.New(log)
	outbox := NewOutbox(limited)
	return Config{
		Broker: broker, Log: limited, Will: &Will{"status", "offline"}, ReceiveMaximum: 1024, Largest: 1 << 20,
		Subscriptions: []Subscription{{Topic: "request/#", QoS: 1}}, Retry: 30 * time.Second,
		Receive: func(_ Message, ack func()) { ack() },
		Ready:   func(ctx context.Context, c *Connection) { outbox.Up(ctx, c.Publish) },
		Down:    outbox.Down,
	}, outbox
}

// TestBrokerThatDoesNotAcknowledge publishes to a broker that is there but acknowledges nothing
// at first. The link ends that connection: only over another one may the same be sent again.
func TestBrokerThatDoesNotAcknowledge(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	broker, l, outbox := toDeafBroker(ctx, t, 1, nil, nil)
	l.patience = 10 * time.Millisecond
	if err := l.connect(); err != nil {
		t.Fatal(err)
	}
	outbox.Put(Outgoing{Topic: "reply"})
	for seen := 0; seen < 2; {
		if topic := <-broker.published; topic == "reply" {
			seen++
		}
	}
	outbox.Drain(time.Minute)
	if n := outbox.Waiting(); n != 0 {
		t.Errorf("%d messages wait after the second connection", n)
	}
	cancel()
	<-l.manager.Done()
}

// TestMessageThatTheBrokerSendsAgain has the broker send a message again that was not acknowledged: over the
// same connection it is the same message, over another one it need not be.
func TestMessageThatTheBrokerSendsAgain(t *testing.T) {
	send := func(connection net.Conn, n int) {
		for i, duplicate := range []bool{false, true, true, false} {
			p := packets.NewControlPacket(packets.PUBLISH)
			*p.Content.(*packets.Publish) = packets.Publish{
				QoS: 1, PacketID: 7 + uint16(i)/3, Duplicate: duplicate || n > 0, Topic: "request/relay/main", Payload: []byte("trip"), Properties: &packets.Properties{},
			}
			_, _ = p.WriteTo(connection)
		}
	}
	came := make(chan bool, 100)
	_, l, _ := toDeafBroker(t.Context(), t, 0, send, func(m Message) { came <- m.Again })
	if err := l.connect(); err != nil {
		t.Fatal(err)
	}
	timeout := time.After(20 * time.Second)
	for connection := range 2 {
		var again []bool
		for range 4 {
			select {
			case is := <-came:
				again = append(again, is)
			case <-timeout:
				t.Fatalf("connection %d: only %v came", connection, again)
			}
		}
		if want := []bool{false, true, true, false}; !slices.Equal(again, want) {
			t.Errorf("connection %d: sent again %v, want %v", connection, again, want)
		}
		l.manager.TerminateConnectionForTest()
	}
}

// TestManyComeBack has a broker away, and looks when many links would be back: soon, and not all at once. It adds up
// the pauses between their attempts, and takes no time itself.
func TestManyComeBack(t *testing.T) {
	const many = 2000
	for _, away := range []time.Duration{time.Second, 5 * time.Second, time.Minute, time.Hour} {
		var back []time.Duration
		for range many {
			l := newLink(t.Context(), Config{Log: limit.New(slog.New(slog.DiscardHandler))})
			l.connected.Add(1)
			passed := time.Duration(0)
			for attempt := 0; passed < away; attempt++ {
				passed += l.backoff(attempt)
				l.failed(syscall.ECONNREFUSED)
			}
			back = append(back, passed-away)
		}
		slices.Sort(back)
		if half, all := back[many/2], back[many-1]; half > 3*time.Second || all > 10*time.Second {
			t.Errorf("away for %v: half of them are back after %v, all after %v", away, half, all)
		}
		closest := time.Hour
		for i, first := range back[:many/2] {
			closest = min(closest, back[i+many/2]-first)
		}
		if closest < 450*time.Millisecond {
			t.Errorf("away for %v: half of them come within %v of one another", away, closest)
		}
	}
}

// TestNobodyAfterABroker loses a broker that was there, and finds nobody at the next address: what it says of that is not
// what it would say of something that takes the connection.
func TestNobodyAfterABroker(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	log := &written{}
	l := newLink(t.Context(), Config{Log: limit.New(slog.New(slog.NewTextHandler(log, nil)))})
	there := &url.URL{Scheme: "mqtt", Host: listener.Addr().String()}
	connection, err := l.dialBroker(t.Context(), autopaho.ClientConfig{}, there)
	if err != nil {
		t.Fatal(err)
	}
	_ = connection.Close()
	late, cancel := context.WithDeadline(t.Context(), time.Now())
	defer cancel()
	if _, err = l.dialBroker(late, autopaho.ClientConfig{}, there); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("an attempt without time: %v", err)
	}
	l.failed(err)
	if text := log.String(); !strings.Contains(text, "cannot reach the broker") || strings.Contains(text, "something takes the connection") {
		t.Errorf("the log says %s", text)
	}
}

// TestEachBrokerIsNamed fails at each of a list: the log says of each what is wrong with it, and no more often than before.
func TestEachBrokerIsNamed(t *testing.T) {
	log := &written{}
	l := newLink(t.Context(), Config{Log: limit.New(slog.New(slog.NewTextHandler(log, nil)))})
	refused := &autopaho.ConnackError{ReasonCode: packets.ConnackNotAuthorized, Err: errors.New("not authorised")}
	for range 3 {
		for host, err := range map[string]error{"a:1883": syscall.ECONNREFUSED, "b:1883": syscall.ECONNREFUSED, "c:1883": refused, "d:1883": refused} {
			l.trying.Store(&url.URL{Scheme: "mqtt", Host: host})
			l.failed(err)
		}
	}
	for _, host := range []string{"a:1883", "b:1883", "c:1883", "d:1883"} {
		if n := strings.Count(log.String(), "broker=mqtt://"+host); n != 1 {
			t.Errorf("%s is named %d times in\n%s", host, n, log.String())
		}
	}
}

// TestTurnedAway asks a broker that is there and does not let us in less and less often.
func TestTurnedAway(t *testing.T) {
	for name, err := range map[string]error{
		"refused": &autopaho.ConnackError{ReasonCode: packets.ConnackServerBusy, Err: errors.New("busy")},
		"TLS":     fmt.Errorf("%w: %w", errHandshake, context.DeadlineExceeded),
		"mute":    context.DeadlineExceeded,
	} {
		l := newLink(t.Context(), Config{Log: limit.New(slog.New(slog.DiscardHandler))})
		longest := time.Duration(0)
		for attempt := range 1000 {
			if name == "mute" {
				l.open.Store(true)
			}
			l.failed(err)
			longest = max(longest, l.backoff(attempt))
		}
		if longest < 25*time.Second || longest > 30*time.Second {
			t.Errorf("%s: the longest of many pauses is %v, want 25 s to 30 s", name, longest)
		}
	}
}
