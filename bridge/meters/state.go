package meters

import (
	"time"

	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

const (
	// stateInterval is the longest time between two publications of a state whose points are
	// being read.
	stateInterval = time.Hour

	// sameReading is how far the values of one reading may lie apart: what is so little older
	// than the newest has no time of its own.
	sameReading = 2 * time.Second

	// itemRelay is what the state calls the relay.
	itemRelay = "relay"
)

// What a state says of the relay.
const (
	relayOpen   = "open"
	relayClosed = "closed"
)

// A state is what is known of a meter: the last good value of each point.
type state struct {
	values    map[string]*held
	relay     string // "open", "closed"; empty: not known
	relayTime time.Time
	drift     int64     // whole seconds that the meter's clock is ahead of ours
	driftTime time.Time // zero: its clock was not read
	dirty     bool      // something has changed that is to be published
	published time.Time
	due       bool      // publish though nothing has changed
	appeared  int       // items that came to have a value, those again that had lost it; the relay among them
	void      time.Time // when the meter last said of an item that it has no value
}

// A held value is one that was read.
type held struct {
	data      any
	unit      string // where it is not that of the description: a meter of heat may count in GJ
	time      time.Time
	published any // nil: not yet
}

// keep drops the values of points that are no more.
func (s *state) keep(list map[string]*points.Point) {
	for item := range s.values {
		if list[item] == nil {
			delete(s.values, item)
			s.dirty = true
		}
	}
}

// isNewer reports whether the state has a value of an item that came after a time.
func (s *state) isNewer(item string, than time.Time) bool {
	v := s.values[item]
	return v != nil && v.time.After(than)
}

// forget drops a value: the meter says that it has none. If the broker has kept one of an earlier run, that
// is wrong now.
func (s *state) forget(item string, at time.Time) {
	if s.values[item] != nil || s.published.IsZero() {
		delete(s.values, item)
		s.dirty = true
	}
	s.void = at
}

// empty reports whether nothing is known.
func (s *state) empty() bool { return len(s.values) == 0 && s.relay == "" && s.driftTime.IsZero() }

// put takes in a value.
func (s *state) put(p *points.Point, value protocol.Value, at time.Time) {
	data, unit := value.Data, value.Unit
	if unit == p.Description.Unit {
		unit = ""
	}
	if s.values == nil {
		s.values = map[string]*held{}
	}
	v := s.values[p.Item]
	if v == nil {
		v = &held{}
		s.values[p.Item] = v
		s.appeared++
	} else if v.unit != unit {
		s.appeared++ // to be told anew
	}
	v.data, v.unit, v.time = data, unit, at
	s.dirty = s.dirty || beyond(v.published, data, p.Deadband)
	// The next reading would come too late.
	s.due = s.due || at.Add(p.Interval).After(s.published.Add(stateInterval))
}

// beyond reports whether a value differs from the published one by more than the deadband.
func beyond(published, data any, deadband protocol.Decimal) bool {
	before, ok1 := published.(protocol.Decimal)
	now, ok2 := data.(protocol.Decimal)
	if !ok1 || !ok2 {
		return published != data
	}
	distance, ok := now.Distance(before)
	return !ok || distance.Compare(deadband) > 0
}

// encode writes the state as the contract has it: the values in the order of the table, the
// relay, the time of the newest and the times of those that are older. A state without any has the time
// at which the meter said so.
func (s *state) encode(order []string, stamp func(time.Time) string) ([]byte, error) {
	var o, times protocol.Object
	newest := s.relayTime
	if s.driftTime.After(newest) {
		newest = s.driftTime
	}
	if s.empty() {
		newest = s.void
	}
	for _, v := range s.values {
		if v.time.After(newest) {
			newest = v.time
		}
	}
	older := func(name string, at time.Time) {
		if newest.Sub(at) > sameReading {
			times = append(times, protocol.Member{Name: name, Value: stamp(at)})
		}
	}
	for _, item := range order {
		if v := s.values[item]; v != nil {
			o = append(o, protocol.Member{Name: item, Value: v.data})
			older(item, v.time)
		}
	}
	if s.relay != "" {
		o = append(o, protocol.Member{Name: itemRelay, Value: s.relay})
		older(itemRelay, s.relayTime)
	}
	if !s.driftTime.IsZero() {
		o = append(o, protocol.Member{Name: homeassistant.ItemDrift, Value: s.drift})
		older(homeassistant.ItemDrift, s.driftTime)
	}
	o = append(o, protocol.Member{Name: "time", Value: stamp(newest)})
	if times != nil {
		o = append(o, protocol.Member{Name: "times", Value: times})
	}
	return protocol.AppendJSON(nil, o)
}

// putRelay takes in how the relay is.
func (k *Keeper) putRelay(w *record, open bool, at time.Time) {
	if w.state.relayTime.After(at) {
		return // somebody else has looked since
	}
	relay := relayClosed
	if open {
		relay = relayOpen
	}
	before := w.state.relay
	w.state.relay, w.state.relayTime = relay, at
	if before == relay {
		return
	}
	w.state.dirty = true
	if before == "" {
		w.state.appeared++
	} else {
		k.event(w, eventRelay, at, protocol.Member{Name: "relay", Value: relay})
	}
}

// putDrift takes in how far the meter's clock is ahead. It shows whole seconds, so that readings of a clock
// that is right differ by one: what is no farther off than that is no news.
func (s *state) putDrift(ahead time.Duration, at time.Time) {
	if s.driftTime.After(at) {
		return
	}
	first := s.driftTime.IsZero()
	s.driftTime = at
	if !first && (ahead-time.Duration(s.drift)*time.Second).Abs() <= time.Second {
		return
	}
	s.drift, s.dirty = int64(ahead.Round(time.Second)/time.Second), true
	if first {
		s.appeared++
	}
}

// publishState publishes the state of a meter that has points, if there is news or it is time.
func (k *Keeper) publishState(w *record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.state
	if len(w.order) == 0 || !s.dirty && !s.due || s.empty() && s.void.IsZero() {
		return
	}
	payload, err := s.encode(w.order, k.stamp)
	if err != nil {
		k.log.Error("state cannot be written as JSON", "meter", w.Name, "err", err)
		return
	}
	s.dirty, s.due, s.published = false, false, time.Now()
	for _, v := range s.values {
		v.published = v.data
	}
	kind := mqtt.Current
	if w.points[w.order[0]].Retain {
		kind = mqtt.State
	}
	k.publisher.Put(mqtt.Outgoing{Kind: kind, Topic: k.topics.ofMeter(w.Name, topicState), Payload: payload, ContentType: mqtt.JSON})
}

// clearState takes the retained state of a meter back: it is not to be retained, or the meter has no
// points, or is not looked after any more.
func (k *Keeper) clearState(w *record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		w.state = state{}
	}
	k.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: k.topics.ofMeter(w.Name, topicState), ContentType: mqtt.JSON})
}
