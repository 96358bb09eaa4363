package bus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"dlt645-mqtt/protocol"
)

// withPreamble is a bus that sends so many wake-up bytes, or learns how many of those that the protocol wants.
func withPreamble(n int, learn bool) Config {
	config := Config{}
	config.WakeUps, config.FixedWakeUps = n, !learn
	return config
}

// preambles spells how many wake-up bytes went before each request since the last call.
func (l *lineTest) preambles() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.Trim(fmt.Sprint(l.wakeUps), "[]")
	l.wakeUps = nil
	return text
}

// startNeedy runs a bus on a line whose meters want all four wake-up bytes, at the moment when it
// is about to try meter a with fewer.
func startNeedy(t *testing.T) (l *lineTest) {
	l = start(t, withPreamble(4, true), func(request string) []arrival {
		if l.wakeUps[len(l.wakeUps)-1] < 4 {
			return nil
		}
		return prompt(request)
	})
	for range provenAnswers {
		<-l.submit(read("a", "v"))
	}
	l.preambles()
	return l
}

func TestFewerWakeUpBytesAreLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, withPreamble(4, true), prompt)
		defer l.stop()
		reads := slices.Repeat([]protocol.Step{read("a", "v")}, 10)
		for i := range reads {
			reads[i].Key = ""
		}
		equal(t, "values", values(<-l.submit(reads...)), "1 1 1 1 1 1 1 1 1 1")
		equal(t, "wake-up bytes", l.preambles(), "4 4 4 4 4 4 4 4 2 2")
		<-l.submit(read("b", "v"))
		equal(t, "of another meter", l.preambles(), "4")
		<-l.submit(command(protocol.ClassRelay, "a", "t"))
		equal(t, "of a command", l.preambles(), "4")
		<-l.submit(withClass(read("a", "s"), protocol.ClassScan))
		equal(t, "of a scan", l.preambles(), "4")
	})
}

func TestWakeUpBytesThatAMeterNeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startNeedy(t)
		defer l.stop()
		equal(t, "value", values(<-l.submit(read("a", "v"))), "1")
		equal(t, "second try", l.preambles(), "2 4")
		for range 16 {
			<-l.submit(read("a", "v"))
		}
		equal(t, "it takes longer now", l.preambles(), strings.TrimSpace(strings.Repeat("4 ", 16)))
		equal(t, "value", values(<-l.submit(read("a", "v"))), "1")
		equal(t, "second try", l.preambles(), "2 4")
	})
}

// A long answer to the second try counts as one failure of the first, however many frames it has.
func TestWakeUpBytesOfALongAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startNeedy(t)
		defer l.stop()
		equal(t, "value", values(<-l.submit(read("a", "123"))), "111")
		equal(t, "second try", l.preambles(), "2 4 4 4")
		for range 16 {
			<-l.submit(read("a", "v"))
		}
		l.preambles()
		<-l.submit(read("a", "v"))
		equal(t, "tried again", l.preambles(), "2 4")
	})
}

func TestWakeUpBytesAsConfigured(t *testing.T) {
	for _, config := range []Config{withPreamble(4, false), withPreamble(2, false), withPreamble(1, false), withPreamble(0, false)} {
		synctest.Test(t, func(t *testing.T) {
			l := start(t, config, prompt)
			defer l.stop()
			for range 12 {
				<-l.submit(read("a", "v"))
			}
			equal(t, "wake-up bytes", l.preambles(), strings.TrimSpace(strings.Repeat(fmt.Sprint(config.WakeUps)+" ", 12)))
		})
	}
}
