package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"

	"dlt645-mqtt/test/cloud"
)

var (
	backlogAway   = flag.Duration("backlog", 0, "TestUplinkBacklog: how long the cloud is away, a state of each meter a second; 0: 30 states of each as fast as the broker takes them")
	backlogMeters = flag.Int("backlog-meters", 200, "TestUplinkBacklog: how many meters")
)

// An uplinkProcess is the binary, running as uplink.
type uplinkProcess struct {
	*exec.Cmd
	log *watched
}

// startUplinkProcess runs the binary as uplink, with these variables and no others.
func startUplinkProcess(t *testing.T, binary string, variables map[string]string) *uplinkProcess {
	t.Helper()
	u := &uplinkProcess{exec.Command(binary, "uplink"), newWatched("dlt645-mqtt uplink")}
	for name, value := range variables {
		u.Env = append(u.Env, name+"="+value)
	}
	u.Stdout, u.Stderr = u.log, u.log
	if err := u.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		u.kill()
		if t.Failed() {
			t.Log(u.log.String())
		}
	})
	return u
}

// kill ends it as a power cut does.
func (u *uplinkProcess) kill() {
	_ = u.Process.Kill()
	_ = u.Wait()
}

// peak returns the most that it has had in memory, in bytes; 0 where the system does not tell.
func (u *uplinkProcess) peak(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	for line := range strings.SplitSeq(readFile(t, fmt.Sprintf("/proc/%d/status", u.Process.Pid)), "\n") {
		var kilobytes int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	t.Fatal("/proc tells no VmHWM")
	return 0
}

// A backlog publishes states as bridges do, and holds what a cloud gets against them.
type backlog struct {
	meters    int
	begin     time.Time
	rounds    int // states of each meter that were published
	publisher *client
	slowest   time.Duration // the longest that a state waited for the broker's acknowledgement
	next      map[string]int
	read      int // messages of the cloud that have been looked at
	repeats   int
}

func (b *backlog) name(meter int) string { return fmt.Sprintf("%012d", meter) }

// publish has each meter say how often it was asked.
func (b *backlog) publish() {
	b.rounds++
	at := b.begin.Add(time.Duration(b.rounds) * time.Second)
	for meter := range b.meters {
		began := time.Now()
		b.publisher.publish("dlt645/meter/m"+b.name(meter)+"/state", fmt.Sprintf(
			`{"voltage_a":220.1,"current_a":1.234,"active_power":0.2716,"forward_active_energy":%d.25,"time":%q}`, b.rounds, at.Format("2006-01-02T15:04:05.000Z07:00"),
		), func(p *paho.Publish) { p.Retain = true })
		b.slowest = max(b.slowest, time.Since(began))
	}
}

// check looks at what has come since the last time: each state of a meter after the one before, in
// its digits and with its time. What came already may come again. It reports whether all is there.
func (b *backlog) check(t *testing.T, messages []cloud.Message) (complete bool) {
	t.Helper()
	for ; b.read < len(messages); b.read++ {
		m := messages[b.read]
		if m.Topic != "v1/gateway/telemetry" {
			continue
		}
		var devices map[string][]struct {
			Time   int64 `json:"ts"`
			Values struct {
				Energy json.RawMessage `json:"forward_active_energy"`
			} `json:"values"`
		}
		if err := json.Unmarshal(m.Payload, &devices); err != nil {
			t.Fatal(err)
		}
		for device, entries := range devices {
			for _, entry := range entries {
				if entry.Values.Energy == nil {
					continue
				}
				var number int
				if _, err := fmt.Sscanf(string(entry.Values.Energy), "%d.25", &number); err != nil {
					t.Fatalf("%s has the value %s", device, entry.Values.Energy)
				}
				if want := b.begin.Add(time.Duration(number) * time.Second).UnixMilli(); entry.Time != want {
					t.Fatalf("value %d of %s has the time %d, want %d", number, device, entry.Time, want)
				}
				switch {
				case number == b.next[device]+1:
					b.next[device] = number
				case number <= b.next[device]:
					b.repeats++
				default:
					t.Fatalf("value %d of %s came where %d was due", number, device, b.next[device]+1)
				}
			}
		}
	}
	for meter := range b.meters {
		if b.next[b.name(meter)] != b.rounds {
			return false
		}
	}
	return true
}

// TestUplinkBacklog has two hundred meters, of which a state comes each second, and the cloud away;
// meanwhile the uplink is killed and the broker restarted. Then all of it must come, in order, with
// its own times; the uplink stays small, and whoever publishes does not wait.
func TestUplinkBacklog(t *testing.T) {
	const most = 40 << 20
	t.Parallel()
	directory := t.TempDir()
	broker := startMosquitto(t, freeAddress(t), "allow_anonymous true", "max_queued_messages 0", "max_inflight_messages 256",
		"persistence true", "persistence_location "+directory+"/")
	address := freeAddress(t)
	first := startCloud(t, cloud.Config{Address: address})
	binary := buildBinary(t)
	b := &backlog{meters: *backlogMeters, begin: time.Now().Truncate(time.Second), next: map[string]int{}}
	var devices strings.Builder
	devices.WriteString("meter,device\n")
	var meters []string
	for meter := range b.meters {
		fmt.Fprintf(&devices, "m%s,%s\n", b.name(meter), b.name(meter))
		meters = append(meters, "m"+b.name(meter))
	}
	file := filepath.Join(directory, "devices.csv")
	writeFile(t, file, devices.String())
	variables := map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + broker.address, "DLT645_UPLINK_CLOUD": "thingsboard", "DLT645_UPLINK_URL": "mqtt://" + address,
		"DLT645_UPLINK_SECRET": "TOKEN", "DLT645_UPLINK_DEVICES": file,
	}
	b.publisher = bridgeClient(t, broker, "dlt645", meters...)
	uplink := startUplinkProcess(t, binary, variables)

	ticks := (<-chan time.Time)(nil)
	if *backlogAway > 0 {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		ticks = ticker.C
	}
	second := func() {
		if ticks != nil {
			<-ticks
		}
		b.publish()
	}
	second()
	awaitMessage(t, first, 0, has("gateway/telemetry", `"forward_active_energy":1.25`, b.name(b.meters-1)))
	second()
	first.Close()
	gone := time.Now()
	messages, _ := first.Messages()
	b.check(t, messages)

	rounds := 30
	if *backlogAway > 0 {
		rounds = int(backlogAway.Seconds())
	}
	for range rounds / 3 {
		second()
	}
	peak := uplink.peak(t)
	uplink.kill()
	for range rounds / 3 {
		second()
	}
	broker.quit()
	broker.start()
	b.publisher = bridgeClient(t, broker, "dlt645")
	uplink = startUplinkProcess(t, binary, variables)
	for range rounds - 2*(rounds/3) {
		second()
	}

	waiting := b.meters * b.rounds
	for _, number := range b.next {
		waiting -= number
	}
	away := time.Since(gone)
	b.read = 0
	back := startCloud(t, cloud.Config{Address: address})
	returned := time.Now()
	var began time.Time
	deadline := time.After(min(max(3*patience, *backlogAway), 15*time.Minute))
	for {
		messages, arrived := back.Messages()
		if began.IsZero() && len(messages) > 0 {
			began = time.Now()
		}
		if b.check(t, messages) {
			break
		}
		select {
		case <-arrived:
		case <-ticks: // states go on
			b.publish()
			waiting += b.meters
		case <-deadline:
			t.Fatalf("the cloud has not got all: of meter 0 it has %d of %d", b.next[b.name(0)], b.rounds)
		}
	}
	drained := time.Since(began)
	peak = max(peak, uplink.peak(t))
	posts, _ := back.Messages()
	t.Logf("%d meters; cloud away for %s; connected %s after its return; %d states in %d messages within %s (%.0f a second), %d repeated; uplink at most %.1f MiB; the broker acknowledged a state within %s",
		b.meters, away.Round(time.Second), began.Sub(returned).Round(time.Second), waiting, len(posts), drained.Round(100*time.Millisecond), float64(waiting)/drained.Seconds(), b.repeats, float64(peak)/(1<<20), b.slowest.Round(time.Millisecond))
	if peak >= most {
		t.Errorf("the uplink had %d bytes in memory, want less than %d", peak, most)
	}
	if most := 5 * time.Second; b.slowest > most {
		t.Errorf("a state waited %s for the broker, want at most %s", b.slowest, most)
	}
	if log := uplink.log.String(); strings.Contains(log, "panic") {
		t.Error(log)
	}
	_ = uplink.Process.Signal(syscall.SIGTERM)
	if err := uplink.Wait(); err != nil {
		t.Errorf("the uplink, told to stop: %v", err)
	}
}
