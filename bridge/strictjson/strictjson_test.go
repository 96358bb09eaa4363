package bridge

import "testing"

func TestTwiceKey(t *testing.T) {
	for _, row := range []struct{ value, key string }{
		{`1`, ""},
		{`"a"`, ""},
		{`1e999`, ""},
		{`["a","a"]`, ""},
		{`{"a":"a","b":["a",{"a":"a"}],"c":{"a":{"a":null}}}`, ""},
		{`[{"a":1},{"a":1}]`, ""},
		{`{"a":1,"a":1}`, "a"},
		{`[1,{"b":{"c":true,"d":[],"c":2}}]`, "c"},
		{`{"a":1,"\u0061":1}`, "a"},
		{`{"a":[{"a":1}],"b":{"b":1},"a":1}`, "a"},
		{`{"":1,"":1}`, ""},
	} {
		key, twice := twiceKey([]byte(row.value))
		if want := row.key != "" || row.value == `{"":1,"":1}`; key != row.key || twice != want {
			t.Errorf("%s: %q, %t", row.value, key, twice)
		}
	}
}

func TestHasHalfCharacter(t *testing.T) {
	for text, want := range map[string]bool{
		`"a"`: false, `"\ud83d\ude00"`: false, `"\\ud83d"`: false, `"\\\ud83d\ude00"`: false, `"\ufffd\u00e9"`: false, `"\"\u0041"`: false,
		`"\ud83d"`: true, `"\ud83dx"`: true, `"\ud83d\u0041"`: true, `"\ude00"`: true, `"\ude00\ud83d"`: true, `"\ud83d\ud83d\ude00"`: true,
		`"\\\ud83d"`: true, `\ud8`: false, `\`: false, `\u`: false,
	} {
		if got := hasHalfCharacter([]byte(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
