package bridge

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"
	"unicode"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// raw answers the verb raw: a frame goes out as it is, and the meter's answer comes back.
func (b *Bridge) raw(r *request, in *body) error {
	keys, err := b.rawKeys(r, in)
	if err != nil {
		return err
	}
	if r.target != "" {
		return problemf(CodeBadRequest, "a raw request goes to %s: the frame itself names the meter", b.topics.join("request/raw"))
	}
	if !b.config.Allow[verbRaw] {
		return notAllowed(verbRaw)
	}
	ask := protocol.Request{Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: keys.frame, NoAnswer: keys.noAnswer}
	if r.protocol == nil {
		r.protocol = b.recognised(keys.frame)
	}
	plan, err := r.protocol.Plan(ask, nil)
	// The frame itself does not say which edition it is of, or which model its meter is; the meter's configuration does.
	r.known = b.directory.Of(plan.Address.MeterKey)
	if r.known != nil && r.known.Protocol != r.protocol {
		r.protocol = r.known.Protocol
		plan, err = r.protocol.Plan(ask, nil)
	}
	r.address, r.meter = plan.Address, plan.Address.Text
	if r.known != nil {
		r.meter, r.mode = r.known.Name, r.known.Mode
	}
	if err != nil {
		return err
	}
	if plan.Permission != protocol.PermitRead {
		r.command = &command{retryPassword: keys.retryPassword}
	}
	if keys.noAnswer && plan.Level != "" {
		return problemf(CodeBadRequest, `"answer":false cannot be had for a frame with a password: without the answer nobody knows whether the meter refused it, and some more would lock the meter`)
	}
	if err := b.permit(plan.Permission); err != nil {
		return err
	}
	if r.deadline.IsZero() {
		r.deadline = r.received.Add(b.ttl(r))
	}
	if r.command != nil {
		return b.run(r, plan, nil, b.finishRaw)
	}
	if r.expired() {
		return bus.ErrExpired
	}
	r.stranger = r.known == nil && !b.bus.Meter(plan.Address.MeterKey).Answered()
	r.payload = nil // all that is in it has been read
	p, err := b.begin(&r.turn, plan, false)
	if err != nil {
		return err
	}
	b.later(func() { b.finishRaw(r, b.seeThrough(&r.turn, p)) })
	return nil
}

// rawKeys is what a raw request says.
type rawKeys struct {
	frame         []byte
	noAnswer      bool
	retryPassword bool
}

// rawKeys takes the frame out of any of the three forms: bytes, hex text, or JSON.
func (b *Bridge) rawKeys(r *request, in *body) (keys rawKeys, err error) {
	if r.contentType == mqtt.Bytes {
		return rawKeys{frame: r.payload}, nil
	}
	text := in.text
	if in.members != nil {
		answer := true
		if _, err := in.decode("frame", "a string of hex digits", &text); err != nil {
			return keys, err
		}
		if _, err := in.decode("answer", "true or false", &answer); err != nil {
			return keys, err
		}
		if _, err := in.decode("retry_password", "true or false", &keys.retryPassword); err != nil {
			return keys, err
		}
		if err := b.protocolKey(r, in); err != nil {
			return keys, err
		}
		if err := in.nothingLeft(r); err != nil {
			return keys, err
		}
		keys.noAnswer = !answer
	}
	digits := strings.Map(func(c rune) rune {
		if unicode.IsSpace(c) {
			return -1
		}
		return c
	}, text)
	keys.frame, err = hex.DecodeString(digits)
	switch {
	case err != nil && errors.Is(err, hex.ErrLength):
		return keys, problemf(CodeBadRequest, "the frame has an odd number of hex digits (%d)", len(digits))
	case err != nil:
		return keys, problemf(CodeBadRequest, "the frame is not hex: %v", err)
	case len(keys.frame) == 0:
		return keys, problemf(CodeBadRequest, "there is no frame in the request: give it as hex")
	}
	return keys, nil
}

// protocolKey takes the protocol that a request names, unless it is about a named meter, whose protocol is known.
func (b *Bridge) protocolKey(r *request, in *body) error {
	var name string
	given, err := in.decode("protocol", "the name of a protocol", &name)
	if err != nil || !given {
		return err
	}
	for _, named := range []func(protocol.Protocol) string{protocol.Protocol.Name, protocol.Protocol.Family} {
		for _, p := range b.config.Protocols {
			if named(p) == name {
				r.protocol = p
				return nil
			}
		}
	}
	return problemf(CodeBadRequest, "%s is no protocol; there are %s", quote(name), strings.Join(b.protocolNames(), ", "))
}

// protocolNames lists the names of all protocols.
func (b *Bridge) protocolNames() []string {
	names := make([]string, len(b.config.Protocols))
	for i, p := range b.config.Protocols {
		names[i] = p.Name()
	}
	return names
}

// recognised returns the protocol that a frame is of: that of meters without a name unless only another knows it.
func (b *Bridge) recognised(frame []byte) protocol.Protocol {
	for _, p := range append([]protocol.Protocol{b.config.Protocol}, b.config.Protocols...) {
		if r, ok := p.(protocol.Recogniser); ok && r.Recognises(frame) {
			return p
		}
	}
	return b.config.Protocol // it says what is wrong with the frame
}

// finishRaw makes the reply of a raw request out of how its one step ended.
func (b *Bridge) finishRaw(r *request, c account) {
	said := &c.outcomes[0]
	frame := r.protocol.Redact(said.Result.Frame)
	if address := said.Result.Address; !address.IsZero() {
		r.address = address
	}
	a := b.newReply(r)
	a.Frame = frame
	if r.command != nil && said.IsCommand() {
		b.writeEnding(r, a, &c)
	} else { // also a read that reaches all meters, for which the class broadcast was wanted
		a.Bus = &c.effort
		if r.trace {
			a.Frames = b.tracedFrames(r.protocol, said.Frames)
		}
		if said.Err != nil {
			a.OK, a.Error = false, problemOf(said.Err)
		}
	}
	if r.contentType != mqtt.Bytes || said.Result.Frame == nil || strings.Contains(frame, "*") {
		b.send(r, a)
		return
	}
	a.Time = b.stamp(time.Now())
	b.sendAs(r, a, said.Result.Frame, mqtt.Bytes)
}
