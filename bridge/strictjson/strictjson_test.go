package strictjson

import "testing"

// TestTwiceKey looks for keys that stand twice at any depth, with the same letters and, where case does not count, with others.
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
		key, twice := TwiceKey([]byte(row.value), false)
		if want := row.key != "" || row.value == `{"":1,"":1}`; key != row.key || twice != want {
			t.Errorf("%s: %q, %t", row.value, key, twice)
		}
	}
	const mixed = `{"a":{"Id":1,"id":2}}`
	if key, twice := TwiceKey([]byte(mixed), false); twice {
		t.Errorf("%s: %q", mixed, key)
	}
	if key, twice := TwiceKey([]byte(mixed), true); key != "id" || !twice {
		t.Errorf("%s without regard to case: %q, %t", mixed, key, twice)
	}
}

// TestHasHalfCharacter tells halves of surrogate pairs from whole ones, and from text that only looks like one.
func TestHasHalfCharacter(t *testing.T) {
	for text, want := range map[string]bool{
		`"a"`: false, `"\ud83d\ude00"`: false, `"\\ud83d"`: false, `"\\\ud83d\ude00"`: false, `"\ufffd\u00e9"`: false, `"\"\u0041"`: false,
		`"\ud83d"`: true, `"\ud83dx"`: true, `"\ud83d\u0041"`: true, `"\ude00"`: true, `"\ude00\ud83d"`: true, `"\ud83d\ud83d\ude00"`: true,
		`"\\\ud83d"`: true, `\ud8`: false, `\`: false, `\u`: false,
	} {
		if got := HasHalfCharacter([]byte(text)); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}
