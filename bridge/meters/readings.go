package meters

import (
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// readings gathers what one step has brought of the points of a meter, for databases: flat JSON with
// numbers only, and one time that holds for all of them. Unlike the state it has a value each time it was
// read, changed or not, and none that was read at another moment.
type readings protocol.Object

// add adds a value that is a number; others are left out.
func (r *readings) add(item string, data any) {
	switch v := data.(type) {
	case protocol.Decimal:
		*r = append(*r, protocol.Member{Name: item, Value: v})
	case bool:
		*r = append(*r, protocol.Member{Name: item, Value: oneIf(v)})
	}
}

// publishReadings publishes what a step has brought, if anything. at is when its answer came.
func (k *Keeper) publishReadings(w *record, r readings, at time.Time) {
	if len(r) == 0 {
		return
	}
	payload, err := protocol.AppendJSON(nil, append(protocol.Object(r), protocol.Member{Name: "time", Value: k.stamp(at)}))
	if err != nil {
		k.log.Error("readings cannot be written as JSON", "meter", w.Name, "err", err)
		return
	}
	k.publisher.Put(mqtt.Outgoing{Kind: mqtt.Reading, Topic: k.topics.ofMeter(w.Name, topicReadings), Payload: payload, ContentType: mqtt.JSON})
}
