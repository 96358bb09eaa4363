package cjt188

import (
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// fromBCD returns the value of a byte of two BCD digits, or -1.
func fromBCD(b byte) int {
	if b>>4 > 9 || b&0x0F > 9 {
		return -1
	}
	return int(b>>4)*10 + int(b&0x0F)
}

func isNotBCD(b byte) bool { return fromBCD(b) < 0 }

// number returns what BCD bytes, the lowest pair first, are together. The error wraps
// [protocol.ErrGarbled].
func number(data []byte) (n int64, err error) {
	for i, b := range slices.Backward(data) {
		if isNotBCD(b) {
			return 0, garbled("byte %d of %d is %02XH, which is no BCD", i+1, len(data), b)
		}
		n = n*100 + int64(fromBCD(b))
	}
	return n, nil
}

// isUnset reports whether all bytes are FFH: the meter has no such value.
func isUnset(data []byte) bool {
	return !slices.ContainsFunc(data, func(b byte) bool { return b != 0xFF })
}

// clockSize is the size of a moment: ss mm hh DD MM YY CC.
const clockSize = 7

// moment reads a moment, of which makers put other things into the same place: nil if it is none.
func moment(data []byte, zone *time.Location) any {
	var v [clockSize]int
	for i := range v {
		if v[i] = fromBCD(data[i]); v[i] < 0 {
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

// hexOf returns bytes as upper-case digits in the order in which they travel.
func hexOf(data []byte) string { return strings.ToUpper(hex.EncodeToString(data)) }

// toBCD returns the byte of two BCD digits; n is at most 99.
func toBCD(n int) byte { return byte(n/10<<4 | n%10) }

// appendMoment appends the moment in its zone.
func appendMoment(b []byte, t time.Time) []byte {
	return append(b, toBCD(t.Second()), toBCD(t.Minute()), toBCD(t.Hour()),
		toBCD(t.Day()), toBCD(int(t.Month())), toBCD(t.Year()%100), toBCD(t.Year()/100%100))
}
