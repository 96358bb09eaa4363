package dlt645

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// A script is what a line brings after each request of a conversation, in turn; the last
// stream comes again and again.
type script [][]byte

// run has the conversation of a step, and returns how many requests it took.
func (s script) run(t testing.TB, step *protocol.Step) (result protocol.Result, requests int, err error) {
	t.Helper()
	result, err = converse(t, step, func([]byte) []byte {
		requests++
		return s[min(requests, len(s))-1]
	})
	return result, requests, err
}

// Whatever a meter does wrong, the error says what is wrong, shows the bytes, and who sent them.
func TestReadGarbled(t *testing.T) {
	part := func(control Control, di DI, v Version, data string) []byte {
		return wire("112233445566", control, append(di.Append(nil, v), frametest.FromHex(data)...)...)
	}
	record := func(control Control, data string) []byte { return part(control, 0xEF300501, V2007, data) }
	for _, test := range []struct {
		name     string
		version  Version
		item     string
		answers  script
		requests int
		want     []string
	}{
		{"too long", V2007, "voltage_a", script{part(0x91, 0x02010100, V2007, "000102")}, 1,
			[]string{"read 02010100 from 112233445566: voltage_a: ", "3 bytes are 1 too many", "00 01 02"}},
		{"too short", V2007, "voltage_a", script{part(0x91, 0x02010100, V2007, "12")}, 1, []string{"1 bytes are left for XXX.X", "first byte first: 12"}},
		{"nothing but the identifier", V2007, "voltage_a", script{part(0x91, 0x02010100, V2007, "")}, 1, []string{"there are no data, as some meters answer for what they do not have", "none"}},
		{"no BCD", V2007, "voltage_a", script{part(0x91, 0x02010100, V2007, "1A22")}, 1, []string{"byte 1 of 2 is 1AH", "1A 22"}},
		{"no BCD in a block", V2007, "0201FF00", script{part(0x91, 0x0201FF00, V2007, "0122 02B2 0322")}, 1, []string{"voltage_b: ", "byte 2 of 2 is B2H", "01 22 02 B2 03 22"}},
		{"a date that there is not", V2007, "clock_date", script{part(0x91, 0x04000101, V2007, "06 30 02 24")}, 1, []string{"no date", "byte 2 is 30H", "06 30 02 24"}},
		{"a date that there is not, 1997", V1997, "clock_date", script{part(0x81, 0xC010, V1997, "06 15 13 24")}, 1, []string{"read C010 from", "byte 3 is 13H", "06 15 13 24"}},
		{"no BCD, 1997", V1997, "forward_active_energy", script{part(0x81, 0x9010, V1997, "0000000A")}, 1, []string{"byte 4 of 4 is 0AH", "00 00 00 0A"}},

		{"a follow-up frame that is refused", V2007, "EF300501", script{record(0xB1, "0102"), wire("112233445566", 0xD2, 0x02)}, 2,
			[]string{"part 1 was announced", "no_such_data", "01 02"}},
		{"a follow-up frame that is refused, 1997", V1997, "E001", script{part(0xA1, 0xE001, V1997, "0102"), wire("112233445566", 0xC2, 0x02)}, 2,
			[]string{"part 1 was announced", "01 02"}},
		{"SEQ of the part before", V2007, "EF300501", script{record(0xB1, "0102"), record(0xB2, "0304 01"), record(0xB2, "0304 01")}, 3,
			[]string{"SEQ 1 came where 2 was asked for", "03 04 01"}},
		{"SEQ of the part behind", V2007, "EF300501", script{record(0xB1, "0102"), record(0x92, "0506 02")}, 2,
			[]string{"SEQ 2 came where 1 was asked for", "05 06 02"}},
		{"a chain without end", V2007, "EF300501", endless(0xEF300501, V2007), 256, []string{"not even in 256 frames", "07 07", "448 bytes more"}},
		{"more than there can be", V2007, "voltage_a", endless(0x02010100, V2007), 3, []string{"6 bytes have come and more are announced, where 4 are the most"}},
		{"parts without data", V2007, "EF300501", script{record(0xB1, "0102"), record(0xB2, "01")}, 2, []string{"part 1 is empty, and more is announced"}},
		{"a first part without data", V2007, "EF300501", script{record(0xB1, "")}, 1, []string{"part 0 is empty"}},
		{"a chain without end, 1997", V1997, "E001", endless(0xE001, V1997), 256, []string{"not even in 256 frames", "07 07", "448 bytes more"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := plan(t, New(test.version, shanghai), nil, "112233445566", test.item)
			result, requests, err := test.answers.run(t, &p.Steps[0])
			var refusal *protocol.Refusal
			if !errors.Is(err, protocol.ErrGarbled) || errors.As(err, &refusal) || result.Values != nil || result.Address.Text != "112233445566" {
				t.Fatalf("got %+v, %v, want garbled from 112233445566", result, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if requests != test.requests {
				t.Errorf("%d requests, want %d", requests, test.requests)
			}
		})
	}
}

// endless announces more in every frame, of two bytes each.
func endless(di DI, v Version) script {
	data := append(di.Append(nil, v), 0x07, 0x07)
	if v == V1997 {
		return script{wire("112233445566", 0xA1, data...), wire("112233445566", 0xA2, data...)}
	}
	s := script{wire("112233445566", 0xB1, data...)}
	for seq := range byte(maximumParts) {
		s = append(s, wire("112233445566", 0xB2, append(slices.Clone(data), seq+1)...))
	}
	return s
}

// Another part, late or too early, does not keep the right one from being taken.
func TestReadPassesOverOtherParts(t *testing.T) {
	record := func(control Control, data ...byte) []byte {
		return wire("112233445566", control, append(DI(0xEF300501).Append(nil, V2007), data...)...)
	}
	first, second, third := record(0xB1, 1, 2), record(0xB2, 3, 4, 1), record(0x92, 5, 6, 2)
	step := plan(t, New(V2007, shanghai), nil, "112233445566", "EF300501").Steps[0]
	for _, stream := range [][]byte{slices.Concat(second, third), slices.Concat(third, second), slices.Concat(third, third, second), slices.Concat(first, second)} {
		result, _, err := script{first, stream, slices.Concat(second, third)}.run(t, &step)
		if err != nil || frametest.Show(result.Values) != `EF300501="060504030201"` {
			t.Errorf("%X: got %s, %v", stream, frametest.Show(result.Values), err)
		}
	}
}

// A record is joined out of what a line makes of its parts: earlier and later ones, some of
// them again and again, refusals, other meters' frames, noise. What comes of it is the record
// or an error, never another record, and it comes after so many requests.
func FuzzFollowUps(f *testing.F) {
	f.Add([]byte("a record of some length"), byte(5), []byte{0, 1, 0, 0, 2, 0, 0, 3, 0, 0})
	f.Add([]byte("in one part"), byte(200), []byte{0, 0})
	f.Add([]byte("refused"), byte(2), []byte{0, 0, 4, 0})
	f.Add([]byte("the part behind in its place"), byte(2), []byte{0, 2, 6, 0})
	f.Add([]byte("parts before and behind"), byte(3), []byte{0, 0, 1, 2, 0, 2, 1, 0})
	f.Add(bytes.Repeat([]byte{0x68, 0x16, 0xFE, 0x33}, 100), byte(1), []byte{})
	m := New(V2007, shanghai)
	const di DI = 0xEF300501
	f.Fuzz(func(t *testing.T, record []byte, size byte, line []byte) {
		line = line[:min(len(line), 100)]
		var parts [][]byte // as data of frames: without identifier and SEQ
		for rest := record; ; {
			n := min(len(rest), max(1, int(size)))
			parts, rest = append(parts, rest[:n]), rest[n:]
			if len(rest) == 0 {
				break
			}
		}
		frame := func(seq int) []byte {
			data := append(di.Append(nil, V2007), parts[seq]...)
			control := Control(0x91)
			if seq > 0 {
				data, control = append(data, byte(seq)), 0x92
			}
			if seq < len(parts)-1 {
				control |= more
			}
			return wire("112233445566", control, data[:min(len(data), maximumData)]...)
		}
		if len(parts) > maximumParts+1 || len(parts[0]) > maximumData-5 {
			return
		}
		// stream is what comes after the request for a part: the bytes of line say what, up to a
		// 0, which stands for the part itself, or a 6, after which nothing more comes.
		stream := func(seq int) []byte {
			var b []byte
			for len(line) > 0 {
				what := line[0]
				line = line[1:]
				switch what % 7 {
				case 0:
					return append(b, frame(seq)...)
				case 1:
					b = append(b, frame(max(0, seq-1))...)
				case 2:
					b = append(b, frame(min(seq+1, len(parts)-1))...)
				case 3:
					b = append(b, frame(int(what)%len(parts))...)
				case 4:
					b = append(b, wire("112233445566", 0xD1+Control(min(seq, 1)), 0x02)...)
				case 5:
					b = append(b, what, start, 0x66, 0x55)
				case 6:
					return b
				}
			}
			return append(b, frame(seq)...)
		}
		step := plan(t, m, nil, "112233445566", fmt.Sprintf("%08X", uint32(di))).Steps[0]
		exchange := &step.First
		for seq := 0; ; seq++ {
			if seq >= len(parts) {
				t.Fatalf("%d parts, and it asks for another", len(parts))
			}
			token := frametest.Wholly(exchange.Answer, stream(seq))
			if token == nil {
				return
			}
			next, result, err := exchange.Take(token)
			if next != nil {
				exchange = next
				continue
			}
			var refusal *protocol.Refusal
			switch {
			case err == nil && result.Values[0].Data != hexOf(record):
				t.Errorf("%X in %d parts is joined as %v", record, len(parts), result.Values[0].Data)
			case err != nil && result.Values != nil, err != nil && !errors.Is(err, protocol.ErrGarbled) && !errors.As(err, &refusal):
				t.Errorf("%X in %d parts: %v, %v", record, len(parts), result.Values, err)
			}
			return
		}
	})
}
