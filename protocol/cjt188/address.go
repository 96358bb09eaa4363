package cjt188

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"dlt645-mqtt/protocol/octet"
)

// An Address is the address of a meter in reading order: the first byte holds the two highest
// digits. Each byte is two digits in BCD. On the wire the order is the reverse, A0 first. By the
// standard the first two bytes are the code of the maker; in the field they hold anything.
type Address [7]byte

// The addresses with a meaning of their own.
var (
	Anyone    = Address{0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA} // the only meter on the wire
	Broadcast = Address{0x99, 0x99, 0x99, 0x99, 0x99, 0x99, 0x99} // every meter; none answers
)

// addressDigits is how many digits an address has.
const addressDigits = 2 * len(Address{})

// ParseAddress reads an address of 1 to 14 digits; a shorter one is filled with zeros on the left.
// Fourteen times the letter A is the only meter on the wire, whatever its address.
func ParseAddress(text string) (Address, error) {
	switch {
	case text == "":
		return Address{}, fmt.Errorf("the address is empty: write 1 to %d digits", addressDigits)
	case strings.EqualFold(text, Anyone.String()):
		return Anyone, nil
	case len(text) > addressDigits:
		return Address{}, fmt.Errorf("address %q has %d characters: %d digits are the most", text, len(text), addressDigits)
	}
	for i, c := range text {
		if c < '0' || c > '9' {
			return Address{}, fmt.Errorf("address %q: character %d is %q, not a digit; write 1 to %d digits, or %s for the only meter on the wire", text, i+1, c, addressDigits, Anyone)
		}
	}
	var a Address
	if _, err := hex.Decode(a[:], []byte(strings.Repeat("0", addressDigits-len(text))+text)); err != nil {
		return Address{}, fmt.Errorf("address %q: %w", text, err)
	}
	if a == Broadcast {
		return Address{}, fmt.Errorf("%s is the address of all meters at once, to which none answers", a)
	}
	return a, nil
}

// String returns the address as 14 characters: digits, or A.
func (a Address) String() string { return octet.Hex(a[:]) }

// reversedAddress reads an address at the beginning of b as it travels, the lowest pair first.
func reversedAddress(b []byte) (a Address) {
	for i := range a {
		a[i] = b[len(a)-1-i]
	}
	return a
}

// reversed returns the address as it travels.
func (a Address) reversed() []byte {
	slices.Reverse(a[:])
	return a[:]
}

// isOfMeter reports whether a is the address that a meter can have.
func (a Address) isOfMeter() bool {
	return a != Broadcast && !slices.ContainsFunc(a[:], octet.IsNotBCD)
}
