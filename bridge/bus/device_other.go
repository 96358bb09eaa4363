//go:build !linux

package bus

import (
	"errors"

	"go.bug.st/serial"
)

// devices returns the serial lines that there are.
func devices() []string {
	names, err := serial.GetPortsList()
	if err != nil {
		return nil
	}
	return names
}

// prepare sets nothing: only Linux knows how to.
func prepare(_ string, rs485 bool) (release func(), err error) {
	if rs485 {
		return nil, errors.New("only Linux can switch an RS-485 line driver: leave rs485 out of the bus URL and use an adapter that switches by itself")
	}
	return func() {}, nil
}
