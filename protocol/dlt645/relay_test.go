package dlt645

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

func TestRelayFrames(t *testing.T) {
	// Three published frames, and the others made after them.
	sent := time.Date(2014, 10, 20, 14, 30, 12, 0, shanghai)
	for _, test := range []struct {
		action, operator string
		frame            string
	}{
		{"trip", "11111111", "68 010000000000 68 1C 10 35 333333 44444444 4D 33 456847534347 2C 16"},
		{"permit_close", "11111111", "68 010000000000 68 1C 10 35 333333 44444444 4E 33 456847534347 2D 16"},
		{"close", "", "68 010000000000 68 1C 10 35 333333 33333333 4F 33 456847534347 EA 16"},
		{"alarm", "44332211", "68 010000000000 68 1C 10 35 333333 44556677 5D 33 456847534347 A2 16"},
		{"alarm_off", "11111111", "68 010000000000 68 1C 10 35 333333 44444444 5E 33 456847534347 3D 16"},
		{"keep_power", "11111111", "68 010000000000 68 1C 10 35 333333 44444444 6D 33 456847534347 4C 16"},
		{"keep_power_off", "11111111", "68 010000000000 68 1C 10 35 333333 44444444 6E 33 456847534347 4D 16"},
	} {
		c := command(test.action)
		c.Passwords, c.Operator, c.Verify = map[string]string{"02": "000000"}, test.operator, 0
		plan := planned(t, V2007, protocol.VerbRelay, meterA, c)
		if plan.Permission != protocol.PermitRelay || plan.Address.Text != meterA || plan.Level != "02" || len(plan.Steps) != 1 {
			t.Errorf("%s: %+v", test.action, plan)
		}
		step := plan.Steps[0]
		if step.Class != protocol.ClassRelay || step.Kind != protocol.KindCommand || step.Repeatable || step.Key != "" || step.Meter.Text != meterA {
			t.Errorf("%s: step %+v", test.action, step)
		}
		if got, want := step.First.Stamp(sent), frametest.FromHex(test.frame); !slices.Equal(got, want) {
			t.Errorf("%s: sends\n%X, want\n%X", test.action, got, want)
		}
	}
}

func TestRelayDeadline(t *testing.T) {
	// By the meter's clock, which is an hour ahead, and in its zone.
	c := command("trip")
	c.Offset = time.Hour
	plan := planned(t, V2007, protocol.VerbRelay, meterA, c)
	frame := plan.Steps[0].First.Stamp(time.Date(2026, 12, 31, 15, 0, 7, 0, time.UTC))
	d, err := Describe(frame, V2007, shanghai)
	if err != nil || valueOf(d.Values, "deadline") != "2027-01-01T00:05:07+08:00" {
		t.Errorf("%X: %v, %v", frame, d.Values, err)
	}
	// The frame before it is stamped has a deadline that is over for every meter.
	d, err = Describe(plan.Steps[0].First.Request, V2007, shanghai)
	if text := fmt.Sprint(valueOf(d.Values, "deadline")); err != nil || !strings.HasPrefix(text, "2001-01-01") {
		t.Errorf("unstamped: %s, %v", text, err)
	}
}

// status3 is the answer with status word 3.
func status3(word uint16) []byte { return value(meterA, diStatus3, byte(word), byte(word>>8)) }

func TestRelayReadBack(t *testing.T) {
	const (
		closed, open, toldOpen = 0x0000, 0x0010, 0x0040
		alarm, keeping         = 0x0080, 0x1000
	)
	ack := wire(meterA, 0x9C)
	for _, test := range []struct {
		name    string
		action  string
		verify  time.Duration
		answers [][]byte
		looks   []string // when, after the answer to the command
		report  string
		note    string
	}{
		{"trip", "trip", 10 * time.Second, [][]byte{ack, status3(open | toldOpen)}, []string{"300ms"}, "readable true verified true pending false relay open", ""},
		{
			"trip later", "trip", 10 * time.Second, [][]byte{ack, status3(toldOpen), status3(toldOpen), status3(open | toldOpen)},
			[]string{"300ms", "1s", "2s"}, "readable true verified true pending false relay open", "",
		},
		{
			"trip not within the time", "trip", 10 * time.Second, [][]byte{ack, status3(closed), status3(closed), status3(closed), status3(toldOpen), status3(toldOpen)},
			[]string{"300ms", "1s", "2s", "4s", "8s"}, "readable true verified false pending true relay closed", "has not moved yet",
		},
		{"close", "close", 3 * time.Second, [][]byte{ack, status3(open), status3(closed)}, []string{"300ms", "1s"}, "readable true verified true pending false relay closed", ""},
		{"not looked at", "close", 0, [][]byte{ack}, nil, "readable false verified false pending false", ""},
		{"less time than the first look takes", "close", 299 * time.Millisecond, [][]byte{ack}, nil, "readable false verified false pending false", ""},
		{
			"permit", "permit_close", 10 * time.Second, [][]byte{ack, status3(open | toldOpen), status3(open)},
			[]string{"300ms", "1s"}, "readable true verified true pending false relay open", "presses the button",
		},
		{
			"permit, without the flag", "permit_close", time.Second, [][]byte{ack, status3(open | toldOpen), status3(open | toldOpen)},
			[]string{"300ms", "1s"}, "readable false verified false pending false relay open", "presses the button",
		},
		{"permit, and it closes at once", "permit_close", time.Second, [][]byte{ack, status3(closed)}, []string{"300ms"}, "readable true verified true pending false relay closed", "is closed"},
		{"permit, still open", "permit_close", time.Second, [][]byte{ack, status3(open)}, []string{"300ms"}, "readable true verified true pending false relay open", "still open"},
		{"alarm that is not given up", "alarm_off", time.Second, [][]byte{ack, status3(alarm), status3(alarm)}, []string{"300ms", "1s"}, "readable false verified false pending false relay closed", "still shows the alarm"},
		{"power that is not kept", "keep_power", time.Second, [][]byte{ack, status3(closed), status3(open)}, []string{"300ms", "1s"}, "readable false verified false pending false relay open", "may trip all the same"},
		{"power that is still kept", "keep_power_off", time.Second, [][]byte{ack, status3(keeping), status3(keeping)}, []string{"300ms", "1s"}, "readable false verified false pending false relay closed", "may refuse to trip"},
		{"alarm", "alarm", time.Second, [][]byte{ack, status3(alarm)}, []string{"300ms"}, "readable true verified true pending false relay closed", "does not move"},
		{
			"alarm that never shows", "alarm", time.Second, [][]byte{ack, status3(closed), status3(closed)},
			[]string{"300ms", "1s"}, "readable false verified false pending false relay closed", "does not move",
		},
		{"alarm off", "alarm_off", time.Second, [][]byte{ack, status3(alarm), status3(closed)}, []string{"300ms", "1s"}, "readable true verified true pending false relay closed", ""},
		{"keep power", "keep_power", time.Second, [][]byte{ack, status3(keeping)}, []string{"300ms"}, "readable true verified true pending false relay closed", "refuses to trip"},
		{"keep power off", "keep_power_off", time.Second, [][]byte{ack, status3(open)}, []string{"300ms"}, "readable true verified true pending false relay open", ""},
		{
			"nothing more is heard", "trip", 10 * time.Second, [][]byte{ack}, []string{"300ms", "1.3s"},
			"readable false verified false pending false", "could not be read back",
		},
		{
			"one look is lost", "trip", 10 * time.Second, [][]byte{ack, nil, status3(closed), nil, status3(open)},
			[]string{"300ms", "1.3s", "2s", "4.3s"}, "readable true verified true pending false relay open", "",
		},
		{
			"no such data", "trip", 10 * time.Second, [][]byte{ack, wire(meterA, 0xD1, 2), wire(meterA, 0xD1, 2)}, []string{"300ms", "1.3s"},
			"readable false verified false pending false", "could not be read back: the meter refused (code 02H): no_such_data.",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := command(test.action)
			c.Verify = test.verify
			p := perform(t, planned(t, V2007, protocol.VerbRelay, meterA, c), time.Unix(1e9, 0), says(test.answers...))
			if p.err != nil || p.ending != protocol.Acknowledged {
				t.Errorf("the command ended %d, %v", p.ending, p.err)
			}
			var looks []string
			for i, step := range p.steps[1:] {
				if step.Class != protocol.ClassRelay || step.Kind != protocol.KindValue || !step.Repeatable || step.Key == "" || p.sent[1+i] != readFrame(meterA, diStatus3, V2007) {
					t.Errorf("looks by %s, %+v", p.sent[1+i], step)
				}
				looks = append(looks, (p.at[1+i] - sendTime - answerTime).String())
			}
			if len(looks) != len(test.looks) {
				t.Errorf("looks at %v, want %v", looks, test.looks)
			}
			for i := range min(len(looks), len(test.looks)) {
				// How long a look took that was not answered is not known.
				if looks[i] != test.looks[i] {
					t.Errorf("look %d at %s, want %s", i, looks[i], test.looks[i])
				}
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

func TestRelayUnanswered(t *testing.T) {
	for _, test := range []struct {
		name    string
		answers [][]byte
		looks   int
		report  string
	}{
		{"and it has tripped", [][]byte{nil, status3(0x50)}, 1, "readable true verified false pending false relay open"},
		{"and it has not", [][]byte{nil, status3(0), status3(0), status3(0x10)}, 2, "readable true verified false pending false relay closed"},
		{"nor is anything else", [][]byte{nil}, 2, "readable false verified false pending false"},
	} {
		p := perform(t, planned(t, V2007, protocol.VerbRelay, meterA, command("trip")), time.Unix(1e9, 0), says(test.answers...))
		if p.ending != protocol.Unanswered || p.err != nil || len(p.steps) != 1+test.looks || summary(p.report) != test.report {
			t.Errorf("%s: ending %d, %v after %d looks: %s", test.name, p.ending, p.err, len(p.steps)-1, summary(p.report))
		}
		if !strings.Contains(p.report.Note, "answered") {
			t.Errorf("%s: notes %q", test.name, p.report.Note)
		}
	}
}

func TestRelayRefused(t *testing.T) {
	begin := time.Date(2026, 11, 21, 18, 0, 0, 0, shanghai)
	refused := wire(meterA, 0xDC, 4)
	noData := wire(meterA, 0xD1, 2)
	clock := func(text string) []byte {
		return value(meterA, diClock, frametest.FromHex(text)...)
	}
	for _, test := range []struct {
		name    string
		answers [][]byte
		report  string
		note    string
	}{
		{
			"the clock is right", [][]byte{refused, status3(0), clock("00 00 18 06 21 11 26")},
			"readable false verified false pending false relay closed offset -900ms", "",
		},
		{
			"the clock is ten minutes ahead", [][]byte{refused, status3(0), clock("00 10 18 06 21 11 26")},
			"readable false verified false pending false relay closed offset 9m59.1s", "9m59s ahead of ours",
		},
		{
			"power is kept, the clock is in two parts", [][]byte{refused, status3(0x1000), noData, value(meterA, diDate, 6, 0x21, 0x11, 0x26), value(meterA, diTime, 0, 0, 0x18)},
			"readable false verified false pending false relay closed offset -1.5s", "until keep_power_off",
		},
		{"nothing more is heard", [][]byte{refused}, "readable false verified false pending false", ""},
	} {
		p := perform(t, planned(t, V2007, protocol.VerbRelay, meterA, command("trip")), begin, says(test.answers...))
		if p.ending != protocol.Refused || p.err != nil || summary(p.report) != test.report {
			t.Errorf("%s: ending %d, %v: %s, want %s", test.name, p.ending, p.err, summary(p.report), test.report)
		}
		if !strings.Contains(p.report.Note, test.note) || test.note == "" && p.report.Note != "" {
			t.Errorf("%s: notes %q, want %q", test.name, p.report.Note, test.note)
		}
		for _, step := range p.steps {
			if step.Class != protocol.ClassRelay {
				t.Errorf("%s: a step of class %d", test.name, step.Class)
			}
		}
	}
}

// TestRelayThatWantsAButton: many meters know the command that closes them, and obey only the one that lets
// somebody close them by hand. Their answer says no more than that it is an error.
func TestRelayThatWantsAButton(t *testing.T) {
	for _, row := range []struct {
		action string
		code   byte
		want   string
	}{{"close", 1, "permit_close"}, {"close", 4, ""}, {"trip", 1, ""}, {"permit_close", 1, ""}} {
		p := perform(t, planned(t, V2007, protocol.VerbRelay, meterA, command(row.action)), time.Date(2026, 11, 21, 18, 0, 0, 0, shanghai), says(wire(meterA, 0xDC, row.code), status3(0x0010)))
		if p.ending != protocol.Refused || !strings.Contains(p.report.Note, row.want) || row.want == "" && p.report.Note != "" {
			t.Errorf("%s refused with %02X: ending %d, note %q", row.action, row.code, p.ending, p.report.Note)
		}
	}
}

func TestRelayNotSent(t *testing.T) {
	p := perform(t, planned(t, V2007, protocol.VerbRelay, meterA, command("trip")), time.Unix(1e9, 0), func([]byte, time.Time) ([]byte, error) {
		return nil, errors.New("the port is gone")
	})
	if len(p.sent) != 1 || p.report != nil || p.err != nil {
		t.Errorf("went on with %v: %v, %v", p.sent[1:], p.report, p.err)
	}
}

func TestRelayErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		version Version
		address string
		change  func(*order)
		kind    error
		words   string
	}{
		{"no action", V2007, meterA, func(c *order) { c.Action = "open" }, protocol.ErrBadRequest, `"open": the actions are trip, close, permit_close, alarm, alarm_off, keep_power, keep_power_off`},
		{"1997", V1997, meterA, func(*order) {}, protocol.ErrUnsupported, "DL/T 645-1997 has no function that moves a relay"},
		{"no time", V2007, meterA, func(c *order) { c.Deadline = 0 }, protocol.ErrBadRequest, "valid for some time"},
		{"no password", V2007, meterA, func(c *order) { delete(c.Passwords, "02") }, protocol.ErrBadRequest, "no password of level 02 for meter 000000000001: add it, level first, to PASSWORDS"},
		{"another level", V2007, meterA, func(c *order) { c.Level = "03" }, protocol.ErrBadRequest, "level 03"},
		{"no level", V2007, meterA, func(c *order) { c.Level = "2" }, protocol.ErrBadRequest, "two digits"},
		{"security module", V2007, meterA, func(c *order) { c.Level = "98" }, protocol.ErrUnsupported, "key server"},
		{"a bad password", V2007, meterA, func(c *order) { c.Passwords["02"] = "5634123" }, protocol.ErrBadRequest, "not six digits"},
		{"a password of letters", V2007, meterA, func(c *order) { c.Passwords["02"] = "56341G" }, protocol.ErrBadRequest, "not six digits"},
		{"a bad operator", V2007, meterA, func(c *order) { c.Operator = "1" }, protocol.ErrBadRequest, "eight digits"},
		{"all", V2007, "999999999999", func(*order) {}, protocol.ErrBadRequest, "several meters may answer to 999999999999"},
		{"whoever", V2007, "AAAAAAAAAAAA", func(*order) {}, protocol.ErrBadRequest, "several meters"},
		{"some", V2007, "AAAAAAAAAA01", func(*order) {}, protocol.ErrBadRequest, "several meters"},
		{"no address", V2007, "1A", func(*order) {}, protocol.ErrBadRequest, "address"},
	} {
		c := command("trip")
		test.change(&c)
		_, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbRelay, Address: meterAt(test.address), Command: c.command()}, nil)
		t.Run(test.name, func(t *testing.T) { isError(t, err, test.kind, test.words) })
	}
	_, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbRelay, Address: meterAt(meterA)}, nil)
	isError(t, err, protocol.ErrBadRequest, "what is to be done")
}
