package dialect

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A Form is what values of a property look like.
type Form string

// The forms of properties.
const (
	FormNumber Form = "number"
	FormFlag   Form = "flag"
	FormText   Form = "text"
	FormRelay  Form = "relay" // open or closed
	FormState  Form = "state" // 1 or 0: the meter can be reached, or not
)

// A Property is a value of a meter, to be written into a thing model.
type Property struct {
	Item, Key        string
	Prefix           string // flat mode: what Key begins with, since it is one meter's of several
	English, Chinese string
	Unit             string
	Form             Form
	Event            string // it is an output of this event, and no property
	Decimals, Digits int    // of a number: behind the point, and in all
	Counter          bool   // a number that is never below 0
}

// A Model is what a cloud should know of the meters of one product.
type Model struct {
	Product    string
	Properties []Property
	Relay      bool // meters may be switched
	Chinese    bool // names that people read
}

// flat reports whether it is the model of a gateway that has the values of several meters.
func (m *Model) flat() bool {
	return slices.ContainsFunc(m.Properties, func(p Property) bool { return p.Prefix != "" })
}

// outputs returns the outputs of an event: in flat mode the meter as well.
func (m *Model) outputs(e eventKind) []Property {
	if m.flat() {
		return slices.Concat([]Property{outMeter}, e.outputs)
	}
	return e.outputs
}

// name returns what people call it.
func (m *Model) name(english, chinese string) string {
	if m.Chinese && chinese != "" {
		return chinese
	}
	return english
}

// An eventKind is an event of a meter in a thing model.
type eventKind struct {
	id, english, chinese string
	outputs              []Property
}

var (
	outMeter   = Property{Key: "meter", English: "Meter", Chinese: "电能表", Form: FormText}
	outItem    = Property{Key: "item", English: "Item", Chinese: "数据项", Form: FormText}
	outReading = Property{Key: "reading", English: "Reading", Chinese: "读数", Form: FormNumber, Decimals: 4, Digits: 12}
	outUnit    = Property{Key: "unit", English: "Unit", Chinese: "单位", Form: FormText}
	outLimit   = []Property{outItem, outReading, outUnit, {Key: "limit", English: "Limit", Chinese: "限值类型", Form: FormText}, {Key: "bound", English: "Bound", Chinese: "限值", Form: FormNumber, Decimals: 4, Digits: 12}}
	outClock   = []Property{{Key: "drift_s", English: "Drift", Chinese: "时钟偏差", Unit: "s", Form: FormNumber, Digits: 9}, {Key: "bound_s", English: "Bound", Chinese: "允许偏差", Unit: "s", Form: FormNumber, Digits: 9}}
	outJump    = []Property{outItem, outReading, {Key: "last", English: "Last", Chinese: "上次读数", Form: FormNumber, Decimals: 4, Digits: 12}, outUnit}
	outCommand = []Property{{Key: "verb", English: "Verb", Chinese: "命令", Form: FormText}, {Key: "action", English: "Action", Chinese: "动作", Form: FormText}, outItem, {Key: "code", English: "Code", Chinese: "错误码", Form: FormText}, {Key: "result", English: "Result", Chinese: "结果", Form: FormText}, {Key: "reasons", English: "Reasons", Chinese: "原因", Form: FormText}, {Key: "message", English: "Message", Chinese: "说明", Form: FormText}}
)

// eventKinds are the events that the bridge publishes.
var eventKinds = []eventKind{
	{"limit_passed", "Limit passed", "越限", outLimit},
	{"limit_cleared", "Limit cleared", "越限恢复", outLimit},
	{"offline", "Meter offline", "电能表离线", []Property{{Key: "reason", English: "Reason", Chinese: "原因", Form: FormText}}},
	{"online", "Meter online", "电能表上线", nil},
	{"relay", "Relay moved", "拉合闸变位", []Property{{Item: "relay", Key: "relay", English: "Relay", Chinese: "继电器", Form: FormText}}},
	{"clock_drift", "Clock drift", "时钟超差", outClock},
	{"clock_right", "Clock right", "时钟恢复", outClock},
	{"power_failure", "Power failure", "掉电", []Property{{Key: "count", English: "Count", Chinese: "次数", Form: FormNumber, Digits: 9}, {Key: "before", English: "Before", Chinese: "原次数", Form: FormNumber, Digits: 9}}},
	{"implausible_value", "Implausible value", "读数异常", outJump},
	{"meter_reset", "Meter reset", "电能表清零", outJump},
	{"command_refused", "Command refused", "命令被拒绝", outCommand},
	{"command_unknown", "Command without known result", "命令结果不明", outCommand},
}

// writers make the model of a cloud.
var writers = map[string]func(*Model) any{
	"aliyun": aliyunModel, "tencent": tencentModel, "huawei": huaweiModel, "onenet": oneNETModel, "jetlinks": jetLinksModel,
}

// HasState reports whether a cloud gets the state of a meter that is a device of its own, online or not, as a property:
// those do that have no better way, or beside it. In flat mode all do.
func HasState(cloud string) bool {
	return cloud == "aliyun" || cloud == "tencent" || cloud == "onenet" || cloud == "thingsboard" || cloud == "json"
}

// Models returns the clouds that have thing models.
func Models() []string {
	var names []string
	for name := range writers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// WriteModel returns the thing model as that cloud imports it, indented JSON.
func WriteModel(cloud string, m Model) ([]byte, error) {
	writer := writers[cloud]
	if writer == nil {
		return nil, fmt.Errorf("%s has no thing model; there are %s", cloud, strings.Join(Models(), ", "))
	}
	m.Properties = slices.DeleteFunc(slices.Clone(m.Properties), func(p Property) bool { return p.Event != "" })
	for i := range m.Properties {
		p := &m.Properties[i]
		if p.Form != FormState {
			continue
		}
		if p.Form = FormNumber; cloud == "aliyun" || cloud == "tencent" { // whose flags are 1 and 0
			p.Form = FormFlag
		}
		p.Digits, p.Counter = 1, true
	}
	return json.MarshalIndent(writer(&m), "", "  ")
}

// bounds returns the least and the greatest value that a number can have, and its step.
func (p *Property) bounds() (low, high, step string) {
	digits := max(p.Digits, 1)
	high = strings.Repeat("9", digits)
	step = "1"
	if p.Decimals > 0 {
		digits = max(digits, p.Decimals+1)
		nines := strings.Repeat("9", digits)
		high = nines[:digits-p.Decimals] + "." + nines[digits-p.Decimals:]
		step = "0." + strings.Repeat("0", p.Decimals-1) + "1"
	}
	low = "-" + high
	if p.Counter {
		low = "0"
	}
	return low, high, step
}

// whole reports whether a number fits an integer of 32 bits.
func (p *Property) whole() bool { return p.Decimals == 0 && p.Digits <= 9 }

// enumeration writes the two numbers that a flag or a relay may be.
func (m *Model) enumeration(form Form) object {
	if form == FormRelay {
		return object(nil).set("0", m.name("open", "分闸")).set("1", m.name("closed", "合闸"))
	}
	return object(nil).set("0", m.name("no", "否")).set("1", m.name("yes", "是"))
}

func (m *Model) actionsOf() object {
	return object(nil).set("0", m.name("trip", "拉闸")).set("1", m.name("close", "合闸"))
}

func aliyunModel(m *Model) any {
	kind := func(p Property) object {
		low, high, step := p.bounds()
		switch p.Form {
		case FormNumber:
			specs := object(nil).set("min", low).set("max", high).set("step", step)
			if p.Unit != "" {
				specs = specs.set("unit", p.Unit)
			}
			name := "double"
			if p.whole() {
				name = "int"
			}
			return object(nil).set("type", name).set("specs", specs)
		case FormFlag:
			return object(nil).set("type", "bool").set("specs", m.enumeration(p.Form))
		case FormRelay:
			return object(nil).set("type", "enum").set("specs", m.enumeration(p.Form))
		}
		return object(nil).set("type", "text").set("specs", object(nil).set("length", "255"))
	}
	field := func(p Property) object {
		return object(nil).set("identifier", p.Key).set("name", m.name(p.English, p.Chinese)).set("dataType", kind(p))
	}
	properties, events, services := []object{}, []object{}, []object{}
	for _, p := range m.Properties {
		properties = append(properties, object(nil).set("identifier", p.Key).set("name", m.name(p.English, p.Chinese)).
			set("accessMode", "r").set("required", false).set("dataType", kind(p)))
	}
	for _, e := range eventKinds {
		outputs := []object{}
		for _, p := range m.outputs(e) {
			outputs = append(outputs, field(p))
		}
		events = append(events, object(nil).set("identifier", e.id).set("name", m.name(e.english, e.chinese)).set("type", severity(e.id, "error")).
			set("required", false).set("desc", "").set("method", "thing.event."+e.id+".post").set("outputData", outputs))
	}
	if m.Relay {
		action := object(nil).set("identifier", "action").set("name", m.name("Action", "动作")).
			set("dataType", object(nil).set("type", "enum").set("specs", m.actionsOf()))
		expires := object(nil).set("identifier", "expires").set("name", m.name("Valid until", "有效期至")).
			set("dataType", object(nil).set("type", "date").set("specs", object{}))
		services = append(services, object(nil).set("identifier", "relay").set("name", m.name("Switch relay", "拉合闸")).set("required", false).
			set("callType", "async").set("desc", "").set("method", "thing.service.relay").set("inputData", m.inputs(field, action, expires)).
			set("outputData", []object{field(Property{Key: "result", English: "Result", Chinese: "结果", Form: FormText}), field(Property{Key: "relay", English: "Relay", Chinese: "继电器", Form: FormRelay})}))
	}
	return object(nil).set("schema", "https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json").
		set("profile", object(nil).set("productKey", m.Product)).set("properties", properties).set("events", events).set("services", services)
}

func tencentModel(m *Model) any {
	define := func(p Property) object {
		low, high, step := p.bounds()
		switch p.Form {
		case FormNumber:
			name := "float"
			if p.whole() {
				name = "int"
			}
			return object(nil).set("type", name).set("unit", p.Unit).set("step", step).set("min", low).set("max", high).set("start", "0")
		case FormFlag:
			return object(nil).set("type", "bool").set("mapping", m.enumeration(p.Form))
		case FormRelay:
			return object(nil).set("type", "enum").set("mapping", m.enumeration(p.Form))
		}
		return object(nil).set("type", "string").set("min", "0").set("max", "255")
	}
	field := func(p Property) object {
		return object(nil).set("id", p.Key).set("name", m.name(p.English, p.Chinese)).set("define", define(p))
	}
	properties, events, list := []object{}, []object{}, []object{}
	for _, p := range m.Properties {
		properties = append(properties, object(nil).set("id", p.Key).set("name", m.name(p.English, p.Chinese)).set("desc", "").
			set("required", false).set("mode", "r").set("define", define(p)))
	}
	for _, e := range eventKinds {
		params := []object{}
		for _, p := range m.outputs(e) {
			params = append(params, field(p))
		}
		events = append(events, object(nil).set("id", e.id).set("name", m.name(e.english, e.chinese)).set("desc", "").
			set("type", severity(e.id, "fault")).set("required", false).set("params", params))
	}
	if m.Relay {
		action := object(nil).set("id", "action").set("name", m.name("Action", "动作")).set("define", object(nil).set("type", "enum").set("mapping", m.actionsOf()))
		code := object(nil).set("id", "code").set("name", m.name("Result", "结果")).
			set("define", object(nil).set("type", "enum").set("mapping", object(nil).set("0", m.name("done", "成功")).set("1", m.name("failed", "失败"))))
		list = append(list, object(nil).set("id", "relay").set("name", m.name("Switch relay", "拉合闸")).set("desc", "").
			set("input", m.inputs(field, action)).set("output", []object{code}).set("required", false))
	}
	return object(nil).set("version", "1.0").set("profile", object(nil).set("ProductId", m.Product).set("CategoryId", "1")).
		set("properties", properties).set("events", events).set("actions", list)
}

func huaweiModel(m *Model) any {
	property := func(p Property) object {
		low, high, step := p.bounds()
		o := object(nil).set("property_name", p.Key).set("required", false)
		switch p.Form {
		case FormNumber:
			name := "decimal"
			if p.whole() {
				name = "int"
			}
			o = o.set("data_type", name).set("min", low).set("max", high).set("step", step)
			if p.Unit != "" {
				o = o.set("unit", p.Unit)
			}
		case FormFlag:
			o = o.set("data_type", "boolean")
		case FormRelay:
			o = o.set("data_type", "string").set("max_length", 8).set("enum_list", []string{"open", "closed"})
		default:
			o = o.set("data_type", "string").set("max_length", 255)
		}
		return o.set("method", "R").set("description", m.name(p.English, p.Chinese))
	}
	values, events, commands := []object{}, []object{}, []object{}
	for _, p := range m.Properties {
		values = append(values, property(p))
	}
	seen := map[string]bool{}
	for _, p := range append([]Property{{Key: "event_type", English: "Event", Chinese: "事件", Form: FormText}}, m.allOutputs()...) {
		if !seen[p.Key] {
			seen[p.Key] = true
			events = append(events, property(p))
		}
	}
	if m.Relay {
		para := func(name, english, chinese string, words ...string) object {
			o := object(nil).set("para_name", name).set("data_type", "string").set("required", len(words) > 0).set("max_length", 32)
			if len(words) > 0 {
				o = o.set("enum_list", words)
			}
			return o.set("description", m.name(english, chinese))
		}
		paras := m.inputs(func(p Property) object { return para(p.Key, p.English, p.Chinese) },
			para("action", "Action", "动作", "trip", "close"), para("expires", "Valid until, ms since 1970", "有效期至（1970 年以来的毫秒数）"))
		commands = append(commands, object(nil).set("command_name", "relay").set("paras", paras).
			set("responses", []object{object(nil).set("response_name", "relay").set("paras", []object{para("result", "Result", "结果"), para("relay", "Relay", "继电器")})}))
	}
	service := func(id string, properties, commands []object) object {
		return object(nil).set("service_id", id).set("service_type", id).set("properties", properties).set("commands", commands)
	}
	return object(nil).set("service_capabilities", []object{service(huaweiService, values, commands), service(huaweiEvents, events, []object{})})
}

// inputs returns the inputs of the service that switches a relay: in flat mode the meter as well.
func (m *Model) inputs(write func(Property) object, all ...object) []object {
	if m.flat() {
		all = append(all, write(outMeter))
	}
	return all
}

// allOutputs returns the outputs of all events.
func (m *Model) allOutputs() (all []Property) {
	for _, e := range eventKinds {
		all = append(all, m.outputs(e)...)
	}
	return all
}

func oneNETModel(m *Model) any {
	kind := func(p Property) object {
		low, high, step := p.bounds()
		switch p.Form {
		case FormNumber:
			name := "double"
			if p.whole() {
				name = "int32"
			}
			specs := object(nil).set("min", low).set("max", high).set("step", step)
			if p.Unit != "" {
				specs = specs.set("unit", p.Unit+" / "+p.Unit)
			}
			return object(nil).set("type", name).set("specs", specs)
		case FormFlag:
			return object(nil).set("type", "bool").set("specs", object(nil).set("true", m.name("yes", "是")).set("false", m.name("no", "否")))
		case FormRelay:
			return object(nil).set("type", "enum").set("specs", m.enumeration(p.Form))
		}
		return object(nil).set("type", "string").set("specs", object(nil).set("length", 255))
	}
	field := func(p Property) object {
		return object(nil).set("identifier", p.Key).set("name", m.name(p.English, p.Chinese)).set("dataType", kind(p))
	}
	properties, events, services := []object{}, []object{}, []object{}
	for _, p := range m.Properties {
		properties = append(properties, append(field(p)[:2:2], object(nil).set("functionType", "u").set("accessMode", "r").
			set("functionMode", "property").set("desc", "").set("dataType", kind(p))...))
	}
	for _, e := range eventKinds {
		outputs := []object{}
		for _, p := range m.outputs(e) {
			outputs = append(outputs, field(p))
		}
		events = append(events, object(nil).set("identifier", e.id).set("name", m.name(e.english, e.chinese)).set("functionType", "u").
			set("functionMode", "event").set("eventType", severity(e.id, "error")).set("desc", "").set("outputData", outputs))
	}
	if m.Relay {
		action := object(nil).set("identifier", "action").set("name", m.name("Action", "动作")).set("dataType", object(nil).set("type", "enum").set("specs", m.actionsOf()))
		expires := object(nil).set("identifier", "expires").set("name", m.name("Valid until", "有效期至")).set("dataType", object(nil).set("type", "date").set("specs", object{}))
		services = append(services, object(nil).set("identifier", "relay").set("name", m.name("Switch relay", "拉合闸")).set("functionType", "u").
			set("functionMode", "service").set("callType", "s").set("desc", "").set("input", m.inputs(field, action, expires)).
			set("output", []object{field(Property{Key: "result", English: "Result", Chinese: "结果", Form: FormText})}))
	}
	return object(nil).set("version", "1.0").set("properties", properties).set("events", events).set("services", services)
}

func jetLinksModel(m *Model) any {
	kind := func(p Property) object {
		switch p.Form {
		case FormNumber:
			o := object(nil).set("type", "double").set("scale", p.Decimals)
			if p.whole() {
				o = object(nil).set("type", "int")
			}
			return o.set("unit", p.Unit)
		case FormFlag:
			return object(nil).set("type", "boolean").set("trueValue", "true").set("falseValue", "false")
		case FormRelay:
			return object(nil).set("type", "enum").set("elements", []object{
				object(nil).set("value", "open").set("text", m.name("open", "分闸")), object(nil).set("value", "closed").set("text", m.name("closed", "合闸")),
			})
		}
		return object(nil).set("type", "string")
	}
	field := func(p Property) object {
		return object(nil).set("id", p.Key).set("name", m.name(p.English, p.Chinese)).set("valueType", kind(p))
	}
	properties, events, functions := []object{}, []object{}, []object{}
	for _, p := range m.Properties {
		properties = append(properties, field(p).set("expands", object(nil).set("readOnly", "true").set("report", "true")))
	}
	levels := map[string]string{"info": "ordinary", "alert": "warn", "error": "urgent"}
	for _, e := range eventKinds {
		members := []object{}
		for _, p := range m.outputs(e) {
			if p.Key == "reading" {
				p.Key = "value" // nothing is reserved here
			}
			members = append(members, field(p))
		}
		events = append(events, object(nil).set("id", e.id).set("name", m.name(e.english, e.chinese)).
			set("valueType", object(nil).set("type", "object").set("properties", members)).
			set("expands", object(nil).set("level", levels[severity(e.id, "error")])))
	}
	if m.Relay {
		words := []object{
			object(nil).set("value", "trip").set("text", m.name("trip", "拉闸")), object(nil).set("value", "close").set("text", m.name("close", "合闸")),
		}
		functions = append(functions, object(nil).set("id", "relay").set("name", m.name("Switch relay", "拉合闸")).set("async", false).
			set("inputs", m.inputs(field, object(nil).set("id", "action").set("name", m.name("Action", "动作")).set("valueType", object(nil).set("type", "enum").set("elements", words)))).
			set("output", object(nil).set("type", "object")))
	}
	return object(nil).set("properties", properties).set("functions", functions).set("events", events).set("tags", []object{})
}

// Identifiers reads the keys, and what kind of value each has, out of a thing model that was
// exported from a cloud: to be compared with the items that are polled.
func Identifiers(cloud string, model []byte) (map[string]string, error) {
	if writers[cloud] == nil {
		return nil, fmt.Errorf("%s has no thing model; there are %s", cloud, strings.Join(Models(), ", "))
	}
	type kind struct {
		Type string `json:"type"`
	}
	type property struct {
		Identifier string `json:"identifier"`
		ID         string `json:"id"`
		Name       string `json:"property_name"`
		DataType   kind   `json:"dataType"`
		Define     kind   `json:"define"`
		ValueType  kind   `json:"valueType"`
		Type       string `json:"data_type"`
	}
	var m struct {
		Properties []property `json:"properties"`
		Services   []struct {
			Properties []property `json:"properties"`
		} `json:"service_capabilities"`
	}
	if err := json.Unmarshal(model, &m); err != nil {
		return nil, fmt.Errorf("the model is not the JSON that %s exports: %w", cloud, err)
	}
	all := m.Properties
	for _, s := range m.Services {
		all = append(all, s.Properties...)
	}
	keys := make(map[string]string)
	for _, p := range all {
		keys[p.Identifier+p.ID+p.Name] = p.DataType.Type + p.Define.Type + p.ValueType.Type + p.Type
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("the model has no properties; it should be what %s exports", cloud)
	}
	return keys, nil
}

// Outputs reads which events of an exported model have which outputs: the event's identifier by that of the output.
func Outputs(model []byte) map[string]string {
	var m struct {
		Events []struct {
			Identifier string `json:"identifier"`
			Outputs    []struct {
				Identifier string `json:"identifier"`
			} `json:"outputData"`
		} `json:"events"`
	}
	events := map[string]string{}
	if json.Unmarshal(model, &m) != nil {
		return events
	}
	for _, e := range m.Events {
		if e.Identifier == "post" { // the report of all properties, which stands among the events
			continue
		}
		for _, output := range e.Outputs {
			if events[output.Identifier] == "" {
				events[output.Identifier] = e.Identifier
			}
		}
	}
	return events
}

// Suits reports whether values of this form go into a model's property of that type.
func (f Form) Suits(kind string) bool {
	number := []string{"int", "int32", "int64", "long", "float", "double", "decimal"}
	switch f {
	case FormNumber:
		return slices.Contains(number, kind)
	case FormFlag, FormState:
		return slices.Contains([]string{"bool", "boolean", "enum"}, kind) || slices.Contains(number, kind)
	case FormRelay:
		return slices.Contains([]string{"bool", "enum", "string", "text"}, kind) || slices.Contains(number, kind)
	}
	return slices.Contains([]string{"text", "string", "date", "enum"}, kind)
}
