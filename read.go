package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/protocol"
)

// runRead reads a meter on the bus and prints a table, or the reply as JSON.
func runRead(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	flags := newFlags("read", "METER ITEM…", "Reads items of a meter on the bus, without a broker. METER is a name of DLT645_METERS, or what\nmay stand behind a name there: an address (AAAAAAAAAAAA: the only meter on the wire), perhaps with a protocol, as in\n4711@1997 or 10@698?baud=9600. Items go by their names, identifiers or Chinese names. Exit 1 if an item cannot be read.", stderr)
	url := flags.String("bus", "", "bus `URL`, instead of DLT645_BUS_URL")
	asJSON := flags.Bool("json", false, "print the reply as it would be published")
	version := flags.String("protocol", "", "`name` of the protocol, such as 2007 or 698, instead of DLT645_PROTOCOL")
	trace := flags.Bool("trace", false, "show the frames too")
	words, status, done := parseWords(flags, arguments)
	if done {
		return status
	}
	if len(words) == 0 {
		flags.Usage()
		return 2
	}
	if err := setVariables(map[string]string{"DLT645_BUS_URL": *url, "DLT645_PROTOCOL": *version}); err != nil {
		complain(stderr, "read", err)
		return 1
	}
	c, err := readConfig(false)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	target, err := c.target(words[0])
	if err != nil {
		complain(stderr, "read", err)
		return 1
	}
	items := strings.FieldsFunc(strings.Join(words[1:], ","), func(r rune) bool { return strings.ContainsRune(", ，、", r) }) // as over MQTT
	body, err := json.Marshal(map[string]any{"items": items, "trace": *trace, "ttl_ms": 15000})
	if err != nil {
		complain(stderr, "read", err)
		return 1
	}
	// The port's troubles are the only news that matter here; the rest is in the reply.
	reply := onBus(ctx, c, slog.LevelError, stderr, func(b *bridge.Bridge) []byte { return b.Ask("read/"+target, body) })
	return printReply(reply, *asJSON, out, stderr)
}

// onBus runs the bus until ctx ends or ask has its reply, which it returns: a bridge without a
// broker, which may only read. What is less urgent than level is not logged.
func onBus(ctx context.Context, c config, level slog.Level, stderr io.Writer, ask func(*bridge.Bridge) []byte) []byte {
	c.allow = map[string]bool{string(protocol.PermitRead): true}
	c.bus.Impatient = true
	b, line := newBridge(c, newLog(stderr, c.logFormat, max(c.logLevel, level)))
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	reply := ask(b)
	stop()
	if err := <-ended; err != nil {
		complain(stderr, "the bus has stopped", err)
	}
	return reply
}

// A shownReply is what the table shows of a reply.
type shownReply struct {
	OK     bool                              `json:"ok"`
	Error  *struct{ Message string }         `json:"error"`
	Values orderedValues                     `json:"values"`
	Units  map[string]string                 `json:"units"`
	Errors orderedValues                     `json:"errors"`
	Frames []struct{ Direction, Hex string } `json:"frames"`
}

func printReply(reply []byte, asJSON bool, out, stderr io.Writer) int {
	var shown shownReply
	if err := json.Unmarshal(reply, &shown); err != nil {
		complain(stderr, "read", err)
		return 1
	}
	status := 0
	if !shown.OK {
		status = 1
	}
	if asJSON {
		fmt.Fprintf(out, "%s\n", reply)
		return status
	}
	for _, frame := range shown.Frames {
		fmt.Fprintf(out, "%-8s %s\n", frame.Direction, frame.Hex)
	}
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, value := range shown.Values {
		fmt.Fprintf(table, "%s\t%s\t%s\n", value.name, value.text, shown.Units[value.name])
	}
	_ = table.Flush()
	for _, failed := range shown.Errors {
		var problem struct{ Code, Message string }
		if err := json.Unmarshal([]byte(failed.text), &problem); err != nil {
			complain(stderr, "read", err)
			return 1
		}
		fmt.Fprintf(stderr, "%s: %s: %s\n", failed.name, problem.Code, problem.Message)
	}
	if shown.Error != nil && len(shown.Errors) == 0 {
		fmt.Fprintf(stderr, "dlt645-mqtt: %s: %s\n", say("read"), shown.Error.Message)
	}
	return status
}

// orderedValues are the members of a JSON object in the order in which they were written.
type orderedValues []struct{ name, text string }

// UnmarshalJSON reads an object.
func (o *orderedValues) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		text := string(value)
		var plain string
		if json.Unmarshal(value, &plain) == nil && text != "null" {
			text = plain
		}
		*o = append(*o, struct{ name, text string }{fmt.Sprint(name), text})
	}
	return nil
}
