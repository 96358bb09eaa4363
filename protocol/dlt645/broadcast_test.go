package dlt645

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

func TestBroadcast(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 600e6, time.UTC)
	for _, test := range []struct {
		version    Version
		action, at string
		frame      string
	}{
		// The time of the meters, at which the last byte has gone: 18:00:01.
		{V2007, "time", "", "68 999999999999 68 08 06 34334B 544459 17 16"},
		{V1997, "time", "", "68 999999999999 68 08 06 34334B 544459 17 16"},
		{V2007, "freeze", "", "68 999999999999 68 16 04 CCCCCCCC B0 16"},
		{V2007, "freeze", "2027-11-21 18:00", "68 999999999999 68 16 04 334B5444 96 16"},
		{V2007, "freeze", "99990130", "68 999999999999 68 16 04 6334CCCC AF 16"},
	} {
		c := command(test.action)
		c.At, c.Now = test.at, now
		plan, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbBroadcast, Command: c.command()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if plan.Permission != protocol.PermitBroadcast || plan.Address.Text != "999999999999" || plan.Level != "" || plan.Then != nil || plan.Report != nil {
			t.Errorf("%s: %+v", test.action, plan)
		}
		step := plan.Steps[0]
		if step.Meter.Text != "999999999999" || step.Class != protocol.ClassCommand || step.First.Answer != nil || step.First.Take != nil || step.First.Rest != 500*time.Millisecond {
			t.Errorf("%s: %+v", test.action, step)
		}
		p := perform(t, plan, now.Add(-sendTime), says())
		p.expect(t, test.frame)
		if midnight := now.Truncate(time.Hour).Add(5*time.Hour + 50*time.Minute); test.action == "time" && (len(p.until) != 1 || !p.until[0].Equal(midnight)) || test.action != "time" && len(p.until) > 0 {
			t.Errorf("%s may be sent until %s", test.action, p.until)
		}
	}
}

func TestBroadcastErrors(t *testing.T) {
	noon := time.Date(2026, 11, 21, 12, 0, 0, 0, shanghai)
	for _, test := range []struct {
		version Version
		action  string
		change  func(*order)
		kind    error
		words   string
	}{
		{V2007, "reboot", nil, protocol.ErrBadRequest, "the actions are time, freeze"},
		{V2007, "time", func(c *order) { c.Clock = errors.New("not synchronised") }, protocol.ErrUnsafe, "not synchronised"},
		{V2007, "time", func(c *order) { c.Now = noon.Add(11*time.Hour + 50*time.Minute) }, protocol.ErrUnsafe, "it is 23:50"},
		{V1997, "time", func(c *order) { c.Now = noon.Add(12*time.Hour + 9*time.Minute) }, protocol.ErrUnsafe, "it is 00:09"},
		{V2007, "freeze", func(c *order) { c.At = "never" }, protocol.ErrBadRequest, "no time of a freeze"},
		{V2007, "freeze", func(c *order) { c.At = "2026-11-21T12:00" }, protocol.ErrBadRequest, "for that of every year write 11211200"},
		{V2007, "freeze", func(c *order) { c.At = "2027-11-21T12:00" }, protocol.ErrBadRequest, "not within a year"},
		{V1997, "freeze", nil, protocol.ErrUnsupported, "no function that freezes"},
	} {
		c := command(test.action)
		c.Now = noon
		if test.change != nil {
			test.change(&c)
		}
		_, err := New(test.version, shanghai).Plan(protocol.Request{Verb: protocol.VerbBroadcast, Command: c.command()}, nil)
		t.Run(fmt.Sprint(test.version, test.action), func(t *testing.T) { isError(t, err, test.kind, test.words) })
	}
	_, err := New(V2007, shanghai).Plan(protocol.Request{Verb: protocol.VerbBroadcast}, nil)
	isError(t, err, protocol.ErrBadRequest, "what is to be done")
}
