package bus

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's struct serial_rs485, see ioctl TIOCSRS485.
type rs485Settings struct {
	flags, delayBefore, delayAfter uint32
	_                              [5]uint32
}

const (
	rs485Enabled   = 1 << 0
	rs485RTSOnSend = 1 << 1
)

// switchDriver makes the kernel raise RTS while it sends on the device at path, which
// is how the line driver of an RS-485 port is turned on. The setting stays with the device.
func switchDriver(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	settings := rs485Settings{flags: rs485Enabled | rs485RTSOnSend}
	pointer := unsafe.Pointer(&settings) //nolint:gosec // G103: package unix has no function for this ioctl
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCSRS485, uintptr(pointer)); errno != 0 {
		return fmt.Errorf("its driver cannot switch an RS-485 line driver (%w): leave rs485 out of the bus URL and use an adapter that switches by itself", errno)
	}
	return nil
}
