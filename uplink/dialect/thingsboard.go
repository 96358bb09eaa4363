package dialect

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// thingsBoard speaks ThingsBoard's gateway API if there are devices, else its device API.
// Telemetry always has its time: without one the gateway API takes "values" for a key.
type thingsBoard struct{ Options }

func newThingsBoard(o Options) (Dialect, error) {
	if err := require("thingsboard", wordSecret+" (the access token)", o.Secret); err != nil {
		return nil, err
	}
	if err := requireDevices(o.Devices, false, false); err != nil {
		return nil, err
	}
	return &thingsBoard{o}, nil
}

func (d *thingsBoard) Name() string { return "thingsboard" }

// A message over 64 KiB ends the connection, so none comes near it.
func (d *thingsBoard) Traits() Traits {
	return Traits{Bytes: 48 << 10, PerSecond: 50, Patience: 10 * time.Second}
}

// Login has a client id that stands for nothing: ThingsBoard takes none as well, but some brokers between do not.
func (d *thingsBoard) Login(now time.Time) Login {
	l := Login{ClientID: d.ClientID, Username: d.Secret, KeepAlive: 60 * time.Second}
	if l.ClientID == "" {
		l.ClientID = "dlt645-" + strconv.FormatInt(now.UnixNano(), 36)
	}
	if d.Username != "" {
		l.Username, l.Password = d.Username, d.Secret
	}
	return l
}

func (d *thingsBoard) Subscriptions() []string {
	switch {
	case len(d.Commands) == 0:
		return nil
	case d.Flat():
		return []string{"v1/devices/me/rpc/request/+"}
	}
	return []string{"v1/gateway/rpc"}
}

// online says whether a meter can be reached, as telemetry: what ThingsBoard calls active is only
// whether anything came.
func (d *thingsBoard) online(devices []*Device, online bool, now time.Time) []Post {
	var readings []Reading
	for _, device := range devices {
		value := json.RawMessage(strconv.FormatBool(online))
		if d.Flat() {
			value = json.RawMessage("0")
			if online {
				value = json.RawMessage("1")
			}
		}
		readings = append(readings, Reading{Device: device, Key: d.stateKey(device), Value: value, Time: now})
	}
	return fit(readings, d.Traits(), d.telemetry)
}

func (d *thingsBoard) Announce(devices []*Device, now time.Time, _ IDs) (posts []Post) {
	if !d.Flat() {
		for _, device := range devices {
			posts = append(posts, Post{Topic: "v1/gateway/connect", Payload: payload(object(nil).set("device", device.Name).set("type", "dlt645")), QoS: 1})
		}
	}
	return append(posts, d.online(devices, true, now)...)
}

func (d *thingsBoard) Withdraw(devices []*Device, now time.Time, _ IDs) []Post {
	posts := d.online(devices, false, now)
	if !d.Flat() {
		for _, device := range devices {
			posts = append(posts, Post{Topic: "v1/gateway/disconnect", Payload: payload(object(nil).set("device", device.Name)), QoS: 1})
		}
	}
	return posts
}

// telemetry writes readings: a list of {ts, values} for each device.
func (d *thingsBoard) telemetry(readings []Reading) Post {
	entries := func(of []Reading) (list []object) {
		for _, round := range rounds(of) {
			for _, group := range groups(round, byDeviceAndTime) {
				values := object(nil)
				for _, r := range group {
					values = append(values, Member{r.Key, r.Value})
				}
				list = append(list, object(nil).set("ts", group[0].Time.UnixMilli()).set("values", values))
			}
		}
		return list
	}
	if d.Flat() {
		own := make([]Reading, len(readings))
		for i, r := range readings {
			r.Device = nil
			own[i] = r
		}
		return Post{Topic: "v1/devices/me/telemetry", Payload: payload(entries(own)), QoS: 1}
	}
	o := object(nil)
	for _, of := range groups(readings, byDevice) {
		o = o.set(of[0].Device.Name, entries(of))
	}
	return Post{Topic: "v1/gateway/telemetry", Payload: payload(o), QoS: 1}
}

func (d *thingsBoard) Report(readings []Reading, _ bool, _ IDs) []Post {
	return fit(readings, d.Traits(), d.telemetry)
}

// Event writes an event as telemetry, under its own name: ThingsBoard has no events from outside. An alarm
// rule compares values that stay, so that a limit has one beside it: voltage_a_limit_passed, true or false.
func (d *thingsBoard) Event(n Notice, _ IDs) []Post {
	prefix := ""
	if d.Flat() && n.Device != nil {
		prefix = n.Device.Prefix
	}
	readings := []Reading{{Device: n.Device, Key: prefix + n.Type, Value: payload(object(n.Members)), Time: n.Time}}
	if passed := n.Type == "limit_passed"; passed || n.Type == "limit_cleared" {
		for _, m := range n.Members {
			if item, ok := text(m.Value); ok && m.Name == "item" {
				readings = append(readings, Reading{Device: n.Device, Key: prefix + Key(item) + "_limit_passed", Value: payload(passed), Time: n.Time})
			}
		}
	}
	return []Post{d.telemetry(readings)}
}

func (d *thingsBoard) Receive(topic string, data []byte) ([]Reply, []Call) {
	var rpc struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
		Params json.RawMessage `json:"params"`
	}
	call := Call{Topic: topic}
	if id, own := strings.CutPrefix(topic, "v1/devices/me/rpc/request/"); own {
		if !decode(data, &rpc) {
			return nil, nil
		}
		call.ID = id
	} else {
		var of struct {
			Device string          `json:"device"`
			Data   json.RawMessage `json:"data"`
		}
		// An answer of ours on the same topic has no method.
		if topic != "v1/gateway/rpc" || !decode(data, &of) || !decode(of.Data, &rpc) || rpc.Method == "" {
			return nil, nil
		}
		call.Device, call.ID, call.RawID = of.Device, scalar(rpc.ID), rpc.ID
	}
	call.Name = rpc.Method
	switch rpc.Method {
	case "relay":
		var in arguments
		if !decode(rpc.Params, &in) {
			in = arguments{"action": rpc.Params}
		}
		in.relayCall(&call)
	case "read":
		var in arguments
		if decode(rpc.Params, &in) {
			in.readCall(&call)
		} else if key, ok := text(rpc.Params); !ok {
			call.readCall(rpc.Params)
		} else if call.Verb = VerbRead; key != "" {
			call.Keys = []string{key}
		}
	case "config":
		call.Verb, call.Payload = VerbConfig, rpc.Params
	default:
		call.Verb = VerbOther
	}
	return nil, []Call{call}
}

func (d *thingsBoard) Answer(c Call, out Outcome, _ time.Time) []Post {
	result := outcomeMembers(object(nil).set("ok", out.OK), out)
	for _, r := range out.Values {
		result = append(result, Member{r.Key, r.Value})
	}
	if id, own := strings.CutPrefix(c.Topic, "v1/devices/me/rpc/request/"); own {
		return []Post{{Topic: "v1/devices/me/rpc/response/" + id, Payload: payload(result), QoS: 1}}
	}
	o := object(nil).set("device", c.Device)
	if len(c.RawID) > 0 {
		o = o.set("id", c.RawID)
	}
	o = o.set("data", result)
	return []Post{{Topic: "v1/gateway/rpc", Payload: payload(o), QoS: 1}}
}
