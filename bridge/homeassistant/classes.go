package homeassistant

import (
	"fmt"
	"strings"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// Classes and categories of Home Assistant.
const (
	classConnectivity = "connectivity"
	classDuration     = "duration"
	classEnum         = "enum"
	classEnergy       = "energy"
	classMonetary     = "monetary"
	classPowerFactor  = "power_factor"
	classProblem      = "problem"
	classTimestamp    = "timestamp"

	measurement     = "measurement"
	total           = "total"
	totalIncreasing = "total_increasing"

	diagnostic    = "diagnostic"
	configuration = "config"
)

// deviceClasses by unit. A class takes only its own units, and an entity whose unit does not
// fit is refused, so that units that are not here go without a class: kvarh, kvar and kVA, which
// Home Assistant knows since 2025.6, 2025.5 and 2025.10 only.
var deviceClasses = map[string]string{
	"kWh": classEnergy, "GJ": classEnergy, "kW": "power",
	"V": "voltage", "A": "current", "Hz": "frequency", "°C": "temperature",
	"ms": classDuration, "s": classDuration, "min": classDuration, "h": classDuration,
	"m³": "volume", "m³/h": "volume_flow_rate",
	"CNY": classMonetary,
}

// energies are the units of registers: energies and volumes.
var energies = map[string]bool{"kWh": true, "kvarh": true, "kVAh": true, "GJ": true, "m³": true}

// icons by unit, for values whose class has none of its own.
var icons = map[string]string{
	"kvarh": "mdi:sine-wave", "kvar": "mdi:sine-wave", "kVAh": "mdi:flash-outline", "kVA": "mdi:flash-outline",
	"%": "mdi:percent-outline", "°": "mdi:angle-acute", "CNY/kWh": "mdi:currency-cny", "": "mdi:counter",
}

// disabled is for entities that are there, and that most people do not need.
func disabled() *bool { return new(bool) }

// special reports whether most people do not need a value: reactive and apparent ones of single phases.
func special(d protocol.ItemDescription) bool {
	single := strings.HasSuffix(d.Name, "_a") || strings.HasSuffix(d.Name, "_b") || strings.HasSuffix(d.Name, "_c")
	return single && (strings.Contains(d.Name, "reactive") || strings.Contains(d.Name, "apparent"))
}

// pointComponent is how a point is shown.
func pointComponent(p points.Point, words []protocol.Word, language string) component {
	d := p.Description
	c := component{Platform: platformSensor, ValueTemplate: value(p.Item)}
	if special(d) {
		c.Enabled = disabled()
	}
	switch d.Form {
	case protocol.FormNumber:
		number(&c, d)
		if c.DeviceClass == "" {
			c.Icon = icons[d.Unit]
		}
	case protocol.FormFlag:
		c.Platform, c.PayloadOn, c.PayloadOff = platformBinarySensor, "True", "False" // as templates write a boolean
		if c.Category = diagnostic; d.Alarm {
			c.DeviceClass = classProblem
		}
	case protocol.FormMoment:
		c.DeviceClass = classTimestamp
	default:
		if c.Category, c.Icon = diagnostic, "mdi:information-outline"; len(words) > 0 {
			oneOf(&c, p.Item, words, language)
		}
	}
	return c
}

// oneOf makes a sensor one of a few words, which are shown as people say them.
func oneOf(c *component, item string, words []protocol.Word, language string) {
	c.DeviceClass, c.Icon = classEnum, "mdi:format-list-bulleted"
	var names []string
	for _, word := range words {
		name := capital(word.English)
		if language == Chinese && word.Chinese != "" {
			name = word.Chinese
		}
		c.Options = append(c.Options, name)
		names = append(names, fmt.Sprintf("'%s': '%s'", word.Value, strings.ReplaceAll(name, "'", "’")))
	}
	c.ValueTemplate = fmt.Sprintf("{{ {%s}.get(%s.get('%s')) }}", strings.Join(names, ", "), state, item)
}

func number(c *component, d protocol.ItemDescription) {
	c.Unit, c.Precision, c.DeviceClass = d.Unit, &d.Decimals, deviceClasses[d.Unit]
	if d.Medium != "" && d.Unit == "m³" {
		c.DeviceClass = string(d.Medium) // as the energy page counts it; volume alone it does not
	}
	if d.Unit == "" && strings.HasPrefix(d.Name, "power_factor") {
		c.DeviceClass = classPowerFactor
	}
	switch {
	case d.Past: // in statistics it would count twice
	case d.Counter:
		c.StateClass = totalIncreasing
	case energies[d.Unit] || c.DeviceClass == classMonetary:
		c.StateClass = total // it may fall
	default:
		c.StateClass = measurement
	}
}
