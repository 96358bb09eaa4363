package meters

import (
	"hash/maphash"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// Pauses before Home Assistant is told of the meters, so that what comes together is told once.
const (
	afterSubscribing = 2 * time.Second // what the broker has kept comes first
	afterChange      = 5 * time.Second // a meter's values come one by one
	afterBirth       = 2 * time.Second // Home Assistant is busy then, and so are all bridges: up to four times as long
)

// An announcer tells Home Assistant of the meters: a device each, with an entity for each value
// that the meter has proved to have. It keeps a list of that at the broker; from there we know after
// a start what there was before, and remove what has left the table. Where Home Assistant is told
// nothing, the list has the meters that something is retained of.
type announcer struct {
	*Keeper
	site *homeassistant.Site // nil: Home Assistant is told nothing
	seed maphash.Seed

	mu    sync.Mutex
	quiet time.Time                           // until when nothing is told; zero: we have not subscribed yet
	due   time.Time                           // when to tell; zero: there is nothing new
	again bool                                // tell what has not changed, too
	sent  map[string]uint64                   // hash of the payload that was told of each device
	known map[string]map[string]string        // platforms of all entities that were ever told, by device and key
	names map[string]string                   // of the meters, by device
	about map[string]map[protocol.Role]string // what meters say that they are, by device

	listed    bool            // what the broker has kept is known, or will not be
	listHeard chan struct{}   // closed then
	list      string          // what was published last
	unlisted  bool            // something has changed since it was made
	listedFor *points.Table   // the table that it was made for
	gone      []string        // meters of an earlier run, not looked at yet
	clearing  map[string]bool // meters of which what is retained is being taken back
	shut      map[string]bool // devices that are being taken back

	asleep      map[string]publishedDevice // devices of an earlier run, where Home Assistant is told nothing now
	asleepUnder string                     // the prefix of their topics

	flagged    map[wordOf]bool // texts whose bits are values of their own; it takes a while to find out
	flaggedFor *points.Table   // the table whose texts these are

	seen map[string]deviceState // of each device when refresh last looked at it; it belongs to the bridge's loop
	news map[string]bool        // devices about which something is new since they were told; likewise
}

// A wordOf is an item that is a text, of the meters of one protocol.
type wordOf struct {
	protocol.Catalogue
	item string
}

// A deviceState is what may change about a device.
type deviceState struct {
	appeared int // values of it that came to be known
	table    *points.Table
}

func newAnnouncer(k *Keeper) *announcer {
	a := &announcer{
		Keeper: k, seed: maphash.MakeSeed(),
		sent: map[string]uint64{}, known: map[string]map[string]string{}, seen: map[string]deviceState{},
		names: map[string]string{}, about: map[string]map[protocol.Role]string{}, listHeard: make(chan struct{}),
		clearing: map[string]bool{}, shut: map[string]bool{}, asleep: map[string]publishedDevice{}, flagged: map[wordOf]bool{}, news: map[string]bool{},
	}
	if k.config.Discovery != "" {
		a.site = &homeassistant.Site{
			Root: k.config.Root, Prefix: k.config.Discovery, Language: k.config.Language, Version: k.config.Version, Support: k.config.Support,
			Read:        k.config.Allow[string(protocol.PermitRead)],
			Relay:       k.config.Allow[string(protocol.PermitRelay)],
			Maintenance: k.config.Allow[string(protocol.PermitMaintenance)],
			EventTypes:  EventTypes,
		}
	}
	return a
}

// subscriptions are what the announcer must hear as long as it runs: when Home Assistant has started.
func (a *announcer) subscriptions() []mqtt.Subscription {
	if a.site == nil {
		return nil
	}
	return []mqtt.Subscription{{Topic: a.site.BirthTopic(), QoS: 0, RetainHandling: 2}}
}

// subscribed begins to tell, on a new connection, once what the broker has kept has come: of what
// was told, and of the point table.
func (a *announcer) subscribed() {
	pause := afterSubscribing
	if !a.Restored.Load() {
		pause += mqtt.KeptPatience
	}
	a.mu.Lock()
	a.quiet = time.Now().Add(pause)
	clear(a.sent) // the broker may have lost what it kept
	a.mu.Unlock()
	a.schedule(pause, false)
}

// schedule makes the announcer tell after this pause at the latest.
func (a *announcer) schedule(pause time.Duration, again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := time.Now().Add(pause)
	if a.due.IsZero() || at.Before(a.due) || again && !a.again {
		a.due = at
	}
	a.again = a.again || again
}

// hear takes a message of one of its topics, and reports whether it was one.
func (a *announcer) hear(topic string, payload []byte, retained bool) bool {
	switch {
	case topic == a.topics.join(topicPublished):
		if retained { // what is not retained has the broker not kept
			a.learnList(parsePublished(payload, func(id string) bool { return homeassistant.IsOf(string(a.topics), id) }))
		}
	case a.site != nil && topic == a.site.BirthTopic():
		if string(payload) == homeassistant.BirthOnline {
			a.schedule(afterBirth+rand.N(3*afterBirth), true)
		}
	default:
		return false
	}
	return true
}

// learn takes note of entities that were told of. The caller holds the lock.
func (a *announcer) learn(id string, platforms map[string]string) {
	if a.known[id] == nil {
		a.known[id] = map[string]string{}
	}
	for key, platform := range platforms {
		if a.known[id][key] != platform {
			a.known[id][key], a.unlisted = platform, true
		}
	}
}

// A shownMeter is a meter that is polled.
type shownMeter struct {
	*record
	id, name, address string
}

// meters lists the meters that are polled and whose addresses are known; all reports whether that
// is all that are polled.
func (a *announcer) meters(table *points.Table) (meters []shownMeter, all bool) {
	all = true
	for _, name := range table.Meters() {
		w := a.poller.named(name)
		if w == nil {
			continue // the table has changed just now
		}
		address := w.Current()
		if address.Shared {
			all = false
			continue
		}
		meters = append(meters, shownMeter{w, a.site.MeterID(a.identity(w)), name, address.Text})
	}
	return meters, all
}

// identity is what the device of a meter is told from others by: its address, and beside that what else
// it takes. Of meters that go by an address alone it is only that.
func (a *announcer) identity(w *record) string {
	key := w.Current().MeterKey
	identity := key.Text
	if key.Family != a.directory.fallback.Family() {
		identity = key.Family + "_" + identity
	}
	if key.Variant != "" {
		identity += "_" + key.Variant
	}
	return identity
}

// refresh looks for what is new, and tells it when it is time.
func (a *announcer) refresh() {
	if !a.listening.Load() {
		return
	}
	if a.site != nil {
		a.refreshDevices()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refreshList()
}

func (a *announcer) refreshDevices() {
	table := a.Table()
	meters, all := a.meters(table)
	for _, m := range meters {
		now := deviceState{m.appeared(), table}
		if a.seen[m.id] != now {
			a.seen[m.id], a.news[m.id] = now, true
			a.schedule(afterChange, false)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// What is told before the list of an earlier run has come would be on no list if we ended soon.
	if now := time.Now(); !a.listed || a.quiet.IsZero() || now.Before(a.quiet) || a.due.IsZero() || now.Before(a.due) {
		return
	}
	if a.flaggedFor != table {
		a.flaggedFor = table
		clear(a.flagged)
	}
	again := a.again
	a.due, a.again = time.Time{}, false
	if again {
		clear(a.sent)
	}
	ids := map[string]bool{a.site.BridgeID(): true}
	a.tell(a.site.BridgeID(), a.site.Bridge())
	for _, m := range meters {
		ids[m.id] = true
		if a.names[m.id] != m.name {
			a.names[m.id], a.unlisted = m.name, true
		}
		if a.news[m.id] || a.sent[m.id] == 0 { // with many meters it takes long to write what all are
			a.tell(m.id, a.config(m, table))
		}
	}
	clear(a.news)
	if all {
		a.forget(ids)
	}
	if again {
		a.publisher.Again()
	}
}

// config makes the config of a meter: of the values that it has, or had when the broker was told.
func (a *announcer) config(m shownMeter, table *points.Table) *homeassistant.Config {
	known := a.known[m.id]
	has := func(item string) bool {
		_, told := known[homeassistant.Key(item)]
		return told || m.has(item)
	}
	shown := slices.DeleteFunc(table.Of(m.name), func(p points.Point) bool { return !p.Discovery || !has(p.Item) })
	for i := range shown {
		if unit := m.unit(shown[i].Item); unit != "" {
			shown[i].Description.Unit = unit
		}
	}
	words, flagged := map[string][]protocol.Word{}, map[string]bool{}
	for _, p := range shown {
		if p.Description.Form != protocol.FormText {
			continue
		}
		if worded, ok := m.Protocol.(protocol.Worded); ok {
			words[p.Item] = worded.Words(p.Item)
		}
		if catalogue, ok := m.Protocol.(protocol.Catalogue); ok {
			flagged[p.Item] = a.isFlagged(catalogue, p.Item)
		}
	}
	device, hidden := m.about()
	device = a.remember(m.id, device)
	tariffs, _ := strconv.Atoi(device[protocol.RoleTariffs])
	_, drift := known[homeassistant.KeyDrift]
	of := homeassistant.ShownMeter{
		ID: m.id, Name: m.name, Display: m.DisplayName, Address: m.address, Points: shown, Words: words, Flagged: flagged, Clock: can(m.Protocol, protocol.VerbMaintenance, "sync_clock"), Close: m.Close,
		Valve:        slices.ContainsFunc(shown, func(p points.Point) bool { return p.Description.Role == protocol.RoleValve }) && can(m.Protocol, protocol.VerbRelay, "valve_open", "valve_close"),
		Drift:        drift || m.has(homeassistant.ItemDrift),
		Manufacturer: device[protocol.RoleManufacturer], Model: device[protocol.RoleModel], Edition: title(m.Protocol),
		Software: device[protocol.RoleSoftware], Hardware: device[protocol.RoleHardware], Tariffs: tariffs,
	}
	_, buttons := known[homeassistant.KeyTrip]
	switch {
	case !can(m.Protocol, protocol.VerbRelay, "trip", "close"):
	case m.has(itemRelay):
		of.Relay = homeassistant.Switch
	case hidden || buttons:
		of.Relay = homeassistant.Buttons
	case has(itemRelay):
		of.Relay = homeassistant.Switch
	}
	return a.site.Meter(of)
}

// isFlagged reports whether the bits of an item are values of their own. Whole dictionaries are searched for that.
func (a *announcer) isFlagged(items protocol.Catalogue, item string) bool {
	if primary, ok := items.(*protocol.Primary); ok {
		items = primary.Catalogue // the same for all meters behind transformers
	}
	word := wordOf{items, item}
	flagged, known := a.flagged[word]
	if !known {
		_, err := items.Match(item + ".*")
		flagged = err == nil
		a.flagged[word] = flagged
	}
	return flagged
}

// remember adds to what a meter says that it is what it said to an earlier run, as far as it has not been asked yet.
func (a *announcer) remember(id string, device map[protocol.Role]string) map[protocol.Role]string {
	if a.about[id] == nil {
		a.about[id] = map[protocol.Role]string{}
	}
	for role, text := range device {
		if before, known := a.about[id][role]; !known || before != text {
			a.about[id][role], a.unlisted = text, true
		}
	}
	return a.about[id]
}

// title is what people call a protocol.
func title(p protocol.Protocol) string {
	if titled, ok := p.(protocol.Titled); ok {
		return titled.Title()
	}
	return p.Name()
}

// can reports whether a protocol has actions of a verb.
func can(p protocol.Protocol, verb protocol.Verb, names ...string) bool {
	actions := p.Actions(verb)
	for _, name := range names {
		if !slices.ContainsFunc(actions, func(a protocol.Action) bool { return a.Name == name }) {
			return false
		}
	}
	return true
}

// tell publishes the config of a device if it has changed.
func (a *announcer) tell(id string, config *homeassistant.Config) {
	config.Remove(a.known[id])
	payload, err := protocol.AppendJSON(nil, config)
	if err != nil {
		a.limited.Log(slog.LevelError, "discovery", "a device cannot be written for Home Assistant", "device", id, "err", err)
		return
	}
	hash := maphash.Bytes(a.seed, payload)
	if a.sent[id] == hash {
		return
	}
	a.sent[id] = hash
	a.learn(id, config.Platforms())
	a.publisher.Put(mqtt.Outgoing{Kind: mqtt.Passing, Topic: a.site.Topic(id), Payload: payload, ContentType: mqtt.JSON})
}

// forget removes the devices that are not among ids.
func (a *announcer) forget(ids map[string]bool) {
	for id := range a.known {
		if ids[id] {
			continue
		}
		a.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: a.site.Topic(id)})
		a.shut[id] = true
		a.unlisted = true
		delete(a.known, id)
		delete(a.sent, id)
		delete(a.names, id)
		delete(a.about, id)
		a.limited.Log(slog.LevelInfo, "removed device", "removed a meter from Home Assistant that is not polled any more", "device", id)
	}
}
