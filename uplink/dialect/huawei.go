package dialect

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"
)

// huawei speaks with Huawei Cloud IoTDA. Devices have no secrets of their own; what was not
// stored is told nowhere but in the console, so that the names have to be right.
type huawei struct {
	Options
	base string
}

// huaweiService is the service of the model that has the meters' values, huaweiEvents the one
// that has their events: a product cannot define events of its own.
const (
	huaweiService = "meter"
	huaweiEvents  = "event"
)

// huaweiDown is where the platform pushes configurations, with huaweiConfig as their service.
const (
	huaweiDown   = "events/down"
	huaweiConfig = "$device_config"
)

func newHuawei(o Options) (Dialect, error) {
	if err := require("huawei", wordDevice, o.Device, wordSecret, o.Secret); err != nil {
		return nil, err
	}
	if err := requireDevices(o.Devices, false, false); err != nil {
		return nil, err
	}
	return &huawei{o, "$oc/devices/" + o.Device + "/sys/"}, nil
}

func (d *huawei) Name() string { return "huawei" }

func (d *huawei) Traits() Traits {
	// A connection may carry 1 MB a second.
	return Traits{Meters: 100, Bytes: 512 << 10, PerSecond: 40, Rate: 448 << 10, Patience: 18 * time.Second, Identifier: rules[d.Name()]}
}

// Login takes the hour as the key of the signature, and the kind of signature whose hour the
// platform does not compare with its clock.
func (d *huawei) Login(now time.Time) Login {
	hour := now.UTC().Format("2006010215")
	password := hex.EncodeToString(hmacOf(sha256.New, []byte(hour), d.Secret))
	return Login{d.Device + "_0_0_" + hour, d.Device, password, 120 * time.Second}
}

func (d *huawei) Subscriptions() []string {
	if len(d.Commands) == 0 {
		return nil
	}
	topics := []string{d.base + "commands/#", d.base + "properties/set/#"}
	if d.Allows("read") {
		topics = append(topics, d.base+"properties/get/#")
	}
	if d.Allows("config") {
		topics = append(topics, d.base+huaweiDown)
	}
	return topics
}

// huaweiMillis is the form of times; in any other they are silently replaced by those of arrival.
const huaweiMillis = "2006-01-02T15:04:05.000Z"

func (d *huawei) Announce(devices []*Device, now time.Time, ids IDs) []Post {
	return d.presence(devices, "ONLINE", "1", now, ids)
}

func (d *huawei) Withdraw(devices []*Device, now time.Time, ids IDs) []Post {
	return d.presence(devices, "OFFLINE", "0", now, ids)
}

func (d *huawei) presence(devices []*Device, status, state string, now time.Time, ids IDs) (posts []Post) {
	if d.Flat() {
		var readings []Reading
		for _, device := range devices {
			readings = append(readings, Reading{Device: device, Key: d.stateKey(device), Value: json.RawMessage(state), Time: now})
		}
		return d.Report(readings, false, ids)
	}
	for _, part := range chunks(devices, 100) {
		var list []object
		for _, device := range part {
			list = append(list, object(nil).set("device_id", device.Name).set("status", status))
		}
		service := object(nil).set("service_id", "$sub_device_manager").set("event_type", "sub_device_update_status").
			set("event_time", now.UTC().Format("20060102T150405Z")).set("paras", object(nil).set("device_statuses", list))
		o := object(nil).set("services", []object{service})
		posts = append(posts, Post{Topic: d.base + "events/up", Payload: payload(o), QoS: 1})
	}
	return posts
}

// services writes readings as blocks, one for each moment.
func services(readings []Reading, service string) []object {
	list := []object{} // not null where there is nothing to say
	for _, round := range rounds(readings) {
		for _, block := range groups(round, func(r Reading) int64 { return r.Time.UnixMilli() }) {
			properties := object(nil)
			for _, r := range block {
				properties = append(properties, Member{r.Key, r.Value})
			}
			list = append(list, object(nil).set("service_id", service).set("properties", properties).
				set("event_time", block[0].Time.UTC().Format(huaweiMillis)))
		}
	}
	return list
}

func (d *huawei) report(readings []Reading, service string) Post {
	if d.Flat() {
		return Post{Topic: d.base + "properties/report", Payload: payload(object(nil).set("services", services(readings, service))), QoS: 1}
	}
	var list []object
	for _, of := range groups(readings, byDevice) {
		list = append(list, object(nil).set("device_id", of[0].Device.Name).set("services", services(of, service)))
	}
	return Post{Topic: d.base + "gateway/sub_devices/properties/report", Payload: payload(object(nil).set("devices", list)), QoS: 1}
}

func (d *huawei) Report(readings []Reading, _ bool, _ IDs) []Post {
	return fit(readings, d.Traits(), func(part []Reading) Post { return d.report(part, huaweiService) })
}

// Event writes an event as properties of a service of its own.
func (d *huawei) Event(n Notice, _ IDs) []Post {
	readings := []Reading{{Device: n.Device, Key: "event_type", Value: payload(n.Type), Time: n.Time}}
	for _, m := range eventOutputs(n, d.Flat()) {
		readings = append(readings, Reading{Device: n.Device, Key: m.Name, Value: m.Value, Time: n.Time})
	}
	return []Post{d.report(readings, huaweiEvents)}
}

func (d *huawei) Receive(topic string, data []byte) ([]Reply, []Call) {
	tail, ours := strings.CutPrefix(topic, d.base)
	if !ours {
		return nil, nil
	}
	if tail == huaweiDown {
		return nil, d.pushed(topic, data)
	}
	kind, id, ok := strings.Cut(tail, "/request_id=")
	var m struct {
		Device  string          `json:"object_device_id"`
		Command string          `json:"command_name"`
		Paras   json.RawMessage `json:"paras"`
	}
	if !ok || id == "" || !decode(data, &m) {
		return nil, nil
	}
	call := Call{ID: id, Name: m.Command, Device: m.Device, Topic: topic}
	if call.Device == d.Device {
		call.Device = ""
	}
	var in arguments
	_ = decode(m.Paras, &in)
	switch kind {
	case "commands":
		in.serviceCall(&call, m.Command)
	case "properties/get":
		call.Verb, call.Name = VerbRead, kind
	case "properties/set":
		call.Verb, call.Name = VerbSet, kind
	default:
		return nil, nil
	}
	return nil, []Call{call}
}

// pushed reads configurations out of what the platform pushes.
func (d *huawei) pushed(topic string, data []byte) (calls []Call) {
	var m struct {
		Device   string `json:"object_device_id"`
		Services []struct {
			Service string `json:"service_id"`
			Event   string `json:"event_type"`
			Paras   struct {
				Content json.RawMessage `json:"config_content"`
			} `json:"paras"`
		} `json:"services"`
	}
	if !decode(data, &m) {
		return nil
	}
	for _, s := range m.Services {
		if s.Service != huaweiConfig || s.Event != "config_update" {
			continue
		}
		call := Call{Verb: VerbConfig, Name: s.Event, Device: m.Device, Payload: s.Paras.Content, Topic: topic}
		if call.Device == d.Device {
			call.Device = ""
		}
		calls = append(calls, call)
	}
	return calls
}

func (d *huawei) Answer(c Call, out Outcome, now time.Time) []Post {
	if strings.HasSuffix(c.Topic, huaweiDown) {
		code := 0
		if !out.OK {
			code = 1
		}
		paras := outcomeMembers(object(nil).set("result_code", code), out)
		service := object(nil).set("service_id", huaweiConfig).set("event_type", "config_update_response").
			set("event_time", now.UTC().Format("20060102T150405Z")).set("paras", paras)
		return []Post{{Topic: d.base + "events/up", Payload: payload(object(nil).set("services", []object{service})), QoS: 1}}
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(c.Topic, d.base), "/request_id=")
	o := object(nil)
	switch c.Verb {
	case VerbRead:
		o = o.set("services", services(out.Values, huaweiService))
	case VerbSet:
		o = o.set("result_code", 1).set("result_desc", out.Code+": "+out.Message)
	default:
		code := 0
		if !out.OK {
			code = 1
		}
		o = o.set("result_code", code).set("response_name", c.Name).set("paras", outcomeMembers(object{}, out))
	}
	return []Post{{Topic: d.base + kind + "/response/request_id=" + c.ID, Payload: payload(o), QoS: 1}}
}
