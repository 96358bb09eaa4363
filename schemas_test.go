package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/eclipse/paho.golang/paho"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"dlt645-mqtt/bridge"
	"dlt645-mqtt/bridge/meters"
)

// schemas compiles the schemas of docs/schemas, keyed by their names without the extension.
var schemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	files, err := filepath.Glob("docs/schemas/*.json")
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiled := map[string]*jsonschema.Schema{}
	for _, file := range files {
		schema, err := compiler.Compile(file)
		if err != nil {
			return nil, err
		}
		compiled[strings.TrimSuffix(filepath.Base(file), ".json")] = schema
	}
	return compiled, nil
})

// validate tells how a JSON text breaks the schema of a name; nil if it does not.
func validate(name string, text []byte) error {
	all, err := schemas()
	if err != nil {
		return err
	}
	schema := all[name]
	if schema == nil {
		return fmt.Errorf("there is no docs/schemas/%s.json", name)
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(instance)
}

// checkMessage compares a message of a bridge with the schema of its topic. The end-to-end tests
// call it for every message that they look at.
func checkMessage(t testing.TB, p *paho.Publish) {
	t.Helper()
	schema := ""
	branches := strings.Split(p.Topic, "/")
	last := branches[len(branches)-1]
	switch {
	case slices.Contains(branches, "request"):
		return // what clients say, right or wrong
	case len(p.Payload) == 0 || p.Properties != nil && p.Properties.ContentType == "application/octet-stream":
		return // a retained message is removed; the bytes of a frame
	case slices.Contains(branches, "reply"):
		schema = "reply-" + verbOf(p.Payload)
	case last == "status" || last == "availability":
		if text := string(p.Payload); text != "online" && text != "offline" {
			t.Errorf("%s says %q", p.Topic, text)
		}
		return
	case len(branches) > 1:
		schema = branches[len(branches)-2] + "-" + last
		if last == "state" || last == "event" || last == "stale" || last == "readings" {
			schema = "meter-" + last
		}
	}
	if all, _ := schemas(); all[schema] == nil && strings.HasPrefix(p.Topic, "homeassistant/") {
		return // theirs
	}
	if err := validate(schema, p.Payload); err != nil {
		t.Errorf("%s: %s: %v", p.Topic, p.Payload, err)
	}
}

// verbOf is the verb that a reply is to; "other" if there is no such verb.
func verbOf(reply []byte) string {
	var r struct{ Request string }
	if json.Unmarshal(reply, &r) != nil || !slices.Contains(bridge.Verbs, r.Request) {
		return "other"
	}
	return r.Request
}

// TestSchemasFollowTheCode compares the closed lists of the contract with the code's.
func TestSchemasFollowTheCode(t *testing.T) {
	enum := func(name string, path ...string) (list []string) {
		t.Helper()
		var node any
		if err := json.Unmarshal([]byte(readFile(t, "docs/schemas/"+name+".json")), &node); err != nil {
			t.Fatal(err)
		}
		for _, key := range append(path, "enum") {
			object, ok := node.(map[string]any)
			if !ok {
				t.Fatalf("%s has nothing at %v", name, path)
			}
			node = object[key]
		}
		for _, word := range node.([]any) {
			list = append(list, word.(string))
		}
		return list
	}
	var codes []string
	for _, code := range bridge.Codes {
		codes = append(codes, string(code))
	}
	for _, test := range []struct {
		what      string
		got, want []string
	}{
		{"error codes", enum("common", "$defs", "code"), codes},
		{"event types", enum("meter-event", "properties", "event_type"), meters.EventTypes},
		{"classes", enum("bridge-info", "properties", "allow", "items"), bridge.Classes},
	} {
		if !slices.Equal(test.got, test.want) {
			t.Errorf("%s: the schema has %v, the code %v", test.what, test.got, test.want)
		}
	}
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range bridge.Verbs {
		if all["request-"+verb] == nil || all["reply-"+verb] == nil {
			t.Errorf("the verb %s has no schemas", verb)
		}
	}
	for name := range all {
		if !strings.Contains(readFile(t, "topics.md"), "docs/schemas/"+name+".json") {
			t.Errorf("topics.md does not link to docs/schemas/%s.json", name)
		}
	}
}

// TestExamplesFollowSchemas holds every JSON example of topics.md against its schema.
func TestExamplesFollowSchemas(t *testing.T) {
	// What an example leaves out.
	full := strings.NewReplacer("68…16", "6816", "8c1f…", strings.Repeat("8c", 32), `"time":"…"`, `"time":"2026-11-20T18:00:00+08:00"`)
	heading, examples := "", 0
	for part := range strings.SplitSeq(readFile(t, "topics.md"), "\n#") {
		title, rest, _ := strings.Cut(part, "\n")
		heading = strings.ToLower(strings.TrimLeft(title, "# "))
		for {
			_, block, found := strings.Cut(rest, "```json\n")
			if !found {
				break
			}
			block, rest, _ = strings.Cut(block, "```")
			block = full.Replace(block)
			var keys map[string]json.RawMessage
			if err := json.Unmarshal([]byte(block), &keys); err != nil {
				t.Errorf("%s: %v: %s", heading, err, block)
				continue
			}
			schema := "request-" + strings.Replace(heading, "history", "read", 1)
			switch {
			case strings.HasPrefix(heading, "bridge/"):
				schema = strings.Replace(heading, "/", "-", 1)
			case heading == "state", heading == "readings":
				schema = "meter-" + heading
			case keys["queued"] != nil:
				schema = "bridge-audit"
			case keys["request"] != nil:
				schema = "reply-" + verbOf([]byte(block))
			case keys["pattern"] != nil:
				schema = "bridge-scan"
			}
			if err := validate(schema, []byte(block)); err != nil {
				t.Errorf("%s: %s: %v", heading, block, err)
			}
			examples++
		}
	}
	if examples < 10 {
		t.Errorf("only %d examples found", examples)
	}
}

// TestRequestSchemas holds what the schemas say of requests against what the bridge says.
func TestRequestSchemas(t *testing.T) {
	t.Parallel()
	b := startMochi(t)
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1",
		"DLT645_ALLOW": "read,write,relay,maintenance,broadcast,raw,config", "DLT645_METER_PASSWORD": "02000000,04000000",
		"DLT645_CLOCK": "trusted", "DLT645_POINTS": "off",
	})
	c := newClient(t, dial(t, b.address), root+"/reply/#")
	c.ready(root)
	const frame = "68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16"
	for _, test := range []struct {
		verb, body string
		good       bool
	}{
		{"read", `{"items":["voltage_a"]}`, true},
		{"read", `{"id":"1","items":["voltage_a"],"max_age_ms":1000,"ttl_ms":5000,"expires":"2126-11-20T18:00:00+08:00","trace":true}`, true},
		{"read", `{"items":["daily_freeze"],"from":"2026-11-20T00:00:00+08:00","to":"2026-11-20T00:30:00+08:00"}`, true},
		{"read", `{"items":["voltage_a"],"maxage":1}`, false},
		{"read", `{"items":"voltage_a"}`, false},
		{"read", `{"items":[""]}`, false},
		{"read", `{"items":["voltage_a"],"id":7}`, false},
		{"read", `{"items":["voltage_a"],"ttl_ms":0}`, false},
		{"read", `{"items":["voltage_a"],"max_age_ms":-1}`, false},
		{"read", `{"items":["voltage_a"],"expires":"tomorrow"}`, false},
		{"read", `{"items":["voltage_a"],"trace":"yes"}`, false},
		{"read", `{"items":["daily_freeze"],"to":"2026-11-20T00:30:00+08:00"}`, false},
		{"read", `{"items":[` + strings.Repeat(`"voltage_a",`, 64) + `"voltage_a"]}`, false},
		{"relay", `{"action":"alarm","verify_ms":0,"retry_password":true}`, true},
		{"relay", `{"action":"alarm","level":"02"}`, true},
		{"relay", `{"action":"explode"}`, false},
		{"relay", `{}`, false},
		{"relay", `{"action":"trip","verify_ms":600001}`, false},
		{"relay", `{"action":"trip","level":"2"}`, false},
		{"write", `{"item":"demand_period","value":15}`, true},
		{"write", `{"item":"demand_period"}`, false},
		{"write", `{"value":15}`, false},
		{"write", `{"item":"demand_period","value":15,"force":true}`, false},
		{"maintenance", `{"action":"freeze"}`, true},
		{"maintenance", `{"action":"freeze","at":"99010000"}`, true},
		{"maintenance", `{"action":"clear_events","item":"all"}`, true},
		{"maintenance", `{"action":"output","signal":"second"}`, true},
		{"maintenance", `{"action":"output","signal":"music"}`, false},
		{"maintenance", `{"action":"output"}`, false},
		{"maintenance", `{"action":"clear_events"}`, false},
		{"maintenance", `{"action":"clear_meter"}`, false},
		{"maintenance", `{"action":"set_address","confirm":"000000000001"}`, false},
		{"maintenance", `{"action":"set_baud","confirm":"000000000001"}`, false},
		{"maintenance", `{"action":"set_password","confirm":"000000000001","level":"04"}`, false},
		{"maintenance", `{"action":"polish"}`, false},
		{"broadcast", `{"action":"freeze"}`, true},
		{"broadcast", `{"action":"trip"}`, false},
		{"broadcast", `{"action":"time","level":"04"}`, false},
		{"raw", `{"frame":"` + frame + `","answer":true}`, true},
		{"raw", `{"frame":""}`, false},
		{"raw", `{}`, false},
		{"raw", `{"frame":"` + frame + `","answer":1}`, false},
		{"scan", `{"meters":1,"protocols":["2007"]}`, true},
		{"scan", `{"meters":0}`, false},
		{"scan", `{"protocols":["2021"]}`, false},
		{"scan", `{"parities":["none at all"]}`, false},
		{"config", `{"points":[{"meter":"main","item":"voltage_a","interval":"10s","max":253.0}],"dry_run":true}`, true},
		{"config", `{"csv":"meter,item\nmain,voltage_a\n","version":"3","dry_run":true}`, true},
		{"config", `{"points":{}}`, false},
		{"config", `{"points":[],"csv":"","dry_run":true}`, false},
		{"config", `{"csv":"meter,item\nmain,voltage_a\n","dry_run":"yes"}`, false},
	} {
		tail := test.verb
		if !slices.Contains([]string{"raw", "broadcast", "scan", "config"}, test.verb) {
			tail += "/main"
		}
		if err := validate("request-"+test.verb, []byte(test.body)); (err == nil) != test.good {
			t.Errorf("the schema says of %s %.100s: %v", test.verb, test.body, err)
		}
		c.publish(root+"/request/"+tail, test.body, nil)
		var r struct {
			Error *struct{ Code, Message string }
		}
		if err := json.Unmarshal(c.await(root+"/reply/"+tail, nil).Payload, &r); err != nil {
			t.Fatal(err)
		}
		if bad := r.Error != nil && r.Error.Code == "bad_request"; bad == test.good {
			t.Errorf("the bridge says of %s %.100s: %+v", test.verb, test.body, r.Error)
		}
	}
}
