package meters

import (
	"slices"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// description is what bridge/description says: the meters with points, and what each of these is. Whoever
// shows or stores values need not know the dictionary, nor read what Home Assistant is told.
type description struct {
	Meters []describedMeter `json:"meters"`
}

type describedMeter struct {
	Name     string          `json:"name"`
	Display  string          `json:"display_name,omitempty"` // what people call it
	Address  string          `json:"address"`
	Protocol string          `json:"protocol"`
	Retain   bool            `json:"retain"` // its state is retained
	Commands []string        `json:"commands"`
	Items    []describedItem `json:"items"`
}

type describedItem struct {
	Item     string            `json:"item"`
	Form     string            `json:"form"`
	Unit     string            `json:"unit,omitempty"`
	Decimals *int              `json:"decimals,omitempty"` // of a number
	Counter  bool              `json:"counter,omitempty"`  // it only rises
	Alarm    bool              `json:"alarm,omitempty"`    // a flag of trouble
	English  string            `json:"text_en,omitempty"`
	Chinese  string            `json:"text_zh,omitempty"`
	Name     string            `json:"name,omitempty"` // what people call it, by the point table
	Interval int64             `json:"interval_s"`
	Min      *protocol.Decimal `json:"min,omitempty"`
	Max      *protocol.Decimal `json:"max,omitempty"`
}

// forms are what a description calls the forms of values.
var forms = map[protocol.Form]string{
	protocol.FormNumber: "number", protocol.FormFlag: "flag", protocol.FormMoment: "moment", protocol.FormText: "text",
}

// describe describes the meters of a point table, in its order.
func (k *Keeper) describe(t *points.Table) description {
	d := description{Meters: []describedMeter{}}
	index := map[string]int{}
	for i := range t.Points {
		p := &t.Points[i]
		at, seen := index[p.Meter]
		if !seen {
			w := k.poller.named(p.Meter)
			if w == nil {
				continue
			}
			at = len(d.Meters)
			index[p.Meter] = at
			d.Meters = append(d.Meters, describedMeter{
				Name: p.Meter, Display: w.DisplayName, Address: w.Current().Text, Protocol: w.Protocol.Name(), Retain: p.Retain, Commands: k.commandsOf(w.Protocol),
			})
		}
		item := describedItem{
			Item: p.Item, Form: forms[p.Description.Form], Unit: p.Description.Unit, Counter: p.Description.Counter, Alarm: p.Description.Alarm,
			English: p.Description.English, Chinese: p.Description.Chinese, Name: p.Name, Interval: int64(p.Interval.Seconds()), Min: p.Min, Max: p.Max,
		}
		if item.Form == "" {
			item.Form = forms[protocol.FormText]
		}
		if p.Description.Form == protocol.FormNumber {
			item.Decimals = &p.Description.Decimals
		}
		d.Meters[at].Items = append(d.Meters[at].Items, item)
	}
	return d
}

// commandsOf returns the verbs by which a meter may be commanded: those that its protocol has and that are
// allowed.
func (k *Keeper) commandsOf(p protocol.Protocol) []string {
	verbs := []string{}
	for _, verb := range []protocol.Verb{protocol.VerbRelay, protocol.VerbWrite, protocol.VerbMaintenance} {
		if k.config.Allow[string(verb)] && len(p.Actions(verb)) > 0 {
			verbs = append(verbs, string(verb))
		}
	}
	slices.Sort(verbs)
	return verbs
}

// Description is what bridge/description says of a point table in force, as JSON.
func (k *Keeper) Description(t *points.Table) ([]byte, error) {
	return protocol.AppendJSON(nil, k.describe(t))
}

// publishDescription publishes bridge/description for a point table that has come into force. The broker
// keeps it, and gets it again with each connection.
func (k *Keeper) publishDescription(t *points.Table) {
	payload, err := k.Description(t)
	if err != nil {
		k.log.Error("the description cannot be written as JSON", "err", err)
		return
	}
	k.publisher.Put(mqtt.Outgoing{Kind: mqtt.State, Topic: k.topics.join(topicDescription), Payload: payload, ContentType: mqtt.JSON})
}
