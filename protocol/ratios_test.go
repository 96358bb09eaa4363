package protocol

import (
	"errors"
	"fmt"
	"testing"
)

func TestParseRatio(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"40", "40"}, {"10.5", "10.5"}, {"10.50", "10.5"}, {"100.0", "100"}, {"0.2", "0.2"}, {"99999999", "99999999"},
		{"0", ""}, {"0.0", ""}, {"-40", ""}, {"40/5", ""}, {"", ""}, {"x", ""}, {"1e3", ""}, {"100000000", ""}, {"0.00001", ""}, {"+4", ""},
	} {
		d, err := ParseRatio(row.text)
		if (err == nil) != (row.want != "") || err == nil && d.String() != row.want {
			t.Errorf("%q is the ratio %s, %v, want %s", row.text, d, err, row.want)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, row := range []struct{ a, b, want string }{
		{"220.1", "10.5", "2311.05"}, {"800000.01", "4000", "3200000040.00"}, {"-0.0120", "40", "-0.4800"}, {"0.00", "40", "0.00"},
		{"9999999999.99", "99999999", ""}, {"123456789012345678", "10", ""}, {"1.00000000000000000", "0.0010", "0.00100000000000000"},
	} {
		a, err := ParseDecimal(row.a)
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseDecimal(row.b)
		if err != nil {
			t.Fatal(err)
		}
		product, ok := a.Times(b)
		if ok != (row.want != "") || ok && product.String() != row.want {
			t.Errorf("%s × %s = %s, %v, want %s", a, b, product, ok, row.want)
		}
	}
}

// metering is a protocol that measures a few things.
type metering struct {
	Catalogue
	values []Value
}

func (m *metering) Name() string { return "metering" }

func (m *metering) Basic() []string { return []string{"power"} }

func (m *metering) Describe(name string) (ItemDescription, bool) {
	ratio := map[string]Ratio{"volts": RatioVoltage, "amperes": RatioCurrent, "power": RatioPower}[name]
	return ItemDescription{Name: name, Decimals: 1, Digits: 8, Ratio: ratio}, ratio != RatioNone || name == "list" || name == "record"
}

func (m *metering) FieldRatio(_, field string) Ratio {
	d, _ := m.Describe(field)
	return d.Ratio
}

func (m *metering) Plan(request Request, _ Known) (Plan, error) {
	last := Exchange{Take: func([]byte) (*Exchange, Result, error) {
		return nil, Result{Values: m.values, Samples: []Sample{{Values: m.values}}}, nil
	}}
	first := Exchange{Take: func([]byte) (*Exchange, Result, error) { return &last, Result{}, nil }}
	return Plan{Steps: []Step{{First: first}}, Then: func([]Answer) (Plan, error) {
		return Plan{Steps: []Step{{First: last}}}, nil
	}}, nil
}

// TestPrimaryPlan multiplies what comes in the end of a conversation, in samples, lists and records, and
// in the plans that follow; and nothing of a raw frame.
func TestPrimaryPlan(t *testing.T) {
	number := func(text string) Decimal {
		d, err := ParseDecimal(text)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	inner := &metering{values: []Value{
		{Name: "volts", Unit: "V", Data: number("1.0")}, {Name: "amperes", Data: number("1.0")}, {Name: "power", Data: number("1.0")},
		{Name: "other", Data: number("1.0")}, {Name: "volts", Data: nil}, {Name: "record", Data: map[string]any{"volts": number("1.0"), "other": number("1.0"), "list": []any{true}}},
	}}
	p, err := WithRatios(inner, Ratios{Current: number("40"), Voltage: number("10.5")})
	if err != nil {
		t.Fatal(err)
	}
	const want = "[{volts V 10.50} {amperes  40.0} {power  420.0} {other  1.0} {volts  <nil>} {record  map[list:[true] other:1.0 volts:10.50]}]"
	plan, err := p.Plan(Request{Verb: VerbRead}, nil)
	if err != nil {
		t.Fatal(err)
	}
	next, result, err := plan.Steps[0].First.Take(nil)
	if err != nil || next == nil || result.Values != nil {
		t.Fatal(next, result, err)
	}
	if _, result, err = next.Take(nil); err != nil || fmt.Sprint(result.Values) != want || fmt.Sprint(result.Samples[0].Values) != want {
		t.Errorf("%v, %v, want %s", result.Values, err, want)
	}
	then, err := plan.Then(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, result, err = then.Steps[0].First.Take(nil); err != nil || fmt.Sprint(result.Values) != want {
		t.Errorf("%v, %v, want %s", result.Values, err, want)
	}
	if fmt.Sprint(inner.values[0].Data) != "1.0" {
		t.Error("the values of the protocol itself were changed")
	}
	raw, err := p.Plan(Request{Verb: VerbRaw}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if next, _, _ := raw.Steps[0].First.Take(nil); next != nil {
		if _, result, _ := next.Take(nil); fmt.Sprint(result.Values[0].Data) != "1.0" {
			t.Errorf("a raw frame brings %v", result.Values)
		}
	}
	inner.values = []Value{{Name: "power", Data: number("123456789012345678")}}
	plan, _ = p.Plan(Request{Verb: VerbRead}, nil)
	next, _, _ = plan.Steps[0].First.Take(nil)
	if _, result, err := next.Take(nil); !errors.Is(err, ErrGarbled) || result.Values != nil {
		t.Errorf("a number with too many digits becomes %v, %v", result.Values, err)
	}
	if d, _ := p.Describe("volts"); d.Decimals != 2 || d.Digits != 8 {
		t.Errorf("volts are described as %+v", d)
	}
	if got, ok := p.Secondary("power", number("420.0")); !ok || got.String() != "1.0" {
		t.Errorf("420.00 was %s, %v", got, ok)
	}
	if _, err := WithRatios(&metering{}, Ratios{}); err != nil {
		t.Errorf("%v", err)
	}
}
