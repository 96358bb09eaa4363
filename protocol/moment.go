package protocol

import (
	"errors"
	"regexp"
	"sync"
	"time"
)

// ErrMoment is returned for text that is no moment of RFC 3339.
var ErrMoment = errors.New("not a moment as in RFC 3339, such as 2026-11-20T18:00:00+08:00")

// moment is the form of a date-time of RFC 3339 with the bounds that package time does not hold it
// to: that takes a decimal comma, an hour of one digit, and offsets of a day and more.
var moment = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`)
})

// ParseMoment reads a moment as RFC 3339 has it, to the letter, with T and Z as capitals.
func ParseMoment(text string) (time.Time, error) {
	if !moment().MatchString(text) {
		return time.Time{}, ErrMoment
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil { // there is no such day, or time of day
		return time.Time{}, ErrMoment
	}
	return t, nil
}

// FormatMoment writes a moment in its zone: RFC 3339 with offset and milliseconds.
func FormatMoment(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z07:00") }

// Seconds returns a duration in seconds with one decimal.
func Seconds(d time.Duration) Decimal {
	return Decimal{Coefficient: d.Round(100*time.Millisecond).Milliseconds() / 100, Scale: 1}
}
