package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// leastGarbage is how much garbage, in percent of what is in use, may pile up before it is collected.
	// The bridge has some 5 MB in use; with Go's usual 100 % it would take twice the memory for
	// nothing, since collecting so little takes a millisecond every few seconds.
	leastGarbage = 25

	// Under a flood of requests it would be collected a hundred times a second, and half of the processor's
	// time go there. Then there may be more of it, as long as all stays below mostHeap bytes.
	mostGarbage = 100
	mostHeap    = 10 << 20

	// So often it is looked how often garbage was collected, and so often is too often.
	garbageInterval = 500 * time.Millisecond
	busyCollector   = 5
)

// watchGarbage lets more garbage pile up while there is much of it, until ctx ends.
func watchGarbage(ctx context.Context) {
	samples := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(garbageInterval)
	defer tick.Stop()
	percent, before := leastGarbage, uint64(0)
	for {
		metrics.Read(samples)
		cycles := samples[0].Value.Uint64()
		if wanted := garbageFor(cycles-before, percent, samples[1].Value.Uint64()); wanted != percent {
			percent = wanted
			debug.SetGCPercent(percent)
		}
		before = cycles
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// garbageFor returns how much garbage may pile up, in percent of the bytes in use, where it was collected so
// many times in the last interval with that many percent.
func garbageFor(cycles uint64, percent int, live uint64) int {
	if cycles*uint64(percent)/leastGarbage < busyCollector || live == 0 { // so many would be seldom enough
		return leastGarbage
	}
	return max(leastGarbage, min(mostGarbage, int(100*mostHeap/live)-100))
}
