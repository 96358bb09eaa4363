package dlt645

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"dlt645-mqtt/protocol/octet"
)

// An Address is the address of a meter in reading order: the first byte holds the two
// highest digits. Each byte is two digits in BCD, or AAH, which matches any two digits. On
// the wire the order is the reverse. Clause 5.2.2 of DL/T 645-2007. There are meters with digits
// above 9 all the same; they are reached by them, but for AAH.
type Address [6]byte

// wildcard is the address byte that matches any two digits.
const wildcard = 0xAA

// The addresses with a meaning of their own.
var (
	Broadcast = Address{0x99, 0x99, 0x99, 0x99, 0x99, 0x99} // every meter; none answers, but for reads of 1997
	Anyone    = Address{0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA} // whoever is there
)

// ParseAddress reads an address of 1 to 12 digits. A shorter one is filled on the left as
// version v does it: with zeros (2007), or with AAH above the last whole byte (1997), where
// AAH is then part of the meter's address. An address written in full may begin with pairs
// of A in place of digits that are not known, as in "AAAAAAAA0123", and have the digits A to F of a
// meter that has them in its own, as in "00000000B2C3"; but AA is never a pair of digits.
func ParseAddress(text string, v Version) (Address, error) {
	digits := strings.TrimLeft(text, "Aa")
	pairs := len(text) - len(digits)
	if pairs == 1 { // it is the first digit of one that has letters
		digits, pairs = text, 0
	}
	switch {
	case text == "":
		return Address{}, fmt.Errorf("the address is empty: write 1 to 12 digits")
	case len(text) > 12:
		return Address{}, fmt.Errorf("address %q has %d characters: 12 digits are the most", text, len(text))
	}
	letters := false
	for i := range len(digits) {
		switch c := digits[i] | 0x20; {
		case digits[i] >= '0' && digits[i] <= '9':
		case c >= 'a' && c <= 'f':
			letters = true
		default:
			r := []rune(digits[i:])[0]
			return Address{}, fmt.Errorf("address %q: character %d is %q, not a digit", text, pairs+i+1, r)
		}
	}
	switch {
	case pairs > 0 && len(text) < 12:
		return Address{}, fmt.Errorf("address %q has %d characters: with AA in it all 12 must be written", text, len(text))
	case pairs%2 != 0:
		return Address{}, fmt.Errorf("address %q begins with %d A: each byte is two digits or AA", text, pairs)
	case letters && len(text) < 12 && strings.ContainsAny(digits[1:], "Aa"):
		return Address{}, fmt.Errorf("address %q has an A below digits: pairs of A stand on the left only", text)
	case letters && len(text) < 12:
		return Address{}, fmt.Errorf("address %q has letters: an address is of digits, and the few that have letters are written in full, all 12 characters", text)
	}
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	var a Address
	if v == V1997 || pairs > 0 {
		a = Anyone
	}
	if _, err := hex.Decode(a[len(a)-len(digits)/2:], []byte(digits)); err != nil {
		return Address{}, fmt.Errorf("address %q: %w", text, err)
	}
	if len(text) == 12 && bytes.IndexByte(a[pairs/2:], wildcard) >= 0 {
		return Address{}, fmt.Errorf("address %q has an A below digits: pairs of A stand on the left only", text)
	}
	return a, nil
}

// HasLetters reports whether a has digits above 9, which the standard knows no meter to have. AAH is
// none of them.
func (a Address) HasLetters() bool {
	return slices.ContainsFunc(a[:], func(b byte) bool { return b != wildcard && octet.IsNotBCD(b) })
}

// String returns the address as 12 characters, digits or A to F.
func (a Address) String() string {
	const digits = "0123456789ABCDEF"
	var text [12]byte
	for i, b := range a {
		text[2*i], text[2*i+1] = digits[b>>4], digits[b&0x0F]
	}
	return string(text[:])
}

// IsBroadcast reports whether a is the address of all meters, 999999999999.
func (a Address) IsBroadcast() bool { return a == Broadcast }

// IsWildcard reports whether any byte of a is AAH. In the 1997 edition that may also be the
// filling of a short address.
func (a Address) IsWildcard() bool { return bytes.IndexByte(a[:], wildcard) >= 0 }

// Matches reports whether a meter of address full is meant by a: each byte of a is AAH or
// equal to that of full.
func (a Address) Matches(full Address) bool {
	for i, b := range a {
		if b != wildcard && b != full[i] {
			return false
		}
	}
	return true
}

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
