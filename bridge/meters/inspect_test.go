package meters

import "testing"

func TestRating(t *testing.T) {
	for text, want := range map[string]int64{"60A": 61, "5(60)A": 61, "3*220V": 221, "57.7V": 58, "220": 221, "": 0, "A": 0, "9999999": 0} {
		if got := rating(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

// TestWatts adds up what a meter is made for.
func TestWatts(t *testing.T) {
	for _, row := range []struct {
		amperes, volts string
		want           int64
	}{{"5(60)A", "220V", 3 * 61 * 221 * 5 / 4}, {"5(60)A", "", 0}, {"", "220V", 0}} {
		i := inspection{amperes: rating(row.amperes), volts: rating(row.volts)}
		if got := i.watts(); got != row.want {
			t.Errorf("%q at %q: %d W, want %d", row.amperes, row.volts, got, row.want)
		}
	}
}
