package uplink

import (
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/uplink/dialect"
)

// newTestUplink returns an uplink to a ThingsBoard, in flat mode, that connects to nothing.
func newTestUplink(t *testing.T, change func(*Config)) *Uplink {
	t.Helper()
	address := &url.URL{Scheme: "mqtt", Host: "127.0.0.1:1"}
	config := Config{
		Local: mqtt.Broker{URLs: []*url.URL{address}}, Roots: []string{"dlt645"}, Cloud: "thingsboard", URL: address,
		Options: dialect.Options{Secret: "TOKEN", Commands: []string{"relay"}}, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&config)
	}
	u, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestUplinkCallsNeedATime looks at what is left of the time of a command, by its kinds of time.
func TestUplinkCallsNeedATime(t *testing.T) {
	now := time.Now()
	began := now.Add(-time.Hour)
	for _, row := range []struct {
		name            string
		call            dialect.Call
		undated         bool
		began, received time.Time
		want            time.Duration // about so much is left; 0: refused
	}{
		{"expires in 4 s", dialect.Call{Expires: now.Add(4 * time.Second)}, false, began, now, 4 * time.Second},
		{"expires in an hour", dialect.Call{Expires: now.Add(time.Hour)}, false, began, now, longestCommand},
		{"expired", dialect.Call{Expires: now.Add(-time.Millisecond)}, false, began, now, 0},
		{"the zero of the platform", dialect.Call{Expires: time.UnixMilli(1)}, false, began, now, 0},
		{"sent 3 s ago", dialect.Call{Sent: now.Add(-3 * time.Second)}, false, began, now, 7 * time.Second},
		{"sent a minute ago", dialect.Call{Sent: now.Add(-time.Minute)}, false, began, now, 0},
		{"sent in a minute", dialect.Call{Sent: now.Add(time.Minute)}, false, began, now, 0},
		{"no time", dialect.Call{}, false, began, now, 0},
		{"no time, taken", dialect.Call{}, true, began, now, longestCommand},
		{"no time, right after connecting", dialect.Call{}, true, now.Add(-4 * time.Second), now, 0},
		{"waited too long here", dialect.Call{Expires: now.Add(time.Second)}, false, began, now.Add(-2 * time.Second), 0},
	} {
		u := newTestUplink(t, func(c *Config) { c.Undated = row.undated })
		left, no := u.calls.validity(&session{began: row.began}, row.call, row.received)
		if row.name == "waited too long here" {
			left, no = u.calls.validity(&session{began: row.began}, dialect.Call{Expires: row.received.Add(time.Second)}, row.received)
		}
		switch {
		case row.want == 0 && no == nil:
			t.Errorf("%s: %s are left", row.name, left)
		case row.want != 0 && (no != nil || left > row.want || left < row.want-time.Second):
			t.Errorf("%s: %s left, refused by %v, want %s", row.name, left, no, row.want)
		}
	}
}

// TestUplinkCallsNeedPermission has nothing carried out that was not allowed, and nothing said of
// commands that could not be sent but that.
func TestUplinkCallsNeedPermission(t *testing.T) {
	soon := time.Now().Add(5 * time.Second)
	for _, row := range []struct {
		name     string
		commands []string
		call     dialect.Call
		want     string
	}{
		{"not allowed", nil, dialect.Call{Verb: dialect.VerbRelay, Action: "trip", Expires: soon}, "not_allowed"},
		{"read not allowed", []string{"relay"}, dialect.Call{Verb: dialect.VerbRead}, "not_allowed"},
		{"config not allowed", []string{"relay"}, dialect.Call{Verb: dialect.VerbConfig}, "not_allowed"},
		{"a property", []string{"relay"}, dialect.Call{Verb: dialect.VerbSet}, "not_allowed"},
		{"no such service", []string{"relay"}, dialect.Call{Verb: dialect.VerbOther, Name: "reboot"}, "unsupported"},
		{"no such meter", []string{"relay"}, dialect.Call{Verb: dialect.VerbRelay, Meter: "other", Action: "trip", Expires: soon}, "unknown_meter"},
		{"which of two", []string{"relay"}, dialect.Call{Verb: dialect.VerbRelay, Action: "trip", Expires: soon}, "unknown_meter"},
		{"no such action", []string{"relay"}, dialect.Call{Verb: dialect.VerbRelay, Meter: "main", Action: "explode", Expires: soon}, "bad_request"},
		{"no id", []string{"relay"}, dialect.Call{Verb: dialect.VerbRelay, Meter: "main", Action: "trip", Expires: soon}, "bad_request"},
		{"ambiguous", []string{"relay"}, dialect.Call{ID: "7", Unsure: "a key twice", Verb: dialect.VerbRelay, Meter: "main", Action: "trip", Expires: soon}, "bad_request"},
		{"the local broker is away", []string{"relay"}, dialect.Call{ID: "7", Verb: dialect.VerbRelay, Meter: "main", Action: "trip", Expires: soon}, "bus_down"},
	} {
		u := newTestUplink(t, func(c *Config) { c.Options.Commands = row.commands })
		u.devices.of(meterID{"dlt645", "main"})
		u.devices.of(meterID{"dlt645", "shop"})
		got := u.calls.carryOut(&session{began: time.Now().Add(-time.Hour)}, row.call, time.Now())
		if got.OK || got.Code != row.want {
			t.Errorf("%s: %+v, want %s", row.name, got, row.want)
		}
	}
}

// TestOutcomes reads replies of a bridge: what is not known is a failure of its own.
func TestOutcomes(t *testing.T) {
	for _, row := range []struct {
		reply, code string
		ok          bool
	}{
		{`{"ok":true,"result":"verified","relay":"open"}`, "", true},
		{`{"ok":false,"result":"acknowledged","pending":true}`, "", true},
		{`{"ok":false,"result":"unknown"}`, "unknown", false},
		{`{"ok":false,"result":"refused","reasons":["power_kept"],"message":"…"}`, "refused", false},
		{`{"ok":false,"error":{"code":"expired","message":"…"}}`, "expired", false},
		{`no JSON`, "unknown", false},
		{`{}`, "internal", false},
	} {
		if got := outcomeOf([]byte(row.reply)); got.OK != row.ok || got.Code != row.code {
			t.Errorf("%s reads as %+v, want %v %q", row.reply, got, row.ok, row.code)
		}
	}
}

// TestNewRefuses names what is wrong of the configuration.
func TestNewRefuses(t *testing.T) {
	for want, config := range map[string]Config{
		"set DLT645_UPLINK_URL":                 {Cloud: "thingsboard", Options: dialect.Options{Secret: "T"}},
		"there are aliyun":                      {Cloud: "azure"},
		"has 33 characters; the cloud takes 32": {Cloud: "tencent", Options: dialect.Options{Product: "p", Device: "d", Secret: "AAAA"}, Keys: Keys{"voltage_a": strings.Repeat("a", 33)}},
		"letters, digits and _":                 {Cloud: "huawei", Options: dialect.Options{Device: "d", Secret: "s"}, Keys: Keys{"voltage_a": "u.a"}},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", config, err, want)
		}
	}
}

// TestNoCallOnceItEnds has a call come while the uplink ends: it waits for those under way, and begins none.
func TestNoCallOnceItEnds(t *testing.T) {
	u := newTestUplink(t, func(*Config) {})
	goOn, ended := make(chan struct{}), make(chan struct{})
	u.calls.run(func() { <-goOn })
	go func() { u.calls.end(); close(ended) }()
	for over := false; !over; runtime.Gosched() {
		u.calls.mu.Lock()
		over = u.calls.over
		u.calls.mu.Unlock()
	}
	u.calls.run(func() { t.Error("a call has begun while the uplink ended") })
	select {
	case <-ended:
		t.Error("it did not wait for the call that was under way")
	default:
	}
	close(goOn)
	<-ended
}

// TestReadSaysWhatIsMissing has a meter lack one of the values that a cloud asks for, and all of them.
func TestReadSaysWhatIsMissing(t *testing.T) {
	s := newSite(t, platformOf("thingsboard"), gatewayOf("thingsboard", false))
	s.requests(func(_ string, payload []byte) string {
		values := `{"voltage_a":220.1}`
		if !strings.Contains(string(payload), "voltage_a") {
			values = `{}`
		}
		return `{"ok":false,"time":"2026-11-20T18:00:00.123+08:00","values":` + values + `,"errors":{"relay":{"code":"unknown_item","message":"there is no such item"}}}`
	})
	s.publish("meter/main/availability", "online")
	s.state("main", 1, `"voltage_a":220.1`)
	s.await(0, "", "220.1")
	for keys, want := range map[string][]string{
		`["voltage_a","relay"]`: {`"ok":true`, `"voltage_a":220.1`, `there is no value of relay: there is no such item`},
		`["relay"]`:             {`"ok":false`, `"code":"unknown_item"`, `there is no value of relay: there is no such item`},
	} {
		all, _ := s.cloud.Messages()
		if err := s.cloud.Call("v1/gateway/rpc", `{"device":"d1","data":{"id":7,"method":"read","params":`+keys+`}}`); err != nil {
			t.Fatal(err)
		}
		s.await(len(all), "v1/gateway/rpc", want...)
	}
}

// TestReadOfFlags has a cloud ask for a flag by its key: its status word is read, and the answer has what was asked for, not
// the other flags, of which the cloud's model knows nothing.
func TestReadOfFlags(t *testing.T) {
	s := newSite(t, platformOf("thingsboard"), gatewayOf("thingsboard", false))
	requests := s.requests(func(_ string, _ []byte) string {
		return `{"ok":true,"time":"2026-11-20T18:00:00.123+08:00","values":{"status_3":"0040","status_3.relay_open":true,"status_3.supply":"main","voltage_a":220.1}}`
	})
	s.publish("meter/main/availability", "online")
	s.state("main", 1, `"status_3.relay_open":false,"voltage_a":220.1`)
	s.await(0, "", "220.1")
	for i, row := range []struct{ keys, items, want string }{
		{`["status_3_relay_open","voltage_a"]`, `"items":["status_3","voltage_a"]`, `"data":{"ok":true,"status_3_relay_open":true,"voltage_a":220.1}`},
		{`["status_3"]`, `"items":["status_3"]`, `"data":{"ok":true,"status_3":"0040","voltage_a":220.1}`},
		{`["status_3","status_3_relay_open"]`, `"items":["status_3"]`, `"data":{"ok":true,"status_3":"0040","status_3_relay_open":true,"voltage_a":220.1}`},
		{`["voltage_block"]`, `"items":["voltage_block"]`, `"voltage_a":220.1}`},
	} {
		all, _ := s.cloud.Messages()
		if err := s.cloud.Call("v1/gateway/rpc", `{"device":"d1","data":{"id":7,"method":"read","params":`+row.keys+`}}`); err != nil {
			t.Fatal(err)
		}
		s.await(len(all), "v1/gateway/rpc", row.want)
		if got := string(requests()[i].Payload); !strings.Contains(got, row.items) {
			t.Errorf("%s asks for %s, want %s", row.keys, got, row.items)
		}
	}
}
