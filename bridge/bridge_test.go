package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// parrot is a protocol made for these tests. A frame is "address item\n", the answer
// "=address item value\n"; the item "secret" is refused, "noise" is answered with noise,
// "command" is a command. Of the actions, "close" is refused
// for the password, "alarm" is not answered, and of "trip" is seen later that it was done.
type parrot struct{}

func (parrot) Name() string { return "parrot" }

func (parrot) ParseAddress(text string) (string, bool, error) {
	if len(text) != 12 || strings.Trim(text, "0123456789A") != "" {
		return "", false, fmt.Errorf("%w: not 12 digits", protocol.ErrBadRequest)
	}
	return text, strings.Contains(text, "A"), nil
}

// Match knows every name.
func (parrot) Match(pattern string) ([]string, error) { return []string{pattern}, nil }

// Describe says that everything is a number, and what counts.
func (parrot) Describe(name string) (protocol.Description, bool) {
	return protocol.Description{Name: name, Unit: "V", Form: protocol.FormNumber, Decimals: 2, Digits: 8, Counter: name == "energy"}, true
}

func (parrot) Redact(frame []byte) string {
	return strings.ReplaceAll(fmt.Sprintf("%X", frame), fmt.Sprintf("%X", "password"), "**")
}

func (p parrot) Plan(request protocol.Request, _ protocol.Known) (protocol.Plan, error) {
	if request.Command != nil {
		return p.command(request.Address, request.Command), nil
	}
	if request.Verb == protocol.VerbRaw {
		address, item, ok := strings.Cut(strings.TrimSuffix(string(request.Frame), "\n"), " ")
		if !ok {
			return protocol.Plan{}, fmt.Errorf("%w: no frame", protocol.ErrBadRequest)
		}
		plan := protocol.Plan{Address: address, Permission: protocol.PermitRead, Steps: []protocol.Step{p.step(address, item)}}
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
	plan := protocol.Plan{Address: request.Address, Permission: protocol.PermitRead}
	for _, item := range request.Items {
		if strings.HasPrefix(item, "no_") {
			plan.Errors = append(plan.Errors, protocol.ItemError{Item: item, Err: fmt.Errorf("%w: %s", protocol.ErrUnknownItem, item)})
			continue
		}
		plan.Steps = append(plan.Steps, p.step(request.Address, item))
		plan.Steps[len(plan.Steps)-1].Class = request.Class
	}
	return plan, nil
}

func (p parrot) command(address string, c *protocol.Command) protocol.Plan {
	plan := protocol.Plan{Address: address, Permission: protocol.PermitRelay, Steps: []protocol.Step{p.step(address, c.Action)}}
	plan.Steps[0].Class, plan.Steps[0].Repeatable, plan.Steps[0].Key = protocol.ClassRelay, false, ""
	if password, ok := c.Passwords["02"]; ok {
		plan.Password = "02" + password
	}
	if c.Action != "trip" {
		return plan
	}
	plan.Then = func([]protocol.Answer) (protocol.Plan, error) {
		look := p.step(address, "state")
		look.Class = protocol.ClassRelay
		return protocol.Plan{Address: address, After: time.Millisecond, Steps: []protocol.Step{look}, Then: func([]protocol.Answer) (protocol.Plan, error) {
			return protocol.Plan{Report: &protocol.Report{Readable: true, Verified: true, Relay: "open", Note: "done"}}, nil
		}}, nil
	}
	return plan
}

func (parrot) step(address, item string) protocol.Step {
	request, begin := address+" "+item+"\n", "="+strings.ReplaceAll(address, "A", "0")+" "+item+" "
	return protocol.Step{
		Meter: address, Items: []string{item}, Class: protocol.ClassRead, Key: request, Repeatable: true,
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
				result := protocol.Result{Address: fields[0], Frame: answer}
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
		return nil, &protocol.Refusal{Code: 4, Reasons: []string{"not_authorised"}}
	case "lacking":
		return nil, &protocol.Refusal{Code: 2, Reasons: []string{"no_such_data"}}
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

// A stage is a bridge under test, its bus running and its replies caught before the broker.
type stage struct {
	*Bridge
	cage *cage
	sent chan outgoing
	told chan outgoing // about meters

	audited chan outgoing
}

func newStage(t *testing.T, change func(*Config)) *stage {
	t.Helper()
	s := &stage{cage: newCage(), sent: make(chan outgoing, 1000), audited: make(chan outgoing, 1000), told: make(chan outgoing, 10_000)}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	line := bus.New(bus.Config{
		Settings: bus.Settings{Baud: 115200, Timeout: 50 * time.Millisecond},
		Open:     s.cage.open, Log: log,
	})
	config := Config{
		Root: "test", Broker: Broker{URL: &url.URL{Scheme: "mqtt", Host: "127.0.0.1:1"}}, Bus: line, Protocol: parrot{}, Zone: time.UTC,
		Meters: []Meter{{Name: "main", Address: "000000000001", Protocol: parrot{}}, {Name: "dead", Address: "900000000000", Protocol: parrot{}}, {Name: "only", Address: "AAAAAAAAAAAA", Wildcard: true, Protocol: parrot{}}},
		Allow:  map[string]bool{"read": true, "raw": true}, Log: log, Version: "test",
	}
	config.Points = points.Basic(Site(config.Meters, config.Protocol))
	if change != nil {
		change(&config)
	}
	s.Bridge = New(config)
	s.outbox.up(t.Context(), func(_ context.Context, m outgoing) (bool, error) {
		switch {
		case m.topic == "test/bridge/audit":
			s.audited <- m
		case strings.HasPrefix(m.topic, "test/meter/"):
			s.told <- m
		default:
			s.sent <- m
		}
		return false, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a message and returns the one reply.
func (s *stage) ask(t *testing.T, m message) (outgoing, map[string]any) {
	t.Helper()
	m.received = time.Now()
	s.receive(m)
	sent := <-s.sent
	var reply map[string]any
	d := json.NewDecoder(bytes.NewReader(sent.payload))
	d.UseNumber()
	if err := d.Decode(&reply); err != nil && sent.contentType == contentJSON {
		t.Fatalf("reply %s: %v", sent.payload, err)
	}
	return sent, reply
}

func TestReadReply(t *testing.T) {
	s := newStage(t, nil)
	sent, _ := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"id":"7","items":["voltage_a","secret","no_such"]}`), correlation: []byte{0, 1}})
	if got, want := sent.topic, "test/reply/read/main"; got != want {
		t.Errorf("topic %s, want %s", got, want)
	}
	if !bytes.Equal(sent.correlation, []byte{0, 1}) || sent.contentType != contentJSON || sent.retain {
		t.Errorf("correlation % X, content type %s, retain %t", sent.correlation, sent.contentType, sent.retain)
	}
	var got struct {
		ID, Request, Meter, Address string
		OK                          bool
		Values                      map[string]json.RawMessage
		Units                       map[string]string
		Errors                      map[string]problem
		Error                       *problem
		Bus                         *effort
	}
	if err := json.Unmarshal(sent.payload, &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != "7" || got.Request != "read" || got.Meter != "main" || got.Address != "000000000001" || got.OK || got.Error != nil {
		t.Errorf("reply %s", sent.payload)
	}
	if string(got.Values["voltage_a"]) != "220.10" || got.Units["voltage_a"] != "V" || len(got.Values) != 1 {
		t.Errorf("values %s", got.Values)
	}
	if e := got.Errors["secret"]; e.Code != CodeRefused || len(e.Reasons) != 1 || e.Reasons[0] != "not_authorised" {
		t.Errorf("error of the refused item: %+v", e)
	}
	if e := got.Errors["no_such"]; e.Code != CodeUnknownItem {
		t.Errorf("error of the unknown item: %+v", e)
	}
	if got.Bus == nil || got.Bus.Steps != 2 {
		t.Errorf("bus %+v, want 2 steps", got.Bus)
	}
}

// TestBadInput sends everything that a request must not be. Each gets one reply with the
// right code on the right topic, and nothing reaches the wire.
func TestBadInput(t *testing.T) {
	many := `{"id":"x","items":["` + strings.Join(strings.Split(strings.Repeat("i", 65), ""), `","`) + `"]}`
	hour := time.Hour
	none := time.Duration(0)
	for _, row := range []struct {
		name    string
		message message
		code    Code
		id      any
	}{
		{"not JSON", message{topic: "read/main", payload: []byte(`{"id":`)}, CodeBadRequest, nil},
		{"id before the fault", message{topic: "read/main", payload: []byte(`{"id":"x","items":[}`)}, CodeBadRequest, "x"},
		{"two objects", message{topic: "read/main", payload: []byte(`{"id":"x"}{}`)}, CodeBadRequest, "x"},
		{"unknown key", message{topic: "read/main", payload: []byte(`{"id":"x","item":"voltage_a"}`)}, CodeBadRequest, "x"},
		{"a key twice", message{topic: "read/main", payload: []byte(`{"id":"x","items":["a"],"items":["b"]}`)}, CodeBadRequest, "x"},
		{"key in capitals", message{topic: "read/main", payload: []byte(`{"id":"x","Items":["voltage_a"]}`)}, CodeBadRequest, "x"},
		{"number as id", message{topic: "read/main", payload: []byte(`{"id":7,"items":["voltage_a"]}`)}, CodeBadRequest, json.Number("7")},
		{"null as id", message{topic: "read/main", payload: []byte(`{"id":null,"items":["voltage_a"]}`)}, CodeBadRequest, nil},
		{"unknown verb", message{topic: "reed/main", payload: []byte(`{"id":"x"}`)}, CodeBadRequest, "x"},
		{"no verb", message{topic: "", payload: []byte("voltage_a")}, CodeBadRequest, nil},
		{"unknown meter", message{topic: "read/cellar", payload: []byte("voltage_a")}, CodeUnknownMeter, nil},
		{"no meter", message{topic: "read", payload: []byte("voltage_a")}, CodeUnknownMeter, nil},
		{"address too short", message{topic: "read/12345", payload: []byte("voltage_a")}, CodeUnknownMeter, nil},
		{"unknown item", message{topic: "read/main", payload: []byte("no_such")}, CodeUnknownItem, nil},
		{"65 items", message{topic: "read/main", payload: []byte(many)}, CodeBadRequest, "x"},
		{"empty item", message{topic: "read/main", payload: []byte("voltage_a,,")}, CodeBadRequest, nil},
		{"items no array", message{topic: "read/main", payload: []byte(`{"id":"x","items":"voltage_a"}`)}, CodeBadRequest, "x"},
		{"items of numbers", message{topic: "read/main", payload: []byte(`{"id":"x","items":[1]}`)}, CodeBadRequest, "x"},
		{"no items, no points", message{topic: "read/000000000077"}, CodeBadRequest, nil},
		{"over the limit", message{topic: "read/main", payload: bytes.Repeat([]byte("a"), maxPayload+1)}, CodeBadRequest, nil},
		{"not UTF-8", message{topic: "read/main", payload: []byte("voltage_a\xff")}, CodeBadRequest, nil},
		{"wildcard response topic", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/me/#"}, CodeBadRequest, nil},
		{"foreign response topic", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "other/reply/me"}, CodeBadRequest, nil},
		{"response topic under a verb", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/relay/main"}, CodeBadRequest, nil},
		{"response topic is a verb", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/relay"}, CodeBadRequest, nil},
		{"response topic in the request tree", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/request/read/main"}, CodeBadRequest, nil},
		{"empty response level", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/"}, CodeBadRequest, nil},
		{"retained", message{topic: "read/main", payload: []byte("voltage_a"), retain: true}, CodeBadRequest, nil},
		{"ttl no number", message{topic: "read/main", payload: []byte(`{"ttl_ms":"5"}`)}, CodeBadRequest, nil},
		{"ttl zero", message{topic: "read/main", payload: []byte(`{"ttl_ms":0}`)}, CodeBadRequest, nil},
		{"ttl with a fraction", message{topic: "read/main", payload: []byte(`{"ttl_ms":1.5}`)}, CodeBadRequest, nil},
		{"expires no moment", message{topic: "read/main", payload: []byte(`{"expires":"tomorrow"}`)}, CodeBadRequest, nil},
		{"expires in the past", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"expires":"2020-01-01T00:00:00Z"}`)}, CodeExpired, nil},
		{"message expiry over", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"ttl_ms":60000}`), expiry: &none}, CodeExpired, nil},
		{"history without a beginning", message{topic: "read/main", payload: []byte(`{"items":["stored"],"to":"2020-01-01T00:00:00Z"}`), expiry: &hour}, CodeBadRequest, nil},
		{"history from no moment", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01"}`)}, CodeBadRequest, nil},
		{"history from null", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":null}`)}, CodeBadRequest, nil},
		{"history to a number", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01T00:00:00Z","to":1577836800}`)}, CodeBadRequest, nil},
		{"history that ends where it begins", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01T08:00:00+08:00","to":"2020-01-01T00:00:00Z"}`)}, CodeBadRequest, nil},
		{"history of no items", message{topic: "read/main", payload: []byte(`{"from":"2020-01-01T00:00:00Z"}`)}, CodeBadRequest, nil},
		{"history of some age", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01T00:00:00Z","max_age_ms":1000}`)}, CodeBadRequest, nil},
		{"history of what is not stored", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"from":"2020-01-01T00:00:00Z"}`)}, CodeUnsupported, nil},
		{"hex of odd length", message{topic: "raw", payload: []byte("681")}, CodeBadRequest, nil},
		{"no hex", message{topic: "raw", payload: []byte("hello")}, CodeBadRequest, nil},
		{"no frame", message{topic: "raw"}, CodeBadRequest, nil},
		{"bad frame", message{topic: "raw", payload: []byte("6868")}, CodeBadRequest, nil},
		{"raw to a meter", message{topic: "raw/main", payload: []byte("6868")}, CodeBadRequest, nil},
		{"raw of a class not allowed", message{topic: "raw", payload: fmt.Appendf(nil, "%X", "000000000001 command\n")}, CodeNotAllowed, nil},
		{"verb not allowed", message{topic: "relay/main", payload: []byte("trip")}, CodeNotAllowed, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, nil)
			m := row.message
			tail := m.topic
			m.topic = "test/request/" + tail
			sent, reply := s.ask(t, m)
			if want := "test/reply/" + tail; sent.topic != want {
				t.Errorf("reply on %s, want %s", sent.topic, want)
			}
			failure, _ := reply["error"].(map[string]any)
			if failure["code"] != string(row.code) || reply["ok"] != false || failure["message"] == "" {
				t.Errorf("reply %s, want the code %s", sent.payload, row.code)
			}
			if reply["id"] != row.id {
				t.Errorf("id %v, want %v", reply["id"], row.id)
			}
			if reply["request"] == verbRead {
				for _, key := range []string{"values", "units", "errors"} {
					if reply[key] == nil {
						t.Errorf("reply %s lacks %s, which a read always has", sent.payload, key)
					}
				}
			}
			if said := s.cage.said(); len(said) > 0 {
				t.Errorf("on the wire: %q", said)
			}
			if len(s.sent) > 0 {
				t.Errorf("a second reply: %s", (<-s.sent).payload)
			}
		})
	}
}

func TestResponseTopic(t *testing.T) {
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/me/1"})
	if sent.topic != "test/reply/me/1" || reply["ok"] != true {
		t.Errorf("reply %s on %s", sent.payload, sent.topic)
	}
}

func TestSilentMeter(t *testing.T) {
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request/read/dead", payload: []byte("voltage_a,voltage_b")})
	errs, _ := reply["errors"].(map[string]any)
	for _, item := range []string{"voltage_a", "voltage_b"} {
		if e, _ := errs[item].(map[string]any); e["code"] != string(CodeTimeout) {
			t.Errorf("%s: %v, want timeout: %s", item, errs[item], sent.payload)
		}
	}
	if reply["error"] != nil {
		t.Errorf("an error of the whole request, although it reached the wire: %s", sent.payload)
	}
	for _, request := range s.cage.said() {
		if strings.Contains(request, "voltage_b") {
			t.Error("a meter that stayed silent was asked for the next item")
		}
	}
}

func TestMaxAge(t *testing.T) {
	s := newStage(t, nil)
	_, first := s.ask(t, message{topic: "test/request/read/main", payload: []byte("voltage_a")})
	_, second := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["voltage_a"],"max_age_ms":60000}`)})
	if n := len(s.cage.said()); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
	if first["time"] != second["time"] {
		t.Errorf("a value of %v came with the time %v", first["time"], second["time"])
	}
	// Together with a value read anew, the older one keeps its own time.
	_, mixed := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["voltage_a","voltage_b"],"max_age_ms":60000}`)})
	times, _ := mixed["times"].(map[string]any)
	if len(times) != 1 || times["voltage_a"] != first["time"] {
		t.Errorf("times %v, want voltage_a of %v", times, first["time"])
	}
	// A command to the meter forgets what is known of it.
	s.config.Allow["relay"] = true
	s.ask(t, message{topic: "test/request/raw", payload: fmt.Appendf(nil, "%X", "000000000001 command\n")})
	s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["voltage_a"],"max_age_ms":60000}`)})
	if n := len(s.cage.said()); n != 4 {
		t.Errorf("%d exchanges, want 4: %q", n, s.cage.said())
	}
}

func TestOnlyMeterIsResolvedOnce(t *testing.T) {
	s := newStage(t, nil)
	for range 2 {
		_, reply := s.ask(t, message{topic: "test/request/read/only", payload: []byte("voltage_a")})
		if reply["address"] != "000000000000" || reply["meter"] != "only" {
			t.Errorf("address %v of meter %v", reply["address"], reply["meter"])
		}
	}
	if got := s.cage.said(); got[0] != "AAAAAAAAAAAA voltage_a" || got[1] != "000000000000 voltage_a" {
		t.Errorf("on the wire: %q", got)
	}
}

func TestBasicPoints(t *testing.T) {
	s := newStage(t, nil)
	_, reply := s.ask(t, message{topic: "test/request/read/main"})
	values, _ := reply["values"].(map[string]any)
	if len(values) != len(points.BasicItems) {
		t.Errorf("values %v, want all of %v", values, points.BasicItems)
	}
}

func TestRaw(t *testing.T) {
	frame := "000000000001 voltage_a\n"
	answer := "=000000000001 voltage_a 220.10\n"
	for _, row := range []struct {
		name    string
		message message
		binary  bool
	}{
		{"hex", message{payload: fmt.Appendf(nil, "% x", frame)}, false},
		{"JSON", message{payload: fmt.Appendf(nil, `{"id":"1","frame":"%X"}`, frame)}, false},
		{"bytes", message{payload: []byte(frame), contentType: contentBytes}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, nil)
			row.message.topic = "test/request/raw"
			sent, reply := s.ask(t, row.message)
			if row.binary {
				if string(sent.payload) != answer || sent.contentType != contentBytes {
					t.Errorf("reply %q of type %s", sent.payload, sent.contentType)
				}
				return
			}
			if want := fmt.Sprintf("%X", answer); reply["frame"] != want || reply["ok"] != true || reply["meter"] != "main" {
				t.Errorf("reply %s, want the frame %s", sent.payload, want)
			}
		})
	}
}

func TestRawCommand(t *testing.T) {
	allow := func(c *Config) { c.Allow["relay"] = true }
	for _, row := range []struct {
		name, payload, result string
		ok                    bool
	}{
		{"acknowledged", fmt.Sprintf("%X", "000000000001 command\n"), resultAcknowledged, true},
		{"silence", fmt.Sprintf("%X", "900000000001 command\n"), resultUnknown, false},
		{"no answer wanted", fmt.Sprintf(`{"answer":false,"frame":"%X"}`, "900000000001 command\n"), resultSent, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, allow)
			sent, reply := s.ask(t, message{topic: "test/request/raw", payload: []byte(row.payload)})
			if reply["result"] != row.result || reply["ok"] != row.ok || reply["error"] != nil {
				t.Errorf("reply %s, want the result %s", sent.payload, row.result)
			}
			if n := len(s.cage.said()); n != 1 {
				t.Errorf("the command went out %d times", n)
			}
		})
	}
}

// TestRepliesAreCounted sends a command that the meter refuses, in both forms: both count as refused.
func TestRepliesAreCounted(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	s.cage.say = func(string, string) string { return "refused" }
	frame := []byte("000000000001 command\n")
	sent, _ := s.ask(t, message{topic: "test/request/raw", payload: frame, contentType: contentBytes})
	if sent.contentType != contentBytes {
		t.Errorf("reply %s", sent.payload)
	}
	s.ask(t, message{topic: "test/request/raw", payload: fmt.Appendf(nil, "%X", frame)})
	var text strings.Builder
	s.metrics.WritePrometheus(&text)
	if want := `dlt645_replies_total{verb="raw",result="refused"} 2`; !strings.Contains(text.String(), want) {
		t.Errorf("metrics %s, want %s", &text, want)
	}
}

// TestRepeatedCommand sends one command in every way twice: it goes out once.
func TestRepeatedCommand(t *testing.T) {
	body := func(address, id string) []byte {
		return fmt.Appendf(nil, `{"id":%q,"frame":"%X"}`, id, address+" command\n")
	}
	const one, two = "000000000001", "000000000002"
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	raw := func(payload []byte, correlation string) map[string]any {
		_, reply := s.ask(t, message{topic: "test/request/raw", payload: payload, correlation: []byte(correlation)})
		return reply
	}
	first := raw(body(one, "a"), "")
	again := raw(body(one, "a"), "")
	if again["repeated"] != true || again["result"] != resultAcknowledged || again["time"] != first["time"] || first["repeated"] != nil {
		t.Errorf("first %v\nagain %v", first, again)
	}
	if reply := raw(body(two, "a"), ""); reply["error"].(map[string]any)["code"] != string(CodeConflict) {
		t.Errorf("the id for another body: %v", reply)
	}
	raw(body(two, "b"), "")
	if reply := raw(body(one, "a"), ""); reply["repeated"] != true {
		t.Errorf("after a command to another meter: %v", reply)
	}
	raw(body(one, "c"), "")
	if reply := raw(body(one, "a"), ""); reply["error"].(map[string]any)["code"] != string(CodeConflict) {
		t.Errorf("after another command to the meter: %v", reply)
	}
	hex := fmt.Appendf(nil, "%X", one+" command\n")
	raw(hex, "12345678")
	if reply := raw(hex, "12345678"); reply["repeated"] != true {
		t.Errorf("with correlation data: %v", reply)
	}
	raw(hex, "short") // no mark: each is a request of its own
	raw(hex, "short")
	if got := len(s.cage.said()); got != 6 {
		t.Errorf("%d frames on the wire, want 6: %q", got, s.cage.said())
	}
}

// TestRepeatWhileInHand sends the same command again and again before the first is answered.
func TestRepeatWhileInHand(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	m := message{topic: "test/request/raw", payload: fmt.Appendf(nil, `{"id":"x","frame":"%X"}`, "900000000001 command\n"), received: time.Now()}
	for range 20 {
		s.receive(m)
	}
	repeated := 0
	for range 20 {
		var reply map[string]any
		if err := json.Unmarshal((<-s.sent).payload, &reply); err != nil {
			t.Fatal(err)
		}
		if reply["result"] != resultUnknown {
			t.Errorf("reply %v", reply)
		}
		if reply["repeated"] == true {
			repeated++
		}
	}
	if said := s.cage.said(); len(said) != 1 || repeated != 19 {
		t.Errorf("%d repeats of %d frames on the wire", repeated, len(said))
	}
	s.admission.close()
	s.admission.inside.Wait() // every request is over
	<-s.audited
	if n := len(s.audited); n != 0 {
		t.Errorf("%d records too many of one command", n)
	}
}

func TestRepeatsForget(t *testing.T) {
	var p repeats
	now := time.Now()
	r := func(id string) *request {
		return &request{message: message{topic: "t"}, id: json.RawMessage(id)}
	}
	first := r(`"1"`)
	if repeat, _, err := p.enter(first, "m", now); repeat || err != nil {
		t.Fatal(repeat, err)
	}
	if repeat, _, _ := p.enter(r(`"1"`), "m", now.Add(2*repeatMemory)); !repeat {
		t.Error("a command in hand was forgotten")
	}
	p.finish(first.remembered, &answer{})
	if repeat, _, _ := p.enter(r(`"1"`), "m", now.Add(repeatMemory)); !repeat {
		t.Error("a command was forgotten too early")
	}
	if repeat, _, _ := p.enter(r(`"1"`), "m", now.Add(repeatMemory+time.Second)); repeat {
		t.Error("a command was remembered for too long")
	}
	for i := range repeatEntries {
		_, _, err := p.enter(r(fmt.Sprint(i)), "m", now.Add(repeatMemory+time.Second))
		if full := i == repeatEntries-1; (err != nil) != full {
			t.Fatalf("command %d: %v", i, err)
		}
	}
}

func TestTraceMasksPasswords(t *testing.T) {
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["password"],"trace":true}`)})
	frames, _ := reply["frames"].([]any)
	if len(frames) != 2 {
		t.Fatalf("reply %s, want two frames", sent.payload)
	}
	for _, f := range frames {
		if text := f.(map[string]any)["hex"].(string); !strings.Contains(text, "**") {
			t.Errorf("frame %s shows a password", text)
		}
	}
}

func TestStopping(t *testing.T) {
	s := newStage(t, nil)
	s.admission.close()
	sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"id":"x","items":["voltage_a"]}`), responseTopic: "test/reply/me/1"})
	if e, _ := reply["error"].(map[string]any); e["code"] != string(CodeStopping) || reply["id"] != "x" || sent.topic != "test/reply/me/1" {
		t.Errorf("reply %s on %s, want stopping", sent.payload, sent.topic)
	}
}

// TestErrorsFindTheirWay sends requests that fail at every stage: each error has the id, the
// meter and the topic that the client wished for.
func TestErrorsFindTheirWay(t *testing.T) {
	for name, payload := range map[string]string{
		"not JSON": `{"id":"x",oops`, "unknown key": `{"id":"x","oops":1}`, "expired": `{"id":"x","items":["voltage_a"],"expires":"2020-01-01T00:00:00Z"}`,
		"unknown item": `{"id":"x","items":["no_such"]}`, "twice": `{"id":"x","items":["a"],"items":["a"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(payload), responseTopic: "test/reply/me/1"})
			if sent.topic != "test/reply/me/1" || reply["id"] != "x" || reply["meter"] != "main" || reply["address"] != "000000000001" || reply["error"] == nil {
				t.Errorf("reply %s on %s", sent.payload, sent.topic)
			}
		})
	}
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request", payload: []byte("x")})
	if sent.topic != "test/reply" || reply["error"] == nil {
		t.Errorf("reply %s on %s", sent.payload, sent.topic)
	}
	long := strings.Repeat("x", 60000)
	if sent, _ := s.ask(t, message{topic: "test/request/read/" + long, payload: []byte("voltage_a")}); len(sent.payload) > 1000 {
		t.Errorf("a reply of %d bytes to a meter name of %d", len(sent.payload), len(long))
	}
}

// TestRepeatAfterItsTime repeats a command whose own time is over: it gets the first answer,
// not one that says that nothing was sent.
func TestRepeatAfterItsTime(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	second := time.Second
	m := message{topic: "test/request/raw", payload: fmt.Appendf(nil, `{"id":"x","frame":"%X"}`, "000000000001 command\n"), expiry: &second}
	if _, reply := s.ask(t, m); reply["result"] != resultAcknowledged {
		t.Fatalf("reply %v", reply)
	}
	over := -time.Second
	m.expiry = &over
	if _, reply := s.ask(t, m); reply["result"] != resultAcknowledged || reply["repeated"] != true {
		t.Errorf("the repeat: %v", reply)
	}
	m.payload = bytes.Replace(m.payload, []byte(`"x"`), []byte(`"y"`), 1)
	if _, reply := s.ask(t, m); reply["error"].(map[string]any)["code"] != string(CodeExpired) {
		t.Errorf("a new command whose time is over: %v", reply)
	}
}

// TestCacheAndCommand reads before a command is over: the value may be that of before.
func TestCacheAndCommand(t *testing.T) {
	var c cache
	begin := time.Now()
	result := protocol.Result{Address: "000000000001"}
	c.forget("000000000001", begin.Add(time.Second))
	c.put("key", result, begin, begin.Add(2*time.Second))
	if _, _, ok := c.get("key", time.Hour); ok {
		t.Error("a value that was asked for before a command was over is kept")
	}
	c.put("key", result, begin.Add(time.Second), begin.Add(2*time.Second))
	if _, _, ok := c.get("key", time.Hour); !ok {
		t.Error("a value that was asked for afterwards is not kept")
	}
	c.forget("999999999999", begin.Add(3*time.Second))
	if _, _, ok := c.get("key", time.Hour); ok {
		t.Error("a broadcast leaves values behind")
	}
}

// TestBusyCommandsLeaveNoTrace withdraws commands, in any order: a repeat of the one before is none
// the wiser. That of a command to which another one succeeded conflicts.
func TestBusyCommandsLeaveNoTrace(t *testing.T) {
	for _, order := range [][]int{{1, 2}, {2, 1}} {
		var p repeats
		now := time.Now()
		enter := func(id int) *request {
			r := &request{id: json.RawMessage(fmt.Sprintf("%q", fmt.Sprint(id)))}
			if repeat, _, err := p.enter(r, "m", now); repeat || err != nil {
				t.Fatal(repeat, err)
			}
			return r
		}
		commands := []*request{enter(0), enter(1), enter(2)}
		p.finish(commands[0].remembered, &answer{})
		for _, i := range order {
			if _, _, err := p.enter(&request{id: commands[0].id}, "m", now); err == nil || problemOf(err).Code != CodeConflict {
				t.Errorf("withdrawn in the order %v: a repeat before %d is withdrawn: %v", order, i, err)
			}
			p.withdraw(commands[i].remembered)
		}
		if repeat, first, err := p.enter(&request{id: commands[0].id}, "m", now); !repeat || first == nil || err != nil {
			t.Errorf("withdrawn in the order %v: repeat %t, answer %v, error %v", order, repeat, first, err)
		}
	}
}

// TestEveryErrorHasACode walks the errors of protocol and bus.
func TestEveryErrorHasACode(t *testing.T) {
	for err, want := range map[error]Code{
		protocol.ErrBadRequest: CodeBadRequest, protocol.ErrUnknownItem: CodeUnknownItem, protocol.ErrUnsupported: CodeUnsupported,
		protocol.ErrSilent: CodeTimeout, protocol.ErrGarbled: CodeGarbled, bus.ErrBusy: CodeBusy, bus.ErrExpired: CodeExpired,
		bus.ErrDown: CodeBusDown, bus.ErrStopping: CodeStopping, errors.New("surprise"): CodeInternal,
	} {
		if got := problemOf(fmt.Errorf("read voltage_a: %w", err)).Code; got != want {
			t.Errorf("%v: code %s, want %s", err, got, want)
		}
	}
	offline := problemOf(&bus.OfflineError{RetryAfter: time.Second})
	if offline.Code != CodeTimeout || !offline.Offline || offline.RetryAfterMS != 1000 {
		t.Errorf("offline: %+v", offline)
	}
	busy := problemOf(&bus.BusyError{RetryAfter: 1500 * time.Millisecond})
	if busy.Code != CodeBusy || busy.RetryAfterMS != 1500 {
		t.Errorf("busy: %+v", busy)
	}
}
