// Package cloud is a cloud for tests: an MQTT broker that is as strict as the platforms say that
// they are. It takes version 3.1.1 and clean sessions only, recomputes the password, holds devices to
// limits of size and rate, answers as the platform does, and can be told to refuse, to stay silent, to
// lose messages and to throw its devices out. What it believes of the platforms is held against their
// makers' own device SDKs, in sdks.
//
//	cloud.go      the broker, and what it does to its devices
//	platforms.go  passwords and answers of the platforms
package cloud

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"dlt645-mqtt/brokerlistener"
)

// A Message is what a gateway has published.
type Message struct {
	Topic   string
	Payload []byte
	Number  int // from 1, in order of arrival
}

// A Config is how the cloud behaves. All functions are optional; they run one at a time.
type Config struct {
	Address  string // where to listen; 127.0.0.1:0 unless set
	Password func(clientID, username string) string
	Answer   func(Message) []Message // what the platform publishes when a message comes
	Kick     func(Message) bool      // whether the gateway is thrown out at a message, which is not acknowledged
	Lose     func(Message) bool      // whether a message is lost: neither acknowledged nor answered

	// Verify says why a login is refused, where the password cannot be told without the one that came.
	Verify func(clientID, username, password string) (reason string)

	// Limits, as the platforms have them: who exceeds one is thrown out, and it is noted among what was refused.
	Largest      int           // bytes of a payload
	PerSecond    int           // messages of a device
	ConnectEvery time.Duration // the shortest time between two attempts to connect
	Topics       int           // topics in one SUBSCRIBE
	Settles      time.Duration // the shortest time between CONNACK and SUBSCRIBE

	// What makers' own clients do, and the uplink does not.
	Levels   []byte // MQTT versions by their number in CONNECT; 3.1.1 (4) unless set
	Sessions bool   // a session may be one that lasts

	// Subscribed are the topics to which the platform subscribes a device by itself, by its client id.
	Subscribed func(clientID string) []string
}

// A Cloud is one that runs.
type Cloud struct {
	Address string

	config   Config
	server   *mqtt.Server
	once     sync.Once
	mu       sync.Mutex
	messages []Message
	arrived  chan struct{}
	connects int
	attempts []time.Time // to connect, let in or not
	refused  []string
	recent   []time.Time // messages of the last second
	topics   []string    // that were subscribed to

	connected map[string]time.Time // when a gateway was let in, by its client id
}

// Start starts a cloud.
func Start(config Config) (*Cloud, error) {
	if config.Address == "" {
		config.Address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", config.Address)
	if err != nil {
		return nil, err
	}
	c := &Cloud{Address: listener.Addr().String(), config: config, arrived: make(chan struct{}, 1), connected: map[string]time.Time{}}
	c.server = mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := c.server.AddHook(&hook{cloud: c}, nil); err != nil {
		return nil, err
	}
	if err := c.server.AddListener(brokerlistener.New(c.server, listener)); err != nil {
		return nil, err
	}
	return c, c.server.Serve()
}

// Close ends all connections.
func (c *Cloud) Close() { c.once.Do(func() { _ = c.server.Close() }) }

// Call publishes a message to the gateway.
func (c *Cloud) Call(topic, payload string) error {
	return c.server.Publish(inside(topic), []byte(payload), false, 1)
}

// CallRetained publishes a message that the platform keeps and gives to whoever subscribes.
func (c *Cloud) CallRetained(topic, payload string) error {
	return c.server.Publish(inside(topic), []byte(payload), true, 1)
}

// Subscribed returns the topics that gateways have subscribed to, in their order.
func (c *Cloud) Subscribed() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.topics)
}

// Attempts returns when gateways tried to connect, let in or not.
func (c *Cloud) Attempts() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.attempts)
}

// Messages returns all that has come, and a channel that gets something when more comes.
func (c *Cloud) Messages() ([]Message, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.messages), c.arrived
}

// Connects returns how often a gateway was let in, and why others were not.
func (c *Cloud) Connects() (int, []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.connects, append([]string(nil), c.refused...)
}

type hook struct {
	mqtt.HookBase
	cloud *Cloud
}

func (h *hook) ID() string { return "cloud" }

func (h *hook) Provides(b byte) bool {
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnPublished, mqtt.OnSessionEstablished, mqtt.OnSubscribe, mqtt.OnPacketRead, mqtt.OnPacketEncode}, []byte{b})
}

func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	c := h.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	early := len(c.attempts) > 0 && now.Sub(c.attempts[len(c.attempts)-1]) < c.config.ConnectEvery
	c.attempts = append(c.attempts, now)
	reason := ""
	switch {
	case early:
		reason = "connects too often"
	case !c.config.takes(cl.Properties.ProtocolVersion):
		reason = fmt.Sprintf("protocol version %d", cl.Properties.ProtocolVersion)
	case !pk.Connect.Clean && !c.config.Sessions:
		reason = "not a clean session"
	case pk.Connect.Keepalive < 30 || pk.Connect.Keepalive > 1200:
		reason = fmt.Sprintf("keep alive of %d s", pk.Connect.Keepalive)
	case pk.Connect.WillFlag:
		reason = "a will"
	case c.config.Password != nil && !hmac.Equal([]byte(c.config.Password(cl.ID, string(pk.Connect.Username))), pk.Connect.Password):
		reason = "wrong password"
	case c.config.Verify != nil:
		reason = c.config.Verify(cl.ID, string(pk.Connect.Username), string(pk.Connect.Password))
	}
	if reason != "" {
		c.refused = append(c.refused, reason)
		return false
	}
	c.connects++
	return true
}

func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	h.cloud.mu.Lock()
	h.cloud.connected[cl.ID] = time.Now()
	h.cloud.mu.Unlock()
	if h.cloud.config.Subscribed == nil {
		return
	}
	for _, topic := range h.cloud.config.Subscribed(cl.ID) {
		h.cloud.server.Topics.Subscribe(cl.ID, packets.Subscription{Filter: inside(topic), Qos: 1})
	}
}

func (h *hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// The broker keeps $sys, as OneNET begins its topics, for itself, so that inside they begin otherwise.
func inside(topic string) string {
	if rest, ok := strings.CutPrefix(topic, "$sys/"); ok {
		return "inside-sys/" + rest
	}
	return topic
}

func outside(topic string) string {
	if rest, ok := strings.CutPrefix(topic, "inside-sys/"); ok {
		return "$sys/" + rest
	}
	return topic
}

// OnPacketRead has topics begin as they do inside.
func (h *hook) OnPacketRead(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	pk.TopicName = inside(pk.TopicName)
	for i := range pk.Filters {
		pk.Filters[i].Filter = inside(pk.Filters[i].Filter)
	}
	return pk, nil
}

// OnPacketEncode has topics begin as they do outside.
func (h *hook) OnPacketEncode(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	pk.TopicName = outside(pk.TopicName)
	return pk
}

// OnSubscribe notes the topics, and throws out who asks for too many at once.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c := h.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, filter := range pk.Filters {
		c.topics = append(c.topics, outside(filter.Filter))
	}
	if c.config.Topics > 0 && len(pk.Filters) > c.config.Topics {
		c.refused = append(c.refused, fmt.Sprintf("%d topics in one SUBSCRIBE", len(pk.Filters)))
		cl.Stop(packets.ErrProtocolViolation)
	}
	if since := time.Since(c.connected[cl.ID]); since < c.config.Settles {
		c.refused = append(c.refused, fmt.Sprintf("a SUBSCRIBE %v after the CONNACK", since))
		cl.Stop(packets.ErrProtocolViolation)
	}
	return pk
}

// OnPublish takes a message in, before it is acknowledged.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	c := h.cloud
	c.mu.Lock()
	m := Message{outside(pk.TopicName), bytes.Clone(pk.Payload), len(c.messages) + 1}
	c.messages = append(c.messages, m)
	reason := c.exceeds(m, time.Now())
	if reason != "" {
		c.refused = append(c.refused, reason)
	}
	kick := reason != "" || c.config.Kick != nil && c.config.Kick(m)
	lost := kick || c.config.Lose != nil && c.config.Lose(m)
	c.mu.Unlock()
	select {
	case c.arrived <- struct{}{}:
	default:
	}
	if kick {
		cl.Stop(packets.ErrProtocolViolation)
	}
	if lost {
		return pk, packets.ErrRejectPacket
	}
	return pk, nil
}

// exceeds says which limit a message exceeds; empty if none. The caller holds the lock.
func (c *Cloud) exceeds(m Message, now time.Time) string {
	if c.config.Largest > 0 && len(m.Payload) > c.config.Largest {
		return fmt.Sprintf("a message of %d bytes", len(m.Payload))
	}
	if c.config.PerSecond == 0 {
		return ""
	}
	c.recent = append(slices.DeleteFunc(c.recent, func(t time.Time) bool { return now.Sub(t) > time.Second }), now)
	if len(c.recent) > c.config.PerSecond {
		return fmt.Sprintf("%d messages in a second", len(c.recent))
	}
	return ""
}

// OnPublished answers a message that has been acknowledged.
func (h *hook) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	c := h.cloud
	if cl.Net.Inline || c.config.Answer == nil {
		return
	}
	c.mu.Lock()
	answers := c.config.Answer(Message{Topic: outside(pk.TopicName), Payload: bytes.Clone(pk.Payload)})
	c.mu.Unlock()
	for _, a := range answers {
		_ = c.server.Publish(inside(a.Topic), a.Payload, false, 1)
	}
}
