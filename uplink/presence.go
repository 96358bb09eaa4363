package uplink

import (
	"slices"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/uplink/dialect"
)

// reachability knows which meters can be reached: those that are online at a bridge that is online.
type reachability struct {
	devices *devices
	changed chan struct{} // has one in it when there is something to tell the cloud

	// sessions says that the cloud takes nothing of a device that has not logged in over this connection, not even that it
	// is offline, as which the cloud has it already.
	sessions bool

	mu      sync.Mutex
	bridges map[string]bool  // by root
	meters  map[meterID]bool // as the bridges say
	told    map[meterID]bool // what this connection to the cloud has been told
	retired map[meterID]bool // meters that a bridge has removed

	marked map[meterID]bool // the last state that went out as an event

	away map[meterID]time.Time // since when, of meters that cannot be reached
	gaps []gap                 // that have ended
}

// A gap is a time in which a meter could not be reached, so that nothing of it was published.
type gap struct {
	id       meterID
	from, to time.Time
}

func newPresence(d *devices) *reachability {
	return &reachability{
		devices: d, changed: make(chan struct{}, 1),
		bridges: map[string]bool{}, meters: map[meterID]bool{}, told: map[meterID]bool{}, retired: map[meterID]bool{}, marked: map[meterID]bool{}, away: map[meterID]time.Time{},
	}
}

// bridge takes in whether a bridge is there.
func (p *reachability) bridge(root string, online bool) {
	p.mu.Lock()
	p.bridges[root] = online
	for id := range p.meters {
		if id.root == root {
			p.note(id)
		}
	}
	p.mu.Unlock()
	p.wake()
}

// meter takes in the availability of a meter; an empty one means that the bridge has it no more.
func (p *reachability) meter(id meterID, availability string) {
	p.mu.Lock()
	if availability == "" {
		delete(p.meters, id)
		delete(p.away, id)
		p.retired[id] = true
	} else {
		p.meters[id] = availability == "online"
		delete(p.retired, id)
		p.note(id)
	}
	p.mu.Unlock()
	p.wake()
}

// note takes down since when a meter is away, or that it has come back. The caller holds the lock. It
// happens when the bridge says so, not when the cloud is told, which may be away itself.
func (p *reachability) note(id meterID) {
	bridge, known := p.bridges[id.root]
	since := p.away[id]
	switch {
	case !known:
	case !p.meters[id] || !bridge:
		if since.IsZero() {
			p.away[id] = time.Now()
		}
	case !since.IsZero():
		p.gaps = append(p.gaps, gap{id, since, time.Now()})
		delete(p.away, id)
	}
}

// ended returns the gaps that have ended since the last call.
func (p *reachability) ended() []gap {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.gaps
	p.gaps = nil
	return all
}

func (p *reachability) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// moved returns those devices whose state is another than the one last marked: an event is for a change, and not
// for each new connection. That a meter is there at first is no news, that it is not is.
func (p *reachability) moved(devices []*dialect.Device, online bool) (moved []*dialect.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, device := range devices {
		if before, known := p.marked[meterID{device.Root, device.Meter}]; known && before != online || !known && !online {
			moved = append(moved, device)
		}
	}
	return moved
}

// mark notes the state that the cloud has been told by an event.
func (p *reachability) mark(devices []*dialect.Device, online bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, device := range devices {
		p.marked[meterID{device.Root, device.Meter}] = online
	}
}

// begin forgets what the cloud has been told: it is a new connection.
func (p *reachability) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.told)
}

// news returns the devices that have come and gone since the cloud was told, in a steady order.
// They count as told from now on; after a lost connection begin makes them news again. Meters of
// which there is something to post have come, wherever they are now, for a platform takes nothing
// of a device that has not logged in; they are gone at the next call.
func (p *reachability) news(posting []meterID) (come, gone []*dialect.Device) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tell := func(id meterID, online bool) {
		online = online || slices.Contains(posting, id)
		before, known := p.told[id]
		if known && before == online {
			return
		}
		p.told[id] = online
		switch device := p.devices.of(id); {
		case device == nil:
		case online:
			come = append(come, device)
		case !known && p.sessions:
		default:
			gone = append(gone, device)
		}
	}
	for id, online := range p.meters {
		if bridge, known := p.bridges[id.root]; known {
			tell(id, online && bridge)
		}
	}
	for _, id := range posting {
		tell(id, true)
	}
	for id := range p.retired {
		if p.told[id] {
			tell(id, false)
		}
		delete(p.retired, id)
		delete(p.told, id)
	}
	byMeter := func(a, b *dialect.Device) int { return strings.Compare(a.Root+"/"+a.Meter, b.Root+"/"+b.Meter) }
	slices.SortFunc(come, byMeter)
	slices.SortFunc(gone, byMeter)
	return come, gone
}
