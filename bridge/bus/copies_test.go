package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// A repeater is a line that brings each answer more than once.
type repeater struct {
	test   *lineTest
	copies int           // of each answer
	behind time.Duration // how long each copy is behind
	paced  bool          // the bytes take their time
	serial bool          // it hears no request before the last copy is out
	lost   func(request string) bool

	n    int           // answers so far
	busy time.Duration // until when it hears nothing, since the beginning
}

// answer counts: a read brings the number of the answer.
func (r *repeater) answer(request string) (arrivals []arrival) {
	if r.lost != nil && r.lost(request) {
		return nil
	}
	now := r.test.since()
	out, begin, size := now+requestTime, now, time.Millisecond
	if r.paced {
		begin, size = out, valueTime
	}
	if r.serial {
		begin = max(begin, r.busy)
	}
	r.n++
	text := fmt.Sprintf("=%s%c.", request[1:3], '0'+r.n%70)
	if request[0] == '!' {
		text = ":" + request[1:2] + "."
	}
	at := begin + 20*time.Millisecond + size
	for range 1 + r.copies {
		arrivals = append(arrivals, arrival{after: at - out, text: text})
		r.busy = at
		at += r.behind
	}
	return arrivals
}

// onRepeater runs a test on each kind of line that repeats.
func onRepeater(t *testing.T, run func(t *testing.T, r *repeater)) {
	for _, copies := range []int{0, 1, 2} {
		for _, paced := range []bool{true, false} {
			for _, serial := range []bool{true, false} {
				for _, ms := range []int{0, 1, 10, 20, 50, 90, 110, 130, 200, 250, 300, 400, 450} {
					if copies*ms > 450 || paced && copies*ms > 300 || copies == 0 && ms > 0 {
						continue // no line is feared for so long
					}
					behind := time.Duration(ms) * time.Millisecond
					t.Run(fmt.Sprintf("%d copies, %v behind, paced %v, serial %v", copies, behind, paced, serial), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							r := &repeater{copies: copies, behind: behind, paced: paced, serial: serial}
							r.test = &lineTest{t: t, begin: time.Now(), answer: r.answer, unknown: true}
							r.test.run(Config{Settings: Settings{Timeout: 2 * time.Second}})
							defer r.test.stop()
							run(t, r)
						})
					})
				}
			}
		}
	}
}

// An answer that comes again is never taken for that to the next request, however long it is behind.
func TestCopyIsNoAnswer(t *testing.T) {
	onRepeater(t, func(t *testing.T, r *repeater) {
		for i := range 40 {
			before := r.n
			meter := "a"
			if i%7 == 3 {
				meter = "b" // whose copies are nothing to the other
			}
			got := values(<-r.test.submit(read(meter, "v")))
			if len(got) != 1 || got[0] < byte('0'+(before+1)%70) {
				t.Fatalf("read %d: got %q, and %d answers had been given before", i, got, before)
			}
			if i%5 == 0 {
				<-time.After(time.Duration(i) * 17 * time.Millisecond)
			}
		}
		if sent := len(r.test.sentAt()); sent > 44 {
			t.Errorf("%d requests were sent for 40 reads", sent)
		}
	})
}

// The same where the value does not change, so that a copy cannot be told from the answer: no more
// is asked than needs be.
func TestCopyOfWhatDoesNotChange(t *testing.T) {
	onRepeater(t, func(t *testing.T, r *repeater) {
		answer := r.answer
		r.test.answer = func(request string) []arrival {
			arrivals := answer(request)
			for i := range arrivals {
				arrivals[i].text = "=" + request[1:3] + "1."
			}
			return arrivals
		}
		for i := range 40 {
			if got := values(<-r.test.submit(read("a", "v"))); got != "1" {
				t.Fatalf("read %d: got %q", i, got)
			}
		}
		if sent := len(r.test.sentAt()); sent > 44 {
			t.Errorf("%d requests were sent for 40 reads", sent)
		}
	})
}

// An acknowledgement that comes again confirms no command that the meter never got.
func TestCopyOfAcknowledgement(t *testing.T) {
	onRepeater(t, func(t *testing.T, r *repeater) {
		for i := range 6 {
			<-r.test.submit(command(protocol.ClassRelay, "a", "1"))
			r.lost = func(string) bool { return true }
			reply := (<-r.test.submit(command(protocol.ClassRelay, "a", "2"))).Replies[0]
			if !errors.Is(reply.Err, protocol.ErrSilent) && !errors.Is(reply.Err, protocol.ErrGarbled) || !reply.Started {
				t.Fatalf("command %d, which the meter did not get: started %v, %v", i, reply.Started, reply.Err)
			}
			r.lost = nil
		}
		equal(t, "commands", strings.Count(r.test.log(), "!"), 12)
	})
}

// A refusal names no register: one that comes again is no refusal of another.
func TestCopyOfRefusal(t *testing.T) {
	onRepeater(t, func(t *testing.T, r *repeater) {
		answer := r.answer
		r.test.answer = func(request string) []arrival {
			arrivals := answer(request)
			for i := range arrivals {
				if request == "?ax." {
					arrivals[i].text = "#a."
				}
			}
			return arrivals
		}
		for i := range 10 {
			if got := values(<-r.test.submit(read("a", "x"), read("a", "v"))); !strings.HasPrefix(got, "[refused] ") || strings.Count(got, "refused") > 1 {
				t.Fatalf("reads %d: got %q", i, got)
			}
		}
	})
}

// A line that has brought no copy for a while is not waited for, unless the same is asked again at
// once. What it did stands in the log.
func TestLineThatRepeatsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &repeater{copies: 1, behind: 30 * time.Millisecond, paced: true}
		var log strings.Builder
		r.test = &lineTest{t: t, begin: time.Now(), answer: r.answer, unknown: true}
		r.test.run(Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
		defer r.test.stop()
		pause := time.Duration(0)
		spend := func() time.Duration {
			begin := r.test.since()
			<-r.test.submit(read("a", "v"))
			<-r.test.submit(read("a", "w"))
			<-time.After(pause)
			return r.test.since() - begin - pause
		}
		for range 3 {
			spend()
		}
		equal(t, "two reads on a line that repeats", spend(), 2*promptTime+2*r.behind)
		r.copies = 0
		for range 2 * repaired {
			spend()
		}
		pause = settling
		spend()
		equal(t, "on one that does no more", spend(), 2*promptTime)
		equal(t, "lines in the log", strings.Count(log.String(), "an answer came twice"), 1)
	})
}

// A server that holds back what the meters say, and lets it go into the next request for the same.
func TestAnswerThatWasHeldBack(t *testing.T) {
	for _, test := range []struct {
		packed bool
		gone   int  // answers that were lost
		last   bool // the answer to the last request comes as well
		want   string
		sent   int
	}{
		{true, 0, true, "3", 3},
		{true, 1, true, "4", 4},  // two came of two that were missing: one may be all there is
		{true, 0, false, "4", 4}, // the two that were missing
		{false, 0, true, "3", 3},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := withTimeout(500 * time.Millisecond)
				config.Packed = test.packed
				n := 0
				var kept []arrival
				l := start(t, config, func(request string) []arrival {
					n++
					it := arrival{after: 1 - requestTime, text: fmt.Sprintf("=av%d.", n)}
					switch {
					case n <= 2:
						if n > test.gone {
							kept = append(kept, it)
						}
						return nil
					case n == 3 && !test.last:
						return kept
					case n == 3:
						return append(kept, it)
					}
					return []arrival{it}
				})
				defer l.stop()
				equal(t, "first", values(<-l.submit(read("a", "v"))), "[silent]")
				<-time.After(10 * time.Second)
				equal(t, "second", values(<-l.submit(read("a", "v"))), test.want)
				equal(t, "sent", len(l.sentAt()), test.sent)
			})
		})
	}
}

// The acknowledgement of a command that was held back proves nothing of the next, unless an answer to
// something else has come in between: nothing is held back then. Of a meter that is known something is
// read to that end.
func TestAcknowledgementThatWasHeldBack(t *testing.T) {
	for _, test := range []struct {
		name         string
		held         bool // the acknowledgement comes before the next answer; else never
		known, other bool // the meter has answered a read before; another does in between
		want, sent   string
	}{
		{"lost", false, false, false, "[garbled]", "!a1. !a2. !a3."},
		{"lost, and another meter answers", false, false, true, "ok", "!a1. ?bv. !a2. !a3."},
		{"lost by a meter that is known", false, true, false, "ok", "?av. !a1. ?av. !a2. !a3."},
		{"held back", true, false, false, "[garbled]", "!a1. !a2. !a3."}, // two came, which may be one, twice
		{"held back by a meter that is known", true, true, false, "ok", "?av. !a1. ?av. !a2. !a3."},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				config := withTimeout(500 * time.Millisecond)
				config.Packed = true
				held := false
				l := start(t, config, func(request string) []arrival {
					if request == "!a1." {
						held = test.held
						return nil
					}
					answer := prompt(request)
					if held {
						held = false
						answer = append(after(1-requestTime, ":a."), answer...)
					}
					return answer
				})
				defer l.stop()
				if test.known {
					<-l.submit(read("a", "v"))
				}
				<-l.submit(command(protocol.ClassRelay, "a", "1"))
				<-time.After(10 * time.Second)
				if test.other {
					<-l.submit(read("b", "v"))
				}
				r := <-l.submit(command(protocol.ClassRelay, "a", "2"))
				equal(t, "second", values(r), test.want)
				equal(t, "started", started(r), "s")
				equal(t, "third", values(<-l.submit(command(protocol.ClassRelay, "a", "3"))), "ok")
				equal(t, "sent", l.log(), test.sent)
			})
		})
	}
}

// Two meters of one address answer each request, one a little after the other.
func TestTwoMetersOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		l := start(t, Config{}, func(string) []arrival {
			n += 2
			return []arrival{{after: 70 * time.Millisecond, text: fmt.Sprintf("=av%c.", '0'+n)}, {after: 140 * time.Millisecond, text: fmt.Sprintf("=av%c.", '1'+n)}}
		})
		defer l.stop()
		for range 20 {
			before := n
			if got := values(<-l.submit(read("a", "v"))); got != fmt.Sprintf("%c", '0'+before+2) {
				t.Errorf("got %q when %d answers had been given", got, before)
			}
		}
	})
}

// A line that is faster than is known is not waited for, and asked but once.
func TestLineFasterThanItsSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &repeater{}
		r.test = &lineTest{t: t, begin: time.Now(), answer: r.answer}
		r.test.run(Config{Settings: Settings{Packed: true}})
		defer r.test.stop()
		for i := range 30 {
			r.test.answer = func(request string) []arrival {
				arrivals := r.answer(request)
				arrivals[0].after += time.Duration(i%5) * 10 * time.Millisecond
				return arrivals
			}
			begin := r.test.since()
			<-r.test.submit(read("a", "v"))
			if took := r.test.since() - begin; took > 70*time.Millisecond {
				t.Errorf("read %d took %v", i, took)
			}
		}
		equal(t, "sent", len(r.test.sentAt()), 30)
	})
}
