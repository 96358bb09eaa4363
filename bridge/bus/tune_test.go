package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
	return startTunedAs(t, Config{}, fail)
}

// startTunedAs is as startTuned, with what else is to be configured.
func startTunedAs(t *testing.T, config Config, fail func(protocol.Mode) error) (l *lineTest, tuned *[]protocol.Mode) {
	tuned = new([]protocol.Mode)
	l = &lineTest{t: t, begin: time.Now(), answer: prompt}
	config.Settings, config.Tunable = Settings{Timeout: time.Second}, true
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

		before := l.submit(read("c", "v"))
		synctest.Wait() // it is under way, so that both of these wait for their turn
		fast := l.submitJob(Job{Steps: []protocol.Step{inMode(withClass(read("a", "v"), protocol.ClassScan), modeOf(9600, "none"))}})
		other := l.submit(read("b", "v"))
		equal(t, "under way", values(<-before), "1")
		equal(t, "at another speed", values(<-fast), "1")
		equal(t, "at its own", values(<-other), "1")
		equal(t, "own mode named", values(<-l.submitJob(Job{Steps: []protocol.Step{inMode(read("a", "w"), mode)}})), "1")
		equal(t, "sent", l.log(), "?cv. ?bv. 9600 ?aw.")
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

// TestLogSaysWhichSpeedsThePortDoesNotHave has it said of each of them, once a minute: nobody may be there who would
// be told by an error, as while a meter is polled.
func TestLogSaysWhichSpeedsThePortDoesNotHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l, _ := startTunedAs(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(m protocol.Mode) error {
			if m.Baud < 1000 {
				return errors.New("no such speed")
			}
			return nil
		})
		ask := func(baud int) {
			<-l.submitJob(Job{Steps: []protocol.Step{inMode(read("a", "v"), modeOf(baud, "none"))}})
		}
		said := func(baud int) int {
			return strings.Count(log.String(), fmt.Sprintf("the line cannot be set to this speed, parity and stop bits; what is to be asked so is not sent\" baud=%d parity=none stop=1 err=\"no such speed\"", baud))
		}
		for range 3 {
			ask(300)
			ask(600)
			ask(9600)
		}
		time.Sleep(logEvery)
		ask(300)
		l.stop()
		equal(t, "300 baud", said(300), 2)
		equal(t, "600 baud", said(600), 1)
		equal(t, "9600 baud", said(9600), 0)
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

// anyPort answers at every mode.
type anyPort struct {
	*fakePort
	tuned *[]protocol.Mode
}

func (p anyPort) Tune(mode protocol.Mode) error {
	*p.tuned = append(*p.tuned, mode)
	return nil
}

// startMixed runs a bus whose meters may have any mode.
func startMixed(t *testing.T, answer func(request string) []arrival) (l *lineTest, tuned *[]protocol.Mode) {
	tuned = new([]protocol.Mode)
	l = &lineTest{t: t, begin: time.Now(), answer: answer}
	config := Config{Modes: true}
	config.Open = func(context.Context) (Port, error) {
		port, err := l.open()
		return anyPort{port, tuned}, err
	}
	l.run(config)
	return l, tuned
}

// TestMetersOfOneModeAreServedTogether has two meters of each of two modes ask for two turns. Between two turns of
// a meter every other has one.
func TestMetersOfOneModeAreServedTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tuned := startMixed(t, prompt)
		defer l.stop()
		fast := modeOf(9600, "none")
		var reports []<-chan Report
		for _, register := range []string{"v", "w"} {
			for _, meter := range []string{"a", "b", "c", "d"} {
				step := read(meter, register)
				if meter == "b" || meter == "d" {
					step.Mode = fast
				}
				reports = append(reports, l.submit(step))
			}
		}
		for _, report := range reports {
			equal(t, "value", values(<-report), "1")
		}
		equal(t, "sent", l.log(), "?av. ?cv. ?bv. ?dv. ?aw. ?cw. ?bw. ?dw.")
		equal(t, "changes", len(*tuned), 3)
	})
}

// TestGroupingCostsNobodyHisTurn floods the line with meters of one mode. One of another has its turn in each round
// all the same, though new ones come all the time.
func TestGroupingCostsNobodyHisTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := startMixed(t, prompt)
		defer l.stop()
		ctx, cancel := context.WithCancel(t.Context())
		var flood sync.WaitGroup
		for _, meter := range []string{"a", "b", "c"} {
			flood.Go(func() {
				for ctx.Err() == nil {
					<-l.submit(read(meter, "v"))
				}
			})
		}
		for range 20 {
			begin := len(l.sentAt())
			step := read("z", "v")
			step.Mode = modeOf(9600, "even")
			<-l.submit(step)
			// One may be on the wire, and each of the others goes before it once at most.
			if n := len(l.sentAt()) - begin; n > 1+3+1 {
				t.Errorf("%d requests until the turn of the meter with another mode", n)
			}
		}
		cancel()
		flood.Wait()
	})
}

// TestRelayGoesBetweenTheFramesOfAnotherMode switches while a long read goes on at another speed.
func TestRelayGoesBetweenTheFramesOfAnotherMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, tuned := startMixed(t, prompt)
		defer l.stop()
		long := l.submit(inMode(read("a", "vwx"), modeOf(9600, "even")))
		<-time.After(requestTime)
		relay := l.submit(command(protocol.ClassRelay, "b", "1"))
		<-relay
		<-long
		equal(t, "sent", l.log(), "?av+ !b1. ?aw+ ?ax.")
		equal(t, "changes", len(*tuned), 3)
	})
}

// TestCommandsKeepTheirOrder gives commands to meters of two modes.
func TestCommandsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := startMixed(t, prompt)
		defer l.stop()
		first := l.submit(read("m", "v"))
		<-time.After(requestTime)
		var reports []<-chan Report
		for i, meter := range []string{"a", "b", "c"} {
			step := command(protocol.ClassCommand, meter, "1")
			if i == 1 {
				step.Mode = modeOf(9600, "even")
			}
			reports = append(reports, l.submit(step))
		}
		<-first
		for _, report := range reports {
			<-report
		}
		equal(t, "sent", l.log(), "?mv. !a1. !b1. !c1.")
	})
}

// TestCostCountsChanges estimates reads of a meter with a mode of its own.
func TestCostCountsChanges(t *testing.T) {
	b := New(Config{Settings: Settings{Baud: 2400}})
	step := protocol.Step{Meter: keyOf("m"), Expected: 20, First: protocol.Exchange{Request: make([]byte, 20), Answer: neverCut}}
	own, _, _ := b.Cost([]protocol.Step{step, step}, false)
	step.Mode = modeOf(9600, "even")
	other, _, _ := b.Cost([]protocol.Step{step, step}, false)
	if want := own/4 + 2*tuneTime; (other - want).Abs() > time.Millisecond {
		t.Errorf("at four times the speed it takes %v, want %v", other, want)
	}
}
