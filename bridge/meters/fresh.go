package meters

import (
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/bridge/homeassistant"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// freshFor is how long a value is worth showing that is read at an interval: a round may be left out, and
// the next one may wait a little.
func freshFor(interval time.Duration) time.Duration { return 2*interval + 15*time.Second }

// stale lists what the meter has points for and what is not worth showing: what was not read since the bridge
// started, or not for long. The retained state has values of both kinds.
func (w *record) stale(now time.Time) (list []string) {
	for _, item := range w.order {
		if v := w.state.values[item]; v == nil || now.Sub(v.time) > freshFor(w.points[item].Interval) {
			list = append(list, item)
		}
	}
	if w.state.relay == "" || now.Sub(w.state.relayTime) > w.relayFresh() {
		list = append(list, itemRelay)
	}
	if w.state.driftTime.IsZero() || now.Sub(w.state.driftTime) > freshFor(inspectionInterval) {
		list = append(list, homeassistant.ItemDrift)
	}
	return list
}

// relayFresh is how long what the relay does is worth showing. Where no point tells, nothing says how often
// it is to be looked at.
func (w *record) relayFresh() time.Duration {
	longest := time.Duration(1<<63 - 1)
	for item, role := range w.roles {
		word, _, _ := strings.Cut(item, ".")
		for _, of := range []string{item, word} {
			if p := w.points[of]; role == protocol.RoleRelay && p != nil {
				longest = min(longest, freshFor(p.Interval))
			}
		}
	}
	return longest
}

// refreshStale publishes what is not worth showing, of the meters of which that has changed. Home Assistant
// shows such values as unavailable.
func (k *Keeper) refreshStale() {
	if k.config.Discovery == "" {
		return
	}
	now := time.Now()
	for _, w := range k.poller.all() {
		w.mu.Lock()
		if len(w.order) > 0 {
			k.publishStale(w, now)
		}
		w.mu.Unlock()
	}
}

// publishStale does so for one meter. The caller holds record.mu.
func (k *Keeper) publishStale(w *record, now time.Time) {
	list := w.stale(now)
	if w.toldStale && slices.Equal(list, w.told) {
		return
	}
	payload, err := protocol.AppendJSON(nil, append([]string{}, list...)) // not null
	if err != nil {
		return // a list of strings always encodes
	}
	w.told, w.toldStale = list, true
	k.publisher.Put(mqtt.Outgoing{Kind: mqtt.Leading, Topic: k.topics.ofMeter(w.Name, topicStale), Payload: payload, ContentType: mqtt.JSON})
}

// clearStale takes the list back of a meter that has no points, or is not looked after any more.
func (k *Keeper) clearStale(w *record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 && k.config.Discovery != "" {
		w.told, w.toldStale = nil, false
		k.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: k.topics.ofMeter(w.Name, topicStale), ContentType: mqtt.JSON})
	}
}
