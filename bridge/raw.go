package bridge

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// raw answers the verb raw: a frame goes out as it is, and the meter's answer comes back.
func (b *Bridge) raw(r *request, in *body) error {
	frame, noAnswer, err := r.rawKeys(in)
	if err != nil {
		return err
	}
	if r.target != "" {
		return problemf(CodeBadRequest, "a raw request goes to %s: the frame itself names the meter", b.topics.join("request/raw"))
	}
	if !b.config.Allow[verbRaw] {
		return notAllowed(verbRaw)
	}
	ask := protocol.Request{Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: frame, NoAnswer: noAnswer}
	r.protocol = b.directory.fallback
	plan, err := r.protocol.Plan(ask, nil)
	// The frame itself does not say which protocol it is of; its meter's configuration does.
	if m := b.directory.at(plan.Address); m != nil && m.Protocol != r.protocol {
		r.protocol = m.Protocol
		plan, err = r.protocol.Plan(ask, nil)
	}
	r.address, r.meter = plan.Address, plan.Address
	if m := b.directory.at(plan.Address); m != nil {
		r.meter = m.Name
	}
	if err != nil {
		return err
	}
	if err := b.permit(plan.Permission); err != nil {
		return err
	}
	r.command = plan.Permission != protocol.PermitRead
	if r.deadline.IsZero() {
		r.deadline = r.received.Add(b.ttl(r))
	}
	if r.command {
		switch repeat, first, err := b.repeats.enter(r, plan.Address, r.received); {
		case err != nil:
			return err
		case repeat && first == nil:
			return nil // it gets the answer of the first, once there is one
		case repeat:
			b.later(func() { b.repeat(r, first) })
			return nil
		}
	}
	var wait <-chan bus.Report
	err = bus.ErrExpired // of a request that is no repeat
	if !r.expired() {
		wait, err = b.bus.Submit(bus.Job{Steps: plan.Steps, Deadline: r.deadline})
	}
	if err != nil {
		if r.command {
			b.withdraw(r, err)
		}
		return err
	}
	b.later(func() {
		report := <-wait
		if r.command {
			b.cache.forget(plan.Address, time.Now())
		}
		b.finishRaw(r, plan.Steps[0].First.Answer == nil, report)
	})
	return nil
}

// rawKeys takes the frame out of any of the three forms: bytes, hex text, or JSON.
func (r *request) rawKeys(in *body) (frame []byte, noAnswer bool, err error) {
	if r.contentType == contentBytes {
		return r.payload, false, nil
	}
	text := in.text
	if in.members != nil {
		answer := true
		if _, err := in.take("frame", "a string of hex digits", &text); err != nil {
			return nil, false, err
		}
		if _, err := in.take("answer", "true or false", &answer); err != nil {
			return nil, false, err
		}
		if err := in.nothingLeft(r); err != nil {
			return nil, false, err
		}
		noAnswer = !answer
	}
	digits := strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) {
			return -1
		}
		return c
	}, text)
	frame, err = hex.DecodeString(digits)
	switch {
	case err != nil && errors.Is(err, hex.ErrLength):
		return nil, false, problemf(CodeBadRequest, "the frame has an odd number of hex digits (%d)", len(digits))
	case err != nil:
		return nil, false, problemf(CodeBadRequest, "the frame is not hex: %v", err)
	case len(frame) == 0:
		return nil, false, problemf(CodeBadRequest, "there is no frame in the request: give it as hex")
	}
	return frame, noAnswer, nil
}

// finishRaw makes the reply of a raw request out of how its one step ended.
func (b *Bridge) finishRaw(r *request, unanswered bool, report bus.Report) {
	said := report.Replies[0]
	frame := r.protocol.Redact(said.Result.Frame)
	if r.contentType == contentBytes && said.Result.Frame != nil && !strings.Contains(frame, "*") {
		b.countReply(r.verb, "ok")
		b.publishReply(r, said.Result.Frame, contentBytes)
		b.answered(r, &answer{payload: said.Result.Frame, contentType: contentBytes})
		return
	}
	if address := said.Result.Address; address != "" {
		r.address = address
	}
	a := b.newReply(r)
	a.Bus = &effort{}
	a.Bus.add(report)
	a.Frame = frame
	if r.trace {
		a.Frames = b.tracedFrames(r.protocol, said.Frames)
	}
	switch err := said.Err; {
	case err != nil && !(said.Started && r.command):
		a.OK, a.Error = false, problemOf(err)
	case err != nil:
		a.OK = false
		var refusal *protocol.Refusal
		if errors.As(err, &refusal) {
			a.Result, a.Reasons = resultRefused, refusal.Reasons
		} else {
			a.Result = resultUnknown
		}
	case unanswered:
		a.Result = resultSent
	case r.command:
		a.Result = resultAcknowledged
	}
	b.send(r, a)
}
