package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol/dlt645"
)

// demoDefaults is what the demo sets where the environment does not.
var demoDefaults = map[string]string{
	"DLT645_MQTT_URL":  "embedded://127.0.0.1:1883",
	"DLT645_BUS_URL":   "sim://?meters=4&protocols=2007,2007,698,188",
	"DLT645_METERS":    "main=000000000001,shop=000000000002,grid=000000000003@698,water=00000000000004@188",
	"DLT645_ALLOW":     "read",
	"DLT645_LOG_LEVEL": "warn",
	"DLT645_TRACE":     "true",
}

// simulatedDefaults let everything be tried, but on simulated meters only.
var simulatedDefaults = map[string]string{
	"DLT645_ALLOW":          "read,write,relay,maintenance,broadcast,raw,config",
	"DLT645_METER_PASSWORD": "02000000,04000000", // those of the simulator
	"DLT645_CLOCK":          "trusted",
}

// demoRows are added to the example's table where the demo's own meters are there.
const demoRows = `grid,voltage_block,10s,207.0,253.0,0.3
grid,active_power,10s,,,0.005
grid,forward_active_energy,15s,,,
grid,forward_active_energy_t*,1m,,,
grid,relay_open,10s,,,
water,volume,30s,,,
water,valve,30s,,,
`

// demoTable returns the points of the demo: none if there are meters which the example does not know.
func demoTable(c config) *points.Table {
	for _, more := range []string{demoRows, ""} {
		if table, err := points.Parse(append(slices.Clip(examplePoints), more...), meters.Site(c.meters, c.protocol)); err == nil {
			return table
		}
	}
	return nil
}

// demoHTTP is where the demo serves its console, or on the next free port.
const demoHTTP = "127.0.0.1:9645"

// demoConsole returns what turns the console on: on this machine, and not on an address that somebody
// has chosen for something else.
func demoConsole() map[string]string {
	address, set := os.LookupEnv("DLT645_HTTP")
	switch {
	case !set && os.Getenv("DLT645_CONSOLE") == "false":
		return nil
	case !set:
		return map[string]string{"DLT645_HTTP": demoHTTP, "DLT645_CONSOLE": "true"}
	case onLoopback(address):
		return map[string]string{"DLT645_CONSOLE": "true"}
	}
	return nil
}

// runDemo runs the bridge with all that it needs inside, and shows a first reading.
func runDemo(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("demo", "", "Runs the bridge with an MQTT broker and simulated meters inside, shows a first reading\nand prints what to try next. Any DLT645_ variable overrides. Ctrl-C stops it.", stderr)
	if status, done := parseOptions(flags, arguments); done {
		return status
	}
	defaults := maps.Clone(demoDefaults)
	if url, set := os.LookupEnv("DLT645_BUS_URL"); !set || strings.HasPrefix(url, "sim:") {
		maps.Copy(defaults, simulatedDefaults)
	}
	maps.Copy(defaults, demoConsole())
	maps.DeleteFunc(defaults, func(name, _ string) bool { _, set := os.LookupEnv(name); return set })
	if err := setVariables(defaults); err != nil {
		complain(stderr, "demo", err)
		return 1
	}
	c, err := readConfig(true)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	if c.http == demoHTTP {
		c.httpTries = portsToTry
	}
	if _, set := os.LookupEnv("DLT645_POINTS"); !set {
		if table := demoTable(c); table != nil {
			c.points = table
		}
	}
	return serveConfig(ctx, c, stderr, func(ctx context.Context, c config, broker *embeddedBroker) {
		if c.console {
			sayf(out, "http://%s/  opens the console in a browser: see, read and switch the meters\n", c.http)
		}
		if broker != nil {
			firstReading(ctx, out, c, broker)
		}
		printTry(out, c)
	})
}

// demoMeter is the meter that the demo's examples ask.
func demoMeter(c config) string {
	if len(c.meters) > 0 {
		return c.meters[0].Name
	}
	return "000000000001"
}

// demoFrame reads the voltage of the demo's meter.
func demoFrame(c config) string {
	address := dlt645.Anyone
	if len(c.meters) > 0 {
		if a, err := dlt645.ParseAddress(c.meters[0].Address.Text, dlt645.V2007); err == nil {
			address = a
		}
	}
	const voltageA = 0x02010100
	frame, err := dlt645.Frame{Address: address, Control: dlt645.Control(dlt645.FunctionRead), Data: dlt645.DI(voltageA).Append(nil, dlt645.V2007)}.AppendBinary(nil)
	if err != nil {
		panic(err) // four bytes always fit
	}
	return fmt.Sprintf("%X", frame)
}

// firstReading asks over MQTT, as any client would, and prints request, frames and reply.
func firstReading(ctx context.Context, out io.Writer, c config, broker *embeddedBroker) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	online, replies := make(chan struct{}, 1), make(chan []byte, 1)
	offer := func(payload []byte) {
		select {
		case replies <- payload:
		default:
		}
	}
	topic := "read/" + demoMeter(c)
	err := broker.subscribe(c.root+"/bridge/status", 1, func(status []byte) {
		if string(status) == "online" {
			select {
			case online <- struct{}{}:
			default:
			}
		}
	})
	if err == nil {
		err = broker.subscribe(c.root+"/reply/"+topic, 2, offer)
	}
	if err != nil {
		fmt.Fprintln(out, "demo:", say(err.Error()))
		return
	}
	select {
	case <-online:
	case <-ctx.Done():
		return
	}
	request := `{"id":"demo","items":["voltage_a"],"trace":true}`
	if err := broker.server.Publish(c.root+"/request/"+topic, []byte(request), false, 1); err != nil {
		fmt.Fprintln(out, "demo:", say(err.Error()))
		return
	}
	sayf(out, "\nA first reading, over MQTT:\n\n")
	fmt.Fprintf(out, "  publish   %s/request/%s\n            %s\n", c.root, topic, request)
	select {
	case reply := <-replies:
		printReading(out, c.root+"/reply/"+topic, reply)
	case <-ctx.Done():
		sayf(out, "  no reply came; what the bridge reports stands above\n")
	}
}

// printReading prints the frames of a traced reply apart from the reply itself.
func printReading(out io.Writer, topic string, reply []byte) {
	var traced struct {
		Frames []struct{ Direction, Hex string } `json:"frames"`
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(reply, &traced) != nil || json.Unmarshal(reply, &members) != nil {
		fmt.Fprintf(out, "  %s\n  %s\n", topic, reply)
		return
	}
	for _, frame := range traced.Frames {
		fmt.Fprintf(out, "  wire %s  %s\n", map[string]string{"sent": "→ ", "received": "← "}[frame.Direction], frame.Hex)
	}
	fmt.Fprintf(out, "  reply     %s\n", topic)
	for _, name := range []string{"ok", "values", "units", "errors"} {
		if value, ok := members[name]; ok {
			fmt.Fprintf(out, "            %-7s %s\n", name, value)
		}
	}
}

// printTry prints commands that work as they stand.
func printTry(out io.Writer, c config) {
	host, port := c.broker.URLs[0].Hostname(), c.broker.URLs[0].Port()
	server := "-h " + host + " -p " + port
	if net.ParseIP(host).IsLoopback() && port == "1883" {
		server = ""
	}
	m := demoMeter(c)
	sayf(out, "\nThe bridge is running. In another terminal try (from Debian's package mosquitto-clients):\n\n")
	for _, try := range []struct{ what, command string }{
		{"one value, MQTT 5 request and response", fmt.Sprintf("mosquitto_rr %s -V 5 -q 1 -t %s/request/read/%s -e %s/reply/cli/1 -D publish correlation-data 42 -m voltage_a -W 5", server, c.root, m, c.root)},
		{"watch everything", fmt.Sprintf("mosquitto_sub %s -v -t '%s/#'", server, c.root)},
		{"three items, any MQTT version, the reply on " + c.root + "/reply/read/" + m, fmt.Sprintf(`mosquitto_pub %s -t %s/request/read/%s -m '{"id":"7","items":["voltage_a","forward_active_energy","02030000"]}'`, server, c.root, m)},
		{"switch a relay, and see that it moved", fmt.Sprintf("mosquitto_rr %s -V 5 -q 1 -t %s/request/relay/%s -e %s/reply/cli/1 -m trip -W 15", server, c.root, m, c.root)},
		{"poll something else, with a limit that is passed; an empty message goes back to what the demo began with", fmt.Sprintf(`mosquitto_pub %s -t %s/request/config -m '{"points":[{"meter":"%s","item":"voltage_block","interval":"2s","max":200.0}]}'`, server, c.root, m)},
		{"a frame of your own", fmt.Sprintf("mosquitto_rr %s -V 5 -q 1 -t %s/request/raw -e %s/reply/cli/1 -m %s -W 5", server, c.root, c.root, demoFrame(c))},
	} {
		fmt.Fprintf(out, "  # %s\n  %s\n", say(try.what), collapse(try.command))
	}
	sayf(out, "\nWhat else a meter can be asked: dlt645-mqtt items voltage. All topics: topics.md. Ctrl-C stops.\n")
}
