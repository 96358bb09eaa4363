package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// synchronised asks the kernel whether its clock is held in step with others, as an NTP client
// or the host of a virtual machine does it.
func synchronised() error {
	const inError = 5 // TIME_ERROR
	var state unix.Timex
	switch result, err := unix.Adjtimex(&state); {
	case err != nil:
		return fmt.Errorf("ask the kernel whether its clock is synchronised: %w", err)
	case result == inError || state.Status&unix.STA_UNSYNC != 0:
		return errors.New("the clock of this host is not synchronised: start an NTP client such as chrony or systemd-timesyncd, or set DLT645_CLOCK=trusted")
	}
	return nil
}
