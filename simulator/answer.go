package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// The parts of an answer's control code besides the function.
const (
	answered dlt645.Control = 0x80
	refused  dlt645.Control = 0xC0
	more     dlt645.Control = 0x20
)

// The bits of ERR, the data of an error answer, in both editions.
const (
	errorOther         = 1 << 0 // 1997: illegal data
	errorNoSuchData    = 1 << 1
	errorNotAuthorised = 1 << 2
	errorBaud          = 1 << 3
	errorYearZones     = 1 << 4
	errorDayPeriods    = 1 << 5
	errorTariffs       = 1 << 6
)

// The data of an answer: L is at most 200, and a meter that sends less than 64 at a time
// would need more than 255 frames for its longest record.
const (
	mostData  = 200
	leastData = 64
)

// A response is what a meter makes of a request.
type response struct {
	data        []byte
	more        bool // follow-up frames are there
	refused     bool // data is ERR
	silent      bool
	readdressed bool // the answer comes from the new address
}

var silence = response{silent: true}

func refuse(err byte) response { return response{data: []byte{err}, refused: true} }

// A record is what was read last, as far as follow-ups may ask for it.
type record struct {
	di   dlt645.DI
	data []byte
	sent int // 1997, where the meter keeps the position
}

// Answer lets the meter hear a frame. It returns the meter's answer; false if it is silent,
// as it is to frames that do not concern it, to functions that its edition does not have,
// and to broadcasts. A command has been carried out when Answer returns.
func (m *Meter) Answer(request dlt645.Frame, at time.Time) (answer dlt645.Frame, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := m.address
	if request.Control != dlt645.Control(request.Control.Function()) || at.Before(m.offUntil) ||
		!request.Address.IsBroadcast() && !request.Address.Matches(from) {
		return dlt645.Frame{}, false
	}
	var r response
	if m.version == dlt645.V1997 {
		r = m.answer1997(request, at)
	} else {
		r = m.answer2007(request, at)
	}
	if r.silent {
		return dlt645.Frame{}, false
	}
	m.counts.Exchanges++
	answer = dlt645.Frame{Address: from, Control: request.Control | answered, Data: r.data}
	switch {
	case r.refused:
		m.counts.Refused++
		answer.Control |= refused
	case r.more:
		answer.Control |= more
	case r.readdressed:
		answer.Address = m.address
	}
	return answer, true
}

// identifier reads an identifier of so many bytes at the beginning of data.
func identifier(data []byte, size int) (di dlt645.DI) {
	for i := range size {
		di |= dlt645.DI(data[i]) << (8 * i)
	}
	return di
}

// carriedOut reports a command to who wants to know of it, and acknowledges it.
func (m *Meter) carriedOut(command dlt645.Frame, count *int, data ...byte) response {
	*count++
	if m.onCommand != nil {
		m.onCommand(command)
	}
	return response{data: data}
}

// answerRecord sends the first part of what was read under an identifier, which the answer
// repeats.
func (m *Meter) answerRecord(di dlt645.DI, value []byte) response {
	data := di.Append(nil, m.version)
	if m.counting {
		m.stamp(di, value)
	}
	room := m.longest - len(data)
	m.record = record{di: di, data: value, sent: min(room, len(value))}
	m.counts.Reads++
	return response{data: append(data, value[:m.record.sent]...), more: len(value) > room}
}
