package bridge

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// TestRepeatsThatWaitAreBounded repeats a command without end while it is in hand.
func TestRepeatsThatWaitAreBounded(t *testing.T) {
	var p repeats
	again := func() (bool, error) {
		repeat, _, err := p.enter(&request{message: message{topic: "t"}, id: json.RawMessage(`"1"`), command: &command{}}, parrotKey("m"), time.Now())
		return repeat, err
	}
	if repeat, err := again(); repeat || err != nil {
		t.Fatal(repeat, err)
	}
	for range mostWaiting {
		if repeat, err := again(); !repeat || err != nil {
			t.Fatal(repeat, err)
		}
	}
	for range 3 {
		if _, err := again(); err == nil || problemOf(err).Code != CodeBusy {
			t.Errorf("one repeat too many: %v", err)
		}
	}
}

// TestCommandThatWasNotSentMayComeAgain lets a command expire in the queue of the bus. Nothing
// of it was sent, so that its id may be used again, and nothing of it is kept.
func TestCommandThatWasNotSentMayComeAgain(t *testing.T) {
	s := newStage(t, switching)
	s.receive(message{topic: "test/request/relay/main", payload: []byte(`{"id":"1","action":"alarm"}`), received: time.Now()})
	if result := (<-s.sent).Payload; !strings.Contains(string(result), `"result":"unknown"`) {
		t.Fatalf("reply %s", result)
	}
	// The meter is given no command for a while now.
	second := message{topic: "test/request/relay/main", payload: []byte(`{"id":"2","action":"trip"}`)}
	soon := 10 * time.Millisecond
	second.expiry = &soon
	if _, reply := s.ask(t, second); codeOf(reply) != string(CodeExpired) {
		t.Fatalf("reply %v", reply)
	}
	if kept := len(s.repeats.oldest); kept != 1 {
		t.Errorf("%d commands are remembered, want the one that was sent", kept)
	}
	second.expiry = nil
	if _, reply := s.ask(t, second); reply["result"] != resultVerified || reply["repeated"] != nil {
		t.Errorf("again: %v", reply)
	}
	if _, reply := s.ask(t, second); reply["result"] != resultVerified || reply["repeated"] != true || strings.Count(fmt.Sprint(s.cage.said()), "trip") != 1 {
		t.Errorf("once more: %v, on the wire %q", reply, s.cage.said())
	}
}

// TestSameIDWrittenOtherwise writes the id of a command that was carried out in another way.
func TestSameIDWrittenOtherwise(t *testing.T) {
	s := newStage(t, switching)
	s.relay(t, `{"id":"a","action":"trip"}`)
	if reply := s.relay(t, `{"id":"\u0061","action":"trip"}`); codeOf(reply) != string(CodeConflict) {
		t.Errorf("reply %v", reply)
	}
}

// TestLongIDsAreNotKept sends ids as long as a payload may be.
func TestLongIDsAreNotKept(t *testing.T) {
	s := newStage(t, switching)
	for _, length := range []int{maxID + 1, maxPayload - 100} {
		id := strings.Repeat("i", length)
		reply := s.relay(t, fmt.Sprintf(`{"id":%q,"action":"trip"}`, id))
		if codeOf(reply) != string(CodeBadRequest) || reply["id"] != id {
			t.Errorf("an id of %d bytes: %s", length, codeOf(reply))
		}
		if record := <-s.audited; len(record.Payload) > 1000 {
			t.Errorf("a record of %d bytes", len(record.Payload))
		}
	}
	if len(s.repeats.oldest) != 0 || len(s.cage.said()) != 0 {
		t.Errorf("%d commands remembered, %q on the wire", len(s.repeats.oldest), s.cage.said())
	}
}

// heap is what is in use after a collection.
func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestFloodIsBoundedInMemory sends requests that are as large as they may be, while the meter
// does not answer and the broker takes no reply: some wait, the others are refused, and neither
// keep more than they need.
func TestFloodIsBoundedInMemory(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	b := New(Config{
		Root: "test", Broker: mqtt.Broker{URLs: []*url.URL{{Scheme: "mqtt", Host: "127.0.0.1:1"}}}, Bus: bus.New(bus.Config{}), Protocol: parrot{}, Zone: time.UTC,
		Allow: map[string]bool{"read": true, "relay": true}, Log: log,
	})
	large := strings.Repeat(" ", maxPayload-200)
	many := strings.Repeat("x", 20_000)
	before := heap()
	const flood = 300
	for i := range flood {
		m := mqtt.Message{Topic: "test/request/read/000000000001", Payload: fmt.Appendf(nil, `{"id":"%d","items":["voltage_a"]%s}`, i, large)}
		switch i % 3 {
		case 1:
			m.Topic, m.Payload = fmt.Sprintf("test/request/relay/%012d", i), fmt.Appendf(nil, `{"id":"%d","action":"trip"%s}`, i, large)
		case 2:
			m.Payload = fmt.Appendf(nil, `{"id":"%s","items":["voltage_a"]}`, many)
		}
		m.ContentType = strings.Clone(many)
		for range 3 {
			m.UserProperties.Add(strings.Clone(many), strings.Clone(many))
		}
		b.receive(messageOf(m))
	}
	if b.outbox.Waiting() == 0 {
		t.Error("no reply waits")
	}
	const most = 16 << 20 // they have sent 50 MiB
	if used := heap() - before; used > most {
		t.Errorf("%d MiB are in use, want at most %d", used>>20, most>>20)
	}
	runtime.KeepAlive(b)
}

// TestPointTablesInHandAreBounded sends point tables faster than they can be read.
func TestPointTablesInHandAreBounded(t *testing.T) {
	s := newStage(t, configurable)
	s.keeper.Configuring.Lock()
	send := func() {
		s.receive(message{topic: "test/request/config", payload: []byte("meter,item\nmain,voltage_a\n"), received: time.Now()})
	}
	for range mostConfigs {
		send()
	}
	for range 3 {
		send()
		if sent := <-s.sent; !strings.Contains(string(sent.Payload), `"code":"busy"`) {
			t.Errorf("one too many: %s", sent.Payload)
		}
	}
	s.keeper.Configuring.Unlock()
	for range mostConfigs {
		for sent := (mqtt.Outgoing{}); sent.Topic != "test/reply/config"; {
			sent = <-s.sent
		}
	}
	if reply, _ := s.configure(t, fmt.Sprintf(`{"csv":"off","version":%q}`, strings.Repeat("1", mostVersion+1))); codeOf(reply) != string(CodeBadRequest) {
		t.Errorf("a long version: %v", reply)
	}
}

// TestNamesOfClientsMakeNoSeries sends verbs, meters, items and topics that there are not. None
// of them stays: neither as a series of a metric, nor as a kind of log line, nor in a cache.
func TestNamesOfClientsMakeNoSeries(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	send := func(i int) {
		for _, topic := range []string{"read/%012d", "read/meter%d", "verb%d", "relay/%012d", "raw/%d"} {
			s.ask(t, message{topic: "test/request/" + fmt.Sprintf(topic, i), payload: fmt.Appendf(nil, `{"id":"%d","items":["no_%d"],"key%d":1}`, i, i, i)})
			if strings.HasPrefix(topic, "relay") {
				<-s.audited
			}
		}
		s.ask(t, message{topic: "test/request/read/main", payload: fmt.Appendf(nil, "no_item%d,secret", i)})
	}
	size := func() int {
		var text strings.Builder
		s.metrics.WritePrometheus(&text)
		return s.limited.Kinds() + strings.Count(text.String(), "\n") + s.cache.kept + len(s.cache.changed) + len(s.repeats.oldest) + len(s.guard.refusals) + len(s.clocks.known)
	}
	send(0)
	before := size()
	for i := range 50 {
		send(i + 1)
	}
	if after := size(); after != before {
		t.Errorf("%d things are kept, %d after the first round", after, before)
	}
}

// TestCacheIsBounded reads more than it holds.
func TestCacheIsBounded(t *testing.T) {
	var c cache
	now := time.Now()
	for i := range cacheSize + 100 {
		c.put(&protocol.Step{Key: fmt.Sprint(i)}, protocol.Result{Address: parrotAt("000000000001")}, now, now.Add(time.Duration(i)))
		c.forget(parrotAt(fmt.Sprintf("%012d", i+2)), now)
	}
	if c.kept > cacheSize || len(c.changed) > cacheSize {
		t.Errorf("%d results and %d commands are kept", c.kept, len(c.changed))
	}
}

// TestAReplyTellsWhatWasAsked has a reader send the reply to its read to where another client
// awaits the reply to a relay command, with everything that the reader can choose alike.
func TestAReplyTellsWhatWasAsked(t *testing.T) {
	s := newStage(t, switching)
	sent, reply := s.ask(t, message{
		topic: "test/request/read/main", responseTopic: "test/reply/anna/1", correlation: []byte("annas-own"),
		payload: []byte(`{"id":"11","items":["voltage_a"]}`),
	})
	if sent.Topic != "test/reply/anna/1" || reply["request"] != "read" || reply["result"] != nil || reply["relay"] != nil || reply["values"] == nil {
		t.Errorf("reply %s", sent.Payload)
	}
	for _, payload := range []string{`{"id":"11","items":["voltage_a"],"result":"verified"}`, `{"id":{"result":"verified","ok":true}}`, `{"id":"1\",\"result\":\"verified"}`} {
		sent, reply := s.ask(t, message{topic: "test/request/read/main", responseTopic: "test/reply/anna/1", payload: []byte(payload)})
		if reply["request"] != "read" || reply["result"] != nil || !json.Valid(sent.Payload) {
			t.Errorf("%s: reply %s", payload, sent.Payload)
		}
	}
}

// TestRecordsAreCropped audits a command with everything as long as it may be.
func TestRecordsAreCropped(t *testing.T) {
	s := newStage(t, switching)
	long := strings.Repeat("电", 20_000)
	m := mqtt.Message{Topic: "test/request/relay/main", Payload: []byte(`{"id":"1","action":"trip"}`)}
	for i := range 1000 {
		m.UserProperties.Add(fmt.Sprint(i, long), long)
	}
	s.receive(messageOf(m))
	<-s.sent
	record := <-s.audited
	var read struct {
		UserProperties map[string]string `json:"user_properties"`
	}
	if err := json.Unmarshal(record.Payload, &read); err != nil || len(read.UserProperties) != mostUserProperties || len(record.Payload) > 10_000 {
		t.Errorf("%d properties in a record of %d bytes, %v", len(read.UserProperties), len(record.Payload), err)
	}
	for _, payload := range []string{`{"action":"` + long + `"}`, long, `{"` + long + `":1}`} {
		s.ask(t, message{topic: "test/request/relay/main", payload: []byte(payload)})
		if record := <-s.audited; len(record.Payload) > 2000 {
			t.Errorf("a record of %d bytes", len(record.Payload))
		}
	}
}

// TestDeepAndHugeJSON sends bodies that are JSON, and nothing else that is good.
func TestDeepAndHugeJSON(t *testing.T) {
	s := newStage(t, func(c *Config) {
		for _, class := range Classes {
			c.Allow[class] = true
		}
	})
	deep := strings.Repeat("[", maxPayload/2-100) + strings.Repeat("]", maxPayload/2-100)
	for _, value := range []string{deep, strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000), "1e999999999", "-1e-999999999", strings.Repeat("9", 60_000), "9223372036854775808", "1.5", "true", "null", `"\ud800"`} {
		for topic, keys := range map[string][]string{
			"read/main":        {"id", "items", "max_age_ms", "ttl_ms", "expires", "trace", "from", "to"},
			"relay/main":       {"id", "action", "verify_ms", "level", "retry_password"},
			"write/main":       {"item"},
			"maintenance/main": {"action", "confirm"},
			"broadcast":        {"action"},
			"raw":              {"frame", "answer", "retry_password"},
			"scan":             {"meters", "speeds", "parities", "protocols"},
			"config":           {"points", "csv", "dry_run", "version"},
		} {
			for _, key := range keys {
				if key == "id" && value == `"\ud800"` || value == "true" && (key == "trace" || key == "dry_run" || key == "answer" || key == "retry_password") {
					continue // these are all right
				}
				sent, reply := s.ask(t, message{topic: "test/request/" + topic, payload: fmt.Appendf(nil, `{%q:%s}`, key, value)})
				if code := codeOf(reply); code != string(CodeBadRequest) && code != string(CodeUnknownItem) {
					t.Errorf("%s {%q:%.20s…}: %.200s", topic, key, value, sent.Payload)
				}
			}
		}
	}
	if said := s.cage.said(); len(said) > 0 {
		t.Errorf("on the wire %q", said)
	}
}

// TestRefusedCommandsDoNotFloodTheLog sends commands that are refused, without end. Each has its
// record; the log has a line for each kind, and a line for each command that was carried out,
// besides that about the first answer of the meter.
func TestRefusedCommandsDoNotFloodTheLog(t *testing.T) {
	var log strings.Builder
	s := newStage(t, func(c *Config) {
		switching(c)
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	const many = 200
	for i := range many {
		s.relay(t, fmt.Sprintf(`{"id":"%d","action":"explode%d"}`, i, i))
		<-s.audited
	}
	s.relay(t, "trip")
	if record := <-s.audited; !strings.Contains(string(record.Payload), `"verified"`) {
		t.Errorf("record %s", record.Payload)
	}
	s.admission.close()
	s.admission.inside.Wait()
	if lines := strings.Count(log.String(), "\n"); lines != 3 || !strings.Contains(log.String(), "result=verified") {
		t.Errorf("%d lines:\n%s", lines, log.String())
	}
}

// TestForgedListIsNotBelieved publishes, as whoever may write to the bridge's own topics, a list of what is
// published. It leads to no topic for which the broker would end our connection, and what the broker has not
// kept is not heard.
func TestForgedListIsNotBelieved(t *testing.T) {
	announce(t, "meter,item\nmain,voltage_a\n", func(a *announcement) {
		forged := `{"meters":["+","#","a\u0000b","x\u001b","$SYS"],"discovery":"ha","devices":{"test_000000000077":{"meter":"#"},"other_device":{},"test_+":{}}}`
		live := message{topic: "test/bridge/published", payload: []byte(`{"meters":["live78"],"discovery":"ha"}`)}
		if !a.keeper.Hear(live.topic, live.payload, false) || !a.keeper.Hear("test/bridge/published", []byte(forged), true) {
			t.Error("a list is taken for a request")
		}
		for range 30 {
			time.Sleep(time.Second)
			a.keeper.Turn()
		}
		synctest.Wait()
		for _, sent := range []chan mqtt.Outgoing{a.sent, a.told} {
			for len(sent) > 0 {
				m := <-sent
				if strings.ContainsAny(m.Topic, "+#\x00\x1b$") || strings.Contains(m.Topic, "other") || strings.Contains(m.Topic, "78") {
					t.Errorf("published on %q", m.Topic)
				}
			}
		}
	})
}
