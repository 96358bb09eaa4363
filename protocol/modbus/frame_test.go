package modbus

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol/frametest"
)

// TestChecksum holds the check value of CRC-16/MODBUS.
func TestChecksum(t *testing.T) {
	if got := checksum([]byte("123456789")); got != 0x4B37 {
		t.Errorf("%04X, want 4B37", got)
	}
}

// TestFrames reads frames that other programs have made, and writes them again.
func TestFrames(t *testing.T) {
	for _, row := range []struct{ frame, want string }{
		{
			"01 03 20 06 00 06 2E 09",
			`"direction":"request","address":"1","control":"03","function":"read_holding_registers","di":null,"values":{"register":"2006","count":6}`,
		},
		{
			"01 04 00 00 00 02 71 CB",
			`"direction":"request","address":"1","control":"04","function":"read_input_registers","di":null,"values":{"register":"0000","count":2}`,
		},
		{
			"01 04 04 43 66 33 33 5A FA",
			`"direction":"response","address":"1","control":"04","function":"read_input_registers","di":null,"values":{"registers":"43663333"}`,
		},
		{
			"01 06 00 2C 00 02 C9 C2",
			`"direction":"request","address":"1","control":"06","function":"write_register","di":null,"values":{"register":"002C","registers":"0002"}`,
		},
		{
			"01 10 00 2C 00 01 02 00 02 20 3D",
			`"direction":"request","address":"1","control":"10","function":"write_registers","di":null,"values":{"register":"002C","count":1,"registers":"0002"}`,
		},
		{
			"01 83 02 C0 F1",
			`"direction":"response","address":"1","control":"83","function":"read_holding_registers","di":null,"values":{},"units":{},"more":false,"reasons":["illegal_address"]`,
		},
	} {
		b := frametest.FromHex(row.frame)
		frame, err := ParseFrame(b)
		if err != nil {
			t.Errorf("%s: %v", row.frame, err)
			continue
		}
		if again, err := frame.AppendBinary(nil); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s is written again as % X, %v", row.frame, again, err)
		}
		d, err := Describe(b)
		text, _ := json.Marshal(d)
		if err != nil || !strings.Contains(string(text), row.want) {
			t.Errorf("%s is described as %s, %v\nwant %s", row.frame, text, err, row.want)
		}
	}
}

func TestParseFrameRefuses(t *testing.T) {
	for _, row := range []struct{ frame, want string }{
		{"", "0 bytes"},
		{"010383", "at least 4"},
		{"01 83 02 C0 F0", "the CRC is C0 F0, should be C0 F1"},
		{strings.Repeat("00", 257), "256 are the most"},
	} {
		if f, err := ParseFrame(frametest.FromHex(row.frame)); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s reads as %v, %v, want an error with %q", row.frame, f, err, row.want)
		}
	}
	if b, err := (Frame{Data: make([]byte, 253)}).AppendBinary(nil); err == nil {
		t.Errorf("253 bytes of data became %X", b)
	}
	if d, err := Describe(wire(1, ReadHolding, "00")); err == nil {
		if text, _ := json.Marshal(d); !strings.Contains(string(text), `"registers":""`) {
			t.Errorf("an answer without registers is described as %s", text)
		}
	}
	if d, err := Describe(wire(1, ReadHolding, "0500")); err == nil {
		t.Errorf("a frame that fits no function is described as %v", d)
	}
}

func TestParseAddress(t *testing.T) {
	for _, row := range []struct {
		text string
		want byte
	}{{"1", 1}, {"7", 7}, {"007", 7}, {"247", 247}, {"0", 0}, {"248", 0}, {"-1", 0}, {"+1", 0}, {"0x7", 0}, {"", 0}, {"７", 0}, {"99999", 0}} {
		if got, err := ParseAddress(row.text); got != row.want || (err == nil) != (row.want != 0) {
			t.Errorf("%q reads as %d, %v, want %d", row.text, got, err, row.want)
		}
	}
}

// TestAnswers cuts the answer out of a line, and takes nothing else for it.
func TestAnswers(t *testing.T) {
	read := readRequest(1, ReadHolding, 0x2006, 2)
	good := wire(1, ReadHolding, "04 45 0F C0 00")
	exception := wire(1, ReadHolding|refused, "02")
	inside := slices.Concat(frametest.FromHex("68 01 00 00 00 00 00 68 91 0D 33 33 34 33"), good, frametest.FromHex("00 16"))
	bad := slices.Clone(good)
	bad[5]++
	coil := Frame{1, WriteCoil, frametest.FromHex("0010 FF00")}
	block := Frame{1, WriteRegisters, frametest.FromHex("002C 0001 02 0002")}
	for _, row := range []struct {
		name    string
		request Frame
		stream  []byte
		want    []byte
	}{
		{"alone", read, good, good},
		{"an exception", read, exception, exception},
		{"behind noise", read, slices.Concat(frametest.FromHex("00 FF 01"), good), good},
		{"behind the echo", read, slices.Concat(mustAppend(read), good), good},
		{"behind the late answer of another", read, slices.Concat(wire(2, ReadHolding, "04 00 00 00 01"), good), good},
		{"behind a late answer of another length", read, slices.Concat(wire(1, ReadHolding, "02 00 01"), good), good},
		{"more registers", read, wire(1, ReadHolding, "06 45 0F C0 00 00 00"), nil},
		{"fewer registers", read, wire(1, ReadHolding, "02 45 0F"), nil},
		{"another function", read, wire(1, ReadInput, "04 45 0F C0 00"), nil},
		{"another slave", read, wire(2, ReadHolding, "04 45 0F C0 00"), nil},
		{"inside a frame of another protocol", read, inside, nil},
		{"damaged", read, bad, nil},
		{"cut short", read, good[:7], nil},
		{"an exception of another function", read, wire(1, ReadInput|refused, "02"), nil},
		{"coils", readRequest(1, ReadCoils, 0, 10), wire(1, ReadCoils, "02 FF 03"), wire(1, ReadCoils, "02 FF 03")},
		{"a coil written", coil, mustAppend(coil), mustAppend(coil)},
		{"another coil written", coil, wire(1, WriteCoil, "0011 FF00"), nil},
		{"registers written", block, wire(1, WriteRegisters, "002C 0001"), wire(1, WriteRegisters, "002C 0001")},
		{"registers written, behind the echo", block, slices.Concat(mustAppend(block), wire(1, WriteRegisters, "002C 0001")), wire(1, WriteRegisters, "002C 0001")},
		{"other registers written", block, wire(1, WriteRegisters, "002D 0001"), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer := answerTo(row.request)
			if got := frametest.Trickle(t, answer.split, row.stream); !bytes.Equal(got, row.want) {
				t.Errorf("byte by byte %X, want %X", got, row.want)
			}
			if got := frametest.Wholly(answer.split, row.stream); !bytes.Equal(got, row.want) {
				t.Errorf("at once %X, want %X", got, row.want)
			}
		})
	}
}

// TestExplain says of sound frames why they are no answer.
func TestExplain(t *testing.T) {
	explain := explainer(answerTo(readRequest(1, ReadHolding, 0x2006, 2)))
	good := wire(1, ReadHolding, "04 45 0F C0 00")
	for _, row := range []struct {
		name  string
		heard []byte
		want  string
	}{
		{"nothing sound", frametest.FromHex("55 AA 55"), ""},
		{"another slave", wire(2, ReadHolding, "04 45 0F C0 00"), "slave 2 answers (read_holding_registers, 9 bytes), where slave 1 was asked"},
		{"fewer registers", wire(1, ReadHolding, "02 45 0F"), "slave 1 answers (read_holding_registers, 7 bytes), where 9 bytes were to come"},
		{"another function", wire(1, ReadInput, "04 45 0F C0 00"), "slave 1 answers (read_input_registers, 9 bytes)"},
		{"behind noise", slices.Concat(bytes.Repeat([]byte{0x55}, 9), good), "slave 1 answers (read_holding_registers, 9 bytes), behind more than 8 bytes that are no frame"},
	} {
		if got := explain(row.heard); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}
