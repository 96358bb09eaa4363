package dialect

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// oneNET speaks OneJSON with China Mobile's OneNET. What goes up is answered on …/reply, what
// comes down is answered on …_reply.
type oneNET struct {
	Options
	key  []byte
	base string
}

func newOneNET(o Options) (Dialect, error) {
	if err := require("onenet", wordProduct, o.Product, wordDevice, o.Device, wordSecret, o.Secret); err != nil {
		return nil, err
	}
	if o.SignMethod == "" {
		o.SignMethod = "sha256"
	}
	_, err := hashOf(o.SignMethod, oneMethods)
	key, keyErr := base64.StdEncoding.DecodeString(o.Secret)
	if keyErr != nil {
		keyErr = fmt.Errorf("the device's key must be Base64, as the console shows it: %w", keyErr)
	}
	return &oneNET{o, key, "$sys/" + o.Product + "/" + o.Device + "/thing/"}, errors.Join(err, keyErr, requireDevices(o.Devices, true, false))
}

func (d *oneNET) Name() string { return "onenet" }

func (d *oneNET) Traits() Traits {
	return Traits{
		Meters: 20, Bytes: 16 << 10, PerSecond: 10, Patience: 8 * time.Second,
		Host: "mqtts://mqttstls.heclouds.com:8883", Identifier: rules[d.Name()], Sessions: !d.Flat(),
	}
}

const oneVersion = "2018-10-31"

// token signs a resource until a moment.
func token(key []byte, method, resource string, until int64) string {
	expiry := strconv.FormatInt(until, 10)
	sign := base64.StdEncoding.EncodeToString(hmacOf(hashes[method], key, expiry+"\n"+method+"\n"+resource+"\n"+oneVersion))
	return "version=" + oneVersion + "&res=" + url.QueryEscape(resource) + "&et=" + expiry + "&method=" + method + "&sign=" + url.QueryEscape(sign)
}

// Login makes a token for each connection: one that has run out is noticed at the next only.
func (d *oneNET) Login(now time.Time) Login {
	until := int64(4102444800)
	if now.Year() >= 2026 {
		until = now.Add(365 * 24 * time.Hour).Unix()
	}
	return Login{d.Device, d.Product, token(d.key, d.SignMethod, "products/"+d.Product+"/devices/"+d.Device, until), 300 * time.Second}
}

// Subscriptions are those to answers only, unless the cloud may ask for something.
func (d *oneNET) Subscriptions() (topics []string) {
	if len(d.Commands) > 0 {
		return []string{d.base + "#"}
	}
	for _, kind := range []string{"property/post", "event/post", "pack/post", "history/post", "sub/login", "sub/logout"} {
		topics = append(topics, d.base+kind+"/reply")
	}
	return topics
}

func (d *oneNET) identity(device *Device) object {
	if device == nil {
		return object(nil).set("productID", d.Product).set("deviceName", d.Device)
	}
	return object(nil).set("productID", device.Product).set("deviceName", device.Name)
}

func (d *oneNET) Announce(devices []*Device, now time.Time, ids IDs) (posts []Post) {
	return append(d.session(devices, "sub/login", ids), d.states(devices, "true", now, ids)...)
}

func (d *oneNET) Withdraw(devices []*Device, now time.Time, ids IDs) []Post {
	return append(d.states(devices, "false", now, ids), d.session(devices, "sub/logout", ids)...)
}

func (d *oneNET) session(devices []*Device, kind string, ids IDs) (posts []Post) {
	if d.Flat() {
		return nil
	}
	for _, device := range devices {
		id := ids()
		o := object(nil).set("id", id).set("version", "1.0").set("params", d.identity(device))
		posts = append(posts, Post{Topic: d.base + kind, Payload: payload(o), QoS: 1, Reply: kind + ":" + id})
	}
	return posts
}

func (d *oneNET) states(devices []*Device, online string, now time.Time, ids IDs) []Post {
	var readings []Reading
	for _, device := range devices {
		value := json.RawMessage(online)
		if d.Flat() {
			value = json.RawMessage("0")
			if online == "true" {
				value = json.RawMessage("1")
			}
		}
		readings = append(readings, Reading{Device: device, Key: d.stateKey(device), Value: value, Time: now})
	}
	return d.Report(readings, false, ids)
}

// oneValue is {"value":…,"time":…}; flags stay true and false, the relay is an enumeration.
func oneValue(r Reading) object {
	value := r.Value
	if r.Item == "relay" {
		value = numbered(r)
	}
	return object(nil).set("value", value).set("time", r.Time.UnixMilli())
}

func (d *oneNET) Report(readings []Reading, history bool, ids IDs) (posts []Post) {
	for _, round := range rounds(readings) {
		posts = append(posts, fit(round, d.Traits(), func(part []Reading) Post {
			id := ids()
			o := object(nil).set("id", id).set("version", "1.0")
			if d.Flat() && !history {
				return Post{Topic: d.base + "property/post", Payload: payload(o.set("params", d.values(part))), QoS: 1, Reply: "property/post:" + id}
			}
			kind := "pack/post"
			if history {
				kind = "history/post"
			}
			var list []object
			for _, of := range groups(part, func(r Reading) *Device {
				if d.Flat() {
					return nil
				}
				return r.Device
			}) {
				var device *Device
				if !d.Flat() {
					device = of[0].Device
				}
				list = append(list, object(nil).set("identity", d.identity(device)).set("properties", d.values(of)).set("events", object{}))
			}
			return Post{Topic: d.base + kind, Payload: payload(o.set("params", list)), QoS: 1, Reply: kind + ":" + id}
		})...)
	}
	return posts
}

func (d *oneNET) values(readings []Reading) object {
	o := object{}
	for _, r := range readings {
		o = o.set(r.Key, oneValue(r))
	}
	return o
}

func (d *oneNET) Event(n Notice, ids IDs) []Post {
	id := ids()
	event := object(nil).set(n.Type, object(nil).set("value", eventOutputs(n, d.Flat())).set("time", n.Time.UnixMilli()))
	o := object(nil).set("id", id).set("version", "1.0")
	if d.Flat() || n.Device == nil {
		return []Post{{Topic: d.base + "event/post", Payload: payload(o.set("params", event)), QoS: 1, Reply: "event/post:" + id}}
	}
	entry := object(nil).set("identity", d.identity(n.Device)).set("properties", object{}).set("events", event)
	return []Post{{Topic: d.base + "pack/post", Payload: payload(o.set("params", []object{entry})), QoS: 1, Reply: "pack/post:" + id}}
}

func (d *oneNET) Receive(topic string, data []byte) ([]Reply, []Call) {
	tail, ours := strings.CutPrefix(topic, d.base)
	var m struct {
		ID     json.RawMessage `json:"id"`
		Code   *json.Number    `json:"code"`
		Msg    string          `json:"msg"`
		Data   json.RawMessage `json:"data"`
		Params json.RawMessage `json:"params"`
	}
	if !ours || !decode(data, &m) {
		return nil, nil
	}
	id := scalar(m.ID)
	if kind, reply := strings.CutSuffix(tail, "/reply"); reply {
		if id == "" || m.Code == nil {
			return nil, nil
		}
		return []Reply{{ID: kind + ":" + id, OK: *m.Code == "200", Code: m.Code.String(), Message: m.Msg, Rejected: rejections(m.Data, "", mostLevels)}}, nil
	}
	call := Call{ID: id, Topic: topic, Name: tail}
	sub, child := strings.CutPrefix(tail, "sub/")
	params := m.Params
	if child {
		var of struct {
			Product    string          `json:"productID"`
			Device     string          `json:"deviceName"`
			Identifier string          `json:"identifier"`
			Input      json.RawMessage `json:"input"`
			Params     json.RawMessage `json:"params"`
		}
		if !decode(m.Params, &of) || of.Device == "" { // without a name it would be the gateway
			return nil, nil
		}
		call.Product, call.Device, tail = of.Product, of.Device, sub
		if tail == "service/invoke" {
			tail, params = "service/"+of.Identifier+"/invoke", of.Input
		} else {
			params = of.Params
		}
	}
	switch {
	case tail == "property/get":
		call.readCall(params)
	case tail == "property/set":
		call.Verb = VerbSet
	case strings.HasPrefix(tail, "service/") && strings.HasSuffix(tail, "/invoke"):
		call.Name = strings.TrimSuffix(strings.TrimPrefix(tail, "service/"), "/invoke")
		var in arguments
		_ = decode(params, &in)
		in.serviceCall(&call, call.Name)
	default:
		return nil, nil // our own messages, and what is not for us
	}
	return nil, []Call{call}
}

func (d *oneNET) Answer(c Call, out Outcome, _ time.Time) []Post {
	code, message := 200, "success"
	if !out.OK {
		code, message = 100, out.Code+": "+out.Message
	}
	o := object(nil).set("id", c.ID).set("code", code).set("msg", message)
	switch c.Verb {
	case VerbRead:
		values := object{}
		for _, r := range out.Values {
			value := r.Value
			if r.Item == "relay" {
				value = numbered(r)
			}
			values = append(values, Member{r.Key, value})
		}
		o = o.set("data", values)
	case VerbSet:
	default:
		o = o.set("data", outcomeMembers(object{}, out))
	}
	return []Post{{Topic: c.Topic + "_reply", Payload: payload(o), QoS: 1}}
}
