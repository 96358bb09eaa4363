package dlt645

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// fromBCD returns the value of a byte of two BCD digits, or -1.
func fromBCD(b byte) int {
	if b>>4 > 9 || b&0x0F > 9 {
		return -1
	}
	return int(b>>4)*10 + int(b&0x0F)
}

func isNotBCD(b byte) bool { return fromBCD(b) < 0 }

// toBCD returns the byte of two BCD digits; n is at most 99.
func toBCD(n int) byte { return byte(n/10<<4 | n%10) }

// notBCD is the error for the byte at the index i.
func notBCD(data []byte, i int) error {
	return garbled("byte %d of %d is %02XH, which is no BCD", i+1, len(data), data[i])
}

// reversedDigits reads two decimal digits for each of n bytes, the last pair first. The error
// does not show them.
func reversedDigits(digits string, n int) ([]byte, error) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != n || slices.ContainsFunc(b, isNotBCD) {
		return nil, fmt.Errorf("these are not %d digits", 2*n)
	}
	slices.Reverse(b)
	return b, nil
}

// reversedHex returns so many bytes, written as hex digits, as they travel: the last first. It is for what is
// configured: whether there may be letters among the digits is said there.
func reversedHex(digits string, n int) ([]byte, error) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != n {
		return nil, fmt.Errorf("these are not %d hex digits", 2*n)
	}
	slices.Reverse(b)
	return b, nil
}

// hexOf returns bytes as they travel as upper-case digits, the most significant first.
func hexOf(data []byte) string {
	reversed := slices.Clone(data)
	slices.Reverse(reversed)
	return strings.ToUpper(hex.EncodeToString(reversed))
}
