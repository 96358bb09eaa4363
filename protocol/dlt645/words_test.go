package dlt645

import (
	"runtime"
	"testing"
)

// The words are gathered when somebody asks for what there is not, while everybody else waits.
func TestWordsAreFew(t *testing.T) {
	Items(V2007).words() // what is read along is kept
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	Items(V2007).words()
	runtime.ReadMemStats(&after)
	const most = 32 << 20
	if took := after.TotalAlloc - before.TotalAlloc; took > most {
		t.Errorf("%d bytes were allocated, %d are the most", took, most)
	}
}
