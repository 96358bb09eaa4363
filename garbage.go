package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
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
	// time go there. Then there may be more of it, as long as what is in use and the garbage stay below
	// mostHeap bytes, and all that the runtime has below mostMemory, which it sees to by itself.
	mostGarbage = 100
	mostHeap    = 12 << 20
	mostMemory  = 22 << 20

	// So long it is counted how often garbage is collected, and so often is too often.
	garbageInterval = 200 * time.Millisecond
	busyCollector   = 2
)

// startTakes is how long after the start all has been read and compiled that is read and compiled once.
const startTakes = 10 * time.Second

// spareMemory has little garbage kept, and gives back what only the start has needed, soon after it.
func spareMemory(ctx context.Context, log *slog.Logger) {
	tuned := os.Getenv("GOGC") == ""
	if tuned {
		debug.SetGCPercent(leastGarbage)
	}
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(startTakes):
		}
		debug.FreeOSMemory()
		if _, err := forgetStart(); err != nil {
			log.Debug("what only the start needed stays in memory", "err", err)
		}
		if tuned {
			watchGarbage(ctx)
		}
	}()
}

// watchGarbage lets more garbage pile up while there is much of it, until ctx ends. While nothing is collected it
// sleeps.
func watchGarbage(ctx context.Context) {
	samples := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}, {Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	collected := make(chan struct{}, 1)
	tellCollected(ctx, collected)
	defer debug.SetMemoryLimit(math.MaxInt64)
	percent := leastGarbage
	for {
		if percent == leastGarbage {
			select {
			case <-ctx.Done():
				return
			case <-collected:
			}
		}
		metrics.Read(samples)
		before := samples[0].Value.Uint64()
		select {
		case <-ctx.Done():
			return
		case <-time.After(garbageInterval):
		}
		metrics.Read(samples)
		// Stacks count as what is in use: garbage may be as much as a share of both.
		if wanted := garbageFor(samples[0].Value.Uint64()-before, percent, samples[1].Value.Uint64()+samples[2].Value.Uint64()); wanted != percent {
			percent = wanted
			debug.SetGCPercent(percent)
			// A bridge that needs more than that by itself must not collect garbage all the time.
			limit := int64(math.MaxInt64)
			if percent > leastGarbage {
				limit = mostMemory
			}
			debug.SetMemoryLimit(limit)
		}
	}
}

// tellCollected sends on a channel after each collection of garbage, unless something is there already, until ctx ends.
func tellCollected(ctx context.Context, collected chan<- struct{}) {
	type garbage struct{ _ *byte } // one with a pointer is not put together with others that live on
	runtime.AddCleanup(&garbage{}, func(struct{}) {
		select {
		case collected <- struct{}{}:
		default:
		}
		if ctx.Err() == nil {
			tellCollected(ctx, collected)
		}
	}, struct{}{})
}

// garbageFor returns how much garbage may pile up, in percent of the bytes in use, where it was collected so
// many times in the last interval with that many percent.
func garbageFor(cycles uint64, percent int, used uint64) int {
	if cycles*uint64(percent)/leastGarbage < busyCollector || used == 0 { // so many would be seldom enough
		return leastGarbage
	}
	return max(leastGarbage, min(mostGarbage, int(100*mostHeap/used)-100))
}
