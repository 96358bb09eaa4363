package line

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/simulator"
)

var (
	soakExchanges    = flag.Int("soak", 5_000, "`exchanges` of TestSoak; a million take some minutes")
	soakExchangesPTY = flag.Int("soak-pty", 20, "`exchanges` of TestSoakOnPTY, which take their time")
)

// TestSoak runs the bus on a line where everything goes wrong, in virtual time. The meters
// count: each number that they send tells in which exchange with that meter it was read (see
// [simulator.Counted]), so no value of another time, meter or register can pass for the right
// one. Commands carry a number that the meters write down when they carry them out.
func TestSoak(t *testing.T) {
	all, err := simulator.ParseFaults("all=0.02")
	if err != nil {
		t.Fatal(err)
	}
	soak := func(name string, faults simulator.Faults, frozen float64, exchanges int) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSoak(t, simulator.BusOptions{Baud: 2400, Faults: faults}, nil)
				s.freeze(frozen)
				s.run(exchanges)
			})
		})
	}
	soak("none", nil, 0, 500)
	soak("frozen", nil, 0.002, 500)
	for fault := range all {
		probability := 0.2
		if slices.Contains([]simulator.Fault{simulator.FaultReset, simulator.FaultHalfOpen, simulator.FaultGone, simulator.FaultOff}, fault) {
			probability = 0.02 // these last long
		}
		soak(string(fault), simulator.Faults{fault: probability}, 0, 500)
	}
	soak("all", all, 0.0005, *soakExchanges)
}

// TestSoakOnPTY does the same in real time, over a pseudo terminal that now and then is gone
// and comes back under another name.
func TestSoakOnPTY(t *testing.T) {
	faults, err := simulator.ParseFaults("all=0.01")
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "meters")
	pty, err := simulator.OpenPTY(link)
	if err != nil {
		t.Skipf("no pseudo terminal here: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	s := newSoak(t, simulator.BusOptions{Baud: 9600, Faults: faults}, func(line *simulator.Bus, c *bus.Config) {
		go func() { served <- line.ServePTY(ctx, pty) }()
		serial, err := bus.ParseURL("serial://"+link+"?baud=9600", nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Settings, c.Open = serial.Settings, serial.Open
	})
	s.run(*soakExchangesPTY)
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// A counter is a meter that counts its exchanges.
type counter interface{ Counts() simulator.Counts }

// A soak is a bus under load, and the account of what came of it.
type soak struct {
	*Setup
	t         *testing.T
	meters    map[string]counter
	addresses []string
	protocols map[string]protocol.Protocol

	frozen float64 // probability that the process is stopped while it waits for something to come

	mu      sync.Mutex
	random  *rand.Rand     // of that
	writes  []soakWrite    // the latest ones, oldest first
	carried map[uint32]int // how often each command was carried out
	tally   soakTally
	sent    uint32 // commands so far
	half    int    // exchanges after which the memory in use is noted
	heap    uint64
}

// A soakWrite tells how many exchanges each meter had had when a request was written.
type soakWrite struct {
	at        time.Time
	exchanges map[string]int // by address
}

// A soakTally counts outcomes.
type soakTally struct {
	exchanges                                  int
	values, right                              int
	forged                                     int // replies out of frames that the line made up
	stops                                      int // of the process
	refused, timeout, garbled, down, expired   int
	acknowledged, commandRefused, unknown, not int
	worst                                      time.Duration // from request to reply, deadlines aside
}

const (
	soakHistory  = 1000 // writes: more than any request takes
	soakDeadline = 30 * time.Second

	// soakAge is more than a value can be older than its time says: an answer may be 3 s late.
	soakAge     = 10 * time.Second
	unknownItem = "0F0F0F0F"
)

// soakItems are what is read in the soak. A meter under the fault otherdi answers with the
// next identifier, in a frame that is sound in itself: such a neighbour is never asked for
// here, for nobody could tell that answer, coming late, from the right one. For the same
// reason no address follows another.
var soakItems = map[string][][]string{
	"2007": {
		{"voltage_a"}, {"current_b"}, {"active_power"}, {"forward_active_energy"}, {"power_factor_c"},
		{"reactive_power", "reactive_power_a", "reactive_power_b", "reactive_power_c"},
		{"forward_active_energy_block"}, {"voltage_a", "forward_active_energy", unknownItem},
	},
	"1997": {{"forward_active_energy"}, {"reverse_active_energy", "forward_active_energy"}},
	"698": {
		{"voltage_a"}, {"voltage_a", "voltage_b", "voltage_c"}, {"active_power", "active_power_a", "active_power_b", "active_power_c"},
		{"forward_active_energy"}, {"forward_active_energy_block"}, {"voltage_b", "active_power", "power_factor_c", unknownItem},
	},
}

// newSoak puts counting meters on a line. change, unless nil, chooses the way to it.
func newSoak(t *testing.T, o simulator.BusOptions, change func(*simulator.Bus, *bus.Config)) *soak {
	s := &soak{t: t, random: rand.New(rand.NewPCG(1, 645)), meters: map[string]counter{}, protocols: map[string]protocol.Protocol{}, carried: map[uint32]int{}}
	o.Turnaround, o.WakeUp = 20*time.Millisecond, 4
	for i, address := range []string{"112233445566", "681668166816", "000000000001", "000000000003", "970000000042"} {
		options := simulator.MeterOptions{Address: address, Counting: true, Version: dlt645.V2007, OnCommand: s.carriedOut}
		switch i {
		case 1:
			options.Longest = 64 // blocks come in several frames
		case 4:
			options.Version = dlt645.V1997
		}
		m, err := simulator.NewMeter(options)
		if err != nil {
			t.Fatal(err)
		}
		o.Meters = append(o.Meters, m)
		s.meters[address], s.addresses = m, append(s.addresses, address)
		s.protocols[address] = dlt645.New(options.Version, time.UTC)
	}
	for _, options := range []simulator.Meter698Options{
		{Address: "202412345678", Fragment: 40, Scrambled: true}, {Address: "202400000005", Secured: true, Follow: true},
	} {
		address := options.Address
		options.Counting = true
		options.OnCommand = func(command dlt698.APDU) { s.note(uint32(command.Entries[0].Data.Bits)) }
		m, err := simulator.NewMeter698(options)
		if err != nil {
			t.Fatal(err)
		}
		o.Devices = append(o.Devices, m)
		s.meters[address], s.addresses = m, append(s.addresses, address)
		s.protocols[address] = dlt698.New(time.UTC)
	}
	s.Setup = NewSite(t, o, func(line *simulator.Bus, c *bus.Config) {
		if change != nil {
			change(line, c)
		}
		open := c.Open
		c.Open = func(ctx context.Context) (bus.Port, error) {
			port, err := open(ctx)
			if err != nil {
				return nil, err
			}
			return &countingPort{port, s}, nil
		}
	})
	return s
}

// freeze has the process stopped at that share of the times that it waits for bytes.
func (s *soak) freeze(share float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = share
}

// A countingPort notes at each write how many exchanges each meter has had.
type countingPort struct {
	bus.Port
	soak *soak
}

func (p *countingPort) Write(data []byte) (int, error) {
	s := p.soak
	counts := make(map[string]int, len(s.meters))
	for address, m := range s.meters {
		counts[address] = m.Counts().Exchanges
	}
	s.mu.Lock()
	s.tally.exchanges++
	s.writes = append(s.writes, soakWrite{time.Now(), counts})
	if len(s.writes) > 2*soakHistory {
		s.writes = slices.Delete(s.writes, 0, soakHistory)
	}
	if s.tally.exchanges == s.half {
		s.heap = heap()
	}
	s.mu.Unlock()
	return p.Port.Write(data)
}

// Read lets the process be stopped now and then: what comes meanwhile lies there when it goes on.
func (p *countingPort) Read(data []byte, wait time.Duration) (int, error) {
	s := p.soak
	s.mu.Lock()
	frozen := s.frozen
	s.mu.Unlock()
	if frozen > 0 && wait > 0 {
		s.mu.Lock()
		stop := time.Duration(0)
		if s.random.Float64() < frozen {
			stop = soakAge + time.Duration(s.random.IntN(60))*time.Second
			s.tally.stops++
		}
		s.mu.Unlock()
		if stop > 0 {
			<-time.After(stop)
			wait = 0
		}
	}
	return p.Port.Read(data, wait)
}

// carriedOut is called by the meters.
func (s *soak) carriedOut(command dlt645.Frame) { s.note(binary.LittleEndian.Uint32(command.Data[4:])) }

// note takes note of a command that a meter has carried out.
func (s *soak) note(number uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.carried[number]++
}

// run keeps the bus busy for so many exchanges and then draws up the account.
func (s *soak) run(exchanges int) {
	t := s.t
	goroutines := runtime.NumGoroutine()
	s.half = exchanges / 2
	var clients sync.WaitGroup
	done := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.tally.exchanges >= exchanges
	}
	client := func(seed uint64, act func(random *rand.Rand)) {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(seed, 2007))
			for !done() {
				act(random)
				<-time.After(time.Duration(random.IntN(300)) * time.Millisecond)
			}
		})
	}
	for n := range uint64(6) {
		client(n, func(random *rand.Rand) { s.read(random, protocol.ClassRead+protocol.Class(n%2)) })
	}
	client(6, s.ask)
	client(7, func(random *rand.Rand) {
		s.command(random)
		<-time.After(time.Duration(random.IntN(10)) * time.Second)
	})
	clients.Wait()
	for range 100 { // a probe of a dead meter counts as well, and another may follow
		if s.Bus.State().Queue == 0 {
			break
		}
		<-time.After(time.Second)
	}
	if n := s.Bus.State().Queue; n != 0 {
		t.Errorf("%d requests are still in the queue", n)
	}
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines, there were %d", n, goroutines)
	}
	if before, after := s.heap, heap(); after > before+4<<20 {
		t.Errorf("%d bytes of memory in use, %d after half of the time", after, before)
	}
	s.Stop()
	c := s.tally
	t.Logf("%d exchanges, %d stops: %d values (%d in %d frames that the line forged), %d refused, %d timeouts, %d garbled, %d down, %d expired; commands: %d acknowledged, %d refused, %d unknown, %d not begun; longest wait %v",
		c.exchanges, c.stops, c.values, c.values-c.right, c.forged, c.refused, c.timeout, c.garbled, c.down, c.expired, c.acknowledged, c.commandRefused, c.unknown, c.not, c.worst)
	if c.values < c.exchanges/10 {
		t.Errorf("only %d values came", c.values)
	}
	// Several faults at once may happen to make a frame whose checksum is right. No receiver
	// can know; it is rare enough to be told from a fault of ours.
	if c.forged > 1+c.exchanges/100_000 {
		t.Errorf("%d replies came out of forged frames", c.forged)
	}
	if c.worst > soakDeadline+2*time.Minute {
		t.Errorf("a reply took %v", c.worst)
	}
}

// heap returns how many bytes of memory are in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// count adds to the tally.
func (s *soak) count(change func(c *soakTally)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.tally)
}

// read reads some items of some meter and checks every value and every error.
func (s *soak) read(random *rand.Rand, class protocol.Class) {
	address := s.addresses[random.IntN(len(s.addresses))]
	spoken := s.protocols[address]
	lists := soakItems[spoken.Name()]
	items := lists[random.IntN(len(lists))]
	plan, err := spoken.Plan(protocol.Request{Verb: protocol.VerbRead, Class: class, Address: AddressOf(spoken, address), Items: items}, s.Bus.Meter(AddressOf(spoken, address).MeterKey))
	begin := time.Now()
	for err == nil {
		var report <-chan bus.Report
		if report, err = s.Bus.Submit(bus.Job{Steps: plan.Steps, Deadline: begin.Add(soakDeadline), Continued: true}); err != nil {
			break
		}
		replies := (<-report).Replies
		var answers []protocol.Answer
		for i := range replies {
			s.check(&plan.Steps[i], &replies[i])
			answers = append(answers, replies[i].Answer)
		}
		if plan.Then == nil {
			break
		}
		plan, err = plan.Then(answers)
	}
	if err != nil {
		s.t.Errorf("read %v of %s: %v", items, address, err)
	}
	took := time.Since(begin)
	s.count(func(c *soakTally) { c.worst = max(c.worst, took) })
}

// check holds the reply to a step of a read against what its meter counted.
func (s *soak) check(step *protocol.Step, reply *bus.Reply) {
	var refusal *protocol.Refusal
	switch err := reply.Err; {
	case errors.As(err, &refusal):
		s.count(func(c *soakTally) { c.refused++ })
		if !slices.Contains(step.Items, unknownItem) {
			s.t.Errorf("%s refuses %v: %v\n%s", step.Meter, step.Items, refusal.Reasons, spell(reply.Frames))
		}
	case errors.Is(err, protocol.ErrSilent):
		s.count(func(c *soakTally) { c.timeout++ })
	case errors.Is(err, protocol.ErrGarbled):
		s.count(func(c *soakTally) { c.garbled++ })
	case errors.Is(err, bus.ErrDown):
		s.count(func(c *soakTally) { c.down++ })
	case errors.Is(err, bus.ErrExpired):
		s.count(func(c *soakTally) { c.expired++ })
	case err != nil:
		s.t.Errorf("%s %v: %v", step.Meter, step.Items, err)
	default:
		s.checkValues(step, reply)
	}
}

// checkValues finds the exchange that all values of a reply come from. It must have been
// begun by the step itself: by its first or its second try.
func (s *soak) checkValues(step *protocol.Step, reply *bus.Reply) {
	meter := step.Meter.Text
	registers := s.registers(meter, reply.Result.Values)
	before := s.exchangesBefore(reply.Frames[0])
	if before == nil || len(registers) == 0 {
		s.t.Errorf("%s %v: nothing to check in %+v", meter, step.Items, reply)
		return
	}
	last := s.meters[meter].Counts().Exchanges
	from := func(first, last int) (exchange int) {
		for n := first; n <= last; n++ {
			if !slices.ContainsFunc(registers, func(r register) bool { return !r.from(meter, n) }) {
				return n
			}
		}
		return -1
	}
	exchange := from(before[meter]+1, last)
	right := exchange > 0
	if asked := s.askedFor(meter, exchange); right && reply.Came.Sub(asked) > soakAge {
		s.t.Errorf("%s %v: what was asked for at %v is said to have come at %v\n%s", meter, step.Items, asked, reply.Came, spell(reply.Frames))
	}
	s.count(func(c *soakTally) {
		c.values += len(registers)
		if right {
			c.right += len(registers)
		}
	})
	switch {
	case right:
	case from(before[meter]-100, before[meter]) >= 0:
		s.t.Errorf("%s %v: the values are older than the request, of exchange %d or before\n%s", meter, step.Items, before[meter], spell(reply.Frames))
	default:
		s.count(func(c *soakTally) { c.forged++ })
	}
}

// askedFor returns when an exchange with a meter was asked for: by what was written last before it.
func (s *soak) askedFor(meter string, exchange int) (at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range slices.Backward(s.writes) {
		if w.exchanges[meter] < exchange {
			return w.at
		}
	}
	return at
}

// exchangesBefore returns how many exchanges each meter had had when a frame was sent.
func (s *soak) exchangesBefore(sent bus.Transfer) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.writes, sent.Time, func(w soakWrite, at time.Time) int { return w.at.Compare(at) })
	if i == len(s.writes) || i == 0 && len(s.writes) >= soakHistory {
		return nil
	}
	return s.writes[i].exchanges
}

// A register is a number that a meter sent.
type register struct {
	di     dlt645.DI
	size   int
	oad    dlt698.OAD // of a meter of DL/T 698.45
	number int64
}

// from reports whether the number is that of an exchange.
func (r register) from(address string, exchange int) bool {
	if r.oad != 0 {
		limit := int64(simulator.CountedVariable)
		if r.oad.OI() < 0x1000 {
			limit = simulator.CountedEnergy
		}
		return simulator.Counted698(address, exchange, r.oad, limit) == r.number
	}
	return simulator.Counted(address, exchange, r.di, r.size) == r.number
}

// registers finds which register each value is of. What meters do not count is left out.
func (s *soak) registers(address string, values []protocol.Value) (list []register) {
	version := dlt645.V2007
	switch s.protocols[address].Name() {
	case "1997":
		version = dlt645.V1997
	case dlt698.Name:
		for _, value := range values {
			number, ok := value.Data.(protocol.Decimal)
			item, known := dlt698.Items().Named(value.Name)
			if !ok || !known {
				s.t.Errorf("%s: value %+v", address, value)
				continue
			}
			list = append(list, register{oad: item.OAD, number: number.Coefficient})
		}
		return list
	}
	for _, value := range values {
		number, ok := value.Data.(protocol.Decimal)
		item, known := dlt645.Items(version).Named(value.Name)
		if !ok || !known {
			s.t.Errorf("%s: value %+v", address, value)
			continue
		}
		list = append(list, register{di: item.DI, size: sizeOf(item.DI), number: number.Coefficient})
	}
	return list
}

// sizeOf returns the bytes of the number under an identifier of soakItems.
func sizeOf(di dlt645.DI) int {
	switch {
	case di>>24 == 0 || di>>8 == 0x90: // energies, of 2007 and of 1997
		return 4
	case di>>16 == 0x0201, di>>16 == 0x0206: // voltages, power factors
		return 2
	}
	return 3
}

// ask reads over the bridge, as a client does. The exchange must lie between request and reply.
func (s *soak) ask(random *rand.Rand) {
	address := s.addresses[random.IntN(4)]
	items := soakItems["2007"][random.IntN(5)]
	before := s.meters[address].Counts().Exchanges
	begin := time.Now()
	id := strconv.Itoa(random.Int())
	request, err := json.Marshal(map[string]any{"id": id, "items": items, "ttl_ms": soakDeadline.Milliseconds()})
	if err != nil {
		s.t.Fatal(err)
	}
	var r struct {
		ID, Address string
		Values      map[string]json.RawMessage
		Errors      map[string]json.RawMessage
		Error       *struct{ Code string }
		Time        time.Time
	}
	if err := json.Unmarshal(s.Ask("read/"+address, request), &r); err != nil {
		s.t.Fatal(err)
	}
	took := time.Since(begin)
	if r.ID != id || r.Address != address || len(r.Values)+len(r.Errors) != len(items) {
		s.t.Errorf("read %v of %s: %+v", items, address, r)
	}
	for name, text := range r.Values {
		number, err := protocol.ParseDecimal(string(text))
		if err != nil {
			s.t.Errorf("%s of %s: %s: %v", name, address, text, err)
		}
		item, _ := dlt645.Items(dlt645.V2007).Named(name)
		value := register{di: item.DI, size: sizeOf(item.DI), number: number.Coefficient}
		right := false
		for n := before + 1; n <= s.meters[address].Counts().Exchanges; n++ {
			right = right || value.from(address, n)
		}
		s.count(func(c *soakTally) {
			c.values++
			if right {
				c.right++
			} else {
				c.forged++
			}
		})
	}
	s.count(func(c *soakTally) { c.worst = max(c.worst, took) })
}

// command sends an alarm with a number of its own in place of the operator's code, and checks
// that it was carried out as the reply says, and never twice.
func (s *soak) command(random *rand.Rand) {
	s.mu.Lock()
	s.sent++
	number := s.sent
	s.mu.Unlock()
	address := s.addresses[random.IntN(4)]
	step := alarm(s.t, address, number)
	if random.IntN(3) == 0 {
		address = "202412345678"
		step = alarm698(s.t, address, number)
	}
	report, err := s.Bus.Submit(bus.Job{Steps: []protocol.Step{step}, Deadline: time.Now().Add(soakDeadline)})
	if err != nil {
		s.t.Errorf("alarm %d to %s: %v", number, address, err)
		return
	}
	reply := (<-report).Replies[0]
	s.mu.Lock()
	times := s.carried[number]
	s.mu.Unlock()
	var refusal *protocol.Refusal
	wrong := times > 1
	switch {
	case reply.Err == nil:
		s.count(func(c *soakTally) { c.acknowledged++ })
		wrong = times != 1
	case errors.As(reply.Err, &refusal):
		s.count(func(c *soakTally) { c.commandRefused++ })
		wrong = true // nothing speaks against an alarm
	case reply.Started:
		s.count(func(c *soakTally) { c.unknown++ })
	default:
		s.count(func(c *soakTally) { c.not++ })
		wrong = times != 0
	}
	if wrong {
		s.t.Errorf("alarm %d to %s was carried out %d times; started %t, error %v\n%s", number, address, times, reply.Started, reply.Err, spell(reply.Frames))
	}
}

// alarm698 is alarm for a meter of DL/T 698.45: the number is the argument of the method.
func alarm698(t testing.TB, address string, number uint32) protocol.Step {
	t.Helper()
	to, err := dlt698.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	apdu := dlt698.APDU{Service: dlt698.Action, Choice: dlt698.Normal, PIID: byte(number) & 0x3F, Entries: []dlt698.Entry{{OAD: 0x80007F00, Data: dlt698.NumberOf(dlt698.DoubleLongUnsigned, int64(number))}}}
	frame, err := dlt698.Frame{Control: 0x43, Address: to, Client: 0x10, Data: apdu.Append(nil)}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := dlt698.New(time.UTC).Plan(protocol.Request{Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: frame}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Steps[0]
}

// spell writes frames for people.
func spell(frames []bus.Transfer) string {
	var b strings.Builder
	for _, f := range frames {
		direction := map[bool]string{true: "ignored", false: "received"}[f.Ignored]
		if f.Sent {
			direction = "sent"
		}
		fmt.Fprintf(&b, "%s %-8s % X\n", f.Time.Format("05.000"), direction, f.Bytes)
	}
	return cmp.Or(b.String(), "no frames")
}
