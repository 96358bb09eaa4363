package dialect

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"time"
)

// An object is a JSON object whose members keep their order.
type object []Member

// set appends a member whose value is marshalled. What cannot be marshalled is a fault of ours.
func (o object) set(name string, value any) object {
	b, err := marshal(value)
	if err != nil {
		panic(err)
	}
	return append(o, Member{name, b})
}

// MarshalJSON writes the members in their order.
func (o object) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := marshal(m.Name)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, name...), ':'), m.Value...)
	}
	return append(b, '}'), nil
}

// marshal is json.Marshal without the escaping of HTML, which clouds would store.
func marshal(value any) ([]byte, error) {
	if raw, ok := value.(json.RawMessage); ok {
		return raw, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// payload marshals what we have made ourselves.
func payload(value any) []byte {
	b, err := marshal(value)
	if err != nil {
		panic(err)
	}
	return b
}

// text returns the string that a raw value is, and whether it is one.
func text(raw json.RawMessage) (string, bool) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// scalar returns a JSON string or number as text; other values as "".
func scalar(raw json.RawMessage) string {
	if s, ok := text(raw); ok {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// Relay states as numbers, for models that have an enumeration of numbers.
const (
	relayOpen   = "0"
	relayClosed = "1"
)

// numbered writes the relay and flags as the numbers of an enumeration.
func numbered(r Reading) json.RawMessage {
	switch string(r.Value) {
	case "true":
		return json.RawMessage("1")
	case "false":
		return json.RawMessage("0")
	}
	if r.Item == "relay" {
		switch s, _ := text(r.Value); s {
		case "open":
			return json.RawMessage(relayOpen)
		case "closed":
			return json.RawMessage(relayClosed)
		}
	}
	return r.Value
}

// actions are what an action of a call may be written as.
var actions = map[string]string{"0": "trip", "1": "close"}

// action reads what a relay is to do: a word, or a number of the model's enumeration.
func action(raw json.RawMessage) string {
	s := scalar(raw)
	if word, ok := actions[s]; ok {
		return word
	}
	return s
}

// milliseconds reads a moment that is written as milliseconds since 1970, a number or a string
// of digits. Anything else is the zero moment.
func milliseconds(raw json.RawMessage) time.Time {
	n, err := strconv.ParseInt(scalar(raw), 10, 64)
	if err != nil || n < 0 || n > 253402300799999 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

// arguments are the inputs of a relay call, however the cloud wraps them.
type arguments map[string]json.RawMessage

// relayCall fills in a relay call from its inputs. An expires that is there but cannot be read
// is a moment long past, so that the call is refused.
func (a arguments) relayCall(c *Call) {
	c.Verb = VerbRelay
	c.Action = action(a["action"])
	c.Meter = scalar(a["meter"])
	if raw, ok := a["expires"]; ok {
		c.Expires = milliseconds(raw)
		if c.Expires.IsZero() {
			c.Expires = time.UnixMilli(1)
		}
	}
}

// serviceCall fills in a call of a service by its name and inputs, where a model has services for relay and config.
func (a arguments) serviceCall(c *Call, service string) {
	switch service {
	case "relay":
		a.relayCall(c)
	case "config":
		c.Verb, c.Payload = VerbConfig, a["config"]
	default:
		c.Verb = VerbOther
	}
}

// Why it is not sure what a call says: one to read is not taken for one to read all.
const (
	unreadableKeys = `the keys are no list of names, such as ["voltage_a"]`
	unknownMember  = "a call to read has the members keys and meter only"
	inputTwice     = "an input stands in the call twice"
)

// readCall fills in a call to read the keys of a list. None, or a list without any, means all.
func (c *Call) readCall(keys json.RawMessage) {
	c.Verb = VerbRead
	if empty := bytes.TrimSpace(keys); len(empty) == 0 || bytes.Equal(empty, []byte("{}")) {
		return
	}
	if json.Unmarshal(keys, &c.Keys) != nil {
		c.Keys, c.Unsure = nil, unreadableKeys
	}
}

// readCall fills in a call to read from its inputs, beside which it may have the members of the message itself.
func (a arguments) readCall(c *Call, message ...string) {
	c.readCall(a["keys"])
	c.Meter = scalar(a["meter"])
	for name := range a {
		if name != "keys" && name != "meter" && !slices.Contains(message, name) {
			c.Unsure = unknownMember
		}
	}
}

// decode reads a JSON object strictly enough to be sure of it: one object, nothing after it.
func decode(data []byte, into any) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(into) != nil {
		return false
	}
	_, err := d.Token() // More would take a bracket for the end
	return err == io.EOF
}
