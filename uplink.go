package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kelseyhightower/envconfig"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/uplink"
	"dlt645-mqtt/uplink/dialect"
)

const uplinkPrefix = prefix + "_UPLINK"

// An uplinkEnvironment holds the variables of the uplink as they are written. The local broker's
// are those of the bridge.
type uplinkEnvironment struct {
	Cloud         string `desc:"json, aliyun, tencent, huawei, onenet, jetlinks or thingsboard"`
	URL           string `desc:"the cloud's address: mqtt://host[:1883], mqtts://host[:8883], ws:// or wss://; some clouds have one by their identity"`
	CAFile        string `split_words:"true" desc:"PEM file of the authority that signed the cloud's certificate; else the system's"`
	Product       string `desc:"product key or product id of the gateway"`
	Device        string `desc:"device name or device id of the gateway"`
	Secret        string `desc:"its secret; thingsboard: the access token, jetlinks: secureId:secureKey, json: the password"`
	SecretFile    string `split_words:"true" desc:"file with the secret"`
	Username      string `desc:"json, thingsboard: a user name, with the secret as its password"`
	ClientID      string `split_words:"true" desc:"json, thingsboard: a client id"`
	Devices       string `desc:"CSV file root,meter,product,device,secret,prefix: what the cloud calls the meters; without it the gateway has all values (flat mode)"`
	Keys          string `desc:"CSV file item,key: what the cloud calls the items, as in voltage_a,ua"`
	Roots         string `default:"dlt645" desc:"roots of the bridges, by commas"`
	Commands      string `desc:"what the cloud may ask, of read, relay, config; nothing unless set"`
	Undated       string `default:"refuse" desc:"commands without a time: refuse, or accept"`
	MinInterval   string `split_words:"true" default:"0s" desc:"at most one post of a meter in so long"`
	Backfill      string `default:"off" desc:"item of history to read after a gap, such as load_record_4 or daily_freeze_forward_active_energy; or off"`
	BackfillAfter string `split_words:"true" default:"5m" desc:"the shortest gap after which history is read"`
	HTTP          string `desc:"address such as :9646 that serves /metrics, /healthz and /readyz of the uplink"`
	Topic         string `default:"up/{device}" desc:"json: the topic of reports; events come under …/event, calls under …/call"`
	Time          string `default:"ms" desc:"json: the form of times, ms, s, text or none"`
	Constants     string `desc:"json: members that each report has, as in sn=1234,site=north"`
	TopicPrefix   string `split_words:"true" desc:"aliyun: what topics begin with, for platforms that look like it; else /sys"`
	SignMethod    string `split_words:"true" desc:"aliyun, tencent: hmacsha256, hmacsha1 or hmacmd5; onenet: sha256, sha1 or md5"`
}

// optionalUplink names those that may be set to nothing.
var optionalUplink = []string{"UPLINK_URL", "UPLINK_CA_FILE", "UPLINK_PRODUCT", "UPLINK_DEVICE", "UPLINK_SECRET", "UPLINK_SECRET_FILE", "UPLINK_USERNAME", "UPLINK_CLIENT_ID", "UPLINK_DEVICES", "UPLINK_KEYS", "UPLINK_COMMANDS", "UPLINK_HTTP", "UPLINK_CONSTANTS", "UPLINK_TOPIC_PREFIX", "UPLINK_SIGN_METHOD"}

func readUplinkEnvironment() (e uplinkEnvironment) {
	if err := envconfig.Process(uplinkPrefix, &e); err != nil {
		panic(err) // all fields are strings
	}
	return e
}

// uplinkConfig reads what the uplink needs of the environment. needBroker is false for what works
// without connecting. The error has all complaints.
func uplinkConfig(needBroker bool) (uplink.Config, config, error) {
	r := configReader{environment: readEnvironment()}
	r.checkNames()
	e := readUplinkEnvironment()
	c := config{root: "uplink"}
	u := uplink.Config{Cloud: e.Cloud, HTTP: r.listenAddress("UPLINK_HTTP", e.HTTP)}
	if needBroker {
		r.readBroker(&c)
		if c.embedded != "" {
			r.complain("MQTT_URL", "the uplink brings no broker of its own: name the one that the bridges use")
		}
		u.Local = c.broker
	}
	if err := c.logLevel.UnmarshalText([]byte(r.LogLevel)); err != nil {
		r.complain("LOG_LEVEL", "%q is none of debug, info, warn, error", r.LogLevel)
	}
	c.logFormat = r.oneOf("LOG_FORMAT", r.LogFormat, "text", "json")
	for _, root := range uplinkRoots(e) {
		if root == "" || !isTopic(root) {
			r.complain("UPLINK_ROOTS", "%q is no topic root: no wildcards, spaces, control characters or empty levels, and no $ in front", root)
		} else if !slices.Contains(u.Roots, root) {
			u.Roots = append(u.Roots, root)
		}
	}
	u.Options = dialect.Options{
		Product: e.Product, Device: e.Device, Secret: r.secret("UPLINK_SECRET", e.Secret, e.SecretFile), Username: e.Username, ClientID: e.ClientID,
		Prefix: e.TopicPrefix, SignMethod: e.SignMethod, Topic: e.Topic, TimeForm: e.Time,
	}
	r.readUplinkURL(&u, e)
	r.readUplinkFiles(&u, e)
	for command := range strings.SplitSeq(e.Commands, ",") {
		if command = strings.TrimSpace(command); command == "" {
			continue
		}
		r.oneOf("UPLINK_COMMANDS", command, "read", "relay", "config")
		u.Options.Commands = append(u.Options.Commands, command)
	}
	u.Undated = r.oneOf("UPLINK_UNDATED", e.Undated, "refuse", "accept") == "accept"
	var err error
	if u.MinInterval, err = time.ParseDuration(e.MinInterval); err != nil || u.MinInterval < 0 || u.MinInterval > 24*time.Hour {
		r.complain("UPLINK_MIN_INTERVAL", "%q is no duration from 0s to 24h, such as 5m", e.MinInterval)
	}
	u.Backfill = r.backfill(e.Backfill)
	if u.BackfillAfter, err = time.ParseDuration(e.BackfillAfter); err != nil || u.BackfillAfter < time.Second || u.BackfillAfter > 24*time.Hour {
		r.complain("UPLINK_BACKFILL_AFTER", "%q is no duration from 1s to 24h, such as 5m", e.BackfillAfter)
	}
	switch {
	case e.Cloud == "":
		r.complain("UPLINK_CLOUD", "is missing: say which cloud it is, of %s", strings.Join(dialect.Names(), ", "))
	case !slices.Contains(dialect.Names(), e.Cloud):
		r.complain("UPLINK_CLOUD", "%q is no cloud; there are %s", e.Cloud, strings.Join(dialect.Names(), ", "))
	}
	return u, c, errors.Join(r.complaints...)
}

// uplinkRoots returns the roots of the bridges as they are written, without the blanks around them.
func uplinkRoots(e uplinkEnvironment) (roots []string) {
	if e.Roots == "" { // of which is complained already
		return nil
	}
	for root := range strings.SplitSeq(e.Roots, ",") {
		roots = append(roots, strings.TrimSpace(root))
	}
	return roots
}

// backfill returns the item of history that is read after a gap; empty: none. It must be one that a protocol reads.
func (r *configReader) backfill(item string) string {
	if item == "off" || item == "" { // that it is empty is complained of already
		return ""
	}
	var why error
	for _, p := range []protocol.Protocol{dlt645.New(dlt645.V2007, time.UTC), dlt698.New(time.UTC)} {
		address, err := p.ParseAddress("000000000001")
		if err == nil {
			_, err = p.Plan(protocol.Request{Verb: protocol.VerbRead, Address: address, Items: []string{item}, From: time.Unix(0, 0)}, nothingKnown{})
		}
		if err == nil {
			return item
		}
		why = cmp.Or(why, err)
	}
	r.complain("UPLINK_BACKFILL", "%q is no item of history: %w", item, why)
	return item
}

// nothingKnown is a meter of which nothing was learned.
type nothingKnown struct{}

func (nothingKnown) Lacks(string) bool     { return false }
func (nothingKnown) Learned(string) string { return "" }

// readUplinkURL reads where the cloud is.
func (r *configReader) readUplinkURL(u *uplink.Config, e uplinkEnvironment) {
	ports := map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}
	if e.URL != "" {
		address, err := url.Parse(e.URL)
		switch {
		case err != nil || address.Hostname() == "" || ports[address.Scheme] == "":
			r.complain("UPLINK_URL", "write it as mqtts://host:8883, or with mqtt, ws or wss")
			return
		case address.User != nil:
			r.complain("UPLINK_URL", "has a user name or a password in it: the identity stands in DLT645_UPLINK_PRODUCT, _DEVICE and _SECRET")
			return
		case !strings.HasPrefix(address.Scheme, "ws") && address.Path != "" && address.Path != "/" || address.RawQuery != "" || address.Fragment != "":
			r.complain("UPLINK_URL", "has something behind the host, where nothing belongs")
			return
		case address.Port() == "":
			address.Host += ":" + ports[address.Scheme]
		}
		if n, err := strconv.Atoi(address.Port()); err != nil || n < 1 || n > 65535 {
			r.complain("UPLINK_URL", "%q is no port from 1 to 65535", address.Port())
			return
		}
		u.URL = address
		u.Options.Insecure = address.Scheme == "mqtt" || address.Scheme == "ws"
		if u.Options.Insecure && e.CAFile != "" {
			r.complain("UPLINK_CA_FILE", "%s:// is not encrypted, so a certificate has no use: write mqtts:// or wss://", address.Scheme)
		}
	}
	if e.CAFile != "" {
		// The same files, checks and messages as those of the local broker.
		other := configReader{environment: r.environment}
		other.MQTT.CAFile, other.MQTT.CertFile, other.MQTT.KeyFile = e.CAFile, "", ""
		u.TLS = other.tls()
		for _, err := range other.complaints {
			r.complaints = append(r.complaints, errors.New(strings.Replace(err.Error(), "_MQTT_", "_UPLINK_", 1)))
		}
	}
}

// readUplinkFiles reads the devices and the keys.
func (r *configReader) readUplinkFiles(u *uplink.Config, e uplinkEnvironment) {
	var err error
	if u.Options.Devices, err = devicesOf(e.Devices, u.Roots); err != nil {
		r.complain("UPLINK_DEVICES", "%w", err)
	}
	if u.Keys, err = keysOf(e.Keys); err != nil {
		r.complain("UPLINK_KEYS", "%w", err)
	}
	for pair := range strings.SplitSeq(e.Constants, ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			r.complain("UPLINK_CONSTANTS", "%q is not name=value", pair)
			continue
		}
		u.Options.Constants = append(u.Options.Constants, dialect.Text(name, value))
	}
}

// devicesOf reads the file of the devices, if one is named.
func devicesOf(file string, roots []string) (devices []dialect.Device, err error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err == nil {
		devices, err = uplink.ReadDevices(data, roots)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return devices, nil
}

// keysOf reads the file of the keys, if one is named.
func keysOf(file string) (keys uplink.Keys, err error) {
	if file == "" {
		return nil, nil
	}
	data, err := os.ReadFile(file)
	if err == nil {
		keys, err = uplink.ReadKeys(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

// runUplink is the way to a cloud, or what prepares one: model, check, sign.
func runUplink(ctx context.Context, arguments []string, _ io.Reader, out, stderr io.Writer) int {
	if len(arguments) > 0 {
		switch arguments[0] {
		case "model":
			return runUplinkModel(arguments[1:], out, stderr)
		case "check":
			return runUplinkCheck(arguments[1:], out, stderr)
		case "sign":
			return runUplinkSign(arguments[1:], out, stderr)
		}
	}
	flags := newFlags("uplink", "[model | check | sign]", "Carries what bridges publish to a cloud, and what the cloud asks to the bridges, as the variables DLT645_UPLINK_… say.\nmodel prints the thing model of a point table, to be imported into the cloud; check says what the cloud would refuse;\nsign shows what the gateway logs in with. Each says more with -help.", stderr)
	if status, done := parseOptions(flags, arguments); done {
		return status
	}
	u, c, err := uplinkConfig(true)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	u.Log = newLog(stderr, c.logFormat, c.logLevel)
	if err := checkItems(u); err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	link, err := uplink.New(u)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	if err := link.Run(ctx); err != nil {
		complain(stderr, "the uplink has stopped", err)
		return 1
	}
	return 0
}

// uplinkFlags are the options that model and check share.
type uplinkFlags struct {
	*flag.FlagSet
	cloud, table, keys, devices *string
}

func newUplinkFlags(name, text string, stderr io.Writer) uplinkFlags {
	f := newFlags(name, "", text, stderr)
	e := readUplinkEnvironment()
	return uplinkFlags{
		f, f.String("cloud", e.Cloud, "the `cloud`, instead of DLT645_UPLINK_CLOUD"),
		f.String("points", readEnvironment().Points, "the point table, a CSV `file` or basic, instead of DLT645_POINTS"),
		f.String("keys", e.Keys, "the `file` item,key, instead of DLT645_UPLINK_KEYS"),
		f.String("devices", e.Devices, "the `file` of the devices, instead of DLT645_UPLINK_DEVICES: where it has prefixes, each key has its meter's"),
	}
}

// properties reads the items of the point table as properties of a thing model.
func (f *uplinkFlags) properties() ([]dialect.Property, config, error) {
	devices, err := devicesOf(*f.devices, uplinkRoots(readUplinkEnvironment()))
	if err != nil {
		return nil, config{}, err
	}
	keys, err := keysOf(*f.keys)
	if err != nil {
		return nil, config{}, err
	}
	return pointProperties(*f.cloud, *f.table, devices, keys)
}

// pointProperties returns the items of a point table as properties of a thing model.
func pointProperties(cloud, table string, devices []dialect.Device, keys uplink.Keys) ([]dialect.Property, config, error) {
	if err := nameMeters(table, devices); err != nil {
		return nil, config{}, err
	}
	if os.Getenv("DLT645_BUS_URL") == "" {
		if err := os.Setenv("DLT645_BUS_URL", "sim://"); err != nil { // it is not opened
			return nil, config{}, err
		}
	}
	if err := os.Setenv("DLT645_POINTS", table); err != nil {
		return nil, config{}, err
	}
	c, err := readConfig(false)
	if err != nil {
		return nil, config{}, err
	}
	return uplink.Properties(cloud, polled(c), devices, keys), c, nil
}

// nameMeters sets DLT645_METERS, unless it is set, to the names in the point table and the devices file, with
// addresses that nobody asks: a model is about items.
func nameMeters(table string, devices []dialect.Device) error {
	if os.Getenv("DLT645_METERS") != "" {
		return nil
	}
	var names []string
	add := func(name string) {
		if isMeterName(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, d := range devices {
		add(d.Meter)
	}
	if table != points.BasicText && table != points.OffText {
		data, err := os.ReadFile(table)
		if err != nil {
			return err
		}
		for _, name := range points.Meters(data) {
			add(name)
		}
	}
	if names == nil {
		names = []string{"meter"}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%s=%012d", name, i+1)
	}
	return os.Setenv("DLT645_METERS", strings.Join(names, ","))
}

// polled returns what the point table has of each meter, in its order.
func polled(c config) (all []uplink.Polled) {
	relays := map[string]string{} // the items that say how the relays of meters are
	for _, m := range c.meters {
		if catalogue, ok := m.Protocol.(protocol.Catalogue); ok {
			relays[m.Name] = catalogue.Playing(protocol.RoleRelay)
		}
	}
	for _, p := range c.points.Points {
		i := slices.IndexFunc(all, func(of uplink.Polled) bool { return of.Meter == p.Meter })
		if i < 0 {
			i = len(all)
			all = append(all, uplink.Polled{Meter: p.Meter})
		}
		description := p.Description
		description.Name = p.Item
		all[i].Items = append(all[i].Items, description)
		if relay := relays[p.Meter]; relay != "" && (relay == p.Item || strings.HasPrefix(relay, p.Item+".")) {
			all[i].Relay = true
		}
	}
	return all
}

// checkItems says what the cloud would not take of the names in the point table, if DLT645_POINTS names one.
func checkItems(u uplink.Config) error {
	table := readEnvironment().Points
	if os.Getenv(prefix+"_POINTS") == "" {
		return nil
	}
	properties, _, err := pointProperties(u.Cloud, table, u.Options.Devices, u.Keys)
	if err != nil {
		u.Log.Warn("the point table cannot be read, so that its names are not checked before they come", "err", err)
		return nil
	}
	found, err := uplink.Check(u.Cloud, properties, nil)
	if err != nil {
		return err
	}
	var complaints []error
	for _, complaint := range found {
		complaints = append(complaints, errors.New(complaint))
	}
	return errors.Join(complaints...)
}

func runUplinkModel(arguments []string, out, stderr io.Writer) int {
	f := newUplinkFlags("uplink model", "Prints the thing model of a point table as the cloud imports it: "+strings.Join(dialect.Models(), ", ")+".\nDLT645_LANGUAGE=zh gives Chinese names.", stderr)
	product := f.String("product", readUplinkEnvironment().Product, "the product key or id that stands in it")
	relay := f.Bool("relay", false, "with the service that switches the relay")
	if status, done := parseOptions(f.FlagSet, arguments); done {
		return status
	}
	properties, c, err := f.properties()
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	model, err := dialect.WriteModel(*f.cloud, dialect.Model{Product: *product, Properties: properties, Relay: *relay, Chinese: c.language == "zh"})
	if err != nil {
		complain(stderr, "uplink model", err)
		return 1
	}
	fmt.Fprintf(out, "%s\n", model)
	return 0
}

func runUplinkCheck(arguments []string, out, stderr io.Writer) int {
	f := newUplinkFlags("uplink check", "Says what the cloud would refuse of a point table: keys that are too long, or that its model does not have, or of another\ntype. For each it prints a line for the file of DLT645_UPLINK_KEYS. Exit 1 if there is anything.", stderr)
	model := f.String("model", "", "the thing model as the cloud exports it, a JSON `file`")
	if status, done := parseOptions(f.FlagSet, arguments); done {
		return status
	}
	properties, _, err := f.properties()
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	var exported []byte
	if *model != "" {
		if exported, err = os.ReadFile(*model); err != nil {
			complain(stderr, "uplink check", err)
			return 1
		}
	}
	found, err := uplink.Check(*f.cloud, properties, exported)
	if err != nil {
		complain(stderr, "uplink check", err)
		return 1
	}
	for _, complaint := range found {
		fmt.Fprintln(out, say(complaint))
	}
	if len(found) > 0 {
		return 1
	}
	sayf(out, "%d items, nothing that %s would refuse\n", len(properties), *f.cloud)
	return 0
}

func runUplinkSign(arguments []string, out, stderr io.Writer) int {
	flags := newFlags("uplink sign", "", "Shows what the gateway logs in with, for other MQTT programs: address, client id, user name, and the length of the\npassword. -show shows the password as well. What no option says is taken from the variables DLT645_UPLINK_….", stderr)
	e := readUplinkEnvironment()
	options := map[string]*string{
		"CLOUD":       flags.String("cloud", e.Cloud, "the `cloud`, instead of DLT645_UPLINK_CLOUD"),
		"URL":         flags.String("url", e.URL, "the cloud's `address`, instead of DLT645_UPLINK_URL"),
		"PRODUCT":     flags.String("product", e.Product, "the product key or id, instead of DLT645_UPLINK_PRODUCT"),
		"DEVICE":      flags.String("device", e.Device, "the device name or id, instead of DLT645_UPLINK_DEVICE"),
		"SECRET_FILE": flags.String("secret-file", e.SecretFile, "a `file` with the secret, instead of DLT645_UPLINK_SECRET and DLT645_UPLINK_SECRET_FILE"),
		"SIGN_METHOD": flags.String("sign-method", e.SignMethod, "the `method`, instead of DLT645_UPLINK_SIGN_METHOD"),
	}
	show := flags.Bool("show", false, "show the password")
	if status, done := parseOptions(flags, arguments); done {
		return status
	}
	if err := setUplinkVariables(flags, options); err != nil {
		complain(stderr, "uplink sign", err)
		return 1
	}
	u, _, err := uplinkConfig(false)
	if err != nil {
		complain(stderr, "the configuration cannot be used", err)
		return statusConfiguration
	}
	d, err := uplink.NewDialect(u)
	if err != nil {
		complain(stderr, "uplink sign", err)
		return statusConfiguration
	}
	login := d.Login(time.Now())
	address := d.Traits().Host
	switch {
	case u.URL != nil:
		address = u.URL.Redacted()
	case address == "":
		address = "unknown: " + u.Cloud + " has none of its own, give -url or DLT645_UPLINK_URL"
	}
	password := fmt.Sprintf("%d characters", len(login.Password))
	if *show {
		password = login.Password
	}
	sayf(out, "address    %s\nclient id  %s\nuser name  %s\npassword   %s\nkeep alive %s\nMQTT       3.1.1, clean session\n", address, login.ClientID, shownUser(u.Cloud, login.Username, *show), password, login.KeepAlive)
	return 0
}

// setUplinkVariables sets the variables of the options that were given, so that one place reads all.
func setUplinkVariables(flags *flag.FlagSet, options map[string]*string) error {
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if given["secret-file"] { // else both would be set
		if err := os.Unsetenv(uplinkPrefix + "_SECRET"); err != nil {
			return err
		}
	}
	for name, value := range options {
		if !given[strings.ReplaceAll(strings.ToLower(name), "_", "-")] {
			continue
		}
		if err := os.Setenv(uplinkPrefix+"_"+name, *value); err != nil {
			return err
		}
	}
	return nil
}

// shownUser hides a user name that is a secret itself: ThingsBoard's access token.
func shownUser(cloud, user string, show bool) string {
	if cloud == "thingsboard" && !show {
		return fmt.Sprintf("%d characters", len(user))
	}
	return user
}
