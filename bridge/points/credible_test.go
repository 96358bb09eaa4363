package points

import (
	"testing"
	"time"

	"dlt645-mqtt/protocol"
)

func decimal(t *testing.T, text string) protocol.Decimal {
	t.Helper()
	d, err := protocol.ParseDecimal(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return d
}

func TestRegister(t *testing.T) {
	const p, w, r = Plausible, Withheld, Reset
	for name, row := range map[string]struct {
		watts    int64
		readings []string // one a minute
		want     []Verdict
	}{
		"rising":                        {0, []string{"9.33", "9.33", "9.34", "800000.01"}, []Verdict{p, p, p, p}},
		"one low reading":               {0, []string{"9.33", "0.00", "9.34"}, []Verdict{p, w, p}},
		"two low readings":              {0, []string{"9.33", "0.00", "0.01", "9.34", "0.02"}, []Verdict{p, w, w, p, w}},
		"cleared":                       {0, []string{"9.33", "0.00", "0.00", "0.01", "0.02"}, []Verdict{p, w, w, r, p}},
		"low, but falling":              {0, []string{"9.33", "3.00", "2.00", "1.00", "1.00", "1.00"}, []Verdict{p, w, w, w, w, r}},
		"begins anew":                   {0, []string{"999999.98", "0.01", "0.02"}, []Verdict{p, p, p}},
		"no new beginning":              {0, []string{"899999.98", "0.01"}, []Verdict{p, w}},
		"as fast as it can":             {60_000, []string{"10.00", "11.18"}, []Verdict{p, p}},
		"too fast":                      {60_000, []string{"10.00", "11.19", "10.05"}, []Verdict{p, w, p}},
		"exchanged for a higher one":    {60_000, []string{"10.00", "500.00", "500.00", "500.01", "500.02"}, []Verdict{p, w, w, r, p}},
		"begins anew, and not too fast": {60_000, []string{"999999.98", "0.50"}, []Verdict{p, p}},
		"begins anew, but too fast":     {60_000, []string{"999999.98", "5.00"}, []Verdict{p, w}},
		"always faster than rated":      {60_000, []string{"1.00", "9.00", "17.00", "25.00", "33.00", "41.00"}, []Verdict{p, w, w, r, p, p}},
	} {
		var register Register
		at := time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)
		for i, text := range row.readings {
			if got := register.Judge(decimal(t, text), at, 8, row.watts); got != row.want[i] {
				t.Errorf("%s: reading %d, %s, is %d, want %d", name, i+1, text, got, row.want[i])
			}
			at = at.Add(time.Minute)
		}
	}
}

// TestRegisterAfterYears has no overflow where the bound is largest.
func TestRegisterAfterYears(t *testing.T) {
	var register Register
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	register.Judge(decimal(t, "0.0000"), at, 10, 10_000_000)
	if got := register.Judge(decimal(t, "999999.9999"), at.AddDate(50, 0, 0), 10, 10_000_000); got != Plausible {
		t.Errorf("after 50 years the reading is %d, want it plausible", got)
	}
}

// TestRegisterOfUnknownLength judges one of which nobody knows how many digits it has, and whose digits
// behind the point vary: a float.
func TestRegisterOfUnknownLength(t *testing.T) {
	var register Register
	at := time.Date(2026, 11, 20, 18, 0, 0, 0, time.UTC)
	for i, row := range []struct {
		text string
		want Verdict
	}{{"123.456", Plausible}, {"123.5", Plausible}, {"0", Withheld}, {"123.5", Plausible}, {"9999", Plausible}, {"12", Withheld}, {"12.1", Withheld}, {"12.25", Reset}, {"13", Plausible}} {
		if got := register.Judge(decimal(t, row.text), at, 0, 0); got != row.want {
			t.Errorf("reading %d, %s, is %d, want %d", i+1, row.text, got, row.want)
		}
	}
}
