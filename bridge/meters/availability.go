package meters

import (
	"errors"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// A reachability is whether a meter can be reached.
type reachability struct {
	over   bool // the meter is not looked after any more
	heard  bool // it has answered since the start
	known  bool
	online bool
	silent bool      // it left the last question unanswered
	onBus  bool      // what the bus thought when it was last looked at; it probes offline meters itself
	again  time.Time // when to ask once more because a probe has told nothing; zero: not
}

// PortPatience is how long the port may be missing before all meters count as offline.
const PortPatience = time.Minute

// Why a meter is offline.
const (
	causeSilent = "timeout"
	causeDown   = "bus_down"
)

// judgePresence concludes from the end of a step whether the meter is there. Noise tells nothing, nor
// does a missing port, which may be back in a moment: refreshPresence waits for that.
func (k *Keeper) judgePresence(w *record, o *Outcome) {
	answered := heard(o)
	w.presence.silent = errors.Is(o.Err, protocol.ErrSilent)
	w.presence.onBus = k.bus.Meter(w.Current().MeterKey).Online()
	switch {
	case answered:
		k.setPresence(w, true, "", o.Time)
	case w.presence.silent && (!w.presence.known || !w.presence.onBus):
		k.setPresence(w, false, causeSilent, o.Time)
	}
}

// heard reports whether the meter was heard in a step.
func heard(o *Outcome) bool {
	var refusal *protocol.Refusal
	return o.Err == nil && o.First.Answer != nil || errors.As(o.Err, &refusal) || !o.Result.Address.IsZero()
}

// setPresence publishes whether a meter is there, if that has changed.
func (k *Keeper) setPresence(w *record, online bool, cause string, at time.Time) {
	p := &w.presence
	if online && !p.heard && !p.over {
		p.heard = true
		address := w.Current()
		k.log.Info("the meter has answered for the first time", "meter", w.Name, "address", address.Text, "protocol", title(w.Protocol))
	}
	if p.over || p.known && p.online == online {
		return
	}
	first := !p.known
	p.known, p.online = true, online
	k.publishAvailability(w)
	switch {
	case online:
		if !first {
			clear(w.lacking) // it may have been exchanged
			k.poller.hurry(w.Name)
			k.event(w, eventOnline, at)
		}
	case !first:
		k.event(w, eventOffline, at, protocol.Member{Name: "reason", Value: cause})
	}
}

func (k *Keeper) publishAvailability(w *record) {
	text := statusOffline
	if w.presence.online {
		text = statusOnline
	}
	k.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: k.topics.ofMeter(w.Name, topicAvailability), Payload: []byte(text), ContentType: mqtt.Text})
}

// clearAvailability takes the retained availability of a meter back that is not looked after
// any more. An answer of it may be looked at just now.
func (k *Keeper) clearAvailability(w *record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.presence.over = true
	k.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: k.topics.ofMeter(w.Name, topicAvailability), ContentType: mqtt.Text})
}

// A portWatch remembers since when the bus has had no port. It belongs to the bridge's loop.
type portWatch struct {
	down time.Time // zero: it has one
	lost bool      // its meters count as offline
}

// refreshPresence takes note of what the bus has found out by itself. It probes meters that are
// offline, also those that nobody else asks; and without its port nobody can be reached.
func (k *Keeper) refreshPresence() {
	port := &k.port
	now, up := time.Now(), k.bus.State().Up
	back := up && port.lost
	switch {
	case up:
		*port = portWatch{}
	case port.down.IsZero():
		port.down = now
	case now.Sub(port.down) > PortPatience:
		port.lost = true
	}
	for _, w := range k.poller.all() {
		w.mu.Lock()
		onBus := k.bus.Meter(w.Current().MeterKey).Online()
		again := !w.presence.again.IsZero() && !now.Before(w.presence.again)
		if again {
			w.presence.again = time.Time{}
		}
		probe := (back || again && onBus) && !w.presence.online
		switch {
		case port.lost:
			w.presence.onBus = onBus // what it thinks by now is no news once the port is back
			k.setPresence(w, false, causeDown, now)
		case w.presence.known && onBus != w.presence.onBus:
			w.presence.onBus = onBus
			k.setPresence(w, onBus, causeSilent, now)
		}
		w.mu.Unlock()
		if probe {
			k.probe(w)
		}
	}
}
