package bus

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// A refusal names no register. One that comes after an unanswered read of another register
// may be the late answer to that.
func TestVagueAnswerAfterAnUnansweredRead(t *testing.T) {
	const ms = time.Millisecond
	late := func(request string, tries int) []arrival {
		switch {
		case request == "?av." && tries == 2:
			return after(550*ms, "#a.") // to the second try, and too late
		case request == "?aw." && tries == 1:
			return after(200*ms, "=aw5.")
		}
		return nil
	}
	refused := func(request string, tries int) []arrival {
		if request == "?av." {
			return nil
		}
		return after(50*ms, "#a.")
	}
	for _, test := range []struct {
		name   string
		answer func(request string, tries int) []arrival
		result string
		sent   string
		took   time.Duration // of the second read
	}{
		{"a better answer comes", late, "5", "?av. ?av. ?aw.", requestTime + 200*ms},
		{"the refusal comes again", refused, "[refused]", "?av. ?av. ?aw. ?aw.", requestTime + firstGuess + requestTime + 50*ms},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := map[string]int{}
				l := start(t, Config{}, func(request string) []arrival {
					tries[request]++
					return test.answer(request, tries[request])
				})
				defer l.stop()
				equal(t, "first", values(<-l.submit(read("a", "v"))), "[silent]")
				begin := l.since()
				equal(t, "second", values(<-l.submit(read("a", "w"))), test.result)
				equal(t, "took", l.since()-begin, test.took)
				equal(t, "sent", l.log(), test.sent)
			})
		})
	}
}

// One read that is not answered, or whose answer cannot be read, costs the refusals after it little: each of
// them was in doubt for the one before, and took twice the longest wait, for as long as the meter refused.
func TestRefusalsAfterAnUnansweredRead(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		want         string
		most         time.Duration // of all ten refusals
	}{
		{"unanswered", "", "[silent]", 8 * time.Second},
		{"unreadable", "=avx.", "[garbled]", 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, Config{Settings: Settings{Timeout: 2 * time.Second}}, func(request string) []arrival {
					switch {
					case request[:3] != "?av":
						return after(60*time.Millisecond, "#a.")
					case test.answer == "":
						return nil
					}
					return after(60*time.Millisecond, test.answer)
				})
				defer l.stop()
				equal(t, "first", values(<-l.submit(read("a", "v"))), test.want)
				begin := l.since()
				for i := range 10 {
					equal(t, "refusal", values(<-l.submit(read("a", string(rune('b'+i))))), "[refused]")
				}
				if took := l.since() - begin; took > test.most {
					t.Errorf("ten refusals took %v, with %d requests", took, len(l.sentAt()))
				}
			})
		})
	}
}

// A meter that is slower than the bus waits answers into the next requests. Speed and wiring are
// right then.
func TestLateAnswerIsToldAsSuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "?av." {
				return after(2*(requestTime+firstGuess)+firstGuess/2, "=av1.")
			}
			return nil
		})
		defer l.stop()
		equal(t, "first", values(<-l.submit(read("a", "v"))), "[silent]")
		const want = "the answer to an earlier request came"
		if err := (<-l.submit(read("a", "w"))).Replies[0].Err; !errors.Is(err, protocol.ErrGarbled) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	})
}

func TestVagueAnswerIsBelieved(t *testing.T) {
	refuse := func(request string) []arrival {
		if request == "?av." {
			return nil
		}
		return after(50*time.Millisecond, "#"+request[1:2]+".")
	}
	for _, test := range []struct {
		name  string
		wait  time.Duration
		step  protocol.Step
		sent  string
		value string
	}{
		{"of another meter", 0, read("b", "v"), "?bv.", "[refused]"},
		{"when the doubt is over", firstGuess, read("a", "w"), "?aw.", "[refused]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, Config{}, refuse)
				defer l.stop()
				<-l.submit(read("a", "v"))
				<-time.After(test.wait)
				equal(t, "values", values(<-l.submit(test.step)), test.value)
				equal(t, "sent", l.log(), "?av. ?av. "+test.sent)
			})
		})
	}
}

// The second try asks the same, so a late refusal of the first is the answer.
func TestLateRefusalCountsForTheSecondTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "?aw." {
				return after(480*time.Millisecond, "=aw1.")
			}
			return after(700*time.Millisecond, "#a.")
		})
		defer l.stop()
		equal(t, "values", values(<-l.submit(read("a", "v"))), "[refused]")
		// The refusal of the second try is still to come.
		equal(t, "values", values(<-l.submit(read("a", "w"))), "1")
		equal(t, "sent", l.log(), "?av. ?av. ?aw.")
	})
}

// An acknowledgement that comes late, and then once more, does not confirm the command after it.
func TestLateAcknowledgementThatComesTwice(t *testing.T) {
	const timeout = 500 * time.Millisecond
	for _, behind := range []time.Duration{30 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			l := &lineTest{t: t, begin: time.Now(), unknown: true, answer: func(request string) []arrival {
				switch request {
				case "!a1.":
					late := 2*timeout - 10*time.Millisecond
					return []arrival{{after: late, text: ":a."}, {after: late + behind, text: ":a."}}
				case "!a2.":
					return nil
				}
				return after(60*time.Millisecond, ":a.")
			}}
			l.run(Config{Settings: Settings{Timeout: timeout}})
			defer l.stop()
			equal(t, "late", values(<-l.submit(command(protocol.ClassRelay, "a", "1"))), "[silent]")
			equal(t, "lost", values(<-l.submit(command(protocol.ClassRelay, "a", "2"))), "[silent]")
		})
	}
}

// An unanswered read casts no doubt on the acknowledgement of a command.
func TestAcknowledgementAfterAnUnansweredRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request[0] == '?' {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		<-l.submit(read("a", "v"))
		equal(t, "values", values(<-l.submit(command(protocol.ClassRelay, "a", "t"))), "ok")
	})
}

func TestNoCommandWhileTheAnswerToTheLastMayCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "!a1." {
				return after(900*time.Millisecond, ":a.")
			}
			return prompt(request)
		})
		defer l.stop()
		first := l.submit(command(protocol.ClassRelay, "a", "1"))
		second := l.submit(command(protocol.ClassCommand, "a", "2"))
		back := l.submit(withClass(read("a", "s"), protocol.ClassRelay))
		other := l.submit(command(protocol.ClassRelay, "b", "1"))
		r := <-first
		equal(t, "first", values(r), "[silent]")
		equal(t, "started", started(r), "s")
		equal(t, "read-back", values(<-back), "1")
		equal(t, "other", values(<-other), "ok")
		equal(t, "second", values(<-second), "ok")
		equal(t, "sent", l.log(), "!a1. !b1. ?as. !a2.")
		equal(t, "second sent", l.sentAt()[3], requestTime+2*firstGuess)
	})
}

// Where the port failed under a command, the answer may come by the next one.
func TestNoCommandWhileTheAnswerFromBeforeAFailureMayCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(request string) []arrival {
			if request == "!a1." {
				return []arrival{{after: 0, err: errors.New("unplugged")}}
			}
			return prompt(request)
		})
		defer l.stop()
		first := l.submit(command(protocol.ClassRelay, "a", "1"))
		second := l.submit(command(protocol.ClassRelay, "a", "2"))
		equal(t, "first", values(<-first), "[silent]")
		equal(t, "second", values(<-second), "ok")
		equal(t, "second sent", l.sentAt()[1], requestTime+2*firstGuess)
	})
}

// What nobody waits for comes all the same, and is the answer to nothing that is asked later.
func TestAnswerThatNobodyWaitsFor(t *testing.T) {
	unheard := func(step protocol.Step) protocol.Step {
		step.Repeatable, step.Key = false, ""
		step.First.Answer, step.First.Stray, step.First.Rest = nil, step.First.Answer, firstGuess
		return step
	}
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]bool{}
		l := start(t, Config{}, func(request string) []arrival {
			switch {
			case request == "!a2.":
				return nil
			case asked[request] || request[1] != 'a':
				return prompt(request)
			case request == "?av.":
				asked[request] = true
				return after(firstGuess+100*time.Millisecond, "=av0.")
			}
			return after(2*firstGuess-100*time.Millisecond, ":a.")
		})
		defer l.stop()
		equal(t, "read", values(<-l.submit(unheard(read("a", "v")))), "ok")
		again, other := l.submit(read("a", "v")), l.submit(read("b", "v"))
		equal(t, "another meter", values(<-other), "1")
		equal(t, "value", values(<-again), "1")
		equal(t, "command", values(<-l.submit(unheard(command(protocol.ClassRelay, "a", "1")))), "ok")
		equal(t, "lost command", values(<-l.submit(command(protocol.ClassRelay, "a", "2"))), "[silent]")
	})
}

func TestHeldCommandExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(string) []arrival { return nil })
		defer l.stop()
		<-l.submit(command(protocol.ClassRelay, "a", "1"))
		begin := l.since()
		r := <-l.submitJob(Job{Steps: []protocol.Step{command(protocol.ClassRelay, "a", "2")}, Deadline: time.Now().Add(300 * time.Millisecond)})
		equal(t, "values", values(r), "[expired]")
		equal(t, "took", l.since()-begin, 300*time.Millisecond)
		equal(t, "sent", l.log(), "!a1.")
	})
}

func TestBlockIsLackingAfterTwoRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuse := true
		l := start(t, Config{}, func(request string) []arrival {
			if refuse {
				return after(50*time.Millisecond, "#a.")
			}
			return prompt(request)
		})
		defer l.stop()
		block := read("a", "v")
		block.Block = "all"
		meter := l.bus.Meter(keyOf("a"))
		ask := func(want bool) {
			t.Helper()
			<-l.submit(block)
			equal(t, "lacks", meter.Lacks("all"), want)
		}
		ask(false)
		refuse = false
		ask(false) // which makes the count begin anew
		refuse = true
		ask(false)
		ask(true)
		equal(t, "another block", meter.Lacks("other"), false)
		equal(t, "another meter", l.bus.Meter(keyOf("b")).Lacks("all"), false)
		<-time.After(24 * time.Hour)
		equal(t, "a day later", meter.Lacks("all"), false)
	})
}

// A late answer to the first try is good for the second. That to the second is still to come
// then, and an old value for the next equal read.
func TestOldValueIsNotTakenForTheNextRead(t *testing.T) {
	for _, late := range []time.Duration{firstGuess + 20*time.Millisecond, firstGuess + 200*time.Millisecond, 2*firstGuess - time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			l := start(t, Config{}, func(request string) []arrival {
				if request != "?av." {
					return prompt(request)
				}
				if n++; n <= 2 {
					return after(late, "=av0.")
				}
				return after(20*time.Millisecond+valueTime, "=av1.")
			})
			defer l.stop()
			equal(t, "late answer to the first try", values(<-l.submit(read("a", "v"))), "0")
			again, other := l.submit(read("a", "v")), l.submit(read("a", "w"))
			equal(t, "another register", values(<-other), "1")
			equal(t, "again", values(<-again), "1")
		})
	}
}

// The late answer to a request with a wildcard looks like one to a request with the address.
func TestOldValueOfAWildcard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wild := read("_", "v")
		wild.Repeatable = false
		old := true
		l := start(t, Config{}, func(request string) []arrival {
			switch {
			case request == "?_v.":
				return after(firstGuess+requestTime+30*time.Millisecond, "=av0.")
			case old:
				old = false
				return after(firstGuess-20*time.Millisecond, "=av1.")
			}
			return prompt(request)
		})
		defer l.stop()
		equal(t, "whoever", values(<-l.submit(wild)), "[silent]")
		equal(t, "value", values(<-l.submit(read("a", "v"))), "1")
	})
}

// TestAnswerToAnotherProcess starts a bus on a line where the answer to the same question of
// another process, the program before it was started again, is still to come. It may be as late as
// one to a question of the same process.
func TestAnswerToAnotherProcess(t *testing.T) {
	for _, test := range []struct {
		successor bool
		late      time.Duration // when the answer to the other process comes
		want      string
		after     time.Duration // when the meter is asked
	}{
		{false, 300 * time.Millisecond, "1", 0},
		{true, 300 * time.Millisecond, "2", 4400 * time.Millisecond},
		{true, 3 * time.Second, "2", 4400 * time.Millisecond},
		{true, 4399 * time.Millisecond, "2", 4400 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			config := Config{Settings: Settings{Timeout: 2 * time.Second, Latency: 200 * time.Millisecond}, Successor: test.successor}
			l := start(t, config, func(string) []arrival { return after(500*time.Millisecond, "=av2.") })
			defer l.stop()
			l.say(arrival{after: test.late, text: "=av1."})
			expired := l.submitJob(Job{Steps: []protocol.Step{read("b", "v")}, Deadline: time.Now()})
			equal(t, "read", values(<-l.submit(read("a", "v"))), test.want)
			equal(t, "asked", l.sentAt()[0], test.after)
			equal(t, "what has expired", values(<-expired), "[expired]")
		})
	}
}
