// Package mqtt is the link to an MQTT 5 broker: a connection that comes back by itself, and an outbox for
// what is to be published over whatever connection there is. It knows nothing of requests and meters,
// and it is the only user of paho.golang.
//
//	link.go          the connection, over all its losses and returns
//	stream.go        the way to the broker, and how long a packet may be
//	stream_linux.go  the same, what the system must be told
//	stream_other.go  the same, where it is told nothing
//	kept.go          a message that the broker has kept, asked for once
//	pipe.go          a pair of topics as the way to one device, with a connection of its own
//	redelivery.go    messages that the broker sends twice
//	message.go       messages as they come, and the kinds of those that go
//	outbox.go        what waits to be published, also while the broker is away
//	lane.go          where it waits
package mqtt
