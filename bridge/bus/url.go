package bus

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"dlt645-mqtt/protocol"
)

// The ranges of the parameters. The longest waits keep one exchange well within the 30
// seconds after which the health check gives the bridge up.
const (
	mostWakeUp     = 32
	longestGap     = 5 * time.Second
	shortestAnswer = 50 * time.Millisecond
	longestAnswer  = 10 * time.Second
	longestLatency = 5 * time.Second
)

// ParseURL reads the URL of a bus:
//
//	serial:///dev/ttyUSB0       a serial line
//	tcp://host:port             a serial server
//	rfc2217://host:port         a serial server that takes speed and parity from here
//	udp://host:port             a serial server that takes and sends datagrams
//	listen://:port?register=…   a DTU that dials in and registers
//	mqtt:?up=…&down=…           a DTU that has the line in two topics of a broker
//
// and those of the schemes in extra. The parameters are baud (2400), parity (even, odd or
// none), stop (1 or 2), fe (wake-up bytes; without it 4 for a start), gap (0 ms), timeout (2s)
// and latency (0 for serial lines, 200ms for tcp, udp and rfc2217, 2s for listen and mqtt); for serial lines also rs485
// (rts where the kernel is to switch the line driver), for listen also register and heartbeat
// (text, or bytes as hex:…), for mqtt qos (0 or 1) and payload (raw, hex or auto). The error tells everything that
// is wrong with the URL, not just the first thing.
//
// The caller sets what else there is in the [Config], and the Connect of its Topics.
func ParseURL(text string, extra map[string]OpenFunc) (Config, error) {
	u, err := url.Parse(text)
	if err != nil {
		// The error of package url holds the text, and that may hold a secret.
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return Config{}, fmt.Errorf("the bus URL cannot be read: %w; write it as in serial:///dev/ttyUSB0?baud=2400 or tcp://192.168.1.20:4001", err)
	}
	p := parameters{}
	p.values, err = url.ParseQuery(u.RawQuery)
	if err != nil {
		p.complain("the parameters of the bus URL cannot be read: %v", err)
	}
	for name, values := range p.values {
		if len(values) > 1 {
			p.complain("parameter %s of the bus URL is given %d times; give it once", name, len(values))
		}
	}
	if u.User != nil {
		p.complain("the bus URL holds a user name, which no port can use; leave out what is before the @")
	}
	if strings.Contains(text, "#") {
		p.complain("the bus URL has a #, and what stands after it means nothing here")
	}

	config := Config{URL: withoutSecrets(u, p.values), Settings: Settings{FixedWakeUps: p.values.Has("fe")}.defaults()}
	p.settings(&config.Settings)
	p.opener(u, &config, extra)
	for name := range p.values {
		p.complain("the bus URL has a parameter %q, which %s does not know; see the list of DLT645_BUS_URL", name, u.Scheme)
	}
	if len(p.complaints) > 0 {
		slices.SortStableFunc(p.complaints, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return Config{}, errors.Join(p.complaints...)
	}
	return config, nil
}

// opener reads what is special to the port of a scheme, of those here and those in extra.
func (p *parameters) opener(u *url.URL, config *Config, extra map[string]OpenFunc) {
	switch u.Scheme {
	case "serial":
		p.latency(config, 0)
		config.Open, config.Tunable, config.Modes = p.serial(u, config.Settings), true, true
	case "tcp":
		p.network(config, overNetwork)
		p.server(u)
		config.Open = openTCP(u.Host)
	case "udp":
		p.network(config, overNetwork)
		p.server(u)
		config.Open = openUDP(u.Host)
	case "rfc2217":
		p.network(config, overNetwork)
		p.server(u)
		config.Open, config.Tunable, config.Modes = openRFC2217(u.Host, config.Settings), true, true
	case "listen":
		p.network(config, overMobile)
		l := p.listen(u)
		config.Open, config.Strangers = l.open, l.turnedAway
	case "mqtt":
		p.network(config, overMobile)
		config.Topics = p.topics(u, config.Settings)
		config.Open = config.Topics.open
	default:
		open := extra[u.Scheme]
		if open == nil {
			p.complain("the bus URL has the scheme %q; there are serial, tcp, udp, rfc2217, listen, mqtt%s: write it as in serial:///dev/ttyUSB0 or tcp://192.168.1.10:4001", u.Scheme, others(extra))
			return
		}
		p.latency(config, 0)
		var err error
		if config.Open, err = open(&config.Settings, p.values); err != nil {
			p.complaints = append(p.complaints, err)
		}
		config.Modes = true
		p.values = nil // all its own
	}
}

// What the way to the line adds to the wait for an answer unless the URL says otherwise: over a network of cables,
// and over a mobile one.
const (
	overNetwork = 200 * time.Millisecond
	overMobile  = 2 * time.Second
)

// network reads what is common to ports that are reached over a network, where bytes come in packets.
func (p *parameters) network(config *Config, latency time.Duration) {
	config.Packed = true
	p.latency(config, latency)
}

func (p *parameters) latency(config *Config, usual time.Duration) {
	p.duration("latency", &config.Latency, usual, 0, longestLatency)
}

// others lists further schemes.
func others(extra map[string]OpenFunc) string {
	names := []string{}
	for name := range extra {
		names = append(names, ", "+name)
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

// withoutSecrets spells the URL for people. The registration packet of a DTU is what
// keeps strangers out.
func withoutSecrets(u *url.URL, values url.Values) string {
	host := strings.TrimPrefix((&url.URL{Host: u.Host}).String(), "//") // a zone of IPv6 is escaped
	shown := u.Scheme + "://" + host + u.EscapedPath()
	if u.Scheme == "mqtt" {
		shown = "mqtt:"
	}
	if len(values) == 0 {
		return shown
	}
	public := maps.Clone(values)
	if public.Has("register") {
		public.Set("register", "hidden")
	}
	return shown + "?" + strings.ReplaceAll(public.Encode(), "%2F", "/") // as people write topics
}

// parameters are what stands after the ? of a bus URL, less what was understood.
type parameters struct {
	values     url.Values
	complaints []error
}

func (p *parameters) complain(format string, arguments ...any) {
	p.complaints = append(p.complaints, fmt.Errorf(format, arguments...))
}

// pop returns the value of a parameter and strikes it off the list.
func (p *parameters) pop(name string) (string, bool) {
	if !p.values.Has(name) {
		return "", false
	}
	value := p.values.Get(name)
	delete(p.values, name)
	return value, true
}

// settings reads what every port understands, but for the latency, which depends on the port.
func (p *parameters) settings(s *Settings) {
	p.number("baud", &s.Baud, protocol.LowestBaud, protocol.HighestBaud)
	p.number("stop", &s.Stop, 1, 2)
	p.number("fe", &s.WakeUps, 0, mostWakeUp)
	if parity, ok := p.pop("parity"); ok {
		s.Parity = parity
		if !slices.Contains(protocol.Parities, parity) {
			p.complain("parity=%s of the bus URL: write even, odd or none", parity)
		}
	}
	if gap := p.values.Get("gap"); gap != "" {
		if _, err := strconv.Atoi(gap); err == nil {
			p.values.Set("gap", gap+"ms")
		}
	}
	p.duration("gap", &s.Gap, 0, 0, longestGap)
	p.duration("timeout", &s.Timeout, s.Timeout, shortestAnswer, longestAnswer)
}

func (p *parameters) number(name string, to *int, least, most int) {
	text, ok := p.pop(name)
	if !ok {
		return
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		p.complain("%s=%s of the bus URL: write a whole number from %d to %d", name, text, least, most)
		return
	}
	*to = n
}

func (p *parameters) duration(name string, to *time.Duration, missing, least, most time.Duration) {
	text, ok := p.pop(name)
	if !ok {
		*to = missing
		return
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		p.complain("%s=%s of the bus URL: write a time with its unit from %v to %v, as in 500ms or 2s", name, text, least, most)
		return
	}
	*to = d
}

// serial returns the opener of a serial line.
func (p *parameters) serial(u *url.URL, s Settings) Opener {
	text, rs485 := p.pop("rs485")
	if rs485 && text != "rts" {
		p.complain("rs485=%s of the bus URL: write rts, or leave it out where the adapter switches the line driver by itself", text)
	}
	if u.Host != "" || u.Path == "" || u.Path == "/" {
		p.complain("the bus URL names no serial device; write it with three slashes, as in serial:///dev/ttyUSB0 or serial:///COM3")
	}
	return openSerial(devicePath(u.Path), s, rs485)
}

// windowsPort matches the path of a URL that names a serial port of Windows.
var windowsPort = regexp.MustCompile(`(?i)^/COM[0-9]+$`)

// devicePath returns what a device is opened by: serial:///COM3 is COM3.
func devicePath(path string) string {
	if windowsPort.MatchString(path) {
		return path[1:]
	}
	return path
}

// server checks that the URL names a serial server.
func (p *parameters) server(u *url.URL) {
	p.noPath(u)
	if u.Hostname() == "" {
		p.complain("the bus URL names no host; write it as in %s://192.168.1.10:4001", u.Scheme)
	}
	p.port(u)
}

func (p *parameters) noPath(u *url.URL) {
	if u.Path != "" && u.Path != "/" || u.Opaque != "" {
		p.complain("the bus URL has a path, which %s does not use; write it as in %s://host:4001", u.Scheme, u.Scheme)
	}
}

// port also checks the zone of an IPv6 address: package url could not read again what it writes
// of a zone beyond ASCII.
func (p *parameters) port(u *url.URL) {
	if _, zone, _ := strings.Cut(u.Hostname(), "%"); strings.ContainsFunc(zone, func(r rune) bool { return r >= utf8.RuneSelf }) {
		p.complain("the bus URL has an IPv6 zone that is no ASCII text: it is the name of a network interface, as in [fe80::1%%25eth0]")
	}
	if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
		p.complain("the bus URL needs a port from 1 to 65535 after the host, as in %s", net.JoinHostPort(u.Hostname(), "4001"))
	}
}
