package uplink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
	"time"

	"dlt645-mqtt/uplink/dialect"
)

// mostAhead is how far in the future a state may be dated before it is told: clocks differ a little.
const mostAhead = 5 * time.Minute

// A translator makes readings and notices out of what bridges publish. It remembers the time of
// the newest value of each item, so that a state, which repeats all values, brings only new ones.
type translator struct {
	keys    Keys
	rule    dialect.Rule
	flat    bool
	devices *devices
	least   time.Duration // between two posts of a meter

	seen   map[meterID]map[string]time.Time
	recent map[meterID]*recentStates
	posted map[meterID]time.Time // the moment of the newest value that went out

	owners map[string]string // the items to which keys were given

	// early is told of a state that is dated in the future by so much.
	early func(id meterID, ahead time.Duration)

	// named is told of each value's name.
	named func(item string)

	// refuse is told of an item that the cloud cannot take under its key.
	refuse func(item string, err error)
}

// state reads a state of a meter. The error says what is wrong with it.
func (t *translator) state(id meterID, payload []byte) ([]dialect.Reading, error) {
	device := t.devices.of(id)
	if device == nil || len(payload) == 0 {
		return nil, nil
	}
	members, err := readMembers(payload)
	if err != nil {
		return nil, err
	}
	var whole time.Time
	own := map[string]time.Time{}
	for _, m := range members {
		switch m.Name {
		case "time":
			if whole, err = moment(m.Value); err != nil {
				return nil, fmt.Errorf("time: %w", err)
			}
		case "times":
			times, err := readMembers(m.Value)
			if err != nil {
				return nil, fmt.Errorf("times: %w", err)
			}
			for _, of := range times {
				if own[of.Name], err = moment(of.Value); err != nil {
					return nil, fmt.Errorf("times of %s: %w", of.Name, err)
				}
			}
		}
	}
	if whole.IsZero() {
		return nil, fmt.Errorf("it has no time")
	}
	if t.recent[id] == nil {
		t.recent[id] = &recentStates{}
	}
	if t.recent[id].again(payload) {
		return nil, nil
	}
	if ahead := time.Until(whole); ahead > mostAhead {
		t.early(id, ahead)
	}
	if last := t.posted[id]; t.least > 0 && !last.IsZero() && whole.Sub(last) < t.least && !whole.Before(last) {
		return nil, nil // what is in it comes with the next state that is old enough
	}
	seen := t.seen[id]
	if seen == nil {
		seen = map[string]time.Time{}
		t.seen[id] = seen
	}
	var readings []dialect.Reading
	for _, m := range members {
		if m.Name == "time" || m.Name == "times" || !scalarValue(m.Value) {
			continue
		}
		at, older := own[m.Name]
		if !older {
			at = whole
		}
		// An earlier time is that of a clock that was set back meanwhile, since this state has not come before.
		if last, known := seen[m.Name]; known && at.Equal(last) {
			continue
		}
		seen[m.Name] = at
		if r, ok := t.reading(device, m.Name, m.Value, at); ok {
			readings = append(readings, r)
		}
	}
	if len(readings) > 0 {
		t.posted[id] = whole
	}
	return readings, nil
}

// reading gives a value the name that the cloud has for it.
func (t *translator) reading(device *dialect.Device, item string, value json.RawMessage, at time.Time) (dialect.Reading, bool) {
	t.named(item)
	key := t.keys.of(item)
	if owner := t.owners[key]; owner != "" && owner != item {
		t.refuse(item, fmt.Errorf("the key %s was given to the item %s", key, owner))
		return dialect.Reading{}, false
	}
	if t.flat {
		key = device.Prefix + key
	}
	if err := t.rule.Check(key); err != nil {
		t.refuse(item, err)
		return dialect.Reading{}, false
	}
	return dialect.Reading{Device: device, Item: item, Key: key, Value: value, Time: at}, true
}

// forget drops what is remembered of a meter that the bridge has removed.
func (t *translator) forget(id meterID) {
	delete(t.seen, id)
	delete(t.posted, id)
	delete(t.recent, id)
}

// recentStates knows the last states of a meter. A broker sends again what was not acknowledged when its connection
// ended, and a bridge what its broker has not acknowledged: as many at most as may wait here.
type recentStates struct {
	sums []uint64
	next int
}

var recentSeed = maphash.MakeSeed()

// again reports whether this state has come before; from now on it has.
func (r *recentStates) again(state []byte) bool {
	sum := maphash.Bytes(recentSeed, state)
	if slices.Contains(r.sums, sum) {
		return true
	}
	if len(r.sums) < mostUnacknowledged {
		r.sums = append(r.sums, sum)
		return false
	}
	r.sums[r.next] = sum
	r.next = (r.next + 1) % len(r.sums)
	return false
}

// event reads an event of a meter; nil if the cloud is not to hear of the meter.
func (t *translator) event(id meterID, payload []byte) (*dialect.Notice, error) {
	device := t.devices.of(id)
	if device == nil {
		return nil, nil
	}
	members, err := readMembers(payload)
	if err != nil {
		return nil, err
	}
	n := &dialect.Notice{Device: device}
	for _, m := range members {
		switch m.Name {
		case "event_type":
			if json.Unmarshal(m.Value, &n.Type) != nil || !isWord(n.Type) {
				return nil, fmt.Errorf("event_type is no word")
			}
		case "time":
			if n.Time, err = moment(m.Value); err != nil {
				return nil, fmt.Errorf("time: %w", err)
			}
		case "meter", "address": // the device says who it is
		default:
			n.Members = append(n.Members, dialect.Member{Name: m.Name, Value: m.Value})
		}
	}
	if n.Type == "" || n.Time.IsZero() {
		return nil, fmt.Errorf("it has no event_type or no time")
	}
	return n, nil
}

// samples reads the history in the reply to a read.
func (t *translator) samples(device *dialect.Device, payload []byte) (readings []dialect.Reading, next string, err error) {
	var reply struct {
		Samples []struct {
			Time   string          `json:"time"`
			Values json.RawMessage `json:"values"`
		} `json:"samples"`
		Next string `json:"next"`
	}
	if err := json.Unmarshal(payload, &reply); err != nil {
		return nil, "", err
	}
	for _, s := range reply.Samples {
		at, err := time.Parse(time.RFC3339, s.Time)
		if err != nil {
			return nil, "", err
		}
		values, err := readMembers(s.Values)
		if err != nil {
			return nil, "", err
		}
		for _, m := range values {
			if !scalarValue(m.Value) {
				continue
			}
			if r, ok := t.reading(device, m.Name, m.Value, at); ok {
				readings = append(readings, r)
			}
		}
	}
	return readings, reply.Next, nil
}

// readMembers reads a JSON object whose members keep their order and digits.
func readMembers(data []byte) ([]dialect.Member, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("it is no JSON object")
	}
	var members []dialect.Member
	names := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if names[name] {
			return nil, fmt.Errorf("%q stands there twice", name)
		}
		names[name] = true
		members = append(members, dialect.Member{Name: name, Value: value})
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something stands behind the JSON object")
	}
	return members, nil
}

// scalarValue reports whether a value can be a reading: a number, a text, true or false.
func scalarValue(raw json.RawMessage) bool {
	return len(raw) > 0 && raw[0] != '{' && raw[0] != '[' && string(raw) != "null"
}

func moment(raw json.RawMessage) (time.Time, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, text)
}

// isWord reports whether a text can be part of a topic: an event's name is.
func isWord(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}
