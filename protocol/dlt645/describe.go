package dlt645

import (
	"encoding/json"
	"fmt"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
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
		Hex:     octet.Hex(octet.TrimWakeUp(frame)),
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
	values, units := protocol.ValuesAndUnits(d.Values)
	members := protocol.Object{
		{Name: "hex", Value: d.Hex},
		{Name: "protocol", Value: d.Version.String()},
		{Name: "direction", Value: direction},
		{Name: "address", Value: d.Address.String()},
		{Name: "control", Value: d.Control.String()},
		{Name: "function", Value: d.function.Name(d.Version)},
		{Name: "di", Value: di},
		{Name: "values", Value: values},
		{Name: "units", Value: units},
		{Name: "more", Value: d.Control.FromMeter() && d.Control.More()},
	}
	if d.Seq > 0 {
		members = append(members, protocol.Member{Name: "seq", Value: d.Seq})
	}
	if d.Refusal != nil {
		members = append(members, protocol.Member{Name: "reasons", Value: d.Refusal.Reasons})
	}
	return json.Marshal(members)
}
