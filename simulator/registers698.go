package simulator

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
)

// energies698 are the registers of energy by the object's middle digits, with the DI2 of DL/T 645 that has the
// same: total, and phase A, B and C.
var energies698 = map[uint16]byte{
	0x00: kindCombinedActive, 0x01: kindForwardActive, 0x02: kindReverseActive, 0x03: kindCombinedReactive1, 0x04: kindCombinedReactive2,
	0x05: kindQuadrant1, 0x06: kindQuadrant1 + 1, 0x07: kindQuadrant1 + 2, 0x08: kindQuadrant4, 0x09: kindForwardApparent, 0x0A: kindReverseApparent,
}

// isSigned698 reports whether the registers of a kind may be below zero.
func isSigned698(kind byte) bool {
	return kind == kindCombinedActive || kind == kindCombinedReactive1 || kind == kindCombinedReactive2
}

// variables698 are the variables that the engine has under one identifier each.
var variables698 = map[dlt698.OAD]struct {
	di  dlt645.DI
	tag dlt698.Tag
}{
	0x20010400: {0x02800001, dlt698.DoubleLong},
	0x200F0200: {0x02800002, dlt698.LongUnsigned},
	0x20100200: {0x02800007, dlt698.Long},
	0x20110200: {0x02800008, dlt698.LongUnsigned},
	0x20120200: {0x02800009, dlt698.LongUnsigned},
	0x20130200: {0x0280000A, dlt698.DoubleLongUnsigned},
	0x20170200: {0x02800004, dlt698.DoubleLong},
	0x20180200: {0x02800005, dlt698.DoubleLong},
	0x20190200: {0x02800006, dlt698.DoubleLong},
}

// phased698 are the variables of phases, with the DI2 that has the same; total says which begin with one.
var phased698 = map[dlt698.OAD]struct {
	di2   byte
	tag   dlt698.Tag
	total bool
}{
	0x20000200: {di2Voltage, dlt698.LongUnsigned, false},
	0x20010200: {di2Current, dlt698.DoubleLong, false},
	0x20030200: {di2PhaseAngle, dlt698.LongUnsigned, false},
	0x20040200: {di2Active, dlt698.DoubleLong, true},
	0x20050200: {di2Reactive, dlt698.DoubleLong, true},
	0x20060200: {di2Apparent, dlt698.DoubleLong, true},
	0x200A0200: {di2PowerFactor, dlt698.Long, true},
	0x200B0200: {di2Distortion, dlt698.Long, false},
	0x200C0200: {di2Distortion + 1, dlt698.Long, false},
}

// value returns what the meter holds under an OAD.
func (m *Meter698) value(oad dlt698.OAD, at time.Time) (dlt698.Data, bool) {
	if data, ok := m.parameters[oad]; ok {
		return data, true
	}
	whole, ok := m.whole(oad&^0xFF, at)
	switch index := int(oad.Index()); {
	case !ok:
		return dlt698.Data{}, false
	case index == 0:
		return whole, true
	case index <= len(whole.Items):
		return whole.Items[index-1], true
	}
	return dlt698.Data{}, false
}

// whole returns an attribute with all its elements.
func (m *Meter698) whole(oad dlt698.OAD, at time.Time) (dlt698.Data, bool) {
	if v, ok := variables698[oad]; ok {
		n, ok := m.digits(v.di, at)
		return dlt698.NumberOf(v.tag, n), ok
	}
	if v, ok := phased698[oad]; ok {
		return m.phased(v.di2, v.tag, v.total, at)
	}
	switch oad.OI() >> 12 {
	case 0:
		return m.energies(oad, at)
	case 1:
		return m.demands(oad, at)
	}
	return m.other(oad, at)
}

// phased returns a variable of each phase, and of the whole meter before them.
func (m *Meter698) phased(di2 byte, tag dlt698.Tag, total bool, at time.Time) (dlt698.Data, bool) {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	first := 1
	if total {
		first = 0
	}
	var items []dlt698.Data
	for phase := first; phase <= m.engine.phases; phase++ {
		n, ok := m.engine.phaseVariable(di2, phase, at)
		if !ok {
			return dlt698.Data{}, false
		}
		items = append(items, dlt698.NumberOf(tag, n))
	}
	return dlt698.ArrayOf(items...), true
}

// energies returns registers of energy: the total and the tariffs. Attribute 4 has two digits more.
func (m *Meter698) energies(oad dlt698.OAD, at time.Time) (dlt698.Data, bool) {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	phase := int(oad.OI() & 0xF)
	kind, ok := energies698[oad.OI()>>4]
	if !ok || phase > m.engine.phases || m.engine.phases == 1 && (kind > kindReverseActive || phase > 0) || phase > 0 && kind == kindCombinedActive {
		return dlt698.Data{}, false
	}
	var tag dlt698.Tag
	per := int64(10 * 10 * hour) // tenths of a watt second in a hundredth of a kilowatt-hour
	switch fine, signed := oad.Attribute() == 4, isSigned698(kind); {
	case oad.Attribute() != 2 && !fine:
		return dlt698.Data{}, false
	case fine && signed:
		tag, per = dlt698.Long64, per/100
	case fine:
		tag, per = dlt698.Long64Unsigned, per/100
	case signed:
		tag = dlt698.DoubleLong
	default:
		tag = dlt698.DoubleLongUnsigned
	}
	w := m.engine.work(instantOf(at))
	var items []dlt698.Data
	for tariff := 0; tariff <= tariffs; tariff++ {
		items = append(items, dlt698.NumberOf(tag, m.engine.counted(w, kind, phase, tariff, per)))
	}
	return dlt698.ArrayOf(items...), true
}

// demands returns maximum demands with their times: the total and the tariffs.
func (m *Meter698) demands(oad dlt698.OAD, at time.Time) (dlt698.Data, bool) {
	kind, ok := energies698[oad.OI()>>4&0xF]
	phase := oad.OI() & 0xF
	if !ok || oad.OI()>>8 != 0x10 || oad.Attribute() != 2 {
		return dlt698.Data{}, false
	}
	tag := dlt698.DoubleLongUnsigned
	if isSigned698(kind) {
		tag = dlt698.DoubleLong
	}
	di2 := kind
	if phase > 0 {
		di2 = kind + kindsOfPhase*byte(phase)
	}
	var items []dlt698.Data
	for tariff := range dlt645.DI(tariffs + 1) {
		b, ok := m.engine.Read(0x01000000|dlt645.DI(di2)<<16|tariff<<8, at)
		if !ok {
			return dlt698.Data{}, false
		}
		when := dlt698.Data{Tag: dlt698.DateTimeS, Bytes: slices.Repeat([]byte{0xFF}, 7)}
		if t, ok := momentBCD(append([]byte{0}, b[3:8]...)); ok {
			when = dlt698.MomentOf(t)
		}
		items = append(items, dlt698.StructureOf(dlt698.NumberOf(tag, unpacked(b[:3])), when))
	}
	return dlt698.ArrayOf(items...), true
}

// other returns what is laid out in ways of its own.
func (m *Meter698) other(oad dlt698.OAD, at time.Time) (dlt698.Data, bool) {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	e := m.engine
	switch oad {
	case 0x20140200:
		var words []dlt698.Data
		for n := range 7 {
			words = append(words, dlt698.BitsOf(uint64(e.statusWord(n+1, at)), 16))
		}
		return dlt698.ArrayOf(words...), true
	case 0x20150200:
		return dlt698.BitsOf(0, 32), true
	case 0x40000200:
		return dlt698.MomentOf(at.Add(e.clock).In(zone)), true
	case 0x80000300:
		if m.options.RefusesRelay {
			return dlt698.Data{}, false
		}
		return dlt698.BitsOf(bit(e.relay.isOpen(at)), 8), true
	case 0x80000500:
		return dlt698.BitsOf(bit(e.relay.tripped), 8), !m.options.RefusesRelay
	case 0xF1010200:
		return dlt698.NumberOf(dlt698.Enum, int64(bit(m.options.Secured))), true
	case 0x30110700:
		count, _ := e.history(eventPowerDown, at)
		totals := dlt698.StructureOf(dlt698.NumberOf(dlt698.DoubleLongUnsigned, int64(count)), dlt698.NumberOf(dlt698.DoubleLongUnsigned, int64(count)*20))
		return dlt698.ArrayOf(dlt698.StructureOf(dlt698.Data{Tag: dlt698.Null}, totals)), true
	}
	return dlt698.Data{}, false
}

func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

// factorySettings returns the parameters that are stored as they are read.
func (m *Meter698) factorySettings() map[dlt698.OAD]dlt698.Data {
	octets := func(b []byte) dlt698.Data { return dlt698.OctetsOf(dlt698.OctetString, b) }
	visible := func(text string) dlt698.Data { return dlt698.OctetsOf(dlt698.VisibleString, []byte(text)) }
	small := func(n int64) dlt698.Data { return dlt698.NumberOf(dlt698.Unsigned, n) }
	number := make([]byte, 0, 16)
	for text := m.address.String(); len(text) > 0; text = text[2:] {
		number = append(number, (text[0]-'0')<<4|(text[1]-'0'))
	}
	model := "DTZY698-S"
	if m.engine.phases == 1 {
		model = "DDZY698-S"
	}
	return map[dlt698.OAD]dlt698.Data{
		0x40010200: octets(number),
		0x40020200: octets(number),
		0x40030200: octets(make([]byte, 6)),
		0x400C0200: dlt698.StructureOf(small(2), small(1), small(int64(len(dayPeriods()))), small(tariffs), small(0)),
		0x400D0200: small(3),
		0x40120200: dlt698.BitsOf(0x7F, 8),
		0x41000200: small(15),
		0x41010200: small(1),
		0x41030200: visible("SIM" + m.address.String()),
		0x41040200: visible("220V"),
		0x41050200: visible("5.0A"),
		0x41060200: visible("60A"),
		0x41070200: visible("1.0"),
		0x41080200: visible("2.0"),
		0x41090200: dlt698.NumberOf(dlt698.DoubleLongUnsigned, 1200),
		0x410A0200: dlt698.NumberOf(dlt698.DoubleLongUnsigned, 1200),
		0x410B0200: visible(model),
		0x43000300: dlt698.StructureOf(visible("SIM "), visible("0001"), visible("260101"), visible("0001"), visible("260101"), visible("")),
		0x43000400: dlt698.MomentOf(epoch),
		0x80000200: dlt698.StructureOf(dlt698.NumberOf(dlt698.DoubleLongUnsigned, 600_000), dlt698.NumberOf(dlt698.LongUnsigned, 0)),
	}
}

// Counted698 returns the number that a counting meter gives under an OAD in an exchange, as [Counted] does for meters of
// DL/T 645: what a test expects to see. limit is one more than the greatest number.
//
// The number of the exchange is [Counts].Exchanges after the meter's answer. Energies and the variables of phases count, in
// whole attributes and alone.
func Counted698(address string, exchange int, oad dlt698.OAD, limit int64) int64 {
	from := uint64(oad)
	for _, c := range []byte(address) {
		from = mix(from ^ uint64(c))
	}
	return (int64(from%uint64(limit)) + int64(exchange)) % limit
}

// The limits of counted numbers: a register of eight digits, and what fits into the smallest type of a variable.
const (
	CountedEnergy   = 100_000_000
	CountedVariable = 30_000
)

// count puts the number of the exchange under way into an entry.
func (m *Meter698) count(e *dlt698.Entry) {
	if !m.options.Counting || !e.Has {
		return
	}
	limit := int64(CountedVariable)
	switch _, phased := phased698[e.OAD&^0xFF]; {
	case e.OAD.OI() < 0x1000 && e.OAD.Attribute() == 2:
		limit = CountedEnergy
	case !phased:
		return
	}
	if e.OAD.Index() != 0 {
		e.Data = dlt698.NumberOf(e.Data.Tag, Counted698(m.Address(), m.counts.Exchanges+1, e.OAD, limit))
		return
	}
	items := slices.Clone(e.Data.Items)
	for i := range items {
		items[i] = dlt698.NumberOf(items[i].Tag, Counted698(m.Address(), m.counts.Exchanges+1, e.OAD|dlt698.OAD(i+1), limit))
	}
	e.Data.Items = items
}
