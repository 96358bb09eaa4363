package line

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/simulator"
)

// The line of the measures: four wake-up bytes before either frame, 20 ms turnaround.
const (
	benchWakeUp     = 4
	benchTurnaround = 20 * time.Millisecond
)

// pollItems are what the measures poll of each meter: most of it lies together in blocks.
var pollItems = []string{
	"voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c",
	"active_power", "active_power_a", "active_power_b", "active_power_c",
	"reactive_power", "reactive_power_a", "reactive_power_b", "reactive_power_c",
	"power_factor", "power_factor_a", "power_factor_b", "power_factor_c",
	"forward_active_energy", "frequency",
}

// A wire is a simulated line and the way to it.
type wire struct {
	t      testing.TB
	kind   string // "virtual", "pty", "tcp"
	baud   int
	meters []*simulator.Meter
	spoken protocol.Protocol
	config bus.Config
}

// newWire698 makes a line, within the process, with n meters of DL/T 698.45, 000000000001 and so on.
func newWire698(t testing.TB, baud, n int) *wire {
	t.Helper()
	var devices []simulator.Device
	for i := range n {
		m, err := simulator.NewMeter698(simulator.Meter698Options{Address: fmt.Sprintf("%012d", i+1)})
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, m)
	}
	line := simulator.NewBus(simulator.BusOptions{Devices: devices, Baud: baud, Turnaround: benchTurnaround, WakeUp: benchWakeUp})
	return &wire{t: t, kind: "virtual", baud: baud, spoken: dlt698.New(time.UTC), config: virtualBus(line, baud)}
}

// virtualBus is a bus on a line within the process.
func virtualBus(line *simulator.Bus, baud int) bus.Config {
	return bus.Config{
		Settings: bus.Settings{Baud: baud, FixedWakeUps: true, WakeUps: benchWakeUp},
		Open:     func(context.Context) (bus.Port, error) { return line.Port(), nil },
	}
}

// newWire makes a line with n meters, 000000000001 and so on, that is reached in one of three
// ways: within the process, over a pseudo terminal, or over TCP.
func newWire(t testing.TB, kind string, baud, n int) *wire {
	t.Helper()
	var addresses []string
	for i := range n {
		addresses = append(addresses, fmt.Sprintf("%012d", i+1))
	}
	w := &wire{t: t, kind: kind, baud: baud, meters: Simulated(t, addresses...), spoken: dlt645.New(dlt645.V2007, time.UTC)}
	line := simulator.NewBus(simulator.BusOptions{Meters: w.meters, Baud: baud, Turnaround: benchTurnaround, WakeUp: benchWakeUp})
	if kind == "virtual" {
		w.config = virtualBus(line, baud)
		return w
	}
	ctx, cancel := context.WithCancel(context.Background())
	var served sync.WaitGroup
	t.Cleanup(func() { cancel(); served.Wait() })
	var url string
	switch kind {
	case "pty":
		pty, err := simulator.OpenPTY("")
		if err != nil {
			t.Skipf("no pseudo terminal here: %v", err)
		}
		served.Go(func() { _ = line.Serve(ctx, pty) })
		url = "serial://" + pty.Path()
	case "tcp":
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		served.Go(func() { _ = line.ServeTCP(ctx, listener) })
		url = "tcp://" + listener.Addr().String()
	}
	var err error
	if w.config, err = bus.ParseURL(fmt.Sprintf("%s?baud=%d&fe=%d", url, baud, benchWakeUp), nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// bytes returns how long n bytes take on the line.
func (w *wire) bytes(n int) time.Duration {
	return time.Duration(n*11) * time.Second / time.Duration(w.baud)
}

// An exchange is a request and its answer as the wire had them.
type exchange struct {
	request, answer []byte
	begin, end      time.Time // of the first byte sent and the last byte heard
}

// own is what an exchange takes on the wire at the least.
func (w *wire) own(e exchange) time.Duration {
	return w.bytes(benchWakeUp+len(e.request)) + benchTurnaround + w.bytes(benchWakeUp+len(e.answer))
}

// A record is what a master did.
type record struct {
	exchanges []exchange
	values    int
}

// elapsed is the time from the first byte sent to the last one heard.
func (r *record) elapsed() time.Duration {
	if len(r.exchanges) == 0 {
		return 0
	}
	return r.exchanges[len(r.exchanges)-1].end.Sub(r.exchanges[0].begin)
}

// ownOf is what the wire itself needed for all of it.
func (w *wire) ownOf(r *record) (sum time.Duration) {
	for _, e := range r.exchanges {
		sum += w.own(e)
	}
	return sum
}

// A master is our bus on a wire, with a record of what went over it.
type master struct {
	*bus.Bus
	*wire
	mu     sync.Mutex
	record record
	stop   func()
}

// master starts our bus.
func (w *wire) master() *master {
	w.t.Helper()
	m := &master{wire: w}
	config := w.config
	config.OnFrame = func(f bus.FrameEvent) {
		m.mu.Lock()
		defer m.mu.Unlock()
		switch all := &m.record.exchanges; {
		case f.Sent:
			*all = append(*all, exchange{request: f.Bytes, begin: f.Time})
		case !f.Ignored:
			last := &(*all)[len(*all)-1]
			last.answer, last.end = f.Bytes, f.Time
		}
	}
	m.Bus = bus.New(config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(m.stop)
	return m
}

// plan returns the steps that read items of a meter: together, or one by one.
func (m *master) plan(address string, together bool) (steps []protocol.Step) {
	m.t.Helper()
	spoken := m.spoken
	lists := [][]string{pollItems}
	if !together {
		lists = nil
		for _, item := range pollItems {
			lists = append(lists, []string{item})
		}
	}
	for _, items := range lists {
		plan, err := spoken.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassPoll, Address: AddressOf(spoken, address), Items: items}, m.Meter(AddressOf(spoken, address).MeterKey))
		if err != nil || len(plan.Errors) > 0 {
			m.t.Fatalf("plan for %s: %v %v", address, err, plan.Errors)
		}
		steps = append(steps, plan.Steps...)
	}
	return steps
}

// poll reads all items of these meters a number of times, each meter as soon as it can, and
// returns what went over the wire since the call.
func (m *master) poll(addresses []string, passes int, together bool) record {
	m.t.Helper()
	m.mu.Lock()
	m.record = record{}
	m.mu.Unlock()
	var pollers sync.WaitGroup
	for _, address := range addresses {
		steps := m.plan(address, together)
		pollers.Go(func() {
			for range passes {
				m.add(m.once(steps))
			}
		})
	}
	pollers.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.record
}

// once does the steps of one meter and returns how many values they brought.
func (m *master) once(steps []protocol.Step) (values int, err error) {
	report, err := m.Submit(bus.Job{Steps: steps})
	if err != nil {
		return 0, err
	}
	for i, reply := range (<-report).Replies {
		if reply.Err != nil {
			return values, reply.Err
		}
		values += len(steps[i].Values(reply.Result))
	}
	return values, nil
}

func (m *master) add(values int, err error) {
	if err != nil {
		m.t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record.values += values
}

// A bareMaster has the port for itself and does nothing but its list of exchanges. It is the
// measure for ours: none can be faster than the ideal one, and many are like the simple one.
type bareMaster struct {
	*wire
	port bus.Port
}

func (w *wire) bare() *bareMaster {
	w.t.Helper()
	port, err := w.config.Open(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return &bareMaster{w, port}
}

// ideal sends each request and takes the answer at its last byte, whose length it knows.
func (m *bareMaster) ideal(list []exchange) record {
	return m.each(list, func(answer []byte, want int) (wait time.Duration, done bool) {
		return time.Second, len(answer) >= benchWakeUp+want
	})
}

// simpleSilence is the pause by which the simple master knows that an answer is over.
const simpleSilence = 50 * time.Millisecond

// simple sends each request and takes for the answer what comes until the line is silent.
func (m *bareMaster) simple(list []exchange) record {
	return m.each(list, func(answer []byte, _ int) (wait time.Duration, done bool) {
		if len(answer) == 0 {
			return time.Second, false
		}
		return simpleSilence, false
	})
}

// each does a list of exchanges. more tells how long to wait for more of an answer. What a
// machine that stalls makes of an exchange does not count: it is done again.
func (m *bareMaster) each(list []exchange, more func(answer []byte, want int) (wait time.Duration, done bool)) (r record) {
	m.t.Helper()
	for _, e := range list {
		for tries := 1; ; tries++ {
			now := m.exchange(e, more)
			if bytes.HasSuffix(now.answer, []byte{0x16}) && len(now.answer) == benchWakeUp+len(e.answer) {
				now.answer = now.answer[benchWakeUp:]
				r.exchanges = append(r.exchanges, now)
				break
			}
			if tries == 10 {
				m.t.Fatalf("answer % X to % X", now.answer, e.request)
			}
			m.read(func([]byte) (time.Duration, bool) { return time.Second, false }) // until the line is silent
		}
	}
	return r
}

// exchange sends the request of e and returns it with what came.
func (m *bareMaster) exchange(e exchange, more func(answer []byte, want int) (wait time.Duration, done bool)) exchange {
	m.t.Helper()
	now := exchange{request: e.request, begin: time.Now()}
	if _, err := m.port.Write(append(bytes.Repeat([]byte{0xFE}, benchWakeUp), e.request...)); err != nil {
		m.t.Fatal(err)
	}
	now.answer = m.read(func(heard []byte) (time.Duration, bool) { return more(heard, len(e.answer)) })
	now.end = time.Now()
	return now
}

// read reads until more says that it is enough, or nothing has come for as long as it says.
func (m *bareMaster) read(more func(heard []byte) (wait time.Duration, done bool)) (heard []byte) {
	m.t.Helper()
	buffer := make([]byte, 512)
	for {
		wait, done := more(heard)
		if done {
			return heard
		}
		n, err := m.port.Read(buffer, wait)
		if err != nil {
			m.t.Fatal(err)
		}
		if n == 0 {
			return heard
		}
		heard = append(heard, buffer[:n]...)
	}
}

// alarm is a relay command that harms nothing. It carries a number in place of the operator's
// code.
func alarm(t testing.TB, address string, number uint32) protocol.Step {
	t.Helper()
	to, err := dlt645.ParseAddress(address, dlt645.V2007)
	if err != nil {
		t.Fatal(err)
	}
	data := binary.LittleEndian.AppendUint32([]byte{0x02, 0, 0, 0}, number) // level 02, password 000000
	data = append(data, 0x2A, 0, 0x59, 0x59, 0x23, 0x31, 0x12, 0x99)        // alarm, valid until the end of 2099
	request, err := dlt645.Frame{Address: to, Control: dlt645.Control(dlt645.FunctionRelay), Data: data}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := dlt645.New(dlt645.V2007, time.UTC).Plan(protocol.Request{Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: request}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan.Steps[0]
}

// relayWaits polls a line and sends relay commands into it. It returns for each how long its
// first byte came after the end of the exchange that was under way when it was submitted, or
// after its submission if none was.
func (m *master) relayWaits(addresses []string, commands int) (waits []time.Duration) {
	m.t.Helper()
	stop := make(chan struct{})
	var pollers sync.WaitGroup
	for _, address := range addresses {
		steps := m.plan(address, true)
		pollers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					m.add(m.once(steps))
				}
			}
		})
	}
	step := alarm(m.t, "000000000001", 0)
	var submitted []time.Time
	pause := 200 * time.Millisecond
	for range commands {
		<-time.After(pause)
		pause += 37 * time.Millisecond // so that commands come at all stages of an exchange
		submitted = append(submitted, time.Now())
		m.add(m.once([]protocol.Step{step}))
	}
	close(stop)
	pollers.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, e := range m.record.exchanges {
		if !bytes.Equal(e.request, step.First.Request) {
			continue
		}
		from := submitted[n]
		for _, other := range m.record.exchanges {
			if !other.begin.After(submitted[n]) && other.end.After(from) {
				from = other.end
			}
		}
		waits = append(waits, e.begin.Sub(from))
		n++
	}
	if n != commands {
		m.t.Errorf("%d relay commands on the wire, %d were sent", n, commands)
	}
	return waits
}

// readings polls meters for a time and returns how often each was read whole. An offline
// meter is polled again when the bus says so.
func (m *master) readings(addresses []string, during time.Duration) map[string]int {
	m.t.Helper()
	end := time.Now().Add(during)
	counts := make(map[string]int)
	var mu sync.Mutex
	var pollers sync.WaitGroup
	for _, address := range addresses {
		steps := m.plan(address, true)
		pollers.Go(func() {
			for time.Now().Before(end) {
				_, err := m.once(steps)
				var offline *bus.OfflineError
				switch {
				case errors.As(err, &offline):
					<-time.After(offline.RetryAfter)
				case err == nil:
					mu.Lock()
					counts[address]++
					mu.Unlock()
				}
			}
		})
	}
	pollers.Wait()
	return counts
}
