package dialect

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
)

// tencent speaks with Tencent Cloud IoT Explorer. A message has one time and one device; those of
// sub-devices go on their own topics over the gateway's connection.
type tencent struct {
	Options
	hash func() hash.Hash
	key  []byte
}

// tencentSDK is the app id that the documentation has its devices say.
const tencentSDK = "12010126"

func newTencent(o Options) (Dialect, error) {
	if err := require("tencent", wordProduct, o.Product, wordDevice, o.Device, wordSecret, o.Secret); err != nil {
		return nil, err
	}
	if o.SignMethod == "" {
		o.SignMethod = "hmacsha256"
	}
	h, err := hashOf(o.SignMethod, signMethods)
	key, keyErr := base64.StdEncoding.DecodeString(o.Secret)
	if keyErr != nil {
		keyErr = fmt.Errorf("the device's secret must be Base64, as the console shows it: %w", keyErr)
	}
	return &tencent{o, h, key}, errors.Join(err, keyErr, requireDevices(o.Devices, true, false))
}

func (d *tencent) Name() string { return "tencent" }

func (d *tencent) Traits() Traits {
	return Traits{
		Meters: 1, Bytes: 12 << 10, PerSecond: 25, Patience: 8 * time.Second,
		Host: "mqtts://" + d.Product + ".iotcloud.tencentdevices.com:8883", Identifier: rules[d.Name()], Sessions: !d.Flat(),
	}
}

// Login is valid for a year from now, since the host's clock may be late, or, where the host's clock cannot be right, until 2100.
func (d *tencent) Login(now time.Time) Login {
	expiry := int64(4102444800)
	if now.Year() >= 2026 {
		expiry = now.Add(365 * 24 * time.Hour).Unix()
	}
	user := fmt.Sprintf("%s%s;%s;%05d;%d", d.Product, d.Device, tencentSDK, now.UnixNano()/1000%100000, expiry)
	return Login{d.Product + d.Device, user, d.sign(user), 300 * time.Second}
}

func (d *tencent) sign(user string) string {
	return hex.EncodeToString(hmacOf(d.hash, d.key, user)) + ";" + d.SignMethod
}

func (d *tencent) topic(direction, kind string, device *Device) string {
	product, name := d.Product, d.Device
	if device != nil && !d.Flat() {
		product, name = device.Product, device.Name
	}
	return "$thing/" + direction + "/" + kind + "/" + product + "/" + name
}

func (d *tencent) gateway(tail string) string {
	return "$gateway/operation/" + tail + d.Product + "/" + d.Device
}

func (d *tencent) Subscriptions() []string {
	var topics []string
	devices := []*Device{nil}
	for i := range d.Devices {
		devices = append(devices, &d.Devices[i])
	}
	for _, device := range devices {
		topics = append(topics, d.topic("down", "property", device), d.topic("down", "event", device))
		if d.Allows("relay") {
			topics = append(topics, d.topic("down", "action", device))
		}
	}
	if !d.Flat() {
		topics = append(topics, d.gateway("result/"))
	}
	if d.Allows("config") {
		topics = append(topics, d.pushes())
	}
	return topics
}

// pushes is where the platform pushes configurations. It wants no answer.
func (d *tencent) pushes() string { return "$config/operation/result/" + d.Product + "/" + d.Device }

func (d *tencent) Announce(devices []*Device, now time.Time, ids IDs) []Post {
	return append(d.session(devices, "online"), d.states(devices, "1", now, ids)...)
}

func (d *tencent) Withdraw(devices []*Device, now time.Time, ids IDs) []Post {
	return append(d.states(devices, "0", now, ids), d.session(devices, "offline")...)
}

func (d *tencent) session(devices []*Device, kind string) (posts []Post) {
	if d.Flat() {
		return nil
	}
	for _, part := range chunks(devices, 50) {
		var list []object
		for _, device := range part {
			list = append(list, object(nil).set("product_id", device.Product).set("device_name", device.Name))
		}
		o := object(nil).set("type", kind).set("payload", object(nil).set("devices", list))
		posts = append(posts, Post{Topic: d.gateway(""), Payload: payload(o), QoS: 1})
	}
	return posts
}

func (d *tencent) states(devices []*Device, state string, now time.Time, ids IDs) []Post {
	var readings []Reading
	for _, device := range devices {
		readings = append(readings, Reading{Device: device, Key: d.stateKey(device), Value: json.RawMessage(state), Time: now})
	}
	return d.Report(readings, false, ids)
}

func (d *tencent) Report(readings []Reading, _ bool, ids IDs) (posts []Post) {
	limits := d.Traits()
	limits.Meters = 0 // the groups see to it
	for _, round := range rounds(readings) {
		for _, group := range groups(round, func(r Reading) deviceAndTime {
			key := byDeviceAndTime(r)
			if d.Flat() {
				key.device = nil
			}
			return key
		}) {
			posts = append(posts, fit(group, limits, func(part []Reading) Post {
				values := object(nil)
				for _, r := range part {
					values = append(values, Member{r.Key, numbered(r)})
				}
				id := ids()
				o := object(nil).set("method", "report").set("clientToken", id).set("timestamp", part[0].Time.UnixMilli()).set("params", values)
				return Post{Topic: d.topic("up", "property", part[0].Device), Payload: payload(o), QoS: 1, Reply: "report_reply:" + id}
			})...)
		}
	}
	return posts
}

func (d *tencent) Event(n Notice, ids IDs) []Post {
	id := ids()
	o := object(nil).set("method", "event_post").set("clientToken", id).set("version", "1.0").set("eventId", n.Type).
		set("type", severity(n.Type, "fault")).set("timestamp", n.Time.UnixMilli()).set("params", eventOutputs(n, d.Flat()))
	return []Post{{Topic: d.topic("up", "event", n.Device), Payload: payload(o), QoS: 1, Reply: "event_reply:" + id}}
}

func (d *tencent) Receive(topic string, data []byte) ([]Reply, []Call) {
	var m struct {
		Method    string          `json:"method"`
		Token     string          `json:"clientToken"`
		Code      *json.Number    `json:"code"`
		Status    string          `json:"status"`
		Action    string          `json:"actionId"`
		Timestamp json.RawMessage `json:"timestamp"`
		Params    json.RawMessage `json:"params"`
	}
	if topic == d.pushes() {
		var push struct {
			Type    string          `json:"type"`
			Payload json.RawMessage `json:"payload"`
		}
		if !decode(data, &push) || push.Type != "push" {
			return nil, nil
		}
		return nil, []Call{{Verb: VerbConfig, Name: push.Type, Payload: push.Payload, Topic: topic}}
	}
	kind, product, device, ok := d.split(topic)
	if !ok || !decode(data, &m) {
		return nil, nil
	}
	if m.Method == "report_reply" || m.Method == "event_reply" {
		if m.Token == "" || m.Code == nil {
			return nil, nil
		}
		return []Reply{{ID: m.Method + ":" + m.Token, OK: *m.Code == "0", Code: m.Code.String(), Message: m.Status}}, nil
	}
	call := Call{ID: m.Token, Product: product, Device: device, Topic: topic, Sent: milliseconds(m.Timestamp)}
	if product == d.Product && device == d.Device {
		call.Product, call.Device = "", ""
	}
	switch {
	case kind == "action" && m.Method == "action":
		call.Name = m.Action
		if m.Action == "relay" {
			var in arguments
			_ = decode(m.Params, &in)
			in.relayCall(&call)
		} else {
			call.Verb = VerbOther
		}
	case kind == "property" && m.Method == "control":
		call.Verb, call.Name = VerbSet, "control"
	default:
		// A get_status_reply may hold old wishes; it is neither asked for nor applied.
		return nil, nil
	}
	return nil, []Call{call}
}

// split takes a topic that comes down apart.
func (d *tencent) split(topic string) (kind, product, device string, ok bool) {
	rest, ok := strings.CutPrefix(topic, "$thing/down/")
	parts := strings.Split(rest, "/")
	if !ok || len(parts) != 3 {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

func (d *tencent) Answer(c Call, out Outcome, _ time.Time) []Post {
	if c.Verb == VerbConfig {
		return nil
	}
	code, status := 0, out.Result
	if !out.OK {
		code, status = 1, out.Code+": "+out.Message
	}
	method, kind := "action_reply", "action"
	if c.Verb == VerbSet {
		method, kind = "control_reply", "property"
	}
	o := object(nil).set("method", method).set("clientToken", c.ID).set("code", code).set("status", status)
	if c.Verb != VerbSet {
		o = o.set("response", object(nil).set("code", code))
	}
	product, device := c.Product, c.Device
	if device == "" {
		product, device = d.Product, d.Device
	}
	return []Post{{Topic: "$thing/up/" + kind + "/" + product + "/" + device, Payload: payload(o), QoS: 1}}
}

// severity is the kind of an event: something to be told, or to be worried about.
func severity(event, worst string) string {
	switch event {
	case "offline", "implausible_value", "command_unknown":
		return worst
	case "limit_passed", "power_failure", "clock_drift", "command_refused", "meter_reset":
		return "alert"
	}
	return "info"
}
