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
)

// seeds are streams to begin with: every frame of the tests, and what a line makes of them.
func seeds(f *testing.F) (streams [][]byte) {
	var all []byte
	for _, c := range cases(f, "frames.jsonl") {
		streams = append(streams, fromHex(c.Frame))
		all = append(all, fromHex(c.Frame)...)
	}
	for _, c := range cases(f, "bad-frames.jsonl") {
		streams = append(streams, fromHex(c.Frame))
	}
	return append(streams, nil, []byte{0xFE, 0x68}, bytes.Repeat([]byte{0x68}, 300), all[:2000])
}

func FuzzParseFrame(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, err := ParseFrame(b)
		if err != nil {
			if len(frame.Data) > 0 || frame.Control != 0 {
				t.Errorf("%X: a frame %v with an error", b, frame)
			}
			return
		}
		got, err := frame.AppendBinary(nil)
		if want := trimWakeUp(b); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%X: appended %X, %v", want, got, err)
		}
	})
}

func FuzzScanFrame(f *testing.F) {
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
			answer = &awaited{from: a, function: FunctionReadAddress, least: 6, most: 6, ownAddress: true}
		}
		for _, token := range [][]byte{trickle(t, answer.split, stream), wholly(answer.split, stream)} {
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

// wholly gives a split function everything at once, then silence.
func wholly(split bufio.SplitFunc, stream []byte) []byte {
	for _, atEOF := range []bool{false, true} {
		advance, token, _ := split(stream, atEOF)
		if token != nil {
			return token
		}
		stream = stream[advance:]
	}
	return nil
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
		if want := trimWakeUp(b); !bytes.Equal(fromHex(d.Hex), want) {
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
			if pair := text[2*i : 2*i+2]; pair != "**" && !bytes.Equal(fromHex(pair), []byte{c}) {
				t.Errorf("%X: byte %d became %s", b, i, pair)
			}
		}
		// Whatever stands before it, the password of a whole frame is masked, and with nothing
		// before it that of a frame whose end was lost.
		command := wire("112233445566", 0x1C, fromHex("02 563412 00000000 1A 00 000000010130")...)
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
		plan, err := m.Plan(protocol.Request{Verb: protocol.VerbWrite, Address: meterB, Command: &c}, nil)
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
