package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
)

// A stage is a bridge under test, its bus running and its replies caught before the broker.
type stage struct {
	*Bridge
	cage *cage
	sent chan mqtt.Outgoing
	told chan mqtt.Outgoing // about meters

	audited chan mqtt.Outgoing
}

func newStage(t *testing.T, change func(*Config)) *stage {
	t.Helper()
	cage := newCage()
	return newStageOn(t, cage, bus.Config{Settings: bus.Settings{Baud: 115200, Timeout: 50 * time.Millisecond}, Open: cage.open}, change)
}

// newStageOn makes a stage on any bus; cage may be nil.
func newStageOn(t *testing.T, cage *cage, on bus.Config, change func(*Config)) *stage {
	t.Helper()
	s := &stage{cage: cage, sent: make(chan mqtt.Outgoing, 1000), audited: make(chan mqtt.Outgoing, 1000), told: make(chan mqtt.Outgoing, 10_000)}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	on.Log = log
	if on.OnFrame == nil {
		on.OnFrame = func(f bus.FrameEvent) { s.PublishFrame(f) }
	}
	line := bus.New(on)
	config := Config{
		Root: "test", Broker: mqtt.Broker{URLs: []*url.URL{{Scheme: "mqtt", Host: "127.0.0.1:1"}}}, Bus: line, Protocol: parrot{}, Zone: time.UTC,
		Meters: []meters.Meter{{Name: "main", Address: parrotAt("000000000001"), Protocol: parrot{}}, {Name: "dead", Address: parrotAt("900000000000"), Protocol: parrot{}}, {Name: "only", Address: parrotAt("AAAAAAAAAAAA"), Protocol: parrot{}}},
		Allow:  map[string]bool{"read": true, "raw": true}, Log: log, Version: "test",
	}
	config.Points = points.Basic(meters.Site(config.Meters, config.Protocol))
	if change != nil {
		change(&config)
	}
	s.Bridge = New(config)
	s.outbox.Up(t.Context(), func(_ context.Context, m mqtt.Outgoing) (bool, error) {
		switch {
		case m.Topic == "test/bridge/audit":
			s.audited <- m
		case strings.HasPrefix(m.Topic, "test/meter/"):
			s.told <- m
		default:
			s.sent <- m
		}
		return false, nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask sends a message and returns the one reply.
func (s *stage) ask(t *testing.T, m message) (mqtt.Outgoing, map[string]any) {
	t.Helper()
	m.received = time.Now()
	s.receive(m)
	sent := <-s.sent
	if sent.ContentType != mqtt.JSON {
		return sent, nil
	}
	return sent, decoded(t, sent.Payload)
}

// events returns the events that were published so far, one after the other.
func (s *stage) events() (text string) {
	s.outbox.Drain(time.Second)
	for len(s.told) > 0 {
		if m := <-s.told; strings.HasSuffix(m.Topic, "/event") {
			text += string(m.Payload)
		}
	}
	return text
}

// decoded reads a reply; numbers keep their digits.
func decoded(t *testing.T, payload []byte) (reply map[string]any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	if err := d.Decode(&reply); err != nil {
		t.Fatalf("reply %s: %v", payload, err)
	}
	return reply
}

// codeOf returns the code of a reply's error, or "".
func codeOf(reply map[string]any) string {
	problem, _ := reply["error"].(map[string]any)
	code, _ := problem["code"].(string)
	return code
}

// parseTable reads a point table for the meters of a configuration.
func parseTable(t *testing.T, c *Config, text string) *points.Table {
	t.Helper()
	table, err := points.Parse([]byte(text), meters.Site(c.Meters, c.Protocol))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// meters lets change see and change what the meters say.
func (s *stage) meters(change func()) {
	s.cage.mu.Lock()
	defer s.cage.mu.Unlock()
	change()
}
