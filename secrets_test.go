package main

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

// A leak looks for secrets in what the program shows.
type leak struct {
	t       *testing.T
	secrets map[string]string // what it is, by how it is spelled
}

func (l leak) search(where, text string) {
	l.t.Helper()
	for spelling, what := range l.secrets {
		if i := strings.Index(text, spelling); i >= 0 {
			l.t.Errorf("%s shows %s as %s: …%s…", where, what, spelling, text[max(0, i-100):min(len(text), i+100)])
		}
	}
}

// hide adds a password of a meter in all its spellings: its digits, those in the order of the
// wire, and the bytes on the wire.
func (l leak) hide(what, digits string) {
	var wire, spaced strings.Builder
	for _, i := range []int{4, 2, 0} {
		fmt.Fprintf(&wire, "%02X", (16*(digits[i]-'0')+digits[i+1]-'0'+0x33)&0xFF)
		fmt.Fprintf(&spaced, "%02X ", (16*(digits[i]-'0')+digits[i+1]-'0'+0x33)&0xFF)
	}
	for _, spelling := range []string{digits, digits[4:] + digits[2:4] + digits[:2], wire.String(), strings.TrimSpace(spaced.String())} {
		l.secrets[spelling] = what
	}
}

// TestSecretsAreNotShown gives the program secrets, uses them rightly and puts them where they do
// not belong, and looks for them in all that it shows: replies, audit, frames, bridge/info, log,
// metrics, health and help.
func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	l := leak{t, map[string]string{"mqtt-s3cret": "the password of the broker"}}
	l.hide("the password of level 02", "918273")
	l.hide("the password of level 04", "827364")
	l.hide("the new password", "736455")
	l.hide("a password in a raw frame", "645546")

	b := startMochi(t)
	_, busURL := serveMeters(t, url.Values{"addresses": {"000000000001"}, "passwords": {"02918273,04999999"}})
	page := freeAddress(t)
	log := newWatched("")
	root := bridgeRoot(t)
	variables := map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_MQTT_USERNAME": "bridge", "DLT645_MQTT_PASSWORD": "mqtt-s3cret",
		"DLT645_BUS_URL": busURL, "DLT645_METERS": "main=1", "DLT645_TOPIC": root, "DLT645_ALLOW": "read,write,relay,maintenance,broadcast,raw",
		"DLT645_METER_PASSWORD": "02918273,04827364", "DLT645_TRACE": "true", "DLT645_LOG_LEVEL": "debug", "DLT645_HTTP": page, "DLT645_CONSOLE": "true", "DLT645_CLOCK": "trusted",
	}
	c := newClient(t, dial(t, b.address), "#")
	stop := runServe(t, variables, log)
	c.await(root+"/bridge/status", func(payload string) bool { return payload == "online" })

	write := func(password string) string {
		return frame(t, "000000000001", 0x14, "03010004"+"04"+password[4:]+password[2:4]+password[:2]+"00000000"+"15")
	}
	requests := [][2]string{
		{"relay/main", `{"id":"0","action":"trip","trace":true}`},
		{"write/main", `{"id":"1","item":"demand_period","value":15,"trace":true}`}, // refused
		{"maintenance/main", `{"id":"2","action":"set_password","level":"02","new_password":"736455","confirm":"000000000001","trace":true}`},
		{"raw", fmt.Sprintf(`{"id":"3","frame":%q,"trace":true}`, write("645546"))},
		{"raw", fmt.Sprintf(`{"id":"4","frame":%q,"trace":true}`, "68"+write("645546"))},
		{"raw", fmt.Sprintf(`{"id":"5","frame":%q,"trace":true}`, write("645546")[:30])},
		// In the wrong places.
		{"relay/main", `{"id":"6","action":"trip","level":"02918273"}`},
		{"relay/main", `{"id":"7","action":"trip","password":"918273"}`},
		{"maintenance/main", `{"id":"8","action":"set_password","level":"04","new_password":"7364551","confirm":"1"}`},
		{"maintenance/main", `{"id":"9","action":"set_password","level":"04","new_password":736455,"confirm":"1"}`},
		{"write/main", `{"id":"10","item":"04000C05","value":"00736455"}`},
		{"read/main", `{"id":"11","items":["04000C03"]}`},
	}
	for i, request := range requests {
		c.publish(root+"/request/"+request[0], request[1], nil)
		reply := c.await(root+"/reply/"+request[0], func(payload string) bool {
			l.search("what is published", payload)
			return strings.Contains(payload, fmt.Sprintf(`"id":"%d"`, i))
		})
		if i == 0 && !strings.Contains(string(reply.Payload), `"verified"`) {
			t.Errorf("the right password is not used: %s", reply.Payload)
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/", "/console.js", "/items.json", "/decode?hex=68", "/mqtt"} {
		_, text := get(t, "http://"+page+path)
		if text == "" {
			t.Errorf("%s shows nothing", path)
		}
		l.search(path, text)
	}
	stop()
	for len(c.messages) > 0 {
		p := <-c.messages
		if !strings.HasPrefix(p.Topic, root+"/request/") { // those have what we put into them
			l.search(p.Topic, string(p.Payload))
		}
	}
	if text := log.String(); !strings.Contains(text, "result=verified") {
		t.Errorf("the log lacks what it should have:\n%s", text)
	}
	l.search("the log", log.String())
	_, help, stderr := executeApart(t, variables, "", "help")
	l.search("help", help+stderr)
}

// TestSecretsInConfigurationErrors puts secrets into variables that are refused.
func TestSecretsInConfigurationErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwords")
	writeFile(t, file, "main=02918273x\nmain 02918273\n=02918273\n1=hex,029A8273G\n2=hex,operator=9182\n3=operator=0A918273\n")
	l := leak{t, map[string]string{"s3cret": "a secret", "918273": "a password of a meter", "9A8273": "a password with letters", "9182": "a part of an operator code"}}
	for name, variables := range map[string]map[string]string{
		"in the URL":              {"DLT645_MQTT_URL": "mqtt://bridge:s3cret@127.0.0.1"},
		"with a slash in the URL": {"DLT645_MQTT_URL": "mqtt://bridge:s3cret/1@127.0.0.1"},
		"with a percent sign":     {"DLT645_MQTT_URL": "mqtt://bridge:s3cret%zz@127.0.0.1"},
		"no scheme":               {"DLT645_MQTT_URL": "bridge:s3cret@127.0.0.1"},
		"without a user":          {"DLT645_MQTT_PASSWORD": "s3cret"},
		"meter passwords":         {"DLT645_METER_PASSWORD": "02918273,4918273,02918273"},
		"by meter":                {"DLT645_METER_PASSWORDS_FILE": file},
		"bus URL":                 {"DLT645_BUS_URL": "listen://:4001x?register=s3cret"},
		"bus URL with a user":     {"DLT645_BUS_URL": "tcp://user:s3cret@127.0.0.1:4001"},
		"bus URL, hex":            {"DLT645_BUS_URL": "listen://:4001?register=hex:s3cret"},
		"bus URL, percent sign":   {"DLT645_BUS_URL": "listen://:4001?register=s3cret%zz"},
		"bus URL, twice":          {"DLT645_BUS_URL": "listen://:4001?register=s3cret&register=s3cret"},
		"misspelt":                {"DLT645_MQTT_PASWORD": "s3cret"},
	} {
		t.Run(name, func(t *testing.T) {
			l.t = t
			all := map[string]string{"DLT645_MQTT_URL": "mqtt://127.0.0.1", "DLT645_BUS_URL": "serial:///dev/null"}
			maps.Copy(all, variables)
			setAll(t, all)
			var stderr bytes.Buffer
			if status := serve(t.Context(), &stderr, nil); status != statusConfiguration {
				t.Errorf("status %d", status)
			}
			l.search("the complaint", stderr.String())
		})
	}
}

// TestRegistrationPacketIsNotShown waits for a DTU: its registration packet is what keeps
// strangers out.
func TestRegistrationPacketIsNotShown(t *testing.T) {
	b := startMochi(t)
	page, root := freeAddress(t), bridgeRoot(t)
	log := newWatched("")
	variables := map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": "listen://" + freeAddress(t) + "?register=dtu-s3cret", "DLT645_TOPIC": root,
		"DLT645_HTTP": page, "DLT645_LOG_LEVEL": "debug",
	}
	c := newClient(t, dial(t, b.address), "#")
	stop := runServe(t, variables, log)
	l := leak{t, map[string]string{"s3cret": "the registration packet"}}
	info := c.await(root+"/bridge/info", nil)
	if !strings.Contains(string(info.Payload), "register=hidden") {
		t.Errorf("bridge/info: %s", info.Payload)
	}
	l.search("bridge/info", string(info.Payload))
	_, text := get(t, "http://"+page+"/readyz")
	if !strings.Contains(text, "is down") {
		t.Errorf("/readyz: %s", text)
	}
	l.search("/readyz", text)
	stop()
	l.search("the log", log.String())
}
