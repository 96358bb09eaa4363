// Package bridge stands between an MQTT 5 broker and a bus of meters. It parses request
// messages, has a protocol plan them, submits the steps to the bus, and publishes one reply
// for each request. Files:
//
//	topics.go   the topic tree, verbs and error codes: the twin of topics.md
//	bridge.go   the Bridge, its life, and how a message becomes a request
//	body.go     payloads: JSON objects and the plain-text forms
//	meters.go   which meter a topic means
//	read.go     the verb read          raw.go   the verb raw
//	reply.go    replies as JSON        conversation.go  how a plan is carried out
//	cache.go    values that are still fresh enough
//	repeats.go  commands that came before
//	frames.go   what is seen on the wire, for those who watch
//	outbox.go   what waits to be published, also while the broker is away
//	table.go    the point table in force         configure.go  the verb config, and what the broker keeps
//	poll.go     which points are read when       budget.go     what a table takes of the wire
//	watch.go    what is kept of a meter, and what becomes of a reading
//	state.go    availability.go    events.go     what is published about a meter
//	inspect.go  what is read beside the points: clock, power failures, ratings
//	mqtt.go     the connection         info.go  what the bridge tells about itself
//	health.go   health check and HTTP  metrics.go  what /metrics shows
package bridge
