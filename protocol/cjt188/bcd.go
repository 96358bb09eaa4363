package cjt188

import (
	"slices"
	"time"

	"dlt645-mqtt/protocol/octet"
)

// number returns what BCD bytes, the lowest pair first, are together. The error wraps
// [protocol.ErrGarbled].
func number(data []byte) (n int64, err error) {
	for i, b := range slices.Backward(data) {
		if octet.IsNotBCD(b) {
			return 0, garbled("byte %d of %d is %02XH, which is no BCD", i+1, len(data), b)
		}
		n = n*100 + int64(octet.FromBCD(b))
	}
	return n, nil
}

// isUnset reports whether all bytes are FFH: the meter has no such value.
func isUnset(data []byte) bool {
	return !slices.ContainsFunc(data, func(b byte) bool { return b != 0xFF })
}

// clockSize is the size of a moment: ss mm hh DD MM YY CC.
const clockSize = 7

// moment reads a moment. It is nil if the bytes are none, for some makers put other things into this place.
func moment(data []byte, zone *time.Location) any {
	var v [clockSize]int
	for i := range v {
		if v[i] = octet.FromBCD(data[i]); v[i] < 0 {
			return nil
		}
	}
	t := time.Date(100*v[6]+v[5], time.Month(v[4]), v[3], v[2], v[1], v[0], 0, zone)
	// Date takes a 31st of April for the 1st of May, and so on.
	if t.Year() != 100*v[6]+v[5] || int(t.Month()) != v[4] || t.Day() != v[3] || v[2] > 23 || v[1] > 59 || v[0] > 59 || t.Year() == 0 {
		return nil
	}
	return t.Format(time.RFC3339)
}

// appendMoment appends the moment in its zone.
func appendMoment(b []byte, t time.Time) []byte {
	return append(b, octet.ToBCD(t.Second()), octet.ToBCD(t.Minute()), octet.ToBCD(t.Hour()),
		octet.ToBCD(t.Day()), octet.ToBCD(int(t.Month())), octet.ToBCD(t.Year()%100), octet.ToBCD(t.Year()/100%100))
}
