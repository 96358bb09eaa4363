package meters

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"dlt645-mqtt/bridge/bus"
	"dlt645-mqtt/bridge/limit"
	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// A shelf keeps what is published.
type shelf struct{ messages []mqtt.Outgoing }

func (s *shelf) Put(m mqtt.Outgoing) { s.messages = append(s.messages, m) }

func (*shelf) Again() {}

func (*shelf) Holds(string) bool { return false }

// drain returns what was published since it was called last.
func (s *shelf) drain() (all []mqtt.Outgoing) {
	all, s.messages = s.messages, nil
	return all
}

// plain is a protocol of which nothing is asked.
type plain struct{ energies }

func (plain) Family() string { return "plain" }

func (plain) Playing(protocol.Role) string { return "" }

func (plain) AddressForm() (string, string) { return "1 digit", "1" }

func (plain) ParseAddress(text string) (protocol.Address, error) {
	return protocol.Address{MeterKey: protocol.MeterKey{Family: "plain", Text: text}}, nil
}

func (plain) Actions(protocol.Verb) []protocol.Action { return nil }

func (plain) Plan(protocol.Request, protocol.Known) (protocol.Plan, error) {
	return protocol.Plan{}, protocol.ErrUnsupported
}

func (plain) Redact(frame []byte) string { return fmt.Sprintf("%X", frame) }

// newTestKeeper returns a keeper with one named meter, main, and what it publishes.
func newTestKeeper(table *points.Table) (*Keeper, *shelf) {
	s := &shelf{}
	log := slog.New(slog.DiscardHandler)
	at, _ := plain{}.ParseAddress("1")
	return New(Config{
		Root: "test", Bus: bus.New(bus.Config{Log: log}), Directory: NewDirectory([]Meter{{Name: "main", Address: at, Protocol: plain{}}}, plain{}),
		Points: table, Allow: map[string]bool{}, Zone: time.UTC, Publisher: s, Count: func(string, error) {}, Forget: func(string) {}, Log: log, Limited: limit.New(log),
	}), s
}

func TestClockDrift(t *testing.T) {
	k, shelf := newTestKeeper(nil)
	w := k.poller.named("main")
	for _, row := range []struct {
		ahead, age time.Duration
		want       string
	}{
		{time.Second, 0, ""}, {-61 * time.Second, 0, "clock_drift"}, {-2 * time.Hour, 0, ""}, {59 * time.Second, 0, "clock_right"}, {0, 0, ""},
		{-2 * time.Hour, time.Minute, ""}, // read before it was right, by a longer request
	} {
		w.mu.Lock()
		k.judgeClock(w, row.ahead, time.Now().Add(-row.age))
		w.mu.Unlock()
		got := ""
		for _, m := range shelf.drain() {
			var e struct {
				Type string `json:"event_type"`
			}
			if m.Topic != "test/meter/main/event" {
				continue
			}
			if err := json.Unmarshal(m.Payload, &e); err != nil {
				t.Fatal(err)
			}
			got += e.Type
		}
		if got != row.want {
			t.Errorf("%v ahead: event %q, want %q", row.ahead, got, row.want)
		}
	}
}

// TestAvailabilityOfAMeterThatHasLeft takes a meter out of the table while an answer of it is being looked at.
func TestAvailabilityOfAMeterThatHasLeft(t *testing.T) {
	k, shelf := newTestKeeper(&points.Table{Points: []points.Point{{Meter: "7", Item: "energy", Interval: time.Minute}}})
	w := k.poller.named("7")
	put := func(online bool) {
		w.mu.Lock()
		defer w.mu.Unlock()
		k.setPresence(w, online, causeSilent, time.Now())
	}
	put(true)
	k.SetTable(nil)
	put(false)
	var got []string
	for _, m := range shelf.drain() {
		if m.Topic == "test/meter/7/availability" {
			got = append(got, string(m.Payload))
		}
	}
	if len(got) != 2 || got[0] != statusOnline || got[1] != "" {
		t.Errorf("availability went through %q", got)
	}
}
