package protocol

import (
	"encoding/json"
	"errors"
	"math"
	"testing"
)

func TestDecimalText(t *testing.T) {
	for _, row := range []struct {
		decimal Decimal
		text    string
	}{
		{Decimal{80000001, 2}, "800000.01"},
		{Decimal{2200, 1}, "220.0"},
		{Decimal{0, 4}, "0.0000"},
		{Decimal{-3456, 4}, "-0.3456"},
		{Decimal{5, 0}, "5"},
		{Decimal{-5, 0}, "-5"},
		{Decimal{100, 2}, "1.00"},
		{Decimal{1, 17}, "0.00000000000000001"},
		{Decimal{999999999999999999, 0}, "999999999999999999"},
	} {
		if got := row.decimal.String(); got != row.text {
			t.Errorf("%+v is written %s, want %s", row.decimal, got, row.text)
		}
		if b, err := json.Marshal(row.decimal); err != nil || string(b) != row.text {
			t.Errorf("%+v marshals to %s (%v), want %s", row.decimal, b, err, row.text)
		}
		if got, err := ParseDecimal(row.text); err != nil || got != row.decimal {
			t.Errorf("%s reads as %+v (%v), want %+v", row.text, got, err, row.decimal)
		}
	}
	if got := (Decimal{math.MinInt64, 2}).String(); got != "-92233720368547758.08" {
		t.Errorf("the smallest coefficient is written %s", got)
	}
}

func TestParseDecimalRefuses(t *testing.T) {
	for _, text := range []string{"", "-", ".", "1.", ".5", "01", "1e3", "+1", "1,5", "١", "1.2.3", "--1", "0x1", "1_000", " 1", "1234567890123456789", "NaN"} {
		if d, err := ParseDecimal(text); !errors.Is(err, ErrDecimal) {
			t.Errorf("%q reads as %v (%v), want an error", text, d, err)
		}
	}
}

func TestDecimalCompare(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"220.0", "220", 0}, {"220.1", "220", 1}, {"-220.1", "-220", -1}, {"0.00", "-0.01", 1},
		{"1", "1.00000000000000001", -1}, {"999999999999999999", "0.1", 1}, {"-0.5", "0.5", -1}, {"9.33", "9.330", 0},
	} {
		a, errA := ParseDecimal(row.a)
		b, errB := ParseDecimal(row.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if got := a.Compare(b); got != row.want {
			t.Errorf("%s compared with %s: %d, want %d", a, b, got, row.want)
		}
		if got := b.Compare(a); got != -row.want {
			t.Errorf("%s compared with %s: %d, want %d", b, a, got, -row.want)
		}
	}
}

func TestDecimalDistance(t *testing.T) {
	for _, row := range []struct{ a, b, want string }{
		{"220.1", "219.6", "0.5"}, {"219.60", "220.1", "0.50"}, {"-0.5", "0.5", "1.0"}, {"5", "5", "0"},
		{"800000.01", "800000", "0.01"}, {"999999999999999999", "-1", ""}, {"999999999999999999", "0.1", ""},
	} {
		a, errA := ParseDecimal(row.a)
		b, errB := ParseDecimal(row.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		for _, order := range [][2]Decimal{{a, b}, {b, a}} {
			if got, ok := order[0].Distance(order[1]); ok != (row.want != "") || ok && got.String() != row.want {
				t.Errorf("%s and %s are %v apart (%v), want %s", order[0], order[1], got, ok, row.want)
			}
		}
	}
}

func FuzzParseDecimal(f *testing.F) {
	f.Add("800000.01")
	f.Add("-0.50")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDecimal(text)
		if err != nil {
			return
		}
		if again, err := ParseDecimal(d.String()); err != nil || again != d {
			t.Errorf("%q reads as %v, which reads as %v (%v)", text, d, again, err)
		}
		if !json.Valid([]byte(d.String())) {
			t.Errorf("%v is no JSON", d)
		}
	})
}
