package bridge

import (
	"sync"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// Site returns what a point table is checked against: the named meters, and the protocol of
// the others. Meters whose protocol has no catalogue cannot have points.
func Site(meters []Meter, other protocol.Protocol) points.Site {
	site := points.Site{}
	site.Default, _ = other.(protocol.Catalogue)
	for _, m := range meters {
		if items, ok := m.Protocol.(protocol.Catalogue); ok {
			site.Meters = append(site.Meters, points.Meter{Name: m.Name, Address: m.Address.Text, Items: items})
		}
	}
	return site
}

// A tableInForce is the point table that the bridge works by.
type tableInForce struct {
	mu    sync.Mutex
	table *points.Table // never nil
}

// table returns the point table in force.
func (b *Bridge) table() *points.Table {
	b.points.mu.Lock()
	defer b.points.mu.Unlock()
	return b.points.table
}

// setTable puts a table in force.
func (b *Bridge) setTable(t *points.Table) {
	if t == nil {
		t = &points.Table{Text: points.OffText}
	}
	b.points.mu.Lock()
	defer b.points.mu.Unlock()
	b.points.table = t
	unkept, over := b.poller.setTable(t, b.directory)
	for _, w := range over {
		b.clearAvailability(w)
		b.forgetMeter(w.Name)
	}
	for _, w := range append(unkept, over...) {
		b.clearState(w)
		b.clearStale(w)
	}
	if b.listening.Load() { // else it is published on connecting
		b.publishDescription(t)
	}
}
