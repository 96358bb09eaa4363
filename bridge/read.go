package bridge

import (
	"errors"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// read answers the verb read.
func (b *Bridge) read(r *request, in *body) error {
	if err := b.permit(protocol.PermitRead); err != nil {
		return err
	}
	if err := r.readKeys(in); err != nil {
		return err
	}
	if r.nobody != nil {
		return r.nobody
	}
	r.stranger = r.known == nil && !b.bus.Meter(r.address.MeterKey).Answered()
	points := len(r.items) == 0
	if points {
		if r.items = b.keeper.ItemsOf(r.meter); r.items == nil {
			return problemf(CodeBadRequest, "the body names no items, and meter %s has no points of its own: name items, such as voltage_a", r.target)
		}
	}
	plan, err := r.protocol.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: r.address, Items: r.items, From: r.from, To: r.to}, b.bus.Meter(r.address.MeterKey))
	if err != nil {
		return err
	}
	if r.expired() {
		return bus.ErrExpired
	}

	r.payload = nil // it may be long, and all that is in it has been read
	p, err := b.begin(&r.turn, plan, false)
	if err != nil {
		return err
	}
	finish := func() { b.finishRead(r, points, b.seeThrough(&r.turn, p)) }
	if p.report != nil || plan.Then != nil {
		b.later(finish)
		return nil
	}
	finish() // out of the cache; who reads so a thousand times a second makes no goroutines pile up
	b.admission.leave()
	return nil
}

// readKeys takes what a read may say: the items, and how old their values may be or from when
// to when.
func (r *request) readKeys(in *body) error {
	if in.members == nil {
		if in.text != "" {
			r.items = splitItems(in.text)
		}
	} else {
		var age int64
		if _, err := in.decode("items", `an array of item names, such as ["voltage_a"]`, &r.items); err != nil {
			return err
		}
		if _, err := in.decode("max_age_ms", "a whole number of milliseconds", &age); err != nil {
			return err
		}
		if age < 0 {
			return problemf(CodeBadRequest, `"max_age_ms" must not be negative`)
		}
		r.maxAge = time.Duration(min(age, maxTTL.Milliseconds())) * time.Millisecond
		if err := r.historyKeys(in); err != nil {
			return err
		}
		if err := in.nothingLeft(r); err != nil {
			return err
		}
	}
	if len(r.items) > maxItems {
		return problemf(CodeBadRequest, "%d items in one request; at most %d are allowed", len(r.items), maxItems)
	}
	for _, item := range r.items {
		if item == "" || len(item) > maxItemName {
			return problemf(CodeBadRequest, "%s is no item: a name has 1 to %d bytes", quote(item), maxItemName)
		}
	}
	return nil
}

// finishRead makes the reply out of what the meter said, and what was known of it. points says that the items are
// the points of the meter, which nobody has named.
func (b *Bridge) finishRead(r *request, points bool, c account) {
	r.address = c.address
	if r.known == nil {
		if r.known = b.directory.At(c.address.MeterKey); r.known != nil {
			r.meter = r.known.Name
		}
	}
	a := readReply{reply: b.newReply(r), points: points}
	a.Bus = &c.effort
	started := false
	for i := range c.outcomes {
		o := &c.outcomes[i]
		started = started || o.Started || o.Cached
		if r.trace {
			a.Frames = append(a.Frames, b.tracedFrames(r.protocol, o.Frames)...)
		}
		a.add(o)
	}
	if !a.newest.IsZero() {
		a.Time = b.stamp(a.newest)
	}
	for i := range c.outcomes {
		if o := &c.outcomes[i]; o.Cached && o.Time.Before(a.newest) {
			for _, value := range o.Values(o.Result) {
				a.Times.Set(value.Name, b.stamp(o.Time))
			}
		}
	}
	if !r.from.IsZero() {
		a.storedSamples = b.historyOf(c.history, &a.Units)
	}
	for _, e := range c.errors {
		if e.Err == nil {
			a.forgive(e.Item)
			continue
		}
		a.fail(e.Item, e.Err)
	}
	if len(a.Values) == 0 {
		for _, m := range a.lacking {
			a.Errors.Set(m.Name, m.Value)
		}
	}
	if r.known != nil {
		r.known.Learn(c.address, !c.silent())
	}
	a.OK = len(a.Errors) == 0
	if !a.OK && !started {
		a.Error = a.Errors[0].Value.(*problem)
		b.limited.Warn(string(a.Error.Code), "read failed", "topic", limit.Cut(r.topic, mostQuoted), "code", a.Error.Code, "message", a.Error.Message)
	}
	b.send(r, a.reply)
}

// A readReply is a reply to a read while it is put together.
type readReply struct {
	*reply
	points  bool            // nobody has named the items: they are the points of the meter
	lacking protocol.Object // points that the meter does not have
	newest  time.Time       // when the latest of the values was read
}

// fail notes that an item has no value.
func (a *readReply) fail(item string, err error) {
	if p := problemOf(err); a.points && errors.Is(err, protocol.ErrNoSuchData) {
		a.lacking.Set(item, p)
	} else {
		a.Errors.Set(item, p)
	}
}

// forgive takes back that an item has no value: what a block did not bring may have been read singly.
func (a *readReply) forgive(item string) {
	a.Errors.Remove(item)
	a.lacking.Remove(item)
}

// add takes the values of a step into the reply, or why there are none.
func (a *readReply) add(o *meters.Outcome) {
	if o.Err != nil {
		for _, item := range o.Items {
			a.fail(item, o.Err)
		}
		return
	}
	if o.Time.After(a.newest) {
		a.newest = o.Time
	}
	for _, item := range o.Items {
		a.forgive(item)
	}
	for _, value := range o.Values(o.Result) {
		a.Values.Set(value.Name, value.Data)
		if value.Unit != "" {
			a.Units.Set(value.Name, value.Unit)
		}
	}
}
