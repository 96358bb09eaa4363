package dlt698

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"dlt645-mqtt/protocol"
)

// Meters plans conversations with meters that speak DL/T 698.45. It implements
// [protocol.Protocol] and all that a protocol may be besides.
type Meters struct {
	zone    *time.Location
	logical uint8 // which part of a device is meant, where it has several
}

var (
	_ protocol.Recogniser = Meters{}
	_ protocol.Configurer = Meters{}
	_ protocol.Catalogue  = Meters{}
	_ protocol.Finder     = Meters{}
)

// New returns the protocol for meters whose clocks show the time of zone.
func New(zone *time.Location) Meters { return Meters{zone: zone} }

// Name returns "698".
func (m Meters) Name() string { return Name }

// Title returns "DL/T 698.45".
func (m Meters) Title() string { return "DL/T 698.45" }

// Family returns "698".
func (m Meters) Family() string { return Name }

// line is what meters need of the wire. Public text has a client wait a second for a value, and firmware
// takes up to three for records; meters send four bytes FE, and take any number of them. Two are the gap in
// which the one that spoke last lets go of the line.
var line = protocol.Line{
	WakeUp: wakeUp, WakeUps: 4, Fewest: 2, Leading: 4,
	Soonest: 20 * time.Millisecond, Latest: time.Second, ByteGap: 550 * time.Millisecond,
	Longest: longestAnswer,
}

// longestAnswer is more than meters can send at once: their buffers have 512 bytes on RS-485, those of
// concentrators 2,048.
const longestAnswer = 2048 + 8

// usualAnswer is more than meters send at once: see longestAnswer.
const usualAnswer = 512 + 8

// client is the address of ours in frames; any does, and meters copy it.
const client = 0x10

// optionLogical is the option of a configured meter for the part of it that is meant.
const optionLogical = "logical"

// mostLogical is the highest logical address that fits into an address flag.
const mostLogical = 3

// Configure returns the protocol for a part of a device: logical=1 is the metering core of meters that have two.
func (m Meters) Configure(options map[string]string) (protocol.Protocol, error) {
	for option, value := range options {
		n, err := strconv.Atoi(value)
		switch {
		case option != optionLogical:
			return nil, fmt.Errorf("a meter of DL/T 698.45 has no option %q; there are baud, parity, stop and logical, as in 000000000010@698?logical=1", option)
		case err != nil || n < 0 || n > mostLogical:
			return nil, fmt.Errorf("logical=%s: write a whole number from 0 to %d", value, mostLogical)
		}
		m.logical = uint8(n)
	}
	return m, nil
}

// key returns the key of the meter at an address.
func (m Meters) key(a Address) protocol.MeterKey {
	key := protocol.MeterKey{Family: Name, Text: a.String()}
	if a.Logical != 0 {
		key.Variant = fmt.Sprintf("%s=%d", optionLogical, a.Logical)
	}
	return key
}

// named returns an address as package protocol has it.
func (m Meters) named(a Address) protocol.Address {
	return protocol.Address{MeterKey: m.key(a), Shared: a.IsShared()}
}

// AddressForm says what an address is.
func (m Meters) AddressForm() (words, example string) {
	return "2 to 32 digits, an even number of them", "000000000010"
}

// ParseAddress reads an address: see the function [ParseAddress]. With A in it it is a wildcard.
func (m Meters) ParseAddress(text string) (protocol.Address, error) {
	a, err := m.parse(text)
	if err != nil {
		return protocol.Address{}, badRequest("%w", err)
	}
	return m.named(a), nil
}

func (m Meters) parse(text string) (Address, error) {
	a, err := ParseAddress(text)
	a.Logical = m.logical
	return a, err
}

// address returns the address that a request is to go to.
func (m Meters) address(of protocol.Address) (Address, error) {
	if of.Variant != "" {
		m.logical = of.Variant[len(of.Variant)-1] - '0'
	}
	a, err := m.parse(of.Text)
	if err != nil {
		return a, badRequest("%w", err)
	}
	return a, nil
}

// Recognises reports whether frame is a frame of DL/T 698.45.
func (m Meters) Recognises(frame []byte) bool {
	_, err := ParseFrame(frame)
	return err == nil
}

// Plan turns a request into steps. What a command does is in the file of that name: relay.go and so on.
// Its plan ends with a [protocol.Report] where anything is known of the command beyond its answer.
func (m Meters) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	switch request.Verb {
	case protocol.VerbRead:
		return m.planRead(request, known)
	case protocol.VerbRaw:
		return m.planRaw(request)
	case protocol.VerbWrite, protocol.VerbRelay, protocol.VerbMaintenance, protocol.VerbBroadcast:
		return m.planCommand(request, known)
	case protocol.VerbClock:
		return m.planClock(request, known)
	}
	return protocol.Plan{}, fmt.Errorf("%w: DL/T 698.45 has no verb %q", protocol.ErrUnsupported, request.Verb)
}

// Redact returns frame as upper-case hex with passwords masked: see the function [Redact].
func (m Meters) Redact(frame []byte) string { return Redact(frame) }

// roles are the items that mean something to the bridge itself.
var roles = map[string]protocol.Role{
	"relay_open":       protocol.RoleRelay,
	"clock":            protocol.RoleClock,
	"power_down_count": protocol.RolePowerFailures,
	"rated_voltage":    protocol.RoleRatedVoltage,
	"maximum_current":  protocol.RoleMaximumCurrent,

	"manufacturer":     protocol.RoleManufacturer,
	"meter_model":      protocol.RoleModel,
	"software_version": protocol.RoleSoftware,
	"hardware_version": protocol.RoleHardware,
	"tariff_count":     protocol.RoleTariffs,
}

// Playing returns the name of the item that has a role.
func (m Meters) Playing(role protocol.Role) string {
	for name, r := range roles {
		if r == role {
			return name
		}
	}
	return ""
}

// Basic returns the points of a meter that has no table.
func (m Meters) Basic() []string {
	return slices.Clone([]string{
		"forward_active_energy", "active_power",
		"voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c", "relay_open",
	})
}

// Template returns the rows of a table to begin with.
func (m Meters) Template() []protocol.TemplateRow {
	return []protocol.TemplateRow{
		{Item: "forward_active_energy", Interval: 15 * time.Minute}, {Item: "active_power", Interval: time.Minute},
		{Item: "voltage_block", Interval: time.Minute}, {Item: "current_block", Interval: time.Minute},
		{Item: "power_factor", Interval: time.Minute}, {Item: "relay_open", Interval: time.Minute},
	}
}
