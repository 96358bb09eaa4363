package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestForgetStart gives the program's pages back. Fewer are in memory afterwards, and it runs on.
func TestForgetStart(t *testing.T) {
	ofFile := func() int {
		for line := range strings.SplitSeq(readFile(t, "/proc/self/status"), "\n") {
			if size, ok := strings.CutPrefix(line, "RssFile:"); ok {
				n, err := strconv.Atoi(strings.Fields(size)[0])
				if err != nil {
					t.Fatal(err)
				}
				return n << 10
			}
		}
		t.Skip("this kernel does not tell")
		return 0
	}
	before := ofFile()
	asked, err := forgetStart()
	after := ofFile()
	if info, statErr := os.Stat("/proc/self/exe"); statErr != nil || err != nil || asked < int(info.Size())/4 {
		t.Fatalf("%d bytes were asked about: %v, %v", asked, err, statErr)
	}
	if before-after < 1<<20 {
		t.Errorf("%d bytes of the program are in memory, before there were %d", after, before)
	}
}
