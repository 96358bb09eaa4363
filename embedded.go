package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"dlt645-mqtt/brokerlistener"
)

// The library's examples of packets are for its own tests, and take 370 kB as long as something refers to them.
func init() { packets.TPacketData = nil }

// An embeddedBroker is an MQTT broker inside the binary, for the demo and for trying out. It
// lets everyone in, and so listens on this machine only.
type embeddedBroker struct {
	server  *mqtt.Server
	address string // where it really listens
}

// portsToTry is how many ports beyond the wished one are tried.
const portsToTry = 100

// startBroker listens on address, whose port is from 1 to 65535, or on the next free port, and
// says so.
func startBroker(address string, log *slog.Logger) (*embeddedBroker, error) {
	listener, err := listenNear(address, portsToTry)
	if err != nil {
		return nil, err
	}
	_, wished, _ := net.SplitHostPort(address)
	if _, port, _ := net.SplitHostPort(listener.Addr().String()); port != wished {
		log.Warn("the port is taken; the embedded broker listens on the next free one", "wished", wished, "port", port)
	}
	return serveBroker(listener)
}

// serveBroker starts a broker on a listener.
func serveBroker(listener net.Listener) (*embeddedBroker, error) {
	b := &embeddedBroker{address: listener.Addr().String()}
	capabilities := mqtt.NewDefaultServerCapabilities()
	// An acknowledgement with the properties of what it acknowledges is malformed (MQTT 5, 3.4.2.2), and
	// some clients end the connection over it.
	capabilities.Compatibilities.NoInheritedPropertiesOnAck = true
	b.server = mqtt.New(&mqtt.Options{Capabilities: capabilities, InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	if err := errors.Join(
		b.server.AddHook(new(everybody), nil),
		b.server.AddListener(brokerlistener.New(b.server, listener)),
		b.server.Serve(),
	); err != nil {
		return nil, err
	}
	return b, nil
}

// everybody lets all clients in, and read and write all topics. The library's own hook for that brings a parser of
// YAML into the program.
type everybody struct{ mqtt.HookBase }

func (*everybody) ID() string { return "everybody" }

// Provides says of which events the hook is told.
func (*everybody) Provides(event byte) bool {
	return event == mqtt.OnConnectAuthenticate || event == mqtt.OnACLCheck
}

func (*everybody) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

func (*everybody) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// listenNear listens on address or, if its port is taken, on the next free one of so many.
func listenNear(address string, tries int) (net.Listener, error) {
	host, wished, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	first, err := strconv.Atoi(wished)
	if err != nil {
		return nil, fmt.Errorf("port %s: %w", wished, err)
	}
	var listener net.Listener
	for port := first; port <= min(first+tries, 65535); port++ {
		listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return listener, err
}

// subscribe calls receive for every message on topic, the retained one first.
func (b *embeddedBroker) subscribe(topic string, id int, receive func(payload []byte)) error {
	return b.server.Subscribe(topic, id, func(_ *mqtt.Client, _ packets.Subscription, p packets.Packet) { receive(p.Payload) })
}

func (b *embeddedBroker) close() { _ = b.server.Close() }
