package uplink

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dlt645-mqtt/uplink/dialect"
)

const (
	// longestCommand bounds how long a command from the cloud may wait at the bridge.
	longestCommand = 10 * time.Second

	// replayGuard is how long after subscribing commands without a time are refused even if they
	// are to be taken: what a platform has stored comes at once.
	replayGuard = 5 * time.Second

	repeatMemory = 10 * time.Minute // how long the bridge knows a command

	freshValues = 5 * time.Second // what a read from the cloud takes without asking the meter
	mostCalls   = 16              // at a time

	// mostRefusals is how many calls beyond mostCalls may wait to be refused.
	mostRefusals = 64
)

// calls carries out what the cloud asks, by way of the bridges' request topics.
type calls struct {
	*Uplink
	places chan struct{}

	refusals chan struct{} // for answers to calls that found no place

	mu      sync.Mutex
	lives   map[string]life // of the commands of the last minutes, by their ids
	running sync.WaitGroup  // none is added once over is set
	over    bool
}

// A life is when a command came, and what was left of its time.
type life struct {
	since time.Time
	left  time.Duration
}

func newCalls(u *Uplink) *calls {
	return &calls{Uplink: u, places: make(chan struct{}, mostCalls), refusals: make(chan struct{}, mostRefusals), lives: map[string]life{}}
}

// run has something done that end waits for. After that nothing more is.
func (c *calls) run(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.running.Go(do)
	}
}

// end waits for what is being done. A call that comes from now on is not carried out: the connection to the cloud
// may still bring some while it ends.
func (c *calls) end() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.running.Wait()
}

// begin begins a call. It never waits. received is when it came.
func (c *calls) begin(s *session, call dialect.Call, received time.Time) {
	c.metrics.calls.Inc()
	select {
	case c.places <- struct{}{}:
	default:
		select {
		case c.refusals <- struct{}{}:
			c.run(func() {
				defer func() { <-c.refusals }()
				c.answer(s, call, failed("busy", "too many calls at a time; try again later"))
			})
		default:
			c.metrics.limited(c.log, "call flood", "the cloud sends more calls than can be answered; some are not")
		}
		return
	}
	c.run(func() {
		defer func() { <-c.places }()
		outcome := c.carryOut(s, call, received)
		c.log.Info("call from the cloud", "cloud", c.config.Cloud, "call", clip(call.Name), "device", clip(call.Device), "meter", clip(call.Meter),
			"action", clip(call.Action), "ok", outcome.OK, "result", outcome.Result, "code", outcome.Code, "why", outcome.Message)
		c.answer(s, call, outcome)
	})
}

// answer tells the cloud what has become of a call, if the connection is still the one it came over.
func (c *calls) answer(s *session, call dialect.Call, outcome dialect.Outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), postPatience)
	defer cancel()
	for _, p := range c.dialect.Answer(call, outcome, time.Now()) {
		sent, err := s.send(ctx, p)
		if err == nil {
			_, err = s.awaitPosted(ctx, sent, postPatience)
		}
		if err != nil {
			c.metrics.limited(c.log, "answer lost", "the answer to a call did not reach the cloud", "call", clip(call.Name), "err", err)
			return
		}
	}
}

func failed(code, format string, arguments ...any) dialect.Outcome {
	return dialect.Outcome{Code: code, Message: fmt.Sprintf(format, arguments...)}
}

// carryOut does what a call asks, and says what is known of it.
func (c *calls) carryOut(s *session, call dialect.Call, received time.Time) dialect.Outcome {
	o := &c.config.Options
	if call.Unsure != "" {
		return failed("bad_request", "%s; nothing was done", call.Unsure)
	}
	switch call.Verb {
	case dialect.VerbSet:
		return failed("not_allowed", "nothing of a meter is set as a property; the relay is a service of its own")
	case dialect.VerbOther:
		return failed("unsupported", "there is no service %q", clip(call.Name))
	}
	if !o.Allows(string(call.Verb)) {
		return failed("not_allowed", "DLT645_UPLINK_COMMANDS does not have %s", call.Verb)
	}
	switch call.Verb {
	case dialect.VerbRead:
		return c.read(call)
	case dialect.VerbConfig:
		return c.configure(call)
	}
	return c.relay(s, call, received)
}

// validity returns for how long a command may still be carried out, or why it may not. The cloud's
// time is compared with our clock; from receipt on the time is counted without it.
func (c *calls) validity(s *session, call dialect.Call, received time.Time) (time.Duration, *dialect.Outcome) {
	if ahead := call.Sent.Sub(received); !call.Sent.IsZero() && ahead > longestCommand { // so that expires says nothing either
		out := failed("expired", "the message says that it was sent %s from now: the clocks of this host and of the cloud differ", ahead.Round(time.Second))
		return 0, &out
	}
	var left time.Duration
	switch {
	case !call.Expires.IsZero():
		left = call.Expires.Sub(received)
	case !call.Sent.IsZero():
		left = call.Sent.Add(longestCommand).Sub(received)
	case !c.config.Undated:
		out := failed("expired", "the command has no time: give it expires, milliseconds since 1970")
		return 0, &out
	case received.Sub(s.began) < replayGuard:
		out := failed("expired", "the command has no time and came right after connecting, so that it may be an old one")
		return 0, &out
	default:
		left = longestCommand
	}
	left = min(left, longestCommand) - time.Since(received)
	if left <= 0 {
		out := failed("expired", "its time was up %s before it came, and nothing was sent; if it was sent just now, the clocks of this host and of the cloud differ", (-left).Round(time.Second))
		return 0, &out
	}
	return left, nil
}

// relay switches a meter's relay, at most once.
func (c *calls) relay(s *session, call dialect.Call, received time.Time) dialect.Outcome {
	device := c.devices.called(call)
	if device == nil {
		return failed("unknown_meter", "the call names no meter of this gateway")
	}
	if !slices.Contains([]string{"trip", "close", "permit_close", "alarm", "alarm_off", "keep_power", "keep_power_off", "valve_open", "valve_close"}, call.Action) {
		return failed("bad_request", "%q is no action: trip (0) or close (1)", clip(call.Action))
	}
	if call.ID == "" {
		return failed("bad_request", "the call has no id, by which a repeat of it would be known")
	}
	left, no := c.validity(s, call, received)
	if no != nil {
		return *no
	}
	// The bridge looks whether the relay has moved for as long as the cloud waits for an answer.
	verify := max(c.traits.Patience-2*time.Second, time.Second)
	id := c.commandID(s, call)
	body := map[string]any{
		"id": id, "action": call.Action, "ttl_ms": c.timeToLive(id, left, received).Milliseconds(), "verify_ms": verify.Milliseconds(),
	}
	switch {
	case !call.Expires.IsZero():
		body["expires"] = call.Expires.Format(time.RFC3339Nano)
	case !call.Sent.IsZero():
		body["expires"] = call.Sent.Add(longestCommand).Format(time.RFC3339Nano)
	}
	ctx, cancel := context.WithTimeout(context.Background(), left+verify+5*time.Second)
	defer cancel()
	answer, err := c.local.ask(ctx, device.Root, "relay/"+device.Meter, body, left, c.config.Cloud)
	switch {
	case errors.Is(err, errAway), errors.Is(err, errNotSent):
		return failed("bus_down", "%v", err)
	case err != nil:
		return dialect.Outcome{Code: "unknown", Result: "unknown", Message: "the bridge has not answered: look at the meter before you ask again"}
	}
	return outcomeOf(answer)
}

// timeToLive returns what was left of the time of a command when it first came: a repeat must have the same body,
// or the bridge takes it for another command.
func (c *calls) timeToLive(id string, left time.Duration, received time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for known, of := range c.lives {
		if received.Sub(of.since) > repeatMemory {
			delete(c.lives, known)
		}
	}
	of, known := c.lives[id]
	if !known {
		of = life{received, max(left, time.Millisecond)}
		c.lives[id] = of
	}
	return of.left
}

// commandID makes the id by which the bridge knows a command that comes twice. Ids of clouds may begin anew with
// each connection, so that a moment stands beside them: the one that the call brings, by which it is known over
// another connection as well, or else the beginning of this one.
func (c *calls) commandID(s *session, call dialect.Call) string {
	moment := s.start
	switch {
	case !call.Expires.IsZero():
		moment = call.Expires
	case !call.Sent.IsZero():
		moment = call.Sent
	}
	id := call.ID
	if len(id) > 64 { // the bridge takes 512 bytes in all
		sum := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(sum[:16])
	}
	return c.config.Cloud + ":" + strconv.FormatInt(moment.UnixMilli(), 10) + ":" + clip(call.Device) + ":" + id
}

// A bridgeReply is what matters of a bridge's reply.
type bridgeReply struct {
	OK      bool            `json:"ok"`
	Result  string          `json:"result"`
	Relay   string          `json:"relay"`
	Valve   string          `json:"valve"`
	Message string          `json:"message"`
	Values  json.RawMessage `json:"values"`
	Time    string          `json:"time"`
	Times   json.RawMessage `json:"times"`
	Errors  json.RawMessage `json:"errors"`
	Error   *struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// outcomeOf reads the reply to a command. What is unknown is told as a failure, with its own code.
func outcomeOf(answer []byte) dialect.Outcome {
	var r bridgeReply
	if json.Unmarshal(answer, &r) != nil {
		return dialect.Outcome{Code: "unknown", Result: "unknown", Message: "the bridge's reply cannot be read: look at the meter before you ask again"}
	}
	if r.Error != nil {
		return failed(r.Error.Code, "%s", r.Error.Message)
	}
	out := dialect.Outcome{OK: r.OK, Result: r.Result, Relay: r.Relay, Message: r.Message}
	if r.Valve != "" {
		out.Relay = r.Valve
	}
	switch {
	case r.Result == "unknown":
		out.OK, out.Code = false, "unknown"
		out.Message = "no answer came: it may have been done or not; look at the meter before you ask again"
	case r.Result == "acknowledged" && !r.OK: // not moved yet: the state tells the rest
		out.OK = true
	case !r.OK:
		out.Code = r.Result
		if out.Code == "" {
			out.Code = "internal"
		}
	}
	return out
}

// read reads values of one meter; in flat mode the keys say of which.
func (c *calls) read(call dialect.Call) dialect.Outcome {
	device := c.devices.called(call)
	var items []string
	asked := map[string]bool{} // by the names of values
	for _, key := range call.Keys {
		if c.devices.open {
			of, rest := c.devices.prefixed(key)
			switch {
			case of == nil:
				return failed("unknown_item", "%q is no key of a meter", clip(key))
			case device != nil && device != of && call.Meter != "":
				return failed("bad_request", "the keys are of several meters")
			}
			device, key = of, rest
		}
		name := c.flags.item(c.config.Keys.item(key))
		asked[name] = true
		// A flag is read with its status word.
		if item, _, _ := strings.Cut(name, "."); !slices.Contains(items, item) {
			items = append(items, item)
		}
	}
	if device == nil {
		return failed("unknown_meter", "the call names no meter of this gateway")
	}
	if len(items) > 64 {
		return failed("bad_request", "at most 64 values at a time")
	}
	body := map[string]any{"max_age_ms": freshValues.Milliseconds(), "ttl_ms": c.traits.Patience.Milliseconds()}
	if len(items) > 0 {
		body["items"] = items
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.traits.Patience)
	defer cancel()
	answer, err := c.local.ask(ctx, device.Root, "read/"+device.Meter, body, c.traits.Patience, c.config.Cloud)
	if err != nil {
		return failed("timeout", "%v", err)
	}
	var r bridgeReply
	if json.Unmarshal(answer, &r) != nil {
		return failed("internal", "the bridge's reply cannot be read")
	}
	if r.Error != nil {
		return failed(r.Error.Code, "%s", r.Error.Message)
	}
	values, err := readMembers(r.Values)
	at, timeErr := time.Parse(time.RFC3339, r.Time)
	if err != nil || timeErr != nil {
		return failed("internal", "the bridge's reply cannot be read")
	}
	times := map[string]string{}
	_ = json.Unmarshal(r.Times, &times)
	out := dialect.Outcome{OK: true}
	for _, m := range values {
		word, _, flag := strings.Cut(m.Name, ".")
		if !scalarValue(m.Value) || len(asked) > 0 && !asked[m.Name] && (flag || !asked[word] && slices.Contains(items, word)) {
			continue // a status word comes with all its flags, of which the model may not know most
		}
		key := c.config.Keys.of(m.Name)
		if c.devices.open {
			key = device.Prefix + key
		}
		reading := dialect.Reading{Device: device, Item: m.Name, Key: key, Value: m.Value, Time: at}
		if own, err := time.Parse(time.RFC3339, times[m.Name]); err == nil {
			reading.Time = own
		}
		out.Values = append(out.Values, reading)
	}
	if lacks, _ := readMembers(r.Errors); len(lacks) > 0 {
		var why struct{ Code, Message string }
		_ = json.Unmarshal(lacks[0].Value, &why)
		out.Message = fmt.Sprintf("there is no value of %s: %s", clip(lacks[0].Name), why.Message)
		if len(out.Values) == 0 {
			return failed(why.Code, "%s", out.Message)
		}
	}
	if len(out.Values) == 0 {
		return failed("timeout", "the meter has brought no value")
	}
	return out
}

// flagNames knows what flags are called whose keys have _ in place of the point, by the states that they came in.
type flagNames struct {
	mu    sync.Mutex
	names map[string]string // by key
}

// mostFlags bounds how many are known: those of all protocols are some hundred.
const mostFlags = 2000

// note takes in the name of a value.
func (f *flagNames) note(item string) {
	if !strings.Contains(item, ".") {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.names) < mostFlags {
		f.names[dialect.Key(item)] = item
	}
}

// item returns the name of a flag by its key; else the key itself.
func (f *flagNames) item(key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return cmp.Or(f.names[key], key)
}

// configure sends a point table to the bridge.
func (c *calls) configure(call dialect.Call) dialect.Outcome {
	root := c.config.Roots[0]
	if device := c.devices.called(call); device != nil {
		root = device.Root
	} else if len(c.config.Roots) > 1 {
		return failed("bad_request", "this gateway has several bridges; send the table to a meter of the one that is meant")
	}
	var body any = call.Payload
	if csv := ""; json.Unmarshal(call.Payload, &csv) == nil {
		body = map[string]any{"csv": csv}
	}
	if len(call.Payload) == 0 {
		return failed("bad_request", "the call has no table")
	}
	ctx, cancel := context.WithTimeout(context.Background(), longestCommand)
	defer cancel()
	answer, err := c.local.ask(ctx, root, "config", body, longestCommand, c.config.Cloud)
	if err != nil {
		return failed("timeout", "%v", err)
	}
	out := outcomeOf(answer)
	return out
}

// clip shortens what a cloud has sent, for messages and ids.
func clip(s string) string { return s[:min(len(s), 100)] }
