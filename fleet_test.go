package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// startFleet runs so many bridges of a binary with two meters each in processes of their own, and returns their roots. They are
// online.
func startFleet(t *testing.T, binary string, b *testBroker, many int, variables ...string) (roots []string) {
	t.Helper()
	for i := range many {
		root := fmt.Sprintf("%s-%d", bridgeRoot(t), i)
		roots = append(roots, root)
		command := exec.CommandContext(t.Context(), binary)
		command.Env = append(environmentWith(nil), append([]string{
			isProgram + "=yes", "DLT645_MQTT_URL=mqtt://" + b.address, "DLT645_TOPIC=" + root, "DLT645_BUS_URL=" + quickMeters, "DLT645_METERS=main=1,shop=2",
			"DLT645_POINTS=off", "DLT645_DISCOVERY=off", "DLT645_ALLOW=read,config", "DLT645_LOG_LEVEL=error", fmt.Sprintf("DLT645_SITE=site %d", i),
		}, variables...)...)
		command.Stderr = os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	}
	for _, root := range roots {
		newClient(t, dial(t, b.address), root+"/bridge/status").ready(root)
	}
	return roots
}

// TestFleet lists, asks and gives tables to several bridges, one of which has another meter, over real brokers.
func TestFleet(t *testing.T) {
	t.Parallel()
	binary := testProgram(t)
	eachBroker(t, func(t *testing.T, b *testBroker) {
		roots := startFleet(t, binary, b, 3)
		variables := map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address}
		do := func(want int, arguments ...string) (out, stderr string) {
			t.Helper()
			status, out, stderr := executeApart(t, variables, "", append([]string{"fleet", "-roots", strings.Join(roots, ",")}, arguments...)...)
			if status != want {
				t.Fatalf("fleet %v: status %d, want %d: %s%s", arguments, status, want, out, stderr)
			}
			return out, stderr
		}
		contains := func(text string, parts ...string) {
			t.Helper()
			for _, part := range parts {
				if !strings.Contains(text, part) {
					t.Errorf("%q is missing in:\n%s", part, text)
				}
			}
		}

		out, _ := do(0, "list")
		for i, root := range roots {
			contains(out, root+"  online", fmt.Sprintf("site %d", i), "2/2")
		}
		status, out, stderr := executeApart(t, variables, "", "fleet", "-roots", "+", "-json", "list")
		seen := map[string]bool{}
		for line := range strings.Lines(out) {
			var b struct {
				Root   string
				Online bool
				Info   struct{ Meters []any }
			}
			if err := json.Unmarshal([]byte(line), &b); err != nil {
				t.Fatal(err)
			}
			seen[b.Root] = b.Online && len(b.Info.Meters) == 2
		}
		for _, root := range roots {
			if !seen[root] {
				t.Errorf("%s is not in the list by filter (status %d): %s%s", root, status, out, stderr)
			}
		}

		out, _ = do(0, "ask", "all", "voltage_a", "frequency")
		for _, root := range roots {
			contains(out, root+"  main   frequency", root+"  shop   voltage_a")
		}
		out, _ = do(1, "ask", "-json", "nowhere", "voltage_a")
		if n := strings.Count(out, `"error":{"code":"unknown_meter"`); n != len(roots) {
			t.Errorf("%d refusals of %d: %s", n, len(roots), out)
		}

		file := filepath.Join(t.TempDir(), "points.csv")
		writeFile(t, file, "meter,item,interval\nmain,voltage_a,10s\n")
		_, stderr = do(0, "push", file)
		contains(stderr, "3 of 3 bridges would get another table")
		_, stderr = do(0, "push", "-apply", "-version", "v1", file)
		contains(stderr, "3 of 3 bridges have the table now")
		c := newClient(t, dial(t, b.address), roots[2]+"/bridge/config")
		contains(string(c.await(roots[2]+"/bridge/config", nil).Payload), `"version":"v1"`)
		_, stderr = do(0, "push", "-apply", file)
		contains(stderr, "all have this table")

		// A bridge that is not there, and one that cannot take the table: nobody gets another.
		roots = append(roots, bridgeRoot(t)+"-away")
		_, stderr = do(1, "push", "-apply", "off")
		contains(stderr, roots[3]+" is offline", "nothing was changed")
		roots = roots[:3]
		writeFile(t, file, "meter,item,interval\nother,voltage_a,10s\n")
		out, stderr = do(1, "push", "-apply", file)
		contains(out, "bad_request", "row 2")
		contains(stderr, "nothing was changed")
		_, stderr = do(0, "push", "off")
		contains(stderr, "3 of 3 bridges would get another table")
	})
}

// TestFleetListens has a broker keep an offline of long ago, as a node of a cluster does, while the bridge says through
// another node that it is there.
func TestFleetListens(t *testing.T) {
	b := startMochi(t)
	root := bridgeRoot(t)
	c := newClient(t, dial(t, b.address))
	c.publish(root+"/bridge/status", "offline", func(p *paho.Publish) { p.Retain = true })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ; ctx.Err() == nil; pause(ctx, 50*time.Millisecond) {
			_, _ = c.Publish(ctx, &paho.Publish{Topic: root + "/bridge/info", QoS: 1, Payload: []byte(`{"site":"north","bus":{"state":"up"},"meters":[]}`)})
		}
	}()
	status, out, stderr := executeApart(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address}, "", "fleet", "-listen", "1m", "-roots", root, "list")
	cancel()
	<-done
	if status != 0 || !strings.Contains(out, "online  north") {
		t.Errorf("fleet list: status %d: %s%s", status, out, stderr)
	}
	if status, out, _ := executeApart(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address}, "", "fleet", "-listen", "10ms", "-roots", root, "list"); status != 1 || !strings.Contains(out, "offline") {
		t.Errorf("fleet list of one that is silent: status %d: %s", status, out)
	}
}

// TestFleetDoubtsBridges has one of the bridges say of itself what none says, as whoever has its account may. The others are
// asked all the same, and what is shown stays in its columns.
func TestFleetDoubtsBridges(t *testing.T) {
	t.Parallel()
	eachBroker(t, func(t *testing.T, b *testBroker) {
		roots := append(startFleet(t, testProgram(t), b, 1), bridgeRoot(t)+"-x")
		c := newClient(t, dial(t, b.address))
		for topic, payload := range map[string]string{
			"status": "online",
			"info":   `{"site":"a\u001b[2J\n\tb","host":"\u0007","bus":{"state":"up"},"meters":[{"name":"+/#"},{"name":""},{"name":"a\tb"}]}`,
		} {
			c.publish(roots[1]+"/bridge/"+topic, payload, func(p *paho.Publish) { p.Retain = true })
		}
		run := func(arguments ...string) (status int, out, stderr string) {
			t.Helper()
			return executeApart(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address}, "", append([]string{"fleet", "-roots", strings.Join(roots, ",")}, arguments...)...)
		}
		if status, out, stderr := run("list"); status != 0 || strings.Count(out, "\n") != 3 || strings.ContainsAny(out, "\x1b\t\a") || !strings.Contains(out, "a\ufffd[2J\ufffd\ufffdb") {
			t.Errorf("list: status %d: %q%s", status, out, stderr)
		}
		status, out, stderr := run("ask", "all", "frequency")
		if status != 1 || strings.Count(out, "frequency") != 2 || strings.Count(stderr, "no name of one") != 3 || strings.Contains(stderr, "lost") {
			t.Errorf("ask: status %d: %s%s", status, out, stderr)
		}
		file := filepath.Join(t.TempDir(), "points.csv")
		writeFile(t, file, "meter,item,interval\n"+strings.Repeat("# a long table\n", 100_000))
		if status, out, _ := run("push", file); status != 1 || strings.Count(out, "a bridge takes no more than 1048576") != 2 {
			t.Errorf("push: status %d: %s", status, out)
		}
		writeFile(t, file, "\ufeff"+roots[0]+"\r\n")
		if status, out, stderr := executeApart(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + b.address}, "", "fleet", "-roots", "@"+file, "list"); status != 0 {
			t.Errorf("roots of a file as Windows writes it: status %d: %s%s", status, out, stderr)
		}
	})
}

// TestFleetComplains uses the command as it cannot be used.
func TestFleetComplains(t *testing.T) {
	setAll(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + freeAddress(t)})
	for arguments, want := range map[string]struct {
		status int
		text   string
	}{
		"":                             {2, "Usage"},
		"list x":                       {2, "Usage"},
		"ask main":                     {2, "Usage"},
		"switch main":                  {2, "Usage"},
		"ask + voltage_a":              {2, "neither the name of a meter nor an address"},
		"ask main/# voltage_a":         {2, "neither the name of a meter nor an address"},
		"-at-once 0 list":              {2, "-at-once"},
		"-roots # list":                {78, "filter"},
		"-roots , list":                {78, "no root"},
		"-roots @/nowhere list":        {78, "/nowhere"},
		"-account a/b list":            {78, "-account"},
		"-wait 10ms list":              {1, "cannot be used"},
		"-wait 10ms push /nowhere.csv": {1, "/nowhere.csv"},
	} {
		status, out, stderr := execute(t, "", append([]string{"fleet"}, strings.Fields(arguments)...)...)
		if status != want.status || !strings.Contains(stderr, want.text) {
			t.Errorf("fleet %s: status %d, want %d and %q: %s%s", arguments, status, want.status, want.text, out, stderr)
		}
	}
}
