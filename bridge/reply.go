package bridge

import (
	"encoding/json"
	"fmt"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// A reply is the JSON answer to one request. Fields stand in the order in which they are written.
type reply struct {
	ID      json.RawMessage `json:"id,omitempty"`
	Request string          `json:"request"`
	Meter   string          `json:"meter,omitempty"`
	Address string          `json:"address,omitempty"`
	OK      bool            `json:"ok"`
	Time    string          `json:"time"`
	Error   *problem        `json:"error,omitempty"`

	// Only a read has these, and it always has them.
	*reading

	// Only a read of history has these, and it always has samples.
	*storedSamples

	// Only a scan that asked somebody has these.
	*finding

	// Only a config request that was understood has these.
	*configuration

	// Only a command has these.
	Result      string            `json:"result,omitempty"`
	Repeated    bool              `json:"repeated,omitempty"` // the answer to an earlier message with the same mark
	Relay       string            `json:"relay,omitempty"`    // "open" or "closed", as read back
	Valve       string            `json:"valve,omitempty"`    // "open", "closed" or "abnormal", as read back
	Pending     bool              `json:"pending,omitempty"`  // taken, but not yet moved
	Value       *any              `json:"value,omitempty"`    // as read back
	Unit        string            `json:"unit,omitempty"`
	DriftBefore *protocol.Decimal `json:"drift_before_s,omitempty"` // how far the meter's clock was ahead of ours, in seconds
	DriftAfter  *protocol.Decimal `json:"drift_after_s,omitempty"`
	ClockOffset *protocol.Decimal `json:"clock_offset_s,omitempty"` // the same, where it may be the reason of a refusal
	Reasons     []string          `json:"reasons,omitempty"`
	Message     string            `json:"message,omitempty"` // what a person should know to act rightly

	// Only raw has this.
	Frame string `json:"frame,omitempty"`

	Bus    *effort       `json:"bus,omitempty"`
	Frames []tracedFrame `json:"frames,omitempty"`
}

// A reading is what a read brought.
type reading struct {
	Values protocol.Object `json:"values"`
	Units  protocol.Object `json:"units"`
	Errors protocol.Object `json:"errors"`
	// Times has the moment of each value that was taken from an earlier read.
	Times protocol.Object `json:"times,omitempty"`
}

// An effort is what a request cost.
type effort struct {
	QueuedMS int64 `json:"queued_ms"`
	WireMS   int64 `json:"wire_ms"`
	Steps    int   `json:"steps"`
}

func (e *effort) add(report bus.Report) {
	e.QueuedMS += report.Queued.Milliseconds()
	e.WireMS += report.Wire.Milliseconds()
	e.Steps += report.Steps
}

// stamp writes a moment as the contract does.
func (b *Bridge) stamp(t time.Time) string {
	return protocol.FormatMoment(t.In(b.config.Zone))
}

// newReply begins the reply to a request; it says ok until something says otherwise.
func (b *Bridge) newReply(r *request) *reply {
	a := &reply{ID: r.id, Request: r.verb, Meter: r.meter, Address: r.address.Text, OK: true}
	if r.verb == verbRead {
		a.reading = &reading{}
	}
	if !r.from.IsZero() {
		a.storedSamples = &storedSamples{Samples: []sample{}}
	}
	return a
}

// fail replies with an error: nothing of the request has reached the wire.
func (b *Bridge) fail(r *request, err error) {
	p := problemOf(err)
	a := b.newReply(r)
	a.OK, a.Error = false, p
	b.send(r, a)
	if r.command != nil {
		return // the audit has logged it
	}
	if p.Code == CodeInternal {
		b.log.Error("request failed", "topic", limit.Cut(r.topic, mostQuoted), "err", p.Message)
		return
	}
	b.limited.Warn(string(p.Code), "request refused", "topic", limit.Cut(r.topic, mostQuoted), "code", p.Code, "message", p.Message)
}

// send publishes the reply to a request, now or once the broker is back.
func (b *Bridge) send(r *request, a *reply) {
	if a.Time == "" {
		a.Time = b.stamp(time.Now())
	}
	b.sayReply(a)
	payload, err := encodeJSON(a)
	if err != nil { // a value that no JSON can hold: a bug, but the sender still gets an answer
		b.log.Error("reply cannot be written as JSON", "topic", limit.Cut(r.topic, mostQuoted), "err", err)
		payload, _ = encodeJSON(&reply{ID: r.id, Request: r.verb, Time: a.Time, Error: problemf(CodeInternal, "the reply cannot be written as JSON: %v", err)})
	}
	b.sendAs(r, a, payload, mqtt.JSON)
}

// sendAs publishes the reply to a request as a payload. That to a command is kept for repeats of it.
func (b *Bridge) sendAs(r *request, a *reply, payload []byte, contentType string) {
	if r.command != nil && !a.Repeated {
		b.sendFirst(r, a, payload, contentType)
		return
	}
	ending := a.ending()
	if a.Repeated && contentType == mqtt.Bytes {
		ending = "repeated"
	}
	b.countReply(r.verb, ending)
	b.publishReply(r, a, payload, contentType)
}

// ending is how the metrics call the end of a request.
func (a *reply) ending() string {
	switch {
	case a.Error != nil:
		return string(a.Error.Code)
	case a.Result != "":
		return a.Result
	case a.OK:
		return "ok"
	case a.reading != nil && len(a.Values) == 0 && (a.storedSamples == nil || len(a.Samples) == 0):
		return string(a.Errors[0].Value.(*problem).Code)
	}
	return "partial"
}

// publishReply hands the payload of a reply to whoever delivers it.
func (b *Bridge) publishReply(r *request, a *reply, payload []byte, contentType string) {
	kind := mqtt.Reply
	switch {
	case a.Result != "" && !a.Repeated: // a command was sent, and somebody waits to hear what became of it
		kind = mqtt.Result
	case r.atMostOnce:
		kind = mqtt.Light
	}
	m := mqtt.Outgoing{Kind: kind, Topic: r.replyTopic, Payload: payload, ContentType: contentType, Correlation: r.correlation}
	// Nothing else of the request is kept while the reply waits for the broker.
	if len(payload) > worthShortening {
		short := a.shortened(len(payload))
		m.Short = func() []byte {
			if short.Time == "" {
				short.Time = b.stamp(time.Now())
			}
			text, _ := encodeJSON(short) // what could be encoded before can be again
			return text
		}
	}
	r.deliver(m)
}

// worthShortening is how many bytes a reply must have for another one to be sent in its place, if it is more
// than the broker takes. What has less is mostly the text of an error.
const worthShortening = 512

// shortened is what goes out in place of a reply that is larger than the broker takes. It keeps what is
// known of a command: an error would say that nothing of it was sent.
func (a *reply) shortened(size int) *reply {
	s := &reply{Request: a.Request, Meter: a.Meter, Address: a.Address}
	if len(a.ID) <= mostQuoted {
		s.ID = a.ID
	}
	if a.Result == "" {
		s.Error = problemf(CodeInternal, "the reply has %d bytes, more than the broker takes; ask for less at once", size)
		return s
	}
	s.OK, s.Time, s.Result, s.Repeated, s.Pending, s.Reasons = a.OK, a.Time, a.Result, a.Repeated, a.Pending, a.Reasons
	s.Relay, s.Valve = a.Relay, a.Valve
	s.Message = fmt.Sprintf("the whole reply has %d bytes, more than the broker takes", size)
	return s
}

// encodeJSON is json.Marshal without the escaping that only web pages need.
func encodeJSON(v any) ([]byte, error) { return protocol.AppendJSON(nil, v) }
