package modbus

import (
	"fmt"
	"strconv"
	"strings"
)

// The addresses of slaves.
const (
	firstAddress = 1
	lastAddress  = 247
)

// ParseAddress reads the address of a slave, a number from 1 to 247. 0 is that of all slaves, to
// which none answers, and those above 247 are reserved. Clause 2.2 of the serial line specification.
func ParseAddress(text string) (byte, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || strings.Trim(text, "0123456789") != "" || n < firstAddress || n > lastAddress {
		return 0, fmt.Errorf("address %q is no number from %d to %d", text, firstAddress, lastAddress)
	}
	return byte(n), nil
}
