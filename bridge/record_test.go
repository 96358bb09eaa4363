package bridge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol"
)

// TestOnlyMeterExchanged puts another meter in the place of the only one on the wire. What was read of the
// first is neither a value of the second, nor speaks against what that one counts.
func TestOnlyMeterExchanged(t *testing.T) {
	poll(t, "meter,item,interval,max\nonly,energy,12h,\nonly,voltage_a,12h,230\n", 0, always("lacking"), func(p *post) {
		time.Sleep(time.Second)
		p.heard("only/state")
		number := func(text string) protocol.Decimal {
			d, err := protocol.ParseDecimal(text)
			if err != nil {
				t.Fatal(err)
			}
			return d
		}
		say := func(address string, values ...protocol.Value) {
			o := meters.Outcome{Step: protocol.Step{Meter: parrotKey("AAAAAAAAAAAA"), Repeatable: true}, Time: time.Now()}
			o.Result = protocol.Result{Address: parrotAt(address), Values: values}
			p.keeper.Observe([]meters.Outcome{o})
		}
		asked := len(p.cage.said())
		say("000000000011", protocol.Value{Name: "energy", Data: number("800.00")}, protocol.Value{Name: "voltage_a", Data: number("240.0")}, protocol.Value{Name: "status_3.relay_open", Data: true})
		time.Sleep(time.Minute)
		say("000000000012", protocol.Value{Name: "energy", Data: number("0.05")})
		var told []string
		for _, payload := range p.heard("only/state") {
			values, _, _ := strings.Cut(payload, `,"time"`)
			told = append(told, values)
		}
		if got := fmt.Sprint(told); got != `[{"energy":800.00,"voltage_a":240.0,"relay":"open" {"energy":0.05]` {
			t.Errorf("states %s", got)
		}
		time.Sleep(time.Second)
		if len(p.cage.said()) <= asked {
			t.Error("the other meter was not asked for its points")
		}
	})
}
