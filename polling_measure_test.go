package main

import (
	"encoding/json"
	"flag"
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

	"dlt645-mqtt/test/line"
)

var measureBinaries = flag.Bool("measure", false, "have TestMeasuresOfTheBinary weigh the binary and measure its polling")

// TestMeasuresOfTheBinary prints what the binary weighs, and takes while it polls many meters.
func TestMeasuresOfTheBinary(t *testing.T) {
	if !*measureBinaries {
		t.Skip("make bench measures the binary")
	}
	binary := buildBinary(t)
	line.PrintMeasures(append(measurePolling(t, binary), measureBinary(t, binary)))
}

// measureBinary weighs the binary.
func measureBinary(t *testing.T, file string) line.Measure {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	const most = 18_000_000
	return line.Measure{What: "binary, stripped", Ours: fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), Reach: "under 18 MB", Missed: info.Size() >= most}
}

// measurePolling runs the binary against 100 simulated meters of another process, behind
// TCP at 115200 baud, and a broker: 10 points each every 30 s, which keeps the wire busy most of
// the time. It tells how much memory and processor the bridge takes, and how long after its last
// byte a state has reached a subscriber.
func measurePolling(t *testing.T, binary string) []line.Measure {
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
	return []line.Measure{
		{What: "polling: resident memory", Where: where, Ours: fmt.Sprintf("%.1f MiB", float64(resident)/(1<<20)), Reach: "under 20 MiB", Missed: resident >= 20<<20},
		{What: "polling: processor", Where: where, Ours: fmt.Sprintf("%.1f %% of a core", 100*share), Theirs: fmt.Sprintf("%d states in %v", len(delays), took.Round(time.Second)), Reach: "under 5 %", Missed: share >= 0.05},
		{What: "polling: from the last byte to a subscriber", Where: where, Ours: fmt.Sprintf("%.1f ms", float64(median.Microseconds())/1000), Theirs: fmt.Sprintf("99th percentile %.1f ms", float64(late.Microseconds())/1000), Reach: "under 5 ms", Missed: median >= 5*time.Millisecond},
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
