package bridge

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	contentJSON  = "application/json"
	contentBytes = "application/octet-stream"
	contentText  = "text/plain"
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
	// errTooLarge tells that the broker takes no message of this size.
	errTooLarge = errors.New("the message is larger than the broker takes")

	// errNotNow tells that the broker has refused a message that it may take later.
	errNotNow = errors.New("the broker does not take the message now")
)

// An outgoing message waits for the broker.
type outgoing struct {
	topic       string
	payload     []byte
	contentType string
	correlation []byte
	retain      bool
	command     bool // the result of a command: given up last of all
	transient   bool // worth nothing later: QoS 0
	ordered     bool // not before the last one that is ordered has been acknowledged
	current     bool // only the newest of its topic counts, as if it were retained
	reading     bool // of a meter, for databases: goes after all else, and is given up first
	passing     bool // retained, and large, and told anew over each connection: not kept once the broker has it
	light       bool // answers a message of QoS 0, and may go with QoS 0 itself if too many wait
	leads       bool // of what is retained: goes out on each connection before what follows
	follows     bool // of what is retained: goes out after all that leads

	short    func() []byte // the JSON to send if the broker takes no message of this size; nil: nothing
	attempts int           // that ended with the connection: perhaps the message is why
}

// packet is the most bytes that a message takes on the way to the broker.
func (m *outgoing) packet() int { return len(m.topic) + len(m.payload) + len(m.correlation) + 100 }

// memory is about what it takes while it waits, in bytes.
func (m *outgoing) memory() int { return len(m.topic) + cap(m.payload) + cap(m.correlation) + 300 }

// A publisher sends one message and waits for the acknowledgement. final tells of an error
// that trying again will not mend. After any other error but errNotNow nobody knows whether
// the broker has the message.
type publisher func(ctx context.Context, m outgoing) (final bool, err error)

// An outbox publishes messages over whatever connection there is. What it has accepted goes
// out in the end, after an outage too, unless so much piles up that the oldest must give way.
// Retained messages are state: only the newest of a topic counts, and each connection gets all
// of them, since the broker may have lost its store.
type outbox struct {
	log *limiter

	mu       sync.Mutex
	idle     sync.Cond // signalled when nothing waits and nothing is in flight
	queue    []outgoing
	bytes    int
	retained map[string]*retainedMessage
	inFlight int
	states   int  // of those: retained ones
	suspect  bool // the one in flight goes alone
	ordered  bool // one of those in flight is ordered
	dropped  int
	held     []func() // called when there is room again

	// Readings go when no reply waits.
	readings        []outgoing
	readingBytes    int // that they take
	readingsSending int // of those in flight
	readingsLost    uint64

	// The light lane: replies to requests of QoS 0 while too many others wait. What is sent without an
	// acknowledgement goes as fast as the broker reads, and who may put more there waits until it has.
	light        []outgoing
	lightBytes   int       // that they take
	lightSending bool      // a goroutine sends them
	lighter      sync.Cond // signalled when there are fewer
	closed       bool      // drained: nobody sees to what is put in from now on

	publish publisher       // nil while there is no connection
	ctx     context.Context // of the connection
}

// A retainedMessage is the newest state of one topic. Its publishes follow one another, or an
// older state could overtake a newer one.
type retainedMessage struct {
	outgoing
	sending, due bool
	answered     bool      // the broker has said something to one over this connection: it does not break it
	clear        *outgoing // goes before it: has the broker forget what it kept; nil: nothing does
}

func newOutbox(log *limiter) *outbox {
	o := &outbox{log: log, retained: map[string]*retainedMessage{}}
	o.idle.L, o.lighter.L = &o.mu, &o.mu
	return o
}

// put accepts a message; it never waits.
func (o *outbox) put(m outgoing) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m.payload = bytes.Clone(m.payload) // without the room that was left for it to grow
	switch {
	case m.retain || m.current:
		r := o.retained[m.topic]
		if r == nil {
			r = &retainedMessage{}
			o.retained[m.topic] = r
		}
		switch {
		case m.retain:
			r.clear = nil
		case r.retain && len(r.payload) == 0 && (r.due || r.sending):
			kept := r.outgoing
			r.clear = &kept
		}
		r.outgoing, r.due = m, true
	case m.reading:
		o.readings = append(o.readings, m)
		o.readingBytes += m.memory()
		o.boundReadings()
	case m.light && len(o.queue) >= outboxRoom && o.publish != nil:
		m.transient = true
		o.light = append(o.light, m)
		o.lightBytes += m.memory()
	default:
		at := len(o.queue)
		if m.command { // it goes before all that nobody waits for with a hand on the switch
			if i := slices.IndexFunc(o.queue, func(m outgoing) bool { return !m.command }); i >= 0 {
				at = i
			}
		}
		o.queue = slices.Insert(o.queue, at, m)
		o.bytes += m.memory()
		o.makeRoom()
	}
	o.pump()
}

// whenRoom calls f once not too many messages wait: at once, or later from another goroutine.
// If the connection ends before, or after drain, f is not called.
func (o *outbox) whenRoom(f func()) {
	o.mu.Lock()
	now := !o.closed && len(o.queue) < outboxRoom
	if !o.closed && !now {
		o.held = append(o.held, f)
	}
	o.mu.Unlock()
	if now {
		f()
	}
}

// brake waits until the light lane has room. Whoever reads messages of QoS 0, which nothing else keeps the
// broker from sending, calls it after each.
func (o *outbox) brake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.lightBytes > lightBytes && o.publish != nil {
		o.lighter.Wait()
	}
}

// sendLight sends what is in the light lane. When the connection breaks, what is left goes the way of all
// others, over the next one.
func (o *outbox) sendLight(connection context.Context, publish publisher) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.light) > 0 {
		m := o.light[0]
		o.mu.Unlock()
		_, err := publish(connection, m)
		if errors.Is(err, errTooLarge) && m.short != nil {
			m.payload = m.short()
			_, err = publish(connection, m)
		}
		o.mu.Lock()
		if connection.Err() != nil || err != nil && !errors.Is(err, errTooLarge) {
			break // it has broken, and who waits for room must not keep it from ending
		}
		o.lightBytes -= o.light[0].memory()
		o.light[0] = outgoing{}
		if o.light = o.light[1:]; len(o.light) == 0 {
			o.light = nil
		}
		o.lighter.Broadcast()
	}
	for _, m := range o.light {
		m.transient = false
		o.queue = append(o.queue, m)
		o.bytes += m.memory()
	}
	o.light, o.lightBytes, o.lightSending = nil, 0, false
	o.lighter.Broadcast()
	o.makeRoom()
	o.pump()
}

// pass publishes a message here and now, or not at all.
func (o *outbox) pass(ctx context.Context, m outgoing) {
	o.mu.Lock()
	publish := o.publish
	o.mu.Unlock()
	if publish != nil {
		_, _ = publish(ctx, m) // whoever watches sees the next one
	}
}

// makeRoom gives up the oldest messages beyond the bound, results of commands last.
func (o *outbox) makeRoom() {
	for o.bytes > outboxBytes && len(o.queue) > 1 {
		i := max(slices.IndexFunc(o.queue, func(m outgoing) bool { return !m.command }), 0)
		o.bytes -= o.queue[i].memory()
		o.queue = slices.Delete(o.queue, i, i+1)
		if o.dropped++; o.dropped == 1 {
			o.log.at(slog.LevelError, "outbox full", "replies are lost, the oldest first: the broker has been away for too long, or takes them slower than it sends requests", "waiting", len(o.queue))
		}
	}
}

// boundReadings gives up the oldest readings beyond the bound, and counts them.
func (o *outbox) boundReadings() {
	for o.readingBytes > readingBytes && len(o.readings) > 1 {
		o.readingBytes -= o.readings[0].memory()
		o.readings[0] = outgoing{}
		o.readings = o.readings[1:]
		o.readingsLost++
		o.log.at(slog.LevelError, "readings lost", "readings are lost, the oldest first: the broker has been away for too long, or takes them too slowly", "lost", o.readingsLost, "waiting", len(o.readings))
	}
}

// sendReading publishes one reading. It is tried again over the next connection.
func (o *outbox) sendReading(connection context.Context, publish publisher, m outgoing) {
	again := o.attempt(connection, publish, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight--
	o.readingsSending--
	if again && connection.Err() != nil {
		m.attempts++
	}
	if again && m.attempts < mostAttempts {
		o.readings = slices.Insert(o.readings, 0, m)
		o.readingBytes += m.memory()
		o.boundReadings()
	} else if again {
		o.readingsLost++
	}
	o.pump()
}

// lostReadings returns how many readings were given up.
func (o *outbox) lostReadings() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.readingsLost
}

// up begins to publish over a connection, which ends with ctx.
func (o *outbox) up(ctx context.Context, publish publisher) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ctx.Err() != nil {
		return // it is gone already
	}
	o.ctx, o.publish = ctx, publish
	for _, r := range o.retained {
		r.due, r.answered = true, false
	}
	o.pump()
}

// again publishes all state once more.
func (o *outbox) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.retained {
		r.due = r.due || !r.passing // which has just been told anew
	}
	o.pump()
}

// down stops publishing until the next connection.
func (o *outbox) down() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.publish, o.held = nil, nil
	o.lighter.Broadcast()
	if o.dropped > 0 {
		o.log.at(slog.LevelError, "outbox lost", "replies were lost", "lost", o.dropped)
		o.dropped = 0
	}
}

// pump starts as many publishes as may be in flight. The caller holds the lock.
func (o *outbox) pump() {
	if o.publish == nil || o.ctx.Err() != nil {
		return
	}
	// A suspect has its turn as soon as the states have had theirs once, however often they change.
	lone := len(o.queue) > 0 && o.queue[0].attempts > 0 && !o.suspect
	for _, r := range o.retained {
		if r.due && !r.sending && o.states < statesInFlight && !(lone && r.answered) && !(r.follows && o.leading()) {
			m := r.outgoing
			if r.clear != nil {
				m = *r.clear
			}
			r.due, r.sending = r.clear != nil, true
			o.inFlight++
			o.states++
			go o.sendRetained(o.ctx, o.publish, r, m)
		}
	}
	for len(o.queue) > 0 && o.inFlight < outboxInFlight && !o.suspect {
		m := o.queue[0]
		if m.ordered && o.ordered {
			break
		}
		if m.attempts > 0 {
			// It may be what breaks the connection, so it goes alone and takes no other with it.
			if o.inFlight > 0 {
				break
			}
			o.suspect = true
		}
		o.queue[0] = outgoing{} // or its payload would be kept
		o.queue = o.queue[1:]
		o.bytes -= m.memory()
		o.inFlight++
		o.ordered = o.ordered || m.ordered
		go o.send(o.ctx, o.publish, m)
	}
	for len(o.readings) > 0 && len(o.queue) == 0 && o.readingsSending < readingsMost && o.inFlight < outboxInFlight && !o.suspect {
		m := o.readings[0]
		o.readings[0] = outgoing{}
		if o.readings = o.readings[1:]; len(o.readings) == 0 {
			o.readings = nil
		}
		o.readingBytes -= m.memory()
		o.inFlight++
		o.readingsSending++
		go o.sendReading(o.ctx, o.publish, m)
	}
	if len(o.light) > 0 && !o.lightSending {
		o.lightSending = true
		go o.sendLight(o.ctx, o.publish)
	}
	if held := o.held; len(held) > 0 && len(o.queue) <= outboxRoom/2 {
		o.held = nil
		go func() {
			for _, f := range held {
				f()
			}
		}()
	}
	if len(o.queue) == 0 && o.inFlight == 0 && len(o.light) == 0 && len(o.readings) == 0 {
		o.idle.Broadcast()
	}
}

// holds reports whether a topic has a retained message, or one that the broker has not forgotten yet.
func (o *outbox) holds(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.retained[topic] != nil
}

// leading reports whether anything that goes first has not had its turn on this connection.
func (o *outbox) leading() bool {
	for _, r := range o.retained {
		if r.leads && !r.answered && (r.due || r.sending) {
			return true
		}
	}
	return false
}

func (o *outbox) send(connection context.Context, publish publisher, m outgoing) {
	again := o.attempt(connection, publish, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight--
	o.suspect = false
	o.ordered = o.ordered && !m.ordered
	if again && connection.Err() == nil {
		m.attempts = 0 // the broker has answered: this is not what breaks connections
	} else if again {
		if m.attempts++; m.attempts >= mostAttempts {
			again = false
			o.log.at(slog.LevelError, "poison", "a message is given up: each time it was sent the connection ended", "topic", shortened(m.topic), "bytes", len(m.payload))
		}
	}
	if again {
		o.queue = slices.Insert(o.queue, 0, m)
		o.bytes += m.memory()
		o.makeRoom()
	}
	o.pump()
}

func (o *outbox) sendRetained(ctx context.Context, publish publisher, r *retainedMessage, m outgoing) {
	again := o.attempt(ctx, publish, m)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inFlight--
	o.states--
	r.sending, r.due, r.answered = false, r.due || again, r.answered || ctx.Err() == nil
	if len(m.payload) == 0 && !again { // the broker has forgotten the topic, and need not be told again
		r.clear = nil
	}
	if (len(m.payload) == 0 || m.passing) && !again && !r.due {
		delete(o.retained, m.topic)
	}
	o.pump()
}

// attempt publishes once and reports whether the message must be tried again. If the broker's
// acknowledgement does not come, it waits for the end of the connection: over the same one the
// message must not be sent again (MQTT 5, clause 4.4), for a broker that was only slow would
// pass it on twice.
func (o *outbox) attempt(connection context.Context, publish publisher, m outgoing) (again bool) {
	final, err := publish(connection, m)
	switch {
	case err == nil:
		return false
	case errors.Is(err, errTooLarge) && m.short != nil:
		m.payload, m.contentType, m.short = m.short(), contentJSON, nil
		return o.attempt(connection, publish, m)
	case final:
		o.log.at(slog.LevelError, "not taken", "the broker does not take a message", "topic", shortened(m.topic), "err", err)
		return false
	case errors.Is(err, errNotNow):
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

// drain waits until everything is out, at most for limit, and without a connection not at all. It reports
// whether the broker has acknowledged all of it.
func (o *outbox) drain(limit time.Duration) (all bool) {
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
	for !over && o.publish != nil && (len(o.queue) > 0 || o.inFlight > 0 || len(o.light) > 0 || len(o.readings) > 0) {
		o.idle.Wait()
	}
	o.closed, o.held = true, nil
	if len(o.queue) > 0 {
		o.log.log("undelivered", "stopping with replies that could not be published", "replies", len(o.queue))
	}
	return !over && o.publish != nil
}

// waiting tells how many messages wait.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) + len(o.light)
}
