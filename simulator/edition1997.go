package simulator

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// answer1997 answers a frame by the rules of DL/T 645-1997. A meter of this edition answers
// reads to the address of all meters too.
func (m *Meter) answer1997(request dlt645.Frame, at time.Time) response {
	data := request.Data
	function := request.Control.Function()
	switch function {
	case dlt645.FunctionRead1997:
		m.last = m.answerRead1997(data, at)
		return m.last
	case dlt645.FunctionReadFollowUp1997:
		m.last = m.answerFollowUp1997(data)
		return m.last
	case dlt645.FunctionReadAgain1997:
		return m.answerReadAgain(data)
	case dlt645.FunctionWriteAddress1997:
		return m.answerWriteAddress(request)
	case dlt645.FunctionBroadcastTime:
		if request.Address.IsBroadcast() {
			m.setByBroadcast(request, at)
		}
		return silence
	}
	if request.Address != m.address {
		return silence // what changes the meter needs its full address, fill bytes and all
	}
	switch function {
	case dlt645.FunctionWrite1997:
		return m.answerWrite1997(request, at)
	case dlt645.FunctionSetBaud1997:
		return m.answerSetBaud(request, highestBaud1997)
	case dlt645.FunctionSetPassword1997:
		return m.answerSetPassword1997(request, at)
	case dlt645.FunctionClearDemand1997:
		return m.answerClearDemand(request, at)
	}
	return silence
}

// answerRead1997 answers function 01H, which begins at the first byte whatever was read
// before.
func (m *Meter) answerRead1997(data []byte, at time.Time) response {
	m.record = record{}
	if len(data) != 2 {
		return refuse(errorOther)
	}
	di := identifier(data, 2)
	value, ok := m.read(di, at)
	if !ok {
		return refuse(errorNoSuchData)
	}
	return m.answerRecord(di, value)
}

// answerFollowUp1997 answers function 02H with the bytes that come next: the meter itself
// keeps the position.
func (m *Meter) answerFollowUp1997(data []byte) response {
	if len(data) != 2 {
		return refuse(errorOther)
	}
	part := m.record.data[m.record.sent:]
	if identifier(data, 2) != m.record.di || len(part) == 0 {
		return refuse(errorNoSuchData)
	}
	size := min(m.longest-len(data), len(part))
	m.record.sent += size
	m.counts.FollowUps++
	return response{data: slices.Concat(data, part[:size]), more: size < len(part)}
}

// answerReadAgain answers function 03H with what was sent last. The request is empty or
// repeats the identifier.
func (m *Meter) answerReadAgain(data []byte) response {
	if len(m.last.data) < 2 || m.last.refused || len(data) > 0 && !slices.Equal(data, m.last.data[:2]) {
		return refuse(errorNoSuchData)
	}
	m.counts.FollowUps++
	return m.last
}
