package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

func TestReportTellsValuesAndTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		first := l.submit(read("a", "v"))
		second := l.submit(read("b", "v"), read("b", "w"))
		r := <-second
		equal(t, "first", values(<-first), "1")
		equal(t, "second", values(r), "1 1")
		equal(t, "sent", l.log(), "?av. ?bv. ?bw.")
		equal(t, "time", l.since(), 3*promptTime)
		equal(t, "queued", r.Queued, promptTime)
		equal(t, "wire", r.Wire, 2*promptTime)
		equal(t, "steps", r.Steps, 2)
		equal(t, "started", started(r), "ss")
		equal(t, "address", r.Replies[0].Result.Address.Text, "b")
	})
}

func TestEmptyJob(t *testing.T) {
	r, err := New(Config{}).Submit(Job{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "replies", len((<-r).Replies), 0)
}

// submitAll queues jobs of one step while the wire is held by a first one, and returns what
// went over the wire after that.
func submitAll(t *testing.T, steps ...protocol.Step) string {
	var sent string
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		reports := []<-chan Report{l.submit(read("z", "z"))}
		synctest.Wait()
		for _, step := range steps {
			reports = append(reports, l.submit(step))
		}
		for _, report := range reports {
			<-report
		}
		equal(t, "time", l.since() > 0, true)
		sent = strings.TrimPrefix(l.log(), "?zz. ")
	})
	return sent
}

func TestMoreUrgentClassesGoFirst(t *testing.T) {
	got := submitAll(t,
		withClass(read("a", "s"), protocol.ClassScan),
		withClass(read("a", "p"), protocol.ClassPoll),
		read("a", "r"),
		command(protocol.ClassCommand, "b", "c"),
		command(protocol.ClassRelay, "c", "d"),
		withClass(read("d", "e"), protocol.ClassRelay),
	)
	equal(t, "sent", got, "!cd. ?de. !bc. ?ar. ?ap. ?as.")
}

func TestMetersTakeTurns(t *testing.T) {
	got := submitAll(t, read("a", "1"), read("a", "2"), read("a", "3"), read("b", "1"), read("c", "1"), read("b", "2"))
	equal(t, "sent", got, "?a1. ?b1. ?c1. ?a2. ?b2. ?a3.")
}

func TestStepsOfAJobLetOthersBetween(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		long := l.submit(read("a", "1"), read("a", "2"), read("a", "3"))
		same := l.submit(read("a", "4"))
		other := l.submit(read("b", "1"))
		<-long
		<-same
		<-other
		// b has its turn after one step of a, the second job of a after the first.
		equal(t, "sent", l.log(), "?a1. ?b1. ?a2. ?a3. ?a4.")
	})
}

func TestBackgroundGetsOneStepInTwenty(t *testing.T) {
	var steps []protocol.Step
	for i := range 60 {
		steps = append(steps, read("a", string(rune('0'+i))))
	}
	steps = append(steps,
		withClass(read("b", "p"), protocol.ClassPoll), withClass(read("b", "q"), protocol.ClassPoll),
		withClass(read("b", "s"), protocol.ClassScan))
	sent := strings.Fields(submitAll(t, steps...))
	var places []string
	for i, request := range sent {
		if request[1] == 'b' {
			places = append(places, fmt.Sprintf("%d:%s", i+1, request))
		}
	}
	equal(t, "background", strings.Join(places, " "), "20:?bp. 40:?bq. 60:?bs.")
}

// TestNoClassStarvesTheOthers floods one urgent class after the other.
func TestNoClassStarvesTheOthers(t *testing.T) {
	for _, test := range []struct {
		name  string
		flood func(i int) protocol.Step
		want  string
	}{
		{"commands", func(int) protocol.Step { return command(protocol.ClassCommand, "a", "c") }, "20:?br. 40:?bp."},
		{"relay steps", func(i int) protocol.Step {
			return withClass(read("a", string(rune('0'+i))), protocol.ClassRelay)
		}, "20:?br. 21:!bc. 40:?bp."},
	} {
		t.Run(test.name, func(t *testing.T) {
			var steps []protocol.Step
			for i := range 50 {
				step := test.flood(i)
				step.Meter = keyOf(fmt.Sprint("a", i/commandsOfMeter)) // of one meter so many are not taken
				steps = append(steps, step)
			}
			steps = append(steps, withClass(read("b", "p"), protocol.ClassPoll), read("b", "r"))
			if test.name != "commands" {
				steps = append(steps, command(protocol.ClassCommand, "b", "c"))
			}
			var places []string
			for i, request := range strings.Fields(submitAll(t, steps...)) {
				if request[1] == 'b' {
					places = append(places, fmt.Sprintf("%d:%s", i+1, request))
				}
			}
			equal(t, "others", strings.Join(places, " "), test.want)
		})
	}
}

func TestScanGetsAShareBesideThePolls(t *testing.T) {
	var steps []protocol.Step
	for i := range 30 {
		steps = append(steps, withClass(read("a", string(rune('0'+i))), protocol.ClassPoll))
	}
	steps = append(steps, withClass(read("b", "s"), protocol.ClassScan))
	sent := strings.Fields(submitAll(t, steps...))
	equal(t, "twentieth", sent[19], "?bs.")
}

func TestEqualReadsShareOneExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{Queue: 2000}, prompt)
		defer l.stop()
		reports := make([]<-chan Report, 1000)
		for i := range reports {
			reports[i] = l.submit(read("a", "v"))
			if i == 0 {
				synctest.Wait() // the first is on its way already: it cannot be joined
			}
		}
		for _, report := range reports {
			r := <-report
			equal(t, "values", values(r), "1")
			equal(t, "steps", r.Steps, 1)
			equal(t, "wire", r.Wire, promptTime)
		}
		equal(t, "exchanges", l.log(), "?av. ?av.")
		equal(t, "time", l.since(), 2*promptTime)
	})
}

func TestPollTakesTheAnswerOfARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		hold := l.submit(read("z", "z"))
		poll := l.submit(withClass(read("a", "w"), protocol.ClassPoll), withClass(read("a", "v"), protocol.ClassPoll))
		asked := l.submit(read("a", "v"), read("a", "v"))
		<-hold
		equal(t, "read", values(<-asked), "1 1")
		equal(t, "poll", values(<-poll), "1 1")
		equal(t, "sent", l.log(), "?zz. ?av. ?aw.")
	})
}

func TestWhatIsReadAfterACommandIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		hold := l.submit(read("a", "z"))
		synctest.Wait()
		relay := withClass(read("a", "v"), protocol.ClassRelay)
		write := l.submit(command(protocol.ClassCommand, "a", "c"), read("a", "v"))
		before := l.submit(relay)
		<-hold
		<-before
		<-write
		equal(t, "sent", l.log(), "?az. ?av. !ac. ?av.")
	})
}

func TestCommandsAreNeverShared(t *testing.T) {
	got := submitAll(t, command(protocol.ClassRelay, "a", "t"), command(protocol.ClassRelay, "a", "t"))
	equal(t, "sent", got, "!at. !at.")
}

func TestRelayOfAnotherMeterGoesBetweenFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		long := l.submit(read("a", "123"))
		synctest.Wait()
		same := l.submit(command(protocol.ClassRelay, "a", "t"))
		other := l.submit(command(protocol.ClassRelay, "b", "t"))
		less := l.submit(command(protocol.ClassCommand, "c", "t"))
		r := <-other
		equal(t, "wait of the relay", r.Queued, promptTime)
		r = <-long
		equal(t, "long", values(r), "111")
		equal(t, "wire of the long read", r.Wire, 3*promptTime)
		<-same
		<-less
		equal(t, "sent", l.log(), "?a1+ !bt. ?a2+ ?a3. !at. !ct.")
	})
}

// Whoever floods the bus with relay steps does not stop a conversation that is under way.
func TestRelayStepsDoNotStarveALongConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		long := l.submit(read("a", "12"))
		synctest.Wait()
		for i := range 3 * backgroundShare {
			meter := string(rune('b' + i/commandsOfMeter)) // of one meter so many are not taken
			l.submit(withClass(read(meter, string(rune('0'+i))), protocol.ClassRelay))
		}
		equal(t, "long", values(<-long), "11")
		equal(t, "time", l.since(), (1+backgroundShare-1+1)*promptTime)
	})
}

func TestSilentMeterEndsTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(string) []arrival { return nil })
		defer l.stop()
		r := <-l.submit(read("a", "1"), read("a", "2"), read("a", "3"))
		equal(t, "values", values(r), "[silent] [silent] [silent]")
		equal(t, "started", started(r), "s--")
		equal(t, "sent", l.log(), "?a1. ?a1.")
		equal(t, "steps", r.Steps, 1)
		equal(t, "time", l.since(), 2*(requestTime+firstGuess))
	})
}

// Whoever reads that a meter is silent looks for a wrong address or speed; of a meter that has
// answered these are right.
func TestSilenceTellsWhatMayBeWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "?aw." {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		for _, want := range []string{"check its address", "though it has answered before"} {
			if err := (<-l.submit(read("a", "w"))).Replies[0].Err; err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want an error with %q", err, want)
			}
			<-l.submit(read("a", "v"))
		}
	})
}

// TestSilenceTellsWholeMilliseconds gives how long was waited as people read it, however exactly it was computed.
func TestSilenceTellsWholeMilliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		l := start(t, Config{}, func(request string) []arrival {
			if dead.Load() {
				return nil
			}
			answer := prompt(request)
			answer[0].after += 123_457 * time.Nanosecond
			return answer
		})
		defer l.stop()
		for range 10 {
			<-l.submit(read("a", "1"))
		}
		dead.Store(true)
		for range 2 {
			err := (<-l.submit(read("a", "1"))).Replies[0].Err
			if err == nil {
				t.Fatal("no error")
			}
			_, text, _ := strings.Cut(err.Error(), "within ")
			text = text[:max(0, strings.IndexAny(text, ",;"))]
			if waited, wrong := time.ParseDuration(text); wrong != nil || waited != waited.Round(time.Millisecond) {
				t.Errorf("%q: %v", err, wrong)
			}
			time.Sleep(time.Minute) // virtual
		}
	})
}

func TestRefusalIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "?a1." {
				return after(50*time.Millisecond, "#a.")
			}
			return prompt(request)
		})
		defer l.stop()
		equal(t, "values", values(<-l.submit(read("a", "1"), read("a", "2"))), "[refused] 1")
		equal(t, "sent", l.log(), "?a1. ?a2.")
	})
}

// Content that cannot be read is asked for once more, and speaks for one item only.
func TestUnreadableContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "?a1." {
				return after(50*time.Millisecond, "=a1x.")
			}
			return prompt(request)
		})
		defer l.stop()
		equal(t, "values", values(<-l.submit(read("a", "1"), read("a", "2"))), "[garbled] 1")
		equal(t, "sent", l.log(), "?a1. ?a1. ?a2.")
	})
}

func TestLostFollowUpStartsTheConversationAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := false
		l := start(t, Config{}, func(request string) []arrival {
			if request == "?a2+" && !lost {
				lost = true
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		equal(t, "values", values(<-l.submit(read("a", "123"))), "111")
		equal(t, "sent", l.log(), "?a1+ ?a2+ ?a1+ ?a2+ ?a3.")
	})
}

func TestFollowUpThatNeverComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "?a2+" {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		r := <-l.submit(read("a", "123"))
		equal(t, "values", values(r), "[garbled]")
		if err := r.Replies[0].Err; err == nil || !strings.Contains(err.Error(), "it said that more follows, and nothing came within 500ms") {
			t.Errorf("got %v, want that the answer breaks off", err)
		}
		equal(t, "sent", l.log(), "?a1+ ?a2+ ?a1+ ?a2+")
	})
}

func TestDeadlineBoundsTheStartOfEachStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		r := <-l.submitJob(Job{
			Steps:    []protocol.Step{read("a", "1"), read("a", "2"), read("a", "3")},
			Deadline: time.Now().Add(promptTime + 1),
		})
		equal(t, "values", values(r), "1 1 [expired]")
		equal(t, "started", started(r), "ss-")

		r = <-l.submitJob(Job{Steps: []protocol.Step{command(protocol.ClassRelay, "a", "t")}, Deadline: time.Now()})
		equal(t, "values", values(r), "[expired]")
		equal(t, "sent", l.log(), "?a1. ?a2.")
	})
}

// A process that is stopped while it waits finds the answer when it goes on, though the time for it
// is over. To a command that is the answer; a value may have been spoken long before, and is asked for
// again. Noise without end does not keep it.
func TestAnswerThatCameWhileTheProcessWasStopped(t *testing.T) {
	for _, frozen := range []time.Duration{time.Second, time.Minute, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			l := start(t, Config{}, func(request string) []arrival {
				switch n++; request {
				case "?ax.":
					return after(promptTime, "noise")
				case "?av.":
					return after(20*time.Millisecond+valueTime, fmt.Sprintf("=av%d.", n))
				}
				return prompt(request)
			})
			defer l.stop()
			freeze := func() {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.frozen = frozen
			}
			freeze()
			equal(t, "command", values(<-l.submit(command(protocol.ClassRelay, "a", "t"))), "ok")
			freeze()
			r := <-l.submit(read("a", "v"))
			equal(t, "read", values(r), "3")
			equal(t, "time of the answer", r.Replies[0].Came.Sub(l.begin), l.since())
			freeze()
			equal(t, "noise", values(<-l.submit(read("a", "x"))), "[garbled]")
			equal(t, "sent", l.log(), "!at. ?av. ?av. ?ax. ?ax.")
			// What cannot be asked for again is no newer than when the process was stopped.
			once := read("a", "v")
			once.Repeatable, once.Key = false, ""
			begin := time.Now()
			freeze()
			r = <-l.submit(once)
			equal(t, "once", values(r), "6")
			if came := r.Replies[0].Came.Sub(begin); came > time.Second {
				t.Errorf("an answer that came while the process was stopped is said to have come %v after the request", came)
			}
		})
	}
}

func TestExpiredJobsAreAnsweredBeforeTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		for i := range 20 {
			l.submit(read("a", string(rune('a'+i))))
		}
		r := <-l.submitJob(Job{Steps: []protocol.Step{withClass(read("a", "p"), protocol.ClassPoll)}, Deadline: time.Now().Add(150 * time.Millisecond)})
		equal(t, "values", values(r), "[expired]")
		equal(t, "time", l.since(), 2*promptTime) // the exchange in hand is not cut off
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{Queue: 3}, prompt)
		defer l.stop()
		for range 3 {
			l.submit(read("a", "v"))
		}
		_, err := l.bus.Submit(Job{Steps: []protocol.Step{withClass(read("a", "v"), protocol.ClassPoll)}})
		var busy *BusyError
		if !errors.Is(err, ErrBusy) || !errors.As(err, &busy) || busy.RetryAfter <= 0 || busy.Waiting != 3 {
			t.Errorf("a fourth read: got %v", err)
		}
		l.submitJob(Job{Steps: []protocol.Step{read("a", "v")}, Continued: true})
		for i := range commandQueue {
			l.submit(command(protocol.ClassCommand, string(rune('a'+i/commandsOfMeter)), "c"))
		}
		if _, err := l.bus.Submit(Job{Steps: []protocol.Step{command(protocol.ClassRelay, "a", "c")}}); !errors.Is(err, ErrBusy) {
			t.Errorf("command %d: got %v", commandQueue+1, err)
		}
		equal(t, "queue", l.bus.State().Queue, 4+commandQueue)
	})
}

// TestAdviceToTryAgain fills the queue with reads that differ and with equal ones, of which one
// exchange answers a hundred: room is there a hundred times sooner.
func TestAdviceToTryAgain(t *testing.T) {
	for _, test := range []struct {
		name        string
		equal       int // reads of one kind
		least, most time.Duration
	}{
		{"different", 1, 9 * promptTime, 11 * promptTime},
		{"equal", 100, 100 * time.Millisecond, 3 * promptTime}, // the first may go alone
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, Config{Queue: 100}, prompt)
				defer l.stop()
				fill := func() (last <-chan Report) {
					for i := range 100 {
						n := rune(i / test.equal)
						last = l.submit(read(string('a'+n%4), string('a'+n/4)))
					}
					return last
				}
				for range 20 {
					<-fill()
				}
				fill()
				_, err := l.bus.Submit(Job{Steps: []protocol.Step{read("a", "z")}})
				var busy *BusyError
				if !errors.As(err, &busy) {
					t.Fatalf("one more read: got %v", err)
				}
				if d := busy.RetryAfter; d < test.least || d > test.most {
					t.Errorf("told to try again after %v, want %v to %v", d, test.least, test.most)
				}
			})
		})
	}
}

func TestOneMeterDoesNotTakeAllPlacesOfCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		for range commandsOfMeter {
			l.submit(command(protocol.ClassCommand, "a", "c"))
		}
		if _, err := l.bus.Submit(Job{Steps: []protocol.Step{command(protocol.ClassRelay, "a", "c")}}); !errors.Is(err, ErrBusy) {
			t.Errorf("command %d to one meter: got %v", commandsOfMeter+1, err)
		}
		equal(t, "another meter", values(<-l.submit(command(protocol.ClassRelay, "b", "c"))), "ok")
	})
}

// TestOneMeterDoesNotTakeAllPlaces floods the queue for one meter, with jobs and with steps.
func TestOneMeterDoesNotTakeAllPlaces(t *testing.T) {
	for name, steps := range map[string]int{"jobs": 1, "steps": 3 * stepsPerJob} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, Config{Queue: 100}, prompt)
				defer l.stop()
				l.submit(read("b", "-")) // is on the wire
				synctest.Wait()
				begin := l.since()
				many := Job{Steps: slices.Repeat([]protocol.Step{read("a", "v")}, steps)}
				var err error
				taken := -1
				for ; err == nil; taken++ {
					_, err = l.bus.Submit(many)
				}
				if !errors.Is(err, ErrBusy) || taken*steps < 100-5 {
					t.Errorf("%d jobs taken, then %v", taken, err)
				}
				if r := <-l.submit(read("b", "v")); values(r) != "1" || l.since()-begin > 3*promptTime {
					t.Errorf("another meter: %s after %v", values(r), l.since()-begin)
				}
			})
		})
	}
}

// TestStrangersHarmNobody asks for meters that there are not, without end and each only once. A
// meter that there is waits for one of them at most, and none is looked for on an idle line.
func TestStrangersHarmNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		l := start(t, Config{Queue: 1000, Log: slog.New(slog.NewTextHandler(&log, nil))}, func(request string) []arrival {
			if request[1] != 'm' {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		l.submit(read("m", "-"))
		taken := 0
		for i := range 200 {
			stranger := string(rune(0x80 + i))
			step := read("a", "v")
			step.Meter, step.Key = keyOf(stranger), stranger
			if _, err := l.bus.Submit(Job{Steps: []protocol.Step{step}, Stranger: true}); err == nil {
				taken++
			}
		}
		equal(t, "places", taken, 100)
		const longest = 2*(requestTime+4*10*time.Millisecond+firstGuess) + promptTime + 4*10*time.Millisecond
		for range 20 {
			begin := l.since()
			if r := <-l.submit(read("m", "v")); values(r) != "1" || l.since()-begin > longest {
				t.Errorf("%s after %v, want it within %v", values(r), l.since()-begin, longest)
			}
		}
		for l.bus.State().Queue > 0 {
			time.Sleep(time.Second) // virtual
		}
		sent := len(l.sentAt())
		time.Sleep(time.Hour) // virtual
		equal(t, "sent on an idle line", len(l.sentAt())-sent, 0)
		for range timeoutsToOffline { // one of them comes to be offline
			step := read("a", "v")
			step.Meter, step.Key = keyOf("stranger"), "stranger"
			<-l.submitJob(Job{Steps: []protocol.Step{step}, Stranger: true})
		}
		equal(t, "online", l.bus.Meter(keyOf("stranger")).Online(), false)
		l.stop()
		equal(t, "logged", strings.Contains(log.String(), "offline"), false)
	})
}

func TestFrameIsStampedWhenItGoesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		step := command(protocol.ClassCommand, "a", "-")
		var stamp time.Time
		step.First.Stamp = func(sent time.Time) []byte {
			stamp = sent
			return []byte("!a+.")
		}
		l.submit(read("b", "v")) // goes first, for it is on the wire already
		synctest.Wait()
		reply := (<-l.submit(step)).Replies[0]
		equal(t, "sent", l.log(), "?bv. !a+.")
		equal(t, "stamp", stamp.Sub(l.begin), promptTime+requestTime)
		equal(t, "answer came", reply.Came.Sub(l.begin), promptTime+requestTime+50*time.Millisecond)
		if sent := string(reply.Frames[0].Bytes); sent != "!a+." {
			t.Errorf("traced: got %s", sent)
		}
	})
}

func TestQueueIsBoundedInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{Queue: 3}, prompt)
		defer l.stop()
		many := make([]protocol.Step, 61)
		for i := range many {
			many[i] = read("a", string(rune('0'+i)))
		}
		report := l.submit(many...) // alone: let in
		if _, err := l.bus.Submit(Job{Steps: many[:1]}); !errors.Is(err, ErrBusy) {
			t.Errorf("one more step: got %v", err)
		}
		<-report
		equal(t, "queue", l.bus.State().Queue, 0)
		equal(t, "values", values(<-l.submit(many[:2]...)), "1 1")
	})
}

func TestStopFinishesTheExchangeInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		inHand := l.submit(command(protocol.ClassRelay, "c", "x"))
		synctest.Wait()
		first := l.submit(read("a", "1"), read("a", "2"))
		second := l.submit(read("b", "1"))
		l.stop()
		equal(t, "in hand", values(<-inHand), "ok")
		equal(t, "time", l.since(), requestTime+50*time.Millisecond)
		equal(t, "first", values(<-first), "[stopping] [stopping]")
		equal(t, "second", values(<-second), "[stopping]")
		equal(t, "up", l.bus.State().Up, false)
		if _, err := l.bus.Submit(Job{Steps: []protocol.Step{read("a", "1")}}); !errors.Is(err, ErrStopping) {
			t.Errorf("Submit after the end: got %v", err)
		}
	})
}

func TestStopEndsALongConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		long := l.submit(read("a", "123"))
		synctest.Wait()
		relay := l.submit(command(protocol.ClassRelay, "b", "t"))
		l.stop()
		equal(t, "relay", values(<-relay), "[stopping]")
		r := <-long
		equal(t, "values", values(r), "[stopping]")
		equal(t, "started", started(r), "s")
		equal(t, "sent", l.log(), "?a1+")
	})
}

func TestStateKnowsHowBusyTheWireIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		for range 60 {
			<-l.submit(read("a", "v"))
		}
		s := l.bus.State()
		equal(t, "up", s.Up, true)
		equal(t, "baud", s.Baud, 1100)
		equal(t, "utilisation", fmt.Sprintf("%.4f", s.Utilisation), fmt.Sprintf("%.4f", promptTime.Seconds()))
		<-time.After(2 * time.Minute)
		s = l.bus.State()
		equal(t, "utilisation", s.Utilisation, 0)
		if age := time.Since(s.Turned); age > idleTurn {
			t.Errorf("the idle loop turned %v ago", age)
		}
	})
}

// With the longest waits that a URL may set, a meter that is silent holds the line for a quarter of
// a minute, and so does a refusal that may belong to an earlier request. The bus does not look dead
// meanwhile, and answers what expires.
func TestLongExchangeIsNotDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := Config{Settings: Settings{Timeout: longestAnswer, Latency: longestLatency}}
		l := start(t, config, func(request string) []arrival {
			if request == "?aw." {
				return after(time.Second, "#a.")
			}
			return nil
		})
		defer l.stop()
		l.submit(read("a", "v"))
		refused := l.submit(read("a", "w"))
		expires := time.Now().Add(10 * time.Second)
		expired := l.submitJob(Job{Steps: []protocol.Step{read("b", "v")}, Deadline: expires})
		oldest, late := time.Duration(0), time.Duration(0)
		for waiting := true; waiting; {
			select {
			case r := <-expired:
				equal(t, "expired", values(r), "[expired]")
				late = time.Since(expires)
			case r := <-refused:
				equal(t, "refused", values(r), "[refused]")
				waiting = false
			case <-time.After(time.Second):
				oldest = max(oldest, time.Since(l.bus.State().Turned))
			}
		}
		if max(oldest, late) > idleTurn {
			t.Errorf("the loop turned %v ago, and what had expired was answered %v late; want %v at most", oldest, late, idleTurn)
		}
	})
}

func TestFramesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		spell := func(f Transfer) string {
			return fmt.Sprintf("%s sent=%t ignored=%t %v", f.Bytes, f.Sent, f.Ignored, time.Until(f.Time))
		}
		config := Config{OnFrame: func(e FrameEvent) { seen = append(seen, e.Meter.Text+" "+spell(e.Transfer)) }}
		config.FixedWakeUps, config.WakeUps = true, 2
		l := start(t, config, func(request string) []arrival {
			return after(70*time.Millisecond, "..."+prompt(request)[0].text)
		})
		r := <-l.submit(read("a", "1"))
		l.stop()
		want := []string{
			"a ?a1. sent=true ignored=false -130ms", // when it began to leave
			"a ... sent=false ignored=true 0s",
			"a =a11. sent=false ignored=false 0s",
		}
		equal(t, "seen", strings.Join(seen, "\n"), strings.Join(want, "\n"))
		equal(t, "told", len(r.Replies[0].Frames), len(want))
		for i, f := range r.Replies[0].Frames {
			equal(t, "told", "a "+spell(f), want[i])
		}
	})
}
