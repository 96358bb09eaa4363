package cjt188

import (
	"time"

	"dlt645-mqtt/protocol"
)

// longestRead is the most data of a request to read: identifier and SER. Nothing can be hidden in them.
const longestRead = 3

// rest is the silence after a frame that nobody is to answer, should one answer all the same.
const rest = 500 * time.Millisecond

// planRaw plans the sending of a frame of the client's own.
func (m *Meters) planRaw(request protocol.Request) (protocol.Plan, error) {
	frame, err := ParseFrame(request.Frame)
	switch {
	case err != nil:
		return protocol.Plan{}, badRequest("%w", err)
	case frame.Control&(answerBit|refusalBit) != 0:
		return protocol.Plan{}, badRequest("control code %sH is none of a request: bits 7 and 6 must be clear", frame.Control)
	case len(frame.Data) < 3:
		return protocol.Plan{}, badRequest("a request has an identifier and SER, 3 bytes; the frame has %d bytes of data", len(frame.Data))
	case !frame.Type.IsValid() && frame.Type != AnyType:
		return protocol.Plan{}, badRequest("%s is no type of a meter: 10 to 49, or AA", frame.Type)
	}
	r := rawRequest{frame, identifierOf(frame)}
	if err := r.checkAddress(); err != nil {
		return protocol.Plan{}, err
	}
	address := m.named(frame.Address)
	step := protocol.Step{
		Meter: address.MeterKey, Line: &line, Class: r.class(request.Class), Kind: protocol.KindCommand,
		First: protocol.Exchange{Request: mustAppend(frame)},
	}
	answer := r.answer()
	switch {
	case frame.Address == Broadcast:
		step.First.Rest = rest
	case request.NoAnswer:
		step.First.Rest, step.First.Stray = rest, answer.split
	default:
		step.First.Answer, step.First.Explain = answer.split, m.explainer(frame.Address)
		step.First.Vague = func(answer []byte) bool { return isRefusal(answer) || !r.isRead() }
		step.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
			return m.forwardAnswer(answer, r.isRead())
		}
		if r.isRead() {
			step.Kind, step.Repeatable, step.Key = protocol.KindValue, true, "raw "+string(step.First.Request)
		}
	}
	return protocol.Plan{Permission: r.permission(), Address: address, Steps: []protocol.Step{step}}, nil
}

// A rawRequest is a frame that a client wants sent as it is.
type rawRequest struct {
	Frame
	di DI
}

func identifierOf(f Frame) DI {
	di, _ := IdentifierIn(f.Data)
	return di
}

// isRead reports whether the frame changes nothing in the meter.
func (r rawRequest) isRead() bool {
	return len(r.Data) <= longestRead && (r.Control == ReadData || r.Control == ReadAddress || r.Control == ReadVersion)
}

// checkAddress refuses commands to more than one meter, except a new address, which goes to whoever is there.
func (r rawRequest) checkAddress() error {
	if r.Address == Anyone && !r.isRead() && r.Control != WriteAddress {
		return badRequest("several meters may obey a frame to %s; function %s goes to one meter, by its full address", r.Address, r.Control)
	}
	return nil
}

// permission is what the sender of the frame must be allowed to do. What the makers' own functions do
// nobody knows.
func (r rawRequest) permission() protocol.Permission {
	switch {
	case r.Address == Broadcast:
		return protocol.PermitBroadcast
	case r.isRead():
		return protocol.PermitRead
	case r.di == Valve, r.Control == makersValve:
		return protocol.PermitRelay
	case r.Control == WriteData && (r.di == WriteSettleDay || r.di == WriteReadingDay || r.di == WritePrices):
		return protocol.PermitWrite
	}
	return protocol.PermitMaintenance
}

// class is how urgent the frame is; asked is the class of the request.
func (r rawRequest) class(asked protocol.Class) protocol.Class {
	switch r.permission() {
	case protocol.PermitRead:
		return asked
	case protocol.PermitRelay:
		return protocol.ClassRelay
	}
	return protocol.ClassCommand
}

// answer describes the answer to the frame. One that gave the meter a new address may come from that
// or from the old one.
func (r rawRequest) answer() *awaited {
	answer := answerTo(r.Frame, r.di, r.Data[2])
	if r.Control == WriteAddress {
		answer.from = Anyone
	}
	return answer
}

// forwardAnswer hands on the answer as it came. A refused command is a refusal besides; an error answer to a
// read is the frame that the client asked for, and no more.
func (m *Meters) forwardAnswer(answer []byte, read bool) (*protocol.Exchange, protocol.Result, error) {
	frame, err := parseAnswer(answer)
	if err != nil {
		return nil, protocol.Result{}, err
	}
	result := protocol.Result{Address: m.named(frame.Address), Frame: answer}
	if st, _, ok := refusalIn(frame.Data); ok && frame.Control.Refused() && !read {
		return nil, result, refusalOf(st)
	}
	return nil, result, nil
}
