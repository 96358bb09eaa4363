package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// setAll sets variables for one test, and no other of ours.
func setAll(t testing.TB, variables map[string]string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix+"_") {
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
			if name, _, _ := strings.Cut(entry, "="); !slices.Contains(before, entry) && strings.HasPrefix(name, prefix+"_") {
				if err := os.Unsetenv(name); err != nil {
					t.Error(err)
				}
			}
		}
		for _, entry := range before {
			if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix+"_") {
				if err := os.Setenv(name, value); err != nil { //nolint:usetesting // it puts back what was there
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

// buildBinary builds the binary as a release does and returns its path.
func buildBinary(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "dlt645-mqtt")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return file
}
