package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

var debian = flag.String("debian", "", "a `folder` with a Debian that test/brokers/setup has made, for tests of brokers and programs that are in it")

// debianRoot is the Debian that has what this machine has not, or skips the test.
func debianRoot(t *testing.T) string {
	t.Helper()
	if *debian == "" {
		t.Skip("make brokers runs this in a Debian of its own")
	}
	return *debian
}

// A rabbit is a node of RabbitMQ.
type rabbit struct {
	address      string // where it speaks MQTT
	name         string
	root, folder string // the Debian, and what the node has of its own in it
	env          []string
	output       *watched
	ended        <-chan struct{}
}

// startRabbit runs a RabbitMQ with more lines of configuration. Its files are gone with the test.
func startRabbit(t *testing.T, lines ...string) *rabbit {
	t.Helper()
	r := newRabbits(t, 1)[0]
	r.start(t, append([]string{"listeners.tcp = none", "mqtt.listeners.tcp.1 = " + r.address}, lines...)...)
	r.ctl(t, "await_startup", "--timeout", "120")
	awaitListener(t, r.address, r.ended, r.output)
	return r
}

// newRabbits makes nodes that are not running yet, and can form a cluster: they find one another by a port mapper of their own.
func newRabbits(t *testing.T, many int) (all []*rabbit) {
	t.Helper()
	root := debianRoot(t)
	folder, err := os.MkdirTemp(filepath.Join(root, "var/lib/rabbitmq"), "test-") //nolint:usetesting // RabbitMQ sees what is inside its root only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	inside := strings.TrimPrefix(folder, root)
	_, mapper, _ := net.SplitHostPort(freeAddress(t))
	for i := range many {
		_, distribution, _ := net.SplitHostPort(freeAddress(t))
		r := &rabbit{address: freeAddress(t), name: fmt.Sprintf("node%d@localhost", i+1), root: root, folder: filepath.Join(folder, fmt.Sprint(i+1))}
		if err := os.Mkdir(r.folder, 0o755); err != nil {
			t.Fatal(err)
		}
		own := filepath.Join(inside, fmt.Sprint(i+1))
		writeFile(t, filepath.Join(r.folder, "plugins"), "[rabbitmq_mqtt].\n")
		r.env = []string{
			"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + inside, "LANG=C.UTF-8", "RABBITMQ_NODENAME=" + r.name, "ERL_EPMD_PORT=" + mapper, "RABBITMQ_DIST_PORT=" + distribution,
			"RABBITMQ_MNESIA_BASE=" + own, "RABBITMQ_LOG_BASE=" + own, "RABBITMQ_LOGS=-", "RABBITMQ_CONFIG_FILE=" + own + "/rabbitmq",
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + own + "/plugins", "RABBITMQ_PID_FILE=" + own + "/pid",
		}
		all = append(all, r)
	}
	t.Cleanup(func() { _ = all[0].inside(context.Background(), "epmd", "-kill").Run() })
	return all
}

// start begins to run the node, and stops it with the test.
func (r *rabbit) start(t *testing.T, lines ...string) {
	t.Helper()
	writeFile(t, filepath.Join(r.folder, "rabbitmq.conf"), strings.Join(lines, "\n")+"\n")
	command := r.inside(context.Background(), "/usr/lib/rabbitmq/bin/rabbitmq-server") // it is stopped in its own way
	r.output = newWatched("Starting broker")
	command.Stdout, command.Stderr = r.output, r.output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	r.ended = ended
	go func() { _ = command.Wait(); close(ended) }()
	t.Cleanup(func() {
		stopping, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = r.inside(stopping, "/usr/lib/rabbitmq/bin/rabbitmqctl", "shutdown", "--no-wait").Run()
		select {
		case <-ended:
		case <-stopping.Done(): // the last of a cluster waits for the others
			var pid int
			if _, err := fmt.Sscan(readFile(t, filepath.Join(r.folder, "pid")), &pid); err == nil {
				if process, err := os.FindProcess(pid); err == nil {
					_ = process.Kill()
				}
			}
			_ = command.Process.Kill()
			<-ended
		}
	})
}

// inside makes a command in the other Debian, as the node's.
func (r *rabbit) inside(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "chroot", append([]string{r.root}, arguments...)...)
	command.Env = r.env
	return command
}

// ctl runs rabbitmqctl and returns what it says. The node is asked again until it has started.
func (r *rabbit) ctl(t *testing.T, arguments ...string) string {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Second) {
		out, err := r.inside(t.Context(), append([]string{"/usr/lib/rabbitmq/bin/rabbitmqctl"}, arguments...)...).CombinedOutput()
		switch {
		case err == nil:
			return string(out)
		case time.Now().After(deadline) || arguments[0] != "await_startup":
			t.Fatalf("rabbitmqctl %v: %v: %s", arguments, err, out)
		}
	}
}

// TestRabbitMQ runs bridges of two sites at a real RabbitMQ 4 with the accounts that docs/fleet.md makes there.
func TestRabbitMQ(t *testing.T) {
	r := startRabbit(t, "mqtt.allow_anonymous = false")
	sites := []string{"site-001", "site-002"}
	for _, site := range sites {
		r.ctl(t, "add_user", site, "secret-"+site)
		commands := 0
		for line := range strings.Lines(readFile(t, "docs/fleet.md")) {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "rabbitmqctl set_") {
				continue
			}
			commands++
			var words []string
			for i, part := range strings.Split(line, "'") { // of a shell: what is in quotes is one word
				if i%2 == 0 {
					words = append(words, strings.Fields(part)...)
				} else {
					words = append(words, part)
				}
			}
			for i := range words {
				words[i] = strings.ReplaceAll(words[i], "site-001", site)
			}
			r.ctl(t, words[1:]...)
		}
		if commands != 2 {
			t.Fatalf("docs/fleet.md has %d commands for permissions", commands)
		}
	}
	binary := buildBinary(t)
	for _, site := range sites {
		command := exec.CommandContext(t.Context(), binary)
		command.Env = append(os.Environ(), "DLT645_MQTT_URL=mqtt://"+r.address, "DLT645_MQTT_USERNAME="+site, "DLT645_MQTT_PASSWORD=secret-"+site,
			"DLT645_TOPIC="+site, "DLT645_DISCOVERY=homeassistant/"+site, "DLT645_BUS_URL="+quickMeters, "DLT645_METERS=main=1", "DLT645_ALLOW=read,config", "DLT645_LOG_LEVEL=warn")
		command.Stderr = os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	}
	r.ctl(t, "add_user", "fleet", "secret")
	r.ctl(t, "set_permissions", "fleet", ".*", ".*", ".*")
	for _, site := range sites {
		newClientAs(t, dial(t, r.address), "fleet", "secret", site+"/bridge/status").ready(site)
	}
	setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + r.address, "DLT645_MQTT_USERNAME": "fleet", "DLT645_MQTT_PASSWORD": "secret"})
	status, out, stderr := execute(t, "", "fleet", "-roots", strings.Join(sites, ","), "ask", "main", "frequency")
	if status != 0 || strings.Count(out, "frequency") != 2 {
		t.Errorf("fleet ask: status %d: %s%s", status, out, stderr)
	}
	one, two := sites[0], sites[1]
	for topic, want := range map[string]bool{
		one + "/meter/main/state": true, "homeassistant/" + one + "/device/x/config": true,
		two + "/meter/main/state": false, two + "/request/read/main": false, two + "/bridge/config": false,
		"homeassistant/" + two + "/device/x/config": false, one + "/request/read/main": false,
	} {
		c := newClientAs(t, dial(t, r.address), one, "secret-"+one)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		go func() { <-c.Done(); cancel() }() // a publish that is not allowed ends the connection
		response, err := c.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte("{}")})
		cancel()
		if got := err == nil && response.ReasonCode < 0x80; got != want {
			t.Errorf("%s may publish to %s: %t, want %t", one, topic, got, want)
		}
	}
	for filter, want := range map[string]bool{
		one + "/request/#": true, "homeassistant/" + one + "/status": true,
		two + "/request/#": false, two + "/meter/main/state": false, "+/meter/main/state": false, "#": false,
	} {
		c := newClientAs(t, dial(t, r.address), one, "secret-"+one)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := c.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}}})
		cancel()
		if (err == nil) != want {
			t.Errorf("%s may subscribe to %s: %v, want %t", one, filter, err, want)
		}
	}
}
