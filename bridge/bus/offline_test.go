package bus

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// unless is prompt for meters that answer nothing while they are dead.
func unless(dead *bool) func(request string) []arrival {
	return func(request string) []arrival {
		if *dead {
			return nil
		}
		return prompt(request)
	}
}

// withTimeout is a bus that knows a longer time than the first guess.
func withTimeout(d time.Duration) Config {
	config := Config{}
	config.Timeout = d
	return config
}

func TestSlowMeterIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = 700 * time.Millisecond
		l := start(t, withTimeout(2*time.Second), func(request string) []arrival {
			return after(slow+valueTime, prompt(request)[0].text)
		})
		defer l.stop()
		equal(t, "values", values(<-l.submit(read("a", "v"), read("a", "w"))), "1 1")
		equal(t, "sent", l.log(), "?av. ?av. ?aw.")
		turnaround, known := l.bus.Meter(keyOf("a")).Turnaround()
		equal(t, "turnaround", turnaround >= slow && known, true)
		_, known = l.bus.Meter(keyOf("b")).Turnaround()
		equal(t, "known of a stranger", known, false)
	})
}

func TestFastMeterIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := false
		l := start(t, withTimeout(2*time.Second), func(request string) []arrival {
			if lost {
				lost = false
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		<-l.submit(read("a", "v"))
		turnaround, _ := l.bus.Meter(keyOf("a")).Turnaround()
		equal(t, "turnaround", turnaround, 20*time.Millisecond)
		lost = true
		begin := l.since()
		equal(t, "values", values(<-l.submit(read("a", "w"))), "1")
		equal(t, "took", l.since()-begin, requestTime+shortestPatience+promptTime)
		// What is a record is another matter.
		lost, begin = true, l.since()
		record := read("a", "r")
		record.Kind = protocol.KindRecord
		<-l.submit(record)
		equal(t, "took", l.since()-begin, requestTime+firstGuess+promptTime)
	})
}

// A meter takes longer for one register than for the others. On a line for one at a time it does not hear
// the second request while it answers the first, nor do we hear the answer while we ask again.
func TestSlowRegisterOfAFastMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const slow = shortestPatience + requestTime/2
		var answers time.Duration // when the meter answers what it was asked last
		var l *lineTest
		l = &lineTest{t: t, begin: time.Now(), answer: func(request string) []arrival {
			begin, end := l.since(), l.since()+requestTime
			if begin < answers && answers < end {
				l.port.queue = nil
				return nil
			}
			if request[2] != 's' {
				return prompt(request)
			}
			answers = end + slow
			return after(slow+valueTime, "=as1.")
		}}
		l.run(withTimeout(2 * time.Second))
		defer l.stop()
		lost := 0
		for range 20 {
			for range 30 {
				<-l.submit(read("a", "v"))
			}
			if values(<-l.submit(read("a", "s"))) != "1" {
				lost++
			}
		}
		if lost > 4 {
			t.Errorf("%d of 20 reads of the slow register failed", lost)
		}
	})
}

func TestCommandsGetTheLongestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, withTimeout(2*time.Second), func(string) []arrival { return after(2*time.Second-1, ":a.") })
		defer l.stop()
		equal(t, "values", values(<-l.submit(command(protocol.ClassRelay, "a", "t"))), "ok")
	})
}

func TestMeterGoesOfflineAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		dead.Store(true)
		l := start(t, Config{}, func(request string) []arrival {
			if dead.Load() && request[1] == 'a' {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		meter := l.bus.Meter(keyOf("a"))
		<-l.submit(read("b", "v")) // so that not all meters are silent
		equal(t, "values", values(<-l.submit(read("a", "v"))), "[silent]")
		equal(t, "online after two", meter.Online(), true)

		// The third finds it offline; those who wait are answered with it.
		asked, waiting := l.submit(read("a", "w")), l.submit(read("a", "x"), read("b", "x"))
		equal(t, "values", values(<-asked), "[silent]")
		offline := l.since()
		equal(t, "online after three", meter.Online(), false)
		r := <-waiting
		equal(t, "values", values(r), "[silent] 1")
		equal(t, "started", started(r), "-s")
		equal(t, "sent", l.log(), "?bv. ?av. ?av. ?aw. ?bx.")

		begin := l.since()
		r = <-l.submit(read("a", "y"), read("a", "z"))
		var err *OfflineError
		if !errors.As(r.Replies[1].Err, &err) || !errors.Is(err, protocol.ErrSilent) {
			t.Fatalf("got %v, want an OfflineError", r.Replies[1].Err)
		}
		equal(t, "took", l.since()-begin, 0)
		equal(t, "steps", r.Steps, 0)

		// A command is tried all the same, and does not put off the probes.
		equal(t, "command", values(<-l.submit(command(protocol.ClassRelay, "a", "t"))), "[silent]")

		<-time.After(200 * time.Second)
		var probes []string
		requests := strings.Fields(l.log())
		for i, at := range l.sentAt() {
			if at > offline && strings.HasPrefix(requests[i], "?a") {
				probes = append(probes, fmt.Sprint(at-offline))
			}
		}
		// Each is later than the last by a pause that doubles, and by the time it takes.
		equal(t, "probes", strings.Join(probes, " "), "1s 3.54s 8.08s 16.62s 33.16s 1m5.7s 2m6.24s 3m6.78s")

		dead.Store(false)
		<-time.After(time.Minute)
		equal(t, "online", meter.Online(), true)
		equal(t, "values", values(<-l.submit(read("a", "y"))), "1")
	})
}

// A command that looks at the meter before it changes something is tried as well, like one that
// does not; what looks after it is a read like others.
func TestCommandLooksAtOfflineMeter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := true
		l := start(t, Config{}, unless(&dead))
		defer l.stop()
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "v"))
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), false)
		look := withClass(read("a", "w"), protocol.ClassCommand)
		equal(t, "look after a command", started(<-l.submitJob(Job{Steps: []protocol.Step{look}, Continued: true})), "-")
		equal(t, "look before one", started(<-l.submit(look)), "s")
		dead = false
		equal(t, "values", values(<-l.submit(look)), "1")
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), true)
	})
}

// Some meters are silent where they should refuse. That must not make them look dead: before the last
// timeout that would, they are asked for something that they know, once.
func TestMeterIsAskedForWhatItKnowsBeforeItIsOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		l := start(t, Config{}, func(request string) []arrival {
			if dead.Load() || strings.HasPrefix(request, "?ax") {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		meter := l.bus.Meter(keyOf("a"))
		<-l.submit(read("a", "v"))
		for range 3 {
			<-l.submit(read("a", "x"))
			equal(t, "online though silent to x", meter.Online(), true)
		}
		equal(t, "sent", l.log(), "?av. ?ax. ?ax. ?av. ?ax. ?ax. ?av. ?ax. ?ax.")
		dead.Store(true)
		equal(t, "tried of a dead one", started(<-l.submit(read("a", "x"))), "-")
		equal(t, "online after the third", meter.Online(), false)
		equal(t, "sent last", strings.TrimPrefix(l.log(), "?av. ?ax. ?ax. ?av. ?ax. ?ax. ?av. ?ax. ?ax. "), "?av.")
		dead.Store(false)
		<-time.After(shortestProbePause + time.Second)
		equal(t, "online after a probe", meter.Online(), true)
	})
}

// Noise in place of what it knows proves nothing, and it is asked for that only once.
func TestNoiseDoesNotVouch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var noisy atomic.Bool
		l := start(t, Config{}, func(request string) []arrival {
			switch {
			case strings.HasPrefix(request, "?ax"):
				return nil
			case noisy.Load():
				return after(valueTime, "#")
			}
			return prompt(request)
		})
		defer l.stop()
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "x"))
		noisy.Store(true)
		<-l.submit(read("a", "x"))
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), false)
		equal(t, "sent", l.log(), "?av. ?ax. ?ax. ?av. ?av. ?ax.")
	})
}

// A meter that takes the place of another, with the same address, need not know what that one did.
func TestExchangedMeterIsProbedWithWhatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		knows := "?av"
		l := start(t, Config{}, func(request string) []arrival {
			if strings.HasPrefix(request, knows) {
				return prompt(request)
			}
			return nil
		})
		defer l.stop()
		<-l.submit(read("a", "v"))
		knows = "nothing"
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "v"))
		equal(t, "online when it has gone", l.bus.Meter(keyOf("a")).Online(), false)
		knows = "?aw"
		for range 3 { // as polls do
			<-l.submit(read("a", "w"))
			<-time.After(4 * shortestProbePause)
		}
		equal(t, "online after two probes", l.bus.Meter(keyOf("a")).Online(), true)
	})
}

func TestScanAsksWhoeverMayBeThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(string) []arrival { return nil })
		defer l.stop()
		for range 3 {
			<-l.submit(withClass(read("a", "s"), protocol.ClassScan))
		}
		equal(t, "sent", l.log(), "?as. ?as. ?as.") // and none of them twice
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), true)
	})
}

func TestAnyAnswerBringsAMeterBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := true
		l := start(t, Config{}, unless(&dead))
		defer l.stop()
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "v"))
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), false)
		dead = false
		<-l.submit(command(protocol.ClassRelay, "a", "t"))
		equal(t, "online", l.bus.Meter(keyOf("a")).Online(), true)
	})
}

func TestAllMetersSilentOpensThePortAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := false
		l := start(t, Config{}, unless(&dead))
		defer l.stop()
		<-l.submit(read("a", "v"))
		<-l.submit(read("b", "v"))
		dead = true
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "v"))
		equal(t, "opened", len(l.opened), 1)
		<-l.submit(read("b", "v"))
		<-l.submit(read("b", "v"))
		synctest.Wait()
		equal(t, "opened", len(l.opened), 2)
		<-time.After(time.Hour)
		equal(t, "opened", len(l.opened), 2)
	})
}

// An address that was asked once answered then. It says nothing of the line of some hours later.
func TestMeterThatNobodyAsksVouchesNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead := false
		l := start(t, Config{}, unless(&dead))
		defer l.stop()
		opened := func() int {
			l.mu.Lock()
			defer l.mu.Unlock()
			return len(l.opened)
		}
		<-l.submit(read("s", "v"))
		<-time.After(vouching - time.Minute)
		<-l.submit(read("a", "v"))
		dead = true
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "v"))
		equal(t, "opened", opened(), 1)
		<-time.After(3 * time.Minute)
		equal(t, "opened later", opened(), 2)
		<-time.After(time.Hour)
		equal(t, "opened in the end", opened(), 2)
	})
}

// One of ten meters is dead. The others get at least 95 % of the readings that they get
// without it, and the probes take 2 % of the wire at most.
func TestDeadMeterHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, withTimeout(2*time.Second), func(request string) []arrival {
			if request[1] == 'a' {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		const minutes = 10
		end := l.begin.Add(minutes * time.Minute)
		done := make(chan int)
		for _, meter := range "abcdefghij" {
			go func() {
				n := 0
				for time.Now().Before(end) {
					r := <-l.submit(read(string(meter), "v"))
					var offline *OfflineError
					if errors.As(r.Replies[0].Err, &offline) {
						<-time.After(offline.RetryAfter)
					}
					if r.Replies[0].Err == nil {
						n++
					}
				}
				done <- n
			}()
		}
		readings := 0
		for range 10 {
			readings += <-done
		}
		probes := strings.Count(l.log(), "?av.")
		if share := time.Duration(probes) * (requestTime + firstGuess); share > minutes*time.Minute/probeShare+probeReserve+2*time.Second {
			t.Errorf("%d probes took %v of %d minutes", probes, share, minutes)
		}
		if whole := int(minutes * time.Minute / promptTime); readings < whole*95/100 {
			t.Errorf("%d readings, without the dead meter there are %d", readings, whole)
		}
	})
}

// A meter that has just died takes little of the wire, also where a server collects answers: it is
// waited for no longer than it ever took.
func TestMeterThatHasJustDiedHarmsNobody(t *testing.T) {
	for _, packed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			config := withTimeout(2 * time.Second)
			if packed {
				config.Packed, config.Latency = true, 200*time.Millisecond
			}
			dead := false
			l := start(t, config, func(request string) []arrival {
				if request[1] == 'a' && dead {
					return nil
				}
				return prompt(request)
			})
			defer l.stop()
			expected := read("a", "v")
			expected.Expected = 5
			<-l.submit(expected)
			dead = true
			died := l.since()
			var flood sync.WaitGroup
			for _, item := range []string{"v", "w"} { // one of them always waits
				flood.Go(func() {
					for l.since() < died+time.Minute {
						<-l.submit(read("b", item))
					}
				})
			}
			equal(t, "the read in which it fell silent", values(<-l.submit(expected)), "[silent]")
			silent := l.since()
			for l.since() < died+time.Minute {
				<-l.submit(expected)
				<-time.After(500 * time.Millisecond)
			}
			flood.Wait()
			requests := strings.Fields(l.log())
			var lost time.Duration
			sent := l.sentAt()
			for i, at := range sent[:len(sent)-1] {
				if requests[i] == "?av." && at >= silent && at < silent+15*time.Second {
					lost += sent[i+1] - at
				}
			}
			if share := lost.Seconds() / 15; lost == 0 || share > 0.05 {
				t.Errorf("packed %v: the first 15 s after that cost %.1f %% of the wire (%v)", packed, 100*share, lost)
			}
		})
	}
}

// Another meter in the place of the dead one may be slower than that ever was.
func TestExchangedMeterMayBeSlower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead, slow atomic.Bool
		l := start(t, withTimeout(2*time.Second), func(request string) []arrival {
			switch {
			case slow.Load():
				return after(450*time.Millisecond+valueTime, prompt(request)[0].text)
			case dead.Load():
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		<-l.submit(read("a", "v"))
		dead.Store(true)
		<-l.submit(read("a", "v"))
		<-l.submit(read("a", "v"))
		equal(t, "online when it has gone", l.bus.Meter(keyOf("a")).Online(), false)
		slow.Store(true)
		<-time.After(time.Minute)
		equal(t, "online with the slower one", l.bus.Meter(keyOf("a")).Online(), true)
	})
}

// Probes of an idle line are nobody's loss: a meter that comes back while others flood the line
// afterwards is found as soon as if there had been none.
func TestIdleProbesAreNotHeldAgainstBusyTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dead atomic.Bool
		dead.Store(true)
		l := start(t, withTimeout(2*time.Second), func(request string) []arrival {
			if dead.Load() && request[1] != 'z' {
				return nil
			}
			return prompt(request)
		})
		defer l.stop()
		<-l.submit(read("z", "v")) // so that not all meters are silent
		for _, meter := range "abcdefgh" {
			<-l.submit(read(string(meter), "v"))
			<-l.submit(read(string(meter), "v"))
		}
		<-time.After(time.Hour)
		dead.Store(false)
		end := time.Now().Add(5 * time.Minute)
		var flood sync.WaitGroup
		for _, item := range []string{"v", "w"} { // one of them always waits
			flood.Go(func() {
				for time.Now().Before(end) {
					<-l.submit(read("z", item))
				}
			})
		}
		flood.Wait()
		for _, meter := range "abcdefgh" {
			equal(t, "online "+string(meter), l.bus.Meter(keyOf(string(meter))).Online(), true)
		}
	})
}

func TestManyAddressesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		for i := range 2 * mostMeters {
			if m := b.meter(keyOf(fmt.Sprint(i))); i%3 == 0 {
				m.heard = time.Now()
			}
		}
		if n := len(b.meters); n > mostMeters {
			t.Errorf("%d meters are remembered", n)
		}
	})
}

func TestTurnaround(t *testing.T) {
	const ms = time.Millisecond
	var a turnaround
	equal(t, "unknown", a.patience(firstGuess), firstGuess)
	a.learn(300 * ms)
	equal(t, "patience", a.patience(firstGuess), 700*ms)
	for range 50 {
		a.learn(20 * ms)
	}
	equal(t, "forgotten", a.slowest < 21*ms, true)
	equal(t, "patience", a.patience(firstGuess), shortestPatience)
}
