//go:build linux

package main

import (
	"bytes"
	"fmt"
	"maps"
	"sync"
	"time"
)

// A ledger is the account of every request: who asked what, what became of it on its way, and
// what the meters did. Its methods may be called from many goroutines.
type ledger struct {
	mu      sync.Mutex
	entries map[string]*entry // by correlation data
	order   []*entry
	wrong   []string // what is wrong with replies, as it was noticed
	strange int      // replies without or with unknown correlation data
	tally   map[string]int
	values  int
	forged  int
	silence map[*site]*silence
	states  int
	newest  map[registerKey]int // the exchange of the newest value that a state has shown
	floods  map[*site]*flood    // under way
	flood   int                 // messages of floods that reached a bridge

	// Meters tell what they do while they are locked themselves, so this has a lock of its own.
	deedsMu sync.Mutex
	deeds   []deed
}

func newLedger() *ledger {
	return &ledger{entries: map[string]*entry{}, tally: map[string]int{}, silence: map[*site]*silence{}, newest: map[registerKey]int{}, floods: map[*site]*flood{}}
}

// An entry is one request, or a command whose message a client sends several times.
type entry struct {
	key       string // the correlation data
	site      *site
	user      string
	tail      string // of the topic, such as "read/main"
	body      []byte
	replyTail string // where the reply is to go, below reply/

	// check holds a reply against what is known of the meters. It is called with the ledger
	// locked; an error says what is wrong.
	check func(e *entry, r *bridgeReply) error

	// Of a command that can be recognised where it is carried out.
	meter string // address
	mark  string // what [deed] has

	asked  time.Time
	before map[string]int // exchanges that the meters had had then, by address

	accepted   []time.Time // when the broker acknowledged each message
	deliveries []*delivery // to the bridge
	answers    []*answer
	arrivals   int // of replies at the client
	arrived    chan struct{}
}

// A delivery is a message that the broker passed on to the bridge.
type delivery struct {
	session *connection
	at      time.Time
	taken   time.Time // when the bridge acknowledged it; zero: never
}

// An answer is a reply as it left the bridge.
type answer struct {
	session *connection
	at      time.Time
	payload []byte
	acked   time.Time // when the broker's acknowledgement went to the bridge; zero: never
	ackedAt int       // the place of that among all that went to the bridge in the session
	*bridgeReply
}

// known reports whether the bridge is certain to have read the acknowledgement: only then it
// must not send the reply again.
func (a *answer) known() bool { return !a.acked.IsZero() && a.ackedAt < a.session.read }

// A run is one life of a bridge's process.
type run struct {
	number int
	begun  time.Time
	ended  time.Time
	killed bool
}

// A connection is one connection of a bridge to the broker.
type connection struct {
	run        *run
	subscribed time.Time
	ended      time.Time
	sent       int // packets that went to the bridge
	read       int // the place of the last of these that it has certainly read
}

// A deed is a command that a meter has carried out.
type deed struct {
	site  *site
	meter string
	mark  string
	at    time.Time
}

// A silence is the longest time in which no reply left a bridge.
type silence struct {
	last    time.Time
	longest time.Duration
}

// ask enters a request that is about to be published.
func (l *ledger) ask(e *entry) {
	e.asked, e.before = time.Now(), e.site.exchanges()
	e.arrived = make(chan struct{}, 16)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[e.key] = e
	l.order = append(l.order, e)
}

// accept notes that the broker has acknowledged a message to its client.
func (l *ledger) accept(e *entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.accepted = append(e.accepted, time.Now())
}

// deliver notes that a message goes to a bridge.
func (l *ledger) deliver(s *connection, key string) *delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[key]
	if e == nil {
		return nil
	}
	d := &delivery{session: s, at: time.Now()}
	e.deliveries = append(e.deliveries, d)
	return d
}

// noteAcknowledged notes that a bridge has acknowledged a message.
func (l *ledger) noteAcknowledged(d *delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	d.taken = time.Now()
}

// answer notes a reply that leaves a bridge and checks it.
func (l *ledger) answer(s *connection, at *site, tail, key string, payload []byte) *answer {
	r, err := parseReply(payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if q := l.silence[at]; q != nil {
		if !q.last.IsZero() {
			q.longest = max(q.longest, now.Sub(q.last))
		}
		q.last = now
	}
	e := l.entries[key]
	if e == nil {
		l.strange++
		l.complain("%s: a reply to nobody on reply/%s: %s", at.name, tail, payload)
		return nil
	}
	a := &answer{session: s, at: now, payload: bytes.Clone(payload), bridgeReply: r}
	e.answers = append(e.answers, a)
	if err == nil && tail != e.replyTail {
		err = fmt.Errorf("it went to reply/%s, not to reply/%s", tail, e.replyTail)
	}
	if err == nil && e.site != at {
		err = fmt.Errorf("it came from another bridge, %s", at.name)
	}
	if err == nil {
		err = e.check(e, r)
	}
	if err != nil {
		l.complain("%v\n%s", err, e)
	}
	if r != nil {
		l.tally[r.verb()+" "+r.outcome()]++
	}
	return a
}

// state checks the published state of a meter.
func (l *ledger) state(at *site, meter string, payload []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.states++
	if err := at.checkState(meter, payload); err != nil {
		l.complain("the state of %s on %s: %v\n    %s\n", meter, at.name, err, payload)
	}
}

// acknowledge notes that the broker's acknowledgement of a reply goes to the bridge, and its
// place among all that went there.
func (l *ledger) acknowledge(a *answer, place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a.acked, a.ackedAt = time.Now(), place
}

// hasRead notes that the bridge has answered what went to it at a place, so that it has read
// all that went before.
func (l *ledger) hasRead(s *connection, place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.read = max(s.read, place)
}

// arrive notes a reply at a client; those of others do not count.
func (l *ledger) arrive(client, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[key]; e != nil && e.user == client {
		e.arrivals++
		select {
		case e.arrived <- struct{}{}:
		default: // nobody waits for so many
		}
	}
}

// carriedOut notes what a meter did.
func (l *ledger) carriedOut(d deed) {
	l.deedsMu.Lock()
	defer l.deedsMu.Unlock()
	l.deeds = append(l.deeds, d)
}

// complain notes something wrong. The caller holds the lock.
func (l *ledger) complain(format string, arguments ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, arguments...))
}

// blame does so for one that does not hold the lock.
func (l *ledger) blame(format string, arguments ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.complain(format, arguments...)
}

// count gives a packet on its way to the bridge its place.
func (l *ledger) count(s *connection) (place int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.sent++
	return s.sent
}

// pending tells how many requests that a living bridge has taken wait for their reply.
func (l *ledger) pending() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.order {
		taken := 0
		for _, d := range e.deliveries {
			if !d.taken.IsZero() && d.session.run.ended.IsZero() {
				taken++
			}
		}
		for _, a := range e.answers {
			if a.session.run.ended.IsZero() {
				taken--
			}
		}
		n += max(0, taken)
	}
	return n
}

func (l *ledger) outcomes() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.tally)
}

// String spells an entry for people.
func (e *entry) String() string {
	var b bytes.Buffer
	at := func(t time.Time) string { return t.Format("15:04:05.000") }
	fmt.Fprintf(&b, "    %s asked %s at %s for %s: %.200s\n", e.user, e.site.name, at(e.asked), e.tail, e.body)
	for _, d := range e.deliveries {
		fmt.Fprintf(&b, "    to run %d of the bridge at %s, taken: %t\n", d.session.run.number, at(d.at), !d.taken.IsZero())
	}
	for _, a := range e.answers {
		fmt.Fprintf(&b, "    reply of run %d at %s, acknowledged: %t: %.400s\n", a.session.run.number, at(a.at), !a.acked.IsZero(), a.payload)
	}
	return b.String()
}
