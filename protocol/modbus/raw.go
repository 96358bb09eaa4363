package modbus

import "dlt645-mqtt/protocol"

// planRaw plans the sending of a frame of the client's own.
func (m *Meters) planRaw(request protocol.Request) (protocol.Plan, error) {
	frame, err := ParseFrame(request.Frame)
	if err == nil {
		err = checkRequest(frame)
	}
	if err != nil {
		return protocol.Plan{}, badRequest("%w", err)
	}
	if frame.Address < firstAddress || frame.Address > lastAddress {
		return protocol.Plan{}, badRequest("slave %d is none of 1 to 247; a frame to all slaves is not sent, since none answers", frame.Address)
	}
	address := m.named(frame.Address)
	answer := answerTo(frame)
	permission := m.permission(frame)
	step := protocol.Step{
		Meter: address.MeterKey, Line: &line, Class: protocol.ClassCommand, Kind: protocol.KindCommand,
		First: protocol.Exchange{Request: answer.request, Longest: max(writtenSize, readOverhead+answer.count)},
	}
	switch permission {
	case protocol.PermitRead:
		step.Class = request.Class
	case protocol.PermitRelay:
		step.Class = protocol.ClassRelay
	}
	if request.NoAnswer {
		step.First.Stray = answer.split
		return protocol.Plan{Permission: permission, Address: address, Steps: []protocol.Step{step}}, nil
	}
	step.First.Answer, step.First.Explain = answer.split, explainer(answer)
	step.First.Vague = func([]byte) bool { return true }
	step.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
		got, err := ParseFrame(answer)
		if err != nil {
			return nil, protocol.Result{}, garbled("%w", err)
		}
		result := protocol.Result{Address: m.named(got.Address), Frame: answer}
		if got.Function&refused != 0 && !frame.Function.isRead() {
			return nil, result, refusalOf(got.Data[0])
		}
		return nil, result, nil
	}
	if frame.Function.isRead() {
		step.Kind, step.Repeatable, step.Key = protocol.KindValue, true, "raw "+string(answer.request)
	}
	return protocol.Plan{Permission: permission, Address: address, Steps: []protocol.Step{step}}, nil
}

// permission is what the sender of the frame must be allowed to do. A coil switches something; what a
// register does that is in no map nobody knows.
func (m *Meters) permission(f Frame) protocol.Permission {
	first, count, _ := parsePlace(f)
	area := holdings
	if f.Function == WriteCoil || f.Function == WriteCoils {
		area = coils
	}
	relay := m.model.withRole(roleRelay)
	switch {
	case f.Function.isRead():
		return protocol.PermitRead
	case area == coils, relay != nil && relay.area == area && int(relay.register) < first+count && first < int(relay.register)+relay.registers:
		return protocol.PermitRelay
	case m.covers(area, first, count):
		return protocol.PermitWrite
	}
	return protocol.PermitMaintenance
}

// covers reports whether all registers of a write are values of the map that may be written.
func (m *Meters) covers(a area, first, count int) bool {
	for at := first; at < first+count; {
		next := at
		for _, w := range m.model.rows {
			if w.area == a && w.access.write && int(w.register) == at {
				next += w.registers
			}
		}
		if next == at {
			return false
		}
		at = next
	}
	return true
}
