package bus

import (
	"context"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

// instantPort answers each request at once, so that what remains is our own doing.
type instantPort struct {
	written int
	answer  string
}

func (p *instantPort) Write(data []byte) (int, error) {
	p.written++
	p.answer = prompt(string(data))[0].text
	return len(data), nil
}

func (p *instantPort) Read(data []byte, wait time.Duration) (int, error) {
	n := copy(data, p.answer)
	p.answer = ""
	return n, nil
}

func (p *instantPort) Close() error { return nil }

// instantBus runs a bus on an instant port until the benchmark stops it. What the port
// counted may be read after that.
func instantBus(b *testing.B) (bus *Bus, port *instantPort, stop func()) {
	port = &instantPort{}
	bus = New(Config{Queue: 10000, Settings: Settings{Baud: 921600, FixedWakeUps: true}, Open: func(context.Context) (Port, error) { return port, nil }})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- bus.Run(ctx) }()
	return bus, port, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

// submitN queues a job of one step n times and waits for all of them.
func submitN(b *testing.B, bus *Bus, n int, step func(i int) protocol.Step) {
	reports := make([]<-chan Report, n)
	for i := range reports {
		var err error
		if reports[i], err = bus.Submit(Job{Steps: []protocol.Step{step(i)}}); err != nil {
			b.Fatal(err)
		}
	}
	for _, report := range reports {
		if err := (<-report).Replies[0].Err; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStep is the time of one step beyond the wire, with nothing else waiting.
func BenchmarkStep(b *testing.B) {
	bus, _, stop := instantBus(b)
	step := read("a", "v")
	b.ReportAllocs()
	for b.Loop() {
		submitN(b, bus, 1, func(int) protocol.Step { return step })
	}
	stop()
}

// BenchmarkFlood is the time of one step while a thousand of ten meters wait.
func BenchmarkFlood(b *testing.B) {
	bus, _, stop := instantBus(b)
	var steps [10]protocol.Step
	for i := range steps {
		steps[i] = read(string(rune('a'+i)), "v")
		steps[i].Key = ""
	}
	n := 0
	for b.Loop() {
		submitN(b, bus, 1000, func(i int) protocol.Step { return steps[i%len(steps)] })
		n += 1000
	}
	stop()
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/step")
}

// BenchmarkEqualReads tells how many exchanges a thousand equal reads cost that wait at once,
// while another exchange is under way.
func BenchmarkEqualReads(b *testing.B) {
	exchanges, rounds := 0, 0
	for b.Loop() {
		bus, port, stop := instantBus(b)
		hold, release := make(chan struct{}), make(chan struct{})
		blocker := read("z", "z")
		take := blocker.First.Take
		blocker.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
			close(hold)
			<-release
			return take(answer)
		}
		held, err := bus.Submit(Job{Steps: []protocol.Step{blocker}})
		if err != nil {
			b.Fatal(err)
		}
		<-hold
		step := read("a", "v")
		reports := make([]<-chan Report, 1000)
		for i := range reports {
			if reports[i], err = bus.Submit(Job{Steps: []protocol.Step{step}}); err != nil {
				b.Fatal(err)
			}
		}
		close(release)
		<-held
		for _, report := range reports {
			<-report
		}
		stop()
		exchanges += port.written - 1
		rounds++
	}
	b.ReportMetric(float64(exchanges)/float64(rounds), "exchanges/op")
}
