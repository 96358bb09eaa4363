package bridge

import (
	"testing"
	"time"
)

// TestLackingItems leaves out what a meter does not have, for a day.
func TestLackingItems(t *testing.T) {
	asked := 0
	poll(t, "meter,item,interval\nmain,voltage_a,1m\nmain,lacking,1m\n", 0, func(_, item string) string {
		if item == "lacking" {
			asked++
			return "lacking"
		}
		return "1.0"
	}, func(p *post) {
		time.Sleep(12 * time.Hour)
		p.meters(func() {
			if asked != refusalsOfItem {
				t.Errorf("asked %d times in twelve hours, want %d", asked, refusalsOfItem)
			}
		})
		time.Sleep(13 * time.Hour)
		p.meters(func() {
			if asked < refusalsOfItem+1 || asked > 2*refusalsOfItem {
				t.Errorf("asked %d times in 25 hours", asked)
			}
		})
	})
}
