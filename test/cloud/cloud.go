// Package cloud is a cloud for tests: an MQTT broker that is as strict as the platforms say that
// they are. It takes version 3.1.1 and clean sessions only, recomputes the password, answers as the
// platform does, and can be told to refuse, to stay silent and to throw its devices out. What it
// believes of the platforms is held against their makers' own device SDKs, in sdks.
package cloud

import (
	"bytes"
	"crypto/hmac"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
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
	Kick     func(Message) bool      // whether the gateway is thrown out at a message

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
	refused  []string
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
	c := &Cloud{Address: listener.Addr().String(), config: config, arrived: make(chan struct{}, 1)}
	c.server = mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := c.server.AddHook(&hook{cloud: c}, nil); err != nil {
		return nil, err
	}
	if err := c.server.AddListener(listeners.NewNet("cloud", listener)); err != nil {
		return nil, err
	}
	return c, c.server.Serve()
}

// Close ends all connections.
func (c *Cloud) Close() { c.once.Do(func() { _ = c.server.Close() }) }

// Call publishes a message to the gateway.
func (c *Cloud) Call(topic, payload string) error {
	return c.server.Publish(topic, []byte(payload), false, 1)
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
	return bytes.Contains([]byte{mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublished, mqtt.OnSessionEstablished}, []byte{b})
}

func (h *hook) OnConnectAuthenticate(cl *mqtt.Client, pk packets.Packet) bool {
	c := h.cloud
	c.mu.Lock()
	defer c.mu.Unlock()
	reason := ""
	switch {
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
	}
	if reason != "" {
		c.refused = append(c.refused, reason)
		return false
	}
	c.connects++
	return true
}

func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	if h.cloud.config.Subscribed == nil {
		return
	}
	for _, topic := range h.cloud.config.Subscribed(cl.ID) {
		h.cloud.server.Topics.Subscribe(cl.ID, packets.Subscription{Filter: topic, Qos: 1})
	}
}

func (h *hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func (h *hook) OnPublished(cl *mqtt.Client, pk packets.Packet) {
	if cl.Net.Inline {
		return
	}
	c := h.cloud
	c.mu.Lock()
	m := Message{pk.TopicName, bytes.Clone(pk.Payload), len(c.messages) + 1}
	c.messages = append(c.messages, m)
	var answers []Message
	if c.config.Answer != nil {
		answers = c.config.Answer(m)
	}
	kick := c.config.Kick != nil && c.config.Kick(m)
	c.mu.Unlock()
	select {
	case c.arrived <- struct{}{}:
	default:
	}
	if kick {
		cl.Stop(packets.ErrProtocolViolation)
		return
	}
	for _, a := range answers {
		_ = c.server.Publish(a.Topic, a.Payload, false, 1)
	}
}
