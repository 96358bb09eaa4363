// Package homeassistant says what Home Assistant is told, so that it shows the meters: its
// MQTT discovery in the device form, one retained message a device (Home Assistant 2024.12 or
// newer). It is pure: package bridge decides when to publish.
//
// Identifiers are made of the topic root and the address of the meter, so that they stay when
// a meter gets another name, and two bridges do not meet. The templates are such that a value
// that the state lacks is unknown, and no warning.
//
// The files:
//
//	site.go     a bridge and its meters as Home Assistant sees them
//	bridge.go   the device of the bridge
//	meter.go    the device of a meter: its points, its relay, its buttons
//	classes.go  device classes, state classes and categories
//	names.go    how entities are called, in both languages
//	types.go    what discovery messages are made of
package homeassistant
