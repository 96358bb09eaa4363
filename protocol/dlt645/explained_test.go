package dlt645

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/frametest"
)

// stepsOf returns a step for each function of an edition that is answered: what goes out as a raw frame,
// and what is planned for reads and commands.
func stepsOf(t *testing.T, v Version) (steps []protocol.Step) {
	t.Helper()
	m := New(v, shanghai)
	for f := range 32 {
		for _, data := range []string{"00010102", "0001010201", "00010102020000000100000001", "020000000100000000000000000000000000"} {
			plan, err := m.Plan(protocol.Request{Verb: protocol.VerbRaw, Frame: wire("1", Control(f), frametest.FromHex(data)...)}, nil)
			if err == nil {
				steps = append(steps, plan.Steps...)
			}
		}
	}
	passwords := map[string]string{"02": "000000", "04": "000000"}
	command := func(verb protocol.Verb, c order) {
		c.Passwords, c.Deadline, c.Confirm = passwords, time.Minute, "000000000001"
		plan, err := m.Plan(protocol.Request{Verb: verb, Address: meterAt("000000000001"), Command: c.command()}, nil)
		if err == nil {
			steps = append(steps, plan.Steps...)
		}
	}
	command(protocol.VerbRelay, order{Command: protocol.Command{Action: "trip"}})
	command(protocol.VerbWrite, order{arguments: arguments{Item: "meter_number", Value: "000000000001"}})
	for _, c := range []order{
		{Command: protocol.Command{Action: "freeze"}, arguments: arguments{At: "now"}},
		{Command: protocol.Command{Action: "clear_demand"}},
		{Command: protocol.Command{Action: "clear_meter"}},
		{Command: protocol.Command{Action: "clear_events"}, arguments: arguments{Item: "all"}},
		{Command: protocol.Command{Action: "set_baud"}, arguments: arguments{Baud: 9600}},
		{Command: protocol.Command{Action: "set_password"}, arguments: arguments{Level: "04", NewPassword: "123456"}},
		{Command: protocol.Command{Action: "output"}, arguments: arguments{Signal: "second"}},
	} {
		command(protocol.VerbMaintenance, c)
	}
	read, err := m.Plan(protocol.Request{Verb: protocol.VerbRead, Address: meterAt("000000000001"), Items: []string{"voltage_a"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(steps, read.Steps...)
}

// TestWhatIsTakenIsExplained sends answers of every length to every kind of request. Each one that its
// step takes for the answer is explained: whoever decodes what raw has brought is not told that it is
// no frame. A value that does not fit its item is called by its identifier.
func TestWhatIsTakenIsExplained(t *testing.T) {
	for _, v := range []Version{V2007, V1997} {
		taken := 0
		for _, step := range stepsOf(t, v) {
			request, err := ParseFrame(step.First.Request)
			if err != nil {
				t.Fatal(err)
			}
			if step.First.Answer == nil {
				continue
			}
			v, f := v, request.Control.Function()
			if (names2007[f] == "") != (names1997[f] == "") {
				v = f.Version() // that of a raw frame
			}
			for _, bits := range []Control{fromMeter, fromMeter | more, fromMeter | refused} {
				for n := range 30 {
					for _, filling := range [][]byte{request.Data, {0x02}, {0x04}, {0x00}, {0x81}, {0xFF}} {
						data := make([]byte, n)
						for i := copy(data, request.Data[:min(diSize(v), len(request.Data))]); i < n; i++ {
							data[i] = filling[i%max(len(filling), 1)]
						}
						if n <= 2 && bits&refused != 0 { // no identifier fits
							data = append(data[:0], filling[:min(n, len(filling))]...)
						}
						answer := wire("1", bits|Control(f), data...)
						_, token, err := step.First.Answer(answer, true)
						if err != nil {
							t.Fatal(err)
						}
						if token == nil {
							continue
						}
						taken++
						description, err := Describe(token, v, shanghai)
						if err != nil && description.Refusal == nil && !strings.Contains(err.Error(), diOf(slices.Concat(data, make([]byte, 4)), v).Format(v)) {
							t.Errorf("%s: %X is taken for the answer to %X, and not explained: %v", v, token, step.First.Request, err)
						}
						if bits&refused == 0 || step.First.Take == nil {
							continue
						}
						if _, _, err := step.First.Take(token); err != nil && description.Refusal != nil {
							if want := fmt.Sprint(description.Refusal.Reasons); !strings.Contains(want, strings.Join(reasonsOf(err), " ")) {
								t.Errorf("%s: %X: the request is told %v, decode says %s", v, token, reasonsOf(err), want)
							}
						}
					}
				}
			}
		}
		if taken < 1000 {
			t.Errorf("%s: only %d answers were taken", v, taken)
		}
	}
}
