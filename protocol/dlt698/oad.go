package dlt698

import (
	"fmt"
	"strconv"
)

// An OAD names an attribute of an object, or an element of one: the object (two bytes), the
// attribute (the number in bits 4 to 0), and the index of the element, 0 for all of it.
// Clause 7.1 of DL/T 698.45.
type OAD uint32

// OAD of the address, the clock and so on are in the files that use them.

// ParseOAD reads eight hex digits.
func ParseOAD(text string) (OAD, error) {
	n, err := strconv.ParseUint(text, 16, 32)
	if err != nil || len(text) != 8 {
		return 0, fmt.Errorf("%q is no object attribute descriptor: write eight hex digits", text)
	}
	return OAD(n), nil
}

// String returns the eight hex digits.
func (o OAD) String() string { return fmt.Sprintf("%08X", uint32(o)) }

// OI returns the object.
func (o OAD) OI() uint16 { return uint16(o >> 16) }

// Attribute returns the number of the attribute.
func (o OAD) Attribute() byte { return byte(o>>8) & 0x1F }

// Index returns which element of the attribute is meant, 1 for the first; 0 for all.
func (o OAD) Index() byte { return byte(o) }

// whole returns the descriptor of the attribute with all its elements.
func (o OAD) whole() OAD { return o &^ 0xFF }

// element returns the descriptor of an element of the attribute.
func (o OAD) element(index byte) OAD { return o.whole() | OAD(index) }

func (o OAD) append(b []byte) []byte { return append(b, byte(o>>24), byte(o>>16), byte(o>>8), byte(o)) }

// An OMD names a method of an object: the object (two bytes), the method, and the mode, always 0.
type OMD = OAD
