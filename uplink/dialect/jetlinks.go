package dialect

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// jetLinks speaks the official protocol of JetLinks. Topics begin with /{product}/{device};
// those of a sub-device with /{product}/{gateway}/child/{device}.
type jetLinks struct {
	Options
	secureID string
	base     string
}

func newJetLinks(o Options) (Dialect, error) {
	if err := require("jetlinks", wordProduct, o.Product, wordDevice, o.Device, wordSecret+" (secureId:secureKey)", o.Secret); err != nil {
		return nil, err
	}
	id, _, both := strings.Cut(o.Secret, ":")
	if !both || id == "" {
		return nil, fmt.Errorf("jetlinks has a secureId and a secureKey: write both into %s, as in id:key", wordSecret)
	}
	if err := requireDevices(o.Devices, false, false); err != nil {
		return nil, err
	}
	return &jetLinks{o, id, "/" + o.Product + "/" + o.Device + "/"}, nil
}

func (d *jetLinks) Name() string { return "jetlinks" }

func (d *jetLinks) Traits() Traits {
	return Traits{Meters: 1, Bytes: 64 << 10, PerSecond: 50, Patience: 10 * time.Second, Clock: 5 * time.Minute, Identifier: rules[d.Name()]}
}

// Login signs with the present time, from which the platform's clock may differ by five minutes.
func (d *jetLinks) Login(now time.Time) Login {
	_, key, _ := strings.Cut(d.Secret, ":")
	user := d.secureID + "|" + strconv.FormatInt(now.UnixMilli(), 10)
	sum := md5.Sum([]byte(user + "|" + key))
	return Login{d.Device, user, hex.EncodeToString(sum[:]), 60 * time.Second}
}

func (d *jetLinks) Subscriptions() []string {
	if len(d.Commands) == 0 {
		return nil
	}
	var tails []string
	if d.Allows("read") {
		tails = append(tails, "properties/read")
	}
	if d.Allows("relay") || d.Allows("config") {
		tails = append(tails, "function/invoke")
	}
	tails = append(tails, "properties/write") // to be refused, not left without an answer
	var topics []string
	for _, tail := range tails {
		topics = append(topics, d.base+tail)
		if !d.Flat() {
			topics = append(topics, d.base+"child/+/"+tail)
		}
	}
	return topics
}

func (d *jetLinks) topic(device *Device, tail string) string {
	if device == nil || d.Flat() {
		return d.base + tail
	}
	return d.base + "child/" + device.Name + "/" + tail
}

func (d *jetLinks) Announce(devices []*Device, now time.Time, ids IDs) (posts []Post) {
	return d.presence(devices, "online", "1", now, ids)
}

func (d *jetLinks) Withdraw(devices []*Device, now time.Time, ids IDs) (posts []Post) {
	return d.presence(devices, "offline", "0", now, ids)
}

func (d *jetLinks) presence(devices []*Device, word, state string, now time.Time, ids IDs) (posts []Post) {
	for _, device := range devices {
		if d.Flat() {
			posts = append(posts, d.report(nil, []Reading{{Key: d.stateKey(device), Value: json.RawMessage(state)}}, now, ids))
			continue
		}
		o := object(nil).set("timestamp", now.UnixMilli()).set("messageId", ids())
		posts = append(posts, Post{Topic: d.topic(device, word), Payload: payload(o), QoS: 1})
	}
	return posts
}

func (d *jetLinks) report(device *Device, readings []Reading, at time.Time, ids IDs) Post {
	values := object(nil)
	for _, r := range readings {
		values = append(values, Member{r.Key, r.Value})
	}
	o := object(nil).set("timestamp", at.UnixMilli()).set("messageId", ids()).set("properties", values)
	return Post{Topic: d.topic(device, "properties/report"), Payload: payload(o), QoS: 1}
}

func (d *jetLinks) Report(readings []Reading, _ bool, ids IDs) (posts []Post) {
	for _, round := range rounds(readings) {
		for _, group := range groups(round, byDeviceAndTime) {
			posts = append(posts, fit(group, d.Traits(), func(part []Reading) Post {
				return d.report(part[0].Device, part, part[0].Time, ids)
			})...)
		}
	}
	return posts
}

func (d *jetLinks) Event(n Notice, ids IDs) []Post {
	o := object(nil).set("timestamp", n.Time.UnixMilli()).set("messageId", ids()).set("data", modelled(n, d.Flat()))
	return []Post{{Topic: d.topic(n.Device, "event/"+n.Type), Payload: payload(o), QoS: 1}}
}

func (d *jetLinks) Receive(topic string, data []byte) ([]Reply, []Call) {
	tail, ours := strings.CutPrefix(topic, d.base)
	if !ours {
		return nil, nil
	}
	call := Call{Topic: topic}
	if of, child := strings.CutPrefix(tail, "child/"); child {
		call.Device, tail, _ = strings.Cut(of, "/")
	}
	var m struct {
		MessageID  json.RawMessage `json:"messageId"`
		Timestamp  json.RawMessage `json:"timestamp"`
		FunctionID string          `json:"functionId"`
		Function   string          `json:"function"` // what older documents call it
		Properties json.RawMessage `json:"properties"`
		Inputs     []struct {
			Name  string          `json:"name"`
			Value json.RawMessage `json:"value"`
		} `json:"inputs"`
	}
	if !decode(data, &m) {
		return nil, nil
	}
	call.ID, call.Sent = scalar(m.MessageID), milliseconds(m.Timestamp)
	switch tail {
	case "properties/read":
		call.Name = "properties/read"
		call.readCall(m.Properties)
	case "properties/write":
		call.Verb, call.Name = VerbSet, "properties/write"
	case "function/invoke":
		call.Name = m.FunctionID
		if call.Name == "" {
			call.Name = m.Function
		}
		in := arguments{}
		for _, i := range m.Inputs {
			if _, twice := in[i.Name]; twice {
				call.Unsure = inputTwice
			}
			in[i.Name] = i.Value
		}
		in.serviceCall(&call, call.Name)
	default:
		return nil, nil
	}
	return nil, []Call{call}
}

func (d *jetLinks) Answer(c Call, out Outcome, now time.Time) []Post {
	o := object(nil).set("messageId", c.ID).set("timestamp", now.UnixMilli()).set("success", out.OK)
	if !out.OK {
		o = o.set("code", out.Code).set("message", out.Message)
	}
	switch c.Verb {
	case VerbRead:
		values := object(nil)
		for _, r := range out.Values {
			values = append(values, Member{r.Key, r.Value})
		}
		o = o.set("properties", values)
	case VerbRelay, VerbConfig:
		o = o.set("functionId", c.Name).set("output", outcomeMembers(nil, out))
	}
	return []Post{{Topic: c.Topic + "/reply", Payload: payload(o), QoS: 1}}
}
