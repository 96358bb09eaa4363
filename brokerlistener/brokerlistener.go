// Package brokerlistener has clients of the embedded broker, and of the brokers of tests, come and go in order.
//
//	brokerlistener.go  ends the connections of a broker that is closed
//	succession.go      lets a client in once the one before of the same id is gone
package brokerlistener

import (
	"net"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// New returns a listener for a broker that ends its connections when it is closed. The library's own way to find
// them locks their list twice, and waits for ever if one is taken out of it meanwhile. The broker has one such listener.
func New(server *mqtt.Server, l net.Listener) listeners.Listener {
	_ = server.AddHook(&succession{server: server, ends: map[*mqtt.Client]*end{}}, nil) // its Init cannot fail
	return listener{listeners.NewNet("tcp", l), server}
}

type listener struct {
	*listeners.Net
	server *mqtt.Server
}

// Close closes the listener and its connections.
func (l listener) Close(listeners.CloseFn) {
	l.Net.Close(func(id string) {
		for _, client := range l.server.Clients.GetAll() {
			if client.Net.Listener == id && !client.Closed() {
				_ = l.server.DisconnectClient(client, packets.ErrServerShuttingDown)
			}
		}
	})
}
