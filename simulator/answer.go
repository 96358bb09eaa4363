package simulator

import (
	"bytes"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// The parts of an answer's control code besides the function.
const (
	answered dlt645.Control = 0x80
	refused  dlt645.Control = 0xC0
	more     dlt645.Control = 0x20
)

// The bits of ERR, the data of an error answer.
const (
	errorOther         = 1 << 0
	errorNoSuchData    = 1 << 1
	errorNotAuthorised = 1 << 2
)

// The most data of a record in the first answer and in each follow-up: L is at most 200,
// which holds the identifier, and SEQ in a follow-up.
const (
	firstPart = 196
	nextPart  = 195
)

// A record is one that was too long for a frame.
type record struct {
	di   dlt645.DI
	data []byte
}

// Answer lets the meter hear a frame. It returns the meter's answer; false if it is silent,
// as it is to frames that do not concern it and to broadcasts. A command has been carried
// out when Answer returns.
func (m *Meter) Answer(request dlt645.Frame, at time.Time) (answer dlt645.Frame, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case request.Control != dlt645.Control(request.Control.Function()) || at.Before(m.offUntil):
		return dlt645.Frame{}, false
	case request.Address.IsBroadcast():
		if request.Control == dlt645.Control(dlt645.FunctionBroadcastTime) {
			m.setByBroadcast(request, at)
		}
		return dlt645.Frame{}, false
	case !request.Address.Matches(m.address):
		return dlt645.Frame{}, false
	}
	answer = dlt645.Frame{Address: m.address, Control: request.Control | answered}
	var refusal byte
	switch f := request.Control.Function(); {
	case f == dlt645.FunctionRead:
		refusal = m.answerRead(request.Data, &answer, at)
	case f == dlt645.FunctionReadFollowUp:
		refusal = m.answerFollowUp(request.Data, &answer)
	case f == dlt645.FunctionReadAddress:
		for i := range m.address {
			answer.Data = append(answer.Data, m.address[len(m.address)-1-i])
		}
		m.counts.Reads++
	case request.Address.IsWildcard(), f == dlt645.FunctionWriteAddress, f == dlt645.FunctionBroadcastTime:
		return dlt645.Frame{}, false // an address with AA in it serves reading only
	case f == dlt645.FunctionWrite:
		refusal = m.answerWrite(request, at)
	case f == dlt645.FunctionRelay:
		refusal = m.answerRelay(request, at)
	default:
		refusal = errorOther
	}
	if refusal != 0 {
		m.counts.Refused++
		return dlt645.Frame{Address: m.address, Control: request.Control | refused, Data: []byte{refusal}}, true
	}
	return answer, true
}

func identifier(data []byte) dlt645.DI {
	return dlt645.DI(data[0]) | dlt645.DI(data[1])<<8 | dlt645.DI(data[2])<<16 | dlt645.DI(data[3])<<24
}

// answerRead answers function 11H. The meter keeps no load records, so the longer forms of
// the request find nothing.
func (m *Meter) answerRead(data []byte, answer *dlt645.Frame, at time.Time) (refusal byte) {
	if len(data) != 4 && len(data) != 5 && len(data) != 10 {
		return errorOther
	}
	di := identifier(data)
	value, ok := m.read(di, at)
	if !ok || len(data) != 4 {
		return errorNoSuchData
	}
	answer.Data = di.Append(nil, dlt645.V2007)
	if len(value) > firstPart {
		m.record = record{di, value}
		answer.Control |= more
		value = value[:firstPart]
	}
	answer.Data = append(answer.Data, value...)
	m.counts.Reads++
	return 0
}

// answerFollowUp answers function 12H with the part of the record that SEQ names.
func (m *Meter) answerFollowUp(data []byte, answer *dlt645.Frame) (refusal byte) {
	if len(data) != 5 || data[4] == 0 {
		return errorOther
	}
	from := firstPart + (int(data[4])-1)*nextPart
	if identifier(data) != m.record.di || from >= len(m.record.data) {
		return errorNoSuchData
	}
	part := m.record.data[from:]
	if len(part) > nextPart {
		part = part[:nextPart]
		answer.Control |= more
	}
	answer.Data = bytes.Join([][]byte{data[:4], part, data[4:]}, nil)
	m.counts.FollowUps++
	return 0
}

// authorised checks level and password, PA P0 P1 P2. A smaller level has more rights.
func (m *Meter) authorised(data []byte, level byte) bool {
	password, ok := m.passwords[data[0]]
	return ok && data[0] <= level && bytes.Equal(data[1:4], password[:])
}

// answerWrite answers function 14H: DI, PA P0 P1 P2, C0 C1 C2 C3, value.
func (m *Meter) answerWrite(request dlt645.Frame, at time.Time) (refusal byte) {
	data := request.Data
	if len(data) < 13 {
		return errorOther
	}
	di := identifier(data)
	if !m.authorised(data[4:8], 4) {
		return errorNotAuthorised
	}
	if _, ok := m.read(di, at); !ok {
		return errorNoSuchData
	}
	before := at.Add(m.clock)
	if !m.write(di, data[12:], at) {
		return errorOther
	}
	m.programmed = append(m.programmed, programming{before, [4]byte(data[8:12]), di})
	m.programmed = m.programmed[max(0, len(m.programmed)-rows):]
	m.counts.Writes++
	m.report(request)
	return 0
}

// answerRelay answers function 1CH: PA P0 P1 P2, C0 C1 C2 C3, N1 N2, ss mm hh DD MM YY. A
// meter says no more than "not authorised" if the deadline has passed or if it must keep
// the power on.
func (m *Meter) answerRelay(request dlt645.Frame, at time.Time) (refusal byte) {
	data := request.Data
	if len(data) != 16 {
		return errorOther
	}
	deadline, ok := momentBCD(data[10:])
	switch {
	case !ok:
		return errorOther
	case !m.authorised(data, 2) || at.Add(m.clock).After(deadline):
		return errorNotAuthorised
	case !m.relay.command(m.household, data[8], at):
		return errorNotAuthorised
	}
	m.counts.Relay++
	m.report(request)
	return 0
}

// setByBroadcast carries out function 08H, ss mm hh DD MM YY: if the clock is wrong by
// five minutes at most, once a day.
func (m *Meter) setByBroadcast(request dlt645.Frame, at time.Time) {
	if len(request.Data) != 6 {
		return
	}
	t, ok := momentBCD(request.Data)
	off := t.Sub(at.Add(m.clock))
	if !ok || off.Abs() > 5*time.Minute || instantOf(t)/day == m.broadcast/day {
		return
	}
	m.clock, m.broadcast = t.Sub(at), instantOf(t)
	m.counts.ClockSets++
	m.report(request)
}

// momentBCD reads ss mm hh DD MM YY.
func momentBCD(b []byte) (time.Time, bool) {
	var numbers [6]int
	for i := range numbers {
		n, ok := fromBCD(b[i])
		if !ok {
			return time.Time{}, false
		}
		numbers[i] = n
	}
	return moment(numbers[:])
}

func (m *Meter) report(command dlt645.Frame) {
	if m.onCommand != nil {
		m.onCommand(command)
	}
}
