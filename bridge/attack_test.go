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
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/bridge/bus"
)

// TestRepeatsThatWaitAreBounded repeats a command without end while it is in hand.
func TestRepeatsThatWaitAreBounded(t *testing.T) {
	var p repeats
	again := func() (bool, error) {
		repeat, _, err := p.enter(&request{message: message{topic: "t"}, id: json.RawMessage(`"1"`)}, "m", time.Now())
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
	if result := (<-s.sent).payload; !strings.Contains(string(result), `"result":"unknown"`) {
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
		if record := <-s.audited; len(record.payload) > 1000 {
			t.Errorf("a record of %d bytes", len(record.payload))
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
		Root: "test", Broker: Broker{URL: &url.URL{Scheme: "mqtt", Host: "127.0.0.1:1"}}, Bus: bus.New(bus.Config{}), Protocol: parrot{}, Zone: time.UTC,
		Allow: map[string]bool{"read": true, "relay": true}, Log: log,
	})
	large := strings.Repeat(" ", maxPayload-200)
	many := strings.Repeat("x", 20_000)
	before := heap()
	const flood = 1500
	for i := range flood {
		p := &paho.Publish{Topic: "test/request/read/000000000001", Payload: fmt.Appendf(nil, `{"id":"%d","items":["voltage_a"]%s}`, i, large), Properties: &paho.PublishProperties{}}
		switch i % 3 {
		case 1:
			p.Topic, p.Payload = fmt.Sprintf("test/request/relay/%012d", i), fmt.Appendf(nil, `{"id":"%d","action":"trip"%s}`, i, large)
		case 2:
			p.Payload = fmt.Appendf(nil, `{"id":"%s","items":["voltage_a"]}`, many)
		}
		for range 10 {
			p.Properties.User.Add(strings.Clone(many), strings.Clone(many))
		}
		b.receive(messageOf(p))
	}
	if b.outbox.waiting() == 0 {
		t.Error("no reply waits")
	}
	const most = 2*outboxBytes + 16<<20
	if used := heap() - before; used > most {
		t.Errorf("%d MiB are in use, want at most %d", used>>20, most>>20)
	}
	runtime.KeepAlive(b)
}

// TestPointTablesInHandAreBounded sends point tables faster than they can be read.
func TestPointTablesInHandAreBounded(t *testing.T) {
	s := newStage(t, configurable)
	s.configuring.Lock()
	send := func() {
		s.receive(message{topic: "test/request/config", payload: []byte("meter,item\nmain,voltage_a\n"), received: time.Now()})
	}
	for range mostConfigs {
		send()
	}
	for range 3 {
		send()
		if sent := <-s.sent; !strings.Contains(string(sent.payload), `"code":"busy"`) {
			t.Errorf("one too many: %s", sent.payload)
		}
	}
	s.configuring.Unlock()
	for range mostConfigs {
		for sent := (outgoing{}); sent.topic != "test/reply/config"; {
			sent = <-s.sent
		}
	}
	if reply, _ := s.configure(t, fmt.Sprintf(`{"csv":"off","version":%q}`, strings.Repeat("1", mostVersion+1))); codeOf(reply) != string(CodeBadRequest) {
		t.Errorf("a long version: %v", reply)
	}
}
