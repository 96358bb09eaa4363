package dlt645

import (
	"fmt"
	"strings"
	"time"

	"dlt645-mqtt/protocol"
	"dlt645-mqtt/protocol/octet"
)

// layouts gives for each calendar picture the form in which people read it.
var layouts = map[string]string{
	"YYMMDDhhmmss":   time.RFC3339,
	"YYMMDDhhmm":     time.RFC3339,
	"YYMMDDhh":       time.RFC3339,
	"YYMMDDWWhhmmss": time.RFC3339,
	"YYMMDDWW":       time.DateOnly,
	"YYMMDD":         time.DateOnly,
	"hhmmss":         time.TimeOnly,
	"hhmm":           "15:04",
	"MMDDhhmm":       "01-02 15:04",
	"MMDDhh":         "01-02 15:04",
	"MMDD":           "01-02",
	"DDhh":           "02 15:04",
}

// schedules gives the keys of the two parts of a schedule picture.
var schedules = map[string][2]string{
	"MMDDNN":   {"start", "table"},
	"hhmmNN":   {"start", "tariff"},
	"YYMMDDNN": {"date", "table"},
}

var weekdays = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// weekdayOf returns the name of the day of the week that a byte WW stands for, nil if it stands for
// none: 00H is Sunday.
func weekdayOf(b byte) any {
	if int(b) < len(weekdays) {
		return weekdays[b]
	}
	return nil
}

// moment puts the bytes of the calendar fields named by units together, and returns the index
// of one that is wrong, else -1. The fields that are missing are those of the first second of
// 2000, a leap year.
func moment(units string, data []byte, zone *time.Location) (t time.Time, wrong int) {
	year, month, day, hour, minute, second := 2000, 1, 1, 0, 0, 0
	for i := range data {
		at := len(data) - 1 - i // the first unit named travels last
		n := octet.FromBCD(data[at])
		low, high := 0, 59
		switch units[2*i] {
		case 'Y':
			year, high = 2000+n, 99
		case 'M':
			month, low, high = n, 1, 12
		case 'D':
			day, low, high = n, 1, 31
		case 'W':
			continue // it follows from the date: meters that call Sunday 7 have the right time all the same
		case 'h':
			hour, high = n, 23
		case 'm':
			minute = n
		case 's':
			second = n
		}
		if n < low || n > high {
			return t, at
		}
	}
	if day > 28 && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() != day {
		return t, len(data) - 1 - strings.Index(units, "DD")/2
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, zone), -1
}

// never reports whether the calendar field holds the zeros or nines that stand for no date.
func never(units string, data []byte) bool {
	if data[0] != 0 && data[0] != 0x99 || !strings.Contains(units, "DD") {
		return false
	}
	for _, b := range data {
		if b != data[0] {
			return false
		}
	}
	return true
}

func (p *Picture) decodeCalendar(data []byte, zone *time.Location) (any, error) {
	t, err := p.moment(data, zone)
	if err != nil || t.IsZero() {
		return nil, err
	}
	return t.Format(p.layout), nil
}

// moment reads a field of a calendar picture; it is zero where the field holds no date.
func (p *Picture) moment(data []byte, zone *time.Location) (time.Time, error) {
	if never(p.text, data) || empty(data) {
		return time.Time{}, nil
	}
	t, wrong := moment(p.text, data, zone)
	if wrong >= 0 {
		return time.Time{}, garbled("%s in %s is no date or time: byte %d is %02XH", hexOf(data), p.text, wrong+1, data[wrong])
	}
	return t, nil
}

func (p *Picture) decodeSchedule(data []byte) (any, error) {
	if never(p.text, data) {
		return nil, nil
	}
	n := octet.FromBCD(data[0])
	if n < 0 {
		return nil, notBCD(data, 0)
	}
	t, wrong := moment(p.text, data[1:], time.UTC)
	if wrong >= 0 {
		return nil, garbled("%s in %s is no date or time: byte %d is %02XH", hexOf(data), p.text, wrong+2, data[wrong+1])
	}
	keys := schedules[p.text]
	return map[string]any{keys[0]: t.Format(p.layout), keys[1]: protocol.Decimal{Coefficient: int64(n)}}, nil
}

// parseMoment reads a moment as people write it; without offset it is in the zone.
func parseMoment(text string, zone *time.Location) (time.Time, error) {
	t, err := protocol.ParseMoment(text)
	if err == nil {
		return t.In(zone), nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04", "2006-01-02 15:04"} {
		// Package time takes fractions, a decimal comma and hours of one digit for any layout.
		if t, err := time.ParseInLocation(layout, text, zone); err == nil && t.Format(layout) == text {
			return t, nil
		}
	}
	return time.Time{}, err
}

// parseLayout reads a date or a time of day that is written as the layout has it, to the digit.
func parseLayout(layout, text string) (time.Time, error) {
	t, err := time.Parse(layout, text)
	if err == nil && t.Format(layout) != text {
		err = protocol.ErrMoment
	}
	return t, err
}

func (p Picture) appendCalendar(dst []byte, value any, zone *time.Location) ([]byte, error) {
	var t time.Time
	var err error
	switch v := value.(type) {
	case time.Time:
		t = v.In(zone)
	case string:
		if p.layout == time.RFC3339 {
			t, err = parseMoment(v, zone)
		} else {
			t, err = parseLayout(p.layout, v)
		}
	default:
		return nil, p.unfit(value, "it takes a string")
	}
	if err != nil {
		return nil, p.unfit(value, fmt.Sprintf("it takes a date or time like %q", p.example()))
	}
	if strings.HasPrefix(p.text, "YY") && (t.Year() < 2000 || t.Year() > 2099) {
		return nil, p.unfit(value, "the year must be from 2000 to 2099")
	}
	if t.Second() != 0 && !strings.Contains(p.text, "ss") || t.Minute() != 0 && !strings.Contains(p.text, "mm") && strings.Contains(p.text, "hh") {
		return nil, p.unfit(value, "it is too fine")
	}
	return appendMoment(dst, p.text, t), nil
}

// appendMoment appends the units of a moment that a calendar picture names.
func appendMoment(dst []byte, picture string, t time.Time) []byte {
	for i := len(picture) - 2; i >= 0; i -= 2 { // the last unit travels first
		dst = append(dst, octet.ToBCD(unitOf(t, picture[i])))
	}
	return dst
}

// example returns a value in the picture's form.
func (p Picture) example() string {
	return time.Date(2026, 11, 21, 18, 0, 0, 0, time.UTC).Format(p.layout)
}

// unitOf returns the part of a moment that a letter of a picture names.
func unitOf(t time.Time, unit byte) int {
	switch unit {
	case 'Y':
		return t.Year() % 100
	case 'M':
		return int(t.Month())
	case 'D':
		return t.Day()
	case 'W':
		return int(t.Weekday())
	case 'h':
		return t.Hour()
	case 'm':
		return t.Minute()
	}
	return t.Second()
}

func (p Picture) appendSchedule(dst []byte, value any) ([]byte, error) {
	keys := schedules[p.text]
	object, ok := value.(map[string]any)
	if !ok || len(object) != 2 {
		return nil, p.unfit(value, fmt.Sprintf("it takes an object with %q and %q", keys[0], keys[1]))
	}
	dst, err := Picture{text: "NN", digits: 2, size: 1}.appendNumber(dst, object[keys[1]])
	if err != nil {
		return nil, err
	}
	date := Picture{text: strings.TrimSuffix(p.text, "NN"), layout: p.layout}
	return date.appendCalendar(dst, object[keys[0]], time.UTC)
}
