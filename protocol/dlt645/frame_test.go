package dlt645

import (
	"bytes"
	"strings"
	"testing"

	"dlt645-mqtt/protocol/frametest"
)

func TestFrame(t *testing.T) {
	for _, test := range []struct {
		name  string
		frame Frame
		wire  []byte
	}{
		{
			"read forward active energy",
			Frame{address("112233445566"), 0x11, []byte{0x00, 0x00, 0x01, 0x00}},
			[]byte{
				0x68,
				0x66, 0x55, 0x44, 0x33, 0x22, 0x11, // address, lowest pair first
				0x68,
				0x11,                   // read
				0x04,                   // four bytes of data
				0x33, 0x33, 0x34, 0x33, // 00010000
				0x17, // checksum
				0x16,
			},
		},
		{
			"123456.78 kWh",
			Frame{address("123456789012"), 0x91, []byte{0x00, 0x00, 0x01, 0x00, 0x78, 0x56, 0x34, 0x12}},
			[]byte{
				0x68,
				0x12, 0x90, 0x78, 0x56, 0x34, 0x12,
				0x68,
				0x91,
				0x08,
				0x33, 0x33, 0x34, 0x33, // 00010000
				0xAB, 0x89, 0x67, 0x45, // 123456.78
				0xCC,
				0x16,
			},
		},
		{
			"read address",
			Frame{Anyone, 0x13, []byte{}},
			[]byte{0x68, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0x68, 0x13, 0x00, 0xDF, 0x16},
		},
		{
			"checksum 16H before the end byte",
			Frame{address("161"), 0x91, []byte{0x00, 0x01, 0x02, 0x02, 0x99, 0x49, 0x00}},
			[]byte{
				0x68,
				0x61, 0x01, 0x00, 0x00, 0x00, 0x00,
				0x68,
				0x91,
				0x07,
				0x33, 0x34, 0x35, 0x35,
				0xCC, 0x7C, 0x33, // 4.999 A
				0x16,
				0x16,
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, wakeUp := range []int{0, 1, 4, 9} {
				frame, err := ParseFrame(append(bytes.Repeat([]byte{0xFE}, wakeUp), test.wire...))
				if err != nil || frame.Address != test.frame.Address || frame.Control != test.frame.Control || !bytes.Equal(frame.Data, test.frame.Data) {
					t.Errorf("with %d wake-up bytes: got %v, %v, want %v", wakeUp, frame, err, test.frame)
				}
			}
			wire, err := test.frame.AppendBinary([]byte{0xFE})
			if err != nil || !bytes.Equal(wire, append([]byte{0xFE}, test.wire...)) {
				t.Errorf("appended %X, %v, want FE%X", wire, err, test.wire)
			}
		})
	}
}

func TestFrameTooLong(t *testing.T) {
	if b, err := (Frame{Data: make([]byte, 256)}).AppendBinary(nil); err == nil || len(b) != 0 {
		t.Errorf("256 bytes of data: got %X, %v, want an error", b, err)
	}
	wire, err := Frame{Control: 0x91, Data: make([]byte, 255)}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	if frame, err := ParseFrame(wire); err != nil || len(frame.Data) != 255 {
		t.Errorf("255 bytes of data came back as %d, %v", len(frame.Data), err)
	}
}

func TestParseFrameErrors(t *testing.T) {
	for _, test := range []struct{ name, wire, err string }{
		{"nothing", "", "no frame"},
		{"wake-up bytes only", "FEFEFEFE", "no frame"},
		{"no start", "00", "begins with 00H"},
		{"start only", "68", "1 bytes"},
		{"second start", "68665544332211691104333334331716", "69H, should be 68H"},
		{"cut short", "686655443322116811043333343317", "asks for 16 bytes in all, 15 came"},
		{"length too large", "68665544332211681105333334331716", "length byte 05H asks for 17 bytes in all, 16 came"},
		{"something behind", "6866554433221168110433333433171600", "16 bytes in all, 17 came"},
		{"checksum", "68665544332211681104333334331816", "checksum is 18H, should be 17H"},
		{"end byte", "68665544332211681104333334331717", "end byte is 17H, should be 16H"},
	} {
		frame, err := ParseFrame(frametest.FromHex(test.wire))
		if err == nil || !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: got %v, %v, want an error with %q", test.name, frame, err, test.err)
		}
	}
}
