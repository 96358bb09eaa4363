package dlt698

import (
	"bytes"
	"strings"
	"testing"

	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

func TestChecksum(t *testing.T) {
	if got := checksum([]byte("123456789")); got != 0x906E {
		t.Errorf("the check value is %04X, want 906E", got)
	}
}

// TestParseFrameRefuses damages a sound frame in each way that there is.
func TestParseFrameRefuses(t *testing.T) {
	sound := "681700430501000000000010 26F6 0501002000020000 E5BE 16"
	for _, row := range []struct{ name, frame, want string }{
		{"nothing", "FEFEFEFE", "nothing came but wake-up bytes"},
		{"another start", "69" + sound[2:], "begins with 69H"},
		{"too short", "6817004305", "a whole one has at least"},
		{"cut short", strings.TrimSuffix(sound, "BE 16"), "cut short or its length is wrong"},
		{"something behind", sound + "00", "something follows the frame"},
		{"longer than it is", "685700" + "43" + sound[8:], "asks for 89 bytes"},
		{"thousands", "68174043" + sound[8:], "counts thousands"},
		{"header", strings.Replace(sound, "26F6", "26F7", 1), "checksum of the header is 26 F7, should be 26 F6"},
		{"address", strings.Replace(sound, "0501000000", "0502000000", 1), "checksum of the header"},
		{"data", strings.Replace(sound, "20000200", "20010200", 1), "checksum of the frame is E5 BE"},
		{"end", strings.TrimSuffix(sound, "16") + "17", "end byte is 17H"},
		{"length below its address", "680F00430F010000000000001026F616161616", "with an address of 16 a frame has at least"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if f, err := ParseFrame(frametest.FromHex(row.frame)); err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("read as %+v (%v), want an error with %q", f, err, row.want)
			}
		})
	}
	if _, err := ParseFrame(frametest.FromHex("FEFE" + sound)); err != nil {
		t.Errorf("a frame behind wake-up bytes: %v", err)
	}
}

// TestScrambled reads a frame whose data were sent with 33H added, and writes it so. The checksum
// of a frame goes over the bytes as sent.
func TestScrambled(t *testing.T) {
	plain := frametest.FromHex("68 17 00 43 05 78 56 34 12 24 20 10 B7 BE 05 01 01 20 00 02 00 00 CE BA 16")
	scrambledFrame := frametest.FromHex("68 17 00 4B 05 78 56 34 12 24 20 10 7D C1 38 34 34 53 33 35 33 33 5C EC 16")
	want, err := ParseFrame(plain)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseFrame(scrambledFrame)
	if err != nil || !bytes.Equal(got.Data, want.Data) {
		t.Fatalf("read as % X (%v), want % X", got.Data, err, want.Data)
	}
	if b, err := got.AppendBinary(nil); err != nil || !bytes.Equal(b, scrambledFrame) {
		t.Errorf("written as % X (%v)", b, err)
	}
	if got.Address.String() != "202412345678" {
		t.Errorf("the address is %s", got.Address)
	}
}

func TestFragment(t *testing.T) {
	f, err := ParseFrame(frametest.FromHex("68 11 00 63 05 78 56 34 12 24 20 10 F9 BC 00 80 D6 78 16"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseFragment(f.Data)
	if err != nil || got.Kind != Acknowledgment || got.Number != 0 || len(got.Data) != 0 {
		t.Errorf("read as %+v (%v), want the acknowledgement of fragment 0", got, err)
	}
	if b := got.Append(nil); !bytes.Equal(b, f.Data) {
		t.Errorf("written as % X", b)
	}
	for _, want := range []Fragment{{FirstFragment, 0, []byte{1}}, {MiddleFragment, 300, []byte{2, 3}}, {LastFragment, 4095, []byte{}}} {
		if got, err := ParseFragment(want.Append(nil)); err != nil || got.Kind != want.Kind || got.Number != want.Number || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%+v comes back as %+v (%v)", want, got, err)
		}
	}
	if _, err := ParseFragment([]byte{0}); err == nil {
		t.Error("half a header is taken for a fragment")
	}
}

func TestAddress(t *testing.T) {
	for _, row := range []struct {
		text, want string
		kind       AddressKind
		wire       string
	}{
		{"000000000010", "000000000010", Single, "05 10 00 00 00 00 00"},
		{"10", "000000000010", Single, "05 10 00 00 00 00 00"},
		{"202412345678", "202412345678", Single, "05 78 56 34 12 24 20"},
		{"20241234567890", "20241234567890", Single, "06 90 78 56 34 12 24 20"},
		{"aaaaaaaaaaaa", "AAAAAAAAAAAA", Wildcard, "45 AA AA AA AA AA AA"},
		{"AAAAAAAA0A10", "AAAAAAAA0A10", Wildcard, "45 10 0A AA AA AA AA"},
		{strings.Repeat("12", 16), strings.Repeat("12", 16), Single, "0F" + strings.Repeat(" 12", 16)},
	} {
		a, err := ParseAddress(row.text)
		if err != nil || a.String() != row.want || a.Kind != row.kind {
			t.Errorf("%s reads as %s %s (%v), want %s %s", row.text, a.Kind, a, err, row.kind, row.want)
			continue
		}
		if got := a.append(nil); !bytes.Equal(got, frametest.FromHex(row.wire)) {
			t.Errorf("%s travels as % X, want %s", row.text, got, row.wire)
		}
		if back := addressIn(a.append(nil)); back != a {
			t.Errorf("%s comes back as %s", a, back)
		}
	}
	for _, text := range []string{"", "1", "123", "12345678901", "12x4", "AAAA", "一二", strings.Repeat("12", 17), "1234567890123B"} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q reads as %s, want an error", text, a)
		}
	}
}

func TestAddressMatches(t *testing.T) {
	parse := mustAddress
	core := parse("000000000010")
	core.Logical = 1
	for _, row := range []struct {
		asked, from Address
		want        bool
	}{
		{parse("000000000010"), parse("000000000010"), true},
		{parse("000000000010"), parse("000000000011"), false},
		{parse("000000000010"), core, false},
		{core, core, true},
		{Anyone, parse("000000000010"), true},
		{Anyone, parse("00000000001000"), false},
		{parse("AAAAAAAAAA10"), parse("000000000010"), true},
		{parse("AAAAAAAAAAA0"), parse("000000000010"), true},
		{parse("AAAAAAAAAAA1"), parse("000000000010"), false},
	} {
		if got := row.asked.Matches(row.from); got != row.want {
			t.Errorf("%s asked, %s answers: %v, want %v", row.asked, row.from, got, row.want)
		}
	}
}

// TestSplitFrame cuts frames out of a stream however it is chopped, with noise that looks like the
// beginning of a frame before them.
func TestSplitFrame(t *testing.T) {
	var stream []byte
	var want []string
	for _, v := range vectors(t) {
		frame := octet.TrimWakeUp(frametest.FromHex(v.Hex))
		stream = append(stream, 0xFE, 0x68, 0x17, 0x00, 0x68, 0x16)
		stream = append(stream, frame...)
		want = append(want, octet.Hex(frame))
	}
	for _, chunk := range []int{1, 7, 64, len(stream)} {
		var got []string
		var held []byte
		for at := 0; at < len(stream); {
			next := min(at+chunk, len(stream))
			held = append(held, stream[at:next]...)
			at = next
			for {
				advance, token, _ := SplitFrame(held, at == len(stream))
				held = held[advance:]
				if token == nil {
					break
				}
				got = append(got, octet.Hex(token))
			}
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("in chunks of %d bytes %d frames were found, want %d", chunk, len(got), len(want))
		}
	}
}
