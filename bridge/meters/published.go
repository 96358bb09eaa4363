package meters

import (
	"encoding/json"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"time"

	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// A published list says what the broker keeps of us, so that the next run knows what it has to take back. It is
// retained on a topic of our own, which is asked for by its name: a filter for everybody's topics would bring
// what all bridges of a broker have published, and some brokers send nothing retained to a filter.
type published struct {
	Meters    []string                   `json:"meters"`              // that have something retained under their names
	Discovery string                     `json:"discovery,omitempty"` // prefix of the topics of the devices
	Devices   map[string]publishedDevice `json:"devices,omitempty"`   // that Home Assistant was told of, by id
}

// A publishedDevice is a device that Home Assistant was told of.
type publishedDevice struct {
	Meter    string              `json:"meter,omitempty"` // its name in topics; empty: it is the bridge
	Entities map[string][]string `json:"entities"`        // keys by platform
	About    map[string]string   `json:"about,omitempty"` // what the meter says that it is
}

// What a list may have. Others may have written it: what no bridge writes is left out.
const (
	mostKept    = 4096   // meters, and devices
	mostKeys    = 2000   // entities of a device
	longestText = 64     // bytes of what a meter says that it is
	mostPrefix  = 256    // bytes
	mostList    = 10_000 // entities in all: as many as a point table may have, and some
)

var (
	keptName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

	keptPrefix = regexp.MustCompile(`^[^+#\x00-\x1f\x7f]+$`)

	// aboutNames are what the list calls what a meter says that it is.
	aboutNames = map[string]protocol.Role{
		"manufacturer": protocol.RoleManufacturer, "model": protocol.RoleModel, "software": protocol.RoleSoftware,
		"hardware": protocol.RoleHardware, "tariffs": protocol.RoleTariffs,
	}
)

// isKeptName reports whether a text may stand for a meter in a topic of ours: a name, or an address. A pattern that
// counts takes ten times the memory.
func isKeptName(text string) bool { return len(text) <= 64 && keptName.MatchString(text) }

// parsePublished reads a list that the broker has kept. mine tells which ids of devices are those of this root.
func parsePublished(payload []byte, mine func(id string) bool) (p published) {
	var raw published
	if json.Unmarshal(payload, &raw) != nil {
		return published{}
	}
	for _, name := range raw.Meters[:min(len(raw.Meters), mostKept)] {
		if isKeptName(name) {
			p.Meters = append(p.Meters, name)
		}
	}
	if len(raw.Discovery) > mostPrefix || !keptPrefix.MatchString(raw.Discovery) {
		return p
	}
	p.Discovery, p.Devices = raw.Discovery, map[string]publishedDevice{}
	left := mostList
	for _, id := range slices.Sorted(maps.Keys(raw.Devices)) {
		d := raw.Devices[id]
		if !mine(id) || len(p.Devices) >= mostKept || d.Meter != "" && !isKeptName(d.Meter) {
			continue
		}
		kept := publishedDevice{Meter: d.Meter, Entities: map[string][]string{}, About: map[string]string{}}
		keys := 0
		for platform, list := range d.Entities {
			for _, key := range list {
				if homeassistant.Known(platform, key) && keys < mostKeys && left > 0 {
					kept.Entities[platform] = append(kept.Entities[platform], key)
					keys, left = keys+1, left-1
				}
			}
		}
		for name, text := range d.About {
			if _, known := aboutNames[name]; known && len(text) <= longestText {
				kept.About[name] = text
			}
		}
		p.Devices[id] = kept
	}
	return p
}

// learnList takes in what the broker has kept of an earlier run.
func (a *announcer) learnList(p published) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.listed {
		return
	}
	a.gone = p.Meters
	for id, d := range p.Devices {
		switch {
		case a.site == nil: // it stays as it is while its meter does
			a.asleep[id], a.asleepUnder = d, p.Discovery
		case p.Discovery != a.site.Prefix:
			a.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: homeassistant.Topic(p.Discovery, id)})
		default:
			for platform, keys := range d.Entities {
				for _, key := range keys {
					a.learn(id, map[string]string{key: platform})
				}
			}
			if a.known[id] == nil {
				a.known[id] = map[string]string{}
			}
			a.about[id] = rolesNamed(d.About)
			if a.names[id] == "" {
				a.names[id] = d.Meter
			}
		}
	}
	a.endListing()
}

func rolesNamed(about map[string]string) map[protocol.Role]string {
	device := map[protocol.Role]string{}
	for name, text := range about {
		device[aboutNames[name]] = text
	}
	return device
}

// giveUpList goes on without a list: the broker has kept none, or does not tell.
func (a *announcer) giveUpList() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.listed {
		a.endListing()
	}
}

// endListing goes on with what is known. The caller holds the lock.
func (a *announcer) endListing() {
	a.listed, a.unlisted = true, true
	close(a.listHeard)
	if now := time.Now(); a.due.IsZero() || a.due.After(now) {
		a.due = now
	}
}

// isListed reports whether it is known what the broker has kept.
func (a *announcer) isListed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.listed
}

// refreshList takes back what an earlier run has left of meters that are gone, and publishes the list of what
// there is. What is taken back stays on it until the broker has confirmed that.
func (a *announcer) refreshList() {
	if !a.listed || !a.Restored.Load() || time.Now().Before(a.quiet) {
		return
	}
	// The loop comes by each second, and the list may be long.
	table := a.Table()
	if !a.unlisted && table == a.listedFor && len(a.clearing) == 0 && len(a.shut) == 0 {
		return
	}
	a.unlisted, a.listedFor = false, table
	names := map[string]bool{}
	for _, w := range a.poller.all() {
		names[w.Name] = true
	}
	for _, name := range a.gone {
		if names[name] {
			continue
		}
		a.clearing[name] = true
		for _, topic := range ofMeters {
			a.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: a.topics.ofMeter(name, topic)})
		}
	}
	a.gone = nil
	maps.DeleteFunc(a.clearing, func(name string, _ bool) bool {
		return names[name] || !slices.ContainsFunc(ofMeters, func(topic string) bool { return a.publisher.Holds(a.topics.ofMeter(name, topic)) })
	})
	for id, d := range a.asleep {
		if d.Meter != "" && !names[d.Meter] && !a.shut[id] {
			a.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: homeassistant.Topic(a.asleepUnder, id)})
			a.shut[id] = true
		}
	}

	list := published{Meters: []string{}, Devices: map[string]publishedDevice{}}
	for name := range a.clearing {
		names[name] = true
	}
	list.Meters = append(list.Meters, slices.Sorted(maps.Keys(names))...)
	if a.site != nil {
		list.Discovery = a.site.Prefix
		for id, platforms := range a.known {
			list.Devices[id] = publishedDevice{Meter: a.names[id], Entities: byPlatform(platforms), About: namesOfRoles(a.about[id])}
		}
		for id := range a.shut {
			if a.known[id] == nil {
				list.Devices[id] = publishedDevice{Entities: map[string][]string{}}
			}
		}
	} else {
		list.Discovery = a.asleepUnder
		maps.Copy(list.Devices, a.asleep)
	}
	for id := range a.shut {
		switch {
		case a.known[id] != nil: // it is back
			delete(a.shut, id)
		case !a.publisher.Holds(homeassistant.Topic(list.Discovery, id)):
			delete(a.shut, id)
			delete(a.asleep, id)
			delete(list.Devices, id)
		}
	}
	if len(list.Devices) == 0 {
		list.Discovery, list.Devices = "", nil
	}
	payload, err := protocol.AppendJSON(nil, list)
	if err != nil {
		a.limited.Log(slog.LevelError, "published", "the list of what is published cannot be written as JSON", "err", err)
		return
	}
	if string(payload) == a.list {
		return
	}
	a.list = string(payload)
	a.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: a.topics.join(topicPublished), Payload: payload, ContentType: mqtt.JSON})
}

// ofMeters are the retained topics of a meter.
var ofMeters = []string{topicState, topicAvailability, topicStale}

func byPlatform(platforms map[string]string) map[string][]string {
	by := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(platforms)) {
		by[platforms[key]] = append(by[platforms[key]], key)
	}
	return by
}

func namesOfRoles(device map[protocol.Role]string) map[string]string {
	about := map[string]string{}
	for name, role := range aboutNames {
		if text, known := device[role]; known && len(text) <= longestText {
			about[name] = text
		}
	}
	return about
}
