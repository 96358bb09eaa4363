package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetStart gives the pages of the program itself back that are in memory: most of them only the
// start has needed, which compiles patterns and reads tables. What is needed still is mapped again when it
// is next looked at, out of the kernel's cache. It returns how many bytes were asked about.
func forgetStart() (asked int, err error) {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 0, err
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	type part struct{ from, to uintptr }
	var parts []part
	for line := range strings.Lines(string(maps)) {
		var p part
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %4s", &p.from, &p.to, &rights); err != nil || !strings.HasSuffix(line, " "+program+"\n") {
			continue
		}
		if rights[0] != 'r' || rights[1] == 'w' || rights[3] != 'p' {
			continue // what was written there would be lost
		}
		parts = append(parts, p)
	}
	// All at once, for what reads the list is not needed again either: the kernel maps sixteen pages for each
	// that is looked at. Code and constants are where they are for as long as the process lives.
	for _, p := range parts {
		if _, _, failure := unix.Syscall(unix.SYS_MADVISE, p.from, p.to-p.from, unix.MADV_DONTNEED); failure != 0 {
			return asked, failure
		}
		asked += int(p.to - p.from)
	}
	return asked, nil
}
