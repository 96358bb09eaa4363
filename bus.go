package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/simulator"
)

// A busParameter is a parameter of the bus URL, for help and README.
type busParameter struct {
	name, byDefault, text string // the text as in Markdown
}

// busParameters are what bus.ParseURL takes, in the order of the README.
var busParameters = []busParameter{
	{"baud", "2400", "bits per second"},
	{"parity", "even", "`even`, `odd` or `none`"},
	{"stop", "1", "stop bits"},
	{"fe", "4 for a start", "wake-up bytes FEH before each request; if it is not given, a meter that answers to two gets two"},
	{"gap", "0ms", "pause between an answer and the next request"},
	{"timeout", "2s", "longest wait for a meter to begin its answer. When the bridge starts, it listens for twice this and `latency` before it asks"},
	{"latency", "0 serial, 200ms tcp, udp and rfc2217, 2s listen and mqtt", "what the way to the line adds to that"},
	{"rs485", "", "serial: `rts` has the kernel switch the line driver by RTS"},
	{"register", "", "listen: what a DTU says first; only who says it is let in, and may take the place of an older connection. Without it the port must be on a loopback or private address"},
	{"heartbeat", "", "listen: what the DTU sends now and then, to be taken out of the stream"},
	{"up", "", "mqtt: the topic that the DTU sends to"},
	{"down", "", "mqtt: the topic that the DTU takes requests from"},
	{"payload", "auto", "mqtt: how the DTU carries bytes, `raw` or `hex` text; `auto` finds out by trying"},
	{"qos", "0", "mqtt: quality of service of both topics, 0 or 1. With 1 the bridge is told if nobody takes its requests; but a broker may deliver one twice, so that no commands are allowed then"},
}

// readBus reads where the meters are, and how many requests may wait for them.
func (r *configReader) readBus(c *config) {
	queue, err := strconv.Atoi(r.Queue)
	if err != nil || queue < 1 || queue > 1_000_000 {
		r.complain("QUEUE", "%q is no whole number from 1 to 1000000", r.Queue)
	}
	if r.Bus.URL == "" {
		if _, set := os.LookupEnv("DLT645_BUS_URL"); !set {
			r.complain("BUS_URL", "is missing: say where the meters are, such as serial:///dev/ttyUSB0 (or try: dlt645-mqtt demo)")
		}
		return
	}
	if c.bus, err = busConfig(r.Bus.URL); err != nil {
		r.complain("BUS_URL", "%w", err)
	}
	c.bus.Queue = queue
}

// commandClasses are the classes of requests that change something.
var commandClasses = []protocol.Permission{protocol.PermitWrite, protocol.PermitRelay, protocol.PermitMaintenance, protocol.PermitBroadcast}

// readTopics sees that the topics of a DTU are its own, and says how to reach the broker that has them. A bridge has
// a name of its own there, so that it has one connection; a command does not throw it out.
func (r *configReader) readTopics(c *config, isBridge bool) {
	t := c.bus.Topics
	for _, topic := range []struct{ name, text string }{{"up", t.Up}, {"down", t.Down}} {
		if strings.HasPrefix(topic.text+"/", r.Topic+"/") {
			r.complain("BUS_URL", "%s is %s, which lies in the bridge's own tree of topics (DLT645_TOPIC is %s): a DTU has topics of its own, to which nobody else may publish", topic.name, topic.text, r.Topic)
		}
	}
	for class := range strings.SplitSeq(r.Allow, ",") {
		if class = strings.TrimSpace(class); t.QoS > 0 && slices.Contains(commandClasses, protocol.Permission(class)) {
			r.complain("BUS_URL", "qos=1 lets a broker deliver a request twice, or late, and a command must run once at most: leave qos out, or %s out of DLT645_ALLOW", class)
		}
	}
	if len(c.broker.URLs) == 0 {
		return
	}
	// The addresses are those of c.broker, whatever becomes of them.
	broker := c.broker
	id := broker.ClientID + "-line"
	if !isBridge {
		id += fmt.Sprintf("-%08x", rand.Uint32())
	}
	pipe := &mqtt.Pipe{
		Broker: &broker, ClientID: id, In: t.Up, Out: t.Down, QoS: t.QoS, Expiry: t.Expiry,
		Apart: "is a second bridge running with this root?",
	}
	t.Connect = func(ctx context.Context, hear func([]byte), lost func(error)) (bus.Carrier, error) {
		return pipe.Open(ctx, hear, lost)
	}
}

// busConfig reads a bus URL, of simulated meters too.
func busConfig(text string) (bus.Config, error) {
	severalModes := false
	config, err := bus.ParseURL(text, map[string]bus.OpenFunc{"sim": func(settings *bus.Settings, parameters url.Values) (bus.Opener, error) {
		line, err := openSimulated(settings, parameters)
		if err != nil {
			return nil, err
		}
		severalModes = line.HasModes()
		return func(context.Context) (bus.Port, error) { return line.Port(), nil }, nil
	}})
	// Where all simulated meters have the mode of the line, a scan need not try others.
	config.Tunable = config.Tunable || severalModes
	return config, err
}

// openSimulated makes simulated meters for a bus URL such as sim://?meters=4.
func openSimulated(settings *bus.Settings, parameters url.Values) (*simulator.Bus, error) {
	parameters.Set("baud", strconv.Itoa(settings.Baud))
	line, err := simulator.Open(parameters)
	if err != nil {
		return nil, err
	}
	line.SetMode(protocol.Mode{Baud: settings.Baud, Parity: settings.Parity, Stop: settings.Stop})
	return line, nil
}
