package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// isProgram is the variable by which a test binary is told to be the program itself.
const isProgram = "TEST_BINARY_IS_PROGRAM"

// leastAtOnce is how many tests run beside each other at least, unless -parallel says something else. Those
// that may wait for brokers, meters and timers, and would do with much less than a processor each.
const leastAtOnce = 8

func TestMain(m *testing.M) {
	if os.Getenv(isProgram) != "" {
		main()
	}
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen && runtime.GOMAXPROCS(0) < leastAtOnce {
		if err := flag.Set("test.parallel", strconv.Itoa(leastAtOnce)); err != nil {
			panic(err)
		}
	}
	status := m.Run()
	_ = os.RemoveAll(binaries)
	os.Exit(status)
}

// ours reports whether a variable, as NAME or NAME=value, is one of ours.
func ours(variable string) bool { return strings.HasPrefix(variable, prefix+"_") }

// setAll sets variables for one test, and no other of ours. A test that runs beside others has
// withVariables instead.
func setAll(t testing.TB, variables map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); ours(name) {
			t.Setenv(name, value) // puts it back afterwards
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// oneSetting is held by the test whose variables are set.
var oneSetting sync.Mutex

// withVariables has something started while these variables of ours are set, and no others. The environment
// belongs to the whole process, so tests that run beside each other take turns: start must return once
// what it starts has read the variables.
func withVariables(t testing.TB, variables map[string]string, start func()) {
	t.Helper()
	oneSetting.Lock()
	defer oneSetting.Unlock()
	defer keepVariables(t)()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); ours(name) {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := setAsTheyAre(variables); err != nil {
		t.Fatal(err)
	}
	start()
}

// setAsTheyAre sets variables, also those that are empty. Whoever calls it puts back what was there.
func setAsTheyAre(variables map[string]string) (err error) {
	for name, value := range variables {
		err = errors.Join(err, os.Setenv(name, value))
	}
	return err
}

// testProgram is the program in the test binary, without the time that it takes to build one. It wants the variable
// isProgram, which the binary of a release does not mind.
func testProgram(t *testing.T) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// environmentWith is the environment of a process that has these variables of ours, and no others.
func environmentWith(variables map[string]string) []string {
	all := slices.DeleteFunc(os.Environ(), ours)
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		all = append(all, name+"="+variables[name])
	}
	return all
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// writeFile writes a file that nobody else may read.
func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// keepVariables returns what puts our variables back as they are now.
func keepVariables(t testing.TB) (restore func()) {
	t.Helper()
	before := os.Environ()
	return func() {
		for _, entry := range os.Environ() {
			if name, _, _ := strings.Cut(entry, "="); !slices.Contains(before, entry) && ours(name) {
				if err := os.Unsetenv(name); err != nil {
					t.Error(err)
				}
			}
		}
		for _, entry := range before {
			if name, value, _ := strings.Cut(entry, "="); ours(name) {
				if err := setAsTheyAre(map[string]string{name: value}); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

// execute runs a command of the binary and returns what it prints. The variables that its options
// set are undone.
func execute(t *testing.T, in string, arguments ...string) (status int, out, stderr string) {
	t.Helper()
	defer keepVariables(t)()
	var o, e bytes.Buffer
	status = run(t.Context(), arguments, strings.NewReader(in), &o, &e)
	return status, o.String(), e.String()
}

// executeApart does so in a process of its own with these variables, for tests that run beside others.
func executeApart(t *testing.T, variables map[string]string, in string, arguments ...string) (status int, out, stderr string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), testProgram(t), arguments...)
	command.Env = append(environmentWith(variables), isProgram+"=yes")
	var o, e bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(in), &o, &e
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), o.String(), e.String()
}

func get(t *testing.T, address string) (status int, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// A watched is a buffer that tells when some text has been written to it.
type watched struct {
	want string
	seen chan struct{}
	once sync.Once
	mu   sync.Mutex
	text bytes.Buffer
}

func newWatched(want string) *watched { return &watched{want: want, seen: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.text.Write(p)
	if strings.Contains(w.text.String(), w.want) {
		w.once.Do(func() { close(w.seen) })
	}
	return n, err
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

var (
	binaries    string // the folder with the binary that buildBinary has built; empty: none
	buildOnce   sync.Once
	buildFailed error
)

// buildBinary builds the binary as a release does, once for all tests, and returns its path.
func buildBinary(t *testing.T) string {
	t.Helper()
	buildOnce.Do(func() {
		if binaries, buildFailed = os.MkdirTemp("", "dlt645-mqtt-test-"); buildFailed != nil { //nolint:usetesting // it outlives the first test that wants it
			return
		}
		build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binaries, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			buildFailed = fmt.Errorf("%w: %s", err, out)
		}
	})
	if buildFailed != nil {
		t.Fatal(buildFailed)
	}
	return filepath.Join(binaries, "dlt645-mqtt")
}

// pause waits, unless the context ends before.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// await waits until something is so.
func await(t *testing.T, most time.Duration, otherwise string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(most); !is(); pause(t.Context(), 100*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s after %v", otherwise, most)
		}
	}
}
