package dlt645

import (
	"encoding/hex"
	"fmt"
	"slices"

	"dlt645-mqtt/protocol/octet"
)

// notBCD is the error for the byte at the index i.
func notBCD(data []byte, i int) error {
	return garbled("byte %d of %d is %02XH, which is no BCD", i+1, len(data), data[i])
}

// reversedDigits reads two decimal digits for each of n bytes, the last pair first. The error
// does not show them.
func reversedDigits(digits string, n int) ([]byte, error) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != n || slices.ContainsFunc(b, octet.IsNotBCD) {
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
	return octet.Hex(reversed)
}
