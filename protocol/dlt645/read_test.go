package dlt645

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// A testMeter answers reads out of its memory, which holds data in wire order.
type testMeter struct {
	version Version
	address Address
	memory  map[DI][]byte
	part    int  // bytes of data in a frame; 0: all in one
	mute    bool // says nothing about its address
	silent  bool // says nothing to what it does not have, in place of refusing
	echoes  bool // answers under the address it was asked with
	asked   []string
	at      int // 1997: the read position
}

// answer returns the answer to a request, nil if there is none.
func (m *testMeter) answer(t *testing.T, request []byte) []byte {
	t.Helper()
	f, err := ParseFrame(request)
	if err != nil {
		t.Fatal(err)
	}
	function := f.Control.Function()
	m.asked = append(m.asked, fmt.Sprintf("%s %s", f.Address, strings.ToUpper(fmt.Sprintf("%s %x", f.Control, f.Data))))
	if !f.Address.Matches(m.address) && !(f.Address.IsBroadcast() && m.version == V1997) {
		return nil
	}
	from := m.address
	if m.echoes {
		from = f.Address
	}
	reply := func(control Control, data ...byte) []byte { return mustAppend(Frame{from, control, data}) }
	seq := 0
	switch function {
	case FunctionReadAddress:
		if m.mute {
			return nil
		}
		return reply(0x93, m.address.reversed()...)
	case FunctionRead:
	case FunctionReadFollowUp:
		seq = int(f.Data[4])
	case FunctionRead1997:
		m.at = 0
	case FunctionReadFollowUp1997:
		m.at++
		seq = m.at
	default:
		return nil
	}
	data, ok := m.memory[diOf(f.Data, m.version)]
	if !ok && m.silent {
		return nil
	}
	if !ok {
		return reply(0xC0|f.Control, 0x02)
	}
	last := true
	if m.part > 0 {
		data = data[min(len(data), seq*m.part):]
		last = len(data) <= m.part
		data = data[:min(len(data), m.part)]
	}
	data = append(slices.Clone(f.Data[:diSize(m.version)]), data...)
	if function == FunctionReadFollowUp {
		data = append(data, byte(seq))
	}
	if last {
		return reply(0x80|f.Control, data...)
	}
	return reply(0xA0|f.Control, data...)
}

// An ending is what a request came to.
type ending struct {
	values map[string]string // as JSON
	errors map[string]error
	from   string
}

// play goes through a plan as a bus does, with one meter or several on the line.
func play(t *testing.T, plan protocol.Plan, meters ...*testMeter) ending {
	t.Helper()
	o := ending{map[string]string{}, map[string]error{}, ""}
	for {
		for _, missing := range plan.Errors {
			if o.errors[missing.Item] = missing.Err; missing.Err == nil {
				delete(o.errors, missing.Item)
			}
		}
		var answers []protocol.Answer
		var silence error
		for _, step := range plan.Steps {
			var result protocol.Result
			err := silence
			if silence == nil {
				result, err = talk(t, step, meters)
			}
			if errors.Is(err, protocol.ErrSilent) {
				silence = err // the meter is not asked for the rest
			}
			for _, name := range step.Items {
				delete(o.errors, name)
				if err != nil {
					o.errors[name] = err
				}
			}
			for _, value := range step.Values(result) {
				text, err := json.Marshal(value.Data)
				if err != nil {
					t.Fatal(err)
				}
				o.values[value.Name] = string(text)
			}
			if !result.Address.IsZero() {
				o.from = result.Address.Text
			}
			answers = append(answers, protocol.Answer{Result: result, Err: err})
		}
		if plan.Then == nil {
			return o
		}
		var err error
		if plan, err = plan.Then(answers); err != nil {
			t.Fatal(err)
		}
	}
}

// talk has one conversation. The line echoes.
func talk(t *testing.T, step protocol.Step, meters []*testMeter) (protocol.Result, error) {
	t.Helper()
	return converse(t, &step, func(request []byte) []byte {
		stream := slices.Clone(request)
		for _, meter := range meters {
			if answer := meter.answer(t, request); answer != nil {
				stream = slices.Concat(stream, []byte{0xFE, 0xFE}, answer)
			}
		}
		return stream
	})
}

// lacks is a meter that is known to lack these blocks.
type lacks []string

func (l lacks) Lacks(block string) bool { return slices.Contains(l, block) }

// Learned says that the clock is in parts if that is on the list.
func (l lacks) Learned(name string) string {
	if slices.Contains(l, name) {
		return V2007.String()
	}
	return ""
}

func testMeter2007() *testMeter {
	return &testMeter{version: V2007, address: address("112233445566"), memory: map[DI][]byte{
		0x00010000: {0x33, 0x09, 0x00, 0x00},
		0x00010100: {0x11, 0x01, 0x00, 0x00},
		0x00010200: {0x22, 0x02, 0x00, 0x00},
		0x0001FF00: {0x33, 0x09, 0x00, 0x00, 0x11, 0x01, 0x00, 0x00}, // the block ends early
		0x02010100: {0x01, 0x22},
		0x02010200: {0x02, 0x22},
		0x02010300: {0x03, 0x22},
		0x0201FF00: {0x01, 0x22, 0x02, 0x22, 0x03, 0x22},
		0x04000503: {0x10, 0x00},
		0xEF000001: {0xCD, 0xAB},
	}}
}

func TestRead(t *testing.T) {
	m := New(V2007, shanghai)
	p := plan(t, m, nil, "112233445566", "forward_active_energy")
	step := p.Steps[0]
	want := frametest.FromHex("68 665544332211 68 11 04 33333433 17 16")
	if !bytes.Equal(step.First.Request, want) || step.Key != string(want) || !step.Repeatable || step.Class != protocol.ClassRead ||
		step.Kind != protocol.KindValue || step.Meter.Text != "112233445566" || p.Address.Text != "112233445566" || step.Block != "" || p.Then != nil {
		t.Errorf("got %+v", p)
	}
	o := play(t, p, testMeter2007())
	if got := o.values["forward_active_energy"]; got != "9.33" || len(o.errors) > 0 || o.from != "112233445566" {
		t.Errorf("got %+v, want 9.33", o)
	}
}

func TestReadOutcomes(t *testing.T) {
	for _, test := range []struct {
		name   string
		items  []string
		values map[string]string
		errors map[string]error // nil: a refusal
		asked  []string
	}{
		{
			"names and identifiers in any order and case",
			[]string{"02010100", "forward_active_energy", "ef000001"},
			map[string]string{"voltage_a": "220.1", "forward_active_energy": "9.33", "EF000001": `"ABCD"`}, nil,
			[]string{"11 00010102", "11 00000100", "11 010000EF"},
		},
		{
			"one frame for an item asked in several ways",
			[]string{"voltage_a", "02010100", "voltage_a"},
			map[string]string{"voltage_a": "220.1"}, nil,
			[]string{"11 00010102"},
		},
		{
			"a flag of a word",
			[]string{"status_3.relay_open"},
			map[string]string{"status_3.relay_open": "true"}, nil,
			[]string{"11 03050004"},
		},
		{
			"unknown names keep nobody from reading the rest",
			[]string{"voltage_q", "voltage_a", "0201", "0201010G"},
			map[string]string{"voltage_a": "220.1"},
			map[string]error{"voltage_q": protocol.ErrUnknownItem, "0201": protocol.ErrUnknownItem, "0201010G": protocol.ErrUnknownItem},
			[]string{"11 00010102"},
		},
		{
			"refused",
			[]string{"EF000002", "voltage_a"},
			map[string]string{"voltage_a": "220.1"},
			map[string]error{"EF000002": nil},
			[]string{"11 020000EF", "11 00010102"},
		},
		{
			"registers that lie together in a block",
			[]string{"voltage_a", "voltage_c"},
			map[string]string{"voltage_a": "220.1", "voltage_c": "220.3"}, nil,
			[]string{"11 00FF0102"},
		},
		{
			"a register that the block ends before",
			[]string{"forward_active_energy", "EF000001", "forward_active_energy_t2"},
			map[string]string{"forward_active_energy": "9.33", "EF000001": `"ABCD"`, "forward_active_energy_t2": "2.22"}, nil,
			[]string{"11 00FF0100", "11 010000EF", "11 00020100"},
		},
		{
			"a load record needs a time",
			[]string{"06000001"}, map[string]string{}, map[string]error{"06000001": protocol.ErrUnsupported}, nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			meter := testMeter2007()
			o := play(t, plan(t, New(V2007, shanghai), nil, "112233445566", test.items...), meter)
			checkEnding(t, o, test.values, test.errors)
			checkAsked(t, meter, "112233445566 ", test.asked)
		})
	}
}

func checkEnding(t *testing.T, o ending, values map[string]string, errs map[string]error) {
	t.Helper()
	if !reflect.DeepEqual(o.values, values) {
		t.Errorf("values %v, want %v", o.values, values)
	}
	for item, want := range errs {
		var refusal *protocol.Refusal
		switch got := o.errors[item]; {
		case want == nil && !errors.As(got, &refusal):
			t.Errorf("%s: error %v, want a refusal", item, got)
		case want != nil && !errors.Is(got, want):
			t.Errorf("%s: error %v, want %v", item, got, want)
		}
	}
	if len(o.errors) != len(errs) {
		t.Errorf("errors %v, want %v", o.errors, errs)
	}
}

func checkAsked(t *testing.T, meter *testMeter, prefix string, want []string) {
	t.Helper()
	want = slices.Clone(want)
	for i := range want {
		want[i] = prefix + want[i]
	}
	if !slices.Equal(meter.asked, want) {
		t.Errorf("asked %q, want %q", meter.asked, want)
	}
}

func TestReadBlocks(t *testing.T) {
	voltages := map[string]string{"voltage_a": "220.1", "voltage_b": "220.2", "voltage_c": "220.3"}
	items := []string{"voltage_a", "voltage_b", "voltage_c"}
	singly := []string{"11 00010102", "11 00020102", "11 00030102"}

	p := plan(t, New(V2007, shanghai), nil, "112233445566", items...)
	if step := p.Steps[0]; len(p.Steps) != 1 || step.Block != "0201FF00" || !slices.Equal(step.Items, items) {
		t.Errorf("got %+v, want the block of voltages", p.Steps)
	}
	if other := plan(t, New(V2007, shanghai), nil, "112233445566", "voltage_c", "voltage_a"); other.Steps[0].Key != p.Steps[0].Key {
		t.Error("two reads of one block do not share it")
	}

	meter := testMeter2007()
	delete(meter.memory, 0x0201FF00)
	checkEnding(t, play(t, p, meter), voltages, nil)
	checkAsked(t, meter, "112233445566 ", append([]string{"11 00FF0102"}, singly...))

	meter = testMeter2007()
	checkEnding(t, play(t, plan(t, New(V2007, shanghai), lacks{"0201FF00"}, "112233445566", items...), meter), voltages, nil)
	checkAsked(t, meter, "112233445566 ", singly)

	// A block of another layout than the table's says nothing; the registers do.
	meter = testMeter2007()
	meter.memory[0x0201FF00] = []byte{0x01, 0x22, 0x02}
	checkEnding(t, play(t, p, meter), voltages, nil)

	// A poll takes a block that ends early at its word, if it has anything that is wanted.
	poll := func(items ...string) protocol.Plan {
		p, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassPoll, Address: meterAt("112233445566"), Items: items}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	meter = testMeter2007()
	checkEnding(t, play(t, poll("forward_active_energy_t1", "forward_active_energy_t2", "forward_active_energy_t3"), meter), map[string]string{"forward_active_energy_t1": "1.11"}, nil)
	checkAsked(t, meter, "112233445566 ", []string{"11 00FF0100"})
	meter = testMeter2007()
	checkEnding(t, play(t, poll("forward_active_energy_t2", "forward_active_energy_t3"), meter), map[string]string{"forward_active_energy_t2": "2.22"},
		map[string]error{"forward_active_energy_t3": nil})
	checkAsked(t, meter, "112233445566 ", []string{"11 00FF0100", "11 00020100", "11 00030100"})

}

// A meter that is silent to a block is asked for one of its members, and if it answers that, for all
// that was wanted. One that is not there is not asked on.
func TestReadSilentBlock(t *testing.T) {
	items := []string{"voltage_a", "voltage_b", "voltage_c", "power_factor", "power_factor_a", "EF000002", "EF000001"}
	p := plan(t, New(V2007, shanghai), nil, "112233445566", items...)

	meter := testMeter2007()
	meter.address = address("1")
	errs := map[string]error{}
	for _, item := range items {
		errs[item] = protocol.ErrSilent
	}
	checkEnding(t, play(t, p, meter), map[string]string{}, errs)
	checkAsked(t, meter, "112233445566 ", []string{"11 00FF0102", "11 00010102"})

	meter = testMeter2007()
	meter.silent = true
	delete(meter.memory, 0x0201FF00)
	delete(meter.memory, 0x0206FF00)
	meter.memory[0x02060000], meter.memory[0x02060100] = []byte{0x00, 0x10}, []byte{0x99, 0x09}
	checkEnding(t, play(t, p, meter), map[string]string{"voltage_a": "220.1", "voltage_b": "220.2", "voltage_c": "220.3", "power_factor": "1.000", "power_factor_a": "0.999"},
		map[string]error{"EF000002": protocol.ErrSilent, "EF000001": protocol.ErrSilent})
	checkAsked(t, meter, "112233445566 ", []string{
		"11 00FF0102", "11 00010102", "11 00020102", "11 00030102",
		"11 00FF0602", "11 00000602", "11 00010602", "11 020000EF",
	})
}

func TestReadWildcard(t *testing.T) {
	items := []string{"forward_active_energy", "EF000002", "04000503"}
	silent := map[string]error{"forward_active_energy": protocol.ErrSilent, "EF000002": protocol.ErrSilent, "status_3": protocol.ErrSilent}
	for _, test := range []struct {
		name, address string
		meter         func(*testMeter)
		errors        map[string]error
		asked         []string
	}{
		{
			"the only meter", "AAAAAAAAAAAA", func(*testMeter) {}, map[string]error{"EF000002": nil},
			[]string{"AAAAAAAAAAAA 13 ", "112233445566 11 00000100", "112233445566 11 020000EF", "112233445566 11 03050004"},
		},
		{
			"the only meter, which does not know function 13H", "AAAAAAAAAAAA", func(m *testMeter) { m.mute = true }, map[string]error{"EF000002": nil},
			[]string{"AAAAAAAAAAAA 13 ", "AAAAAAAAAAAA 11 00000100", "112233445566 11 020000EF", "112233445566 11 03050004"},
		},
		{
			"the only meter, which sends the wildcard back", "AAAAAAAAAAAA", func(m *testMeter) { m.mute, m.echoes = true, true }, map[string]error{"EF000002": nil},
			[]string{"AAAAAAAAAAAA 13 ", "AAAAAAAAAAAA 11 00000100", "AAAAAAAAAAAA 11 020000EF", "AAAAAAAAAAAA 11 03050004"},
		},
		{
			"part of the address", "AAAAAAAA5566", func(*testMeter) {}, map[string]error{"EF000002": nil},
			[]string{"AAAAAAAA5566 11 00000100", "112233445566 11 020000EF", "112233445566 11 03050004"},
		},
		{
			"nobody with that part", "AAAAAAAA5567", func(*testMeter) {}, silent,
			[]string{"AAAAAAAA5567 11 00000100"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			meter := testMeter2007()
			test.meter(meter)
			o := play(t, plan(t, New(V2007, shanghai), nil, test.address, items...), meter)
			checkAsked(t, meter, "", test.asked)
			for item, want := range test.errors {
				if got := o.errors[item]; got == nil || want != nil && !errors.Is(got, want) {
					t.Errorf("%s: error %v, want %v", item, got, want)
				}
			}
			if len(o.errors) != len(test.errors) {
				t.Errorf("errors %v, want %v", o.errors, test.errors)
			}
			if len(o.errors) == 1 && o.values["forward_active_energy"] != "9.33" {
				t.Errorf("values %v, want 9.33", o.values)
			}
		})
	}
}

// An error that says nothing of the meter ends the plan: another read would meet it too.
func TestReadWildcardBusDown(t *testing.T) {
	down := errors.New("the port is gone")
	for _, pattern := range []string{"AAAAAAAAAAAA", "AAAAAAAA5566"} {
		p := plan(t, New(V2007, shanghai), nil, pattern, "EF000001", "EF000002")
		p, err := p.Then([]protocol.Answer{{Err: down}})
		if err != nil || len(p.Steps) > 0 || len(p.Errors) == 0 || p.Errors[len(p.Errors)-1] != (protocol.ItemError{Item: "EF000002", Err: down}) {
			t.Errorf("%s: got %+v, %v, want no steps and the error", pattern, p, err)
		}
	}
}

func TestReadFollowUps(t *testing.T) {
	record := bytes.Repeat([]byte{0x12, 0x34, 0x56}, 150)
	meter := testMeter2007()
	meter.memory[0xEF300501] = record
	meter.part = 195
	p := plan(t, New(V2007, shanghai), nil, "AAAAAAAAAAAA", "EF300501")
	for range 2 { // a conversation can be begun anew
		meter.asked = nil
		o := play(t, p, meter)
		if got, want := o.values["EF300501"], `"`+hexOf(record)+`"`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		checkAsked(t, meter, "", []string{"AAAAAAAAAAAA 13 ", "112233445566 11 010530EF", "112233445566 12 010530EF01", "112233445566 12 010530EF02"})
	}
}

func TestRead1997(t *testing.T) {
	m := New(V1997, shanghai)
	meter := &testMeter{version: V1997, address: address("12345678"), memory: map[DI][]byte{
		0x9010: {0x15, 0x00, 0x00, 0x00},
		0xE001: bytes.Repeat([]byte{0x12}, 25),
	}, part: 10}
	meter.address[0], meter.address[1] = wildcard, wildcard // the filling of a short address
	o := play(t, plan(t, m, nil, "12345678", "9010", "e001", "E002"), meter)
	if got := o.values["E001"]; got != `"`+strings.Repeat("12", 25)+`"` {
		t.Errorf("E001: got %s", got)
	}
	if item, ok := Items(V1997).Lookup(0x9010); !ok || o.values[item.Name] != "0.15" {
		t.Errorf("9010: got %v", o.values)
	}
	var refusal *protocol.Refusal
	if err := o.errors["E002"]; !errors.As(err, &refusal) || !slices.Equal(refusal.Reasons, []string{"no_such_data"}) {
		t.Errorf("E002: got %v, want a refusal", err)
	}
	checkAsked(t, meter, "AAAA12345678 ", []string{"01 1090", "01 01E0", "02 01E0", "02 01E0", "01 02E0"})

	// Whoever is there answers the first read, and is asked for the rest by its address.
	for _, pattern := range []string{"AAAAAAAAAAAA", "999999999999"} {
		meter.asked = nil
		o := play(t, plan(t, m, nil, pattern, "9010", "E002"), meter)
		if len(o.values) != 1 || o.from != "AAAA12345678" {
			t.Errorf("%s: got %+v", pattern, o)
		}
		checkAsked(t, meter, "", []string{pattern + " 01 1090", "AAAA12345678 01 02E0"})
	}
}

// The earliest blocks are asked for by as many as two frames hold, the latest by one.
func TestReadLoadRecord(t *testing.T) {
	for item, blocks := range map[string]byte{
		"load_record_earliest": 0x03, "load_record_1_earliest": 0x11, "load_record_2_earliest": 0x09, "load_record_3_earliest": 0x16,
		"load_record_6_earliest": 0x17, "load_record_latest": 0x01, "load_record_1_latest": 0x01, "06FF0000": 0x01,
	} {
		step := plan(t, New(V2007, shanghai), nil, "1", item).Steps[0]
		frame, err := ParseFrame(step.First.Request)
		if err != nil || len(frame.Data) != 5 || frame.Data[4] != blocks || step.Kind != protocol.KindRecord {
			t.Errorf("%s: asks with %X, %v, kind %d, want %02X blocks of a record", item, frame.Data, err, step.Kind, blocks)
		}
	}
}

func TestPlanErrors(t *testing.T) {
	m := New(V2007, shanghai)
	for _, test := range []struct {
		request protocol.Request
		want    error
	}{
		{protocol.Request{Verb: protocol.VerbRead, Address: meterAt("12AA"), Items: []string{"voltage_a"}}, protocol.ErrBadRequest},
		{protocol.Request{Verb: protocol.VerbRead, Address: meterAt("999999999999"), Items: []string{"voltage_a"}}, protocol.ErrBadRequest},
		{protocol.Request{Verb: "dance", Address: meterAt("1")}, protocol.ErrUnsupported},
	} {
		if p, err := m.Plan(test.request, nil); !errors.Is(err, test.want) {
			t.Errorf("%+v: got %+v, %v, want %v", test.request, p, err, test.want)
		}
	}
}

func TestMeters(t *testing.T) {
	for _, test := range []struct {
		version  Version
		text     string
		address  string
		wildcard bool
	}{
		{V2007, "1", "000000000001", false},
		{V2007, "AAAAAAAA0123", "AAAAAAAA0123", true},
		{V2007, "AAAAAAAAAAAA", "AAAAAAAAAAAA", true},
		{V1997, "123", "AAAAAAAA0123", false},
		{V1997, "AAAAAAAA0123", "AAAAAAAA0123", false},
		{V1997, "AAAAAAAAAAAA", "AAAAAAAAAAAA", true},
		{V1997, "999999999999", "999999999999", true},
	} {
		m := New(test.version, shanghai)
		address, err := m.ParseAddress(test.text)
		if m.Name() != test.version.String() || address.Text != test.address || address.Shared != test.wildcard || address.Family != "645" || err != nil {
			t.Errorf("%s %s: got %+v, %v, want %s, %t", m.Name(), test.text, address, err, test.address, test.wildcard)
		}
	}
	if _, err := New(V2007, shanghai).ParseAddress("x"); !errors.Is(err, protocol.ErrBadRequest) {
		t.Errorf("address x: got %v, want a bad request", err)
	}
	if got := New(V2007, shanghai).Redact([]byte{0x68, 0xAB}); got != "68AB" {
		t.Errorf("redacted to %s, want 68AB", got)
	}
}

// TestUnknownItems tells what may have been meant. The names are the same in both editions: a name
// of the other one is spelled rightly.
func TestUnknownItems(t *testing.T) {
	for _, test := range []struct {
		version    Version
		item, want string
	}{
		{V1997, "status_3.relay_open", "status_3.relay_open is an item of DL/T 645-2007, and this meter speaks DL/T 645-1997"},
		{V2007, "meter_status", "meter_status is an item of DL/T 645-1997, and this meter speaks DL/T 645-2007"},
		{V2007, "daily_freeze_forward_active_energy", `several of daily_freeze_forward_active_energy: daily_freeze_forward_active_energy_1 is the latest; a read with from`},
		{V2007, "voltage_loss_record_a", `voltage_loss_record_a_1 is the latest`},
		{V1997, "status_9", `"status_9" is neither the name of an item of DL/T 645-1997 nor an identifier of 4 hex digits`},
	} {
		missing := plan(t, New(test.version, shanghai), nil, "1", test.item).Errors
		if len(missing) != 1 || !errors.Is(missing[0].Err, protocol.ErrUnknownItem) || !strings.Contains(missing[0].Err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.item, missing, test.want)
		}
	}
}

// TestPasswordsAreNotRead asks for passwords by all their names. Some meters would tell them.
func TestPasswordsAreNotRead(t *testing.T) {
	for v, items := range map[Version][]string{
		V2007: {lookup(t, V2007, "04000C01").Name, "04000C01", "04000C0A", "04000CFF", "04000C00", "04000c01"},
		V1997: {"password", "C212", "C21F", "c212"},
	} {
		p := plan(t, New(v, shanghai), nil, "112233445566", append(items, "clock_date")...)
		if len(p.Steps) != 1 || len(p.Errors) != len(items) {
			t.Errorf("%s: %d steps and the errors %v, want the clock only", v, len(p.Steps), p.Errors)
		}
		for _, e := range p.Errors {
			if !errors.Is(e.Err, protocol.ErrUnsupported) {
				t.Errorf("%s %s: %v", v, e.Item, e.Err)
			}
		}
	}
}
