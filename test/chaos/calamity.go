//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// A calamity befalls one thing. It returns when all is as before, or sooner if ctx ends; then
// too all is as before.
type calamity struct {
	name string
	do   func(ctx context.Context, random *rand.Rand)
}

// A tormentor lets calamities befall things and counts them.
type tormentor struct {
	begun time.Time
	quiet bool

	mu      sync.Mutex
	counted map[string]int
}

// torment lets one calamity after another befall one thing until ctx ends, with pauses between
// them. They come like cards from a deck: each has come before any comes again.
func (t *tormentor) torment(ctx context.Context, random *rand.Rand, what string, least, most time.Duration, deck []calamity) {
	for {
		for _, i := range random.Perm(len(deck)) {
			if !pause(ctx, between(random, least, most)) {
				return
			}
			t.tell("%s: %s", what, deck[i].name)
			t.mu.Lock()
			t.counted[what+": "+deck[i].name]++
			t.mu.Unlock()
			begin := time.Now()
			deck[i].do(ctx, random)
			t.tell("%s: over after %.1f s", what, time.Since(begin).Seconds())
		}
	}
}

// tell prints what happens, with the seconds since the beginning.
func (t *tormentor) tell(format string, arguments ...any) {
	if !t.quiet {
		fmt.Printf("%7.1f  %s\n", time.Since(t.begun).Seconds(), fmt.Sprintf(format, arguments...))
	}
}

func between(random *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(random.Int64N(int64(most-least)+1))
}

// seldom returns a time between least and most in one of three cases; else a short one.
func seldom(random *rand.Rand, least, most time.Duration) time.Duration {
	if random.IntN(3) > 0 {
		least, most = time.Second, 5*time.Second
	}
	return between(random, least, most)
}

// pause waits, and reports whether ctx did not end meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// restart ends a process, waits, and starts it again.
func (c *chaos) restart(ctx context.Context, what string, end func(), wait time.Duration, start func() error) {
	over := c.timeline.begin(what)
	end()
	pause(ctx, wait)
	if err := start(); err != nil {
		c.ledger.blame("%v", err)
	}
	over(time.Second)
}

// freeze stops a process for a while; nobody is told.
func (c *chaos) freeze(ctx context.Context, what string, p *process, wait time.Duration) {
	over := c.timeline.begin(what)
	p.signal(syscall.SIGSTOP)
	pause(ctx, wait)
	p.signal(syscall.SIGCONT)
	over(time.Second)
}

// ofBroker are the calamities of the broker.
func (c *chaos) ofBroker() []calamity {
	b := c.broker
	return []calamity{
		{"killed", func(ctx context.Context, random *rand.Rand) {
			c.restart(ctx, "broker", b.kill, between(random, 0, 6*time.Second), b.start)
		}},
		{"stopped", func(ctx context.Context, random *rand.Rand) {
			c.restart(ctx, "broker", func() { b.stop(patience) }, between(random, 0, 3*time.Second), b.start)
		}},
		{"frozen", func(ctx context.Context, random *rand.Rand) {
			c.freeze(ctx, "broker", b.process, between(random, time.Second, 5*time.Second))
		}},
		{"frozen, sometimes for long", func(ctx context.Context, random *rand.Rand) {
			c.freeze(ctx, "broker", b.process, seldom(random, 16*time.Second, 40*time.Second))
		}},
	}
}

func (c *chaos) ofBridge(at *site) []calamity {
	p := at.bridge
	what := at.parts()[1]
	kill := func() { p.kill(); at.end(true) }
	return []calamity{
		{"killed", func(ctx context.Context, random *rand.Rand) {
			c.restart(ctx, what, kill, between(random, 0, 5*time.Second), at.start)
		}},
		{"killed and started at once", func(ctx context.Context, _ *rand.Rand) {
			c.restart(ctx, what, kill, 0, at.start)
		}},
		{"frozen", func(ctx context.Context, random *rand.Rand) {
			c.freeze(ctx, what, p, between(random, time.Second, 8*time.Second))
		}},
		{"frozen, sometimes for long", func(ctx context.Context, random *rand.Rand) {
			c.freeze(ctx, what, p, seldom(random, 20*time.Second, 40*time.Second))
		}},
		{"stopped", func(ctx context.Context, random *rand.Rand) {
			// That it stops is no excuse for a request that it has taken.
			if !p.stop(patience) {
				c.ledger.blame("%s did not stop within %s of SIGTERM", p.name, patience)
			}
			at.end(false)
			c.restart(ctx, what, func() {}, between(random, 0, 3*time.Second), at.start)
		}},
	}
}

// ofWay are the calamities of the way between bridge and broker, and with a network of its own
// also of that between bridge and bus.
func (c *chaos) ofWay(at *site) []calamity {
	what := at.parts()[2]
	deck := []calamity{
		{"reset", func(context.Context, *rand.Rand) {
			over := c.timeline.begin(what)
			at.witness.breakOff()
			over(time.Second)
		}},
		{"stalled", func(ctx context.Context, random *rand.Rand) {
			over, end := c.timeline.begin(what), at.witness.stall()
			pause(ctx, seldom(random, 5*time.Second, 40*time.Second))
			end()
			over(time.Second)
		}},
	}
	if at.network == nil {
		return deck
	}
	return append(deck, calamity{"cable pulled", func(ctx context.Context, random *rand.Rand) {
		over := c.timeline.begin(what)
		if err := at.network.cut(); err != nil {
			c.ledger.blame("%v", err)
		}
		wait := seldom(random, 5*time.Second, 40*time.Second)
		pause(ctx, wait)
		if err := at.network.mend(); err != nil {
			c.ledger.blame("%v", err)
		}
		over(wait + 5*time.Second) // TCP tries again at intervals that double
	}})
}

func (c *chaos) ofBus(at *site) []calamity {
	return []calamity{
		{"reset", func(context.Context, *rand.Rand) { at.line.Reset() }},
		{"stalled", func(_ context.Context, random *rand.Rand) {
			at.line.Stall(time.Now().Add(between(random, time.Second, 20*time.Second)))
		}},
		{"holding back", func(_ context.Context, random *rand.Rand) {
			at.line.HoldBack(time.Now().Add(between(random, time.Second, 15*time.Second)))
		}},
		{"port gone", func(ctx context.Context, random *rand.Rand) {
			at.line.Unplug(time.Now().Add(time.Hour))
			pause(ctx, between(random, time.Second, 15*time.Second))
			at.line.Unplug(time.Now())
		}},
		{"a meter off", func(_ context.Context, random *rand.Rand) {
			m := at.meters[metersOnSite[random.IntN(len(metersOnSite))].options.Address]
			m.SwitchOff(time.Now().Add(between(random, 5*time.Second, 30*time.Second)))
		}},
	}
}
