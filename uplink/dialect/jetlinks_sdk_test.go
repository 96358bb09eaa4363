package dialect

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A jetLinksMessage is a message as the Java program takes it, and gives it.
type jetLinksMessage struct {
	Topic   string `json:"topic"`
	Payload string `json:"payload"`
}

// A jetLinksView is what JetLinks' classes make of a message of ours.
type jetLinksView struct {
	Type    string         `json:"type"`
	ID      string         `json:"id"`
	Time    int64          `json:"time"`
	Success bool           `json:"success"`
	Code    string         `json:"code"`
	Values  map[string]any `json:"values"`
}

// A jetLinksAnswer is what the Java program says.
type jetLinksAnswer struct {
	Login    string `json:"login"`
	Messages []struct {
		Official *jetLinksView `json:"official"`
		Child    string        `json:"child"`
		Codec    *jetLinksView `json:"codec"`
	} `json:"messages"`
	Calls []jetLinksMessage `json:"calls"`
	Model struct {
		Properties map[string]jetLinksType            `json:"properties"`
		Events     map[string][]string                `json:"events"`
		Functions  map[string]map[string]jetLinksType `json:"functions"`
	} `json:"model"`
}

// A jetLinksType is a property of a model as JetLinks reads it, and what becomes of the sample value.
type jetLinksType struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Takes bool   `json:"takes"`
	Shows string `json:"shows"`
}

// askJetLinks runs the Java program, or skips the test where it cannot run.
func askJetLinks(t *testing.T, question map[string]any) (answer jetLinksAnswer) {
	t.Helper()
	classes, err := filepath.Abs("../../.tools/cloud-sdks/jetlinks")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(classes, "jetlinks-supports-1.2.2.jar")); err != nil {
		t.Skip("the classes of JetLinks are not installed (make cloud-sdks)")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		t.Skip("there is no java")
	}
	data, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "question.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, java, "-cp", filepath.Join(classes, "*"), "../../test/cloud/sdks/jetlinks/JetLinks.java", file)
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, complaints.String())
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return answer
}

// TestJetLinksJavaSDK has the maker's own Java classes read login, messages and model of the dialect, and the dialect
// understand the calls that they write.
func TestJetLinksJavaSDK(t *testing.T) {
	o := identities["jetlinks"]
	o.Commands = commands
	o.Devices = []Device{{Root: "dlt645", Meter: "main", Name: "000000000001"}}
	device := &o.Devices[0]
	made, err := New("jetlinks", o)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 20, 18, 0, 10, 213e6, time.FixedZone("CST", 8*3600))
	next := 1000
	ids := func() string { next++; return strconv.Itoa(next) }
	properties := []Property{
		{Item: "voltage_a", Key: "voltage_a", English: "Voltage A", Chinese: "A相电压", Unit: "V", Form: FormNumber, Decimals: 1, Digits: 4},
		{Item: "forward_active_energy", Key: "forward_active_energy", English: "Energy", Chinese: "电能", Unit: "kWh", Form: FormNumber, Decimals: 2, Digits: 8, Counter: true},
		{Item: "power_failures", Key: "power_failures", English: "Power failures", Chinese: "掉电次数", Form: FormNumber, Digits: 6, Counter: true},
		{Item: "lost", Key: "lost", English: "Voltage lost", Chinese: "失压", Form: FormFlag},
		{Item: "relay", Key: "relay", English: "Relay", Chinese: "继电器状态", Form: FormRelay},
		{Item: "meter_number", Key: "meter_number", English: "Meter number", Chinese: "表号", Form: FormText},
	}
	samples := map[string]json.RawMessage{
		"voltage_a": json.RawMessage("220.0"), "forward_active_energy": json.RawMessage("800000.01"), "power_failures": json.RawMessage("17"),
		"lost": json.RawMessage("false"), "relay": json.RawMessage(`"closed"`), "meter_number": json.RawMessage(`"000000004711"`), "action": json.RawMessage(`"trip"`),
	}
	values := map[string]any{"voltage_a": 220.0, "forward_active_energy": 800000.01, "power_failures": 17.0, "lost": false, "relay": "closed", "meter_number": "000000004711"}
	var readings []Reading
	for _, p := range properties {
		readings = append(readings, Reading{Device: device, Item: p.Item, Key: p.Key, Value: samples[p.Item], Time: at})
	}
	base := "/gw/site7/child/000000000001/"
	answer := func(topic string, verb Verb, out Outcome) []Post {
		return made.Answer(Call{ID: "m7", Verb: verb, Name: "relay", Device: device.Name, Topic: base + topic}, out, at)
	}
	var posts []Post
	var want []jetLinksView
	expect := func(view jetLinksView, of []Post) {
		t.Helper()
		if len(of) != 1 {
			t.Fatalf("%d messages, want one, of %v", len(of), view)
		}
		if view.ID == "" {
			view.ID = strconv.Itoa(next)
		}
		view.Time = at.UnixMilli()
		posts, want = append(posts, of...), append(want, view)
	}
	expect(jetLinksView{Type: "ONLINE"}, made.Announce([]*Device{device}, at, ids))
	expect(jetLinksView{Type: "REPORT_PROPERTY", Values: values}, made.Report(readings, false, ids))
	expect(jetLinksView{Type: "EVENT", Values: map[string]any{"item": "voltage_a", "value": 253.4}}, made.Event(Notice{device, "limit_passed", at, []Member{Text("item", "voltage_a"), {"value", json.RawMessage("253.4")}}}, ids))
	expect(jetLinksView{Type: "READ_PROPERTY_REPLY", ID: "m7", Success: true, Values: values}, answer("properties/read", VerbRead, Outcome{OK: true, Values: readings}))
	expect(jetLinksView{Type: "READ_PROPERTY_REPLY", ID: "m7", Code: "timeout", Values: map[string]any{}}, answer("properties/read", VerbRead, Outcome{Code: "timeout", Message: "the meter has brought no value"}))
	expect(jetLinksView{Type: "INVOKE_FUNCTION_REPLY", ID: "m7", Success: true, Values: map[string]any{"result": "verified", "relay": "open"}}, answer("function/invoke", VerbRelay, Outcome{OK: true, Result: "verified", Relay: "open"}))
	expect(jetLinksView{Type: "INVOKE_FUNCTION_REPLY", ID: "m7", Code: "unknown", Values: map[string]any{"result": "unknown", "code": "unknown", "message": "look at the meter"}}, answer("function/invoke", VerbRelay, Outcome{Code: "unknown", Result: "unknown", Message: "look at the meter"}))
	expect(jetLinksView{Type: "WRITE_PROPERTY_REPLY", ID: "m7", Code: "not_allowed"}, answer("properties/write", VerbSet, Outcome{Code: "not_allowed", Message: "nothing of a meter is set as a property"}))
	expect(jetLinksView{Type: "OFFLINE"}, made.Withdraw([]*Device{device}, at, ids))
	messages := make([]jetLinksMessage, len(posts))
	for i, p := range posts {
		messages[i] = jetLinksMessage{p.Topic, string(p.Payload)}
	}
	model, err := WriteModel("jetlinks", Model{Properties: properties, Relay: true, Chinese: true})
	if err != nil {
		t.Fatal(err)
	}
	login := made.Login(time.Now())
	got := askJetLinks(t, map[string]any{
		"product": o.Product, "gateway": o.Device, "device": device.Name, "messages": messages, "model": string(model), "samples": samples,
		"login": map[string]string{"clientId": login.ClientID, "username": login.Username, "password": login.Password, "secureId": "id", "secureKey": "key"},
	})

	if got.Login != "ok" {
		t.Errorf("the authenticator says %q to %+v", got.Login, login)
	}
	if len(got.Messages) != len(want) {
		t.Fatalf("it read %d messages of %d", len(got.Messages), len(want))
	}
	for i, w := range want {
		m := got.Messages[i]
		for way, view := range map[string]*jetLinksView{"the official protocol": m.Official, "the codec": m.Codec} {
			switch {
			case view == nil && way == "the codec" && (w.Type == "ONLINE" || w.Type == "OFFLINE"):
				continue // which have other topics there
			case view == nil:
				t.Errorf("%s cannot read %s %s", way, messages[i].Topic, messages[i].Payload)
				continue
			}
			if len(view.Values) == 0 && len(w.Values) == 0 {
				view.Values = w.Values
			}
			if !reflect.DeepEqual(*view, w) {
				t.Errorf("%s reads %s %s as\n%+v, want\n%+v", way, messages[i].Topic, messages[i].Payload, *view, w)
			}
		}
		if m.Codec != nil && m.Child != device.Name {
			t.Errorf("%s is of the child %q", messages[i].Topic, m.Child)
		}
	}

	// The calls, each as the older codec writes it and as the official protocol does.
	var calls []string
	subscribed := made.Subscriptions()
	for _, c := range got.Calls {
		if !slices.ContainsFunc(subscribed, func(filter string) bool { return strings.Replace(filter, "+", device.Name, 1) == c.Topic }) {
			t.Errorf("nothing is subscribed to that has %s", c.Topic)
		}
		_, understood := made.Receive(c.Topic, []byte(c.Payload))
		if len(understood) != 1 {
			t.Errorf("%s %s is not understood", c.Topic, c.Payload)
			continue
		}
		of := understood[0]
		dated := "undated"
		if !of.Sent.IsZero() {
			dated = "dated"
		}
		calls = append(calls, strings.Join([]string{string(of.Verb), of.Device, of.ID, of.Action + strings.Join(of.Keys, ","), dated}, " "))
	}
	if want := []string{
		"read 000000000001 m0 voltage_a undated", "read 000000000001 m0 voltage_a dated",
		"relay 000000000001 m2 trip undated", "relay 000000000001 m2 trip dated",
		"set 000000000001 m4  undated", "set 000000000001 m4  dated",
	}; !slices.Equal(calls, want) {
		t.Errorf("the calls are\n%s\nwant\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
	}

	// The model: all that is posted is in it, and its types take the values.
	wantTypes := map[string]jetLinksType{
		"voltage_a": {"A相电压", "double", true, "220.0V"}, "forward_active_energy": {"电能", "double", true, "800000.01kWh"},
		"power_failures": {"掉电次数", "int", true, "17"}, "lost": {"失压", "boolean", true, "否"}, "relay": {"继电器状态", "enum", true, "合闸"},
		"meter_number": {"表号", "string", true, "000000004711"},
	}
	if !reflect.DeepEqual(got.Model.Properties, wantTypes) {
		t.Errorf("the properties are\n%+v, want\n%+v", got.Model.Properties, wantTypes)
	}
	if wantInputs := map[string]map[string]jetLinksType{"relay": {"action": {"动作", "enum", true, "拉闸"}}}; !reflect.DeepEqual(got.Model.Functions, wantInputs) {
		t.Errorf("the functions are %+v, want %+v", got.Model.Functions, wantInputs)
	}
	if wantOutputs := []string{"item", "value", "unit", "limit", "bound"}; !slices.Equal(got.Model.Events["limit_passed"], wantOutputs) || len(got.Model.Events) != len(eventKinds) {
		t.Errorf("the events are %v", got.Model.Events)
	}
}
