package main

import (
	"bufio"
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
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, err
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		line := lines.Text()
		var from, to uintptr
		var rights string
		if _, err := fmt.Sscanf(line, "%x-%x %4s", &from, &to, &rights); err != nil || !strings.HasSuffix(line, " "+program) {
			continue
		}
		if rights[0] != 'r' || rights[1] == 'w' || rights[3] != 'p' {
			continue // what was written there would be lost
		}
		// Code and constants are where they are for as long as the process lives.
		if _, _, failure := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); failure != 0 {
			return asked, failure
		}
		asked += int(to - from)
	}
	return asked, nil
}
