package bridge

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// What is kept of the properties that a client put on its message.
const (
	mostUserProperties   = 16
	longestUserProperty  = 128
	longestAuditedValue  = 256
	auditMessage         = "command"
	auditMessageRejected = "command not carried out"
)

// An audit is the record of one command: who asked as far as MQTT tells, for what, and what
// came of it. Fields stand in the order in which they are written.
type audit struct {
	Time           string          `json:"time"`
	Topic          string          `json:"topic"`
	ID             json.RawMessage `json:"id,omitempty"`
	UserProperties protocol.Object `json:"user_properties,omitempty"`
	Request        string          `json:"request"`
	Meter          string          `json:"meter,omitempty"`
	Address        string          `json:"address,omitempty"`
	Action         string          `json:"action,omitempty"`
	Item           string          `json:"item,omitempty"`
	Value          json.RawMessage `json:"value,omitempty"`
	OK             bool            `json:"ok"`
	Result         string          `json:"result,omitempty"`
	Relay          string          `json:"relay,omitempty"`
	Valve          string          `json:"valve,omitempty"`
	Reasons        []string        `json:"reasons,omitempty"`
	Error          *problem        `json:"error,omitempty"`
	Queued         string          `json:"queued"`
	Sent           string          `json:"sent,omitempty"`
	Answered       string          `json:"answered,omitempty"`
	Frames         []tracedFrame   `json:"frames,omitempty"`
}

// audit records how a command ended, in the log and on bridge/audit.
func (b *Bridge) audit(r *request, a *reply) {
	record := audit{
		Time: a.Time, Topic: cropped(r.topic), ID: a.ID, Request: r.verb, Meter: a.Meter, Address: a.Address,
		Action: cropped(r.command.action), Item: cropped(r.command.item),
		OK: a.OK, Result: a.Result, Relay: a.Relay, Valve: a.Valve, Reasons: a.Reasons, Error: a.Error,
		Queued: b.stamp(r.received),
	}
	for _, property := range r.userProperties {
		record.UserProperties.Set(property.name, property.value)
	}
	if len(record.ID) > mostQuoted {
		record.ID = nil
	}
	if a.Error == nil && len(r.command.value) <= longestAuditedValue { // what was refused may be a secret in the wrong place
		record.Value = r.command.value
	}
	if r.protocol != nil {
		record.Frames = b.tracedFrames(r.protocol, r.command.frames)
	}
	if sent := firstSent(r.command.frames); sent != nil {
		record.Sent = b.stamp(sent.Time)
	}
	if !r.command.answered.IsZero() {
		record.Answered = b.stamp(r.command.answered)
	}
	if payload, err := encodeJSON(record); err == nil { // what is in it has been encoded before
		kind := mqtt.Reply
		if r.atMostOnce && a.Error != nil {
			kind = mqtt.Light
		}
		b.outbox.Put(mqtt.Outgoing{Kind: kind, Topic: b.topics.join(topicAudit), Payload: payload, ContentType: mqtt.JSON})
	}

	var attributes []any
	add := func(name, value string) {
		if value != "" {
			attributes = append(attributes, name, value)
		}
	}
	add("request", r.verb)
	add("meter", cropped(a.Meter))
	add("address", a.Address)
	add("action", record.Action)
	add("item", record.Item)
	add("topic", record.Topic)
	add("id", string(record.ID))
	if len(record.UserProperties) > 0 {
		who, _ := encodeJSON(record.UserProperties) // a list of strings always encodes
		add("user_properties", string(who))
	}
	add("queued", record.Queued)
	add("sent", record.Sent)
	add("answered", record.Answered)
	if a.Error != nil {
		b.limited.Warn(auditMessageRejected+string(a.Error.Code), auditMessageRejected, append(attributes, "code", a.Error.Code, "message", a.Error.Message)...)
		return
	}
	add("result", a.Result)
	add("relay", a.Relay)
	add("valve", a.Valve)
	add("reasons", strings.Join(a.Reasons, ","))
	level := slog.LevelInfo
	if !a.OK {
		level = slog.LevelWarn
	}
	b.log.Log(context.Background(), level, auditMessage, attributes...)
}

// firstSent returns the first frame that we sent, or nil.
func firstSent(frames []bus.Transfer) *bus.Transfer {
	for i := range frames {
		if frames[i].Sent {
			return &frames[i]
		}
	}
	return nil
}

// cropped cuts a piece of what a client sent to a length that does not flood a topic.
func cropped(text string) string { return limit.Cut(text, longestUserProperty) }
