package simulator_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
)

// These tests let the plans of package dlt645 command the meters of this package: each says
// whether the other keeps to the standard.

const (
	meterOne = "000000000001"
	meterTwo = "000000000002"
)

var (
	shanghai = time.FixedZone("CST", 8*60*60)
	midday   = time.Date(2026, 11, 21, 12, 0, 0, 0, shanghai)
)

// A site is a wire with meters, at a time.
type site struct {
	t      *testing.T
	meters []*simulator.Meter
	bus    *simulator.Bus
	spoken protocol.Protocol
	now    time.Time
	losing bool // answers to commands get lost

	learned   taught // what answers have taught
	exchanges int
	history   *protocol.History
}

// taught is a protocol.Known that remembers what it was taught, and that no block is lacking but those that are named.
type taught map[string]string

func (k taught) Lacks(block string) bool { return k["lacks "+block] != "" }

func (k taught) Learned(name string) string { return k[name] }

// newSite puts meters on a wire.
func newSite(t *testing.T, version dlt645.Version, options ...simulator.MeterOptions) *site {
	t.Helper()
	s := &site{t: t, spoken: dlt645.New(version, shanghai), now: midday}
	for _, o := range options {
		o.Version = version
		m, err := simulator.NewMeter(o)
		if err != nil {
			t.Fatal(err)
		}
		s.meters = append(s.meters, m)
	}
	s.bus = simulator.NewBus(simulator.BusOptions{Meters: s.meters})
	return s
}

// An ending is what became of a request.
type ending struct {
	err     error // why it was not planned, or not followed to its end
	command error // of the last command
	sent    int   // commands
	report  protocol.Report
	values  []protocol.Value
	errors  []protocol.ItemError
}

// do goes through the plan of a request as the bridge does.
func (s *site) do(request protocol.Request) (e ending) {
	s.t.Helper()
	if s.learned == nil {
		s.learned = taught{}
	}
	plan, err := s.spoken.Plan(request, s.learned)
	for err == nil {
		s.now = s.now.Add(plan.After)
		if plan.Report != nil {
			e.report = *plan.Report
		}
		var answers []protocol.Answer
		for _, step := range plan.Steps {
			answer := s.talk(&step)
			if step.IsCommand() {
				e.command = answer.Err
				e.sent++
			}
			e.values = append(e.values, step.Values(answer.Result)...)
			maps.Copy(s.learned, answer.Result.Learned)
			answers = append(answers, answer)
		}
		e.errors = append(e.errors, plan.Errors...)
		for i, step := range plan.Steps {
			for _, item := range step.Items {
				if answers[i].Err != nil {
					e.errors = append(e.errors, protocol.ItemError{Item: item, Err: answers[i].Err})
				}
			}
		}
		if plan.History != nil {
			s.history = plan.History
		}
		if plan.Then == nil {
			break
		}
		plan, err = plan.Then(answers)
	}
	e.err = err
	return e
}

// talk holds one conversation.
func (s *site) talk(step *protocol.Step) (answer protocol.Answer) {
	for next := &step.First; next != nil; {
		e := *next
		s.now = s.now.Add(100 * time.Millisecond)
		request := e.Request
		if e.Stamp != nil {
			request = e.Stamp(s.now)
		}
		s.exchanges++
		heard := s.bus.Answer(request, s.now)
		if e.Answer == nil {
			return answer
		}
		s.now = s.now.Add(100 * time.Millisecond)
		if s.losing && step.IsCommand() {
			heard = nil
		}
		_, cut, err := e.Answer(heard, true)
		if e.Longest > 0 && len(heard) > e.Longest {
			s.t.Errorf("% X brings %d bytes, where at most %d were expected", request, len(heard), e.Longest)
		}
		switch {
		case err != nil:
			s.t.Fatal(err)
		case cut == nil && len(heard) > 0:
			return protocol.Answer{Err: protocol.ErrGarbled}
		case cut == nil:
			return protocol.Answer{Err: protocol.ErrSilent}
		}
		answer.Came = s.now
		next, answer.Result, answer.Err = e.Take(cut)
	}
	return answer
}

// give commands meter one.
func (s *site) give(verb protocol.Verb, c protocol.Command) ending {
	s.t.Helper()
	if c.Passwords == nil {
		c.Passwords = map[string]string{"02": "000000", "04": "000000"}
	}
	c.Deadline, c.Verify, c.Now = 5*time.Minute, 10*time.Second, s.now
	return s.do(protocol.Request{Verb: verb, Class: protocol.ClassCommand, Address: s.address(s.bus.Devices()[0].Address()), Command: &c})
}

// address is an address as package protocol has it.
func (s *site) address(text string) protocol.Address {
	s.t.Helper()
	address, err := s.spoken.ParseAddress(text)
	if err != nil {
		s.t.Fatal(err)
	}
	return address
}

// expect compares how a request ended.
func (s *site) expect(e ending, verified bool, command error) {
	s.t.Helper()
	var refusal *protocol.Refusal
	switch {
	case e.err != nil:
		s.t.Errorf("not done: %v", e.err)
	case command == nil && e.command != nil, command != nil && !errors.Is(e.command, command) && !errors.As(e.command, &refusal):
		s.t.Errorf("ended with %v, want %v", e.command, command)
	case e.report.Verified != verified:
		s.t.Errorf("verified is %t: %+v", e.report.Verified, e.report)
	}
}

var refusedByMeter = &protocol.Refusal{}

func TestPlannedRelay(t *testing.T) {
	s := newSite(t, dlt645.V2007, simulator.MeterOptions{Address: meterOne, RelayDelay: 1500 * time.Millisecond})
	m := s.meters[0]
	e := s.give(protocol.VerbRelay, protocol.Command{Action: "trip"})
	s.expect(e, true, nil)
	if e.report.Relay != "open" || !m.RelayOpen(s.now) {
		t.Errorf("tripped: %+v", e.report)
	}
	e = s.give(protocol.VerbRelay, protocol.Command{Action: "permit_close"})
	s.expect(e, true, nil)
	if e.report.Relay != "open" || !m.PressButton(s.now) {
		t.Errorf("permitted: %+v", e.report)
	}
	s.now = s.now.Add(2 * time.Second)
	for _, action := range []string{"alarm", "alarm_off", "keep_power"} {
		s.expect(s.give(protocol.VerbRelay, protocol.Command{Action: action}), true, nil)
	}
	e = s.give(protocol.VerbRelay, protocol.Command{Action: "trip"})
	s.expect(e, false, refusedByMeter)
	if !strings.Contains(e.report.Note, "keep_power_off") || e.report.Relay != "closed" || e.report.Offset == nil {
		t.Errorf("tripped with power kept: %+v", e.report)
	}
	s.expect(s.give(protocol.VerbRelay, protocol.Command{Action: "keep_power_off"}), true, nil)

	s.losing = true
	e = s.give(protocol.VerbRelay, protocol.Command{Action: "trip"})
	s.expect(e, false, protocol.ErrSilent)
	s.losing = false
	e = s.give(protocol.VerbRelay, protocol.Command{Action: "close"})
	s.expect(e, true, nil)
	if e.report.Relay != "closed" || m.RelayOpen(s.now) || m.Counts().Relay != 8 {
		t.Errorf("closed: %+v after %d commands", e.report, m.Counts().Relay)
	}

	// A clock that is ahead makes the deadline pass, unless that is known.
	m.SetClock(time.Hour)
	e = s.give(protocol.VerbRelay, protocol.Command{Action: "trip"})
	s.expect(e, false, refusedByMeter)
	if e.report.Offset == nil || e.report.Offset.Round(time.Minute) != time.Hour || !strings.Contains(e.report.Note, "no longer valid") {
		t.Errorf("tripped by a clock that is ahead: %+v", e.report)
	}
	s.expect(s.give(protocol.VerbRelay, protocol.Command{Action: "trip", Offset: time.Hour}), true, nil)
	s.expect(s.give(protocol.VerbRelay, protocol.Command{Action: "close", Offset: time.Hour, Passwords: map[string]string{"02": "000001"}}), false, refusedByMeter)
}

func TestPlannedRelayThatTakesItsTime(t *testing.T) {
	s := newSite(t, dlt645.V2007, simulator.MeterOptions{Address: meterOne, RelayDelay: time.Minute})
	e := s.give(protocol.VerbRelay, protocol.Command{Action: "trip"})
	s.expect(e, false, nil)
	if !e.report.Pending || e.report.Relay != "closed" {
		t.Errorf("%+v, want pending", e.report)
	}
}

// What a read shows can be written, and is then read again.
func TestPlannedWriteOfEveryItem(t *testing.T) {
	for _, version := range []dlt645.Version{dlt645.V2007, dlt645.V1997} {
		written := 0
		s := newSite(t, version, simulator.MeterOptions{Address: meterOne})
		for _, row := range dlt645.Items(version).Matching() {
			if row.Access != "RW" || strings.HasSuffix(row.Name, "_baud") || row.Name == "address" {
				continue
			}
			read := s.do(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: s.address(s.bus.Devices()[0].Address()), Items: []string{row.Name}})
			given, ok := asGiven(t, row.Name, read.values)
			if !ok {
				continue // it was never set
			}
			e := s.give(protocol.VerbWrite, protocol.Command{Arguments: protocol.Arguments{"item": row.Name, "value": given}})
			var refusal *protocol.Refusal
			if errors.As(e.command, &refusal) {
				continue // zero is no value for it
			}
			if e.err != nil || !e.report.Verified {
				t.Errorf("%s: wrote %v: %v, %v, %+v", row.Name, given, e.err, e.command, e.report)
			}
			written++
		}
		if least := map[dlt645.Version]int{dlt645.V2007: 90, dlt645.V1997: 20}[version]; written < least {
			t.Errorf("%d items of %s were written, want %d at least", written, version, least)
		}
	}
}

// asGiven returns values as somebody would write them who has seen them in a reply. It tells
// whether there are any, and none is null.
func asGiven(t *testing.T, item string, values []protocol.Value) (given any, ok bool) {
	t.Helper()
	object := map[string]any{}
	for _, v := range values {
		if v.Name != item+"_weekday" && !strings.Contains(v.Name, ".") && !strings.HasSuffix(v.Name, "_weekday") {
			object[v.Name] = v.Data
		}
	}
	given = object
	if own, single := object[item]; single && len(object) == 1 {
		given = own
	}
	text, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&given); err != nil {
		t.Fatal(err)
	}
	return given, len(object) > 0 && !strings.Contains(string(text), "null")
}

func TestPlannedClock(t *testing.T) {
	for _, test := range []struct {
		name    string
		version dlt645.Version
		lacks   []dlt645.DI
		writes  int
	}{
		{"as one", dlt645.V2007, nil, 1},
		{"date and time", dlt645.V2007, []dlt645.DI{0x0400010C}, 2},
		{"1997", dlt645.V1997, nil, 2},
		{"1997 without the block", dlt645.V1997, []dlt645.DI{0xC01F}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, test.version, simulator.MeterOptions{Address: meterOne, Lacks: test.lacks})
			s.meters[0].SetClock(-49 * time.Hour)
			e := s.give(protocol.VerbMaintenance, protocol.Command{Action: "sync_clock"})
			s.expect(e, true, nil)
			if e.sent != test.writes || s.meters[0].Counts().Writes != test.writes || e.report.DriftBefore.Round(time.Hour) != -49*time.Hour || e.report.DriftAfter.Abs() > 2*time.Second {
				t.Errorf("%d writes, before %s, after %s", e.sent, e.report.DriftBefore, e.report.DriftAfter)
			}
			s.meters[0].SetClock(11*time.Hour + 55*time.Minute)
			if e = s.give(protocol.VerbMaintenance, protocol.Command{Action: "sync_clock"}); !errors.Is(e.err, protocol.ErrUnsafe) || e.sent != 0 {
				t.Errorf("set at midnight: %v after %d commands", e.err, e.sent)
			}
		})
	}
}

func TestPlannedMaintenance(t *testing.T) {
	for _, test := range []struct {
		version dlt645.Version
		command protocol.Command
		counted func(simulator.Counts) int
	}{
		{dlt645.V2007, protocol.Command{Action: "freeze"}, func(c simulator.Counts) int { return c.Freezes }},
		{dlt645.V2007, protocol.Command{Action: "freeze", Arguments: protocol.Arguments{"at": "99990130"}}, func(c simulator.Counts) int { return c.Freezes }},
		{dlt645.V2007, protocol.Command{Action: "clear_demand"}, func(c simulator.Counts) int { return c.DemandClears }},
		{dlt645.V1997, protocol.Command{Action: "clear_demand"}, func(c simulator.Counts) int { return c.DemandClears }},
		{dlt645.V2007, protocol.Command{Action: "clear_meter"}, func(c simulator.Counts) int { return c.MeterClears }},
		{dlt645.V2007, protocol.Command{Action: "clear_events", Arguments: protocol.Arguments{"item": "all"}}, func(c simulator.Counts) int { return c.EventClears }},
		{dlt645.V2007, protocol.Command{Action: "clear_events", Arguments: protocol.Arguments{"item": "programming_record_1"}}, func(c simulator.Counts) int { return c.EventClears }},
		{dlt645.V2007, protocol.Command{Action: "set_baud", Arguments: protocol.Arguments{"baud": int64(9600)}}, func(c simulator.Counts) int { return c.BaudRates }},
		{dlt645.V1997, protocol.Command{Action: "set_baud", Arguments: protocol.Arguments{"baud": int64(9600)}}, func(c simulator.Counts) int { return c.BaudRates }},
		{dlt645.V2007, protocol.Command{Action: "output", Arguments: protocol.Arguments{"signal": "tariff_switch"}}, func(c simulator.Counts) int { return c.Outputs }},
	} {
		s := newSite(t, test.version, simulator.MeterOptions{Address: meterOne})
		arguments := maps.Clone(test.command.Arguments)
		if arguments == nil {
			arguments = protocol.Arguments{}
		}
		arguments["confirm"] = s.meters[0].Address()
		test.command.Arguments = arguments
		s.expect(s.give(protocol.VerbMaintenance, test.command), false, nil)
		if n := test.counted(s.meters[0].Counts()); n != 1 {
			t.Errorf("%s %s was carried out %d times", test.version, test.command.Action, n)
		}
	}
}

func TestPlannedPassword(t *testing.T) {
	for _, version := range []dlt645.Version{dlt645.V2007, dlt645.V1997} {
		s := newSite(t, version, simulator.MeterOptions{Address: meterOne})
		s.expect(s.give(protocol.VerbMaintenance, protocol.Command{Action: "set_password", Arguments: protocol.Arguments{"level": "04", "new_password": "123456", "confirm": s.meters[0].Address()}}), false, nil)
		s.expect(s.give(protocol.VerbMaintenance, protocol.Command{Action: "clear_demand"}), false, refusedByMeter)
		s.expect(s.give(protocol.VerbMaintenance, protocol.Command{Action: "clear_demand", Passwords: map[string]string{"04": "123456"}}), false, nil)
	}
}

func TestPlannedAddress(t *testing.T) {
	for _, version := range []dlt645.Version{dlt645.V2007, dlt645.V1997} {
		s := newSite(t, version, simulator.MeterOptions{Address: meterOne})
		move := protocol.Command{Action: "set_address", Arguments: protocol.Arguments{"address": "112233445566", "confirm": s.meters[0].Address()}}
		s.expect(s.give(protocol.VerbMaintenance, move), true, nil)
		if got := s.meters[0].Address(); got != "112233445566" {
			t.Errorf("%s: the meter has the address %s", version, got)
		}

		// With a second meter on the wire nothing is sent.
		s = newSite(t, version, simulator.MeterOptions{Address: meterOne}, simulator.MeterOptions{Address: meterTwo})
		e := s.give(protocol.VerbMaintenance, move)
		if !errors.Is(e.err, protocol.ErrUnsafe) || e.sent != 0 || s.meters[0].Address() != meterOne || s.meters[1].Address() != meterTwo {
			t.Errorf("%s: %v after %d commands: the meters are %s and %s", version, e.err, e.sent, s.meters[0].Address(), s.meters[1].Address())
		}
		// Nor if the only meter is another one.
		s = newSite(t, version, simulator.MeterOptions{Address: meterTwo})
		c := move
		e = s.do(protocol.Request{Verb: protocol.VerbMaintenance, Address: s.address(meterOne), Command: &c})
		if !errors.Is(e.err, protocol.ErrUnsafe) || e.sent != 0 {
			t.Errorf("%s: %v after %d commands", version, e.err, e.sent)
		}
	}
}

func TestPlannedBroadcast(t *testing.T) {
	s := newSite(t, dlt645.V2007, simulator.MeterOptions{Address: meterOne}, simulator.MeterOptions{Address: meterTwo})
	s.meters[0].SetClock(time.Minute)
	s.meters[1].SetClock(-time.Minute)
	for _, action := range []string{"time", "freeze"} {
		if e := s.do(protocol.Request{Verb: protocol.VerbBroadcast, Command: &protocol.Command{Action: action, Now: s.now}}); e.err != nil || e.sent != 1 {
			t.Errorf("%s: %v after %d commands", action, e.err, e.sent)
		}
	}
	for _, m := range s.meters {
		data, _ := m.Read(0x04000102, s.now)
		if c := m.Counts(); c.ClockSets != 1 || c.Freezes != 1 || !slices.Equal(data, []byte{0, 0, 0x12}) {
			t.Errorf("%s: %+v, shows % X", m.Address(), c, data)
		}
	}
}
