package meters

import (
	"testing"
	"time"

	"dlt645-mqtt/bridge/points"
	"dlt645-mqtt/protocol"
)

// energies is a protocol whose meters have one register of energy.
type energies struct{ protocol.Catalogue }

func (energies) Name() string { return "energies" }

func (energies) Basic() []string { return []string{"energy"} }

func (energies) Describe(name string) (protocol.ItemDescription, bool) {
	return protocol.ItemDescription{Name: name, Unit: "kWh", Form: protocol.FormNumber, Decimals: 2, Digits: 8, Counter: true, Ratio: protocol.RatioPower}, name == "energy"
}

// TestJudgeBehindTransformers judges readings as the register has them: it begins anew after its own last
// digit, and rises no faster than the meter's own ratings allow.
func TestJudgeBehindTransformers(t *testing.T) {
	primary, err := protocol.WithRatios(energies{}, protocol.Ratios{Current: protocol.Decimal{Coefficient: 40}})
	if err != nil {
		t.Fatal(err)
	}
	d, _ := primary.Describe("energy")
	p := &points.Point{Item: "energy", Description: d}
	decimal := func(text string) protocol.Decimal {
		d, err := protocol.ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	at := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	register := &points.Register{}
	for i, row := range []struct {
		secondary string
		watts     int64
		want      points.Verdict
	}{
		{"999999.90", 0, points.Plausible}, {"0.02", 0, points.Plausible}, // it has begun anew
		{"0.00", 0, points.Withheld}, {"0.03", 1000, points.Plausible}, {"9.00", 1000, points.Withheld},
	} {
		value, ok := decimal(row.secondary).Times(decimal("40"))
		if !ok {
			t.Fatal(row.secondary)
		}
		if got := judge(register, primary, p, value, at, row.watts); got != row.want {
			t.Errorf("reading %d, %s, is %d, want %d", i+1, value, got, row.want)
		}
		at = at.Add(time.Minute)
	}
	if got := onPrimary(primary, p, register.Last()); got.String() != "1.20" {
		t.Errorf("the last reading is told as %s", got)
	}
}
