//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/simulator"
)

// A meterOnSite is one meter of a site. All count their exchanges in the numbers that they send.
type meterOnSite struct {
	counter
	name    string
	version dlt645.Version // zero: it speaks DL/T 698.45
}

// A counter is a meter that counts its exchanges.
type counter interface {
	simulator.Device
	Counts() simulator.Counts
}

// A counted is a number of a meter that counts.
type counted struct {
	di   dlt645.DI
	size int        // bytes; 0: of a meter of DL/T 698.45
	oad  dlt698.OAD // of such a one
}

// number returns the number in an exchange.
func (c counted) number(address string, exchange int) int64 {
	switch {
	case c.size > 0:
		return simulator.Counted(address, exchange, c.di, c.size)
	case c.oad.OI() < 0x1000:
		return simulator.Counted698(address, exchange, c.oad, simulator.CountedEnergy)
	}
	return simulator.Counted698(address, exchange, c.oad, simulator.CountedVariable)
}

// find returns the number of the meter that has a name.
func (m *meterOnSite) find(name string) (counted, bool) {
	if m.version == 0 {
		item, ok := dlt698.Items().Named(name)
		return counted{oad: item.OAD}, ok
	}
	item, ok := dlt645.Items(m.version).Named(name)
	return counted{di: item.DI, size: sizeOf(item.DI)}, ok
}

// metersOnSite have addresses that do not follow one another, for a meter under the fault
// foreign answers under the next one.
var metersOnSite = []struct {
	name    string
	options simulator.MeterOptions
	newer   *simulator.Meter698Options // of a meter of DL/T 698.45; its address is that of the options
}{
	{"main", simulator.MeterOptions{Address: "112233445566", Version: dlt645.V2007}, nil},
	{"shop", simulator.MeterOptions{Address: "681668166816", Version: dlt645.V2007, Longest: 64}, nil}, // blocks come in several frames
	{"flat", simulator.MeterOptions{Address: "000000000001", Version: dlt645.V2007}, nil},
	{"roof", simulator.MeterOptions{Address: "000000000003", Version: dlt645.V2007, RelayDelay: 2 * time.Second}, nil},
	{"old", simulator.MeterOptions{Address: "970000000042", Version: dlt645.V1997}, nil},
	{"grid", simulator.MeterOptions{Address: "202412345678"}, &simulator.Meter698Options{Fragment: 40, Scrambled: true}},
	{"club", simulator.MeterOptions{Address: "202400000005"}, &simulator.Meter698Options{Follow: true, RelayDelay: time.Second}},
}

// items are what is read, by the edition. No item follows another, for a meter under the fault
// otherdi answers with the next one. All numbers have at least three bytes: one that is made
// up by noise is not easily one that was sent before.
var items = map[dlt645.Version][][]string{
	dlt645.V2007: {
		{"current_b"}, {"active_power"}, {"forward_active_energy"},
		{"reactive_power", "reactive_power_a", "reactive_power_b", "reactive_power_c"},
		{"forward_active_energy_block"}, {"active_power", "forward_active_energy", noSuchItem},
	},
	dlt645.V1997: {{"forward_active_energy"}, {"reverse_active_energy", "forward_active_energy"}},
	0: { // DL/T 698.45
		{"current_b"}, {"active_power"}, {"forward_active_energy"}, {"current_a", "current_b", "current_c"},
		{"forward_active_energy_block"}, {"active_power", "forward_active_energy", noSuchItem},
	},
}

// noSuchItem is an identifier that no meter has.
const noSuchItem = "0F0F0F0F"

// statePoints are the points whose values are checked in the states of meters.
var statePoints = []string{"current_b", "active_power", "forward_active_energy"}

// sizeOf returns the bytes of the number under an identifier of items.
func sizeOf(di dlt645.DI) int {
	if di>>24 == 0 || di>>8 == 0x90 { // energies, of 2007 and of 1997
		return 4
	}
	return 3
}

// What a command is recognised by where it is carried out.
func markOfAlarm(number uint32) string { return fmt.Sprintf("alarm %d", number) }
func markOfWrite(number uint64) string { return fmt.Sprintf("write %012d", number) }
func markOfRelay(action byte) string   { return fmt.Sprintf("relay %02X", action) }

// relayActions are the codes of the actions, N1 of function 1CH.
var relayActions = map[string]byte{
	"trip": 0x1A, "close": 0x1C, "permit_close": 0x1B, "alarm": 0x2A, "alarm_off": 0x2B, "keep_power": 0x3A, "keep_power_off": 0x3B,
}

const (
	meterNumber = 0x04000402 // the item that is written
	numbered    = 0xC0000000 // marks an operator code that is the number of an alarm
)

// markOf finds the mark of a command that a meter carries out; empty: it has none.
func markOf(command dlt645.Frame) string {
	data := command.Data
	switch command.Control.Function() {
	case dlt645.FunctionRelay:
		if operator := binary.LittleEndian.Uint32(data[4:]); operator&numbered == numbered {
			return markOfAlarm(operator)
		}
		return markOfRelay(data[8])
	case dlt645.FunctionWrite:
		if binary.LittleEndian.Uint32(data) == meterNumber {
			number := uint64(0)
			for i := range 6 {
				b := data[12+5-i]
				number = number*100 + uint64(b>>4)*10 + uint64(b&0xF)
			}
			return markOfWrite(number)
		}
	}
	return ""
}

// markOf698 does so of a command to a meter of DL/T 698.45: its methods by the code of DL/T 645 that does the same.
func markOf698(command dlt698.APDU) string {
	e := command.Entries[0]
	switch e.OAD {
	case 0x80008100:
		return markOfRelay(relayActions["trip"])
	case 0x80008200:
		if e.Data.Items[0].Items[1].Bits == 0 {
			return markOfRelay(relayActions["permit_close"])
		}
		return markOfRelay(relayActions["close"])
	case 0x80007F00:
		return markOfRelay(relayActions["alarm"])
	case 0x80008000:
		return markOfRelay(relayActions["alarm_off"])
	case 0x80017F00:
		return markOfRelay(relayActions["keep_power"])
	case 0x80018000:
		return markOfRelay(relayActions["keep_power_off"])
	}
	return ""
}

// alarmFrame is a raw alarm that carries a number in place of the operator's code.
func alarmFrame(address string, number uint32) (string, error) {
	to, err := dlt645.ParseAddress(address, dlt645.V2007)
	if err != nil {
		return "", err
	}
	data := binary.LittleEndian.AppendUint32([]byte{0x02, 0, 0, 0}, number)
	data = append(data, relayActions["alarm"], 0, 0x59, 0x59, 0x23, 0x31, 0x12, 0x99) // valid until the end of 2099
	frame, err := dlt645.Frame{Address: to, Control: dlt645.Control(dlt645.FunctionRelay), Data: data}.AppendBinary(nil)
	return hex.EncodeToString(frame), err
}

// exchanges returns how many exchanges each meter has had, by address.
func (s *site) exchanges() map[string]int {
	counts := make(map[string]int, len(s.meters))
	for address, m := range s.meters {
		counts[address] = m.Counts().Exchanges
	}
	return counts
}

// checkValues reports whether each value of a reply is what its meter sent between request and
// reply, and nothing else.
func (s *site) checkValues(e *entry, r *bridgeReply) error {
	m := s.meters[r.Address]
	if m == nil && len(r.Values) > 0 {
		return fmt.Errorf("values of %s, which is no meter", r.Address)
	}
	for name, text := range r.Values {
		of, ok := m.find(name)
		if !ok {
			return fmt.Errorf("nobody asked for %s", name)
		}
		number, err := protocol.ParseDecimal(string(text))
		if err == nil {
			err = s.checkNumber(e, m, of, number.Coefficient)
		}
		clockRight := s.timeline.calm(e.asked, time.Now(), s.clock())
		if err == nil && len(r.Values) == 1 && of.size > 0 && clockRight { // of several the reply tells the time of the last
			err = s.checkTime(r, number.Coefficient, of.size)
		}
		if err != nil {
			return fmt.Errorf("%s of meter %s: %w", name, r.Address, err)
		}
	}
	return nil
}

// mostAge is how much older than the time of its reply a value may be: a meter may answer 3 s late.
const mostAge = 8 * time.Second

// checkTime reports whether a number was on the line about when the reply says.
func (s *site) checkTime(r *bridgeReply, number int64, size int) error {
	at, ok := s.spy.latest(r.Address, number, size)
	if age := r.Time.Sub(at); ok && age > mostAge {
		return fmt.Errorf("%d was on the line %.1f s before the time of the reply", number, age.Seconds())
	}
	return nil
}

// checkNumber finds the exchange that a number comes from. A number of no exchange may still
// be what was on the wire: several faults at once can make a frame whose checksum is right, and
// no receiver can know.
func (s *site) checkNumber(e *entry, m *meterOnSite, of counted, number int64) error {
	const history = 1000
	address := m.Address()
	s.ledger.values++
	before := e.before[address]
	last := m.Counts().Exchanges
	for n := before + 1; n <= last; n++ {
		if of.number(address, n) == number {
			return nil
		}
	}
	for n := max(1, before-history); n <= before; n++ {
		if of.number(address, n) == number {
			return fmt.Errorf("%d is old: of exchange %d, when there had been %d before the request", number, n, before)
		}
	}
	if of.size > 0 && s.spy.heardLately(address, number, of.size, e.asked) {
		s.ledger.forged++
		return nil
	}
	return fmt.Errorf("%d is made up: the meter never sent it", number)
}

// A registerKey is a number of a meter.
type registerKey struct {
	site    *site
	address string
	counted
}

// checkState reports whether each value of a state is one that the meter has sent, and none is
// older than what the state has shown before.
func (s *site) checkState(meter string, payload []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(payload, &members); err != nil {
		return err
	}
	for _, m := range s.meters {
		if m.name != meter {
			continue
		}
		for _, name := range statePoints {
			of, known := m.find(name)
			if !known || m.version == dlt645.V1997 && of.di>>8 != 0x90 {
				continue // shorter numbers come again too soon
			}
			if text := members[name]; known && text != nil {
				if err := s.checkPoint(registerKey{s, m.Address(), of}, m, text); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
		return nil
	}
	return fmt.Errorf("there is no meter %s", meter)
}

func (s *site) checkPoint(r registerKey, m *meterOnSite, text json.RawMessage) error {
	number, err := protocol.ParseDecimal(string(text))
	if err != nil {
		return err
	}
	s.ledger.values++
	newest := s.ledger.newest[r]
	last := m.Counts().Exchanges
	for n := last; n > 0; n-- {
		if r.number(r.address, n) != number.Coefficient {
			continue
		}
		if n < newest {
			return fmt.Errorf("%s is of exchange %d, and a value of exchange %d has been published before", text, n, newest)
		}
		s.ledger.newest[r] = n
		return nil
	}
	if r.size > 0 && s.spy.heardLately(r.address, number.Coefficient, r.size, time.Time{}) {
		s.ledger.forged++
		return nil
	}
	return fmt.Errorf("%s is made up: the meter never sent it", text)
}

// checkFrame does so with the frame that a raw read brought.
func (s *site) checkFrame(e *entry, r *bridgeReply, di dlt645.DI) error {
	b, err := hex.DecodeString(r.Frame)
	if err != nil {
		return err
	}
	frame, err := dlt645.ParseFrame(b)
	if err != nil {
		return err
	}
	m := s.meters[frame.Address.String()]
	if frame.Control != 0x91 {
		return fmt.Errorf("a frame with control code %02X answers a read", byte(frame.Control))
	}
	if m == nil || frame.Address.String() != e.meter || len(frame.Data) < 4+sizeOf(di) || dlt645.DI(binary.LittleEndian.Uint32(frame.Data)) != di {
		return fmt.Errorf("the frame is no answer of meter %s with item %08X", e.meter, uint32(di))
	}
	number := int64(0)
	for i := range sizeOf(di) {
		b := frame.Data[4+sizeOf(di)-1-i]
		number = number*100 + int64(b>>4)*10 + int64(b&0xF)
	}
	return s.checkNumber(e, m, counted{di: di, size: sizeOf(di)}, number)
}

// A spy listens to the line beside the bridge and remembers the latest sound frames.
type spy struct {
	mu     sync.Mutex
	frames []heardFrame
}

type heardFrame struct {
	at      time.Time
	address string
	data    []byte
}

const spyMemory = 5000 // frames: minutes

// listen keeps listening for as long as the program runs. A port that fails is opened anew.
func (s *spy) listen(line *simulator.Bus) {
	for {
		port := line.Port()
		s.hear(port)
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *spy) hear(port *simulator.Port) {
	var heard []byte
	buffer := make([]byte, 1024)
	for {
		n, err := port.Read(buffer, time.Second)
		if err != nil {
			return
		}
		heard = append(heard, buffer[:n]...)
		for len(heard) > 0 {
			advance, token, _ := dlt645.SplitFrame(heard, n == 0)
			if token != nil {
				s.note(token)
			}
			if advance == 0 {
				break
			}
			heard = heard[advance:]
		}
	}
}

func (s *spy) note(token []byte) {
	frame, err := dlt645.ParseFrame(token)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, heardFrame{time.Now(), frame.Address.String(), bytes.Clone(frame.Data)})
	if len(s.frames) > 2*spyMemory {
		s.frames = append([]heardFrame(nil), s.frames[spyMemory:]...)
	}
}

// heardLately does as heard, and waits a little, for the spy may be behind the bridge.
func (s *spy) heardLately(address string, number int64, size int, since time.Time) bool {
	for range 20 {
		if s.heard(address, number, size, since) {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// heard reports whether a frame of a meter had a number in it since a time.
func (s *spy) heard(address string, number int64, size int, since time.Time) bool {
	at, ok := s.latest(address, number, size)
	return ok && !at.Before(since)
}

// latest returns when a frame of a meter had a number in it last, and whether one had.
func (s *spy) latest(address string, number int64, size int) (at time.Time, ok bool) {
	wanted := make([]byte, size)
	for i := range wanted {
		wanted[i] = byte(number/10%10<<4 | number%10)
		number /= 100
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.frames {
		if f.address == address && bytes.Contains(f.data, wanted) {
			at, ok = f.at, true
		}
	}
	return at, ok
}
