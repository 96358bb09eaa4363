package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// tunedPort is a port at one of whose modes meters can be heard.
type tunedPort struct {
	*fakePort
	mode  protocol.Mode
	tuned *[]protocol.Mode
	fail  func(protocol.Mode) error
}

func (p *tunedPort) Tune(mode protocol.Mode) error {
	if err := p.fail(mode); err != nil {
		return err
	}
	p.mode = mode
	*p.tuned = append(*p.tuned, mode)
	return nil
}

func (p *tunedPort) Write(data []byte) (int, error) {
	// At 9600 baud the bytes are through sooner; the fake port knows its own speed only.
	if p.mode.Baud == 9600 {
		p.test.mu.Lock()
		p.test.requests = append(p.test.requests, "9600")
		p.test.mu.Unlock()
		p.say(time.Duration(len(data)*11)*time.Second/9600+20*time.Millisecond, arrival{text: "=av1."})
		return len(data), nil
	}
	return p.fakePort.Write(data)
}

func modeOf(baud int, parity string) protocol.Mode {
	return protocol.Mode{Baud: baud, Parity: parity, Stop: 1}
}

func inMode(step protocol.Step, mode protocol.Mode) protocol.Step {
	step.Mode = mode
	return step
}

// startTuned runs a bus on a port that can be tuned, unless fail has an error for the mode.
func startTuned(t *testing.T, fail func(protocol.Mode) error) (l *lineTest, tuned *[]protocol.Mode) {
	tuned = new([]protocol.Mode)
	l = &lineTest{t: t, begin: time.Now(), answer: prompt}
	config := Config{Settings: Settings{Timeout: time.Second}, Tunable: true}
	config.Open = func(context.Context) (Port, error) {
		port, err := l.open()
		return &tunedPort{port, modeOf(1100, "even"), tuned, fail}, err
	}
	l.run(config)
	return l, tuned
}

func TestOneJobAtAnotherSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tuned := startTuned(t, func(protocol.Mode) error { return nil })
		defer l.stop()
		mode, tunable := l.bus.Mode()
		equal(t, "own mode", mode, modeOf(1100, "even"))
		equal(t, "tunable", tunable, true)

		fast := l.submitJob(Job{Steps: []protocol.Step{inMode(withClass(read("a", "v"), protocol.ClassScan), modeOf(9600, "none"))}})
		other := l.submit(read("b", "v"))
		equal(t, "at another speed", values(<-fast), "1")
		equal(t, "at its own", values(<-other), "1")
		equal(t, "own mode named", values(<-l.submitJob(Job{Steps: []protocol.Step{inMode(read("a", "w"), mode)}})), "1")
		equal(t, "sent", l.log(), "?bv. 9600 ?aw.")
		if want := []protocol.Mode{modeOf(9600, "none"), modeOf(1100, "even")}; len(*tuned) != 2 || (*tuned)[0] != want[0] || (*tuned)[1] != want[1] {
			t.Errorf("tuned to %v, want %v", *tuned, want)
		}
	})
}

func TestSpeedThatThePortDoesNotHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tuned := startTuned(t, func(m protocol.Mode) error {
			if m.Baud == 300 {
				return errors.New("no such speed")
			}
			return nil
		})
		defer l.stop()
		report := <-l.submitJob(Job{Steps: []protocol.Step{inMode(read("a", "v"), modeOf(300, "even"))}})
		if err := report.Replies[0].Err; !errors.Is(err, protocol.ErrUnsupported) || !strings.Contains(err.Error(), "no such speed") {
			t.Errorf("error %v", err)
		}
		equal(t, "started", report.Replies[0].Started, false)
		equal(t, "afterwards", values(<-l.submit(read("a", "v"))), "1")
		// A part of it may have taken effect, the parity for one.
		equal(t, "tuned back", len(*tuned) == 1 && (*tuned)[0] == modeOf(1100, "even"), true)
		equal(t, "opened", len(l.opened), 1) // the port is still good
	})
}

func TestPortThatDoesNotGoBackIsOpenedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := startTuned(t, func(m protocol.Mode) error {
			if m.Baud == 1100 {
				return errors.New("unplugged")
			}
			return nil
		})
		defer l.stop()
		equal(t, "at another speed", values(<-l.submitJob(Job{Steps: []protocol.Step{inMode(read("a", "v"), modeOf(9600, "even"))}})), "1")
		equal(t, "afterwards", values(<-l.submit(read("a", "w"))), "1")
		equal(t, "opened", len(l.opened), 2)
	})
}

func TestPortWithoutSpeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		report := <-l.submitJob(Job{Steps: []protocol.Step{inMode(read("a", "v"), modeOf(9600, "even"))}})
		equal(t, "unsupported", errors.Is(report.Replies[0].Err, protocol.ErrUnsupported), true)
		equal(t, "sent", l.log(), "")
	})
}
