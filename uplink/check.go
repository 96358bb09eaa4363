package uplink

import (
	"fmt"
	"slices"
	"strings"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/uplink/dialect"
)

// A Polled is what a point table has of one meter.
type Polled struct {
	Meter string
	Items []protocol.ItemDescription
	Relay bool // one of them says how the relay is
}

// Properties returns what is polled as the properties of a thing model. If the devices are those of flat mode it
// is the model of the gateway, in which each meter's keys have its prefix; else it is that of one meter, which
// has what any of them has.
func Properties(cloud string, polled []Polled, devices []dialect.Device, keys Keys) (all []dialect.Property) {
	inFlat := len(devices) > 0 && flat(devices)
	state, event := keys.state(inFlat)
	if state == "" {
		state = dialect.StateItem(inFlat)
	}
	if !inFlat {
		seen := map[string]bool{}
		for _, of := range polled {
			for _, p := range of.properties(keys) {
				if !seen[p.Item] {
					seen[p.Item] = true
					all = append(all, p)
				}
			}
		}
		if dialect.HasState(cloud) {
			all = append(all, dialect.Property{Item: dialect.StateItem(false), Key: state, English: "Online", Chinese: "在线", Form: dialect.FormFlag})
		}
		return all
	}
	for _, of := range polled {
		own := of.properties(keys)
		own = append(own, dialect.Property{Item: dialect.StateItem(true), Key: state, English: "Online", Chinese: "在线", Form: dialect.FormState, Event: event})
		var prefixes []string // several if bridges have meters of that name
		for _, d := range devices {
			if d.Meter == of.Meter {
				prefixes = append(prefixes, d.Prefix)
			}
		}
		if prefixes == nil {
			prefixes = []string{defaultPrefix(of.Meter)}
		}
		for _, prefix := range prefixes {
			for _, p := range own {
				p.Key, p.Prefix, p.Event = prefix+p.Key, prefix, strings.ReplaceAll(p.Event, "{prefix}", prefix)
				p.English, p.Chinese = of.Meter+" "+p.English, of.Meter+" "+p.Chinese
				all = append(all, p)
			}
		}
	}
	return all
}

// properties returns what is polled of the meter, under keys without a prefix.
func (of *Polled) properties(keys Keys) (all []dialect.Property) {
	for _, d := range of.Items {
		p := dialect.Property{
			Item: d.Name, Key: keys.of(d.Name), English: d.English, Chinese: d.Chinese, Unit: d.Unit,
			Form: dialect.FormText, Decimals: d.Decimals, Digits: d.Digits, Counter: d.Counter,
		}
		if p.English == "" {
			p.English = d.Name
		}
		if p.Chinese == "" {
			p.Chinese = p.English
		}
		switch d.Form {
		case protocol.FormNumber:
			p.Form = dialect.FormNumber
		case protocol.FormFlag:
			p.Form = dialect.FormFlag
		}
		all = append(all, p)
	}
	if of.Relay {
		all = append(all, dialect.Property{Item: "relay", Key: keys.of("relay"), English: "Relay", Chinese: "继电器状态", Form: dialect.FormRelay})
	}
	return all
}

// Check says what a cloud would refuse of properties: a sentence each, with a line for the keys
// file where a key is the reason. model, unless empty, is what the cloud exports.
func Check(cloud string, properties []dialect.Property, model []byte) (found []string, err error) {
	rule, err := dialect.RuleOf(cloud)
	if err != nil {
		return nil, err
	}
	var known, outputs map[string]string
	if len(model) > 0 {
		if known, err = dialect.Identifiers(cloud, model); err != nil {
			return nil, err
		}
		outputs = dialect.Outputs(model)
	}
	say := func(format string, arguments ...any) {
		if s := fmt.Sprintf(format, arguments...); !slices.Contains(found, s) {
			found = append(found, s)
		}
	}
	owner := map[string]string{}
	for _, p := range properties {
		if err := rule.Check(p.Key); err != nil {
			say("%s: %v; line for the keys file: %s,%s", p.Item, err, p.Item, rule.Behind(p.Prefix).Propose(p.Item))
			continue
		}
		if other := owner[p.Key]; other != "" {
			say("%s: its key %s is that of %s as well", p.Item, p.Key, other)
		}
		owner[p.Key] = p.Item
		if known == nil {
			continue
		}
		kind, there := known[p.Key]
		event, said := outputs[p.Key]
		switch {
		case p.Event != "":
			if event != p.Event {
				say("%s: the model has no event %s with an output %s", p.Item, p.Event, p.Key)
			}
		case !there && said && cloud == "aliyun" && p.Form == dialect.FormState:
			if rest, ok := strings.CutPrefix(event, p.Prefix); ok {
				event = "{prefix}" + rest
			}
			say("%s: the model has %s as an output of an event; line for the keys file: %s,%s%s", p.Item, p.Key, p.Item, eventMark, event)
		case !there && p.Prefix != "":
			say("%s: the model has no property %s; line for the keys file: %s,IDENTIFIER, without the %s in front", p.Item, p.Key, p.Item, p.Prefix)
		case !there:
			say("%s: the model has no property %s; line for the keys file: %s,IDENTIFIER", p.Item, p.Key, p.Item)
		case !p.Form.Suits(kind):
			say("%s: the model's property %s is of type %s, which does not take a %s", p.Item, p.Key, kind, p.Form)
		case p.Form == dialect.FormNumber && p.Decimals > 0 && (kind == "int" || kind == "int32" || kind == "int64" || kind == "long"):
			say("%s: the model's property %s is of type %s, but the item has %d decimals", p.Item, p.Key, kind, p.Decimals)
		}
	}
	return found, nil
}
