package meters

import (
	"cmp"
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// longestNap is the longest time between two looks at the schedule: the clock of the host may be set meanwhile.
const longestNap = 10 * time.Second

// A poller knows what is to be read when. Each round reads the points of one meter that have the
// same interval; it begins when the clock shows a multiple of it, and not while the last one is
// still under way.
type poller struct {
	wake chan struct{} // there are other rounds
	root string        // rounds that need not be on the clock begin at a moment that each root has for itself

	mu      sync.Mutex
	records map[string]*record // by name, or address
	rounds  map[roundKey]*round
	missed  uint64 // rounds that were due while the one before was under way
}

type roundKey struct {
	meter    string
	interval time.Duration
}

// atOnce in place of a multiple makes a round due.
const atOnce = -1

// A round that has not brought all begins again after FirstPause, then after twice as long each
// time until LongestPause: a day is a long time to wait for the next one.
const (
	FirstPause   = 30 * time.Second
	LongestPause = 16 * time.Minute
)

// A round is guarded by poller.mu; its record and interval never change.
type round struct {
	record   *record
	interval time.Duration
	phase    time.Duration // after the multiples of the interval
	items    []string      // nil: the inspection
	turn     int64         // the multiple at which it was last begun, or atOnce
	running  bool
	pause    time.Duration // before it begins again because the last one did not bring all; 0: it did
	again    time.Time     // when it begins again for that; zero: when it is due
}

// setTable makes the poller work by a table. It returns the meters whose state is not to be
// kept by the broker, most of all those without points, and those that are not looked after any
// more. It must not be called twice at a time.
func (p *poller) setTable(t *points.Table, d *Directory) (unkept, over []*record) {
	records := p.recordsFor(t, d)
	wanted := map[roundKey][]string{}
	lists := map[string][]*points.Point{}
	clocked := map[roundKey]bool{} // somebody has asked for the interval
	for i := range t.Points {
		point := &t.Points[i]
		key := roundKey{point.Meter, point.Interval}
		wanted[key] = append(wanted[key], point.Item)
		clocked[key] = clocked[key] || !point.Spread
		lists[point.Meter] = append(lists[point.Meter], point)
	}
	for name, w := range records {
		list := lists[name]
		w.setPoints(list)
		switch {
		case len(list) > 0:
			wanted[roundKey{name, 0}] = nil
			if !list[0].Retain {
				unkept = append(unkept, w)
			}
		case w.configured:
			unkept = append(unkept, w)
		default:
			over = append(over, w)
		}
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range over {
		delete(p.records, w.Name)
	}
	for key := range p.rounds {
		if _, ok := wanted[key]; !ok {
			delete(p.rounds, key)
		}
	}
	for key, items := range wanted {
		r := p.rounds[key]
		if r == nil {
			r = newRound(records[key.meter], key)
			p.rounds[key] = r
			r.phase = p.phase(r, key, clocked[key])
		} else if !slices.Equal(r.items, items) {
			r.turn = atOnce
			r.phase = p.phase(r, key, clocked[key])
		}
		r.items = items
	}
	p.wakeUp()
	return unkept, over
}

// recordsFor returns the meters that are looked after, and those that the table adds.
func (p *poller) recordsFor(t *points.Table, d *Directory) map[string]*record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rounds == nil {
		p.wake = make(chan struct{}, 1)
		p.records, p.rounds = map[string]*record{}, map[roundKey]*round{}
		for _, m := range d.meters {
			p.records[m.Name] = newRecord(m, true)
		}
	}
	for _, name := range t.Meters() {
		if p.records[name] == nil {
			p.records[name] = newRecord(&Entry{Meter: Meter{Name: name, Address: d.unnamed(name), Protocol: d.fallback}}, false)
		}
	}
	return maps.Clone(p.records)
}

// wakeUp has the schedule looked at anew.
func (p *poller) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default: // it will be
	}
}

// hurry makes the rounds of a meter due that has come back: what is known of it is old.
func (p *poller) hurry(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, r := range p.rounds {
		if key.meter == name && !r.running {
			r.turn = atOnce
		}
	}
	p.wakeUp()
}

func newRound(w *record, key roundKey) *round {
	r := &round{record: w, interval: key.interval, turn: atOnce}
	if r.interval == 0 {
		r.interval = inspectionInterval
	}
	return r
}

// phase returns how long after the multiples of its interval a round begins. One that somebody has asked
// for begins with them, if they are those of the hour or the day. When others come does not matter, so not
// all at once: neither those of one bridge nor, where nobody has asked for an interval, those of many
// bridges at one broker.
func (p *poller) phase(r *round, key roundKey, clocked bool) time.Duration {
	const day = 24 * time.Hour
	name := p.root
	if key.interval == 0 || day%r.interval != 0 || time.Hour%r.interval != 0 && r.interval%time.Hour != 0 {
		name = r.record.Name
	} else if clocked {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	return (time.Duration(h.Sum64() % uint64(r.interval))).Truncate(time.Millisecond)
}

// multiple returns how many intervals the clock of a zone has shown, and when it shows the next.
func (r *round) multiple(now time.Time, zone *time.Location) (turn int64, next time.Time) {
	_, offset := now.In(zone).Zone()
	shown := time.Duration(now.UnixNano()) + time.Duration(offset)*time.Second - r.phase
	return int64(shown / r.interval), now.Add(r.interval - shown%r.interval)
}

// A call is a round that is to begin, and what is to be read.
type call struct {
	*round
	items []string
}

// due returns the rounds that are to begin, the most frequent first, and when to look again.
func (p *poller) due(now time.Time, zone *time.Location) (due []call, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next = now.Add(longestNap)
	for _, r := range p.rounds {
		turn, at := r.multiple(now, zone)
		if at.Before(next) {
			next = at
		}
		again := !r.again.IsZero() && !now.Before(r.again)
		if !again && !r.again.IsZero() && r.again.Before(next) {
			next = r.again
		}
		switch {
		case turn == r.turn && !again, r.running && r.turn == atOnce: // that begins when what is under way is over
			continue
		case r.running:
			p.missed++
		default:
			r.running, r.again = true, time.Time{}
			due = append(due, call{r, r.items})
		}
		r.turn = turn
	}
	slices.SortFunc(due, func(a, b call) int {
		return cmp.Or(cmp.Compare(a.interval, b.interval), cmp.Compare(a.record.Name, b.record.Name))
	})
	return due, next
}

// roundEnded notes that a round has ended, and whether it has brought all.
func (p *poller) roundEnded(r *round, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.running = false
	if all {
		r.pause = 0
	} else {
		r.pause = min(max(FirstPause, 2*r.pause), LongestPause)
		r.again = time.Now().Add(r.pause)
	}
	if !all || r.turn == atOnce {
		p.wakeUp()
	}
}

// ItemsOf returns the points of a meter by its name, or its address if it has none, without those that it is known
// not to have unless that is all of them; nil if there are none.
func (k *Keeper) ItemsOf(name string) []string { return k.poller.itemsOf(name, time.Now()) }

// itemsOf returns the points of a meter, without those that it is known not to have unless that is all of
// them; nil if there are none.
func (p *poller) itemsOf(name string, now time.Time) []string {
	p.mu.Lock()
	w := p.records[name]
	p.mu.Unlock()
	if w == nil {
		return nil
	}
	w.mu.Lock()
	order := w.order
	w.mu.Unlock()
	if asked := w.asked(order, now); asked != nil {
		return asked
	}
	return order
}

// MissedPolls returns how many rounds were left out because the one before was under way.
func (k *Keeper) MissedPolls() uint64 { return k.poller.missedSoFar() }

// missedSoFar returns how many rounds were left out because the one before was under way.
func (p *poller) missedSoFar() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.missed
}

// all returns the meters that are looked after.
func (p *poller) all() (all []*record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.records {
		all = append(all, w)
	}
	return all
}

// named returns what is kept of the meter of that name, or address if it has none; nil: nothing.
func (p *poller) named(name string) *record {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records[name]
}

// recordOf returns what is kept of the meter that a step was for, or nil.
func (p *poller) recordOf(d *Directory, o *Outcome) *record {
	m := d.byKey[o.Meter]
	for _, key := range []protocol.MeterKey{o.Result.Address.MeterKey, o.Meter} {
		if m == nil && key.Text != "" {
			m = d.At(key)
		}
	}
	name := o.Meter.Text
	if m != nil {
		name = m.Name
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.records[name]
}

// TablePatience is how long the rounds wait for a broker that may have kept a point table. Without one
// nobody hears of what they bring, but the metrics show it, and the first state is newer.
const TablePatience = 30 * time.Second

// awaitTable waits until it is known which point table to begin with: the one that the broker has kept
// of an earlier run, or that of the configuration, of which nothing is read if it is not in force.
func (k *Keeper) awaitTable(ctx context.Context) {
	timer := time.NewTimer(TablePatience)
	defer timer.Stop()
	select {
	case <-k.beginning:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Poll begins the rounds when they are due, until ctx ends. Each round begins once at the start,
// and named meters without points are asked once, so that it is known who is there.
func (k *Keeper) Poll(ctx context.Context) {
	k.awaitTable(ctx)
	for _, w := range k.poller.all() {
		if !w.hasPoints() {
			k.probe(w)
		}
	}
	for {
		due, next := k.poller.due(time.Now(), k.config.Zone)
		for _, c := range due {
			k.beginRound(c)
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-k.poller.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// beginRound has a round done.
func (k *Keeper) beginRound(c call) {
	k.addErrand(c.record, func() (err error) {
		defer func() { k.poller.roundEnded(c.round, err == nil) }()
		if c.items == nil {
			return k.inspectMeter(c.record)
		}
		items := c.record.arranged(c.items, time.Now())
		if len(items) == 0 {
			items = c.items[:1] // whether the meter is there is worth knowing all the same
		}
		return k.readItems(c.record, items)
	})
}
