// Package homeassistant says what Home Assistant is told, so that it shows the meters: its
// MQTT discovery in the device form, one retained message a device (Home Assistant 2024.12 or
// newer). It is pure: package bridge decides when to publish.
//
// Identifiers are made of the topic root and the address of the meter, so that they stay when
// a meter gets another name, and two bridges do not meet. The templates are such that a value
// that the state lacks is unknown, and no warning.
package homeassistant

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"dlt645-mqtt/bridge/points"
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
}

// A Meter is one meter to be shown.
type Meter struct {
	Name    string         // as in its topics
	Address string         // that it answers to
	Points  []points.Point // to be shown
	Relay   bool           // its state tells of a relay, which can be switched
	Valve   bool           // it has a valve, which can be moved
	Clock   bool           // its clock can be set
}

// BirthTopic is where Home Assistant says that it has started.
func (s *Site) BirthTopic() string { return s.Prefix + "/status" }

// BirthOnline is what it says there.
const BirthOnline = "online"

// ConfigTopics is the filter for the topics of all devices, of others too.
func (s *Site) ConfigTopics() string { return s.Prefix + "/device/+/config" }

// Topic is where the config of a device goes; id is MeterID or BridgeID.
func (s *Site) Topic(id string) string { return s.Prefix + "/device/" + id + "/config" }

// Device is the reverse of Topic. It tells whether the topic is that of a config of this bridge.
func (s *Site) Device(topic string) (id string, ok bool) {
	id, begins := strings.CutPrefix(topic, s.Prefix+"/device/")
	id, ends := strings.CutSuffix(id, "/config")
	return id, begins && ends && strings.HasPrefix(id, slug(s.Root)+"_")
}

// MeterID identifies the device of a meter by its address.
func (s *Site) MeterID(address string) string { return slug(s.Root) + "_" + slug(address) }

// BridgeID identifies the device of the bridge itself.
func (s *Site) BridgeID() string { return slug(s.Root) + "_bridge" }

// statusTopic is where the bridge says that it is there.
func (s *Site) statusTopic() string { return s.Root + "/bridge/status" }

// A builder makes the config of one device.
type builder struct {
	*Site
	id     string // of the device
	entity string // the beginning of its entity ids
	config Config
}

func (s *Site) build(id, entity, name string) *builder {
	return &builder{Site: s, id: id, entity: slug(entity), config: Config{
		Device:           device{Identifiers: []string{id}, Name: name},
		Origin:           origin{Name: originName, Version: s.Version},
		Availability:     []availability{{s.statusTopic()}},
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
