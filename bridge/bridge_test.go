package bridge

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

func TestReadReply(t *testing.T) {
	s := newStage(t, nil)
	sent, _ := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"id":"7","items":["voltage_a","secret","no_such"]}`), correlation: []byte{0, 1}})
	if got, want := sent.Topic, "test/reply/read/main"; got != want {
		t.Errorf("topic %s, want %s", got, want)
	}
	if !bytes.Equal(sent.Correlation, []byte{0, 1}) || sent.ContentType != mqtt.JSON || sent.Kind.Retained() {
		t.Errorf("correlation % X, content type %s, retain %t", sent.Correlation, sent.ContentType, sent.Kind.Retained())
	}
	var got struct {
		ID, Request, Meter, Address string
		OK                          bool
		Values                      map[string]json.RawMessage
		Units                       map[string]string
		Errors                      map[string]problem
		Error                       *problem
		Bus                         *effort
	}
	if err := json.Unmarshal(sent.Payload, &got); err != nil {
		t.Fatal(err)
	}
	if got.ID != "7" || got.Request != "read" || got.Meter != "main" || got.Address != "000000000001" || got.OK || got.Error != nil {
		t.Errorf("reply %s", sent.Payload)
	}
	if string(got.Values["voltage_a"]) != "220.10" || got.Units["voltage_a"] != "V" || len(got.Values) != 1 {
		t.Errorf("values %s", got.Values)
	}
	if e := got.Errors["secret"]; e.Code != CodeRefused || len(e.Reasons) != 1 || e.Reasons[0] != "not_authorised" {
		t.Errorf("error of the refused item: %+v", e)
	}
	if e := got.Errors["no_such"]; e.Code != CodeUnknownItem {
		t.Errorf("error of the unknown item: %+v", e)
	}
	if got.Bus == nil || got.Bus.Steps != 2 {
		t.Errorf("bus %+v, want 2 steps", got.Bus)
	}
}

// TestBadInput sends everything that a request must not be. Each gets one reply with the
// right code on the right topic, and nothing reaches the wire.
func TestBadInput(t *testing.T) {
	many := `{"id":"x","items":["` + strings.Join(strings.Split(strings.Repeat("i", 65), ""), `","`) + `"]}`
	hour := time.Hour
	none := time.Duration(0)
	for _, row := range []struct {
		name    string
		message message
		code    Code
		id      any
	}{
		{"not JSON", message{topic: "read/main", payload: []byte(`{"id":`)}, CodeBadRequest, nil},
		{"id before the fault", message{topic: "read/main", payload: []byte(`{"id":"x","items":[}`)}, CodeBadRequest, "x"},
		{"two objects", message{topic: "read/main", payload: []byte(`{"id":"x"}{}`)}, CodeBadRequest, "x"},
		{"unknown key", message{topic: "read/main", payload: []byte(`{"id":"x","item":"voltage_a"}`)}, CodeBadRequest, "x"},
		{"a key twice", message{topic: "read/main", payload: []byte(`{"id":"x","items":["a"],"items":["b"]}`)}, CodeBadRequest, "x"},
		{"a key twice inside", message{topic: "read/main", payload: []byte(`{"id":"x","items":["a",{"b":[{"c":1,"d":2,"\u0063":3}]}]}`)}, CodeBadRequest, "x"},
		{"half a character", message{topic: "read/main", payload: []byte(`{"id":"\ud83d","items":["a"]}`)}, CodeBadRequest, "\uFFFD"},
		{"the other half", message{topic: "read/main", payload: []byte(`{"id":"x","items":["\ude00\ud83d"]}`)}, CodeBadRequest, "x"},
		{"byte order mark", message{topic: "read/main", payload: []byte("\uFEFF{\"id\":\"x\"}")}, CodeBadRequest, nil},
		{"nested too deep", message{topic: "read/main", payload: []byte(`{"id":"x","items":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`)}, CodeBadRequest, "x"},
		{"key in capitals", message{topic: "read/main", payload: []byte(`{"id":"x","Items":["voltage_a"]}`)}, CodeBadRequest, "x"},
		{"number as id", message{topic: "read/main", payload: []byte(`{"id":7,"items":["voltage_a"]}`)}, CodeBadRequest, json.Number("7")},
		{"null as id", message{topic: "read/main", payload: []byte(`{"id":null,"items":["voltage_a"]}`)}, CodeBadRequest, nil},
		{"unknown verb", message{topic: "reed/main", payload: []byte(`{"id":"x"}`)}, CodeBadRequest, "x"},
		{"no verb", message{topic: "", payload: []byte("voltage_a")}, CodeBadRequest, nil},
		{"unknown meter", message{topic: "read/cellar", payload: []byte("voltage_a")}, CodeUnknownMeter, nil},
		{"no meter", message{topic: "read", payload: []byte("voltage_a")}, CodeUnknownMeter, nil},
		{"address too short", message{topic: "read/12345", payload: []byte("voltage_a")}, CodeUnknownMeter, nil},
		{"unknown item", message{topic: "read/main", payload: []byte("no_such")}, CodeUnknownItem, nil},
		{"65 items", message{topic: "read/main", payload: []byte(many)}, CodeBadRequest, "x"},
		{"empty item", message{topic: "read/main", payload: []byte("voltage_a,,")}, CodeBadRequest, nil},
		{"items no array", message{topic: "read/main", payload: []byte(`{"id":"x","items":"voltage_a"}`)}, CodeBadRequest, "x"},
		{"items of numbers", message{topic: "read/main", payload: []byte(`{"id":"x","items":[1]}`)}, CodeBadRequest, "x"},
		{"no items, no points", message{topic: "read/000000000077"}, CodeBadRequest, nil},
		{"over the limit", message{topic: "read/main", payload: bytes.Repeat([]byte("a"), maxPayload+1)}, CodeBadRequest, nil},
		{"not UTF-8", message{topic: "read/main", payload: []byte("voltage_a\xff")}, CodeBadRequest, nil},
		{"wildcard response topic", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/me/#"}, CodeBadRequest, nil},
		{"foreign response topic", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "other/reply/me"}, CodeBadRequest, nil},
		{"response topic under a verb", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/relay/main"}, CodeBadRequest, nil},
		{"response topic is a verb", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/relay"}, CodeBadRequest, nil},
		{"response topic in the request tree", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/request/read/main"}, CodeBadRequest, nil},
		{"empty response level", message{topic: "read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/"}, CodeBadRequest, nil},
		{"retained", message{topic: "read/main", payload: []byte("voltage_a"), retain: true}, CodeBadRequest, nil},
		{"ttl no number", message{topic: "read/main", payload: []byte(`{"ttl_ms":"5"}`)}, CodeBadRequest, nil},
		{"ttl zero", message{topic: "read/main", payload: []byte(`{"ttl_ms":0}`)}, CodeBadRequest, nil},
		{"ttl with a fraction", message{topic: "read/main", payload: []byte(`{"ttl_ms":1.5}`)}, CodeBadRequest, nil},
		{"expires no moment", message{topic: "read/main", payload: []byte(`{"expires":"tomorrow"}`)}, CodeBadRequest, nil},
		{"expires with an offset of a day", message{topic: "read/main", payload: []byte(`{"expires":"2099-01-01T00:00:00+24:00"}`)}, CodeBadRequest, nil},
		{"expires with a decimal comma", message{topic: "read/main", payload: []byte(`{"expires":"2099-01-01T00:00:00,5Z"}`)}, CodeBadRequest, nil},
		{"expires at the zero time", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"expires":"0001-01-01T00:00:00Z"}`)}, CodeExpired, nil},
		{"expires before the zero time", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"expires":"0000-01-01T00:00:00Z"}`)}, CodeExpired, nil},
		{"ttl with an exponent", message{topic: "read/main", payload: []byte(`{"ttl_ms":1e4}`)}, CodeBadRequest, nil},
		{"expires in the past", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"expires":"2020-01-01T00:00:00Z"}`)}, CodeExpired, nil},
		{"message expiry over", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"ttl_ms":60000}`), expiry: &none}, CodeExpired, nil},
		{"history without a beginning", message{topic: "read/main", payload: []byte(`{"items":["stored"],"to":"2020-01-01T00:00:00Z"}`), expiry: &hour}, CodeBadRequest, nil},
		{"history from no moment", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01"}`)}, CodeBadRequest, nil},
		{"history from null", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":null}`)}, CodeBadRequest, nil},
		{"history to a number", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01T00:00:00Z","to":1577836800}`)}, CodeBadRequest, nil},
		{"history that ends where it begins", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01T08:00:00+08:00","to":"2020-01-01T00:00:00Z"}`)}, CodeBadRequest, nil},
		{"history of no items", message{topic: "read/main", payload: []byte(`{"from":"2020-01-01T00:00:00Z"}`)}, CodeBadRequest, nil},
		{"history of some age", message{topic: "read/main", payload: []byte(`{"items":["stored"],"from":"2020-01-01T00:00:00Z","max_age_ms":1000}`)}, CodeBadRequest, nil},
		{"history of what is not stored", message{topic: "read/main", payload: []byte(`{"items":["voltage_a"],"from":"2020-01-01T00:00:00Z"}`)}, CodeUnsupported, nil},
		{"hex of odd length", message{topic: "raw", payload: []byte("681")}, CodeBadRequest, nil},
		{"no hex", message{topic: "raw", payload: []byte("hello")}, CodeBadRequest, nil},
		{"no frame", message{topic: "raw"}, CodeBadRequest, nil},
		{"bad frame", message{topic: "raw", payload: []byte("6868")}, CodeBadRequest, nil},
		{"raw to a meter", message{topic: "raw/main", payload: []byte("6868")}, CodeBadRequest, nil},
		{"raw of a class not allowed", message{topic: "raw", payload: fmt.Appendf(nil, "%X", "000000000001 command\n")}, CodeNotAllowed, nil},
		{"verb not allowed", message{topic: "relay/main", payload: []byte("trip")}, CodeNotAllowed, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, nil)
			m := row.message
			tail := m.topic
			m.topic = "test/request/" + tail
			sent, reply := s.ask(t, m)
			if want := "test/reply/" + tail; sent.Topic != want {
				t.Errorf("reply on %s, want %s", sent.Topic, want)
			}
			failure, _ := reply["error"].(map[string]any)
			if failure["code"] != string(row.code) || reply["ok"] != false || failure["message"] == "" {
				t.Errorf("reply %s, want the code %s", sent.Payload, row.code)
			}
			if reply["id"] != row.id {
				t.Errorf("id %v, want %v", reply["id"], row.id)
			}
			if reply["request"] == verbRead {
				for _, key := range []string{"values", "units", "errors"} {
					if reply[key] == nil {
						t.Errorf("reply %s lacks %s, which a read always has", sent.Payload, key)
					}
				}
			}
			if said := s.cage.said(); len(said) > 0 {
				t.Errorf("on the wire: %q", said)
			}
			if len(s.sent) > 0 {
				t.Errorf("a second reply: %s", (<-s.sent).Payload)
			}
		})
	}
}

func TestResponseTopic(t *testing.T) {
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte("voltage_a"), responseTopic: "test/reply/me/1"})
	if sent.Topic != "test/reply/me/1" || reply["ok"] != true {
		t.Errorf("reply %s on %s", sent.Payload, sent.Topic)
	}
}

func TestSilentMeter(t *testing.T) {
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request/read/dead", payload: []byte("voltage_a,voltage_b")})
	errs, _ := reply["errors"].(map[string]any)
	for _, item := range []string{"voltage_a", "voltage_b"} {
		if e, _ := errs[item].(map[string]any); e["code"] != string(CodeTimeout) {
			t.Errorf("%s: %v, want timeout: %s", item, errs[item], sent.Payload)
		}
	}
	if reply["error"] != nil {
		t.Errorf("an error of the whole request, although it reached the wire: %s", sent.Payload)
	}
	for _, request := range s.cage.said() {
		if strings.Contains(request, "voltage_b") {
			t.Error("a meter that stayed silent was asked for the next item")
		}
	}
}

func TestMaxAge(t *testing.T) {
	s := newStage(t, nil)
	_, first := s.ask(t, message{topic: "test/request/read/main", payload: []byte("voltage_a")})
	_, second := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["voltage_a"],"max_age_ms":60000}`)})
	if n := len(s.cage.said()); n != 1 {
		t.Errorf("%d exchanges, want 1", n)
	}
	if first["time"] != second["time"] {
		t.Errorf("a value of %v came with the time %v", first["time"], second["time"])
	}
	// Together with a value read anew, the older one keeps its own time.
	_, mixed := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["voltage_a","voltage_b"],"max_age_ms":60000}`)})
	times, _ := mixed["times"].(map[string]any)
	if len(times) != 1 || times["voltage_a"] != first["time"] {
		t.Errorf("times %v, want voltage_a of %v", times, first["time"])
	}
	// A command to the meter forgets what is known of it.
	s.config.Allow["relay"] = true
	s.ask(t, message{topic: "test/request/raw", payload: fmt.Appendf(nil, "%X", "000000000001 command\n")})
	s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["voltage_a"],"max_age_ms":60000}`)})
	if n := len(s.cage.said()); n != 4 {
		t.Errorf("%d exchanges, want 4: %q", n, s.cage.said())
	}
}

func TestOnlyMeterIsResolvedOnce(t *testing.T) {
	s := newStage(t, nil)
	for range 2 {
		_, reply := s.ask(t, message{topic: "test/request/read/only", payload: []byte("voltage_a")})
		if reply["address"] != "000000000000" || reply["meter"] != "only" {
			t.Errorf("address %v of meter %v", reply["address"], reply["meter"])
		}
	}
	if got := s.cage.said(); got[0] != "AAAAAAAAAAAA voltage_a" || got[1] != "000000000000 voltage_a" {
		t.Errorf("on the wire: %q", got)
	}
}

// An asking parrot asks the only meter for its name first. Not every meter tells it, and is read all the same.
type asking struct{ parrot }

func (p asking) Plan(request protocol.Request, known protocol.Known) (protocol.Plan, error) {
	plan, err := p.parrot.Plan(request, known)
	if err != nil || !request.Address.Shared {
		return plan, err
	}
	rest := plan
	plan.Steps = []protocol.Step{p.step(request.Address.Text, "name")}
	plan.Then = func([]protocol.Answer) (protocol.Plan, error) { return rest, nil }
	return plan, nil
}

func TestOnlyMeterThatDoesNotTellItsName(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Meters[2].Protocol = asking{} })
	s.meters(func() {
		s.cage.say = func(_, item string) string {
			if item == "name" {
				return ""
			}
			return "220.1"
		}
	})
	s.ask(t, message{topic: "test/request/read/only", payload: []byte("voltage_a")})
	if address := s.directory.Named("only").Current().Text; address != "000000000000" {
		t.Errorf("the meter that has answered is taken for %s", address)
	}
	s.directory.Named("only").Learn(protocol.Address{}, false)
	_ = s.keeper.Read("only", []string{"voltage_b"}) // not all came: its name is
	if address := s.directory.Named("only").Current().Text; address != "000000000000" {
		t.Errorf("the meter that has answered a poll is taken for %s", address)
	}
}

func TestBasicPoints(t *testing.T) {
	s := newStage(t, nil)
	_, reply := s.ask(t, message{topic: "test/request/read/main"})
	values, _ := reply["values"].(map[string]any)
	if len(values) != len(parrotBasic) {
		t.Errorf("values %v, want all of %v", values, parrotBasic)
	}
}

func TestTraceMasksPasswords(t *testing.T) {
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"items":["password"],"trace":true}`)})
	frames, _ := reply["frames"].([]any)
	if len(frames) != 2 {
		t.Fatalf("reply %s, want two frames", sent.Payload)
	}
	for _, f := range frames {
		if text := f.(map[string]any)["hex"].(string); !strings.Contains(text, "**") {
			t.Errorf("frame %s shows a password", text)
		}
	}
}

func TestStopping(t *testing.T) {
	s := newStage(t, nil)
	s.admission.close()
	sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(`{"id":"x","items":["voltage_a"]}`), responseTopic: "test/reply/me/1"})
	if e, _ := reply["error"].(map[string]any); e["code"] != string(CodeStopping) || reply["id"] != "x" || sent.Topic != "test/reply/me/1" {
		t.Errorf("reply %s on %s, want stopping", sent.Payload, sent.Topic)
	}
}

// TestErrorsFindTheirWay sends requests that fail at every stage: each error has the id, the
// meter and the topic that the client wished for.
func TestErrorsFindTheirWay(t *testing.T) {
	for name, payload := range map[string]string{
		"not JSON": `{"id":"x",oops`, "unknown key": `{"id":"x","oops":1}`, "expired": `{"id":"x","items":["voltage_a"],"expires":"2020-01-01T00:00:00Z"}`,
		"unknown item": `{"id":"x","items":["no_such"]}`, "twice": `{"id":"x","items":["a"],"items":["a"]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, nil)
			sent, reply := s.ask(t, message{topic: "test/request/read/main", payload: []byte(payload), responseTopic: "test/reply/me/1"})
			if sent.Topic != "test/reply/me/1" || reply["id"] != "x" || reply["meter"] != "main" || reply["address"] != "000000000001" || reply["error"] == nil {
				t.Errorf("reply %s on %s", sent.Payload, sent.Topic)
			}
		})
	}
	s := newStage(t, nil)
	sent, reply := s.ask(t, message{topic: "test/request", payload: []byte("x")})
	if sent.Topic != "test/reply" || reply["error"] == nil {
		t.Errorf("reply %s on %s", sent.Payload, sent.Topic)
	}
	long := strings.Repeat("x", 60000)
	if sent, _ := s.ask(t, message{topic: "test/request/read/" + long, payload: []byte("voltage_a")}); len(sent.Payload) > 1000 {
		t.Errorf("a reply of %d bytes to a meter name of %d", len(sent.Payload), len(long))
	}
}

// TestEveryErrorHasACode walks the errors of protocol and bus.
func TestEveryErrorHasACode(t *testing.T) {
	for err, want := range map[error]Code{
		protocol.ErrBadRequest: CodeBadRequest, protocol.ErrUnknownItem: CodeUnknownItem, protocol.ErrUnsupported: CodeUnsupported,
		protocol.ErrSilent: CodeTimeout, protocol.ErrGarbled: CodeGarbled, bus.ErrBusy: CodeBusy, bus.ErrExpired: CodeExpired,
		bus.ErrDown: CodeBusDown, bus.ErrStopping: CodeStopping, errors.New("surprise"): CodeInternal,
	} {
		if got := problemOf(fmt.Errorf("read voltage_a: %w", err)).Code; got != want {
			t.Errorf("%v: code %s, want %s", err, got, want)
		}
	}
	offline := problemOf(&bus.OfflineError{RetryAfter: time.Second})
	if offline.Code != CodeTimeout || !offline.Offline || offline.RetryAfterMS != 1000 {
		t.Errorf("offline: %+v", offline)
	}
	busy := problemOf(&bus.BusyError{RetryAfter: 1500 * time.Millisecond})
	if busy.Code != CodeBusy || busy.RetryAfterMS != 1500 {
		t.Errorf("busy: %+v", busy)
	}
}

// A serial server may bring an answer sooner than the line at its speed would: that the meter
// took no time is known then, and not the same as not known.
func TestInfoShowsTurnaroundOfZero(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		if got := s.info().Meters[0].TurnaroundMS; got != nil {
			t.Errorf("turnaround_ms is %d before the first answer, want null", *got)
		}
		s.ask(t, message{topic: "test/request/read/main", payload: []byte("voltage_a")})
		if got := s.info().Meters[0].TurnaroundMS; got == nil || *got != 0 {
			t.Errorf("turnaround_ms is %v after an answer that came at once, want 0", got)
		}
	})
}

// TestInfoComesAgain publishes bridge/info when it changes, and after a minute as it is.
func TestInfoComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, nil)
		s.forceInfo()
		begin, last := time.Now(), <-s.sent
		for again := 0; again < 2; {
			time.Sleep(time.Second)
			s.refreshInfo()
			synctest.Wait()
			select {
			case now := <-s.sent:
				passed := time.Since(begin)
				if string(now.Payload) == string(last.Payload) {
					again++
					if passed < time.Minute || passed > time.Minute+time.Second {
						t.Errorf("the same comes again after %v", passed)
					}
				}
				begin, last = time.Now(), now
			default:
				if time.Since(begin) > 2*time.Minute {
					t.Fatal("bridge/info does not come again")
				}
			}
		}
	})
}

// TestMessageThatTheBrokerSendsAgain carries a command without id out once, however often the broker sends it over the
// same connection. Each is acknowledged.
func TestMessageThatTheBrokerSendsAgain(t *testing.T) {
	s := newStage(t, switching)
	acknowledged := 0
	m := mqtt.Message{Topic: "test/request/relay/main", Payload: []byte("trip"), Received: time.Now()}
	for range 3 {
		s.hear(m, func() { acknowledged++ })
		m.Again = true
	}
	if reply := decoded(t, (<-s.sent).Payload); reply["result"] != resultVerified {
		t.Errorf("reply %v", reply)
	}
	if trips := strings.Count(strings.Join(s.cage.said(), " "), "trip"); trips != 1 || acknowledged != 3 || len(s.sent) > 0 {
		t.Errorf("%d commands on the wire, %d messages acknowledged, %d more replies", trips, acknowledged, len(s.sent))
	}
}
