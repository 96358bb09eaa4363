//go:build !linux

package main

import "errors"

// synchronised cannot be told on this system.
func synchronised() error {
	return errors.New("whether the clock of this host is synchronised cannot be told on this system; set DLT645_CLOCK=trusted if you know that it is")
}
