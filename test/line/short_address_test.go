package line

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"dlt645-mqtt/bridge/meters"
	"dlt645-mqtt/protocol/dlt645"
	"dlt645-mqtt/simulator"
)

// TestShortAddressOf1997 looks after a meter whose address AAH fills up, by that address and as the only
// one on the wire. In the 1997 edition it is an address like any other.
func TestShortAddressOf1997(t *testing.T) {
	for _, given := range []string{"12", "AAAAAAAAAAAA"} {
		synctest.Test(t, func(t *testing.T) {
			meter, err := simulator.NewMeter(simulator.MeterOptions{Address: "12", Version: dlt645.V1997})
			if err != nil {
				t.Fatal(err)
			}
			v := NewSite(t, simulator.BusOptions{Meters: []*simulator.Meter{meter}, Baud: 1200, Turnaround: 20 * time.Millisecond}, nil)
			v.Stop()
			edition := dlt645.New(dlt645.V1997, time.FixedZone("", 8*60*60))
			m := meters.Meter{Name: "short", Protocol: edition}
			if m.Address, err = edition.ParseAddress(given); err != nil {
				t.Fatal(err)
			}
			v.Meters = []meters.Meter{m}
			v.Start(t)
			defer v.Stop()
			ask := func(tail, body string) (reply struct {
				OK      bool
				Address string
				Result  string
				Bus     struct{ Steps int }
				Error   struct{ Code, Message string }
			},
			) {
				if err := json.Unmarshal(v.Ask(tail, []byte(body)), &reply); err != nil {
					t.Fatal(err)
				}
				return reply
			}
			if r := ask("read/short", "voltage_a"); !r.OK || r.Address != "AAAAAAAAAA12" {
				t.Errorf("%s: read: %+v", given, r)
			}
			if r := ask("read/short", "voltage_a"); !r.OK || r.Bus.Steps != 1 {
				t.Errorf("%s: read: %+v", given, r)
			}
			if r := ask("read/short", `{"items":["voltage_a"],"max_age_ms":60000}`); !r.OK || r.Bus.Steps != 0 {
				t.Errorf("%s: a value of just now will do, but the meter was asked: %+v", given, r)
			}
			if r := ask("maintenance/short", "sync_clock"); !r.OK || r.Result != "verified" {
				t.Errorf("%s: command: %+v", given, r)
			}
			if r := ask("read/short", `{"items":["voltage_a"],"max_age_ms":60000}`); !r.OK || r.Bus.Steps != 1 {
				t.Errorf("%s: a value of before the command is taken: %+v", given, r)
			}
		})
	}
}
