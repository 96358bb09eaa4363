package uplink

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	fake "dlt645-mqtt/test/cloud"
	"dlt645-mqtt/uplink/dialect"
)

// TestRemovedMeterIsWithdrawn has a bridge remove a meter: an empty state, like an empty availability, is no reading,
// and its device goes.
func TestRemovedMeterIsWithdrawn(t *testing.T) {
	for _, topic := range []string{"state", "availability"} {
		s := newSite(t, fake.Config{}, thingsBoard("main", "shop"))
		s.publish("meter/main/availability", "online")
		s.publish("meter/shop/availability", "online")
		s.state("main", 1, `"voltage_a":220.1`)
		s.await(0, "gateway/telemetry", "220.1")
		all, _ := s.cloud.Messages()
		s.publish("meter/main/"+topic, "")
		s.await(len(all), "gateway/disconnect", `"dmain"`)
		s.state("main", 2, `"voltage_a":220.2`)
		back := s.await(len(all), "gateway/connect", `"dmain"`)
		s.await(back.Number, "gateway/telemetry", "220.2")
	}
}

// TestMeterThatWasNeverThere says nothing of a meter that cannot be reached when the cloud is connected to, where a cloud
// takes nothing of devices that have not logged in: one of them leaves a post unanswered, the others refuse it. It is
// told of once it has come, and again once it goes.
func TestMeterThatWasNeverThere(t *testing.T) {
	for _, cloud := range []string{"aliyun", "tencent", "onenet"} {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, platformOf(cloud), gatewayOf(cloud, false))
			s.publish("meter/main/availability", "offline")
			s.eventually("that it is known", func() bool {
				s.uplink.presence.mu.Lock()
				defer s.uplink.presence.mu.Unlock()
				_, known := s.uplink.presence.told[meterID{"dlt645", "main"}]
				return known
			})
			s.publish("meter/main/availability", "online")
			s.await(0, "", "online")
			s.publish("meter/main/availability", "offline")
			s.eventually("that it is gone", func() bool {
				all, _ := s.cloud.Messages()
				last := all[len(all)-1]
				return strings.Contains(last.Topic, "logout") || strings.Contains(string(last.Payload), `"offline"`)
			})
			all, _ := s.cloud.Messages()
			if first := all[0]; strings.Contains(first.Topic, "logout") || strings.Contains(string(first.Payload), `"online":0`) || strings.Contains(string(first.Payload), `"online":{"value":`) {
				t.Errorf("it begins with %s %s", first.Topic, first.Payload)
			}
			if log := s.log.String(); strings.Contains(log, "refused") || strings.Contains(log, "does not answer") {
				t.Error("the cloud did not take all of it")
			}
		})
	}
}

// TestNoCallIsSubscribedToUnlessAllowed looks at the topics of each cloud: without DLT645_UPLINK_COMMANDS none of them
// is where a relay, a read or a table would come.
func TestNoCallIsSubscribedToUnlessAllowed(t *testing.T) {
	for _, cloud := range dialect.Names() {
		for _, flat := range []bool{false, true} {
			for _, commands := range [][]string{nil, {"read"}, {"relay"}} {
				config := gatewayOf(cloud, flat)
				config.Options.Commands = commands
				u := newTestUplink(t, func(c *Config) { c.Cloud, c.Options = config.Cloud, config.Options })
				topics := u.dialect.Subscriptions()
				relay := false
				for _, down := range downTopics[cloud] {
					if !strings.Contains(down, "relay") && !strings.Contains(down, "invoke") && !strings.Contains(down, "action") && !strings.Contains(down, "commands") && !strings.HasSuffix(down, "call") && !strings.Contains(down, "rpc") {
						continue
					}
					relay = relay || slices.ContainsFunc(topics, func(filter string) bool { return matches(filter, down) })
				}
				if relay && commands == nil {
					t.Errorf("%s (flat %v): subscribes to calls that are not allowed: %v", cloud, flat, topics)
				}
				if !relay && slices.Contains(commands, "relay") {
					t.Errorf("%s (flat %v): the relay is allowed, and its topic not subscribed to: %v", cloud, flat, topics)
				}
			}
		}
	}
}

// matches reports whether a topic filter takes a topic.
func matches(filter, topic string) bool {
	f, p := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		switch {
		case level == "#":
			return true
		case i >= len(p) || level != "+" && level != p[i]:
			return false
		}
	}
	return len(f) == len(p)
}

// relayCallOf is an RPC of ThingsBoard.
func relayCallOf(id int, action string, expires time.Time) string {
	return fmt.Sprintf(`{"device":"dmain","data":{"id":%d,"method":"relay","params":{"action":%q,"expires":%d}}}`, id, action, expires.UnixMilli())
}

// TestRelayFromTheCloud follows relay calls to the bridge: once a click, twice the same for a duplicate, never for
// what is late, undated or retained; and the answer of the bridge to the cloud, unknown as a failure.
func TestRelayFromTheCloud(t *testing.T) {
	config := thingsBoard("main")
	config.Options.Commands = []string{"relay"}
	s := newSite(t, fake.Config{}, config)
	reply := atomic.Pointer[string]{}
	verified := `{"ok":true,"result":"verified","relay":"open"}`
	reply.Store(&verified)
	requests := s.requests(func(string, []byte) string { return *reply.Load() })
	s.publish("meter/main/availability", "online")
	s.await(0, "gateway/connect", "dmain")

	expires := time.Now().Add(7 * time.Second)
	for range 2 {
		if err := s.cloud.Call("v1/gateway/rpc", relayCallOf(1, "trip", expires)); err != nil {
			t.Fatal(err)
		}
	}
	answer := func(id int) fake.Message { return s.await(0, "v1/gateway/rpc", fmt.Sprintf(`"id":%d,"data":`, id)) }
	if m := answer(1); !containsAll(string(m.Payload), []string{`"ok":true`, `"result":"verified"`, `"relay":"open"`}) {
		t.Errorf("the cloud is told %s", m.Payload)
	}
	s.eventually("the second request", func() bool { return len(requests()) == 2 })
	first, second := requests()[0], requests()[1]
	if string(first.Payload) != string(second.Payload) || first.TopicName != "dlt645/request/relay/main" {
		t.Errorf("a call that came twice is %s and %s, want the same, by which the bridge knows it", first.Payload, second.Payload)
	}
	var body struct {
		ID     string `json:"id"`
		TTL    int64  `json:"ttl_ms"`
		Verify int64  `json:"verify_ms"`
		Action string `json:"action"`
	}
	if err := json.Unmarshal(first.Payload, &body); err != nil {
		t.Fatal(err)
	}
	if body.TTL > 7000 || body.TTL < 1 || body.Verify != 8000 || body.Action != "trip" || !strings.HasPrefix(body.ID, "thingsboard:") || !strings.HasSuffix(body.ID, ":1") {
		t.Errorf("the request is %s, want what is left of 7 s, and 8 s to look", first.Payload)
	}
	if p := first.Properties; p.MessageExpiryInterval < 1 || p.MessageExpiryInterval > 7 || !strings.HasPrefix(p.ResponseTopic, "dlt645/reply/uplink/") || first.FixedHeader.Retain ||
		!slices.Equal(p.User, []packets.UserProperty{{Key: "via", Val: "uplink"}, {Key: "cloud", Val: "thingsboard"}}) {
		t.Errorf("the request has the properties %+v", p)
	}

	unknown := `{"ok":false,"result":"unknown"}`
	reply.Store(&unknown)
	if err := s.cloud.Call("v1/gateway/rpc", relayCallOf(2, "close", time.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	if m := answer(2); !containsAll(string(m.Payload), []string{`"ok":false`, `"code":"unknown"`, "look at the meter"}) {
		t.Errorf("what is not known is told as %s", m.Payload)
	}
	if err := json.Unmarshal(requests()[2].Payload, &body); err != nil || body.TTL > 10_000 || body.TTL < 5_000 {
		t.Errorf("a call that is valid for an hour may wait %d ms, want at most ten seconds", body.TTL)
	}

	// None of these reaches the bridge.
	before := len(requests())
	for id, call := range []string{
		relayCallOf(3, "trip", time.Now().Add(-time.Second)),
		`{"device":"dmain","data":{"id":4,"method":"relay","params":{"action":"trip"}}}`,
		`{"device":"dother","data":{"id":5,"method":"relay","params":{"action":"trip","expires":4102444800000}}}`,
		`{"device":"dmain","data":{"id":6,"method":"relay","params":{"action":"trip","action":"close","expires":4102444800000}}}`,
	} {
		if err := s.cloud.Call("v1/gateway/rpc", call); err != nil {
			t.Fatal(err)
		}
		if m := answer(id + 3); !strings.Contains(string(m.Payload), `"ok":false`) {
			t.Errorf("%s is answered %s", call, m.Payload)
		}
	}
	if err := s.cloud.CallRetained("v1/gateway/rpc", relayCallOf(7, "trip", time.Now().Add(time.Hour))); err != nil {
		t.Fatal(err)
	}
	s.eventually("the retained call as a live one", func() bool { return len(requests()) == before+1 })
	s.stop()
	s.start()
	all, _ := s.cloud.Messages()
	s.state("main", 1, `"voltage_a":220.1`)
	s.await(len(all), "gateway/telemetry", "220.1")
	if err := s.cloud.Call("v1/gateway/rpc", `{"device":"dmain","data":{"id":8,"method":"relay","params":{"action":"trip"}}}`); err != nil {
		t.Fatal(err)
	}
	answer(8) // what the cloud had kept came before
	if n := len(requests()); n != before+1 {
		t.Errorf("%d requests more, one of them for a call that the cloud had kept", n-before)
	}
}

// TestUndatedCalls takes commands without a time where the user wants it, but none within five seconds after
// subscribing.
func TestUndatedCalls(t *testing.T) {
	config := thingsBoard("main")
	config.Options.Commands, config.Undated = []string{"relay"}, true
	s := newSite(t, fake.Config{}, config)
	requests := s.requests(func(string, []byte) string { return `{"ok":true,"result":"verified"}` })
	s.publish("meter/main/availability", "online")
	s.await(0, "gateway/connect", "dmain")
	subscribed := s.cloud.Attempts()[0]
	call := func(id int) string {
		if err := s.cloud.Call("v1/gateway/rpc", fmt.Sprintf(`{"device":"dmain","data":{"id":%d,"method":"relay","params":{"action":"trip"}}}`, id)); err != nil {
			t.Fatal(err)
		}
		return string(s.await(0, "v1/gateway/rpc", fmt.Sprintf(`"id":%d,"data":`, id)).Payload)
	}
	if answer := call(1); time.Since(subscribed) < replayGuard && (!strings.Contains(answer, `"expired"`) || len(requests()) != 0) {
		t.Errorf("right after subscribing: %s", answer)
	}
	id := 1
	s.eventually("a command without a time, later", func() bool {
		id++
		return strings.Contains(call(id), `"verified"`)
	})
	if since := requests()[0].Created - subscribed.Unix(); since < 4 {
		t.Errorf("a command without a time was sent %d s after connecting", since)
	}
}

// TestWrongSecret has each cloud refuse the identity: the log says which variables to look at, the next attempt comes
// after a minute at the earliest, and the secret is shown nowhere.
func TestWrongSecret(t *testing.T) {
	for _, cloud := range dialect.Names() {
		t.Run(cloud, func(t *testing.T) {
			t.Parallel()
			behaviour, config := platformOf(cloud), gatewayOf(cloud, true)
			if cloud == "json" {
				behaviour.Password = func(string, string) string { return "another" }
			}
			const secret = "V3J5U2VjcmV0S2V5" // Base64 as well
			config.Options.Secret = secret
			if cloud == "jetlinks" {
				config.Options.Secret = "id:" + secret
			}
			config.Hurry = 1
			s := newSite(t, behaviour, config)
			s.eventually("a line that says what to look at", func() bool { return strings.Contains(s.log.String(), "DLT645_UPLINK_SECRET") })
			if n := len(s.cloud.Attempts()); n != 1 {
				t.Errorf("%d attempts at once", n)
			}
			if text := s.log.String() + s.metrics() + s.uplink.unready(); strings.Contains(text, secret) {
				t.Errorf("the secret is shown: %s", text)
			}
		})
	}
}

// TestClocks has the clock of each cloud hours and months from ours: whoever compares says so, all others let the
// gateway in.
func TestClocks(t *testing.T) {
	for _, off := range []time.Duration{5 * time.Hour, -5 * time.Hour, 200 * 24 * time.Hour, -200 * 24 * time.Hour} {
		for _, cloud := range dialect.Names() {
			t.Run(fmt.Sprintf("%s/%s", cloud, off), func(t *testing.T) {
				t.Parallel()
				now := func() time.Time { return time.Now().Add(off) }
				behaviour := platformOf(cloud)
				switch cloud {
				case "tencent":
					p := &fake.Tencent{Product: "pid", Device: "site7", Secret: "AAECAwQFBgcICQoLDA0ODw==", Now: now}
					behaviour.Password, behaviour.Answer = p.Password("hmacsha256"), p.Answer
				case "onenet":
					p := &fake.OneNET{Product: "pid", Device: "site7", Secret: "AAECAwQFBgcICQoLDA0ODw==", Now: now}
					behaviour.Verify, behaviour.Answer = p.Verify, p.Answer
				case "jetlinks":
					behaviour.Password = (&fake.JetLinks{Product: "pid", Device: "site7", ID: "id", Key: "key", Now: now}).Password
				}
				s := newSite(t, behaviour, gatewayOf(cloud, true))
				if cloud == "jetlinks" {
					s.eventually("a line about the clock", func() bool { return strings.Contains(s.log.String(), "this host's clock") })
					return
				}
				s.eventually("the connection", func() bool { return strings.Contains(s.log.String(), "connected to the cloud") })
			})
		}
	}
}

// TestClockOfCalls has calls with times that say that the clocks differ: nothing is sent, and the answer says why.
func TestClockOfCalls(t *testing.T) {
	u := newTestUplink(t, nil)
	now := time.Now()
	for _, call := range []dialect.Call{
		{Sent: now.Add(5 * time.Hour)}, {Sent: now.Add(-5 * time.Hour)}, {Expires: now.Add(-5 * time.Hour)},
		{Sent: now.Add(5 * time.Hour), Expires: now.Add(5*time.Hour + 8*time.Second)}, // our clock is late: it could be as old as that
	} {
		if _, no := u.calls.validity(&session{began: now.Add(-time.Hour)}, call, now); no == nil || !strings.Contains(no.Message, "clocks of this host and of the cloud differ") {
			t.Errorf("%+v: %+v", call, no)
		}
	}
}

// TestStatesOfTheFuture tells that a bridge's clock is wrong, and sends its values all the same.
func TestStatesOfTheFuture(t *testing.T) {
	s := newSite(t, fake.Config{}, thingsBoard("main"))
	at := time.Now().Add(26 * time.Hour)
	s.publish("meter/main/state", fmt.Sprintf(`{"voltage_a":220.1,"time":%q}`, at.Format(time.RFC3339)))
	s.await(0, "gateway/telemetry", fmt.Sprintf(`"ts":%d`, at.Unix()*1000), "220.1")
	s.eventually("a line about the clock", func() bool { return strings.Contains(s.log.String(), "values are dated in the future") })
}

// TestCloudThatIsNotReady has a cloud that ends the connection of whoever subscribes right after its CONNACK: the next
// time the uplink leaves it some.
func TestCloudThatIsNotReady(t *testing.T) {
	config := thingsBoard("main")
	config.Options.Commands = []string{"relay"}
	config.Hurry = 10
	s := newSite(t, fake.Config{Settles: settling / 20}, config)
	s.state("main", 1, `"voltage_a":220.1`)
	s.await(0, "gateway/telemetry", "220.1")
	if _, refused := s.cloud.Connects(); len(refused) == 0 {
		t.Log("the machine was too slow to subscribe at once")
	}
}

// TestTwoHundredDevices logs a large site in, in batches and within the limits of the platform, also after the
// connection was lost, and asks for no more topics at once than platforms take.
func TestTwoHundredDevices(t *testing.T) {
	var meters []string
	for i := range 200 {
		meters = append(meters, fmt.Sprintf("m%03d", i))
	}
	platform, behaviour, config := aliyun(meters...)
	behaviour.Topics, behaviour.PerSecond, behaviour.Largest = 8, 30, 128<<10
	var kick atomic.Bool
	behaviour.Kick = func(fake.Message) bool { return kick.Swap(false) }
	_ = platform
	s := newSite(t, behaviour, config)
	for _, m := range meters {
		s.publish("meter/"+m+"/availability", "online")
	}
	loggedIn := func(after int) (devices map[string]bool, batches, largest int) {
		devices = map[string]bool{}
		all, _ := s.cloud.Messages()
		for _, m := range all[after:] {
			if !strings.HasSuffix(m.Topic, "combine/batch_login") {
				continue
			}
			names := strings.Split(string(m.Payload), `"deviceName":"`)[1:]
			batches, largest = batches+1, max(largest, len(names))
			for _, n := range names {
				name, _, _ := strings.Cut(n, `"`)
				devices[name] = true
			}
		}
		return devices, batches, largest
	}
	after := 0
	for round := range 2 {
		s.eventually("the login of all", func() bool { devices, _, _ := loggedIn(after); return len(devices) == 200 })
		if _, batches, largest := loggedIn(after); largest > 50 || round == 1 && batches > 4 {
			t.Errorf("round %d: %d logins, of %d devices at most; want 4 of 50", round, batches, largest)
		}
		s.state(meters[round], 1, `"voltage_a":220.1`)
		s.await(after, "pack/post", "220.1")
		all, _ := s.cloud.Messages()
		after = len(all)
		kick.Store(true)
		s.state(meters[round+10], 1, `"voltage_a":221.1`)
	}
	if _, refused := s.cloud.Connects(); len(refused) > 0 {
		t.Errorf("the cloud has refused: %v", refused)
	}
}

// TestMeterComesBack follows a meter that goes and comes back, and a connection that is lost meanwhile: the platform
// is told each time, and nothing of a device goes out before its login.
func TestMeterComesBack(t *testing.T) {
	platform, behaviour, config := aliyun("main")
	_ = platform
	var kick atomic.Bool
	behaviour.Kick = func(fake.Message) bool { return kick.Swap(false) }
	s := newSite(t, behaviour, config)
	s.publish("meter/main/availability", "online")
	login := s.await(0, "combine/batch_login", "dmain")
	s.await(login.Number, "pack/post", `"online":{"value":1`)
	s.publish("meter/main/availability", "offline")
	logout := s.await(login.Number, "combine/batch_logout", "dmain")
	s.publish("meter/main/availability", "online")
	again := s.await(logout.Number, "combine/batch_login", "dmain")
	kick.Store(true)
	s.state("main", 1, `"voltage_a":220.1`)
	third := s.await(again.Number, "combine/batch_login", "dmain")
	s.await(third.Number, "pack/post", "220.1")
	if text := s.metrics(); strings.Contains(text, "rejected_total") {
		t.Errorf("something was refused: %s", text)
	}
}

// TestKeysStopTheStart lists all names that a cloud does not take, each with a line for the keys file.
func TestKeysStopTheStart(t *testing.T) {
	long := strings.Repeat("voltage_", 4) + "a" // 33 characters
	_, err := New(Config{
		Cloud: "tencent", URL: &url.URL{Scheme: "mqtt", Host: "x:1"}, Log: slog.New(slog.DiscardHandler),
		Options: dialect.Options{Product: "p", Device: "d", Secret: "AAAA", Devices: []dialect.Device{{Root: "dlt645", Meter: "main", Prefix: "meter1_"}}},
		Keys:    Keys{"voltage_a": long, "voltage_b": "u.b", "voltage_c": strings.Repeat("c", 26), "current_a": "ia"},
	})
	if err == nil {
		t.Fatal("the uplink would start")
	}
	for _, want := range []string{"item voltage_a", "voltage_a,voltage_a", "item voltage_b", "letters, digits and _", "item voltage_c: the key meter1_" + strings.Repeat("c", 26) + " has 33 characters; the cloud takes 32"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "current_a") {
		t.Errorf("a good key is among %v", err)
	}
}

// TestTwoItemsWithOneKey sends the one to which the key was given, and refuses the other.
func TestTwoItemsWithOneKey(t *testing.T) {
	config := thingsBoard("main")
	config.Keys = Keys{"voltage_a": "voltage_b"}
	s := newSite(t, fake.Config{}, config)
	s.publish("meter/main/availability", "online")
	s.state("main", 1, `"voltage_a":220.1,"voltage_b":220.2`)
	if m := s.await(0, "gateway/telemetry", "220.1"); strings.Contains(string(m.Payload), "220.2") {
		t.Errorf("both went out: %s", m.Payload)
	}
	s.eventually("a line about the other", func() bool {
		return strings.Contains(s.log.String(), "the key voltage_b was given to the item voltage_a")
	})
}
