package uplink

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"dlt645-mqtt/uplink/dialect"
)

const (
	// postPatience is how long the cloud may take to acknowledge and answer a post.
	postPatience = 20 * time.Second

	// window is how many posts are under way at a time.
	window = 32

	// A post that alone has ended so many connections, while the cloud took others, is given up.
	poisonous = 3

	// A post that was acknowledged but never answered so often counts as taken.
	mostUnanswered = 3
)

// A flow brings the bridges' messages to the cloud, in order, and acknowledges them when the cloud
// has them. It is one goroutine.
type flow struct {
	*Uplink
	translator translator
	ids        atomic.Uint64

	letters []letter  // that the posts were made of
	meters  []meterID // that the posts are about, in gateway mode
	posts   []*parcel // not yet taken by the cloud, in order
	alone   bool      // one at a time: an earlier connection ended under several
	history chan []dialect.Reading
}

// A parcel is a post, and what has happened to it.
type parcel struct {
	dialect.Post
	killed     int // connections that ended while it alone was under way
	unanswered int
}

func newFlow(u *Uplink) *flow {
	f := &flow{Uplink: u, history: make(chan []dialect.Reading, 1)}
	f.translator = translator{
		keys: u.config.Keys, rule: u.traits.Identifier, flat: u.devices.open, devices: u.devices, least: u.config.MinInterval,
		seen: map[meterID]map[string]time.Time{}, posted: map[meterID]time.Time{}, refuse: f.refuse,
	}
	return f
}

// refuse tells, once an item, that the cloud cannot take it.
func (f *flow) refuse(item string, err error) {
	f.metrics.refused(item, "key")
	f.metrics.once(f.log, "key "+item, "an item cannot go to the cloud; give it a key in DLT645_UPLINK_KEYS", "item", item, "why", err, "line", item+","+f.traits.Identifier.Propose(item))
}

// id makes message ids: digits, unique within the process.
func (f *flow) id() string { return strconv.FormatUint(f.ids.Add(1), 10) }

func (f *flow) run(ctx context.Context) {
	filler := newBackfill(f)
	for ctx.Err() == nil {
		var s *session
		select {
		case <-ctx.Done():
			return
		case s = <-f.cloud.sessions:
		}
		f.presence.begin()
		f.serve(ctx, s, filler)
		s.end()
	}
}

// serve works over one connection until it ends.
func (f *flow) serve(ctx context.Context, s *session, filler *backfill) {
	for {
		// Who is there comes first: a platform takes no values of a device that it was not told of.
		if err := f.tell(ctx, s, filler); err != nil {
			return
		}
		if err := f.deliver(ctx, s); err != nil {
			return
		}
		for _, l := range f.letters {
			l.ack()
		}
		if len(f.meters) > 0 {
			f.presence.wake() // those that came for a post only are to go
		}
		f.letters, f.meters = nil, nil
		if f.fetch() {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.lost:
			return
		case <-f.local.arrived:
		case <-f.presence.changed:
		case readings := <-f.history:
			f.add(f.dialect.Report(readings, true, f.id))
		}
	}
}

// fetch makes posts of what has arrived. It reports whether there was anything.
func (f *flow) fetch() bool {
	f.letters = f.local.collect()
	var readings []dialect.Reading
	flush := func() {
		f.add(f.dialect.Report(readings, false, f.id))
		readings = nil
	}
	for _, l := range f.letters {
		id := meterID{l.root, l.meter}
		var err error
		switch {
		case l.kind == "event":
			var n *dialect.Notice
			if n, err = f.translator.event(id, l.data); n != nil && err == nil {
				flush() // events and values stay in order
				f.add(f.dialect.Event(*n, f.id))
			}
		case len(l.data) == 0:
			f.translator.forget(id)
		default:
			var more []dialect.Reading
			more, err = f.translator.state(id, l.data)
			readings = append(readings, more...)
		}
		if err != nil {
			f.metrics.dropped.Inc()
			f.metrics.limited(f.log, "unreadable", "a message of a bridge cannot be understood and is passed over", "root", l.root, "meter", l.meter, "kind", l.kind, "err", err)
		}
	}
	flush()
	f.meters = nil
	for _, l := range f.letters {
		if id := (meterID{l.root, l.meter}); !f.devices.open && !slices.Contains(f.meters, id) {
			f.meters = append(f.meters, id)
		}
	}
	return len(f.letters) > 0
}

func (f *flow) add(posts []dialect.Post) {
	for _, p := range posts {
		f.posts = append(f.posts, &parcel{Post: p})
	}
}

// tell announces and withdraws devices. An error means that the connection has ended.
func (f *flow) tell(ctx context.Context, s *session, filler *backfill) error {
	come, gone := f.presence.news(f.meters)
	now := time.Now()
	var posts []dialect.Post
	if len(gone) > 0 {
		posts = append(posts, f.dialect.Withdraw(gone, now, f.id)...)
	}
	if len(come) > 0 {
		posts = append(posts, f.dialect.Announce(come, now, f.id)...)
	}
	for _, p := range posts {
		sent, err := s.send(ctx, p)
		if err != nil {
			return err
		}
		reply, err := s.awaitPosted(ctx, sent, postPatience)
		switch {
		case errors.Is(err, errUnanswered):
			f.metrics.limited(f.log, "announce unanswered", "the cloud does not answer the announcement of devices; going on", "topic", p.Topic)
		case err != nil:
			return err
		case reply != nil:
			f.judge(p, *reply, "announcement")
		}
	}
	filler.begin(ctx)
	return nil
}

// judge reads what the cloud says of a post: what it did not take is counted and told.
func (f *flow) judge(p dialect.Post, r dialect.Reply, what string) {
	if !r.OK {
		f.metrics.refused("", r.Code)
		f.metrics.limited(f.log, "refused "+r.Code, "the cloud has refused a message; it is passed over", "what", what, "topic", p.Topic, "code", r.Code, "message", r.Message, "values", p.Values)
		return
	}
	for _, rejection := range r.Rejected {
		f.metrics.refused(rejection.Key, "rejected")
		f.metrics.once(f.log, "rejected "+rejection.Key, "the cloud has not stored a value, although it says that it took the message; compare its model with uplink model", "key", rejection.Key, "reason", rejection.Reason)
	}
}

// deliver brings all posts to the cloud. An error means that the connection has ended, and that
// what is left in posts must be tried over another one.
func (f *flow) deliver(ctx context.Context, s *session) error {
	for len(f.posts) > 0 {
		size := min(window, len(f.posts))
		if f.alone {
			size = 1
		}
		batch := f.posts[:size]
		var under []*posted
		for _, p := range batch {
			sent, err := s.send(ctx, p.Post)
			if err != nil {
				break
			}
			under = append(under, sent)
		}
		done, err := f.awaitBatch(ctx, s, batch, under)
		f.posts = append(done, f.posts[size:]...)
		if err != nil {
			return err
		}
	}
	f.alone = false
	return nil
}

// awaitBatch waits for the posts of a batch that are under way. It returns those that must be tried again.
func (f *flow) awaitBatch(ctx context.Context, s *session, batch []*parcel, under []*posted) (again []*parcel, ended error) {
	for i, p := range batch {
		if i >= len(under) {
			again, ended = append(again, p), errLost
			continue
		}
		reply, err := s.awaitPosted(ctx, under[i], postPatience)
		switch {
		case err == nil:
			if reply != nil {
				f.judge(p.Post, *reply, "post")
			}
			f.metrics.posts.Inc()
			f.metrics.values.Add(p.Values)
		case errors.Is(err, errUnanswered):
			if p.unanswered++; p.unanswered >= mostUnanswered {
				f.metrics.limited(f.log, "unanswered", "the cloud acknowledges messages but does not answer them; they count as taken", "topic", p.Topic)
				f.metrics.posts.Inc()
				f.metrics.values.Add(p.Values)
				continue
			}
			again, ended = append(again, p), errUnanswered
		default:
			again, ended = append(again, p), err
		}
	}
	if ended == nil || ctx.Err() != nil || !errors.Is(ended, errLost) {
		return again, ended
	}
	if len(under) == 1 && len(again) == 1 {
		return f.suspect(s, again), ended
	}
	if len(under) > 1 {
		f.alone = true // one of them may be what ends the connection
	}
	return again, ended
}

// suspect counts that a connection has ended under this one post, and gives it up if that is so
// each time, although the cloud takes other messages over the same connections.
func (f *flow) suspect(s *session, one []*parcel) []*parcel {
	p := one[0]
	s.mu.Lock()
	worked := s.worked
	s.mu.Unlock()
	if worked {
		p.killed++
	}
	if p.killed < poisonous {
		return one
	}
	f.metrics.refused("", "disconnect")
	f.log.Error("the cloud ends the connection at a message each time; it is given up", "topic", p.Topic, "bytes", len(p.Payload), "values", p.Values)
	return nil
}
