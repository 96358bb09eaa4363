// Package bridge stands between an MQTT 5 broker and a bus of meters. It parses request
// messages, has a protocol plan them, submits the steps to the bus, and publishes one reply
// for each request. It polls the points of a table, too, and publishes what it knows of the
// meters. Package main makes a [Bridge] and runs it; [Bridge.Ask] and [Bridge.Scan] do without
// a broker.
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
//	admission.go     who is let in until the bridge stops
//	body.go          payloads: JSON objects and the plain-text forms
//	strict.go        what package json lets pass and a request must not be
//	meters.go        which meter a topic means
//	conversation.go  how a plan is carried out
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
//	guard.go         passwords that a meter has refused
//	clocks.go        how far the meters' clocks are off
//	audit.go         the record of each command
//
// The meters that are looked after:
//
//	table.go         the point table in force
//	budget.go        what a table takes of the wire
//	poll.go          which points are read when
//	errands.go       what is asked of meters though nobody waits for it
//	lack.go          what a meter does not have, so that it is not asked for in vain
//	watch.go         what is kept of a meter, and what becomes of a reading
//	state.go         the last good values
//	readings.go      each reading as it comes, for databases
//	availability.go  which meters can be reached
//	fresh.go         which of their values are worth showing
//	events.go        limits and implausible values
//	inspect.go       what is read beside the points: clock, power failures, ratings
//	announcer.go     what Home Assistant is told
//	published.go     the list of what the broker keeps of us
//
// The bridge itself:
//
//	bridge.go        the Bridge and its life
//	info.go          what it tells about itself
//	description.go   what it tells of the meters and their points
//	frames.go        what is seen on the wire, for those who watch
//	health.go        health check and HTTP
//	metrics.go       what /metrics shows
//	moment.go        times that goroutines share
package bridge
