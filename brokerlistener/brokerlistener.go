// Package brokerlistener has connections of the embedded broker end when it is closed.
package brokerlistener

import (
	"net"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// New returns a listener for a broker that ends its connections when it is closed. The library's own way to find
// them locks their list twice, and waits for ever if one is taken out of it meanwhile.
func New(server *mqtt.Server, l net.Listener) listeners.Listener {
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
