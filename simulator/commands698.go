package simulator

import (
	"time"

	"dlt645-mqtt/protocol/dlt698"
)

// The methods that the meter has.
const (
	methodSetTime     dlt698.OMD = 0x40007F00
	methodClear       dlt698.OMD = 0x43000300
	methodClearEvents dlt698.OMD = 0x43000500
	methodClearDemand dlt698.OMD = 0x43000600
	methodFreeze      dlt698.OMD = 0x50000300
	methodClosePlain  dlt698.OMD = 0x80008300
)

// relayCodes are the methods of remote control, by the command of DL/T 645 that does the same.
var relayCodes = map[dlt698.OMD]byte{
	0x80007F00: commandAlarm, 0x80008000: commandAlarmOff, 0x80008100: commandTrip, 0x80008200: commandClose,
	0x80017F00: commandKeepPower, 0x80018000: commandKeepPowerOff,
}

// set sets an attribute. The type must be the one that is there.
func (m *Meter698) set(command dlt698.APDU, e dlt698.Entry, at time.Time) dlt698.DAR {
	if m.options.Secured {
		return darNoRight
	}
	if e.OAD == 0x40000200 {
		t := dlt698Moment(e.Data)
		if t.IsZero() {
			return darRange
		}
		m.setClock(t, at)
		return m.carriedOut(command, &m.counts.ClockSets)
	}
	was, ok := m.parameters[e.OAD]
	item, known := dlt698.Items().Lookup(e.OAD)
	switch {
	case !ok:
		return darAbsent
	case was.Tag != e.Data.Tag:
		return darType
	case !known || item.Access == "R":
		return darDenied
	}
	data, _, err := dlt698.ParseData(e.Data.Append(nil)) // it must outlive the frame
	if err != nil {
		return darType
	}
	m.parameters[e.OAD] = data
	return m.carriedOut(command, &m.counts.Writes)
}

// dlt698Moment returns the time of a date_time_s; zero if it is none.
func dlt698Moment(d dlt698.Data) time.Time {
	text, ok := d.Value(zone).(string)
	if !ok || d.Tag != dlt698.DateTimeS {
		return time.Time{}
	}
	t, _ := time.Parse(time.RFC3339, text)
	return t
}

func (m *Meter698) setClock(t, at time.Time) {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	m.lastSet = [2]time.Time{at.Add(m.engine.clock), t}
	m.engine.clock = t.Sub(at)
	m.sets++
}

// act calls a method.
func (m *Meter698) act(command dlt698.APDU, e dlt698.Entry, broadcast bool, at time.Time) dlt698.DAR {
	switch {
	case broadcast && e.OAD != methodSetTime:
		return darDenied
	case e.OAD == methodSetTime:
		return m.correctClock(command, e.Data, at)
	case e.OAD == methodClosePlain:
		return m.closeByPassword(command, e.Data, at)
	case m.options.Secured:
		return darNoRight
	}
	if code, ok := relayCodes[e.OAD]; ok {
		return m.switchRelay(command, code, e.Data, at)
	}
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	engine := m.engine
	switch e.OAD {
	case methodFreeze:
		m.frozen = append(m.frozen, at)
		m.frozen = m.frozen[max(0, len(m.frozen)-mostAtOnce):]
		return m.carriedOut(command, &m.counts.Freezes)
	case methodClearDemand:
		engine.demandClears = append(engine.demandClears, clearing{at: at, ahead: engine.clock})
		return m.carriedOut(command, &m.counts.DemandClears)
	case methodClearEvents:
		engine.clearEvents(everyEvent, at)
		return m.carriedOut(command, &m.counts.EventClears)
	case methodClear:
		engine.cleared = instantOf(at)
		engine.base = engine.drawn(engine.cleared)
		m.frozen = nil
		return m.carriedOut(command, &m.counts.MeterClears)
	}
	return darAbsent
}

// correctClock sets the clock if it is wrong by less than five minutes, once a day.
func (m *Meter698) correctClock(command dlt698.APDU, argument dlt698.Data, at time.Time) dlt698.DAR {
	t := dlt698Moment(argument)
	if t.IsZero() {
		return darType
	}
	m.engine.mu.Lock()
	off := t.Sub(at.Add(m.engine.clock))
	m.engine.mu.Unlock()
	if off.Abs() >= 5*time.Minute || m.dayOfTime != 0 && instantOf(t)/day == m.dayOfTime/day {
		return darRange
	}
	m.dayOfTime = instantOf(t)
	m.setClock(t, at)
	return m.carriedOut(command, &m.counts.ClockSets)
}

// isTimely reports whether the meter's clock is within the time for which a request is valid. A request without a
// time tag always is.
func (m *Meter698) isTimely(tag []byte, at time.Time) bool {
	if tag == nil {
		return true
	}
	sent := dlt698Moment(dlt698.Data{Tag: dlt698.DateTimeS, Bytes: tag[:7]})
	unit := []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}
	if sent.IsZero() || int(tag[7]) >= len(unit) {
		return false
	}
	valid := time.Duration(int(tag[8])<<8|int(tag[9])) * unit[tag[7]]
	return at.Add(m.engine.clock).Sub(sent).Abs() <= valid
}

// switchRelay carries out a method of remote control.
func (m *Meter698) switchRelay(command dlt698.APDU, code byte, argument dlt698.Data, at time.Time) dlt698.DAR {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	switch {
	case m.options.RefusesRelay:
		return darDenied
	case !m.isTimely(command.TimeTag, at):
		return darBadTime
	}
	switch code {
	case commandTrip, commandClose:
		members := map[byte]int{commandTrip: 4, commandClose: 2}[code]
		if argument.Tag != dlt698.Array || len(argument.Items) != 1 || len(argument.Items[0].Items) != members || argument.Items[0].Items[0].Bits != 0xF2050201 {
			return darType
		}
		if code == commandClose && argument.Items[0].Items[1].Bits == 0 {
			code = commandPermitClose
		}
	}
	if !m.engine.relay.command(m.engine.household, code, at) {
		return darDenied
	}
	return m.carriedOut(command, &m.counts.Relay)
}

// closeByPassword closes the relay by a password, which a secured meter takes too.
func (m *Meter698) closeByPassword(command dlt698.APDU, argument dlt698.Data, at time.Time) dlt698.DAR {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	switch {
	case m.options.Password == "":
		return darAbsent
	case argument.Tag != dlt698.Array || len(argument.Items) != 1 || len(argument.Items[0].Items) != 3:
		return darType
	case string(argument.Items[0].Items[2].Bytes) != m.options.Password:
		return darNoRight
	case !m.isTimely(command.TimeTag, at):
		return darBadTime
	}
	code := byte(commandClose)
	if argument.Items[0].Items[1].Bits == 0 {
		code = commandPermitClose
	}
	m.engine.relay.command(m.engine.household, code, at)
	return m.carriedOut(command, &m.counts.Relay)
}
