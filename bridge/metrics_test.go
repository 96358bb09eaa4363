package bridge

import (
	"strings"
	"testing"
	"time"
)

// TestMetricsShowNothingOld has a meter fall silent: its last values are not shown for ever as those of now.
func TestMetricsShowNothingOld(t *testing.T) {
	silent := false
	say := func(address, _ string) string {
		if silent && address == "000000000001" {
			return ""
		}
		return "1.0"
	}
	poll(t, "meter,item,interval\nmain,voltage_a,10s\nmain,energy,15m\n", 0, say, func(p *post) {
		shown := func(want ...string) {
			t.Helper()
			var text strings.Builder
			p.keeper.WriteMetrics(&text)
			for _, item := range []string{"voltage_a", "energy"} {
				is := strings.Contains(text.String(), `dlt645_point_value{meter="main",item="`+item+`"} 1.0`)
				if was := strings.Contains(strings.Join(want, " "), item); is != was {
					t.Errorf("%v after midnight %s is shown: %t, want %t", sinceMidnight(), item, is, was)
				}
			}
		}
		time.Sleep(time.Hour - time.Second)
		shown("voltage_a", "energy")
		p.meters(func() { silent = true })
		time.Sleep(4 * time.Minute)
		shown("voltage_a", "energy")
		time.Sleep(2 * time.Minute)
		shown("energy")
		time.Sleep(time.Hour)
		shown()
		p.meters(func() { silent = false })
		time.Sleep(20 * time.Minute)
		shown("voltage_a", "energy")
	})
}
