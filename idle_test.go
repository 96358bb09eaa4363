package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/test/line"
)

var (
	idleDuring  = flag.Duration("idle", 0, "how `long` TestIdle measures what a bridge costs that has little to do; 0: it is skipped")
	idleAgainst = flag.String("idle-against", "", "another `binary` that TestIdle measures in the same run")
)

// TestIdle measures what a bridge takes of the processor, and how often it wakes up, while nobody asks for anything and
// while it polls the basic points of four meters at 2400 baud. Many bridges share one small machine.
func TestIdle(t *testing.T) {
	if *idleDuring == 0 {
		t.Skip("make idle measures what a bridge costs that has little to do")
	}
	if _, err := os.Stat("/proc/self/schedstat"); err != nil {
		t.Skipf("the processor's time is not told: %v", err)
	}
	builds := []string{buildBinary(t)}
	if *idleAgainst != "" {
		builds = append(builds, *idleAgainst)
	}
	type run struct {
		what  string
		reach time.Duration // of processor time in a second
		pids  []int         // one of each build
	}
	const meters = 4
	runs := []*run{{what: "idle", reach: time.Millisecond}, {what: "polling basic of 4 meters", reach: 2 * time.Millisecond}}
	b := startMochi(t)
	start := func(binary string, environment []string, arguments ...string) int {
		command := exec.CommandContext(t.Context(), binary, arguments...)
		command.Env, command.Stderr = append(os.Environ(), environment...), os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
		return command.Process.Pid
	}
	for i, r := range runs {
		for k, binary := range builds {
			bus, root := freeAddress(t), fmt.Sprintf("idle-%d-%d-%d", os.Getpid(), i, k)
			start(builds[0], nil, "simulate", "-listen", bus, "-meters", strconv.Itoa(meters), "-baud", "2400")
			names := make([]string, meters)
			for n := range names {
				names[n] = fmt.Sprintf("m%d=%012d", n+1, n+1)
			}
			c := newClient(t, dial(t, b.address), root+"/meter/+/state", root+"/bridge/status")
			r.pids = append(r.pids, start(binary, []string{
				"DLT645_MQTT_URL=mqtt://" + b.address, "DLT645_BUS_URL=tcp://" + bus + "?baud=2400", "DLT645_TOPIC=" + root,
				"DLT645_METERS=" + strings.Join(names, ","), "DLT645_POINTS=" + []string{"off", "basic"}[i], "DLT645_LOG_LEVEL=warn",
			}))
			for seen := map[string]bool{}; len(seen) < 1+i*meters; { // it has begun, and each meter is no stranger any more
				seen[c.next().Topic] = true
			}
		}
	}

	type cost struct {
		used  time.Duration
		wakes int
	}
	costs := func() (all [][]cost) {
		for _, r := range runs {
			var row []cost
			for _, pid := range r.pids {
				used, wakes := schedule(t, pid)
				row = append(row, cost{used, wakes})
			}
			all = append(all, row)
		}
		return all
	}
	before, begin := costs(), time.Now()
	time.Sleep(*idleDuring)
	after, took := costs(), time.Since(begin).Seconds()
	var table []line.Measure
	for i, r := range runs {
		of := func(k int) (time.Duration, string) {
			used := time.Duration(float64(after[i][k].used-before[i][k].used) / took)
			return used, fmt.Sprintf("%.2f ms/s, %.0f wake-ups/s", float64(used.Microseconds())/1000, float64(after[i][k].wakes-before[i][k].wakes)/took)
		}
		used, ours := of(0)
		row := line.Measure{What: r.what, Ours: ours, Reach: "under " + r.reach.String() + "/s", Missed: used >= r.reach}
		if len(builds) > 1 {
			other, text := of(1)
			row.Theirs, row.Ratio = text, fmt.Sprintf("%.2f", float64(used)/float64(other))
		}
		if row.Missed {
			t.Errorf("%s: %s, wanted %s", r.what, ours, row.Reach)
		}
		table = append(table, row)
	}
	line.PrintMeasures(table)
}

// schedule returns what a process has used of the processor so far, and how often one of its threads has gone to sleep
// by itself.
func schedule(t *testing.T, pid int) (used time.Duration, sleeps int) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		text, err := os.ReadFile(filepath.Join(task, "schedstat"))
		if err != nil {
			continue // the thread has ended
		}
		nanoseconds, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(nanoseconds, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		used += time.Duration(n)
		text, err = os.ReadFile(filepath.Join(task, "status"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
		line, _, _ := strings.Cut(rest, "\n")
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			sleeps += n
		}
	}
	return used, sleeps
}
