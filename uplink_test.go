package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/test/cloud"
)

// An uplinkRun is the command uplink, running.
type uplinkRun struct {
	log    *watched
	stop   context.CancelFunc
	status chan int
}

// startUplink runs the command uplink with these variables and no others.
func startUplink(t *testing.T, variables map[string]string) *uplinkRun {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	u := &uplinkRun{log: newWatched("dlt645-mqtt uplink"), stop: stop, status: make(chan int, 1)}
	withVariables(t, variables, func() {
		go func() { u.status <- run(ctx, []string{"uplink"}, strings.NewReader(""), u.log, u.log) }()
		select {
		case <-u.log.seen: // it knows its variables
		case status := <-u.status:
			u.status <- status
		case <-time.After(patience):
			t.Error("the uplink does not start")
		}
	})
	t.Cleanup(func() {
		stop()
		u.end(t)
		if t.Failed() {
			t.Log(u.log.String())
		}
	})
	return u
}

// end stops the uplink and waits for it.
func (u *uplinkRun) end(t *testing.T) {
	t.Helper()
	u.stop()
	select {
	case status := <-u.status:
		u.status <- status
		if status != 0 {
			t.Errorf("the uplink ended with status %d", status)
		}
	case <-time.After(patience):
		t.Error("the uplink does not end")
	}
}

func startCloud(t *testing.T, config cloud.Config) *cloud.Cloud {
	t.Helper()
	c, err := cloud.Start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// awaitMessage returns the first message from the cloud's number after on that accept takes.
func awaitMessage(t *testing.T, c *cloud.Cloud, after int, accept func(cloud.Message) bool) cloud.Message {
	t.Helper()
	deadline := time.After(patience)
	for {
		all, arrived := c.Messages()
		for ; after < len(all); after++ {
			if accept(all[after]) {
				return all[after]
			}
		}
		select {
		case <-arrived:
		case <-deadline:
			for _, m := range all {
				t.Logf("%s %s", m.Topic, m.Payload)
			}
			t.Fatal("the cloud did not get what was awaited")
		}
	}
}

func has(topic string, parts ...string) func(cloud.Message) bool {
	return func(m cloud.Message) bool {
		for _, part := range parts {
			if !strings.Contains(string(m.Payload), part) {
				return false
			}
		}
		return strings.HasSuffix(m.Topic, topic)
	}
}

// aliyunCloud is the platform that aliyunGateway speaks to.
func aliyunCloud(rejected func(cloud.Message) map[string]string) cloud.Config {
	platform := &cloud.Aliyun{
		Product: "a1Gateway", Device: "site7", Secret: "secret", Rejected: rejected,
		Devices: map[string]string{"000000000001": "s1", "000000000002": "s2"},
	}
	return cloud.Config{Password: platform.Password, Answer: platform.Answer}
}

// aliyunGateway are the variables of a gateway at the cloud of these tests.
func aliyunGateway(t *testing.T, broker, address, root, devices string) map[string]string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "devices.csv")
	writeFile(t, file, devices)
	return map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + broker, "DLT645_UPLINK_CLOUD": "aliyun", "DLT645_UPLINK_URL": "mqtt://" + address,
		"DLT645_UPLINK_PRODUCT": "a1Gateway", "DLT645_UPLINK_DEVICE": "site7", "DLT645_UPLINK_SECRET": "secret",
		"DLT645_UPLINK_ROOTS": root, "DLT645_UPLINK_DEVICES": file,
	}
}

// TestUplinkFromMeterToCloud goes the whole way: simulated meters, bridge, broker, uplink, a strict
// cloud; and back, where a relay is switched once.
func TestUplinkFromMeterToCloud(t *testing.T) {
	t.Parallel()
	broker := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + broker.address, "DLT645_BUS_URL": quickMeters + "&meters=2",
		"DLT645_METERS": "main=000000000001,shop=000000000002", "DLT645_ALLOW": "read,relay", "DLT645_METER_PASSWORD": "02000000",
		"DLT645_POINTS": "basic",
	})
	c := startCloud(t, aliyunCloud(nil))
	variables := aliyunGateway(t, broker.address, c.Address, root, "meter,product,device,secret\nmain,a1Meter,000000000001,s1\nshop,a1Meter,000000000002,s2\n")
	variables["DLT645_UPLINK_COMMANDS"] = "read,relay"
	u := startUplink(t, variables)

	login := awaitMessage(t, c, 0, has("combine/batch_login", `"deviceName":"000000000001"`))
	values := awaitMessage(t, c, 0, has("pack/post", `"deviceName":"000000000001"`, `"voltage_a":{"value":2`, `"relay":{"value":1,`))
	if values.Number < login.Number {
		t.Errorf("values came as message %d, before the login, which was %d", values.Number, login.Number)
	}
	var post struct {
		Params struct {
			SubDevices []struct {
				Properties map[string]struct {
					Value json.RawMessage `json:"value"`
					Time  int64           `json:"time"`
				} `json:"properties"`
			} `json:"subDevices"`
		} `json:"params"`
	}
	if err := json.Unmarshal(values.Payload, &post); err != nil {
		t.Fatal(err)
	}
	if at := time.UnixMilli(post.Params.SubDevices[0].Properties["voltage_a"].Time); time.Since(at) > patience || time.Since(at) < 0 {
		t.Errorf("the voltage has the time %s", at)
	}

	all, _ := c.Messages()
	call := fmt.Sprintf(`{"id":"77","version":"1.0","method":"thing.service.relay","params":{"action":0,"expires":"%d"}}`, time.Now().Add(time.Minute).UnixMilli())
	for range 2 { // a platform may send it twice
		if err := c.Call("/sys/a1Meter/000000000001/thing/service/relay", call); err != nil {
			t.Fatal(err)
		}
	}
	first := awaitMessage(t, c, len(all), has("thing/service/relay_reply", `"id":"77"`))
	if !strings.Contains(string(first.Payload), `"code":200`) || !strings.Contains(string(first.Payload), `"result":"verified","relay":0`) {
		t.Errorf("the answer is %s", first.Payload)
	}
	second := awaitMessage(t, c, first.Number, has("thing/service/relay_reply", `"id":"77"`))
	if string(second.Payload) != string(first.Payload) {
		t.Errorf("the repeat is answered %s, the first %s", second.Payload, first.Payload)
	}
	awaitMessage(t, c, len(all), has("thing/event/relay/post", `"relay":"open"`))

	for name, refused := range map[string]struct{ service, params, want string }{
		"too late":       {"relay", fmt.Sprintf(`{"action":1,"expires":"%d"}`, time.Now().Add(-time.Second).UnixMilli()), "expired"},
		"the zero time":  {"relay", `{"action":1,"expires":"0"}`, "expired"},
		"no time at all": {"relay", `{"action":1}`, "expired"},
		"as a property":  {"property/set", `{"relay":1}`, "not_allowed"},
		"an action more": {"relay", fmt.Sprintf(`{"action":7,"expires":"%d"}`, time.Now().Add(time.Minute).UnixMilli()), "bad_request"},
	} {
		before, _ := c.Messages()
		if err := c.Call("/sys/a1Meter/000000000001/thing/service/"+refused.service, `{"id":"`+fmt.Sprint(len(before))+`","params":`+refused.params+`}`); err != nil {
			t.Fatal(err)
		}
		answer := awaitMessage(t, c, len(before), has("thing/service/"+refused.service+"_reply"))
		if !strings.Contains(string(answer.Payload), refused.want) || strings.Contains(string(answer.Payload), `"code":200`) {
			t.Errorf("%s: %s, want %s", name, answer.Payload, refused.want)
		}
	}

	before, _ := c.Messages()
	if err := c.Call("/sys/a1Meter/000000000002/thing/service/property/get", `{"id":"5","params":["voltage_a"]}`); err != nil {
		t.Fatal(err)
	}
	awaitMessage(t, c, len(before), has("thing/service/property/get_reply", `"code":200`, `"voltage_a":2`))
	if strings.Contains(u.log.String(), "secret") {
		t.Error("the log has a secret in it")
	}
}

// TestUplinkStateAsEvent has a model in which the state of a meter is an event, as that of an LS-D3000: the
// event comes at each change, and not again with a new connection.
func TestUplinkStateAsEvent(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	config := aliyunCloud(nil)
	config.Kick = func(m cloud.Message) bool { return strings.Contains(string(m.Payload), `"2_ua":{"value":221`) }
	c := startCloud(t, config)
	publisher := bridgeClient(t, b, "dlt645", "main", "shop")
	variables := aliyunGateway(t, b.address, c.Address, "dlt645", "meter,prefix\nmain,1_\nshop,2_\n")
	keys := filepath.Join(t.TempDir(), "keys.csv")
	writeFile(t, keys, "item,key\nvoltage_a,ua\ndev_state,event:{prefix}state\n")
	variables["DLT645_UPLINK_KEYS"] = keys
	startUplink(t, variables)
	retained := func(p *paho.Publish) { p.Retain = true }
	voltage := func(meter string, value, second int) {
		publisher.publish("dlt645/meter/"+meter+"/state", fmt.Sprintf(`{"voltage_a":%d,"time":"2026-11-20T18:00:%02d+08:00"}`, value, second), retained)
	}
	voltage("main", 220, 1)
	awaitMessage(t, c, 0, has("property/post", `"1_ua":{"value":220`))
	publisher.publish("dlt645/meter/shop/availability", "offline", retained)
	awaitMessage(t, c, 0, has("thing/event/2_state/post", `"value":{"2_dev_state":0}`))
	voltage("shop", 221, 2) // ends the connection
	awaitMessage(t, c, 0, has("property/post", `"2_ua":{"value":221`))
	publisher.publish("dlt645/meter/shop/availability", "online", retained)
	awaitMessage(t, c, 0, has("thing/event/2_state/post", `"value":{"2_dev_state":1}`))
	if connects, _ := c.Connects(); connects < 2 {
		t.Errorf("%d connections, so that nothing was shown", connects)
	}
	all, _ := c.Messages()
	events := ""
	for _, m := range all {
		if strings.Contains(m.Topic, "state/post") {
			_, value, _ := strings.Cut(string(m.Payload), `"value":`)
			value, _, _ = strings.Cut(value, "}")
			events += value + "}"
		}
	}
	if want := `{"2_dev_state":0}{"2_dev_state":1}`; events != want {
		t.Errorf("the events are %s, want %s", events, want)
	}
}

// bridgeClient publishes as a bridge does.
func bridgeClient(t *testing.T, b *testBroker, root string, meters ...string) *client {
	t.Helper()
	c := newClient(t, dial(t, b.address))
	retained := func(p *paho.Publish) { p.Retain = true }
	c.publish(root+"/bridge/status", "online", retained)
	for _, meter := range meters {
		c.publish(root+"/meter/"+meter+"/availability", "online", retained)
	}
	return c
}

// TestUplinkLosesNothing has the cloud away, and the uplink stopped and started meanwhile, while
// states go on: each arrives, in order, with its own time.
func TestUplinkLosesNothing(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true", "max_queued_messages 0")
	address := freeAddress(t)
	config := aliyunCloud(nil)
	config.Address = address
	first := startCloud(t, config)
	publisher := bridgeClient(t, b, "dlt645", "main")
	variables := aliyunGateway(t, b.address, address, "dlt645", "meter,product,device,secret\nmain,a1Meter,000000000001,s1\n")
	u := startUplink(t, variables)
	begin := time.Date(2026, 11, 20, 18, 0, 0, 0, time.FixedZone("CST", 8*3600))
	number := 0
	state := func(count int) {
		for range count {
			number++
			publisher.publish("dlt645/meter/main/state", fmt.Sprintf(`{"forward_active_energy":%d.25,"time":%q}`, number, begin.Add(time.Duration(number)*time.Second).Format("2006-01-02T15:04:05.000Z07:00")), func(p *paho.Publish) { p.Retain = true })
		}
	}
	state(1)
	awaitMessage(t, first, 0, has("pack/post", `"value":1.25`))
	first.Close()
	state(25)
	u.end(t)
	state(25)
	second := startCloud(t, config)
	startUplink(t, variables)
	state(25)
	last := awaitMessage(t, second, 0, has("pack/post", fmt.Sprintf(`"value":%d.25`, number)))
	all, _ := second.Messages()
	next := 2
	for _, m := range all[:last.Number] {
		rest := string(m.Payload)
		for {
			var value string
			if _, rest, _ = strings.Cut(rest, `"forward_active_energy":{"value":`); rest == "" {
				break
			}
			value, _, _ = strings.Cut(rest, "}")
			want := fmt.Sprintf(`%d.25,"time":%d`, next, begin.Add(time.Duration(next)*time.Second).UnixMilli())
			if value == want {
				next++
				continue
			}
			var got int
			if _, err := fmt.Sscanf(value, "%d", &got); err != nil || got >= next {
				t.Fatalf("%s came where %s was due", value, want)
			}
		}
	}
	if next != number+1 {
		t.Errorf("%d values came, want %d", next-1, number)
	}
}

// TestUplinkTellsWhatWasNotStored has a cloud that takes a message and yet stores one of its values
// not: the log names it, and what follows flows.
func TestUplinkTellsWhatWasNotStored(t *testing.T) {
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	c := startCloud(t, aliyunCloud(func(m cloud.Message) map[string]string {
		if strings.Contains(string(m.Payload), "voltage_b") {
			return map[string]string{"voltage_b": "tsl parse: params not exist"}
		}
		return nil
	}))
	publisher := bridgeClient(t, b, "dlt645", "main")
	u := startUplink(t, aliyunGateway(t, b.address, c.Address, "dlt645", "meter,product,device,secret\nmain,a1Meter,000000000001,s1\n"))
	publisher.publish("dlt645/meter/main/state", `{"voltage_a":220.1,"voltage_b":220.2,"time":"2026-11-20T18:00:10.213+08:00"}`, func(p *paho.Publish) { p.Retain = true })
	awaitMessage(t, c, 0, has("pack/post", `"voltage_b":{"value":220.2,"time":1795168810213}`))
	publisher.publish("dlt645/meter/main/state", `{"voltage_a":220.3,"time":"2026-11-20T18:00:20.213+08:00"}`, nil)
	awaitMessage(t, c, 0, has("pack/post", `"voltage_a":{"value":220.3,"time":1795168820213}`))
	if !strings.Contains(u.log.String(), "voltage_b") {
		t.Error("the log does not name the value that was not stored")
	}
}

// TestUplinkFlat has the keys of an LS-D3000's customer: 1_ua, 1_dev_state.
func TestUplinkFlat(t *testing.T) {
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	c := startCloud(t, cloud.Config{})
	directory := t.TempDir()
	devices, keys := filepath.Join(directory, "devices.csv"), filepath.Join(directory, "keys.csv")
	writeFile(t, devices, "meter,prefix\nmain,1_\nshop,2_\n")
	writeFile(t, keys, "item,key\nvoltage_a,ua\nforward_active_energy,epp\n")
	publisher := bridgeClient(t, b, "dlt645", "main", "shop")
	startUplink(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + b.address, "DLT645_UPLINK_CLOUD": "json", "DLT645_UPLINK_URL": "mqtt://" + c.Address,
		"DLT645_UPLINK_DEVICE": "site7", "DLT645_UPLINK_DEVICES": devices, "DLT645_UPLINK_KEYS": keys, "DLT645_UPLINK_CONSTANTS": "sn=4711",
	})
	awaitMessage(t, c, 0, has("up/site7", `"sn":"4711","1_dev_state":1`))
	publisher.publish("dlt645/meter/shop/state", `{"voltage_a":220.0,"forward_active_energy":800000.01,"relay":"closed","time":"2026-11-20T18:00:10.213+08:00"}`, func(p *paho.Publish) { p.Retain = true })
	m := awaitMessage(t, c, 0, has("up/site7", "2_ua"))
	if got, want := string(m.Payload), `{"time":1795168810213,"sn":"4711","2_ua":220.0,"2_epp":800000.01,"2_relay":"closed"}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	publisher.publish("dlt645/meter/shop/availability", "offline", nil)
	awaitMessage(t, c, m.Number, has("up/site7", `"2_dev_state":0`))
}

// TestUplinkConfiguration looks for all complaints at once, each with what to do.
func TestUplinkConfiguration(t *testing.T) {
	directory := t.TempDir()
	devices := filepath.Join(directory, "devices.csv")
	writeFile(t, devices, "meter,device,prefix\nmain,d1,\nmain,d2,\nshop,,1_\n")
	for _, row := range []struct {
		name      string
		variables map[string]string
		want      []string
	}{
		{"nothing", map[string]string{}, []string{"DLT645_MQTT_URL: is missing", "DLT645_UPLINK_CLOUD: is missing"}},
		{"wrong", map[string]string{
			"DLT645_UPLINK_CLOUD": "azure", "DLT645_UPLINK_URL": "http://x", "DLT645_UPLINK_COMMANDS": "write", "DLT645_UPLINK_MIN_INTERVAL": "soon", "DLT645_UPLINK_DEVICES": devices,
		}, []string{`"azure" is no cloud`, "mqtts://host:8883", `"write" is none of read, relay, config`, `"soon" is no duration`, "line 3: the meter main of dlt645 stands there twice", "give a device to all of them"}},
		{"impossible", map[string]string{
			"DLT645_UPLINK_CLOUD": "json", "DLT645_UPLINK_DEVICE": "site7", "DLT645_UPLINK_URL": "wss://x:99999", "DLT645_UPLINK_ROOTS": "north,,south",
			"DLT645_UPLINK_HTTP": "9646", "DLT645_UPLINK_BACKFILL": "voltage_a", "DLT645_UPLINK_BACKFILL_AFTER": "0s", "DLT645_UPLINK_UNDATED": "yes", "DLT645_UPLINK_CONSTANTS": "sn",
		}, []string{
			`DLT645_UPLINK_URL: "99999" is no port`, `DLT645_UPLINK_ROOTS: "" is no topic root`, `DLT645_UPLINK_HTTP: "9646" is no address with a port`, `DLT645_UPLINK_BACKFILL: "voltage_a" is no item of history`,
			`DLT645_UPLINK_BACKFILL_AFTER: "0s" is no duration`, `DLT645_UPLINK_UNDATED: "yes" is none of refuse, accept`, `DLT645_UPLINK_CONSTANTS: "sn" is not name=value`,
		}},
		{"a token behind the address", map[string]string{"DLT645_UPLINK_CLOUD": "json", "DLT645_UPLINK_URL": "wss://x/mqtt?token=abc"}, []string{"DLT645_UPLINK_URL: has something behind the host"}},
		{"misspelt", map[string]string{"DLT645_UPLINK_CLOD": "json"}, []string{"DLT645_UPLINK_CLOD: no such variable; did you mean DLT645_UPLINK_CLOUD?"}},
	} {
		setAll(t, row.variables)
		status, _, stderr := execute(t, "", "uplink")
		if status != statusConfiguration {
			t.Errorf("%s: status %d", row.name, status)
		}
		for _, want := range row.want {
			if !strings.Contains(stderr, want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, stderr)
			}
		}
		if strings.Contains(stderr, "abc") {
			t.Errorf("%s: what may be a secret is shown:\n%s", row.name, stderr)
		}
	}
}

// TestUplinkTakesItsHistory takes each item of history that a bridge reads.
func TestUplinkTakesItsHistory(t *testing.T) {
	for _, item := range []string{"off", "load_record_4", "load_record", "daily_freeze_forward_active_energy", "daily_freeze", "05060101"} {
		r := configReader{}
		if r.backfill(item); len(r.complaints) > 0 {
			t.Errorf("%s: %v", item, r.complaints)
		}
	}
}

// TestUplinkChecksNamesBehindABlank has names checked at the start also of a meter whose root stands behind a comma and
// a blank, where the devices file names it.
func TestUplinkChecksNamesBehindABlank(t *testing.T) {
	directory := t.TempDir()
	devices, table := filepath.Join(directory, "devices.csv"), filepath.Join(directory, "points.csv")
	writeFile(t, devices, "root,meter,prefix\nsouth,main,a_prefix_that_is_very_long_indeed_\n")
	writeFile(t, table, "meter,item\nmain,voltage_a\n")
	setAll(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://127.0.0.1:1", "DLT645_UPLINK_CLOUD": "tencent", "DLT645_UPLINK_PRODUCT": "p", "DLT645_UPLINK_DEVICE": "d", "DLT645_UPLINK_SECRET": "AAAA",
		"DLT645_UPLINK_ROOTS": "north, south", "DLT645_UPLINK_DEVICES": devices, "DLT645_POINTS": table,
	})
	defer keepVariables(t)()
	u, _, err := uplinkConfig(true)
	if err != nil {
		t.Fatal(err)
	}
	u.Log = slog.New(slog.DiscardHandler)
	if err := checkItems(u); err == nil || !strings.Contains(err.Error(), "a_prefix_that_is_very_long_indeed_voltage_a has 43 characters") {
		t.Error(err)
	}
}

// TestUplinkModelAndCheck writes a model, and finds in one what the platform would refuse.
func TestUplinkModelAndCheck(t *testing.T) {
	setAll(t, map[string]string{"DLT645_LANGUAGE": "zh"})
	status, model, stderr := execute(t, "", "uplink", "model", "-cloud", "aliyun", "-points", "examples/points.csv", "-product", "a1Meter", "-relay")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{`"productKey": "a1Meter"`, `"identifier": "voltage_a"`, `"name": "A相电压"`, `"step": "0.1"`, `"unit": "V"`, `"identifier": "relay"`, `"thing.service.relay"`, `"identifier": "online"`} {
		if !strings.Contains(model, want) {
			t.Errorf("the model has no %s", want)
		}
	}
	file := filepath.Join(t.TempDir(), "tsl.json")
	writeFile(t, file, model)
	if status, out, stderr := execute(t, "", "uplink", "check", "-cloud", "aliyun", "-points", "examples/points.csv", "-model", file); status != 0 {
		t.Errorf("the model that was made does not fit: %s%s", out, stderr)
	}
	writeFile(t, file, strings.NewReplacer(`"identifier": "voltage_a"`, `"identifier": "ua"`).Replace(model))
	status, out, _ := execute(t, "", "uplink", "check", "-cloud", "aliyun", "-points", "examples/points.csv", "-model", file)
	if status != 1 || !strings.Contains(out, "voltage_a：物模型里没有属性 voltage_a；对照文件里写一行：voltage_a,标识符") {
		t.Errorf("status %d: %s", status, out)
	}
}

// TestUplinkChecksFlatMode holds the model of an LS-D3000's customer against point table, devices and keys: each
// meter's keys with its prefix, its state as the output of an event, the relay only where it is read.
func TestUplinkChecksFlatMode(t *testing.T) {
	const tsl = `{"properties":[
		{"identifier":"1_ua","dataType":{"type":"double"}},{"identifier":"1_ep","dataType":{"type":"double"}},{"identifier":"2_ua","dataType":{"type":"text"}}],
		"events":[{"identifier":"post","outputData":[{"identifier":"1_ua"}]},
		{"identifier":"state","outputData":[{"identifier":"1_dev_state"},{"identifier":"2_dev_state"}]}]}`
	directory := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(directory, name)
		writeFile(t, path, content)
		return path
	}
	table := file("points.csv", "meter,item,interval\nmain,voltage_a,10s\nmain,forward_active_energy,15m\nshop,voltage_a,10s\n")
	devices, model := file("devices.csv", "meter,prefix\nmain,1_\nshop,2_\n"), file("tsl.json", tsl)
	for _, row := range []struct {
		name, table, keys string
		want              []string
	}{
		{"no keys", table, "item,key\n", []string{
			"voltage_a: the model has no property 1_voltage_a; line for the keys file: voltage_a,IDENTIFIER, without the 1_ in front",
			"forward_active_energy: the model has no property 1_forward_active_energy; line for the keys file: forward_active_energy,IDENTIFIER, without the 1_ in front",
			"dev_state: the model has 1_dev_state as an output of an event; line for the keys file: dev_state,event:state",
			"voltage_a: the model has no property 2_voltage_a; line for the keys file: voltage_a,IDENTIFIER, without the 2_ in front",
			"dev_state: the model has 2_dev_state as an output of an event; line for the keys file: dev_state,event:state",
		}},
		{"keys, and one of another type", table, "item,key\nvoltage_a,ua\nforward_active_energy,ep\ndev_state,event:state\n", []string{
			"voltage_a: the model's property 2_ua is of type text, which does not take a number",
		}},
		{"a wrong event", table, "item,key\nvoltage_a,ua\nforward_active_energy,ep\ndev_state,event:{prefix}state\n", []string{
			"dev_state: the model has no event 1_state with an output 1_dev_state",
			"voltage_a: the model's property 2_ua is of type text, which does not take a number",
			"dev_state: the model has no event 2_state with an output 2_dev_state",
		}},
		{"the relay is read", file("relay.csv", "meter,item\nmain,status_3.relay_open\n"), "item,key\nstatus_3.relay_open,ep\ndev_state,event:state\n", []string{
			"relay: the model has no property 1_relay; line for the keys file: relay,IDENTIFIER, without the 1_ in front",
		}},
	} {
		status, out, stderr := execute(t, "", "uplink", "check", "-cloud", "aliyun", "-points", row.table, "-devices", devices, "-keys", file("keys.csv", row.keys), "-model", model)
		if got := strings.Split(strings.TrimSpace(out), "\n"); status != 1 || !slices.Equal(got, row.want) {
			t.Errorf("%s: status %d, %s\n%s\nwant\n%s", row.name, status, stderr, out, strings.Join(row.want, "\n"))
		}
	}
	// The model that is made for them has the same prefixes, and the state as a property unless it is an event.
	for _, row := range []struct {
		keys string
		want bool
	}{{"item,key\nvoltage_a,ua\n", true}, {"item,key\ndev_state,event:state\n", false}} {
		status, out, stderr := execute(t, "", "uplink", "model", "-cloud", "aliyun", "-points", table, "-devices", devices, "-keys", file("keys.csv", row.keys))
		if status != 0 || !strings.Contains(out, `"1_forward_active_energy"`) || strings.Contains(out, `"2_dev_state"`) != row.want {
			t.Errorf("the model with the keys %q: status %d, %s%s", row.keys, status, stderr, out)
		}
	}
}

// TestUplinkModelKnowsEachProtocol has a meter of another protocol than the usual: its numbers are numbers.
func TestUplinkModelKnowsEachProtocol(t *testing.T) {
	setAll(t, map[string]string{"DLT645_METERS": "main=000000000001,rail=7@modbus/dtsu666"})
	table := filepath.Join(t.TempDir(), "points.csv")
	writeFile(t, table, "meter,item\nmain,forward_active_energy\nrail,voltage_ab\n")
	status, out, stderr := execute(t, "", "uplink", "model", "-cloud", "jetlinks", "-points", table)
	_, voltage, _ := strings.Cut(out, `"voltage_ab"`)
	if voltage, _, _ = strings.Cut(voltage, "expands"); status != 0 || !strings.Contains(voltage, `"double"`) {
		t.Errorf("status %d, %s: voltage_ab is %s", status, stderr, voltage)
	}
}

// TestUplinkSignHidesSecrets shows all that a login carries but the secret ones.
func TestUplinkSignHidesSecrets(t *testing.T) {
	for cloudName, variables := range map[string]map[string]string{
		"aliyun":      {"DLT645_UPLINK_PRODUCT": "a1Gateway", "DLT645_UPLINK_DEVICE": "site7"},
		"thingsboard": {"DLT645_UPLINK_URL": "mqtt://127.0.0.1"},
	} {
		variables["DLT645_UPLINK_CLOUD"], variables["DLT645_UPLINK_SECRET"] = cloudName, "SECRETSECRET"
		setAll(t, variables)
		status, out, stderr := execute(t, "", "uplink", "sign")
		if status != 0 || strings.Contains(out+stderr, "SECRETSECRET") || !strings.Contains(out, "characters") {
			t.Errorf("%s: status %d: %s%s", cloudName, status, out, stderr)
		}
		if cloudName == "aliyun" { // prefixes do not hinder it
			devices := filepath.Join(t.TempDir(), "devices.csv")
			writeFile(t, devices, "meter,prefix\nmain,1_\n")
			t.Setenv("DLT645_UPLINK_DEVICES", devices)
		}
		if _, out, _ = execute(t, "", "uplink", "sign", "-show"); !strings.Contains(out, "password") || strings.Contains(out, "characters") {
			t.Errorf("%s: -show does not show: %s", cloudName, out)
		}
	}
}

// TestUplinkFillsGaps has a meter away, and the cloud for a while as well: what the meter remembers of the time
// goes to the cloud as history, portion by portion, each value with its time.
func TestUplinkFillsGaps(t *testing.T) {
	t.Parallel()
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true")
	config := aliyunCloud(nil)
	config.Address = freeAddress(t)
	first := startCloud(t, config)
	publisher := bridgeClient(t, b, "dlt645", "main")
	variables := aliyunGateway(t, b.address, config.Address, "dlt645", "meter,product,device,secret\nmain,a1Meter,000000000001,s1\n")
	variables["DLT645_UPLINK_BACKFILL"], variables["DLT645_UPLINK_BACKFILL_AFTER"] = "load_record_4", "1s"
	startUplink(t, variables)
	awaitMessage(t, first, 0, has("pack/post", `"online":{"value":1`))
	retained := func(p *paho.Publish) { p.Retain = true }
	gone := time.Now()
	publisher.publish("dlt645/meter/main/availability", "offline", retained)
	awaitMessage(t, first, 0, has("combine/batch_logout", `"deviceName":"000000000001"`))
	noticed := time.Now() // by now the uplink knows
	first.Close()
	for time.Since(noticed) < 1100*time.Millisecond { // a gap of real time
		publisher.publish("dlt645/meter/main/availability", "offline", retained)
	}
	back := time.Now()
	publisher.publish("dlt645/meter/main/availability", "online", retained) // the cloud does not see it come

	bridge := newClient(t, dial(t, b.address), "dlt645/request/read/main")
	second := startCloud(t, config)
	portions := []string{
		`{"ok":true,"samples":[{"time":"2026-11-20T18:00:00+08:00","values":{"forward_active_energy":9.33}},{"time":"2026-11-20T18:15:00+08:00","values":{"forward_active_energy":9.41}}],"next":"2026-11-20T18:30:00+08:00"}`,
		`{"ok":true,"samples":[{"time":"2026-11-20T18:30:00+08:00","values":{"forward_active_energy":9.50}}]}`,
	}
	for number, portion := range portions {
		request := bridge.await("dlt645/request/read/main", nil)
		var asked struct {
			Items    []string
			From, To time.Time
		}
		if err := json.Unmarshal(request.Payload, &asked); err != nil {
			t.Fatal(err)
		}
		// It writes whole seconds.
		if len(asked.Items) != 1 || asked.Items[0] != "load_record_4" || asked.To.After(time.Now()) || asked.To.Before(back.Add(-time.Second)) {
			t.Errorf("the uplink asks %s, the meter came back at %s", request.Payload, back)
		}
		if number == 0 && (asked.From.After(noticed) || asked.From.Before(gone.Add(-time.Second))) {
			t.Errorf("the uplink asks from %s on, the meter was away since %s", asked.From, gone)
		}
		if number == 1 && !strings.Contains(string(request.Payload), `"2026-11-20T18:30:00+08:00"`) {
			t.Errorf("the uplink asks %s after a portion that goes on at 18:30", request.Payload)
		}
		publisher.publish(request.Properties.ResponseTopic, portion, nil)
	}
	for _, want := range []string{`"value":9.33,"time":1795168800000`, `"value":9.41,"time":1795169700000`, `"value":9.50,"time":1795170600000`} {
		awaitMessage(t, second, 0, has("history/post", want, `"deviceName":"000000000001"`))
	}
}

// TestUplinkSignByOptions has the options say who logs in, whatever the environment says; the signature is that of
// the same identity in the environment.
func TestUplinkSignByOptions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	writeFile(t, file, "0123456789abcdef0123456789abcdef\n")
	setAll(t, map[string]string{"DLT645_UPLINK_CLOUD": "thingsboard", "DLT645_UPLINK_SECRET": "OTHER", "DLT645_UPLINK_DEVICE": "other"})
	status, out, stderr := execute(t, "", "uplink", "sign", "-cloud", "aliyun", "-product", "a1B2c3D4e5F", "-device", "meter1", "-secret-file", file, "-show")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, want := range []string{
		"mqtts://a1B2c3D4e5F.iot-as-mqtt.cn-shanghai.aliyuncs.com:8883", "a1B2c3D4e5F.meter1|securemode=2,signmethod=hmacsha256,timestamp=2524608000000|",
		"meter1&a1B2c3D4e5F", "cc4cfa48bc8c79cf741313a0c0dc435023d87c079f1b3b1d726309062ce6f7a9", "5m0s", "3.1.1",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	_, out, _ = execute(t, "", "uplink", "sign", "-cloud", "aliyun", "-url", "mqtt://127.0.0.1", "-product", "p", "-sign-method", "hmacsha1")
	if !strings.Contains(out, "mqtt://127.0.0.1:1883") || !strings.Contains(out, "securemode=3,signmethod=hmacsha1") || !strings.Contains(out, "40 characters") {
		t.Errorf("other options: %s", out)
	}
	if _, out, _ = execute(t, "", "uplink", "sign"); !strings.Contains(out, "give -url or DLT645_UPLINK_URL") {
		t.Errorf("a cloud without an address: %s", out)
	}
	if status, _, stderr = execute(t, "", "uplink", "sign", "-cloud", "azure"); status != statusConfiguration || !strings.Contains(stderr, `"azure" is no cloud`) {
		t.Errorf("a cloud that there is not: status %d, %s", status, stderr)
	}
}
