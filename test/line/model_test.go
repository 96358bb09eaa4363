package line

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol/dlt698"
	"dlt645-mqtt/simulator"
)

// A modelStep is one thing that happens in a run of the model: after a pause somebody asks for
// an action, or the bridge is restarted.
type modelStep struct {
	Pause   time.Duration
	Restart bool
	Meter   int
	Action  string
	ID      string // empty: none
	TTL     int    // in milliseconds; 0: the usual one
}

var modelMeters = []string{"000000000001", "681668166816", "grid", "900000000000"} // grid speaks DL/T 698.45; the last one is on no line

var modelFaults = []simulator.Fault{
	simulator.FaultNoReply, simulator.FaultLate, simulator.FaultFlip, simulator.FaultTruncated, simulator.FaultJunk, simulator.FaultEcho,
	simulator.FaultForeign, simulator.FaultPieces, simulator.FaultSlow, simulator.FaultOff, simulator.FaultCollision, simulator.FaultReset, simulator.FaultGone,
	simulator.FaultTwice, simulator.FaultHeld,
}

func drawModelStep(t *rapid.T) modelStep {
	return modelStep{
		Pause:   time.Duration(rapid.IntRange(0, 3000).Draw(t, "pause_ms")) * time.Millisecond,
		Restart: rapid.IntRange(0, 15).Draw(t, "restart") == 15,
		Meter:   rapid.IntRange(0, len(modelMeters)-1).Draw(t, "meter"),
		Action:  rapid.SampledFrom([]string{"trip", "close", "permit_close", "alarm", "keep_power", "keep_power_off"}).Draw(t, "action"),
		ID:      rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e"}).Draw(t, "id"),
		TTL:     rapid.SampledFrom([]int{0, 0, 0, 1, 500}).Draw(t, "ttl_ms"),
	}
}

// A modelReply is what one request came to.
type modelReply struct {
	step modelStep
	run  int // of the bridge
	OK   bool
	Result, Relay,
	Message string
	Repeated bool
	Error    *struct{ Code string }
}

// TestCommandsAgainstModel lets commands, faults and restarts come in any order. However that
// may be, a meter carries out no more commands than distinct ones were asked for, a reply that
// claims a success is backed by one, and every request has its reply.
func TestCommandsAgainstModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		faults := simulator.Faults{}
		for _, fault := range rapid.SliceOfN(rapid.SampledFrom(modelFaults), 0, 3).Draw(r, "faults") {
			faults[fault] = rapid.SampledFrom([]float64{0.1, 0.5}).Draw(r, string(fault))
		}
		seed := rapid.Uint64().Draw(r, "seed")
		steps := rapid.SliceOfN(rapid.Custom(drawModelStep), 1, 20).Draw(r, "steps")
		var wrong []string
		synctest.Test(t, func(t *testing.T) { wrong = runModel(t, faults, seed, steps) })
		if len(wrong) > 0 {
			r.Fatal(strings.Join(wrong, "\n"))
		}
	})
}

// runModel lets the steps happen and returns what went wrong.
func runModel(t *testing.T, faults simulator.Faults, seed uint64, steps []modelStep) (wrong []string) {
	grid, err := simulator.NewMeter698(simulator.Meter698Options{Address: "202412345678"})
	if err != nil {
		t.Fatal(err)
	}
	older := Simulated(t, modelMeters[:2]...)
	counters := []counter{older[0], older[1], grid}
	site := NewSite(t, simulator.BusOptions{
		Meters: older, Devices: []simulator.Device{grid}, Baud: 9600, Turnaround: 20 * time.Millisecond, Faults: faults, Seed: seed,
	}, nil)
	site.Stop()
	spoken := dlt698.New(time.FixedZone("", 8*60*60))
	site.Meters = []meters.Meter{{Name: "grid", Address: AddressOf(spoken, grid.Address()), Protocol: spoken}}
	site.Start(t)
	var (
		waiting sync.WaitGroup
		mu      sync.Mutex
		replies []modelReply
		run     int
	)
	for _, step := range steps {
		time.Sleep(step.Pause) // virtual
		if step.Restart {
			site.Stop()
			site.Config.Successor = true // as every process on a real line
			site.Start(t)
			run++
			continue
		}
		body := map[string]any{"action": step.Action}
		if step.ID != "" {
			body["id"] = step.ID
		}
		if step.TTL > 0 {
			body["ttl_ms"] = step.TTL
		}
		payload, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		bridge, during := site.Bridge, run
		waiting.Go(func() {
			reply := modelReply{step: step, run: during}
			if err := json.Unmarshal(bridge.Ask("relay/"+modelMeters[step.Meter], payload), &reply); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			replies = append(replies, reply)
		})
	}
	waiting.Wait()
	site.Stop()
	return judgeModel(counters, replies)
}

// judgeModel compares what was answered with what the meters did.
func judgeModel(meters []counter, replies []modelReply) (wrong []string) {
	complain := func(format string, arguments ...any) { wrong = append(wrong, fmt.Sprintf(format, arguments...)) }
	asked, acknowledged := make([]map[string]bool, len(modelMeters)), make([]int, len(modelMeters))
	for i := range asked {
		asked[i] = map[string]bool{}
	}
	for i, reply := range replies {
		mark := fmt.Sprintf("id %s in run %d", reply.step.ID, reply.run)
		if reply.step.ID == "" {
			mark = fmt.Sprintf("message %d", i)
		}
		asked[reply.step.Meter][mark] = true
		claimed := reply.Result == "verified" || reply.Result == "acknowledged"
		if claimed && !reply.Repeated {
			acknowledged[reply.step.Meter]++
		}
		switch {
		case (reply.Result == "") == (reply.Error == nil):
			complain("%+v: neither result nor error, or both", reply)
		case reply.OK && !claimed:
			complain("%+v: ok without a success", reply)
		case reply.Result == "verified" && reply.step.Action == "trip" && reply.Relay != "open",
			reply.Result == "verified" && reply.step.Action == "close" && reply.Relay != "closed":
			complain("%+v: verified, but the relay is %s", reply, reply.Relay)
		}
	}
	for i := range modelMeters {
		did := 0
		if i < len(meters) {
			did = meters[i].Counts().Relay
		}
		if did > len(asked[i]) {
			complain("meter %s carried out %d commands of %d", modelMeters[i], did, len(asked[i]))
		}
		if acknowledged[i] > did {
			complain("meter %s carried out %d commands, %d were confirmed to clients", modelMeters[i], did, acknowledged[i])
		}
	}
	return wrong
}
