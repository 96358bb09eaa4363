package dialect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// plain is JSON with keys of the user's choice, for servers that took a DTU's messages before.
//
//	up/{device}        {"time":1795168810213,"1_ua":220.1}            a report
//	up/{device}        {"time":1795168810213,"1_dev_state":0}         a meter that has gone
//	up/{device}/event  {"time":…,"event_type":"limit_passed","meter":"main",…}
//	up/{device}/call   {"id":"7","method":"relay","action":"trip","expires":…}
//	up/{device}/reply  {"id":"7","ok":true,"result":"verified","relay":"open"}
type plain struct {
	Options
	always []string // the members that each message has
}

// The names of members that messages have beside the values.
const (
	timeMember  = "time"
	eventMember = "event_type"
	meterMember = "meter"
)

func newJSON(o Options) (Dialect, error) {
	if err := require("json", wordDevice, o.Device); err != nil {
		return nil, err
	}
	if o.Topic == "" {
		o.Topic = "up/{device}"
	}
	switch {
	case strings.ContainsAny(o.Topic, "+#\x00"):
		return nil, fmt.Errorf("DLT645_UPLINK_TOPIC: %q has a wildcard, to which nothing can be published", o.Topic)
	case !o.Flat() && !strings.Contains(o.Topic, "{device}"):
		return nil, fmt.Errorf("DLT645_UPLINK_TOPIC: %q has no {device}, so that the meters of the devices file could not be told apart", o.Topic)
	}
	switch o.TimeForm {
	case "":
		o.TimeForm = "ms"
	case "ms", "s", "text", "none":
	default:
		return nil, fmt.Errorf("DLT645_UPLINK_TIME: %q is no form of time; take ms, s, text or none", o.TimeForm)
	}
	if err := requireDevices(o.Devices, false, false); err != nil {
		return nil, err
	}
	if o.State == "" {
		o.State = StateItem(true) // in both modes: it is what DTUs say
	}
	d := &plain{Options: o}
	if o.TimeForm != "none" {
		d.always = []string{timeMember}
	}
	for _, constant := range o.Constants {
		if constant.Name == eventMember || o.Flat() && constant.Name == meterMember || !o.Flat() && constant.Name == o.State || slices.Contains(d.always, constant.Name) {
			return nil, fmt.Errorf("DLT645_UPLINK_CONSTANTS: %s would stand twice in a message", constant.Name)
		}
		d.always = append(d.always, constant.Name)
	}
	return d, nil
}

func (d *plain) Name() string { return "json" }

func (d *plain) Traits() Traits {
	return Traits{Meters: 1, Bytes: 64 << 10, PerSecond: 500, Patience: 15 * time.Second, Identifier: Rule{Reserved: d.always}}
}

func (d *plain) Login(time.Time) Login {
	id := d.ClientID
	if id == "" {
		id = d.Device
	}
	user := d.Username
	if user == "" && d.Secret != "" {
		user = d.Device
	}
	return Login{id, user, d.Secret, 60 * time.Second}
}

// topic returns the topic of a device, followed by a tail.
func (d *plain) topic(device *Device, tail string) string {
	name := d.Device
	if device != nil && !d.Flat() {
		name = device.Name
	}
	return strings.ReplaceAll(d.Options.Topic, "{device}", name) + tail
}

func (d *plain) Subscriptions() []string {
	if len(d.Commands) == 0 {
		return nil
	}
	topics := []string{d.topic(nil, "/call")}
	for i := range d.Devices {
		topics = append(topics, d.topic(&d.Devices[i], "/call"))
	}
	return topics
}

// stamp begins a message with its time, in the form that was chosen.
func (d *plain) stamp(t time.Time) (o object) {
	switch d.TimeForm {
	case "ms":
		o = o.set(timeMember, t.UnixMilli())
	case "s":
		o = o.set(timeMember, t.Unix())
	case "text":
		o = o.set(timeMember, t.Format("2006-01-02T15:04:05.000Z07:00"))
	}
	return append(o, d.Constants...)
}

func (d *plain) Announce(devices []*Device, now time.Time, _ IDs) []Post {
	return d.states(devices, "1", now)
}

func (d *plain) Withdraw(devices []*Device, now time.Time, _ IDs) []Post {
	return d.states(devices, "0", now)
}

// states reports whether meters can be reached, as a DTU does: 1 yes, 0 no.
func (d *plain) states(devices []*Device, state string, now time.Time) (posts []Post) {
	for _, device := range devices {
		o := append(d.stamp(now), Member{d.stateKey(device), json.RawMessage(state)})
		posts = append(posts, Post{Topic: d.topic(device, ""), Payload: payload(o), QoS: 1})
	}
	return posts
}

func (d *plain) Report(readings []Reading, _ bool, _ IDs) (posts []Post) {
	for _, round := range rounds(readings) {
		for _, group := range groups(round, func(r Reading) deviceAndTime {
			key := byDeviceAndTime(r)
			if d.Flat() {
				key.device = nil
			}
			return key
		}) {
			limits := d.Traits()
			limits.Meters = 0 // they have one moment in common, and keys of their own
			posts = append(posts, fit(group, limits, func(part []Reading) Post {
				o := d.stamp(part[0].Time)
				for _, r := range part {
					o = append(o, Member{r.Key, r.Value})
				}
				return Post{Topic: d.topic(part[0].Device, ""), Payload: payload(o), QoS: 1}
			})...)
		}
	}
	return posts
}

func (d *plain) Event(n Notice, _ IDs) []Post {
	o := d.stamp(n.Time).set(eventMember, n.Type)
	if d.Flat() && n.Device != nil { // else the topic says whose it is
		o = o.set(meterMember, n.Device.Meter)
	}
	return []Post{{Topic: d.topic(n.Device, "/event"), Payload: payload(append(o, n.Members...)), QoS: 1}}
}

func (d *plain) Receive(topic string, data []byte) ([]Reply, []Call) {
	device, found := "", topic == d.topic(nil, "/call")
	for i := range d.Devices {
		if topic == d.topic(&d.Devices[i], "/call") {
			device, found = d.Devices[i].Name, true
		}
	}
	var body arguments
	if !found || !decode(data, &body) {
		return nil, nil
	}
	call := Call{ID: scalar(body["id"]), Name: scalar(body["method"]), Device: device, Topic: topic, Meter: scalar(body["meter"])}
	switch call.Name {
	case "relay":
		body.relayCall(&call)
	case "read":
		body.readCall(&call, "id", "method", "time", "expires")
	case "config":
		call.Verb, call.Payload = VerbConfig, body["config"]
	default:
		call.Verb = VerbOther
	}
	return nil, []Call{call}
}

func (d *plain) Answer(c Call, out Outcome, _ time.Time) []Post {
	o := object(nil).set("id", c.ID).set("ok", out.OK)
	o = outcomeMembers(o, out)
	if len(out.Values) > 0 {
		values := object(nil)
		for _, r := range out.Values {
			values = append(values, Member{r.Key, r.Value})
		}
		o = o.set("values", values)
	}
	return []Post{{Topic: strings.TrimSuffix(c.Topic, "/call") + "/reply", Payload: payload(o), QoS: 1}}
}

// outcomeMembers appends what is known of a call: result, relay, code, message.
func outcomeMembers(o object, out Outcome) object {
	for _, m := range [][2]string{{"result", out.Result}, {"relay", out.Relay}, {"code", out.Code}, {"message", out.Message}} {
		if m[1] != "" {
			o = o.set(m[0], m[1])
		}
	}
	return o
}
