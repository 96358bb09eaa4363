package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
)

// FuzzReceive gives the bridge any message. It gets exactly one reply, on the topic of its tail
// or on one that a client may choose; the reply is JSON with a code of the list; and what is
// published besides are records of the audit.
func FuzzReceive(f *testing.F) {
	f.Add("test/request/read/main", []byte("voltage_a"), "test/reply/me/1", []byte("12345678"), "", false, uint32(0))
	f.Add("test/request/relay/main", []byte(`{"id":"1","action":"trip","verify_ms":0}`), "", []byte(nil), "application/json", false, uint32(5))
	f.Add("test/request/raw", []byte("000000000001 command\n"), "test/reply/relay/main", []byte(nil), mqtt.Bytes, false, uint32(5))
	f.Add("test/request/scan", []byte(`{"meters":2,"speeds":[2400],"ttl_ms":1}`), "test/reply/\xff", []byte(nil), "", true, uint32(5))
	f.Add("test/request", []byte(`{"id":{"a":[1e999]},"id":2}`), "$SYS/x", []byte(nil), "", false, uint32(5))
	f.Add("test/request/config", []byte(`{"points":[]}`), "test/reply//", []byte(nil), "", false, uint32(5))
	f.Add("test/request/maintenance/main", []byte(`{"action":"set_password","level":"02","new_password":"1"}`), "test/reply/+", []byte(nil), "", false, uint32(5))
	line := bus.New(bus.Config{Open: func(context.Context) (bus.Port, error) { return newCage(), nil }})
	ended, cancel := context.WithCancel(f.Context())
	cancel()
	if err := line.Run(ended); err != nil { // from now on it takes no job
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, topic string, payload []byte, responseTopic string, correlation []byte, contentType string, retain bool, expiry uint32) {
		if !strings.HasPrefix(topic, "test/request/") || strings.ContainsAny(topic, "+#\x00") {
			topic = "test/request/" + strings.NewReplacer("+", "", "#", "", "\x00", "").Replace(topic)
		}
		b := New(Config{
			Root: "test", Broker: mqtt.Broker{URLs: []*url.URL{{Scheme: "mqtt", Host: "127.0.0.1:1"}}}, Bus: line, Protocol: parrot{}, Zone: time.UTC,
			Meters: []meters.Meter{{Name: "main", Address: parrotAt("000000000001"), Protocol: parrot{}}, {Name: "only", Address: parrotAt("AAAAAAAAAAAA"), Protocol: parrot{}}},
			Allow:  map[string]bool{"read": true, "raw": true, "relay": true, "write": true, "maintenance": true, "broadcast": true, "config": true},
			Log:    slog.New(slog.DiscardHandler), Version: "test",
		})
		payload, correlation = slices.Clip(payload), slices.Clip(correlation) // the fuzzer's have 100 MiB of room behind them, which the outbox would count
		m := message{topic: topic, payload: payload, responseTopic: responseTopic, correlation: correlation, contentType: contentType, retain: retain, received: time.Now()}
		if expiry > 0 {
			wait := time.Duration(expiry) * time.Second
			m.expiry = &wait
		}
		b.receive(m)
		b.admission.inside.Wait()
		replies := 0
		for _, sent := range queued(t, b) {
			if sent.Topic == "test/bridge/audit" || sent.Topic == "test/bridge/scan" {
				continue
			}
			replies++
			if own := "test/reply/" + strings.TrimPrefix(topic, "test/request/"); sent.Topic != own {
				first, _, _ := strings.Cut(strings.TrimPrefix(sent.Topic, "test/reply/"), "/")
				if sent.Topic != responseTopic || !strings.HasPrefix(sent.Topic, "test/reply/") || slices.Contains(Verbs, first) || strings.ContainsAny(sent.Topic, "+#\x00") {
					t.Errorf("reply to %q on %q", topic, sent.Topic)
				}
			}
			if !bytes.Equal(sent.Correlation, correlation) || sent.Kind.Retained() {
				t.Errorf("correlation %q, want %q, retained %t", sent.Correlation, correlation, sent.Kind.Retained())
			}
			var reply struct {
				Error *struct {
					Code Code
				}
				OK *bool
			}
			if err := json.Unmarshal(sent.Payload, &reply); err != nil || reply.OK == nil || reply.Error != nil && !slices.Contains(Codes, reply.Error.Code) || reply.Error != nil && reply.Error.Code == CodeInternal {
				t.Errorf("%q %q: reply %q, %v", topic, payload, sent.Payload, err)
			}
		}
		if replies != 1 || len(b.repeats.oldest) > 0 {
			t.Errorf("%q %q: %d replies, %d commands remembered", topic, payload, replies, len(b.repeats.oldest))
		}
	})
}

// queued returns what waits in the outbox of a bridge and is no state.
func queued(t *testing.T, b *Bridge) (all []mqtt.Outgoing) {
	var mu sync.Mutex
	b.outbox.Up(t.Context(), func(_ context.Context, m mqtt.Outgoing) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if !m.Kind.Retained() {
			all = append(all, m)
		}
		return false, nil
	})
	if !b.outbox.Drain(time.Minute) {
		t.Error("not all could be published")
	}
	return all
}

// FuzzBody reads any payload as that of a read: it is refused with a code of the list, or its id can be
// sent back and its items are no more than allowed.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"id":"7","items":["voltage_a"],"ttl_ms":5,"expires":"2026-11-20T18:00:00+08:00","trace":true,"max_age_ms":1}`))
	f.Add([]byte(`voltage_a,02010100`))
	f.Add([]byte(`{"id":1e400,"items":[[[]]]}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		b, err := parseBody(payload)
		r := &request{verb: verbRead}
		if err == nil {
			r.id, err = b.decodeID()
		}
		if err == nil {
			err = b.common(r)
		}
		if err == nil {
			err = r.readKeys(&b)
		}
		if err != nil {
			if p := problemOf(err); p.Code != CodeBadRequest && p.Code != CodeUnsupported {
				t.Errorf("%q: %v", payload, err)
			}
			return
		}
		if len(r.items) > maxItems {
			t.Errorf("%q: %d items", payload, len(r.items))
		}
		if _, err := encodeJSON(&reply{ID: r.id}); err != nil {
			t.Errorf("%q: the id %s cannot be sent back: %v", payload, r.id, err)
		}
	})
}
