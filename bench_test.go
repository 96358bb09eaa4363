package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/bridge/bus"
)

// BenchmarkReadOverMQTT measures a single read over MQTT against the wire in the same run: 11
// bits a byte, 20 ms turnaround, four wake-up bytes before either frame. The figures are what
// comes on top of the time from the request's first byte to the answer's last, in
// milliseconds, the same beyond what a client of the same library takes that only sends the message back after as long a time, and the
// whole as a ratio to the wire.
func BenchmarkReadOverMQTT(b *testing.B) {
	for _, baud := range []int{2400, 9600, 115200} {
		b.Run(fmt.Sprintf("%dbaud", baud), func(b *testing.B) {
			broker := benchBroker(b)
			setAll(b, map[string]string{
				"DLT645_MQTT_URL": "mqtt://" + broker.address, "DLT645_TOPIC": fmt.Sprintf("bench-%d", time.Now().UnixNano()),
				"DLT645_BUS_URL": fmt.Sprintf("sim://?baud=%d&turnaround=20ms&fe=4", baud), "DLT645_METERS": "main=1", "DLT645_POINTS": "off",
			})
			config, err := readConfig(true)
			if err != nil {
				b.Fatal(err)
			}
			wire := &stopwatch{}
			open := config.bus.Open
			config.bus.Open = func(ctx context.Context) (bus.Port, error) {
				port, err := open(ctx)
				return &timedPort{port, wire}, err
			}
			bridge, line := newBridge(config, slog.New(slog.DiscardHandler))
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 2)
			go func() { ended <- line.Run(ctx) }()
			go func() { ended <- bridge.Run(ctx, func() {}) }()
			b.Cleanup(func() {
				cancel()
				if err := <-ended; err != nil {
					b.Error(err)
				}
				if err := <-ended; err != nil {
					b.Error(err)
				}
			})
			c := newClient(b, dial(b, broker.address), config.root+"/reply/#")
			c.ready(config.root)
			for range 10 { // after the first reads of a line that nothing is known of the bus waits for copies of the answer
				c.ask(config.root, "read/main", "voltage_a")
			}

			echo := newClient(b, dial(b, broker.address), config.root+"-echo/request/back")
			kept := sendBack(b, broker.address, config.root+"-echo/request/there", config.root+"-echo/request/back", wire.elapsed)

			var beyond, echoed []time.Duration
			var onWire, whole time.Duration
			for b.Loop() {
				sent := time.Now()
				echo.publish(config.root+"-echo/request/there", "voltage_a", nil)
				echo.next()
				echoed = append(echoed, time.Since(sent)-<-kept)
				start := time.Now()
				if r := c.ask(config.root, "read/main", "voltage_a"); !r.OK {
					b.Fatalf("%+v", r)
				}
				took, wire := time.Since(start), wire.elapsed()
				beyond = append(beyond, took-wire)
				onWire, whole = onWire+wire, whole+took
			}
			slices.Sort(beyond)
			slices.Sort(echoed)
			b.ReportMetric(float64(beyond[len(beyond)/2].Microseconds())/1000, "ms-beyond-wire-median")
			b.ReportMetric(float64((beyond[len(beyond)/2]-echoed[len(echoed)/2]).Microseconds())/1000, "ms-beyond-wire-and-echo-median")
			b.ReportMetric(float64(beyond[len(beyond)*99/100].Microseconds())/1000, "ms-beyond-wire-p99")
			b.ReportMetric(float64(whole)/float64(onWire), "ratio-to-wire")
		})
	}
}

// sendBack has a client of its own publish again on one topic what comes on another, after a pause: everybody has
// slept by then, as while the bridge waits for a meter. It tells how long it has kept each message.
func sendBack(b *testing.B, address, from, to string, pause func() time.Duration) (kept <-chan time.Duration) {
	b.Helper()
	c := newClient(b, dial(b, address), from)
	ctx, cancel := context.WithCancel(b.Context())
	ended, times := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		defer close(ended)
		for {
			select {
			case p := <-c.messages:
				came := time.Now()
				time.Sleep(pause())
				times <- time.Since(came)
				_, _ = c.Publish(ctx, &paho.Publish{Topic: to, Payload: p.Payload, QoS: 1}) // who waits for it says if it does not come
			case <-ctx.Done():
				return
			}
		}
	}()
	b.Cleanup(func() { cancel(); <-ended })
	return times
}

// A stopwatch runs from the first byte of a request to the last byte heard.
type stopwatch struct {
	mu          sync.Mutex
	begin, last time.Time
}

func (s *stopwatch) elapsed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.Sub(s.begin)
}

// A timedPort runs a stopwatch.
type timedPort struct {
	bus.Port
	*stopwatch
}

func (p *timedPort) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.begin = time.Now()
	p.mu.Unlock()
	return p.Port.Write(b)
}

func (p *timedPort) Read(b []byte, wait time.Duration) (int, error) {
	n, err := p.Port.Read(b, wait)
	if n > 0 {
		p.mu.Lock()
		p.last = time.Now()
		p.mu.Unlock()
	}
	return n, err
}

// benchBroker is a mosquitto where there is one, else the embedded broker.
func benchBroker(b *testing.B) *testBroker {
	b.Helper()
	if lookFor("mosquitto") == "" {
		b.Log("mosquitto is not installed; measured with the embedded broker")
		return startMochi(b)
	}
	return startMosquitto(b, freeAddress(b), "allow_anonymous true")
}
