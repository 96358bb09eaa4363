package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/console"
)

// optionsFile is where Home Assistant's Supervisor writes what the user has set for an app.
var optionsFile = "/data/options.json"

// brokerTakes is how long the Supervisor may know no broker after our start: at the machine's start the
// broker's app begins when we do.
var brokerTakes = time.Minute

const optionsUnusable = "the app's options cannot be used"

// A supervisor is that of Home Assistant, which has started us as an app.
type supervisor struct {
	url, token string
	login      bool // the console asks for an account at the broker, as it does elsewhere
	wait       time.Duration
}

// supervised returns the Supervisor that has started us, nil if none has.
func supervised() *supervisor {
	token := os.Getenv("SUPERVISOR_TOKEN")
	if token == "" {
		return nil
	}
	s := &supervisor{url: "http://supervisor", token: token, wait: 2 * time.Second}
	if u := os.Getenv("SUPERVISOR_API"); u != "" {
		s.url = u
	}
	return s
}

// appOptions are the options of deploy/home-assistant/dlt645-mqtt/config.yaml.
type appOptions struct {
	Port          string      `json:"port"`
	Baud          json.Number `json:"baud"`
	Parity        string      `json:"parity"`
	URL           string      `json:"url"`
	Meters        string      `json:"meters"`
	Allow         []string    `json:"allow"`
	MeterPassword string      `json:"meter_password"`
	Language      string      `json:"language"`
	MQTTURL       string      `json:"mqtt_url"`
	MQTTUsername  string      `json:"mqtt_username"`
	MQTTPassword  string      `json:"mqtt_password"`
	ConsoleLogin  bool        `json:"console_login"`
	LogLevel      string      `json:"log_level"`
	Variables     []string    `json:"variables"`
}

// variable matches an entry of the option variables, as it stands in a file of variables or in a shell.
var variable = compiledOnce(`(?s)^\s*(?:export\s+)?(` + prefix + `_[A-Z0-9_]+)\s*=\s*(.*?)\s*$`)

// unquoted takes the quotes off a value that a shell would take off.
func unquoted(value string) string {
	for _, quote := range []string{`'`, `"`} {
		if inner, ok := strings.CutPrefix(value, quote); ok && strings.HasSuffix(inner, quote) {
			return strings.TrimSuffix(inner, quote)
		}
	}
	return value
}

// pastedMeters returns the list of meters that a user has pasted, be it with the name of the variable.
func pastedMeters(text string) string {
	text = strings.TrimSpace(text)
	if match := variable().FindStringSubmatch(text); match != nil && match[1] == prefix+"_METERS" {
		text = match[2]
	}
	return unquoted(text)
}

// readOptions reads what the user has set for the app, and what follows from being one, into variables that
// are not set. It does nothing where no Supervisor has started us.
func (s *supervisor) readOptions() error {
	if s == nil {
		return nil
	}
	text, err := os.ReadFile(optionsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // some other program's Supervisor
	}
	if err != nil {
		return err
	}
	var o appOptions
	if err := json.Unmarshal(text, &o); err != nil {
		return fmt.Errorf("%s: %w", optionsFile, err)
	}
	s.login = o.ConsoleLogin
	values, err := o.variables()
	if err != nil {
		return err
	}
	for name := range values {
		if _, set := os.LookupEnv(name); set {
			delete(values, name)
		}
	}
	return setVariables(values)
}

// variables returns what the options mean as variables. What stands among the user's own variables goes before.
func (o *appOptions) variables() (map[string]string, error) {
	values := map[string]string{
		"DLT645_BUS_URL":        strings.TrimSpace(o.URL),
		"DLT645_METERS":         pastedMeters(o.Meters),
		"DLT645_ALLOW":          strings.Join(o.Allow, ","),
		"DLT645_METER_PASSWORD": o.MeterPassword,
		"DLT645_LANGUAGE":       o.Language,
		"DLT645_MQTT_URL":       strings.TrimSpace(o.MQTTURL),
		"DLT645_MQTT_USERNAME":  o.MQTTUsername,
		"DLT645_MQTT_PASSWORD":  o.MQTTPassword,
		"DLT645_LOG_LEVEL":      o.LogLevel,
		"DLT645_HTTP":           ":9645", // ingress_port in config.yaml
		"DLT645_CONSOLE":        "true",
	}
	switch {
	case o.Port != "" && values["DLT645_BUS_URL"] != "":
		return nil, errors.New("the options port and url are both set; leave one of them empty")
	case o.Port != "":
		line := url.Values{}
		if o.Baud != "" {
			line.Set("baud", o.Baud.String())
		}
		if o.Parity != "" {
			line.Set("parity", o.Parity)
		}
		values["DLT645_BUS_URL"] = (&url.URL{Scheme: "serial", Path: o.Port, RawQuery: line.Encode()}).String()
	}
	for _, entry := range o.Variables {
		match := variable().FindStringSubmatch(entry)
		if match == nil {
			return nil, fmt.Errorf("the option variables has %q, which is not of the form DLT645_NAME=value", entry)
		}
		values[match[1]] = unquoted(match[2])
	}
	if values["DLT645_BUS_URL"] == "" {
		return nil, errors.New("nothing says where the meters are: choose the adapter in the option port, or write the address of a serial server into the option url, such as tcp://192.168.1.20:4001")
	}
	return values, nil
}

// errNoBroker is the state of a Supervisor to which no app has told that it is a broker.
var errNoBroker = errors.New("no MQTT broker is known to the Supervisor")

// useBroker asks the Supervisor for the broker, and sets the variables for it, unless one is set. It waits
// for a broker that starts when we do.
func (s *supervisor) useBroker(ctx context.Context, log *slog.Logger) error {
	if s == nil || os.Getenv("DLT645_MQTT_URL") != "" {
		return nil
	}
	for until := time.Now().Add(brokerTakes); ; {
		values, err := s.broker(ctx)
		if err == nil {
			return setVariables(values)
		}
		if !time.Now().Before(until) || ctx.Err() != nil {
			return fmt.Errorf("%w. Install the app Mosquitto broker and start it, then start this app again; or write the address of another broker into the option mqtt_url", err)
		}
		log.Info("waiting for the MQTT broker", "why", err)
		select {
		case <-ctx.Done():
		case <-time.After(s.wait):
		}
	}
}

// broker asks the Supervisor once. The answer is that of its API, /services/mqtt.
func (s *supervisor) broker(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/services/mqtt", nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the Supervisor for the MQTT broker: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	var answer struct {
		Result, Message string
		Data            struct {
			Host, Username, Password string
			Port                     int
			SSL                      bool
		}
	}
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer)
	switch {
	case answer.Result == "error" && response.StatusCode == http.StatusBadRequest: // "Service not enabled"
		return nil, errNoBroker
	case err != nil || answer.Result != "ok" || answer.Data.Host == "" || answer.Data.Port == 0:
		return nil, fmt.Errorf("the Supervisor does not tell where the MQTT broker is: status %s %s", response.Status, answer.Message)
	}
	scheme := "mqtt"
	if answer.Data.SSL {
		scheme = "mqtts"
	}
	return map[string]string{
		"DLT645_MQTT_URL":      scheme + "://" + net.JoinHostPort(answer.Data.Host, strconv.Itoa(answer.Data.Port)),
		"DLT645_MQTT_USERNAME": answer.Data.Username,
		"DLT645_MQTT_PASSWORD": answer.Data.Password,
	}, nil
}

// account is what the console's page signs in with; nil: it asks.
func (s *supervisor) account(c *config) *console.Account {
	if s == nil || s.login || c.broker.Username == "" {
		return nil
	}
	return &console.Account{User: c.broker.Username, Password: c.broker.Password}
}

// only lets in connections from the Supervisor, which has asked its user who he is, and from nobody else: the other
// apps are in the same network.
func (s *supervisor) only(l net.Listener, log *slog.Logger) (net.Listener, error) {
	if s == nil {
		return l, nil
	}
	u, err := url.Parse(s.url)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	from, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("find the Supervisor's address, from which alone the console may be asked: %w", err)
	}
	for i := range from {
		from[i] = from[i].Unmap()
	}
	return &guardedListener{Listener: l, from: from, log: log}, nil
}

// A guardedListener lets in connections from some addresses.
type guardedListener struct {
	net.Listener
	from  []netip.Addr
	log   *slog.Logger
	quiet sync.Once
}

func (l *guardedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address, err := netip.ParseAddrPort(c.RemoteAddr().String())
		if err == nil && slices.Contains(l.from, address.Addr().Unmap()) {
			return c, nil
		}
		l.quiet.Do(func() {
			l.log.Warn("HTTP is for Home Assistant's Supervisor alone; others are turned away", "from", c.RemoteAddr().String(), "supervisor", fmt.Sprint(l.from))
		})
		_ = c.Close()
	}
}
