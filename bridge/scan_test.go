package bridge

import (
	"fmt"
	"testing"
	"time"

	"dlt645-mqtt/bridge/mqtt"
	"dlt645-mqtt/protocol"
)

// A finder looks for the one meter that speaks parrot.
type finder struct{ parrot }

func (finder) UsualModes() (speeds []int, parities []string) {
	return []int{2400, 9600}, []string{"even"}
}

func (f finder) Find(pattern string) (protocol.Question, error) {
	if pattern == "" {
		pattern = "AAA"
	}
	step := f.step(pattern, "address")
	step.Class = protocol.ClassScan
	return protocol.Question{
		Pattern: pattern, Steps: []protocol.Step{step}, Matches: func(string) bool { return true },
		Narrow: func() []protocol.Question { return nil },
	}, nil
}

// everySpeed is a protocol with many usual modes.
type everySpeed struct{ finder }

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
