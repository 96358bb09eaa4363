package dialect

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// An eventSchema is docs/schemas/meter-event.json: which events have which members.
type eventSchema struct {
	Properties struct {
		Type struct{ Enum []string } `json:"event_type"`
	}
	AllOf []struct {
		If struct {
			Properties struct {
				Type struct{ Enum []string } `json:"event_type"`
			}
		}
		Then struct {
			Properties map[string]struct{ Type string }
		}
	}
}

// members returns an event of the type with all members that it may have.
func (s *eventSchema) members(event string) (all []Member) {
	samples := map[string]string{"number": "253.4", "integer": "7", "array": `["a","b"]`}
	for _, part := range s.AllOf {
		if !slices.Contains(part.If.Properties.Type.Enum, event) {
			continue
		}
		for name, property := range part.Then.Properties {
			sample := samples[property.Type]
			if sample == "" {
				sample = `"text"`
			}
			all = append(all, Member{name, json.RawMessage(sample)})
		}
	}
	return all
}

// find returns what lies in JSON under a path of names and, for lists, the member "name=value" of them.
func find(value any, path ...string) any {
	for _, step := range path {
		switch of := value.(type) {
		case map[string]any:
			value = of[step]
		case []any:
			name, want, _ := strings.Cut(step, "=")
			value = nil
			for _, entry := range of {
				if o, ok := entry.(map[string]any); ok && (want == "" || o[name] == want) {
					value = o
					break
				}
			}
		default:
			return nil
		}
	}
	return value
}

// TestModelsHaveWhatEventsCarry holds the models against events with every member that they may have: platforms drop, or
// refuse as a whole, what is not in the model. In flat mode an event says whose it is, and whoever switches a relay
// must be able to say whose.
func TestModelsHaveWhatEventsCarry(t *testing.T) {
	text, err := os.ReadFile("../../docs/schemas/meter-event.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema eventSchema
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Properties.Type.Enum) < 12 {
		t.Fatalf("the schema has the events %v", schema.Properties.Type.Enum)
	}
	type places struct {
		list, output string                // of events in the model, and of the outputs of one
		name         string                // the identifier
		posted       func(string) []string // where the members stand in the message
		inputs       []string              // where those of the relay stand in the model
	}
	alike := places{"events", "outputData", "identifier", func(string) []string { return []string{"params", "value"} }, []string{"services", "identifier=relay", "inputData"}}
	for cloud, of := range map[string]places{
		"aliyun":   alike,
		"onenet":   {alike.list, alike.output, alike.name, nil, []string{"services", "identifier=relay", "input"}},
		"tencent":  {"events", "params", "id", func(string) []string { return []string{"params"} }, []string{"actions", "id=relay", "input"}},
		"jetlinks": {"events", "valueType", "id", func(string) []string { return []string{"data"} }, []string{"functions", "id=relay", "inputs"}},
		"huawei":   {"service_capabilities", "properties", "property_name", nil, []string{"service_capabilities", "service_id=meter", "commands", "command_name=relay", "paras"}},
	} {
		for _, flat := range []bool{false, true} {
			o := identities[cloud]
			device, property := &Device{Root: "dlt645", Meter: "main", Prefix: "1_"}, Property{Item: "voltage_a", Key: "voltage_a", Form: FormNumber, Digits: 4, Decimals: 1}
			if flat {
				property.Key, property.Prefix = "1_voltage_a", "1_"
			} else {
				o.Devices = []Device{{Root: "dlt645", Meter: "main", Product: "p", Name: "000000000001", Secret: "s"}}
				device = &o.Devices[0]
			}
			d, err := New(cloud, o)
			if err != nil {
				t.Fatal(err)
			}
			written, err := WriteModel(cloud, Model{Properties: []Property{property}, Relay: true})
			if err != nil {
				t.Fatal(err)
			}
			var model any
			if err := json.Unmarshal(written, &model); err != nil {
				t.Fatal(err)
			}
			for _, event := range schema.Properties.Type.Enum {
				post := d.Event(Notice{device, event, time.UnixMilli(1795168810213), schema.members(event)}, func() string { return "1" })[0]
				var message any
				if err := json.Unmarshal(post.Payload, &message); err != nil {
					t.Fatal(err)
				}
				which := of.name + "=" + event
				var path []string
				switch {
				case of.posted != nil:
					path = of.posted(event)
				case cloud == "huawei" && flat:
					path, which = []string{"services", "", "properties"}, "service_id=event"
				case cloud == "huawei":
					path, which = []string{"devices", "", "services", "", "properties"}, "service_id=event"
				case flat:
					path = []string{"params", event, "value"}
				default:
					path = []string{"params", "", "events", event, "value"}
				}
				members, ok := find(message, path...).(map[string]any)
				if !ok {
					t.Fatalf("%s: no members of %s in %s", cloud, event, post.Payload)
				}
				outputs := find(model, of.list, which, of.output)
				if cloud == "jetlinks" {
					outputs = find(outputs, "properties")
				}
				for name := range members {
					if find(outputs, of.name+"="+name) == nil {
						t.Errorf("%s, flat %v: the model's %s has no %s", cloud, flat, event, name)
					}
				}
				if _, said := members["meter"]; said != flat {
					t.Errorf("%s, flat %v: the meter of %s is said: %v", cloud, flat, event, said)
				}
			}
			name := of.name
			if cloud == "huawei" {
				name = "para_name"
			}
			inputs := find(model, of.inputs...)
			if find(inputs, name+"=action") == nil || (find(inputs, name+"=meter") != nil) != flat {
				t.Errorf("%s, flat %v: the relay has the inputs %v", cloud, flat, fmt.Sprint(inputs))
			}
		}
	}
}
