package bridge

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// parrot is a protocol made for these tests. A frame is "address item\n", the answer
// "=address item value\n"; the item "secret" is refused, "noise" is answered with noise,
// "command" is a command, "left" and "right" are read as the block "pair". Of the actions, "close" is refused for the password, "alarm" is not
// answered, and of "trip" it is seen later that it was done.
type parrot struct{}

var parrotLine = protocol.Line{WakeUp: 0xFE, WakeUps: 4, Soonest: 20 * time.Millisecond, Latest: 500 * time.Millisecond, ByteGap: 550 * time.Millisecond}

func (parrot) Name() string { return "parrot" }

func (parrot) Family() string { return "parrots" }

func (parrot) ParseAddress(text string) (protocol.Address, error) {
	if len(text) != 12 || strings.Trim(text, "0123456789A") != "" {
		return protocol.Address{}, fmt.Errorf("%w: not 12 digits", protocol.ErrBadRequest)
	}
	return parrotAt(text), nil
}

func (parrot) AddressForm() (words, example string) { return "12 digits", "000000000001" }

// parrotAt is the address of a parrot; with an A in it several may answer.
func parrotAt(text string) protocol.Address {
	return protocol.Address{MeterKey: parrotKey(text), Shared: strings.Contains(text, "A")}
}

func parrotKey(text string) protocol.MeterKey {
	return protocol.MeterKey{Family: "parrots", Text: text}
}

// Actions are a few of each verb, with keys of every type.
func (parrot) Actions(verb protocol.Verb) (actions []protocol.Action) {
	text := func(names ...string) (keys []protocol.Key) {
		for _, name := range names {
			keys = append(keys, protocol.Key{Name: name, Want: "a string"})
		}
		return keys
	}
	switch verb {
	case protocol.VerbWrite:
		return []protocol.Action{{Keys: append(text("item", "level"), protocol.Key{Name: "value", Type: protocol.KeyJSON, Want: "the value to write"}), Level: "04"}}
	case protocol.VerbRelay:
		for _, name := range []string{"trip", "close", "permit_close", "alarm", "alarm_off", "keep_power", "keep_power_off"} {
			actions = append(actions, protocol.Action{Name: name, Keys: text("level"), Level: "02", Watched: true})
		}
	case protocol.VerbMaintenance:
		return []protocol.Action{
			{Name: "sync_clock", Keys: text("level"), Level: "04"}, {Name: "freeze", Keys: text("at")}, {Name: "clear_demand", Keys: text("level"), Level: "04"},
			{Name: "clear_events", Keys: text("item", "level"), Level: "02"}, {Name: "clear_meter", Keys: text("confirm", "level"), Level: "02"},
			{Name: "set_address", Keys: text("address", "confirm")},
			{Name: "set_baud", Keys: append(text("confirm"), protocol.Key{Name: "baud", Type: protocol.KeyInteger, Want: "a whole number of bits per second"})},
			{Name: "set_password", Keys: text("level", "new_password", "confirm"), Level: protocol.AnyLevel}, {Name: "output", Keys: text("signal")},
		}
	case protocol.VerbBroadcast:
		return []protocol.Action{{Name: "time"}, {Name: "freeze", Keys: text("at")}}
	}
	return actions
}

// Playing names items like those of meters.
func (parrot) Playing(role protocol.Role) string {
	return map[protocol.Role]string{
		protocol.RoleRelay: "status_3.relay_open", protocol.RoleClock: "clock", protocol.RolePowerFailures: "power_down_count",
		protocol.RoleRatedVoltage: "rated_voltage", protocol.RoleMaximumCurrent: "maximum_current",
	}[role]
}

var parrotBasic = []string{
	"forward_active_energy", "active_power", "voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c", "status_3",
}

func (parrot) Basic() []string { return parrotBasic }

func (parrot) Template() []protocol.TemplateRow { return nil }

// Match knows every name.
func (parrot) Match(pattern string) ([]string, error) { return []string{pattern}, nil }

// Describe says that everything is a number, and what counts.
func (parrot) Describe(name string) (protocol.ItemDescription, bool) {
	return protocol.ItemDescription{Name: name, Unit: "V", Form: protocol.FormNumber, Decimals: 2, Digits: 8, Counter: name == "energy"}, true
}

func (parrot) Redact(frame []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("%X", frame), fmt.Sprintf("%X", "password"), strings.Repeat("**", len("password")))
}

func (p parrot) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	if request.Command != nil {
		return p.command(request.Address.Text, request.Command), nil
	}
	if request.Verb == protocol.VerbRaw {
		address, item, ok := strings.Cut(strings.TrimSuffix(string(request.Frame), "\n"), " ")
		if !ok {
			return protocol.Plan{}, fmt.Errorf("%w: no frame", protocol.ErrBadRequest)
		}
		plan := protocol.Plan{Address: parrotAt(address), Permission: protocol.PermitRead, Steps: []protocol.Step{p.step(address, item)}}
		if item == "command" {
			plan.Permission = protocol.PermitRelay
			plan.Steps[0].Class, plan.Steps[0].Repeatable, plan.Steps[0].Key = protocol.ClassRelay, false, ""
		}
		if request.NoAnswer {
			plan.Steps[0].First.Answer, plan.Steps[0].First.Take = nil, nil
		}
		return plan, nil
	}
	if !request.From.IsZero() {
		return p.history(request)
	}
	if request.Verb == protocol.VerbClock && request.Address.Shared {
		return protocol.Plan{}, fmt.Errorf("%w: several meters may answer", protocol.ErrBadRequest)
	}
	plan := protocol.Plan{Address: request.Address, Permission: protocol.PermitRead}
	items := request.Items
	if slices.Contains(items, "left") && slices.Contains(items, "right") && !known.Lacks("pair") {
		pair := p.step(request.Address.Text, "pair")
		pair.Block, pair.Items, pair.Class = "pair", []string{"left", "right"}, request.Class
		plan.Steps = append(plan.Steps, pair)
		items = slices.DeleteFunc(slices.Clone(items), func(item string) bool { return item == "left" || item == "right" })
	}
	for _, item := range items {
		if strings.HasPrefix(item, "no_") {
			plan.Errors = append(plan.Errors, protocol.ItemError{Item: item, Err: fmt.Errorf("%w: %s", protocol.ErrUnknownItem, item)})
			continue
		}
		plan.Steps = append(plan.Steps, p.step(request.Address.Text, item))
		plan.Steps[len(plan.Steps)-1].Class = request.Class
	}
	return plan, nil
}

func (p parrot) command(address string, c *protocol.Command) protocol.Plan {
	plan := protocol.Plan{Address: parrotAt(address), Permission: protocol.PermitRelay, Steps: []protocol.Step{p.step(address, c.Action)}}
	plan.Steps[0].Class, plan.Steps[0].Repeatable, plan.Steps[0].Key = protocol.ClassRelay, false, ""
	if _, ok := c.Passwords["02"]; ok {
		plan.Level = "02"
	}
	if c.Action == "time" {
		plan.Reach = 5 * time.Minute
	}
	if c.Action != "trip" {
		return plan
	}
	plan.Then = func([]protocol.Answer) (protocol.Plan, error) {
		look := p.step(address, "state")
		look.Class = protocol.ClassRelay
		return protocol.Plan{Address: parrotAt(address), After: time.Millisecond, Steps: []protocol.Step{look}, Then: func([]protocol.Answer) (protocol.Plan, error) {
			return protocol.Plan{Report: &protocol.Report{Readable: true, Verified: true, Relay: "open", Note: "done"}}, nil
		}}, nil
	}
	return plan
}

func (parrot) step(address, item string) protocol.Step {
	request, begin := address+" "+item+"\n", "="+strings.ReplaceAll(address, "A", "0")+" "+item+" "
	return protocol.Step{
		Meter: parrotKey(address), Line: &parrotLine, Items: []string{item}, Class: protocol.ClassRead, Key: request, Repeatable: true,
		First: protocol.Exchange{
			Request: []byte(request),
			Answer: func(data []byte, _ bool) (int, []byte, error) {
				i := bytes.IndexByte(data, '\n')
				if i < 0 {
					return 0, nil, nil
				}
				if !bytes.HasPrefix(data, []byte(begin)) {
					return i + 1, nil, nil
				}
				return i + 1, data[:i+1], nil
			},
			Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
				fields := strings.Fields(strings.TrimPrefix(string(answer), "="))
				result := protocol.Result{Address: parrotAt(fields[0]), Frame: answer}
				value, err := parrotValue(fields[2])
				if err == nil {
					result.Values = []protocol.Value{{Name: fields[1], Unit: "V", Data: value}}
				}
				return nil, result, err
			},
		},
	}
}

// parrotValue reads what a meter says of itself.
func parrotValue(text string) (any, error) {
	switch text {
	case "refused":
		return nil, &protocol.Refusal{Code: 4, Reasons: []string{"not_authorised"}, Means: protocol.ErrUnauthorised, Advice: "the password may be wrong, or the meter may want its programming key pressed"}
	case "lacking":
		return nil, &protocol.Refusal{Code: 2, Reasons: []string{"no_such_data"}, Means: protocol.ErrNoSuchData}
	case "null":
		return nil, nil
	case "true", "false":
		return text == "true", nil
	}
	if quoted, ok := strings.CutPrefix(text, `"`); ok {
		return strings.TrimSuffix(quoted, `"`), nil
	}
	value, err := protocol.ParseDecimal(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", protocol.ErrGarbled, err)
	}
	return value, nil
}

// A cage is the port to meters that speak parrot. Meters 9… are silent.
type cage struct {
	mu       sync.Mutex
	requests []string
	answer   chan []byte

	say   func(address, item string) string // what meters answer, in place of the usual; "": nothing
	delay time.Duration                     // how long writing takes
	down  bool                              // the port fails, and cannot be opened
}

func newCage() *cage { return &cage{answer: make(chan []byte, 1000)} }

func (c *cage) Write(p []byte) (int, error) {
	if c.delay > 0 {
		time.Sleep(c.delay) // virtual
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return 0, io.ErrClosedPipe
	}
	request := strings.TrimLeft(string(p), "\xFE")
	c.requests = append(c.requests, strings.TrimSpace(request))
	fields := strings.Fields(request)
	address, item := strings.ReplaceAll(fields[0], "A", "0"), fields[1]
	value := "220.10"
	switch {
	case c.say != nil && address[0] != '9':
		if value = c.say(address, item); value == "" {
			return len(p), nil
		}
	case address[0] == '9':
		return len(p), nil
	case item == "secret", item == "close":
		value = "refused"
	case item == "alarm":
		return len(p), nil
	case item == "noise":
		value = "nonsense"
	}
	c.answer <- fmt.Appendf(nil, "=%s %s %s\n", address, item, value)
	return len(p), nil
}

func (c *cage) Read(p []byte, wait time.Duration) (int, error) {
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	if down {
		return 0, io.ErrClosedPipe
	}
	// A timer that is due at once is run by whoever looks at it, and two goroutines of a bubble
	// that do so together crash the race detector (Go 1.26).
	if wait <= 0 {
		select {
		case answer := <-c.answer:
			return copy(p, answer), nil
		default:
			return 0, nil
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case answer := <-c.answer:
		return copy(p, answer), nil
	case <-timer.C:
		return 0, nil
	}
}

func (c *cage) Close() error { return nil }

func (c *cage) open(context.Context) (bus.Port, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.down {
		return nil, io.ErrClosedPipe
	}
	return c, nil
}

func (c *cage) said() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.requests...)
}
