package bus

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestParseURL(t *testing.T) {
	var meters string
	sim := func(s *Settings, rest url.Values) (Opener, error) {
		meters = rest.Get("meters")
		return func(context.Context) (Port, error) { return nil, errors.New("closed today") }, nil
	}
	for _, test := range []struct {
		text  string
		shown string // if it differs
		want  Settings
	}{
		{"serial:///dev/ttyUSB0", "", Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second}},
		{"serial:///dev/ttyS1?baud=9600&parity=none&stop=2&fe=0&gap=30&timeout=800ms&latency=20ms&rs485=rts",
			"serial:///dev/ttyS1?baud=9600&fe=0&gap=30&latency=20ms&parity=none&rs485=rts&stop=2&timeout=800ms",
			Settings{Baud: 9600, Parity: "none", Stop: 2, FixedWakeUps: true, Gap: 30 * time.Millisecond, Timeout: 800 * time.Millisecond, Latency: 20 * time.Millisecond}},
		{"tcp://10.0.0.1:4001?gap=1s", "", Settings{Baud: 2400, Parity: "even", Stop: 1, Gap: time.Second, Timeout: 2 * time.Second, Latency: 200 * time.Millisecond, Packed: true}},
		{"tcp://[fe80::1]:4001?latency=0", "", Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second, Packed: true}},
		{"udp://10.0.0.1:4001", "", Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second, Latency: 200 * time.Millisecond, Packed: true}},
		{"rfc2217://10.0.0.1:4001?baud=9600&parity=none", "", Settings{Baud: 9600, Parity: "none", Stop: 1, Timeout: 2 * time.Second, Latency: 200 * time.Millisecond, Packed: true}},
		{"listen://:4001?register=DTU-7&heartbeat=hex:0d0a", "listen://:4001?heartbeat=hex%3A0d0a&register=hidden",
			Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second, Latency: 2 * time.Second, Packed: true}},
		{"listen://192.168.1.2:4001", "", Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second, Latency: 2 * time.Second, Packed: true}},
		{"mqtt:?up=/dtu/7/up&down=/dtu/7/down&qos=1&payload=hex", "mqtt:?down=/dtu/7/down&payload=hex&qos=1&up=/dtu/7/up",
			Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second, Latency: 2 * time.Second, Packed: true}},
		{"mqtt://?down=b&latency=500ms&up=a%26b", "mqtt:?down=b&latency=500ms&up=a%26b",
			Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second, Latency: 500 * time.Millisecond, Packed: true}},
		{"sim://?meters=4", "", Settings{Baud: 2400, Parity: "even", Stop: 1, Timeout: 2 * time.Second}},
	} {
		t.Run(test.text, func(t *testing.T) {
			config, err := ParseURL(test.text, map[string]OpenFunc{"sim": sim})
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "settings", config.Settings, test.want)
			if test.shown == "" {
				test.shown = test.text
			}
			equal(t, "shown", config.URL, test.shown)
			if config.Open == nil {
				t.Error("no opener")
			}
		})
	}
	equal(t, "meters", meters, "4")
}

func TestDevicePath(t *testing.T) {
	for path, want := range map[string]string{"/dev/ttyUSB0": "/dev/ttyUSB0", "/COM3": "COM3", "/com12": "com12", "/COM": "/COM", "/dev/COM3": "/dev/COM3"} {
		equal(t, path, devicePath(path), want)
	}
}

func TestParseURLComplains(t *testing.T) {
	extra := map[string]OpenFunc{"sim": func(*Settings, url.Values) (Opener, error) {
		return nil, errors.New("meters=x: write a number")
	}}
	for _, test := range []struct {
		text string
		want []string // in the complaints, one each
	}{
		{"", []string{`scheme ""; there are serial, tcp, udp, rfc2217, listen, mqtt, sim`}},
		{"/dev/ttyUSB0", []string{"write it as in serial:///dev/ttyUSB0"}},
		{"serial://COM3", []string{"serial:///COM3"}},
		{"http://host:1", []string{`scheme "http"`}},
		{"serial://dev/ttyUSB0", []string{"three slashes"}},
		{"serial:///dev/ttyUSB0?buad=2400", []string{`parameter "buad"`}},
		{"serial:///dev/ttyUSB0?baud=x&parity=mark&stop=3&fe=99&gap=-1&timeout=2&latency=1h&rs485=perhaps&heartbeat=x",
			[]string{"baud=x", "fe=99", "gap=-1ms", "latency=1h", "parity=mark", "rs485=perhaps", "stop=3", `parameter "heartbeat"`, "timeout=2"}},
		{"serial:///dev/ttyUSB0?baud=1200&baud=2400", []string{"given 2 times"}},
		{"serial:///dev/ttyUSB0?%zz", []string{"cannot be read"}},
		{"tcp://host", []string{"needs a port"}},
		{"tcp://:4001", []string{"no host"}},
		{"rfc2217:///dev/ttyS1", []string{"no host; write it as in rfc2217://", "has a path", "needs a port"}},
		{"tcp://host:99999", []string{"needs a port"}},
		{"tcp://[fe80::1%25电]:4001", []string{"IPv6 zone"}},
		{"tcp://host:4001/path?rs485=rts", []string{`parameter "rs485"`, "has a path"}},
		{"tcp://me:secret@host:4001#x", []string{"has a #", "user name"}},
		{"listen://:4001", []string{"set register"}},
		{"listen://8.8.8.8:4001", []string{"set register"}},
		{"listen://:4001?register=x&heartbeat=hex:0", []string{"register of the bus URL: write 2 to 256", "heartbeat of the bus URL: after hex:"}},
		{"mqtt:", []string{"has no up, the topic that the DTU sends to", "has no down, the topic that the DTU takes requests from"}},
		{"mqtt://broker:1883/?up=a&down=b", []string{"names a host"}},
		{"mqtt:broker?up=a&down=b", []string{"names a host"}},
		{"mqtt:?up=a&down=a", []string{"same topic"}},
		{"mqtt:?up=a/+/b&down=c d", []string{"up of the bus URL is \"a/ /b\": a wildcard", "down of the bus URL is \"c d\": a wildcard"}},
		{"mqtt:?up=a%23&down=%2B", []string{"up of the bus URL is \"a#\": a wildcard", "down of the bus URL is \"+\": a wildcard"}},
		{"mqtt:?down=a&up=b/#", []string{"has a #"}},
		{"mqtt:?up=$share/x/a&down=$SYS", []string{"up of the bus URL is \"$share/x/a\": topics that begin with $", "down of the bus URL is \"$SYS\": topics"}},
		{"mqtt:?up=%00&down=%ff", []string{"up of the bus URL is no topic", "down of the bus URL is no topic"}},
		{"mqtt:?up=a&down=b&qos=2&payload=base64&register=x", []string{"qos=2 of the bus URL: write a whole number from 0 to 1", "payload=base64 of the bus URL: write raw, hex or auto", `parameter "register"`}},
		{"sim://?meters=x", []string{"meters=x: write a number"}},
		{"tcp://host:secret\x7f", []string{"cannot be read"}},
	} {
		t.Run(test.text, func(t *testing.T) {
			_, err := ParseURL(test.text, extra)
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			equal(t, "complaints", len(lines), len(test.want))
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no complaint with %q in:\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}
