package cjt188

import (
	"bytes"
	"slices"
	"testing"

	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

const currentData = "34120000 2C 001200002C 00301205032620 0000"

// TestAnswers cuts the answer to a read out of a line, and takes nothing else for it.
func TestAnswers(t *testing.T) {
	request := Frame{ColdWater, address("3312345678"), ReadData, CurrentData.Append(nil, AsWritten)}
	answer := answerTo(request, CurrentData, 1)
	good := wire(ColdWater, "3312345678", 0x81, "901F01"+currentData)
	turned := wire(ColdWater, "3312345678", 0x81, "1F9001"+currentData)
	refusal := frametest.FromHex("68 10 78 56 34 12 33 00 00 C1 03 01 04 00 88 16")
	bad := slices.Clone(good)
	bad[15]++
	for _, row := range []struct {
		name   string
		stream []byte
		want   []byte
	}{
		{"alone", good, good},
		{"in the other order", turned, turned},
		{"a refusal", refusal, refusal},
		{"behind wake-up bytes and noise", slices.Concat(frametest.FromHex("FEFE6810FF68FE"), good), good},
		{"behind the echo", slices.Concat(wire(ColdWater, "3312345678", 0x01, "901F01"), good), good},
		{"behind the answer of another", slices.Concat(wire(ColdWater, "3312345679", 0x81, "901F01"+currentData), good), good},
		{"behind an earlier answer", slices.Concat(wire(ColdWater, "3312345678", 0x81, "901F00"+currentData), good), good},
		{"another identifier", wire(ColdWater, "3312345678", 0x81, "D12001 001200002C"), nil},
		{"another number", wire(ColdWater, "3312345678", 0x81, "901F02"+currentData), nil},
		{"another function", wire(ColdWater, "3312345678", 0x84, "901F01"+currentData), nil},
		{"another type", wire(HotWater, "3312345678", 0x81, "901F01"+currentData), nil},
		{"damaged", bad, nil},
		{"cut short", good[:20], nil},
		{"a refusal of another request", wire(ColdWater, "3312345678", 0xC1, "020400"), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := frametest.Trickle(t, answer.split, row.stream); !bytes.Equal(got, row.want) {
				t.Errorf("byte by byte %X, want %X", got, row.want)
			}
			if got := frametest.Wholly(answer.split, row.stream); !bytes.Equal(got, row.want) {
				t.Errorf("at once %X, want %X", got, row.want)
			}
		})
	}
}

// TestAnswersOfAnyone takes the answer of whoever is there, of whichever type.
func TestAnswersOfAnyone(t *testing.T) {
	answer := answerTo(Frame{AnyType, Anyone, ReadAddress, nil}, AddressData, 0)
	for _, row := range []struct {
		frame string
		want  bool
	}{
		{"6810180212202000008303810A00F516", true},
		{"6810010000050800008303810A009716", true},
		{"68AAAAAAAAAAAAAAAA0303810A004916", false}, // the echo
	} {
		if got := frametest.Trickle(t, answer.split, frametest.FromHex(row.frame)); (got != nil) != row.want {
			t.Errorf("%s: cut %X", row.frame, got)
		}
	}
}

// TestScan cuts the frames out of everything that was published, in one stream with what is none.
func TestScan(t *testing.T) {
	var stream []byte
	var want [][]byte
	for _, v := range vectors(t) {
		stream = append(stream, frametest.FromHex("6810FE")...)
		stream = append(stream, frametest.FromHex(v.Frame)...)
		want = append(want, octet.TrimWakeUp(frametest.FromHex(v.Frame)))
	}
	// A frame of DL/T 645, whose sum fits, is none.
	stream = append(stream, frametest.FromHex("68 66 55 44 33 22 11 68 91 08 33 33 34 33 AB 89 67 45 7B 16")...)
	var got [][]byte
	for len(stream) > 0 {
		advance, frame, _ := SplitFrame(stream, true)
		if frame == nil {
			break
		}
		got = append(got, frame)
		stream = stream[advance:]
	}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d frames were cut, want %d", len(got), len(want))
	}
}
