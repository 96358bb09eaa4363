package protocol

import (
	"encoding/json"
	"testing"
)

func TestObject(t *testing.T) {
	var o Object
	o.Set("z", Decimal{2200, 1})
	o.Set("a", "<main> & shop")
	o.Set("n", nil)
	o.Set("z", Decimal{2201, 1})
	o.Remove("n")
	o.Remove("none")
	o = append(o, Member{"inner", Object{{"t", true}}}, Member{"none", Object{}})
	got, err := AppendJSON([]byte("> "), o)
	if want := `> {"z":220.1,"a":"<main> & shop","inner":{"t":true},"none":{}}`; err != nil || string(got) != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if _, err := json.Marshal(Object{{"f", func() {}}}); err == nil {
		t.Error("a function was written as JSON")
	}
}
