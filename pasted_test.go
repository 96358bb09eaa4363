package main

import (
	"fmt"
	"strings"
	"testing"
)

// TestPastedFrames decodes a frame in the forms in which people have it.
func TestPastedFrames(t *testing.T) {
	const frame = "68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16"
	bytes := strings.Fields(frame)
	each := func(format string) string {
		var all []string
		for _, b := range bytes {
			all = append(all, fmt.Sprintf(format, b))
		}
		return strings.Join(all, "")
	}
	for _, text := range []string{
		frame, strings.ReplaceAll(frame, " ", ""), strings.ToLower(frame), strings.ReplaceAll(frame, " ", ":"), strings.ReplaceAll(frame, " ", "-"),
		each("0x%s, "), each(`\x%s`), `b"` + each(`\x%s`) + `"`, each("%sH "), each("%sh,"), "{" + each("0x%s, ") + "}",
		"68 1 0 0 0 0 0 68 11 4 33 34 34 35 B6 16",
		"2026-11-29 06:11:33 " + frame,
		"06:11:33.123 " + frame,
		"[2026-11-29 06:11:33.123] Send: " + frame,
		"2026/11/29 6:11:33,123 [12] TX len=16 -> FE FE FE FE " + frame + " (16 bytes)",
		"2026-11-29T06:11:33.123+08:00 DEBUG COM3 发送：" + strings.ReplaceAll(frame, " ", ""),
		"06:11:33 TX " + frame[:23] + "\n06:11:33 TX " + frame[24:],
		`{"time":"2026-11-29T06:11:33+08:00","direction":"sent","hex":"` + strings.ReplaceAll(frame, " ", "") + `"}`,
		"0000  " + frame + "  |h......h..345.|",
	} {
		status, out, stderr := execute(t, "", "decode", text)
		if status != 0 || !strings.Contains(out, `"02010100"`) || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: status %d, %s%s", text, status, out, stderr)
		}
		if status, again, _ := execute(t, text+"\n", "decode"); status != 0 || again != out {
			t.Errorf("%q from standard input: status %d, %s", text, status, again)
		}
	}
	for _, test := range []struct{ text, want string }{
		{"", "there is no frame"},
		{"voltage", `'v' is no hex digit`},
		{"6801000000000068110", "an odd number of hex digits (19)"},
		{"2026-11-29 06:11:33", "there is no frame"},
		{"feed a cafe", "bad"},
		{"06:11:33 TX 68 01 00 00 00 00 00 68 11 04 33 34 34 35 B7 16", "checksum"},
	} {
		if status, out, stderr := execute(t, test.text, "decode"); status != 1 || test.want != "bad" && !strings.Contains(stderr, test.want) {
			t.Errorf("%q: status %d, %s%s, want %s", test.text, status, out, stderr, test.want)
		}
	}
}

// FuzzPasted reads any text. Digits and separators alone mean what they say.
func FuzzPasted(f *testing.F) {
	for _, seed := range []string{"68 01:0x16", "[06:11:33] TX 68 1 0 16H", `\x68\x`, "2026-11-29 06:11:33 68", "feed 16 16 16 16"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		data, pasted, err := parseHex(text)
		if err == nil && len(data) == 0 || err != nil && (len(data) > 0 || err.Error() == "") || pasted && len(data) < fewestPasted {
			t.Errorf("%q: % X, %t, %v", text, data, pasted, err)
		}
		if again, pasted, err := parseHex(fmt.Sprintf("% X", data)); len(data) > 0 && (err != nil || pasted || string(again) != string(data)) {
			t.Errorf("% X: % X, %t, %v", data, again, pasted, err)
		}
	})
}
