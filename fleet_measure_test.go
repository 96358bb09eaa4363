package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/test/line"
)

var fleetSize = flag.Int("fleet", 0, "how `many` bridges TestFleetMeasure runs; 0: it is skipped")

// TestFleetMeasure runs many bridges at one mosquitto: what they take while they poll, how they come back when the broker
// has been away for some seconds and has forgotten all, and how long a read of each takes.
func TestFleetMeasure(t *testing.T) {
	many := *fleetSize
	if many == 0 {
		t.Skip("make fleet measures many bridges at one broker")
	}
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skipf("the processor's time is not told: %v", err)
	}
	const (
		during, away      = 20 * time.Second, 5 * time.Second
		halfBack, allBack = 3 * time.Second, 15 * time.Second
	)
	b := startMosquitto(t, freeAddress(t), "allow_anonymous true", "persistence false")
	binary, prefix := buildBinary(t), bridgeRoot(t)
	var pids []int
	for i := range many {
		command := exec.CommandContext(t.Context(), binary)
		command.Env = append(os.Environ(), "DLT645_MQTT_URL=mqtt://"+b.address, fmt.Sprintf("DLT645_TOPIC=%s/%d", prefix, i), fmt.Sprintf("DLT645_DISCOVERY=homeassistant/%d", i),
			"DLT645_BUS_URL="+quickMeters, "DLT645_METERS=main=1,shop=2", "DLT645_LOG_LEVEL=error")
		command.Stderr = os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
		pids = append(pids, command.Process.Pid)
	}
	// online waits until all bridges say so, and returns when each did.
	online := func(since time.Time) (took []time.Duration) {
		c := newClient(t, dial(t, b.address), prefix+"/+/bridge/status")
		for seen := map[string]bool{}; len(seen) < many; {
			p := c.nextWithin(2 * time.Minute)
			if string(p.Payload) == "online" && !seen[p.Topic] {
				seen[p.Topic] = true
				took = append(took, time.Since(since))
			}
		}
		return took
	}
	online(time.Now())

	costs := func() (used time.Duration) {
		for _, pid := range pids {
			one, _ := schedule(t, pid)
			used += one
		}
		return used
	}
	before, begin := costs(), time.Now()
	time.Sleep(during)
	used := time.Duration(float64(costs()-before) / time.Since(begin).Seconds() / float64(many))
	var resident []int
	for _, pid := range pids {
		resident = append(resident, residentMemory(t, pid))
	}
	slices.Sort(resident)
	where := fmt.Sprintf("%d bridges", many)
	mib := func(bytes int) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
	table := []line.Measure{
		{What: "resident memory of a bridge: median, most", Where: where, Ours: mib(resident[many/2]) + ", " + mib(resident[many-1])},
		{What: "processor of a bridge that polls basic of 2 meters", Where: where, Ours: fmt.Sprintf("%.2f ms/s", float64(used.Microseconds())/1000)},
	}

	b.stop()
	time.Sleep(away)
	b.start()
	back := online(time.Now())
	half, all := back[(many-1)/2], back[many-1]
	table = append(table, line.Measure{What: fmt.Sprintf("back after the broker was away for %v: half, all", away), Where: where, Ours: line.Seconds(half) + ", " + line.Seconds(all),
		Reach: fmt.Sprintf("%v, %v", halfBack, allBack), Missed: half > halfBack || all > allBack})

	setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address})
	begin = time.Now()
	status, out, stderr := execute(t, "", "fleet", "-roots", prefix+"/+", "ask", "main", "frequency")
	if n := strings.Count(out, "frequency"); status != 0 || n != many {
		t.Errorf("%d of %d bridges have answered (status %d): %s", n, many, status, stderr)
	}
	table = append(table, line.Measure{What: "a read of each, by the command fleet", Where: where, Ours: line.Seconds(time.Since(begin))})
	line.PrintMeasures(table)
	for _, row := range table {
		if row.Missed {
			t.Errorf("%s: %s, wanted %s", row.What, row.Ours, row.Reach)
		}
	}
}
