package main

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
)

var meterName = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// isMeterName reports whether a meter may have the name. A pattern that counts takes ten times the memory.
func isMeterName(name string) bool { return len(name) <= 32 && meterName.MatchString(name) }

// readMeters reads the meters that have names. No two may have the same name, or be the same meter.
func (r *configReader) readMeters(c *config) {
	names, meters := map[string]bool{}, map[protocol.MeterKey]string{}
	for entry := range strings.SplitSeq(typed(r.Meters), ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, rest, named := strings.Cut(entry, "=")
		name = strings.TrimSpace(name)
		switch {
		case !named:
			r.complain("METERS", "%q has no name: write name=%s", entry, entry)
			continue
		case severalMeters().MatchString(rest):
			r.complain("METERS", "%q are several meters: there must be a comma between them", entry)
			continue
		}
		if !isMeterName(name) {
			r.complain("METERS", "%q is no meter name: lower case letters, digits, _ and -, a letter first, at most 32", name)
		}
		m, err := c.meter(name, rest)
		if err != nil {
			r.complain("METERS", "%s: %w", name, err)
			continue
		}
		if m.Address.Text == dlt645.Broadcast.String() && m.Address.Family == c.protocols[dlt645.V2007.String()].Family() {
			r.complain("METERS", "%s: %s is the address of all meters at once, and of none by itself", name, m.Address)
			continue
		}
		if names[name] {
			r.complain("METERS", "the name %s is given twice", name)
		}
		if other, twice := meters[m.Address.MeterKey]; twice {
			r.complain("METERS", "%s and %s have the same address %s", other, name, m.Address)
		}
		names[name], meters[m.Address.MeterKey] = true, name
		c.meters = append(c.meters, m)
	}
}

// typed returns what somebody has typed on a keyboard for Chinese as one for English types it: full-width commas, signs
// and digits, and the comma of enumerations, are what they look like.
func typed(text string) string { return strings.ReplaceAll(width.Fold.String(text), "、", ",") }

// severalMeters matches what stands behind the name of a meter if another one follows without a comma.
var severalMeters = compiledOnce(`[^&?\s]\s+[^\s=&?@]+\s*=`)

// mostDisplayed is how many characters the name may have by which people call a meter.
const mostDisplayed = 64

// readMeterNames reads what people call the meters. Behind the sign = stands text, which is left as it is.
func (r *configReader) readMeterNames(c *config) {
	for entry := range strings.FieldsFuncSeq(r.MeterNames, func(c rune) bool { return strings.ContainsRune(",，、", c) }) {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		sign := strings.IndexAny(entry, "=＝")
		if sign < 0 {
			r.complain("METER_NAMES", "%q says no name: write %s=总表", entry, entry)
			continue
		}
		_, size := utf8.DecodeRuneInString(entry[sign:])
		name, display := strings.TrimSpace(typed(entry[:sign])), strings.TrimSpace(entry[sign+size:])
		i := slices.IndexFunc(c.meters, func(m meters.Meter) bool { return m.Name == name })
		switch {
		case i < 0:
			r.complain("METER_NAMES", "there is no meter %q in DLT645_METERS%s", name, protocol.Hint(name, namesOf(c.meters)))
		case display == "" || utf8.RuneCountInString(display) > mostDisplayed || !utf8.ValidString(display) || strings.ContainsFunc(display, unicode.IsControl):
			r.complain("METER_NAMES", "%s: %q is no name for people: 1 to %d characters of text", name, display, mostDisplayed)
		case c.meters[i].DisplayName != "":
			r.complain("METER_NAMES", "%s is called %s and %s", name, c.meters[i].DisplayName, display)
		default:
			c.meters[i].DisplayName = display
		}
	}
}

// namesOf yields the names of meters.
func namesOf(meters []meters.Meter) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, m := range meters {
			if !yield(m.Name) {
				return
			}
		}
	}
}

// meter reads what stands behind the name of a meter: address@protocol?option=value&…. Blanks between these, and
// within an address as it is printed on a meter, are passed over.
func (c *config) meter(name, text string) (meters.Meter, error) {
	m := meters.Meter{Name: name, Protocol: c.protocol}
	text, query, _ := strings.Cut(strings.Join(strings.Fields(text), ""), "?")
	address, version, chosen := strings.Cut(text, "@")
	if chosen {
		if m.Protocol = c.protocols[version]; m.Protocol == nil {
			return m, fmt.Errorf("%q is no protocol; there are %s%s", version, c.protocolNames(), protocol.Hint(version, maps.Keys(c.protocols)))
		}
	}
	options, err := readOptions(query)
	if err != nil {
		return m, err
	}
	if m.Protocol, err = c.ownItems.of(name, address, m.Protocol); err != nil {
		return m, fmt.Errorf("its items in DLT645_ITEMS: %w", err)
	}
	if m.Mode, err = c.mode(options); err != nil {
		return m, err
	}
	if m.Close, err = closing(options, m.Protocol); err != nil {
		return m, err
	}
	ratios, given, err := readRatios(options)
	if err != nil {
		return m, err
	}
	switch configurer, ok := m.Protocol.(protocol.Configurer); {
	case len(options) == 0:
	case ok:
		if m.Protocol, err = configurer.Configure(options); err != nil {
			return m, err
		}
	default:
		return m, fmt.Errorf("protocol %s has no option %q; a meter of it may have ct, pt, baud, parity, stop and close, as in %s?baud=9600", m.Protocol.Name(), slices.Sorted(maps.Keys(options))[0], address)
	}
	if given {
		if m.Protocol, err = protocol.WithRatios(m.Protocol, ratios); err != nil {
			return m, err
		}
	}
	m.Address, err = m.Protocol.ParseAddress(address)
	return m, err
}

// target returns what the bridge is asked for where somebody has written a meter in a command: a name or an address
// as it is, and what else may stand behind a name in DLT645_METERS as a meter of that address.
func (c *config) target(text string) (string, error) {
	for _, m := range c.meters {
		if m.Name == text {
			return text, nil
		}
	}
	m, err := c.meter("", text)
	given := strings.ContainsAny(text, "@?")
	switch wrong := err != nil; {
	case wrong && given:
		return "", fmt.Errorf("%s: %w", text, err)
	case wrong || m.Address.Text == text && m.Address.Variant == "":
		return text, nil //nolint:nilerr // the bridge says what is wrong with it, or knows it as a meter that has a name
	}
	if !given {
		for _, named := range c.meters {
			if named.Address.MeterKey == m.Address.MeterKey {
				return named.Name, nil
			}
		}
	}
	c.meters = slices.DeleteFunc(slices.Clone(c.meters), func(named meters.Meter) bool { return named.Address.MeterKey == m.Address.MeterKey })
	m.Name = m.Address.Text
	c.meters = append(c.meters, m)
	return m.Name, nil
}

// readRatios takes the ratios of the transformers before a meter out of its options.
func readRatios(options map[string]string) (ratios protocol.Ratios, given bool, err error) {
	for name, to := range map[string]*protocol.Decimal{"ct": &ratios.Current, "pt": &ratios.Voltage} {
		text, ok := options[name]
		if !ok {
			continue
		}
		given = true
		delete(options, name)
		if *to, err = protocol.ParseRatio(text); err != nil {
			return ratios, true, fmt.Errorf("%s: %w", name, err)
		}
	}
	return ratios, given, nil
}

// readOptions reads option=value&….
func readOptions(query string) (map[string]string, error) {
	options := map[string]string{}
	for option := range strings.SplitSeq(query, "&") {
		if option == "" {
			continue
		}
		key, value, ok := strings.Cut(option, "=")
		if !ok || value == "" {
			return nil, fmt.Errorf("%q is no option: write %s=…", option, key)
		}
		if _, twice := options[key]; twice {
			return nil, fmt.Errorf("option %s is given twice", key)
		}
		options[key] = value
	}
	return options, nil
}

// mode takes the settings of the line out of the options of a meter. Only a port of our own can have another
// speed for each meter.
func (c *config) mode(options map[string]string) (mode protocol.Mode, err error) {
	given := false
	for _, option := range []struct {
		name string
		read func(text string) error
	}{
		{"baud", func(text string) error { return number(text, &mode.Baud, protocol.LowestBaud, protocol.HighestBaud) }},
		{"parity", func(text string) error {
			mode.Parity = text
			return protocol.CheckParity(text)
		}},
		{"stop", func(text string) error { return number(text, &mode.Stop, 1, 2) }},
	} {
		text, ok := options[option.name]
		if !ok {
			continue
		}
		delete(options, option.name)
		given = true
		if err := option.read(text); err != nil {
			return mode, fmt.Errorf("%s=%s: %w", option.name, text, err)
		}
	}
	if given && c.bus.URL != "" && !c.bus.Modes {
		return mode, errors.New("a meter has a speed, parity or stop bits of its own, but the serial server or the DTU behind DLT645_BUS_URL sets them for the whole line: leave them out here and set that device, or use rfc2217:// if it speaks RFC 2217, or a serial:// bus")
	}
	return mode, nil
}

// closing takes the action that closes a relay out of the options of a meter; empty: the usual one.
func closing(options map[string]string, p protocol.Protocol) (string, error) {
	action, given := options["close"]
	delete(options, "close")
	if !given {
		return "", nil
	}
	var known []string
	for _, a := range p.Actions(protocol.VerbRelay) {
		if a.Name == "close" || a.Name == "permit_close" {
			known = append(known, a.Name)
		}
	}
	switch {
	case len(known) == 0:
		return "", fmt.Errorf("close=%s: meters of protocol %s have no relay that is closed by a command", action, p.Name())
	case !slices.Contains(known, action):
		return "", fmt.Errorf("close=%s: there are %s", action, strings.Join(known, " and "))
	}
	return action, nil
}

// number reads a whole number within bounds.
func number(text string, to *int, least, most int) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return fmt.Errorf("write a whole number from %d to %d", least, most)
	}
	*to = n
	return nil
}

// points reads the point table: basic, off, or a file.
func (r *configReader) points(c *config) *points.Table {
	text, where := []byte(r.Points), ""
	if r.Points != points.BasicText && r.Points != points.OffText {
		var err error
		if text, err = os.ReadFile(r.Points); err != nil {
			r.complain("POINTS", "%w; it is basic, off or a CSV file", err)
			return nil
		}
		where = r.Points + ": "
	}
	table, err := points.Parse(text, meters.Site(c.meters, c.protocol))
	var problems points.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		r.complain("POINTS", "%s%v", where, p)
	}
	return table
}
