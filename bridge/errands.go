package bridge

import (
	"errors"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// errandsAtOnce is how many rounds may wait for the bus: enough to keep it busy, also if some find
// their meters silent, and few enough not to hold the plans of a hundred meters in memory.
const errandsAtOnce = 16

// errMissing says that a meter did not answer all that it was asked aside, but may another time.
var errMissing = errors.New("not all was answered")

// An errand is something about a meter that nobody waits for.
type errand struct {
	watch *watch
	do    func() error
}

// errands are begun in the order in which they came. The zero value has none.
type errands struct {
	mu      sync.Mutex
	waiting []errand
	active  int // errands that have begun
}

// aside has something about a meter done, now or when fewer errands are under way.
func (b *Bridge) aside(w *watch, do func() error) {
	e := &b.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, errand{w, do})
	b.runErrands()
}

// runErrands begins as many errands as may be under way. The caller holds errands.mu.
func (b *Bridge) runErrands() {
	e := &b.errands
	for len(e.waiting) > 0 && e.active < errandsAtOnce && b.admission.enter() {
		next := e.waiting[0]
		e.waiting = slices.Delete(e.waiting, 0, 1)
		e.active++
		b.later(func() {
			b.errand(next)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.active--
			b.runErrands()
		})
	}
}

// errand runs an errand. A meter that was silent is asked once more, so that it is known soon
// whether it is offline.
func (b *Bridge) errand(e errand) {
	err := e.do()
	if (err == nil || errors.Is(err, errMissing)) && e.watch.undecided() {
		err = b.readAside(e.watch, e.watch.trial())
	}
	if err != nil && !errors.Is(err, errMissing) && !errors.Is(err, bus.ErrStopping) {
		b.limited.Warn("poll", "a round of polls is put off", "meter", e.watch.Name, "err", err)
	}
}

// readAside reads items of a meter with the least urgency of all reads.
func (b *Bridge) readAside(w *watch, items []string) error {
	return b.workAside(w, protocol.Request{Verb: protocol.VerbRead, Items: items})
}

// workAside carries a request to read out that nobody waits for. It returns errMissing if some of
// it failed for a reason that may pass.
func (b *Bridge) workAside(w *watch, ask protocol.Request) error {
	ask.Class, ask.Address = protocol.ClassPoll, w.current()
	plan, err := w.Protocol.Plan(ask, b.bus.Meter(ask.Address.MeterKey))
	if err != nil {
		return err
	}
	r := &request{protocol: w.Protocol, mode: w.Mode, items: ask.Items} // without a deadline
	p, err := b.begin(r, plan, false)
	if err != nil {
		return err
	}
	c := b.hold(r, p)
	w.learn(c.address, !c.silent())
	if c.passing() {
		return errMissing
	}
	return nil
}

// probe asks a meter for anything, to see whether it is there. If that has told nothing, for the port was
// away or there was noise, refreshPresence asks again.
func (b *Bridge) probe(w *watch) {
	b.aside(w, func() error {
		err := b.readAside(w, w.trial())
		if err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.presence.again = time.Now().Add(firstPause)
		}
		return err
	})
}
