package modbus

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// Meters plans what is asked of the meters of one model.
type Meters struct {
	name  string
	model *Map
}

var (
	_ protocol.Catalogue = (*Meters)(nil)
	_ protocol.Finder    = (*Meters)(nil)
)

// New returns the protocol of the meters of a model, "modbus/dtsu666".
func New(m *Map) *Meters { return &Meters{Name + "/" + m.model, m} }

// Any returns the protocol of meters without a map, "modbus": they are read by registers alone.
func Any() *Meters { return &Meters{Name, &Map{model: Name}} }

// Name returns "modbus/" and the name of the model.
func (m *Meters) Name() string { return m.name }

// Title returns "Modbus RTU", and the name of the model if there is one: "Modbus RTU (dtsu666)".
func (m *Meters) Title() string {
	if m.model.model == Name {
		return "Modbus RTU"
	}
	return "Modbus RTU (" + m.model.model + ")"
}

// Family returns "modbus".
func (m *Meters) Family() string { return Name }

// Head returns the lines at the head of the map: what it is of, and where its registers are from.
func (m *Meters) Head() []string { return slices.Clone(m.model.comment) }

// line is what slaves need of the wire: no wake-up bytes, and silence of 3.5 characters before a frame.
// Clause 2.5.1.1 of the serial line specification, which has 1.75 ms for speeds above 19200. It allows
// 1.5 characters between two bytes; the rest is for drivers that hand over bytes in lots.
var line = protocol.Line{
	Quiet: func(mode protocol.Mode) time.Duration {
		const fast = 1750 * time.Microsecond
		if mode.Baud > 19200 {
			return fast
		}
		return mode.Duration(7) / 2
	},
	Soonest: 5 * time.Millisecond, ByteGap: 100 * time.Millisecond, Longest: mostFrame,
	// Manuals promise 50 to 200 ms; each address has to be asked.
	LatestSignal: 300 * time.Millisecond,
}

func (m *Meters) key(address byte) protocol.MeterKey {
	return protocol.MeterKey{Family: Name, Text: fmt.Sprint(address)}
}

func (m *Meters) named(address byte) protocol.Address {
	return protocol.Address{MeterKey: m.key(address)}
}

// ParseAddress returns the address of a slave: see the function [ParseAddress].
func (m *Meters) ParseAddress(text string) (protocol.Address, error) {
	address, err := ParseAddress(text)
	if err != nil {
		return protocol.Address{}, badRequest("%w", err)
	}
	return m.named(address), nil
}

// AddressForm says what an address is.
func (m *Meters) AddressForm() (words, example string) { return "1 to 247", "1" }

// Redact returns bytes as hex: Modbus has no secrets that could be told by their place.
func (m *Meters) Redact(frame []byte) string { return Redact(frame) }

// Plan turns a request into steps.
func (m *Meters) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	switch request.Verb {
	case protocol.VerbRead:
		return m.planRead(request, known)
	case protocol.VerbRaw:
		return m.planRaw(request)
	case protocol.VerbWrite, protocol.VerbRelay:
		return m.planCommand(request, known)
	}
	return protocol.Plan{}, fmt.Errorf("%w: Modbus has nothing for %s", protocol.ErrUnsupported, request.Verb)
}

// Actions returns what commands of a verb can do. No command of the protocol takes a password.
func (m *Meters) Actions(verb protocol.Verb) []protocol.Action {
	switch {
	case verb == protocol.VerbWrite:
		return []protocol.Action{{Keys: []protocol.Key{
			{Name: protocol.ArgumentItem, Want: "the name of an item, or its identifier as a string"},
			{Name: protocol.ArgumentValue, Type: protocol.KeyJSON, Want: "the value to write"},
		}}}
	case verb == protocol.VerbRelay && m.model.withRole(roleRelay) != nil:
		return []protocol.Action{{Name: actionTrip, Watched: true}, {Name: actionClose, Watched: true}}
	}
	return nil
}

// Match returns the names that a pattern matches. See [protocol.Catalogue].
func (m *Meters) Match(pattern string) ([]string, error) {
	if !strings.Contains(pattern, "*") {
		var names []string
		for _, text := range m.meant(pattern) {
			w, err := m.find(text)
			if err != nil {
				return nil, err
			}
			names = append(names, w.item)
		}
		return names, nil
	}
	var names []string
	like := protocol.ParsePattern(pattern)
	for _, w := range m.model.rows {
		if like.Matches(w.item) {
			names = append(names, w.item)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no item of %s has a name like %q, in which * stands for anything but _; the command items searches the names", protocol.ErrUnknownItem, m.name, pattern)
	}
	return names, nil
}

// vocabulary is what the items of the map are called.
func (m *Meters) vocabulary() *protocol.Vocabulary {
	v := &protocol.Vocabulary{}
	for _, w := range m.model.rows {
		v.Add(w.item, w.zh)
	}
	return v
}

// meant returns the items that a text asks for: of a word such as 电压 those of all phases, else the text.
func (m *Meters) meant(text string) []string {
	if _, known := m.model.byName[text]; !known {
		if names := m.vocabulary().Names(text, phases); names != nil {
			return names
		}
	}
	return []string{text}
}

// phases is how many items of a map a short word may mean.
const phases = 3

// find returns the row of an item, or one of its own for registers that are named by their place, as in
// holding:2006:2. The error wraps ErrUnknownItem.
func (m *Meters) find(text string) (*row, error) {
	if w := m.model.byName[text]; w != nil {
		return w, nil
	}
	if w, ok := parseIdentifier(text); ok {
		return w, nil
	}
	vocabulary := m.vocabulary()
	if name, called := vocabulary.Name(text); called {
		return m.model.byName[name], nil
	}
	return nil, fmt.Errorf("%w: %q is neither the name of an item of %s nor registers, such as holding:2006:2 (area, first register in hex, how many); the command items searches the names%s", protocol.ErrUnknownItem, text, m.name, vocabulary.Hint(text))
}

// parseIdentifier reads registers that are named by their place: area, first register in hex, and how
// many, 1 if it is left out.
func parseIdentifier(text string) (*row, bool) {
	name, rest, _ := strings.Cut(text, ":")
	digits, number, several := strings.Cut(rest, ":")
	a := parseArea(name)
	first, ok := parseRegister("0x" + digits)
	count := 1
	if several {
		if _, err := fmt.Sscanf(number, "%d", &count); err != nil || fmt.Sprint(count) != number {
			return nil, false
		}
	}
	most := mostRegisters
	if a.ofBits() {
		most = mostBits
	}
	if a == noArea || !ok || len(digits) > 4 || count < 1 || count > most || int(first)+count > 1<<16 {
		return nil, false
	}
	item := fmt.Sprintf("%s:%04X", a, first)
	if several {
		item += ":" + number
	}
	return &row{
		item: item, area: a, register: first, form: form{kind: Raw, registers: count}, access: access{read: true, write: a == holdings},
		longest: most, en: "registers in hex", zh: "寄存器(十六进制)",
	}, true
}

// Describe returns what the map says of the item that has the name.
func (m *Meters) Describe(name string) (protocol.ItemDescription, bool) {
	w, err := m.find(name)
	if err != nil || w.item != name {
		return protocol.ItemDescription{}, false
	}
	d := protocol.ItemDescription{Name: name, Unit: w.unit, English: w.en, Chinese: w.zh}
	switch {
	case w.isRelay():
		d.Form = protocol.FormFlag
		if w == m.model.relayState() {
			d.Role = protocol.RoleRelay
		}
	case w.kind == Bool, w.kind == Bit:
		d.Form = protocol.FormFlag
	case w.kind == Text, w.kind == Raw:
		d.Form = protocol.FormText
	default:
		w.describe(&d)
	}
	return d, true
}

// shownDecimals is how many digits behind the point are worth showing of a float, by the unit.
var shownDecimals = map[string]int{"V": 1, "A": 3, "kW": 4, "kvar": 4, "kVA": 4, "kWh": 2, "kvarh": 2, "kVAh": 2, "Hz": 2, "°C": 1}

// ratios are the ratios of transformers by which values go, by the unit.
var ratios = map[string]protocol.Ratio{
	"V": protocol.RatioVoltage, "A": protocol.RatioCurrent,
	"kW": protocol.RatioPower, "kvar": protocol.RatioPower, "kVA": protocol.RatioPower, "W": protocol.RatioPower, "var": protocol.RatioPower, "VA": protocol.RatioPower,
	"kWh": protocol.RatioPower, "kvarh": protocol.RatioPower, "kVAh": protocol.RatioPower, "Wh": protocol.RatioPower, "varh": protocol.RatioPower, "VAh": protocol.RatioPower,
}

// describe says what a number is.
func (w *row) describe(d *protocol.ItemDescription) {
	d.Form, d.Decimals = protocol.FormNumber, max(0, w.scale.short().scale)
	if w.kind == Float {
		if shown, ok := shownDecimals[w.unit]; ok {
			d.Decimals = shown
		} else {
			d.Decimals = 3
		}
	}
	d.Counter = w.kind != Signed && strings.HasSuffix(w.unit, "h") && len(w.unit) > 1 && w.unit != "Ah" && !strings.HasPrefix(w.item, "net_")
	d.Role = map[string]protocol.Role{
		"power_failures": protocol.RolePowerFailures, "rated_voltage": protocol.RoleRatedVoltage, "maximum_current": protocol.RoleMaximumCurrent,
	}[w.role.name]
	// A parameter is what it is; and what the meter's own ratios have been taken into is primary already.
	if len(w.ratios) == 0 && !w.access.write && w.role.name == "" {
		d.Ratio = ratios[w.unit]
	}
}

// Playing returns the item that has a role.
func (m *Meters) Playing(role protocol.Role) string {
	for _, w := range m.model.rows {
		if d, ok := m.Describe(w.item); ok && d.Role == role && role != protocol.RoleNone {
			return w.item
		}
	}
	return ""
}

// basic are the points of a meter that has no point table, as far as its map has them.
var basic = []string{"forward_active_energy", "active_power", "voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c"}

// Basic returns the points of a meter that has no point table.
func (m *Meters) Basic() (items []string) {
	for _, item := range basic {
		if m.model.byName[item] == nil && item == "forward_active_energy" {
			item = "combined_active_energy"
		}
		if w := m.model.byName[item]; w != nil && w.access.read {
			items = append(items, item)
		}
	}
	if state := m.model.relayState(); state != nil {
		items = append(items, state.item)
	}
	for _, w := range m.model.rows {
		if len(items) > 0 {
			break
		}
		if w.access.read {
			items = append(items, w.item)
		}
	}
	return items
}

// Template returns the rows of a point table to begin with.
func (m *Meters) Template() (rows []protocol.TemplateRow) {
	for _, item := range m.Basic() {
		rows = append(rows, protocol.TemplateRow{Item: item, Interval: time.Minute})
	}
	return rows
}
