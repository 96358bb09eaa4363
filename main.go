// Command dlt645-mqtt is a bridge between an MQTT 5 broker and one half-duplex bus of
// DL/T 645 electricity meters. README.md shows how to use it, topics.md what to publish.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/modbus"
)

// version is set by the linker.
var version = "development"

// supportURL is where Home Assistant sends people who look for help with what the bridge tells it. Who
// builds for others may stamp a page of his own on it, as the version.
var supportURL = "https://www.home-assistant.io/integrations/mqtt/"

// A command is one of the binary's commands. It returns the exit status.
type command struct {
	name, arguments, summary string
	run                      func(ctx context.Context, arguments []string, in io.Reader, out, errors io.Writer) int
}

func commands() []command {
	return []command{
		{"demo", "", "run the bridge with a broker and simulated meters inside", runDemo},
		{"read", "METER ITEM…", "read a meter on the bus, without a broker", runRead},
		{"scan", "", "find the meters on the bus, without a broker", runScan},
		{"decode", "[HEX…]", "explain frames, from the arguments or standard input", runDecode},
		{"items", "[WORD…]", "search the dictionary of data items", runItems},
		{"points", "check FILE | template", "explain a point table, or write one to begin with", runPoints},
		{"uplink", "[model | check | sign]", "carry values to a cloud, and prepare it", runUplink},
		{"fleet", "list | ask | push", "see many bridges at a broker, and ask them the same", runFleet},
		{"simulate", "", "serve simulated meters on a TCP port or a pty", runSimulate},
		{"healthcheck", "", "exit 0 if the bridge on this machine is healthy", runHealthcheck},
		{"completion", "bash | zsh | fish", "print what makes the shell complete commands, options, meters and items", runCompletion},
		{"version", "", "print the version", runVersion},
		{"help", "[COMMAND]", "print this help, or that of a command, as its -help does", runHelp},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) //nolint:gocritic // the process ends here
}

// run chooses the command; without one it is the bridge itself.
func run(ctx context.Context, arguments []string, in io.Reader, out, errors io.Writer) int {
	if len(arguments) == 0 {
		return runBridge(ctx, nil, in, out, errors)
	}
	name := arguments[0]
	if name == "-h" || name == "-help" || name == "--help" {
		name = "help"
	}
	if name == "-v" || name == "-version" || name == "--version" {
		name = "version"
	}
	c, ok := commandNamed(name, errors)
	if !ok {
		return 2
	}
	if err := supervised().readOptions(); err != nil {
		complain(errors, optionsUnusable, err)
		return statusConfiguration
	}
	return c.run(ctx, arguments[1:], in, out, errors)
}

// commandNamed returns a command; one that does not exist is a complaint.
func commandNamed(name string, stderr io.Writer) (command, bool) {
	all := commands()
	for _, c := range all {
		if c.name == name {
			return c, true
		}
	}
	names := func(yield func(string) bool) {
		for _, c := range all {
			if !yield(c.name) {
				return
			}
		}
	}
	sayf(stderr, "dlt645-mqtt: there is no command %q; see dlt645-mqtt help%s\n", name, protocol.Hint(name, names))
	return command{}, false
}

// runBridge is the binary's main job.
func runBridge(ctx context.Context, _ []string, _ io.Reader, _, stderr io.Writer) int {
	return serve(ctx, stderr, nil)
}

// statusConfiguration is the exit status for a configuration that cannot be used, EX_CONFIG of
// sysexits.h, by which a supervisor can tell a bad configuration from a crash: the Go runtime ends with 2.
const statusConfiguration = 78

// serve runs bridge, bus and, if the configuration wants one, the embedded broker, until ctx
// ends. ready is optional: it is called with the configuration once everything has been started.
func serve(ctx context.Context, stderr io.Writer, ready func(context.Context, config, *embeddedBroker)) int {
	s := supervised()
	if err := s.readOptions(); err != nil {
		complain(stderr, optionsUnusable, err)
		return statusConfiguration
	}
	switch err := s.useBroker(ctx, newLog(stderr, "text", slog.LevelInfo)); {
	case ctx.Err() != nil:
		return 0
	case err != nil:
		complain(stderr, "the bridge does not start", err)
		return 1
	}
	c, err := readConfig(true)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	c.supervisor = s
	return serveConfig(ctx, c, stderr, ready)
}

// serveConfig is serve with a configuration that was read before.
func serveConfig(ctx context.Context, c config, stderr io.Writer, ready func(context.Context, config, *embeddedBroker)) int {
	log := newLog(stderr, c.logFormat, c.logLevel)
	running, stopped := context.WithCancel(ctx)
	defer stopped()
	spareMemory(running, log)
	var broker *embeddedBroker
	if c.embedded != "" {
		var err error
		if broker, err = startBroker(c.embedded, log); err != nil {
			complain(stderr, "the embedded broker does not start", err)
			return 1
		}
		defer broker.close()
		c.broker.URLs[0].Host = broker.address
	}
	if err := c.openHTTP(log); err != nil {
		complain(stderr, "the bridge does not start", err)
		return 1
	}
	if c.listener != nil {
		defer c.listener.Close()
	}
	log.Info("dlt645-mqtt", "version", version, "broker", c.broker.String(), "bus", c.bus.URL, "root", c.root, "meters", len(c.meters))

	// Simulated meters are there for us alone.
	c.bus.Successor = !strings.HasPrefix(c.bus.URL, "sim:")
	b, line := newBridge(c, log)
	if !pointsFit(b, c, log, stderr) {
		return statusConfiguration
	}
	busContext, stopBus := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBus()
	ended := make(chan error, 1)
	go func() { ended <- line.Run(busContext) }()
	var telling sync.WaitGroup
	telling.Go(func() { notifySystemd(ctx, b, log) })
	if ready != nil {
		go ready(ctx, c, broker)
	}
	if err := b.Run(ctx, stopBus); err != nil {
		complain(stderr, "the bridge has stopped", err)
		return 1
	}
	if err := <-ended; err != nil {
		complain(stderr, "the bus has stopped", err)
		return 1
	}
	telling.Wait()
	log.Info("stopped")
	return 0
}

// pointsFit reports whether the point table can be polled on this bus, and says why if not. The basic points,
// which nobody has chosen, are polled less often where they do not fit.
func pointsFit(b *bridge.Bridge, c config, log *slog.Logger, stderr io.Writer) bool {
	budget, err := b.Budget(c.points)
	if err == nil && budget.Err() != nil && c.points.Text == points.BasicText {
		log.Warn("the basic points are polled less often than each minute, or name fewer in a table (DLT645_POINTS)", "why", budget.Err())
		return true
	}
	if err == nil {
		err = budget.Err()
	}
	if err != nil {
		complain(stderr, "the point table cannot be used (DLT645_POINTS)", err)
		return false
	}
	log.Info("polling", "points", len(c.points.Points), "share_of_the_wire", meters.Percent(budget.Share), "baud", budget.Baud)
	return true
}

// complain prints an error of one or several lines for the person at the terminal.
func complain(w io.Writer, what string, err error) {
	said, colon, separator := say(what), ":", " "
	if said != what {
		colon, separator = "：", ""
	}
	lines := strings.Split(say(err.Error()), "\n")
	if len(lines) > 1 {
		separator = "\n  "
	}
	fmt.Fprintf(w, "dlt645-mqtt: %s%s%s%s\n", said, colon, separator, strings.Join(lines, "\n  "))
}

func runVersion(_ context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("version", "", "Prints the version.", stderr)
	if status, done := parseOptions(flags, arguments); done {
		return status
	}
	fmt.Fprintln(out, "dlt645-mqtt", version)
	return 0
}

// exitStatuses is the part of help for those who write scripts and units.
const exitStatuses = `Exit status:
  0     it is done; a bridge, demo, uplink or simulate was told to stop
  1     it failed, and standard error says why: no answer, a frame or a table with mistakes, nothing found, a bridge that is not healthy
  2     the command line is not understood. A crash ends with 2 as well
  78    the configuration cannot be used: a variable, or an option that takes its place. Starting again will not help`

// runHelp prints the help of all, or that of the command which the arguments name, by its option -help.
func runHelp(ctx context.Context, arguments []string, in io.Reader, out, stderr io.Writer) int {
	if len(arguments) > 0 && !strings.HasPrefix(arguments[0], "-") && arguments[0] != "help" {
		c, ok := commandNamed(arguments[0], stderr)
		if !ok {
			return 2
		}
		return c.run(ctx, append(slices.Clone(arguments[1:]), "-help"), in, out, stderr)
	}
	fmt.Fprintf(out, "dlt645-mqtt %s: %s\n\n%s\n  dlt645-mqtt\n        %s\n", version, sayHelp("a bridge between MQTT and a bus of DL/T 645 electricity meters"), sayHelp("Usage:"), sayHelp("run the bridge, configured by the environment"))
	for _, c := range commands() {
		fmt.Fprintf(out, "  %s\n        %s\n", strings.TrimSpace("dlt645-mqtt "+c.name+" "+sayHelp(c.arguments)), sayHelp(c.summary))
	}
	fmt.Fprintf(out, "\n%s\n\n%s\n\n%s\n", sayHelp("Each command says more with -help, or as dlt645-mqtt help COMMAND."), sayHelp(exitStatuses), sayHelp("Variables:"))
	usage(out)
	return 0
}

func runHealthcheck(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("healthcheck", "", "Asks the bridge with the root DLT645_TOPIC on this machine whether its loops turn, whatever broker and\nmeters do. Exit 1 if they do not, or if there is no such bridge, and why on standard error.", stderr)
	if status, done := parseOptions(flags, arguments); done {
		return status
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := bridge.CheckHealth(ctx, readEnvironment().Topic); err != nil {
		complain(stderr, "unhealthy", err)
		return 1
	}
	fmt.Fprintln(out, "healthy")
	return 0
}

// newBridge wires a bridge to a bus as configured; neither runs yet.
func newBridge(c config, log *slog.Logger) (*bridge.Bridge, *bus.Bus) {
	var b *bridge.Bridge
	c.bus.Log = log
	if c.trace {
		c.bus.OnFrame = func(f bus.FrameEvent) { b.PublishFrame(f) }
	}
	line := bus.New(c.bus)
	b = bridge.New(bridge.Config{
		Root: c.root, Broker: c.broker, Bus: line, BusURL: c.bus.URL,
		Meters: c.meters, Protocols: sortedProtocols(c.protocols), Protocol: c.protocol, Finders: finders(c.protocols),
		Allow: c.allow, Passwords: c.passwords, Settings: settingNames, Operator: c.operator, Operators: c.operators, RelayValid: c.relayValid, Clock: c.clock,
		Points: c.points, Readings: c.readings, Discovery: c.discovery, Support: supportURL, Language: c.language, Say: say, Zone: c.zone, HTTP: c.listener, Pages: c.pages, Version: version, Site: c.site, Log: log,
	})
	return b, line
}

// settingNames are what protocols call our variables in sentences that say what to change.
var settingNames = protocol.Settings{
	Passwords: prefix + "_METER_PASSWORD", PasswordsFile: prefix + "_METER_PASSWORDS_FILE", Meters: prefix + "_METERS", Bus: prefix + "_BUS_URL",
}

// sortedProtocols returns all protocols in the order in which they are listed.
func sortedProtocols(protocols map[string]protocol.Protocol) (all []protocol.Protocol) {
	for _, name := range inOrder(protocols) {
		all = append(all, protocols[name])
	}
	return all
}

// finders returns the protocols that can look for meters, the newer of DL/T 645 first, for most meters
// are of those. Which register map a meter of Modbus has is not found, so that they are asked without.
func finders(protocols map[string]protocol.Protocol) (all []protocol.Finder) {
	for _, name := range inOrder(protocols) {
		finder, ok := protocols[name].(protocol.Finder)
		if ok && !strings.HasPrefix(name, modbus.Name+"/") {
			all = append(all, finder)
		}
	}
	if len(all) > 1 && all[0].Family() == all[1].Family() {
		all[0], all[1] = all[1], all[0]
	}
	return all
}
