package homeassistant

import (
	"regexp"
	"slices"
	"strings"
)

// A Config is what Home Assistant is told of one device and its entities: the payload of a
// device discovery message. Home Assistant refuses a whole device for one key that it does not
// know at this level.
type Config struct {
	Device           device               `json:"device"`
	Origin           origin               `json:"origin"`
	StateTopic       string               `json:"state_topic"`
	Availability     []availability       `json:"availability"`
	AvailabilityMode string               `json:"availability_mode"`
	Components       map[string]component `json:"components"` // an entity each, by its key
}

type device struct {
	Identifiers  []string `json:"identifiers"`
	Name         string   `json:"name"`
	SerialNumber string   `json:"serial_number,omitempty"`
	Manufacturer string   `json:"manufacturer,omitempty"`
	Model        string   `json:"model,omitempty"`
	ModelID      string   `json:"model_id,omitempty"`
	Version      string   `json:"sw_version,omitempty"`
	Hardware     string   `json:"hw_version,omitempty"`
	Via          string   `json:"via_device,omitempty"` // the identifier of the bridge
}

type origin struct {
	Name    string `json:"name"`
	Version string `json:"sw_version,omitempty"`
	Support string `json:"support_url,omitempty"`
}

type availability struct {
	Topic    string `json:"topic"`
	Template string `json:"value_template,omitempty"`
}

// A component is one entity. With nothing but its platform it removes the entity.
type component struct {
	Platform        string         `json:"platform"`
	UniqueID        string         `json:"unique_id,omitempty"`
	DefaultEntityID string         `json:"default_entity_id,omitempty"`
	Name            string         `json:"name,omitempty"`
	DeviceClass     string         `json:"device_class,omitempty"`
	StateClass      string         `json:"state_class,omitempty"`
	Unit            string         `json:"unit_of_measurement,omitempty"`
	Precision       *int           `json:"suggested_display_precision,omitempty"`
	Category        string         `json:"entity_category,omitempty"`
	Enabled         *bool          `json:"enabled_by_default,omitempty"` // nil: it is
	Icon            string         `json:"icon,omitempty"`
	Options         []string       `json:"options,omitempty"`
	Availability    []availability `json:"availability,omitzero"` // nil: that of the device; empty: always
	StateTopic      string         `json:"state_topic,omitempty"`
	ValueTemplate   string         `json:"value_template,omitempty"`
	StateOn         string         `json:"state_on,omitempty"`
	StateOff        string         `json:"state_off,omitempty"`
	PayloadOn       string         `json:"payload_on,omitempty"`
	PayloadOff      string         `json:"payload_off,omitempty"`
	StateOpen       string         `json:"state_open,omitempty"`
	StateClosed     string         `json:"state_closed,omitempty"`
	PayloadOpen     string         `json:"payload_open,omitempty"`
	PayloadClose    string         `json:"payload_close,omitempty"`
	PayloadPress    *string        `json:"payload_press,omitempty"`
	CommandTopic    string         `json:"command_topic,omitempty"`
	CommandTemplate string         `json:"command_template,omitempty"`
	Optimistic      *bool          `json:"optimistic,omitempty"`
	QoS             int            `json:"qos,omitempty"`
	MessageExpiry   int            `json:"message_expiry_interval,omitempty"` // seconds; older versions pass over it here, and would refuse the device for it at the top
	EventTypes      []string       `json:"event_types,omitempty"`
}

// The platforms of entities.
const (
	platformSensor       = "sensor"
	platformBinarySensor = "binary_sensor"
	platformSwitch       = "switch"
	platformButton       = "button"
	platformEvent        = "event"
	platformValve        = "valve"
)

var ourPlatforms = []string{platformSensor, platformBinarySensor, platformSwitch, platformButton, platformEvent, platformValve}

// Remove adds what makes Home Assistant forget entities that it was told of before, by key and
// platform. Those that the config has are left alone.
func (c *Config) Remove(gone map[string]string) {
	for key, platform := range gone {
		if _, has := c.Components[key]; !has {
			c.Components[key] = component{Platform: platform}
		}
	}
}

// Platforms returns the platforms of the entities by their keys, without those to be removed.
func (c *Config) Platforms() map[string]string {
	platforms := map[string]string{}
	for key, component := range c.Components {
		if component.UniqueID != "" {
			platforms[key] = component.Platform
		}
	}
	return platforms
}

// Known reports whether a bridge can have told of an entity of that platform and key.
func Known(platform, key string) bool {
	return key == slug(key) && len(key) <= longestKey && slices.Contains(ourPlatforms, platform)
}

// longestKey is longer than any key that is made of an item.
const longestKey = 160

var noSlug = regexp.MustCompile(`[^a-z0-9_]+`)

// slug makes a text part of an identifier: Home Assistant takes lower case, digits and _.
func slug(text string) string { return noSlug.ReplaceAllString(strings.ToLower(text), "_") }

// Key is the key of the entity of an item, unique in its device.
func Key(item string) string { return slug(item) }
