package bridge

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// The time that a request may wait for its turn if it does not say how long.
const (
	readTTL    = 60 * time.Second
	commandTTL = 10 * time.Second
)

// A message is one MQTT message as it reached us.
type message struct {
	topic         string
	payload       []byte
	retain        bool
	atMostOnce    bool // it came with QoS 0
	responseTopic string
	correlation   []byte
	contentType   string
	expiry        *time.Duration // nil: none
	received      time.Time

	userProperties []userProperty
}

// messageOf keeps of a message what a request may need.
func messageOf(came mqtt.Message) message {
	m := message{
		topic: came.Topic, payload: came.Payload, retain: came.Retain, atMostOnce: came.AtMostOnce, responseTopic: came.ResponseTopic,
		correlation: came.Correlation, expiry: came.Expiry, received: came.Received,
	}
	if came.ContentType == mqtt.Bytes { // no other matters
		m.contentType = mqtt.Bytes
	}
	for _, property := range came.UserProperties[:min(len(came.UserProperties), mostUserProperties)] {
		m.userProperties = append(m.userProperties, userProperty{cropped(property.Key), cropped(property.Value)})
	}
	return m
}

// A userProperty is what an MQTT 5 client has put on its message for whom it may concern.
type userProperty struct{ name, value string }

// A request is a message on a request topic, on its way to a reply.
type request struct {
	message
	verb, target string
	replyTopic   string
	refused      error               // why the reply does not go where the client wants it
	deliver      func(mqtt.Outgoing) // takes the reply

	id    json.RawMessage
	trace bool
	place
	turn

	from, to time.Time               // of a read of history; from is zero if none is asked for
	command  *command                // nil: it changes nothing
	progress func(ScanProgress) bool // told how a scan goes, and whether to go on; nil: it is published
}

// A place is whom a request is about, as far as is known.
type place struct {
	known    *meters.Entry // nil: the meter is not configured
	nobody   error         // why the topic names no meter; nil: it does
	meter    string        // its name, or its address if it has none
	address  protocol.Address
	protocol protocol.Protocol // nil: not known
}

// A turn is how the plan of a request waits for the bus.
type turn struct {
	deadline time.Time     // for the start of each step; zero: none yet
	patient  bool          // the request does not say how long it may wait
	long     bool          // a patient one may wait anew for each of its turns
	stranger bool          // as in bus.Job
	mode     protocol.Mode // of the line for the meter
	items    []string      // what it is to bring
	maxAge   time.Duration // of values that need not be read again
}

// A command is what is kept of a request that may change something. It is audited, and its result the last to be given
// up.
type command struct {
	action, item  string
	value         json.RawMessage
	retryPassword bool
	remembered    *remembered    // where its answer is kept; nil: not yet, or nothing of it was sent
	frames        []bus.Transfer // of what was to change something
	answered      time.Time
}

// bound moves the deadline forward.
func (t *turn) bound(deadline time.Time) {
	if t.deadline.IsZero() || deadline.Before(t.deadline) {
		t.deadline = deadline
	}
}

func (t *turn) expired() bool { return !t.deadline.IsZero() && bus.Over(t.deadline, time.Now()) }

// receive takes one message from the broker. It never waits: what takes time is queued, and
// the reply comes later. Every message on a request topic gets exactly one.
func (b *Bridge) receive(m message) {
	verb, target, ok := b.topics.request(m.topic)
	if m.topic == b.topics.join(topicConfig) {
		if m.retain { // else it is our own
			go b.restore(m.payload)
		}
		return
	}
	if !ok {
		b.limited.Warn("foreign topic", "the broker sent a message that was not asked for", "topic", limit.Cut(m.topic, mostQuoted))
		return
	}
	r := &request{message: m, verb: verb, target: target, replyTopic: b.topics.reply(m.topic), deliver: b.outbox.Put}
	if m.responseTopic != "" {
		if reason := b.topics.mayReply(m.responseTopic); reason != "" {
			r.refused = problemf(CodeBadRequest, "the response topic %s %s", quote(m.responseTopic), reason)
		} else {
			r.replyTopic = m.responseTopic
		}
	}
	b.carryOut(r)
}

// carryOut makes sure that a request gets its one reply: here and now if it cannot be queued.
// What every reply repeats of its request is found out first, so that errors have it too.
func (b *Bridge) carryOut(r *request) {
	in, err := b.open(r)
	if !b.admission.enter() {
		b.fail(r, bus.ErrStopping)
		return
	}
	if err == nil && r.refused != nil {
		err = r.refused
	}
	if err == nil {
		err = b.handle(r, &in)
	}
	if err != nil {
		b.fail(r, err)
		b.admission.leave()
	}
}

// open takes the payload apart and finds the id and the meter that the request is about.
func (b *Bridge) open(r *request) (in body, err error) {
	if isCommandVerb(r.verb) {
		r.command = &command{}
	}
	b.locate(r) // the verbs that need a meter say why there is none
	limit := maxPayload
	if r.verb == verbConfig {
		limit = maxConfigPayload
	}
	if len(r.payload) > limit {
		return in, problemf(CodeBadRequest, "the payload has %d bytes; at most %d are allowed", len(r.payload), limit)
	}
	if r.contentType == mqtt.Bytes && r.verb == verbRaw {
		return in, nil
	}
	if r.verb == verbConfig {
		if text, err := points.Decode(r.payload); err == nil { // else it is said below
			r.payload = []byte(text)
		}
	}
	in, err = parseBody(r.payload)
	var idErr error
	if r.id, idErr = in.decodeID(); err == nil {
		err = idErr
	}
	return in, err
}

// Ask carries a request out without a broker and returns its reply. tail is what a request
// topic has behind the branch, such as "read/main"; payload is the body. The bus must be running.
func (b *Bridge) Ask(tail string, payload []byte) []byte {
	answer := make(chan []byte, 1)
	verb, target, _ := strings.Cut(tail, "/")
	r := &request{
		message: message{topic: tail, payload: payload, received: time.Now()},
		verb:    verb, target: target,
		deliver: func(m mqtt.Outgoing) { answer <- m.Payload },
	}
	b.carryOut(r)
	return <-answer
}

// handle either queues the request, whose reply is then on its way, or returns why it cannot.
func (b *Bridge) handle(r *request, in *body) error {
	if r.retain {
		return problemf(CodeBadRequest, "the request has the retain flag: a retained request would be carried out again at each connection; publish it without")
	}
	if !slices.Contains(Verbs, r.verb) {
		return problemf(CodeBadRequest, "%s is no verb of a request topic; there are %s%s", quote(r.verb), strings.Join(Verbs, ", "), protocol.Hint(r.verb, slices.Values(Verbs)))
	}
	if r.expiry != nil {
		r.bound(r.received.Add(*r.expiry))
	}
	if err := in.common(r); err != nil {
		return err
	}
	switch r.verb {
	case verbRaw:
		return b.raw(r, in) // how long it may wait depends on the frame
	case verbScan:
		return b.scan(r, in) // as long as it takes, if it does not say how long
	case verbConfig:
		return b.configure(r, in)
	}
	if r.deadline.IsZero() {
		r.patient = true
		r.deadline = r.received.Add(b.ttl(r))
	}
	if r.verb == verbRead {
		return b.read(r, in)
	}
	return b.carryOutCommand(r, in)
}

// ttl is how long a request may wait for its turn if it does not say so itself.
func (b *Bridge) ttl(r *request) time.Duration {
	if r.verb == verbRead || r.verb == verbRaw && r.command == nil {
		return readTTL
	}
	return commandTTL
}

// permit refuses what the operator has not allowed.
func (b *Bridge) permit(p protocol.Permission) error {
	if !b.config.Allow[string(p)] {
		return notAllowed(string(p))
	}
	return nil
}

func notAllowed(class string) error {
	return problemf(CodeNotAllowed, "requests of class %s are not allowed on this bridge; its operator allows them with DLT645_ALLOW", class)
}

// locate finds out whom a request is about by its topic.
func (b *Bridge) locate(r *request) {
	known, address, spoken, err := b.directory.Find(r.target)
	if err != nil {
		r.nobody = err
		return
	}
	r.place = place{known: known, meter: address.Text, address: address, protocol: spoken}
	if known != nil {
		r.meter, r.mode = known.Name, known.Mode
	}
}
