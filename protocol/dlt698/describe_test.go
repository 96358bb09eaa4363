package dlt698

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol/frametest"
	"dlt645-mqtt/protocol/octet"
)

// TestDescribeVectors explains every published frame: whose it is, and the values that were
// published with it.
func TestDescribeVectors(t *testing.T) {
	for _, v := range vectors(t) {
		d, err := Describe(frametest.FromHex(v.Hex), time.UTC)
		if err != nil {
			t.Errorf("%s: %v", v.Meaning, err)
			continue
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Hex, Protocol, Direction, Address, Control, Function string
			Values                                               map[string]any
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		var link vectorLink
		v.part(t, "link", &link)
		if got.Protocol != "698" || got.Address != link.SA || got.Control != link.C || got.Hex != strings.TrimLeft(v.Hex, "FE") || got.Function == "" {
			t.Errorf("%s is explained as %s", v.Meaning, text)
		}
		if want := strings.TrimSuffix(strings.TrimPrefix(v.Dir, "server-"), "-request"); want != "client-response" && !strings.HasPrefix(want, got.Direction) {
			t.Errorf("%s goes as a %s, want %s", v.Meaning, got.Direction, v.Dir)
		}
		var published []engineering
		v.part(t, "engineering", &published)
		for _, want := range published {
			if !strings.Contains(string(text), inOurUnit(want)) {
				t.Errorf("%s: %v %s (as %s) is missing in %s", v.Meaning, want.Value, want.Unit, inOurUnit(want), text)
			}
		}
	}
}

// inOurUnit returns the first of published values as it is shown: powers are shown in kW.
func inOurUnit(e engineering) string {
	text, ok := e.Value.(string)
	if list, isList := e.Value.([]any); isList {
		text, ok = list[0].(string), true
	}
	if e.Unit == "W" && ok {
		text = map[string]string{"6000.0": "6.0000"}[text]
	}
	return ":" + text
}

func TestDescribe(t *testing.T) {
	frame := func(control Control, apdu string) []byte {
		return mustAppend(Frame{Control: control, Address: mustAddress("10"), Client: 0x10, Data: frametest.FromHex(apdu)})
	}
	for _, row := range []struct {
		name  string
		frame []byte
		want  []string
	}{
		{"a fragment", frame(answer|fragmented, "00 00 85 01 02"), []string{`"function":"fragment"`, `"more":true`, `"fragment":{"kind":"first","number":0},"data":"850102"`}},
		{"an error", frame(answer, "EE 05 02"), []string{`"function":"ERROR"`, `"piid":5`, `"reasons":["service_not_supported"]`}},
		{"a refusal", frame(answer, "85 01 05 20 00 02 00 00 0F 00 00"), []string{`"values":{}`, `"dar":15`, `"reasons":["not_authorised"]`}},
		{"a block", frame(answer, "85 05 07 00 00 01 01 01 20 0F 02 00 01 12 13 88 00 00"), []string{`"more":true`, `"block":1`, `"frequency":50.00`}},
		{
			"a trip", frame(request, "07 01 02 80 00 81 00 01 01 02 04 51 F2 05 02 01 11 00 12 00 00 03 00 01 07 EA 03 01 0C 00 00 00 00 05"),
			[]string{`"function":"ACTION-Request"`, `"omd":"80008100"`, `"data":[["F2050201",0,0,false]]`, `"time_tag":{"sent":"2026-03-01T12:00:00+08:00","valid_for":"5 s"}`},
		},
		{"a report", frame(fromServer|functionData, "88 01 03 01 20 15 02 00 01 04 20 00 00 00 01 00 00"), []string{`"direction":"report"`, `"report_status":"80000000"`}},
		{
			"a report behind a value", frame(answer, "85 01 47 20 0F 02 00 01 12 13 88 01 01 01 20 15 02 00 01 04 20 00 00 00 01 00"),
			[]string{`"acd":true`, `"follow":[{"oad":"20150200","type":"bit-string"`, `"frequency":50.00`},
		},
		{"a type that does not fit", frame(answer, "85 01 07 20 0F 02 00 01 0A 01 35 00 00"), []string{`"values":{"200F0200":"5"}`}},
		{"rows that are none", frame(answer, "85 03 00 50 04 02 00 01 00 00 10 02 01 01 00 00 00"), []string{`"values":{"daily_freeze":[]}`}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, err := Describe(row.frame, shanghai)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range row.want {
				if !strings.Contains(string(text), want) {
					t.Errorf("%s is missing in %s", want, text)
				}
			}
		})
	}
	if _, err := Describe(frame(answer, "85 01 07 20 0F"), shanghai); err == nil || !strings.Contains(err.Error(), "from 000000000010 to the client") {
		t.Errorf("half an APDU: %v", err)
	}
}

func TestRedact(t *testing.T) {
	closing := frametest.FromHex("68 2C 00 43 05 78 56 34 12 24 20 10 61 6F 07 01 04 80 00 83 00 01 01 02 03 51 F2 05 02 01 16 01 0A 08 30 30 30 30 30 30 30 30 00 75 9C 16")
	whole, err := ParseFrame(closing)
	if err != nil {
		t.Fatal(err)
	}
	scrambledFrame := whole
	scrambledFrame.Control |= scrambled
	sealed := whole
	envelope := APDU{Service: Security, Sealed: &Sealed{APDU: whole.Data, Check: CheckRN, RN: []byte("0123456789ABCDEF")}}
	sealed.Data = envelope.Append(nil)
	fragment := whole
	fragment.Control |= fragmented
	fragment.Data = Fragment{Kind: FirstFragment, Data: whole.Data[:29]}.Append(nil)
	password := octet.Hex([]byte("00000000"))
	for _, row := range []struct {
		name  string
		bytes []byte
	}{
		{"a sound frame", closing},
		{"behind noise", append([]byte{0x68, 0xFE}, closing...)},
		{"scrambled", mustAppend(scrambledFrame)},
		{"secured", mustAppend(sealed)},
		{"in a fragment", mustAppend(fragment)},
		{"without an end", closing[:len(closing)-3]},
		{"without a beginning", closing[10:]},
		{"with a wrong checksum", append(slices.Clone(closing[:len(closing)-3]), 0, 0, 0x16)},
		{"scrambled, without a beginning", mustAppend(scrambledFrame)[10:]},
	} {
		got := Redact(row.bytes)
		scrambledPassword := strings.Repeat("63", 8)
		if strings.Contains(got, password) || strings.Contains(got, scrambledPassword) || !strings.Contains(got, "****************") {
			t.Errorf("%s is shown as %s", row.name, got)
		}
		if len(got) != 2*len(row.bytes) {
			t.Errorf("%s: %d characters for %d bytes", row.name, len(got), len(row.bytes))
		}
	}
	for _, v := range vectors(t) {
		if strings.Contains(v.Hex, "80008300") {
			continue
		}
		if got := Redact(frametest.FromHex(v.Hex)); got != v.Hex {
			t.Errorf("%s, which has no password, is shown as %s", v.Hex, got)
		}
	}
}
