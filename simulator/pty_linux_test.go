package simulator

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPTY(t *testing.T) {
	link := filepath.Join(t.TempDir(), "meter")
	if err := os.Symlink("/nowhere", link); err != nil { // left by an earlier run
		t.Fatal(err)
	}
	terminal, err := OpenPTY(link)
	if err != nil {
		t.Fatal(err)
	}
	if terminal.Path() != link {
		t.Errorf("path %q, want %q", terminal.Path(), link)
	}
	line := newBus(t, BusOptions{Baud: 115200, WakeUp: 4}, "1")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- line.Serve(ctx, terminal) }()

	for range 2 { // a second master after the first has gone
		port, err := os.OpenFile(link, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		// 0DH and 0AH in address and data must come through unchanged.
		if frame := ask(t, port, readFrame(t, "1", 0x0280000A), 24); frame.Address != address(t, "1") {
			t.Errorf("answer %+v", frame)
		}
		port.Close()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
	if _, err := os.Lstat(link); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the link is still there: %v", err)
	}
}

// TestPTYComesBack unplugs a terminal and plugs it in again: it has another name then.
func TestPTYComesBack(t *testing.T) {
	link := filepath.Join(t.TempDir(), "meter")
	terminal, err := OpenPTY(link)
	if err != nil {
		t.Fatal(err)
	}
	line := newBus(t, BusOptions{Baud: 115200, WakeUp: 4}, "1")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- line.ServePTY(ctx, terminal) }()
	port, err := os.OpenFile(link, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	ask(t, port, readFrame(t, "1", diDemandPeriod), 21)
	before, _ := os.Readlink(link)

	line.Unplug(time.Now().Add(time.Hour))
	if n, err := port.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Errorf("an unplugged terminal reads %d bytes, %v", n, err)
	}
	port.Close()
	exists := func() bool {
		_, err := os.Lstat(link)
		return err == nil
	}
	for exists() {
		runtime.Gosched()
	}
	line.Unplug(time.Time{})
	for !exists() {
		runtime.Gosched()
	}
	if after, _ := os.Readlink(link); after == before {
		t.Errorf("the terminal is %s again", after)
	}
	if port, err = os.OpenFile(link, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	ask(t, port, readFrame(t, "1", diDemandPeriod), 21)
	port.Close()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ServePTY ended with %v", err)
	}
	if exists() {
		t.Error("the link is still there")
	}
}

func TestPTYDoesNotReplaceAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenPTY(path); err == nil {
		t.Error("OpenPTY replaced a file")
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file holds %q", b)
	}
}
