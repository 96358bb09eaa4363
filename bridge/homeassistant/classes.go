package homeassistant

import (
	"strings"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// Classes and categories of Home Assistant.
const (
	classConnectivity = "connectivity"
	classDuration     = "duration"
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

// pointComponent is how a point is shown.
func pointComponent(p points.Point) component {
	d := p.Description
	c := component{Platform: platformSensor, ValueTemplate: value(p.Item)}
	switch d.Form {
	case protocol.FormNumber:
		number(&c, d)
	case protocol.FormFlag:
		c.Platform, c.PayloadOn, c.PayloadOff = platformBinarySensor, "True", "False" // as templates write a boolean
		if c.Category = diagnostic; d.Alarm {
			c.DeviceClass = classProblem
		}
	case protocol.FormMoment:
		c.DeviceClass = classTimestamp
	default:
		c.Category = diagnostic
	}
	return c
}

func number(c *component, d protocol.Description) {
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
