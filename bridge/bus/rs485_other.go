//go:build !linux

package bus

import "errors"

// switchDriver is there on Linux only.
func switchDriver(string) error {
	return errors.New("only Linux can switch an RS-485 line driver: leave rs485 out of the bus URL and use an adapter that switches by itself")
}
