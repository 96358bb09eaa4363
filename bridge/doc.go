// Package bridge stands between an MQTT 5 broker and a bus of meters. It parses request
// messages, has a protocol plan them, submits the steps to the bus, and publishes one reply
// for each request. Beside it stand packages of its own: bus is the arbiter and the ports, mqtt the link to the broker; meters
// looks after the meters, which it polls through the bridge, by the table of points, and tells Home Assistant of them in
// the words of homeassistant; search finds meters; limit bounds log lines. Package main makes a [Bridge] and runs it;
// [Bridge.Ask] and [Bridge.Scan] do without a broker.
//
// It never knows which protocol the meters speak, never touches the port, and keeps nothing on
// disk. What handles messages never waits: it queues, and goroutines see the requests through.
// It never sends a command that nobody has asked for, nor one a second time.
//
// What a message goes through:
//
//	topics.go        the topic tree, verbs and error codes: the twin of topics.md
//	link.go          what comes from the broker, and what is asked of it on each connection
//	request.go       how a message becomes a request
//	stopping.go      nobody is let in once the bridge stops
//	body.go          payloads: JSON objects and the plain-text forms
//	plan.go          how a plan is carried out
//	background.go    the same, for what is asked of meters though nobody waits for it
//	cache.go         values that are still fresh enough
//	reply.go         replies, and how they go out
//	problem.go       errors as clients see them
//
// The verbs:
//
//	read.go          read
//	history.go       read, of what a meter has stored
//	raw.go           raw
//	command.go       write, relay, maintenance and broadcast
//	scan.go          scan
//	configure.go     config, and what the broker keeps of the point table
//
// What commands are guarded by:
//
//	repeats.go       commands that came before
//	passwords.go     passwords that a meter has refused
//	clocks.go        how far the meters' clocks are off
//	audit.go         the record of each command
//	words.go         what people read, in their language
//	failures.go      the event of a command that has failed
//
// The bridge itself:
//
//	bridge.go        the Bridge and its life
//	info.go          what it tells about itself
//	frames.go        what is seen on the wire, for those who watch
//	health.go        health check and HTTP
//	metrics.go       what /metrics shows
//	moment.go        times that goroutines share
package bridge
