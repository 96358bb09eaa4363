package bridge

import (
	"strings"
	"testing"
	"time"
)

// TestReadings publishes each reading as it comes: also unchanged, numbers only, with one time for what came
// together, and nothing that was withheld, refused or is text.
func TestReadings(t *testing.T) {
	say := func(_, item string) string {
		switch item {
		case "voltage_a":
			return "220.10"
		case "gone":
			return "null"
		}
		return "refused"
	}
	for _, wanted := range []bool{true, false} {
		pollAs(t, func(c *Config) { c.Readings = wanted }, "meter,item,interval\nmain,voltage_a,10s\nmain,gone,10s\nmain,missing,10s\n", 0, say, func(p *post) {
			time.Sleep(31 * time.Second)
			got := p.heard("main/readings")
			if !wanted {
				if len(got) > 0 {
					t.Errorf("published %q, though it was not wanted", got)
				}
				return
			}
			if len(got) < 3 || len(got) > 4 {
				t.Fatalf("published %q, want one each 10 s", got)
			}
			for _, payload := range got {
				if values, _, _ := strings.Cut(payload, `"time":`); values != `{"voltage_a":220.10,` {
					t.Errorf("published %s", payload)
				}
			}
		})
	}
}
