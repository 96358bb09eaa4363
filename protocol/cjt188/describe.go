package cjt188

import (
	"encoding/json"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// A Description is a frame explained: what [Describe] makes of it. Its JSON form has the keys hex,
// protocol, direction, address, type, control, function, di (null where there is none), ser, values,
// units and more, in this order, then reasons in refusals. Values keep the order of the frame.
type Description struct {
	Hex     string // the frame without wake-up bytes, upper case, nothing masked
	Frame   Frame
	DI      string // empty where there is none
	Ser     *int   // the number of the request; nil where there is none
	Values  []protocol.Value
	Refusal *protocol.Refusal
}

// Describe explains one frame, request or answer, perhaps with wake-up bytes before it. Moments
// are in the time of zone. An error says what is wrong with the frame, or with what it carries.
func Describe(frame []byte, zone *time.Location) (Description, error) {
	f, err := ParseFrame(frame)
	if err != nil {
		return Description{}, err
	}
	d := Description{Hex: octet.Hex(octet.TrimWakeUp(frame)), Frame: f}
	if err := d.explain(zone); err != nil {
		from, to := "the master", f.Address.String()
		if f.Control.FromMeter() {
			from, to = to, from
		}
		return Description{}, fmt.Errorf("%s frame from %s to %s: %w", f.Control.Name(), from, to, err)
	}
	return d, nil
}

// explain reads the data.
func (d *Description) explain(zone *time.Location) error {
	f := d.Frame
	data := f.Data
	if f.Control.Refused() {
		st, ser, ok := refusalIn(data)
		if !ok {
			return garbled("an error answer has SER and ST, 3 bytes, not %d", len(data))
		}
		d.Ser, d.Refusal = &ser, refusalOf(st)
		return nil
	}
	if len(data) < 3 {
		if len(data) > 0 {
			d.Values = append(d.Values, protocol.Value{Name: "data", Data: octet.Hex(data)})
		}
		return nil
	}
	di, _ := IdentifierIn(data)
	ser := int(data[2])
	d.DI, d.Ser = di.String(), &ser
	rest := data[3:]
	switch {
	case len(rest) == 0:
		return nil
	case f.Control.FromMeter() && (f.Control.Function() == WriteData || f.Control.Function() == makersValve) && len(rest) == 2:
		word := value{name: "status", kind: status, size: 2}
		var err error
		d.Values, err = word.decode(nil, rest, unitBehind, known{}, zone)
		return err
	case f.Control.FromMeter() && f.Control.Function() == ReadData:
		values, err := decode(di, f.Type, rest, known{}, zone)
		d.Values = values
		return err
	}
	return d.written(di, rest, zone)
}

// written explains what a request carries.
func (d *Description) written(di DI, rest []byte, zone *time.Location) error {
	say := func(name string, data any) { d.Values = append(d.Values, protocol.Value{Name: name, Data: data}) }
	switch {
	case di == Valve && len(rest) == 1:
		say("valve_command", octet.Hex(rest))
		if word := valveCommands[rest[0]]; word != "" {
			say("action", word)
		}
	case di == WriteAddressDI && len(rest) == len(Address{}):
		say("new_address", reversedAddress(rest).String())
	case di == WriteClock && len(rest) == clockSize:
		say("clock", moment(rest, zone))
	case (di == WriteSettleDay || di == WriteReadingDay) && len(rest) == 1:
		n, err := number(rest)
		if err != nil {
			return err
		}
		say(map[DI]string{WriteSettleDay: "settlement_day", WriteReadingDay: "reading_day"}[di], scaled(n, 0, 0))
	case di == WriteBaseValue && len(rest) == 5:
		v := value{name: "volume", kind: withUnit, size: 4, decimals: 2, unit: cubicMetre}
		var err error
		d.Values, err = v.decode(nil, rest, unitBehind, known{}, zone)
		return err
	default:
		say("data", octet.Hex(rest))
	}
	return nil
}

// valveCommands are the words for what A017 is given. The first two are of the standard, the
// others makers' own.
var valveCommands = map[byte]string{
	openValve: "valve_open", closeValve: "valve_close",
	0x66: "valve_open_free", 0x77: "valve_close_free", 0x00: "valve_query",
}

// What A017 is given.
const (
	openValve  = 0x55
	closeValve = 0x99
)

// refusalIn reads an error answer: SER and ST, by some makers with the identifier before them.
func refusalIn(data []byte) (st []byte, ser int, ok bool) {
	switch len(data) {
	case 3:
		return data[1:], int(data[0]), true
	case 5:
		return data[3:], int(data[2]), true
	}
	return nil, 0, false
}

// refusalOf returns what an error answer says, which is no more than that the meter refuses: the
// bits of ST give the state of the meter and no reason.
func refusalOf(st []byte) *protocol.Refusal {
	return &protocol.Refusal{Code: uint16(st[1])<<8 | uint16(st[0]), Reasons: []string{"other"}}
}

// MarshalJSON writes the description as one object.
func (d Description) MarshalJSON() ([]byte, error) {
	direction := "request"
	if d.Frame.Control.FromMeter() {
		direction = "response"
	}
	var di *string
	if d.DI != "" {
		di = &d.DI
	}
	values, units := protocol.ValuesAndUnits(d.Values)
	members := protocol.Object{
		{Name: "hex", Value: d.Hex},
		{Name: "protocol", Value: Name},
		{Name: "direction", Value: direction},
		{Name: "address", Value: d.Frame.Address.String()},
		{Name: "type", Value: d.Frame.Type.String()},
		{Name: "control", Value: d.Frame.Control.String()},
		{Name: "function", Value: d.Frame.Control.Name()},
		{Name: "di", Value: di},
		{Name: "ser", Value: d.Ser},
		{Name: "values", Value: values},
		{Name: "units", Value: units},
		{Name: "more", Value: false},
	}
	if d.Refusal != nil {
		members = append(members, protocol.Member{Name: "reasons", Value: d.Refusal.Reasons})
	}
	return json.Marshal(members)
}

// Redact returns a piece of a stream as upper-case hex with the bytes of keys written as "**". The
// only secret of the protocol is the key that A014 writes, of 2018 A107; there are no passwords.
// It accepts any bytes. What follows such an identifier is masked to the end of the frame, or of
// the piece where the frame is damaged.
func Redact(b []byte) string {
	hidden := make([]bool, len(b))
	for i := 0; i+headerSize+3 <= len(b); i++ {
		if b[i] != start || Control(b[i+9]).Function() != WriteData {
			continue
		}
		data := i + headerSize
		if di, _ := IdentifierIn(b[data:]); di != WriteKey && di != WriteKey2018 {
			continue
		}
		to := len(b)
		if size := int(b[i+10]) + minimumSize; i+size <= len(b) && isComplete(b[i:i+size]) {
			to = i + size - 2
		}
		for k := data + 3; k < to; k++ {
			hidden[k] = true
		}
	}
	return octet.MaskedHex(b, hidden)
}
