package dlt645

import (
	"sync"
	"testing"
)

// TestRowsAreCompiledWhenNeeded keeps in memory what a bridge reads, and not the table.
func TestRowsAreCompiledWhenNeeded(t *testing.T) {
	d, err := parseDictionary(V2007, items2007)
	if err != nil {
		t.Fatal(err)
	}
	compiled := func() (rows int) {
		for _, e := range d.entries {
			if e.compiled.Load() != nil {
				rows++
			}
		}
		return rows
	}
	if n := compiled(); n != 0 {
		t.Errorf("%d rows are compiled before any was asked for", n)
	}
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for _, name := range []string{"voltage_block", "forward_active_energy_t1_h2", "status_3.relay_open", "no_such_item"} {
				item, ok := d.Named(name)
				if ok != (name != "no_such_item") {
					t.Errorf("Named(%s) = %v", name, ok)
				}
				if again, _ := d.Lookup(item.DI); ok && again.family != item.family {
					t.Errorf("%s: the row was compiled twice", name)
				}
			}
		})
	}
	asking.Wait()
	read := compiled()
	if read == 0 || read > len(d.entries)/20 {
		t.Errorf("%d rows of %d are compiled for three items", read, len(d.entries))
	}
	if rows := d.Matching("voltage"); len(rows) == 0 {
		t.Error("no row is found by a word")
	}
	d.vocabulary()
	if n := compiled(); n != read {
		t.Errorf("%d rows are kept after a search, before it %d were", n, read)
	}
}
