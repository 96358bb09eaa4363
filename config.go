package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // containers have no zone files
	"unicode"
	"unicode/utf8"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/modbus"
)

const prefix = "DLT645"

// An environment holds the variables as they are written. All are strings, so that reading
// them cannot fail halfway and every complaint is made at once; a default stands here and
// nowhere else, for help and README are made from this struct.
type environment struct {
	MQTT struct {
		URL          string `desc:"broker: mqtt://host[:1883], mqtts://, ws://, wss://; several by commas are tried in order; embedded://127.0.0.1[:1883] brings its own, for trying out"`
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
		URL string `desc:"serial:///dev/ttyUSB0, tcp://host:port, rfc2217://host:port, udp://host:port, listen://:port?register=TEXT, mqtt:?up=TOPIC&down=TOPIC or sim://?meters=4; its parameters stand below"`
	}
	Meters             string `desc:"named meters: main=000000000001,shop=112233445566@1997,grid=000000000010@698,water=00001234567890@188,rail=7@modbus/dtsu666; AAAAAAAAAAAA is the only meter on the wire. On serial://, rfc2217:// and sim:// a meter may have a speed of its own: old=112233445566@1997?baud=1200&parity=none&stop=1"`
	MeterNames         string `split_words:"true" desc:"what people call the meters, for Home Assistant and the console: main=总表,shop=商铺"`
	Protocol           string `default:"2007" desc:"protocol of meters without @: 2007, 1997, 698, 188 or modbus/MODEL"`
	Items              string `desc:"CSV file with items of one's own: what makers add to the standard or lay out otherwise"`
	ModbusMaps         string `split_words:"true" desc:"folder with register maps of one's own, MODEL.csv for modbus/MODEL"`
	Points             string `default:"basic" desc:"what is polled: basic (energy, power, voltages, currents and status word 3 of the named meters, each minute), off, or a CSV file"`
	Allow              string `default:"read" desc:"allowed classes of requests, of read, write, relay, maintenance, broadcast, raw, config"`
	MeterPassword      string `split_words:"true" desc:"meter passwords, level first: 02123456,04000000"`
	MeterPasswordFile  string `split_words:"true" desc:"file with the meter passwords"`
	MeterPasswordsFile string `split_words:"true" desc:"file with passwords by meter, lines such as main=02123456,04000000 or shop=hex,02A1B2C3,operator=0000C0DE"`
	OperatorCode       string `split_words:"true" default:"00000000" desc:"operator code in commands, 8 digits, sent low byte first"`
	RelayValid         string `split_words:"true" default:"5m" desc:"how long a relay command stays valid for the meter"`
	MeterTimezone      string `split_words:"true" default:"Asia/Shanghai" desc:"zone of the meters' clocks and of the times in replies"`
	Clock              string `default:"auto" desc:"auto, or trusted: set meters' clocks although the host does not call its own synchronised"`
	Discovery          string `default:"homeassistant" desc:"topic prefix of Home Assistant discovery, or off"`
	Language           string `default:"en" desc:"en or zh, for names and messages that people read"`
	HTTP               string `desc:"address such as :9645 that serves /metrics, /healthz and /readyz"`
	Console            string `default:"false" desc:"serve the console there as well, a page to read, switch and watch the meters"`
	ConsoleHosts       string `split_words:"true" desc:"names by which browsers reach the console, such as meters.example.com behind a reverse proxy; IP addresses, names without a dot and .local are always taken"`
	Site               string `desc:"what people call the place of this bridge, for lists of many; it stands on bridge/info"`
	Queue              string `default:"1000" desc:"requests that may wait; beyond, the answer is busy"`
	Readings           string `default:"false" desc:"publish each reading of a point, changed or not, on {root}/meter/{meter}/readings, for databases"`
	Trace              string `default:"false" desc:"publish every frame on {root}/bridge/frame"`
	LogLevel           string `split_words:"true" default:"info" desc:"debug, info, warn or error"`
	LogFormat          string `split_words:"true" default:"text" desc:"text or json"`
}

// optional names the variables that may be set to nothing.
var optional = []string{
	"MQTT_USERNAME", "MQTT_PASSWORD", "MQTT_PASSWORD_FILE", "MQTT_CA_FILE", "MQTT_CERT_FILE", "MQTT_KEY_FILE", "MQTT_CLIENT_ID",
	"METERS", "METER_NAMES", "SITE", "ITEMS", "MODBUS_MAPS", "METER_PASSWORD", "METER_PASSWORD_FILE", "METER_PASSWORDS_FILE", "HTTP", "CONSOLE_HOSTS",
}

// A config is the environment, understood.
type config struct {
	broker     mqtt.Broker
	embedded   string // address of the broker to bring along; empty: none
	root       string
	bus        bus.Config
	protocols  map[string]protocol.Protocol
	protocol   protocol.Protocol
	meters     []meters.Meter
	ownItems   *ownTable // nil: none
	allow      map[string]bool
	passwords  map[protocol.MeterKey]map[string]string
	operator   string
	operators  map[protocol.MeterKey]string // of single meters
	relayValid time.Duration
	clock      func() error
	points     *points.Table
	discovery  string // topic prefix; empty: off
	language   string
	zone       *time.Location
	http       string
	httpTries  int // ports beyond that of http that are tried if it is taken
	console    bool
	hosts      []string     // names of the console
	listener   net.Listener // of http, once it is open
	pages      http.Handler // the console, likewise
	supervisor *supervisor  // Home Assistant's, if the bridge is an app of it
	trace      bool
	site       string
	readings   bool
	logLevel   slog.Level
	logFormat  string
}

// A configReader turns variables into a config and collects every complaint on the way.
type configReader struct {
	environment
	complaints []error
}

// complain notes what is wrong with a variable, whose prefix it adds.
func (r *configReader) complain(variable, format string, arguments ...any) {
	r.complaints = append(r.complaints, fmt.Errorf("%s_%s: %w", prefix, variable, fmt.Errorf(format, arguments...)))
}

// readConfig reads the environment; needBroker says whether the command speaks MQTT. The
// error has all complaints, one a line.
func readConfig(needBroker bool) (config, error) {
	r := configReader{environment: readEnvironment()}
	r.checkNames()
	c := config{}
	c.zone = r.zone()
	c.protocols = newProtocols(c.zone)
	r.readModbusMaps(&c)
	r.readOwnItems(&c)
	c.protocol = c.protocols[r.Protocol]
	if c.protocol == nil {
		r.complain("PROTOCOL", "%q is no protocol; there are %s", r.Protocol, c.protocolNames())
		c.protocol = c.protocols[dlt645.V2007.String()]
	}
	c.root = r.root()
	r.readBus(&c)
	if needBroker || c.bus.Topics != nil && r.MQTT.URL != "" {
		r.readBroker(&c)
	}
	if c.bus.Topics != nil {
		r.readTopics(&c, needBroker)
	}
	r.readMeters(&c)
	r.readMeterNames(&c)
	r.complainOfUnused(&c)
	r.readPasswords(&c)
	r.readAllow(&c)
	c.points = r.points(&c)
	c.http = r.listenAddress("HTTP", r.HTTP)
	r.readConsole(&c)
	c.site = r.site()
	c.trace = r.truth("TRACE", r.Trace)
	c.readings = r.truth("READINGS", r.Readings)
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
	all := map[string]protocol.Protocol{}
	for _, p := range []protocol.Protocol{
		dlt645.New(dlt645.V2007, zone), dlt645.New(dlt645.V1997, zone), dlt698.New(zone), cjt188.New(zone), modbus.Any(),
	} {
		all[p.Name()] = p
	}
	for _, model := range modbus.Models() {
		if m, ok := modbus.BuiltIn(model); ok {
			all[modbus.Name+"/"+model] = modbus.New(m)
		}
	}
	return all
}

// inOrder returns the names of protocols: those of DL/T 645 first, the register maps of Modbus last.
func inOrder(protocols map[string]protocol.Protocol) []string {
	names := slices.Collect(maps.Keys(protocols))
	rank := func(name string) int {
		switch family := protocols[name].Family(); {
		case family == protocols[dlt645.V2007.String()].Family():
			return 0
		case family == modbus.Name:
			return 2
		}
		return 1
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
	return names
}

func (c *config) protocolNames() string { return strings.Join(inOrder(c.protocols), ", ") }

func (r *configReader) oneOf(variable, value string, allowed ...string) string {
	if !slices.Contains(allowed, value) {
		r.complain(variable, "%q is none of %s", value, strings.Join(allowed, ", "))
	}
	return value
}

func (r *configReader) truth(variable, value string) bool {
	v, err := strconv.ParseBool(value)
	if err != nil {
		r.complain(variable, "%q is neither true nor false", value)
	}
	return v
}

// secret returns a secret that stands either in the variable or in the file that its twin names.
func (r *configReader) secret(variable, value, file string) string {
	if file == "" {
		return value
	}
	if value != "" {
		r.complain(variable, "is set, and %s_%s_FILE (%s) as well; set one of them", prefix, variable, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		r.complain(variable+"_FILE", "%w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
}

func (r *configReader) zone() *time.Location {
	zone, err := time.LoadLocation(r.MeterTimezone)
	if err != nil || r.MeterTimezone == "" {
		r.complain("METER_TIMEZONE", "%q is no time zone such as Asia/Shanghai", r.MeterTimezone)
		return time.UTC
	}
	return zone
}

func (r *configReader) root() string {
	if !isTopic(r.Topic) {
		r.complain("TOPIC", "%q is no topic root: no wildcards, spaces, control characters or empty levels, and no $ in front", r.Topic)
	}
	return r.Topic
}

// listenAddress returns the address of a variable, at which something is served; empty: it is served nowhere.
func (r *configReader) listenAddress(variable, address string) string {
	if address == "" {
		return ""
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		r.complain(variable, "%q is no address with a port, such as :9645", address)
	}
	return address
}

// discovery returns the prefix of Home Assistant's topics; empty: it is told nothing.
func (r *configReader) discovery() string {
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

// site returns what people call the place.
func (r *configReader) site() string {
	if len(r.Site) > 100 || !utf8.ValidString(r.Site) || strings.ContainsFunc(r.Site, unicode.IsControl) {
		r.complain("SITE", "%q is no name for people: at most 100 bytes of text", r.Site)
	}
	return r.Site
}

// isTopic reports whether a text can stand before the rest of a topic. Brokers end the connection
// of who sends them control characters or broken UTF-8 (MQTT 5, 1.5.4); a line end of Windows,
// left in a file of variables, is one.
func isTopic(text string) bool {
	return !strings.ContainsAny(text, "+# ") && !strings.ContainsFunc(text, unicode.IsControl) && utf8.ValidString(text) &&
		!strings.HasPrefix(text, "/") && !strings.HasSuffix(text, "/") &&
		!strings.HasPrefix(text, "$") && !strings.Contains(text, "//")
}

// orFile names the file with the meters' passwords, if there is one, to whoever misses a password.
func (r *configReader) orFile() string {
	if r.MeterPasswordFile == "" {
		return ""
	}
	return ", or write it into " + r.MeterPasswordFile
}

// readAllow reads the classes of requests. It needs the passwords, which come before it.
func (r *configReader) readAllow(c *config) {
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
		switch level, needed := c.neededLevel(protocol.Verb(class)); {
		case !needed:
		case level == "" && !c.hasPassword(""):
			r.complain("ALLOW", "%s needs a meter password: set DLT645_METER_PASSWORD%s", class, r.orFile())
		case level != "" && !c.hasPassword(level):
			r.complain("ALLOW", "%s needs a meter password of level %s: set DLT645_METER_PASSWORD%s", class, level, r.orFile())
		}
	}
}

// neededLevel returns the level of the password that all actions of a verb take which take one; empty: they take
// several. needed is false if none of them does, in the protocols of the named meters, or of those without a name if none
// has one.
func (c *config) neededLevel(verb protocol.Verb) (level string, needed bool) {
	spoken := []protocol.Protocol{}
	for _, m := range c.meters {
		spoken = append(spoken, m.Protocol)
	}
	if len(spoken) == 0 {
		spoken = append(spoken, c.protocol)
	}
	for _, p := range spoken {
		for _, action := range p.Actions(verb) {
			switch {
			case action.Level == "":
			case !needed:
				level, needed = action.Level, true
			case level != action.Level:
				level = ""
			}
		}
	}
	if level == protocol.AnyLevel {
		level = ""
	}
	return level, needed
}

func allDigits(s string, length int) bool {
	return len(s) == length && strings.Trim(s, "0123456789") == ""
}
