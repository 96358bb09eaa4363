package dlt645

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// Whoever reads the clock learns what it showed, also if he did not mean to set it.
func TestReadTellsClock(t *testing.T) {
	want := time.Date(2026, 11, 21, 18, 0, 5, 0, shanghai)
	for _, test := range []struct {
		version Version
		item    string
		answer  []byte
		want    time.Time
	}{
		{V2007, "clock", value(meterA, diClock, frametest.FromHex("05 00 18 06 21 11 26")...), want},
		{V2007, "0400010C", value(meterA, diClock, frametest.FromHex("05 00 18 06 21 11 26")...), want},
		{V2007, "clock", value(meterA, diClock, frametest.FromHex("FF FF FF FF FF FF FF")...), time.Time{}},
		{V2007, "clock_date", value(meterA, diDate, frametest.FromHex("06 21 11 26")...), time.Time{}},
		{V2007, "status_3", status3(0), time.Time{}},
		{V1997, "clock", wire(meterA, 0x81, frametest.FromHex("1FC0 06 21 11 26 05 00 18 AA")...), want},
		{V1997, "clock", wire(meterA, 0x81, frametest.FromHex("1FC0 06 21 11 26")...), time.Time{}},
		{V1997, "clock_time", wire(meterA, 0x81, frametest.FromHex("11C0 05 00 18")...), time.Time{}},
	} {
		plan, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbRead, Address: meterAt(meterA), Items: []string{test.item}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, result, err := plan.Steps[0].First.Take(test.answer)
		if err != nil || !result.Clock.Equal(test.want) {
			t.Errorf("%s of %X shows %s, %v, want %s", test.item, test.answer, result.Clock, err, test.want)
		}
	}
}

// A testClock is a meter that has nothing but a clock.
type testClock struct {
	version Version
	address string
	ahead   time.Duration
	lacks   bool // has no date and time in one
	empty   bool // shows no date until it is set
	stuck   bool // acknowledges a new time and keeps the old one
	refuses bool // to be set
	keeps   bool // refuses to have the time set, but not the date
	mute    bool // does not answer when it is set
}

// hear is the counterpart of a plan.
func (m *testClock) hear(t *testing.T) counterpart {
	both, date, clock := clockItems(m.version)
	return func(b []byte, at time.Time) ([]byte, error) {
		frame, err := ParseFrame(b)
		if err != nil {
			t.Fatal(err)
		}
		answer := func(control Control, data ...byte) []byte { return wire(m.address, control, data...) }
		di := diOf(frame.Data, m.version)
		shown := at.Add(m.ahead).In(shanghai)
		now := appendMoment(nil, "YYMMDDWW", shown)
		hour := appendMoment(nil, "hhmmss", shown)
		if m.empty {
			now = []byte{0, 0, 0, 0}
		}
		switch frame.Control.Function() {
		case FunctionRead, FunctionRead1997:
			data := di.Append(nil, m.version)
			switch {
			case di == both && m.lacks:
				return answer(0xC0|frame.Control, 2), nil
			case di == diClock && m.empty:
				return answer(0x91, append(data, make([]byte, 7)...)...), nil
			case di == diClock:
				return answer(0x91, append(data, appendMoment(nil, "YYMMDDWWhhmmss", shown)...)...), nil
			case di == diClock1997:
				return answer(0x81, append(append(data, now...), hour...)...), nil
			case di == date:
				return answer(0x80|frame.Control, append(data, now...)...), nil
			case di == clock:
				return answer(0x80|frame.Control, append(data, hour...)...), nil
			}
			t.Fatalf("asked for %s", di.Format(m.version))
		case FunctionWrite, FunctionWrite1997:
			if m.refuses || m.keeps && di == clock {
				return answer(0xC0|frame.Control, 4), nil
			}
			before := 4 + 4 + 4 // identifier, password, operator
			if m.version == V1997 {
				before = 2 + 4
			}
			value := frame.Data[before:]
			switch di {
			case diClock:
				now, hour = value[3:], value[:3]
			case date:
				now = value
			case clock:
				hour = value
			default:
				t.Fatalf("wrote %s", di.Format(m.version))
			}
			set, wrong := moment("YYMMDDWWhhmmss", append(append([]byte(nil), hour...), now...), shanghai)
			if wrong >= 0 || int(now[0]) != int(set.Weekday()) {
				t.Errorf("the clock was set to %X", value)
			}
			if !m.stuck {
				m.ahead, m.empty = set.Sub(at), false
			}
			if m.mute {
				return nil, nil
			}
			return answer(0x80 | frame.Control), nil
		}
		return nil, nil
	}
}

func TestSyncClock(t *testing.T) {
	begin := time.Date(2026, 11, 21, 18, 0, 0, 400e6, shanghai)
	both := readFrame(meterB, diClock, V2007)
	date, hour := readFrame(meterB, diDate, V2007), readFrame(meterB, diTime, V2007)
	both97 := readFrame(meterB, diClock1997, V1997)
	date97, hour97 := readFrame(meterB, diDate1997, V1997), readFrame(meterB, diTime1997, V1997)
	for _, test := range []struct {
		name   string
		meter  testClock
		sent   []string // 14 and 04 stand for writes
		ending protocol.Ending
		report string
		note   string
	}{
		{
			"as one", testClock{version: V2007, ahead: 90 * time.Second}, []string{both, "14 0400010C", both}, protocol.Acknowledged,
			"readable true verified true pending false before 1m29.3s after -300ms", "",
		},
		{
			"date and time", testClock{version: V2007, ahead: -48 * time.Hour, lacks: true}, []string{both, date, hour, "14 04000101", "14 04000102", date, hour}, protocol.Acknowledged,
			"readable true verified true pending false before -48h0m0.3s after -500ms", "",
		},
		{
			"1997", testClock{version: V1997, ahead: time.Minute}, []string{both97, "04 C010", "04 C011", both97}, protocol.Acknowledged,
			"readable true verified true pending false before 59.3s after -600ms", "",
		},
		{
			"1997 without the block", testClock{version: V1997, ahead: time.Minute, lacks: true}, []string{both97, date97, hour97, "04 C010", "04 C011", date97, hour97}, protocol.Acknowledged,
			"readable true verified true pending false before 59.7s after -500ms", "",
		},
		{
			"a clock that shows nothing", testClock{version: V2007, empty: true}, []string{both, "14 0400010C", both}, protocol.Acknowledged,
			"readable true verified true pending false after -300ms", "",
		},
		{
			"nor in two parts", testClock{version: V2007, lacks: true, empty: true}, []string{both, date, hour, "14 04000101", "14 04000102", date, hour}, protocol.Acknowledged,
			"readable true verified true pending false after -500ms", "",
		},
		{
			"it stays as it is", testClock{version: V2007, ahead: 10 * time.Second, stuck: true}, []string{both, "14 0400010C", both}, protocol.Acknowledged,
			"readable true verified false pending false before 9.3s after 9.7s", "does not show it",
		},
		{
			"refused", testClock{version: V2007, ahead: 10 * time.Second, refuses: true}, []string{both, "14 0400010C"}, protocol.Refused,
			"readable false verified false pending false before 9.3s", "",
		},
		{
			"the date is refused", testClock{version: V2007, ahead: 10 * time.Second, refuses: true, lacks: true}, []string{both, date, hour, "14 04000101"}, protocol.Refused,
			"readable false verified false pending false before 9.7s", "",
		},
		{
			"the time is refused", testClock{version: V2007, ahead: 10 * time.Second, keeps: true, lacks: true}, []string{both, date, hour, "14 04000101", "14 04000102"}, protocol.Refused,
			"readable false verified false pending false before 9.7s", "took the date, but refused the time",
		},
		{
			"no answer", testClock{version: V2007, ahead: 10 * time.Second, mute: true}, []string{both, "14 0400010C", both}, protocol.Unanswered,
			"readable true verified false pending false before 9.3s after -300ms", "was not answered",
		},
		{
			"no answer to the date", testClock{version: V1997, ahead: 10 * time.Second, mute: true}, []string{both97, "04 C010", both97}, protocol.Unanswered,
			"readable true verified false pending false before 9.3s after 8.7s", "was not answered",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.meter.address = meterB
			plan := planned(t, test.meter.version, protocol.VerbMaintenance, meterB, command("sync_clock"))
			if plan.Level != "04" {
				t.Errorf("password %q", plan.Level)
			}
			p := perform(t, plan, begin, test.meter.hear(t))
			var sent []string
			for _, frame := range p.sent {
				f, _ := ParseFrame(frametest.FromHex(frame))
				if f.Control.Function() == FunctionWrite || f.Control.Function() == FunctionWrite1997 {
					frame = f.Control.String() + " " + diOf(f.Data, test.meter.version).Format(test.meter.version)
				}
				sent = append(sent, frame)
			}
			if !slices.Equal(sent, test.sent) || p.ending != test.ending || p.err != nil {
				t.Errorf("ended %d, %v, after\n%s, want\n%s", p.ending, p.err, strings.Join(sent, "\n"), strings.Join(test.sent, "\n"))
			}
			if midnight := begin.Add(5*time.Hour + 50*time.Minute).Truncate(time.Minute); len(p.until) != 1 || !p.until[0].Equal(midnight) {
				t.Errorf("the clock may be set until %s, want %s", p.until, midnight)
			}
			if got := summary(p.report); got != test.report {
				t.Errorf("reports %s, want %s", got, test.report)
			}
			if !strings.Contains(p.report.Note, test.note) || test.note == "" && p.report.Note != "" {
				t.Errorf("notes %q, want %q", p.report.Note, test.note)
			}
		})
	}
}

func TestSyncClockFrame(t *testing.T) {
	// Sent at 18:00:29.6, which is nearer to 18:00:30.
	begin := time.Date(2026, 11, 21, 18, 0, 29, 200e6, shanghai)
	meter := testClock{version: V2007, address: meterB}
	p := perform(t, planned(t, V2007, protocol.VerbMaintenance, meterB, command("sync_clock")), begin, meter.hear(t))
	p.expect(t, readFrame(meterB, diClock, V2007),
		"68 230100000000 68 14 13 3F343337 37 456789 34333333 63334B 39 544459 3C 16",
		readFrame(meterB, diClock, V2007))
}

func TestSyncClockRefused(t *testing.T) {
	evening := time.Date(2026, 11, 21, 18, 0, 0, 0, shanghai)
	for _, test := range []struct {
		name   string
		begin  time.Time
		ahead  time.Duration
		lacks  bool
		change func(*order)
		words  string // none: it is set
	}{
		{name: "our clock may be wrong", begin: evening, change: func(c *order) { c.Clock = errors.New("older than this program") }, words: "older than this program"},
		{name: "our midnight as known before", begin: evening, change: func(c *order) { c.Now = time.Date(2026, 11, 21, 23, 55, 0, 0, shanghai) }, words: "it is 23:55 where the meter is"},
		{name: "our midnight", begin: time.Date(2026, 11, 21, 23, 49, 59, 900e6, shanghai), words: "it is 23:50 where the meter is"},
		{name: "before our midnight", begin: time.Date(2026, 11, 21, 23, 49, 50, 0, shanghai)},
		{name: "after our midnight", begin: time.Date(2026, 11, 22, 0, 9, 59, 0, shanghai), words: "it is 00:09"},
		{name: "long after our midnight", begin: time.Date(2026, 11, 22, 0, 10, 0, 0, shanghai)},
		{name: "midnight elsewhere", begin: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)},
		{name: "the meter's midnight", begin: evening, ahead: 5*time.Hour + 50*time.Minute, words: "the meter's clock shows 23:50"},
		{name: "the meter's midnight in two parts", begin: evening, ahead: 6*time.Hour + 9*time.Minute, lacks: true, words: "the meter's clock shows 00:09"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := command("sync_clock")
			if test.change != nil {
				test.change(&c)
			}
			plan, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbMaintenance, Address: meterAt(meterB), Command: c.command()}, nil)
			if err == nil {
				meter := testClock{version: V2007, address: meterB, ahead: test.ahead, lacks: test.lacks}
				p := perform(t, plan, test.begin, meter.hear(t))
				if p.ending != protocol.NotSent && p.err != nil {
					t.Error("a command was sent all the same")
				}
				err = p.err
			}
			if test.words == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			isError(t, err, protocol.ErrUnsafe, test.words)
		})
	}
	// What cannot be read is not set.
	for _, test := range []struct {
		answers [][]byte
		kind    error
	}{
		{nil, protocol.ErrSilent},
		{[][]byte{value(meterB, diClock, frametest.FromHex("00 00 25 06 21 11 26")...)}, protocol.ErrGarbled},
		{[][]byte{wire(meterB, 0xD1, 2), value(meterB, diDate, 6, 0x21, 0x11, 0x26)}, protocol.ErrSilent},
	} {
		p := perform(t, planned(t, V2007, protocol.VerbMaintenance, meterB, command("sync_clock")), evening, says(test.answers...))
		isError(t, p.err, test.kind, "the clock is read before it is set")
	}
	var refusal *protocol.Refusal
	p := perform(t, planned(t, V2007, protocol.VerbMaintenance, meterB, command("sync_clock")), evening, says(wire(meterB, 0xD1, 4)))
	if !errors.As(p.err, &refusal) || len(p.sent) != 1 {
		t.Errorf("a refused read ended with %v after %v", p.err, p.sent)
	}
}

// A date that was read before midnight and a time that was read after it.
func TestClockOverMidnight(t *testing.T) {
	m := New(V2007, shanghai)
	c := &commander{Meters: m, Command: &protocol.Command{}, address: address(meterB), meter: meterB}
	day := func(day byte) []byte { return value(meterB, diDate, 0, day, 0x11, 0x26) }
	refused := wire(meterB, 0xD1, 2)
	for _, test := range []struct {
		name    string
		answers [][]byte
		want    string
		err     error
	}{
		{"by day", [][]byte{refused, day(0x21), value(meterB, diTime, 0x59, 0x59, 0x23)}, "2026-11-21T23:59:59+08:00", nil},
		{"midnight between", [][]byte{refused, day(0x21), value(meterB, diTime, 0x01, 0x00, 0x00), day(0x22), value(meterB, diTime, 0x02, 0x00, 0x00)}, "2026-11-22T00:00:02+08:00", nil},
		{"midnight before", [][]byte{refused, day(0x22), value(meterB, diTime, 0x59, 0x09, 0x00), day(0x22), value(meterB, diTime, 0x00, 0x10, 0x00)}, "2026-11-22T00:10:00+08:00", nil},
		{"long after midnight", [][]byte{refused, day(0x22), value(meterB, diTime, 0x00, 0x10, 0x00)}, "2026-11-22T00:10:00+08:00", nil},
		{"not read again", [][]byte{refused, day(0x21), value(meterB, diTime, 0x01, 0x00, 0x00)}, "", protocol.ErrSilent},
		{"no time", [][]byte{refused, day(0x21), value(meterB, diTime, 0xFF, 0xFF, 0xFF)}, "", protocol.ErrNoClock},
	} {
		var got clockReading
		var err error
		plan := c.readClock(func(r clockReading, e error) (protocol.Plan, error) {
			got, err = r, e
			return c.plan(), nil
		})
		p := perform(t, plan, time.Unix(1e9, 0), says(test.answers...))
		if !errors.Is(err, test.err) || err == nil && got.Shown.Format(time.RFC3339) != test.want {
			t.Errorf("%s: %s, %v, want %s", test.name, got.Shown.Format(time.RFC3339), err, test.want)
		}
		// The time that the clock is compared with is that at which its seconds were read.
		if want := time.Unix(1e9, 0).Add(time.Duration(len(p.sent)) * (sendTime + answerTime)); err == nil && !got.Came.Equal(want) {
			t.Errorf("%s: read at %s, want %s", test.name, got.Came, want)
		}
		if err != nil && p.ahead != 0 {
			t.Errorf("%s: a result tells a clock whose date is in doubt", test.name)
		}
		if len(p.sent) != max(len(test.answers), 3) && err == nil {
			t.Errorf("%s: %d frames", test.name, len(p.sent))
		}
	}
}

func TestPlanClock(t *testing.T) {
	begin := time.Date(2026, 11, 21, 18, 0, 0, 500e6, shanghai)
	for _, test := range []struct {
		meter testClock
		want  time.Duration // what the results tell of the clock, against the time of the answer
		err   error
	}{
		{testClock{version: V2007, ahead: time.Hour}, time.Hour - 800*time.Millisecond, nil},
		{testClock{version: V2007, ahead: time.Hour, lacks: true}, time.Hour - 400*time.Millisecond, nil},
		{testClock{version: V1997, ahead: -time.Hour}, -time.Hour - 800*time.Millisecond, nil},
		{testClock{version: V1997, ahead: -time.Hour, lacks: true}, -time.Hour - 400*time.Millisecond, nil},
		{testClock{version: V2007, empty: true}, 0, protocol.ErrNoClock},
	} {
		test.meter.address = meterB
		plan, err := New(test.meter.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbClock, Class: protocol.ClassCommand, Address: meterAt(meterB)}, nil)
		if err != nil || plan.Permission != protocol.PermitRead || plan.Level != "" {
			t.Fatalf("%+v, %v", plan, err)
		}
		p := perform(t, plan, begin, test.meter.hear(t))
		if !errors.Is(p.err, test.err) || p.ahead != test.want || p.ending != protocol.NotSent || p.report != nil {
			t.Errorf("%+v: %s ahead, %v, want %s", test.meter, p.ahead, p.err, test.want)
		}
		for _, step := range p.steps {
			if step.Class != protocol.ClassCommand || step.IsCommand() {
				t.Errorf("%+v: step %+v", test.meter, step)
			}
		}
	}
	_, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbClock, Address: meterAt("AAAAAAAAAAAA")}, nil)
	isError(t, err, protocol.ErrBadRequest, "several meters")
}
