package mqtt

import (
	"hash/maphash"

	"github.com/eclipse/paho.golang/paho"
)

// mostReceiveMaximum is how many messages may be without our acknowledgement.
const mostReceiveMaximum = 1024

// mostDeliveries is how many messages a connection remembers: twice as many as may be without our
// acknowledgement, since a broker may send one again before it has read that.
const mostDeliveries = 2 * mostReceiveMaximum

// deliveries remembers the last messages of QoS 1 of a connection, so that one which the broker
// sends again over the same is not carried out again. No broker may do so (MQTT 5, clause 4.4), and the
// duplicate flag alone says little: some pass on that of the sender. It belongs to the goroutine that
// handles messages.
type deliveries struct {
	connection *paho.Client
	seed       maphash.Seed
	content    map[uint16]uint64 // hash of the message, by packet identifier
	order      []uint16          // the identifiers, the oldest first
}

// again reports whether a message has come before over the same connection, and notes it.
func (d *deliveries) again(connection *paho.Client, p *paho.Publish) bool {
	if p.QoS == 0 {
		return false
	}
	if d.connection != connection {
		*d = deliveries{connection: connection, seed: maphash.MakeSeed(), content: map[uint16]uint64{}}
	}
	var h maphash.Hash
	h.SetSeed(d.seed)
	var correlation []byte
	if p.Properties != nil {
		correlation = p.Properties.CorrelationData
	}
	maphash.WriteComparable(&h, [2]int{len(p.Topic), len(correlation)})
	_, _ = h.WriteString(p.Topic)
	_, _ = h.Write(correlation)
	_, _ = h.Write(p.Payload)
	before, seen := d.content[p.PacketID]
	if seen && p.Duplicate() && before == h.Sum64() {
		return true
	}
	d.content[p.PacketID] = h.Sum64()
	if !seen {
		d.order = append(d.order, p.PacketID)
	}
	if len(d.order) > mostDeliveries {
		delete(d.content, d.order[0])
		d.order = append(d.order[:0], d.order[1:]...)
	}
	return false
}
