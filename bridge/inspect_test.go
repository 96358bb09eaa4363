package bridge

import (
	"errors"
	"testing"
	"time"

	"dlt645-mqtt/bridge/meters"
)

// TestInspection reads along what tells of power failures and of the clock.
func TestInspection(t *testing.T) {
	failures, energy := "3", "10.00"
	poll(t, "meter,item,interval\nmain,energy,1m\n", 0, func(_, item string) string {
		switch item {
		case "power_down_count":
			return failures
		case "maximum_current":
			return "\"5(60)A\""
		case "rated_voltage":
			return "\"220V\""
		}
		return energy
	}, func(p *post) {
		time.Sleep(2 * time.Hour)
		if got := p.events("main"); got != nil {
			t.Errorf("events %q", got)
		}
		p.meters(func() { failures = "4" })
		time.Sleep(time.Hour)
		if got := p.events("main", "count", "before"); len(got) != 1 || got[0] != "power_failure 4 3" {
			t.Errorf("events %q", got)
		}
		p.meters(func() { energy = "14.00" }) // 240 kW
		time.Sleep(time.Minute)
		if got := p.events("main", "item", "value"); len(got) != 1 || got[0] != "implausible_value energy 14.00" {
			t.Errorf("events %q", got)
		}
	})
}

// TestInspectionOfAMeterNotFound does not ask whoever is there for the clock.
func TestInspectionOfAMeterNotFound(t *testing.T) {
	poll(t, "meter,item,interval\nmain,energy,1m\n", 0, always("1.00"), func(p *post) {
		p.meters(func() { p.cage.down = true })
		if err := p.keeper.Inspect("only"); !errors.Is(err, meters.ErrNotAll) {
			t.Errorf("%v, want %v", err, meters.ErrNotAll)
		}
	})
}
