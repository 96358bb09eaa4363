package bridge

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// An unlike is a stage whose meters speak tick, one of them another protocol of that kind, and one parrot.
type unlike struct {
	*stage
	*testing.T
	mill *mill
}

// atTheMill runs a test on such a stage in virtual time.
func atTheMill(t *testing.T, change func(*Config), test func(u *unlike)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMill()
		u := &unlike{T: t, mill: m}
		ticks, tocks := tick{family: "ticks"}, tick{family: "tocks"}
		brief, err := ticks.Configure(map[string]string{"brief": "yes"})
		if err != nil {
			t.Fatal(err)
		}
		u.stage = newStageOn(t, m.cage, bus.Config{Settings: bus.Settings{Baud: own.Baud, Timeout: time.Second}, Tunable: true, Modes: true, Open: m.open}, func(c *Config) {
			c.Protocols = []protocol.Protocol{parrot{}, ticks, tocks}
			c.Finders = []protocol.Finder{ticks}
			c.Meters = []meters.Meter{
				{Name: "rail", Address: ticks.at(7), Protocol: ticks, Mode: tickMode},
				{Name: "one", Address: ticks.at(1), Protocol: ticks, Mode: tickMode},
				{Name: "other", Address: tocks.at(1), Protocol: tocks, Mode: tickMode},
				{Name: "locked", Address: ticks.at(42), Protocol: ticks, Mode: tickMode},
				{Name: "bird", Address: parrotAt("000000000001"), Protocol: parrot{}},
				{Name: "brief", Address: brief.(tick).at(7), Protocol: brief, Mode: tickMode},
			}
			for _, class := range Classes {
				c.Allow[class] = true
			}
			if c.Points = points.Basic(meters.Site(c.Meters, c.Protocol)); change != nil {
				change(c)
			}
		})
		test(u)
		if m.mu.Lock(); len(m.hurried) > 0 {
			t.Errorf("without silence before: %v", m.hurried)
		}
		m.mu.Unlock()
	})
}

// request publishes a request and returns the reply, passing over what else the bridge says.
func (u *unlike) request(topic, payload string) map[string]any {
	u.Helper()
	u.receive(message{topic: "test/request/" + topic, payload: []byte(payload), received: time.Now()})
	for {
		if m := <-u.sent; strings.HasPrefix(m.Topic, "test/reply/") {
			return decoded(u.T, m.Payload)
		}
	}
}

// said is what matters of a reply.
func said(reply map[string]any) string {
	if e, ok := reply["error"].(map[string]any); ok {
		return fmt.Sprint(e["code"], ": ", e["message"])
	}
	for _, key := range []string{"values", "frame", "result"} {
		if reply[key] != nil {
			text := fmt.Sprint(reply[key])
			for _, beside := range []string{"relay", "reasons", "message"} {
				if reply[beside] != nil {
					text += fmt.Sprint(" ", reply[beside])
				}
			}
			if errs, ok := reply["errors"].(map[string]any); ok && len(errs) > 0 {
				text += fmt.Sprint(" ", errs)
			}
			return text
		}
	}
	return fmt.Sprint(reply)
}

// TestRequestsOfAnotherProtocol asks meters of a protocol unlike DL/T 645 for all that a bridge is asked for.
func TestRequestsOfAnotherProtocol(t *testing.T) {
	frame := func(bytes ...byte) string { return fmt.Sprintf("%X", append(bytes, sum(bytes))) }
	for _, test := range []struct{ topic, payload, want string }{
		{"read/rail", "level,throughput", "map[level:1.50 throughput:1000.0]"},
		{"read/7", "level", "map[level:1.50]"}, // no parrot has such an address
		{"read/42", "throughput", "map[throughput:9.5]"},
		{"read/000000000001", "voltage_a", "map[voltage_a:220.10]"},
		{"read/1", "level", "unknown_meter: one and other both have the address"},
		{"read/rial", "level", "of 12 digits; did you mean rail?"},
		{"raed/rail", "level", "did you mean read?"},
		{"read/9", "level", `unknown_meter: "9" is neither the name of a meter of this bridge nor an address of 12 digits`},
		{"read/rail", "voltage_a", "unknown_item"},
		{"read/rail", "", "map[level:1.50 pump_stopped:false]"}, // the basic points
		{"read/rail", `{"items":["level"],"from":"2026-01-01T00:00:00Z"}`, "unsupported: "},
		{"read/rail", "exhaust", "no_such_data"},
		{"read/locked", "level", "not_authorised"},
		{"relay/rail", "stop", "verified open"},
		{"relay/one", `{"action":"go","verify_ms":50}`, "verified closed"},
		{"relay/rail", "trip", `bad_request: "trip" is no action of relay; there are go, stop`},
		{"relay/rail", `{"action":"stop","level":"02"}`, `bad_request: "level" is no key`},
		{"relay/rail", `{"action":"stop","retry_password":true}`, `bad_request: "retry_password" is no key`},
		{"relay/bird", "trip", "verified open done"},
		{"write/rail", `{"item":"level","value":2.5,"force":true,"times":3}`, "acknowledged"},
		{"write/rail", `{"item":"level","value":2.5,"times":1.5}`, `bad_request: "times" must be a whole number`},
		{"write/locked", `{"item":"level","value":2}`, "refused [not_authorised] turn the lock of the cabinet"},
		{"maintenance/rail", "sync_clock", "unsupported: meters of protocol tick have no maintenance"},
		{"broadcast", `{"action":"time","protocol":"tick"}`, "unsupported: meters of protocol tick have no broadcast"},
		{"broadcast", `{"action":"time","protocol":"tack"}`, `bad_request: "tack" is no protocol; there are parrot, tick, tock`},
		{"raw", frame(7, 'r', 'l'), frame(append([]byte{7, 'v', 'l'}, "1.50"...)...)},
		{"raw", `{"frame":"` + frame(7, 'r', 'l') + `","protocol":"ticks"}`, frame(append([]byte{7, 'v', 'l'}, "1.50"...)...)},
		{"raw", `{"frame":"` + frame(7, 'w', 'p', '1') + `"}`, frame(7, 'd', 'p')},
		{"raw", `{"frame":"` + frame(7, 'r', 'l') + `","protocol":"parrot"}`, "bad_request: no frame"},
		{"raw", "0102", "bad_request: no frame"},
	} {
		atTheMill(t, nil, func(u *unlike) {
			if got := said(u.request(test.topic, test.payload)); !strings.Contains(got, test.want) {
				t.Errorf("%s %s: %s, want %s", test.topic, test.payload, got, test.want)
			}
		})
	}
}

// TestMetersOfTwoProtocolsAtOneAddress keeps what is known of meter 1 of one protocol apart from what is known of meter 1
// of another, and of the one that an option tells from it.
func TestMetersOfTwoProtocolsAtOneAddress(t *testing.T) {
	atTheMill(t, nil, func(u *unlike) {
		count := func() int {
			u.mill.mu.Lock()
			defer u.mill.mu.Unlock()
			return len(u.mill.requests)
		}
		for _, meter := range []string{"one", "other"} {
			before := count()
			u.request("read/"+meter, `{"items":["level"],"max_age_ms":60000}`)
			u.request("read/"+meter, `{"items":["level"],"max_age_ms":60000}`)
			if n := count() - before; n != 1 {
				t.Errorf("%s: %d exchanges for two reads of which a minute's age will do", meter, n)
			}
		}
		for meter, key := range map[string]protocol.MeterKey{
			"one": {Family: "ticks", Text: "1"}, "other": {Family: "tocks", Text: "1"},
		} {
			if got := u.directory.At(key); got == nil || got.Name != meter {
				t.Errorf("%v is %v", key, got)
			}
			if got := u.bus.Meter(key).Learned("dialect"); got != "plain" {
				t.Errorf("%s: learned %q", meter, got)
			}
		}
		// A command to one drops what is kept of it only.
		u.request("relay/one", "stop")
		before := count()
		u.request("read/other", `{"items":["level"],"max_age_ms":60000}`)
		if n := count() - before; n != 0 {
			t.Error("a command to the meter of one protocol drops what is known of the other")
		}
		if got := u.directory.Of(protocol.MeterKey{Family: "ticks", Text: "7"}); got == nil || got.Name != "rail" {
			t.Errorf("a frame to meter 7 is for %v", got)
		}
		info := u.info()
		var shown []string
		for _, m := range info.Meters {
			shown = append(shown, fmt.Sprintf("%s %s %s %s %d %s %d %v", m.Name, m.Address, m.Protocol, m.Options, m.Baud, m.Parity, m.Stop, m.Online))
		}
		if want := "rail 7 tick  9600 none 2 true"; shown[0] != want {
			t.Errorf("bridge/info shows %q, want %q", shown[0], want)
		}
		if want := "brief 7 tick brief=yes 9600 none 2 true"; shown[5] != want {
			t.Errorf("bridge/info shows %q, want %q", shown[5], want)
		}
		if want := "bird 000000000001 parrot  0  0 true"; shown[4] != want {
			t.Errorf("bridge/info shows %q, want %q", shown[4], want)
		}
	})
}

// TestPointsOfAnotherProtocol polls, and publishes what comes.
func TestPointsOfAnotherProtocol(t *testing.T) {
	table := "meter,item,interval\nrail,*,10s\nbird,voltage_a,10s\n"
	atTheMill(t, func(c *Config) { c.Points = parseTable(t, c, table) }, func(u *unlike) {
		budget, err := u.keeper.Budget(u.keeper.Table())
		if err != nil || len(budget.Rounds) != 2 || budget.Share <= 0 || budget.Share > 0.2 {
			t.Errorf("budget %+v, %v", budget, err)
		}
		go u.keeper.Poll(u.Context())
		time.Sleep(time.Minute)
		u.mill.mu.Lock()
		u.mill.meters[7]['p'], u.mill.meters[7]['c'] = "1", "4"
		u.mill.mu.Unlock()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		heard := map[string]string{}
		events := ""
		for len(u.told) > 0 {
			m := <-u.told
			heard[m.Topic] = string(m.Payload)
			if strings.HasSuffix(m.Topic, "rail/event") {
				kind, _, _ := strings.Cut(strings.TrimPrefix(string(m.Payload), `{"event_type":"`), `"`)
				events += kind + " "
			}
		}
		if got := heard["test/meter/rail/state"]; !strings.Contains(got, `"level":1.50,"throughput":1000.0,"pump_stopped":true,"starts":4,"relay":"open"`) {
			t.Errorf("state %s", got)
		}
		if heard["test/meter/rail/availability"] != "online" || heard["test/meter/bird/availability"] != "online" {
			t.Errorf("availability %v", heard)
		}
		if !strings.Contains(events, "relay") || !strings.Contains(events, "power_failure") {
			t.Errorf("events %s", events)
		}
		if !strings.Contains(points.Template(meters.Site(u.config.Meters, u.config.Protocol)), "rail,level,1m30s") {
			t.Error("the template has no row of ticks")
		}
	})
	for _, row := range []struct{ table, want string }{
		{"meter,item\n9,level\n", `"9" has 1 digits in place of 12`},
		{"meter,item\nrail,voltage_a\n", "voltage_a"},
		{"meter,item\n1,level\n", `one and other both have the address "1"`},
	} {
		atTheMill(t, nil, func(u *unlike) {
			if _, err := points.Parse([]byte(row.table), meters.Site(u.config.Meters, u.config.Protocol)); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("%q: %v", row.table, err)
			}
		})
	}
	// Where it is the protocol of meters without a name, these go by such addresses.
	atTheMill(t, func(c *Config) { c.Protocol = tick{family: "ticks"} }, func(u *unlike) {
		table, err := points.Parse([]byte("meter,item\n9,level\n"), meters.Site(u.config.Meters, u.config.Protocol))
		if err != nil || table.Points[0].Meter != "9" {
			t.Errorf("%+v, %v", table, err)
		}
		if got := said(u.request("read/300", "level")); !strings.Contains(got, "nor an address of 1 to 247") {
			t.Error(got)
		}
		if got := said(u.request("read/07", "level")); !strings.Contains(got, "the address is 7 in full") {
			t.Error(got)
		}
		if got := said(u.request("read", "level")); !strings.Contains(got, "add its name or its address of 1 to 247, as in read/1") {
			t.Error(got)
		}
	})
}

// TestHomeAssistantOfAnotherProtocol tells of devices that do not meet, and offers nothing that they cannot do.
func TestHomeAssistantOfAnotherProtocol(t *testing.T) {
	atTheMill(t, func(c *Config) { c.Discovery = "ha" }, func(u *unlike) {
		ctx, cancel := context.WithCancel(u.Context())
		defer cancel()
		u.connected(ctx)
		u.request("read/rail", "level,pump_stopped")
		configs := map[string]map[string]any{}
		for range 30 {
			time.Sleep(time.Second)
			u.keeper.Turn()
		}
		synctest.Wait()
		for len(u.sent) > 0 {
			m := <-u.sent
			if id, ok := strings.CutPrefix(m.Topic, "ha/device/"); ok && len(m.Payload) > 0 {
				configs[strings.TrimSuffix(id, "/config")] = decoded(u.T, m.Payload)
			}
		}
		delete(configs, "test_bridge")
		ids := slices.Collect(maps.Keys(configs))
		platforms := map[string]any{}
		for key, component := range configs["test_ticks_7"]["components"].(map[string]any) {
			platforms[key] = component.(map[string]any)["platform"]
		}
		if platforms["relay"] != nil || platforms["level"] != "sensor" || platforms["pump_stopped"] != "binary_sensor" || platforms["set_clock"] != nil {
			t.Errorf("entities %v", platforms)
		}
		slices.Sort(ids)
		if want := []string{"test_000000000001", "test_ticks_1", "test_ticks_42", "test_ticks_7", "test_ticks_7_brief_yes", "test_tocks_1"}; !slices.Equal(ids, want) {
			t.Errorf("devices %v, want %v", ids, want)
		}
		for _, id := range ids {
			if id != homeassistant.Key(id) {
				t.Errorf("%s cannot stand in a topic", id)
			}
		}
	})
}

// TestScanForAnotherProtocol finds meters that must be asked one by one, at their own speed.
func TestScanForAnotherProtocol(t *testing.T) {
	atTheMill(t, nil, func(u *unlike) {
		if got := said(u.request("scan", "")); !strings.Contains(got, `each address of these protocols must be asked by itself`) || !strings.Contains(got, "tick") {
			t.Error(got)
		}
		reply := u.request("scan", `{"protocols":["tick"],"speeds":[9600],"parities":["none"]}`)
		if reply["sure"] != true || len(reply["meters"].([]any)) != 0 {
			t.Errorf("with one stop bit, where the meters have two: %v", reply)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := newMill()
		s := newStageOn(t, m.cage, bus.Config{Settings: bus.Settings{Baud: own.Baud, Stop: 2, Timeout: time.Second}, Tunable: true, Modes: true, Open: m.open}, func(c *Config) {
			c.Protocols, c.Finders, c.Meters = []protocol.Protocol{tick{family: "ticks"}}, []protocol.Finder{tick{family: "ticks"}}, nil
			c.Points = nil
		})
		u := &unlike{stage: s, T: t, mill: m}
		reply := u.request("scan", `{"protocols":["ticks"]}`)
		var found []string
		for _, entry := range reply["meters"].([]any) {
			of := entry.(map[string]any)
			found = append(found, fmt.Sprint(of["address"], of["protocol"], of["baud"], of["parity"]))
		}
		if want := "[1tick9600none 7tick9600none 42tick9600none]"; fmt.Sprint(found) != want || reply["sure"] != true {
			t.Errorf("found %v, want %s: %v", found, want, reply)
		}
	})
}

// TestTraceOfAnotherProtocol shows frames of each protocol by its own rules.
func TestTraceOfAnotherProtocol(t *testing.T) {
	atTheMill(t, nil, func(u *unlike) {
		reply := u.request("read/rail", `{"items":["level"],"trace":true}`)
		frames := fmt.Sprint(reply["frames"])
		if !strings.Contains(frames, "hex:07726C") || !strings.Contains(frames, "hex:07766C312E3530") {
			t.Errorf("frames %s", frames)
		}
		u.listening.Store(true)
		go u.publishFrames(u.Context())
		u.receive(message{topic: "test/request/read/rail", payload: []byte("level"), received: time.Now()})
		time.Sleep(time.Second)
		synctest.Wait()
		var published []string
		for len(u.sent) > 0 {
			if m := <-u.sent; m.Topic == "test/bridge/frame" {
				published = append(published, fmt.Sprint(decoded(u.T, m.Payload)["hex"]))
			}
		}
		if want := []string{"07726C19", "07766C312E353007"}; !slices.Equal(published, want) {
			t.Errorf("bridge/frame shows %v, want %v", published, want)
		}
		// What is no part of an answer may be a parrot's, with a secret in it.
		if masked := u.redact(tick{family: "ticks"}, bus.Transfer{Ignored: true, Bytes: []byte("xpasswordx")}); masked != "78****************78" {
			t.Errorf("noise with a parrot's password is shown as %s", masked)
		}
		if plain := u.redact(tick{family: "ticks"}, bus.Transfer{Bytes: []byte("xpasswordx")}); plain != fmt.Sprintf("%X", "xpasswordx") {
			t.Errorf("a frame of a tick is masked by the rules of parrots: %s", plain)
		}
	})
}
