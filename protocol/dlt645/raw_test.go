package dlt645

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

func TestPlanRaw(t *testing.T) {
	const meter = "112233445566"
	energy := []byte{0x00, 0x00, 0x01, 0x00}
	secret := []byte{0x02, 0x12, 0x34, 0x56, 0x01, 0x00, 0x00, 0x00}
	for _, test := range []struct {
		name       string
		request    []byte
		permission protocol.Permission
		class      protocol.Class
		kind       protocol.Kind
		repeatable bool
		answers    [][]byte // each is one
		vague      bool     // the answers are
		others     [][]byte // none is one
	}{
		{
			"read", wire(meter, 0x11, energy...),
			protocol.PermitRead, protocol.ClassRead, protocol.KindValue, true,
			[][]byte{wire(meter, 0x91, 0, 0, 1, 0, 1, 2, 3, 4), wire(meter, 0xB1, 0, 0, 1, 0)}, false,
			[][]byte{wire(meter, 0x91, 0, 0, 2, 0, 1, 2, 3, 4), wire("112233445567", 0x91, 0, 0, 1, 0), wire(meter, 0x11, energy...)},
		},
		{
			"record", wire(meter, 0x11, 0x01, 0x00, 0x30, 0x03),
			protocol.PermitRead, protocol.ClassRead, protocol.KindRecord, true,
			[][]byte{wire(meter, 0xB1, 0x01, 0x00, 0x30, 0x03)}, false, nil,
		},
		{
			"refused read", wire(meter, 0x11, energy...),
			protocol.PermitRead, protocol.ClassRead, protocol.KindValue, true,
			[][]byte{wire(meter, 0xD1, 2)}, true, nil,
		},
		{
			"follow-up", wire(meter, 0x12, append(slices.Clone(energy), 3)...),
			protocol.PermitRead, protocol.ClassRead, protocol.KindValue, true,
			[][]byte{wire(meter, 0x92, 0, 0, 1, 0, 9, 3), wire(meter, 0xB2, 0, 0, 1, 0, 3)}, false,
			[][]byte{wire(meter, 0x92, 0, 0, 1, 0, 3, 9)},
		},
		{
			"read address", wire("AAAAAAAAAAAA", 0x13),
			protocol.PermitRead, protocol.ClassRead, protocol.KindValue, true,
			[][]byte{wire(meter, 0x93, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11)}, false,
			[][]byte{wire(meter, 0x93, 0, 0x55, 0x44, 0x33, 0x22, 0x11)},
		},
		{
			"read 1997", wire(meter, 0x01, 0x10, 0x90),
			protocol.PermitRead, protocol.ClassRead, protocol.KindValue, true,
			[][]byte{wire(meter, 0x81, 0x10, 0x90, 1, 2, 3, 4)}, false,
			[][]byte{wire(meter, 0x81, 0x20, 0x90, 1, 2, 3, 4)},
		},
		{
			"follow-up 1997, where asking again asks for the next", wire(meter, 0x02, 0x1F, 0x90),
			protocol.PermitRead, protocol.ClassRead, protocol.KindValue, false,
			[][]byte{wire(meter, 0x82, 0x1F, 0x90, 1), wire(meter, 0xA2, 0x1F, 0x90, 1)}, false, nil,
		},
		{
			"read 1997 of whoever is there", wire("999999999999", 0x01, 0x10, 0x90),
			protocol.PermitBroadcast, protocol.ClassRead, protocol.KindValue, true,
			[][]byte{wire(meter, 0x81, 0x10, 0x90, 1, 2, 3, 4)}, false, nil,
		},
		{
			"write", wire(meter, 0x14, append([]byte{3, 1, 0, 4}, append(slices.Clone(secret), 0x15)...)...),
			protocol.PermitWrite, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x94), wire(meter, 0xD4, 4)}, true,
			[][]byte{wire("112233445567", 0x94), wire(meter, 0x9C), wire(meter, 0xD1, 2)},
		},
		{
			"write 1997", wire(meter, 0x04, 0x10, 0xC0, 2, 1, 2, 3, 6, 0x15, 6, 0x24),
			protocol.PermitWrite, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x84), wire(meter, 0xC4, 4)}, true, nil,
		},
		{
			"relay", wire(meter, 0x1C, append(slices.Clone(secret), 0x1A, 0, 0, 0, 0, 1, 1, 0x30)...),
			protocol.PermitRelay, protocol.ClassRelay, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x9C), wire(meter, 0xDC, 4), wire(meter, 0x9C, 4, 0)}, true, nil,
		},
		{
			"write address", wire("AAAAAAAAAAAA", 0x15, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11),
			protocol.PermitMaintenance, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x95)}, true,
			[][]byte{wire("112233445567", 0x95), wire(meter, 0xD5, 1)},
		},
		{
			"write address 1997", wire("000000000001", 0x0A, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11),
			protocol.PermitMaintenance, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x8A)}, true,
			[][]byte{wire("000000000001", 0x8A)},
		},
		{
			"set password", wire(meter, 0x18, 1, 12, 0, 4, 2, 1, 2, 3, 2, 4, 5, 6),
			protocol.PermitMaintenance, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x98, 2, 4, 5, 6)}, true, nil,
		},
		{
			"authenticate", wire(meter, 0x03, append([]byte{0xFF, 0, 0, 7}, make([]byte, 28)...)...),
			protocol.PermitMaintenance, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x83, append([]byte{0xFF, 0, 0, 7}, make([]byte, 12)...)...)}, false,
			[][]byte{wire(meter, 0x83, 0xFF, 1, 0, 7)},
		},
		{
			"a function nobody knows", wire(meter, 0x1F, 1, 2),
			protocol.PermitMaintenance, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x9F, 7), wire(meter, 0xDF, 1)}, true, nil,
		},
		{
			"broadcast time", wire("999999999999", 0x08, 0, 0, 0, 1, 1, 0x30),
			protocol.PermitBroadcast, protocol.ClassCommand, protocol.KindCommand, false, nil, false, nil,
		},
		{
			"broadcast freeze", wire("999999999999", 0x16, 0x99, 0x99, 0x99, 0x99),
			protocol.PermitBroadcast, protocol.ClassCommand, protocol.KindCommand, false, nil, false, nil,
		},
		{
			"what a maker has all meters do", wire("999999999999", 0x1E, 1, 2),
			protocol.PermitBroadcast, protocol.ClassCommand, protocol.KindCommand, false, nil, false, nil,
		},
		{
			"a read so long that it could hide a command", wire(meter, 0x11, append(slices.Clone(energy), wire("1", 0x17, 0x20)...)...),
			protocol.PermitMaintenance, protocol.ClassCommand, protocol.KindCommand, false,
			[][]byte{wire(meter, 0x91, 0, 0, 1, 0, 1)}, true, nil,
		},
		{
			"time for one meter", wire(meter, 0x08, 0, 0, 0, 1, 1, 0x30),
			protocol.PermitMaintenance, protocol.ClassCommand, protocol.KindCommand, false, nil, false, nil,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := New(V2007, time.UTC).Plan(protocol.Request{
				Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: append(frametest.FromHex("FEFEFEFE"), test.request...),
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			step := plan.Steps[0]
			if len(plan.Steps) != 1 || plan.Then != nil || plan.Permission != test.permission || plan.Address.Text != addressIn(test.request).String() || step.Meter != plan.Address.MeterKey {
				t.Errorf("plan: %+v, want one step that needs %s", plan, test.permission)
			}
			if step.Class != test.class || step.Kind != test.kind || step.Repeatable != test.repeatable || (step.Key != "") != test.repeatable {
				t.Errorf("class %d, kind %d, repeatable %t, key %q, want %d, %d, %t", step.Class, step.Kind, step.Repeatable, step.Key, test.class, test.kind, test.repeatable)
			}
			exchange := step.First
			if !bytes.Equal(exchange.Request, test.request) {
				t.Errorf("sends %X, want %X", exchange.Request, test.request)
			}
			if test.answers == nil {
				if exchange.Answer != nil || exchange.Take != nil || exchange.Rest != 500*time.Millisecond {
					t.Errorf("%+v, want no answer and 500 ms of rest", exchange)
				}
				return
			}
			for _, answer := range test.answers {
				got := frametest.Trickle(t, exchange.Answer, slices.Concat(test.request, answer))
				if !bytes.Equal(got, answer) {
					t.Errorf("cut %X, want %X", got, answer)
					continue
				}
				if vague := exchange.Vague(got); vague != test.vague {
					t.Errorf("%X: vague is %t, want %t", got, vague, test.vague)
				}
				next, result, err := exchange.Take(got)
				var refusal *protocol.Refusal
				wantRefusal := Control(got[8]).Refused() && test.permission != protocol.PermitRead
				if next != nil || !bytes.Equal(result.Frame, answer) || result.Address.Text != addressIn(answer).String() || errors.As(err, &refusal) != wantRefusal {
					t.Errorf("%X: took %v, %+v, %v, want the frame", got, next, result, err)
				}
			}
			for _, other := range test.others {
				if got := frametest.Trickle(t, exchange.Answer, slices.Concat(test.request, other)); got != nil {
					t.Errorf("cut %X out of %X, want nothing", got, other)
				}
			}
		})
	}
}

func TestPlanRawNoAnswer(t *testing.T) {
	plan, err := New(V2007, time.UTC).Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: wire("1", 0x11, 0, 0, 1, 0), NoAnswer: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if step := plan.Steps[0]; step.First.Answer != nil || step.First.Rest == 0 || step.Repeatable || step.Key != "" {
		t.Errorf("got %+v, want no answer, and no second try", step)
	}
	if _, token, _ := plan.Steps[0].First.Stray(wire("1", 0x91, 0, 0, 1, 0, 0, 0, 0, 0), true); token == nil {
		t.Error("the answer that the meter gives all the same is not known for one")
	}
}

func TestPlanRawErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		frame []byte
		err   string
	}{
		{"nothing", nil, "no frame"},
		{"checksum", frametest.FromHex("68665544332211681104333334331816"), "checksum is 18H, should be 17H"},
		{"an answer", wire("1", 0x91, 0, 0, 1, 0), "91H is none of a request"},
		{"a relay command in disguise", wire("1", 0x3C), "3CH is none of a request"},
		{"read without identifier", wire("1", 0x11, 0, 0, 1), "at least 4 bytes of data, the frame has 3"},
		{"follow-up without SEQ", wire("1", 0x12, 0, 0, 1, 0), "at least 5"},
		{"relay of all meters", wire("999999999999", 0x1C, frametest.FromHex("02 563412 00000000 1A00 000000010130")...), "999999999999; function 1CH goes to one meter"},
		{"relay of whoever is there", wire("AAAAAAAAAAAA", 0x1C, frametest.FromHex("02 563412 00000000 1A00 000000010130")...), "AAAAAAAAAAAA; function 1CH goes to one meter"},
		{"relay of some", wire("AAAAAAAA0001", 0x1C, frametest.FromHex("02 563412 00000000 1A00 000000010130")...), "AAAAAAAA0001; function 1CH goes to one meter"},
		{"freeze of whoever is there", wire("AAAAAAAAAAAA", 0x16, 0x99, 0x99, 0x99, 0x99), "function 16H goes to one meter"},
		{"new address for all", wire("999999999999", 0x15, 1, 0, 0, 0, 0, 0), "function 15H goes to one meter"},
		{"write to all of 1997", wire("999999999999", 0x04, frametest.FromHex("10C0 03 563412 06150624")...), "function 04H goes to one meter"},
		{"new address too short", wire("1", 0x15, 0, 0, 1, 0), "at least 6"},
	} {
		_, err := New(V2007, time.UTC).Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: test.frame}, nil)
		if !errors.Is(err, protocol.ErrBadRequest) || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %v, want a bad request with %q", test.name, err, test.err)
		}
	}
}

func TestPlanRawPassword(t *testing.T) {
	for _, test := range []struct {
		frame []byte
		want  string
	}{
		{wire("1", 0x14, frametest.FromHex("03010004 04 563412 00000000 15")...), "04"},
		{wire("1", 0x18, frametest.FromHex("050C0004 02 563412 04 214365")...), "02"},
		{wire("1", 0x19, frametest.FromHex("04 563412 00000000")...), "04"},
		{wire("1", 0x1A, frametest.FromHex("02 563412 00000000")...), "02"},
		{wire("1", 0x1B, frametest.FromHex("02 563412 00000000 FFFFFFFF")...), "02"},
		{wire("1", 0x1C, frametest.FromHex("02 563412 00000000 1A00 000000010130")...), "02"},
		{wire("1", 0x04, frametest.FromHex("10C0 03 563412 06150624")...), "03"},
		{wire("1", 0x0F, frametest.FromHex("02 563412 02 214365")...), "02"},
		{wire("1", 0x10, frametest.FromHex("04 563412")...), "04"},
		// No passwords: the marks of the security module, other functions, frames too short for one.
		{wire("1", 0x1C, append(frametest.FromHex("98 000000 00000000"), make([]byte, 20)...)...), ""},
		{wire("1", 0x14, frametest.FromHex("03010004 99 000000 00000000 15 11223344")...), ""},
		{wire("1", 0x1C, append(frametest.FromHex("96 000000 00000000"), make([]byte, 20)...)...), ""},
		{wire("1", 0x1C, frametest.FromHex("02 5634")...), ""},
		{wire("1", 0x11, frametest.FromHex("00000100")...), ""},
		{wire("1", 0x16, frametest.FromHex("99999999")...), ""},
	} {
		plan, err := New(V2007, time.UTC).Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: test.frame}, nil)
		if err != nil || plan.Level != test.want {
			t.Errorf("%X: password %q, %v, want %q", test.frame, plan.Level, err, test.want)
		}
	}
}
