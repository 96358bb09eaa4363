package dlt698

import (
	"encoding/hex"
	"fmt"
	"strings"

	"dlt645-mqtt/protocol/octet"
)

// An AddressKind says whom an address means.
type AddressKind uint8

// The kinds, as in bits 7 and 6 of the address flag.
const (
	Single    AddressKind = iota // one meter
	Wildcard                     // the meters whose digits are those of the address, where it has no A
	Group                        // a group that the meters know; none answers
	Broadcast                    // every meter; none answers
)

// String returns the kind in a word.
func (k AddressKind) String() string {
	return [...]string{"single", "wildcard", "group", "broadcast"}[k&3]
}

// mostAddress is the most bytes that an address has.
const mostAddress = 16

// usualAddress is how many bytes the address of a meter has.
const usualAddress = 6

// wildDigit is the digit that stands for any other.
const wildDigit = 0xA

// An Address is the address of a server, which mostly is a meter: one to sixteen bytes of two
// digits each. It is comparable. Clause 6.2.4 of DL/T 698.45.
type Address struct {
	Kind    AddressKind
	Logical uint8 // which part of the device is meant: 0 on ordinary meters, at most 3

	size   uint8             // bytes
	number [mostAddress]byte // in reading order, from the first byte on
}

// All is the address of all meters at once.
var All = Address{Kind: Broadcast, size: 1, number: [mostAddress]byte{0xAA}}

// Anyone is the address that every meter of the usual length answers to.
var Anyone = mustAddress("AAAAAAAAAAAA")

func mustAddress(text string) Address {
	a, err := ParseAddress(text)
	if err != nil {
		panic(err)
	}
	return a
}

// ParseAddress reads an address of 2 to 32 digits, an even number of them. A shorter one than
// the usual 12 is filled up with 0 on the left. A in place of a digit stands for any digit; such
// an address is written in full.
func ParseAddress(text string) (Address, error) {
	digits := strings.ToUpper(text)
	wild := strings.Contains(digits, "A")
	for i, c := range text {
		if c != 'A' && c != 'a' && (c < '0' || c > '9') {
			return Address{}, fmt.Errorf("address %q: character %d is %q, not a digit", text, i+1, c)
		}
	}
	switch {
	case text == "":
		return Address{}, fmt.Errorf("the address is empty: write 2 to 32 digits, 12 on ordinary meters")
	case len(text) > 2*mostAddress:
		return Address{}, fmt.Errorf("address %q has %d digits: %d are the most", text, len(text), 2*mostAddress)
	case len(text)%2 != 0:
		return Address{}, fmt.Errorf("address %q has %d digits: write an even number of them, two for each byte, such as %q", text, len(text), "0"+text)
	case wild && len(text) < 2*usualAddress:
		return Address{}, fmt.Errorf("address %q has %d digits: with A in it all must be written, 12 for ordinary meters", text, len(text))
	}
	if short := 2*usualAddress - len(digits); short > 0 {
		digits = strings.Repeat("0", short) + digits
	}
	a := Address{size: uint8(len(digits) / 2)}
	if wild {
		a.Kind = Wildcard
	}
	_, err := hex.Decode(a.number[:], []byte(digits))
	return a, err
}

// String returns the digits, two for each byte, in reading order. A wildcard has A where any
// digit is meant.
func (a Address) String() string { return octet.Hex(a.bytes()) }

// bytes returns the address in reading order.
func (a *Address) bytes() []byte { return a.number[:a.size] }

// size returns the length of the address whose flag is given.
func sizeOfAddress(flag byte) int { return int(flag&0xF) + 1 }

// addressIn reads the address whose flag b begins with; b holds all of it. It travels with its
// last byte first.
func addressIn(b []byte) Address {
	flag := b[0]
	a := Address{Kind: AddressKind(flag >> 6), Logical: flag >> 4 & 3, size: uint8(sizeOfAddress(flag))}
	for i := range a.bytes() {
		a.number[i] = b[int(a.size)-i]
	}
	return a
}

// append appends the address as it travels: its flag, and the last byte first.
func (a Address) append(b []byte) []byte {
	b = append(b, byte(a.Kind)<<6|a.Logical&3<<4|(a.size-1)&0xF)
	for i := range a.bytes() {
		b = append(b, a.number[int(a.size)-1-i])
	}
	return b
}

// IsShared reports whether more than one meter may be meant.
func (a Address) IsShared() bool { return a.Kind != Single }

// Matches reports whether a frame from a server of address full may be the answer to one that
// was sent to a. To a wildcard any length answers that its digits fit.
func (a Address) Matches(full Address) bool {
	if a.Kind != Wildcard {
		return a == full
	}
	if a.size != full.size {
		return false
	}
	for i, b := range a.bytes() {
		if b>>4 != wildDigit && b>>4 != full.number[i]>>4 || b&0xF != wildDigit && b&0xF != full.number[i]&0xF {
			return false
		}
	}
	return true
}
