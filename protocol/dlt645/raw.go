package dlt645

import (
	"fmt"
	"slices"
	"time"

	"dlt645-mqtt/protocol"
)

// longestRead is the most data of a request to read: the identifier, how many blocks of a load
// record, and from when (clause 7.2 of DL/T 645-2007). A frame has two bytes more at least, so
// none can be hidden in the data of a read, for a meter to find that looks for 68H too eagerly.
const longestRead = 10

// rest is the silence after a frame that nobody is to answer: the longest time that a meter
// may take to begin an answer (clause 5.3.3 of DL/T 645-2007), should one answer all the same.
const rest = 500 * time.Millisecond

// A rawRequest is a frame that a client wants sent as it is.
type rawRequest struct {
	Frame
	version  Version
	function Function
}

// planRaw plans the sending of a frame of the client's own. Its edition is that of its
// function code, and that of m only where both editions have it.
func (m *Meters) planRaw(request protocol.Request) (protocol.Plan, error) {
	frame, err := ParseFrame(request.Frame)
	if err == nil && frame.Control&^0x1F != 0 {
		err = fmt.Errorf("control code %sH is none of a request: bits 7 to 5 must be clear", frame.Control)
	}
	r := rawRequest{Frame: frame, function: frame.Control.Function(), version: m.version}
	if (names2007[r.function] == "") != (names1997[r.function] == "") {
		r.version = r.function.Version()
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return protocol.Plan{}, badRequest("%w", err)
	}
	step := protocol.Step{
		Meter: m.key(r.Address), Line: lines[m.version], Class: r.class(request.Class), Kind: protocol.KindCommand,
		First: protocol.Exchange{Request: mustAppend(r.Frame)},
	}
	switch answer := r.answer(); {
	case answer == nil:
		step.First.Rest = rest
	case request.NoAnswer:
		step.First.Rest, step.First.Stray = rest, answer.split
	default:
		step.First.Answer = answer.split
		step.First.Vague = r.vague
		step.First.Explain = m.explainer(r.Frame, r.version)
		step.First.Take = r.forwardAnswer
		if r.isRead() {
			step.Kind = r.kind()
		}
		if r.isRepeatable() {
			step.Key, step.Repeatable = "raw "+string(step.First.Request), true
		}
	}
	return protocol.Plan{Permission: r.permission(), Address: m.named(r.Address), Steps: []protocol.Step{step}, Level: r.level()}, nil
}

// level returns the level of the password in the frame, as in [protocol.Plan]. What stands in
// its place in frames for the security module is none.
func (r rawRequest) level() string {
	hidden := secrets(r.Control, r.Data)
	if len(hidden) == 0 || len(r.Data) < hidden[0].to {
		return ""
	}
	from := hidden[0].from
	level := hexOf(r.Data[from-1 : from])
	if slices.Contains(securityLevels, level) {
		return ""
	}
	return level
}

// check refuses requests whose answer could not be told from others for want of data.
func (r rawRequest) check() error {
	least := 0
	switch r.function {
	case FunctionRead, FunctionRead1997, FunctionReadFollowUp1997:
		least = diSize(r.version)
	case FunctionReadFollowUp:
		least = diSize(r.version) + 1
	case FunctionWriteAddress, FunctionWriteAddress1997:
		least = len(Address{})
	}
	if len(r.Data) < least {
		return fmt.Errorf("function %02XH takes at least %d bytes of data, the frame has %d", byte(r.function), least, len(r.Data))
	}
	return r.checkAddress()
}

// checkAddress refuses commands to more than one meter, but for those that the standard has:
// time and freeze for all, and a new address for whoever is there. Several meters could not be
// told apart by their answers, and a wrong password would lock them one and all.
func (r rawRequest) checkAddress() error {
	switch shared := (&Meters{version: r.version}).isShared(r.Address); {
	case !shared || r.isRead():
		return nil
	case r.Address.IsBroadcast() && (r.function == FunctionBroadcastTime || r.function == FunctionFreeze || r.function.Name(r.version) == "unknown"),
		r.Address == Anyone && (r.function == FunctionWriteAddress || r.function == FunctionWriteAddress1997):
		return nil
	}
	return fmt.Errorf("several meters may obey a frame to %s; function %02XH goes to one meter, by its full address", r.Address, byte(r.function))
}

// isRead reports whether the frame changes nothing in the meter.
func (r rawRequest) isRead() bool {
	if len(r.Data) > longestRead {
		return false
	}
	switch r.function {
	case FunctionRead, FunctionReadFollowUp, FunctionReadAddress, FunctionRead1997, FunctionReadFollowUp1997:
		return true
	}
	return false
}

// isRepeatable reports whether the same frame again would bring the same answer. A meter of
// 1997 moves on with every request for a follow-up frame.
func (r rawRequest) isRepeatable() bool {
	return r.isRead() && r.function != FunctionReadFollowUp1997
}

// permission is what the sender of the frame must be allowed to do.
func (r rawRequest) permission() protocol.Permission {
	switch {
	case r.Address.IsBroadcast():
		return protocol.PermitBroadcast
	case r.isRead():
		return protocol.PermitRead
	case r.function == FunctionWrite, r.function == FunctionWrite1997:
		return protocol.PermitWrite
	case r.function == FunctionRelay:
		return protocol.PermitRelay
	}
	return protocol.PermitMaintenance
}

// class is how urgent the frame is; asked is the class of the request.
func (r rawRequest) class(asked protocol.Class) protocol.Class {
	switch {
	case r.isRead():
		return asked
	case r.function == FunctionRelay:
		return protocol.ClassRelay
	}
	return protocol.ClassCommand
}

func (r rawRequest) kind() protocol.Kind {
	if r.function == FunctionReadAddress {
		return protocol.KindValue
	}
	return kindOf(diOf(r.Data, r.version), r.version)
}

// answer describes the answer to the frame. It is nil where nobody answers: commands to
// the broadcast address, and the functions that are never answered.
func (r rawRequest) answer() *awaited {
	switch r.function {
	case FunctionRead, FunctionReadFollowUp, FunctionRead1997, FunctionReadFollowUp1997:
		return readAnswer(r.Address, r.function, r.version, r.Data)
	case FunctionReadAddress:
		return addressAnswer(r.Address)
	case FunctionBroadcastTime, FunctionReportAnswer:
		return nil
	}
	if r.Address.IsBroadcast() {
		return nil
	}
	answer := &awaited{from: r.Address, function: r.function, most: maximumData, refusable: true}
	if namesItem(r.function, r.version) && len(r.Data) >= diSize(r.version) {
		answer.item = shifted(r.Data[:diSize(r.version)])
	}
	switch {
	case r.function == FunctionWriteAddress, r.function == FunctionWriteAddress1997:
		// The meter has its new address by the time it answers; a refusal is silence.
		answer.from, answer.most, answer.refusable = reversedAddress(r.Data), 0, false
	case r.function == FunctionReadAgain1997 && r.version == V1997:
		answer.least = diSize(V1997)
		answer.data = answer.item
	case r.function == FunctionAuthenticate && r.version == V2007 && len(r.Data) >= diSize(V2007):
		answer.data = shifted(r.Data[:diSize(V2007)])
		answer.least = len(answer.data)
	}
	return answer
}

// vague reports whether an answer names nothing that was in the request.
func (r rawRequest) vague(answer []byte) bool {
	return refusesVaguely(r.version)(answer) || !refuses(answer) && !r.isRead() && !(r.function == FunctionAuthenticate && r.version == V2007)
}

// forwardAnswer hands on the answer as it came. A refused command is a refusal besides; an error
// answer to a read is the frame that the client asked for, and no more.
func (r rawRequest) forwardAnswer(answer []byte) (*protocol.Exchange, protocol.Result, error) {
	frame, err := parseAnswer(answer)
	if err != nil {
		return nil, protocol.Result{}, err
	}
	result := protocol.Result{Address: (&Meters{version: r.version}).named(frame.Address), Frame: answer}
	if frame.Control.Refused() && !r.isRead() {
		return nil, result, refusedBy(frame, r.version)
	}
	return nil, result, nil
}
