package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // containers have no zone files
	"unicode"
	"unicode/utf8"

	"github.com/kelseyhightower/envconfig"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
)

const prefix = "DLT645"

// An environment holds the variables as they are written. All are strings, so that reading
// them cannot fail halfway and every complaint is made at once; a default stands here and
// nowhere else, for help and README are made from this struct.
type environment struct {
	MQTT struct {
		URL          string `desc:"broker: mqtt://host[:1883], mqtts://, ws://, wss://; embedded://127.0.0.1[:1883] brings its own, for trying out"`
		Username     string `desc:"user name at the broker"`
		Password     string `desc:"password at the broker; or in the file that DLT645_MQTT_PASSWORD_FILE names"`
		PasswordFile string `split_words:"true" desc:"file with the password at the broker"`
		CAFile       string `split_words:"true" desc:"PEM file of the authority that signed the broker's certificate; else the system's"`
		CertFile     string `split_words:"true" desc:"PEM file of our client certificate"`
		KeyFile      string `split_words:"true" desc:"PEM file of its key"`
		ClientID     string `split_words:"true" desc:"client id at the broker; dlt645-mqtt-{root} if not set"`
	}
	Topic string `default:"dlt645" desc:"root of the topic tree; one bridge, one root"`
	Bus   struct {
		URL string `desc:"serial:///dev/ttyUSB0, tcp://host:port, listen://:port?register=TEXT or sim://?meters=4; its parameters stand below"`
	}
	Meters             string `desc:"named meters: main=000000000001,shop=112233445566@1997; AAAAAAAAAAAA is the only meter on the wire"`
	Protocol           string `default:"2007" desc:"protocol of meters without @: 2007 or 1997"`
	Points             string `default:"basic" desc:"what is polled: basic (energy, power, voltages, currents and status word 3 of the named meters, each minute), off, or a CSV file"`
	Allow              string `default:"read" desc:"allowed classes of requests, of read, write, relay, maintenance, broadcast, raw, config"`
	MeterPassword      string `split_words:"true" desc:"meter passwords, level first: 02123456,04000000"`
	MeterPasswordFile  string `split_words:"true" desc:"file with the meter passwords"`
	MeterPasswordsFile string `split_words:"true" desc:"file with passwords by meter, lines such as main=02123456,04000000"`
	OperatorCode       string `split_words:"true" default:"00000000" desc:"operator code in commands, 8 digits, sent low byte first"`
	RelayValid         string `split_words:"true" default:"5m" desc:"how long a relay command stays valid for the meter"`
	MeterTimezone      string `split_words:"true" default:"Asia/Shanghai" desc:"zone of the meters' clocks and of the times in replies"`
	Clock              string `default:"auto" desc:"auto, or trusted: set meters' clocks although the host does not call its own synchronised"`
	Discovery          string `default:"homeassistant" desc:"topic prefix of Home Assistant discovery, or off"`
	Language           string `default:"en" desc:"en or zh, for names that people read"`
	HTTP               string `desc:"address such as :9645 that serves /metrics, /healthz and /readyz"`
	Queue              string `default:"1000" desc:"requests that may wait; beyond, the answer is busy"`
	Trace              string `default:"false" desc:"publish every frame on {root}/bridge/frame"`
	LogLevel           string `split_words:"true" default:"info" desc:"debug, info, warn or error"`
	LogFormat          string `split_words:"true" default:"text" desc:"text or json"`
}

// readEnvironment reads the variables as they are written, good or bad.
func readEnvironment() (e environment) {
	if err := envconfig.Process(prefix, &e); err != nil {
		panic(err) // all fields are strings
	}
	return e
}

// setVariables sets those variables that have a value here, for options and for the demo.
func setVariables(values map[string]string) error {
	for name, value := range values {
		if value == "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	return nil
}

// optional names the variables that may be set to nothing.
var optional = []string{
	"MQTT_USERNAME", "MQTT_PASSWORD", "MQTT_PASSWORD_FILE", "MQTT_CA_FILE", "MQTT_CERT_FILE", "MQTT_KEY_FILE", "MQTT_CLIENT_ID",
	"METERS", "METER_PASSWORD", "METER_PASSWORD_FILE", "METER_PASSWORDS_FILE", "HTTP",
}

// A config is the environment, understood.
type config struct {
	broker     bridge.Broker
	embedded   string // address of the broker to bring along; empty: none
	root       string
	bus        bus.Config
	protocols  map[string]protocol.Protocol
	protocol   protocol.Protocol
	meters     []bridge.Meter
	allow      map[string]bool
	passwords  map[string]map[string]string
	operator   string
	relayValid time.Duration
	clock      func() error
	points     *points.Table
	discovery  string // topic prefix; empty: off
	language   string
	zone       *time.Location
	http       string
	trace      bool
	logLevel   slog.Level
	logFormat  string
}

// A reader turns variables into a config and collects every complaint on the way.
type reader struct {
	environment
	complaints []error
}

func (r *reader) complain(variable, format string, arguments ...any) {
	r.complaints = append(r.complaints, fmt.Errorf("%s_%s: %w", prefix, variable, fmt.Errorf(format, arguments...)))
}

// readConfig reads the environment; needBroker says whether the command speaks MQTT. The
// error has all complaints, one a line.
func readConfig(needBroker bool) (config, error) {
	r := reader{environment: readEnvironment()}
	r.checkNames()
	c := config{}
	c.zone = r.zone()
	c.protocols = newProtocols(c.zone)
	c.protocol = c.protocols[r.Protocol]
	if c.protocol == nil {
		r.complain("PROTOCOL", "%q is no protocol; there are %s", r.Protocol, c.protocolNames())
		c.protocol = c.protocols[dlt645.V2007.String()]
	}
	c.root = r.root()
	if needBroker {
		r.readBroker(&c)
	}
	r.readBus(&c)
	r.readMeters(&c)
	r.readPasswords(&c)
	r.readAllow(&c)
	c.points = r.points(&c)
	c.http = r.HTTP
	c.trace = r.truth("TRACE", r.Trace)
	if err := c.logLevel.UnmarshalText([]byte(r.LogLevel)); err != nil {
		r.complain("LOG_LEVEL", "%q is none of debug, info, warn, error", r.LogLevel)
	}
	c.logFormat = r.oneOf("LOG_FORMAT", r.LogFormat, "text", "json")
	c.clock = hostClock(r.oneOf("CLOCK", r.Clock, "auto", "trusted") == "trusted")
	c.discovery = r.discovery()
	c.language = r.oneOf("LANGUAGE", r.Language, homeassistant.English, homeassistant.Chinese)
	var err error
	if c.relayValid, err = time.ParseDuration(r.RelayValid); err != nil || c.relayValid < time.Second || c.relayValid > 24*time.Hour {
		r.complain("RELAY_VALID", "%q is no duration from 1s to 24h, such as 5m", r.RelayValid)
	}
	if c.operator = r.OperatorCode; !allDigits(c.operator, 8) {
		r.complain("OPERATOR_CODE", "%q is not 8 digits", c.operator)
	}
	return c, errors.Join(r.complaints...)
}

// newProtocols makes every protocol that meters may speak, by its name. zone is that of their clocks.
func newProtocols(zone *time.Location) map[string]protocol.Protocol {
	return map[string]protocol.Protocol{
		dlt645.V2007.String(): dlt645.New(dlt645.V2007, zone),
		dlt645.V1997.String(): dlt645.New(dlt645.V1997, zone),
	}
}

func (c *config) protocolNames() string {
	return strings.Join(slices.Sorted(maps.Keys(c.protocols)), ", ")
}

// kubernetes matches what Kubernetes sets for services whose names begin with dlt645.
var kubernetes = regexp.MustCompile(`^` + prefix + `_(.*_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// checkNames complains about variables that do not exist, and about empty ones that must not be.
func (r *reader) checkNames() {
	known := variables()
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		short, ours := strings.CutPrefix(name, prefix+"_")
		if !ours || kubernetes.MatchString(name) {
			continue
		}
		switch {
		case !slices.Contains(known, name):
			hint := ""
			if near := nearest(name, known); near != "" {
				hint = "; did you mean " + near + "?"
			}
			r.complaints = append(r.complaints, fmt.Errorf("%s: no such variable%s", name, hint))
		case value == "" && !slices.Contains(optional, short):
			r.complaints = append(r.complaints, fmt.Errorf("%s: is set but empty; give it a value or remove it", name))
		}
	}
	slices.SortFunc(r.complaints, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
}

// variables lists the names of all variables.
func variables() []string {
	var names bytes.Buffer
	if err := envconfig.Usagef(prefix, &environment{}, &names, "{{range .}}{{usage_key .}}\n{{end}}"); err != nil {
		panic(err) // the template above is wrong
	}
	return strings.Fields(names.String())
}

// usage writes the table of all variables.
func usage(w io.Writer) error {
	return envconfig.Usagef(prefix, &environment{}, w, "{{range .}}  {{usage_key .}}{{with usage_default .}} (default {{.}}){{end}}\n        {{usage_description .}}\n{{end}}")
}

// nearest finds the known name that differs from a misspelt one by the fewest letters, at most three.
func nearest(name string, known []string) string {
	best, fewest := "", 4
	for _, candidate := range known {
		if d := distance(name, candidate); d < fewest {
			best, fewest = candidate, d
		}
	}
	return best
}

// distance counts the letters to insert, delete or exchange (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func (r *reader) oneOf(variable, value string, allowed ...string) string {
	if !slices.Contains(allowed, value) {
		r.complain(variable, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
	return value
}

func (r *reader) truth(variable, value string) bool {
	v, err := strconv.ParseBool(value)
	if err != nil {
		r.complain(variable, "%q is neither true nor false", value)
	}
	return v
}

// secret returns a secret that stands either in the variable or in the file that its twin names.
func (r *reader) secret(variable, value, file string) string {
	if file == "" {
		return value
	}
	if value != "" {
		r.complain(variable, "is set, and %s_%s_FILE as well; set one of them", prefix, variable)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		r.complain(variable+"_FILE", "%w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
}

func (r *reader) zone() *time.Location {
	zone, err := time.LoadLocation(r.MeterTimezone)
	if err != nil || r.MeterTimezone == "" {
		r.complain("METER_TIMEZONE", "%q is no time zone such as Asia/Shanghai", r.MeterTimezone)
		return time.UTC
	}
	return zone
}

func (r *reader) root() string {
	if !isTopic(r.Topic) {
		r.complain("TOPIC", "%q is no topic root: no wildcards, spaces, control characters or empty levels, and no $ in front", r.Topic)
	}
	return r.Topic
}

// discovery returns the prefix of Home Assistant's topics; empty: it is told nothing.
func (r *reader) discovery() string {
	const off = "off"
	switch prefix := r.Discovery; {
	case prefix == off:
		return ""
	case !isTopic(prefix):
		r.complain("DISCOVERY", "%q is no topic prefix: no wildcards, spaces, control characters or empty levels, and no $ in front; %s tells Home Assistant nothing", prefix, off)
	case strings.HasPrefix(r.Topic+"/", prefix+"/") || strings.HasPrefix(prefix+"/", r.Topic+"/"):
		r.complain("DISCOVERY", "%q and DLT645_TOPIC, %q, must not lie within each other", prefix, r.Topic)
	}
	return r.Discovery
}

// isTopic tells whether a text can stand before the rest of a topic. Brokers end the connection
// of who sends them control characters or broken UTF-8 (MQTT 5, 1.5.4); a line end of Windows,
// left in a file of variables, is one.
func isTopic(text string) bool {
	return !strings.ContainsAny(text, "+# ") && !strings.ContainsFunc(text, unicode.IsControl) && utf8.ValidString(text) &&
		!strings.HasPrefix(text, "/") && !strings.HasSuffix(text, "/") &&
		!strings.HasPrefix(text, "$") && !strings.Contains(text, "//")
}

// brokerPorts are the ports of brokers that are not named in the URL.
var brokerPorts = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443", "embedded": "1883"}

func (r *reader) readBroker(c *config) {
	password := r.secret("MQTT_PASSWORD", r.MQTT.Password, r.MQTT.PasswordFile)
	c.broker = bridge.Broker{Username: r.MQTT.Username, Password: password, ClientID: r.MQTT.ClientID}
	if password != "" && r.MQTT.Username == "" {
		r.complain("MQTT_PASSWORD", "is set without DLT645_MQTT_USERNAME")
	}
	if c.broker.ClientID == "" {
		c.broker.ClientID = "dlt645-mqtt-" + c.root
	}
	if r.MQTT.URL == "" {
		if _, set := os.LookupEnv("DLT645_MQTT_URL"); !set {
			r.complain("MQTT_URL", "is missing: say where the broker is, such as mqtt://192.168.1.10 (or try: dlt645-mqtt demo)")
		}
		return
	}
	u, err := url.Parse(r.MQTT.URL)
	if err != nil {
		// The error may show a password that somebody wrote into the URL.
		r.complain("MQTT_URL", "cannot be read: write it as in mqtt://192.168.1.10:1883, with user name and password in DLT645_MQTT_USERNAME and DLT645_MQTT_PASSWORD")
		return
	}
	port, known := brokerPorts[u.Scheme]
	switch {
	case !known:
		r.complain("MQTT_URL", "the scheme must be mqtt, mqtts, ws, wss or embedded, as in mqtt://192.168.1.10, not %q", u.Scheme)
		return
	case u.Hostname() == "":
		r.complain("MQTT_URL", "names no host: write %s://host:%s", u.Scheme, port)
		return
	case u.User != nil:
		r.complain("MQTT_URL", "put user name and password into DLT645_MQTT_USERNAME and DLT645_MQTT_PASSWORD, not into the URL")
	case !strings.HasPrefix(u.Scheme, "ws") && u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		r.complain("MQTT_URL", "has something behind the host, where nothing belongs")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	if n, err := strconv.Atoi(u.Port()); err != nil || n < 1 || n > 65535 {
		r.complain("MQTT_URL", "%q is no port from 1 to 65535", u.Port())
	}
	u.User = nil
	secure := u.Scheme == "mqtts" || u.Scheme == "wss"
	if !secure && (r.MQTT.CAFile != "" || r.MQTT.CertFile != "" || r.MQTT.KeyFile != "") {
		r.complain("MQTT_URL", "%s:// is not encrypted, so DLT645_MQTT_CA_FILE, _CERT_FILE and _KEY_FILE have no use: write mqtts:// or wss://", u.Scheme)
	}
	if secure {
		c.broker.TLS = r.tls(u.Hostname())
	}
	if u.Scheme == "embedded" {
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			r.complain("MQTT_URL", "the embedded broker has no passwords, so it serves only this machine: write embedded://127.0.0.1")
		}
		c.embedded = u.Host
		u = &url.URL{Scheme: "mqtt", Host: u.Host}
	}
	c.broker.URL = u
}

func (r *reader) tls(host string) *tls.Config {
	t := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if file := r.MQTT.CAFile; file != "" {
		pem, err := os.ReadFile(file)
		t.RootCAs = x509.NewCertPool()
		switch {
		case err != nil:
			r.complain("MQTT_CA_FILE", "%w", err)
		case !t.RootCAs.AppendCertsFromPEM(pem):
			r.complain("MQTT_CA_FILE", "%s has no certificate in PEM form", file)
		}
	}
	switch cert, key := r.MQTT.CertFile, r.MQTT.KeyFile; {
	case cert == "" && key == "":
	case cert == "" || key == "":
		r.complain("MQTT_CERT_FILE", "and DLT645_MQTT_KEY_FILE belong together; one of them is missing")
	default:
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			r.complain("MQTT_CERT_FILE", "%w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t
}

func (r *reader) readBus(c *config) {
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

// busConfig reads a bus URL, of simulated meters too.
func busConfig(text string) (bus.Config, error) {
	return bus.ParseURL(text, map[string]bus.OpenFunc{"sim": openSimulated})
}

// openSimulated makes simulated meters for a bus URL such as sim://?meters=4.
func openSimulated(settings *bus.Settings, parameters url.Values) (bus.Opener, error) {
	parameters.Set("baud", strconv.Itoa(settings.Baud))
	line, err := simulator.Open(parameters)
	if err != nil {
		return nil, err
	}
	return func(context.Context) (bus.Port, error) { return line.Port(), nil }, nil
}

var meterName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

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

// levels says which password level a class cannot do without.
var levels = map[string]string{"relay": "02", "write": "04"}

func (r *reader) readAllow(c *config) {
	c.allow = map[string]bool{}
	for class := range strings.SplitSeq(r.Allow, ",") {
		if class = strings.TrimSpace(class); class == "" {
			continue
		}
		if !slices.Contains(bridge.Classes, class) {
			r.complain("ALLOW", "%q is no class of requests; there are %s", class, strings.Join(bridge.Classes, ", "))
			continue
		}
		c.allow[class] = true
		if level := levels[class]; level != "" && !c.hasPassword(level) {
			r.complain("ALLOW", "%s needs a meter password of level %s: set DLT645_METER_PASSWORD", class, level)
		}
	}
	if c.allow["maintenance"] && !c.hasPassword("") {
		r.complain("ALLOW", "maintenance needs a meter password: set DLT645_METER_PASSWORD")
	}
}

func allDigits(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789") == ""
}
