package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A composition is what the tests look at in a compose file.
type composition struct {
	Services map[string]composedService
	Secrets  map[string]struct{ File string }
}

type composedService struct {
	Profiles    []string
	ReadOnly    bool     `json:"read_only"`
	CapDrop     []string `json:"cap_drop"`
	SecurityOpt []string `json:"security_opt"`
	GroupAdd    []string `json:"group_add"`
	Environment map[string]string
	Volumes     []struct{ Type, Source string }
	Secrets     []struct{ Source, Target string }
	Devices     []struct{ Source, Target string }
	Healthcheck struct{ Test []string }
	Ports       []struct {
		HostIP    string `json:"host_ip"`
		Published string
	}
}

// compose has the reference implementation read compose.yaml, with the variables of a .env file.
func compose(t *testing.T, variables ...string) composition {
	t.Helper()
	const program = ".tools/compose"
	if _, err := os.Stat(program); err != nil {
		t.Skip("there is no .tools/compose to read compose.yaml with; make compose builds it")
	}
	command := exec.CommandContext(t.Context(), program)
	command.Env = append([]string{"HOME=/nowhere"}, variables...) // and nothing of our own environment
	command.Stderr = os.Stderr
	text, err := command.Output()
	if err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	var c composition
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return c
}

func TestComposeServices(t *testing.T) {
	c := compose(t)
	profiles := map[string]string{
		"bridge": "", "mosquitto": "", "console": "console", "demo": "demo", "node-red": "node-red", "prometheus": "grafana", "grafana": "grafana", "passwords": "passwords", "uplink": "uplink",
	}
	if got, want := slices.Sorted(maps.Keys(c.Services)), slices.Sorted(maps.Keys(profiles)); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	for name, s := range c.Services {
		if got := strings.Join(s.Profiles, ","); got != profiles[name] {
			t.Errorf("%s has the profiles %q, want %q", name, got, profiles[name])
		}
		contained := s.ReadOnly && slices.Equal(s.CapDrop, []string{"ALL"}) && slices.Contains(s.SecurityOpt, "no-new-privileges:true")
		if !contained && name != "passwords" { // which gives files to the users of the others
			t.Errorf("%s may write to its image, has capabilities or may get some", name)
		}
		for _, volume := range s.Volumes {
			if _, err := os.Stat(volume.Source); volume.Type == "bind" && err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, secret := range s.Secrets {
			if file := c.Secrets[secret.Source].File; filepath.Base(filepath.Dir(file)) != "secrets" {
				t.Errorf("%s: the secret %s stands in %s", name, secret.Source, file)
			}
		}
		for _, port := range s.Ports {
			if name != "mosquitto" && port.HostIP != "127.0.0.1" {
				t.Errorf("%s is reached from outside at %q, port %s", name, port.HostIP, port.Published)
			}
		}
	}
}

// TestComposeBridge has the bridge itself judge how compose.yaml configures it.
func TestComposeBridge(t *testing.T) {
	for _, test := range []struct {
		name, service string
		variables     []string
		device, group string
		bus, broker   string
		meters        int
		allowsRelay   bool
		console       bool
	}{
		{name: "as it comes", service: "bridge", device: "/dev/null", group: "20", bus: "serial:///dev/ttyMETERS", broker: "mosquitto:1883", meters: 1},
		{
			name: "adapter and meters", service: "bridge",
			variables: []string{"SERIAL_PORT=/dev/serial/by-id/usb-1", "DIALOUT_GID=986", "DLT645_METERS=main=1,shop=2"},
			device:    "/dev/serial/by-id/usb-1", group: "986", bus: "serial:///dev/ttyMETERS", broker: "mosquitto:1883", meters: 2,
		},
		{
			name: "serial server and a broker of one's own", service: "bridge",
			variables: []string{"DLT645_BUS_URL=tcp://192.168.1.20:4001", "DLT645_MQTT_URL=mqtt://192.168.1.10"},
			device:    "/dev/null", group: "20", bus: "tcp://192.168.1.20:4001", broker: "192.168.1.10:1883", meters: 1,
		},
		{name: "console", service: "console", device: "/dev/null", group: "20", bus: "serial:///dev/ttyMETERS", broker: "mosquitto:1883", meters: 1, console: true},
		{name: "demo", service: "demo", bus: "sim://?meters=4", broker: "mosquitto:1883", meters: 4, allowsRelay: true, console: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := compose(t, test.variables...).Services[test.service]
			if test.device != "" && (s.Devices[0].Source != test.device || s.Devices[0].Target != "/dev/ttyMETERS" || s.GroupAdd[0] != test.group) {
				t.Errorf("devices %v, groups %v", s.Devices, s.GroupAdd)
			}
			if got := strings.Join(s.Healthcheck.Test, " "); got != "CMD /dlt645-mqtt healthcheck" {
				t.Errorf("health check %q", got)
			}
			secrets := t.TempDir()
			for _, secret := range s.Secrets {
				writeFile(t, filepath.Join(secrets, secret.Source), "")
			}
			inside := strings.NewReplacer("/run/secrets", secrets, "/points.csv", "examples/points.csv")
			variables := map[string]string{}
			for name, value := range s.Environment {
				variables[name] = inside.Replace(value)
			}
			setAll(t, variables)
			c, err := readConfig(true)
			if err != nil {
				t.Fatal(err)
			}
			if c.bus.URL != test.bus || c.broker.URLs[0].Host != test.broker || len(c.meters) != test.meters || c.allow["relay"] != test.allowsRelay || c.console != test.console {
				t.Errorf("bus %s, broker %s, %d meters, allowed %v", c.bus.URL, &c.broker, len(c.meters), c.allow)
			}
			if target := test.service + c.http; !strings.Contains(readFile(t, "deploy/prometheus/prometheus.yml"), target) {
				t.Errorf("Prometheus does not ask %s", target)
			}
		})
	}
}

// TestMakePasswords compares the accounts that get passwords with those of the access list.
func TestMakePasswords(t *testing.T) {
	script := readFile(t, "deploy/mosquitto/make-passwords")
	_, accounts, _ := strings.Cut(script, "for account in ")
	accounts, _, _ = strings.Cut(accounts, ";")
	for account := range strings.FieldsSeq(accounts) {
		if !strings.Contains(readFile(t, "deploy/mosquitto/acl"), "\nuser "+account+"\n") {
			t.Errorf("the access list has no account %s", account)
		}
	}
	if !strings.Contains(accounts, "bridge") {
		t.Errorf("accounts %q", accounts)
	}
}
