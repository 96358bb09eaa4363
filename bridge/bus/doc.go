// Package bus puts the steps of requests on one half-duplex wire, one at a time. Package bridge
// submits them and makes replies of the reports; main wires both and calls Run.
//
// [Bus] is the arbiter: [Bus.Submit] queues a [Job] and never waits, [Bus.Run] is the one
// goroutine that owns the port. Before every frame it chooses anew whose turn it is:
//
//	class     relay, command, read, poll, scan; while reads flood, the background (polls and
//	          scan) still gets one step in twenty, and so does the scan beside the polls
//	meters    in turn, so that a long list of one meter delays no other
//	jobs      first come first served within a meter, one step at a time
//
// Between the frames of a long conversation a relay step of another meter may go; steps of
// one meter never interleave. Equal reads that wait share one exchange.
//
// The line below it writes a request and gives whatever arrives to the step's split function
// until that cuts the answer out or the line goes quiet. There is no flush, no fixed pause and
// no knowledge of any protocol here: bytes, a [bufio.SplitFunc] and durations are all.
//
// The bus learns how long each meter takes to answer, and does not wait much longer; reads
// are tried twice, commands never. A meter that has left three tries in a row unanswered is
// offline: reads of it are answered at once, and it is probed now and then until it answers.
//
// A [Port] is a serial line, a TCP connection to a serial server, a connection that a DTU
// made to us, two topics of a broker that a DTU uses, or whatever the caller brings. [ParseURL] makes a [Config] out of a URL.
//
// Whose turn it is:
//
//	bus.go           the Bus and the goroutine that owns the line
//	job.go           what is submitted, and how it ended
//	queue.go         what waits, by class, meter and job
//	cost.go          how long steps take on the wire
//	usage.go         how much of the wire is in use
//	twoclocks.go     what is over by the monotonic clock or by the wall clock
//
// One exchange:
//
//	conversation.go  the tries of a step, and which answer is the right one
//	line.go          a request is written, and answers are cut out of what is heard
//	needs.go         what a protocol needs of the wire
//	patience.go      how long an answer is waited for
//	preamble.go      how many wake-up bytes go before a request
//	tune.go          the speed and parity of the line, changed between exchanges
//
// Answers that are not what they seem, and meters that give none:
//
//	copies.go        answers that come twice
//	mirror.go        answers that look like our own request
//	lateanswers.go   answers that come too late, or were held back
//	meter.go         what is known of each meter
//	offline.go       which meters do not answer, and when they are tried again
//
// Ports:
//
//	port.go          what a port is
//	url.go           the URL of a bus
//	connect.go       a port is opened, and opened again
//	serial.go        a serial line
//	device_linux.go  the serial lines that there are
//	device_other.go  the same elsewhere
//	tcp.go           a serial server
//	poll_unix.go     what has arrived already
//	poll_other.go    the same elsewhere
//	unacked_linux.go a server that is gone without a word
//	unacked_other.go the same elsewhere
//	telnet.go        what a telnet server says between the bytes
//	rfc2217.go       a serial server whose speed is set from here
//	udp.go           a serial server by datagrams
//	listen.go        a DTU that dials in
//	topics.go        a DTU in two topics of a broker
//	payload.go       how such a DTU carries bytes
package bus
