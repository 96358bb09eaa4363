package bus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"dlt645-mqtt/protocol"
)

// advising returns a read whose protocol knows what else may be wrong, and what the frames of others are.
func advising(meter, register string) protocol.Step {
	line := testLine
	line.Advice = "older meters want @1997"
	step := read(meter, register)
	step.Line = &line
	step.First.Explain = func(heard []byte) string {
		if bytes.Contains(heard, []byte("=b")) {
			return "meter b answers"
		}
		return ""
	}
	return step
}

// TestWhatCameIsSaid has another meter answer, noise, and nobody at all. What a sound frame proves right is
// not to be checked; what else may be wrong of a meter that has never answered is said.
func TestWhatCameIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := start(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(request string) []arrival {
			switch request {
			case "?a1.":
				return after(valueTime, "=b1v.")
			case "?a2.":
				return after(valueTime, "~~~~")
			case "?av.":
				return prompt(request)
			}
			return nil
		})
		defer l.stop()
		for _, row := range []struct{ register, want, not string }{
			{"1", "no answer to it: meter b answers; speed, parity and wiring are right", "check baud rate"},
			{"2", "check baud rate", "are right"},
			{"3", "wiring; older meters want @1997", "answered before"},
		} {
			err := (<-l.submit(advising("a", row.register))).Replies[0].Err
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), row.not) {
				t.Errorf("%s: %v, want an error with %q", row.register, err, row.want)
			}
		}
		<-l.submit(advising("a", "3"))
		synctest.Wait() // the bus may still be writing
		if said := log.String(); !strings.Contains(said, "meter is offline") || !strings.Contains(said, "the speed (1100 baud); older meters want @1997") || !strings.Contains(said, "no meter has answered yet") || strings.Contains(said, "used to answer") {
			t.Errorf("the log of a meter that never answered: %s", said)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		dead := false
		l := start(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, func(request string) []arrival {
			if request == "?av." && !dead {
				return prompt(request)
			}
			return nil
		})
		defer l.stop()
		<-l.submit(advising("a", "v"))
		dead = true
		for range 2 {
			<-l.submit(advising("a", "3"))
		}
		synctest.Wait() // the bus may still be writing
		if said := log.String(); !strings.Contains(said, "meter is offline") || strings.Contains(said, "@1997") || strings.Contains(said, "no meter has answered") {
			t.Errorf("the log of a meter that has answered: %s", said)
		}
	})
}
