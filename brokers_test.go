package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// eachBroker runs a test with the embedded broker and with a real mosquitto, beside each other.
func eachBroker(t *testing.T, test func(t *testing.T, b *testBroker)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, startMochi(t))
	})
	t.Run("mosquitto", func(t *testing.T) {
		t.Parallel()
		test(t, startMosquitto(t, freeAddress(t), "allow_anonymous true"))
	})
}

// A testBroker is a broker under a test's control.
type testBroker struct {
	address string
	stop    func()
	quit    func() // mosquitto: stop as it is meant to, having written down what it persists
	start   func() // again, at the same address
}

// startMochi runs the broker that the binary brings along.
func startMochi(t testing.TB) *testBroker {
	t.Helper()
	b := &testBroker{address: freeAddress(t)}
	b.start = func() {
		broker, err := serveBroker(listenOn(t, b.address))
		if err != nil {
			t.Fatal(err)
		}
		b.stop = broker.close
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// startMosquitto runs a real mosquitto with more lines of configuration, or skips the test.
// The first listener, unless the lines have their own, is the broker's address.
func startMosquitto(t testing.TB, address string, lines ...string) *testBroker {
	t.Helper()
	program := findProgram(t, "mosquitto")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	configuration := append([]string{
		"user root", // else a mosquitto started by root may not read our files
		"per_listener_settings false", "set_tcp_nodelay true", "listener " + port + " " + host,
	}, lines...)
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	writeFile(t, file, strings.Join(configuration, "\n")+"\n")
	b := &testBroker{address: address}
	b.start = func() {
		command := exec.Command(program, "-c", file)
		var output strings.Builder
		command.Stdout, command.Stderr = &output, &output
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = command.Wait(); close(ended) }()
		b.stop = func() { _ = command.Process.Kill(); <-ended }
		b.quit = func() { _ = command.Process.Signal(os.Interrupt); <-ended }
		awaitListener(t, address, ended, &output)
	}
	b.start()
	t.Cleanup(func() { b.stop() })
	return b
}

// runProgram runs a program until the test has ended.
func runProgram(t *testing.T, arguments ...string) (output *watched, ended <-chan struct{}) {
	t.Helper()
	output = newWatched("\x00")
	command := exec.CommandContext(context.WithoutCancel(t.Context()), arguments[0], arguments[1:]...)
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = command.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(arguments[len(arguments)-1]), output)
		}
	})
	return output, done
}

// passwordFile makes a mosquitto's file of passwords by account, or skips the test.
func passwordFile(t testing.TB, accounts map[string]string) string {
	t.Helper()
	program := findProgram(t, "mosquitto_passwd")
	file := filepath.Join(t.TempDir(), "passwords")
	writeFile(t, file, "")
	for account, password := range accounts {
		if out, err := exec.Command(program, "-b", file, account, password).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd: %v: %s", err, out)
		}
	}
	return file
}

// findProgram skips the test where a program is missing, and says which package has it.
func findProgram(t testing.TB, name string) string {
	t.Helper()
	program := lookFor(name)
	if program == "" {
		t.Skipf("%s is not installed (Debian: apt-get install mosquitto mosquitto-clients)", name)
	}
	return program
}

// lookFor finds a program, also where Debian keeps mosquitto; empty: it is not installed.
func lookFor(name string) string {
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if program, err := exec.LookPath(path); err == nil {
			return program
		}
	}
	return ""
}

// awaitListener waits until something listens on an address.
func awaitListener(t testing.TB, address string, ended <-chan struct{}, output fmt.Stringer) {
	t.Helper()
	awaitListenerWithin(t, patience, address, ended, output)
}

// awaitListenerWithin does so for programs that take their time.
func awaitListenerWithin(t testing.TB, most time.Duration, address string, ended <-chan struct{}, output fmt.Stringer) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(most)
	for {
		if connection, err := net.Dial("tcp", address); err == nil {
			_ = connection.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("the broker ended: %s", output)
		case <-timeout:
			t.Fatalf("nothing listens on %s", address)
		case <-ticker.C:
		}
	}
}

// The ports that freeAddress gives lie below those that systems give to connections, and to listeners that take
// any port: else another test could get the one that a stopped broker will want again.
const (
	firstPort = 10000
	manyPorts = 20000
)

// nextPort is the next of them. Test binaries that run at the same time begin far from each other.
var nextPort atomic.Int64

func init() { nextPort.Store(int64(os.Getpid()) * 251) }

// freeAddress is an address on this machine that nothing listens on, and that no other test of this binary gets.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range manyPorts {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+nextPort.Add(1)%manyPorts)
		// Asked for by a connection: a listener would live on, for a moment, in any program that is being started.
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return address
		}
		_ = connection.Close()
	}
	t.Fatal("no port is free")
	return ""
}

// listenOn listens on an address that freeAddress gave, maybe again: a program that is being started may still hold
// the listener before for a moment.
func listenOn(t testing.TB, address string) net.Listener {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(patience)
	for {
		listener, err := net.Listen("tcp", address)
		if err == nil {
			return listener
		}
		select {
		case <-timeout:
			t.Fatal(err)
		case <-ticker.C:
		}
	}
}

// A gate is a way to a broker that can be shut.
type gate struct {
	t        *testing.T
	address  string
	broker   string
	listener net.Listener
	mu       sync.Mutex
	through  []net.Conn
}

func openGate(t *testing.T, broker string) *gate {
	g := &gate{t: t, address: freeAddress(t), broker: broker}
	g.open()
	t.Cleanup(g.shut)
	return g
}

func (g *gate) open() {
	g.t.Helper()
	listener := listenOn(g.t, g.address)
	g.listener = listener
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", g.broker)
			if err != nil {
				_ = near.Close()
				continue
			}
			g.mu.Lock()
			g.through = append(g.through, near, far)
			g.mu.Unlock()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
		}
	}()
}

func (g *gate) shut() {
	_ = g.listener.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, connection := range g.through {
		_ = connection.Close()
	}
	g.through = nil
}

// TestNextBroker has the first broker of the list away, then the second one, and the bridge goes to
// whichever is there.
func TestNextBroker(t *testing.T) {
	t.Parallel()
	first, second := startMochi(t), startMochi(t)
	first.stop()
	root, _ := startBridge(t, map[string]string{
		"DLT645_MQTT_URL": "mqtt://" + first.address + ",mqtt://" + second.address, "DLT645_BUS_URL": quickMeters, "DLT645_METERS": "main=1",
	})
	c := newClient(t, dial(t, second.address), root+"/bridge/status")
	c.await(root+"/bridge/status", func(payload string) bool { return payload == "online" })
	first.start()
	second.stop()
	c = newClient(t, dial(t, first.address), root+"/bridge/status")
	c.await(root+"/bridge/status", func(payload string) bool { return payload == "online" })
	second.start()
}
