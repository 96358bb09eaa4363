package simulator_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/simulator"
)

// newSite698 puts meters of DL/T 698.45 on a wire.
func newSite698(t *testing.T, options ...simulator.Meter698Options) *site {
	t.Helper()
	s := &site{t: t, spoken: dlt698.New(shanghai), now: midday}
	var devices []simulator.Device
	for _, o := range options {
		m, err := simulator.NewMeter698(o)
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, m)
	}
	s.bus = simulator.NewBus(simulator.BusOptions{Devices: devices, WakeUp: 4})
	return s
}

// read reads items of the first meter, or of an address.
func (s *site) read(address string, items ...string) ending {
	s.t.Helper()
	if address == "" {
		address = s.bus.Devices()[0].Address()
	}
	return s.do(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: s.address(address), Items: items})
}

// shownValues writes values as JSON, and the errors behind them.
func shownValues(e ending) string {
	var words []string
	for _, v := range e.values {
		b, _ := json.Marshal(v.Data)
		words = append(words, fmt.Sprintf("%s=%s%s", v.Name, b, v.Unit))
	}
	for _, err := range e.errors {
		words = append(words, fmt.Sprintf("%s: %v", err.Item, err.Err))
	}
	return strings.Join(words, " ")
}

func names(e ending) (names []string) {
	for _, v := range e.values {
		names = append(names, v.Name)
	}
	return names
}

// twenty are items that take twenty exchanges one by one.
var twenty = []string{
	"forward_active_energy", "forward_active_energy_t1", "forward_active_energy_t2", "forward_active_energy_t3", "forward_active_energy_t4",
	"reverse_active_energy", "voltage_a", "voltage_b", "voltage_c", "current_a", "current_b", "current_c",
	"active_power", "active_power_a", "active_power_b", "active_power_c", "reactive_power", "power_factor", "frequency", "relay_open",
}

// TestRead698 reads twenty items in as few exchanges as each kind of meter allows, and the same values.
func TestRead698(t *testing.T) {
	var want string
	for _, row := range []struct {
		name      string
		options   simulator.Meter698Options
		exchanges int // the first time
		again     int // once the meter is known
	}{
		{"plain", simulator.Meter698Options{}, 1, 1},
		{"scrambled", simulator.Meter698Options{Scrambled: true}, 1, 1},
		{"with reports behind", simulator.Meter698Options{Follow: true}, 1, 1},
		{"in fragments", simulator.Meter698Options{Fragment: 60}, 3, 3},
		{"in blocks", simulator.Meter698Options{Block: 100}, 2, 3},
		{"in blocks, the last one short", simulator.Meter698Options{Block: 145}, 2, 2},
		{"secured", simulator.Meter698Options{Secured: true}, 2, 2},
		{"secured, scrambled, in fragments", simulator.Meter698Options{Secured: true, Scrambled: true, Fragment: 50, Follow: true}, 6, 8},
		{"without lists", simulator.Meter698Options{NoLists: true}, 10, 10},
		{"of logical address 1", simulator.Meter698Options{Logical: 1}, 1, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.options.Address = "000000000010"
			s := newSite698(t, row.options)
			if row.options.Logical != 0 {
				var err error
				if s.spoken, err = dlt698.New(shanghai).Configure(map[string]string{"logical": "1"}); err != nil {
					t.Fatal(err)
				}
			}
			e := s.read("", twenty...)
			slices.Sort(twenty)
			got := names(e)
			slices.Sort(got)
			if e.err != nil || !slices.Equal(got, twenty) || len(e.errors) > 0 && !row.options.NoLists {
				t.Fatalf("read %s (%v)", shownValues(e), e.err)
			}
			if s.exchanges != row.exchanges {
				t.Errorf("it took %d exchanges, want %d", s.exchanges, row.exchanges)
			}
			s.now, s.exchanges = midday, 0
			if row.options.NoLists {
				return
			}
			e = s.read("", twenty...)
			slices.SortFunc(e.values, func(a, b protocol.Value) int { return strings.Compare(a.Name, b.Name) })
			values := shownValues(e)
			if want == "" {
				want = values
			}
			if values != want || !strings.Contains(want, "forward_active_energy=") {
				t.Errorf("read %s, and without what is special to the meter %s", values, want)
			}
			if s.exchanges > row.again {
				t.Errorf("the second time it took %d exchanges, want %d", s.exchanges, row.again)
			}
		})
	}
}

func TestRead698Refused(t *testing.T) {
	secured := simulator.Meter698Options{Address: "000000000010", Secured: true, NoModule: true}
	for _, row := range []struct {
		name    string
		options simulator.Meter698Options
		items   []string
		want    []string
	}{
		{
			"one of a list", simulator.Meter698Options{Address: "000000000010", Lacks: []dlt698.OAD{0x200F0200}}, []string{"voltage_a", "frequency"},
			[]string{"voltage_a=", "frequency: the meter refused (code 06H): no_such_data"},
		},
		{
			"an element that no table has, beside others", simulator.Meter698Options{Address: "000000000010"}, []string{"voltage_a", "20000204", "voltage_b"},
			[]string{"voltage_a=", "voltage_b=", "20000204: the meter refused (code 06H): no_such_data"},
		},
		{
			"one alone", simulator.Meter698Options{Address: "000000000010", Lacks: []dlt698.OAD{0x200F0200}}, []string{"frequency"},
			[]string{"frequency: the meter refused (code 06H): no_such_data"},
		},
		{"what it has no right for", secured, []string{"voltage_a", "forward_active_energy"}, []string{"forward_active_energy=", "voltage_a: the meter refused (code 0FH): authentication_required"}},
		{
			"phases of a meter with one", simulator.Meter698Options{Address: "000000000010", OnePhase: true}, []string{"voltage_a", "voltage_b", "voltage_block"},
			[]string{"voltage_a=", "voltage_b: the meter refused (code 06H): no_such_data"},
		},
		{"what no table has", simulator.Meter698Options{Address: "000000000010"}, []string{"F2990200"}, []string{"F2990200: the meter refused (code 06H): no_such_data"}},
		{"what is no item", simulator.Meter698Options{Address: "000000000010"}, []string{"nonsense"}, []string{"nonsense: unknown item"}},
		{"a freeze without a number", simulator.Meter698Options{Address: "000000000010"}, []string{"daily_freeze"}, []string{"daily_freeze_1 is the latest"}},
		{"a parameter that no table has", simulator.Meter698Options{Address: "000000000010"}, []string{"F1010200"}, []string{"security_mode=false"}},
		{"a password", simulator.Meter698Options{Address: "000000000010"}, []string{"44010200"}, []string{"44010200: unsupported: nobody is shown a password"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite698(t, row.options)
			got := shownValues(s.read("", row.items...))
			for _, want := range row.want {
				if !strings.Contains(got, want) {
					t.Errorf("read %s, and %q is missing", got, want)
				}
			}
		})
	}
}

// TestRead698Whoever reads whoever is there.
func TestRead698Whoever(t *testing.T) {
	s := newSite698(t, simulator.Meter698Options{Address: "000000000010"})
	e := s.read("AAAAAAAAAAAA", "address", "daily_freeze_1", "frequency")
	if got := shownValues(e); !strings.Contains(got, `address="000000000010"`) || !strings.Contains(got, "daily_freeze_forward_active_energy_1=") || !strings.Contains(got, "frequency=") {
		t.Errorf("read %s", got)
	}
}

func TestRecords698(t *testing.T) {
	s := newSite698(t, simulator.Meter698Options{Address: "000000000010"})
	e := s.read("", "daily_freeze_1", "daily_freeze_forward_active_energy_2", "monthly_freeze_time_1", "power_down_record_1", "daily_freeze_forward_active_demand_1_time")
	got := shownValues(e)
	for _, want := range []string{
		`daily_freeze_time_1="2026-11-21T00:00:00+08:00"`, "daily_freeze_forward_active_energy_1=", "daily_freeze_forward_active_energy_t1_1=", "daily_freeze_forward_active_energy_2=",
		`monthly_freeze_time_1="2026-11-01T00:00:00+08:00"`, `power_down_record_1={"end":"20`, "daily_freeze_forward_active_demand_1_time=",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("read %s, and %q is missing", got, want)
		}
	}
	if len(e.errors) > 0 {
		t.Error(e.errors)
	}
}

// TestHistory698 reads what meters have stored, whether they give many rows at once or one.
func TestHistory698(t *testing.T) {
	at := func(text string) time.Time {
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return moment
	}
	for _, row := range []struct {
		name        string
		items       []string
		from, to    string
		samples     int
		first, last string
		one         int // exchanges at least with a meter that gives one row
		next        string
	}{
		{"yesterday", []string{"daily_freeze_forward_active_energy"}, "2026-11-20T00:00:00+08:00", "2026-11-21T00:00:00+08:00", 1, "2026-11-20T00:00:00+08:00", "2026-11-20T00:00:00+08:00", 1, ""},
		{"a week", []string{"daily_freeze"}, "2026-11-14T00:00:00+08:00", "2026-11-21T00:00:00+08:00", 7, "2026-11-14T00:00:00+08:00", "2026-11-20T00:00:00+08:00", 8, ""},
		{"all days", []string{"daily_freeze"}, "2020-01-01T00:00:00+08:00", "", 62, "2026-09-21T00:00:00+08:00", "2026-11-21T00:00:00+08:00", 62, ""},
		{"hours", []string{"hourly_freeze_forward_active_energy"}, "2026-11-20T12:00:00+08:00", "", 25, "2026-11-20T12:00:00+08:00", "2026-11-21T12:00:00+08:00", 25, ""},
		{"months", []string{"monthly_freeze_forward_active_energy", "monthly_freeze_forward_active_demand"}, "2026-01-01T00:00:00+08:00", "", 11, "2026-01-01T00:00:00+08:00", "2026-11-01T00:00:00+08:00", 11, ""},
		{"a load record", []string{"load_record_1"}, "2026-11-21T10:00:00+08:00", "2026-11-21T12:00:00+08:00", 8, "2026-11-21T10:00:00+08:00", "2026-11-21T11:45:00+08:00", 8, ""},
		{"more than one read brings", []string{"minute_freeze_voltage_a"}, "2026-11-01T00:00:00+08:00", "", 500, "2026-11-11T02:15:00+08:00", "2026-11-16T07:00:00+08:00", 0, "2026-11-16T07:15:00+08:00"},
		{"nothing", []string{"daily_freeze"}, "2026-11-22T00:00:00+08:00", "", 0, "", "", 1, ""},
		{"never frozen", []string{"instantaneous_freeze"}, "2026-11-01T00:00:00+08:00", "", 0, "", "", 1, ""},
	} {
		for _, oneRow := range []bool{false, true} {
			if oneRow && row.one == 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, one row %v", row.name, oneRow), func(t *testing.T) {
				s := newSite698(t, simulator.Meter698Options{Address: "000000000010", OneRow: oneRow, Secured: true})
				request := protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: s.address("000000000010"), Items: row.items, From: at(row.from)}
				if row.to != "" {
					request.To = at(row.to)
				}
				e := s.do(request)
				if e.err != nil || len(e.errors) > 0 || s.history == nil {
					t.Fatalf("%v, %v", e.err, e.errors)
				}
				samples := s.history.Samples
				if len(samples) != row.samples {
					t.Fatalf("%d samples came, want %d", len(samples), row.samples)
				}
				if next := s.history.Next; row.next == "" != next.IsZero() || row.next != "" && !next.Equal(at(row.next)) {
					t.Errorf("the next is %s, want %s", next, row.next)
				}
				if row.samples == 0 {
					return
				}
				if !samples[0].Time.Equal(at(row.first)) || !samples[len(samples)-1].Time.Equal(at(row.last)) {
					t.Errorf("from %s to %s, want from %s to %s", samples[0].Time, samples[len(samples)-1].Time, row.first, row.last)
				}
				for i, sample := range samples {
					if len(sample.Values) == 0 || sample.Values[0].Data == nil || i > 0 && !samples[i-1].Time.Before(sample.Time) {
						t.Errorf("sample %d of %s: %v", i, sample.Time, sample.Values)
					}
				}
				if oneRow && s.exchanges < row.one {
					t.Errorf("%d exchanges", s.exchanges)
				}
				if !oneRow && s.exchanges > 6+row.samples/3 {
					t.Errorf("%d samples took %d exchanges", row.samples, s.exchanges)
				}
			})
		}
	}
}

// TestColumns698 reads columns of freezes from meters that store all of an attribute, its elements, or either: the values are
// the same, and what was learned spares the second question.
func TestColumns698(t *testing.T) {
	for _, row := range []struct {
		items     []string
		exchanges [3]int // of a meter that stores either, all, or elements
		again     [3]int
	}{
		{[]string{"daily_freeze_forward_active_energy_1"}, [3]int{1, 2, 1}, [3]int{1, 1, 1}},
		{[]string{"daily_freeze_forward_active_energy_1", "daily_freeze_forward_active_energy_t1_1", "daily_freeze_forward_active_energy_t2_1", "daily_freeze_forward_active_energy_t3_1"}, [3]int{1, 1, 2}, [3]int{1, 1, 1}},
		{[]string{"daily_freeze_voltage_a_1", "daily_freeze_forward_active_energy_1"}, [3]int{1, 2, 1}, [3]int{1, 1, 1}},
		{[]string{"daily_freeze_frequency_1"}, [3]int{1, 1, 1}, [3]int{1, 1, 1}},
		{[]string{"minute_freeze_1"}, [3]int{1, 2, 2}, [3]int{1, 1, 1}},
	} {
		want := ""
		for i, stores := range []simulator.Columns698{simulator.AnyColumns, simulator.WholeColumns, simulator.ElementColumns} {
			for _, secured := range []bool{false, true} {
				s := newSite698(t, simulator.Meter698Options{Address: "000000000010", Stores: stores, Secured: secured})
				e := s.read("", row.items...)
				got := shownValues(e)
				if want == "" {
					want = got
				}
				asRow := len(row.items) == 1 && strings.HasSuffix(row.items[0], "freeze_1")
				if e.err != nil || strings.Contains(got, "null") && !asRow || got != want && !asRow {
					t.Errorf("stored %d: %s, want %s (%v)", stores, got, want, e.err)
				}
				if asRow && (!strings.Contains(got, "minute_freeze_forward_active_energy_1=480886.80kWh") || !strings.Contains(got, "minute_freeze_voltage_c_1=221.2V")) {
					t.Errorf("stored %d: %s", stores, got)
				}
				if n := row.exchanges[i]; !secured && s.exchanges != n {
					t.Errorf("%s, stored %d: %d exchanges, want %d", row.items[0], stores, s.exchanges, n)
				}
				s.exchanges, s.now = 0, midday
				if again := shownValues(s.read("", row.items...)); again != got || s.exchanges != row.again[i] {
					t.Errorf("%s, stored %d: %d exchanges, want %d, for %s", row.items[0], stores, s.exchanges, row.again[i], again)
				}
				request := protocol.Request{
					Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: s.address("000000000010"), Items: row.items[:1],
					From: midday.AddDate(0, 0, -3),
				}
				if e := s.do(request); e.err != nil || len(e.errors) > 0 || len(s.history.Samples) < 3 || s.history.Samples[0].Values[0].Data == nil {
					t.Errorf("%s, stored %d: history %v, %v, %v", row.items[0], stores, s.history, e.errors, e.err)
				}
			}
		}
	}
}

// TestHistory698Unreadable reads what a meter does not give row by row: what came is not passed off as all.
func TestHistory698Unreadable(t *testing.T) {
	from := time.Date(2026, 11, 11, 0, 0, 0, 0, shanghai)
	for _, row := range []struct {
		name    string
		options simulator.Meter698Options
		item    string
		samples int
		want    string
	}{
		{"more rows than have numbers", simulator.Meter698Options{OneRow: true}, "minute_freeze_voltage_a", 255, "what it stored before 2026-11-18T20:30:00+08:00 is not read"},
		{"the same row for ever", simulator.Meter698Options{SameRow: true}, "daily_freeze", 1, "asked for the row before that of 2026-11-21T00:00:00+08:00 the meter gives no earlier one"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.options.Address = "000000000010"
			s := newSite698(t, row.options)
			e := s.do(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: s.address("000000000010"), Items: []string{row.item}, From: from})
			if e.err != nil || len(e.errors) != 1 || !strings.Contains(e.errors[0].Err.Error(), row.want) {
				t.Errorf("%v, %v", e.err, e.errors)
			}
			if len(s.history.Samples) != row.samples || s.exchanges > 270 {
				t.Errorf("%d samples in %d exchanges", len(s.history.Samples), s.exchanges)
			}
		})
	}
}

func TestHistory698Refuses(t *testing.T) {
	s := newSite698(t, simulator.Meter698Options{Address: "000000000010"})
	for _, items := range [][]string{{"voltage_a"}, {"daily_freeze", "monthly_freeze"}, {"power_down_record_1"}} {
		request := protocol.Request{Verb: protocol.VerbRead, Address: s.address("000000000010"), Items: items, From: midday}
		if e := s.do(request); !errors.Is(e.err, protocol.ErrBadRequest) {
			t.Errorf("%v: %v", items, e.err)
		}
	}
}

func TestRelay698(t *testing.T) {
	for _, row := range []struct {
		name     string
		options  simulator.Meter698Options
		actions  []string
		open     bool
		want     string // "done", "pending" or a reason
		relay    string
		prepared func(*simulator.Meter698)
	}{
		{"trip", simulator.Meter698Options{}, []string{"trip"}, true, "done", "open", nil},
		{"trip and close", simulator.Meter698Options{}, []string{"trip", "close"}, false, "done", "closed", nil},
		{"permit", simulator.Meter698Options{}, []string{"trip", "permit_close"}, true, "taken", "open", nil},
		{"slow", simulator.Meter698Options{RelayDelay: time.Minute}, []string{"trip"}, false, "pending", "closed", nil},
		{"keep power", simulator.Meter698Options{}, []string{"keep_power", "trip"}, false, "not_authorised", "closed", nil},
		{"secured", simulator.Meter698Options{Secured: true}, []string{"trip"}, false, "authentication_required", "closed", nil},
		{"no relay", simulator.Meter698Options{RefusesRelay: true}, []string{"trip"}, false, "not_authorised", "", nil},
		{"another clock", simulator.Meter698Options{}, []string{"trip"}, false, "deadline_passed", "closed", func(m *simulator.Meter698) { m.SetClock(-time.Hour) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.options.Address = "000000000010"
			s := newSite698(t, row.options)
			m := s.bus.Devices()[0].(*simulator.Meter698)
			if row.prepared != nil {
				row.prepared(m)
			}
			var e ending
			for _, action := range row.actions {
				e = s.give(protocol.VerbRelay, protocol.Command{Action: action})
			}
			var refusal *protocol.Refusal
			got := "taken"
			switch {
			case e.err != nil:
				t.Fatal(e.err)
			case errors.As(e.command, &refusal):
				got = refusal.Reasons[0]
			case e.command != nil:
				t.Fatal(e.command)
			case e.report.Pending:
				got = "pending"
			case e.report.Verified:
				got = "done"
			}
			if got != row.want || e.report.Relay != row.relay || m.RelayOpen(s.now) != row.open || e.sent != 1 {
				t.Errorf("%s, relay %q, open %v, %d commands; want %s, %q, %v, 1: %+v", got, e.report.Relay, m.RelayOpen(s.now), e.sent, row.want, row.relay, row.open, e.report)
			}
		})
	}
}

// TestRelay698ByPassword closes the relay of a secured meter by its password.
func TestRelay698ByPassword(t *testing.T) {
	for password, want := range map[string]bool{"123456": true, "654321": false} {
		s := newSite698(t, simulator.Meter698Options{Address: "000000000010", Secured: true, Password: "123456"})
		e := s.give(protocol.VerbRelay, protocol.Command{Action: "close", Passwords: map[string]string{"02": password}, Arguments: protocol.Arguments{"level": "02"}})
		if verified := e.report.Verified; verified != want || !want && !errors.Is(e.command, protocol.ErrUnauthorised) {
			t.Errorf("password %s: verified %v, %v", password, verified, e.command)
		}
	}
}

func TestClock698(t *testing.T) {
	for _, row := range []struct {
		name    string
		ahead   time.Duration
		secured bool
		sent    int
		want    bool
	}{
		{"by two minutes", 2 * time.Minute, false, 1, true},
		{"by two minutes, of a secured meter", -2 * time.Minute, true, 1, true},
		{"by two hours", 2 * time.Hour, false, 1, true},
		{"by two hours, of a secured meter", 2 * time.Hour, true, 1, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite698(t, simulator.Meter698Options{Address: "000000000010", Secured: row.secured})
			m := s.bus.Devices()[0].(*simulator.Meter698)
			m.SetClock(row.ahead)
			e := s.give(protocol.VerbMaintenance, protocol.Command{Action: "sync_clock"})
			if e.err != nil || e.report.Verified != row.want || e.sent != row.sent || e.report.DriftBefore == nil {
				t.Fatalf("%v, %v, %d commands, %+v", e.err, e.command, e.sent, e.report)
			}
			if !row.want && !errors.Is(e.command, protocol.ErrUnauthorised) {
				t.Errorf("%v", e.command)
			}
			if row.ahead.Abs() > 5*time.Minute {
				return
			}
			// Once more on the same day the method is refused, and the clock is set as a parameter.
			m.SetClock(time.Minute)
			if e = s.give(protocol.VerbMaintenance, protocol.Command{Action: "sync_clock"}); e.sent != 2 || e.report.Verified == row.secured {
				t.Errorf("the second time: %v, %d commands, %+v", e.command, e.sent, e.report)
			}
		})
	}
}

func TestMaintenance698(t *testing.T) {
	s := newSite698(t, simulator.Meter698Options{Address: "000000000010"})
	m := s.bus.Devices()[0].(*simulator.Meter698)
	for _, action := range []string{"freeze", "clear_demand", "clear_events"} {
		if e := s.give(protocol.VerbMaintenance, protocol.Command{Action: action}); e.err != nil || e.command != nil {
			t.Errorf("%s: %v, %v", action, e.err, e.command)
		}
	}
	if e := s.give(protocol.VerbMaintenance, protocol.Command{Action: "clear_meter"}); !errors.Is(e.err, protocol.ErrBadRequest) {
		t.Errorf("clear_meter without its address: %v", e.err)
	}
	if e := s.give(protocol.VerbMaintenance, protocol.Command{Action: "clear_meter", Arguments: protocol.Arguments{"confirm": "000000000010"}}); e.err != nil || e.command != nil {
		t.Errorf("clear_meter: %v, %v", e.err, e.command)
	}
	if c := m.Counts(); c.Freezes != 1 || c.DemandClears != 1 || c.EventClears != 1 || c.MeterClears != 1 {
		t.Errorf("%+v", c)
	}
	if got := shownValues(s.read("", "forward_active_energy")); got != "forward_active_energy=0.00kWh" {
		t.Errorf("after it was cleared: %s", got)
	}
}

func TestWrite698(t *testing.T) {
	s := newSite698(t, simulator.Meter698Options{Address: "000000000010"})
	write := func(item string, value any) ending {
		return s.give(protocol.VerbWrite, protocol.Command{Arguments: protocol.Arguments{"item": item, "value": value}})
	}
	if e := write("demand_period", json.Number("30")); e.err != nil || e.command != nil || !e.report.Verified {
		t.Errorf("%v, %v, %+v", e.err, e.command, e.report)
	}
	counts := map[string]any{}
	for i, name := range []string{"year_zone_count", "day_table_count", "day_period_count", "tariff_count", "holiday_count"} {
		counts[name] = json.Number(fmt.Sprint(i + 1))
	}
	e := write("period_counts", counts)
	if e.err != nil || e.command != nil || !e.report.Verified || e.report.Value == nil {
		t.Fatalf("%v, %v, %+v", e.err, e.command, e.report)
	}
	if got, err := json.Marshal(e.report.Value.Data); err != nil || string(got) != `{"day_period_count":3,"day_table_count":2,"holiday_count":5,"tariff_count":4,"year_zone_count":1}` {
		t.Errorf("%s, %v", got, err)
	}
	for _, row := range []struct {
		item  string
		value any
		want  string
	}{
		{"voltage_limits", json.Number("1"), "write an object with voltage_test_upper_limit"},
		{"voltage_limits", map[string]any{"voltage_upper_limit": json.Number("235.4")}, "voltage_test_upper_limit is missing"},
		{"money_alarms", map[string]any{"money_alarm_1": json.Number("1"), "money_alarm_2": json.Number("2"), "money": json.Number("2")}, "money is no value of money_alarms"},
		{"money_alarms", map[string]any{"money_alarm_1": json.Number("1"), "money_alarm_2": json.Number("0.005")}, "money_alarm_2: bad request: 0.005 does not fit"},
		{"money_alarm_1", json.Number("1"), "together with the other values of money_alarms"},
		{"security_mode", json.Number("1"), "true or false"},
	} {
		if e := write(row.item, row.value); !errors.Is(e.err, protocol.ErrBadRequest) || !strings.Contains(e.err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", row.item, e.err, row.want)
		}
	}
	for item, want := range map[string]error{"voltage_a": protocol.ErrUnsupported, "clock": protocol.ErrUnsupported, "nonsense": protocol.ErrUnknownItem, "F2990200": protocol.ErrUnsupported} {
		if e := write(item, json.Number("1")); !errors.Is(e.err, want) {
			t.Errorf("%s: %v", item, e.err)
		}
	}
	secured := newSite698(t, simulator.Meter698Options{Address: "000000000010", Secured: true})
	e = secured.give(protocol.VerbWrite, protocol.Command{Arguments: protocol.Arguments{"item": "demand_period", "value": json.Number("30")}})
	if !errors.Is(e.command, protocol.ErrUnauthorised) || e.sent != 1 {
		t.Errorf("%v, %d commands", e.command, e.sent)
	}
}

// TestBroadcast698 gives the time to all meters.
func TestBroadcast698(t *testing.T) {
	s := newSite698(t, simulator.Meter698Options{Address: "000000000010", Secured: true}, simulator.Meter698Options{Address: "000000000011"})
	for _, d := range s.bus.Devices() {
		d.(*simulator.Meter698).SetClock(time.Minute)
	}
	e := s.do(protocol.Request{Verb: protocol.VerbBroadcast, Class: protocol.ClassCommand, Command: &protocol.Command{Action: "time", Now: s.now}})
	if e.err != nil || e.command != nil || e.sent != 1 {
		t.Fatalf("%v, %v, %d commands", e.err, e.command, e.sent)
	}
	for _, d := range s.bus.Devices() {
		if c := d.(*simulator.Meter698).Counts(); c.ClockSets != 1 {
			t.Errorf("%s: %+v", d.Address(), c)
		}
	}
}

// TestFind698 finds meters by their digits.
func TestFind698(t *testing.T) {
	addresses := []string{"000000000010", "000000000011", "202412345678"}
	var options []simulator.Meter698Options
	for _, address := range addresses {
		options = append(options, simulator.Meter698Options{Address: address, Secured: true})
	}
	s := newSite698(t, options...)
	q, err := dlt698.New(shanghai).Find("")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	var ask func(q protocol.Question)
	ask = func(q protocol.Question) {
		answer := s.talk(&q.Steps[0])
		switch {
		case errors.Is(answer.Err, protocol.ErrSilent):
			return
		case answer.Err == nil && q.Levels == 0:
			found = append(found, answer.Result.Address.Text)
		}
		for _, narrower := range q.Narrow() {
			ask(narrower)
		}
	}
	ask(q)
	slices.Sort(found)
	if !slices.Equal(found, addresses) {
		t.Errorf("found %v, want %v", found, addresses)
	}
}

// TestRaw698 sends frames as they are.
func TestRaw698(t *testing.T) {
	s := newSite698(t, simulator.Meter698Options{Address: "202412345678"})
	m := s.bus.Devices()[0].(*simulator.Meter698)
	raw := func(frame string) ending {
		return s.do(protocol.Request{Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: frametest.FromHex(frame)})
	}
	for _, row := range []struct {
		name, frame string
		permission  protocol.Permission
		err, answer error
	}{
		{"a read", "68 17 00 43 05 78 56 34 12 24 20 10 B7 BE 05 01 01 20 00 02 00 00 CE BA 16", protocol.PermitRead, nil, nil},
		{"a read with a random number", "68 2C 00 43 05 78 56 34 12 24 20 10 61 6F 10 00 08 05 01 01 20 00 02 00 00 01 10 00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF 69 33 16", protocol.PermitRead, nil, nil},
		{"a trip that is too late", "68 31 00 43 05 78 56 34 12 24 20 10 4A A9 07 01 02 80 00 81 00 01 01 02 04 51 F2 05 02 01 11 00 12 00 00 03 00 01 07 EA 03 01 0C 00 00 00 00 05 2B 27 16", protocol.PermitRelay, nil, errRefused},
		{"the time for all", "68 1A 00 43 C0 AA 10 DF E7 07 01 05 40 00 7F 00 1C 07 EA 03 01 0C 00 00 00 C7 04 16", protocol.PermitBroadcast, nil, nil},
		{"the clock is set", "68 1F 00 43 05 78 56 34 12 24 20 10 1D 02 06 01 06 40 00 02 00 1C 07 EA 03 01 0C 00 00 00 4D E0 16", protocol.PermitWrite, nil, nil},
		{"an answer", "68 24 00 C3 05 00 00 00 00 00 00 00 D9 D0 85 01 00 20 00 02 00 01 01 03 12 09 6D 12 09 6E 12 09 6F 00 00 D7 FA 16", "", protocol.ErrBadRequest, nil},
		{"no frame", "68 11", "", protocol.ErrBadRequest, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			plan, err := s.spoken.Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: frametest.FromHex(row.frame)}, nil)
			if !errors.Is(err, row.err) || plan.Permission != row.permission {
				t.Fatalf("%v, wants the permission %q", err, plan.Permission)
			}
			if row.err != nil {
				return
			}
			e := raw(row.frame)
			if e.err != nil || row.answer == nil && e.command != nil || row.answer != nil && e.command == nil {
				t.Errorf("%v, %v", e.err, e.command)
			}
		})
	}
	if c := m.Counts(); c.Relay != 0 || c.ClockSets != 1 {
		t.Errorf("%+v", c)
	}
}

var errRefused = errors.New("refused")
