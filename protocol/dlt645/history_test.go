package dlt645

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// A storingMeter has daily freezes and a load record of class 6. What it has stored tells
// when: the energy of a freeze and the demand of a block are made of their time.
type storingMeter struct {
	address  Address
	freezes  []time.Time // of the freezes, the last one first
	most     int         // how many freezes it keeps
	load     []time.Time // of the blocks, the earliest first
	invalid  map[time.Time]bool
	lacks    []DI
	heed     func(from time.Time) time.Time // where a read of the load record begins; nil: at from
	refuses  bool                           // in place of an answer without blocks
	asked    []string                       // the data of each request, as they are before they travel
	before   func(request int)              // called before each answer
	mute     func(request int) bool
	longest  int // bytes of data in a frame; 0: 200
	record   []byte
	answered int // blocks in the last answer
}

// stamp is what stands for a time in the values of a sample.
func stamp(t time.Time) protocol.Decimal {
	return protocol.Decimal{Coefficient: int64(t.In(shanghai).YearDay()*10000 + t.Hour()*100 + t.Minute()), Scale: 2}
}

func (m *storingMeter) answer(t *testing.T, request []byte) []byte {
	t.Helper()
	f, err := ParseFrame(request)
	if err != nil {
		t.Fatal(err)
	}
	m.asked = append(m.asked, fmt.Sprintf("%X", f.Data))
	if m.before != nil {
		m.before(len(m.asked))
	}
	if m.mute != nil && m.mute(len(m.asked)) || !f.Address.Matches(m.address) {
		return nil
	}
	if f.Control.Function() == FunctionReadAddress {
		return mustAppend(Frame{m.address, 0x93, m.address.reversed()})
	}
	di := diOf(f.Data, V2007)
	seq := 0
	if f.Control.Function() == FunctionReadFollowUp {
		seq = int(f.Data[4])
	} else {
		data, ok := m.read(t, di, f.Data[4:])
		if !ok || slices.Contains(m.lacks, di&^0xFF) {
			return mustAppend(Frame{m.address, 0xD1, []byte{0x02}})
		}
		m.record = data
	}
	size := 196
	if m.longest > 0 {
		size = m.longest
	}
	data := m.record[min(len(m.record), seq*size):]
	control := 0x80 | f.Control
	if len(data) > size {
		data, control = data[:size], control|more
	}
	data = append(slices.Clone(f.Data[:4]), data...)
	if seq > 0 {
		data = append(data, byte(seq))
	}
	return mustAppend(Frame{m.address, control, data})
}

func (m *storingMeter) read(t *testing.T, di DI, rest []byte) (data []byte, ok bool) {
	t.Helper()
	if di>>24 == classLoadRecord {
		return m.readLoad(t, di, rest)
	}
	n := int(byte(di))
	if n < 1 || n > len(m.freezes) || n > m.most {
		return nil, false
	}
	at := m.freezes[n-1]
	values := map[DI]string{0x05060000: "daily_freeze_time_%d", 0x05060100: "daily_freeze_forward_active_energy_%d", 0x05060200: "daily_freeze_reverse_active_energy_%d", 0x05060900: "daily_freeze_forward_active_demand_%d"}
	name := fmt.Sprintf(values[di&^0xFF], n)
	item, ok := Items(V2007).Lookup(di)
	if !ok {
		t.Fatalf("the table lacks %s", di.Format(V2007))
	}
	if values[di&^0xFF] == "" {
		return nil, false
	}
	value := map[string]any{name: stamp(at)}
	switch di & 0xFF00 {
	case 0:
		value[name] = at
	case 0x0900:
		value = map[string]any{name: protocol.Decimal{Coefficient: 1, Scale: 4}, name + "_time": at}
	}
	data, err := item.Append(nil, value, shanghai)
	if err != nil {
		t.Fatal(err)
	}
	return data, true
}

func (m *storingMeter) readLoad(t *testing.T, di DI, rest []byte) (data []byte, ok bool) {
	t.Helper()
	if di != 0x06060001 || len(rest) != 6 {
		t.Fatalf("asked for %s % X", di.Format(V2007), rest)
	}
	from, err := loadTime.moment(rest[1:], shanghai)
	if err != nil {
		t.Fatal(err)
	}
	if m.heed != nil {
		from = m.heed(from)
	}
	m.answered = 0
	for _, at := range m.load {
		if at.Before(from) || m.answered == octet.FromBCD(rest[0]) {
			continue
		}
		m.answered++
		d := stamp(at)
		value := protocol.Decimal{Coefficient: d.Coefficient % 800000, Scale: 4}
		item, _ := Items(V2007).Lookup(di)
		block, err := item.Append(nil, map[string]any{item.Name: []any{map[string]any{
			"time": at.Format(time.RFC3339), "values": map[string]any{"active_demand": value, "reactive_demand": nil},
		}}}, shanghai)
		if err != nil {
			t.Fatal(err)
		}
		if m.invalid[at] {
			block[0], block[1] = loadInvalid, loadInvalid
			block[len(block)-2] = octet.Sum(block[:len(block)-2])
		}
		data = append(data, block...)
	}
	return data, !m.refuses || len(data) > 0
}

// A told is what a read of history came to.
type told struct {
	protocol.History
	errors map[string]error
	steps  []int // of each part of the plan
}

// tell goes through a plan as a bus does.
func (m *storingMeter) tell(t *testing.T, plan protocol.Plan) (got told) {
	t.Helper()
	got.errors = make(map[string]error)
	for {
		for _, e := range plan.Errors {
			got.errors[e.Item] = e.Err
		}
		if plan.History != nil {
			got.History = *plan.History
		}
		got.steps = append(got.steps, len(plan.Steps))
		var answers []protocol.Answer
		for _, step := range plan.Steps {
			if step.Key != "" && step.First.Request[8] != byte(FunctionReadAddress) || !step.Repeatable || step.IsCommand() {
				t.Fatalf("a step of history is shared, or is not to be repeated: %+v", step)
			}
			var answer protocol.Answer
			if len(answers) > 0 && errors.Is(answers[len(answers)-1].Err, protocol.ErrSilent) {
				answer.Err = protocol.ErrSilent // as the bus does
			} else {
				answer.Result, answer.Err = converse(t, &step, func(request []byte) []byte { return m.answer(t, request) })
			}
			answers = append(answers, answer)
		}
		if plan.Then == nil {
			return got
		}
		var err error
		if plan, err = plan.Then(answers); err != nil {
			t.Fatal(err)
		}
		if len(got.steps) > 2000 {
			t.Fatal("the plan has no end")
		}
	}
}

// ask reads the history of items; to may be zero.
func (m *storingMeter) ask(t *testing.T, address string, from, to time.Time, items ...string) told {
	t.Helper()
	plan, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: meterAt(address), Items: items, From: from, To: to}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m.tell(t, plan)
}

// times checks that what each sample holds belongs to its time, and lists the times.
func (got told) times(t *testing.T) (times []time.Time) {
	t.Helper()
	for _, sample := range got.Samples {
		times = append(times, sample.Time)
		for _, value := range sample.Values {
			want := stamp(sample.Time)
			switch value.Name {
			case "active_demand":
				want = protocol.Decimal{Coefficient: want.Coefficient % 800000, Scale: 4}
			case "forward_active_energy", "reverse_active_energy":
			default:
				continue
			}
			if value.Data != want {
				t.Errorf("the sample of %s has %s %v, want %v", sample.Time, value.Name, value.Data, want)
			}
		}
	}
	return times
}

func checkTimes(t *testing.T, got, want []time.Time) {
	t.Helper()
	if !slices.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("samples of %v, want %v", got, want)
	}
}

func day(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, shanghai) }

// storing is a meter with freezes of the days up to the 20th, and blocks of each quarter of an
// hour of the 20th.
func storing() *storingMeter {
	m := &storingMeter{address: address("112233445566"), most: 62}
	for n := 20; n > 10; n-- {
		m.freezes = append(m.freezes, day(n))
	}
	for n := range 96 {
		m.load = append(m.load, day(20).Add(time.Duration(n)*15*time.Minute))
	}
	return m
}

func TestHistoryOfFreezes(t *testing.T) {
	for _, test := range []struct {
		name     string
		from, to time.Time
		items    []string
		want     []time.Time
		first    string // of the values
		asked    int
	}{
		{"from a moment", day(18), time.Time{}, []string{"daily_freeze_forward_active_energy"}, []time.Time{day(18), day(19), day(20)},
			`[{"Name":"forward_active_energy","Unit":"kWh","Data":32200.00}]`, 4 + 3},
		{"with a number", day(18).Add(-time.Second), day(20), []string{"daily_freeze_forward_active_energy_7"}, []time.Time{day(18), day(19)},
			`[{"Name":"forward_active_energy","Unit":"kWh","Data":32200.00}]`, 4 + 2},
		{"by identifier, all tariffs", day(20), time.Time{}, []string{"05060101"}, []time.Time{day(20)},
			`[{"Name":"forward_active_energy","Unit":"kWh","Data":32400.00}]`, 2 + 1},
		{"several parts", day(20), time.Time{}, []string{"daily_freeze_forward_active_energy", "daily_freeze_reverse_active_energy"}, []time.Time{day(20)},
			`[{"Name":"forward_active_energy","Unit":"kWh","Data":32400.00},{"Name":"reverse_active_energy","Unit":"kWh","Data":32400.00}]`, 2 + 2},
		{"two values of a part", day(20), time.Time{}, []string{"daily_freeze_forward_active_demand_time", "daily_freeze_forward_active_demand_4"}, []time.Time{day(20)},
			`[{"Name":"forward_active_demand","Unit":"kW","Data":0.0001},{"Name":"forward_active_demand_time","Unit":"","Data":"2026-11-20T00:00:00+08:00"}]`, 2 + 1},
		{"nothing but the time", day(20), time.Time{}, []string{"daily_freeze_time"}, []time.Time{day(20)}, `[]`, 2 + 1},
		{"older than the oldest", time.Unix(0, 0), day(13), []string{"daily_freeze_forward_active_energy"}, []time.Time{day(11), day(12)},
			`[{"Name":"forward_active_energy","Unit":"kWh","Data":31500.00}]`, 11 + 2 + 1}, // one to be sure of the last one
		{"the block, which the meter lacks", day(19), time.Time{}, []string{"daily_freeze"}, []time.Time{day(19), day(20)},
			`[{"Name":"forward_active_energy","Unit":"kWh","Data":32300.00},{"Name":"reverse_active_energy","Unit":"kWh","Data":32300.00},{"Name":"forward_active_demand","Unit":"kW","Data":0.0001},{"Name":"forward_active_demand_time","Unit":"","Data":"2026-11-19T00:00:00+08:00"}]`, 3 + 1 + 1 + 11 + 3},
		{"in the future", day(21), time.Time{}, []string{"daily_freeze_forward_active_energy"}, nil, "", 1},
		{"between two", day(19).Add(time.Hour), day(20), []string{"daily_freeze_forward_active_energy"}, nil, "", 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := storing()
			got := m.ask(t, "112233445566", test.from, test.to, test.items...)
			checkTimes(t, got.times(t), test.want)
			if len(got.errors) > 0 || !got.Next.IsZero() || len(m.asked) != test.asked {
				t.Errorf("errors %v, next %v, %d requests, want %d: %v", got.errors, got.Next, len(m.asked), test.asked, m.asked)
			}
			if test.first != "" && len(got.Samples) > 0 {
				if values, err := json.Marshal(got.Samples[0].Values); err != nil || string(values) != test.first {
					t.Errorf("values %s, %v, want %s", values, err, test.first)
				}
			}
		})
	}
}

// Whenever a freeze is made while freezes are read, be it one or two at once, no sample is
// lost, doubled, or given the time of another one; also if the oldest is given up for it.
func TestFreezeWhileHistoryIsRead(t *testing.T) {
	for _, full := range []bool{false, true} {
		for _, made := range []int{1, 2} {
			for moment := 1; moment <= 24; moment++ {
				m := storing()
				if full {
					m.most = len(m.freezes)
				}
				m.before = func(request int) {
					for n := range made {
						if request == moment {
							m.freezes = slices.Insert(m.freezes, 0, day(21+n))
						}
					}
				}
				got := m.ask(t, "112233445566", day(1), time.Time{}, "daily_freeze_forward_active_energy", "daily_freeze_reverse_active_energy")
				times := got.times(t)
				if len(got.errors) > 0 {
					t.Fatalf("%d made before request %d: %v", made, moment, got.errors)
				}
				if !slices.IsSortedFunc(times, time.Time.Compare) || len(slices.Compact(slices.Clone(times))) != len(times) {
					t.Errorf("%d made before request %d: out of order, or twice: %v", made, moment, times)
				}
				for n := 11; n <= 20; n++ {
					kept := !full || n > 10+made // else the meter has given it up
					if kept && !slices.ContainsFunc(times, day(n).Equal) {
						t.Errorf("%d made before request %d, full %t: day %d is lost: %v", made, moment, full, n, times)
					}
				}
			}
		}
	}
}

// A clock that was set back leaves records behind that seem to be newer.
func TestHistoryOfAClockSetBack(t *testing.T) {
	m := storing()
	m.freezes = []time.Time{day(19), day(18), day(20), day(19), day(18), day(17)}
	got := m.ask(t, "112233445566", day(18), time.Time{}, "daily_freeze_forward_active_energy")
	checkTimes(t, got.times(t), []time.Time{day(18), day(19), day(20), day(18), day(19)})
}

func TestHistoryThatEndsEarly(t *testing.T) {
	silentFrom := func(first int) func(int) bool { return func(request int) bool { return request >= first } }
	energy := []string{"daily_freeze_forward_active_energy"}
	both := []string{"daily_freeze_forward_active_energy", "daily_freeze_reverse_active_energy"}
	load := []string{"load_record_6"}
	for _, test := range []struct {
		name   string
		change func(m *storingMeter)
		items  []string
		count  int
		errors map[string]error // nil: a refusal
	}{
		{"silence at once", func(m *storingMeter) { m.mute = silentFrom(1) }, both, 0,
			map[string]error{both[0]: protocol.ErrSilent, both[1]: protocol.ErrSilent}},
		{"silence after two records", func(m *storingMeter) { m.mute = silentFrom(6) }, energy, 2, map[string]error{energy[0]: protocol.ErrSilent}},
		{"a part that is not frozen", func(m *storingMeter) { m.lacks = []DI{0x05060200} }, both, 10, map[string]error{both[1]: nil}},
		{"no part that is frozen", func(m *storingMeter) { m.lacks = []DI{0x05060100} }, energy, 0, map[string]error{energy[0]: nil}},
		{"no part of the block that is frozen", func(m *storingMeter) { m.lacks = []DI{0x0506FF00, 0x05060100, 0x05060200, 0x05060900} }, []string{"daily_freeze"}, 0, map[string]error{"daily_freeze": nil}},
		{"no freezes", func(m *storingMeter) { m.freezes = nil }, energy, 0, map[string]error{energy[0]: nil}},
		{"no load record", func(m *storingMeter) { m.lacks = []DI{0x06060000} }, load, 0, map[string]error{load[0]: nil}},
		{"silence in the load record", func(m *storingMeter) { m.mute = silentFrom(3) }, load, 17, map[string]error{load[0]: protocol.ErrSilent}},
		{"a follow-up frame that is missing", func(m *storingMeter) { m.mute = silentFrom(4) }, load, 17, map[string]error{load[0]: protocol.ErrGarbled}},
		{"a meter that always begins with the earliest", func(m *storingMeter) { m.heed = func(time.Time) time.Time { return time.Time{} } },
			load, 17, map[string]error{load[0]: protocol.ErrGarbled}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := storing()
			test.change(m)
			got := m.ask(t, "112233445566", day(1), time.Time{}, test.items...)
			got.times(t)
			checkEnding(t, ending{errors: got.errors}, nil, test.errors)
			if len(got.Samples) != test.count || !got.Next.IsZero() {
				t.Errorf("%d samples, next %v, want %d", len(got.Samples), got.Next, test.count)
			}
		})
	}
}

func TestHistoryOfALoadRecord(t *testing.T) {
	for _, test := range []struct {
		name     string
		item     string
		change   func(m *storingMeter)
		from, to time.Time
		want     int // samples
		first    time.Time
		asked    int // first requests, without follow-ups
	}{
		{"all", "load_record_6", nil, day(1), time.Time{}, 96, day(20), 6 + 1},
		{"by another name", "load_record_6_latest", nil, day(20).Add(23 * time.Hour), time.Time{}, 4, day(20).Add(23 * time.Hour), 2},
		{"by identifier", "06060000", nil, day(20).Add(22*time.Hour + time.Second), time.Time{}, 7, day(20).Add(22*time.Hour + 15*time.Minute), 2},
		{"to a moment", "load_record_6", nil, day(20).Add(time.Hour), day(20).Add(2 * time.Hour), 4, day(20).Add(time.Hour), 1},
		{"to the end of a portion", "load_record_6", nil, day(20), day(20).Add(16*15*time.Minute + time.Minute), 17, day(20), 1},
		{"before 2000", "load_record_6", nil, time.Unix(0, 0), day(20).Add(time.Minute), 1, day(20), 1},
		{"none", "load_record_6", nil, day(21), time.Time{}, 0, time.Time{}, 1},
		{"none, and refused", "load_record_6", func(m *storingMeter) { m.refuses = true }, day(20), time.Time{}, 96, day(20), 6 + 1},
		{"a meter that never gives nothing", "load_record_6", func(m *storingMeter) {
			m.heed = func(from time.Time) time.Time {
				if last := m.load[len(m.load)-1]; from.After(last) {
					return last
				}
				return from
			}
		}, day(20), time.Time{}, 96, day(20), 6 + 1},
		{"blocks that are not valid", "load_record_6", func(m *storingMeter) {
			m.invalid = make(map[time.Time]bool)
			for _, at := range m.load[5:60] {
				m.invalid[at] = true
			}
		}, day(20), time.Time{}, 41, day(20), 6 + 1},
		{"short frames", "load_record_6", func(m *storingMeter) { m.longest = 50 }, day(20), time.Time{}, 96, day(20), 6 + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := storing()
			if test.change != nil {
				test.change(m)
			}
			got := m.ask(t, "112233445566", test.from, test.to, test.item)
			times := got.times(t)
			if len(got.errors) > 0 || !got.Next.IsZero() || len(times) != test.want || !slices.IsSortedFunc(times, time.Time.Compare) {
				t.Fatalf("%d samples, errors %v, next %v, want %d", len(times), got.errors, got.Next, test.want)
			}
			if len(times) > 0 && !times[0].Equal(test.first) {
				t.Errorf("the first is of %s, want %s", times[0], test.first)
			}
			first := 0
			for i, data := range m.asked {
				if len(data) == 2*(4+6) {
					first++
				} else if m.longest == 0 && (i == 0 || len(m.asked[i-1]) != 2*(4+6)) {
					t.Errorf("a portion has more than two frames: %v", m.asked)
				}
			}
			if first != test.asked {
				t.Errorf("asked %d times, want %d: %v", first, test.asked, m.asked)
			}
			for _, steps := range got.steps[:len(got.steps)-1] {
				if steps != 1 {
					t.Errorf("the parts of the plan have %v steps: others could not go between", got.steps)
				}
			}
		})
	}
}

// The pages of a long history join without a gap and without a sample twice, although the
// meter goes on storing.
func TestPagesOfHistory(t *testing.T) {
	m := storing()
	m.load = nil
	for n := range 1200 {
		m.load = append(m.load, day(1).Add(time.Duration(n)*15*time.Minute))
	}
	m.before = func(int) { m.load = append(m.load, m.load[len(m.load)-1].Add(15*time.Minute)) }
	var times []time.Time
	var sizes []int
	for from := day(1); !from.IsZero(); {
		got := m.ask(t, "112233445566", from, day(15), "load_record_6")
		if len(got.errors) > 0 {
			t.Fatal(got.errors)
		}
		times = append(times, got.times(t)...)
		sizes = append(sizes, len(got.Samples))
		from = got.Next
	}
	if want := []int{500, 500, 344}; !slices.Equal(sizes, want) {
		t.Errorf("pages of %v samples, want %v", sizes, want)
	}
	for n, at := range times {
		if want := day(1).Add(time.Duration(n) * 15 * time.Minute); !at.Equal(want) {
			t.Fatalf("sample %d is of %s, want %s", n, at, want)
		}
	}
}

// All samples come from the meter that has answered first.
func TestHistoryBehindAWildcard(t *testing.T) {
	for _, test := range []struct {
		address string
		mute    func(request int) bool
		want    string
	}{
		{"AAAAAAAA5566", nil, "112233445566"},
		{"AAAAAAAAAAAA", nil, "112233445566"},
		{"AAAAAAAAAAAA", func(request int) bool { return request == 1 }, "112233445566"}, // it does not tell its address
	} {
		for _, item := range []string{"load_record_6", "daily_freeze_forward_active_energy"} {
			m := storing()
			m.mute = test.mute
			plan, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbRead, Address: meterAt(test.address), Items: []string{item}, From: day(19)}, nil)
			if err != nil {
				t.Fatal(err)
			}
			then, others := plan.Then, 0
			plan.Then = func(answers []protocol.Answer) (protocol.Plan, error) {
				next, err := then(answers)
				for _, step := range next.Steps {
					if answers[0].Err == nil && step.Meter.Text != test.want {
						others++
					}
				}
				return next, err
			}
			if got := m.tell(t, plan); len(got.Samples) == 0 || len(got.errors) > 0 || others > 0 {
				t.Errorf("%s of %s: %d samples, errors %v, %d steps to others", item, test.address, len(got.Samples), got.errors, others)
			}
		}
	}
}

func TestHistoryOfNothingStored(t *testing.T) {
	for _, test := range []struct {
		version Version
		items   string
		want    error
		text    string
	}{
		{V2007, "voltage_a", protocol.ErrBadRequest, "voltage_a is no stored sample"},
		{V2007, "power_down_record", protocol.ErrBadRequest, "is no stored sample"},
		{V2007, "no_such", protocol.ErrUnknownItem, "neither the name"},
		{V2007, "05FF0101", protocol.ErrBadRequest, "not in the dictionary"},
		{V2007, "daily_freeze hourly_freeze", protocol.ErrBadRequest, "daily_freeze and hourly_freeze are not stored together"},
		{V2007, "daily_freeze load_record_1", protocol.ErrBadRequest, "daily_freeze and load_record_1 are not stored together"},
		{V2007, "load_record_1 load_record_2", protocol.ErrBadRequest, "load_record_1 and load_record_2 are not stored together"},
		{V1997, "load_record_start", protocol.ErrUnsupported, "DL/T 645-1997 has no freezes"},
	} {
		request := protocol.Request{Verb: protocol.VerbRead, Address: meterAt("1"), Items: strings.Fields(test.items), From: day(1)}
		if plan, err := New(test.version, shanghai).Plan(request, nil); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: got %+v, %v, want %q", test.items, plan, err, test.text)
		}
	}
	m := storing()
	if got := m.ask(t, "112233445566", time.Date(2100, 1, 1, 0, 0, 0, 0, shanghai), time.Time{}, "load_record_6"); !errors.Is(got.errors["load_record_6"], protocol.ErrBadRequest) || len(m.asked) > 0 {
		t.Errorf("in a century that the meter does not know: %v, asked %v", got.errors, m.asked)
	}
}

// Every freeze and load record of the table can be asked for without the number of a record.
func TestEveryStoredItemIsFound(t *testing.T) {
	m := New(V2007, shanghai)
	found := 0
	for _, row := range m.items.Matching() {
		if class := row.DI[:2]; class != "05" && class != "06" {
			continue
		}
		item, ok := m.items.Named(row.Name)
		if !ok {
			t.Errorf("%s is not found", row.Name)
			continue
		}
		for _, name := range append(item.Names(), row.Name) {
			if item.DI>>24 == classLoadRecord {
				name = name[:strings.LastIndexByte(name, '_')]
			} else {
				name = storedName(name, "", int(byte(item.DI)))
			}
			parts, err := m.storedParts([]string{name})
			if err != nil || parts[0].name != name || parts[0].item.DI>>8 != item.DI>>8 && item.family.codec == nil || parts[0].item.Name == "" {
				t.Errorf("%s: %+v, %v", name, parts, err)
			}
			found++
		}
	}
	if found < 200 {
		t.Errorf("only %d names", found)
	}
}
