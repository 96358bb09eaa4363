package dialect

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// readCalls are messages that ask a gateway in flat mode to read; %s stands for what is to be read, and where a cloud
// has no such message there is none.
var readCalls = map[string]struct{ topic, list, inputs string }{
	"json":        {"up/site7/call", `{"id":"8","method":"read","keys":%s}`, `{"id":"8","method":"read",%s}`},
	"thingsboard": {"v1/devices/me/rpc/request/8", `{"method":"read","params":%s}`, `{"method":"read","params":{%s}}`},
	"jetlinks":    {"/gw/site7/properties/read", `{"messageId":"8","properties":%s}`, ""},
	"aliyun":      {"/sys/a1Gateway/site7/thing/service/property/get", `{"id":"8","version":"1.0","params":%s}`, ""},
	"onenet":      {"$sys/gwpid/site7/thing/property/get", `{"id":"8","version":"1.0","params":%s}`, ""},
}

// TestReadCalls has clouds ask for some keys, for all, and for what cannot be understood, which is not taken for all.
func TestReadCalls(t *testing.T) {
	for cloud, form := range readCalls {
		options := identities[cloud]
		options.Commands = commands
		d, err := New(cloud, options)
		if err != nil {
			t.Fatal(err)
		}
		try := func(message string, keys []string, unsure string) {
			t.Helper()
			_, calls := d.Receive(form.topic, []byte(message))
			if len(calls) != 1 || calls[0].Verb != VerbRead || !slices.Equal(calls[0].Keys, keys) || calls[0].Unsure != unsure {
				t.Errorf("%s, %s: %+v; want the keys %q, unsure %q", cloud, message, calls, keys, unsure)
			}
		}
		try(fmt.Sprintf(form.list, `["voltage_a","power"]`), []string{"voltage_a", "power"}, "")
		for _, all := range []string{`[]`, `null`} {
			try(fmt.Sprintf(form.list, all), nil, "")
		}
		for _, other := range []string{`7`, `true`, `[1]`, `["voltage_a",null,{}]`} {
			try(fmt.Sprintf(form.list, other), nil, unreadableKeys)
		}
		if form.inputs == "" {
			continue
		}
		try(fmt.Sprintf(form.inputs, `"keys":["voltage_a"],"meter":"1"`), []string{"voltage_a"}, "")
		try(fmt.Sprintf(form.inputs, `"items":["voltage_a"]`), nil, unknownMember)
	}
	d, err := New("thingsboard", Options{Secret: "TOKEN", Commands: commands})
	if err != nil {
		t.Fatal(err)
	}
	for params, keys := range map[string][]string{`"voltage_a"`: {"voltage_a"}, `""`: nil, `{}`: nil} {
		_, calls := d.Receive("v1/devices/me/rpc/request/8", fmt.Appendf(nil, `{"method":"read","params":%s}`, params))
		if len(calls) != 1 || calls[0].Unsure != "" || !slices.Equal(calls[0].Keys, keys) {
			t.Errorf("%s: %+v", params, calls)
		}
	}
}

// TestReadThatFails answers with a list without values, not with none.
func TestReadThatFails(t *testing.T) {
	o := identities["huawei"]
	o.Commands = commands
	d, err := New("huawei", o)
	if err != nil {
		t.Fatal(err)
	}
	_, calls := d.Receive("$oc/devices/65af_site7/sys/properties/get/request_id=7", []byte(`{"service_id":"meter"}`))
	if len(calls) != 1 {
		t.Fatal(calls)
	}
	if got := string(d.Answer(calls[0], Outcome{Code: "timeout"}, time.Now())[0].Payload); got != `{"services":[]}` {
		t.Errorf("the answer is %s", got)
	}
}

// TestNothingBehindACall takes no call behind whose object something stands, be it a bracket.
func TestNothingBehindACall(t *testing.T) {
	for cloud, of := range relayCalls {
		o := identities[cloud]
		o.Commands = commands
		d, err := New(cloud, o)
		if err != nil {
			t.Fatal(err)
		}
		topic, message := of[true][0], of[true][1]
		for behind, want := range map[string]int{"": 1, "}": 0, "]": 0, "{}": 0, ",": 0} {
			if _, calls := d.Receive(topic, []byte(message+behind)); len(calls) != want {
				t.Errorf("%s, with %q behind: %d calls, want %d", cloud, behind, len(calls), want)
			}
		}
	}
}

// TestInputTwice does not choose between two actions of one relay call.
func TestInputTwice(t *testing.T) {
	o := identities["jetlinks"]
	o.Commands = commands
	d, err := New("jetlinks", o)
	if err != nil {
		t.Fatal(err)
	}
	for inputs, unsure := range map[string]string{
		`{"name":"action","value":"trip"},{"name":"action","value":"close"}`: inputTwice,
		`{"name":"action","value":"trip"},{"name":"meter","value":"1"}`:      "",
	} {
		_, calls := d.Receive("/gw/site7/function/invoke", []byte(`{"messageId":"7","timestamp":1795168810213,"functionId":"relay","inputs":[`+inputs+`]}`))
		if len(calls) != 1 || calls[0].Unsure != unsure {
			t.Errorf("%s: %+v, want unsure %q", inputs, calls, unsure)
		}
	}
}
