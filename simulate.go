package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"

	"dlt645-mqtt/simulator"
)

// runSimulate serves simulated meters on a TCP port or a pseudo terminal until ctx ends.
func runSimulate(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("simulate", "", "Serves a bus of simulated DL/T 645-2007 meters, 000000000001 and so on, until Ctrl-C.", stderr)
	listen := flags.String("listen", "", "serve the bus on this TCP `address`, such as :4001 (127.0.0.1:4001 if there is no -pty either)")
	pty := flags.String("pty", "", "serve the bus on a pseudo terminal that is linked to this `path`, such as /run/meter; - for no link")
	flags.String("meters", "4", "how `many`; those with an even address have one phase, the others three")
	flags.String("baud", "2400", "`speed` of the bus, 11 bits a byte; 0: bytes take no time")
	flags.String("turnaround", "20ms", "`time` from the end of a request to the answer")
	flags.String("fe", "4", "how `many` wake-up bytes FEH before an answer")
	flags.String("seed", "1", "`number` behind values and faults: the same gives the same")
	flags.String("passwords", "02000000,04000000", "`list` of level and six digits, for all meters")
	flags.String("fault", "", "`list` of what goes wrong and how often, as in late=0.05,flip=0.01; all=0.01 for everything")
	if status, done := parseFlags(flags, arguments); done {
		return status
	}
	fail := func(status int, err error) int {
		complain(stderr, "simulate", err)
		return status
	}
	if flags.NArg() > 0 {
		return fail(2, fmt.Errorf("%q is not understood: options begin with a hyphen", flags.Arg(0)))
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

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var buses []string // as in DLT645_BUS_URL
	ended := make(chan error)
	servers := 0
	serve := func(run func() error) {
		servers++
		go func() { ended <- run() }()
	}
	// wait stops all servers and returns the first error that is given or that they return.
	wait := func(err error) error {
		stop()
		for ; servers > 0; servers-- {
			if ended := <-ended; err == nil {
				err = ended
			}
		}
		return err
	}

	if *listen != "" {
		listener, err := net.Listen("tcp", *listen)
		if err != nil {
			return fail(1, fmt.Errorf("listen for a master: %w", err))
		}
		serve(func() error { return line.ServeTCP(ctx, listener) })
		buses = append(buses, "tcp://"+reachable(listener.Addr()))
	}
	if *pty != "" {
		terminal, err := simulator.OpenPTY(strings.TrimPrefix(*pty, "-"))
		if err != nil {
			return fail(1, wait(err))
		}
		serve(func() error { return line.Serve(ctx, terminal) })
		buses = append(buses, "serial://"+terminal.Path())
	}

	for _, meter := range line.Meters() {
		fmt.Fprintln(out, "meter", meter.Address())
	}
	for _, bus := range buses {
		if baud := parameters.Get("baud"); baud != "" && baud != "0" {
			bus += "?baud=" + baud
		}
		fmt.Fprintf(out, "read it: dlt645-mqtt read -bus '%s' %s voltage_a\n", bus, line.Meters()[0].Address())
	}

	select {
	case <-ctx.Done():
		err = wait(nil)
	case err = <-ended:
		servers--
		err = wait(err)
	}
	if err != nil {
		return fail(1, err)
	}
	return 0
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
