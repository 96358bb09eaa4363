package dlt645

import (
	"slices"
	"strings"
	"testing"

	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

func TestRedact(t *testing.T) {
	relay := "68 010000000000 68 1C 10 35 333333 44444444 4D 33 456847534347 2C 16"
	for _, test := range []struct{ name, frame, want string }{
		{"nothing", "", ""},
		{"noise", "00 68", "0068"},
		{"read", "68 665544332211 68 11 04 33333433 17 16", "68665544332211681104333334331716"},
		{"relay", "68 010000000000 68 1C 10 35 333333 44444444 4D 33 4568475343 47 3E 16", ""},
		{"write", wireHex(0x14, "03010004 04 123456 01000000 15"), "14 0D 36343337 37 ****** 34333333 48"},
		{"write a password", wireHex(0x14, "010C0004 02 123456 01000000 00654321"), "14 10 343F3337 35 ****** 34333333 ********"},
		{"set password", wireHex(0x18, "050C0004 02 123456 04 654321"), "18 0C 383F3337 35 ****** 37 ******"},
		{"password set", wireHex(0x98, "04 654321"), "98 04 37 ******"},
		{"clear demand", wireHex(0x19, "04 123456 01000000"), "19 08 37 ****** 34333333"},
		{"clear meter", wireHex(0x1A, "02 123456 01000000"), "1A 08 35 ****** 34333333"},
		{"clear events", wireHex(0x1B, "02 123456 01000000 FFFFFFFF"), "1B 0C 35 ****** 34333333 32323232"},
		{"relay by another's hand", wireHex(0x1C, "02 000000 11111111 1A 00 123514201014"), "1C 10 35 ****** 44444444 4D33 456847534347"},
		{"write 1997", wireHex(0x04, "10C0 02 123456 06150624"), "04 0A 43F3 35 ****** 39483957"},
		{"set password 1997", wireHex(0x0F, "02 123456 04 654321"), "0F 08 35 ****** 37 ******"},
		{"password set 1997", wireHex(0x8F, "04 654321"), "8F 04 37 ******"},
		{"clear demand 1997", wireHex(0x10, "02 123456"), "10 04 35 ******"},
		{"refused", wireHex(0xDC, "04"), "DC 01 37"},
		{"relay refused in two words", wireHex(0xDC, "2000"), "DC 02 5333"},
		{"done", wireHex(0x9C, ""), "9C 00"},
		{"a password read", wireHex(0x91, "010C0004 00654321"), "91 08 343F3337 ********"},
		{"a password in a follow-up frame", wireHex(0xB2, "FF0C0004 00654321 01"), "B2 09 323F3337 **********"},
		{"passwords in a block", wireHex(0x91, "01FF0004 00654321"), "91 08 34323337 ********"},
		{"a password in a follow-up frame, 1997", wireHex(0x82, "12C2 00654321"), "82 06 45F5 ********"},
		{"passwords in a block, 1997", wireHex(0x81, "FFC2 00654321"), "81 06 32F5 ********"},
		{"write a password 1997", wireHex(0x04, "12C2 00 123456 00654321"), "04 0A 45F5 33 ****** ********"},
		{"a password read 1997", wireHex(0x81, "12C2 00654321"), "81 06 45F5 ********"},
		{"too short for a password", wireHex(0x1C, "02 12"), "1C 02 35 **"},
	} {
		got := Redact(frametest.FromHex(test.frame))
		if len(got) != 2*len(frametest.FromHex(test.frame)) {
			t.Errorf("%s: got %s, not two characters a byte", test.name, got)
		}
		if want := strings.ReplaceAll(test.want, " ", ""); !strings.Contains(got, want) {
			t.Errorf("%s: got %s, want %s in it", test.name, got, want)
		}
	}

	// In a stream, after noise, cut short at either end or damaged, the password never shows.
	command := frametest.FromHex(strings.Replace(relay, "333333", "ABCDEF", 1)) // seen nowhere else in it
	command[len(command)-2] = octet.Sum(command[:len(command)-2])
	answer := wire("000000000001", 0x9C)
	streams := map[string][]byte{
		"whole":           command,
		"echo and answer": slices.Concat(frametest.FromHex("FEFEFEFE"), command, frametest.FromHex("FE"), answer),
		"behind a start":  append(frametest.FromHex("68"), command...),
		"behind a header": append(frametest.FromHex("68 665544332211 68 91 FF"), command...),
		"twice":           slices.Concat(command, command),
	}
	for i := range command {
		damaged := slices.Clone(command)
		damaged[len(damaged)-2]++ // no valid frame any more
		if i < 8 || i > 13 {
			streams["one byte changed"+string(rune('A'+i))] = damaged
		}
		if i <= 7 {
			streams["beginning lost"+string(rune('A'+i))] = command[i:]
		}
		streams["end lost"+string(rune('A'+i))] = command[:i]
		if i != 8 && i < 11 { // without C nothing tells what the bytes are
			streams["byte lost"+string(rune('A'+i))] = slices.Delete(slices.Clone(command), i, i+1)
			streams["byte put in"+string(rune('A'+i))] = slices.Insert(slices.Clone(command), i, 0x00)
		}
	}
	for name, stream := range streams {
		got := Redact(stream)
		for i := 0; i < len(got); i += 2 {
			if pair := got[i : i+2]; strings.Contains("AB CD EF", pair) {
				t.Errorf("%s: %X becomes %s, which shows %s of the password", name, stream, got, pair)
			}
		}
	}
}

// wireHex is a frame of meter 1 in hex, its data given in clear.
func wireHex(control Control, data string) string {
	const digits = "0123456789ABCDEF"
	var text strings.Builder
	for _, b := range wire("000000000001", control, frametest.FromHex(data)...) {
		text.WriteByte(digits[b>>4])
		text.WriteByte(digits[b&0x0F])
	}
	return text.String()
}
