package uplink

import (
	"cmp"
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

	// A post that was acknowledged but never answered so often counts as taken.
	mostUnanswered = 3
)

// A flow brings the bridges' messages to the cloud, in order, and acknowledges them when the cloud
// has them. It is one goroutine.
type flow struct {
	*Uplink
	translator translator
	ids        atomic.Uint64

	letters []bridgeMessage  // that the posts were made of
	meters  []meterID        // that the posts are about, in gateway mode
	removed map[meterID]bool // by their bridges, in these messages
	posts   []*parcel        // not yet taken by the cloud, in order
	parcels uint64           // so many were made
	taken   uint64           // so many posts the cloud has taken
	alone   bool             // one at a time: an earlier connection ended under several
	history chan []dialect.Reading

	quarantine // posts and devices under which connections end
}

// A parcel is a post, and what has happened to it.
type parcel struct {
	dialect.Post
	number     uint64 // in their order; the parts of a post have its number
	killed     int    // connections that ended while it alone was under way
	since      uint64 // how many posts had been taken when the first of them ended
	unanswered int
}

// parts divides a parcel.
func (p *parcel) parts() (all []*parcel) {
	for _, part := range p.Split() {
		all = append(all, &parcel{Post: part, number: p.number, killed: p.killed, since: p.since})
	}
	return all
}

func newFlow(u *Uplink) *flow {
	f := &flow{Uplink: u, history: make(chan []dialect.Reading, 1), removed: map[meterID]bool{}, quarantine: newQuarantine()}
	f.translator = translator{
		keys: u.config.Keys, rule: u.traits.Identifier, flat: u.devices.open, devices: u.devices, least: u.config.MinInterval,
		seen: map[meterID]map[string]time.Time{}, recent: map[meterID]*recentStates{}, posted: map[meterID]time.Time{}, refuse: f.refuse,
		owners: u.config.Keys.owners(), early: f.noteEarly, named: u.flags.note,
	}
	return f
}

// refuse tells, once an item, that the cloud cannot take it.
func (f *flow) refuse(item string, err error) {
	f.metrics.refused(item, "key")
	f.metrics.once(f.log, "key "+item, "an item cannot go to the cloud; give it a key in DLT645_UPLINK_KEYS", "item", item, "why", err, "line", item+","+f.traits.Identifier.Propose(item))
}

// noteEarly tells that a state is dated in the future: clouds refuse its values, or show them at the wrong place.
func (f *flow) noteEarly(id meterID, ahead time.Duration) {
	f.metrics.limited(f.log, "early "+id.root, "values are dated in the future: the clock of their bridge is wrong, or that of this host; clouds refuse such values, or do not show them",
		"root", id.root, "meter", id.meter, "ahead", ahead.Round(time.Second))
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
	f.trial = !f.trial
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
		for id := range f.removed { // what came before went out first
			f.presence.meter(id, "")
		}
		clear(f.removed)
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
			f.add(f.dialect.Report(f.known(readings), true, f.id))
		}
	}
}

// fetch makes posts of what has arrived. It reports whether there was anything.
func (f *flow) fetch() bool {
	letters := f.local.collect()
	f.letters = append(f.letters, letters...)
	var readings []dialect.Reading
	flush := func() {
		f.add(f.dialect.Report(f.known(readings), false, f.id))
		readings = nil
	}
	for _, l := range letters {
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
			f.removed[id] = true
		default:
			delete(f.removed, id)
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
	for _, l := range letters {
		if id := (meterID{l.root, l.meter}); len(l.data) > 0 && !f.devices.open && !slices.Contains(f.meters, id) {
			f.meters = append(f.meters, id)
		}
	}
	return len(letters) > 0
}

func (f *flow) add(posts []dialect.Post) {
	for _, p := range posts {
		f.parcels++
		f.posts = append(f.posts, &parcel{Post: p, number: f.parcels})
	}
}

// tell announces and withdraws devices. An error means that the connection has ended.
func (f *flow) tell(ctx context.Context, s *session, filler *backfill) error {
	come, gone := f.presence.news(f.meters)
	told := s.taken
	_, event := f.config.Keys.state(f.devices.open)
	for _, news := range []struct {
		online  bool
		devices []*dialect.Device
		write   func([]*dialect.Device, time.Time, dialect.IDs) []dialect.Post
	}{{false, gone, f.dialect.Withdraw}, {true, come, f.dialect.Announce}} {
		devices := news.devices
		if event != "" {
			devices = f.presence.moved(devices, news.online)
		}
		for _, group := range f.groups(devices) {
			err := f.postNews(ctx, s, news.write(group, time.Now(), f.id))
			f.noteTold(group, errors.Is(err, errLost) && ctx.Err() == nil, told)
			if err != nil {
				return err
			}
			told = true
		}
		f.presence.mark(news.devices, news.online)
	}
	filler.begin(ctx)
	return nil
}

// postNews posts what is to be told of devices, one after the other.
func (f *flow) postNews(ctx context.Context, s *session, posts []dialect.Post) error {
	for len(posts) > 0 {
		p := posts[0]
		posts = posts[1:]
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
		case reply != nil && !reply.OK && f.maySplit(p):
			posts = append(p.Split(), posts...)
		case reply != nil:
			f.judge(p, *reply, "announcement")
		}
	}
	return nil
}

// onlyKey returns the key of a post with a single reading; else nothing.
func onlyKey(p dialect.Post) string {
	if len(p.Readings) == 1 {
		return p.Readings[0].Key
	}
	return ""
}

// judge reads what the cloud says of a post: what it did not take is counted and told.
func (f *flow) judge(p dialect.Post, r dialect.Reply, what string) {
	if !r.OK {
		key := onlyKey(p)
		f.metrics.refused(key, r.Code)
		arguments := []any{"what", what, "topic", p.Topic, "code", r.Code, "message", r.Message, "values", len(p.Readings)}
		if first, last := span(p.Readings); !first.IsZero() {
			arguments = append(arguments, "from", first.Format(time.RFC3339), "to", last.Format(time.RFC3339))
		}
		f.metrics.limited(f.log, "refused "+key+" "+r.Code, "the cloud has refused a message; it is passed over", append(arguments, "key", key)...)
		return
	}
	for _, rejection := range r.Rejected {
		f.metrics.refused(rejection.Key, "rejected")
		f.metrics.once(f.log, "rejected "+rejection.Key, "the cloud has not stored a value, although it says that it took the message; export its model, and let uplink check compare it", "key", rejection.Key, "reason", rejection.Reason)
	}
}

// span returns the times of the oldest and the newest of readings.
func span(readings []dialect.Reading) (first, last time.Time) {
	for i, r := range readings {
		if i == 0 || r.Time.Before(first) {
			first = r.Time
		}
		if i == 0 || r.Time.After(last) {
			last = r.Time
		}
	}
	return first, last
}

// deliver brings all posts to the cloud, those last under which connections have ended. An error means that
// the connection has ended, and that what is left must be tried over another one.
func (f *flow) deliver(ctx context.Context, s *session) error {
	for {
		for len(f.posts) > 0 && (s.taken || !f.trial || len(f.suspects) == 0) {
			size := min(window, len(f.posts))
			if f.alone {
				size = 1
			}
			if err := f.sendBatch(ctx, s, size); err != nil {
				return err
			}
		}
		f.alone = f.alone && len(f.posts) > 0
		switch {
		case len(f.suspects) == 0:
			if len(f.posts) == 0 {
				return nil
			}
		case !s.taken && len(f.posts) == 0 && !f.trial && f.fetch():
			// Something else may show whether the cloud takes anything.
		default:
			if err := f.trySuspects(ctx, s); err != nil {
				return err
			}
		}
	}
}

// sendBatch sends some posts from the head of the queue, and waits for them.
func (f *flow) sendBatch(ctx context.Context, s *session, size int) error {
	batch := f.posts[:size]
	var under []*posted
	for _, p := range batch {
		sent, err := s.send(ctx, p.Post)
		if err != nil {
			break
		}
		under = append(under, sent)
	}
	again, err := f.awaitBatch(ctx, s, batch, under)
	f.posts = append(again, f.posts[size:]...)
	if !errors.Is(err, errLost) || ctx.Err() != nil {
		return err
	}
	if len(under) > 1 {
		f.alone = true // one of them may be what ends the connection
	}
	if len(under) == 1 && len(again) == 1 {
		p := f.posts[0]
		f.posts = f.posts[1:]
		if f.accuse(p); p.killed < suspicious {
			f.posts = append([]*parcel{p}, f.posts...)
		} else {
			f.suspects = append(f.suspects, f.doubt(p)...)
		}
	}
	return err
}

// trySuspects sends the first of the posts under suspicion alone. If that is the first that the cloud takes over this
// connection, the others follow, in their order.
func (f *flow) trySuspects(ctx context.Context, s *session) error {
	before := s.taken
	err := f.trySuspect(ctx, s)
	if s.taken && !before {
		slices.SortStableFunc(f.suspects, func(a, b *parcel) int { return cmp.Compare(a.number, b.number) })
		for err == nil && len(f.suspects) > 0 {
			err = f.trySuspect(ctx, s)
		}
	}
	return err
}

func (f *flow) trySuspect(ctx context.Context, s *session) error {
	p, rest := f.suspects[0], f.suspects[1:]
	var under []*posted
	if sent, err := s.send(ctx, p.Post); err == nil {
		under = append(under, sent)
	}
	again, err := f.awaitBatch(ctx, s, f.suspects[:1:1], under)
	switch {
	case len(again) == 0: // it is taken after all
		f.suspects = rest
	case err == nil: // it is refused, and its parts are tried
		f.suspects = slices.Concat(again, rest)
	case len(under) == 0 || !errors.Is(err, errLost) || ctx.Err() != nil:
	case f.taken > p.since: // since it first ended a connection the cloud has taken others
		f.accuse(p)
		f.suspects = append(f.convict(p), rest...)
	default:
		f.accuse(p)
		f.metrics.once(f.log, "closes", "the cloud ends the connection at whatever is posted; nothing is given up, and it is tried seldom. Does the platform still know this gateway and its model?", "topic", p.Topic)
		f.suspects = slices.Concat(rest, f.doubt(p)) // it is the next one's turn
	}
	return err
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
		case err == nil && reply != nil && !reply.OK && f.maySplit(p.Post):
			again = append(again, p.parts()...)
		case err == nil:
			if reply != nil {
				f.judge(p.Post, *reply, "post")
			}
			switch {
			case reply == nil || reply.OK:
				s.taken = true
				f.taken++
				f.cloud.ended.Store(0)
				f.clear(p.Post)
			case s.taken:
				f.refuseValue(p.Post, false)
			}
			f.metrics.posts.Inc()
			f.metrics.values.Add(len(p.Readings))
		case errors.Is(err, errUnanswered):
			if p.unanswered++; p.unanswered >= mostUnanswered {
				f.metrics.limited(f.log, "unanswered", "the cloud acknowledges messages but does not answer them; they count as taken", "topic", p.Topic)
				f.metrics.posts.Inc()
				f.metrics.values.Add(len(p.Readings))
				continue
			}
			again, ended = append(again, p), errUnanswered
		default:
			again, ended = append(again, p), err
		}
	}
	return again, ended
}
