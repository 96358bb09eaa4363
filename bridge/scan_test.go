package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// seeker is a protocol whose addresses are three digits, asked for one by one from the right.
type seeker struct {
	parrot
	name string
}

func (s seeker) Name() string { return s.name }

func (seeker) UsualModes() (speeds []int, parities []string) {
	return []int{2400, 9600}, []string{"even"}
}

func (s seeker) Find(pattern string) (protocol.Question, error) {
	if pattern == "" {
		pattern = "AAA"
	}
	levels := strings.Count(pattern, "A")
	return protocol.Question{
		Pattern: pattern, Levels: levels,
		Steps:   []protocol.Step{{Meter: parrotKey(pattern), Items: []string{s.name}, Class: protocol.ClassScan}},
		Matches: func(address string) bool { return strings.HasSuffix(address, pattern[levels:]) },
		Narrow: func() (parts []protocol.Question) {
			for digit := range 10 * min(levels, 1) {
				part, _ := s.Find(fmt.Sprintf("%s%d%s", pattern[:levels-1], digit, pattern[levels:]))
				parts = append(parts, part)
			}
			return parts
		},
	}, nil
}

// everySpeed is a protocol with many usual modes.
type everySpeed struct{ seeker }

func (everySpeed) UsualModes() (speeds []int, parities []string) {
	return []int{2400, 9600, 1200, 4800, 19200, 600}, []string{"even", "none"}
}

// TestModesToTry has the speed and the parity of the line among what is tried, unless others are asked
// for, and first of all.
func TestModesToTry(t *testing.T) {
	own := protocol.Mode{Baud: 2400, Parity: "odd"}
	for _, row := range []struct {
		speeds   []int
		parities []string
		want     string
	}{
		{[]int{9600, 9600}, nil, "[{9600 odd 0} {9600 even 0} {9600 none 0}]"},
		{nil, []string{"none"}, "[{2400 none 0} {9600 none 0} {1200 none 0} {4800 none 0} {19200 none 0} {600 none 0}]"},
		{[]int{9600, 1200}, []string{"even"}, "[{9600 even 0} {1200 even 0}]"},
	} {
		if got := fmt.Sprint(modesToTry(own, row.speeds, row.parities, everySpeed{})); got != row.want {
			t.Errorf("speeds %v, parities %v: %s, want %s", row.speeds, row.parities, got, row.want)
		}
	}
	if got := modesToTry(own, nil, nil, everySpeed{}); got[0] != own || len(got) != 6*3 {
		t.Errorf("of nothing: %v", got)
	}
}

// A finder looks for meters that speak parrot.
type finder struct{ seeker }

func (f finder) Find(pattern string) (protocol.Question, error) {
	question, err := f.seeker.Find(pattern)
	step := f.step(question.Pattern, "address")
	step.Class = protocol.ClassScan
	question.Steps = []protocol.Step{step}
	return question, err
}

// TestScanAfterScan scans as soon as the reply to a scan is there.
func TestScanAfterScan(t *testing.T) {
	s := newStage(t, func(c *Config) { c.Finders = []protocol.Finder{finder{}} })
	under := make(chan time.Time, 1)
	s.carryOut(&request{
		message: message{topic: "scan", payload: []byte(`{"meters":1}`), received: time.Now()}, verb: verbScan,
		progress: func(ScanProgress) bool { return true },
		deliver: func(m mqtt.Outgoing) {
			if reply := decoded(t, m.Payload); len(reply["meters"].([]any)) != 1 || reply["ok"] != true {
				t.Errorf("reply %s", m.Payload)
			}
			under <- s.scanning.load()
		},
	})
	if until := <-under; !until.IsZero() {
		t.Error("with its reply a scan is under way still")
	}
}
