package main

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/points"
)

var meterName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// readMeters reads the meters that have names. No two may have the same name or address.
func (r *reader) readMeters(c *config) {
	names, addresses := map[string]bool{}, map[string]string{}
	for entry := range strings.SplitSeq(r.Meters, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, rest, named := strings.Cut(entry, "=")
		if !named {
			r.complain("METERS", "%q has no name: write name=%s", entry, entry)
			continue
		}
		if !meterName.MatchString(name) {
			r.complain("METERS", "%q is no meter name: lower case letters, digits, _ and -, a letter first, at most 32", name)
		}
		m := bridge.Meter{Name: name, Protocol: c.protocol}
		address, version, chosen := strings.Cut(rest, "@")
		if chosen {
			if m.Protocol = c.protocols[version]; m.Protocol == nil {
				r.complain("METERS", "%s: %q is no protocol; there are %s", name, version, c.protocolNames())
				continue
			}
		}
		var err error
		if m.Address, m.Wildcard, err = m.Protocol.ParseAddress(address); err != nil {
			r.complain("METERS", "%s: %w", name, err)
			continue
		}
		if names[name] {
			r.complain("METERS", "the name %s is given twice", name)
		}
		if other, twice := addresses[m.Address]; twice {
			r.complain("METERS", "%s and %s have the same address %s", other, name, m.Address)
		}
		names[name], addresses[m.Address] = true, name
		c.meters = append(c.meters, m)
	}
}

// points reads the point table: basic, off, or a file.
func (r *reader) points(c *config) *points.Table {
	text, where := []byte(r.Points), ""
	if r.Points != points.BasicText && r.Points != points.OffText {
		var err error
		if text, err = os.ReadFile(r.Points); err != nil {
			r.complain("POINTS", "%w; it is basic, off or a CSV file", err)
			return nil
		}
		where = r.Points + ": "
	}
	table, err := points.Parse(text, bridge.Site(c.meters, c.protocol))
	var problems points.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		r.complain("POINTS", "%s%v", where, p)
	}
	return table
}
