package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestConfigComplainsAboutEverythingAtOnce(t *testing.T) {
	setAll(t, map[string]string{
		"DLT645_MQTT_URL":      "broker:1883",
		"DLT645_BUS_URL":       "serial:///dev/ttyUSB0?buad=2400",
		"DLT645_BUAD_RATE":     "2400",
		"DLT645_LOG_LEVL":      "debug",
		"DLT645_TOPIC":         "",
		"DLT645_METERS":        "Main=1,main=000000000001,main=2,other=000000000001,x=123x,y=1@1998,5,z=7?close=trip,old=3@1997?close=close,all=999999999999,p=4 q=5",
		"DLT645_METER_NAMES":   "mian=总表,main=,nobody",
		"DLT645_ALLOW":         "read,everything,relay",
		"DLT645_QUEUE":         "many",
		"DLT645_LOG_FORMAT":    "xml",
		"DLT645_PORT":          "tcp://10.0.0.1:1883", // Kubernetes
		"DLT645_SERVICE_HOST":  "10.0.0.1",
		"DLT645_MQTT_PASSWORD": "secret",
	})
	_, err := readConfig(true)
	if err == nil {
		t.Fatal("no complaint")
	}
	text := err.Error()
	for _, want := range []string{
		"DLT645_MQTT_URL: ", "buad", "DLT645_BUAD_RATE: no such variable", "DLT645_LOG_LEVL: no such variable; did you mean DLT645_LOG_LEVEL?",
		"DLT645_TOPIC: is set but empty", `"Main" is no meter name`, "the name main is given twice", "main and other have the same address 000000000001",
		"DLT645_METERS: x: ", `y: "1998" is no protocol`, "z: close=trip: there are close and permit_close", `"5" has no name`,
		"old: close=close: meters of protocol 1997 have no relay", "all: 999999999999 is the address of all meters at once", `"p=4 q=5" are several meters`,
		`DLT645_METER_NAMES: there is no meter "mian" in DLT645_METERS; did you mean main?`, `main: "" is no name for people`, `"nobody" says no name`, `"everything" is no class`, "relay needs a meter password of level 02: set DLT645_METER_PASSWORD",
		"DLT645_QUEUE: ", "DLT645_LOG_FORMAT: ", "DLT645_MQTT_PASSWORD: is set without DLT645_MQTT_USERNAME",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the complaints lack %q:\n%s", want, text)
		}
	}
	for _, unwanted := range []string{"SERVICE_HOST", "DLT645_PORT", "secret"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("the complaints mention %q:\n%s", unwanted, text)
		}
	}
}

func TestConfigMinimal(t *testing.T) {
	setAll(t, map[string]string{
		"DLT645_MQTT_URL": "mqtts://broker", "DLT645_BUS_URL": "tcp://127.0.0.1:4001", "DLT645_METERS": "main=1, old=12@1997,only=AAAAAAAAAAAA?close=permit_close",
		"DLT645_MQTT_USERNAME": "", // as compose leaves it
	})
	c, err := readConfig(true)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.broker.URLs[0].String(); got != "mqtts://broker:8883" {
		t.Errorf("broker %s", got)
	}
	if c.broker.TLS == nil || c.broker.TLS.ServerName != "broker" || c.broker.ClientID != "dlt645-mqtt-dlt645" || c.root != "dlt645" || c.bus.Queue != 1000 || c.zone.String() != "Asia/Shanghai" {
		t.Errorf("config %+v", c)
	}
	for i, want := range []string{"main 000000000001 2007 false", "old AAAAAAAAAA12 1997 false", "only AAAAAAAAAAAA 2007 true"} {
		m := c.meters[i]
		got := strings.Join([]string{m.Name, m.Address.Text, m.Protocol.Name(), map[bool]string{true: "true", false: "false"}[m.Address.Shared]}, " ")
		if got != want {
			t.Errorf("meter %s, want %s", got, want)
		}
	}
	if c.meters[0].Close != "" || c.meters[2].Close != "permit_close" {
		t.Errorf("relays are closed by %q and %q", c.meters[0].Close, c.meters[2].Close)
	}
	if len(c.allow) != 1 || !c.allow["read"] {
		t.Errorf("allowed %v, want read alone", c.allow)
	}
}

// TestConfigAsTyped reads meters as a keyboard for Chinese writes them, and with blanks.
func TestConfigAsTyped(t *testing.T) {
	setAll(t, map[string]string{
		"DLT645_BUS_URL":     "sim://",
		"DLT645_METERS":      " main＝0000 1234 5678，shop = １２＠1997、rail＝7 @ modbus/dtsu666？baud＝9600 & parity=none,\u3000grid=10@698",
		"DLT645_METER_NAMES": "main＝总表，shop=Smith, rail = 车间 2号",
	})
	c, err := readConfig(false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range c.meters {
		got = append(got, fmt.Sprint(m.Name, " ", m.Address.Text, " ", m.Protocol.Name(), " ", m.Mode.Baud, " ", m.Mode.Parity, " ", m.DisplayName))
	}
	want := []string{"main 000012345678 2007 0  总表", "shop AAAAAAAAAA12 1997 0  Smith", "rail 7 modbus/dtsu666 9600 none 车间 2号", "grid 000000000010 698 0  "}
	if !slices.Equal(got, want) {
		t.Errorf("meters %q, want %q", got, want)
	}
}

func TestConfigMissing(t *testing.T) {
	setAll(t, nil)
	_, err := readConfig(true)
	if err == nil || !strings.Contains(err.Error(), "DLT645_MQTT_URL: is missing") || !strings.Contains(err.Error(), "DLT645_BUS_URL: is missing") {
		t.Errorf("complaints: %v", err)
	}
}

func TestConfigSecretFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	writeFile(t, file, "s3cret\n")
	base := map[string]string{"DLT645_MQTT_URL": "mqtt://broker", "DLT645_BUS_URL": "tcp://127.0.0.1:4001", "DLT645_MQTT_USERNAME": "bridge", "DLT645_MQTT_PASSWORD_FILE": file}
	setAll(t, base)
	c, err := readConfig(true)
	if err != nil || c.broker.Password != "s3cret" {
		t.Errorf("password %q, error %v", c.broker.Password, err)
	}
	t.Setenv("DLT645_MQTT_PASSWORD", "other")
	if _, err := readConfig(true); err == nil || !strings.Contains(err.Error(), "set one of them") || strings.Contains(err.Error(), "other") {
		t.Errorf("both set: %v", err)
	}
}

func TestConfigImpossible(t *testing.T) {
	for name, row := range map[string]struct {
		variables map[string]string
		want      string
	}{
		"certificate without TLS":   {map[string]string{"DLT645_MQTT_URL": "mqtt://b", "DLT645_MQTT_CA_FILE": "/ca.pem"}, "is not encrypted"},
		"certificate without key":   {map[string]string{"DLT645_MQTT_URL": "mqtts://b", "DLT645_MQTT_CERT_FILE": "/c.pem"}, "belong together"},
		"discovery in the root":     {map[string]string{"DLT645_DISCOVERY": "dlt645/ha"}, "must not lie within each other"},
		"discovery is the root":     {map[string]string{"DLT645_DISCOVERY": "dlt645"}, "must not lie within each other"},
		"discovery with a wildcard": {map[string]string{"DLT645_DISCOVERY": "ha/#"}, "is no topic prefix"},
		"path of no websocket":      {map[string]string{"DLT645_MQTT_URL": "embedded://127.0.0.1/topic"}, "nothing belongs"},
		"port that cannot be":       {map[string]string{"DLT645_MQTT_URL": "mqtt://b:70000"}, `"70000" is no port`},
		"embedded port too high":    {map[string]string{"DLT645_MQTT_URL": "embedded://127.0.0.1:65536"}, `"65536" is no port`},
		"embedded at any port":      {map[string]string{"DLT645_MQTT_URL": "embedded://127.0.0.1:0"}, `"0" is no port`},
		"line end of Windows":       {map[string]string{"DLT645_TOPIC": "dlt645\r"}, `"dlt645\r" is no topic root`},
		"root of broken UTF-8":      {map[string]string{"DLT645_TOPIC": "dlt\xff"}, "is no topic root"},
		"embedded for everyone":     {map[string]string{"DLT645_MQTT_URL": "embedded://0.0.0.0:1883"}, "serves only this machine"},
		"user in the URL":           {map[string]string{"DLT645_MQTT_URL": "mqtt://me:secret@b"}, "not into the URL"},
		"no host":                   {map[string]string{"DLT645_MQTT_URL": "mqtt://"}, "names no host"},
		"no port for HTTP":          {map[string]string{"DLT645_HTTP": "9645"}, "DLT645_HTTP: \"9645\" is no address with a port"},
		"port of HTTP too high":     {map[string]string{"DLT645_HTTP": ":99999"}, "is no address with a port"},
		"console without HTTP":      {map[string]string{"DLT645_CONSOLE": "true"}, "set DLT645_HTTP as well"},
		"console, neither nor":      {map[string]string{"DLT645_CONSOLE": "maybe"}, "neither true nor false"},
		"console without passwords": {map[string]string{"DLT645_CONSOLE": "true", "DLT645_HTTP": ":9645", "DLT645_MQTT_URL": "embedded://127.0.0.1"}, "serves only this machine"},
		"names without a console":   {map[string]string{"DLT645_CONSOLE_HOSTS": "a.example"}, "there is no console"},
		"a URL as name":             {map[string]string{"DLT645_CONSOLE": "true", "DLT645_HTTP": ":9645", "DLT645_CONSOLE_HOSTS": "https://a.example"}, "is no name of a host"},
		"path":                      {map[string]string{"DLT645_MQTT_URL": "mqtt://b/topic"}, "nothing belongs"},
		"root with a wildcard":      {map[string]string{"DLT645_TOPIC": "a/#"}, "no topic root"},
		"unknown zone":              {map[string]string{"DLT645_METER_TIMEZONE": "Mars/Olympus"}, "no time zone"},
		"missing password file":     {map[string]string{"DLT645_METER_PASSWORD_FILE": "/nowhere/x"}, "no such file"},
		"password of a wrong shape": {map[string]string{"DLT645_METER_PASSWORD": "123456"}, "a password is 8 digits"},
		"maintenance, no password":  {map[string]string{"DLT645_ALLOW": "maintenance"}, "maintenance needs a meter password"},
		"relay, empty file":         {map[string]string{"DLT645_ALLOW": "relay", "DLT645_METER_PASSWORD_FILE": os.DevNull}, "set DLT645_METER_PASSWORD, or write it into " + os.DevNull},
		"no point table":            {map[string]string{"DLT645_POINTS": "nowhere.csv"}, "no such file"},
		"a point table of nonsense": {map[string]string{"DLT645_POINTS": "go.mod"}, "go.mod: row 1: \"module dlt645-mqtt\" is no column"},
	} {
		t.Run(name, func(t *testing.T) {
			variables := map[string]string{"DLT645_MQTT_URL": "mqtt://broker", "DLT645_BUS_URL": "tcp://127.0.0.1:4001"}
			maps.Copy(variables, row.variables)
			setAll(t, variables)
			_, err := readConfig(true)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want one with %q", err, row.want)
			}
		})
	}
}

// TestSeveralBrokers reads a list of brokers, each checked at the start.
func TestSeveralBrokers(t *testing.T) {
	base := map[string]string{"DLT645_BUS_URL": "sim://"}
	for list, want := range map[string]string{
		"mqtt://a:1884,mqtt://b":        "mqtt://a:1884,mqtt://b:1883",
		"mqtt://a:1883,b:1883":          "mqtt://a:1883,mqtt://b:1883",
		"mqtts://a, wss://b/mqtt":       "mqtts://a:8883,wss://b:443/mqtt",
		"mqtt://[::1],192.168.1.10":     "mqtt://[::1]:1883,mqtt://192.168.1.10:1883",
		"mqtt://a,":                     "error: names no host",
		"mqtt://a,http://b":             "error: the scheme must be mqtt",
		"mqtt://a,mqtt://b:99999":       "error: is no port from 1 to 65535",
		"mqtt://a,embedded://127.0.0.1": "error: the embedded broker stands alone",
		"mqtt://a:1883;b:1883":          "error: cannot be read",
		"mqtt://a,mqtt://user:secret@b": "error: not into the URL",
	} {
		base["DLT645_MQTT_URL"] = list
		setAll(t, base)
		c, err := readConfig(true)
		got := c.broker.String()
		if err != nil {
			got = "error: " + err.Error()
		}
		if cut, failing := strings.CutPrefix(want, "error: "); failing && !strings.Contains(got, cut) || !failing && got != want || strings.Contains(got, "secret") {
			t.Errorf("%s reads as %s, want %s", list, got, want)
		}
	}
}

// TestConfigWorkbooks gives the workbook of a spreadsheet for each table. Each is told to be saved as CSV.
func TestConfigWorkbooks(t *testing.T) {
	maps := t.TempDir()
	workbook := filepath.Join(maps, "meter.xlsx")
	writeFile(t, workbook, "PK\x03\x04\x14\x00\x06\x00")
	for _, variable := range []string{"DLT645_POINTS", "DLT645_ITEMS", "DLT645_MODBUS_MAPS"} {
		setAll(t, map[string]string{"DLT645_BUS_URL": "sim://", variable: workbook})
		if variable == "DLT645_MODBUS_MAPS" {
			t.Setenv(variable, maps)
		}
		if _, err := readConfig(false); err == nil || !strings.Contains(err.Error(), variable+": "+workbook) || !strings.Contains(err.Error(), "save it as CSV UTF-8") {
			t.Errorf("%s: %v", variable, err)
		}
	}
}

// TestOptionalNames sees that the list of variables that may be empty names real ones.
func TestOptionalNames(t *testing.T) {
	for _, name := range optional {
		if !slices.Contains(variables(), prefix+"_"+name) {
			t.Errorf("%s is no variable", name)
		}
	}
}
