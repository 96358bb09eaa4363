package uplink

import (
	"fmt"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/uplink/dialect"
)

// Properties returns items as properties of a thing model, and the relay beside them if one of
// them is where it is read.
func Properties(items []protocol.Description, keys Keys) (all []dialect.Property) {
	for _, d := range items {
		p := dialect.Property{
			Item: d.Name, Key: keys.of(d.Name), English: d.English, Chinese: d.Chinese, Unit: d.Unit,
			Form: dialect.FormText, Decimals: d.Decimals, Digits: d.Digits, Counter: d.Counter,
		}
		if p.English == "" {
			p.English = d.Name
		}
		switch d.Form {
		case protocol.FormNumber:
			p.Form = dialect.FormNumber
		case protocol.FormFlag:
			p.Form = dialect.FormFlag
		}
		all = append(all, p)
	}
	return append(all, dialect.Property{Item: "relay", Key: keys.of("relay"), English: "Relay", Chinese: "继电器状态", Form: dialect.FormRelay})
}

// Check says what a cloud would refuse of properties: a sentence each, with a line for the keys
// file where a key is the reason. model, unless empty, is what the cloud exports.
func Check(cloud string, properties []dialect.Property, model []byte) (found []string, err error) {
	rule, err := dialect.RuleOf(cloud)
	if err != nil {
		return nil, err
	}
	var known map[string]string
	if len(model) > 0 {
		if known, err = dialect.Identifiers(cloud, model); err != nil {
			return nil, err
		}
	}
	owner := map[string]string{}
	for _, p := range properties {
		if err := rule.Check(p.Key); err != nil {
			found = append(found, fmt.Sprintf("%s: %v; line for the keys file: %s,%s", p.Item, err, p.Item, rule.Propose(p.Item)))
			continue
		}
		if other := owner[p.Key]; other != "" {
			found = append(found, fmt.Sprintf("%s: its key %s is that of %s as well", p.Item, p.Key, other))
		}
		owner[p.Key] = p.Item
		if known == nil {
			continue
		}
		switch kind, there := known[p.Key]; {
		case !there:
			found = append(found, fmt.Sprintf("%s: the model has no property %s; line for the keys file: %s,IDENTIFIER", p.Item, p.Key, p.Item))
		case !p.Form.Suits(kind):
			found = append(found, fmt.Sprintf("%s: the model's property %s is of type %s, which does not take a %s", p.Item, p.Key, kind, p.Form))
		case p.Form == dialect.FormNumber && p.Decimals > 0 && (kind == "int" || kind == "int32" || kind == "int64" || kind == "long"):
			found = append(found, fmt.Sprintf("%s: the model's property %s is of type %s, but the item has %d decimals", p.Item, p.Key, kind, p.Decimals))
		}
	}
	return found, nil
}
