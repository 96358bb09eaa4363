package dlt645

import (
	"fmt"
	"strconv"
)

// A DI is a data identifier, the number that names a data item on the wire: four bytes
// DI3 DI2 DI1 DI0 in DL/T 645-2007 (annex A), two bytes DI1 DI0 in DL/T 645-1997, the
// most significant byte named first. On the wire DI0 travels first.
type DI uint32

// diSize returns how many bytes an identifier has.
func diSize(v Version) int {
	if v == V1997 {
		return 2
	}
	return 4
}

// ParseDI reads an identifier as people write it, most significant byte first: eight
// hexadecimal digits for the 2007 edition, four for that of 1997, in either case.
func ParseDI(s string, v Version) (DI, error) {
	d, err := strconv.ParseUint(s, 16, 8*diSize(v))
	if err != nil || len(s) != 2*diSize(v) {
		return 0, fmt.Errorf("%q is no identifier of DL/T 645-%s: write %d hexadecimal digits", s, v, 2*diSize(v))
	}
	return DI(d), nil
}

// Format returns the identifier as ParseDI reads it, in upper case.
func (d DI) Format(v Version) string {
	return fmt.Sprintf("%0*X", 2*diSize(v), uint32(d))
}

// Append appends the identifier as it travels, DI0 first, without the 33H offset.
func (d DI) Append(b []byte, v Version) []byte {
	for i := range diSize(v) {
		b = append(b, byte(d>>(8*i)))
	}
	return b
}

// diOf reads the identifier at the beginning of data.
func diOf(data []byte, v Version) (d DI) {
	for i := range diSize(v) {
		d |= DI(data[i]) << (8 * i)
	}
	return d
}

// holds reports whether a read or write of d is one of other as well, by itself or in a block.
// FFH in place of a byte below DI3 stands for all its values, and so does in the 1997 edition FH
// in place of a digit below the first; annex A of both.
func (d DI) holds(other DI, v Version) bool {
	bits, top := 8, 24
	if v == V1997 {
		bits, top = 4, 12
	}
	for shift := 0; shift <= top; shift += bits {
		all := DI(1<<bits-1) << shift
		if (d^other)&all != 0 && (d&all != all || shift == top) {
			return false
		}
	}
	return true
}
