package dlt645

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
)

// A Description is a frame explained: what [Describe] makes of it. Its JSON form has the
// keys hex, protocol, direction, address, control, function, di (null where the function
// has none), values, units and more, in this order, then seq in follow-up frames and
// reasons in refusals. Values keep the order of the frame.
type Description struct {
	Hex      string // the frame without wake-up bytes, upper case, nothing masked
	Version  Version
	Address  Address
	Control  Control
	DI       string           // as DI.Format writes it; empty where the function has none
	Values   []protocol.Value // of requests too
	Seq      int              // of a follow-up frame of 2007, 1 to 255; else 0
	Refusal  *protocol.Refusal
	function Function
}

// Describe explains one frame, request or answer, perhaps with wake-up bytes before it. A
// zero version is found from the function code. Moments are in the time of zone. An error
// says what is wrong with the frame, or with what it carries: wrong length, digits that are
// none, reserved bits. Beside an error about the code of a refusal the description is there all
// the same, with Refusal set: the meter has refused, whatever it gave for a reason. Secrets are
// shown.
func Describe(frame []byte, v Version, zone *time.Location) (Description, error) {
	f, err := ParseFrame(frame)
	if err != nil {
		return Description{}, err
	}
	function := f.Control.Function()
	if v == 0 {
		v = function.Version()
	}
	d := Description{
		Hex:     strings.ToUpper(hex.EncodeToString(trimWakeUp(frame))),
		Version: v, Address: f.Address, Control: f.Control, function: function,
	}
	c := &content{Description: &d, rest: f.Data, zone: zone, items: Items(v)}
	switch {
	case f.Control.FromMeter() && f.Control.Refused():
		c.refusal()
	case f.Control.FromMeter():
		c.answer()
	default:
		c.request()
	}
	if c.err != nil {
		err = fmt.Errorf("%s frame from %s to %s: %w", d.function.Name(v), d.from(), d.to(), c.err)
		if d.Refusal == nil {
			d = Description{}
		}
		return d, err
	}
	if len(c.rest) > 0 {
		c.hex("data", len(c.rest))
	}
	return d, nil
}

func (d *Description) from() string {
	if d.Control.FromMeter() {
		return d.Address.String()
	}
	return "the master"
}

func (d *Description) to() string {
	if d.Control.FromMeter() {
		return "the master"
	}
	return d.Address.String()
}

// MarshalJSON writes the description as one object.
func (d Description) MarshalJSON() ([]byte, error) {
	direction := "request"
	if d.Control.FromMeter() {
		direction = "response"
	}
	var di *string
	if d.DI != "" {
		di = &d.DI
	}
	values, units := object{}, object{}
	for _, value := range d.Values {
		values = append(values, member{value.Name, value.Data})
		if value.Unit != "" {
			units = append(units, member{value.Name, value.Unit})
		}
	}
	members := object{
		{"hex", d.Hex},
		{"protocol", d.Version.String()},
		{"direction", direction},
		{"address", d.Address.String()},
		{"control", d.Control.String()},
		{"function", d.function.Name(d.Version)},
		{"di", di},
		{"values", values},
		{"units", units},
		{"more", d.Control.FromMeter() && d.Control.More()},
	}
	if d.Seq > 0 {
		members = append(members, member{"seq", d.Seq})
	}
	if d.Refusal != nil {
		members = append(members, member{"reasons", d.Refusal.Reasons})
	}
	return json.Marshal(members)
}

// An object is a JSON object whose members keep their order.
type object []member

type member struct {
	name  string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
