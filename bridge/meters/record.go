package meters

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// A record is what the bridge keeps of one meter that it looks after: of every named one, and of
// those that the point table gives by their address.
type record struct {
	*Entry
	configured bool  // it has a name
	roles      roles // of its items; they never change

	mu        sync.Mutex
	points    map[string]*points.Point // by item
	order     []string                 // the items as the table has them
	state     state
	presence  reachability
	limits    map[string]string           // which limit an item is beyond: "min", "max"
	registers map[string]*points.Register // of items that only rise
	lacking   map[string]lack             // what it does not have, by item
	silence   *silence                    // the last one, if the meter has not been heard since
	answered  string                      // the last item that it said something to; empty: none
	inspected inspection
	refused   time.Time         // when an event last said that a command was not sent
	hidden    bool              // the meter refuses to show what its relay does
	told      []string          // what was last told to be stale
	toldStale bool              // anything was told
	found     protocol.MeterKey // the meter that all this is of, behind a wildcard; zero: none was found
}

func newRecord(m *Entry, configured bool) *record {
	return &record{
		Entry: m, configured: configured, roles: rolesOf(m.Protocol),
		limits: map[string]string{}, registers: map[string]*points.Register{}, lacking: map[string]lack{},
	}
}

// setPoints makes the record work by these points, and forgets what it knew of others.
func (w *record) setPoints(list []*points.Point) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(list) > 0 && list[0].Retain && len(w.order) > 0 && !w.points[w.order[0]].Retain {
		w.state.dirty = true // the broker does not have it yet
	}
	w.points, w.order = make(map[string]*points.Point, len(list)), nil
	for _, p := range list {
		w.points[p.Item] = p
		w.order = append(w.order, p.Item)
	}
	w.state.keep(w.points)
	for item := range w.registers {
		if w.points[item] == nil {
			delete(w.registers, item)
		}
	}
	for item, beyond := range w.limits {
		if p := w.points[item]; p == nil || beyond == limitMin && p.Min == nil || beyond == limitMax && p.Max == nil {
			delete(w.limits, item)
		}
	}
}

// hasPoints reports whether the point table has anything of the meter.
func (w *record) hasPoints() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.order) > 0
}

// Trial returns an item of a configured meter that shows whether it is there.
func (k *Keeper) Trial(name string) []string { return k.poller.named(name).trial() }

// trial returns an item that reports whether the meter is there: the last that it has answered if
// there is any, since some meters are silent to what they do not know.
func (w *record) trial() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.answered != "" && w.asksFor(w.answered):
		return []string{w.answered}
	case len(w.order) > 0:
		return w.order[:1]
	}
	if catalogue, ok := w.Protocol.(protocol.Catalogue); ok {
		basic := catalogue.Basic()
		return basic[:min(1, len(basic))] // of a slave of Modbus without a map nothing is known
	}
	return nil
}

// undecided reports whether the meter was silent when it was last asked, and the bus does not yet
// count it as offline.
func (w *record) undecided() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.presence.silent && w.presence.onBus
}

// An Outcome is how one step of a plan ended.
type Outcome struct {
	protocol.Step
	bus.Reply
	Time   time.Time // when the answer came, else when waiting for it ended; of a value from the cache, when it was read
	Cached bool
}

// Observe takes in what steps brought, for whoever they were done, and publishes what it means
// for the meters that are looked after.
func (k *Keeper) Observe(outcomes []Outcome) {
	var changed []*record
	for i := range outcomes {
		o := &outcomes[i]
		w := k.poller.recordOf(k.directory, o)
		if w == nil || o.Cached {
			continue
		}
		if !o.Result.Address.IsZero() {
			w.Learn(o.Result.Address, true) // what follows comes from there, and is this meter's
		}
		if len(changed) == 0 || changed[len(changed)-1] != w {
			changed = append(changed, w)
		}
		k.observeOne(w, o)
	}
	for _, w := range changed {
		k.publishState(w)
	}
}

func (k *Keeper) observeOne(w *record, o *Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isAnother(o.Result.Address) {
		k.log.Info("another meter answers than before; what was known of that one is dropped", "meter", w.Name, "address", o.Result.Address.Text)
		k.poller.hurry(w.Name)
	}
	if o.Started {
		k.config.Count(w.Name, o.Err)
	}
	k.judgePresence(w, o)
	if o.Step.IsCommand() {
		return
	}
	k.noteLack(w, o)
	k.noteHidden(w, o)
	if o.Err != nil {
		return
	}
	var read readings
	for _, value := range o.Result.Values {
		if p := w.points[value.Name]; p != nil && k.accept(w, p, value, o, o.Time) {
			read.add(value.Name, value.Data)
		}
		k.inspect(w, value, o.Time)
		if open, is := value.Data.(bool); is && w.roles[value.Name] == protocol.RoleRelay && len(w.order) > 0 {
			read.add(itemRelay, !open) // 1: closed, as a lamp that is on
		}
	}
	if k.config.Readings {
		k.publishReadings(w, read, o.Time)
	}
	if !o.Result.Clock.IsZero() && !o.Came.IsZero() {
		k.judgeClock(w, o.Result.Clock.Sub(o.Came), o.Came)
	}
}

// noteHidden takes note that a meter refuses to show what its relay does. It may obey all the same, and nobody
// would know why there is no switch.
func (k *Keeper) noteHidden(w *record, o *Outcome) {
	var refusal *protocol.Refusal
	if w.hidden || w.state.relay != "" || !errors.As(o.Err, &refusal) {
		return
	}
	for item, role := range w.roles {
		word, _, _ := strings.Cut(item, ".")
		if role != protocol.RoleRelay || !slices.Contains(o.Items, item) && !slices.Contains(o.Items, word) {
			continue
		}
		w.hidden = true
		if k.config.Allow[string(protocol.PermitRelay)] {
			k.log.Warn("the meter refuses to show what its relay does, so that commands for it can be acknowledged but not verified; Home Assistant gets two buttons in place of a switch",
				"meter", w.Name, "item", word, "reasons", strings.Join(refusal.Reasons, ", "))
		}
	}
}

// about returns what is known of the meter beside its values, for Home Assistant.
func (w *record) about() (device map[protocol.Role]string, hidden bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.inspected.device), w.hidden && w.state.relay == ""
}

// isAnother reports whether the meter behind a wildcard has been exchanged for the one at an address. Then
// nothing is kept of what was known of the one before.
func (w *record) isAnother(address protocol.Address) bool {
	if !w.Address.Shared || address.MeterKey == w.found || address.Shared || address.IsZero() {
		return false
	}
	first := w.found == protocol.MeterKey{}
	w.found = address.MeterKey
	if first {
		return false
	}
	w.state = state{dirty: true, appeared: w.state.appeared}
	w.silence, w.answered, w.inspected, w.hidden = nil, "", inspection{}, false
	clear(w.limits)
	clear(w.registers)
	clear(w.lacking)
	return true
}

// accept takes in a new value of a point. A round is over when its last step is: what it read
// first may be older than what somebody else has read meanwhile. It reports whether the value counts.
func (k *Keeper) accept(w *record, p *points.Point, value protocol.Value, o *Outcome, came time.Time) bool {
	number, isNumber := value.Data.(protocol.Decimal)
	switch {
	case w.state.isNewer(p.Item, came):
		return false
	case value.Data == nil:
		w.state.forget(p.Item, came)
		return false
	case isNumber:
		if p.Description.Counter && !k.credible(w, p, number, o, came) {
			return false
		}
		k.judgeLimits(w, p, number, came)
	case !isScalar(value.Data):
		return false
	}
	w.state.put(p, value, came)
	return true
}

// isScalar reports whether a value has a place in a flat state.
func isScalar(data any) bool {
	switch data.(type) {
	case bool, string, protocol.Decimal:
		return true
	}
	return false
}

// has reports whether the state has an item, the relay among them.
func (w *record) has(item string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state.values[item] != nil || item == itemRelay && w.state.relay != "" || item == homeassistant.ItemDrift && !w.state.driftTime.IsZero()
}

// appeared counts how often an item came to be in the state, and what else has become known of the meter.
func (w *record) appeared() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.state.appeared + len(w.inspected.device)
	if w.hidden {
		n++
	}
	return n
}

// unit returns the unit of the last value of an item, where it is not that of the description.
func (w *record) unit(item string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v := w.state.values[item]; v != nil {
		return v.unit
	}
	return ""
}
