package dlt698

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// TestAPDU reads APDUs of the forms that no published frame has, and writes them again.
func TestAPDU(t *testing.T) {
	for _, row := range []struct {
		name, wire string
		check      func(*APDU) bool
	}{
		{
			"the next block is asked for", "05 05 07 00 01 00",
			func(a *APDU) bool { return a.Service == Get && a.Choice == Next && a.Block == 1 },
		},
		{
			"a block of values", "85 05 07 00 00 01 01 01 20 0F 02 00 01 12 13 88 00 00",
			func(a *APDU) bool {
				return !a.Last && a.Block == 1 && !a.Records && len(a.Entries) == 1 && a.Entries[0].Data.Bits == 5000
			},
		},
		{
			"the last block, of records", "85 05 07 01 00 02 02 01 50 04 02 00 01 00 20 21 02 00 01 01 1C 07 EA 0A 05 00 00 00 00 00",
			func(a *APDU) bool { return a.Last && a.Block == 2 && a.Records && a.Entries[0].Rows() == 1 },
		},
		{
			"no block", "85 05 07 01 00 02 00 09 00 00",
			func(a *APDU) bool { return a.DAR == darNoBlock && a.Entries == nil },
		},
		{
			"a report of values behind a value", "85 01 47 20 0F 02 00 01 12 13 88 01 01 01 20 15 02 00 01 04 20 00 00 00 01 00",
			func(a *APDU) bool { return a.PIID&piidACD != 0 && len(a.Follow) == 1 && !a.FollowRecords },
		},
		{
			"a report of records behind a value", "85 01 07 20 0F 02 00 01 12 13 88 01 02 01 30 11 02 00 01 00 20 22 02 00 01 01 06 00 00 00 07 00",
			func(a *APDU) bool { return len(a.Follow) == 1 && a.FollowRecords && a.Follow[0].Cells[0].Bits == 7 },
		},
		{
			"a time tag behind a value", "85 01 07 20 0F 02 00 01 12 13 88 00 01 07 EA 03 01 0C 00 00 00 00 05",
			func(a *APDU) bool { return len(a.TimeTag) == timeTagSize },
		},
		{
			"an attribute is set, and read then", "06 03 01 01 40 00 03 00 16 01 40 00 03 00 00 00",
			func(a *APDU) bool { return a.Entries[0].Then.OAD == 0x40000300 && a.Entries[0].Data.Bits == 1 },
		},
		{
			"it was set and read", "86 03 01 01 40 00 03 00 00 40 00 03 00 01 16 01 00 00",
			func(a *APDU) bool { return a.Entries[0].DAR == 0 && a.Entries[0].Then.Data.Bits == 1 },
		},
		{
			"a method, and an attribute is read then", "07 03 01 01 80 00 81 00 00 80 00 03 00 05 00",
			func(a *APDU) bool { return a.Entries[0].Delay == 5 && a.Entries[0].Then.OAD == 0x80000300 },
		},
		{
			"a method went, and an attribute could not be read", "87 03 01 01 80 00 81 00 00 00 80 00 03 00 00 03 00 00",
			func(a *APDU) bool { return a.Entries[0].Then.DAR == darDenied },
		},
		{
			"several methods", "07 02 01 02 80 00 81 00 00 80 01 7F 00 00 00",
			func(a *APDU) bool { return len(a.Entries) == 2 },
		},
		{
			"records of several lists", "85 04 01 02 50 04 02 00 01 00 20 21 02 00 01 00 50 06 02 00 01 00 20 21 02 00 00 06 00 00",
			func(a *APDU) bool {
				return a.Entries[0].Has && a.Entries[0].Rows() == 0 && a.Entries[1].DAR == darAbsent
			},
		},
		{
			"trip, with a time tag", "07 01 02 80 00 81 00 01 01 02 04 51 F2 05 02 01 11 00 12 00 00 03 00 01 07 EA 03 01 0C 00 00 00 00 05",
			func(a *APDU) bool { return a.Entries[0].Data.Items[0].Items[0].Bits == 0xF2050201 },
		},
		{
			"an error", "EE 05 02",
			func(a *APDU) bool { return a.Service == Fault|Answered && a.PIID == 5 && a.DAR == 2 },
		},
		{
			"an error with a tail", "EE 05 02 00 00",
			func(a *APDU) bool { return a.DAR == 2 },
		},
		{
			"a report", "88 01 03 01 20 15 02 00 01 04 20 00 00 00 01 00 00",
			func(a *APDU) bool { return a.Service == Report|Answered && len(a.Entries) == 1 },
		},
		{
			"a report is confirmed", "08 01 03 01 20 15 02 00 00",
			func(a *APDU) bool { return a.Entries[0].OAD == 0x20150200 },
		},
		{
			"a secured APDU is refused", "90 02 16 00",
			func(a *APDU) bool { return a.DAR == darESAM && !a.Sealed.HasMAC },
		},
		{
			"ciphertext", "10 01 03 AA BB CC 00 85 01 02 03 02 AB CD 04 01 02 03 04",
			func(a *APDU) bool { return a.Sealed.Cipher && len(a.Sealed.MAC) == 4 },
		},
		{
			"a random number and a MAC", "10 00 01 05 02 02 01 02 04 01 02 03 04",
			func(a *APDU) bool { return a.Sealed.Check == CheckRNMAC && len(a.Sealed.RN) == 2 },
		},
		{
			"a SID", "10 00 01 05 03 85 01 02 03 01 AB",
			func(a *APDU) bool { return a.Sealed.Check == CheckSID && a.Sealed.MAC == nil },
		},
		{
			"a service that is passed over", "09 01 07 00 3C 00",
			func(a *APDU) bool { return a.Service == Proxy && len(a.Body) == 3 },
		},
		{
			"a checksum of values", "85 06 07 20 0F 02 00 01 00 00",
			func(a *APDU) bool { return a.Choice == 6 && a.Body != nil },
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			wire := frametest.FromHex(row.wire)
			a, err := ParseAPDU(wire)
			if err != nil {
				t.Fatal(err)
			}
			if !row.check(&a) {
				t.Errorf("read as %+v", a)
			}
			if again := a.Append(nil); !bytes.Equal(again, wire) {
				t.Errorf("written as % X, want % X", again, wire)
			}
		})
	}
}

func TestAPDURefuses(t *testing.T) {
	for _, row := range []struct{ name, wire, want string }{
		{"nothing", "", "the service takes 1 bytes"},
		{"a list beyond its end", "85 02 00 82 FF FF 20 00 02 00", "65535 entries take at least"},
		{"rows beyond the end", "85 03 00 50 04 02 00 01 00 20 21 02 00 01 82 FF FF 00", "65535 rows take at least"},
		{"rows without columns", "85 03 00 50 04 02 00 00 01 05 00 00", "5 rows have no columns"},
		{"neither value nor refusal", "85 01 00 20 0F 02 00 02 00", "choice 2 of a result"},
		{"something behind the end", "85 01 00 20 0F 02 00 01 12 13 88 00 00 AA", "1 bytes are left behind the end"},
		{"no tail", "85 01 00 20 0F 02 00 01 12 13 88", "whether a report follows takes 1 bytes"},
		{"a report of neither kind", "85 01 00 20 0F 02 00 01 12 13 88 01 05", "choice 5 of a report"},
		{"a time tag cut short", "05 01 00 20 0F 02 00 01 07 EA", "a time tag takes 10 bytes"},
		{"a secured APDU beyond the end", "10 00 20 05", "a secured APDU takes 32 bytes"},
		{"a check that is none", "10 00 01 05 04", "choice 4 of a check"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, err := ParseAPDU(frametest.FromHex(row.wire))
			if !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), row.want) {
				t.Errorf("read as %+v (%v), want an error with %q", a, err, row.want)
			}
		})
	}
}
