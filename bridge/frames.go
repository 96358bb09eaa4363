package bridge

import (
	"context"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// A tracedFrame is one frame on the wire, its secrets masked.
type tracedFrame struct {
	Direction string `json:"direction"` // "sent", "received"; "ignored": no part of an answer
	Time      string `json:"time"`
	Hex       string `json:"hex"`
}

// tracedFrames lists what a step said and heard, secrets masked.
func (b *Bridge) tracedFrames(p protocol.Protocol, frames []bus.Transfer) []tracedFrame {
	var list []tracedFrame
	for _, f := range frames {
		direction := "received"
		switch {
		case f.Sent:
			direction = "sent"
		case f.Ignored:
			direction = "ignored"
		}
		list = append(list, tracedFrame{direction, b.stamp(f.Time), b.redact(p, f)})
	}
	return list
}

// redact spells a frame that went or came for a step of a protocol, its secrets masked. What is no part of
// an answer may be a frame of any protocol that is spoken here.
func (b *Bridge) redact(p protocol.Protocol, f bus.Transfer) string {
	text := []byte(p.Redact(f.Bytes))
	if !f.Ignored {
		return string(text)
	}
	for family, other := range b.families {
		if family == p.Family() {
			continue
		}
		for i, c := range []byte(other.Redact(f.Bytes)) {
			if c == '*' && i < len(text) {
				text[i] = c
			}
		}
	}
	return string(text)
}

// familiesOf returns a protocol of each family.
func familiesOf(protocols []protocol.Protocol) map[string]protocol.Protocol {
	families := map[string]protocol.Protocol{}
	for _, p := range protocols {
		if families[p.Family()] == nil {
			families[p.Family()] = p
		}
	}
	return families
}

// framesWaiting bounds the frames that wait to be published.
const framesWaiting = 1000

// PublishFrame publishes a frame on the wire, its secrets masked. It does not wait: what
// nobody can watch at the moment, or what is too much for the broker, is left out.
func (b *Bridge) PublishFrame(f bus.FrameEvent) {
	if !b.listening.Load() {
		return
	}
	event := f // as a whole, a thousand of them would take a hundred kilobytes even while nobody watches
	select {
	case b.frames <- &event:
	default:
	}
}

// publishFrames publishes frames one after another, in the order of the wire, until ctx ends.
func (b *Bridge) publishFrames(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-b.frames:
			spoken := b.families[f.Meter.Family]
			if spoken == nil {
				spoken = b.config.Protocol
			}
			for _, traced := range b.tracedFrames(spoken, []bus.Transfer{f.Transfer}) {
				if payload, err := encodeJSON(traced); err == nil { // a struct of strings always encodes
					b.outbox.Pass(ctx, mqtt.Outgoing{Topic: b.topics.join(topicFrame), Payload: payload, ContentType: mqtt.JSON})
				}
			}
		}
	}
}
