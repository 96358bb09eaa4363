package bus

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/protocol"
)

// one runs one read of register v of meter a and tells how it ended and how long it took.
func one(t *testing.T, config Config, answer func(request string) []arrival) (result, sent string, took time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, config, answer)
		defer l.stop()
		result = values(<-l.submit(read("a", "v")))
		sent, took = l.log(), l.since()
	})
	return
}

func TestListening(t *testing.T) {
	const ms = time.Millisecond
	packed := Config{Settings: Settings{Packed: true, Latency: 200 * ms}}
	longest := usualLongest * 10 * ms
	for _, test := range []struct {
		name   string
		config Config
		answer []arrival
		result string
		took   time.Duration // from the end of the last request on; the first must be in vain if there are two
		tries  int
	}{
		{"in one go", Config{}, after(70*ms, "=av1."), "1", 70 * ms, 1},
		{"at its last byte", Config{}, []arrival{{30 * ms, "=av", nil}, {50 * ms, "1.", nil}, {51 * ms, "=bv2.", nil}}, "1", 50 * ms, 1},
		{"byte by byte, 500 ms apart", Config{}, []arrival{{400 * ms, "=", nil}, {900 * ms, "a", nil}, {1400 * ms, "v", nil}, {1900 * ms, "1", nil}, {2400 * ms, ".", nil}}, "1", 2400 * ms, 1},
		{"after an echo", Config{}, []arrival{{0, "?av.", nil}, {70 * ms, "=av1.", nil}}, "1", 70 * ms, 1},
		{"after a stranger's answer", Config{}, after(120*ms, "=bv1.=av2."), "2", 120 * ms, 1},
		{"after a false start", Config{}, []arrival{{20 * ms, "=", nil}, {70 * ms, "=av1.", nil}}, "1", 70 * ms, 1},
		{"after an answer to something else", Config{}, after(120*ms, "=aw1.=av2."), "2", 120 * ms, 1},
		{"at the last moment", Config{}, after(firstGuess-1, "=av1."), "1", firstGuess - 1, 1},
		{"nothing", Config{}, nil, "[silent]", firstGuess, 2},
		{"our echo only", Config{}, after(0, "\xFE?av."), "[silent]", firstGuess, 2},
		{"noise only", Config{}, after(40*ms, "....."), "[garbled]", firstGuess, 2},
		{"noise without end", Config{}, []arrival{{0, "..", nil}, {400 * ms, "..", nil}, {499 * ms, "..", nil}, {501 * ms, "..", nil}}, "[garbled]", firstGuess, 2},
		{"the beginning of an answer", Config{}, []arrival{{490 * ms, "=av", nil}}, "[garbled]", 490*ms + testByteGap, 2},
		{"packed, late", packed, after(700*ms+longest-1, "=av1."), "1", 700*ms + longest - 1, 1},
		{"packed, nothing", packed, nil, "[silent]", 700*ms + longest, 2},
		{"packed, in two parts", packed, []arrival{{600*ms + longest, "=a", nil}, {1100*ms + longest, "v1.", nil}}, "1", 1100*ms + longest, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			result, sent, took := one(t, test.config, func(string) []arrival { return test.answer })
			equal(t, "result", result, test.result)
			equal(t, "sent", sent, strings.TrimSpace(strings.Repeat("?av. ", test.tries)))
			equal(t, "took", took, time.Duration(test.tries)*(requestTime+test.took))
		})
	}
}

// An answer that drips for ever is given up in the end.
func TestListeningIsBounded(t *testing.T) {
	calls := 0
	result, _, took := one(t, Config{}, func(string) []arrival {
		calls++
		if calls > 1 {
			return prompt("?av.")
		}
		var drip []arrival
		for i := range 100 {
			drip = append(drip, arrival{after: time.Duration(i) * 400 * time.Millisecond, text: "="})
		}
		return drip
	})
	equal(t, "result", result, "1")
	equal(t, "took", took, requestTime+firstGuess+patienceWithinFrame+usualLongest*10*time.Millisecond+promptTime)
}

// A line that floods us costs time, but not memory without bound.
func TestFloodIsBounded(t *testing.T) {
	result, _, _ := one(t, Config{}, func(string) []arrival {
		var flood []arrival
		for range 100 {
			flood = append(flood, arrival{text: strings.Repeat("=av", 1000)})
		}
		return flood
	})
	equal(t, "result", result, "[garbled]")
}

func TestWakeUpBytesLeaveWithTheFrame(t *testing.T) {
	config := Config{}
	config.FixedWakeUps, config.WakeUps = true, 4
	_, _, took := one(t, config, prompt)
	equal(t, "took", took, 40*time.Millisecond+promptTime)
}

func TestEchoIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		echo := true
		l := start(t, Config{}, func(request string) []arrival {
			if echo {
				return append(after(0, request), prompt(request)...)
			}
			return prompt(request)
		})
		defer l.stop()
		<-l.submit(read("a", "v"))
		equal(t, "echo", l.bus.State().Echo, true)
		echo = false
		<-l.submit(read("a", "v"))
		equal(t, "echo", l.bus.State().Echo, false)
	})
}

// What is in the buffer before the request is written cannot be its answer.
func TestOldBytesAreNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		l.say(arrival{text: "=av9."})
		equal(t, "values", values(<-l.submit(read("a", "v"))), "1")
	})
}

// The late answer to the first try of a read is a true value for the second.
func TestLateAnswerCountsForTheSecondTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, func(string) []arrival { return after(700*time.Millisecond, "=av1.") })
		defer l.stop()
		equal(t, "values", values(<-l.submit(read("a", "v"))), "1")
		equal(t, "time", l.since(), requestTime+700*time.Millisecond)
		// The answer to the second try comes during the next exchange and is passed over.
		l.answer = func(string) []arrival { return after(480*time.Millisecond, "=aw2.") }
		equal(t, "values", values(<-l.submit(read("a", "w"))), "2")
		equal(t, "sent", l.log(), "?av. ?av. ?aw.")
	})
}

func TestGapBetweenAnswerAndRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		config := Config{}
		config.Gap = 30 * time.Millisecond
		l := start(t, config, prompt)
		defer l.stop()
		long, other := l.submit(read("a", "12")), l.submit(read("b", "1"))
		<-long
		<-other
		times := l.sentAt()
		equal(t, "follow-up", times[1], promptTime+config.Gap)
		equal(t, "next", times[2], 2*(promptTime+config.Gap))
	})
}

func TestRestAfterAFrameWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{}, prompt)
		defer l.stop()
		broadcast := protocol.Step{Meter: keyOf("*"), Class: protocol.ClassCommand, First: protocol.Exchange{Request: []byte("!*s."), Rest: 70 * time.Millisecond}}
		sent, next := l.submit(broadcast), l.submit(read("a", "v"))
		r := <-sent
		equal(t, "sent", values(r), "ok")
		equal(t, "started", started(r), "s")
		equal(t, "time", l.since(), requestTime)
		<-next
		equal(t, "next", l.sentAt()[1], requestTime+70*time.Millisecond)
	})
}

func TestCut(t *testing.T) {
	split := splitter("=av_.")
	for _, test := range []struct {
		data                string
		atEOF               bool
		token, passed, rest string
	}{
		{"", false, "", "", ""},
		{"..=av1.=a", false, "=av1.", "..", "=a"},
		{"..=av", false, "", "..", "=av"},
		{"..=av", true, "", "..=av", ""},
		{"...", false, "", "...", ""},
	} {
		token, passed, rest := cut([]byte(test.data), split, test.atEOF)
		equal(t, test.data+": token", string(token), test.token)
		equal(t, test.data+": passed", string(passed), test.passed)
		equal(t, test.data+": rest", string(rest), test.rest)
	}
}

func TestCharacterTime(t *testing.T) {
	for _, test := range []struct {
		settings Settings
		want     time.Duration // of 16 bytes
	}{
		{Settings{Baud: 2400, Parity: "even", Stop: 1}, 16 * 11 * time.Second / 2400},
		{Settings{Baud: 2400, Parity: "none", Stop: 1}, 16 * 10 * time.Second / 2400},
		{Settings{Baud: 9600, Parity: "odd", Stop: 2}, 16 * 12 * time.Second / 9600},
	} {
		equal(t, test.settings.Parity, test.settings.mode().Duration(16), test.want)
	}
}
