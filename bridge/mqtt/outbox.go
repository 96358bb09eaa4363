package mqtt

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"dlt645-mqtt/bridge/limit"
)

// The bounds of the outbox.
const (
	outboxInFlight = 32        // publishes that wait for the broker's acknowledgement
	statesInFlight = 16        // the same, of retained ones: on a new connection there are hundreds
	outboxBytes    = 8 << 20   // what may wait while the broker is away
	outboxRoom     = 1000      // messages that may wait while the broker is to send more requests
	lightBytes     = 256 << 10 // what may wait in the light lane while more is read of what the broker sends
	readingBytes   = 4 << 20   // what may wait of readings while the broker is away
	readingsMost   = 8         // publishes of readings that wait for the broker's acknowledgement
	refusalPause   = 15 * time.Second

	// mostAttempts of a message may end with the connection before it is given up.
	mostAttempts = 5
)

var (
	// ErrTooLarge says that the broker takes no message of this size.
	ErrTooLarge = errors.New("the message is larger than the broker takes")

	// ErrNotNow says that the broker has refused a message that it may take later.
	ErrNotNow = errors.New("the broker does not take the message now")
)

// A Publisher sends one message and waits for the acknowledgement. final reports an error
// that trying again will not mend. After any other error but ErrNotNow nobody knows whether
// the broker has the message.
type Publisher func(ctx context.Context, m Outgoing) (final bool, err error)

// An Outbox publishes messages over whatever connection there is. What it has accepted goes
// out in the end, after an outage too, unless so much piles up that the oldest must give way.
// Retained messages are state: only the newest of a topic counts, and each connection gets all
// of them, since the broker may have lost its store.
//
// Its lock is the last that anybody takes: nothing is called with it held but the log.
type Outbox struct {
	log *limit.Logger

	mu       sync.Mutex
	idle     sync.Cond // signalled when nothing waits and nothing is in flight
	queue    lane      // replies, results and events
	alone    bool      // the one of the queue in flight is a suspect, and goes alone
	event    bool      // one of those in flight is an event
	dropped  int
	blocked  []func() // called when there is room in the queue again
	readings lane     // they go when no reply waits
	lost     uint64   // readings that were given up
	newest   map[string]*newest
	states   int  // of those: in flight
	closed   bool // drained: nobody sees to what is put in from now on
	publish  Publisher
	ctx      context.Context // of the connection, while publish is not nil

	// The light lane: replies to requests of QoS 0 while too many others wait. What is sent without an
	// acknowledgement goes as fast as the broker reads, and who may put more there waits until it has.
	light        lane
	lightSending bool      // a goroutine sends them
	lighter      sync.Cond // signalled when there are fewer
}

// A newest message is the latest of one topic. Its publishes follow one another, or an
// older state could overtake a newer one.
type newest struct {
	Outgoing
	stage    stage
	answered bool      // the broker has said something to one over this connection: it does not break it
	clear    *Outgoing // goes before it: has the broker forget what it kept; nil: nothing does
}

// A stage says how far the newest message of a topic is.
type stage int

const (
	published stage = iota // the broker has it
	due                    // it waits
	sending                // it is on its way
	overtaken              // an older one is on its way, and it is to follow
)

// send makes it due, also where the broker has it.
func (n *newest) send() {
	switch n.stage {
	case published:
		n.stage = due
	case sending:
		n.stage = overtaken
	}
}

// NewOutbox returns an outbox that waits for a connection.
func NewOutbox(log *limit.Logger) *Outbox {
	o := &Outbox{log: log, newest: map[string]*newest{}}
	o.idle.L, o.lighter.L = &o.mu, &o.mu
	return o
}

// Put accepts a message; it never waits.
func (o *Outbox) Put(m Outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m.Payload = bytes.Clone(m.Payload) // without the room that was left for it to grow
	switch {
	case m.Kind.newest():
		n := o.newest[m.Topic]
		if n == nil {
			n = &newest{}
			o.newest[m.Topic] = n
		}
		switch {
		case m.Kind.Retained():
			n.clear = nil
		case n.Kind.Retained() && len(n.Payload) == 0 && n.stage != published:
			kept := n.Outgoing
			n.clear = &kept
		}
		n.Outgoing = m
		n.send()
	case m.Kind == Reading:
		o.readings.append(m)
		o.boundReadings()
	case m.Kind == Light && len(o.queue.messages) >= outboxRoom && o.publish != nil:
		o.light.append(m)
	case m.Kind == Result: // it goes before all that nobody waits for with a hand on the switch
		o.queue.insert(o.firstOfOthers(len(o.queue.messages)), m)
		o.makeRoom()
	default:
		o.queue.append(m)
		o.makeRoom()
	}
	o.pump()
}

// firstOfOthers returns the place of the first message in the queue that is no result, else otherwise.
func (o *Outbox) firstOfOthers(otherwise int) int {
	if i := slices.IndexFunc(o.queue.messages, func(m Outgoing) bool { return m.Kind != Result }); i >= 0 {
		return i
	}
	return otherwise
}

// WhenRoom calls f once not too many messages wait: at once, or later from another goroutine.
// If the connection ends before, or after drain, f is not called.
func (o *Outbox) WhenRoom(f func()) {
	o.mu.Lock()
	now := !o.closed && len(o.queue.messages) < outboxRoom
	if !o.closed && !now {
		o.blocked = append(o.blocked, f)
	}
	o.mu.Unlock()
	if now {
		f()
	}
}

// Brake waits until the light lane has room. Whoever reads messages of QoS 0, which nothing else keeps the
// broker from sending, calls it after each.
func (o *Outbox) Brake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.light.bytes > lightBytes && o.publish != nil {
		o.lighter.Wait()
	}
}

// sendLight sends what is in the light lane. When the connection breaks, what is left goes the way of all
// others, over the next one.
func (o *Outbox) sendLight(connection context.Context, publish Publisher) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.light.messages) > 0 {
		m := o.light.messages[0]
		m.Kind = Fleeting
		o.mu.Unlock()
		_, err := publish(connection, m)
		if errors.Is(err, ErrTooLarge) && m.Short != nil {
			m.Payload = m.Short()
			_, err = publish(connection, m)
		}
		o.mu.Lock()
		if connection.Err() != nil || err != nil && !errors.Is(err, ErrTooLarge) {
			break // it has broken, and who waits for room must not keep it from ending
		}
		o.light.remove(0)
		o.lighter.Broadcast()
	}
	for _, m := range o.light.messages {
		o.queue.append(m)
	}
	o.light, o.lightSending = lane{}, false
	o.lighter.Broadcast()
	o.makeRoom()
	o.pump()
}

// Pass publishes a message here and now, or not at all.
func (o *Outbox) Pass(ctx context.Context, m Outgoing) {
	o.mu.Lock()
	publish := o.publish
	o.mu.Unlock()
	if publish != nil {
		m.Kind = Fleeting
		_, _ = publish(ctx, m) // whoever watches sees the next one
	}
}

// makeRoom gives up the oldest messages beyond the bound, results of commands last.
func (o *Outbox) makeRoom() {
	for o.queue.bytes > outboxBytes && len(o.queue.messages) > 1 {
		o.queue.remove(o.firstOfOthers(0))
		if o.dropped++; o.dropped == 1 {
			o.log.Log(slog.LevelError, "outbox full", "replies are lost, the oldest first: the broker has been away for too long, or takes them slower than it sends requests", "waiting", len(o.queue.messages))
		}
	}
}

// boundReadings gives up the oldest readings beyond the bound, and counts them.
func (o *Outbox) boundReadings() {
	for o.readings.bytes > readingBytes && len(o.readings.messages) > 1 {
		o.readings.remove(0)
		o.lost++
		o.log.Log(slog.LevelError, "readings lost", "readings are lost, the oldest first: the broker has been away for too long, or takes them too slowly", "lost", o.lost, "waiting", len(o.readings.messages))
	}
}

// LostReadings returns how many readings were given up.
func (o *Outbox) LostReadings() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost
}

// Up begins to publish over a connection, which ends with ctx.
func (o *Outbox) Up(ctx context.Context, publish Publisher) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return // it is gone already
	}
	o.ctx, o.publish = ctx, publish
	for _, n := range o.newest {
		n.send()
		n.answered = false
	}
	o.pump()
}

// Again publishes all state once more.
func (o *Outbox) Again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.newest {
		if n.Kind != Passing { // which has just been told anew
			n.send()
		}
	}
	o.pump()
}

// Down stops publishing until the next connection.
func (o *Outbox) Down() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.publish, o.blocked = nil, nil
	o.lighter.Broadcast()
	if o.dropped > 0 {
		o.log.Log(slog.LevelError, "outbox lost", "replies were lost", "lost", o.dropped)
		o.dropped = 0
	}
}

// inFlight is how many publishes wait for the broker's acknowledgement.
func (o *Outbox) inFlight() int { return o.queue.sending + o.readings.sending + o.states }

// pump starts as many publishes as may be in flight. The caller holds the lock.
func (o *Outbox) pump() {
	if o.publish == nil || o.ctx.Err() != nil {
		return
	}
	o.pumpStates()
	o.pumpQueue()
	for len(o.readings.messages) > 0 && len(o.queue.messages) == 0 && o.readings.sending < readingsMost && o.inFlight() < outboxInFlight && !o.alone {
		go o.sendReading(o.ctx, o.publish, o.readings.send())
	}
	if len(o.light.messages) > 0 && !o.lightSending {
		o.lightSending = true
		go o.sendLight(o.ctx, o.publish)
	}
	if blocked := o.blocked; len(blocked) > 0 && len(o.queue.messages) <= outboxRoom/2 {
		o.blocked = nil
		go func() {
			for _, f := range blocked {
				f()
			}
		}()
	}
	if o.empty() {
		o.idle.Broadcast()
	}
}

func (o *Outbox) pumpStates() {
	// A suspect has its turn as soon as the states have had theirs once, however often they change.
	lone := len(o.queue.messages) > 0 && o.queue.messages[0].attempts > 0 && !o.alone
	for _, n := range o.newest {
		if n.stage != due || o.states >= statesInFlight || lone && n.answered || n.Kind == Following && o.leading() {
			continue
		}
		m := n.Outgoing
		n.stage = sending
		if n.clear != nil {
			m, n.stage = *n.clear, overtaken
		}
		o.states++
		go o.sendNewest(o.ctx, o.publish, n, m)
	}
}

func (o *Outbox) pumpQueue() {
	for len(o.queue.messages) > 0 && o.inFlight() < outboxInFlight && !o.alone {
		first := &o.queue.messages[0]
		if first.Kind == Event && o.event {
			return
		}
		if first.attempts > 0 {
			// It may be what breaks the connection, so it goes alone and takes no other with it.
			if o.inFlight() > 0 {
				return
			}
			o.alone = true
		}
		o.event = o.event || first.Kind == Event
		go o.sendQueued(o.ctx, o.publish, o.queue.send())
	}
}

// empty reports whether nothing waits and nothing is on its way. States count only while they are.
func (o *Outbox) empty() bool {
	return len(o.queue.messages) == 0 && len(o.light.messages) == 0 && len(o.readings.messages) == 0 && o.inFlight() == 0
}

// Holds reports whether a topic has a retained message, or one that the broker has not forgotten yet.
func (o *Outbox) Holds(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.newest[topic] != nil
}

// leading reports whether anything that leads has not had its turn on this connection.
func (o *Outbox) leading() bool {
	for _, n := range o.newest {
		if n.Kind == Leading && !n.answered && n.stage != published {
			return true
		}
	}
	return false
}

func (o *Outbox) sendQueued(connection context.Context, publish Publisher, m Outgoing) {
	again := o.attempt(connection, publish, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue.sending--
	o.alone = false
	o.event = o.event && m.Kind != Event
	if again && connection.Err() == nil {
		m.attempts = 0 // the broker has answered: this is not what breaks connections
	} else if again {
		if m.attempts++; m.attempts >= mostAttempts {
			again = false
			o.log.Log(slog.LevelError, "poison", "a message is given up: each time it was sent the connection ended", "topic", limit.Cut(m.Topic, mostLogged), "bytes", len(m.Payload))
		}
	}
	if again {
		o.queue.insert(0, m)
		o.makeRoom()
	}
	o.pump()
}

// sendReading publishes one reading. It is tried again over the next connection.
func (o *Outbox) sendReading(connection context.Context, publish Publisher, m Outgoing) {
	again := o.attempt(connection, publish, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.readings.sending--
	if again && connection.Err() != nil {
		m.attempts++
	}
	if again && m.attempts < mostAttempts {
		o.readings.insert(0, m)
		o.boundReadings()
	} else if again {
		o.lost++
	}
	o.pump()
}

// sendNewest publishes m for a topic: its newest message, or what goes before that.
func (o *Outbox) sendNewest(ctx context.Context, publish Publisher, n *newest, m Outgoing) {
	again := o.attempt(ctx, publish, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.states--
	if n.stage == overtaken || again {
		n.stage = due
	} else {
		n.stage = published
	}
	n.answered = n.answered || ctx.Err() == nil
	if len(m.Payload) == 0 && !again { // the broker has forgotten the topic, and need not be told again
		n.clear = nil
	}
	if (len(m.Payload) == 0 || m.Kind == Passing) && n.stage == published {
		delete(o.newest, m.Topic)
	}
	o.pump()
}

// attempt publishes once and reports whether the message must be tried again. If the broker's
// acknowledgement does not come, it waits for the end of the connection: over the same one the
// message must not be sent again (MQTT 5, clause 4.4), for a broker that was only slow would
// pass it on twice.
func (o *Outbox) attempt(connection context.Context, publish Publisher, m Outgoing) (again bool) {
	final, err := publish(connection, m)
	switch {
	case err == nil:
		return false
	case errors.Is(err, ErrTooLarge) && m.Short != nil:
		m.Payload, m.ContentType, m.Short = m.Short(), JSON, nil
		return o.attempt(connection, publish, m)
	case final:
		o.log.Log(slog.LevelError, "not taken", "the broker does not take a message", "topic", limit.Cut(m.Topic, mostLogged), "err", err)
		return false
	case errors.Is(err, ErrNotNow):
		pause := time.NewTimer(refusalPause)
		defer pause.Stop()
		select {
		case <-pause.C:
		case <-connection.Done():
		}
		return true
	}
	<-connection.Done()
	return true
}

// Drain waits until everything is out, at most for limit, and without a connection not at all. It reports
// whether the broker has acknowledged all of it.
func (o *Outbox) Drain(limit time.Duration) (all bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	over := false
	timer := time.AfterFunc(limit, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		over = true
		o.idle.Broadcast()
	})
	defer timer.Stop()
	for !over && o.publish != nil && !o.empty() {
		o.idle.Wait()
	}
	o.closed, o.blocked = true, nil
	if n := len(o.queue.messages); n > 0 {
		o.log.Warn("undelivered", "stopping with replies that could not be published", "replies", n)
	}
	return !over && o.publish != nil
}

// Waiting returns how many messages wait.
func (o *Outbox) Waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue.messages) + len(o.light.messages)
}
