package uplink

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dlt645-mqtt/uplink/dialect"
)

// Keys give items the names that a cloud's model has for them. What is not in there goes under
// its own name, with _ for the point of a flag.
type Keys map[string]string

// ReadKeys reads the CSV file of DLT645_UPLINK_KEYS: item,key. The error has all complaints.
func ReadKeys(data []byte) (Keys, error) {
	rows, err := readTable(data, []string{"item", "key"}, "item", "key")
	if err != nil {
		return nil, err
	}
	keys := make(Keys)
	owner := make(map[string]string)
	var complaints []error
	for _, r := range rows {
		item, key := r.Cells["item"], r.Cells["key"]
		switch other := owner[key]; {
		case keys[item] != "":
			complaints = append(complaints, fmt.Errorf("line %d: the item %s stands there twice", r.Line, item))
		case other != "":
			complaints = append(complaints, fmt.Errorf("line %d: the items %s and %s have one key, %s", r.Line, other, item, key))
		}
		keys[item], owner[key] = key, item
	}
	return keys, errors.Join(complaints...)
}

// eventMark stands before the name of an event that says the state of a meter, in the place of a property.
const eventMark = "event:"

// state returns the key, or the event, that says whether a meter can be reached; empty ones where the file
// does not say.
func (k Keys) state(flat bool) (key, event string) {
	key = k[dialect.StateItem(flat)]
	if event, ok := strings.CutPrefix(key, eventMark); ok {
		return "", event
	}
	return key, ""
}

// of returns the key of an item.
func (k Keys) of(item string) string {
	if key := k[item]; key != "" {
		return key
	}
	return dialect.Key(item)
}

// owners returns the items to which keys were given, by key.
func (k Keys) owners() map[string]string {
	all := make(map[string]string, len(k))
	for item, key := range k {
		all[key] = item
	}
	return all
}

// check returns what a cloud would not take of the keys, behind the longest prefix of a meter: all of it, with a
// better line for the file for each.
func (k Keys) check(rule dialect.Rule, prefix string) error {
	rest := rule.Behind(prefix)
	var complaints []error
	for _, item := range slices.Sorted(maps.Keys(k)) {
		key := k[item]
		if event, ok := strings.CutPrefix(key, eventMark); ok && (item == dialect.StateItem(true) || item == dialect.StateItem(false)) {
			key = strings.ReplaceAll(event, "{prefix}", "")
		}
		if err := rule.Check(prefix + key); err != nil {
			complaints = append(complaints, fmt.Errorf("item %s: %w; line for the file of DLT645_UPLINK_KEYS: %s,%s", item, err, item, rest.Propose(item)))
		}
	}
	return errors.Join(complaints...)
}

// item returns the item that a key stands for.
func (k Keys) item(key string) string {
	for item, own := range k {
		if own == key {
			return item
		}
	}
	return key
}
