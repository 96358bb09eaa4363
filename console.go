package main

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"dlt645-mqtt/console"
	"dlt645-mqtt/protocol"
)

// readConsole reads whether the console is served, and by which names. It needs broker and HTTP,
// which come before it.
func (r *configReader) readConsole(c *config) {
	c.console = r.truth("CONSOLE", r.Console)
	for host := range strings.SplitSeq(r.ConsoleHosts, ",") {
		if host = strings.ToLower(strings.TrimSpace(host)); host == "" {
			continue
		}
		if strings.ContainsAny(host, "/:*@ ") {
			r.complain("CONSOLE_HOSTS", "%q is no name of a host, such as meters.example.com: without scheme, port and path", host)
		}
		c.hosts = append(c.hosts, host)
	}
	switch {
	case !c.console && len(c.hosts) > 0:
		r.complain("CONSOLE_HOSTS", "is set, but there is no console: set DLT645_CONSOLE=true")
	case c.console && r.HTTP == "":
		r.complain("CONSOLE", "is true, but nothing is served: set DLT645_HTTP as well, such as DLT645_HTTP=:9645")
	case c.console && c.embedded != "" && !onLoopback(r.HTTP):
		r.complain("CONSOLE", "leads to the embedded broker, which has no passwords, so it serves only this machine: set DLT645_HTTP=127.0.0.1:9645")
	}
}

// onLoopback reports whether an address with a port is one of this machine alone.
func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// openHTTP begins to listen for HTTP, if that is wanted, and makes the console, likewise.
func (c *config) openHTTP(log *slog.Logger) (err error) {
	if c.http == "" {
		return nil
	}
	if c.listener, err = listenNear(c.http, c.httpTries); err != nil {
		return fmt.Errorf("serve HTTP on %s (DLT645_HTTP): %w", c.http, err)
	}
	c.http = c.listener.Addr().String()
	if c.listener, err = c.supervisor.only(c.listener, log); err != nil {
		return err
	}
	if c.console {
		c.pages, err = newConsole(*c, log)
	}
	return err
}

// newConsole makes the console of a bridge.
func newConsole(c config, log *slog.Logger) (*console.Console, error) {
	return console.New(console.Config{
		Brokers: c.broker.URLs, TLS: c.broker.TLS, Root: c.root, Version: version, Hosts: c.hosts, Log: log,
		Ingress: c.supervisor != nil, Account: c.supervisor.account(&c),
		Items: c.allItems, Words: func() any { return protocol.EverydayWords() },
		Decode: func(hex, name string) (any, error) {
			stream, _, err := parseHex(hex)
			if err != nil {
				return nil, err
			}
			spoken, err := tonguesOf(name)
			if err != nil {
				return nil, err
			}
			explained := []any{}
			for _, piece := range cutFrames(stream, spoken) {
				description, err := piece.describe(name, c.zone)
				if description == nil {
					description = map[string]string{"hex": fmt.Sprintf("%X", piece.bytes), "error": err.Error()}
				}
				explained = append(explained, description)
			}
			return explained, nil
		},
	})
}

// allItems returns the dictionaries of all protocols as one list, with the register maps of the configured
// meters' own.
func (c *config) allItems() any {
	type row struct {
		Protocol string `json:"protocol"`
		itemRow
	}
	all := dictionaries()
	for _, m := range c.meters {
		name := m.Protocol.Name()
		known := slices.ContainsFunc(all, func(d dictionaryOf) bool { return d.name == name })
		if own, err := dictionaryNamed(name); err == nil && !known {
			all = append(all, own)
		}
	}
	var rows []row
	for _, d := range all {
		for _, r := range d.search() {
			r.Fields = nil // the page shows families
			rows = append(rows, row{d.name, r})
		}
	}
	return rows
}
