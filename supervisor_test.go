package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"
	"gopkg.in/yaml.v3"
)

const appFolder = "deploy/home-assistant/dlt645-mqtt"

// A fakeSupervisor answers as Home Assistant's does: with the MQTT service, and with the console under a path of
// its own for a user who has signed in.
type fakeSupervisor struct {
	*httptest.Server
	refusals atomic.Int32 // before it knows a broker
	asked    atomic.Int32
}

const ingressPath = "/api/hassio_ingress/secret-of-the-session"

func startSupervisor(t *testing.T, service map[string]any, app string) *fakeSupervisor {
	t.Helper()
	s := &fakeSupervisor{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /services/mqtt", func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if r.Header.Get("Authorization") != "Bearer secret" {
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]any{"result": "error", "message": "No access to mqtt service!"})
			return
		}
		if s.refusals.Add(-1) >= 0 {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"result": "error", "message": "Service not enabled"})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"result": "ok", "data": service})
	})
	proxy := &httputil.ReverseProxy{ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", app
		r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, ingressPath)
		r.Out.Host = r.In.Host // both halves of Home Assistant pass on the browser's
		r.Out.Header.Set("X-Ingress-Path", ingressPath)
		r.SetXForwarded()
	}}
	mux.Handle(ingressPath+"/", proxy)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// setOptions writes the options as the Supervisor does, and sets what it sets.
func setOptions(t *testing.T, api string, options map[string]any) {
	t.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	before := optionsFile
	optionsFile = filepath.Join(t.TempDir(), "options.json")
	t.Cleanup(func() { optionsFile = before })
	writeFile(t, optionsFile, string(text))
	setAll(t, map[string]string{"SUPERVISOR_TOKEN": "secret", "SUPERVISOR_API": api})
	t.Cleanup(keepVariables(t))
}

// TestApp runs the bridge as an app of Home Assistant: without an address of a broker or a password, with a broker that comes
// later, and with the console behind the Supervisor, where it signs in by itself, reads and scans.
func TestApp(t *testing.T) {
	address := freeAddress(t)
	brokerAddress := freeAddress(t)
	home := t.TempDir()
	list := filepath.Join(home, "passwords")
	writeFile(t, list, "addons:secret\n")
	if output, err := exec.Command(findProgram(t, "mosquitto_passwd"), "-U", list).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	b := startMosquitto(t, brokerAddress, "allow_anonymous false", "password_file "+list)
	host, port, _ := net.SplitHostPort(b.address)
	s := startSupervisor(t, map[string]any{
		"host": host, "port": json.Number(port), "ssl": false, "username": "addons", "password": "secret", "protocol": "3.1.1", "addon": "core_mosquitto",
	}, address)
	s.refusals.Store(1)
	root := bridgeRoot(t)
	setOptions(t, s.URL, map[string]any{
		"baud": "9600", "parity": "even", "url": quickMeters, "meters": "DLT645_METERS='main=1'", "allow": []string{"read"}, "language": "zh",
		"log_level": "error", "variables": []string{"DLT645_TOPIC=" + root, "DLT645_HTTP = " + address, "DLT645_POINTS=off"},
	})
	runServe(t, nil, os.Stderr)

	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}, HandshakeTimeout: patience}
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		status, text := get(t, s.URL+ingressPath+"/account.json")
		if want := `{"user":"addons","password":"secret"}`; status == http.StatusOK && strings.TrimSpace(text) != want {
			t.Fatalf("the account is %s, want %s", text, want)
		}
		if status == http.StatusOK {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the console is not there behind the Supervisor: %d %s", status, text)
		}
	}
	if s.asked.Load() != 2 {
		t.Errorf("the Supervisor was asked %d times for the broker, want 2", s.asked.Load())
	}
	u := "ws" + strings.TrimPrefix(s.URL, "http") + ingressPath + "/mqtt"
	connection, response, err := dialer.DialContext(t.Context(), u, http.Header{"Origin": {s.URL}})
	if err != nil {
		t.Fatalf("%v, %+v", err, response)
	}
	response.Body.Close()
	t.Cleanup(func() { connection.Close() })
	c := newClientAs(t, packets.NewThreadSafeConn(&webConn{Conn: connection}), "addons", "secret", root+"/reply/#")
	c.ready(root)
	if r := c.ask(root, "read/main", "voltage_a"); !r.OK {
		t.Errorf("a read by the page: %+v", r)
	}
	c.publish(root+"/request/scan", `{"meters":1,"protocols":["2007"]}`, nil)
	if r := parseReply(t, c.await(root+"/reply/scan", nil).Payload); !r.OK {
		t.Errorf("a scan by the page: %+v", r)
	}

	// Another app, with another address in the same network.
	if runtime.GOOS == "linux" {
		other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, Timeout: patience}
		transport := &http.Transport{DialContext: other.DialContext, DisableKeepAlives: true}
		for _, path := range []string{"/", "/account.json", "/healthz", "/metrics"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if response, err := transport.RoundTrip(request); err == nil {
				response.Body.Close()
				t.Errorf("%s: another app is answered with %s", path, response.Status)
			}
		}
	}
	if status, text := get(t, "http://"+address+"/healthz"); status != http.StatusOK {
		t.Errorf("the watchdog is answered with %d %s", status, text)
	}
}

// TestAppOptions reads options as users set them.
func TestAppOptions(t *testing.T) {
	base := map[string]string{"DLT645_HTTP": ":9645", "DLT645_CONSOLE": "true"}
	for name, test := range map[string]struct {
		options string
		want    map[string]string
		problem string
	}{
		"as installed":      {options: `{"baud":"2400","parity":"even","meters":"","allow":["read"],"language":"en"}`, problem: "choose the adapter in the option port"},
		"a port":            {options: `{"port":"/dev/serial/by-id/usb-1a86_USB Serial-if00","baud":"9600","parity":"none","allow":["read","relay"],"meter_password":"02123456"}`, want: map[string]string{"DLT645_BUS_URL": "serial:///dev/serial/by-id/usb-1a86_USB%20Serial-if00?baud=9600&parity=none", "DLT645_ALLOW": "read,relay", "DLT645_METER_PASSWORD": "02123456"}},
		"a line of a scan":  {options: `{"url":" tcp://192.168.1.20:4001 ","meters":" DLT645_METERS='a=1@2007?baud=9600&parity=none' "}`, want: map[string]string{"DLT645_BUS_URL": "tcp://192.168.1.20:4001", "DLT645_METERS": "a=1@2007?baud=9600&parity=none"}},
		"another broker":    {options: `{"url":"tcp://x:1","mqtt_url":"mqtts://broker","mqtt_username":"u","mqtt_password":"p"}`, want: map[string]string{"DLT645_BUS_URL": "tcp://x:1", "DLT645_MQTT_URL": "mqtts://broker", "DLT645_MQTT_USERNAME": "u", "DLT645_MQTT_PASSWORD": "p"}},
		"variables":         {options: `{"url":"tcp://x:1","language":"en","variables":["DLT645_POINTS=/config/points.csv","DLT645_LANGUAGE=zh"]}`, want: map[string]string{"DLT645_BUS_URL": "tcp://x:1", "DLT645_POINTS": "/config/points.csv", "DLT645_LANGUAGE": "zh"}},
		"a line of a shell": {options: `{"url":"tcp://x:1","meters":"export DLT645_METERS = \"a=1,b=2\"","variables":["export DLT645_POINTS='/config/my points.csv'","DLT645_SITE=\"x","DLT645_METER_NAMES='"]}`, want: map[string]string{"DLT645_BUS_URL": "tcp://x:1", "DLT645_METERS": "a=1,b=2", "DLT645_POINTS": "/config/my points.csv", "DLT645_SITE": `"x`, "DLT645_METER_NAMES": "'"}},
		"meters of a file":  {options: `{"url":"tcp://x:1","meters":"DLT645_METERS=a=1,\nb=2\n"}`, want: map[string]string{"DLT645_BUS_URL": "tcp://x:1", "DLT645_METERS": "a=1,\nb=2"}},
		"both":              {options: `{"port":"/dev/ttyUSB0","url":"tcp://x:1"}`, problem: "both set"},
		"no variable":       {options: `{"url":"tcp://x:1","variables":["PATH=/"]}`, problem: `"PATH=/", which is not of the form`},
	} {
		t.Run(name, func(t *testing.T) {
			var o appOptions
			if err := json.Unmarshal([]byte(test.options), &o); err != nil {
				t.Fatal(err)
			}
			got, err := o.variables()
			if test.problem != "" {
				if err == nil || !strings.Contains(err.Error(), test.problem) {
					t.Fatalf("%v, want %s", err, test.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(test.want, base)
			maps.DeleteFunc(got, func(_, value string) bool { return value == "" })
			for name, want := range test.want {
				if got[name] != want {
					t.Errorf("%s is %q, want %q", name, got[name], want)
				}
			}
			if len(got) != len(test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// TestAppWithoutBroker ends with a sentence that says what to do.
func TestAppWithoutBroker(t *testing.T) {
	s := startSupervisor(t, nil, "127.0.0.1:1")
	s.refusals.Store(1000)
	setOptions(t, s.URL, map[string]any{"url": "sim://"})
	before := brokerTakes
	brokerTakes = 0
	t.Cleanup(func() { brokerTakes = before })
	var stderr strings.Builder
	if status := serve(t.Context(), &stderr, nil); status != 1 || !strings.Contains(stderr.String(), "no MQTT broker is known to the Supervisor. Install the app Mosquitto broker") {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

// An appConfig is what the Supervisor reads of an app.
type appConfig struct {
	Slug        string
	Arch        []string
	Services    []string
	Ingress     bool
	IngressPort int `yaml:"ingress_port"`
	Watchdog    string
	Options     map[string]any
	Schema      map[string]any
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(readFile(t, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestAppFiles holds the app's files to each other and to the code: the options that there are, their
// translations, the port of the console, and the values that the lists offer.
func TestAppFiles(t *testing.T) {
	var c appConfig
	readYAML(t, appFolder+"/config.yaml", &c)
	var known []string
	for i := range reflect.TypeFor[appOptions]().NumField() {
		known = append(known, reflect.TypeFor[appOptions]().Field(i).Tag.Get("json"))
	}
	if got, want := slices.Sorted(maps.Keys(c.Schema)), slices.Sorted(slices.Values(known)); !slices.Equal(got, want) {
		t.Errorf("config.yaml has the options %v, the bridge reads %v", got, want)
	}
	for name := range c.Options {
		if c.Schema[name] == nil {
			t.Errorf("the option %s has a value, and no schema", name)
		}
	}
	values, err := (&appOptions{URL: "sim://"}).variables()
	if err != nil {
		t.Fatal(err)
	}
	if port := fmt.Sprint(":", c.IngressPort); !c.Ingress || values["DLT645_HTTP"] != port || c.Watchdog != "http://[HOST]"+port+"/healthz" {
		t.Errorf("ingress at %s, watchdog at %s, and the bridge serves %s", port, c.Watchdog, values["DLT645_HTTP"])
	}
	if !slices.Equal(c.Services, []string{"mqtt:want"}) || !slices.Equal(c.Arch, []string{"amd64", "aarch64"}) {
		t.Errorf("services %v, architectures %v", c.Services, c.Arch)
	}
	// What the lists offer is what the bridge takes.
	setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://x"})
	for option, set := range map[string]func(o *appOptions, value string){
		"baud":      func(o *appOptions, value string) { o.Baud = json.Number(value) },
		"parity":    func(o *appOptions, value string) { o.Parity = value },
		"language":  func(o *appOptions, value string) { o.Language = value },
		"log_level": func(o *appOptions, value string) { o.LogLevel = value },
		"allow":     func(o *appOptions, value string) { o.Allow, o.MeterPassword = []string{value}, "02123456,04123456" },
	} {
		list := regexp.MustCompile(`list\(([a-z0-9|]+)\)`).FindStringSubmatch(fmt.Sprint(c.Schema[option]))
		if list == nil {
			t.Errorf("%s is no list: %v", option, c.Schema[option])
			continue
		}
		for value := range strings.SplitSeq(list[1], "|") {
			t.Run(option+" "+value, func(t *testing.T) {
				o := appOptions{Port: "/dev/ttyUSB0"}
				set(&o, value)
				values, err := o.variables()
				if err != nil {
					t.Fatal(err)
				}
				maps.DeleteFunc(values, func(_, value string) bool { return value == "" })
				setAll(t, values)
				t.Setenv("DLT645_MQTT_URL", "mqtt://x")
				if _, err := readConfig(true); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for _, language := range []string{"en", "zh-Hans"} {
		var words struct {
			Configuration map[string]struct{ Name, Description string }
			Network       map[string]string
		}
		readYAML(t, appFolder+"/translations/"+language+".yaml", &words)
		if got, want := slices.Sorted(maps.Keys(words.Configuration)), slices.Sorted(maps.Keys(c.Schema)); !slices.Equal(got, want) {
			t.Errorf("%s has words for %v, want %v", language, got, want)
		}
		for name, word := range words.Configuration {
			if word.Name == "" {
				t.Errorf("%s: %s has no name", language, name)
			}
		}
	}
}

// TestAppBySupervisor has the Supervisor's own code judge the app's files and options of users: make supervisor installs it.
func TestAppBySupervisor(t *testing.T) {
	python := ".tools/supervisor/bin/python"
	if _, err := os.Stat(".tools/supervisor/installed"); err != nil {
		t.Skip("the Supervisor's code is not there: make supervisor")
	}
	output, err := exec.CommandContext(t.Context(), python, "test/supervisor/check.py", ".tools/supervisor/source", "deploy/home-assistant").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if !strings.Contains(string(output), "the Supervisor takes the app") {
		t.Errorf("it says %s", output)
	}
}
