package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
	"dlt645-mqtt/simulator"
)

// runSimulate serves simulated meters on a TCP port or a pseudo terminal until ctx ends.
func runSimulate(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("simulate", "", `Serves a bus of simulated meters, 000000000001 and so on, until Ctrl-C. They speak DL/T 645-2007,
-1997, DL/T 698.45, CJ/T 188 or Modbus, keep what is written to them, obey commands and go wrong
on demand. Faults, each with a probability from 0 to 1:

  noreply      request or answer is lost       foreign      sound answer of another meter
  late         answer 0.5 to 3 s late          otherdi      sound answer with another item
  flip         one byte of the answer wrong    pieces       gaps of up to 0.5 s in the answer
  checksum     checksum wrong                  slow         up to 0.5 s until the answer
  truncated    the answer breaks off           off          the meter is off for 1 to 60 s
  junk         noise around the answer         collision    somebody talks into the answer
  fe           0 to 8 wake-up bytes            twice        the answer comes again, 10 to 300 ms behind
  echo, echopart, echogarbled                  the master hears itself: all, a part, with errors
  reset        connections break off           halfopen     connections stall for 5 to 60 s
  gone         the port is away for 1 to 30 s and comes back (a terminal under another name)
  held         what comes is held back for 1 to 15 s, and let go into the next request after that`, stderr)
	listen := flags.String("listen", "", "serve the bus on this TCP `address`, such as :4001 (127.0.0.1:4001 if there is no -pty either)")
	pty := flags.String("pty", "", "serve the bus on a pseudo terminal that is linked to this `path`, such as /run/meter; - for no link")
	lineFlags(flags)
	if status, done := parseOptions(flags, arguments); done {
		return status
	}
	fail := func(status int, err error) int {
		complain(stderr, "simulate", err)
		return status
	}
	parameters := url.Values{}
	flags.Visit(func(f *flag.Flag) {
		if f.Name != "listen" && f.Name != "pty" {
			parameters.Set(f.Name, f.Value.String())
		}
	})
	line, err := simulator.Open(parameters)
	if err != nil {
		return fail(2, err)
	}
	if *listen == "" && *pty == "" {
		*listen = "127.0.0.1:4001"
	}

	servers := newServers(ctx)
	defer servers.cancel()
	var buses []string // as in DLT645_BUS_URL
	if *listen != "" {
		listener, err := net.Listen("tcp", *listen)
		if err != nil {
			return fail(1, fmt.Errorf("listen for a master: %w", err))
		}
		servers.start(func(ctx context.Context) error { return line.ServeTCP(ctx, listener) })
		buses = append(buses, "tcp://"+reachable(listener.Addr()))
	}
	if *pty != "" {
		terminal, err := simulator.OpenPTY(strings.TrimPrefix(*pty, "-"))
		if err != nil {
			return fail(1, servers.stop(err))
		}
		servers.start(func(ctx context.Context) error { return line.ServePTY(ctx, terminal) })
		buses = append(buses, "serial://"+terminal.Path())
	}
	describeLine(out, line, buses, parameters.Get("baud"))
	if err := servers.wait(); err != nil {
		return fail(1, err)
	}
	return 0
}

// lineFlags adds the options that say what the simulated line is like. Their values become its parameters.
func lineFlags(flags *flag.FlagSet) {
	flags.String("meters", "4", "how `many`; the second, fourth and so on have one phase, the others three; the third feeds a little back")
	flags.String("addresses", "", "`list` of addresses in place of -meters, as in 112233445566,1234@1997,5@188?type=20; behind ? stands a speed, or what a meter of 188 measures")
	flags.String("protocol", "2007", "what the meters speak, 2007, 1997, 698, 188, modbus or modbus/MODEL; a `list` such as 2007,698 for each in turn, with a speed as in 698?baud=9600")
	flags.String("baud", "2400", "`speed` of the bus, 11 bits a byte; 0: bytes take no time")
	flags.String("turnaround", "20ms", "`time` from the end of a request to the answer")
	flags.String("fe", "4", "how `many` wake-up bytes FEH before an answer")
	flags.String("longest", "200", "most `bytes` of data in an answer, 64 to 200; the rest comes in follow-up frames")
	flags.String("seed", "1", "`number` behind values and faults: the same gives the same")
	flags.String("passwords", "02000000,04000000", "`list` of level and six digits, for all meters")
	flags.String("lock", "0", "wrong passwords in a row, so `many`, lock a meter for a day; 0: never")
	flags.String("lacks", "", "`list` of identifiers that no meter has, as in 0400010C,0201FF00")
	flags.Bool("secured", false, "meters of DL/T 698.45 demand their rights: a random number for most reads, the security module for commands")
	flags.String("fragment", "0", "those send at most so many `bytes` of an answer in a frame, the rest in fragments; 0: all")
	flags.String("block", "0", "those send at most so many `bytes` of an answer, the rest in blocks that are asked for; 0: all")
	flags.Bool("scrambled", false, "those add 33H to their data")
	flags.Bool("one_row", false, "those give one row of a record, whatever was asked")
	flags.Bool("counting", false, "the measured values tell the exchange in which they were read")
	flags.String("fault", "", "`list` of what goes wrong and how often, as in late=0.05,flip=0.01; all=0.01 for everything")
}

// describeLine prints which meters there are, and how they are read on each of the buses.
func describeLine(out io.Writer, line *simulator.Bus, buses []string, baud string) {
	for _, meter := range line.Devices() {
		sayf(out, "meter %s, %s\n", meter.Address(), spokenBy(meter.Protocol()))
	}
	for _, bus := range buses {
		if baud != "" && baud != "0" {
			bus += "?baud=" + baud
		}
		first := line.Devices()[0]
		sayf(out, "read it: dlt645-mqtt read -bus '%s'%s %s %s\n", bus, protocolOption(first.Protocol()), first.Address(), firstItem(first.Protocol()))
	}
}

// servers run until one of them ends, or the context does.
type servers struct {
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan error
	running int
}

func newServers(ctx context.Context) *servers {
	s := &servers{ended: make(chan error)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// start runs a server on a goroutine of its own.
func (s *servers) start(run func(ctx context.Context) error) {
	s.running++
	go func() { s.ended <- run(s.ctx) }()
}

// wait returns when all have ended, with the first error.
func (s *servers) wait() error {
	select {
	case <-s.ctx.Done():
		return s.stop(nil)
	case err := <-s.ended:
		s.running--
		return s.stop(err)
	}
}

// stop ends all servers, and returns the first error: the one given, or theirs.
func (s *servers) stop(err error) error {
	s.cancel()
	for ; s.running > 0; s.running-- {
		if ended := <-s.ended; err == nil {
			err = ended
		}
	}
	return err
}

// protocolOption is what the command read needs to know of the protocol.
func protocolOption(name string) string {
	if name == dlt645.V2007.String() {
		return ""
	}
	return " -protocol " + name
}

// spokenBy says in words what a protocol is.
func spokenBy(name string) string {
	switch family, model, _ := strings.Cut(name, "/"); family {
	case dlt698.Name:
		return "DL/T 698.45"
	case cjt188.Name:
		return "CJ/T 188"
	case modbus.Name:
		return "Modbus, " + model
	}
	return "DL/T 645-" + name
}

// firstItem is an item that every meter of a protocol has.
func firstItem(name string) string {
	if name == cjt188.Name {
		return "volume"
	}
	return "voltage_a"
}

// reachable returns a listener's address as a master on this host dials it.
func reachable(address net.Addr) string {
	host, port, err := net.SplitHostPort(address.String())
	if err != nil {
		return address.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
