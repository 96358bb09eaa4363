package meters

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
			site.Meters = append(site.Meters, points.Subject{Name: m.Name, Address: m.Address.Text, Items: items})
		}
	}
	return site
}

// A tableInForce is the point table that the bridge works by.
type tableInForce struct {
	mu    sync.Mutex
	table *points.Table // never nil
}

// Table returns the point table in force.
func (k *Keeper) Table() *points.Table {
	k.points.mu.Lock()
	defer k.points.mu.Unlock()
	return k.points.table
}

// SetTable puts a table in force.
func (k *Keeper) SetTable(t *points.Table) {
	if t == nil {
		t = &points.Table{Text: points.OffText}
	}
	k.points.mu.Lock()
	defer k.points.mu.Unlock()
	k.points.table = t
	unkept, over := k.poller.setTable(t, k.directory)
	for _, w := range over {
		k.clearAvailability(w)
		k.config.Forget(w.Name)
	}
	for _, w := range append(unkept, over...) {
		k.clearState(w)
		k.clearStale(w)
	}
	if k.listening.Load() { // else it is published on connecting
		k.publishDescription(t)
	}
}
