package modbus

import (
	"encoding/json"
	"fmt"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// Name is the word for the protocol, and the one that models follow: "modbus/dtsu666".
const Name = "modbus"

// A Description is a frame explained: what [Describe] makes of it. Its JSON form has the keys hex,
// protocol, direction, address, control, function, di (always null), values, units and more, in
// this order, then reasons in exceptions. An answer does not say which registers it is about.
type Description struct {
	Hex      string
	Frame    Frame
	Answer   bool // the frame is an answer, as far as its length tells
	Values   []protocol.Value
	Refusal  *protocol.Refusal
	function Function
}

// Describe explains one frame of Modbus RTU. A request of function 05 or 06 and its answer are the
// same, and are called a request. An error says what is wrong with the frame.
func Describe(frame []byte) (Description, error) {
	f, err := ParseFrame(frame)
	if err != nil {
		return Description{}, err
	}
	d := Description{Hex: octet.Hex(frame), Frame: f, function: f.Function &^ refused}
	data := f.Data
	say := func(name string, value any) { d.Values = append(d.Values, protocol.Value{Name: name, Data: value}) }
	number := func(at int) protocol.Decimal {
		return protocol.Decimal{Coefficient: int64(data[at])<<8 | int64(data[at+1])}
	}
	wrong := func() (Description, error) {
		return Description{}, fmt.Errorf("%s frame of slave %d: %d bytes of data do not fit the function", f.Function.Name(), f.Address, len(data))
	}
	switch {
	case f.Function&refused != 0:
		if len(data) != 1 {
			return wrong()
		}
		d.Answer, d.Refusal = true, refusalOf(data[0])
	case f.Function.isRead() && len(data) > 0 && len(data) == 1+int(data[0]):
		d.Answer = true
		name := "registers"
		if f.Function.readsBits() {
			name = "bits"
		}
		say(name, octet.Hex(data[1:]))
	case f.Function.isRead() && len(data) == 4:
		say("register", octet.Hex(data[:2]))
		say("count", number(2))
	case (f.Function == WriteCoil || f.Function == WriteRegister) && len(data) == 4:
		say("register", octet.Hex(data[:2]))
		say("registers", octet.Hex(data[2:]))
	case (f.Function == WriteCoils || f.Function == WriteRegisters) && len(data) == 4:
		d.Answer = true
		say("register", octet.Hex(data[:2]))
		say("count", number(2))
	case (f.Function == WriteCoils || f.Function == WriteRegisters) && len(data) > 5 && len(data) == 5+int(data[4]):
		say("register", octet.Hex(data[:2]))
		say("count", number(2))
		say("registers", octet.Hex(data[5:]))
	case functionNames[f.Function] == "":
		say("data", octet.Hex(data))
	default:
		return wrong()
	}
	return d, nil
}

// Redact returns bytes as upper-case hex. Modbus has no passwords that could be told by their place.
func Redact(b []byte) string { return octet.Hex(b) }

// MarshalJSON writes the description as one object.
func (d Description) MarshalJSON() ([]byte, error) {
	direction := "request"
	if d.Answer {
		direction = "response"
	}
	values, units := protocol.ValuesAndUnits(d.Values)
	members := protocol.Object{
		{Name: "hex", Value: d.Hex},
		{Name: "protocol", Value: Name},
		{Name: "direction", Value: direction},
		{Name: "address", Value: fmt.Sprint(d.Frame.Address)},
		{Name: "control", Value: fmt.Sprintf("%02X", byte(d.Frame.Function))},
		{Name: "function", Value: d.function.Name()},
		{Name: "di", Value: nil},
		{Name: "values", Value: values},
		{Name: "units", Value: units},
		{Name: "more", Value: false},
	}
	if d.Refusal != nil {
		members = append(members, protocol.Member{Name: "reasons", Value: d.Refusal.Reasons})
	}
	return json.Marshal(members)
}

// SplitFrame is a [bufio.SplitFunc] that cuts every frame of the known functions out of a stream,
// requests and answers. RTU has no marks, so that what it cuts is a frame by its length and its CRC
// alone. What is no frame is passed over.
func SplitFrame(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if !atEOF {
		return 0, nil, nil // more may come that belongs to a frame
	}
	for i := range data {
		rest := data[i:]
		for _, size := range sizesOf(rest) {
			if size <= len(rest) && isSound(rest[:size]) {
				return i + size, rest[:size:size], nil
			}
		}
	}
	return len(data), nil, nil
}

// sizesOf returns how long the frame may be that b begins with, as an answer and as a request.
func sizesOf(b []byte) (sizes []int) {
	if size := sizeOfAnswer(b); size > 0 {
		sizes = append(sizes, size)
	}
	if len(b) < 2 || b[0] > lastAddress {
		return sizes
	}
	switch f := Function(b[1]); {
	case f >= ReadCoils && f <= WriteRegister:
		sizes = append(sizes, writtenSize)
	case (f == WriteCoils || f == WriteRegisters) && len(b) > 6:
		sizes = append(sizes, 9+int(b[6]))
	}
	return sizes
}
