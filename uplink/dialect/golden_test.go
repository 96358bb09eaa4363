package dialect

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew; read them before they are kept")

// identities are the gateways of the golden files.
var identities = map[string]Options{
	"json":        {Device: "site7", Secret: "pw"},
	"thingsboard": {Secret: "TOKEN"},
	"jetlinks":    {Product: "gw", Device: "site7", Secret: "id:key"},
	"aliyun":      {Product: "a1Gateway", Device: "site7", Secret: "secret"},
	"huawei":      {Device: "65af_site7", Secret: "secret"},
	"tencent":     {Product: "GATEWAYPID", Device: "site7", Secret: "AAECAwQFBgcICQoLDA0ODw=="},
	"onenet":      {Product: "gwpid", Device: "site7", Secret: "AAECAwQFBgcICQoLDA0ODw=="},
}

var commands = []string{"read", "relay", "config"}

// calls of each cloud: a relay that is to be opened, for the sub-device or the gateway itself.
var relayCalls = map[string]map[bool][2]string{ // by flat
	"json":        {false: {"up/000000000001/call", `{"id":"7","method":"relay","action":"trip","expires":1795168820000}`}, true: {"up/site7/call", `{"id":"7","method":"relay","meter":"1","action":"trip","expires":1795168820000}`}},
	"thingsboard": {false: {"v1/gateway/rpc", `{"device":"000000000001","data":{"id":7,"method":"relay","params":{"action":"trip","expires":1795168820000}}}`}, true: {"v1/devices/me/rpc/request/7", `{"method":"relay","params":{"meter":"1","action":"trip","expires":1795168820000}}`}},
	"jetlinks":    {false: {"/gw/site7/child/000000000001/function/invoke", `{"messageId":"7","timestamp":1795168810213,"functionId":"relay","inputs":[{"name":"action","value":"trip"}]}`}, true: {"/gw/site7/function/invoke", `{"messageId":"7","timestamp":1795168810213,"function":"relay","inputs":[{"name":"action","value":"trip"},{"name":"meter","value":"1"}]}`}},
	"aliyun":      {false: {"/sys/a1Meter/000000000001/thing/service/relay", `{"id":"7","version":"1.0","method":"thing.service.relay","params":{"action":0,"expires":"1795168820000"}}`}, true: {"/sys/a1Gateway/site7/thing/service/relay", `{"id":"7","version":"1.0","method":"thing.service.relay","params":{"action":0,"meter":"1","expires":"1795168820000"}}`}},
	"huawei":      {false: {"$oc/devices/65af_site7/sys/commands/request_id=7", `{"object_device_id":"000000000001","service_id":"meter","command_name":"relay","paras":{"action":"trip","expires":"1795168820000"}}`}, true: {"$oc/devices/65af_site7/sys/commands/request_id=7", `{"object_device_id":"65af_site7","service_id":"meter","command_name":"relay","paras":{"action":"trip","meter":"1","expires":"1795168820000"}}`}},
	"tencent":     {false: {"$thing/down/action/METERPID/000000000001", `{"method":"action","clientToken":"7","actionId":"relay","timestamp":1795168810213,"params":{"action":0}}`}, true: {"$thing/down/action/GATEWAYPID/site7", `{"method":"action","clientToken":"7","actionId":"relay","timestamp":1795168810213,"params":{"action":0,"meter":"1"}}`}},
	"onenet":      {false: {"$sys/gwpid/site7/thing/sub/service/invoke", `{"id":"7","version":"1.0","params":{"productID":"meterpid","deviceName":"000000000001","identifier":"relay","input":{"action":0,"expires":1795168820000}}}`}, true: {"$sys/gwpid/site7/thing/service/relay/invoke", `{"id":"7","version":"1.0","params":{"action":0,"meter":"1","expires":1795168820000}}`}},
}

var products = map[string]string{"aliyun": "a1Meter", "tencent": "METERPID", "onenet": "meterpid"}

// TestGolden writes the same readings, event, comings and goings and call in every dialect, and
// compares the messages, byte for byte, with files that a person has read.
func TestGolden(t *testing.T) {
	for _, cloud := range Names() {
		for _, mode := range []string{"gateway", "flat"} {
			t.Run(cloud+"/"+mode, func(t *testing.T) {
				got := transcript(t, cloud, mode == "flat")
				file := filepath.Join("testdata", cloud+"-"+mode+".txt")
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("the messages differ from %s:\n%s", file, got)
				}
			})
		}
	}
}

func transcript(t *testing.T, cloud string, flat bool) string {
	t.Helper()
	o := identities[cloud]
	o.Commands = commands
	device := &Device{Root: "dlt645", Meter: "main", Prefix: "1_"}
	prefix := "1_"
	if !flat {
		o.Devices = []Device{{Root: "dlt645", Meter: "main", Product: products[cloud], Name: "000000000001", Secret: "devicesecret"}}
		device, prefix = &o.Devices[0], ""
	}
	d, err := New(cloud, o)
	if err != nil {
		t.Fatal(err)
	}
	// A zone other than UTC must not show.
	zone := time.FixedZone("CST", 8*3600)
	newer := time.Date(2026, 11, 20, 18, 0, 10, 213e6, zone)
	older := time.Date(2026, 11, 20, 18, 0, 0, 402e6, zone)
	next := 1000
	ids := func() string { next++; return strconv.Itoa(next) }
	reading := func(item, value string, at time.Time) Reading {
		return Reading{Device: device, Item: item, Key: prefix + Key(item), Value: json.RawMessage(value), Time: at}
	}
	var b strings.Builder
	write := func(title string, posts []Post) {
		fmt.Fprintf(&b, "== %s\n", title)
		for _, p := range posts {
			fmt.Fprintf(&b, "%s (QoS %d", p.Topic, p.QoS)
			if p.Reply != "" {
				fmt.Fprintf(&b, ", awaits %s", p.Reply)
			}
			fmt.Fprintf(&b, ")\n%s\n", p.Payload)
			if !json.Valid(p.Payload) {
				t.Errorf("%s: %s is no JSON", title, p.Payload)
			}
		}
	}
	fmt.Fprintf(&b, "== subscriptions\n%s\n", strings.Join(d.Subscriptions(), "\n"))
	write("a meter comes", d.Announce([]*Device{device}, newer, ids))
	write("values", d.Report([]Reading{
		reading("voltage_a", "220.0", newer), reading("forward_active_energy", "800000.01", older), reading("relay", `"closed"`, newer),
		reading("status_7.lost_voltage_a", "false", newer), reading("meter_number", `"000000004711"`, newer),
	}, false, ids))
	write("history", d.Report([]Reading{reading("forward_active_energy", "9.33", older), reading("forward_active_energy", "9.41", newer)}, true, ids))
	write("an event", d.Event(Notice{device, "limit_passed", newer, []Member{
		Text("item", "voltage_a"), {"value", json.RawMessage("253.4")}, Text("limit", "max"), {"bound", json.RawMessage("253.0")},
	}}, ids))
	write("the meter goes", d.Withdraw([]*Device{device}, newer, ids))

	call := relayCalls[cloud][flat]
	replies, got := d.Receive(call[0], []byte(call[1]))
	if len(replies) != 0 || len(got) != 1 {
		t.Fatalf("the call reads as %v and %v", replies, got)
	}
	c := got[0]
	fmt.Fprintf(&b, "== a call\n%s\n%s\n", call[0], call[1])
	fmt.Fprintf(&b, "means %s %s of device %q meter %q, id %s, expires %d, sent %d\n", c.Verb, c.Action, c.Device, c.Meter, c.ID, millis(c.Expires), millis(c.Sent))
	write("done", d.Answer(c, Outcome{OK: true, Result: "verified", Relay: "open"}, newer))
	write("not known", d.Answer(c, Outcome{Code: "unknown", Result: "unknown", Message: "look at the meter"}, newer))
	return b.String()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// TestReplies reads what platforms answer to posts, also what they did not store.
func TestReplies(t *testing.T) {
	for _, row := range []struct{ cloud, topic, payload, want string }{
		{"aliyun", "/sys/a1Gateway/site7/thing/event/property/post_reply", `{"code":200,"data":{},"id":"12","message":"success","version":"1.0"}`, "property:12 true []"},
		{"aliyun", "/sys/a1Gateway/site7/thing/event/property/post_reply", `{"code":200,"data":{"voltage_a":"tsl parse: params not exist"},"id":"12","message":"success"}`, "property:12 true [{voltage_a tsl parse: params not exist}]"},
		{"aliyun", "/sys/a1Gateway/site7/thing/event/property/post_reply", `{"code":6304,"data":{},"id":"12","message":"tsl parse: params not exist"}`, "property:12 false []"},
		{"aliyun", "/sys/a1Gateway/site7/thing/event/limit_passed/post_reply", `{"code":200,"data":{},"id":"13"}`, "limit_passed:13 true []"},
		{"aliyun", "/ext/session/a1Gateway/site7/combine/batch_login_reply", `{"id":"2","code":520,"message":"device no session","data":{}}`, "login:2 false []"},
		{"tencent", "$thing/down/property/GATEWAYPID/site7", `{"method":"report_reply","clientToken":"7","code":406,"status":"out of range"}`, "report_reply:7 false []"},
		{"onenet", "$sys/gwpid/site7/thing/property/post/reply", `{"id":"9","code":200,"msg":"success"}`, "property/post:9 true []"},
		{"onenet", "$sys/gwpid/site7/thing/property/post/reply", `{"id":"9"}`, ""},
		{"aliyun", "/sys/a1Gateway/site7/thing/event/property/post_reply", `{"id":{"a":1},"code":200}`, ""},
	} {
		d, err := New(row.cloud, identities[row.cloud])
		if err != nil {
			t.Fatal(err)
		}
		replies, calls := d.Receive(row.topic, []byte(row.payload))
		got := ""
		for _, r := range replies {
			got += fmt.Sprintf("%s %v %v", r.ID, r.OK, r.Rejected)
		}
		if got != row.want || len(calls) != 0 {
			t.Errorf("%s %s reads as %q and %v, want %q", row.topic, row.payload, got, calls, row.want)
		}
	}
}

// TestSplits cuts reports at the limits of each cloud and looks that no reading is lost or doubled.
func TestSplits(t *testing.T) {
	for _, cloud := range Names() {
		o := identities[cloud]
		var devices []*Device
		for i := range 230 {
			o.Devices = append(o.Devices, Device{Root: "dlt645", Meter: fmt.Sprint("m", i), Product: "product", Name: fmt.Sprintf("%012d", i), Secret: "secret"})
		}
		d, err := New(cloud, o)
		if err != nil {
			t.Fatal(err)
		}
		at := time.UnixMilli(1795168810213)
		var readings []Reading
		for i := range o.Devices {
			devices = append(devices, &o.Devices[i])
			for k := range 40 {
				readings = append(readings, Reading{Device: &o.Devices[i], Key: fmt.Sprint("key_", k), Value: json.RawMessage(fmt.Sprintf("%d.5", i*1000+k)), Time: at})
			}
		}
		next := 0
		ids := func() string { next++; return strconv.Itoa(next) }
		values := 0
		var all strings.Builder
		for _, p := range d.Report(readings, false, ids) {
			if limit := d.Traits().Bytes; len(p.Payload) > limit {
				t.Errorf("%s: a message of %d bytes, of %d", cloud, len(p.Payload), limit)
			}
			values += len(p.Readings)
			all.Write(p.Payload)
		}
		if values != len(readings) {
			t.Errorf("%s: %d values in messages, want %d", cloud, values, len(readings))
		}
		times := map[string]int{}
		for _, value := range regexp.MustCompile(`:(\d+\.5)\b`).FindAllStringSubmatch(all.String(), -1) {
			times[value[1]]++
		}
		for _, r := range readings {
			if times[string(r.Value)] != 1 {
				t.Fatalf("%s: the value %s is there %d times", cloud, r.Value, times[string(r.Value)])
			}
		}
		for _, p := range d.Announce(devices, at, ids) {
			if limit := d.Traits().Bytes; len(p.Payload) > limit {
				t.Errorf("%s: an announcement of %d bytes, of %d", cloud, len(p.Payload), limit)
			}
		}
	}
}

// TestSameKeyTwice sends two values of one name in order, in messages that each have one of them.
func TestSameKeyTwice(t *testing.T) {
	for _, cloud := range Names() {
		d, err := New(cloud, identities[cloud])
		if err != nil {
			t.Fatal(err)
		}
		device := &Device{Meter: "main", Prefix: "1_"}
		next := 0
		ids := func() string { next++; return strconv.Itoa(next) }
		var all strings.Builder
		for _, p := range d.Report([]Reading{
			{Device: device, Key: "1_ua", Value: json.RawMessage("220.1"), Time: time.UnixMilli(1000)},
			{Device: device, Key: "1_ua", Value: json.RawMessage("220.2"), Time: time.UnixMilli(2000)},
		}, false, ids) {
			all.Write(p.Payload)
		}
		first, second := strings.Index(all.String(), "220.1"), strings.Index(all.String(), "220.2")
		if first < 0 || second < first {
			t.Errorf("%s: %s", cloud, &all)
		}
	}
}

// FuzzCloud has each dialect, as a gateway and flat, read anything as a message of the cloud, and answer whatever
// call that is, in all ways that a call can end.
func FuzzCloud(f *testing.F) {
	for cloud, calls := range relayCalls {
		for _, call := range calls {
			f.Add(cloud, true, call[0], []byte(call[1]))
			f.Add(cloud, false, call[0], []byte(call[1]))
		}
	}
	f.Add("aliyun", true, "/sys/a1Gateway/site7/thing/event/property/post_reply", []byte(`{"code":200,"data":{"a":{"b":{"c":"d"}}},"id":"12"}`))
	f.Add("thingsboard", false, "v1/gateway/rpc", []byte(`{"device":"d","data":{"id":"x","method":"relay"}}`))
	f.Add("thingsboard", false, "v1/gateway/rpc", []byte(`{"device":"d","data":{"id":{"a":[]},"method":"read","params":{"keys":["a"]}}}`))
	f.Add("jetlinks", false, "/gw/site7/child/000000000001/properties/read", []byte(`{"messageId":7,"properties":["a"]}`))
	f.Add("onenet", false, "$sys/gwpid/site7/thing/sub/property/get", []byte(`{"id":"7","params":{"productID":"p","deviceName":"d","params":["a"]}}`))
	f.Add("huawei", false, "$oc/devices/65af_site7/sys/properties/get/request_id=7", []byte(`{"object_device_id":"d"}`))
	f.Add("tencent", true, "$thing/down/property/GATEWAYPID/site7", []byte(`{"method":"control","clientToken":"1","params":{"relay":1}}`))
	device := &Device{Meter: "main", Product: "product", Name: "000000000001", Secret: "secret", Prefix: "1_"}
	outcomes := []Outcome{
		{Code: "refused", Message: "no"}, {OK: true, Result: "verified", Relay: "open"}, {Code: "unknown", Result: "unknown"},
		{OK: true, Values: []Reading{{Device: device, Item: "relay", Key: "relay", Value: json.RawMessage(`"open"`), Time: time.UnixMilli(1)}}},
	}
	f.Fuzz(func(t *testing.T, cloud string, flat bool, topic string, payload []byte) {
		o, ok := identities[cloud]
		if !ok {
			return
		}
		o.Commands = commands
		if !flat {
			o.Devices = []Device{*device}
		}
		d, err := New(cloud, o)
		if err != nil {
			t.Fatal(err)
		}
		_, calls := d.Receive(topic, payload)
		for _, c := range calls {
			for _, out := range outcomes {
				for _, p := range d.Answer(c, out, time.UnixMilli(0)) {
					if !json.Valid(p.Payload) {
						t.Errorf("the answer to %s %s is %s", topic, payload, p.Payload)
					}
				}
			}
		}
	})
}

// TestConfigurationPushes reads the point table that a platform pushes, and what it is answered.
func TestConfigurationPushes(t *testing.T) {
	for _, row := range []struct{ cloud, topic, payload, table, answer string }{
		{
			"huawei", "$oc/devices/65af_site7/sys/events/down",
			`{"object_device_id":"65af_site7","services":[{"service_id":"$other","event_type":"x"},{"service_id":"$device_config","event_type":"config_update","paras":{"config_content":{"points":[]}}}]}`,
			`{"points":[]}`,
			`$oc/devices/65af_site7/sys/events/up {"services":[{"service_id":"$device_config","event_type":"config_update_response","event_time":"19700101T000000Z","paras":{"result_code":1,"code":"bad_request","message":"no"}}]}`,
		},
		{"tencent", "$config/operation/result/GATEWAYPID/site7", `{"type":"push","result":0,"payload":{"points":[]}}`, `{"points":[]}`, ""},
	} {
		o := identities[row.cloud]
		for _, commands := range [][]string{nil, {"read", "relay"}, {"config"}} {
			o.Commands = commands
			d, err := New(row.cloud, o)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := slices.Contains(d.Subscriptions(), row.topic), slices.Contains(commands, "config"); got != want {
				t.Errorf("%s, allowed %v: subscribed to pushes %v", row.cloud, commands, got)
			}
			replies, calls := d.Receive(row.topic, []byte(row.payload))
			if len(replies) != 0 || len(calls) != 1 || calls[0].Verb != VerbConfig || string(calls[0].Payload) != row.table || calls[0].Device != "" {
				t.Fatalf("%s reads as %v and %+v", row.payload, replies, calls)
			}
			answer := ""
			for _, p := range d.Answer(calls[0], Outcome{Code: "bad_request", Message: "no"}, time.UnixMilli(0)) {
				answer += p.Topic + " " + string(p.Payload)
			}
			if answer != row.answer {
				t.Errorf("%s is answered %s, want %s", row.cloud, answer, row.answer)
			}
		}
	}
}
