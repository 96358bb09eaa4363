package dlt698

import (
	"runtime"
	"testing"
)

// The words are gathered when somebody asks for what there is not, while everybody else waits.
func TestWordsAreFew(t *testing.T) {
	words() // what is read along is kept
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	words()
	runtime.ReadMemStats(&after)
	const most = 8 << 20
	if took := after.TotalAlloc - before.TotalAlloc; took > most {
		t.Errorf("%d bytes were allocated, %d are the most", took, most)
	}
}
