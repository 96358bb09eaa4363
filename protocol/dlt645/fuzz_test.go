package dlt645

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// seeds are streams to begin with: every frame of the tests, and what a line makes of them.
func seeds(f *testing.F) (streams [][]byte) {
	var all []byte
	for _, c := range cases(f, "frames.jsonl") {
		streams = append(streams, frametest.FromHex(c.Frame))
		all = append(all, frametest.FromHex(c.Frame)...)
	}
	for _, c := range cases(f, "bad-frames.jsonl") {
		streams = append(streams, frametest.FromHex(c.Frame))
	}
	return append(streams, nil, []byte{0xFE, 0x68}, bytes.Repeat([]byte{0x68}, 300), all[:2000])
}

func FuzzParseFrame(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	frametest.FuzzParse(f, ParseFrame, func(frame Frame) bool { return len(frame.Data) == 0 && frame.Control == 0 }, octet.TrimWakeUp)
}

func FuzzSplitFrame(f *testing.F) {
	for i, seed := range seeds(f) {
		f.Add(seed, byte(i))
	}
	f.Fuzz(func(t *testing.T, stream []byte, size byte) {
		want := scan(t, bufio.NewScanner(bytes.NewReader(stream)))
		for _, frame := range want {
			if _, err := ParseFrame(frame); err != nil {
				t.Errorf("cut %X, which is no frame: %v", frame, err)
			}
		}
		if got := scan(t, bufio.NewScanner(iotest.OneByteReader(bytes.NewReader(stream)))); !equal(got, want) {
			t.Errorf("byte by byte %X, want %X", got, want)
		}
		small := bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(stream)), int(size)+16)
		if got := scan(t, bufio.NewScanner(small)); !equal(got, want) {
			t.Errorf("in pieces %X, want %X", got, want)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for i, seed := range seeds(f) {
		f.Add(seed, "112233445566", byte(i), byte(1))
	}
	energy := []byte{0x00, 0x00, 0x01, 0x00}
	f.Fuzz(func(t *testing.T, stream []byte, from string, which, seq byte) {
		a, err := ParseAddress(from, V2007)
		if err != nil {
			a = Anyone
		}
		answer := readAnswer(a, FunctionRead, V2007, energy)
		switch which % 3 {
		case 1:
			answer = readAnswer(a, FunctionReadFollowUp, V2007, append(slices.Clone(energy), seq))
		case 2:
			answer = addressAnswer(a)
		}
		for _, token := range [][]byte{frametest.Trickle(t, answer.split, stream), frametest.Wholly(answer.split, stream)} {
			if token == nil {
				continue
			}
			frame, err := ParseFrame(token)
			if err != nil || token[0] != start {
				t.Fatalf("cut %X, which is no frame: %v", token, err)
			}
			c := frame.Control
			switch {
			case !answer.from.Matches(frame.Address), !c.FromMeter(), c.Function() != answer.function:
				t.Errorf("cut %X, want function %02X from %s", token, byte(answer.function), answer.from)
			case c.Refused():
				if !answer.refusable || len(frame.Data) == 0 {
					t.Errorf("cut the refusal %X", token)
				}
			case answer.ownAddress:
				if reversedAddress(frame.Data) != frame.Address && frame.Address != Anyone {
					t.Errorf("cut %X, the address of another", token)
				}
			case !bytes.HasPrefix(frame.Data, energy):
				t.Errorf("cut %X, which has another identifier", token)
			case answer.hasSeq && (len(frame.Data) < 5 || frame.Data[len(frame.Data)-1] != seq):
				t.Errorf("cut %X, which has not SEQ %d", token, seq)
			}
		}
	})
}

func FuzzDescribe(f *testing.F) {
	for i, seed := range seeds(f) {
		f.Add(seed, byte(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, version byte) {
		d, err := Describe(b, Version(version%3), time.UTC)
		if err != nil {
			return
		}
		text, err := json.Marshal(d)
		if err != nil || !json.Valid(text) {
			t.Errorf("%X: %s, %v", b, text, err)
		}
		if want := octet.TrimWakeUp(b); !bytes.Equal(frametest.FromHex(d.Hex), want) {
			t.Errorf("%X: described as %s", want, d.Hex)
		}
	})
}

func FuzzRedact(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, byte(5))
	}
	f.Fuzz(func(t *testing.T, b []byte, lost byte) {
		text := Redact(b)
		if len(text) != 2*len(b) {
			t.Fatalf("%X: %s, not two characters a byte", b, text)
		}
		for i, c := range b {
			if pair := text[2*i : 2*i+2]; pair != "**" && !bytes.Equal(frametest.FromHex(pair), []byte{c}) {
				t.Errorf("%X: byte %d became %s", b, i, pair)
			}
		}
		// Whatever stands before it, the password of a whole frame is masked, and with nothing
		// before it that of a frame whose end was lost.
		command := wire("112233445566", 0x1C, frametest.FromHex("02 563412 00000000 1A 00 000000010130")...)
		cut := command[:len(command)-int(lost)%len(command)]
		for _, text := range []string{Redact(slices.Concat(b, command))[2*len(b):], Redact(cut)} {
			if len(text) > 22 && !strings.HasPrefix("******", text[22:min(len(text), 28)]) {
				t.Errorf("%X, or its beginning, behind %X: %s", command, b, text)
			}
		}
	})
}

// FuzzWrite writes any value to any item. What is sent is a frame whose value, read back and
// written again, is the same; what is not sent has a reason that the bridge knows.
func FuzzWrite(f *testing.F) {
	for _, seed := range []struct{ item, value string }{
		{"demand_period", `15`},
		{"voltage_upper_limit", `253.0`},
		{"meter_number", `"112233445566"`},
		{"active_combination", `"05"`},
		{"settlement_day_1", `"01 00:00"`},
		{"day_periods_1_1", `[{"start":"08:00","tariff":2},{"start":"22:00","tariff":3}]`},
		{"holiday_1", `{"date":"2026-10-01","table":1}`},
		{"auto_display_item_1", `{"auto_display_item_1":"00010000","auto_display_item_1_part":0}`},
		{"ladder_table_current", `{"ladder_table_current":null}`},
		{"asset_code", `"A-17"`},
		{"clock", `"2026-11-21T18:00:00+08:00"`},
		{"clock", `{"clock_date":"2026-11-21","clock_time":"18:00:00"}`},
		{"schedule_counts", `{"year_zone_count":2,"day_table_count":3,"day_period_count":4,"tariff_count":4,"holiday_count":0}`},
		{"tariff_price_set_1_block", `{"tariff_price_set_1_t1":0.5,"tariff_price_set_1_t2":1.25}`},
		{"04EE0001", `"0A0B0C"`},
		{"status_3", `[{}]`},
	} {
		f.Add(seed.item, seed.value, false)
		f.Add(seed.item, seed.value, true)
	}
	f.Fuzz(func(t *testing.T, item, text string, old bool) {
		v := V2007
		if old {
			v = V1997
		}
		c := command("")
		c.Item = item
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&c.Value) != nil {
			return
		}
		m := New(v, shanghai)
		plan, err := m.Plan(protocol.Request{Verb: protocol.VerbWrite, Address: meterAt(meterB), Command: c.command()}, nil)
		if err != nil {
			if !errors.Is(err, protocol.ErrBadRequest) && !errors.Is(err, protocol.ErrUnknownItem) {
				t.Errorf("%s=%s: %v", item, text, err)
			}
			return
		}
		frame, err := ParseFrame(plan.Steps[0].First.Request)
		if err != nil {
			t.Fatalf("%s=%s: %v", item, text, err)
		}
		data := frame.Data[diSize(v):]
		if v == V2007 {
			data = data[8:]
		} else {
			data = data[4:]
		}
		whole, err := m.find(item)
		if err != nil || whole.Name == "" {
			return
		}
		values, err := whole.Decode(data, shanghai)
		if err != nil {
			t.Fatalf("%s=%s is sent as %X: %v", item, text, data, err)
		}
		again, err := whole.Append(nil, encodable(values), shanghai)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s=%s is sent as %X, which comes back as %v and is then sent as %X, %v", item, text, data, values, again, err)
		}
	})
}

// FuzzPlanRaw sends whatever a client takes for a frame. What goes out is that one frame and no
// more; a read is none that could change anything, alone or hidden in its data; a command goes
// to one meter, or is one that the standard has for many; its password is known and masked.
func FuzzPlanRaw(f *testing.F) {
	for i, seed := range seeds(f) {
		f.Add(seed, i%2 == 0)
	}
	f.Add(wire("1", 0x11, append([]byte{0, 0, 1, 0}, wire("1", 0x17, 0x20)...)...), false)
	f.Add(wire("AAAAAAAA0001", 0x1C, frametest.FromHex("02 563412 00000000 1A00 000000010130")...), false)
	f.Fuzz(func(t *testing.T, b []byte, old bool) {
		m := New(V2007, time.UTC)
		if old {
			m = New(V1997, time.UTC)
		}
		plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRaw, Class: protocol.ClassRead, Frame: b}, nil)
		if err != nil {
			if !errors.Is(err, protocol.ErrBadRequest) {
				t.Errorf("%X: %v", b, err)
			}
			return
		}
		step := plan.Steps[0]
		sent := step.First.Request
		frame, err := ParseFrame(sent)
		if err != nil || !bytes.Equal(sent, octet.TrimWakeUp(b)) || len(plan.Steps) != 1 || plan.Then != nil {
			t.Fatalf("%X: sends %X, %v", b, sent, err)
		}
		if plan.Permission == protocol.PermitRead {
			switch frame.Control {
			case 0x11, 0x12, 0x13, 0x01, 0x02:
			default:
				t.Errorf("%X counts as a read", sent)
			}
			for i := 1; i < len(sent); i++ {
				if _, hidden, _ := SplitFrame(sent[i:], true); hidden != nil {
					t.Errorf("%X hides %X", sent, hidden)
				}
			}
			return
		}
		wild := frame.Address.IsBroadcast() || frame.Address == Anyone || frame.Control != 0x04 && frame.Address.IsWildcard() && frame.Control.Function().Version() == V2007 && !old
		if plan.Level != "" && wild {
			t.Errorf("%X takes a password to many meters", sent)
		}
		if plan.Level != "" {
			digits := frametest.FromHex(plan.Level[2:])
			slices.Reverse(digits)
			if shown := Redact(sent); !strings.Contains(shown, "******") && bytes.Contains(frame.Data, digits) {
				t.Errorf("%X is shown as %s", sent, shown)
			}
		}
	})
}

// FuzzParseAddress reads addresses as people write them. What was read is written so that it is
// read as the same again, and a 12-digit address is itself.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"1", "112233445566", "AAAAAAAAAAAA", "aaaaaaaa0001", "999999999999", "AAAA1", "", "１２", "12x"} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, text string, old bool) {
		m := New(V2007, time.UTC)
		if old {
			m = New(V1997, time.UTC)
		}
		address, err := m.ParseAddress(text)
		if err != nil {
			if !errors.Is(err, protocol.ErrBadRequest) || !address.IsZero() {
				t.Errorf("%q: %v, %v", text, address, err)
			}
			return
		}
		if again, err := m.ParseAddress(address.Text); again != address || err != nil || len(address.Text) != 12 {
			t.Errorf("%q: %v, then %v, %v", text, address, again, err)
		}
		if len(text) == 12 && !strings.EqualFold(text, address.Text) {
			t.Errorf("%q became %q", text, address)
		}
	})
}
