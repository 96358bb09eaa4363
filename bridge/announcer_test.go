package bridge

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An announcement is a bridge in virtual time that tells Home Assistant of its meters.
type announcement struct {
	*stage
	t *testing.T
}

// announce runs test in a bubble with a bridge that works by a point table.
func announce(t *testing.T, table string, test func(a *announcement)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &announcement{t: t}
		a.stage = newStage(t, func(c *Config) {
			c.Points = parseTable(t, c, table)
			c.Discovery, c.Language = "ha", "en"
		})
		a.cage.say = always("220.1")
		a.listening.Store(true)
		a.restored.Store(true)
		a.announcer.subscribed()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.poll(ctx); close(done) }()
		test(a)
		cancel()
		<-done
	})
}

// after lets the bridge's loop turn for some time and returns what Home Assistant was told in it: the
// keys of the entities of each device, those to be removed with a minus, "gone" for a device that
// is removed, and the number of messages.
func (a *announcement) after(d time.Duration) (devices map[string]string, messages int) {
	a.t.Helper()
	devices = map[string]string{}
	step := max(time.Second, d/1000) // the loop turns each second, but not for hours
	for range d / step {
		time.Sleep(step)
		a.announcer.refresh()
	}
	synctest.Wait()
	for {
		select {
		case m := <-a.sent:
			id, ok := strings.CutPrefix(m.topic, "ha/device/test_")
			if !ok {
				continue
			}
			id = strings.TrimSuffix(id, "/config")
			messages++
			if !m.retain {
				a.t.Errorf("%s is not retained", m.topic)
			}
			if devices[id] = "gone"; len(m.payload) > 0 {
				devices[id] = entities(a.t, m.payload)
			}
		default:
			return devices, messages
		}
	}
}

func entities(t *testing.T, payload []byte) string {
	t.Helper()
	var config struct{ Components map[string]map[string]any }
	if err := json.Unmarshal(payload, &config); err != nil {
		t.Fatalf("%s: %v", payload, err)
	}
	var keys []string
	for key, component := range config.Components {
		switch {
		case component["unique_id"] == nil:
			keys = append(keys, "-"+key)
		case !slices.Contains([]string{"connection", "event", "read_now", "turnaround"}, key):
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, " ")
}

// keeps hears a config that the broker has kept, with entities of these keys.
func (a *announcement) keeps(id, meter string, keys ...string) {
	components := map[string]any{}
	for _, key := range keys {
		components[key] = map[string]string{"platform": "sensor", "unique_id": id + key}
	}
	payload, err := json.Marshal(map[string]any{
		"origin": map[string]string{"name": "dlt645-mqtt"}, "availability": []any{map[string]string{"topic": "test/bridge/status"}},
		"state_topic": "test/meter/" + meter + "/state", "components": components,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	if !a.announcer.hear(message{topic: "ha/device/" + id + "/config", payload: payload, retain: true}) {
		a.t.Error("a config is not taken")
	}
}

func (a *announcement) want(got map[string]string, want ...string) {
	a.t.Helper()
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(got)) {
		lines = append(lines, id+": "+got[id])
	}
	if !slices.Equal(lines, want) {
		a.t.Errorf("Home Assistant was told\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

const (
	toldOfBridge = "bridge: bus queue status utilisation"
	fewPoints    = "meter,item,interval,discovery\nmain,voltage_a,1m,\nmain,voltage_b,1m,\nmain,frequency,1m,no\ndead,voltage_a,1m,\n"
)

// A meter is shown with the values that it has: not with those that it lacks, nor those that the
// table keeps back.
func TestAnnounceWhatMetersHave(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.meters(func() {
			a.cage.say = func(_, item string) string {
				if item == "voltage_b" {
					return "lacking"
				}
				return "220.1"
			}
		})
		got, _ := a.after(time.Minute)
		a.want(got, "000000000001: voltage_a", "900000000000: ", toldOfBridge)
		if got, _ = a.after(time.Hour); len(got) > 0 {
			t.Errorf("told again what was known: %v", got)
		}
		a.meters(func() { a.cage.say = always("220.1") })
		got, _ = a.after(25 * time.Hour) // a lack is asked for again after a day
		a.want(got, "000000000001: voltage_a voltage_b")
	})
}

// What the broker has kept from an earlier run counts: values of the table stay though they were not
// read yet, others are removed, and so are meters that have left, with what was kept of them.
func TestAnnounceAfterARun(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.meters(func() { a.cage.say = always("") })
		a.keeps("test_000000000001", "main", "voltage_b", "power")
		a.keeps("test_000000000007", "shop", "voltage_a")
		a.keeps("test_000000000008", "dead", "voltage_a") // the name has passed to another address
		got, _ := a.after(4 * time.Second)
		a.want(got, "000000000001: -power voltage_b", "000000000007: gone", "000000000008: gone", "900000000000: ", toldOfBridge)
		if got := a.cleared(); got != "test/meter/shop/availability test/meter/shop/stale test/meter/shop/state" {
			t.Errorf("cleared %s", got)
		}
	})
}

// cleared returns the topics of meters that were cleared, without those of the one that has no points.
func (a *announcement) cleared() string {
	var topics []string
	for {
		select {
		case m := <-a.told:
			if m.retain && len(m.payload) == 0 && !strings.HasPrefix(m.topic, "test/meter/only/") {
				topics = append(topics, m.topic)
			}
		default:
			slices.Sort(topics)
			return strings.Join(topics, " ")
		}
	}
}

// A meter that has got another name stays the same device; what was kept under the old name goes.
func TestAnnounceRenamedMeter(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.keeps("test_000000000001", "house", "voltage_a")
		got, _ := a.after(4 * time.Second)
		a.want(got, "000000000001: voltage_a voltage_b", "900000000000: ", toldOfBridge)
		if got := a.cleared(); got != "test/meter/house/availability test/meter/house/stale test/meter/house/state" {
			t.Errorf("cleared %s", got)
		}
	})
}

// As long as the address of a meter is not known, any device may be that meter.
func TestAnnounceUnknownAddress(t *testing.T) {
	announce(t, "meter,item,interval\nonly,voltage_a,10s\n", func(a *announcement) {
		a.meters(func() { a.cage.say = always("") })
		a.keeps("test_000000000000", "only", "voltage_a")
		a.keeps("test_000000000007", "only", "voltage_a")
		got, _ := a.after(4 * time.Second)
		a.want(got, toldOfBridge)
		a.meters(func() { a.cage.say = always("220.1") })
		got, _ = a.after(time.Minute)
		a.want(got, "000000000000: voltage_a", "000000000007: gone")
	})
}

// When Home Assistant has started it is told all again, once, after a pause.
func TestAnnounceAtBirth(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.after(time.Minute)
		a.cleared()
		for _, payload := range []string{"offline", "online", "online"} {
			a.announcer.hear(message{topic: "ha/status", payload: []byte(payload)})
		}
		if got, _ := a.after(time.Second); len(got) > 0 {
			t.Errorf("told at once: %v", got)
		}
		got, messages := a.after(10 * time.Second)
		a.want(got, "000000000001: voltage_a voltage_b", "900000000000: ", toldOfBridge)
		if messages != 3 {
			t.Errorf("told %d messages, want 3", messages)
		}
		if states := len(a.told); states == 0 {
			t.Error("the states are not told again")
		}
	})
}

// While the broker may still send the point table that it has kept, nothing is removed.
func TestAnnounceAfterTheTable(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.restored.Store(false)
		a.announcer.subscribed()
		a.keeps("test_000000000001", "main", "voltage_b", "power")
		if got, _ := a.after(keptPatience); len(got) > 0 {
			t.Errorf("told too early: %v", got)
		}
		a.restored.Store(true)
		got, _ := a.after(5 * time.Second)
		a.want(got, "000000000001: -power voltage_a voltage_b", "900000000000: ", toldOfBridge)
	})
}

// Another table takes effect while the bridge runs.
func TestAnnounceNewTable(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.after(time.Minute)
		a.setTable(parseTable(t, &a.config, "meter,item,interval\nmain,voltage_b,10s\n"))
		got, _ := a.after(time.Minute)
		a.want(got, "000000000001: -voltage_a voltage_b", "900000000000: gone")
	})
}

// What is not ours is let alone, and without a prefix nothing is told.
func TestAnnounceForeign(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		for _, payload := range []string{"", "no JSON", `{"origin":{"name":"zigbee2mqtt"}}`} {
			if !a.announcer.hear(message{topic: "ha/device/0x01/config", payload: []byte(payload)}) {
				t.Errorf("%q is taken for a request", payload)
			}
		}
		if a.announcer.hear(message{topic: "test/request/read/main"}) {
			t.Error("a request is taken for a message of Home Assistant")
		}
		got, _ := a.after(4 * time.Second)
		for id := range got {
			if strings.Contains(id, "0x01") {
				t.Errorf("told of %s", id)
			}
		}
	})
	s := newStage(t, nil)
	if s.announcer.hear(message{topic: "homeassistant/status", payload: []byte("online")}) || s.announcer.subscriptions() != nil {
		t.Error("discovery is off, and something is heard")
	}
}
