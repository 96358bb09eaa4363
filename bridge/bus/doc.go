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
package bus
