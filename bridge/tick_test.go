package bridge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/protocol"
)

// tick is a protocol as unlike DL/T 645 as can be: addresses from 1 to 247, no wake-up bytes, frames that have no
// length and are ended by silence, items of other names, no passwords, errors of its own, and meters
// at 9600 baud without parity. A request is the address, a letter, an item and maybe text, and the exclusive or
// of all that:
//
//	1 'r' item            read          1 'v' item text   its value
//	1 'w' item text       write         1 'd' item        done
//	                                    1 'e' code        refused: '2' no such item, '3' locked, '9' else
type tick struct {
	family string // "ticks", or another one of meters that are not the same
	brief  bool   // configured by the option brief: its meters have a variant of their own
}

var tickLine = protocol.Line{
	Quiet:   func(m protocol.Mode) time.Duration { return m.Duration(4) },
	Lull:    func(m protocol.Mode) time.Duration { return m.Duration(4) },
	Soonest: 5 * time.Millisecond, Latest: 100 * time.Millisecond, ByteGap: 20 * time.Millisecond, Longest: 40,
}

var tickMode = protocol.Mode{Baud: 9600, Parity: "none", Stop: 2}

// The items, by their letters.
var tickItems = []struct {
	letter      byte
	description protocol.ItemDescription
}{
	{'l', protocol.ItemDescription{Name: "level", Unit: "m", Form: protocol.FormNumber, Decimals: 2, Digits: 4, English: "level", Chinese: "液位"}},
	{'t', protocol.ItemDescription{Name: "throughput", Unit: "kWh", Form: protocol.FormNumber, Decimals: 1, Digits: 9, Counter: true, English: "throughput", Chinese: "累计量"}},
	{'p', protocol.ItemDescription{Name: "pump_stopped", Form: protocol.FormFlag, Role: protocol.RoleRelay, English: "pump stopped", Chinese: "泵停"}},
	{'c', protocol.ItemDescription{Name: "starts", Form: protocol.FormNumber, Role: protocol.RolePowerFailures, English: "starts", Chinese: "启动次数"}},
	{'x', protocol.ItemDescription{Name: "exhaust", Unit: "°C", Form: protocol.FormNumber, English: "exhaust", Chinese: "排气"}},
}

func (k tick) Name() string   { return strings.TrimSuffix(k.family, "s") }
func (k tick) Family() string { return k.family }

func (k tick) ParseAddress(text string) (protocol.Address, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 247 {
		return protocol.Address{}, fmt.Errorf("%w: %q is no number from 1 to 247", protocol.ErrBadRequest, text)
	}
	return k.at(n), nil
}

func (k tick) at(n int) protocol.Address {
	variant := ""
	if k.brief {
		variant = "brief=yes"
	}
	return protocol.Address{MeterKey: protocol.MeterKey{Family: k.family, Text: strconv.Itoa(n), Variant: variant}}
}

func (tick) AddressForm() (words, example string) { return "1 to 247", "1" }

func (k tick) Configure(options map[string]string) (protocol.Protocol, error) {
	if options["brief"] != "yes" || len(options) != 1 {
		return nil, fmt.Errorf("there is the option brief=yes")
	}
	k.brief = true
	return k, nil
}

func (tick) Actions(verb protocol.Verb) []protocol.Action {
	switch verb {
	case protocol.VerbRelay:
		return []protocol.Action{{Name: "stop", Watched: true}, {Name: "go", Watched: true}}
	case protocol.VerbWrite:
		return []protocol.Action{{Keys: []protocol.Key{
			{Name: protocol.ArgumentItem, Want: "a name"}, {Name: protocol.ArgumentValue, Type: protocol.KeyJSON, Want: "a value"},
			{Name: "force", Type: protocol.KeyFlag, Want: "true or false"}, {Name: "times", Type: protocol.KeyInteger, Want: "a whole number"},
		}}}
	}
	return nil
}

func (tick) Redact(frame []byte) string { return fmt.Sprintf("%X", frame) }

func (tick) Recognises(frame []byte) bool {
	return len(frame) >= 4 && frame[0] >= 1 && frame[0] <= 247 && strings.IndexByte("rw", frame[1]) >= 0 && sum(frame[:len(frame)-1]) == frame[len(frame)-1]
}

func sum(data []byte) (x byte) {
	for _, b := range data {
		x ^= b
	}
	return x
}

func (tick) Match(pattern string) (names []string, err error) {
	for _, item := range tickItems {
		if item.description.Name == pattern || pattern == "*" {
			names = append(names, item.description.Name)
		}
	}
	if names == nil {
		return nil, fmt.Errorf("%w: %s", protocol.ErrUnknownItem, pattern)
	}
	return names, nil
}

func (tick) Describe(name string) (protocol.ItemDescription, bool) {
	for _, item := range tickItems {
		if item.description.Name == name {
			return item.description, true
		}
	}
	return protocol.ItemDescription{}, false
}

func (tick) Playing(role protocol.Role) string {
	for _, item := range tickItems {
		if item.description.Role == role {
			return item.description.Name
		}
	}
	return ""
}

func (tick) Basic() []string { return []string{"level", "pump_stopped"} }

func (tick) Template() []protocol.TemplateRow {
	return []protocol.TemplateRow{{Item: "level", Interval: 90 * time.Second}, {Item: "throughput", Interval: time.Hour}}
}

func (tick) UsualModes() (speeds []int, parities []string) { return []int{9600}, []string{"none"} }

// Find cannot ask more than one address at once.
func (k tick) Find(pattern string) (protocol.Question, error) {
	if pattern != "" {
		address, err := k.ParseAddress(pattern)
		if err != nil {
			return protocol.Question{}, err
		}
		step := k.read(address, 'l', protocol.ClassScan)
		step.Key = ""
		take := step.First.Take
		step.First.Take = func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
			_, result, _ := take(answer)
			return nil, result, nil // a refusal is a sign of life, too
		}
		return protocol.Question{
			Pattern: pattern, Steps: []protocol.Step{step},
			Matches: func(text string) bool { return text == pattern }, Narrow: func() []protocol.Question { return nil },
		}, nil
	}
	return protocol.Question{
		Pattern: "1-247", Levels: 1, Matches: func(string) bool { return true },
		Narrow: func() (all []protocol.Question) {
			for n := 1; n <= 247; n++ {
				q, _ := k.Find(strconv.Itoa(n))
				all = append(all, q)
			}
			return all
		},
	}, nil
}

func (k tick) Plan(request protocol.Request, _ protocol.Known) (protocol.Plan, error) {
	switch {
	case request.Verb == protocol.VerbRaw:
		return k.raw(request)
	case !request.From.IsZero(), request.Verb != protocol.VerbRead && request.Command == nil:
		return protocol.Plan{}, fmt.Errorf("%w: ticks have no %s", protocol.ErrUnsupported, request.Verb)
	case request.Command != nil:
		return k.command(request)
	}
	plan := protocol.Plan{Permission: protocol.PermitRead, Address: request.Address}
	for _, name := range request.Items {
		i := slices.IndexFunc(tickItems, func(item struct {
			letter      byte
			description protocol.ItemDescription
		},
		) bool {
			return item.description.Name == name
		})
		if i < 0 {
			plan.Errors = append(plan.Errors, protocol.ItemError{Item: name, Err: fmt.Errorf("%w: %s", protocol.ErrUnknownItem, name)})
			continue
		}
		plan.Steps = append(plan.Steps, k.read(request.Address, tickItems[i].letter, request.Class))
	}
	return plan, nil
}

func (k tick) command(request protocol.Request) (protocol.Plan, error) {
	c := request.Command
	plan := protocol.Plan{Permission: protocol.PermitWrite, Address: request.Address}
	item, text, class := byte('l'), fmt.Sprint(c.Arguments[protocol.ArgumentValue]), protocol.ClassCommand
	if request.Verb == protocol.VerbRelay {
		plan.Permission, class = protocol.PermitRelay, protocol.ClassRelay
		item, text = 'p', map[string]string{"stop": "1", "go": "0"}[c.Action]
	} else if c.Arguments.Flag("force") {
		text += "!" + strconv.FormatInt(c.Arguments.Integer("times"), 10)
	}
	step := k.step(request.Address, append([]byte{'w', item}, text...), class)
	step.Kind, step.Repeatable, step.Key = protocol.KindCommand, false, ""
	step.First.Vague = func([]byte) bool { return true }
	plan.Steps = []protocol.Step{step}
	if request.Verb == protocol.VerbRelay {
		plan.Then = func([]protocol.Answer) (protocol.Plan, error) {
			look := protocol.Plan{Permission: plan.Permission, Address: plan.Address, After: c.Verify / 10, Steps: []protocol.Step{k.read(request.Address, 'p', class)}}
			look.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
				r := &protocol.Report{}
				if answers[0].Err == nil {
					stopped := answers[0].Result.Values[0].Data == true
					r.Readable, r.Verified, r.Relay = true, stopped == (text == "1"), map[bool]string{true: "open", false: "closed"}[stopped]
				}
				return protocol.Plan{Permission: plan.Permission, Address: plan.Address, Report: r}, nil
			}
			return look, nil
		}
	}
	return plan, nil
}

func (k tick) raw(request protocol.Request) (protocol.Plan, error) {
	if !k.Recognises(request.Frame) {
		return protocol.Plan{}, fmt.Errorf("%w: no frame of ticks", protocol.ErrBadRequest)
	}
	frame := request.Frame
	address := k.at(int(frame[0]))
	step := k.step(address, frame[1:len(frame)-1], request.Class)
	plan := protocol.Plan{Permission: protocol.PermitRead, Address: address, Steps: []protocol.Step{step}}
	if frame[1] == 'w' {
		plan.Permission, plan.Steps[0].Class, plan.Steps[0].Repeatable, plan.Steps[0].Key = protocol.PermitWrite, protocol.ClassCommand, false, ""
	}
	return plan, nil
}

func (k tick) read(address protocol.Address, item byte, class protocol.Class) protocol.Step {
	step := k.step(address, []byte{'r', item}, class)
	for _, known := range tickItems {
		if known.letter == item {
			step.Items = []string{known.description.Name}
		}
	}
	return step
}

// step sends a body to a meter and awaits what begins like an answer to it, up to the silence.
func (k tick) step(address protocol.Address, body []byte, class protocol.Class) protocol.Step {
	n, _ := strconv.Atoi(address.Text)
	request := append([]byte{byte(n)}, body...)
	request = append(request, sum(request))
	return protocol.Step{
		Meter: address.MeterKey, Line: &tickLine, Class: class, Key: string(request), Repeatable: true, Expected: 8,
		First: protocol.Exchange{
			Request: request,
			Answer: func(data []byte, atEOF bool) (int, []byte, error) {
				switch {
				case !atEOF:
					return 0, nil, nil // only silence tells
				case len(data) < 4 || data[0] != request[0] || sum(data) != 0 || data[1] != 'e' && data[2] != request[2]:
					return len(data), nil, nil
				}
				return len(data), data, nil
			},
			Take: func(answer []byte) (*protocol.Exchange, protocol.Result, error) {
				return k.parseAnswer(address, answer)
			},
		},
	}
}

func (k tick) parseAnswer(address protocol.Address, answer []byte) (*protocol.Exchange, protocol.Result, error) {
	result := protocol.Result{Address: address, Frame: answer}
	text := string(answer[3 : len(answer)-1])
	if answer[1] == 'e' {
		refusal := &protocol.Refusal{Code: uint16(answer[2]), Reasons: []string{"other"}}
		switch answer[2] {
		case '2':
			refusal.Reasons, refusal.Means = []string{"no_such_data"}, protocol.ErrNoSuchData
		case '3':
			refusal.Reasons, refusal.Means, refusal.Advice = []string{"not_authorised"}, protocol.ErrUnauthorised, "turn the lock of the cabinet"
		}
		return nil, result, refusal
	}
	if answer[1] == 'd' {
		return nil, result, nil
	}
	result.Learned = map[string]string{"dialect": "plain"}
	for _, item := range tickItems {
		if item.letter != answer[2] {
			continue
		}
		value := protocol.Value{Name: item.description.Name, Unit: item.description.Unit}
		if item.description.Form == protocol.FormFlag {
			value.Data = text == "1"
		} else {
			number, err := protocol.ParseDecimal(text)
			if err != nil {
				return nil, result, fmt.Errorf("%w: %w", protocol.ErrGarbled, err)
			}
			value.Data = number
		}
		result.Values = []protocol.Value{value}
	}
	return nil, result, nil
}

// A mill is a line with meters that speak tick, and parrots beside them.
type mill struct {
	mu       sync.Mutex
	mode     protocol.Mode
	meters   map[byte]map[byte]string // values by address and item
	cage     *cage                    // of the parrots, at the mode of the line
	queue    []arriving
	active   time.Time // when a byte was last on the wire
	hurried  []string  // requests that came before the line was quiet for long enough
	requests []string
	wake     chan struct{}
}

type arriving struct {
	at   time.Time
	data []byte
}

// own is the mode of the line.
var own = protocol.Mode{Baud: 2400, Parity: "even", Stop: 1}

func newMill() *mill {
	return &mill{mode: own, cage: newCage(), wake: make(chan struct{}, 1), meters: map[byte]map[byte]string{
		7:  {'l': "1.50", 't': "1000.0", 'p': "0", 'c': "3"},
		1:  {'l': "2.25", 't': "7.0", 'p': "1", 'c': "1"},
		42: {'l': "locked", 't': "9.5", 'p': "0"},
	}}
}

func (m *mill) open(context.Context) (bus.Port, error) { return m, nil }

func (m *mill) Tune(mode protocol.Mode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mode = mode
	return nil
}

func (m *mill) Close() error { return nil }

func (m *mill) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	out := now.Add(m.mode.Duration(len(p)))
	quiet := now.Sub(m.active)
	m.active = out
	if m.mode == own {
		if strings.HasPrefix(string(p), "\xFE\xFE\xFE\xFE") {
			_, err := m.cage.Write(p)
			for len(m.cage.answer) > 0 {
				m.queue = append(m.queue, arriving{out.Add(20 * time.Millisecond), <-m.cage.answer})
			}
			return len(p), err
		}
		return len(p), nil
	}
	m.requests = append(m.requests, fmt.Sprintf("%d%s", p[0], p[1:len(p)-1]))
	if quiet < m.mode.Duration(4) {
		m.hurried = append(m.hurried, fmt.Sprintf("%d%s after %v", p[0], p[1:len(p)-1], quiet))
	}
	if answer := m.answer(p); m.mode == tickMode && answer != nil {
		// In two pieces, of which neither tells that it is not the whole.
		m.queue = append(m.queue, arriving{out.Add(5 * time.Millisecond), answer[:2]}, arriving{out.Add(7 * time.Millisecond), answer[2:]})
	}
	return len(p), nil
}

func (m *mill) answer(p []byte) []byte {
	values := m.meters[p[0]]
	if values == nil || sum(p) != 0 {
		return nil
	}
	value, has := values[p[2]]
	body := []byte{p[0], 'v', p[2]}
	switch {
	case !has:
		body = []byte{p[0], 'e', '2'}
	case value == "locked":
		body = []byte{p[0], 'e', '3'}
	case p[1] == 'w':
		values[p[2]] = string(p[3 : len(p)-1])
		body = []byte{p[0], 'd', p[2]}
	default:
		body = append(body, value...)
	}
	return append(body, sum(body))
}

func (m *mill) Read(p []byte, wait time.Duration) (int, error) {
	deadline := time.Now().Add(wait)
	for {
		m.mu.Lock()
		now := time.Now()
		next := deadline
		if len(m.queue) > 0 {
			if first := m.queue[0]; !first.at.After(now) {
				m.queue = m.queue[1:]
				m.active = now
				m.mu.Unlock()
				return copy(p, first.data), nil
			} else if first.at.Before(next) {
				next = first.at
			}
		}
		m.mu.Unlock()
		if !now.Before(deadline) {
			return 0, nil
		}
		timer := time.NewTimer(next.Sub(now))
		<-timer.C
	}
}
