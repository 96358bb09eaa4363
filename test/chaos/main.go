//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

type options struct {
	bridge   string
	duration time.Duration
	seed     uint64
	faults   string
	folder   string
	network  bool
	quiet    bool
	clock    bool
	clocked  string // the program, built with a clock that can be set; empty: there is none

	// Of a load only.
	rate    float64
	clients int
}

// A chaos is one run of the program.
type chaos struct {
	options
	*tormentor
	ledger   *ledger
	timeline *timeline
	broker   *broker
	sites    []*site
	networks []*network
	idle     map[*site]sample // before anybody asks
	after    map[*site]sample // when all is over
}

func main() {
	o := options{}
	flag.StringVar(&o.bridge, "bridge", "./dlt645-mqtt", "the `program` to try")
	flag.DurationVar(&o.duration, "duration", 2*time.Minute, "how long things go wrong")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano())%1_000_000, "`number` that decides what goes wrong; when exactly depends on the machine as well")
	flag.StringVar(&o.faults, "fault", "all=0.01,off=0.002,reset=0.002,halfopen=0.0005,gone=0.0005", "`faults` of the simulated lines, as of dlt645-mqtt simulate")
	flag.StringVar(&o.folder, "log", "", "`folder` for the logs; by default one that is removed if nothing was found")
	flag.BoolVar(&o.network, "network", true, "as root, give one bridge a network of its own, whose cable can be pulled")
	flag.BoolVar(&o.quiet, "quiet", false, "do not print each calamity")
	flag.BoolVar(&o.clock, "clock", true, "build the program of one bridge with a clock that can be set, and set it; wants the sources in the current folder")
	flag.Float64Var(&o.rate, "load", 0, "instead of letting things go wrong, ask so many `requests` a second")
	flag.IntVar(&o.clients, "clients", 100, "how `many` clients ask them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ok, err := o.run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	if !ok {
		stop()
		os.Exit(1) //nolint:gocritic // stop has been called
	}
}

// run runs everything and reports whether all was well.
func (o options) run(ctx context.Context, out io.Writer) (ok bool, err error) {
	mine := o.folder == ""
	if mine {
		if o.folder, err = os.MkdirTemp("", "chaos-"); err != nil {
			return false, err
		}
	} else if err := os.MkdirAll(o.folder, 0o755); err != nil { //nolint:gosec // logs without secrets
		return false, err
	}
	fmt.Fprintf(out, "seed %d, %s, logs in %s\n", o.seed, o.duration, o.folder)
	if o.rate > 0 {
		ok, err = (&load{options: o}).run(ctx, out)
	} else {
		c := &chaos{
			options: o, tormentor: &tormentor{begun: time.Now(), quiet: o.quiet, counted: map[string]int{}},
			ledger: newLedger(), timeline: &timeline{}, idle: map[*site]sample{}, after: map[*site]sample{},
		}
		ok, err = c.run(ctx, out)
	}
	if ok && err == nil && mine {
		err = os.RemoveAll(o.folder)
	}
	return ok, err
}

// run lets everything go wrong and reports whether all was well. An interrupt ends it early, with
// a report.
func (c *chaos) run(ctx context.Context, out io.Writer) (ok bool, err error) {
	defer c.cleanUp()
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	if err := c.setUp(serving, out); err != nil {
		return false, err
	}
	users, err := c.makeUsers(serving)
	if err != nil {
		return false, err
	}
	for _, s := range c.sites {
		if c.idle[s], err = c.calmSample(ctx, s); err != nil {
			return false, err
		}
		go s.watch(serving)
	}

	stopUsers := c.start(serving, users)
	begin := time.Now()
	c.wreak(ctx)
	c.duration = time.Since(begin).Round(time.Second) // an interrupt may have come
	c.tell("nothing goes wrong any more, but for the faults of the lines")
	c.recover(serving)
	stopUsers()
	c.awaitReplies(serving)
	var grown error
	for _, s := range c.sites {
		if c.after[s], err = c.calmSample(serving, s); err != nil {
			return false, err
		}
		if before, after := c.idle[s].goroutines, c.after[s].goroutines; after > before+10 {
			grown = fmt.Errorf("the bridge of %s has %d goroutines; it had %d", s.name, after, before)
		}
	}
	v := c.ledger.verdict(c.timeline.calm)
	c.report(out, v)
	return !v.failed() && grown == nil, grown
}

// setUp starts broker and bridges and waits until they are there.
func (c *chaos) setUp(ctx context.Context, out io.Writer) (err error) {
	if c.broker, err = newBroker(c.folder, func(err error) { c.ledger.blame("%v", err) }); err != nil {
		return err
	}
	if err := c.broker.start(); err != nil {
		return err
	}
	if c.clock {
		if c.clocked, err = buildWithClock(c.folder); err != nil {
			fmt.Fprintf(out, "skipped: no bridge with a clock that can be set: %v\n", err)
		}
	}
	for _, kind := range []string{"tcp", "pty", "mqtt"} {
		var n *network
		if kind == "tcp" && c.network {
			if n, err = newNetwork(); err != nil {
				fmt.Fprintf(out, "skipped: no network of its own for a bridge, its way is only stalled and broken off: %v\n", err)
			} else {
				c.networks = append(c.networks, n)
				fmt.Fprintf(out, "the bridge of %s has a network of its own, whose cable is pulled\n", kind)
			}
		}
		s, err := newSite(ctx, c.options, kind, c.ledger, c.timeline, c.broker, n)
		if err != nil {
			return err
		}
		c.sites = append(c.sites, s)
		if err := s.start(); err != nil {
			return err
		}
	}
	for _, s := range c.sites {
		if err := c.awaitOnline(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// awaitOnline waits until a bridge is subscribed. It may have reason to stay away for a while.
func (c *chaos) awaitOnline(ctx context.Context, s *site) error {
	for deadline := time.Now().Add(2 * time.Minute); !s.online(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("the bridge of %s does not come to the broker; its last words are %s", s.name, s.bridge.lastWords())
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	return nil
}

// calmSample samples a bridge that has had little to do for a moment. It polls now and then all
// the same, so that the least of some samples counts.
func (c *chaos) calmSample(ctx context.Context, s *site) (least sample, err error) {
	for range 6 {
		if !pause(ctx, time.Second) {
			return least, ctx.Err()
		}
		var now sample
		if now, err = s.sample(ctx); err == nil && (least.goroutines == 0 || now.goroutines < least.goroutines) {
			least = now
		}
	}
	if least.goroutines > 0 {
		err = nil
	}
	return least, err
}

func (c *chaos) makeUsers(ctx context.Context) (users []*user, err error) {
	for i, s := range c.sites {
		for j, kind := range kinds {
			u := &user{site: s, random: rand.New(rand.NewPCG(c.seed, uint64(100*i+j)))}
			if u.client, err = newClient(ctx, s, s.name+"-"+kind.name, c.broker.address); err != nil {
				return nil, err
			}
			if err := u.AwaitConnection(ctx); err != nil {
				return nil, err
			}
			users = append(users, u)
		}
	}
	return users, nil
}

// start lets the users act until stop is called, which waits for them.
func (c *chaos) start(ctx context.Context, users []*user) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i, u := range users {
		kind := kinds[i%len(kinds)]
		all.Go(func() { u.run(ctx, kind.pause, kind.act) })
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// wreak lets things go wrong for as long as wanted.
func (c *chaos) wreak(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.duration)
	defer cancel()
	var all sync.WaitGroup
	stream := uint64(1000)
	torment := func(what string, least, most time.Duration, deck []calamity) {
		stream++
		random := rand.New(rand.NewPCG(c.seed, stream))
		all.Go(func() { c.torment(ctx, random, what, least, most, deck) })
	}
	torment("broker", 5*time.Second, 40*time.Second, c.ofBroker())
	for _, s := range c.sites {
		torment("bridge of "+s.name, 5*time.Second, 40*time.Second, c.ofBridge(s))
		torment("way of "+s.name, 5*time.Second, 40*time.Second, c.ofWay(s))
		torment("requests to "+s.name, 10*time.Second, 40*time.Second, []calamity{{"flooded with QoS 0", func(ctx context.Context, random *rand.Rand) { c.flood(ctx, s, random) }}})
		if s.clockFile != "" {
			torment(s.clock(), 5*time.Second, 30*time.Second, c.ofClock(s))
		}
		torment("bus of "+s.name, 5*time.Second, 30*time.Second, c.ofBus(s))
	}
	all.Wait()
}

// recover lets everything come back and work for a moment.
func (c *chaos) recover(ctx context.Context) {
	for _, s := range c.sites {
		if err := c.awaitOnline(ctx, s); err != nil {
			c.ledger.blame("%v", err)
		}
	}
	pause(ctx, 10*time.Second)
}

// awaitReplies waits for the replies that are due.
func (c *chaos) awaitReplies(ctx context.Context) {
	for deadline := time.Now().Add(2 * time.Minute); c.ledger.pending() > 0 && time.Now().Before(deadline); {
		pause(ctx, 200*time.Millisecond)
	}
	pause(ctx, 2*time.Second)
}

func (c *chaos) cleanUp() {
	for _, s := range c.sites {
		s.bridge.cleanUp()
		s.witness.close()
	}
	if c.broker != nil {
		c.broker.cleanUp()
	}
	for _, n := range c.networks {
		n.remove()
	}
}
