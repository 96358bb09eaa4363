//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"dlt645-mqtt/protocol/dlt645"
)

// A user does one kind of thing over and over.
type user struct {
	*client
	site   *site
	random *rand.Rand
	rounds int
}

// kinds of users of each site. The pause between two requests is random up to this.
var kinds = []struct {
	name  string
	pause time.Duration
	act   func(*user, context.Context)
}{
	{"reader-1", 200 * time.Millisecond, (*user).read},
	{"reader-2", 200 * time.Millisecond, (*user).read},
	{"reader-3", 200 * time.Millisecond, (*user).read},
	{"reader-4", 200 * time.Millisecond, (*user).read},
	{"reader-5", 200 * time.Millisecond, (*user).read},
	{"reader-6", 200 * time.Millisecond, (*user).read},
	{"reader-7", 200 * time.Millisecond, (*user).read},
	{"reader-8", 200 * time.Millisecond, (*user).read},
	{"raw-reader", 800 * time.Millisecond, (*user).readRaw},
	{"switcher", 4 * time.Second, (*user).switchRelay},
	{"alarm", 3 * time.Second, (*user).alarm},
	{"writer", 4 * time.Second, (*user).write},
	{"keeper", 30 * time.Second, (*user).maintain},
	{"misfit", 2 * time.Second, (*user).misbehave},
}

// run acts until ctx ends.
func (u *user) run(ctx context.Context, pause time.Duration, act func(*user, context.Context)) {
	for ctx.Err() == nil {
		act(u, ctx)
		u.rounds++
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(u.random.Int64N(int64(pause)))):
		}
	}
}

func body(members map[string]any) []byte {
	b, err := json.Marshal(members)
	if err != nil {
		panic(err) // strings and numbers always encode
	}
	return b
}

// meter chooses a meter of an edition; zero: of any.
func (u *user) meter(version dlt645.Version) *meterOnSite {
	for {
		m := u.site.meters[metersOnSite[u.random.IntN(len(metersOnSite))].options.Address]
		if version == 0 || m.version == version {
			return m
		}
	}
}

// read reads some items of some meter, by its name or its address.
func (u *user) read(ctx context.Context) {
	m := u.meter(0)
	lists := items[m.version]
	list := lists[u.random.IntN(len(lists))]
	target := m.name
	if u.random.IntN(3) == 0 && m.version == dlt645.V2007 { // an address alone does not tell the edition
		target = m.Address()
	}
	e := &entry{site: u.site, tail: "read/" + target}
	ttl := time.Duration(1+u.random.IntN(20)) * time.Second
	id := ""
	if u.random.IntN(3) == 0 {
		e.body = []byte(strings.Join(list, ","))
	} else {
		id = fmt.Sprint(u.rounds)
		e.body = body(map[string]any{"items": list, "id": id, "ttl_ms": ttl.Milliseconds()})
	}
	e.check = func(e *entry, r *bridgeReply) error {
		if err := answers(r, "read", id); err != nil {
			return err
		}
		if r.Error != nil {
			return among(r.Error, "busy", "expired", "timeout", "bus_down", "stopping")
		}
		if r.Address != m.Address() {
			return fmt.Errorf("meter %s was asked, and %s answered", m.Address(), r.Address)
		}
		for _, item := range list {
			_, value := r.Values[item]
			_, failed := r.Errors[item]
			if !value && !failed && !strings.HasSuffix(item, "_block") {
				return fmt.Errorf("there is neither a value nor an error for %s", item)
			}
		}
		for item, p := range r.Errors {
			allowed := []string{"expired", "timeout", "garbled", "bus_down", "stopping"}
			if item == noSuchItem {
				allowed = append(allowed, "refused")
			}
			if err := among(&p, allowed...); err != nil {
				return err
			}
		}
		return u.site.checkValues(e, r)
	}
	u.ask(ctx, e, publication{private: u.random.IntN(2) == 0}, ttl+5*time.Second)
}

// readRaw reads with a frame of its own.
func (u *user) readRaw(ctx context.Context) {
	m := u.meter(dlt645.V2007)
	item, _ := dlt645.Items(dlt645.V2007).Named([]string{"active_power", "current_b", "forward_active_energy"}[u.random.IntN(3)])
	to, err := dlt645.ParseAddress(m.Address(), dlt645.V2007)
	if err != nil {
		panic(err)
	}
	frame, err := dlt645.Frame{Address: to, Control: dlt645.Control(dlt645.FunctionRead), Data: item.DI.Append(nil, dlt645.V2007)}.AppendBinary(nil)
	if err != nil {
		panic(err)
	}
	e := &entry{site: u.site, tail: "raw", body: fmt.Appendf(nil, "%X", frame), meter: m.Address()}
	e.check = func(e *entry, r *bridgeReply) error {
		if err := answers(r, "raw", ""); err != nil {
			return err
		}
		if r.Error != nil {
			return among(r.Error, "busy", "expired", "timeout", "garbled", "bus_down", "stopping")
		}
		return u.site.checkFrame(e, r, item.DI)
	}
	u.ask(ctx, e, publication{}, 25*time.Second)
}

// command fills in what all commands have in common and asks. Every fourth is sent several times.
func (u *user) command(ctx context.Context, e *entry, verb string, errors ...string) {
	errors = append(errors, "busy", "expired", "conflict", "bus_down", "stopping", "timeout", "garbled")
	e.check = func(_ *entry, r *bridgeReply) error {
		if r.Error == nil && r.Result == "" {
			return fmt.Errorf("neither result nor error")
		}
		if r.Error != nil && r.Result != "" {
			return fmt.Errorf("result and error")
		}
		if r.Request != verb {
			return fmt.Errorf("the reply is to a request %s", r.Request)
		}
		if r.Error != nil {
			return among(r.Error, errors...)
		}
		return nil
	}
	m := publication{private: u.random.IntN(2) == 0}
	if u.random.IntN(4) == 0 {
		m.copies = 2 + u.random.IntN(2)
	}
	u.ask(ctx, e, m, 30*time.Second)
}

// switchRelay gives the relays one command after another. Meter and action tell which command
// it was that a meter carried out, so each comes again only after all the others.
func (u *user) switchRelay(ctx context.Context) {
	actions := []string{"trip", "close", "alarm", "alarm_off", "permit_close", "keep_power", "keep_power_off"}
	var relays []*meterOnSite
	for _, m := range metersOnSite {
		if m.options.Version != dlt645.V1997 {
			relays = append(relays, u.site.meters[m.options.Address])
		}
	}
	m, action := relays[u.rounds%len(relays)], actions[u.rounds/len(relays)%len(actions)]
	e := &entry{
		site: u.site, tail: "relay/" + m.name, meter: m.Address(), mark: markOfRelay(relayActions[action]),
		body: body(map[string]any{"action": action, "id": fmt.Sprint(u.rounds), "ttl_ms": 5000, "verify_ms": 3000}),
	}
	u.command(ctx, e, "relay")
}

var alarms atomic.Uint32

// alarm sends a raw frame that says which it is.
func (u *user) alarm(ctx context.Context) {
	m, number := u.meter(dlt645.V2007), numbered|alarms.Add(1)
	frame, err := alarmFrame(m.Address(), number)
	if err != nil {
		panic(err)
	}
	e := &entry{site: u.site, tail: "raw", meter: m.Address(), mark: markOfAlarm(number), body: body(map[string]any{"frame": frame, "ttl_ms": 5000})}
	u.command(ctx, e, "raw")
}

var writes atomic.Uint64

// write writes a number that no other write has.
func (u *user) write(ctx context.Context) {
	m, number := u.meter(dlt645.V2007), writes.Add(1)
	e := &entry{
		site: u.site, tail: "write/" + m.name, meter: m.Address(), mark: markOfWrite(number),
		body: body(map[string]any{"item": "meter_number", "value": fmt.Sprintf("%012d", number), "ttl_ms": 5000}),
	}
	u.command(ctx, e, "write")
}

// maintain does what is done now and then.
func (u *user) maintain(ctx context.Context) {
	m := u.meter(dlt645.V2007)
	for _, o := range []struct{ verb, tail, action string }{
		{"maintenance", "maintenance/" + m.name, "sync_clock"},
		{"maintenance", "maintenance/" + m.name, "freeze"},
		{"broadcast", "broadcast", "time"},
		{"broadcast", "broadcast", "freeze"},
	} {
		e := &entry{site: u.site, tail: o.tail, body: body(map[string]any{"action": o.action, "ttl_ms": 5000})}
		u.command(ctx, e, o.verb, "refused")
	}
	e := &entry{site: u.site, tail: "scan", body: body(map[string]any{"meters": 2, "ttl_ms": 4000}), check: func(_ *entry, r *bridgeReply) error {
		if r.Error != nil {
			return among(r.Error, "busy", "expired", "bus_down", "stopping")
		}
		return nil
	}}
	u.ask(ctx, e, publication{}, 20*time.Second)
}

// misbehave asks for what cannot be.
func (u *user) misbehave(ctx context.Context) {
	second := uint32(1)
	noise := make([]byte, u.random.IntN(40)+1)
	for i := range noise {
		noise[i] = byte(u.random.IntN(256))
	}
	noise[0] |= 0x80 // no letter, no digit, no brace
	past := time.Now().Add(-time.Minute).Format(time.RFC3339)
	mistakes := []struct {
		tail, body string
		m          publication
		codes      []string // that the reply may have; nil: it need not be an error
	}{
		{"read/main", "active_power", publication{retain: true}, []string{"bad_request"}},
		{"relay/main", "trip", publication{retain: true}, []string{"bad_request"}},
		{"read/main", `{"items":["active_power"],"expires":"` + past + `"}`, publication{}, []string{"expired"}},
		{"relay/main", `{"action":"trip","expires":"` + past + `"}`, publication{}, []string{"expired"}},
		{"relay/main", `{"action":"trip","ttl_ms":0}`, publication{}, []string{"expired", "bad_request"}},
		{"read/main", string(noise), publication{}, []string{"bad_request", "unknown_item"}},
		{"read/main", `{"items":["active_power"`, publication{}, []string{"bad_request"}},
		{"read/main", `{"items":["active_power"],"retries":3}`, publication{}, []string{"bad_request"}},
		{"read/main", `{"items":["active_power"],"id":7}`, publication{}, []string{"bad_request"}},
		{"read/main", "voltage_of_heart", publication{}, []string{"unknown_item"}},
		{"read/nobody", "active_power", publication{}, []string{"unknown_meter"}},
		{"relay/main", "explode", publication{}, []string{"bad_request"}},
		{"relay/old", "trip", publication{}, []string{"unsupported"}},
		{"reed/main", "active_power", publication{}, []string{"bad_request"}},
		{"config", "meter,item,interval", publication{}, []string{"not_allowed", "unsupported"}},
		{"raw", "68 01 00 00 00 00 00 68 11 04 33 34 34 35 17 16", publication{}, []string{"bad_request"}},
		{"read/main", "active_power", publication{response: "elsewhere"}, []string{"bad_request"}},
		{"relay/main", "trip", publication{response: u.site.root + "/reply/read/main"}, []string{"bad_request"}},
		{"read/main", strings.Repeat("x", 65<<10), publication{}, []string{"bad_request"}},
		{"maintenance/main", `{"action":"clear_meter","confirm":"000000000000"}`, publication{}, []string{"bad_request"}},
		{"read/flat", "active_power", publication{expiry: &second}, nil}, // it may be just in time
	}
	o := mistakes[u.rounds%len(mistakes)]
	if strings.Contains(o.body, "expires") && u.site.clockFile != "" {
		return // where the clock is behind, that is not past yet
	}
	e := &entry{site: u.site, tail: o.tail, body: []byte(o.body)}
	verb, _, _ := strings.Cut(o.tail, "/")
	e.check = func(e *entry, r *bridgeReply) error {
		if err := answers(r, verb, string(r.ID)); err != nil {
			return err
		}
		if o.codes == nil {
			return u.site.checkValues(e, r)
		}
		if r.Error == nil {
			return fmt.Errorf("there is no error")
		}
		return among(r.Error, append(o.codes, "stopping", "busy")...)
	}
	u.ask(ctx, e, o.m, 10*time.Second)
}

// answers reports whether a reply is one to a request of this verb and id.
func answers(r *bridgeReply, verb, id string) error {
	if got := strings.Trim(string(r.ID), `"`); r.Request != verb || got != strings.Trim(id, `"`) {
		return fmt.Errorf("the reply is to the request %s with the id %s", r.Request, r.ID)
	}
	return nil
}

// among reports whether a problem is one of those that may be.
func among(p *problem, codes ...string) error {
	if !slices.Contains(codes, p.Code) {
		return fmt.Errorf("unexpected: %s: %s", p.Code, p.Message)
	}
	return nil
}
