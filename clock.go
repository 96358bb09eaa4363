package main

import (
	"fmt"
	"os"
	"time"
)

// hostClock returns a check that fails while the clock of this host is unfit to set meters by: while it
// is not synchronised, unless it is trusted, or shows a time before the program was built.
func hostClock(trusted bool) func() error {
	built := buildTime()
	return func() error {
		if now := time.Now(); now.Before(built) {
			return fmt.Errorf("the clock of this host shows %s, which was before this program was built (%s): set it", now.Format(time.RFC3339), built.Format(time.RFC3339))
		}
		if trusted {
			return nil
		}
		return synchronised()
	}
}

// buildTime is when this program was built, as far as its file tells.
func buildTime() time.Time {
	path, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
