package dlt698

import (
	"encoding/binary"
	"fmt"
	"time"
)

// momentOf returns the moment of a date_time_s or a date_time; zero where it is not set, or where
// there is no such moment. Meters keep the time of a zone that nothing says.
func momentOf(d Data, zone *time.Location) time.Time {
	b := d.Bytes
	switch {
	case d.Tag == DateTimeS && len(b) == 7:
		return moment(b, b[4:], 0, zone)
	case d.Tag == DateTime && len(b) == 10:
		return moment(b, b[5:], int(binary.BigEndian.Uint16(b[8:])), zone)
	}
	return time.Time{}
}

// moment puts a date and a time of day together; zero if there is no such moment.
func moment(date, clock []byte, milliseconds int, zone *time.Location) time.Time {
	year, month, day := int(binary.BigEndian.Uint16(date)), int(date[2]), int(date[3])
	hour, minute, second := int(clock[0]), int(clock[1]), int(clock[2])
	if year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59 || milliseconds > 999 {
		return time.Time{}
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, milliseconds*int(time.Millisecond), zone)
	if time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() != day {
		return time.Time{}
	}
	return t
}

// momentText returns a date, a time of day or both as text; empty where it is not set.
func momentText(d Data, zone *time.Location) string {
	b := d.Bytes
	switch d.Tag {
	case Date:
		if t := moment(b, []byte{0, 0, 0}, 0, time.UTC); !t.IsZero() {
			return t.Format(time.DateOnly)
		}
	case TimeOfDay:
		if b[0] <= 23 && b[1] <= 59 && b[2] <= 59 {
			return fmt.Sprintf("%02d:%02d:%02d", b[0], b[1], b[2])
		}
	case DateTime:
		if t := momentOf(d, zone); !t.IsZero() {
			return t.Format("2006-01-02T15:04:05.000Z07:00")
		}
	default:
		if t := momentOf(d, zone); !t.IsZero() {
			return t.Format(time.RFC3339)
		}
	}
	return ""
}

// MomentOf returns a date_time_s, which has whole seconds, of a moment in its zone.
func MomentOf(t time.Time) Data { return Data{Tag: DateTimeS, Bytes: appendMoment(nil, t)} }

func appendMoment(b []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return append(b, byte(year>>8), byte(year), byte(month), byte(day), byte(hour), byte(minute), byte(second))
}
