package bus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// The protocol of these tests. Meters and registers are letters.
//
//	?mr.   read register r of meter m      =mrv.  its value v
//	?mr+   the same, to be continued       =mrv+  more follows
//	!mr.   do r                            :m.    done (vague)
//	                                       #m.    refused, for reads (vague)
//	                                       %m.    refused, for commands (vague)
//
// At 1100 baud a byte takes 10 ms, a request 40 ms and a value 50 ms.

const (
	requestTime = 40 * time.Millisecond
	valueTime   = 50 * time.Millisecond
)

// What the meters of these tests need of the line.
const (
	firstGuess  = 500 * time.Millisecond
	testByteGap = 550 * time.Millisecond
)

var testLine = protocol.Line{WakeUp: 0xFE, WakeUps: 4, Fewest: 2, Leading: 4, Soonest: 20 * time.Millisecond, Latest: firstGuess, ByteGap: testByteGap}

func keyOf(meter string) protocol.MeterKey { return protocol.MeterKey{Family: "letters", Text: meter} }

// splitter cuts what begins with one of the prefixes; '_' in a prefix stands for any byte.
func splitter(prefixes ...string) func([]byte, bool) (int, []byte, error) {
	return func(data []byte, atEOF bool) (int, []byte, error) {
		unfinished := -1
		for i := range data {
			for _, prefix := range prefixes {
				part := data[i:min(len(data), i+len(prefix))]
				fits := true
				for k, c := range part {
					fits = fits && (prefix[k] == '_' || prefix[k] == c)
				}
				switch {
				case fits && len(part) == len(prefix):
					return i + len(part), part, nil
				case fits && unfinished < 0:
					unfinished = i
				}
			}
		}
		if unfinished >= 0 && !atEOF {
			return unfinished, nil, nil
		}
		return len(data), nil, nil
	}
}

var errRefused = &protocol.Refusal{Code: 2, Reasons: []string{"no_such_data"}, Means: protocol.ErrNoSuchData}

// read returns the step that reads one register, in as many frames as it has letters.
func read(meter string, registers string) protocol.Step {
	return protocol.Step{
		Meter: keyOf(meter), Line: &testLine, Items: []string{registers}, Class: protocol.ClassRead,
		Key: meter + registers, Repeatable: true,
		First: readExchange(meter, registers, ""),
	}
}

func readExchange(meter, registers, before string) protocol.Exchange {
	register, rest := registers[:1], registers[1:]
	end := "."
	if rest != "" {
		end = "+"
	}
	return protocol.Exchange{
		Request: []byte("?" + meter + register + end),
		Answer:  splitter("="+meter+register+"_"+end, "#"+meter+"."),
		Vague:   func(answer []byte) bool { return answer[0] == '#' },
		Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
			if answer[0] == '#' {
				return nil, protocol.Result{}, errRefused
			}
			value := before + string(answer[3])
			if rest != "" {
				next := readExchange(meter, rest, value)
				return &next, protocol.Result{}, nil
			}
			if value == "x" {
				return nil, protocol.Result{}, protocol.ErrGarbled
			}
			return nil, protocol.Result{Address: protocol.Address{MeterKey: keyOf(meter)}, Values: []protocol.Value{{Name: registers, Data: value}}}, nil
		},
	}
}

// command returns the step that makes a meter do something.
func command(class protocol.Class, meter, what string) protocol.Step {
	return protocol.Step{
		Meter: keyOf(meter), Line: &testLine, Items: []string{what}, Class: class, Kind: protocol.KindCommand,
		First: protocol.Exchange{
			Request: []byte("!" + meter + what + "."),
			Answer:  splitter(":"+meter+".", "%"+meter+"."),
			Vague:   func([]byte) bool { return true },
			Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
				if answer[0] == '%' {
					return nil, protocol.Result{}, errRefused
				}
				return nil, protocol.Result{Address: protocol.Address{MeterKey: keyOf(meter)}}, nil
			},
		},
	}
}

func withClass(step protocol.Step, class protocol.Class) protocol.Step {
	step.Class = class
	return step
}

// An arrival is something that comes in from the line some time after the request is out.
type arrival struct {
	after time.Duration
	text  string
	err   error
}

// after is an answer whose last byte comes so long after the request is out.
func after(d time.Duration, text string) []arrival { return []arrival{{after: d, text: text}} }

// lineTest is a bus in a bubble on a fake port.
type lineTest struct {
	t      *testing.T
	bus    *Bus
	begin  time.Time
	stop   func()
	answer func(request string) []arrival // what the meters say; called by Write

	mu       sync.Mutex
	requests []string        // as written, without wake-up bytes
	times    []time.Duration // when, since begin
	wakeUps  []int           // how many wake-up bytes went before each
	opened   []time.Duration // when the port was opened, since begin
	openErr  error
	writeErr error
	port     *fakePort
	unknown  bool          // that the line takes its time and brings each answer once
	frozen   time.Duration // the next wait for bytes ends so late, and without them
}

// thaw returns how long the process is stopped in this wait.
func (l *lineTest) thaw() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	frozen := l.frozen
	l.frozen = 0
	return frozen
}

func start(t *testing.T, config Config, answer func(request string) []arrival) *lineTest {
	l := &lineTest{t: t, begin: time.Now(), answer: answer}
	l.run(config)
	return l
}

// run runs a bus on the line, or on the port that config opens.
func (l *lineTest) run(config Config) {
	t := l.t
	config.Baud = 1100
	config.FixedWakeUps = config.FixedWakeUps || config.WakeUps == 0 // none, if a test does not say how many
	if config.Timeout == 0 {
		config.Timeout = firstGuess // so that the first try waits as long as the second
	}
	if config.Open == nil {
		config.Open = func(context.Context) (Port, error) { return l.open() }
	}
	l.bus = New(config)
	if !l.unknown {
		l.bus.manner.clean, l.bus.manner.calm = [2]int{trustedVague, trusted}, timed
		l.bus.manner.reads = trustedReads
	}
	l.bus.jitter = func(d time.Duration) time.Duration { return d }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.bus.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	synctest.Wait() // until the port is open
}

// open opens a fake port, or fails as the test wants it.
func (l *lineTest) open() (*fakePort, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = append(l.opened, time.Since(l.begin))
	if l.openErr != nil {
		return nil, l.openErr
	}
	l.port = &fakePort{test: l}
	return l.port, nil
}

func (l *lineTest) submit(steps ...protocol.Step) <-chan Report {
	l.t.Helper()
	return l.submitJob(Job{Steps: steps})
}

func (l *lineTest) submitJob(job Job) <-chan Report {
	l.t.Helper()
	report, err := l.bus.Submit(job)
	if err != nil {
		l.t.Fatalf("Submit: %v", err)
	}
	return report
}

// log returns what was sent, in order.
func (l *lineTest) log() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.requests, " ")
}

// forget empties the log.
func (l *lineTest) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests, l.times = nil, nil
}

// sentAt returns when what was sent was sent.
func (l *lineTest) sentAt() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.times)
}

func (l *lineTest) since() time.Duration { return time.Since(l.begin) }

// say makes something come in from the line after that time, whatever is sent.
func (l *lineTest) say(a arrival) { l.port.say(a.after, a) }

type fakePort struct {
	test   *lineTest
	mu     sync.Mutex
	queue  []arrival // after is since the beginning of the test
	closed bool
}

func (p *fakePort) say(delay time.Duration, a arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a.after = p.test.since() + delay
	p.queue = append(p.queue, a)
	slices.SortStableFunc(p.queue, func(a, b arrival) int { return int(a.after - b.after) })
}

// copyArrived returns what has come in by now, or how long it takes until something does.
func (p *fakePort) copyArrived(data []byte) (n int, wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, 0, errors.New("read from a closed port")
	}
	now := p.test.since()
	for len(p.queue) > 0 && p.queue[0].after <= now {
		if p.queue[0].err != nil {
			return 0, 0, p.queue[0].err
		}
		n += copy(data[n:], p.queue[0].text)
		p.queue = p.queue[1:]
	}
	if n == 0 && len(p.queue) > 0 {
		return 0, p.queue[0].after - now, nil
	}
	return n, time.Hour, nil
}

func (p *fakePort) Read(data []byte, wait time.Duration) (int, error) {
	n, next, err := p.copyArrived(data)
	if n > 0 || err != nil || wait <= 0 {
		return n, err
	}
	if frozen := p.test.thaw(); frozen > 0 {
		<-time.After(wait + frozen)
		return 0, nil
	}
	timer := time.NewTimer(min(wait, next))
	<-timer.C
	n, _, err = p.copyArrived(data)
	return n, err
}

func (p *fakePort) Write(data []byte) (int, error) {
	l := p.test
	request := string(bytes.TrimLeft(data, "\xFE"))
	l.mu.Lock()
	l.requests = append(l.requests, request)
	l.times = append(l.times, l.since())
	l.wakeUps = append(l.wakeUps, len(data)-len(request))
	err := l.writeErr
	l.mu.Unlock()
	if p.closed {
		return 0, io.ErrClosedPipe
	}
	if err != nil {
		return 0, err
	}
	out := time.Duration(len(data)) * 10 * time.Millisecond
	for _, a := range l.answer(request) {
		p.say(out+a.after, a)
	}
	return len(data), nil
}

func (p *fakePort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.test.t.Error("port closed twice")
	}
	p.closed = true
	return nil
}

// prompt is a line on which every meter answers within 20 ms: value 1 to reads, done to commands.
func prompt(request string) []arrival {
	meter, what, end := request[1:2], request[2:3], request[3:]
	if request[0] == '!' {
		return after(20*time.Millisecond+30*time.Millisecond, ":"+meter+".")
	}
	return after(20*time.Millisecond+valueTime, "="+meter+what+"1"+end)
}

// promptTime is what the reading of one register takes on such a line, without wake-up bytes.
const promptTime = requestTime + 20*time.Millisecond + valueTime

// values spells what a report brought: values, or errors in brackets.
func values(r Report) string {
	var all []string
	for _, reply := range r.Replies {
		var refusal *protocol.Refusal
		switch {
		case errors.As(reply.Err, &refusal):
			all = append(all, "[refused]")
		case reply.Err != nil:
			for name, target := range map[string]error{
				"silent": protocol.ErrSilent, "garbled": protocol.ErrGarbled, "expired": ErrExpired, "down": ErrDown, "stopping": ErrStopping,
			} {
				if errors.Is(reply.Err, target) {
					all = append(all, "["+name+"]")
					break
				}
			}
		case len(reply.Result.Values) > 0:
			all = append(all, reply.Result.Values[0].Data.(string))
		default:
			all = append(all, "ok")
		}
	}
	return strings.Join(all, " ")
}

// started spells which steps reached the wire.
func started(r Report) string {
	var b strings.Builder
	for _, reply := range r.Replies {
		b.WriteByte("-s"[map[bool]int{true: 1}[reply.Started]])
	}
	return b.String()
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
