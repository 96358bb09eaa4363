package main

import (
	"runtime"
	"testing"
	"time"
)

func TestGarbageFor(t *testing.T) {
	for _, row := range []struct {
		cycles  uint64
		percent int
		used    uint64
		want    int
	}{
		{0, leastGarbage, 0, leastGarbage},
		{1, leastGarbage, 5 << 20, leastGarbage},
		{50, leastGarbage, 5 << 20, mostGarbage},
		{13, mostGarbage, 5 << 20, mostGarbage}, // as many as 52 with the least
		{0, mostGarbage, 5 << 20, leastGarbage},
		{50, leastGarbage, 10 << 20, leastGarbage}, // all of it stays below 12 MiB
		{50, mostGarbage, 8 << 20, 50},
		{50, leastGarbage, 100 << 20, leastGarbage},
	} {
		if got := garbageFor(row.cycles, row.percent, row.used); got != row.want {
			t.Errorf("%d collections of %d %% beside %d MiB: %d %%, want %d", row.cycles, row.percent, row.used>>20, got, row.want)
		}
	}
}

// TestTellCollected tells of one collection after the other.
func TestTellCollected(t *testing.T) {
	collected := make(chan struct{}, 1)
	tellCollected(t.Context(), collected)
	for i := range 3 {
		runtime.GC()
		select {
		case <-collected:
		case <-time.After(10 * time.Second):
			t.Fatalf("collection %d is not told", i)
		}
	}
}
