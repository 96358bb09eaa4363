package dialect

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"time"
)

// aliyun speaks Alink JSON with Alibaba Cloud's IoT platform, and with platforms that look like
// it: host, topic prefix and signature method can be chosen.
type aliyun struct {
	Options
	hash func() hash.Hash
}

// signTime stands in all signatures. The platform does not compare it with its clock, so that a
// gateway without a clock can connect as well.
const signTime = "2524608000000"

func newAliyun(o Options) (Dialect, error) {
	if err := require("aliyun", wordProduct, o.Product, wordDevice, o.Device, wordSecret, o.Secret); err != nil {
		return nil, err
	}
	if o.Prefix == "" {
		o.Prefix = "/sys"
	}
	var prefixErr error
	if o.Prefix = strings.TrimRight(o.Prefix, "/"); strings.ContainsAny(o.Prefix, "+#") {
		prefixErr = fmt.Errorf("DLT645_UPLINK_TOPIC_PREFIX: %q has a wildcard, to which nothing can be published", o.Prefix)
	}
	if o.SignMethod == "" {
		o.SignMethod = "hmacsha256"
	}
	h, err := hashOf(o.SignMethod, signMethods)
	return &aliyun{o, h}, errors.Join(err, prefixErr, requireDevices(o.Devices, true, true))
}

func (d *aliyun) Name() string { return "aliyun" }

func (d *aliyun) Traits() Traits {
	return Traits{
		Meters: 20, Values: 200, Bytes: 128 << 10, PerSecond: 10, Patience: 8 * time.Second,
		Host: "mqtts://" + d.Product + ".iot-as-mqtt.cn-shanghai.aliyuncs.com:8883", Identifier: rules[d.Name()], Sessions: !d.Flat(),
	}
}

func (d *aliyun) Login(time.Time) Login {
	id := d.Product + "." + d.Device
	password := signSorted(d.hash, d.Secret, map[string]string{"clientId": id, "deviceName": d.Device, "productKey": d.Product, "timestamp": signTime})
	mode := "2"
	if d.Insecure {
		mode = "3"
	}
	return Login{id + "|securemode=" + mode + ",signmethod=" + d.SignMethod + ",timestamp=" + signTime + "|", d.Device + "&" + d.Product, password, 300 * time.Second}
}

// topic returns a topic of a device, or of the gateway.
func (d *aliyun) topic(device *Device, tail string) string {
	product, name := d.Product, d.Device
	if device != nil && !d.Flat() {
		product, name = device.Product, device.Name
	}
	return d.Prefix + "/" + product + "/" + name + "/" + tail
}

func (d *aliyun) session(tail string) string {
	return "/ext/session/" + d.Product + "/" + d.Device + "/combine/" + tail
}

// of calls f for the gateway, and for each device.
func (d *aliyun) of(f func(*Device)) {
	f(nil)
	for i := range d.Devices {
		f(&d.Devices[i])
	}
}

// Subscriptions name each service: not every instance takes a wildcard there.
func (d *aliyun) Subscriptions() (topics []string) {
	d.of(func(device *Device) {
		topics = append(topics, d.topic(device, "thing/event/+/post_reply"))
		if d.Allows("relay") {
			topics = append(topics, d.topic(device, "thing/service/relay"))
		}
		if d.Allows("read") {
			topics = append(topics, d.topic(device, "thing/service/property/get"))
		}
		if len(d.Commands) > 0 {
			topics = append(topics, d.topic(device, "thing/service/property/set"))
		}
		if device == nil {
			topics = append(topics, d.topic(nil, "thing/event/property/pack/post_reply"), d.topic(nil, "thing/event/property/history/post_reply"))
		}
	})
	if !d.Flat() {
		topics = append(topics, d.topic(nil, "thing/topo/add_reply"), d.session("batch_login_reply"), d.session("batch_logout_reply"))
	}
	return topics
}

// clientID of a sub-device.
func clientID(device *Device) string { return device.Product + "&" + device.Name }

// signDevice signs for a sub-device with its own secret: all parameters but sign, signMethod and
// cleanSession.
func signDevice(device *Device) string {
	return signSorted(hashes["hmacsha256"], device.Secret, map[string]string{
		"clientId": clientID(device), "deviceName": device.Name, "productKey": device.Product, "timestamp": signTime,
	})
}

func (d *aliyun) Announce(devices []*Device, now time.Time, ids IDs) (posts []Post) {
	if d.Flat() {
		return d.states(devices, "1", now, ids)
	}
	// One device with a wrong secret has the platform refuse all that stand beside it.
	for _, part := range chunks(devices, 30) {
		posts = append(posts, splittable(part, func(part []*Device) Post { return d.topology(part, ids()) }))
	}
	for _, part := range chunks(devices, 50) {
		posts = append(posts, splittable(part, func(part []*Device) Post { return d.logins(part, ids()) }))
	}
	return append(posts, d.states(devices, "1", now, ids)...)
}

// topology adds devices to those of the gateway.
func (d *aliyun) topology(devices []*Device, id string) Post {
	var list []object
	for _, device := range devices {
		list = append(list, object(nil).set("productKey", device.Product).set("deviceName", device.Name).
			set("clientId", clientID(device)).set("timestamp", signTime).set("signmethod", "hmacSha256").set("sign", signDevice(device)))
	}
	o := object(nil).set("id", id).set("version", "1.0").set("params", list).set("method", "thing.topo.add")
	return Post{Topic: d.topic(nil, "thing/topo/add"), Payload: payload(o), QoS: 0, Reply: "topo:" + id}
}

// logins logs devices in.
func (d *aliyun) logins(devices []*Device, id string) Post {
	var list []object
	for _, device := range devices {
		list = append(list, object(nil).set("productKey", device.Product).set("deviceName", device.Name).
			set("clientId", clientID(device)).set("timestamp", signTime).set("cleanSession", "true").set("sign", signDevice(device)))
	}
	o := object(nil).set("id", id).set("params", object(nil).set("signMethod", "hmacsha256").set("deviceList", list))
	return Post{Topic: d.session("batch_login"), Payload: payload(o), QoS: 0, Reply: "login:" + id}
}

func (d *aliyun) Withdraw(devices []*Device, now time.Time, ids IDs) []Post {
	posts := d.states(devices, "0", now, ids)
	if d.Flat() {
		return posts
	}
	for _, part := range chunks(devices, 50) {
		var list []object
		for _, device := range part {
			list = append(list, object(nil).set("productKey", device.Product).set("deviceName", device.Name))
		}
		id := ids()
		o := object(nil).set("id", id).set("params", list)
		posts = append(posts, Post{Topic: d.session("batch_logout"), Payload: payload(o), QoS: 0, Reply: "logout:" + id})
	}
	return posts
}

// states reports whether meters can be reached, as a property, or as the event of a model that has it so.
func (d *aliyun) states(devices []*Device, state string, now time.Time, ids IDs) (posts []Post) {
	if d.StateEvent != "" {
		for _, device := range devices {
			value := object{{d.stateKey(device), json.RawMessage(state)}}
			posts = append(posts, d.event(device, strings.ReplaceAll(d.StateEvent, "{prefix}", device.Prefix), value, now, ids))
		}
		return posts
	}
	var readings []Reading
	for _, device := range devices {
		readings = append(readings, Reading{Device: device, Key: d.stateKey(device), Value: json.RawMessage(state), Time: now})
	}
	return d.Report(readings, false, ids)
}

// valueAndTime is {"value":…,"time":…}.
func valueAndTime(r Reading) object {
	return object(nil).set("value", numbered(r)).set("time", r.Time.UnixMilli())
}

func (d *aliyun) Report(readings []Reading, history bool, ids IDs) (posts []Post) {
	parts := rounds(readings)
	if history {
		parts = [][]Reading{readings} // a name may stand there many times
	}
	for _, round := range parts {
		posts = append(posts, fit(round, d.Traits(), func(part []Reading) Post {
			id := ids()
			o := object(nil).set("id", id).set("version", "1.0").set("sys", object(nil).set("ack", 1))
			switch {
			case history:
				o = o.set("params", d.histories(part)).set("method", "thing.event.property.history.post")
				return Post{Topic: d.topic(nil, "thing/event/property/history/post"), Payload: payload(o), QoS: 1, Reply: "history:" + id}
			case d.Flat():
				o = o.set("params", timed(part)).set("method", "thing.event.property.post")
				return Post{Topic: d.topic(nil, "thing/event/property/post"), Payload: payload(o), QoS: 1, Reply: "property:" + id}
			}
			var list []object
			for _, of := range groups(part, byDevice) {
				list = append(list, object(nil).set("identity", identity(of[0].Device)).set("properties", timed(of)).set("events", object{}))
			}
			o = o.set("params", object(nil).set("properties", object{}).set("events", object{}).set("subDevices", list)).
				set("method", "thing.event.property.pack.post")
			return Post{Topic: d.topic(nil, "thing/event/property/pack/post"), Payload: payload(o), QoS: 1, Reply: "pack:" + id}
		})...)
	}
	return posts
}

func identity(device *Device) object {
	return object(nil).set("productKey", device.Product).set("deviceName", device.Name)
}

// timed writes readings of different names as an object of values with their times.
func timed(readings []Reading) (o object) {
	o = object{}
	for _, r := range readings {
		o = o.set(r.Key, valueAndTime(r))
	}
	return o
}

func (d *aliyun) histories(readings []Reading) (list []object) {
	for _, of := range groups(readings, byDevice) {
		who := object(nil).set("productKey", d.Product).set("deviceName", d.Device)
		if !d.Flat() {
			who = identity(of[0].Device)
		}
		var properties []object
		for _, r := range of {
			properties = append(properties, object(nil).set(r.Key, valueAndTime(r)))
		}
		list = append(list, object(nil).set("identity", who).set("properties", properties).set("events", []object{}))
	}
	return list
}

func (d *aliyun) Event(n Notice, ids IDs) []Post {
	return []Post{d.event(n.Device, n.Type, eventOutputs(n, d.Flat()), n.Time, ids)}
}

func (d *aliyun) event(device *Device, name string, value object, at time.Time, ids IDs) Post {
	id := ids()
	o := object(nil).set("id", id).set("version", "1.0").set("sys", object(nil).set("ack", 1)).
		set("params", object(nil).set("value", value).set("time", at.UnixMilli())).set("method", "thing.event."+name+".post")
	return Post{Topic: d.topic(device, "thing/event/"+name+"/post"), Payload: payload(o), QoS: 1, Reply: name + ":" + id}
}

// eventOutputs renames what platforms reserve: value and time are words of their own.
func eventOutputs(n Notice, flat bool) object {
	o := modelled(n, flat)
	for i := range o {
		switch o[i].Name {
		case "value":
			o[i].Name = "reading"
		case "time":
			o[i].Name = "at"
		}
	}
	return o
}

// modelled returns the members of an event as a thing model has them. In flat mode the meter stands among them, since
// all of them share one device.
func modelled(n Notice, flat bool) (o object) {
	o = object{}
	if flat && n.Device != nil {
		o = o.set("meter", n.Device.Meter)
	}
	for _, m := range n.Members {
		if m.Name == "frame" { // for engineers at the bridge; it would not fit a model
			continue
		}
		var list []string
		if json.Unmarshal(m.Value, &list) == nil {
			m.Value = payload(strings.Join(list, ", "))
		}
		o = append(o, m)
	}
	return o
}

// aliReplies are the topics of replies, and what stands before the id in Post.Reply.
var aliReplies = map[string]string{
	"thing/event/property/pack/post_reply": "pack", "thing/event/property/history/post_reply": "history",
	"thing/event/property/post_reply": "property", "thing/topo/add_reply": "topo",
}

func (d *aliyun) Receive(topic string, data []byte) ([]Reply, []Call) {
	var m struct {
		ID      json.RawMessage `json:"id"`
		Code    *json.Number    `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
		Params  json.RawMessage `json:"params"`
	}
	if !decode(data, &m) {
		return nil, nil
	}
	if kind, ok := strings.CutPrefix(topic, d.session("")); ok {
		if kind, ok = strings.CutPrefix(kind, "batch_"); ok {
			return d.reply(strings.TrimSuffix(kind, "_reply"), scalar(m.ID), m.Code, m.Message, nil), nil
		}
		return nil, nil
	}
	product, device, tail, ok := d.split(topic)
	if !ok {
		return nil, nil
	}
	if kind := aliReplies[tail]; kind != "" {
		return d.reply(kind, scalar(m.ID), m.Code, m.Message, m.Data), nil
	}
	if event, ok := strings.CutPrefix(tail, "thing/event/"); ok {
		if event, ok = strings.CutSuffix(event, "/post_reply"); ok {
			return d.reply(event, scalar(m.ID), m.Code, m.Message, m.Data), nil
		}
		return nil, nil
	}
	service, ok := strings.CutPrefix(tail, "thing/service/")
	if !ok || strings.HasSuffix(service, "_reply") {
		return nil, nil
	}
	call := Call{ID: scalar(m.ID), Name: service, Product: product, Device: device, Topic: topic}
	if device == d.Device && product == d.Product {
		call.Device, call.Product = "", ""
	}
	switch service {
	case "relay":
		var in arguments
		_ = decode(m.Params, &in)
		in.relayCall(&call)
	case "property/get":
		call.readCall(m.Params)
	case "property/set":
		call.Verb = VerbSet
	default:
		call.Verb = VerbOther
	}
	return nil, []Call{call}
}

// split takes a topic of a device apart.
func (d *aliyun) split(topic string) (product, device, tail string, ok bool) {
	rest, ok := strings.CutPrefix(topic, d.Prefix+"/")
	if !ok {
		return "", "", "", false
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// reply reads an answer to a post. A success may still name members that were not stored.
func (d *aliyun) reply(kind, id string, code *json.Number, message string, data json.RawMessage) []Reply {
	if id == "" || code == nil {
		return nil
	}
	r := Reply{ID: kind + ":" + id, OK: *code == "200", Code: code.String(), Message: message}
	r.Rejected = rejections(data, "", mostLevels)
	return []Reply{r}
}

// mostLevels is how deep rejections may lie: those of a pack stand below a list of devices and one of properties.
const mostLevels = 5

// rejections finds in the data of a reply the members that were refused: strings by key, also
// where the devices of a pack stand around them.
func rejections(data json.RawMessage, key string, levels int) (all []Rejection) {
	if reason, ok := text(data); ok && key != "" {
		return []Rejection{{key, reason}}
	}
	var members map[string]json.RawMessage
	if levels == 0 || !decode(data, &members) {
		return nil
	}
	for name, member := range members {
		if name == "productKey" || name == "deviceName" || len(all) >= 200 {
			continue
		}
		all = append(all, rejections(member, name, levels-1)...)
	}
	return all
}

// The codes of answers to calls: the platform leaves 100000 to 110000 to devices.
const (
	aliFailed  = 100000
	aliUnknown = 100001
)

func (d *aliyun) Answer(c Call, out Outcome, _ time.Time) []Post {
	code, data := int64(200), object{}
	switch {
	case c.Verb == VerbRead:
		for _, r := range out.Values {
			data = append(data, Member{r.Key, numbered(r)})
		}
	case out.Result != "" || out.Relay != "":
		data = data.set("result", out.Result)
		if out.Relay != "" {
			data = append(data, Member{"relay", numbered(Reading{Item: "relay", Value: payload(out.Relay)})})
		}
	}
	message := "success"
	if !out.OK {
		code, message = aliFailed, out.Code+": "+out.Message
		if out.Code == "unknown" {
			code = aliUnknown
		}
	}
	o := object(nil).set("id", c.ID).set("code", json.RawMessage(strconv.FormatInt(code, 10))).set("message", message).set("data", data)
	return []Post{{Topic: c.Topic + "_reply", Payload: payload(o), QoS: 1}}
}
