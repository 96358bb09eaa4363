package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// An announcement is a bridge in virtual time that tells Home Assistant of its meters.
type announcement struct {
	*stage
	t *testing.T
}

// announce runs test in a bubble with a bridge that works by a point table.
func announce(t *testing.T, table string, test func(a *announcement)) {
	t.Helper()
	announceAs(t, func(*Config) {}, table, test)
}

// announceAs does so with a bridge that is configured otherwise.
func announceAs(t *testing.T, change func(*Config), table string, test func(a *announcement)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &announcement{t: t}
		a.stage = newStage(t, func(c *Config) {
			c.Points = parseTable(t, c, table)
			c.Discovery, c.Language = "ha", "en"
			change(c)
		})
		a.cage.say = always("220.1")
		ctx, cancel := context.WithCancel(t.Context())
		a.connected(ctx)
		done := make(chan struct{})
		go func() { a.keeper.Poll(ctx); close(done) }()
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
		a.keeper.Turn()
	}
	synctest.Wait()
	for {
		select {
		case m := <-a.sent:
			id, ok := strings.CutPrefix(m.Topic, "ha/device/test_")
			if !ok {
				continue
			}
			id = strings.TrimSuffix(id, "/config")
			messages++
			if !m.Kind.Retained() {
				a.t.Errorf("%s is not retained", m.Topic)
			}
			if devices[id] = "gone"; len(m.Payload) > 0 {
				devices[id] = entities(a.t, m.Payload)
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

// A keptDevice is a device that an earlier run has told of, with sensors of these keys.
type keptDevice struct {
	id, meter string
	keys      []string
}

// A published list is what bridge/published says.
type published struct {
	Meters    []string                   `json:"meters"`
	Discovery string                     `json:"discovery,omitempty"`
	Devices   map[string]publishedDevice `json:"devices,omitempty"`
}

type publishedDevice struct {
	Meter    string              `json:"meter,omitempty"`
	Entities map[string][]string `json:"entities"`
	About    map[string]string   `json:"about,omitempty"`
}

// keeps hears the list that an earlier run has left.
func (a *announcement) keeps(devices ...keptDevice) {
	a.t.Helper()
	list := published{Discovery: "ha", Devices: map[string]publishedDevice{}}
	for _, d := range devices {
		list.Devices[d.id] = publishedDevice{Meter: d.meter, Entities: map[string][]string{"sensor": d.keys}}
		if !slices.Contains(list.Meters, d.meter) {
			list.Meters = append(list.Meters, d.meter)
		}
	}
	a.hears(list)
}

func (a *announcement) hears(list published) {
	a.t.Helper()
	payload, err := json.Marshal(list)
	if err != nil {
		a.t.Fatal(err)
	}
	if !a.keeper.Hear("test/bridge/published", payload, true) {
		a.t.Error("the list is not taken")
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
		a.keeps(
			keptDevice{"test_000000000001", "main", []string{"voltage_b", "power"}},
			keptDevice{"test_000000000007", "shop", []string{"voltage_a"}},
			keptDevice{"test_000000000008", "dead", []string{"voltage_a"}}, // the name has passed to another address
		)
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
			if m.Kind.Retained() && len(m.Payload) == 0 && !strings.HasPrefix(m.Topic, "test/meter/only/") {
				topics = append(topics, m.Topic)
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
		a.keeps(keptDevice{"test_000000000001", "house", []string{"voltage_a"}})
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
		a.keeps(keptDevice{"test_000000000000", "only", []string{"voltage_a"}}, keptDevice{"test_000000000007", "only", []string{"voltage_a"}})
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
			a.keeper.Hear("ha/status", []byte(payload), false)
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
		a.keeper.Restored.Store(false)
		a.keeper.Listen(a.t.Context(), granting{})
		a.keeps(keptDevice{"test_000000000001", "main", []string{"voltage_b", "power"}})
		if got, _ := a.after(mqtt.KeptPatience); len(got) > 0 {
			t.Errorf("told too early: %v", got)
		}
		a.keeper.Restored.Store(true)
		got, _ := a.after(5 * time.Second)
		a.want(got, "000000000001: -power voltage_a voltage_b", "900000000000: ", toldOfBridge)
	})
}

// Another table takes effect while the bridge runs.
func TestAnnounceNewTable(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.after(time.Minute)
		a.keeper.SetTable(parseTable(t, &a.config, "meter,item,interval\nmain,voltage_b,10s\n"))
		got, _ := a.after(time.Minute)
		a.want(got, "000000000001: -voltage_a voltage_b", "900000000000: gone")
	})
}

// What is not ours is let alone, and without a prefix nothing is told.
func TestAnnounceForeign(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		for _, topic := range []string{"test/request/read/main", "ha/device/0x01/config", "ha/device/test_000000000001/config"} {
			if a.keeper.Hear(topic, nil, true) {
				t.Errorf("%s is taken for a message of Home Assistant", topic)
			}
		}
	})
	s := newStage(t, nil)
	if s.keeper.Hear("homeassistant/status", []byte("online"), false) {
		t.Error("discovery is off, and something is heard")
	}
}

// lists returns the newest list of what is published, empty if there was none since the last call, and how many
// there were.
func (a *announcement) lists() (newest published, messages int) {
	a.t.Helper()
	synctest.Wait()
	for len(a.sent) > 0 {
		m := <-a.sent
		if m.Topic != "test/bridge/published" {
			continue
		}
		if !m.Kind.Retained() {
			a.t.Error("the list is not retained")
		}
		newest = published{}
		if err := json.Unmarshal(m.Payload, &newest); err != nil {
			a.t.Fatalf("%s: %v", m.Payload, err)
		}
		messages++
	}
	return newest, messages
}

// turn lets the bridge's loop turn for some time.
func (a *announcement) turn(d time.Duration) {
	for range d / time.Second {
		time.Sleep(time.Second)
		a.keeper.Turn()
	}
	synctest.Wait()
}

// TestListOfWhatIsPublished keeps, in one message, what the next run has to take back: nothing is listed before the
// list of the last run was heard, or it would be lost, and it changes only with what is published.
func TestListOfWhatIsPublished(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.turn(4 * time.Second)
		for len(a.sent) > 0 {
			if m := <-a.sent; m.Topic == "test/bridge/published" || strings.HasPrefix(m.Topic, "ha/") {
				t.Errorf("%s published before the list of the last run was heard", m.Topic)
			}
		}
		a.turn(time.Minute)
		list, _ := a.lists()
		if !slices.Equal(list.Meters, []string{"dead", "main", "only"}) || list.Discovery != "ha" || len(list.Devices) != 3 {
			t.Errorf("listed %+v", list)
		}
		main := list.Devices["test_000000000001"]
		if main.Meter != "main" || !slices.Contains(main.Entities["sensor"], "voltage_b") || !slices.Contains(main.Entities["binary_sensor"], "connection") {
			t.Errorf("listed %+v", main)
		}
		a.turn(time.Hour)
		if list, messages := a.lists(); messages > 0 {
			t.Errorf("listed again: %+v", list)
		}
	})
}

// TestListWithoutDiscovery takes back what is retained of a meter that is gone where Home Assistant is told nothing,
// and of one that had no points; and its device, but not those of meters that are there.
func TestListWithoutDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &announcement{t: t, stage: newStage(t, nil)}
		a.connected(a.t.Context())
		a.hears(published{Meters: []string{"main", "shop", "000000000009"}, Discovery: "ha", Devices: map[string]publishedDevice{
			"test_bridge":       {},
			"test_000000000001": {Meter: "main", Entities: map[string][]string{"sensor": {"voltage_a"}}},
			"test_000000000002": {Meter: "shop", Entities: map[string][]string{"sensor": {"voltage_a"}}},
		}})
		a.cleared()
		for range 10 {
			time.Sleep(time.Second)
			a.keeper.Turn()
		}
		synctest.Wait()
		if got, want := a.cleared(), "test/meter/000000000009/availability test/meter/000000000009/stale test/meter/000000000009/state "+
			"test/meter/shop/availability test/meter/shop/stale test/meter/shop/state"; got != want {
			t.Errorf("cleared %s, want %s", got, want)
		}
		var gone []string
		var list published
		for len(a.sent) > 0 {
			switch m := <-a.sent; {
			case strings.HasPrefix(m.Topic, "ha/") && m.Kind.Retained() && len(m.Payload) == 0:
				gone = append(gone, m.Topic)
			case m.Topic == "test/bridge/published":
				list = published{}
				if err := json.Unmarshal(m.Payload, &list); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !slices.Equal(gone, []string{"ha/device/test_000000000002/config"}) {
			t.Errorf("devices removed: %q", gone)
		}
		if !slices.Equal(list.Meters, []string{"dead", "main", "only"}) || len(list.Devices) != 2 || list.Devices["test_000000000001"].Meter != "main" {
			t.Errorf("listed %+v", list)
		}
	})
}

// TestListWhileTheBrokerIsAway keeps what is to be taken back on the list until the broker has confirmed it.
func TestListWhileTheBrokerIsAway(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		var away atomic.Bool
		a.outbox.Down()
		a.outbox.Up(a.t.Context(), func(_ context.Context, m mqtt.Outgoing) (bool, error) {
			if away.Load() && (strings.Contains(m.Topic, "shop") || strings.Contains(m.Topic, "000000000007")) {
				return false, mqtt.ErrNotNow
			}
			a.sent <- m
			return false, nil
		})
		away.Store(true)
		a.keeps(keptDevice{"test_000000000007", "shop", []string{"voltage_a"}})
		a.turn(time.Minute)
		if list, _ := a.lists(); !slices.Contains(list.Meters, "shop") || list.Devices["test_000000000007"].Entities == nil {
			t.Errorf("what is not taken back yet is listed no more: %+v", list)
		}
		away.Store(false)
		a.turn(time.Minute)
		if list, messages := a.lists(); messages == 0 || slices.Contains(list.Meters, "shop") || list.Devices["test_000000000007"].Entities != nil {
			t.Errorf("what is taken back is still listed: %+v", list)
		}
	})
}

// TestListUnderAnotherPrefix removes the devices under the prefix that an earlier run had.
func TestListUnderAnotherPrefix(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.hears(published{Meters: []string{"main"}, Discovery: "before", Devices: map[string]publishedDevice{"test_000000000001": {Meter: "main"}}})
		a.turn(10 * time.Second)
		gone := false
		for len(a.sent) > 0 {
			m := <-a.sent
			gone = gone || m.Topic == "before/device/test_000000000001/config" && m.Kind.Retained() && len(m.Payload) == 0
		}
		if !gone {
			t.Error("the device stays under the prefix of before")
		}
	})
}

// TestAboutAMeterIsKept tells Home Assistant at once what the meter said to an earlier run, or names would change
// to and fro at each start.
func TestAboutAMeterIsKept(t *testing.T) {
	announce(t, fewPoints, func(a *announcement) {
		a.hears(published{Discovery: "ha", Devices: map[string]publishedDevice{"test_000000000001": {
			Meter: "main", Entities: map[string][]string{"sensor": {"voltage_a"}}, About: map[string]string{"manufacturer": "Maker", "tariffs": "4", "secret": "x"},
		}}})
		a.turn(10 * time.Second)
		for len(a.sent) > 0 {
			if m := <-a.sent; m.Topic == "ha/device/test_000000000001/config" && !strings.Contains(string(m.Payload), `"manufacturer":"Maker"`) {
				t.Errorf("told %s", m.Payload)
			}
		}
	})
}

// A wordy protocol has texts, and counts how often its meters are written down, and its items are searched for flags.
type wordy struct {
	parrot
	written, searched *atomic.Int64
}

func (w wordy) Title() string {
	w.written.Add(1)
	return "wordy"
}

func (w wordy) Match(pattern string) ([]string, error) {
	if strings.HasSuffix(pattern, ".*") {
		w.searched.Add(1)
	}
	return w.parrot.Match(pattern)
}

func (wordy) Describe(name string) (protocol.ItemDescription, bool) {
	return protocol.ItemDescription{Name: name, Form: protocol.FormText}, true
}

// With a hundred meters it takes long to write down what all are: only that is written of which there is news, and what
// holds for all meters is looked for once.
func TestAnnounceWritesWhatIsNew(t *testing.T) {
	const many, late = 30, "000000000007"
	w := wordy{parrot{}, &atomic.Int64{}, &atomic.Int64{}}
	var silent atomic.Bool
	silent.Store(true)
	change := func(c *Config) {
		c.Protocol, c.Meters = w, nil
		for i := range many {
			var spoken protocol.Protocol = w
			if i%2 == 1 {
				spoken = &protocol.Primary{Catalogue: w} // behind transformers
			}
			c.Meters = append(c.Meters, meters.Meter{Name: fmt.Sprintf("m%d", i), Address: parrotAt(fmt.Sprintf("%012d", i)), Protocol: spoken})
		}
		c.Points = parseTable(t, c, "meter,item,interval\n*,words,10s\n")
	}
	announceAs(t, change, "meter,item,interval\n*,words,10s\n", func(a *announcement) {
		a.meters(func() {
			a.cage.say = func(address, _ string) string {
				if silent.Load() && address == late {
					return ""
				}
				return "220.1"
			}
		})
		got, _ := a.after(2 * time.Minute)
		if len(got) != many+1 || got[late] != "" || got["000000000008"] != "words" {
			t.Errorf("Home Assistant was told %v", got)
		}
		written := w.written.Load()
		silent.Store(false)
		got, _ = a.after(time.Hour)
		a.want(got, late+": words")
		if n := w.written.Load() - written; n == 0 || n > 3 { // its value, and what it says that it is
			t.Errorf("%d meters were written down for the news of one", n)
		}
		if n := w.searched.Load(); n != 1 {
			t.Errorf("%d searches for flags of the one item of all meters", n)
		}
		a.keeper.Hear("ha/status", []byte("online"), false)
		if got, _ = a.after(time.Minute); len(got) != many+1 {
			t.Errorf("%d devices are told again, want %d", len(got), many+1)
		}
	})
}
