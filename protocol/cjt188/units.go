package cjt188

import "dlt645-mqtt/protocol"

// A unit is what a unit code of the standard means: a power of ten of the unit in which values
// are given.
type unit struct {
	name string
	exp  int
}

// The units in which values are given.
const (
	kilowattHour = "kWh"
	gigajoule    = "GJ"
	kilowatt     = "kW"
	cubicMetre   = "m³"
	perHour      = "m³/h"
	celsius      = "°C"
	hour         = "h"
)

// unitOf returns the meaning of a unit code, table 6 of the standard. Between two codes that it
// lists the steps are ten and a hundred times the lower one. Energy stays in joules or in
// watt-hours, as the meter counts.
func unitOf(code byte) (unit, bool) {
	switch c := int(code); {
	case c == 0x01: // J
		return unit{gigajoule, -9}, true
	case c >= 0x02 && c <= 0x0A: // Wh to 100 MWh
		return unit{kilowattHour, c - 0x02 - 3}, true
	case c >= 0x0B && c <= 0x13: // kJ to 100 GJ
		return unit{gigajoule, c - 0x0B - 6}, true
	case c >= 0x14 && c <= 0x1A: // W to MW
		return unit{kilowatt, c - 0x14 - 3}, true
	case c >= 0x29 && c <= 0x2E: // l to 100 m³
		return unit{cubicMetre, c - 0x29 - 3}, true
	case c >= 0x32 && c <= 0x35: // l/h to m³/h
		return unit{perHour, c - 0x32 - 3}, true
	}
	return unit{}, false
}

// scaled returns n × 10^(exp-decimals), which is exact.
func scaled(n int64, decimals, exp int) protocol.Decimal {
	scale := decimals - exp
	for ; scale < 0; scale++ {
		n *= 10
	}
	return protocol.Decimal{Coefficient: n, Scale: uint8(scale)}
}
