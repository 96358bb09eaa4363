package bridge

import (
	"errors"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// A presence is whether a meter can be reached.
type presence struct {
	over   bool // the meter is not looked after any more
	heard  bool // it has answered since the start
	known  bool
	online bool
	silent bool      // it left the last question unanswered
	onBus  bool      // what the bus thought when it was last looked at; it probes offline meters itself
	again  time.Time // when to ask once more because a probe has told nothing; zero: not
}

// portPatience is how long the port may be missing before all meters count as offline.
const portPatience = time.Minute

// Why a meter is offline.
const (
	causeSilent = "timeout"
	causeDown   = "bus_down"
)

// judgePresence draws from the end of a step whether the meter is there. Noise tells nothing, nor
// does a missing port, which may be back in a moment: refreshPresence waits for that.
func (b *Bridge) judgePresence(w *watch, o *outcome) {
	answered := heard(o)
	w.presence.silent = errors.Is(o.Err, protocol.ErrSilent)
	w.presence.onBus = b.bus.Meter(w.current().MeterKey).Online()
	switch {
	case answered:
		b.setPresence(w, true, "", o.time)
	case w.presence.silent && (!w.presence.known || !w.presence.onBus):
		b.setPresence(w, false, causeSilent, o.time)
	}
}

// heard reports whether the meter was heard in a step.
func heard(o *outcome) bool {
	var refusal *protocol.Refusal
	return o.Err == nil && o.First.Answer != nil || errors.As(o.Err, &refusal) || !o.Result.Address.IsZero()
}

// setPresence publishes whether a meter is there, if that has changed.
func (b *Bridge) setPresence(w *watch, online bool, cause string, at time.Time) {
	p := &w.presence
	if online && !p.heard && !p.over {
		p.heard = true
		address := w.current()
		b.log.Info("the meter has answered for the first time", "meter", w.Name, "address", address.Text, "protocol", title(w.Protocol))
	}
	if p.over || p.known && p.online == online {
		return
	}
	first := !p.known
	p.known, p.online = true, online
	b.publishAvailability(w)
	switch {
	case online:
		if !first {
			clear(w.lacking) // it may have been exchanged
			b.poller.hurry(w.Name)
			b.event(w, eventOnline, at)
		}
	case !first:
		b.event(w, eventOffline, at, protocol.Member{Name: "reason", Value: cause})
	}
}

func (b *Bridge) publishAvailability(w *watch) {
	text := statusOffline
	if w.presence.online {
		text = statusOnline
	}
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: b.topics.ofMeter(w.Name, topicAvailability), Payload: []byte(text), ContentType: mqtt.Text})
}

// clearAvailability takes the retained availability of a meter back that is not looked after
// any more. An answer of it may be looked at just now.
func (b *Bridge) clearAvailability(w *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.presence.over = true
	b.outbox.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: b.topics.ofMeter(w.Name, topicAvailability), ContentType: mqtt.Text})
}

// A portWatch remembers since when the bus has had no port. It belongs to the bridge's loop.
type portWatch struct {
	down time.Time // zero: it has one
	lost bool      // its meters count as offline
}

// refreshPresence takes note of what the bus has found out by itself. It probes meters that are
// offline, also those that nobody else asks; and without its port nobody can be reached.
func (b *Bridge) refreshPresence(port *portWatch) {
	now, up := time.Now(), b.bus.State().Up
	back := up && port.lost
	switch {
	case up:
		*port = portWatch{}
	case port.down.IsZero():
		port.down = now
	case now.Sub(port.down) > portPatience:
		port.lost = true
	}
	for _, w := range b.poller.all() {
		w.mu.Lock()
		onBus := b.bus.Meter(w.current().MeterKey).Online()
		again := !w.presence.again.IsZero() && !now.Before(w.presence.again)
		if again {
			w.presence.again = time.Time{}
		}
		probe := (back || again && onBus) && !w.presence.online
		switch {
		case port.lost:
			w.presence.onBus = onBus // what it thinks by now is no news once the port is back
			b.setPresence(w, false, causeDown, now)
		case w.presence.known && onBus != w.presence.onBus:
			w.presence.onBus = onBus
			b.setPresence(w, onBus, causeSilent, now)
		}
		w.mu.Unlock()
		if probe {
			b.probe(w)
		}
	}
}
