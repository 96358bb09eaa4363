package simulator

import (
	"bytes"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// answer2007 answers a frame by the rules of DL/T 645-2007, clause 7, and its amendments.
func (m *Meter) answer2007(request dlt645.Frame, at time.Time) response {
	data := request.Data
	function := request.Control.Function()
	if request.Address.IsBroadcast() {
		switch function {
		case dlt645.FunctionBroadcastTime:
			m.setByBroadcast(request, at)
		case dlt645.FunctionFreeze:
			m.answerFreeze(request, at)
		}
		return silence
	}
	switch function {
	case dlt645.FunctionRead:
		return m.answerRead2007(data, at)
	case dlt645.FunctionReadFollowUp:
		return m.answerFollowUp2007(data)
	case dlt645.FunctionReadAddress:
		m.counts.Reads++
		return response{data: m.addressData()}
	case dlt645.FunctionWriteAddress:
		if request.Address != dlt645.Anyone {
			return silence
		}
		return m.answerWriteAddress(request)
	}
	if request.Address.IsWildcard() {
		return silence // an address with AA in it serves reading only
	}
	switch function {
	case dlt645.FunctionAuthenticate:
		return response{data: []byte{0x01, 0x00}, refused: true} // SERR other error: there is no security module
	case dlt645.FunctionWrite:
		return m.answerWrite2007(request, at)
	case dlt645.FunctionFreeze:
		return m.answerFreeze(request, at)
	case dlt645.FunctionSetBaud:
		return m.answerSetBaud(request, highestBaud2007)
	case dlt645.FunctionSetPassword:
		return m.answerSetPassword2007(request, at)
	case dlt645.FunctionClearDemand:
		return m.answerClearDemand(request, at)
	case dlt645.FunctionClearMeter:
		return m.answerClearMeter(request, at)
	case dlt645.FunctionClearEvents:
		return m.answerClearEvents(request, at)
	case dlt645.FunctionRelay:
		return m.answerRelay(request, at)
	case dlt645.FunctionOutput:
		return m.answerOutput(request)
	}
	return silence
}

// answerRead2007 answers function 11H: an identifier; for load records maybe the number of
// blocks, and the time of the first one.
func (m *Meter) answerRead2007(data []byte, at time.Time) response {
	if len(data) != 4 && len(data) != 5 && len(data) != 10 {
		return refuse(errorOther)
	}
	di := identifier(data, 4)
	if di>>24 == 0x06 {
		return m.answerLoadRecords(di, data[4:], at)
	}
	value, ok := m.read(di, at)
	if !ok || len(data) != 4 {
		return refuse(errorNoSuchData)
	}
	return m.answerRecord(di, value)
}

// answerFollowUp2007 answers function 12H with the part of the record that SEQ names.
func (m *Meter) answerFollowUp2007(data []byte) response {
	if len(data) != 5 || data[4] == 0 {
		return refuse(errorOther)
	}
	size := m.longest - 5 // identifier and SEQ
	from := m.longest - 4 + (int(data[4])-1)*size
	if identifier(data, 4) != m.record.di || from >= len(m.record.data) {
		return refuse(errorNoSuchData)
	}
	part := m.record.data[from:]
	isMore := len(part) > size
	m.counts.FollowUps++
	return response{data: bytes.Join([][]byte{data[:4], part[:min(size, len(part))], data[4:]}, nil), more: isMore}
}

// answerOutput answers function 1DH, the signal on the multifunction terminal: 00H second
// pulse of the clock, 01H demand period, 02H switching of tariff periods.
func (m *Meter) answerOutput(request dlt645.Frame) response {
	if len(request.Data) != 1 || request.Data[0] > 2 {
		return refuse(errorOther)
	}
	return m.carriedOut(request, &m.counts.Outputs, request.Data[0])
}

// answerRelay answers function 1CH: PA P0 P1 P2, C0 C1 C2 C3, N1 N2, ss mm hh DD MM YY. A
// meter says no more than "not authorised" if the deadline has passed or if it must keep
// the power on.
func (m *Meter) answerRelay(request dlt645.Frame, at time.Time) response {
	data := request.Data
	if len(data) != 16 {
		return refuse(errorOther)
	}
	deadline, ok := momentBCD(data[10:])
	switch {
	case !ok:
		return refuse(errorOther)
	case !m.authorised(data, levelOfClearing, at) || at.Add(m.clock).After(deadline):
		return refuse(errorNotAuthorised)
	case !m.relay.command(m.household, data[8], at):
		return refuse(errorNotAuthorised)
	}
	return m.carriedOut(request, &m.counts.Relay)
}
