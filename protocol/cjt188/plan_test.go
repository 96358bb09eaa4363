package cjt188

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// A fake is a meter as simple as can be, with the habits that are met in the field.
type fake struct {
	address  Address
	of       Type
	insists  bool  // on its type
	only     Order // the order of identifiers that it understands, if picky
	picky    bool
	turns    bool // answers in the other order
	refuses  bool
	miscount bool // gives the wrong SER back
	strict   bool // silent to identifiers in the order that it does not have
	deaf     bool // to commands
	valve    byte
	lag      int // looks until the valve has moved
	next     byte
	data     map[DI]string
	requests []Frame
	commands int
}

func water1() *fake {
	return &fake{address: address("1"), of: ColdWater, data: map[DI]string{
		CurrentData: "34120000 2C 00120000 2C 00301205032620", 0xD120: "00120000 2C", SettleDay: "25", 0xD300: "0102",
	}}
}

// answer is what the line brings after a request.
func (f *fake) answer(t testing.TB, request []byte) []byte {
	t.Helper()
	frame, err := ParseFrame(request)
	if err != nil {
		t.Fatalf("%X: %v", request, err)
	}
	f.requests = append(f.requests, frame)
	if frame.Address != f.address && frame.Address != Anyone || f.insists && frame.Type != f.of || frame.Type != AnyType && frame.Type != f.of {
		return nil
	}
	di, order := IdentifierIn(frame.Data)
	if f.picky && order != f.only && frame.Control == ReadData {
		return nil
	}
	if f.strict && frame.Data[0] == 0xFF {
		return nil
	}
	if f.turns {
		order = AsWritten + LowFirst - order
	}
	ser := frame.Data[2]
	if f.miscount {
		ser++
	}
	reply := func(control Control, data ...byte) []byte {
		return mustAppend(Frame{f.of, f.address, control, data})
	}
	if frame.Control == WriteData || frame.Control == WriteAddress {
		f.commands++
	}
	switch {
	case f.refuses:
		return reply(frame.Control|answerBit|refusalBit, ser, 0, 0)
	case frame.Control == ReadAddress:
		return reply(0x83, append(di.Append(nil, order), ser)...)
	case frame.Control == ReadData && f.data[di] != "":
		if f.lag > 0 && f.commands > 0 {
			if f.lag--; f.lag == 0 {
				f.valve = f.next
			}
		}
		data := append(append(di.Append(nil, order), ser), frametest.FromHex(f.data[di])...)
		if di == CurrentData {
			data = append(data, f.valve, 0)
		}
		return reply(0x81, data...)
	case frame.Control == WriteData && f.deaf:
		return nil
	case frame.Control == WriteData && di == Valve:
		f.next = map[byte]byte{openValve: 0, closeValve: 1}[frame.Data[3]]
		if f.lag == 0 {
			f.valve = f.next
		}
		return reply(0x84, append(append(di.Append(nil, order), ser), f.valve, 0)...)
	case frame.Control == WriteData && di == WriteSettleDay:
		f.data[SettleDay] = fmt.Sprintf("%02X", frame.Data[3])
		return reply(0x84, append(di.Append(nil, order), ser)...)
	case frame.Control == WriteData && di == WriteClock:
		f.data[CurrentData] = f.data[CurrentData][:len(f.data[CurrentData])-14] + octet.Hex(frame.Data[3:])
		return reply(0x84, append(di.Append(nil, order), ser)...)
	}
	return reply(frame.Control|answerBit|refusalBit, ser, 0, 0)
}

// A learner keeps what answers teach, as a bus does.
type learner map[string]string

func (l learner) Lacks(string) bool          { return false }
func (l learner) Learned(name string) string { return l[name] }

// noon is when everything happens, by our clock.
var noon = time.Date(2026, 3, 5, 12, 30, 0, 0, shanghai)

// follow follows a plan to its end, against a meter. It returns values and errors by item, and the
// last report.
func follow(t testing.TB, plan protocol.Plan, known learner, f *fake) (values map[string]protocol.Value, failed map[string]error, report *protocol.Report, end error) {
	t.Helper()
	return frametest.Follow(t, plan, func(step *protocol.Step) protocol.Answer {
		answer := protocol.Answer{Err: protocol.ErrSilent}
		for _, e := range slices.Concat([]protocol.Exchange{step.First}, step.Ways) {
			request := e.Request
			if e.Stamp != nil {
				request = e.Stamp(noon)
			}
			came := f.answer(t, request)
			if len(came) == 0 {
				continue // a try in the next way follows
			}
			answer.Err = protocol.ErrGarbled
			if token := frametest.Trickle(t, e.Answer, came); token != nil {
				_, answer.Result, answer.Err = e.Take(token)
				answer.Came = noon
			}
			break
		}
		maps.Copy(known, answer.Result.Learned)
		return answer
	})
}

// configured is the protocol of a meter with options, as in "type=10 di=low".
func configured(t testing.TB, text string) *Meters {
	t.Helper()
	options := map[string]string{}
	for word := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	p, err := New(shanghai).Configure(options)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*Meters)
}

func planned(t testing.TB, m *Meters, known learner, meter string, request protocol.Request) protocol.Plan {
	t.Helper()
	a, err := m.ParseAddress(meter)
	if err != nil {
		t.Fatal(err)
	}
	request.Address = a
	plan, err := m.Plan(request, known)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestRead reads meters with every habit, and holds which frames that took.
func TestRead(t *testing.T) {
	for _, row := range []struct {
		name, options, meter string
		change               func(*fake)
		items                []string
		want                 string
		wrong                string // the item that fails, and how
		sent                 string // type and identifier of each request
	}{
		{name: "one answer brings all", items: []string{"volume", "valve", "clock"}, want: "clock volume valve", sent: "AA 901F"},
		{name: "two registers", items: []string{"volume_h1", "volume"}, want: "volume volume_h1", sent: "AA D120, 10 901F"},
		{name: "configured", options: "type=10", items: []string{"volume_h1", "volume"}, want: "volume volume_h1", sent: "10 D120, 10 901F", change: func(f *fake) { f.insists = true }},
		{name: "low byte first", change: func(f *fake) { f.picky, f.only = true, LowFirst }, items: []string{"volume"}, want: "volume", sent: "AA 901F, AA 1F90"},
		{name: "low byte first, configured", options: "di=low", change: func(f *fake) { f.picky, f.only = true, LowFirst }, items: []string{"volume"}, want: "volume", sent: "AA 1F90"},
		{name: "answers in the other order", change: func(f *fake) { f.turns = true }, items: []string{"volume"}, want: "volume", sent: "AA 901F"},
		{name: "the only meter", meter: "AAAAAAAAAAAAAA", items: []string{"volume", "volume_h1"}, want: "volume volume_h1", sent: "AA 901F, 10 D120"},
		{name: "an identifier", items: []string{"901F"}, want: "battery_low clock settlement_volume status valve volume", sent: "AA 901F"},
		{name: "an unknown identifier", items: []string{"D300"}, want: "D300", sent: "AA D300"},
		{name: "heat of water", items: []string{"volume", "heat_energy"}, want: "volume", wrong: "heat_energy: unknown item: the meter is of type 10 (cold water)", sent: "AA 901F"},
		{name: "heat of water, configured", options: "type=10", items: []string{"volume", "heat_energy"}, want: "volume", wrong: "heat_energy: unknown item: heat_energy is an item of other meters of CJ/T 188 (heat)", sent: "10 901F"},
		{name: "unknown", items: []string{"volume", "voltage_a"}, want: "volume", wrong: `voltage_a: unknown item: "voltage_a" is neither`, sent: "AA 901F"},
		{name: "dead", change: func(f *fake) { f.address = address("2") }, items: []string{"volume", "volume_h1"}, wrong: "volume_h1: no answer", sent: "AA 901F, AA 1F90, 10 901F, 10 1F90, 20 901F, 20 1F90, 30 901F, 30 1F90"},
		{name: "no such data", items: []string{"D2FF", "volume"}, want: "volume", wrong: "D2FF: the meter refused (code 00H): other", sent: "AA D2FF, AA FFD2, 10 901F", change: func(f *fake) { f.strict = true }},
		{name: "what came is told, and not that nothing came then", change: func(f *fake) { f.miscount, f.strict = true, true; f.picky, f.only = true, AsWritten }, items: []string{"volume"}, wrong: "volume: no valid answer", sent: "AA 901F, AA 1F90"},
		{name: "refused", options: "type=10", change: func(f *fake) { f.refuses = true }, items: []string{"volume"}, wrong: "volume: the meter refused (code 00H): other", sent: "10 901F, 10 1F90"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := water1()
			if row.change != nil {
				row.change(f)
			}
			if row.meter == "" {
				row.meter = "1"
			}
			known := learner{}
			plan := planned(t, configured(t, row.options), known, row.meter, protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Items: row.items})
			if plan.Permission != protocol.PermitRead {
				t.Errorf("the plan needs %s", plan.Permission)
			}
			values, failed, _, err := follow(t, plan, known, f)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for name := range values {
				names = append(names, name)
			}
			slices.Sort(names)
			want := strings.Fields(row.want)
			slices.Sort(want)
			if !slices.Equal(names, want) {
				t.Errorf("it brings %v, want %s", names, row.want)
			}
			item, words, _ := strings.Cut(row.wrong, ": ")
			if err := failed[item]; row.wrong != "" && (err == nil || !strings.HasPrefix(err.Error(), words)) {
				t.Errorf("%s fails by %v, want %s", item, err, words)
			}
			if row.wrong == "" && len(failed) > 0 {
				t.Errorf("it fails: %v", failed)
			}
			var sent []string
			for _, frame := range f.requests {
				sent = append(sent, fmt.Sprintf("%s %02X%02X", frame.Type, frame.Data[0], frame.Data[1]))
			}
			if got := strings.Join(sent, ", "); got != row.sent {
				t.Errorf("it sends %s, want %s", got, row.sent)
			}
		})
	}
}

// TestLearned asks a second time as the answers to the first have taught, and finds a meter that
// insists on its type and its order in the end.
func TestLearned(t *testing.T) {
	f := water1()
	f.insists, f.picky, f.only = true, true, LowFirst
	m, known := New(shanghai), learner{}
	read := func() int {
		f.requests = nil
		plan := planned(t, m, known, "1", protocol.Request{Verb: protocol.VerbRead, Items: []string{"volume"}})
		values, _, _, err := follow(t, plan, known, f)
		if err != nil {
			t.Fatal(err)
		}
		if len(values) == 0 {
			return -1
		}
		return len(f.requests)
	}
	if got := read(); got != 4 {
		t.Errorf("the first read takes %d requests, want 4: AA and 10, in both orders", got)
	}
	if got := read(); got != 1 {
		t.Errorf("the second read takes %d requests", got)
	}
	if known[learnedType] != "10" || known[learnedOrder] != "low" {
		t.Errorf("it has learned %v", known)
	}
	// No two requests in a row have the same number.
	seen := map[byte]bool{}
	for range 5 {
		read()
		seen[f.requests[0].Data[2]] = true
	}
	if len(seen) != 5 {
		t.Errorf("five requests have %d numbers", len(seen))
	}
}

// TestHeatAndCooling reads both of a meter that has them under another identifier.
func TestHeatAndCooling(t *testing.T) {
	const clock = "00301205032620"
	f := &fake{address: address("1"), of: HeatAndCool, data: map[DI]string{
		CurrentData: "00150000 05 50170000 05 34120000 17 00500200 35 78563400 2C 506500 254800 341200" + clock,
		BothData:    "00150000 05 00010000 05 50170000 05 50020000 05 34120000 17 00500200 35 78563400 2C 506500 254800 010203 040506 341200" + clock + "0000",
	}}
	known := learner{}
	plan := planned(t, New(shanghai), known, "1", protocol.Request{Verb: protocol.VerbRead, Items: []string{"heat_energy", "cooling_energy"}})
	values, failed, _, err := follow(t, plan, known, f)
	if err != nil || len(failed) > 0 || fmt.Sprint(values["heat_energy"].Data, values["cooling_energy"].Data) != "17.50 2.50" {
		t.Errorf("%v, %v, %v", values, failed, err)
	}
}

// TestValve moves a valve, and looks what became of it.
func TestValve(t *testing.T) {
	for _, row := range []struct {
		name, options, action string
		change                func(*fake)
		valve                 string
		verified, pending     bool
		note                  string
		commands              int
		sent                  string // identifier of the command
	}{
		{name: "at once", action: "valve_close", valve: "closed", verified: true, commands: 1, sent: "A017"},
		{name: "low byte first", options: "commands=low", action: "valve_close", valve: "closed", verified: true, commands: 1, sent: "17A0"},
		{name: "type given", options: "type=10", action: "valve_close", valve: "closed", verified: true, commands: 1, sent: "A017"},
		{name: "after a while", action: "valve_close", change: func(f *fake) { f.lag = 4 }, valve: "closed", verified: true, commands: 1, sent: "A017"},
		{name: "not in time", action: "valve_close", change: func(f *fake) { f.lag = 40 }, valve: "open", pending: true, note: "has not moved yet", commands: 1, sent: "A017"},
		{name: "unanswered", action: "valve_close", change: func(f *fake) { f.deaf = true }, valve: "open", note: "after the command was not answered", commands: 1, sent: "A017"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := water1()
			if row.change != nil {
				row.change(f)
			}
			known := learner{}
			plan := planned(t, configured(t, row.options), known, "1", protocol.Request{Verb: protocol.VerbRelay, Command: &protocol.Command{Action: row.action, Verify: 10 * time.Second}})
			if plan.Permission != protocol.PermitRelay {
				t.Errorf("the plan needs %s", plan.Permission)
			}
			_, _, report, err := follow(t, plan, known, f)
			if err != nil || report == nil {
				t.Fatal(report, err)
			}
			if report.Valve != row.valve || report.Verified != row.verified || report.Pending != row.pending || !strings.Contains(report.Note, row.note) {
				t.Errorf("the report is %+v", report)
			}
			if f.commands != row.commands {
				t.Errorf("%d commands were sent", f.commands)
			}
			for _, frame := range f.requests {
				if got := fmt.Sprintf("%02X%02X", frame.Data[0], frame.Data[1]); frame.Control == WriteData && (got != row.sent || frame.Type != ColdWater) {
					t.Errorf("the command is %s to type %s, want %s", got, frame.Type, row.sent)
				}
			}
		})
	}
	t.Run("to a meter that is not there", func(t *testing.T) {
		f := water1()
		f.address = address("2")
		known := learner{}
		plan := planned(t, New(shanghai), known, "1", protocol.Request{Verb: protocol.VerbRelay, Command: &protocol.Command{Action: "valve_open"}})
		_, _, _, err := follow(t, plan, known, f)
		if !errors.Is(err, protocol.ErrSilent) || f.commands > 0 {
			t.Errorf("%v, %d commands", err, f.commands)
		}
	})
}

func TestWrite(t *testing.T) {
	write := func(item, value string) *protocol.Command {
		return &protocol.Command{Arguments: protocol.Arguments{"item": item, "value": json.Number(value)}}
	}
	f, known := water1(), learner{}
	plan := planned(t, New(shanghai), known, "1", protocol.Request{Verb: protocol.VerbWrite, Command: write("settlement_day", "28")})
	_, _, report, err := follow(t, plan, known, f)
	if err != nil || !report.Verified || fmt.Sprint(report.Value.Data) != "28" || f.commands != 1 {
		t.Errorf("%+v, %v, %d commands", report, err, f.commands)
	}
	m := New(shanghai)
	a, _ := m.ParseAddress("1")
	for _, row := range []struct {
		item, value string
		want        error
	}{
		{"settlement_day", "32", protocol.ErrBadRequest}, {"settlement_day", "1.5", protocol.ErrBadRequest}, {"volume", "1", protocol.ErrBadRequest},
		{"valve", "1", protocol.ErrBadRequest}, {"clock", "1", protocol.ErrBadRequest}, {"A017", "55", protocol.ErrBadRequest}, {"", "1", protocol.ErrBadRequest}, {"voltage_a", "1", protocol.ErrUnknownItem},
	} {
		if _, err := m.Plan(protocol.Request{Verb: protocol.VerbWrite, Address: a, Command: write(row.item, row.value)}, nil); !errors.Is(err, row.want) {
			t.Errorf("%s=%s: %v, want %v", row.item, row.value, err, row.want)
		}
	}
}

func TestSyncClock(t *testing.T) {
	f, known := water1(), learner{}
	f.data[CurrentData] = "34120000 2C 00120000 2C 00001205032620" // half an hour behind
	plan := planned(t, New(shanghai), known, "1", protocol.Request{Verb: protocol.VerbMaintenance, Command: &protocol.Command{Action: "sync_clock", Now: noon}})
	_, _, report, err := follow(t, plan, known, f)
	if err != nil || !report.Verified || *report.DriftBefore != -30*time.Minute || *report.DriftAfter != 0 || f.commands != 1 {
		t.Errorf("%+v, %v, %d commands", report, err, f.commands)
	}
	m := New(shanghai)
	a, _ := m.ParseAddress("1")
	for _, command := range []protocol.Command{
		{Action: "sync_clock", Now: time.Date(2026, 3, 5, 23, 55, 0, 0, shanghai)},
		{Action: "sync_clock", Now: noon, Clock: errors.New("not synchronised")},
	} {
		if _, err := m.Plan(protocol.Request{Verb: protocol.VerbMaintenance, Address: a, Command: &command}, nil); !errors.Is(err, protocol.ErrUnsafe) {
			t.Errorf("%v, want %v", err, protocol.ErrUnsafe)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	m := New(shanghai)
	one, _ := m.ParseAddress("1")
	shared, _ := m.ParseAddress("AAAAAAAAAAAAAA")
	for _, row := range []struct {
		request protocol.Request
		want    error
	}{
		{protocol.Request{Verb: protocol.VerbBroadcast, Command: &protocol.Command{}}, protocol.ErrUnsupported},
		{protocol.Request{Verb: protocol.VerbRead, Address: one, Items: []string{"volume"}, From: noon}, protocol.ErrUnsupported},
		{protocol.Request{Verb: protocol.VerbRelay, Address: one, Command: &protocol.Command{Action: "trip"}}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbRelay, Address: shared, Command: &protocol.Command{Action: "valve_open"}}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbRelay, Address: one}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbMaintenance, Address: one, Command: &protocol.Command{Action: "freeze"}}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbClock, Address: shared}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbRead, Items: []string{"volume"}}, protocol.ErrBadRequest},
	} {
		if plan, err := m.Plan(row.request, nil); !errors.Is(err, row.want) {
			t.Errorf("%+v: %+v, %v, want %v", row.request, plan, err, row.want)
		}
	}
}

func TestConfigureRefuses(t *testing.T) {
	for _, row := range []struct{ name, value, want string }{
		{"type", "9", "two hex digits"}, {"type", "50", "two hex digits"}, {"type", "AA", "two hex digits"}, {"di", "high", "written (90 1F) or low"},
		{"commands", "", "written (A0 17)"}, {"ser", "no", "check or ignore"}, {"unit", "left", "behind the number"}, {"status", "up", "from the top"}, {"logical", "1", `no option "logical"`},
	} {
		if p, err := New(shanghai).Configure(map[string]string{row.name: row.value}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s=%s: %v, %v, want an error with %q", row.name, row.value, p, err, row.want)
		}
	}
}

// TestRaw holds what a client's own frame needs permission for, and its answer.
func TestRaw(t *testing.T) {
	m := New(shanghai)
	for _, row := range []struct {
		frame []byte
		want  protocol.Permission // empty: it is refused
		class protocol.Class
	}{
		{wire(ColdWater, "1", ReadData, "901F01"), protocol.PermitRead, protocol.ClassRead},
		{wire(AnyType, "AAAAAAAAAAAAAA", ReadAddress, "810A01"), protocol.PermitRead, protocol.ClassRead},
		{wire(ColdWater, "1", WriteData, "A0170155"), protocol.PermitRelay, protocol.ClassRelay},
		{wire(ColdWater, "1", WriteData, "17A00155"), protocol.PermitRelay, protocol.ClassRelay},
		{wire(ColdWater, "1", makersValve, "A0170155"), protocol.PermitRelay, protocol.ClassRelay},
		{wire(ColdWater, "1", WriteData, "A0110125"), protocol.PermitWrite, protocol.ClassCommand},
		{wire(ColdWater, "1", WriteData, "A0150100301205032620"), protocol.PermitMaintenance, protocol.ClassCommand},
		{wire(ColdWater, "1", WriteBase, "A01601000000002C"), protocol.PermitMaintenance, protocol.ClassCommand},
		{wire(ColdWater, "1", ReadData, "901F0155"), protocol.PermitMaintenance, protocol.ClassCommand}, // more than a read has
		{mustAppend(Frame{ColdWater, Broadcast, WriteData, frametest.FromHex("A0150100301205032620")}), protocol.PermitBroadcast, protocol.ClassCommand},
		{wire(ColdWater, "AAAAAAAAAAAAAA", WriteData, "A0170155"), "", 0},
		{wire(ColdWater, "1", 0x81, "901F01"), "", 0},
		{wire(0x50, "1", ReadData, "901F01"), "", 0},
		{wire(ColdWater, "1", ReadData, "90"), "", 0},
		{frametest.FromHex("68100100"), "", 0},
	} {
		plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: row.frame}, nil)
		if row.want == "" {
			if !errors.Is(err, protocol.ErrBadRequest) {
				t.Errorf("%X: %v", row.frame, err)
			}
			continue
		}
		if err != nil || plan.Permission != row.want || plan.Steps[0].Class != row.class || !bytes.Equal(plan.Steps[0].First.Request, row.frame) {
			t.Errorf("%X: %s, %v, want %s", row.frame, plan.Permission, err, row.want)
		}
	}
	plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: wire(ColdWater, "1", ReadData, "901F07")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := water1()
	answer := f.answer(t, plan.Steps[0].First.Request)
	token := frametest.Trickle(t, plan.Steps[0].First.Answer, answer)
	if _, result, err := plan.Steps[0].First.Take(token); err != nil || !bytes.Equal(result.Frame, answer) || result.Address.Text != "00000000000001" {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestFind finds the only meter of each type on a line.
func TestFind(t *testing.T) {
	m := New(shanghai)
	question, err := m.Find("")
	if err != nil {
		t.Fatal(err)
	}
	meters := []*fake{water1(), {address: address("2"), of: Heat}}
	found := map[string]bool{}
	ask := func(q protocol.Question) {
		for _, step := range q.Steps {
			var heard []byte
			for _, f := range meters {
				heard = append(heard, f.answer(t, step.First.Request)...)
			}
			if token := frametest.Trickle(t, step.First.Answer, heard); token != nil {
				_, result, err := step.First.Take(token)
				if err != nil {
					t.Fatal(err)
				}
				found[result.Address.Text+" "+result.Address.Variant] = true
			}
		}
	}
	for _, part := range question.Narrow() {
		ask(part)
	}
	if !found["00000000000001 type=10"] || !found["00000000000002 type=20"] || len(found) != 2 {
		t.Errorf("found %v", found)
	}
	if question.Levels != 1 || len(question.Steps) != 5 {
		t.Errorf("the question is %+v", question)
	}
	own, err := m.Find("1")
	if err != nil || own.Levels != 0 || !own.Matches("00000000000001") {
		t.Errorf("%+v, %v", own, err)
	}
	if _, err := m.Find("x"); !errors.Is(err, protocol.ErrBadRequest) {
		t.Errorf("%v", err)
	}
}

// TestCatalogue holds names, and what they are.
func TestCatalogue(t *testing.T) {
	for _, row := range []struct{ options, pattern, want string }{
		{"", "volume", "volume"},
		{"", "901F", "volume settlement_volume clock status valve battery_low"},
		{"", "D300", "D300"},
		{"type=10", "*", "volume clock status valve"},
		{"type=20", "*_temperature", "supply_temperature return_temperature"},
		{"type=21", "cooling_*", "cooling_energy"},
		{"type=30", "volume_h*", "volume_h1 volume_h2 volume_h3 volume_h4 volume_h5 volume_h6 volume_h7 volume_h8 volume_h9 volume_h10 volume_h11 volume_h12"},
	} {
		names, err := configured(t, row.options).Match(row.pattern)
		if got := strings.Join(names, " "); err != nil || got != row.want {
			t.Errorf("%s %s: %s, %v, want %s", row.options, row.pattern, got, err, row.want)
		}
	}
	for _, pattern := range []string{"voltage_a", "voltage_*"} {
		if names, err := New(shanghai).Match(pattern); !errors.Is(err, protocol.ErrUnknownItem) {
			t.Errorf("%s: %v, %v", pattern, names, err)
		}
	}
	for _, row := range []struct {
		options, name string
		want          protocol.ItemDescription
	}{
		{"", "volume", protocol.ItemDescription{Name: "volume", Unit: "m³", Form: protocol.FormNumber, Decimals: 2, Counter: true, Medium: protocol.MediumWater, English: "cumulative volume", Chinese: "累积流量"}},
		{"type=30", "volume", protocol.ItemDescription{Name: "volume", Unit: "m³", Form: protocol.FormNumber, Decimals: 2, Counter: true, Medium: protocol.MediumGas, English: "cumulative volume", Chinese: "累积流量"}},
		{"type=20", "volume", protocol.ItemDescription{Name: "volume", Unit: "m³", Form: protocol.FormNumber, Decimals: 2, Counter: true, English: "cumulative volume", Chinese: "累积流量"}},
		{"", "volume_h2", protocol.ItemDescription{Name: "volume_h2", Unit: "m³", Form: protocol.FormNumber, Decimals: 2, Past: true, Medium: protocol.MediumWater, English: "volume at settlement 2 months back", Chinese: "上2月结算日累积流量"}},
		{"", "valve", protocol.ItemDescription{Name: "valve", Form: protocol.FormText, Role: protocol.RoleValve, English: "state of the valve", Chinese: "阀门状态"}},
		{"", "battery_low", protocol.ItemDescription{Name: "battery_low", Form: protocol.FormFlag, Alarm: true, English: "battery low", Chinese: "电池欠压"}},
		{"", "clock", protocol.ItemDescription{Name: "clock", Form: protocol.FormMoment, Role: protocol.RoleClock, English: "clock", Chinese: "实时时间"}},
	} {
		if got, ok := configured(t, row.options).Describe(row.name); !ok || got != row.want {
			t.Errorf("%s: %+v, %v, want %+v", row.name, got, ok, row.want)
		}
	}
	for _, options := range []string{"", "type=10", "type=20", "type=21", "type=30", "type=40"} {
		m := configured(t, options)
		for _, row := range m.Template() {
			if _, ok := m.Describe(row.Item); !ok {
				t.Errorf("%s: the template has %s", options, row.Item)
			}
			if _, err := m.Match(row.Item); err != nil {
				t.Errorf("%s: %v", options, err)
			}
		}
	}
	for _, role := range []protocol.Role{protocol.RoleValve, protocol.RoleClock} {
		if d, ok := New(shanghai).Describe(New(shanghai).Playing(role)); !ok || d.Role != role {
			t.Errorf("role %v is played by %+v", role, d)
		}
	}
}

// TestOwnItems reads and writes what a maker has added.
func TestOwnItems(t *testing.T) {
	format := func(text string, decimals int) protocol.Format {
		f, err := protocol.ParseFormat(text, decimals)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	p, wrong := New(shanghai).WithItems([]protocol.OwnItem{
		{Identifier: "D300", Name: "pressure", Format: format("u16", 3), Unit: "MPa", Access: "R"},
		{Identifier: "8103", Name: "closing_day", Format: format("XX", -1), Access: "R"},
		{Identifier: "A011", Name: "close_on", Format: format("XX", -1), Access: "W"},
		{Identifier: "901F", Name: "all", Format: format("hex", -1)},
		{Identifier: "A014", Name: "key", Format: format("hex", -1)},
	})
	if wrong[0] != nil || wrong[1] != nil || wrong[2] != nil || wrong[3] == nil || wrong[4] == nil {
		t.Errorf("the complaints are %v", wrong)
	}
	m := p.(*Meters)
	f, known := water1(), learner{}
	values, failed, _, err := follow(t, planned(t, m, known, "1", protocol.Request{Verb: protocol.VerbRead, Items: []string{"pressure", "8103", "volume", "close_on"}}), known, f)
	if err != nil || fmt.Sprint(values["pressure"].Data, values["pressure"].Unit) != "0.513MPa" || fmt.Sprint(values["closing_day"].Data) != "25" || values["volume"].Data == nil {
		t.Errorf("%v, %v", values, err)
	}
	if !errors.Is(failed["close_on"], protocol.ErrUnsupported) {
		t.Errorf("what can be written only: %v", failed)
	}
	write := func(item, value string) (protocol.Plan, error) {
		a, _ := m.ParseAddress("1")
		return m.Plan(protocol.Request{Verb: protocol.VerbWrite, Address: a, Command: &protocol.Command{Arguments: protocol.Arguments{"item": item, "value": json.Number(value)}}}, known)
	}
	plan, err := write("close_on", "28")
	if err != nil {
		t.Fatal(err)
	}
	_, _, report, err := follow(t, plan, known, f)
	if err != nil || report.Readable || report.Note == "" || f.commands != 1 || f.data[SettleDay] != "28" {
		t.Errorf("%+v, %v, %d commands, %v", report, err, f.commands, f.data)
	}
	for item, value := range map[string]string{"pressure": "1", "close_on": "128"} {
		if _, err := write(item, value); !errors.Is(err, protocol.ErrBadRequest) {
			t.Errorf("%s=%s: %v", item, value, err)
		}
	}
	if names, err := m.Match("closing_day"); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
	if d, ok := m.Describe("pressure"); !ok || d.Unit != "MPa" || d.Decimals != 3 || d.Form != protocol.FormNumber {
		t.Errorf("%+v, %v", d, ok)
	}
}
