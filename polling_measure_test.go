package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// measurePolling runs the binary against 100 simulated meters of another process, behind
// TCP at 115200 baud, and a broker: 10 points each every 30 s, which keeps the wire busy most of
// the time. It tells how much memory and processor the bridge takes, and how long after its last
// byte a state has reached a subscriber.
func measurePolling(t *testing.T, binary string) []measure {
	t.Helper()
	if runtime.GOOS != "linux" {
		return nil // the figures are read in /proc
	}
	// All meters have their turns in the same seconds of a round, and all states come then.
	const meters, during, interval = 100, 90 * time.Second, 30 * time.Second
	bus, b := freeAddress(t), startMochi(t)
	start := func(environment []string, arguments ...string) *exec.Cmd {
		command := exec.CommandContext(t.Context(), binary, arguments...)
		command.Env, command.Stderr = append(os.Environ(), environment...), os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
		return command
	}
	start(nil, "simulate", "-listen", bus, "-meters", strconv.Itoa(meters), "-baud", "115200")
	file := filepath.Join(t.TempDir(), "points.csv")
	table, names := "meter,item,interval\n", []string(nil)
	for _, item := range []string{"forward_active_energy", "active_power", "voltage_block", "current_block", "power_factor", "frequency"} {
		table += fmt.Sprintf("*,%s,%s\n", item, interval)
	}
	for i := range meters {
		names = append(names, fmt.Sprintf("m%d=%012d", i+1, i+1))
	}
	writeFile(t, file, table)
	root := fmt.Sprintf("polling-%d", os.Getpid())
	c := newClient(t, dial(t, b.address), root+"/meter/+/state")
	bridge := start([]string{
		"DLT645_MQTT_URL=mqtt://" + b.address, "DLT645_BUS_URL=tcp://" + bus + "?baud=115200&latency=5ms", "DLT645_TOPIC=" + root,
		"DLT645_METERS=" + strings.Join(names, ","), "DLT645_POINTS=" + file, "DLT645_LOG_LEVEL=warn",
	})
	seen := map[string]bool{}
	for len(seen) < meters { // the first round is not like the others
		seen[c.nextWithin(2*interval).Topic] = true
	}

	begin, before := time.Now(), processorTime(t, bridge.Process.Pid)
	var delays []time.Duration
	resident := 0
	for time.Since(begin) < during {
		p := c.nextWithin(2 * interval)
		came := time.Now()
		var state struct{ Time time.Time }
		if err := json.Unmarshal(p.Payload, &state); err != nil {
			t.Fatal(err)
		}
		delays = append(delays, came.Sub(state.Time))
		resident = max(resident, residentMemory(t, bridge.Process.Pid))
	}
	took := time.Since(begin)
	share := (processorTime(t, bridge.Process.Pid) - before).Seconds() / took.Seconds()
	slices.Sort(delays)
	median, late := delays[len(delays)/2], delays[len(delays)*99/100]
	where := fmt.Sprintf("tcp 115200, %d meters × 10", meters)
	return []measure{
		{"polling: resident memory", where, fmt.Sprintf("%.1f MiB", float64(resident)/(1<<20)), "", "", "under 20 MiB", resident >= 20<<20},
		{"polling: processor", where, fmt.Sprintf("%.1f %% of a core", 100*share), fmt.Sprintf("%d states in %v", len(delays), took.Round(time.Second)), "", "under 5 %", share >= 0.05},
		{"polling: from the last byte to a subscriber", where, fmt.Sprintf("%.1f ms", float64(median.Microseconds())/1000), fmt.Sprintf("99th percentile %.1f ms", float64(late.Microseconds())/1000), "", "under 5 ms", median >= 5*time.Millisecond},
	}
}

// processorTime is what a process has used so far, in user and system mode.
func processorTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have spaces
	fields := strings.Fields(rest)
	const ticks = 100 // a second, on every Linux there is
	sum := 0
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / ticks
}

// residentMemory is what a process has in memory, in bytes.
func residentMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}
