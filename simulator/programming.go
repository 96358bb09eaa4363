package simulator

import (
	"math/bits"
	"slices"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// answerWrite2007 answers function 14H: DI, PA P0 P1 P2, C0 C1 C2 C3, value.
func (m *Meter) answerWrite2007(request dlt645.Frame, at time.Time) response {
	data := request.Data
	if len(data) < 13 {
		return refuse(errorOther)
	}
	return m.program(request, identifier(data, 4), data[4:8], [4]byte(data[8:12]), data[12:], at)
}

// answerWrite1997 answers function 04H: DI, PA P0 P1 P2, value.
func (m *Meter) answerWrite1997(request dlt645.Frame, at time.Time) response {
	data := request.Data
	if len(data) < 7 {
		return refuse(errorOther)
	}
	return m.program(request, identifier(data, 2), data[2:6], [4]byte{}, data[6:], at)
}

// program writes an item and enters that in the records.
func (m *Meter) program(request dlt645.Frame, di dlt645.DI, password []byte, operator [4]byte, value []byte, at time.Time) response {
	if !m.authorised(password, levelOfProgramming, at) {
		return refuse(errorNotAuthorised)
	}
	before := at.Add(m.clock)
	if refusal := m.write(di, value, at); refusal != 0 {
		return refuse(refusal)
	}
	after := at.Add(m.clock)

	entry := append(appendSecond(nil, before), operator[:]...)
	entry = di.Append(entry, m.version)
	for len(entry) < eventSizes[eventProgramming] { // nine identifiers are not used
		entry = append(entry, 0xFF)
	}
	m.enter(eventProgramming, entry)
	if _, ok := m.readClock(di, at); ok {
		m.enter(eventClockSet, appendSecond(appendSecond(slices.Clone(operator[:]), before), after))
	}
	return m.carriedOut(request, &m.counts.Writes)
}

// answerWriteAddress answers functions 15H and 0AH, the new address. A meter that cannot
// have it is silent.
func (m *Meter) answerWriteAddress(request dlt645.Frame) response {
	if len(request.Data) != len(m.address) {
		return silence
	}
	address := addressOf(request.Data)
	if !single(address, m.version) {
		return silence
	}
	for _, b := range address {
		if _, ok := fromBCD(b); !ok && b != 0xAA {
			return silence
		}
	}
	m.address = address
	r := m.carriedOut(request, &m.counts.Addresses)
	r.readdressed = true
	return r
}

// The highest speeds that a meter can be set to, as the bit of Z: 600 baud is bit 1, each
// next one twice as fast.
const (
	highestBaud2007 = 1 << 6 // 19,200 baud
	highestBaud1997 = 1 << 5 // 9600 baud
)

// answerSetBaud answers functions 17H and 0CH, the speed word Z. The meter remembers the
// speed and tells it in the answer and, in 2007, in the speed word of port 1; the simulated
// line keeps its own.
func (m *Meter) answerSetBaud(request dlt645.Frame, highest byte) response {
	if len(request.Data) != 1 {
		return refuse(errorOther)
	}
	z := request.Data[0]
	if bits.OnesCount8(z) != 1 || z < 1<<1 || z > highest {
		return refuse(errorBaud)
	}
	m.parameters[diBaud] = []byte{z}
	return m.carriedOut(request, &m.counts.BaudRates, z)
}

// Baud returns the speed that the meter was told to use, in bits per second.
func (m *Meter) Baud() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	z := m.parameters[diBaud]
	if len(z) == 0 {
		return 1200 // a meter of 1997 that was told nothing
	}
	return 300 << bits.TrailingZeros8(z[0])
}
