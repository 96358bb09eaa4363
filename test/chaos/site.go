//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/simulator"
)

// A site is one bridge with its bus, its meters and its way to the broker.
type site struct {
	name     string
	root     string
	ledger   *ledger
	timeline *timeline
	meters   map[string]*meterOnSite // by address
	line     *simulator.Bus
	spy      spy
	witness  *witness
	network  *network // nil: it has none of its own
	bridge   *process
	http     string

	clockFile string // says how far the bridge's clock is ahead; empty: it is that of the machine

	mu       sync.Mutex // for what follows; what runs and sessions hold is under the ledger's
	run      *run
	runs     int
	sessions []*connection
	samples  []sample
}

// A sample is how a bridge was at a moment.
type sample struct {
	run        int
	age        time.Duration // of the process
	goroutines int
	resident   int64         // bytes
	processor  time.Duration // used so far
	outbox     int           // replies that wait for the broker
	queue      int           // requests that wait for the bus
}

const baud = 9600

// newSite sets up meters and the way to them. kind is "tcp", "pty" or "mqtt".
func newSite(ctx context.Context, o options, kind string, l *ledger, t *timeline, b *broker, n *network) (*site, error) {
	s := &site{
		name: kind, root: fmt.Sprintf("chaos-%s-%d", kind, os.Getpid()), ledger: l, timeline: t,
		meters: map[string]*meterOnSite{}, network: n,
	}
	l.silence[s] = &silence{}
	faults, err := simulator.ParseFaults(o.faults)
	if err != nil {
		return nil, err
	}
	bus := simulator.BusOptions{Baud: baud, Turnaround: 20 * time.Millisecond, WakeUp: 4, Seed: o.seed, Faults: faults}
	var names []string
	for _, m := range metersOnSite {
		on := &meterOnSite{name: m.name, version: m.options.Version}
		spoken := dlt698.Name
		if m.newer != nil {
			meter, err := s.newer(*m.newer, m.options.Address, o.seed)
			if err != nil {
				return nil, err
			}
			on.counter = meter
			bus.Devices = append(bus.Devices, meter)
		} else {
			options := m.options
			options.Counting, options.Seed = true, o.seed
			options.OnCommand = func(command dlt645.Frame) {
				if mark := markOf(command); mark != "" {
					l.carriedOut(deed{s, command.Address.String(), mark, time.Now()})
				}
			}
			meter, err := simulator.NewMeter(options)
			if err != nil {
				return nil, err
			}
			on.counter, spoken = meter, meter.Version().String()
			bus.Meters = append(bus.Meters, meter)
		}
		s.meters[on.Address()] = on
		names = append(names, m.name+"="+on.Address()+"@"+spoken)
	}
	s.line = simulator.NewBus(bus)
	go s.spy.listen(s.line)

	near, far := "127.0.0.1", "127.0.0.1"
	if n != nil {
		near, far = n.near, n.far
	}
	if s.witness, err = newWitness(s, net.JoinHostPort(near, "0"), b.address); err != nil {
		return nil, err
	}
	busURL, err := s.serve(ctx, o.folder, near, b)
	if err != nil {
		return nil, err
	}
	s.http = net.JoinHostPort(far, "9645")
	if n == nil {
		if s.http, err = freeAddress(far); err != nil {
			return nil, err
		}
	}
	points := "meter,item,interval\n*,status_3,20s\n*," + strings.Join(statePoints, ",10s\n*,") + ",10s\n"
	table := filepath.Join(o.folder, "points.csv")
	if err := os.WriteFile(table, []byte(points), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(o.folder, "bridge-"+kind+".log"))
	if err != nil {
		return nil, err
	}
	s.bridge = &process{name: "the bridge of " + kind, arguments: []string{o.bridge}, log: log, died: func(err error) { l.blame("%v", err) }, environment: []string{
		"DLT645_MQTT_URL=mqtt://" + s.witness.listener.Addr().String(),
		"DLT645_TOPIC=" + s.root, "DLT645_BUS_URL=" + busURL, "DLT645_METERS=" + strings.Join(names, ","),
		"DLT645_POINTS=" + table,
		"DLT645_ALLOW=read,write,relay,maintenance,broadcast,raw",
		"DLT645_METER_PASSWORD=02000000,04000000", "DLT645_CLOCK=trusted", "DLT645_HTTP=" + s.http,
	}}
	if n != nil {
		s.bridge.arguments = n.inside(o.bridge)
	} else if kind == "pty" && o.clocked != "" {
		s.clockFile = filepath.Join(o.folder, "clock-"+kind)
		if err := s.setClock(0); err != nil {
			return nil, err
		}
		s.bridge.arguments = []string{o.clocked}
		s.bridge.environment = append(s.bridge.environment, clockFile+"="+s.clockFile)
	}
	return s, nil
}

// serve makes the line reachable and returns its URL.
func (s *site) serve(ctx context.Context, folder, host string, b *broker) (string, error) {
	failed := func(err error) {
		if err != nil {
			s.ledger.blame("the simulated line of %s: %v", s.name, err)
		}
	}
	if s.name == "pty" {
		link := filepath.Join(folder, "meters")
		terminal, err := simulator.OpenPTY(link)
		if err != nil {
			return "", err
		}
		go func() { failed(s.line.ServePTY(ctx, terminal)) }()
		return fmt.Sprintf("serial://%s?baud=%d", link, baud), nil
	}
	if s.name == "mqtt" {
		d, err := newDTU(ctx, s.line, b.address)
		if err != nil {
			return "", err
		}
		return d.bus(), nil
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	go func() { failed(s.line.ServeTCP(ctx, listener)) }()
	return fmt.Sprintf("tcp://%s?baud=%d&latency=50ms", listener.Addr(), baud), nil
}

// parts names what a message goes through between client and bridge, as on the timeline.
func (s *site) parts() []string {
	return []string{"broker", "the bridge of " + s.name, "the way of " + s.name, floods}
}

// start starts the bridge.
func (s *site) start() error {
	s.mu.Lock()
	s.runs++
	s.run = &run{number: s.runs, begun: time.Now()}
	s.mu.Unlock()
	return s.bridge.start()
}

// end notes that the bridge has ended.
func (s *site) end(killed bool) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.run.killed, s.run.ended = killed, time.Now()
}

func (s *site) currentRun() *run {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// opened, subscribed and closed tell of the bridge's connection to the broker.
func (s *site) opened(session *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions = append(s.sessions, session)
}

func (s *site) subscribed(session *connection) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	session.subscribed = time.Now()
}

func (s *site) closed(session *connection) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	session.ended = time.Now()
}

// connected reports whether the bridge was subscribed at the broker all the time. The caller holds
// the ledger's lock.
func (s *site) connected(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, session := range s.sessions {
		if !session.subscribed.IsZero() && session.subscribed.Before(from) && (session.ended.IsZero() || session.ended.After(to)) {
			return true
		}
	}
	return false
}

// online reports whether the bridge is subscribed now.
func (s *site) online() bool {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	now := time.Now()
	return s.connected(now, now)
}

// watch samples the bridge now and then until ctx ends.
func (s *site) watch(ctx context.Context) {
	for ctx.Err() == nil {
		_, _ = s.sample(ctx) // it may be away
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
}

// sample asks the bridge for its goroutines and memory.
func (s *site) sample(ctx context.Context) (sample, error) {
	run := s.currentRun()
	now, err := measure(ctx, s.http)
	if err != nil {
		return sample{}, err
	}
	now.run, now.age = run.number, time.Since(run.begun)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.samples = append(s.samples, now)
	return now, nil
}

// measure asks a bridge how it is.
func measure(ctx context.Context, address string) (now sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return now, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return now, err
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewScanner(io.LimitReader(response.Body, 1<<20))
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		switch name {
		case "go_goroutines":
			now.goroutines = int(value)
		case "process_resident_memory_bytes":
			now.resident = int64(value)
		case "process_cpu_seconds_total":
			now.processor = time.Duration(value * float64(time.Second))
		case "dlt645_outbox_length":
			now.outbox = int(value)
		case "dlt645_bus_queue_length":
			now.queue = int(value)
		}
	}
	if now.goroutines == 0 || now.resident == 0 {
		return now, fmt.Errorf("http://%s/metrics has no go_goroutines or no process_resident_memory_bytes", address)
	}
	return now, nil
}

// newer makes a meter of DL/T 698.45 that counts, and that enters what it carries out.
func (s *site) newer(options simulator.Meter698Options, address string, seed uint64) (*simulator.Meter698, error) {
	options.Address, options.Counting, options.Seed = address, true, seed
	options.OnCommand = func(command dlt698.APDU) {
		if mark := markOf698(command); mark != "" {
			s.ledger.carriedOut(deed{s, address, mark, time.Now()})
		}
	}
	return simulator.NewMeter698(options)
}
