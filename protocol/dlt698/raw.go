package dlt698

import (
	"fmt"

	"dlt645-mqtt/protocol"
)

// A rawRequest is a frame that a client wants sent as it is.
type rawRequest struct {
	Frame
	apdu   APDU
	inner  APDU // the plain text of a secured one; else the APDU itself
	cipher bool
}

// planRaw plans the sending of a frame of the client's own, such as one that a key server has made.
func (m Meters) planRaw(request protocol.Request) (protocol.Plan, error) {
	r, err := rawOf(request.Frame)
	if err != nil {
		return protocol.Plan{}, badRequest("%w", err)
	}
	step := protocol.Step{
		Meter: m.key(r.Address), Line: &line, Class: r.class(request.Class), Kind: protocol.KindCommand,
		First: protocol.Exchange{Request: mustAppend(r.Frame)},
	}
	awaited := r.awaited()
	switch {
	case r.Address.Kind == Broadcast || r.Address.Kind == Group:
		step.First.Rest = rest
	case request.NoAnswer:
		step.First.Rest, step.First.Stray = rest, awaited.split
	default:
		step.First.Answer, step.First.Take = awaited.split, r.forwardAnswer
		step.First.Explain = awaited.explainer(step.First.Request)
		step.First.Vague = func(b []byte) bool { return !r.isRead() || isVague(b) }
		if r.isRead() {
			step.Kind = protocol.KindValue
			if r.inner.Choice >= Record {
				step.Kind = protocol.KindRecord
			}
			step.Key, step.Repeatable = "raw "+string(step.First.Request), true
		}
	}
	return protocol.Plan{Permission: r.permission(), Address: m.named(r.Address), Steps: []protocol.Step{step}}, nil
}

// rawOf reads a frame that is to be sent. A frame that a meter could take for something else than what is
// read here is refused.
func rawOf(b []byte) (r rawRequest, err error) {
	if r.Frame, err = ParseFrame(b); err != nil {
		return r, err
	}
	switch {
	case r.Control.FromServer() || r.Control&byClient == 0:
		return r, fmt.Errorf("control byte %s is none of a request: it must say that a client begins", r.Control)
	case r.Control.Fragmented():
		return r, fmt.Errorf("the frame is a fragment; only whole requests are sent")
	case r.Control&function != functionData:
		return r, fmt.Errorf("control byte %s is that of link management, which meters on a local bus do not have", r.Control)
	}
	if r.apdu, err = ParseAPDU(r.Data); err != nil {
		return r, err
	}
	r.inner = r.apdu
	if s := r.apdu.Sealed; s != nil && r.apdu.Service == Security {
		if r.cipher = s.Cipher; !r.cipher {
			r.inner, err = ParseAPDU(s.APDU)
		}
	}
	switch {
	case err != nil:
		return r, err
	case r.apdu.Service&Answered != 0 || r.inner.Service&Answered != 0:
		return r, fmt.Errorf("%s is no request of a client", r.inner.Service)
	case r.Address.IsShared() && !r.isRead() && !r.isTime():
		return r, fmt.Errorf("several meters may obey a frame to %s; %s goes to one meter, by its full address", r.Address, r.inner.Service)
	}
	return r, nil
}

// isRead reports whether the frame changes nothing in the meter.
func (r *rawRequest) isRead() bool { return !r.cipher && r.inner.Service == Get }

// isTime reports whether the frame gives the time to all meters, which may be told to all.
func (r *rawRequest) isTime() bool {
	return r.Address.Kind == Broadcast && !r.cipher && r.inner.Service == Action && len(r.inner.Entries) == 1 && r.inner.Entries[0].OAD == omdSetClock
}

// movesRelay reports whether the frame may switch. Nobody can say that of ciphertext but the meter.
func (r *rawRequest) movesRelay() bool {
	if r.cipher {
		return true
	}
	if r.inner.Service != Action {
		return false
	}
	for _, e := range r.inner.Entries {
		if e.OAD.OI() == 0x8000 || e.OAD.OI() == 0x8001 {
			return true
		}
	}
	return false
}

// permission is what the sender of the frame must be allowed to do.
func (r *rawRequest) permission() protocol.Permission {
	switch {
	case r.isRead():
		return protocol.PermitRead
	case r.Address.Kind == Broadcast:
		return protocol.PermitBroadcast
	case r.movesRelay():
		return protocol.PermitRelay
	case r.inner.Service == Set:
		return protocol.PermitWrite
	}
	return protocol.PermitMaintenance
}

// class is how urgent the frame is; asked is the class of the request.
func (r *rawRequest) class(asked protocol.Class) protocol.Class {
	switch {
	case r.isRead():
		return asked
	case r.movesRelay():
		return protocol.ClassRelay
	}
	return protocol.ClassCommand
}

// awaited describes the answer to the frame.
func (r *rawRequest) awaited() *awaited {
	a := &awaited{
		from: r.Address, client: r.Client, service: r.inner.Service | Answered, choice: r.inner.Choice, piid: r.inner.PIID & piidNumber,
		sealed: r.apdu.Service == Security, opaque: r.cipher,
	}
	for _, e := range r.inner.Entries {
		a.oads = append(a.oads, e.OAD)
	}
	return a
}

// forwardAnswer hands on the answer as it came. A refused command is a refusal besides; an error answer to a read is the
// frame that the client asked for, and no more.
func (r *rawRequest) forwardAnswer(answer []byte) (*protocol.Exchange, protocol.Result, error) {
	f, err := ParseFrame(answer)
	if err != nil {
		return nil, protocol.Result{}, garbled("%w", err)
	}
	result := protocol.Result{Frame: answer}
	if !f.Address.IsShared() {
		result.Address = Meters{}.named(f.Address)
	}
	if f.Control.Fragmented() || r.isRead() {
		return nil, result, nil
	}
	a, err := ParseAPDU(f.Data)
	if err == nil && a.Service == Security|Answered {
		if a.DAR != darSuccess {
			return nil, result, securityRefusal(a.DAR)
		}
		if a.Sealed.Cipher {
			return nil, result, nil
		}
		a, err = ParseAPDU(a.Sealed.APDU)
	}
	switch {
	case err != nil:
		return nil, result, err
	case a.Service == Fault|Answered:
		return nil, result, &protocol.Refusal{Code: uint16(a.DAR), Reasons: []string{reasonOther}, Advice: "the meter did not understand the command (" + faultText(a.DAR) + ")"}
	}
	for _, e := range a.Entries {
		if e.DAR.isRight() {
			return nil, result, securityRefusal(e.DAR)
		}
		if e.DAR != darSuccess {
			return nil, result, e.DAR.refusal(true)
		}
	}
	return nil, result, nil
}
