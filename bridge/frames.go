package bridge

import (
	"context"
	"slices"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// A tracedFrame is one frame on the wire, its secrets masked.
type tracedFrame struct {
	Direction string `json:"direction"` // "sent", "received"; "ignored": no part of an answer
	Time      string `json:"time"`
	Hex       string `json:"hex"`
}

// isWakeUp tells of bytes that are there only to wake a receiver up.
func isWakeUp(b []byte) bool {
	const wakeUp = 0xFE
	return !slices.ContainsFunc(b, func(c byte) bool { return c != wakeUp })
}

// tracedFrames lists what a step said and heard, secrets masked.
func (b *Bridge) tracedFrames(p protocol.Protocol, frames []bus.Frame) []tracedFrame {
	var list []tracedFrame
	for _, f := range frames {
		if f.Ignored && isWakeUp(f.Bytes) {
			continue // wake-up bytes before an answer are no news
		}
		direction := "received"
		switch {
		case f.Sent:
			direction = "sent"
		case f.Ignored:
			direction = "ignored"
		}
		list = append(list, tracedFrame{direction, b.stamp(f.Time), p.Redact(f.Bytes)})
	}
	return list
}

// framesWaiting bounds the frames that wait to be published.
const framesWaiting = 1000

// PublishFrame publishes a frame on the wire, its secrets masked. It does not wait: what
// nobody can watch at the moment, or what is too much for the broker, is left out.
func (b *Bridge) PublishFrame(f bus.FrameEvent) {
	if !b.listening.Load() {
		return
	}
	select {
	case b.frames <- f.Frame:
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
			for _, traced := range b.tracedFrames(b.config.Protocol, []bus.Frame{f}) {
				if payload, err := encodeJSON(traced); err == nil { // a struct of strings always encodes
					b.outbox.pass(ctx, outgoing{topic: b.topics.join(topicFrame), payload: payload, contentType: contentJSON, transient: true})
				}
			}
		}
	}
}
