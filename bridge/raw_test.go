package bridge

import (
	"fmt"
	"strings"
	"testing"

	"dlt645-mqtt/bridge/mqtt"
)

func TestRaw(t *testing.T) {
	frame := "000000000001 voltage_a\n"
	answer := "=000000000001 voltage_a 220.10\n"
	for _, row := range []struct {
		name    string
		message message
		binary  bool
	}{
		{"hex", message{payload: fmt.Appendf(nil, "% x", frame)}, false},
		{"JSON", message{payload: fmt.Appendf(nil, `{"id":"1","frame":"%X"}`, frame)}, false},
		{"bytes", message{payload: []byte(frame), contentType: mqtt.Bytes}, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, nil)
			row.message.topic = "test/request/raw"
			sent, reply := s.ask(t, row.message)
			if row.binary {
				if string(sent.Payload) != answer || sent.ContentType != mqtt.Bytes {
					t.Errorf("reply %q of type %s", sent.Payload, sent.ContentType)
				}
				return
			}
			if want := fmt.Sprintf("%X", answer); reply["frame"] != want || reply["ok"] != true || reply["meter"] != "main" {
				t.Errorf("reply %s, want the frame %s", sent.Payload, want)
			}
		})
	}
}

func TestRawCommand(t *testing.T) {
	allow := func(c *Config) { c.Allow["relay"] = true }
	for _, row := range []struct {
		name, payload, result string
		ok                    bool
	}{
		{"acknowledged", fmt.Sprintf("%X", "000000000001 command\n"), resultAcknowledged, true},
		{"silence", fmt.Sprintf("%X", "900000000001 command\n"), resultUnknown, false},
		{"no answer wanted", fmt.Sprintf(`{"answer":false,"frame":"%X"}`, "900000000001 command\n"), resultSent, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newStage(t, allow)
			sent, reply := s.ask(t, message{topic: "test/request/raw", payload: []byte(row.payload)})
			if reply["result"] != row.result || reply["ok"] != row.ok || reply["error"] != nil {
				t.Errorf("reply %s, want the result %s", sent.Payload, row.result)
			}
			if n := len(s.cage.said()); n != 1 {
				t.Errorf("the command went out %d times", n)
			}
		})
	}
}

// TestRepliesAreCounted sends a command that the meter refuses, in both forms: both count as refused.
func TestRepliesAreCounted(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Allow["relay"] = true })
	s.cage.say = func(string, string) string { return "refused" }
	frame := []byte("000000000001 command\n")
	sent, _ := s.ask(t, message{topic: "test/request/raw", payload: frame, contentType: mqtt.Bytes})
	if sent.ContentType != mqtt.Bytes {
		t.Errorf("reply %s", sent.Payload)
	}
	s.ask(t, message{topic: "test/request/raw", payload: fmt.Appendf(nil, "%X", frame)})
	var text strings.Builder
	s.metrics.WritePrometheus(&text)
	if want := `dlt645_replies_total{verb="raw",result="refused"} 2`; !strings.Contains(text.String(), want) {
		t.Errorf("metrics %s, want %s", &text, want)
	}
}
