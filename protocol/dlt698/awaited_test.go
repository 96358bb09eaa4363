package dlt698

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// stepFor plans to read items of meter 000000000010.
func stepFor(t testing.TB, items ...string) protocol.Step {
	t.Helper()
	m := New(shanghai)
	address, err := m.ParseAddress("000000000010")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRead, Class: protocol.ClassRead, Address: address, Items: items}, nil)
	if err != nil || len(plan.Steps) != 1 {
		t.Fatalf("%d steps (%v)", len(plan.Steps), err)
	}
	return plan.Steps[0]
}

// answerTo returns a frame from an address to whoever sent a request. change, unless nil, has the last word.
func answerTo(t testing.TB, request []byte, apdu string, change func(*Frame)) []byte {
	t.Helper()
	f, err := ParseFrame(request)
	if err != nil {
		t.Fatal(err)
	}
	piid := f.Data[2]
	f.Control, f.Data = answer, frametest.FromHex(apdu)
	if len(f.Data) > 2 {
		f.Data[2] |= piid
	}
	if change != nil {
		change(&f)
	}
	return mustAppend(f)
}

const frequencyApart = "85 01 00 20 0F 02 00 01 12 13 88 00 00"

// TestAnswer cuts the answer to a request out of what else there may be on a line.
func TestAnswer(t *testing.T) {
	step := stepFor(t, "frequency")
	request := step.First.Request
	good := answerTo(t, request, frequencyApart, nil)
	for _, row := range []struct {
		name  string
		heard []byte
		want  bool
	}{
		{"the answer", good, true},
		{"behind wake-up bytes", append(bytes.Repeat([]byte{0xFE}, 4), good...), true},
		{"behind the echo of the request", slices.Concat(request, good), true},
		{"behind noise with start bytes", slices.Concat([]byte{0x68, 0x16, 0x68, 0x24, 0x00, 0x68}, good), true},
		{"behind an answer that is cut short", slices.Concat(good[:20], good), true},
		{"scrambled", answerTo(t, request, frequencyApart, func(f *Frame) { f.Control |= scrambled }), true},
		{"with the bit for events", answerTo(t, request, "85 01 40 20 0F 02 00 01 12 13 88 00 00", nil), true},
		{"a refusal", answerTo(t, request, "85 01 00 20 0F 02 00 00 06 00 00", nil), true},
		{"an error", answerTo(t, request, "EE 00 02", func(f *Frame) { f.Data = []byte{0xEE, requestPIID(request), 2} }), true},
		{"the echo alone", request, false},
		{"from another meter", answerTo(t, request, frequencyApart, func(f *Frame) { f.Address = mustAddress("11") }), false},
		{"from another part of it", answerTo(t, request, frequencyApart, func(f *Frame) { f.Address.Logical = 1 }), false},
		{"to another client", answerTo(t, request, frequencyApart, func(f *Frame) { f.Client++ }), false},
		{"to another request", answerTo(t, request, frequencyApart, func(f *Frame) { f.Data[2] ^= 1 }), false},
		{"of another service", answerTo(t, request, "86 01 00 20 0F 02 00 00 00 00", nil), false},
		{"of another form", answerTo(t, request, "85 02 00 01 20 0F 02 00 01 12 13 88 00 00", nil), false},
		{"about another attribute", answerTo(t, request, "85 01 00 20 0E 02 00 01 12 13 88 00 00", nil), false},
		{"an error to another request", answerTo(t, request, "EE 00 02", func(f *Frame) { f.Data = []byte{0xEE, requestPIID(request) ^ 1, 2} }), false},
		{"a report", answerTo(t, request, "88 01 03 01 20 15 02 00 01 04 20 00 00 00 01 00 00", func(f *Frame) { f.Control = fromServer | functionData }), false},
		{"secured, though that was not asked", answerTo(t, request, "90 02 16 00", nil), false},
		{"with a wrong checksum", append(slices.Clone(good[:len(good)-2]), good[len(good)-2]+1, 0x16), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, token, err := step.First.Answer(row.heard, true)
			if err != nil || (token != nil) != row.want {
				t.Errorf("cut % X (%v)", token, err)
			}
			// However it is chopped, the same is cut.
			var held, cut []byte
			for _, c := range row.heard {
				held = append(held, c)
				advance, token, _ := step.First.Answer(held, false)
				if held = held[advance:]; token != nil {
					cut = token
					break
				}
			}
			if (cut != nil) != row.want {
				t.Errorf("byte by byte % X is cut", cut)
			}
		})
	}
}

func requestPIID(request []byte) byte {
	f, _ := ParseFrame(request)
	return f.Data[2]
}

// TestBadAnswers takes answers that are sound frames, and yet none: they are garbled, with the bytes.
func TestBadAnswers(t *testing.T) {
	for _, row := range []struct{ name, apdu, want string }{
		{"a type that does not fit", "85 01 00 20 0F 02 00 01 0A 01 35 00 00", "visible-string came, which is long-unsigned"},
		{"data cut short", "85 01 00 20 0F 02 00 01 12 13", "takes 2 bytes, 1 are left"},
		{"nesting without end", "85 01 00 20 0F 02 00 01" + strings.Repeat(" 02 01", 40), "more than 16 deep"},
		{"an array of 65,535", "85 01 00 20 0F 02 00 01 01 82 FF FF 00 00", "65535 members of array"},
		{"no tail", "85 01 00 20 0F 02 00 01 12 13 88", "whether a report follows"},
		{"something behind it", "85 01 00 20 0F 02 00 01 12 13 88 00 00 00", "left behind the end"},
	} {
		t.Run(row.name, func(t *testing.T) {
			step := stepFor(t, "frequency")
			frame := answerTo(t, step.First.Request, row.apdu, nil)
			_, token, _ := step.First.Answer(frame, true)
			if token == nil {
				t.Fatal("it is passed over")
			}
			next, result, err := step.First.Take(token)
			if next != nil || len(result.Values) > 0 || !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "first byte first: ") {
				t.Errorf("%v, %v", result.Values, err)
			}
			if result.Address.Text != "000000000010" {
				t.Errorf("it came from %q", result.Address.Text)
			}
		})
	}
}

// endless goes through a conversation with a meter that never ends.
func endless(t *testing.T, step protocol.Step, reply func(n int, request []byte) []byte) (exchanges int, err error) {
	t.Helper()
	e := &step.First
	for exchanges = 1; exchanges < 1000; exchanges++ {
		_, token, _ := e.Answer(reply(exchanges, e.Request), true)
		if token == nil {
			return exchanges, protocol.ErrSilent
		}
		var next *protocol.Exchange
		if next, _, err = e.Take(token); next == nil {
			return exchanges, err
		}
		e = next
	}
	return exchanges, nil
}

// TestEndless ends conversations that a meter does not end: fragments and blocks for ever, or out of order.
func TestEndless(t *testing.T) {
	fragment := func(number func(n int) int, kind FragmentKind) func(n int, request []byte) []byte {
		return func(n int, request []byte) []byte {
			f, err := ParseFrame(request)
			if err != nil {
				t.Fatal(err)
			}
			part := Fragment{Kind: kind, Number: number(n), Data: []byte{0}}
			if n == 1 {
				part = Fragment{Kind: FirstFragment, Data: frametest.FromHex("85 01 00 20 0F 02 00 01 12")}
				part.Data[2] |= requestPIID(request)
			}
			f.Control, f.Data = answer|fragmented, part.Append(nil)
			return mustAppend(f)
		}
	}
	block := func(number func(n int) int) func(n int, request []byte) []byte {
		return func(n int, request []byte) []byte {
			a := APDU{Service: Get | Answered, Choice: Next, Block: uint16(number(n)), Entries: []Entry{{OAD: 0x50040200, Has: true, Columns: []CSD{{OAD: oadFreezeTime}, {OAD: 0x00100201}}, Cells: []Data{{Tag: Null}, {Tag: Null}}}}, Records: true}
			return answerTo(t, request, octet.Hex(a.Append(nil)), nil)
		}
	}
	count := func(n int) int { return n }
	for _, row := range []struct {
		name  string
		item  string
		reply func(n int, request []byte) []byte
		want  string
		most  int
	}{
		{"fragments for ever", "frequency", fragment(func(n int) int { return n - 1 }, MiddleFragment), "not even in 128 fragments", 128},
		{"a fragment out of order", "frequency", fragment(func(int) int { return 7 }, MiddleFragment), "fragment 7 came where fragment 1 is due", 2},
		{"a first fragment again", "frequency", fragment(func(n int) int { return n - 1 }, FirstFragment), "the first fragment 1 came", 2},
		{"blocks for ever", "daily_freeze_forward_active_energy_1", block(count), "not even in 128 blocks", 128},
		{"a block again", "daily_freeze_forward_active_energy_1", block(func(int) int { return 1 }), "block 1 came where block 2 is due", 2},
		{"a block left out", "daily_freeze_forward_active_energy_1", block(func(n int) int { return 2 * n }), "block 4 came where block 3 is due", 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			exchanges, err := endless(t, stepFor(t, row.item), row.reply)
			if !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), row.want) || exchanges > row.most || errors.Is(err, protocol.ErrEndless) != (row.most > 2) {
				t.Errorf("after %d exchanges: %v, want %q after %d", exchanges, err, row.want, row.most)
			}
		})
	}
}

// TestShortFirstFragment has an answer come in fragments of so few bytes that the first does not say what it answers. It
// is taken; the answer to another request in such fragments is not.
func TestShortFirstFragment(t *testing.T) {
	step := stepFor(t, "frequency")
	for size := 1; size <= 12; size++ {
		for _, test := range []struct {
			apdu string
			ok   bool
		}{{"85 01 00 20 0F 02 00 01 12 13 88 00 00", true}, {"85 01 00 20 00 02 00 01 12 13 88 00 00", false}} {
			apdu := frametest.FromHex(test.apdu)
			reply := func(n int, request []byte) []byte {
				f, err := ParseFrame(request)
				if err != nil {
					t.Fatal(err)
				}
				if n == 1 {
					apdu[2] = requestPIID(request)
				}
				from, to := (n-1)*size, min(n*size, len(apdu))
				part := Fragment{Kind: MiddleFragment, Number: n - 1, Data: apdu[from:to]}
				switch {
				case n == 1:
					part.Kind = FirstFragment
				case to == len(apdu):
					part.Kind = LastFragment
				}
				f.Control, f.Data = answer|fragmented, part.Append(nil)
				return mustAppend(f)
			}
			exchanges, err := endless(t, step, reply)
			want := (len(apdu) + size - 1) / size
			if test.ok && (err != nil || exchanges != want) || !test.ok && !errors.Is(err, protocol.ErrGarbled) && !errors.Is(err, protocol.ErrSilent) {
				t.Errorf("%s in parts of %d bytes: %v after %d exchanges", test.apdu, size, err, exchanges)
			}
		}
	}
}

// TestOtherColumns takes a record with other columns than were asked for.
func TestOtherColumns(t *testing.T) {
	step := stepFor(t, "daily_freeze_forward_active_energy_1")
	frame := answerTo(t, step.First.Request, "85 03 00 50 04 02 00 02 00 20 21 02 00 00 00 20 02 01 01 01 00 00 00 00", nil)
	_, token, _ := step.First.Answer(frame, true)
	if _, _, err := step.First.Take(token); !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), "other columns") {
		t.Errorf("%v", err)
	}
}

// FuzzAnswer hears anything, behind and before the answer, and takes what is cut.
func FuzzAnswer(f *testing.F) {
	steps := []protocol.Step{stepFor(f, "frequency"), stepFor(f, "voltage_a", "frequency"), stepFor(f, "daily_freeze_1")}
	f.Add([]byte{}, uint8(0))
	for i := range steps {
		f.Add(steps[i].First.Request, uint8(i))
	}
	f.Add(answerTo(f, steps[0].First.Request, frequencyApart, nil), uint8(0))
	f.Add(answerTo(f, steps[1].First.Request, "85 02 00 02 20 00 02 01 01 12 09 6D 20 0F 02 00 00 04 00 00", nil), uint8(1))
	f.Add(answerTo(f, steps[2].First.Request, "85 03 00 50 04 02 00 01 00 20 21 02 00 01 00 00 00", nil), uint8(2))
	f.Fuzz(func(t *testing.T, heard []byte, which uint8) {
		step := steps[int(which)%len(steps)]
		if len(heard) > 0 && heard[0] == 0x85 { // an APDU: it gets a frame
			request, err := ParseFrame(step.First.Request)
			if err != nil || len(heard) > 2000 {
				t.Skip()
			}
			heard = slices.Clone(heard)
			if len(heard) > 2 {
				heard[2] = request.Data[2]
			}
			heard = mustAppend(Frame{Control: answer, Address: request.Address, Client: client, Data: heard})
		}
		advance, token, err := step.First.Answer(heard, true)
		if err != nil || advance > len(heard) {
			t.Fatalf("%d of %d bytes (%v)", advance, len(heard), err)
		}
		_ = step.First.Explain(heard)
		if token == nil {
			return
		}
		next, result, err := step.First.Take(token)
		if err != nil && (next != nil || len(result.Values) > 0) {
			t.Errorf("values beside an error: %v, %v", result.Values, err)
		}
		if next != nil && next.Answer == nil {
			t.Error("nobody awaits the next answer")
		}
	})
}

// FuzzPlan plans whatever is asked for.
func FuzzPlan(f *testing.F) {
	f.Add("voltage_a,daily_freeze_1,00100200", int64(0), []byte{})
	f.Add("load_record_1", int64(1_700_000_000), []byte{})
	for _, v := range vectors(f) {
		f.Add("", int64(0), frametest.FromHex(v.Hex))
	}
	f.Fuzz(func(t *testing.T, items string, from int64, frame []byte) {
		m := New(shanghai)
		address, _ := m.ParseAddress("000000000010")
		request := protocol.Request{Verb: protocol.VerbRead, Address: address, Items: strings.Split(items, ",")}
		if from > 0 {
			request.From = time.Unix(from, 0)
		}
		if plan, err := m.Plan(request, nil); err == nil {
			for _, step := range plan.Steps {
				if _, err := ParseFrame(step.First.Request); err != nil {
					t.Errorf("%q: %v", items, err)
				}
			}
		}
		if plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: frame}, nil); err == nil && !bytes.Equal(plan.Steps[0].First.Request, octet.TrimWakeUp(frame)) {
			t.Errorf("% X goes as % X", frame, plan.Steps[0].First.Request)
		}
		for pattern := range strings.SplitSeq(items, ",") {
			if names, err := m.Match(pattern); err == nil && len(names) == 0 {
				t.Errorf("%q matches nothing, without an error", pattern)
			}
		}
	})
}

// TestPlainAnswerToASealedRequest may be the late answer to the request that went before without an
// envelope: a refusal of that says nothing of this one.
func TestPlainAnswerToASealedRequest(t *testing.T) {
	apdu := numbered(APDU{Service: Get, Choice: Normal})
	for _, sealed := range []bool{false, true} {
		talked := &talk{address: mustAddress("000000000010"), apdu: apdu, sealed: sealed}
		e := talked.exchange()
		frame := func(data []byte) []byte {
			return mustAppend(Frame{Control: answer, Address: talked.address, Client: client, Data: data})
		}
		refusal := append([]byte{byte(Get | Answered), Normal, apdu.PIID}, frametest.FromHex("20 0F 02 00 00 0F 00 00")...)
		if got := e.Vague(frame(refusal)); got != sealed {
			t.Errorf("sealed %v: a plain refusal is vague: %v", sealed, got)
		}
		envelope := APDU{Service: Security | Answered, Sealed: &Sealed{APDU: refusal}}
		if e.Vague(frame(envelope.Append(nil))) {
			t.Errorf("sealed %v: an answer in an envelope is vague", sealed)
		}
	}
}
