package homeassistant

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// originName is how our messages are told from those of others.
const originName = "dlt645-mqtt"

// The languages of names.
const (
	English = "en"
	Chinese = "zh"
)

// A Site is the bridge as Home Assistant sees it.
type Site struct {
	Root        string // of the topic tree
	Prefix      string // of the discovery topics
	Language    string // English or Chinese
	Version     string
	Read        bool     // reading is allowed
	Relay       bool     // switching is allowed
	Maintenance bool     // setting clocks is allowed
	EventTypes  []string // that meters may have
	Support     string   // URL where help is to be had; empty: none
}

// A ShownMeter is one meter to be shown.
type ShownMeter struct {
	ID      string                     // of its device: see MeterID
	Name    string                     // as in its topics
	Display string                     // what people call it; empty: its name with a word before it
	Address string                     // that it answers to
	Points  []points.Point             // to be shown
	Words   map[string][]protocol.Word // that texts can be, by item
	Flagged map[string]bool            // texts whose bits are values of their own, by item
	Relay   RelayControl               // of its relay
	Close   string                     // the action that closes the relay; empty: the usual one
	Valve   bool                       // it has a valve, which can be moved
	Clock   bool                       // its clock can be set
	Drift   bool                       // its state tells how far its clock is off

	// What the meter says of itself; empty: nothing.
	Edition, Manufacturer, Model, Software, Hardware string
	Tariffs                                          int // that it counts in; 0: not known
}

// A RelayControl is how a relay can be switched.
type RelayControl uint8

// The controls.
const (
	NoControl RelayControl = iota
	Switch                 // the state tells what the relay does
	Buttons                // the meter obeys, and does not show what the relay does
)

// BirthTopic is where Home Assistant says that it has started.
func (s *Site) BirthTopic() string { return s.Prefix + "/status" }

// BirthOnline is what it says there.
const BirthOnline = "online"

// Topic is where the config of a device goes; id is MeterID or BridgeID.
func (s *Site) Topic(id string) string { return Topic(s.Prefix, id) }

// Topic is where the config of a device goes under a prefix.
func Topic(prefix, id string) string { return prefix + "/device/" + id + "/config" }

// IsOf reports whether an id can be that of a device of the bridge with that root.
func IsOf(root, id string) bool {
	return id == slug(id) && strings.HasPrefix(id, slug(root)+"_") && len(id) > len(slug(root))+1
}

// MeterID identifies the device of a meter by what it is told from others by: its address, and what else that takes.
func (s *Site) MeterID(identity string) string { return slug(s.Root) + "_" + slug(identity) }

// BridgeID identifies the device of the bridge itself.
func (s *Site) BridgeID() string { return slug(s.Root) + "_bridge" }

// statusTopic is where the bridge says that it is there.
func (s *Site) statusTopic() string { return s.Root + "/bridge/status" }

// A builder makes the config of one device.
type builder struct {
	*Site
	id     string // of the device
	entity string // the beginning of its entity ids
	stale  string // topic that lists the values of the meter that are not worth showing
	config Config
}

func (s *Site) build(id, entity, name string) *builder {
	return &builder{Site: s, id: id, entity: slug(entity), config: Config{
		Device:           device{Identifiers: []string{id}, Name: name},
		Origin:           origin{Name: originName, Version: s.Version, Support: s.Support},
		Availability:     []availability{{Topic: s.statusTopic()}},
		AvailabilityMode: "all",
		Components:       map[string]component{},
	}}
}

// add adds an entity.
func (b *builder) add(key, name string, c component) {
	key = slug(key)
	c.UniqueID = b.id + "_" + key
	c.DefaultEntityID = c.Platform + "." + b.entity + "_" + key
	c.Name = capital(name)
	b.config.Components[key] = c
}

// fresh is when a value of the meter is available: not before it was read, and not when it could not be
// read for long.
func (b *builder) fresh(item string) []availability {
	return append(slices.Clone(b.config.Availability), availability{
		Topic:    b.stale,
		Template: fmt.Sprintf("{{ 'online' if value_json is defined and '%s' not in value_json else 'offline' }}", item),
	})
}

// text chooses between two languages.
func (s *Site) text(english, chinese string) string {
	if s.Language == Chinese {
		return chinese
	}
	return english
}

// capital writes the first letter as a capital one, as Home Assistant's names are.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}
