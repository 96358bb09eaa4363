package meters

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

// ErrNotAll says that a meter did not answer all that it was asked, but may another time.
var ErrNotAll = errors.New("not all was answered")

// An errand is something about a meter that nobody waits for.
type errand struct {
	record *record
	do     func() error
}

// errands are begun in the order in which they came. The zero value has none.
type errands struct {
	mu      sync.Mutex
	waiting []errand
	active  int // errands that have begun
}

// addErrand has something about a meter done, now or when fewer errands are under way.
func (k *Keeper) addErrand(w *record, do func() error) {
	e := &k.errands
	e.mu.Lock()
	defer e.mu.Unlock()
	e.waiting = append(e.waiting, errand{w, do})
	k.runErrands()
}

// runErrands begins as many errands as may be under way. The caller holds errands.mu.
func (k *Keeper) runErrands() {
	e := &k.errands
	for len(e.waiting) > 0 && e.active < errandsAtOnce {
		next := e.waiting[0]
		begun := k.requests.Begin(func() {
			k.runErrand(next)
			e.mu.Lock()
			defer e.mu.Unlock()
			e.active--
			k.runErrands()
		})
		if !begun {
			return
		}
		e.waiting = slices.Delete(e.waiting, 0, 1)
		e.active++
	}
}

// runErrand runs an errand. A meter that was silent is asked once more, so that it is known soon
// whether it is offline.
func (k *Keeper) runErrand(e errand) {
	err := e.do()
	if (err == nil || errors.Is(err, ErrNotAll)) && e.record.undecided() {
		err = k.try(e.record)
	}
	if err != nil && !errors.Is(err, ErrNotAll) && !errors.Is(err, bus.ErrStopping) {
		k.limited.Warn("poll", "a round of polls is put off", "meter", e.record.Name, "err", err)
	}
}

// readItems reads items of a meter with the least urgency of all reads.
func (k *Keeper) readItems(w *record, items []string) error {
	return k.carryOut(w, protocol.Request{Verb: protocol.VerbRead, Items: items})
}

// carryOut carries a request to read out that nobody waits for. It returns ErrNotAll if some of
// it failed for a reason that may pass.
func (k *Keeper) carryOut(w *record, ask protocol.Request) error {
	ask.Class, ask.Address = protocol.ClassPoll, w.Current()
	plan, err := w.Protocol.Plan(ask, k.bus.Meter(ask.Address.MeterKey))
	if err != nil {
		return err
	}
	answered, err := k.requests.CarryOut(w.Entry, plan, ask.Items)
	if err != nil {
		return err
	}
	w.Learn(answered.Address, !answered.Silent)
	if answered.Passing {
		return ErrNotAll
	}
	return nil
}

// Read reads items of a meter that is looked after, the least urgent of all. An error says that not all came.
func (k *Keeper) Read(name string, items []string) error {
	if w := k.poller.named(name); w != nil {
		return k.readItems(w, items)
	}
	return nil
}

// try reads what shows whether a meter is there, if anything is known that does.
func (k *Keeper) try(w *record) error {
	items := w.trial()
	if len(items) == 0 {
		return nil
	}
	return k.readItems(w, items)
}

// probe asks a meter for anything, to see whether it is there. If that has told nothing, for the port was
// away or there was noise, refreshPresence asks again.
func (k *Keeper) probe(w *record) {
	k.addErrand(w, func() error {
		err := k.try(w)
		if err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.presence.again = time.Now().Add(FirstPause)
		}
		return err
	})
}
