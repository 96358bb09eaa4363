package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// listenAsSystemd makes the socket on which systemd hears its services. received returns the
// next so many messages.
func listenAsSystemd(t *testing.T) (received func(n int) []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func(n int) (messages []string) {
		t.Helper()
		buffer := make([]byte, 100)
		for range n {
			length, err := socket.Read(buffer)
			if err != nil {
				t.Fatalf("after %q: %v", messages, err)
			}
			messages = append(messages, string(buffer[:length]))
		}
		return messages
	}
}

type testService struct {
	started chan struct{}
	hangs   atomic.Bool
}

func (s *testService) Started() <-chan struct{} { return s.started }
func (s *testService) Unhealthy() string {
	if s.hangs.Load() {
		return "the bus has not moved for 1m0s"
	}
	return ""
}

func TestSystemdHearsOfAHealthyBridgeOnly(t *testing.T) {
	received := listenAsSystemd(t)
	t.Setenv("WATCHDOG_USEC", "60000000")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := &testService{started: make(chan struct{})}
		go notifySystemd(ctx, s, slog.New(slog.DiscardHandler))
		pass := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		pass(time.Hour) // not started yet
		close(s.started)
		pass(91 * time.Second) // three half minutes
		s.hangs.Store(true)
		pass(time.Hour)
		s.hangs.Store(false)
		pass(30 * time.Second)
		stop()
		synctest.Wait()
	})
	want := []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"}
	if got := received(len(want)); !slices.Equal(got, want) {
		t.Errorf("systemd heard %q, want %q", got, want)
	}
}

func TestSystemdWatchdogOfAnother(t *testing.T) {
	received := listenAsSystemd(t)
	t.Setenv("WATCHDOG_USEC", "60000000")
	t.Setenv("WATCHDOG_PID", "1")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		s := &testService{started: make(chan struct{})}
		close(s.started)
		go notifySystemd(ctx, s, slog.New(slog.DiscardHandler))
		time.Sleep(time.Hour)
		stop()
		synctest.Wait()
	})
	if got, want := received(2), []string{"READY=1", "STOPPING=1"}; !slices.Equal(got, want) {
		t.Errorf("systemd heard %q, want %q", got, want)
	}
}

// TestSystemdHearsOfARealBridge runs the binary's main job, whose broker is not there.
func TestSystemdHearsOfARealBridge(t *testing.T) {
	received := listenAsSystemd(t)
	t.Setenv("WATCHDOG_USEC", "100000")
	_, stop := startBridge(t, map[string]string{"DLT645_MQTT_URL": "mqtt://" + freeAddress(t), "DLT645_BUS_URL": quickMeters})
	if got, want := received(3), []string{"READY=1", "WATCHDOG=1", "WATCHDOG=1"}; !slices.Equal(got, want) {
		t.Errorf("systemd heard %q, want %q", got, want)
	}
	stop()
	for message := ""; message != "STOPPING=1"; {
		if message = received(1)[0]; message != "WATCHDOG=1" && message != "STOPPING=1" {
			t.Fatalf("systemd heard %q of a bridge that stops", message)
		}
	}
}

func TestSystemdDoesNotListen(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	var log strings.Builder
	ctx, stop := context.WithCancel(t.Context())
	stop()
	s := &testService{started: make(chan struct{})}
	notifySystemd(ctx, s, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "systemd does not hear") {
		t.Errorf("logged %q", &log)
	}
}

// TestSystemdUnit checks what systemd-analyze verify cannot know.
func TestSystemdUnit(t *testing.T) {
	unit := readFile(t, "deploy/systemd/dlt645-mqtt.service")
	setAll(t, map[string]string{"DLT645_MQTT_URL": ""})
	status, _, _ := execute(t, "")
	if want := fmt.Sprintf("\nRestartPreventExitStatus=%d\n", status); status == 0 || !strings.Contains(unit, want) {
		t.Errorf("the bridge ends with status %d for a wrong configuration, and the unit has no line %q", status, want)
	}
	known := variables()
	for _, file := range []string{unit, readFile(t, "deploy/systemd/dlt645-mqtt.env")} {
		for _, name := range regexp.MustCompile(prefix+`_[A-Z_0-9]+`).FindAllString(file, -1) {
			if !slices.Contains(known, name) {
				t.Errorf("%s is no variable", name)
			}
		}
	}
}

// TestSystemdEnvironment reads the example's lines, those that are commented out as well, as the
// bridge would.
func TestSystemdEnvironment(t *testing.T) {
	variables := map[string]string{"DLT645_METER_PASSWORD": "02123456"}
	for _, line := range regexp.MustCompile(`(?m)^#?(DLT645_[A-Z_]+)=(.*)$`).FindAllStringSubmatch(readFile(t, "deploy/systemd/dlt645-mqtt.env"), -1) {
		variables[line[1]] = line[2]
	}
	if !strings.HasPrefix(variables["DLT645_POINTS"], "/etc/") {
		t.Errorf("the point table is %s", variables["DLT645_POINTS"])
	}
	variables["DLT645_POINTS"] = "basic" // there is no such file here
	setAll(t, variables)
	if c, err := readConfig(true); err != nil || !c.allow["relay"] || c.meters[0].Address.Text != "AAAAAAAAAAAA" {
		t.Errorf("%+v, %v", c, err)
	}
}
