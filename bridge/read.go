package bridge

import (
	"strings"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// BasicItems are the points of a meter that has no point table of its own.
var BasicItems = []string{
	"forward_active_energy", "active_power",
	"voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c", "status_3",
}

// read answers the verb read.
func (b *Bridge) read(r *request, in *body) error {
	maxAge, err := r.readKeys(in)
	if err != nil {
		return err
	}
	m, address, p, _, err := b.directory.find(r.target)
	if err != nil {
		return err
	}
	r.protocol, r.address, r.meter = p, address, r.target
	if m != nil {
		r.meter = m.Name
	}
	if len(r.items) == 0 {
		if m == nil || !b.config.BasicPoints {
			return problemf(CodeBadRequest, "the body names no items, and meter %s has no points of its own: name items, such as voltage_a", r.target)
		}
		r.items = BasicItems
	}
	plan, err := p.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: address, Items: r.items}, b.bus.Meter(address))
	if err != nil {
		return err
	}
	if err := b.permit(plan.Permission); err != nil {
		return err
	}
	if r.expired() {
		return bus.ErrExpired
	}

	fresh := b.cache.split(&plan, maxAge)
	var wait <-chan bus.Report
	if len(plan.Steps) > 0 {
		if wait, err = b.bus.Submit(bus.Job{Steps: plan.Steps, Deadline: r.deadline}); err != nil {
			return err
		}
	}
	b.later(func() { b.finishRead(r, m, fresh, b.hold(r, plan, wait)) })
	return nil
}

// readKeys takes what a read may say: the items, and how old their values may be.
func (r *request) readKeys(in *body) (maxAge time.Duration, err error) {
	if in.members == nil {
		if in.text != "" {
			r.items = splitItems(in.text)
		}
	} else {
		var age int64
		if _, err := in.take("items", `an array of item names, such as ["voltage_a"]`, &r.items); err != nil {
			return 0, err
		}
		if _, err := in.take("max_age_ms", "a whole number of milliseconds", &age); err != nil {
			return 0, err
		}
		if age < 0 {
			return 0, problemf(CodeBadRequest, `"max_age_ms" must not be negative`)
		}
		maxAge = time.Duration(min(age, maxTTL.Milliseconds())) * time.Millisecond
		for _, key := range []string{"from", "to"} {
			if _, history := in.members[key]; history {
				return 0, problemf(CodeUnsupported, "%q: this version does not read history yet", key)
			}
		}
		if err := in.nothingLeft(r); err != nil {
			return 0, err
		}
	}
	if len(r.items) > maxItems {
		return 0, problemf(CodeBadRequest, "%d items in one request; at most %d are allowed", len(r.items), maxItems)
	}
	for _, item := range r.items {
		if item == "" {
			return 0, problemf(CodeBadRequest, "an item name is empty")
		}
	}
	return maxAge, nil
}

// finishRead makes the reply out of what was fresh already and what the meter said.
func (b *Bridge) finishRead(r *request, m *meter, fresh []cached, c conversation) {
	now := time.Now()
	r.address = c.address
	if m == nil {
		if m = b.directory.at(c.address); m != nil {
			r.meter = m.Name
		}
	}
	a := b.newReply(r)
	a.Bus = &c.effort
	put := func(step *protocol.Step, result protocol.Result) {
		for _, value := range step.Values(result) {
			a.Values.set(value.Name, value.Data)
			if value.Unit != "" {
				a.Units.set(value.Name, value.Unit)
			}
		}
	}
	moment := time.Time{}
	for i := range fresh {
		if fresh[i].time.After(moment) {
			moment = fresh[i].time
		}
	}
	started, silent := len(fresh) > 0, false
	for i := range c.steps {
		step, answer := &c.steps[i], &c.replies[i]
		started = started || answer.Started
		if r.trace {
			a.Frames = append(a.Frames, b.tracedFrames(r.protocol, answer.Frames)...)
		}
		if answer.Err != nil {
			p := problemOf(answer.Err)
			silent = silent || p.Code == CodeTimeout
			for _, item := range step.Items {
				a.Errors.set(item, p)
			}
			continue
		}
		moment = now
		put(step, answer.Result)
		for _, item := range step.Items { // what a block did not bring may have been read singly
			a.Errors.remove(item)
		}
		if !strings.Contains(step.Meter, "A") {
			b.cache.put(step.Key, answer.Result, now)
		}
	}
	// A value of an earlier read keeps its own time.
	for i := range fresh {
		put(&fresh[i].step, fresh[i].result)
		if fresh[i].time.Before(moment) {
			for _, value := range fresh[i].step.Values(fresh[i].result) {
				a.Times.set(value.Name, b.stamp(fresh[i].time))
			}
		}
	}
	if !moment.IsZero() {
		a.Time = b.stamp(moment)
	}
	for _, e := range c.errors {
		a.Errors.set(e.Item, problemOf(e.Err))
	}
	if m != nil {
		m.learn(c.address, !silent)
	}
	a.OK = len(a.Errors) == 0
	if !a.OK && !started && len(a.Values) == 0 {
		a.Error = a.Errors[0].value.(*problem)
		b.limited.log(string(a.Error.Code), "read failed", "topic", r.topic, "code", a.Error.Code, "message", a.Error.Message)
	}
	b.send(r, a)
}
