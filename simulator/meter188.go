package simulator

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/cjt188"
)

// Meter188Options describe a meter that speaks CJ/T 188. Only the address is needed.
type Meter188Options struct {
	Address string      // 1 to 14 digits
	Type    cjt188.Type // zero: cold water
	Seed    uint64      // with the address it makes the meter's values

	// LowFirst is a meter of the edition of 2018: it understands, and sends, identifiers low byte first.
	LowFirst bool

	// Insists is a meter that answers only to its own type, not to AA.
	Insists bool

	// UnitBefore is a meter of heat that sends unit codes before the numbers.
	UnitBefore bool

	// ValveDelay is how long the valve takes to move after a command was acknowledged.
	ValveDelay time.Duration

	// Counting makes the volume tell the exchange in which it was read: see [Counted188].
	Counting bool

	// Mode is that at which the meter hears and speaks; zero: that of the line.
	Mode protocol.Mode

	// OnCommand is optional: it is called for each command at the moment it is carried out. It must not call the
	// meter.
	OnCommand func(command cjt188.Frame)
}

// A Meter188 is one simulated meter of CJ/T 188: of water, gas or heat. It has no clock: each method is told
// the time at which it happens. Methods may be called from many goroutines.
type Meter188 struct {
	options Meter188Options
	address cjt188.Address
	seed    uint64

	mu       sync.Mutex
	offUntil time.Time
	ahead    time.Duration // the clock
	closed   bool          // the valve, before it moves
	closing  bool          // the valve, when it has moved
	moved    time.Time     // when it will have
	days     [2]int        // of settlement and of reading
	counts   Counts
}

// NewMeter188 makes a meter. An error says which option cannot be.
func NewMeter188(o Meter188Options) (*Meter188, error) {
	address, err := cjt188.ParseAddress(o.Address)
	if err == nil && address == cjt188.Anyone {
		err = fmt.Errorf("%s is no address of a single meter", address)
	}
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	if o.Type == 0 {
		o.Type = cjt188.ColdWater
	}
	m := &Meter188{options: o, address: address, seed: o.Seed, days: [2]int{1, 25}}
	for _, c := range address {
		m.seed = mix(m.seed ^ uint64(c))
	}
	return m, nil
}

// Address returns the 14 digits of the meter's address.
func (m *Meter188) Address() string { return m.address.String() }

// Protocol returns "188".
func (m *Meter188) Protocol() string { return cjt188.Name }

// Type returns what the meter measures.
func (m *Meter188) Type() cjt188.Type { return m.options.Type }

// Counts returns what the meter did so far.
func (m *Meter188) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// SwitchOff takes the meter off the line until a time: it neither hears nor answers.
func (m *Meter188) SwitchOff(until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.offUntil = until
}

// SetClock makes the meter's clock run ahead by a duration, or behind if it is negative.
func (m *Meter188) SetClock(ahead time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead = ahead
}

// ValveClosed reports whether the valve is closed at a time.
func (m *Meter188) ValveClosed(at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.isClosed(at)
}

func (m *Meter188) isClosed(at time.Time) bool {
	if at.Before(m.moved) {
		return m.closed
	}
	return m.closing
}

// Counted188 returns the hundredths of a cubic metre that a counting meter gives as its volume in an exchange.
func Counted188(address string, exchange int) int64 {
	var from uint64
	for _, c := range []byte(address) {
		from = mix(from ^ uint64(c))
	}
	return (int64(from%100_000_000) + int64(exchange)) % 100_000_000
}

// A dailyUse is what is used in each hour of a day, in thousandths.
type dailyUse [24]int64

// waterUse peaks in the morning and in the evening; heatUse is less at noon.
var (
	waterUse = dailyUse{5, 3, 2, 2, 4, 20, 70, 95, 80, 45, 35, 45, 60, 45, 30, 30, 35, 50, 80, 90, 75, 55, 30, 14}
	heatUse  = dailyUse{45, 45, 45, 46, 47, 48, 48, 46, 43, 41, 39, 37, 35, 34, 34, 35, 37, 40, 42, 43, 44, 45, 45, 46}
)

// used returns what was used from the epoch until an instant, where so much is used in a thousand: whole hours,
// and the part of the hour that has begun.
func (u *dailyUse) used(perThousand int64, at instant) int64 {
	var day int64
	for _, n := range u {
		day += n
	}
	days, rest := int64(at)/(24*hour), int64(at)%(24*hour)
	sum := days * day * hour
	for h := range rest / hour {
		sum += u[h] * hour
	}
	sum += u[rest/hour] * (rest % hour)
	return sum / hour * perThousand / 1000
}

// volume is what has flown through, in hundredths of a cubic metre.
func (m *Meter188) volume(at time.Time) int64 {
	daily := 30 + int64(m.seed%40) // 0.3 to 0.7 m³ a day
	use := &waterUse
	if m.options.Type&0xF0 == cjt188.Heat {
		daily, use = 900, &heatUse
	}
	return use.used(daily, instantOf(at)) % 100_000_000
}

// heat is what was delivered, in hundredths of a kilowatt-hour.
func (m *Meter188) heat(at time.Time) int64 {
	return heatUse.used(20_000, instantOf(at)) % 100_000_000
}

// power is what is delivered at a time, in hundredths of a kilowatt.
func (m *Meter188) power(at time.Time) int64 {
	return heatUse[at.In(zone).Hour()] * 20_000 / 1000
}

// cjt188Language is that of meters of CJ/T 188.
var cjt188Language = &language{
	scan:   cjt188.SplitFrame,
	wakeUp: true,
	isBroadcast: func(frame []byte) bool {
		f, err := cjt188.ParseFrame(frame)
		return err == nil && f.Address == cjt188.Broadcast
	},
	foreign: changed188(func(f *cjt188.Frame) {
		low := &f.Address[len(f.Address)-1]
		digits, _ := fromBCD(*low)
		*low = bcd((digits + 1) % 100)
	}),
	other: changed188(func(f *cjt188.Frame) {
		if len(f.Data) > 3 {
			copy(f.Data, cjt188.DI(0xD120).Append(nil, cjt188.AsWritten))
		}
	}),
}

// changed188 returns what changes a frame, whose checksum then is right again.
func changed188(change func(f *cjt188.Frame)) func([]byte) []byte {
	return func(b []byte) []byte {
		f, err := cjt188.ParseFrame(b)
		if err != nil {
			return b
		}
		change(&f)
		return encoded188(f)
	}
}

func encoded188(f cjt188.Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err) // a meter keeps to 64H bytes
	}
	return b
}

func (m *Meter188) language() *language { return cjt188Language }

func (m *Meter188) listensAt() protocol.Mode { return m.options.Mode }

func (m *Meter188) hears(frame []byte) bool {
	f, err := cjt188.ParseFrame(frame)
	return err == nil && (f.Address == m.address || f.Address == cjt188.Anyone || f.Address == cjt188.Broadcast)
}

func (m *Meter188) hear(frame []byte, at time.Time) []byte {
	f, err := cjt188.ParseFrame(frame)
	if err != nil {
		return nil
	}
	answer, ok := m.Answer(f, at)
	if !ok || f.Address == cjt188.Broadcast {
		return nil
	}
	return encoded188(answer)
}

// Answer lets the meter hear a frame. It returns the meter's answer; false if it is silent. A command has
// been carried out when Answer returns.
func (m *Meter188) Answer(request cjt188.Frame, at time.Time) (answer cjt188.Frame, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.Before(m.offUntil) || request.Control.FromMeter() || len(request.Data) < 3 ||
		request.Address != m.address && request.Address != cjt188.Anyone && request.Address != cjt188.Broadcast ||
		request.Type != m.options.Type && (request.Type != cjt188.AnyType || m.options.Insists) {
		return cjt188.Frame{}, false
	}
	di, order := cjt188.IdentifierIn(request.Data)
	if (order == cjt188.LowFirst) != m.options.LowFirst && request.Control == cjt188.ReadData {
		return cjt188.Frame{}, false
	}
	data, ok := m.carryOut(request, di, at)
	m.counts.Exchanges++
	answer = cjt188.Frame{Type: m.options.Type, Address: m.address, Control: request.Control | 0x80}
	if !ok {
		m.counts.Refused++
		answer.Control |= 0x40
		answer.Data = []byte{request.Data[2], m.status(at), 0}
		return answer, true
	}
	answer.Data = append(append(di.Append(nil, order), request.Data[2]), data...)
	return answer, true
}

// carryOut does what a request wants, and returns the data behind identifier and number; false: the meter
// refuses.
func (m *Meter188) carryOut(request cjt188.Frame, di cjt188.DI, at time.Time) (data []byte, ok bool) {
	given := request.Data[3:]
	switch {
	case request.Control == cjt188.ReadAddress:
		return nil, true
	case request.Control == cjt188.ReadData:
		return m.read(di, at)
	case request.Control != cjt188.WriteData:
		return nil, false
	case di == cjt188.Valve && len(given) == 1 && (given[0] == 0x55 || given[0] == 0x99):
		m.closed, m.closing, m.moved = m.isClosed(at), given[0] == 0x99, at.Add(m.options.ValveDelay)
		m.counts.Relay++
		data = []byte{m.status(at), 0}
	case di == cjt188.WriteClock && len(given) == 7:
		set, ok := clockOf188(given)
		if !ok {
			return nil, false
		}
		m.ahead = set.Sub(at)
		m.counts.Writes++
	case (di == cjt188.WriteSettleDay || di == cjt188.WriteReadingDay) && len(given) == 1:
		day, ok := fromBCD(given[0])
		if !ok || day < 1 || day > 31 {
			return nil, false
		}
		m.days[di-cjt188.WriteSettleDay] = day
		m.counts.Writes++
	default:
		return nil, false
	}
	if m.options.OnCommand != nil {
		m.options.OnCommand(request)
	}
	return data, true
}

// clockOf188 reads ss mm hh DD MM YY CC.
func clockOf188(b []byte) (time.Time, bool) {
	var n [7]int
	for i, c := range b {
		digits, ok := fromBCD(c)
		if !ok {
			return time.Time{}, false
		}
		n[i] = digits
	}
	return time.Date(100*n[6]+n[5], time.Month(n[4]), n[3], n[2], n[1], n[0], 0, zone), true
}

// status is the first byte of ST.
func (m *Meter188) status(at time.Time) byte {
	if m.isClosed(at) {
		return 1
	}
	return 0
}

// read returns what the meter holds under an identifier.
func (m *Meter188) read(di cjt188.DI, at time.Time) ([]byte, bool) {
	m.counts.Reads++
	isHeat := m.options.Type&0xF0 == cjt188.Heat
	switch {
	case di == cjt188.SettleDay, di == cjt188.ReadingDay:
		return []byte{bcd(m.days[di-cjt188.SettleDay])}, true
	case di == cjt188.CurrentData && isHeat:
		return m.currentHeat(at), true
	case di == cjt188.CurrentData:
		return m.currentVolume(at), true
	case di >= 0xD120 && di <= 0xD12B:
		then := settledAt(at, int(di-0xD120))
		if isHeat {
			return m.withUnit(m.heat(then), 0x05), true
		}
		return m.withUnit(m.volume(then), 0x2C), true
	}
	m.counts.Reads--
	return nil, false
}

// settledAt is when the settlement was that lies so many months back: the beginning of a month.
func settledAt(at time.Time, months int) time.Time {
	at = at.In(zone)
	return time.Date(at.Year(), at.Month()-time.Month(months), 1, 0, 0, 0, 0, zone)
}

// currentVolume is 901F of meters of water and gas.
func (m *Meter188) currentVolume(at time.Time) []byte {
	volume := m.volume(at)
	if m.options.Counting {
		volume = Counted188(m.address.String(), m.counts.Exchanges+1)
	}
	b := m.withUnit(volume, 0x2C)
	b = append(b, m.withUnit(m.volume(settledAt(at, 0)), 0x2C)...)
	return m.closeWith(b, at)
}

// currentHeat is 901F of meters of heat.
func (m *Meter188) currentHeat(at time.Time) []byte {
	volume := m.volume(at)
	if m.options.Counting {
		volume = Counted188(m.address.String(), m.counts.Exchanges+1)
	}
	b := m.withUnit(m.heat(settledAt(at, 0)), 0x05)
	b = append(b, m.withUnit(m.heat(at), 0x05)...)
	b = append(b, m.withUnit(m.power(at), 0x17)...)
	b = append(b, m.withUnit(m.power(at)*100_000/(17*1163), 0x35)...) // 17 K between supply and return
	b = append(b, m.withUnit(volume, 0x2C)...)
	b = append(b, number188(6550, 3)...)
	b = append(b, number188(4850, 3)...)
	b = append(b, number188(int64(instantOf(at))/hour%1_000_000, 3)...)
	return m.closeWith(b, at)
}

// closeWith appends the clock and ST, which end the current data.
func (m *Meter188) closeWith(b []byte, at time.Time) []byte {
	now := at.Add(m.ahead).In(zone)
	for _, n := range []int{now.Second(), now.Minute(), now.Hour(), now.Day(), int(now.Month()), now.Year() % 100, now.Year() / 100} {
		b = append(b, bcd(n))
	}
	return append(b, m.status(at), 0)
}

// withUnit returns a number of eight digits and its unit code.
func (m *Meter188) withUnit(n int64, unit byte) []byte {
	if m.options.UnitBefore {
		return append([]byte{unit}, number188(n, 4)...)
	}
	return append(number188(n, 4), unit)
}

// number188 returns a number in BCD, the lowest pair first.
func number188(n int64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = bcd(int(n % 100))
		n /= 100
	}
	return slices.Clip(b)
}
