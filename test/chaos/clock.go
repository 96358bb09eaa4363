//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A wall clock belongs to the whole machine, so that it cannot be set for one process. A bridge with a clock of
// its own is the same program, built with another package time: what Now says of the time of day is off by as
// many seconds as a file says. The monotonic clock is untouched, as where the clock of a host is set.
const (
	clockFile = "CHAOS_CLOCK" // the variable that names the file

	timeHook = "sec, nsec, mono := runtimeNow()\n"
	timePart = `
// chaosOffset is added to the seconds of the time of day.
//
//go:linkname chaosOffset
var chaosOffset int64
`
	mainPart = `package main

import (
	"os"
	"strconv"
	"sync/atomic"
	"time"
	_ "unsafe"
)

//go:linkname chaosOffset time.chaosOffset
var chaosOffset int64

func init() {
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			text, _ := os.ReadFile(os.Getenv("` + clockFile + `"))
			if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
				atomic.StoreInt64(&chaosOffset, n)
			}
		}
	}()
}
`
)

// buildWithClock builds the program in the current folder with a clock that can be set, and returns its path.
func buildWithClock(folder string) (program string, err error) {
	root, err := exec.Command("go", "env", "GOROOT").Output() //nolint:noctx // it takes no time
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	changed := strings.Replace(string(text), timeHook, timeHook+"\tsec += atomic.LoadInt64(&chaosOffset)\n", 1)
	if changed == string(text) {
		return "", errors.New("this version of package time reads the clock in another way")
	}
	changed = strings.Replace(changed, "import (\n", "import (\n\t\"sync/atomic\"\n", 1) + timePart
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	overlay := map[string]string{source: filepath.Join(folder, "time.go.txt"), filepath.Join(here, "chaos_clock.go"): filepath.Join(folder, "clock.go.txt")}
	description, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		return "", err
	}
	file := filepath.Join(folder, "overlay.json")
	for name, text := range map[string]string{overlay[source]: changed, overlay[filepath.Join(here, "chaos_clock.go")]: mainPart, file: string(description)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	program = filepath.Join(folder, "dlt645-mqtt-clock")
	build := exec.Command("go", "build", "-overlay", file, "-o", program, ".") //nolint:noctx,gosec // it ends by itself
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return program, nil
}

// clock is what the timeline calls the clock of a site's bridge.
func (s *site) clock() string { return "the clock of " + s.name }

// setClock sets the clock of a site's bridge so far ahead of ours.
func (s *site) setClock(ahead time.Duration) error {
	// Written beside and renamed, so that no half of a number is read.
	beside := s.clockFile + ".new"
	if err := os.WriteFile(beside, fmt.Appendf(nil, "%d", int64(ahead/time.Second)), 0o600); err != nil {
		return err
	}
	return os.Rename(beside, s.clockFile)
}

// ofClock are the calamities of a bridge's clock.
func (c *chaos) ofClock(at *site) []calamity {
	var deck []calamity
	for _, ahead := range []time.Duration{-24 * time.Hour, -time.Hour, -10 * time.Second, 10 * time.Second, time.Hour, 24 * time.Hour} {
		deck = append(deck, calamity{fmt.Sprintf("set by %s and back", ahead), func(ctx context.Context, random *rand.Rand) {
			over := c.timeline.begin(at.clock())
			if err := at.setClock(ahead); err != nil {
				c.ledger.blame("%v", err)
			}
			pause(ctx, between(random, time.Second, 20*time.Second))
			if err := at.setClock(0); err != nil {
				c.ledger.blame("%v", err)
			}
			over(2 * time.Second)
		}})
	}
	return deck
}
