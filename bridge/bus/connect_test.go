package bus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

var errUnplugged = errors.New("unplugged")

// breaking is a line on which the port fails under the first requests.
func breaking(times int) func(string) []arrival {
	return func(request string) []arrival {
		if times > 0 {
			times--
			return []arrival{{err: errUnplugged}}
		}
		return prompt(request)
	}
}

func TestReadGoesAgainWhenThePortIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, breaking(1))
		defer l.stop()
		first, second := l.submit(read("a", "v")), l.submit(read("a", "w"))
		r := <-first
		equal(t, "first", values(r), "1")
		equal(t, "started", started(r), "s")
		equal(t, "second", values(<-second), "1")
		equal(t, "sent", l.log(), "?av. ?av. ?aw.")
		equal(t, "opened", fmt.Sprint(l.opened), "[0s 40ms]")
	})
}

func TestCommandDoesNotGoAgain(t *testing.T) {
	for _, how := range []string{"read", "write"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, Config{}, prompt)
				defer l.stop()
				if how == "read" {
					l.answer = breaking(1)
				} else {
					l.writeErr = errUnplugged
				}
				r := <-l.submit(command(protocol.ClassRelay, "a", "t"))
				equal(t, "values", values(r), "[silent]")
				equal(t, "started", started(r), "s")
				equal(t, "sent", l.log(), "!at.")
			})
		})
	}
}

// A port that turns out to be gone before a byte was written has done nothing.
func TestCommandGoesIfThePortFailsBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		l.say(arrival{err: errUnplugged})
		r := <-l.submit(command(protocol.ClassRelay, "a", "t"))
		equal(t, "values", values(r), "ok")
		equal(t, "sent", l.log(), "!at.")
		equal(t, "opened", len(l.opened), 2)
	})
}

func TestStepThatBreaksThePortIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, breaking(mostBreaks))
		defer l.stop()
		r := <-l.submit(read("a", "v"), read("a", "w"))
		equal(t, "values", values(r), "[down] 1")
		equal(t, "started", started(r), "ss")
	})
}

func TestPortFailsInALongConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := false
		l := start(t, Config{}, func(request string) []arrival {
			if request == "!bt." && !broken {
				broken = true
				return []arrival{{err: errUnplugged}}
			}
			return prompt(request)
		})
		defer l.stop()
		long := l.submit(read("a", "12"))
		synctest.Wait()
		relay := l.submit(command(protocol.ClassRelay, "b", "t"))
		equal(t, "relay", values(<-relay), "[silent]")
		equal(t, "long", values(<-long), "11")
		equal(t, "sent", l.log(), "?a1+ !bt. ?a1+ ?a2.")
	})
}

func TestReopeningBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		<-time.After(time.Minute)
		l.mu.Lock()
		l.openErr = errUnplugged
		l.mu.Unlock()
		l.say(arrival{err: errUnplugged}) // noticed by the idle loop within its turn
		<-time.After(30 * time.Second)
		const ms = time.Millisecond
		// At once, then later and later.
		want := []time.Duration{0, 250 * ms, 750 * ms, 1750 * ms, 3750 * ms, 7750 * ms, 12750 * ms, 17750 * ms, 22750 * ms, 27750 * ms}
		l.mu.Lock()
		first := l.opened[1]
		for i, at := range l.opened[1:] {
			equal(t, fmt.Sprint("attempt ", i), at-first, want[i])
		}
		equal(t, "attempts", len(l.opened[1:]), len(want))
		l.openErr = nil
		l.mu.Unlock()
		s := l.bus.State()
		equal(t, "up", s.Up, false)
		equal(t, "error", s.LastError, "unplugged")
		if age := time.Since(s.Turned); age > idleTurn {
			t.Errorf("the loop turned %v ago", age)
		}
		<-time.After(longestBackOff)
		equal(t, "up", l.bus.State().Up, true)
	})
}

// A port that fails under each request, like a server that lets everybody in and hangs up,
// leaves no probes of an offline meter behind in the queue, and others still have their turn.
func TestProbesThatBreakThePort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangsUp, dead atomic.Bool
		dead.Store(true)
		l := start(t, Config{}, func(request string) []arrival {
			switch {
			case hangsUp.Load():
				return []arrival{{err: errUnplugged}}
			case dead.Load():
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "v"))
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), false)
		hangsUp.Store(true)
		sent := len(l.sentAt())
		<-time.After(time.Hour)
		equal(t, "queue", l.bus.State().Queue, 0)
		if n := len(l.sentAt()) - sent; n < 50 {
			t.Errorf("%d probes in an hour", n)
		}
		another := l.submit(read("b", "v"))
		<-time.After(time.Minute)
		select {
		case r := <-another:
			equal(t, "another meter", values(r), "[down]")
		default:
			t.Error("another meter had no turn")
		}
		hangsUp.Store(false)
		dead.Store(false)
		<-time.After(longestProbePause + longestBackOff)
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), true)
	})
}

func TestPortThatFailsAtOnceIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		for range 10 {
			l.mu.Lock()
			port := l.port
			l.mu.Unlock()
			port.say(0, arrival{err: errUnplugged})
			<-time.After(longestBackOff)
		}
		if n := len(l.opened); n > 11 {
			t.Errorf("opened %d times in 50 s", n)
		}
	})
}

func TestJobsWaitForAMissingPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &lineTest{t: t, begin: time.Now(), answer: prompt, openErr: errUnplugged}
		l.run(Config{})
		defer l.stop()
		bounded := l.submitJob(Job{Steps: []protocol.Step{read("a", "v")}, Deadline: time.Now().Add(777 * time.Millisecond)})
		unbounded := l.submit(read("a", "v"), read("a", "w"))
		patient := l.submitJob(Job{Steps: []protocol.Step{read("a", "v")}, Deadline: time.Now().Add(time.Hour)})
		r := <-bounded
		equal(t, "bounded", values(r), "[down]")
		equal(t, "started", started(r), "-")
		equal(t, "time", l.since(), 777*time.Millisecond)
		if err := r.Replies[0].Err; !strings.Contains(err.Error(), "unplugged") {
			t.Errorf("the error %q does not say why", err)
		}
		equal(t, "unbounded", values(<-unbounded), "[down] [down]")
		equal(t, "time", l.since(), downPatience)
		l.mu.Lock()
		l.openErr = nil
		l.mu.Unlock()
		equal(t, "patient", values(<-patient), "1")
	})
}

// Opening may hang; what expires meanwhile is answered in time.
func TestJobsExpireWhileThePortIsBeingOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Open: func(ctx context.Context) (Port, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		begin := time.Now()
		report, err := b.Submit(Job{Steps: []protocol.Step{read("a", "v")}, Deadline: begin.Add(time.Second)})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "values", values(<-report), "[down]")
		equal(t, "time", time.Since(begin), time.Second)
		<-time.After(time.Minute)
		if age := time.Since(b.State().Turned); age > idleTurn {
			t.Errorf("the loop turned %v ago", age)
		}
		cancel()
		equal(t, "Run", <-done, nil)
	})
}

// An opener that fails while the bus stops may return a pointer to nothing as its port.
func TestStopWhileThePortCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Open: func(ctx context.Context) (Port, error) {
			<-ctx.Done()
			return (*fakePort)(nil), ctx.Err()
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		synctest.Wait()
		cancel()
		equal(t, "Run", <-done, nil)
	})
}

func TestSameErrorIsLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := &lineTest{t: t, begin: time.Now(), answer: prompt, openErr: errUnplugged}
		l.run(Config{URL: "serial:///dev/x", Log: slog.New(slog.NewTextHandler(&log, nil))})
		<-time.After(110 * time.Second)
		l.stop()
		equal(t, "lines", strings.Count(log.String(), "\n"), 2)
		if !strings.Contains(log.String(), "unplugged") || !strings.Contains(log.String(), "serial:///dev/x") {
			t.Errorf("the log says neither which port nor why: %s", &log)
		}
	})
}

func TestRunWithoutAPort(t *testing.T) {
	if err := New(Config{}).Run(t.Context()); err == nil {
		t.Error("no error")
	}
}

func TestWriteErrorRepeatsAReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		l.mu.Lock()
		l.writeErr = io.ErrShortWrite
		l.mu.Unlock()
		report := l.submit(read("a", "v"))
		<-time.After(100 * time.Millisecond) // at once, and then a pause
		equal(t, "sent", l.log(), "?av. ?av.")
		l.mu.Lock()
		l.writeErr = nil
		l.mu.Unlock()
		equal(t, "values", values(<-report), "1")
	})
}

// A refusal is what a broker says to who wants to reach a DTU.
type refusal struct{ lasting bool }

func (*refusal) Error() string   { return "the broker refuses the connection" }
func (r *refusal) Lasting() bool { return r.lasting }

// TestImpatientBus asks by a port that does not open: for want of a permission or a password, which nobody is to wait for,
// or for a while.
func TestImpatientBus(t *testing.T) {
	for _, test := range []struct {
		impatient bool
		err       error
		least     time.Duration
	}{
		{true, serialError("/dev/ttyUSB0", fs.ErrPermission), 0},
		{true, errUnplugged, 10 * time.Second},
		{false, serialError("/dev/ttyUSB0", fs.ErrPermission), 10 * time.Second},
		{true, fmt.Errorf("open mqtt: %w", &refusal{lasting: true}), 0},
		{true, fmt.Errorf("open mqtt: %w", &refusal{}), 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &lineTest{t: t, begin: time.Now(), answer: prompt, openErr: test.err}
			l.run(Config{URL: "serial:///dev/ttyUSB0", Impatient: test.impatient})
			defer l.stop()
			for range 2 { // whether it has tried already or not
				begin := time.Now()
				report := l.submitJob(Job{Steps: []protocol.Step{read("a", "v")}, Deadline: begin.Add(10 * time.Second)})
				err := (<-report).Replies[0].Err
				if !errors.Is(err, ErrDown) || !strings.Contains(err.Error(), test.err.Error()) {
					t.Errorf("%+v: %v", test, err)
				}
				if took := time.Since(begin); took < test.least || took > test.least+time.Second {
					t.Errorf("%+v: took %v", test, took)
				}
			}
		})
	}
}
