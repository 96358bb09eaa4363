package bridge

import (
	"context"

	"dlt645-mqtt/bridge/bus"
)

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
