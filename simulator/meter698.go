package simulator

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
)

// Meter698Options describe a meter that speaks DL/T 698.45. Only the address is needed.
type Meter698Options struct {
	Address  string // 2 to 32 digits, an even number of them
	Logical  uint8  // logical address of the part that answers, 0 to 3
	OnePhase bool   // else three phases, four wires
	Feeding  bool   // a solar plant behind the meter feeds a little back from 11 to 14 o'clock
	Seed     uint64 // with the address it makes the meter's values, those of a [Meter] of DL/T 645

	// Secured has the meter demand its rights: a random number for most reads, the security module
	// for writing and switching. A plain request gets DAR 15.
	Secured bool

	// NoModule is a meter without a security module: it understands no secured request.
	NoModule bool

	// Password is taken by the method that closes the relay by one, on a secured meter too; empty: none is.
	Password string

	// RefusesRelay is a meter that has no relay.
	RefusesRelay bool

	// NoLists is a meter that understands no lists.
	NoLists bool

	// OneRow is a meter that gives one row of a record, whatever was asked.
	OneRow bool

	// Stores says which columns the meter has in its freezes.
	Stores Columns698

	// SameRow is a meter that gives the latest row of a record, whatever was asked.
	SameRow bool

	// Fragment is the most bytes of an APDU in one frame; what is longer comes in fragments. 0: none does.
	Fragment int

	// Block is the most bytes of an answer; what is longer comes in blocks that are asked for. 0: none does.
	Block int

	// Scrambled has the meter add 33H to its data.
	Scrambled bool

	// Follow has the meter report an event behind each answer.
	Follow bool

	// Lacks lists attributes that the meter refuses as if it had no such data.
	Lacks []dlt698.OAD

	// Mode is that at which the meter hears and speaks; zero: that of the line.
	Mode protocol.Mode

	// RelayDelay is how long the contacts take to move after a command was acknowledged.
	RelayDelay time.Duration

	// Counting makes every number that the meter measures tell the exchange in which it was read: see
	// [Counted698].
	Counting bool

	// OnCommand is optional: it is called for each command at the moment it is carried out: not for one that is
	// refused. It must not call the meter.
	OnCommand func(command dlt698.APDU)
}

// Columns698 say how the columns of a freeze are stored.
type Columns698 uint8

// The ways: a meter may know elements of an attribute and all of it, or just one of the two.
const (
	AnyColumns Columns698 = iota
	WholeColumns
	ElementColumns
)

// A Meter698 is one simulated meter of DL/T 698.45. It has no clock: each method is told the time at which it
// happens, and time must not run backwards between calls. Methods may be called from many goroutines.
type Meter698 struct {
	options Meter698Options
	address dlt698.Address

	mu         sync.Mutex
	engine     *Meter // what it measures, its relay and its clock
	parameters map[dlt698.OAD]dlt698.Data
	counts     Counts
	sets       int64         // of the clock
	lastSet    [2]time.Time  // the clock before it was last set, and after
	frozen     []time.Time   // at once, newest last
	parts      [][]byte      // fragments of an answer that are not sent yet
	blocks     []dlt698.APDU // blocks of an answer that are not asked for yet
	addressee  dlt698.Frame  // whom parts are for
	dayOfTime  instant       // when a broadcast last set the clock, on its own clock
	reports    int64
}

// NewMeter698 makes a meter. An error says which option cannot be.
func NewMeter698(o Meter698Options) (*Meter698, error) {
	address, err := dlt698.ParseAddress(o.Address)
	if err == nil && address.IsShared() {
		err = fmt.Errorf("%s is no address of a single meter", address)
	}
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	address.Logical = o.Logical
	text := address.String()
	engine, err := makeMeter(MeterOptions{
		Address: text[max(0, len(text)-12):], OnePhase: o.OnePhase, Feeding: o.Feeding, Seed: o.Seed, RelayDelay: o.RelayDelay,
	})
	if err != nil {
		return nil, fmt.Errorf("make a simulated meter: %w", err)
	}
	m := &Meter698{options: o, address: address, engine: engine}
	m.parameters = m.factorySettings()
	return m, nil
}

// Address returns the digits of the meter's address.
func (m *Meter698) Address() string { return m.address.String() }

// Protocol returns "698".
func (m *Meter698) Protocol() string { return "698" }

// Counts returns what the meter did so far.
func (m *Meter698) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// SwitchOff takes the meter off the line until a time: it neither hears nor answers.
func (m *Meter698) SwitchOff(until time.Time) { m.engine.SwitchOff(until) }

// SetClock makes the meter's clock run ahead by a duration, or behind if it is negative.
func (m *Meter698) SetClock(ahead time.Duration) { m.engine.SetClock(ahead) }

// RelayOpen reports whether the contacts of the relay are open at a time.
func (m *Meter698) RelayOpen(at time.Time) bool { return m.engine.RelayOpen(at) }

// dlt698Language is that of meters of DL/T 698.45.
var dlt698Language = &language{
	scan:   dlt698.SplitFrame,
	wakeUp: true,
	isBroadcast: func(frame []byte) bool {
		f, err := dlt698.ParseFrame(frame)
		return err == nil && f.Address.Kind == dlt698.Broadcast
	},
	foreign: func(b []byte) []byte {
		f, err := dlt698.ParseFrame(b)
		if err != nil || f.Address.IsShared() {
			return b
		}
		f.Address = neighbour(f.Address)
		return encoded698(f)
	},
	other: otherOAD,
}

// neighbour returns the address behind another.
func neighbour(a dlt698.Address) dlt698.Address {
	text := []byte(a.String())
	last := &text[len(text)-1]
	*last = '0' + (*last-'0'+1)%10
	next, err := dlt698.ParseAddress(string(text))
	if err != nil {
		return a
	}
	next.Logical = a.Logical
	return next
}

// otherOAD makes an answer one about another attribute.
func otherOAD(b []byte) []byte {
	f, err := dlt698.ParseFrame(b)
	if err != nil || f.Control.Fragmented() {
		return b
	}
	a, err := dlt698.ParseAPDU(f.Data)
	if err != nil || len(a.Entries) == 0 {
		return b
	}
	a.Entries[0].OAD += 1 << 16
	f.Data = a.Append(nil)
	return encoded698(f)
}

func encoded698(f dlt698.Frame) []byte {
	b, err := f.AppendBinary(nil)
	if err != nil {
		panic(err) // a meter's answers are short
	}
	return b
}

func (m *Meter698) language() *language { return dlt698Language }

func (m *Meter698) listensAt() protocol.Mode { return m.options.Mode }

func (m *Meter698) hears(frame []byte) bool {
	f, err := dlt698.ParseFrame(frame)
	return err == nil && (f.Address.Kind == dlt698.Broadcast || f.Address.Matches(m.address))
}

// hear lets the meter hear a frame, and returns the frame that it answers with. A command has been
// carried out when it returns.
func (m *Meter698) hear(frame []byte, at time.Time) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := dlt698.ParseFrame(frame)
	if err != nil || f.Control.FromServer() || m.isOff(at) {
		return nil
	}
	if f.Control.Fragmented() {
		return m.nextPart(f)
	}
	m.parts = nil
	broadcast := f.Address.Kind == dlt698.Broadcast
	answer, ok := m.answer(f.Data, f.Address.IsShared(), broadcast, at)
	if !ok || broadcast {
		return nil
	}
	m.counts.Exchanges++
	return m.send(f, answer)
}

func (m *Meter698) isOff(at time.Time) bool {
	m.engine.mu.Lock()
	defer m.engine.mu.Unlock()
	return at.Before(m.engine.offUntil)
}

// The control bytes of answers.
const (
	controlAnswer    dlt698.Control = 0xC3
	controlFragment  dlt698.Control = 0xE3
	controlScrambled dlt698.Control = 0x08
)

// send puts an APDU into a frame for whoever asked, or the first part of it.
func (m *Meter698) send(to dlt698.Frame, apdu []byte) []byte {
	m.addressee = to
	if size := m.options.Fragment; size > 0 && len(apdu) > size {
		m.parts = slices.Collect(slices.Chunk(apdu, size))
		return m.part(0)
	}
	return m.frame(controlAnswer, apdu)
}

func (m *Meter698) frame(control dlt698.Control, data []byte) []byte {
	if m.options.Scrambled {
		control |= controlScrambled
	}
	return encoded698(dlt698.Frame{Control: control, Address: m.address, Client: m.addressee.Client, Data: data})
}

// part sends the fragment of that number.
func (m *Meter698) part(n int) []byte {
	f := dlt698.Fragment{Kind: dlt698.MiddleFragment, Number: n, Data: m.parts[n]}
	switch {
	case n == len(m.parts)-1:
		f.Kind = dlt698.LastFragment
	case n == 0:
		f.Kind = dlt698.FirstFragment
	}
	return m.frame(controlFragment, f.Append(nil))
}

// nextPart sends the fragment behind the one that is acknowledged.
func (m *Meter698) nextPart(f dlt698.Frame) []byte {
	acknowledgement, err := dlt698.ParseFragment(f.Data)
	if err != nil || acknowledgement.Kind != dlt698.Acknowledgment || acknowledgement.Number+1 >= len(m.parts) {
		return nil
	}
	m.counts.FollowUps++
	return m.part(acknowledgement.Number + 1)
}

// The bits and the results that answers have.
const (
	answered698 = dlt698.Answered
	acd698      = 0x40

	darDenied    dlt698.DAR = 3
	darAbsent    dlt698.DAR = 6
	darType      dlt698.DAR = 7
	darRange     dlt698.DAR = 8
	darNoRight   dlt698.DAR = 15
	darBadTime   dlt698.DAR = 32
	faultService dlt698.DAR = 2
	faultAPDU    dlt698.DAR = 1
)

// answer answers an APDU. Several meters are only asked for data.
func (m *Meter698) answer(b []byte, shared, broadcast bool, at time.Time) (answer []byte, ok bool) {
	a, err := dlt698.ParseAPDU(b)
	if err != nil {
		return fault(0, faultAPDU), true
	}
	if a.Service != dlt698.Security {
		return m.plain(a, false, shared, broadcast, at)
	}
	s := a.Sealed
	switch {
	case m.options.NoModule:
		return fault(0, faultService), true
	case s.Cipher || s.Check != dlt698.CheckRN:
		m.counts.Refused++
		refused := dlt698.APDU{Service: dlt698.Security | answered698, DAR: 22, Sealed: &dlt698.Sealed{}}
		return refused.Append(nil), true // nobody here has its key
	}
	inner, err := dlt698.ParseAPDU(s.APDU)
	if err != nil {
		return fault(0, faultAPDU), true
	}
	plain, ok := m.plain(inner, true, shared, broadcast, at)
	sealed := dlt698.APDU{Service: dlt698.Security | answered698, Sealed: &dlt698.Sealed{APDU: plain, HasMAC: true, MAC: []byte{0x53, 0x49, 0x4D, byte(len(plain))}}}
	return sealed.Append(nil), ok
}

func fault(piid byte, kind dlt698.DAR) []byte {
	a := dlt698.APDU{Service: dlt698.Fault | answered698, PIID: piid, DAR: kind}
	return a.Append(nil)
}

// plain answers an APDU that is not secured any more.
func (m *Meter698) plain(a dlt698.APDU, sealed, shared, broadcast bool, at time.Time) ([]byte, bool) {
	answer := dlt698.APDU{Service: a.Service | answered698, Choice: a.Choice, PIID: a.PIID & 0x3F}
	isList := a.Choice == dlt698.NormalList || a.Choice == dlt698.RecordList && a.Service == dlt698.Get
	switch {
	case isList && m.options.NoLists:
		return fault(answer.PIID, faultService), true
	case a.Service == dlt698.Get && a.Choice == dlt698.Next:
		return m.nextBlock(a, answer)
	case a.Service == dlt698.Get:
		m.get(&answer, a, sealed, at)
	case shared && !broadcast:
		return nil, false
	case a.Service == dlt698.Set && !broadcast && a.Choice != dlt698.ThenGet:
		for _, e := range a.Entries {
			answer.Entries = append(answer.Entries, dlt698.Entry{OAD: e.OAD, DAR: m.set(a, e, at)})
		}
	case a.Service == dlt698.Action && a.Choice != dlt698.ThenGet:
		for _, e := range a.Entries {
			answer.Entries = append(answer.Entries, dlt698.Entry{OAD: e.OAD, DAR: m.act(a, e, broadcast, at)})
		}
	default:
		return fault(answer.PIID, faultService), true
	}
	for _, e := range answer.Entries {
		if e.DAR != 0 {
			m.counts.Refused++
			break
		}
	}
	if m.options.Follow {
		answer.PIID |= acd698
		m.reports++
		answer.Follow = []dlt698.Entry{{OAD: 0x20150200, Has: true, Data: dlt698.BitsOf(uint64(m.reports), 32)}}
	}
	whole := answer.Append(nil)
	if size := m.options.Block; a.Service == dlt698.Get && size > 0 && len(whole) > size {
		m.cut(answer, size)
		return m.nextBlock(dlt698.APDU{Block: 0}, m.blocks[0])
	}
	return whole, true
}

// get answers a read.
func (m *Meter698) get(answer *dlt698.APDU, a dlt698.APDU, sealed bool, at time.Time) {
	record := a.Choice == dlt698.Record || a.Choice == dlt698.RecordList
	for _, e := range a.Entries {
		came := dlt698.Entry{OAD: e.OAD, Columns: e.Columns}
		switch {
		case slices.Contains(m.options.Lacks, e.OAD) || slices.Contains(m.options.Lacks, e.OAD&^0xFF):
			came.DAR = darAbsent
		case m.options.Secured && !sealed && !readsPlain(e.OAD):
			came.DAR = darNoRight
		case record:
			came = m.rows(e, at)
		default:
			value, ok := m.value(e.OAD, at)
			if came.Data, came.Has = value, ok; !ok {
				came.DAR = darAbsent
			}
			m.count(&came)
		}
		if came.Has {
			m.counts.Reads++
		}
		answer.Entries = append(answer.Entries, came)
	}
}

// readsPlain reports whether a secured meter gives an attribute to everybody: energies, clock, address, number and
// wallet, and what belongs to the device itself.
func readsPlain(oad dlt698.OAD) bool {
	switch oi := oad.OI(); {
	case oi < 0x1000, oi >= 0xF000, oi == 0x4000, oi == 0x4001, oi == 0x4002, oi == 0x4111, oi == 0x202C:
		return true
	}
	return false
}

// cut cuts an answer into blocks of about a size, at least one entry or row in each.
func (m *Meter698) cut(answer dlt698.APDU, size int) {
	m.blocks = nil
	block := dlt698.APDU{Service: answer.Service, Choice: dlt698.Next, PIID: answer.PIID, Records: answer.Choice == dlt698.Record || answer.Choice == dlt698.RecordList}
	add := func(e dlt698.Entry) {
		with := block
		with.Entries = append(slices.Clone(block.Entries), e)
		if len(block.Entries) > 0 && len(with.Append(nil)) > size {
			m.blocks = append(m.blocks, block)
			with.Entries = []dlt698.Entry{e}
		}
		block.Entries = with.Entries
	}
	for _, e := range answer.Entries {
		if e.Rows() < 2 {
			add(e)
			continue
		}
		for i := range e.Rows() {
			row := e
			row.Cells = e.Row(i)
			add(row)
		}
	}
	m.blocks = append(m.blocks, block)
	for i := range m.blocks {
		m.blocks[i].Block = uint16(i + 1)
	}
	m.blocks[len(m.blocks)-1].Last = true
}

// nextBlock sends the block behind the one that came.
func (m *Meter698) nextBlock(a, answer dlt698.APDU) ([]byte, bool) {
	if int(a.Block) >= len(m.blocks) {
		answer.Choice, answer.Last, answer.Block, answer.DAR = dlt698.Next, true, a.Block, 14
		return answer.Append(nil), true
	}
	if a.Block > 0 {
		m.counts.FollowUps++
	}
	block := m.blocks[a.Block]
	return block.Append(nil), true
}

// carriedOut reports a command to who wants to know of it.
func (m *Meter698) carriedOut(command dlt698.APDU, count *int) dlt698.DAR {
	*count++
	if m.options.OnCommand != nil {
		m.options.OnCommand(command)
	}
	return 0
}

// engine reads a number of the engine's, in BCD.
func (m *Meter698) digits(di dlt645.DI, at time.Time) (n int64, ok bool) {
	b, ok := m.engine.Read(di, at)
	if !ok {
		return 0, false
	}
	return unpacked(b), true
}

// unpacked reads a number of BCD, low byte first, with its sign in the top bit.
func unpacked(b []byte) (n int64) {
	for i, c := range slices.Backward(b) {
		if i == len(b)-1 {
			c &= 0x7F
		}
		digits, _ := fromBCD(c)
		n = n*100 + int64(digits)
	}
	if b[len(b)-1]&0x80 != 0 {
		return -n
	}
	return n
}
